package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"offsite/cmd/offsite/config"
)

func schedule(t *testing.T, at, deadline string) config.Schedule {
	t.Helper()
	var s config.Schedule
	for text, into := range map[string]*config.TimeOfDay{at: &s.At, deadline: &s.Deadline} {
		if text == "" {
			continue
		}
		if err := into.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestWindowFollowsTheScheduleThroughClockChanges(t *testing.T) {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	const form = "2006-01-02 15:04 MST"
	for _, c := range []struct{ name, at, deadline, now, start, end, next string }{
		{"in the evening", "21:30", "06:00", "2026-11-20 22:00 GMT", "2026-11-20 21:30 GMT", "2026-11-21 06:00 GMT", "2026-11-21 21:30 GMT"},
		{"after midnight", "21:30", "06:00", "2026-11-21 02:00 GMT", "2026-11-20 21:30 GMT", "2026-11-21 06:00 GMT", "2026-11-21 21:30 GMT"},
		{"at noon, closed", "21:30", "06:00", "2026-11-21 12:00 GMT", "2026-11-20 21:30 GMT", "2026-11-21 06:00 GMT", "2026-11-21 21:30 GMT"},
		{"to the minute", "21:30", "06:00", "2026-11-20 21:30 GMT", "2026-11-20 21:30 GMT", "2026-11-21 06:00 GMT", "2026-11-21 21:30 GMT"},
		{"same day", "13:00", "14:00", "2026-11-20 13:30 GMT", "2026-11-20 13:00 GMT", "2026-11-20 14:00 GMT", "2026-11-21 13:00 GMT"},
		{"no deadline", "21:30", "", "2026-11-20 22:00 GMT", "2026-11-20 21:30 GMT", "2026-11-21 17:30 GMT", "2026-11-21 21:30 GMT"},
		{"clocks go back", "21:30", "06:00", "2026-10-25 01:30 BST", "2026-10-24 21:30 BST", "2026-10-25 06:00 GMT", "2026-10-25 21:30 GMT"},
		{"a time that is skipped", "01:30", "06:00", "2026-03-28 22:00 GMT", "2026-03-28 01:30 GMT", "2026-03-28 06:00 GMT", "2026-03-29 02:30 BST"},
	} {
		now, err := time.ParseInLocation(form, c.now, zone)
		if err != nil {
			t.Fatal(err)
		}
		w := windowAt(now, schedule(t, c.at, c.deadline), zone)
		if s, e, n := w.start.In(zone).Format(form), w.end.In(zone).Format(form), w.next.In(zone).Format(form); s != c.start || e != c.end || n != c.next {
			t.Errorf("%s: %s to %s, then %s", c.name, s, e, n)
		}
	}
	now := time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	if w := windowAt(now, config.Schedule{}, zone); !w.open(now) {
		t.Error("without a schedule it is closed")
	}
}

// signalled closes seen when something was written that contains text.
type signalled struct {
	text string
	seen chan struct{}

	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *signalled) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := strings.Contains(s.buf.String(), s.text)
	s.buf.Write(p)
	if !had && strings.Contains(s.buf.String(), s.text) {
		close(s.seen)
	}
	return len(p), nil
}

func (s *signalled) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func TestWatchSavesAtOnceAndStopsInOrder(t *testing.T) {
	home := t.TempDir()
	for name, text := range map[string]string{"source/a.bak": "patients"} {
		file := filepath.Join(home, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(home, "offsite.yaml")
	env := func(string) (string, bool) { return "", false }
	var out bytes.Buffer
	if code := run(t.Context(), []string{"--config", conf, "init", "--source", filepath.Join(home, "source"),
		"--store", "dir:" + filepath.Join(home, "store"), "--holder", "age1jq0nh9p3l98eqet26pwepr5kgm7tlse4d3psr4vtmmx7dq3xgfzqu4nqtr"},
		strings.NewReader(""), &out, &out, env, time.Now); code != exitDone {
		t.Fatalf("init: exit %d\n%s", code, out.String())
	}
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, bytes.Replace(text, []byte("#quiet: 10m"), []byte("quiet: 1s"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stderr := &signalled{text: "stored as ", seen: make(chan struct{})}
	out.Reset()
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"--config", conf, "--json", "watch"}, strings.NewReader(""), &out, stderr, env, time.Now)
	}()
	select {
	case <-stderr.seen:
	case code := <-done:
		t.Fatalf("ended by itself: exit %d\n%s", code, stderr)
	}
	cancel()
	if code := <-done; code != exitDone {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if !strings.Contains(out.String(), `"runs":1,"stored":1,"last":"2`) {
		t.Errorf("answer %s", out.String())
	}
}
