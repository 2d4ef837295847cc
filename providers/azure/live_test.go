package azure_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/azureadmin"
	"offsite/providers/providertest"
)

// The live tests run against an account of yours. AZURE.md says what each needs.
const (
	liveStore = "OFFSITE_LIVE_AZURE"       // account/container, made for these tests alone
	liveSAS   = "OFFSITE_LIVE_AZURE_SAS"   // the uploader's; without it the default chain is the uploader
	liveGroup = "OFFSITE_LIVE_AZURE_GROUP" // subscription/resource group, for the setup
)

// live is the configuration of the account, or leaves the test out.
func live(t *testing.T) azure.Config {
	t.Helper()
	account, container, ok := strings.Cut(os.Getenv(liveStore), "/")
	if !ok {
		t.Skipf("LEFT OUT, no live account: set %s=account/container", liveStore)
	}
	return azure.Config{Account: account, Container: container, UserAgent: "offsite/live-test"}
}

func liveUploader(t *testing.T) azure.Config {
	t.Helper()
	cfg := live(t)
	cfg.SAS = os.Getenv(liveSAS)
	cfg.Versions, cfg.Leases = true, azure.LeaseManaged
	return cfg
}

// The contract with a credential that may write, below a prefix of its own.
func TestLiveContract(t *testing.T) {
	cfg := live(t)
	var n atomic.Int64
	stamp := time.Now().UTC().Format("20060102t150405z")
	var mu sync.Mutex
	opened := map[providers.Driver]azure.Config{}
	providertest.Run(t, func(t *testing.T) providers.Driver {
		mine := cfg
		mine.Prefix = fmt.Sprintf("live/%s-%d", stamp, n.Add(1))
		d := open(t, mine)
		mu.Lock()
		defer mu.Unlock()
		opened[d] = mine
		return d
	}, providertest.Abilities{Clock: true, Again: func(t *testing.T, d providers.Driver) providers.Driver {
		mu.Lock()
		defer mu.Unlock()
		return open(t, opened[d])
	}})
}

// Setup twice, and everything right afterwards.
func TestLiveSetup(t *testing.T) {
	cfg := live(t)
	subscription, group, ok := strings.Cut(os.Getenv(liveGroup), "/")
	if !ok {
		t.Skipf("LEFT OUT, no resource group: set %s=subscription/group", liveGroup)
	}
	cfg.Leases = azure.LeaseManaged
	a, err := azureadmin.Open(t.Context(), azureadmin.Config{Store: cfg, Subscription: subscription, ResourceGroup: group, Floor: 2 * day})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		settings, err := a.Setup(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range settings {
			t.Logf("%-32s %-8s want %q, have %q", s.Name, s.State, s.Want, s.Have)
			if s.State == providers.StateWrong {
				t.Errorf("%s: %s", s.Name, s.Remedy)
			}
		}
	}
}

// Every attack with the uploader's credential is refused, and a taken key is ErrExist.
func TestLiveAttacks(t *testing.T) {
	cfg := liveUploader(t)
	d := open(t, cfg)
	key := providers.CanaryPrefix + "live-attacked-" + time.Now().UTC().Format("20060102t150405z")
	if _, err := d.Put(t.Context(), key, []byte("a canary"), providers.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := d.Put(t.Context(), key, []byte("another"), providers.PutOptions{})
	wantKind(t, "put over a taken key", err, providers.ErrExist)
	t.Logf("over a taken key: %v", err)
	canary, err := d.Stat(t.Context(), key, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range trials(t, cfg, canary) {
		t.Logf("%-44s -> %s", a.Name, a.Answer)
		if !a.Refused {
			t.Errorf("%+v", a)
		}
	}
}

// Each time it is run it leaves a canary, and says what became of those that earlier
// runs left: the first time that one is gone, removal is proven on this account.
func TestLiveRemoval(t *testing.T) {
	cfg := liveUploader(t)
	d := open(t, cfg)
	const prefix = providers.CanaryPrefix + "live-removal-"
	now, err := d.(providers.Clock).Time(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for obj, err := range d.List(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.1f days old, leased for another %.1f days", obj.Key, now.Sub(obj.Modified).Hours()/24, obj.Lease.Sub(now).Hours()/24)
		if late := now.Sub(later(obj.Lease, obj.Modified)); late > 20*day {
			t.Errorf("%s should have been removed: the rules do not act here", obj.Key)
		}
	}
	if _, err := d.Put(t.Context(), prefix+now.UTC().Format("20060102t150405z"), []byte("a canary"), providers.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}
