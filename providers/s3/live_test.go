package s3_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/s3"
	"offsite/providers/s3/s3admin"
)

// live is a bucket of a real account, or nothing. OFFSITE_LIVE_S3 names it; the bucket
// must be empty, have Object Lock, and be good for nothing else: what is put there
// stays until its lease has lapsed. OFFSITE_LIVE_S3_REGION is its region,
// OFFSITE_LIVE_S3_ENDPOINT the address of a service other than AWS; credentials come
// from the chain.
func live(t *testing.T) s3.Config {
	t.Helper()
	bucket := os.Getenv("OFFSITE_LIVE_S3")
	if bucket == "" {
		t.Skip("LEFT OUT, OFFSITE_LIVE_S3 names no bucket of a live account")
	}
	endpoint, region := os.Getenv("OFFSITE_LIVE_S3_ENDPOINT"), os.Getenv("OFFSITE_LIVE_S3_REGION")
	if region == "" {
		t.Fatal("OFFSITE_LIVE_S3_REGION is missing")
	}
	return s3.Config{Bucket: bucket, Endpoint: endpoint, Region: region, Lock: true,
		NoConditions: strings.HasSuffix(endpoint, "backblazeb2.com"), Prefix: fmt.Sprintf("live-%d", time.Now().Unix())}
}

// The credential of the chain is the uploader's here, with the printed policy. A
// canary is put for the rule to remove; TestLiveCanaries looks for it days later.
func TestLiveUploader(t *testing.T) {
	cfg := live(t)
	cfg.Prefix = "offsite"
	d, err := s3.Open(t.Context(), cfg)
	check(t, err)
	now, err := d.(providers.Clock).Time(t.Context())
	check(t, err)
	key := fmt.Sprintf("r/c/live-%d", now.Unix())
	v, err := d.Put(t.Context(), key, []byte("canary"), providers.PutOptions{Lease: now.AddDate(0, 0, 1)})
	check(t, err)
	if _, err := d.Put(t.Context(), key, []byte("other"), providers.PutOptions{}); providers.KindOf(err) != providers.ErrExist {
		t.Errorf("a taken key: %v", err)
	}
	check(t, d.(providers.Leaser).Raise(t.Context(), key, v, now.AddDate(0, 0, 2)))
	obj, err := d.Stat(t.Context(), key, v)
	check(t, err)
	if obj.Lease.Before(now.AddDate(0, 0, 2)) {
		t.Errorf("leased until %v", obj.Lease)
	}
	a, err := s3admin.NewAttacker(t.Context(), cfg)
	check(t, err)
	attempts, err := a.Attack(t.Context(), obj)
	check(t, err)
	for _, a := range attempts {
		t.Logf("%-45s refused %-5v %s", a.Name, a.Refused, a.Answer)
		if !a.Refused && a.Accepted == "" {
			t.Errorf("%s: %s", a.Name, a.Remedy)
		}
	}
}

// What earlier runs of TestLiveUploader put must be there while it is leased, and gone
// three days after.
func TestLiveCanaries(t *testing.T) {
	cfg := live(t)
	cfg.Prefix = "offsite"
	d, err := s3.Open(t.Context(), cfg)
	check(t, err)
	now, err := d.(providers.Clock).Time(t.Context())
	check(t, err)
	for obj, err := range d.List(t.Context(), "r/c/live-", "") {
		check(t, err)
		obj, err = d.Stat(t.Context(), obj.Key, obj.Version)
		check(t, err)
		t.Logf("%s, put %v, leased until %v", obj.Key, obj.Modified, obj.Lease)
		if !obj.Lease.IsZero() && now.After(obj.Lease.AddDate(0, 0, 10)) {
			t.Errorf("%s lapsed at %v and is still there", obj.Key, obj.Lease)
		}
	}
}

// Setup twice with the administrator's credential, and everything right afterwards.
func TestLiveSetup(t *testing.T) {
	cfg := live(t)
	cfg.Prefix = "offsite"
	admin, err := s3admin.Open(t.Context(), s3admin.Config{Store: cfg, Policy: s3admin.PolicyConfig{Max: 60 * 24 * time.Hour}})
	check(t, err)
	for range 2 {
		settings, err := admin.Setup(t.Context())
		check(t, err)
		for _, s := range settings {
			if s.State != providers.StateRight {
				t.Errorf("%+v", s)
			}
		}
	}
}

// The whole contract, on a live bucket. It leaves objects leased for some days.
func TestLiveContract(t *testing.T) { contract(t, live(t)) }
