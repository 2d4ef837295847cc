package s3_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers"
	"offsite/providers/providertest/servers"
	"offsite/providers/s3"
	"offsite/providers/s3/s3admin"
)

// The removal rule at work, with days of ten seconds: what is leased stays past the
// rule, what was raised stays longer, what has lapsed goes without any client, and the
// two canaries tell both.
func TestTheRuleRemovesWhatHasLapsedAndNothingElse(t *testing.T) {
	t.Parallel()
	c := ceph.Get(t)
	cfg := s3.Config{Endpoint: c.URL, PathStyle: true, AccessKey: c.Access, SecretKey: c.Secret, Lock: true, NoConditions: true, Bucket: fmt.Sprintf("lapse-%d", buckets.Add(1)), Prefix: "practice"}
	admin, err := s3admin.Open(t.Context(), s3admin.Config{Store: cfg, HideDays: 1, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Split: true}})
	check(t, err)
	_, err = admin.Setup(t.Context())
	check(t, err)
	d := openWith(t, cfg)
	now, err := d.Time(t.Context())
	check(t, err)

	// A day of the rule is ten seconds; a lease is real time. Two days until the rule
	// has done its work on what is not leased, and one more to be sure. The first leases
	// last for a day: a lease that is over before it arrives is refused.
	lapses, past := now.Add(servers.CephDay), now.Add(3*servers.CephDay)
	later := past.Add(servers.CephDay)
	forever := now.AddDate(0, 0, 30)
	leases := map[string]time.Time{
		"r/p/aa/lapsed": lapses, "r/p/aa/leased": past, "r/p/aa/raised": lapses, "r/c/short": lapses, "r/c/long": forever,
		"keys/holder": lapses, "offsite.json": lapses,
	}
	versions := map[string]providers.Version{}
	for key, lease := range leases {
		versions[key], err = d.Put(t.Context(), key, []byte(key), providers.PutOptions{Lease: lease})
		check(t, err)
	}
	check(t, d.Raise(t.Context(), "r/p/aa/raised", versions["r/p/aa/raised"], later))
	leases["r/p/aa/raised"] = later
	// Somebody hides and overwrites what is leased; that changes nothing.
	owner := cephOwner(t)
	name := cfg.Prefix + "/r/p/aa/leased"
	_, err = owner.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &cfg.Bucket, Key: &name})
	check(t, err)

	there := func(key string) bool {
		t.Helper()
		data, err := d.Get(t.Context(), key, versions[key], 0, -1)
		switch {
		case err == nil && string(data) == key:
			return true
		case !errors.Is(err, providers.ErrNotExist):
			t.Fatalf("%s: %q, %v", key, data, err)
		}
		return false
	}
	gone := map[string]time.Time{}
	await(t, "all that lapses has gone", func() bool {
		var went []string
		for key := range leases {
			if gone[key].IsZero() && !there(key) {
				went = append(went, key)
			}
		}
		// The clock is asked after the objects: before them, a lease could end in between.
		at, err := d.Time(t.Context())
		check(t, err)
		for _, key := range went {
			gone[key] = at
			if lease := leases[key]; at.Before(lease) {
				t.Errorf("%s went at %v, leased until %v", key, at, lease)
			}
		}
		return !gone["r/p/aa/lapsed"].IsZero() && !gone["r/p/aa/leased"].IsZero() && !gone["r/p/aa/raised"].IsZero() && !gone["r/c/short"].IsZero()
	})
	for key := range leases {
		if stays := key == "r/c/long" || key == "keys/holder" || key == "offsite.json"; stays == !gone[key].IsZero() {
			t.Errorf("%s: gone at %v", key, gone[key])
		}
		if !gone[key].IsZero() {
			t.Logf("%-14s leased for %v, gone after %v", key, leases[key].Sub(now), gone[key].Sub(now))
		}
	}
	if gone["r/p/aa/raised"].Before(gone["r/p/aa/lapsed"]) {
		t.Error("what was raised went before what had lapsed")
	}
	// A lapsed key is free again, and what is stored under it anew is the object.
	again, err := d.Put(t.Context(), "r/p/aa/lapsed", []byte("again"), providers.PutOptions{Lease: forever})
	check(t, err)
	if obj, err := d.Stat(t.Context(), "r/p/aa/lapsed", ""); err != nil || obj.Version != again {
		t.Errorf("stored anew: %+v, %v", obj, err)
	}
}
