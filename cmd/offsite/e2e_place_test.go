package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests in files that begin with e2e run the real program in processes of its
// own: this test binary under the name offsite, which TestMain makes.

// A recovery holder with a key is unlocked at once; a passphrase takes a second.
const (
	holderPublic  = "age1jq0nh9p3l98eqet26pwepr5kgm7tlse4d3psr4vtmmx7dq3xgfzqu4nqtr"
	holderPrivate = "AGE-SECRET-KEY-1J66KT6K2HMX24WMH3JTMUFJ9U742X4RS00EJ7N7U829KLMHC9RXSAVNHLR\n"
)

// longEnough is how long a test waits for what must come, however busy the computer.
const longEnough = 5 * time.Minute

// place is a practice: a source, one or two stores and a configuration, in a
// folder of its own.
type place struct {
	t      *testing.T
	home   string
	source string   // the first source
	store  string   // the first store
	key    string   // file with the restore key
	env    []string // beside PATH and the folder for temporary files
}

// result is what a run of the program left.
type result struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// newPlace sets a practice up with init. Without sources it makes an empty one.
func newPlace(t *testing.T, sources ...string) *place {
	t.Helper()
	home := t.TempDir()
	p := &place{t: t, home: home, source: filepath.Join(home, "source"), store: filepath.Join(home, "store"), key: filepath.Join(home, "restore.key")}
	if len(sources) == 0 {
		must(t, os.Mkdir(p.source, 0o755))
		sources = []string{p.source}
	}
	p.source = sources[0]
	args := []string{"init", "--store", "dir:" + p.store, "--holder", holderPublic}
	for _, s := range sources {
		args = append(args, "--source", s)
	}
	p.want(exitDone, args...)
	holder := p.file("holder.key", holderPrivate)
	var sheet struct {
		Key string `json:"restore_key"`
	}
	p.want(exitDone, "key", "sheet", "--holder-key", holder, "--json").into(t, &sheet)
	p.file("restore.key", sheet.Key+"\n")
	return p
}

// noonZone is a time zone in which it is about noon: no business day ends while a
// test runs that wants the runs of one day.
func noonZone() string {
	if west := time.Now().UTC().Hour() - 12; west != 0 {
		return fmt.Sprintf("Etc/GMT%+d", west)
	}
	return "Etc/UTC"
}

func (p *place) config() string { return filepath.Join(p.home, "offsite.yaml") }

// path joins names to the place's folder.
func (p *place) path(names ...string) string {
	return filepath.Join(append([]string{p.home}, names...)...)
}

// file writes a file below the place and returns its path.
func (p *place) file(name, text string) string {
	p.t.Helper()
	path := p.path(filepath.FromSlash(name))
	must(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(p.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// configure replaces text in the configuration.
func (p *place) configure(old, new string) {
	p.t.Helper()
	text, err := os.ReadFile(p.config())
	must(p.t, err)
	if !bytes.Contains(text, []byte(old)) {
		p.t.Fatalf("the configuration has no %q", old)
	}
	must(p.t, os.WriteFile(p.config(), bytes.Replace(text, []byte(old), []byte(new), 1), 0o644))
}

// command is the program with the place's configuration, not started yet.
func (p *place) command(args ...string) *exec.Cmd {
	p.t.Helper()
	c := exec.CommandContext(p.t.Context(), "offsite", append([]string{"--config", p.config()}, args...)...)
	c.Dir = p.home
	c.Env = p.environ()
	return c
}

// noSleep keeps a program that was built with the race detector from waiting for a
// second before it exits.
const noSleep = "GORACE=atexit_sleep_ms=0"

// environ is what the program may see: nothing of the person who runs the tests.
func (p *place) environ() []string {
	env := append(slices.Clone(p.env), noSleep)
	for _, name := range []string{"PATH", "SystemRoot", "GOCOVERDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		env = append(env, name+"="+p.home)
	}
	return env
}

// run runs the program and returns what it left. A crash is always an error.
func (p *place) run(args ...string) result {
	p.t.Helper()
	return p.finish(p.command(args...))
}

func (p *place) finish(c *exec.Cmd) result {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	start := time.Now()
	err := c.Run()
	r := result{code: exitOf(p.t, err), stdout: stdout.String(), stderr: stderr.String(), took: time.Since(start)}
	if strings.Contains(r.stderr, "panic: ") || strings.Contains(r.stderr, "DATA RACE") || strings.Contains(r.stderr, "fatal error: ") {
		p.t.Fatalf("%v: it crashed\n%s", c.Args, r.stderr)
	}
	return r
}

// exitOf returns the exit code that a command ended with, -1 for a signal.
func exitOf(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		return exit.ExitCode()
	}
	return exitDone
}

// want runs the program and wants an exit code.
func (p *place) want(code int, args ...string) result {
	p.t.Helper()
	r := p.run(args...)
	if r.code != code {
		p.t.Fatalf("offsite %s: exit %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	return r
}

// restore restores a day in full and returns the folder.
func (p *place) restore(code int, day, to string, more ...string) (string, result) {
	p.t.Helper()
	to = p.path(to)
	return to, p.want(code, append([]string{"restore", day, "--to", to, "--restore-key", p.key}, more...)...)
}

// into reads the one JSON object that the program answered with.
func (r result) into(t *testing.T, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(r.stdout))
	if err := d.Decode(v); err != nil {
		t.Fatalf("the answer is not JSON: %v\n%s", err, r.stdout)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("something stands behind the JSON object\n%s", r.stdout)
	}
}

// says wants texts on standard error.
func (r result) says(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("no %q in\n%s", text, r.stderr)
		}
	}
}

// must ends the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fileFacts is what must come back of one entry.
type fileFacts struct {
	mode   fs.FileMode
	mtime  int64
	size   int64
	sum    [sha256.Size]byte
	target string
	owner  string
}

// facts reads a folder: everything below it, by its path.
func facts(t *testing.T, root string) map[string]fileFacts {
	t.Helper()
	out := map[string]fileFacts{}
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		f := fileFacts{mode: info.Mode(), mtime: info.ModTime().UnixNano(), owner: ownerOf(info)}
		switch info.Mode().Type() {
		case 0:
			f.size = info.Size()
			f.sum, err = sumFile(path)
		case fs.ModeSymlink:
			f.target, err = os.Readlink(path)
		case fs.ModeDir:
		default:
			return nil // pipes and sockets are not saved
		}
		out[rel] = f
		return err
	}))
	return out
}

func sumFile(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// equal compares two readings of a folder.
func equal(t *testing.T, want, got map[string]fileFacts) {
	t.Helper()
	wrong := 0
	tell := func(format string, args ...any) {
		if wrong++; wrong <= 20 {
			t.Errorf(format, args...)
		}
	}
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			tell("%q did not come back", name)
		} else if w != g {
			tell("%q came back as %s, was %s", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			tell("%q came back and was not there", name)
		}
	}
	if wrong > 20 {
		t.Errorf("and %d more", wrong-20)
	}
}

func (f fileFacts) String() string {
	return fmt.Sprintf("%v %d bytes %s %s %x %q", f.mode, f.size, time.Unix(0, f.mtime).UTC().Format(time.RFC3339Nano), f.owner, f.sum[:4], f.target)
}

// goFolder asks the go command for a folder.
func goFolder(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", args...).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}
