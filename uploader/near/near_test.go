package near_test

import (
	"os"
	"path/filepath"
	"testing"

	"offsite/providers"
	"offsite/uploader/near"
)

func open(t *testing.T, path string) *near.Folder {
	t.Helper()
	f, err := near.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWhatWasPutComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "near")
	f := open(t, path)
	if _, ok := f.Get("r/s/a", "1"); ok {
		t.Error("something came out of an empty folder")
	}
	f.Put("r/s/a", "1", []byte("one"))
	f.Put("r/s/a", "2", []byte("two"))
	f.Put("r/s/empty", "1", nil)
	for _, again := range []bool{false, true} {
		if again {
			f = open(t, path)
		}
		for _, c := range []struct{ key, version, want string }{{"r/s/a", "1", "one"}, {"r/s/a", "2", "two"}, {"r/s/empty", "1", ""}} {
			if got, ok := f.Get(c.key, providers.Version(c.version)); !ok || string(got) != c.want {
				t.Errorf("%v: %q, %v", c, got, ok)
			}
		}
		if _, ok := f.Get("r/s/a", "3"); ok {
			t.Error("another version came out")
		}
	}
}

func TestDamagedAndMixedUpCopiesAreForgotten(t *testing.T) {
	path := t.TempDir()
	f := open(t, path)
	f.Put("r/s/a", "1", []byte("one"))
	f.Put("r/s/b", "1", []byte("two"))
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 2 {
		t.Fatal(entries, err)
	}
	a, b := filepath.Join(path, entries[0].Name()), filepath.Join(path, entries[1].Name())
	one, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b, one, 0o600); err != nil { // one file in the place of the other
		t.Fatal(err)
	}
	one[0] ^= 1
	if err := os.WriteFile(a, one, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"r/s/a", "r/s/b"} {
		if got, ok := f.Get(key, "1"); ok {
			t.Errorf("%s: %q came out", key, got)
		}
	}
	f.Put("r/s/a", "1", []byte("one"))
	if got, ok := f.Get("r/s/a", "1"); !ok || string(got) != "one" {
		t.Errorf("after it was put again: %q, %v", got, ok)
	}
}

func TestTrimKeepsWhatWasAskedFor(t *testing.T) {
	path := t.TempDir()
	f := open(t, path)
	f.Put("r/s/a", "1", []byte("one"))
	f.Put("r/s/b", "1", []byte("two"))
	f = open(t, path)
	if _, ok := f.Get("r/s/b", "1"); !ok {
		t.Fatal("lost")
	}
	f.Put("r/s/c", "1", []byte("three"))
	if err := f.Trim(); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"r/s/a": false, "r/s/b": true, "r/s/c": true} {
		if _, ok := f.Get(key, "1"); ok != want {
			t.Errorf("%s: %v, want %v", key, ok, want)
		}
	}
}
