package restore_test

import (
	"bytes"
	"errors"
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

// TestForgedRowsAreLostAndNothingLeavesTheTarget: rows that no table builder writes.
func TestForgedRowsAreLostAndNothingLeavesTheTarget(t *testing.T) {
	t.Parallel()
	for _, forged := range []string{"../outside/x", "/tmp/outside", "a/../../../x", "./aaaaaaaaaa", "a//bbbbbbbbb", "aaaaaaaaaaa\x00", "............/", "\x00\x00\x00\x00\x00\x00"} {
		t.Run(forged, func(t *testing.T) {
			t.Parallel()
			p := newPractice(t)
			honest := "m" + strings.Repeat("n", len(forged)-1)
			p.forge = func(plain []byte) []byte { return bytes.ReplaceAll(plain, []byte(honest), []byte(forged)) }
			s := set{"before": file([]byte("well")), honest: file([]byte("forged")), "z/behind!": file([]byte("well"))}
			ref := p.commit(t, s, nil)
			top := t.TempDir()
			dir := filepath.Join(top, "a", "b")
			report, err := open(t, p, ref).Restore(t.Context(), restore.Options{To: dir})
			if !errors.Is(err, restore.ErrDamaged) || !errors.Is(err, providers.ErrCorrupt) || report.LostRows == 0 {
				t.Errorf("%+v, %v", report, err)
			}
			for _, folder := range []string{top, filepath.Join(top, "a")} {
				if names, err := os.ReadDir(folder); err != nil || len(names) != 1 {
					t.Errorf("%s holds %v, %v", folder, names, err)
				}
			}
			if got, err := os.ReadFile(filepath.Join(dir, "before")); err != nil || string(got) != "well" {
				t.Errorf("a row before the forged one: %q, %v", got, err)
			}
		})
	}
}

func TestNothingIsReachedThroughALink(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links need a right there")
	}
	outside := t.TempDir()
	p := newPractice(t)
	s := set{
		"a":             link(outside),
		"a/in":          file([]byte("through a link")),
		"a/sub":         folder(0o700),
		"a/sub/deep":    file([]byte("deeper")),
		"a!":            file([]byte("sorts between a and a/in")),
		"b":             file([]byte("file")),
		"b/in":          file([]byte("through a file")),
		"c":             folder(0o700),
		"c/d":           link("../../.."),
		"c/d/e":         folder(0o777),
		"c/e":           link("."),
		"f":             folder(0o700),
		"f/up":          link(".."),
		"f/up/up/x":     file([]byte("no")),
		"g/without/row": file([]byte("its folders have no rows")),
	}
	snap := open(t, p, p.commit(t, s, nil))
	dir := t.TempDir()
	report, err := snap.Restore(t.Context(), restore.Options{To: dir})
	if !errors.Is(err, restore.ErrIncomplete) || errors.Is(err, providers.ErrCorrupt) || report.Refused != 6 || report.Links != 4 {
		t.Errorf("%+v, %v", report, err)
	}
	var refused []string
	for _, p := range report.Problems {
		refused = append(refused, p.Path)
	}
	slices.Sort(refused)
	if want := []string{"a/in", "a/sub", "a/sub/deep", "b/in", "c/d/e", "f/up/up/x"}; !slices.Equal(refused, want) {
		t.Errorf("refused %q", refused)
	}
	if names, _ := os.ReadDir(outside); len(names) > 0 {
		t.Errorf("%s was written to", outside)
	}
	for name, want := range map[string]string{"a!": "sorts between a and a/in", "b": "file", "g/without/row": "its folders have no rows"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"a": outside, "c/d": "../../..", "f/up": ".."} {
		if got, err := os.Readlink(filepath.Join(dir, name)); err != nil || got != want {
			t.Errorf("%s leads to %q, %v", name, got, err)
		}
	}
}

func TestNamesThatAreOneInTheTargetAreRefused(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	s := set{
		"Images":       folder(0o700),
		"Images/A.jpg": file([]byte("first")),
		"Images/a.jpg": file([]byte("second")),
		"Straße":       file([]byte("first")),
		"STRASSE":      file([]byte("not the same everywhere")),
		"images":       folder(0o700),
		"images/b.jpg": file([]byte("in a folder that is refused")),
		"ÄRZTE":        file([]byte("first")),
		"ärzte":        file([]byte("second")),
	}
	snap := open(t, p, p.commit(t, s, nil))
	dir := t.TempDir()
	report, err := snap.Restore(t.Context(), restore.Folding(restore.Options{To: dir}))
	if !errors.Is(err, restore.ErrIncomplete) || report.Refused != 4 || report.Files != 4 {
		t.Errorf("%+v, %v", report, err)
	}
	for name, want := range map[string]string{"Images/A.jpg": "first", "ÄRZTE": "first", "STRASSE": "not the same everywhere"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestNamesOfTheRestoreItselfAreRefused(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	s := set{
		".offsite-restore":          file([]byte("a marker?")),
		"a":                         folder(0o700),
		"a/.offsite-partial-1":      file([]byte("half a file?")),
		"a/.offsite-restore":        file([]byte("fine")),
		"b/.offsite-partial-x/file": file([]byte("in a folder of that name")),
	}
	dir := t.TempDir()
	report, err := open(t, p, p.commit(t, s, nil)).Restore(t.Context(), restore.Options{To: dir})
	if !errors.Is(err, restore.ErrIncomplete) || report.Refused != 3 || report.Files != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestWhatAFileTableSaysOfModesIsKept(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes are those of Unix")
	}
	p := newPractice(t)
	s := set{
		"closed":           folder(0o500),
		"closed/read only": file([]byte("x")),
		"closed/sub":       folder(0o000),
		"closed/sub/deep":  file([]byte("x")),
		"none":             folder(0o000),
	}
	ref := p.commit(t, s, func(r *manifest.Row) {
		if r.Path == "closed/read only" {
			r.Mode = 0o4555 // setuid does not come back without the owner
		}
		if r.Type == manifest.Folder {
			r.Owner = &manifest.Owner{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
		}
	})
	dir := t.TempDir()
	t.Cleanup(func() {
		for _, name := range []string{"closed", "closed/sub", "none"} {
			_ = os.Chmod(filepath.Join(dir, name), 0o700)
		}
	})
	for _, options := range []restore.Options{{To: dir}, {To: dir, Into: true}} {
		report, err := open(t, p, ref).Restore(t.Context(), options)
		if err != nil {
			t.Fatalf("%+v, %v", report, err)
		}
		for name, want := range map[string]os.FileMode{"closed": 0o500, "none": 0} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
		info, err := os.Stat(filepath.Join(dir, "closed/read only"))
		if err != nil || info.Mode() != 0o555 {
			t.Errorf("%v, %v", info, err)
		}
	}
}
