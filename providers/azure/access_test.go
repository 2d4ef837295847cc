package azure_test

import (
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/azuretest"
)

// z2 is the account of the scheme by last access: 40 days for everything.
var z2 = azuretest.Options{Tracking: true, Rules: []azuretest.Rule{{DaysAfterLastAccess: 40}}}

// newAccess opens a container as the uploader does in that scheme.
func newAccess(t *testing.T) (*azuretest.Layer, providers.Driver) {
	layer, endpoint := newLayer(t, z2)
	cfg := newContainer(t, endpoint)
	cfg.SAS, cfg.SharedKey = signature(t, cfg, uploaderCan), ""
	cfg.Leases, cfg.KeepDays = azure.LeaseLastAccess, 40
	d := open(t, cfg)
	for _, key := range []string{"r/p/read", "r/p/looked-at", "r/p/empty"} {
		var data []byte
		if key != "r/p/empty" {
			data = []byte("as written")
		}
		if _, err := d.Put(t.Context(), key, data, providers.PutOptions{Lease: start.Add(30 * day)}); err != nil {
			t.Fatal(err)
		}
	}
	return layer, d
}

func advance(t *testing.T, l *azuretest.Layer, days int) {
	t.Helper()
	if err := l.Advance(t.Context(), time.Duration(days)*day); err != nil {
		t.Fatal(err)
	}
}

func raiseDays(t *testing.T, l *azuretest.Layer, d providers.Driver, key string, days int) error {
	t.Helper()
	return d.(providers.Leaser).Raise(t.Context(), key, "", l.Now().AddDate(0, 0, days))
}

func TestReadingKeepsAnObject(t *testing.T) {
	layer, d := newAccess(t)
	if obj, err := d.Stat(t.Context(), "r/p/read", ""); err != nil || !obj.Lease.IsZero() {
		t.Errorf("a lease is told that nobody knows: %v, %v", obj.Lease, err)
	}
	for range 3 { // 30 days at a time, each shorter than the rule's 40
		advance(t, layer, 30)
		for _, key := range []string{"r/p/read", "r/p/empty"} {
			if err := raiseDays(t, layer, d, key, 35); err != nil {
				t.Fatal(err)
			}
		}
		if obj, err := d.Stat(t.Context(), "r/p/looked-at", ""); layer.Now().Before(start.Add(40*day)) && err != nil {
			t.Errorf("stat: %v, %v", obj, err)
		}
	}
	wantListed(t, d, "after 90 days", "r/p/empty", "r/p/read")
	advance(t, layer, 42) // wantListed has read both
	wantListed(t, d, "42 days after the last read")
}

func TestRaisePromisesNoMoreThanTheRuleKeeps(t *testing.T) {
	layer, d := newAccess(t)
	advance(t, layer, 20)
	if err := raiseDays(t, layer, d, "r/p/read", 39); err != nil {
		t.Errorf("raise within the rule: %v", err)
	}
	wantKind(t, "raise beyond the rule", raiseDays(t, layer, d, "r/p/read", 40), providers.ErrDenied)
	_, err := d.Put(t.Context(), "r/p/new", nil, providers.PutOptions{Lease: layer.Now().AddDate(0, 0, 40)})
	wantKind(t, "put beyond the rule", err, providers.ErrDenied)
	if _, err := d.Put(t.Context(), "r/p/new", nil, providers.PutOptions{Lease: layer.Now().AddDate(0, 0, 39)}); err != nil {
		t.Errorf("put within the rule: %v", err)
	}
	wantKind(t, "raise of what is not there", raiseDays(t, layer, d, "r/p/none", 5), providers.ErrNotExist)
	raiser := d.(providers.Leaser)
	wantKind(t, "raise of another version", raiser.Raise(t.Context(), "r/p/read", "0x1", start), providers.ErrNotExist)
}

// The service notes the first read in 24 hours, so two reads within a day count as
// the first: what Raise promises has to hold for the second too.
func TestASecondReadWithinADayIsNotNoted(t *testing.T) {
	layer, d := newAccess(t)
	if err := layer.Advance(t.Context(), 23*time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := raiseDays(t, layer, d, "r/p/read", 39); err != nil {
		t.Fatal(err)
	}
	advance(t, layer, 39)
	if _, err := d.Stat(t.Context(), "r/p/read", ""); err != nil {
		t.Errorf("gone before the time that Raise promised: %v", err)
	}
	advance(t, layer, 2)
	_, err := d.Stat(t.Context(), "r/p/read", "")
	wantKind(t, "stat after the rule's days", err, providers.ErrNotExist)
}

// The trap of the scheme: an administrator who switches tracking off lets the rule
// count from the day it was switched on.
func TestTrackingSwitchedOffRemovesWhatWasRead(t *testing.T) {
	layer, d := newAccess(t)
	for range 4 {
		advance(t, layer, 20)
		if err := raiseDays(t, layer, d, "r/p/read", 35); err != nil {
			t.Fatal(err)
		}
	}
	layer.SetTracking(false)
	advance(t, layer, 1)
	wantListed(t, d, "a day after tracking was switched off")
}
