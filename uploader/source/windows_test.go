//go:build windows

package source_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"offsite/uploader/source"
)

// openWriter opens a file for writing, as a backup program does that lets others
// read meanwhile.
func openWriter(t *testing.T, path string, share uint32) windows.Handle {
	t.Helper()
	name, err := windows.UTF16PtrFromString(path)
	must(t, err)
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, share, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	must(t, err)
	return h
}

func TestWindowsFilesThatAreHeldOpenAreNoticed(t *testing.T) {
	root := tree(t, "a", "sub/held", "z")
	h := openWriter(t, filepath.Join(root, "sub", "held"), windows.FILE_SHARE_READ)
	opt := source.WaitOptions{Layout: layout(source.Folder, root), Quiet: 20 * time.Millisecond, Limit: 200 * time.Millisecond, Now: time.Now}
	_, err := source.Wait(t.Context(), opt)
	if !errors.Is(err, source.ErrOpen) || strings.Contains(err.Error(), "held\\") {
		t.Errorf("got %v", err)
	}
	must(t, windows.CloseHandle(h))
	opt.Limit = time.Minute
	if _, err := source.Wait(t.Context(), opt); err != nil {
		t.Errorf("after it was closed: %v", err)
	}
}

func TestWindowsReadersDoNotStopWriters(t *testing.T) {
	root := tree(t, "a")
	set := scanRoot(t, root)
	f, err := set.Open(set.At(0))
	must(t, err)
	h := openWriter(t, filepath.Join(root, "a"), windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE)
	must(t, windows.CloseHandle(h))
	must(t, f.Close())
}

func TestWindowsFilesThatNobodyMayReadAreErrors(t *testing.T) {
	root := tree(t, "a")
	set := scanRoot(t, root)
	h := openWriter(t, filepath.Join(root, "a"), 0)
	defer windows.CloseHandle(h)
	if _, err := set.Open(set.At(0)); !errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		t.Errorf("got %v", err)
	}
}

// A virus scanner lets go after a moment.
func TestWindowsFilesThatAreHeldForAMomentAreTriedAgain(t *testing.T) {
	root := tree(t, "a")
	h := openWriter(t, filepath.Join(root, "a"), 0)
	var waited time.Duration
	opt := one(root)
	opt.Pause = func(d time.Duration) {
		if waited += d; waited > time.Second {
			_ = windows.CloseHandle(h)
		}
	}
	set := scan(t, opt)
	f, err := set.Open(set.At(0))
	must(t, err)
	must(t, f.Close())
	if waited < time.Second || waited > 3*time.Second {
		t.Errorf("waited %v", waited)
	}
	h = openWriter(t, filepath.Join(root, "a"), 0)
	defer windows.CloseHandle(h)
	waited = -time.Hour
	if _, err := set.Open(set.At(0)); !errors.Is(err, windows.ERROR_SHARING_VIOLATION) || waited > 10*time.Second-time.Hour {
		t.Errorf("held for good: %v after %v", err, waited+time.Hour)
	}
}

// A listing shows the size of a file as it was until its writer closes it.
func TestWindowsRecheckAsksOpenFilesThemselves(t *testing.T) {
	root := tree(t, "a", "b")
	set := scanRoot(t, root)
	h := openWriter(t, filepath.Join(root, "b"), windows.FILE_SHARE_READ)
	defer windows.CloseHandle(h)
	var n uint32
	must(t, windows.WriteFile(h, []byte("more than before"), &n, nil))
	changes, err := set.Recheck(t.Context())
	must(t, err)
	if len(changes) != 1 || changes[0].Path != "b" {
		t.Errorf("got %v", changes)
	}
}

func TestWindowsLongPathsAreListedReadAndTested(t *testing.T) {
	root := tree(t)
	long := filepath.Join(root, strings.Repeat("a", 100), strings.Repeat("b", 100), strings.Repeat("c", 100))
	must(t, os.MkdirAll(`\\?\`+long, 0o755))
	must(t, os.WriteFile(`\\?\`+filepath.Join(long, "file"), []byte("x"), 0o644))
	set := scanRoot(t, root)
	if set.Totals().Files != 1 {
		t.Fatalf("%+v", set.Totals())
	}
	for e := range set.Entries() {
		if e.Type == source.TypeFile {
			f, err := set.Open(e)
			must(t, err)
			must(t, f.Close())
		}
	}
	name, err := windows.UTF16PtrFromString(`\\?\` + filepath.Join(long, "file"))
	must(t, err)
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, windows.FILE_SHARE_READ, nil, windows.OPEN_EXISTING, 0, 0)
	must(t, err)
	defer windows.CloseHandle(h)
	opt := source.WaitOptions{Layout: layout(source.Folder, root), Quiet: 20 * time.Millisecond, Limit: 200 * time.Millisecond, Now: time.Now}
	if _, err := source.Wait(t.Context(), opt); !errors.Is(err, source.ErrOpen) {
		t.Errorf("a writer behind a long path: %v", err)
	}
}

func TestWindowsVolumesHaveASerialNumber(t *testing.T) {
	set := scanRoot(t, tree(t, "a"))
	if v := set.Volumes()[0]; len(v.Serial) != 9 || v.Serial[4] != '-' || v.Type == "" {
		t.Errorf("got %+v", v)
	}
}

func TestWindowsPathsAreSpelledInOneWay(t *testing.T) {
	for path, want := range map[string]string{
		`C:\Data\Copy`:                  `c:\data\copy`,
		`C:/Data/Copy/`:                 `c:\data\copy`,
		`\\?\C:\Data\Copy`:              `c:\data\copy`,
		`\\Server\EXACTData\copy`:       `\\server\exactdata\copy`,
		`\\?\UNC\Server\EXACTData\copy`: `\\server\exactdata\copy`,
	} {
		if got := source.Spelled(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// The same folder by a drive letter and by its long name is the same folder.
func TestWindowsLiveDataIsKnownByOtherNames(t *testing.T) {
	root := tree(t, "live/a", "copy/b")
	for _, live := range []string{`\\?\` + filepath.Join(root, "live"), strings.ToUpper(filepath.Join(root, "live"))} {
		l := layout(source.Folder, filepath.Join(root, "live"))
		l.Scan.Live = []string{live}
		if _, err := l.Newest(t.Context()); !errors.Is(err, source.ErrLive) {
			t.Errorf("%s: %v", live, err)
		}
	}
}
