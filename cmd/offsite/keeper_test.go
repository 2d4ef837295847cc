package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/mem"
)

// ruled is a store that removes by its own rules, as a bucket does, with two objects
// that a lease record asks for.
type ruled struct {
	*mem.Mem
	k          *keeper
	now        time.Time
	soon, late string // keys of what lapses soon and late
}

func newRuled(t *testing.T) *ruled {
	t.Helper()
	r := &ruled{now: time.Date(2026, 3, 2, 21, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return r.now }
	r.Mem = mem.New(mem.Options{Now: clock})
	store := providers.NewStore(r.Mem, providers.Options{Sleep: func(context.Context, time.Duration) error { return nil }})
	restore, err := seal.NewRestoreKey()
	must(t, err)
	secrets, err := seal.NewSecrets()
	must(t, err)
	owner := restore.Owner()
	key, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	must(t, err)
	header := manifest.Header{Format: 1, Repository: key.Repository, Created: manifest.At(r.now), Owner: manifest.Public(owner.Public()),
		Restore: key.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable}
	must(t, manifest.Found(t.Context(), store, manifest.Founding{Header: header, Owner: owner, Enrolment: manifest.Enrolment{Format: 1,
		Repository: key.Repository, PC: key.PC, Signing: manifest.Public(key.Public()), Created: manifest.At(r.now)}}))
	trust, err := manifest.LoadTrust(t.Context(), store, header)
	must(t, err)
	rec := manifest.LeaseRecord{Format: 1, Repository: key.Repository, Source: "0102030405060708", PC: key.PC, Time: manifest.At(r.now)}
	for name, days := range map[*string]int{&r.soon: 35, &r.late: 80} {
		s, err := manifest.SaveSegment(t.Context(), store, noise(uint64(days), 100), r.now.AddDate(0, 0, days))
		must(t, err)
		*name, rec.Objects = s.Key(), append(rec.Objects, s.ObjectLease())
	}
	must(t, manifest.WriteLeases(t.Context(), store, rec, key.Signing))
	var out bytes.Buffer
	r.k = &keeper{library: &library{name: "bucket", store: store, header: header, trust: trust, zone: time.UTC}, upload: key,
		app:    &app{stderr: &out, now: clock, yes: true},
		block:  config.Store{Name: "bucket", Address: config.Address{Scheme: "gs", Bucket: "bucket"}},
		config: &config.Config{State: config.Path(t.TempDir())}}
	return r
}

func (r *ruled) look(t *testing.T, code int) string {
	t.Helper()
	ans, err := r.k.sweep(t.Context(), &sweepFlags{})
	if got, _ := judge(err); got != code {
		t.Fatalf("exit %d, want %d: %v", got, code, err)
	}
	return string(capture(ans))
}

// TestAStoreWithRulesIsLookedAt: what the provider's rule removed goes into the log;
// what went before its time is an alarm until it has been seen to.
func TestAStoreWithRulesIsLookedAt(t *testing.T) {
	r := newRuled(t)
	if text := r.look(t, exitDone); !strings.Contains(text, "removes by its own rules: 0 objects went") {
		t.Errorf("first look:\n%s", text)
	}
	r.now = r.now.AddDate(0, 0, 40)
	r.Lapse(manifest.Removable)
	r.k.app.yes = false
	for range 2 { // without --yes nothing is written down, and nothing forgotten
		if text := r.look(t, exitDone); !strings.Contains(text, "1 objects went") || !strings.Contains(text, "add --yes") {
			t.Errorf("look:\n%s", text)
		}
	}
	r.k.app.yes = true
	r.look(t, exitDone)
	if text := r.look(t, exitDone); !strings.Contains(text, "0 objects went") {
		t.Errorf("after it was written down:\n%s", text)
	}
	r.Lose(r.late)
	if text := r.look(t, exitDamaged); !strings.Contains(text, "GONE TOO EARLY: "+r.late) {
		t.Errorf("alarm:\n%s", text)
	}
	for range 2 { // it remains one, and is written down once
		r.look(t, exitDamaged)
	}
	log, err := r.k.log().Read(t.Context())
	must(t, err)
	if len(log) != 2 || log[0].Objects[0].Key != r.soon || log[0].Objects[0].End != keep.EndLapse || log[1].Objects[0].End != keep.EndEarly || !log[1].Signed {
		t.Errorf("log: %+v", log)
	}
	r.now = r.now.AddDate(0, 0, 60)
	r.look(t, exitDone) // nobody asks for it any more
	if log, err = r.k.log().Read(t.Context()); err != nil || len(log) != 2 {
		t.Errorf("log: %+v, %v", log, err)
	}
}

func TestNobodyRemovesFromAStoreWithRules(t *testing.T) {
	r := newRuled(t)
	_, err := r.k.sweep(t.Context(), &sweepFlags{with: "credentials=env:ADMIN"})
	if code, _ := judge(err); code != exitUsage {
		t.Errorf("exit %d: %v", code, err)
	}
	r.k.app.now = func() time.Time { return r.now.Add(keep.MaxSkew + time.Second) }
	if _, err = r.k.sweep(t.Context(), &sweepFlags{}); !errors.Is(err, keep.ErrClocks) {
		t.Errorf("clocks: %v", err)
	}
}
