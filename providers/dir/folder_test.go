package dir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/dir"
)

func put(t *testing.T, d *dir.Dir, key, data string, lease time.Time) {
	t.Helper()
	if _, err := d.Put(t.Context(), key, []byte(data), providers.PutOptions{Lease: lease}); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func wantKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if providers.KindOf(err) != kind || !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %q", what, err, kind)
	}
}

// everyCall runs each call of the driver once and returns the errors by name.
func everyCall(ctx context.Context, d *dir.Dir) map[string]error {
	errs := map[string]error{}
	_, errs["put"] = d.Put(ctx, "r/new/object", []byte("x"), providers.PutOptions{Lease: time.Now()})
	_, errs["put in the root"] = d.Put(ctx, "new", []byte("x"), providers.PutOptions{})
	_, errs["replace"] = d.Put(ctx, "head.json", []byte("x"), providers.PutOptions{Replace: "v"})
	_, errs["get"] = d.Get(ctx, "r/a", "", 0, -1)
	_, errs["stat"] = d.Stat(ctx, "r/a", "")
	errs["raise"] = d.Raise(ctx, "r/a", "", time.Now())
	errs["remove"] = d.Remove(ctx, "r/a", "")
	_, errs["time"] = d.Time(ctx)
	_, errs["leftovers"] = d.RemoveLeftovers(ctx, time.Now())
	for _, prefix := range []string{"", "r/", "not/there/"} {
		for _, err := range d.List(ctx, prefix, "") {
			errs["list "+prefix] = err
		}
	}
	return errs
}

func TestAVanishedFolderIsUnreachableAndNeverMadeAgain(t *testing.T) {
	for name, vanish := range map[string]func(path string) error{
		"removed":                       os.RemoveAll,
		"moved away":                    func(p string) error { return os.Rename(p, p+"-away") },
		"an empty folder in its place":  func(p string) error { return errors.Join(os.Rename(p, p+"-away"), os.Mkdir(p, 0o700)) },
		"a file in its place":           func(p string) error { return errors.Join(os.Rename(p, p+"-away"), os.WriteFile(p, nil, 0o600)) },
		"the parent is gone":            func(p string) error { return os.RemoveAll(filepath.Dir(p)) },
		"all files removed, folder not": func(p string) error { return errors.Join(os.RemoveAll(p), os.Mkdir(p, 0o700)) },
		"another store in its place": func(p string) error {
			_, err := dir.Create(p + "-other")
			return errors.Join(err, os.Rename(p, p+"-away"), os.Rename(p+"-other", p))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "disk", "store")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			d, err := dir.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			put(t, d, "r/a", "data", time.Time{})
			if err := vanish(path); err != nil {
				t.Fatal(err)
			}
			errs := everyCall(t.Context(), d)
			if len(errs) != 12 {
				t.Errorf("%d calls failed, want 12", len(errs))
			}
			for call, err := range errs {
				wantKind(t, call, err, providers.ErrUnreachable)
				if errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v reads like a missing object", call, err)
				}
			}
			for _, made := range []string{"r", "new", ".leases", ".lock"} {
				if _, err := os.Lstat(filepath.Join(path, made)); err == nil {
					t.Errorf("%s was made in a folder that is not the store", made)
				}
			}
			if _, err := dir.Open(path); name != "another store in its place" {
				wantKind(t, "open", err, providers.ErrUnreachable)
			}
		})
	}
}

func TestAListingCutByAVanishedFolderFails(t *testing.T) {
	d, path := newDir(t)
	put(t, d, "a", "x", time.Time{})
	put(t, d, "b/c", "x", time.Time{})
	put(t, d, "b/d", "x", time.Time{})
	for _, prefix := range []string{"", "b/"} {
		var last error
		n := 0
		for _, err := range d.List(t.Context(), prefix, "") {
			if last = err; err != nil {
				break
			}
			if n++; n == 1 {
				if err := os.Rename(path, path+"-away"); err != nil {
					t.Fatal(err)
				}
			}
		}
		wantKind(t, "list "+prefix, last, providers.ErrUnreachable)
		if err := os.Rename(path+"-away", path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFolderThatComesBackWorksAgain(t *testing.T) {
	d, path := newDir(t)
	put(t, d, "r/a", "data", time.Time{})
	if err := os.Rename(path, path+"-away"); err != nil {
		t.Fatal(err)
	}
	_, err := d.Get(t.Context(), "r/a", "", 0, -1)
	wantKind(t, "get", err, providers.ErrUnreachable)
	// Back as a copy, as after a change of disk.
	if err := os.CopyFS(path, os.DirFS(path+"-away")); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Get(t.Context(), "r/a", "", 0, -1); err != nil || string(got) != "data" {
		t.Errorf("read %q, %v", got, err)
	}
	put(t, d, "r/b", "more", time.Now())
}

func TestVersionsSurviveACopyOfTheFolder(t *testing.T) {
	d, path := newDir(t)
	v, err := d.Put(t.Context(), "head.json", []byte("one"), providers.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(path+"-copy", os.DirFS(path)); err != nil {
		t.Fatal(err)
	}
	copied, err := dir.Open(path + "-copy")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := copied.Get(t.Context(), "head.json", v, 0, -1); err != nil || string(got) != "one" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestASubfolderThatVanishesIsMadeAgain(t *testing.T) {
	d, path := newDir(t)
	put(t, d, "r/p/00/a", "x", time.Now())
	if err := os.RemoveAll(filepath.Join(path, "r")); err != nil {
		t.Fatal(err)
	}
	s := providers.NewStore(d, providers.Options{Sleep: func(context.Context, time.Duration) error { return nil }})
	if _, err := s.Create(t.Context(), "r/p/00/b", []byte("y"), time.Now()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Read(t.Context(), "r/p/00/b", ""); err != nil || string(got) != "y" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestCreateTakesOnlyFoldersThatAreFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder")
	_, err := dir.Open(path)
	wantKind(t, "open of nothing", err, providers.ErrUnreachable)
	_, err = dir.Create(filepath.Join(path, "below"))
	wantKind(t, "create below nothing", err, providers.ErrUnreachable)
	if err := os.MkdirAll(filepath.Join(path, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = dir.Open(path)
	wantKind(t, "open without a marker", err, providers.ErrUnreachable)
	stranger := filepath.Join(path, "holiday.jpg")
	if err := os.WriteFile(stranger, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = dir.Create(path)
	wantKind(t, "create among strange files", err, providers.ErrExist)
	if err := os.Remove(stranger); err != nil {
		t.Fatal(err)
	}
	d, err := dir.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "offsite.json", "{}", time.Time{})
	marker := filepath.Join(path, ".offsite-folder")
	before, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Create(path); err != nil {
		t.Errorf("create of a store: %v", err)
	}
	if after, _ := os.ReadFile(marker); !bytes.Equal(before, after) {
		t.Error("create changed the marker of a store")
	}
	// A copy that left dot files out is adopted, because the header is there.
	if err := os.Remove(marker); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Create(path); err != nil {
		t.Errorf("create where the marker was lost: %v", err)
	}
	for _, bad := range []string{"", "offsite folder 2\nabcdefghijklmnopqrstuvwxyz\n", "offsite folder 1\n\n", "offsite folder 1\n" + strings.Repeat("a", 100)} {
		if err := os.WriteFile(marker, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := dir.Open(path)
		wantKind(t, fmt.Sprintf("open with marker %q", bad), err, providers.ErrUnreachable)
	}
}

func TestLinksAreRefused(t *testing.T) {
	d, path := newDir(t)
	put(t, d, "r/real/a", "inside", time.Now())
	outside := t.TempDir()
	secret := filepath.Join(outside, "a")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"r/file-out": secret, "r/file-in": "real/a", "r/dangling": "nowhere", "r/dir-out": outside, "r/dir-in": "real",
	} {
		if err := os.Symlink(target, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"r/file-out", "r/file-in", "r/dangling", "r/dir-out", "r/dir-out/a", "r/dir-in/a"} {
		_, err := d.Get(t.Context(), key, "", 0, -1)
		wantKind(t, "get "+key, err, providers.ErrCorrupt)
		_, err = d.Stat(t.Context(), key, "")
		wantKind(t, "stat "+key, err, providers.ErrCorrupt)
		wantKind(t, "raise "+key, d.Raise(t.Context(), key, "", time.Now()), providers.ErrCorrupt)
		wantKind(t, "remove "+key, d.Remove(t.Context(), key, ""), providers.ErrCorrupt)
	}
	for _, key := range []string{"r/file-out", "r/dangling", "r/dir-out/new", "r/dir-in/new"} {
		if _, err := d.Put(t.Context(), key, []byte("x"), providers.PutOptions{Lease: time.Now()}); err == nil {
			t.Errorf("put %s succeeded", key)
		}
	}
	for obj, err := range d.List(t.Context(), "", "") {
		if err != nil || obj.Key != "r/real/a" {
			t.Errorf("list: %s, %v", obj.Key, err)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("outside the store: %v, %v", left, err)
	}
}

func TestLeaseFilesInTheLeaseFolderMayBeNoLinks(t *testing.T) {
	d, path := newDir(t)
	outside := filepath.Join(t.TempDir(), "lease")
	if err := os.WriteFile(outside, []byte("2001-01-01T00:00:00Z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, d, "r/a", "x", time.Time{})
	put(t, d, "r/b", "x", time.Now())
	if err := os.Symlink(outside, filepath.Join(path, ".leases/r/a")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "remove", d.Remove(t.Context(), "r/a", ""), providers.ErrHeld)
	until := time.Now().Add(time.Hour)
	if err := d.Raise(t.Context(), "r/a", "", until); err != nil {
		t.Fatal(err)
	}
	if obj, err := d.Stat(t.Context(), "r/a", ""); err != nil || obj.Lease.Before(until) {
		t.Errorf("lease %v, %v", obj.Lease, err)
	}
	if text, _ := os.ReadFile(outside); string(text) != "2001-01-01T00:00:00Z\n" {
		t.Errorf("a file outside the store now holds %q", text)
	}
}

func TestAnUnreadableLeaseHoldsTheObject(t *testing.T) {
	const past = "2001-01-01T00:00:00Z\n"
	for name, text := range map[string]string{
		"empty": "", "zeros": strings.Repeat("\x00", len(past)), "torn": past[:9], "torn second line": past + past[:5],
		"other words": "forever and then some\n", "trailing": past + "\n", "lower case": strings.ToLower(past), "no such day": "2001-02-30T00:00:00Z\n",
		"too long": strings.Repeat(past, 1000),
	} {
		d, path := newDir(t)
		put(t, d, "r/a", "x", time.Now().Add(-time.Hour))
		file := filepath.Join(path, ".leases/r/a")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		wantKind(t, name, d.Remove(t.Context(), "r/a", ""), providers.ErrHeld)
		until := time.Now().Add(time.Hour)
		if err := d.Raise(t.Context(), "r/a", "", until); err != nil {
			t.Errorf("%s: raise: %v", name, err)
		}
		if obj, err := d.Stat(t.Context(), "r/a", ""); err != nil || obj.Lease.Before(until) {
			t.Errorf("%s: lease %v, %v", name, obj.Lease, err)
		}
	}
}

func TestALostLeaseFileHoldsTheObject(t *testing.T) {
	d, path := newDir(t)
	put(t, d, "r/a", "x", time.Now().Add(-time.Hour))
	if err := os.RemoveAll(filepath.Join(path, ".leases")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "remove", d.Remove(t.Context(), "r/a", ""), providers.ErrHeld)
	s := providers.NewStore(d, providers.Options{Sleep: func(context.Context, time.Duration) error { return nil }})
	if _, err := s.Create(t.Context(), "r/b", []byte("x"), time.Now().Add(time.Hour)); err != nil {
		t.Errorf("the lease folder was not made again: %v", err)
	}
}

func FuzzParseLease(f *testing.F) {
	f.Add([]byte("2026-11-20T00:00:00Z\n"))
	f.Add([]byte("2026-11-20T00:00:00Z\n2027-01-02T03:04:05Z\n"))
	f.Add([]byte("2026-11-20T00:00:00Z"))
	f.Fuzz(func(t *testing.T, data []byte) {
		until, ok := dir.ParseLease(data)
		if !ok {
			return
		}
		var latest string
		for line := range strings.Lines(string(data)) {
			latest = max(latest, line)
		}
		if dir.FormatLease(until) != latest {
			t.Errorf("%q is %v", data, until)
		}
	})
}

func TestOddFilesAreNotListed(t *testing.T) {
	d, path := newDir(t)
	put(t, d, "r/a", "x", time.Now())
	for _, name := range []string{"Thumbs.db", "r/UPPER", "r/.tmp-crashed-1", ".tmp-crashed-2", "r/a b", ".leases/r/.tmp-3"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(path, "r/a"), providers.MaxObject+1); err != nil {
		t.Fatal(err)
	}
	for obj, err := range d.List(t.Context(), "", "") {
		if err != nil || obj.Key != "r/a" {
			t.Errorf("list: %s, %v", obj.Key, err)
		}
	}
	_, err := d.Get(t.Context(), "r/a", "", 0, 1)
	wantKind(t, "get of a file over the limit", err, providers.ErrCorrupt)

	old := filepath.Join(path, "r/.tmp-crashed-1")
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n, err := d.RemoveLeftovers(t.Context(), time.Now().Add(-24*time.Hour)); err != nil || n != 1 {
		t.Errorf("%d leftovers removed, %v; want 1", n, err)
	}
	if _, err := os.Lstat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old leftover: %v", err)
	}
}

func TestWritingLeavesNoTemporaryFiles(t *testing.T) {
	d, path := newDir(t)
	put(t, d, "r/a", "x", time.Now())
	_, _ = d.Put(t.Context(), "r/a", []byte("y"), providers.PutOptions{})
	_, _ = d.Put(t.Context(), "r/a", []byte("y"), providers.PutOptions{Replace: "stale"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = d.Put(ctx, "r/b", []byte("y"), providers.PutOptions{})
	_, _ = d.Time(t.Context())
	dir.Unlinkable(d, errors.New("broken"))
	_, _ = d.Put(t.Context(), "r/c", []byte("y"), providers.PutOptions{})
	err := filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if strings.HasPrefix(e.Name(), ".tmp-") {
			t.Errorf("%s was left", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
