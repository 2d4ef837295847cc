package gcsadmin_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/gcs"
	"offsite/providers/gcs/gcsadmin"
)

// The tests of this file talk to the real service, and only where somebody gives
// them a bucket of their own: OFFSITE_LIVE_GCS=bucket or bucket/prefix. The upload
// credential is the key file OFFSITE_LIVE_GCS_KEY, else the machine's default one;
// the administrator's is OFFSITE_LIVE_GCS_ADMIN. They leave a dozen tiny objects
// below the canaries' prefix, which the bucket's own rule removes.

// live is the bucket, with the credential that the variable names.
func live(t *testing.T, key string) gcs.Config {
	t.Helper()
	where := os.Getenv("OFFSITE_LIVE_GCS")
	if where == "" {
		t.Skip("LEFT OUT: OFFSITE_LIVE_GCS names no bucket to test with")
	}
	bucket, prefix, _ := strings.Cut(where, "/")
	c := gcs.Config{Bucket: bucket, Prefix: prefix, CredentialsFile: os.Getenv(key), UserAgent: "offsite/live-test"}
	if key == "OFFSITE_LIVE_GCS_ADMIN" && c.CredentialsFile == "" {
		t.Skip("LEFT OUT: OFFSITE_LIVE_GCS_ADMIN names no key file of an administrator")
	}
	return c
}

const liveUploader = "OFFSITE_LIVE_GCS_KEY"

// liveCanary stores one with the upload credential.
func liveCanary(t *testing.T, d *gcs.Driver, name string, lease time.Time) providers.Object {
	t.Helper()
	key := fmt.Sprintf("%slive/%d-%s", providers.CanaryPrefix, time.Now().UnixNano(), name)
	v, err := d.Put(t.Context(), key, []byte("canary"), providers.PutOptions{Lease: lease})
	check(t, err)
	obj, err := d.Stat(t.Context(), key, v)
	check(t, err)
	return obj
}

func liveOpen(t *testing.T, c gcs.Config) *gcs.Driver {
	t.Helper()
	d, err := gcs.Open(t.Context(), c)
	check(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// Setup, twice: the service keeps what it is told, and what it says of it is understood.
func TestLiveSetup(t *testing.T) {
	a, err := gcsadmin.Open(t.Context(), gcsadmin.Config{Store: live(t, "OFFSITE_LIVE_GCS_ADMIN"),
		Project: os.Getenv("OFFSITE_LIVE_GCS_PROJECT"), Location: os.Getenv("OFFSITE_LIVE_GCS_LOCATION")})
	check(t, err)
	defer a.Close()
	for range 2 {
		settings, err := a.Setup(t.Context())
		check(t, err)
		for _, s := range settings {
			t.Logf("%-20s want %-60s have %s", s.Name, s.Want, s.Have)
			if s.State != providers.StateRight {
				t.Errorf("%+v", s)
			}
		}
	}
}

// Every attempt of a thief, with the status that the service answers.
func TestLiveAttack(t *testing.T) {
	c := live(t, liveUploader)
	obj := liveCanary(t, liveOpen(t, c), "attacked", time.Now().Add(2*day))
	a, err := gcsadmin.NewAttacker(t.Context(), c)
	check(t, err)
	attempts, err := a.Attack(t.Context(), obj)
	for _, one := range attempts {
		t.Logf("%-42s -> %-32s refused %-5v %s", one.Name, one.Answer, one.Refused, one.Accepted)
		if !one.Refused && one.Accepted == "" {
			t.Errorf("not refused: %+v", one)
		}
	}
	check(t, err)
}

// A taken key, a lease that rises under the retention period and never falls, what
// is missing, and the clock.
func TestLiveDriver(t *testing.T) {
	c := live(t, liveUploader)
	d := liveOpen(t, c)
	now := time.Now()
	obj := liveCanary(t, d, "driven", now.Add(day))
	_, err := d.Put(t.Context(), obj.Key, []byte("others"), providers.PutOptions{})
	t.Logf("create again: %v", err)
	if !errors.Is(err, providers.ErrExist) {
		t.Errorf("create again: %v", err)
	}
	check(t, d.Raise(t.Context(), obj.Key, obj.Version, now.Add(2*day)))
	check(t, d.Raise(t.Context(), obj.Key, obj.Version, now.Add(day)))
	after, err := d.Stat(t.Context(), obj.Key, "")
	check(t, err)
	if after.Version != obj.Version || after.Lease.Before(now.Add(2*day)) || !after.Modified.Equal(obj.Modified) {
		t.Errorf("raised: %+v, was %+v", after, obj)
	}
	if data, err := d.Get(t.Context(), obj.Key, obj.Version, 0, -1); err != nil || string(data) != "canary" {
		t.Errorf("get: %q, %v", data, err)
	}
	_, err = d.Stat(t.Context(), obj.Key+"-missing", "")
	t.Logf("missing object: %v", err)
	if !errors.Is(err, providers.ErrNotExist) {
		t.Errorf("missing object: %v", err)
	}
	c.Bucket += "-that-nobody-made"
	_, err = liveOpen(t, c).Stat(t.Context(), obj.Key, "")
	t.Logf("missing bucket: %v", err)
	if kind := providers.KindOf(err); kind != providers.ErrUnreachable && kind != providers.ErrDenied {
		t.Errorf("missing bucket: %v", err)
	}
	clock, err := d.Time(t.Context())
	if err != nil || time.Until(clock).Abs() > time.Minute {
		t.Errorf("clock: %v, %v", clock, err)
	}
}

// One object changes about once in a second: what comes quicker is throttled, and
// that is busy, not refused.
func TestLiveThrottling(t *testing.T) {
	d := liveOpen(t, live(t, liveUploader))
	now := time.Now()
	obj := liveCanary(t, d, "throttled", now.Add(day))
	seen := map[string]int{}
	for i := range 20 {
		err := d.Raise(t.Context(), obj.Key, obj.Version, now.Add(day+time.Duration(i+1)*time.Minute))
		seen[fmt.Sprint(err)]++
		if err != nil && providers.KindOf(err) != providers.ErrBusy && providers.KindOf(err) != providers.ErrInDoubt {
			t.Errorf("raise %d: %v", i, err)
		}
	}
	t.Logf("20 raises: %v", seen)
}

// What earlier runs left: canaries whose lease and retention period are long over
// must be gone, those still leased must stand. The first run only leaves them.
func TestLiveRemoval(t *testing.T) {
	d := liveOpen(t, live(t, liveUploader))
	const patience = 72 * time.Hour
	now := time.Now()
	old, standing := 0, 0
	for obj, err := range d.List(t.Context(), providers.CanaryPrefix+"live/", "") {
		check(t, err)
		due := obj.Lease.Add(day)
		if end := obj.Modified.Add(gcsadmin.DefaultFloor); end.After(due) {
			due = end
		}
		switch {
		case now.After(due.Add(patience)):
			old++
			t.Errorf("%s was due on %v and still stands", obj.Key, due.Format(time.DateTime))
		default:
			standing++
		}
	}
	liveCanary(t, d, "short", now.Add(day))
	liveCanary(t, d, "long", now.Add(60*day))
	t.Logf("%d canaries of earlier runs stand as they may, %d should be gone; two more were left. Run this again in three weeks", standing, old)
}
