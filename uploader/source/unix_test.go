//go:build unix

package source_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"offsite/uploader/source"
)

func TestScanKeepsBytesThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "darwin" {
		t.Skip("the file system refuses such names")
	}
	set := scanRoot(t, tree(t, "caf\xe9/r\xf6ntgen\xff.dcm", "new\nline", "back\\slash"))
	expect(t, listing(set), []string{"back\\slash", "caf\xe9/", "caf\xe9/r\xf6ntgen\xff.dcm", "new\nline"})
	for e := range set.Entries() {
		if e.Type == source.TypeFile {
			f, err := set.Open(e)
			must(t, err)
			must(t, f.Close())
		}
	}
}

func TestScanListsOtherThingsAndNeverOpensThem(t *testing.T) {
	t.Parallel()
	root := tree(t, "file")
	must(t, unix.Mkfifo(filepath.Join(root, "pipe"), 0o644))
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(sock)
	must(t, unix.Bind(sock, &unix.SockaddrUnix{Name: filepath.Join(root, "socket")}))
	set := scanRoot(t, root)
	expect(t, listing(set), []string{"file", "pipe (other)", "socket (other)"})
	for _, name := range []string{"pipe", "socket"} {
		e, _ := set.Find(name)
		if _, err := set.Open(e); !errors.Is(err, source.ErrNotRegular) {
			t.Errorf("open %s: %v", name, err)
		}
	}
	// A file that becomes a pipe after the listing must not make the reader hang.
	e, _ := set.Find("file")
	must(t, os.Remove(filepath.Join(root, "file")))
	must(t, unix.Mkfifo(filepath.Join(root, "file"), 0o644))
	if _, err := set.Open(e); !errors.Is(err, source.ErrNotRegular) {
		t.Errorf("open a swapped file: %v", err)
	}
}

func TestScanKeepsOwnersAndBits(t *testing.T) {
	t.Parallel()
	root := tree(t, "file")
	path := filepath.Join(root, "file")
	must(t, os.Chmod(path, 0o640|os.ModeSetgid))
	e := scanRoot(t, root).At(0)
	if e.Mode != 0o2640 || e.UID != uint32(os.Getuid()) {
		t.Errorf("got %+v", e)
	}
}

// TestScanDeeperThanAPathCanBe nests folders until no system call can name the
// path any more.
func TestScanDeeperThanAPathCanBe(t *testing.T) {
	t.Parallel()
	const depth, name = 60, 200
	root := tree(t)
	seg := strings.Repeat("d", name)
	at, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for range depth {
		must(t, unix.Mkdirat(at, seg, 0o755))
		next, err := unix.Openat(at, seg, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		must(t, unix.Close(at))
		at = next
	}
	fd, err := unix.Openat(at, "file", unix.O_CREAT|unix.O_WRONLY, 0o644)
	must(t, err)
	must(t, unix.Close(fd))
	must(t, unix.Close(at))
	set := scanRoot(t, root)
	path := strings.Repeat(seg+"/", depth) + "file"
	e, ok := set.Find(path)
	if !ok || len(path) < 12000 {
		t.Fatalf("%d entries, and the deepest is missing", set.Len())
	}
	f, err := set.Open(e)
	must(t, err)
	must(t, f.Close())
}

func TestScanReportsNestingBeyondTheLimit(t *testing.T) {
	t.Parallel()
	root := tree(t)
	at, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for range source.MaxDepth + 5 {
		must(t, unix.Mkdirat(at, "d", 0o755))
		next, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		must(t, unix.Close(at))
		at = next
	}
	must(t, unix.Close(at))
	set := scanRoot(t, root)
	if n := set.Totals(); n.Unreadable != 1 || n.Dirs != source.MaxDepth+1 {
		t.Errorf("got %+v", n)
	}
}

// asNobody runs the test again in a process that has no right to read everything.
// It reports whether this is that process.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		return true
	}
	dir, err := os.MkdirTemp("", "nobody")
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o755))
	self, err := os.Executable()
	must(t, err)
	code, err := os.ReadFile(self)
	must(t, err)
	copied := filepath.Join(dir, "copy.test")
	must(t, os.WriteFile(copied, code, 0o755))
	work := filepath.Join(dir, "work")
	must(t, os.Mkdir(work, 0o777))
	must(t, os.Chown(work, 65534, 65534))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, copied, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TMPDIR="+work)
	cmd.Dir = work
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as another user: %v\n%s", err, out)
	}
	return false
}

func TestScanReportsFoldersThatCannotBeRead(t *testing.T) {
	if !asNobody(t) {
		return
	}
	root := tree(t, "closed/hidden", "names only/x", "pass/y", "ok")
	modes := map[string]os.FileMode{"closed": 0, "names only": 0o400, "pass": 0o300}
	for name, mode := range modes {
		must(t, os.Chmod(filepath.Join(root, name), mode))
		defer os.Chmod(filepath.Join(root, name), 0o700)
	}
	set := scanRoot(t, root)
	expect(t, listing(set), []string{"closed/ !", "names only/", "names only/x (other) !", "ok", "pass/ !"})
	if n := set.Totals().Unreadable; n != 3 {
		t.Errorf("%d unreadable, want 3", n)
	}
	for e := range set.Entries() {
		if e.Err != nil && (!errors.Is(e.Err, os.ErrPermission) || strings.Contains(e.Err.Error(), e.Path)) {
			t.Errorf("%s: %v", e.Path, e.Err)
		}
	}
	must(t, os.Chmod(filepath.Join(root, "ok"), 0))
	set = scanRoot(t, root)
	e, _ := set.Find("ok")
	if _, err := set.Open(e); !errors.Is(err, os.ErrPermission) || strings.Contains(err.Error(), root) {
		t.Errorf("open a file without permission: %v", err)
	}
	must(t, os.Chmod(root, 0))
	defer os.Chmod(root, 0o700)
	_, err := source.Scan(t.Context(), one(root))
	if !errors.Is(err, source.ErrRootUnreadable) || !errors.Is(err, os.ErrPermission) {
		t.Errorf("a root that cannot be read: %v", err)
	}
}

// TestScanReadsWhatBelongsToOthers covers the second try without O_NOATIME, which
// is for the owner alone.
func TestScanReadsWhatBelongsToOthers(t *testing.T) {
	if os.Getuid() == 0 && !asNobody(t) {
		return
	}
	root := "/usr/share/zoneinfo" // which no other test installs anything into
	if info, err := os.Lstat(root); err != nil || !info.IsDir() {
		root = "/usr/share"
	}
	set := scanRoot(t, root)
	for e := range set.Entries() {
		if e.Type == source.TypeFile && e.Err == nil {
			f, err := set.Open(e)
			must(t, err)
			must(t, f.Unchanged())
			must(t, f.Close())
			return
		}
	}
}
