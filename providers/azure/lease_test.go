package azure_test

import (
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/azuretest"
)

// signature is a SAS of the permissions, for the container of cfg.
func signature(t *testing.T, cfg azure.Config, can sas.ContainerPermissions) string {
	t.Helper()
	u, err := admin(t, azurite.server.URL, cfg.Container).GetSASURL(can, time.Now().Add(time.Hour), nil)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := sas.ParseURL(u)
	if err != nil {
		t.Fatal(err)
	}
	return parts.SAS.Encode()
}

var (
	uploaderCan = sas.ContainerPermissions{Create: true, Read: true, List: true}
	managerCan  = sas.ContainerPermissions{Read: true, List: true, SetImmutabilityPolicy: true}
)

// practice is one container with an uploader and a manager in their own roles.
type practice struct {
	*testing.T
	layer             *azuretest.Layer
	cfg               azure.Config // of everything
	uploader, manager providers.Driver
}

func newPractice(t *testing.T, opt azuretest.Options) practice {
	layer, endpoint := newLayer(t, opt)
	p := practice{T: t, layer: layer, cfg: newContainer(t, endpoint)}
	p.cfg.Versions = true
	up := p.cfg
	up.SharedKey, up.SAS, up.Leases = "", signature(t, p.cfg, uploaderCan), azure.LeaseManaged
	p.uploader = open(t, up)
	man := p.cfg
	man.SharedKey, man.SAS, man.Leases, man.MaxLease = "", signature(t, p.cfg, managerCan), azure.LeaseManager, 400*day
	p.manager = open(t, man)
	return p
}

func (p practice) put(d providers.Driver, key, data string) providers.Version {
	p.Helper()
	v, err := d.Put(p.Context(), key, []byte(data), providers.PutOptions{})
	if err != nil {
		p.Fatalf("put %s: %v", key, err)
	}
	return v
}

func (p practice) raise(key string, v providers.Version, days int) error {
	p.Helper()
	return p.manager.(providers.Leaser).Raise(p.Context(), key, v, p.layer.Now().AddDate(0, 0, days))
}

func (p practice) advance(days int) {
	p.Helper()
	if err := p.layer.Advance(p.Context(), time.Duration(days)*day); err != nil {
		p.Fatal(err)
	}
}

func (p practice) wantKeys(when string, want ...string) {
	p.Helper()
	wantListed(p.T, p.uploader, when, want...)
}

func wantListed(t *testing.T, d providers.Driver, when string, want ...string) {
	t.Helper()
	got := []string{}
	for obj, err := range d.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, obj.Key)
		if data, err := d.Get(t.Context(), obj.Key, obj.Version, 0, -1); err != nil || int64(len(data)) != obj.Size {
			t.Errorf("%s: read %s: %d bytes, %v", when, obj.Key, len(data), err)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: listed %q, want %q", when, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: listed %q, want %q", when, got, want)
		}
	}
}

func wantKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %q", what, kind)
		return
	}
	for _, k := range providers.Kinds() {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("%s: %v: is %q: %v, want only %q", what, err, k, errors.Is(err, k), kind)
		}
	}
}

// z1 is the account of the scheme with a manager: 14 days for everything, locked.
var z1 = azuretest.Options{
	Versions: true, Immutable: true, DefaultPolicy: 14 * day,
	Rules: []azuretest.Rule{{DaysAfterCreation: 14, VersionDaysAfterCreation: 15}},
}

func TestManagedObjectsLiveAsLongAsTheirLease(t *testing.T) {
	p := newPractice(t, z1)
	if _, ok := p.uploader.(providers.Leaser); ok {
		t.Fatal("the uploader's driver can raise leases")
	}
	p.put(p.uploader, "r/p/kept", "needed for 60 days")
	p.put(p.uploader, "r/p/loose", "needed by nobody")
	obj, err := p.uploader.Stat(t.Context(), "r/p/loose", "")
	if err != nil || !obj.Lease.Equal(start.Add(14*day)) {
		t.Errorf("lease by default: %v, %v", obj.Lease, err)
	}
	if err := p.raise("r/p/kept", "", 60); err != nil {
		t.Fatal(err)
	}
	p.advance(14)
	p.wantKeys("on day 14", "r/p/kept", "r/p/loose")
	p.advance(3)
	p.wantKeys("on day 17", "r/p/kept")
	p.advance(42)
	p.wantKeys("on day 59", "r/p/kept")
	if err := p.raise("r/p/kept", "", 30); err != nil {
		t.Fatal(err)
	}
	p.advance(28)
	p.wantKeys("on day 87", "r/p/kept")
	p.advance(4)
	p.wantKeys("on day 91")
	p.put(p.uploader, "r/p/kept", "the key is free again")
}

// A rule may hide what is locked, as a deletion does. It is there all the same, with and
// without its version, and what somebody puts above it is not it.
func TestHiddenObjectsAreThere(t *testing.T) {
	opt := z1
	opt.Lifecycle = azuretest.HidesLocked
	p := newPractice(t, opt)
	v := p.put(p.uploader, "r/p/kept", "needed for 60 days")
	p.put(p.uploader, "r/p/kept-too", "another key with the same beginning")
	if err := p.raise("r/p/kept", "", 60); err != nil {
		t.Fatal(err)
	}
	p.advance(15)
	p.wantKeys("on day 15", "r/p/kept", "r/p/kept-too")
	if obj, err := p.uploader.Stat(t.Context(), "r/p/kept", ""); err != nil || obj.Version != v || !obj.Lease.Equal(start.AddDate(0, 0, 60)) {
		t.Errorf("stat: %+v, %v", obj, err)
	}
	if got, err := p.uploader.Get(t.Context(), "r/p/kept", "", 0, 6); err != nil || string(got) != "needed" {
		t.Errorf("get: %q, %v", got, err)
	}
	if err := p.raise("r/p/kept", "", 90); err != nil {
		t.Errorf("raise: %v", err)
	}
	p.put(p.uploader, "r/p/kept", "garbage above it") // the service lets it pass
	for obj, err := range p.uploader.List(t.Context(), "r/p/kept", "") {
		if err != nil || obj.Key == "r/p/kept" && obj.Version != v {
			t.Errorf("listed %+v, %v", obj, err)
		}
	}
	p.advance(3)
	_, err := p.uploader.Stat(t.Context(), "r/p/kept-too", "")
	wantKind(t, "what has lapsed", err, providers.ErrNotExist)
	_, err = p.uploader.Stat(t.Context(), "r/p/none", "")
	wantKind(t, "what never was", err, providers.ErrNotExist)
	p.advance(86) // day 104, one before its end
	if got, err := p.uploader.Get(t.Context(), "r/p/kept", v, 0, -1); err != nil || string(got) != "needed for 60 days" {
		t.Errorf("on the last day: %q, %v", got, err)
	}
	p.advance(3)
	_, err = p.uploader.Stat(t.Context(), "r/p/kept", v)
	wantKind(t, "after its lease", err, providers.ErrNotExist)
}

// If rules never act where immutability is, nothing is lost and nothing removed: then
// the manager has to sweep.
func TestManagedObjectsStayWhereRulesDoNotAct(t *testing.T) {
	opt := z1
	opt.Lifecycle = azuretest.NeverActs
	p := newPractice(t, opt)
	p.put(p.uploader, "r/p/loose", "x")
	p.advance(400)
	p.wantKeys("on day 400", "r/p/loose")
}

func TestManagerRefusesLeasesBeyondTheMaximum(t *testing.T) {
	p := newPractice(t, z1)
	v := p.put(p.uploader, "r/p/a", "x")
	for _, days := range []int{401, 4_000, 146_000} {
		wantKind(t, "raise", p.raise("r/p/a", v, days), providers.ErrDenied)
	}
	if obj, err := p.manager.Stat(t.Context(), "r/p/a", v); err != nil || !obj.Lease.Equal(start.Add(14*day)) {
		t.Errorf("lease after refusals: %v, %v", obj.Lease, err)
	}
	if err := p.raise("r/p/a", v, 400); err != nil {
		t.Errorf("raise to the maximum: %v", err)
	}
	// The clock is the service's: what is too far today is not tomorrow.
	p.advance(1)
	if err := p.raise("r/p/a", v, 400); err != nil {
		t.Errorf("raise to the maximum a day later: %v", err)
	}
	all := p.cfg
	all.Leases, all.MaxLease = azure.LeaseManager, 400*day
	_, err := open(t, all).Put(t.Context(), "r/p/b", nil, providers.PutOptions{Lease: p.layer.Now().Add(500 * day)})
	wantKind(t, "put", err, providers.ErrDenied)
}

func TestManagerMakesShortLeasesADayLong(t *testing.T) {
	p := newPractice(t, worm)
	p.put(p.uploader, "r/p/a", "x")
	if err := p.manager.(providers.Leaser).Raise(t.Context(), "r/p/a", "", start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	obj, err := p.manager.Stat(t.Context(), "r/p/a", "")
	if err != nil || obj.Lease.Before(start.Add(day)) || obj.Lease.After(start.Add(day+time.Hour)) {
		t.Errorf("lease %v, %v", obj.Lease, err)
	}
	// A lease that is over already needs nothing.
	p.put(p.uploader, "r/p/b", "x")
	if err := p.manager.(providers.Leaser).Raise(t.Context(), "r/p/b", "", start.Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	if obj, err := p.manager.Stat(t.Context(), "r/p/b", ""); err != nil || !obj.Lease.IsZero() {
		t.Errorf("lease %v, %v", obj.Lease, err)
	}
}

func TestManagerNeverShortensAnUnlockedPolicy(t *testing.T) {
	for _, c := range []struct{ unlocked, want int }{{100, 100}, {5, 30}, {1_000, 400}} {
		p := newPractice(t, worm)
		p.put(p.uploader, "r/p/a", "x")
		p.layer.SetUnlocked(p.cfg.Container, "r/p/a", start.AddDate(0, 0, c.unlocked))
		if obj, err := p.manager.Stat(t.Context(), "r/p/a", ""); err != nil || !obj.Lease.IsZero() {
			t.Errorf("an unlocked policy is told as a lease: %v, %v", obj.Lease, err)
		}
		if err := p.raise("r/p/a", "", 30); err != nil {
			t.Fatal(err)
		}
		if obj, err := p.manager.Stat(t.Context(), "r/p/a", ""); err != nil || !obj.Lease.Equal(start.AddDate(0, 0, c.want)) {
			t.Errorf("unlocked for %d days, then raised to 30: %v, %v", c.unlocked, obj.Lease, err)
		}
	}
}

func TestManagerRaisesTheVersionThatIsNamed(t *testing.T) {
	p := newPractice(t, worm)
	all := open(t, p.cfg)
	v1 := p.put(all, "head.json", "one")
	v2, err := all.Put(t.Context(), "head.json", []byte("two"), providers.PutOptions{Replace: v1})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.raise("head.json", v1, 30); err != nil {
		t.Fatal(err)
	}
	for v, want := range map[providers.Version]time.Time{v1: start.AddDate(0, 0, 30), v2: {}} {
		if obj, err := p.manager.Stat(t.Context(), "head.json", v); err != nil || !obj.Lease.Equal(want) {
			t.Errorf("version %s: lease %v, %v; want %v", v, obj.Lease, err, want)
		}
	}
	if got, err := p.uploader.Get(t.Context(), "head.json", v1, 1, 2); err != nil || string(got) != "ne" {
		t.Errorf("the replaced version reads %q, %v", got, err)
	}
	wantKind(t, "raise of an unknown version", p.raise("head.json", "2026-01-01T00:00:00.0000000Z", 30), providers.ErrNotExist)
	// Deleted by somebody: no longer present (it may have been replaced), and still there under its version.
	if _, err := admin(t, p.cfg.Endpoint, p.cfg.Container).NewBlobClient("head.json").Delete(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.wantKeys("after deletion")
	if got, err := p.uploader.Get(t.Context(), "head.json", v2, 0, -1); err != nil || string(got) != "two" {
		t.Errorf("the deleted version reads %q, %v", got, err)
	}
}
