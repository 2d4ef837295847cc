package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAShortYear is a small share of the bench: nothing that is wrong may pass for
// clean, and no clean day may be blamed. What needs weeks of history is left to
// make bench-detect.
func TestAShortYear(t *testing.T) {
	t.Parallel()
	b := &bench{days: 7, every: 6, mib: 6, seed: 2, layouts: []string{"folder", "dated", "archives", "chain"}, parent: t.TempDir(), out: io.Discard, now: time.Now}
	if testing.Verbose() {
		b.out, b.verbose = os.Stdout, true
	}
	_, err := b.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for kind, s := range b.scores {
		// Too few files are known of each kind yet to hold two new ones against them.
		if s.wrong > 0 && kind != blind && kind != "sub-directories off" && !strings.Contains(kind, ", what is new") {
			t.Errorf("%s: %d of %d days wrong", kind, s.wrong, s.days)
		}
	}
	if n := b.scores[cleanDay]; n == nil || n.days != 4*7 || len(b.scores) < 30 {
		t.Errorf("clean days %+v, %d kinds of day", n, len(b.scores))
	}
}

func TestDamageIsPutBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a", "b")
	when := time.Date(2026, 1, 5, 18, 0, 0, 0, time.UTC)
	if err := writeAt(file, []byte("as it was"), when); err != nil {
		t.Fatal(err)
	}
	w := newWorkshop(1, when.Add(time.Hour))
	for way := range encryptions {
		if _, err := w.encrypt(file, way); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.remove(file); err != nil {
		t.Fatal(err)
	}
	if err := w.restore(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	info, serr := os.Stat(file)
	if err != nil || serr != nil || string(got) != "as it was" || !info.ModTime().Equal(when) {
		t.Errorf("%q of %v: %v, %v", got, info, err, serr)
	}
}
