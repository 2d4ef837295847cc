//go:build unix

package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// oddTree makes a folder that holds whatever a name, a mode, a time or a link can be.
func oddTree(t *testing.T, root, outside string) {
	t.Helper()
	old := time.Date(1969, 7, 20, 20, 17, 40, 123456789, time.UTC)
	put := func(name, text string, mode fs.FileMode, mtime time.Time) {
		t.Helper()
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o600))
		must(t, os.Chmod(path, mode))
		must(t, os.Chtimes(path, mtime, mtime))
	}
	day := time.Date(2026, 11, 20, 18, 40, 0, 987654321, time.UTC)
	names := []string{
		"two words", " leading", "trailing ", "dots...", "-rf", "a\nb", "tab\t", `back\slash`, `C:\con`, "*?<>|", `"quoted"`, "aux", "NUL.txt",
		"\x1b[31mred", "Zoë and Zoe\u0308", "e\u0301.jpg", "\u00e9.jpg", "X-ray 歯 🦷.dcm", "\u202egpj.exe", "UPPER", "upper",
		".hidden", ".lease", "x.lease", "x.tmp", "offsite.json",
		strings.Repeat("n", 255), strings.Repeat("é", 127),
	}
	if runtime.GOOS == "linux" {
		names = append(names, "latin1 Zo\xeb", "\xff\xfe", "broken \xc3")
	}
	if runtime.GOOS == "darwin" {
		names = []string{"two words", "-rf", "a\nb", "\u00e9.jpg", strings.Repeat("n", 255)} // names fold there
	}
	for i, n := range names {
		put(filepath.Join("names", n), strings.Repeat(n, i), 0o644, day.Add(time.Duration(i)*time.Second))
		must(t, os.MkdirAll(filepath.Join(root, "folders", n), 0o755))
	}
	deep := strings.Repeat("folder with a long name/", 60) // 1,440 bytes
	put(filepath.Join("deep", deep, "bottom.txt"), "bottom", 0o600, day)
	put(filepath.Join(strings.Repeat("w", 250), strings.Repeat("x", 250), strings.Repeat("y", 250)), "wide", 0o600, day)
	put("empty", "", 0o644, old)
	put("empty too", "", 0o600, day)
	must(t, os.MkdirAll(filepath.Join(root, "no", "files", "here"), 0o750))
	for _, m := range []fs.FileMode{0o000, 0o111, 0o400, 0o444, 0o777, 0o755 | fs.ModeSetuid, 0o755 | fs.ModeSetgid, 0o644 | fs.ModeSticky} {
		if os.Geteuid() == 0 || m&0o400 != 0 { // others could not be read by the one who saves
			put("mode "+m.String(), "mode", m, day)
		}
	}
	for i, at := range []time.Time{old, time.Unix(0, 0), time.Date(2106, 2, 7, 6, 28, 17, 1, time.UTC)} {
		put("time "+string(rune('a'+i)), "time", 0o644, at)
	}
	put("pages.sqlite", "SQLite format 3\x00"+string(make([]byte, 300<<10))+"end", 0o644, day)
	put("zeros.bin", string(make([]byte, 1<<20)), 0o644, day)
	put("large.bin", string(noise(1, 9<<20)), 0o644, day)
	must(t, os.Link(filepath.Join(root, "large.bin"), filepath.Join(root, "second name of large.bin")))
	for name, target := range map[string]string{
		"to a file": "empty", "to a folder": "names", "to the outside": filepath.Join(outside, "secret.txt"), "up": "../" + filepath.Base(outside),
		"to the root": "/", "itself": "itself", "loop/a": "b", "loop/b": "a", "around": ".", "dangling": "no such file", "long": strings.Repeat("x/", 2000),
		"bytes": "\xff", "names/link": "../loop",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, "links", name)), 0o755))
		must(t, os.Symlink(target, filepath.Join(root, "links", name)))
	}
	must(t, unix.Mkfifo(filepath.Join(root, "pipe"), 0o644)) // must not be waited for
	readOnly := filepath.Join(root, "read only")
	must(t, os.Mkdir(readOnly, 0o755))
	put("read only/file", "x", 0o444, day)
	must(t, os.Chmod(readOnly, 0o555))
	t.Cleanup(func() { os.Chmod(readOnly, 0o755) }) // so that it can be removed
	must(t, os.Chmod(filepath.Join(root, "no"), 0o777|fs.ModeSticky))
	must(t, os.Chtimes(filepath.Join(root, "no"), old, old))
}

func TestOddNamesModesTimesAndLinksComeBackEqual(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	outside := p.path("outside")
	secret := []byte("SECRET " + string(noise(2, 4096)))
	must(t, os.Mkdir(outside, 0o755))
	must(t, os.WriteFile(filepath.Join(outside, "secret.txt"), secret, 0o600))
	oddTree(t, p.source, outside)
	var saved runAnswer
	r := p.want(exitDone, "run", "--wait", "0s", "--json")
	r.into(t, &saved)
	if strings.Contains(r.stdout, "[31m") || strings.ContainsAny(r.stderr, "\x1b\x00") {
		t.Errorf("a name from the source stands in the answer, or reaches the terminal\n%s%s", r.stdout, r.stderr)
	}
	if len(saved.Findings) == 0 {
		t.Error("nothing was said of the links and the pipe")
	}
	back, r := p.restore(exitDone, "latest", "back")
	if r.stderr != "" {
		t.Errorf("restore said\n%s", r.stderr)
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(back, "read only"), 0o755) })
	want, got := facts(t, p.source), facts(t, back)
	if os.Geteuid() != 0 { // these bits come back only with the owner, which root alone can give
		for name, f := range want {
			f.mode &^= fs.ModeSetuid | fs.ModeSetgid
			want[name] = f
		}
	}
	equal(t, want, got)
	if _, err := os.Lstat(filepath.Join(back, "pipe")); err == nil {
		t.Error("a pipe came back")
	}
	for name, f := range got {
		if f.size == int64(len(secret)) {
			t.Errorf("%q has the size of a file outside of the source", name)
		}
	}
	sparse(t, filepath.Join(back, "zeros.bin"), 0)
	sparse(t, filepath.Join(back, "pages.sqlite"), 64<<10)
	p.want(exitNothingNew, "run", "--wait", "0s")
	p.want(exitDone, "check", "--depth", "bytes", "--restore-key", p.key)
	r = p.want(exitDone, "ls", "latest", "names", "--restore-key", p.key)
	if strings.ContainsAny(r.stdout, "\x1b\x00") || !utf8.ValidString(r.stdout) || !strings.Contains(r.stdout, "🦷") {
		t.Errorf("names are shown as\n%q", r.stdout)
	}
	// One of them alone, by the name that ls shows.
	part, _ := p.restore(exitDone, "latest", "part", "names/two words", "deep")
	if b, err := os.ReadFile(filepath.Join(part, "names", "two words")); err != nil || !bytes.Equal(b, nil) {
		t.Errorf("%q, %v", b, err)
	}
}

// sparse wants a file to take no more room than that, if the file system can do it.
func sparse(t *testing.T, path string, most int64) {
	t.Helper()
	var s syscall.Stat_t
	must(t, syscall.Stat(path, &s))
	if room := s.Blocks * 512; room > most && holesIn(t, filepath.Dir(path)) {
		t.Errorf("%s takes %d bytes, more than %d", filepath.Base(path), room, most)
	}
}

// holesIn says whether the file system of a folder has sparse files.
func holesIn(t *testing.T, folder string) bool {
	t.Helper()
	f, err := os.CreateTemp(folder, "holes")
	must(t, err)
	defer os.Remove(f.Name())
	defer f.Close()
	must(t, f.Truncate(1<<20))
	var s syscall.Stat_t
	must(t, syscall.Fstat(int(f.Fd()), &s))
	return s.Blocks*512 < 1<<20
}

// Paths that no system call takes in one piece come back, too.
func TestPathsLongerThanTheSystemTakesComeBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const levels = 40
	name := strings.Repeat("d", 200) // 40 of them are 8,000 bytes, the limit is 4,096
	at := func(root string, do func(r *os.Root)) {
		r, err := os.OpenRoot(root)
		must(t, err)
		for range levels {
			if err := r.Mkdir(name, 0o755); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
			next, err := r.OpenRoot(name)
			must(t, err)
			r.Close()
			r = next
		}
		do(r)
		r.Close()
	}
	at(p.source, func(r *os.Root) { must(t, r.WriteFile("bottom.txt", []byte("reached"), 0o600)) })
	p.want(exitDone, "run", "--wait", "0s")
	p.want(exitNothingNew, "run", "--wait", "0s")
	back, _ := p.restore(exitDone, "latest", "back")
	at(back, func(r *os.Root) {
		if b, err := r.ReadFile("bottom.txt"); err != nil || string(b) != "reached" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

// asOther makes a command of the place run as a user who is not root, and gives
// the place to that user. Without being root it runs as who it is.
func (p *place) asOther() func(args ...string) result {
	p.t.Helper()
	if os.Geteuid() != 0 {
		return p.run
	}
	const nobody = 65534
	// The folders that Go makes for tests can be entered by their owner alone.
	must(p.t, os.Chmod(filepath.Dir(p.home), 0o755))
	program, err := os.ReadFile(must2(exec.LookPath("offsite"))(p.t))
	must(p.t, err)
	mine := p.path("bin", "offsite")
	must(p.t, os.MkdirAll(filepath.Dir(mine), 0o755))
	must(p.t, os.WriteFile(mine, program, 0o755))
	must(p.t, filepath.WalkDir(p.home, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	}))
	return func(args ...string) result {
		p.t.Helper()
		c := p.command(args...)
		c.Path = mine
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return p.finish(c)
	}
}

func must2[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T { t.Helper(); must(t, err); return v }
}

// What cannot be read is named on the console, and nothing is committed: a day
// without some of its files must not pass for one.
func TestUnreadableFilesAreNamedAndNothingIsCommitted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, object string
		mode         fs.FileMode
	}{
		{"a file", "images/p1/x-ray.jpg", 0o000},
		{"a folder that cannot be listed", "images/p1", 0o100},
		{"a folder that cannot be entered", "images/p1", 0o400},
		{"the source itself", "", 0o000},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			p.t = t
			p.file("source/patients.fs5", "patients")
			p.file("source/images/p1/x-ray.jpg", "pixels")
			offsite := p.asOther()
			if r := offsite("run", "--wait", "0s"); r.code != exitDone {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
			p.file("source/patients.fs5", "patients, and one more")
			object := filepath.Join(p.source, c.object)
			must(t, os.Chmod(object, c.mode))
			t.Cleanup(func() { os.Chmod(object, 0o755) })
			if os.Geteuid() == 0 {
				must(t, os.Chown(p.path("source", "patients.fs5"), 65534, 65534))
			}
			r := offsite("run", "--wait", "0s", "--json")
			if r.code != exitIncomplete {
				t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			var ans struct{ Error errorObject }
			r.into(t, &ans)
			if ans.Error.Exit != exitIncomplete || strings.Contains(r.stdout, "x-ray") {
				t.Errorf("answer %s", r.stdout)
			}
			r.says(t, filepath.ToSlash(c.object))
			var h history
			p.want(exitDone, "days", "--json").into(t, &h)
			if len(h.Days) != 1 {
				t.Errorf("%d days are stored", len(h.Days))
			}
			must(t, os.Chmod(object, 0o755))
			if r := offsite("run", "--wait", "0s"); r.code != exitDone {
				t.Errorf("when it could be read again: exit %d\n%s", r.code, r.stderr)
			}
		})
	}
}
