package restore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/restore"
	"offsite/manifest/seal"
	"offsite/providers"
)

func open(t testing.TB, p *practice, ref manifest.Ref) *restore.Snapshot {
	t.Helper()
	return must(restore.Open(t.Context(), p.store, p.restore.Opener(), ref))(t)
}

// same fails unless dir holds exactly the entries of s that are chosen, and the
// marker of an unfinished restore only if it should.
func same(t testing.TB, dir string, s set, marked bool, chosen func(path string) bool) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if rel == ".offsite-restore" && marked {
			return nil
		}
		c, ok := s[rel]
		if !ok || !chosen(rel) {
			if !d.IsDir() {
				t.Errorf("%s was not asked for", rel)
			}
			return nil
		}
		seen++
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch c.row.Type {
		case manifest.File:
			got, err := os.ReadFile(name)
			if err != nil || !bytes.Equal(got, c.data) {
				t.Errorf("%s differs (%v)", rel, err)
			}
		case manifest.Link:
			if to, err := os.Readlink(name); err != nil || to != c.row.Target {
				t.Errorf("%s leads to %s (%v)", rel, to, err)
			}
			return nil
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != fs.FileMode(c.row.Mode)&fs.ModePerm {
			t.Errorf("%s has mode %s", rel, info.Mode())
		}
		if want := now.Add(-time.Duration(len(rel)) * time.Hour); !info.ModTime().Equal(want) {
			t.Errorf("%s is of %s, not %s", rel, info.ModTime(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for path := range s {
		if chosen(path) {
			want++
		}
	}
	if seen != want {
		t.Errorf("%d entries of %d", seen, want)
	}
}

func everything(string) bool { return true }

func TestSnapshotComesBackBitForBit(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	s := practiceSet()
	snap := open(t, p, p.commit(t, s, nil))
	for _, workers := range []int{1, 5} {
		dir := filepath.Join(t.TempDir(), "new", "folder")
		var total, done atomic.Int64
		report, err := snap.Restore(t.Context(), restore.Options{To: dir, Workers: workers,
			Progress: restore.Progress{Total: total.Store, Done: func(n int64) { done.Add(n) }}})
		if err != nil {
			t.Fatal(err, report.Problems)
		}
		same(t, dir, s, false, everything)
		if report.Files != 205 || report.Folders != 3 || report.Links != 2 || report.Bytes != snap.Ref().Record.Counts.Bytes ||
			total.Load() != report.Bytes || done.Load() != report.Bytes {
			t.Errorf("report %+v, progress %d of %d", report, done.Load(), total.Load())
		}
	}
}

func TestEntriesAreListedInOrder(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	s := practiceSet()
	snap := open(t, p, p.commit(t, s, nil))
	var paths []string
	for e, err := range snap.Entries(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != s[e.Path].row.Type || e.Size != int64(len(s[e.Path].data)) {
			t.Errorf("entry %+v", e)
		}
		paths = append(paths, e.Path)
	}
	if len(paths) != len(s) || !slices.IsSorted(paths) {
		t.Errorf("%d entries", len(paths))
	}
	for range snap.Entries(t.Context()) {
		break // stopping early is allowed
	}
}

func TestOnlyChosenPathsAreRestored(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	s := practiceSet()
	snap := open(t, p, p.commit(t, s, nil))
	for _, c := range []struct {
		paths  []string
		chosen func(path string) bool
		fails  bool
	}{
		{[]string{"db/patients.sqlite"}, func(p string) bool { return p == "db/patients.sqlite" }, false},
		{[]string{"images/Müller, Zoë/", "readme.txt"}, func(p string) bool { return strings.HasPrefix(p, "images/Müller, Zoë") || p == "readme.txt" }, false},
		{[]string{"images/large"}, func(string) bool { return false }, true},
		{[]string{"readme.txt", "db/../db/empty", "nowhere"}, func(p string) bool { return p == "readme.txt" || p == "db/empty" }, true},
		{[]string{"."}, everything, false},
	} {
		dir := t.TempDir()
		report, err := snap.Restore(t.Context(), restore.Options{To: dir, Paths: c.paths})
		if (err != nil) != c.fails || c.fails && (!errors.Is(err, restore.ErrIncomplete) || !errors.Is(report.Problems[0].Err, fs.ErrNotExist)) {
			t.Errorf("%q: %v", c.paths, err)
		}
		if errors.Is(err, providers.ErrCorrupt) {
			t.Errorf("%q: a missing path is no damage", c.paths)
		}
		same(t, dir, s, false, c.chosen)
	}
}

func TestOneFileNeedsFewBytes(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	p.packed = 15 << 20
	snap := open(t, p, p.commit(t, practiceSet(), nil))
	before := p.store.Counters()
	if _, err := snap.Restore(t.Context(), restore.Options{To: t.TempDir(), Paths: []string{"images/Müller, Zoë/150.jpg"}}); err != nil {
		t.Fatal(err)
	}
	after := p.store.Counters()
	if n := after.Received - before.Received; n > 2<<20 {
		t.Errorf("%d bytes for one image", n)
	}
	if n := after.Get - before.Get; n > 5 {
		t.Errorf("%d requests for one image", n)
	}
}

func TestEveryPackIsFetchedOnce(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	ref := p.commit(t, practiceSet(), nil)
	snap := open(t, p, ref)
	before := p.store.Counters()
	if _, err := snap.Restore(t.Context(), restore.Options{To: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, pin := range ref.Record.Packs {
		sum += pin.Size
	}
	after := p.store.Counters()
	// A pack of which little is wanted takes two or three requests for parts.
	if n := after.Get - before.Get; n > int64(len(ref.Record.Packs)+4) {
		t.Errorf("%d requests for %d packs", n, len(ref.Record.Packs))
	}
	if n := after.Received - before.Received; n > sum+sum/20 {
		t.Errorf("%d bytes for packs of %d", n, sum)
	}
}

func TestTargetMustBeEmpty(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	snap := open(t, p, p.commit(t, set{"a": file([]byte("a"))}, nil))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := snap.Restore(t.Context(), restore.Options{To: dir}); !errors.Is(err, restore.ErrTargetNotEmpty) {
		t.Error(err)
	}
	if _, err := snap.Restore(t.Context(), restore.Options{To: filepath.Join(dir, "mine")}); err == nil {
		t.Error("restored into a file")
	}
}

// damaged restores a snapshot after something was done to the store and returns
// the report; files that have no problem must be well.
func damaged(t *testing.T, p *practice, ref manifest.Ref, s set, harm func()) (restore.Report, error) {
	t.Helper()
	harm()
	snap, err := restore.Open(t.Context(), p.store, p.restore.Opener(), ref)
	if err != nil {
		return restore.Report{}, err
	}
	dir := t.TempDir()
	report, err := snap.Restore(t.Context(), restore.Options{To: dir})
	bad := make(map[string]bool)
	for _, p := range report.Problems {
		bad[p.Path] = true
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(p.Path))); err == nil && s[p.Path].row.Type == manifest.File {
			t.Errorf("%s has a problem (%v), but its name", p.Path, p.Err)
		}
	}
	same(t, dir, s, report.Damaged > 0, func(path string) bool { return !bad[path] })
	return report, err
}

func TestDamageCostsOnlyTheFilesThatNeedIt(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"bit", "lost", "segment lost", "segment bit"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			p := newPractice(t)
			s := practiceSet()
			ref := p.commit(t, s, nil)
			// A pack that is not the file table's: the largest.
			victim := slices.MaxFunc(ref.Record.Packs, func(a, b manifest.Pin) int { return int(a.Size - b.Size) })
			report, err := damaged(t, p, ref, s, func() {
				switch how {
				case "bit":
					p.mem.Damage(manifest.PackKey(victim.Name), int(victim.Size/2))
				case "lost":
					p.mem.Lose(manifest.PackKey(victim.Name))
				case "segment lost":
					for _, pin := range ref.Record.Segments {
						p.mem.Lose(manifest.SegmentKey(pin.Name))
					}
				case "segment bit":
					p.mem.Damage(manifest.SegmentKey(ref.Record.Segments[1].Name), 3000)
				}
			})
			if strings.HasPrefix(how, "segment") {
				if err != nil || report.Rebuilt == 0 {
					t.Errorf("%v, %d packs read for the index", err, report.Rebuilt)
				}
				return
			}
			if !errors.Is(err, restore.ErrIncomplete) || !errors.Is(err, providers.ErrCorrupt) {
				t.Error(err)
			}
			if report.Missing == 0 || report.Missing > 20 || int(report.Missing) != len(report.Problems) {
				t.Errorf("%d entries are missing", report.Missing)
			}
		})
	}
}

func TestRowsThatLieAreFound(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *manifest.Row){
		"hash": func(r *manifest.Row) { r.SHA256[0]++ },
		"size": func(r *manifest.Row) { r.Size++ },
		"less": func(r *manifest.Row) { r.Size-- },
		"huge": func(r *manifest.Row) { r.Size = 1 << 60 },
		"order": func(r *manifest.Row) {
			if len(r.Chunks) > 1 {
				r.Chunks[0], r.Chunks[1] = r.Chunks[1], r.Chunks[0]
			} else {
				r.SHA256[3]++
			}
		},
		"nowhere": func(r *manifest.Row) { r.Chunks[0][3]++ },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPractice(t)
			s := practiceSet()
			ref := p.commit(t, s, func(r *manifest.Row) {
				if r.Path == "images/large.tif" || strings.HasSuffix(r.Path, "17.jpg") {
					change(r)
				}
			})
			report, err := damaged(t, p, ref, s, func() {})
			if !errors.Is(err, restore.ErrIncomplete) || !errors.Is(err, providers.ErrCorrupt) || report.Missing != 3 {
				t.Errorf("%d missing: %v", report.Missing, err)
			}
		})
	}
}

func TestNothingIsWrittenThroughLinksOrOutside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	p := newPractice(t)
	s := set{
		"a":     link(outside),
		"a/in":  file([]byte("through a link")),
		"b":     file([]byte("file")),
		"b/in":  file([]byte("through a file")),
		"c":     folder(0o700),
		"c/d":   link("../../.."),
		"c/d/e": folder(0o777),
	}
	snap := open(t, p, p.commit(t, s, nil))
	dir := t.TempDir()
	report, err := snap.Restore(t.Context(), restore.Options{To: dir})
	if !errors.Is(err, restore.ErrIncomplete) || errors.Is(err, providers.ErrCorrupt) && report.Missing == 0 {
		t.Error(err)
	}
	if names, _ := os.ReadDir(outside); len(names) > 0 {
		t.Errorf("%s was written to", outside)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "b")); err != nil || string(got) != "file" {
		t.Errorf("b: %q, %v", got, err)
	}
}

func TestWrongKeyIsNotTakenForDamage(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	ref := p.commit(t, set{"a": file([]byte("a"))}, nil)
	other := must(seal.NewRestoreKey())(t)
	if _, err := restore.Open(t.Context(), p.store, other.Opener(), ref); !errors.Is(err, seal.ErrNotForThisKey) || errors.Is(err, providers.ErrCorrupt) {
		t.Error(err)
	}
}

func TestRestoreStopsWhenAskedTo(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	snap := open(t, p, p.commit(t, practiceSet(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := snap.Restore(ctx, restore.Options{To: t.TempDir(), Workers: 1, Progress: restore.Progress{Done: func(int64) { cancel() }}})
	if !errors.Is(err, context.Canceled) || errors.Is(err, restore.ErrIncomplete) {
		t.Error(err)
	}
}
