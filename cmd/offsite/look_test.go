package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/providers"
	"offsite/uploader"
)

// TestRunsLookOnceAWeekAtWhatAStoreRemoves: without anybody who types sweep, what the
// store's rule removed stands in the log, signed, and what went before its time is an
// alarm of the next look.
func TestRunsLookOnceAWeekAtWhatAStoreRemoves(t *testing.T) {
	r := newRuled(t)
	key := r.k.upload
	r.k.config.Stores = []config.Store{r.k.block}
	p := &site{config: r.k.config, key: key, calendar: london(t, config.Schedule{}).calendar}
	run := func(days int) (string, int) {
		r.now = r.now.AddDate(0, 0, days)
		r.Lapse(manifest.Removable)
		var said bytes.Buffer
		r.k.app.stderr = &said
		err := r.k.app.lookAtRuled(t.Context(), p, []uploader.Target{{Name: "bucket", Store: r.k.store}})
		code, _ := judge(err)
		return said.String(), code
	}
	entries := func(want int) []keep.Logged {
		t.Helper()
		log, err := r.k.log().Read(t.Context())
		if err != nil || len(log) != want {
			t.Fatalf("log: %+v, %v; want %d entries", log, err, want)
		}
		return log
	}
	quiet := func(days int) {
		t.Helper()
		if said, code := run(days); said != "" || code != exitDone {
			t.Errorf("exit %d, said %q", code, said)
		}
	}
	quiet(0) // the first look remembers
	quiet(40)
	if log := entries(1); !log[0].Signed || len(log[0].Objects) != 1 || log[0].Objects[0].Key != r.soon || log[0].Objects[0].End != keep.EndLapse {
		t.Errorf("log: %+v", log)
	}
	r.Lose(r.late)
	quiet(6) // not yet due
	said, code := run(1)
	if code != exitDamaged || !strings.Contains(said, "GONE TOO EARLY: "+r.late) {
		t.Errorf("exit %d, said %q", code, said)
	}
	entries(2)
	quiet(1) // said once a week
	if _, code := run(7); code != exitDamaged {
		t.Errorf("a week later: exit %d", code)
	}
	entries(2) // written down once
	// A clock that was set back does not put looks off for ever.
	if _, code := run(-400); code == exitDone {
		t.Errorf("with a clock set back: exit %d", code)
	}
}

// TestALookThatFailsIsNoAlarm: the night's backup is stored, so the run says what it
// could not do, and tries again.
func TestALookThatFailsIsNoAlarm(t *testing.T) {
	r := newRuled(t)
	r.k.config.Stores = []config.Store{r.k.block}
	p := &site{config: r.k.config, key: r.k.upload, calendar: london(t, config.Schedule{}).calendar}
	var said bytes.Buffer
	r.k.app.stderr = &said
	r.k.app.now = func() time.Time { return r.now.Add(keep.MaxSkew + time.Second) }
	look := func() error {
		return r.k.app.lookAtRuled(t.Context(), p, []uploader.Target{{Name: "bucket", Store: r.k.store}})
	}
	if err := look(); err != nil || !strings.Contains(said.String(), "was not compared") {
		t.Errorf("%v, said %q", err, said.String())
	}
	r.k.app.now = func() time.Time { return r.now }
	said.Reset()
	if err := look(); err != nil || said.Len() > 0 {
		t.Errorf("the next one: %v, said %q", err, said.String())
	}
	if text, err := r.k.read(lookedFile); err != nil || len(text) == 0 {
		t.Errorf("looked: %q, %v", text, err)
	}
}

// TestFoldersAreNotLookedAt: there a sweep writes down itself what it removes.
func TestFoldersAreNotLookedAt(t *testing.T) {
	r := newRuled(t)
	r.k.block.Address = config.Address{Scheme: "dir", Path: "x"}
	r.k.config.Stores = []config.Store{r.k.block}
	store := providers.NewStore(r.Mem, providers.Options{})
	err := r.k.app.lookAtRuled(t.Context(), &site{config: r.k.config, key: r.k.upload, calendar: london(t, config.Schedule{}).calendar}, []uploader.Target{{Name: "bucket", Store: store}})
	if text, readErr := r.k.read(lookedFile); err != nil || readErr != nil || text != nil {
		t.Errorf("%v, %v, %q", err, readErr, text)
	}
}
