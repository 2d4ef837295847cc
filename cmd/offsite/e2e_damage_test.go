package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/dir"
)

// A practice with two stored days, and what their records name.
type twoDays struct {
	*place
	days    []string          // first, second
	shared  string            // key of a pack with files of both days
	only    string            // key of a pack that the second day alone needs
	table   string            // key of the pack with the second day's file table
	segment string            // key of an index segment of the second day
	records []string          // keys, in order
	leases  []string          // keys of lease records, in order
	before  map[string]string // name of a file to its bytes on the first day
}

// unharmed makes it. What stays the same is in one pack, what changes in another.
func unharmed(t *testing.T) *twoDays {
	t.Helper()
	d := &twoDays{place: newPlace(t), days: []string{"2026-11-19", "2026-11-20"}}
	for i := range 3 {
		d.file(fmt.Sprintf("source/images/p%d.jpg", i), string(noise(uint64(i), 400<<10)))
	}
	d.file("source/patients.sqlite", "SQLite format 3\x00"+string(noise(10, 100<<10)))
	d.file("source/notes.txt", "notes of the first day")
	d.want(exitDone, "run", "--wait", "0s", "--day", d.days[0])
	d.before = d.sourceFiles()
	d.file("source/patients.sqlite", "SQLite format 3\x00"+string(noise(11, 100<<10)))
	d.file("source/images/p3.jpg", string(noise(3, 300<<10)))
	d.want(exitDone, "run", "--wait", "0s", "--day", d.days[1])
	first, second := d.named(t, 0), d.named(t, 1)
	for _, key := range second.packs {
		switch {
		case slices.Contains(first.packs, key) && d.size(key) > 1<<20:
			d.shared = key
		case !slices.Contains(first.packs, key) && d.size(key) > 200<<10:
			d.only = key
		}
	}
	d.segment = second.segments[len(second.segments)-1]
	d.table = second.table
	if d.shared == "" || d.only == "" || d.table == "" {
		t.Fatalf("the packs are not as this test wants them: %+v, %+v", first, second)
	}
	return d
}

type names struct {
	packs, segments []string
	table           string
}

// named reads what a record names.
func (d *twoDays) named(t *testing.T, i int) (n names) {
	t.Helper()
	driver, err := dir.Open(d.store)
	must(t, err)
	store := providers.NewStore(driver, providers.Options{})
	header, err := manifest.OpenHeader(t.Context(), store, nil)
	must(t, err)
	trust, err := manifest.LoadTrust(t.Context(), store, header)
	must(t, err)
	refs, bad, err := manifest.List(t.Context(), store, trust, "", nil)
	must(t, err)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	d.records, d.leases = nil, nil
	for _, r := range refs {
		d.records = append(d.records, r.Key)
	}
	for o, err := range store.List(t.Context(), manifest.LeasePrefix, "") {
		must(t, err)
		d.leases = append(d.leases, o.Key)
	}
	for _, p := range refs[i].Record.Packs {
		n.packs = append(n.packs, manifest.PackKey(p.Name))
	}
	for _, s := range refs[i].Record.Segments {
		n.segments = append(n.segments, manifest.SegmentKey(s.Name))
	}
	small := int64(1 << 62)
	for _, key := range n.packs { // the file table is the smallest of this day's own packs
		if s := d.size(key); s < small && (i == 0 || !slices.Contains(d.named(t, 0).packs, key)) {
			n.table, small = key, s
		}
	}
	return n
}

func (d *twoDays) object(key string) string { return filepath.Join(d.store, filepath.FromSlash(key)) }

func (d *twoDays) size(key string) int64 {
	info, err := os.Stat(d.object(key))
	must(d.t, err)
	return info.Size()
}

// sourceFiles reads the source.
func (p *place) sourceFiles() map[string]string {
	p.t.Helper()
	return filesIn(p.t, p.source)
}

func filesIn(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	}))
	return out
}

// harm is a way to damage a file.
type harm struct {
	name string
	do   func(b []byte) []byte // nil: the file is removed
}

func harms() []harm {
	return []harm{
		{"cut short", func(b []byte) []byte { return b[:len(b)/2] }},
		{"a bit flipped in the middle", func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b }},
		{"a bit flipped at the start", func(b []byte) []byte { b[3] ^= 1; return b }},
		{"emptied", func([]byte) []byte { return nil }},
		{"zeros", func(b []byte) []byte { clear(b); return b }},
		{"longer", func(b []byte) []byte { return append(b, b[:16]...) }},
		{"removed", nil},
	}
}

func (h harm) apply(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	if h.do == nil {
		must(t, os.Remove(path))
		return
	}
	info, err := os.Stat(path)
	must(t, err)
	must(t, os.Chmod(path, 0o600)) // objects are read-only
	must(t, os.WriteFile(path, h.do(bytes.Clone(b)), 0o600))
	must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// part is a stored object that is damaged, and what that must cost.
type part struct {
	name, key string
	broken    []int    // days that cannot be restored in full
	lost      []string // files that may be missing from them; none: the day as a whole
	found     string   // the depth that finds other bytes of the same length
	whole     bool     // it hides the whole store
	keyed     bool     // only the restore key can tell
}

func (d *twoDays) parts(t *testing.T) []part {
	t.Helper()
	images := []string{"images/p0.jpg", "images/p1.jpg", "images/p2.jpg"}
	parts := []part{
		{name: "a pack of both days", key: d.shared, broken: []int{0, 1}, lost: images, found: "objects"},
		{name: "a pack of one day", key: d.only, broken: []int{1}, lost: []string{"images/p3.jpg", "patients.sqlite"}, found: "objects"},
		{name: "a file table", key: d.table, broken: []int{1}, found: "objects"},
		{name: "an index segment", key: d.segment, found: "objects"},
		{name: "the first record", key: d.records[0], broken: []int{0}, found: "records"},
		{name: "the last record", key: d.records[1], broken: []int{1}, found: "records"},
		{name: "a lease record", key: d.leases[len(d.leases)-1], found: "records"},
		{name: "a holder's file", key: d.only1("keys/holder-*.age"), found: "records"},
		{name: "the naming secrets", key: manifest.SecretsKey, found: "bytes", keyed: true},
		{name: "the header", key: manifest.HeaderKey, broken: []int{0, 1}, whole: true},
	}
	return parts
}

// only1 is the key of the one object that a pattern matches.
func (d *twoDays) only1(pattern string) string {
	d.t.Helper()
	found, err := filepath.Glob(filepath.Join(d.store, filepath.FromSlash(pattern)))
	must(d.t, err)
	if len(found) != 1 {
		d.t.Fatalf("%s matches %v", pattern, found)
	}
	rel, err := filepath.Rel(d.store, found[0])
	must(d.t, err)
	return filepath.ToSlash(rel)
}

// Damage of any stored object is found at the depth that can find it, told with the
// object and the days it costs, costs nothing else, and is healed by another run as
// long as the set still stands.
func TestDamageIsFoundToldContainedAndHealed(t *testing.T) {
	t.Parallel()
	whole := unharmed(t)
	for i, p := range whole.parts(t) {
		some := harms()[:2]
		if i == 0 {
			some = harms()
		}
		if raceDetector {
			some = harms()[i%2 : i%2+1]
		}
		for _, h := range some {
			t.Run(p.name+", "+h.name, func(t *testing.T) {
				d := &twoDays{place: whole.fork(t), days: whole.days, before: whole.before}
				before, err := os.Stat(d.object(p.key))
				must(t, err)
				h.apply(t, d.object(p.key))
				after, err := os.Stat(d.object(p.key))
				d.findsDamage(t, p, err == nil && after.Size() == before.Size())
				d.containsDamage(t, p)
				d.healsDamage(t, p)
			})
		}
	}
}

// findsDamage checks at every depth.
func (d *twoDays) findsDamage(t *testing.T, p part, sameSize bool) {
	t.Helper()
	depths := []string{"records", "objects", "bytes"}
	finds := p.found
	if !sameSize && !p.keyed {
		finds = "records" // a listing tells
	}
	for i, depth := range depths {
		args := []string{"check", "--depth", depth, "--restore-key", d.key, "--json"}
		if p.whole {
			d.want(exitDamaged, args...)
			continue
		}
		if i < slices.Index(depths, finds) {
			d.want(exitDone, args...)
			continue
		}
		var ans checkAnswer
		d.want(exitDamaged, args...).into(t, &ans)
		var keys []string
		for _, f := range ans.Findings {
			keys = append(keys, f.Key)
		}
		if !slices.Equal(keys, []string{p.key}) {
			t.Errorf("check --depth %s found %v, damaged is %s", depth, keys, p.key)
		}
		var days []string
		if strings.HasPrefix(p.key, manifest.PackPrefix) { // a record that cannot be read has no day
			for _, n := range p.broken {
				days = append(days, d.days[n])
			}
		}
		if !slices.Equal(ans.Broken, days) && len(ans.Broken)+len(days) > 0 {
			t.Errorf("check --depth %s says that %v is broken, not %v", depth, ans.Broken, days)
		}
	}
}

// containsDamage restores both days: what is not damaged comes back, what is has no
// name in the target and is told, and the code says so.
func (d *twoDays) containsDamage(t *testing.T, p part) {
	t.Helper()
	for i, want := range []map[string]string{d.before, d.sourceFiles()} {
		to := d.path(fmt.Sprint("back ", i))
		r := d.run("restore", d.days[i], "--to", to, "--restore-key", d.key)
		got := map[string]string{}
		if _, err := os.Stat(to); err == nil {
			got = filesIn(t, to)
			delete(got, ".offsite-restore") // says that something is missing
		}
		missing := 0
		for name, b := range want {
			switch g, ok := got[name]; {
			case ok && g != b:
				t.Errorf("%s of %s came back with other bytes", name, d.days[i])
			case !ok && len(p.lost) > 0 && !slices.Contains(p.lost, name):
				t.Errorf("%s of %s did not come back, though its pack is well", name, d.days[i])
			case !ok:
				missing++
				if len(p.lost) > 0 && !strings.Contains(r.stderr, name) {
					t.Errorf("nobody said that %s of %s is missing:\n%s", name, d.days[i], r.stderr)
				}
			}
			delete(got, name)
		}
		for name := range got {
			t.Errorf("%s of %s was never saved", name, d.days[i])
		}
		code := exitDone
		if missing > 0 {
			code = exitDamaged
		}
		if r.code != code {
			t.Errorf("restore of %s: exit %d, want %d with %d files missing\n%s", d.days[i], r.code, code, missing, r.stderr)
		}
		if missing > 0 && !slices.Contains(p.broken, i) {
			t.Errorf("%d files of %s did not come back\n%s", missing, d.days[i], r.stderr)
		}
	}
}

// healsDamage runs again, with the set of the last day as it was.
func (d *twoDays) healsDamage(t *testing.T, p part) {
	t.Helper()
	args := []string{"run", "--wait", "0s", "--day", d.days[1]}
	if p.whole {
		d.want(exitDamaged, args...)
		return
	}
	d.want(exitDone, args...)
	var ans checkAnswer
	r := d.run("check", "--depth", "bytes", "--restore-key", d.key, "--json")
	r.into(t, &ans)
	var h history
	d.run("days", "--json").into(t, &h)
	newest := h.Days[len(h.Days)-1].Day
	if slices.Contains(ans.Broken, newest) {
		t.Errorf("the new revision is broken, too: %v", ans.Broken)
	}
	if !strings.HasPrefix(newest, d.days[1]) {
		t.Errorf("the newest day is %s", newest)
	}
	back, _ := d.restore(exitDone, newest, "back healed")
	equal(t, facts(t, d.source), facts(t, back))
	// The next night relies on what is well.
	d.want(exitDone, "run", "--wait", "0s")
	back, _ = d.restore(exitDone, "latest", "back of the next night")
	equal(t, facts(t, d.source), facts(t, back))
}

// What was found damaged is never relied on again: also not when bytes come back
// that only the damaged pack ever held.
func TestPackThatWasFoundDamagedIsNotReliedOnAgain(t *testing.T) {
	t.Parallel()
	d := unharmed(t)
	second := d.named(t, 1)
	for _, key := range d.named(t, 0).packs {
		if !slices.Contains(second.packs, key) && d.size(key) > 50<<10 {
			harms()[1].apply(t, d.object(key))
		}
	}
	d.want(exitDone, "run", "--wait", "0s", "--read-all", "--day", d.days[1])
	d.file("source/patients.sqlite", d.before["patients.sqlite"])
	var saved runAnswer
	d.want(exitDone, "run", "--wait", "0s", "--json").into(t, &saved)
	if saved.New == 0 {
		t.Error("nothing was sent")
	}
	back, _ := d.restore(exitDone, "latest", "back")
	equal(t, facts(t, d.source), facts(t, back))
}
