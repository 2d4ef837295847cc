package s3_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/mem"
	"offsite/providers/s3"
)

// TestTheServiceCopiesBetweenItsBuckets, proved by its checksums, leased as wanted,
// and never over anything.
func TestTheServiceCopiesBetweenItsBuckets(t *testing.T) {
	for name, cfg := range map[string]s3.Config{"locked": {Lock: true}, "versions": {Versioned: true}, "sha256": {Lock: true, Checksum: s3.ChecksumSHA256}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := locked
			if !cfg.Lock {
				kind = versioned
			}
			one, two := cfg, cfg
			one.Bucket, two.Bucket, two.Prefix = newBucket(t, kind), newBucket(t, kind), "second/copy"
			from, to := providers.NewStore(open(t, one), providers.Options{}), providers.NewStore(open(t, two), providers.Options{})
			data := bytes.Repeat([]byte("sealed "), 1000)
			v, err := from.Create(t.Context(), "r/p/a", data, time.Now().Add(24*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			lease := time.Now().Add(48 * time.Hour)
			var got providers.Version
			for range 2 { // the second time it is there
				if got, err = to.CopyFrom(t.Context(), from, "r/p/a", v, lease); err != nil {
					t.Fatal(err)
				}
			}
			back, err := to.Read(t.Context(), "r/p/a", got)
			if err != nil || !bytes.Equal(back, data) {
				t.Errorf("%d bytes came back, %v", len(back), err)
			}
			if obj, err := to.Stat(t.Context(), "r/p/a", got); err != nil || cfg.Lock && obj.Lease.Before(lease.Add(-time.Second)) {
				t.Errorf("leased until %v, %v", obj.Lease, err)
			}
			if _, err := to.Create(t.Context(), "r/p/b", []byte("something else"), lease); err != nil {
				t.Fatal(err)
			}
			if v, err = from.Create(t.Context(), "r/p/b", data, lease); err != nil {
				t.Fatal(err)
			}
			if _, err := to.CopyFrom(t.Context(), from, "r/p/b", v, lease); !errors.Is(err, providers.ErrConflict) {
				t.Errorf("over something else: %v", err)
			}
			if back, err := to.Read(t.Context(), "r/p/b", ""); err != nil || string(back) != "something else" {
				t.Errorf("what was there is %q now, %v", back, err)
			}
			if _, err := to.CopyFrom(t.Context(), from, "r/p/none", "", lease); !errors.Is(err, providers.ErrNotExist) {
				t.Errorf("of nothing: %v", err)
			}
		})
	}
}

func TestOtherServicesAreLeftToThoseWhoCarryBytes(t *testing.T) {
	here := providers.NewStore(open(t, s3.Config{Bucket: newBucket(t, plain)}), providers.Options{})
	model := mem.New(mem.Options{Now: time.Now})
	there := providers.NewStore(model, providers.Options{})
	if _, err := there.Create(t.Context(), "r/a", []byte("x"), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"from another service": func() error { _, err := here.CopyFrom(t.Context(), there, "r/a", "", time.Time{}); return err }(),
		"to another service":   func() error { _, err := there.CopyFrom(t.Context(), here, "r/a", "", time.Time{}); return err }(),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
