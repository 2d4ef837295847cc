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
	"testing"

	"offsite/manifest"
	"offsite/manifest/restore"
	"offsite/providers"
)

// leftovers lists what a restore uses while it is under way.
func leftovers(t testing.TB, dir string) (marker bool, partial []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		marker = marker || err == nil && d.Name() == ".offsite-restore"
		if err == nil && strings.HasPrefix(d.Name(), ".offsite-partial-") {
			partial = append(partial, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return marker, partial
}

func TestARestoreThatWasStoppedGoesOn(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	p.packed = 200 << 10
	s := practiceSet()
	snap := open(t, p, p.commit(t, s, nil))
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := int64(0)
	first, err := snap.Restore(ctx, restore.Options{To: dir, Workers: 1, Progress: restore.Progress{Done: func(n int64) {
		if done += n; done > 4<<20 {
			cancel()
		}
	}}})
	if !errors.Is(err, context.Canceled) || first.Files == 0 || first.Files == 205 {
		t.Fatalf("%d files, %v", first.Files, err)
	}
	marker, partial := leftovers(t, dir)
	if !marker || len(partial) > 0 {
		t.Errorf("marker %v, partial files %q", marker, partial)
	}
	// What a crash leaves: an unfinished file, and a folder that cannot be written to.
	crash := filepath.Join(dir, "images", "Müller, Zoë")
	if err := os.MkdirAll(crash, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, crash} {
		if err := os.WriteFile(filepath.Join(at, ".offsite-partial-0-1"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(crash, 0o500); err != nil {
		t.Fatal(err)
	}
	second, err := snap.Restore(t.Context(), restore.Options{To: dir})
	if err != nil {
		t.Fatal(err, second.Problems)
	}
	if second.Skipped != first.Files || second.Files+second.Skipped != 205 || second.Bytes+second.SkippedBytes != snap.Ref().Record.Counts.Bytes {
		t.Errorf("first %d files, then %+v", first.Files, second)
	}
	same(t, dir, s, false, everything)
	if marker, partial := leftovers(t, dir); marker || len(partial) > 0 {
		t.Errorf("marker %v, partial files %q", marker, partial)
	}
}

func TestWhatWasMendedIsRestoredLater(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	s := practiceSet()
	ref := p.commit(t, s, nil)
	victim := manifest.PackKey(slices.MaxFunc(ref.Record.Packs, func(a, b manifest.Pin) int { return int(a.Size - b.Size) }).Name)
	p.mem.Damage(victim, 300_000)
	dir := t.TempDir()
	snap := open(t, p, ref)
	first, err := snap.Restore(t.Context(), restore.Options{To: dir})
	if !errors.Is(err, restore.ErrDamaged) || first.Damaged == 0 || first.Problems[0].Key != victim || len(first.Problems[0].Chunk) != 32 {
		t.Fatalf("%+v, %v", first, err)
	}
	p.mem.Damage(victim, 300_000) // flips the bit back
	before := p.store.Counters().Received
	second, err := snap.Restore(t.Context(), restore.Options{To: dir})
	if err != nil || second.Files != first.Damaged || second.Skipped != 205-first.Damaged+2 {
		t.Errorf("%+v, %v", second, err)
	}
	if got := p.store.Counters().Received - before; got > 4<<20 {
		t.Errorf("%d bytes were fetched for what was missing", got)
	}
	same(t, dir, s, false, everything)
}

func TestVerifyFindsFilesThatOnlyLookRight(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	s := practiceSet()
	ref := p.commit(t, s, nil)
	snap := open(t, p, ref)
	dir := t.TempDir()
	spoil := func() {
		t.Helper()
		if _, err := snap.Restore(t.Context(), restore.Options{To: dir, Into: true}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"images/large.tif", "readme.txt"} {
			full := filepath.Join(dir, name)
			info, err := os.Stat(full)
			if err != nil {
				t.Fatal(err)
			}
			b := bytes.Clone(s[name].data)
			b[7] ^= 1
			if err := errors.Join(os.WriteFile(full, b, 0o600), os.Chtimes(full, info.ModTime(), info.ModTime())); err != nil {
				t.Fatal(err)
			}
		}
	}
	spoil()
	report, err := snap.Restore(t.Context(), restore.Options{To: dir, Into: true})
	if err != nil || report.Files != 0 {
		t.Errorf("without Verify, size and time are enough: %d files, %v", report.Files, err)
	}
	report, err = snap.Restore(t.Context(), restore.Options{To: dir, Into: true, Verify: true})
	if err != nil || report.Files != 2 || report.Skipped != 203+2 {
		t.Errorf("%d files, %d skipped, %v", report.Files, report.Skipped, err)
	}
	same(t, dir, s, false, everything)
}

func TestTargetMustBeEmptyOrAnEarlierRestore(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	one := open(t, p, p.commit(t, set{"a": file([]byte("one"))}, nil))
	two := open(t, p, p.commit(t, set{"a": file([]byte("two, longer"))}, nil))
	for name, c := range map[string]struct {
		there map[string]string
		fails bool
	}{
		"absent":           {nil, false},
		"disk's own":       {map[string]string{"lost+found/x": ""}, false},
		"something else":   {map[string]string{"mine": "x"}, true},
		"this snapshot":    {map[string]string{".offsite-restore": "offsite restore 1\n" + two.Ref().Digest + "\n", "b": "x"}, false},
		"other snapshot":   {map[string]string{".offsite-restore": "offsite restore 1\n" + one.Ref().Digest + "\n"}, true},
		"unfinished mark":  {map[string]string{".offsite-restore": ""}, false},
		"strange mark":     {map[string]string{".offsite-restore": strings.Repeat("x", 5000)}, true},
		"mark is a folder": {map[string]string{".offsite-restore/x": ""}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "to")
			for f, text := range c.there {
				full := filepath.Join(dir, filepath.FromSlash(f))
				if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, []byte(text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := two.Restore(t.Context(), restore.Options{To: dir})
			got, _ := os.ReadFile(filepath.Join(dir, "a"))
			if (err != nil) != c.fails || (string(got) == "two, longer") == c.fails {
				t.Errorf("%v, %q", err, got)
			}
		})
	}
}

func TestIntoReplacesItsOwnPathsOnly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links need a right there")
	}
	p := newPractice(t)
	s := set{
		"folder":      folder(0o700),
		"folder/file": file([]byte("new")),
		"linked":      folder(0o700),
		"linked/file": file([]byte("new")),
		"file":        file([]byte("new")),
		"link":        link("folder"),
		"other link":  link("file"),
		"taken":       file([]byte("a folder has this name")),
	}
	snap := open(t, p, p.commit(t, s, nil))
	dir, outside := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o700), os.WriteFile(full, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("folder/mine", "old")
	write("folder/file", "old and longer")
	write("taken/mine", "old")
	write("link", "old")
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"linked": outside, "file": filepath.Join(outside, "secret"), "other link": "elsewhere"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	report, err := snap.Restore(t.Context(), restore.Options{To: dir, Into: true})
	if !errors.Is(err, restore.ErrIncomplete) || errors.Is(err, restore.ErrDamaged) || report.Refused != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	for name, want := range map[string]string{"folder/mine": "old", "folder/file": "new", "taken/mine": "old", "file": "new"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if to, err := os.Readlink(filepath.Join(dir, "other link")); err != nil || to != "file" {
		t.Errorf("other link: %q, %v", to, err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "file")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("a file was written through a link: %v, %v", info, err)
	}
	names, err := os.ReadDir(outside)
	if got, _ := os.ReadFile(filepath.Join(outside, "secret")); err != nil || len(names) != 1 || string(got) != "old" {
		t.Errorf("what a link led to was changed: %v, %q", names, got)
	}
}

func TestStoreThatDoesNotAnswerEndsTheRestore(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	snap := open(t, p, p.commit(t, practiceSet(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report, err := snap.Restore(ctx, restore.Options{To: t.TempDir()})
	if err == nil || errors.Is(err, restore.ErrDamaged) || errors.Is(err, providers.ErrCorrupt) || report.Missing > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}
