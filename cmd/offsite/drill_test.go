package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gofrs/flock"
)

// A practice has three tables and very many images; a drill must see both.
func TestSampleHasSomeOfEveryKind(t *testing.T) {
	sample := func(most int, salt string) (names []string, kinds map[string]int) {
		s := sampler{most: most, salt: salt, kinds: map[string][]sampled{}}
		for i := range 5000 {
			s.add(fmt.Sprintf("images/p%d.JPG", i), 1)
		}
		for _, name := range []string{"patients.fs5", "visits.FS5", "data.mdf", "letters/one.doc", "noending"} {
			s.add(name, 1)
		}
		kinds = map[string]int{}
		for _, one := range s.pick() {
			names = append(names, one.path)
			kinds[path.Ext(one.path)]++
		}
		return names, kinds
	}
	names, kinds := sample(20, "one")
	if len(names) != 20 || kinds[".JPG"] != 15 || kinds[".fs5"]+kinds[".FS5"] != 2 || kinds[".mdf"] != 1 || kinds[".doc"] != 1 || kinds[""] != 1 {
		t.Errorf("%d files: %v", len(names), kinds)
	}
	if again, _ := sample(20, "one"); !slices.Equal(names, again) {
		t.Error("the same salt chose other files")
	}
	if other, _ := sample(20, "two"); slices.Equal(names, other) {
		t.Error("another salt chose the same files")
	}
	if few, _ := sample(3, "one"); len(few) != 3 {
		t.Errorf("%d files, want 3", len(few))
	}
}

// Names that end in all sorts of things must not fill the memory.
func TestSampleTellsOnlySoManyKindsApart(t *testing.T) {
	s := sampler{most: 10, kinds: map[string][]sampled{}}
	for i := range 2000 {
		s.add(fmt.Sprintf("file.%d", i), 1)
	}
	if len(s.kinds) > maxKinds+1 {
		t.Errorf("%d kinds", len(s.kinds))
	}
	for kind, list := range s.kinds {
		if len(list) > 10 {
			t.Errorf("%d of kind %q", len(list), kind)
		}
	}
}

// TestOnlyAbandonedDrillsAreRemoved: one that is under way keeps its files, and so does
// whatever has no lock of a drill beside it.
func TestOnlyAbandonedDrillsAreRemoved(t *testing.T) {
	tmp := t.TempDir()
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, tmp)
	}
	at := func(name string) string { return filepath.Join(tmp, name) }
	for _, name := range []string{"offsite-drill-dead", "offsite-drill-alive", "offsite-drill-unlocked", "elsewhere"} {
		must(t, os.MkdirAll(filepath.Join(at(name), "data"), 0o700))
		must(t, os.WriteFile(filepath.Join(at(name), "data", "patients.bak"), []byte("patients"), 0o600))
	}
	must(t, os.Symlink(at("elsewhere"), at("offsite-drill-link")))
	must(t, os.Symlink(at("made-by-a-link"), at("offsite-drill-linked.lock")))
	for _, name := range []string{"offsite-drill-dead.lock", "offsite-drill-alive.lock", "offsite-drill-link.lock"} {
		must(t, os.WriteFile(at(name), nil, 0o600))
	}
	alive := flock.New(at("offsite-drill-alive.lock"))
	if ok, err := alive.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer alive.Unlock()
	(&app{stderr: io.Discard}).removeAbandoned()
	var left []string
	entries, err := os.ReadDir(tmp)
	must(t, err)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{"elsewhere", "offsite-drill-alive", "offsite-drill-alive.lock", "offsite-drill-linked.lock", "offsite-drill-unlocked"}
	if !slices.Equal(left, want) {
		t.Errorf("left: %q\nwant: %q", left, want)
	}
	for _, name := range []string{"offsite-drill-alive", "elsewhere"} {
		if _, err := os.Stat(filepath.Join(at(name), "data", "patients.bak")); err != nil {
			t.Error(err)
		}
	}
}
