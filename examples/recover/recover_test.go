//go:build unix

package recover_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"offsite/manifest/seal"
)

const (
	exitOther   = 1
	exitDamaged = 6
)

var shared struct {
	sync.Once
	root   string
	store  *copied
	path   string // PATH with age in front
	python string // the interpreter itself, as wrappers take their time
	b3sum  string // folder of a b3sum
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		root, err := os.MkdirTemp("", "recover")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer removeAll(root)
		shared.root = root
		return m.Run()
	}())
}

// removeAll removes folders that nobody may write to as well.
func removeAll(root string) {
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(root)
}

// setUp builds the programs and the store once for all tests. Without the
// programs the tests fail: a skipped test would look like a passed one.
func setUp(t *testing.T) *copied {
	t.Helper()
	shared.Do(func() {
		for _, program := range []string{"python3", "zstd"} {
			if _, err := exec.LookPath(program); err != nil {
				t.Fatalf("%s is not installed; .ci/tools installs what these tests need", program)
			}
		}
		out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
		check(t, err)
		shared.python = strings.TrimSpace(string(out))
		bin := filepath.Join(shared.root, "bin")
		shared.b3sum = filepath.Join(shared.root, "b3sum")
		for pkg, dir := range map[string]string{"filippo.io/age/cmd/age": bin, "./testdata/b3sum": shared.b3sum} {
			check(t, os.MkdirAll(dir, 0o755))
			if out, err := exec.Command("go", "build", "-o", dir+"/", pkg).CombinedOutput(); err != nil {
				t.Fatalf("build %s: %v\n%s", pkg, err, out)
			}
		}
		shared.path = bin + string(os.PathListSeparator) + os.Getenv("PATH")
		shared.store = newStore(t, shared.root)
	})
	if shared.store == nil {
		t.Fatal("the store or the programs could not be made; see the first test that failed")
	}
	return shared.store
}

// damageable is the store in a folder of its own, for a test that damages it.
func damageable(t *testing.T) *copied {
	t.Helper()
	c := *setUp(t)
	store := filepath.Join(t.TempDir(), "store")
	check(t, os.CopyFS(store, os.DirFS(c.store)))
	c.store = store
	return &c
}

type result struct {
	stdout, stderr string
	code           int
}

// run starts a Python program, with programs from the folder first before all others.
func run(t *testing.T, first string, args ...string) result {
	t.Helper()
	setUp(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, shared.python, args...)
	cmd.Env = append(os.Environ(), "PATH="+strings.TrimPrefix(first+":"+shared.path, ":"), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if strings.Contains(errs.String(), "Traceback") {
		t.Errorf("it crashed:\n%s", errs.String())
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// target is a folder to restore into, not made yet.
func target(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(shared.root, "target")
	check(t, err)
	t.Cleanup(func() { removeAll(dir) })
	return filepath.Join(dir, "restored")
}

func (c *copied) restore(t *testing.T, to string, args ...string) result {
	t.Helper()
	return run(t, "", append([]string{"recover.py", c.store, "restore", "--to", to, "--restore-key", c.restoreKey}, args...)...)
}

func (r result) want(t *testing.T, code int, words ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.stdout+r.stderr, w) {
			t.Errorf("it does not say %q:\n%s%s", w, r.stdout, r.stderr)
		}
	}
}

// tree describes everything below root but root itself.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	check(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		info, err := d.Info()
		check(t, err)
		content := ""
		switch {
		case d.Type() == fs.ModeSymlink:
			content, err = os.Readlink(p)
		case d.Type().IsRegular():
			var data []byte
			data, err = os.ReadFile(p)
			content = string(data)
		}
		check(t, err)
		rel, err := filepath.Rel(root, p)
		check(t, err)
		found[rel] = fmt.Sprintf("%v %v %s", info.Mode(), info.ModTime().UnixNano(), content)
		return nil
	}))
	return found
}

// differing are the names that are not the same on both sides.
func differing(want, got map[string]string) []string {
	var names []string
	for name := range want {
		if got[name] != want[name] {
			names = append(names, name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func sameTree(t *testing.T, want, got string) {
	t.Helper()
	w, g := tree(t, want), tree(t, got)
	for _, name := range differing(w, g) {
		t.Errorf("%q differs: want %.80q, got %.80q", name, w[name], g[name])
	}
}

// show is how recover.py prints a stored name.
func show(name string) string {
	var b strings.Builder
	for i, r := range name {
		if _, n := utf8.DecodeRuneInString(name[i:]); r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, name[i])
		} else if !unicode.IsPrint(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// filesNamedAsDamaged are the files that a message names.
func (r result) filesNamedAsDamaged() []string {
	names := map[string]bool{}
	for line := range strings.Lines(r.stderr) {
		if rest, ok := strings.CutPrefix(line, "damaged: file "); ok && !strings.HasPrefix(rest, "table") {
			names[rest[:strings.LastIndex(rest, ": ")]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// lostAndNamed checks that exactly the files that are not as they were are named,
// that what is left of them has another name, and that some are well. It returns
// how many were lost.
func lostAndNamed(t *testing.T, r result, source, to string) int {
	t.Helper()
	want, got := tree(t, source), tree(t, to)
	lost := []string{}
	for _, name := range differing(want, got) {
		if base, ok := strings.CutSuffix(name, ".damaged"); ok {
			if _, whole := got[base]; whole {
				t.Errorf("%q is there whole and damaged", base)
			}
			continue
		}
		if _, there := got[name]; there {
			t.Errorf("%q was restored with other content", name)
		}
		lost = append(lost, show(name))
	}
	slices.Sort(lost)
	if named := r.filesNamedAsDamaged(); !slices.Equal(lost, named) {
		t.Errorf("lost files\n%q\nnamed are\n%q", lost, named)
	}
	if len(lost) == 0 || len(lost) == len(want) {
		t.Errorf("%d of %d files are lost", len(lost), len(want))
	}
	return len(lost)
}

// objects are the packs ("r/p/*/*") or segments ("r/x/*"), the largest first.
func (c *copied) objects(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(c.store, pattern))
	check(t, err)
	size := func(p string) int64 {
		info, err := os.Stat(p)
		check(t, err)
		return info.Size()
	}
	slices.SortFunc(paths, func(a, b string) int { return int(size(b) - size(a)) })
	if len(paths) == 0 {
		t.Fatalf("no objects like %s", pattern)
	}
	return paths
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	data, err := os.ReadFile(path)
	check(t, err)
	data[(at+int64(len(data)))%int64(len(data))] ^= 0x40
	check(t, os.WriteFile(path, data, 0o600))
}

// reseal changes the plain bytes of an object, as only a mistake of the writer could.
func (c *copied) reseal(t *testing.T, path string, change func(plain []byte)) {
	t.Helper()
	text, err := os.ReadFile(c.restoreKey)
	check(t, err)
	key, err := seal.ParseRestoreKey(text)
	check(t, err)
	sealed, err := os.ReadFile(path)
	check(t, err)
	plain, err := key.Opener().Open(sealed)
	check(t, err)
	change(plain)
	sealed, err = seal.SealTo(key.Recipient(), plain)
	check(t, err)
	check(t, os.WriteFile(path, sealed, 0o600))
}

func TestBothDaysComeBackWithAndWithoutTheIndex(t *testing.T) {
	c := setUp(t)
	for i, day := range c.days {
		for _, mode := range [][]string{nil, {"--no-index"}} {
			t.Run(strings.Join(append([]string{day}, mode...), " "), func(t *testing.T) {
				to := target(t)
				sums := filepath.Join(filepath.Dir(to), "SHA256SUMS")
				r := c.restore(t, to, append([]string{day, "--sums", sums}, mode...)...)
				r.want(t, 0, day, "clean")
				sameTree(t, c.sources[i], to)
				if _, err := exec.LookPath("sha256sum"); err != nil {
					return // not on macOS
				}
				cmd := exec.Command("sha256sum", "--quiet", "--strict", "-c", sums)
				cmd.Dir = to
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("sha256sum -c: %v\n%s", err, out)
				}
			})
		}
	}
}

func TestListShowsTheDaysAndWhatIsMissing(t *testing.T) {
	c := damageable(t)
	check(t, os.WriteFile(filepath.Join(c.store, "r", "s", sourceID, ".00000003"), []byte("of a copying tool"), 0o600))
	r := run(t, "", "recover.py", c.store, "list")
	r.want(t, 0, c.days[0], c.days[1], "all there")
	if n := strings.Count(r.stdout, "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, r.stdout)
	}
	check(t, os.Remove(c.objects(t, "r/p/*/*")[0]))
	run(t, "", "recover.py", c.store, "list").want(t, exitDamaged, "1 missing or cut")
}

func TestAHolderUnlocksTheRestoreKey(t *testing.T) {
	c := setUp(t)
	restore := func(to string, args ...string) []string {
		return append([]string{"recover.py", c.store, "restore", "latest", "--to", to, "--holder"}, args...)
	}
	t.Run("with a key", func(t *testing.T) {
		to := target(t)
		run(t, "", restore(to, "--identity", c.identity)...).want(t, 0)
		sameTree(t, c.sources[1], to)
	})
	t.Run("with a passphrase", func(t *testing.T) {
		to := target(t)
		run(t, "", append([]string{"testdata/terminal.py", passphrase, shared.python}, restore(to, "practice")...)...).want(t, 0)
		sameTree(t, c.sources[1], to)
	})
	t.Run("not with a wrong passphrase", func(t *testing.T) {
		args := append([]string{"testdata/terminal.py", "wrong", shared.python}, restore(target(t))...)
		run(t, "", args...).want(t, exitOther, "no holder's file was unlocked")
	})
	t.Run("not under another name", func(t *testing.T) {
		run(t, "", restore(target(t), "nobody", "--identity", c.identity)...).want(t, exitOther, "no holder's file was unlocked")
	})
}

func TestAKeyCopiedFromPaperIsTaken(t *testing.T) {
	c := *setUp(t)
	text, err := os.ReadFile(c.restoreKey)
	check(t, err)
	_, line, _ := strings.Cut(string(text), "\n")
	c.restoreKey = filepath.Join(t.TempDir(), "typed")
	check(t, os.WriteFile(c.restoreKey, []byte("# mine\r\n"+strings.ToLower(line[:30])+" \r\n\t"+line[30:]+"\r\n"), 0o600))
	c.restore(t, target(t), "latest").want(t, 0)
}

func TestWhatCannotWorkIsSaidWithExitCode1(t *testing.T) {
	c := setUp(t)
	other, err := seal.NewRestoreKey()
	check(t, err)
	wrong := filepath.Join(t.TempDir(), "other.key")
	check(t, os.WriteFile(wrong, other.Text(), 0o600))
	full := target(t)
	check(t, os.MkdirAll(filepath.Join(full, "something"), 0o700))
	base := []string{"recover.py", c.store, "restore"}
	for name, tc := range map[string]struct {
		args []string
		say  string
	}{
		"no such day":        {append(base, "2020-01-01", "--to", target(t), "--restore-key", c.restoreKey), "no such day"},
		"no such source":     {append(base, "latest", "--source", "ff", "--to", target(t), "--restore-key", c.restoreKey), "no such day"},
		"another key":        {append(base, "latest", "--to", target(t), "--restore-key", wrong), "not the key of this store"},
		"not a key":          {append(base, "latest", "--to", target(t), "--restore-key", c.identity), "no restore key"},
		"target not empty":   {append(base, "latest", "--to", full, "--restore-key", c.restoreKey), "not empty"},
		"not a store":        {[]string{"recover.py", filepath.Dir(c.restoreKey), "list"}, "no copy of a store"},
		"no key":             {append(base, "latest", "--to", target(t)), "required"},
		"unknown verb":       {[]string{"recover.py", c.store, "remove"}, "invalid choice"},
		"folder is not made": {append(base, "latest", "--to", c.restoreKey+"/x", "--restore-key", c.restoreKey), "recover.py:"},
	} {
		t.Run(name, func(t *testing.T) { run(t, "", tc.args...).want(t, exitOther, tc.say) })
	}
	t.Run("an old age", func(t *testing.T) {
		bin := t.TempDir()
		check(t, os.WriteFile(filepath.Join(bin, "age"), []byte("#!/bin/sh\necho 1.2.1\n"), 0o755))
		args := append(base, "latest", "--to", target(t), "--restore-key", c.restoreKey)
		run(t, bin, args...).want(t, exitOther, "too old")
	})
}

func TestHelpSaysWhatIsNotChecked(t *testing.T) {
	run(t, "", "recover.py", "--help").want(t, 0, "NOT CHECKED: signatures", "Exit codes")
}

func TestADamagedPackCostsOnlyTheFilesInIt(t *testing.T) {
	for name, damage := range map[string]func(*copied, string){
		"changed": func(_ *copied, p string) { flip(t, p, -100_000) },
		"cut":     func(_ *copied, p string) { check(t, os.Truncate(p, 5000)) },
		"missing": func(_ *copied, p string) { check(t, os.Remove(p)) },
		"another": func(c *copied, p string) {
			data, err := os.ReadFile(c.objects(t, "r/p/*/*")[2])
			check(t, err)
			check(t, os.WriteFile(p, data, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := damageable(t)
			pack := c.objects(t, "r/p/*/*")[0]
			damage(c, pack)
			for _, mode := range [][]string{nil, {"--no-index"}} {
				if mode != nil && name != "changed" {
					continue // once is enough
				}
				to := target(t)
				r := c.restore(t, to, append([]string{"latest"}, mode...)...)
				r.want(t, exitDamaged, "pack "+filepath.Base(pack))
				lostAndNamed(t, r, c.sources[1], to)
			}
		})
	}
}

func TestADamagedFrameCostsOnlyTheFilesInIt(t *testing.T) {
	c := damageable(t)
	pack := c.objects(t, "r/p/*/*")[0]
	c.reseal(t, pack, func(plain []byte) { plain[30] ^= 1 })
	to := target(t)
	r := c.restore(t, to, "latest")
	r.want(t, exitDamaged, "pack "+filepath.Base(pack)+": frame at 16")
	if n := lostAndNamed(t, r, c.sources[1], to); n > 40 {
		t.Errorf("one frame cost %d files", n)
	}
}

func TestADamagedSegmentCostsNothing(t *testing.T) {
	for name, damage := range map[string]func(*copied, string){
		"changed": func(_ *copied, p string) { flip(t, p, -1000) },
		"missing": func(_ *copied, p string) { check(t, os.Remove(p)) },
		"nonsense inside": func(c *copied, p string) {
			c.reseal(t, p, func(plain []byte) { plain[20] ^= 1 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := damageable(t)
			segment := c.objects(t, "r/x/*")[0]
			damage(c, segment)
			to := target(t)
			c.restore(t, to, "latest").want(t, exitDamaged, "index segment "+filepath.Base(segment))
			sameTree(t, c.sources[1], to)
			if name == "changed" {
				c.restore(t, target(t), "latest", "--no-index").want(t, 0)
			}
		})
	}
}

func TestWithB3sumAnObjectMustHaveItsName(t *testing.T) {
	c := damageable(t)
	pack := c.objects(t, "r/p/*/*")[0]
	c.reseal(t, pack, func([]byte) {}) // the same plain bytes, but not the stored ones
	args := func(store, to string) []string {
		return []string{"recover.py", store, "restore", "latest", "--to", to, "--restore-key", c.restoreKey}
	}
	to := target(t)
	r := run(t, shared.b3sum, args(c.store, to)...)
	r.want(t, exitDamaged, "pack "+filepath.Base(pack)+": its bytes do not have its name")
	lostAndNamed(t, r, c.sources[1], to)
	to = target(t)
	run(t, shared.b3sum, args(setUp(t).store, to)...).want(t, 0)
	sameTree(t, c.sources[1], to)
}

func TestRecordsMustFitTogether(t *testing.T) {
	record := func(c *copied, seq int) string {
		return filepath.Join(c.store, "r", "s", sourceID, fmt.Sprintf("%08d", seq))
	}
	for name, tc := range map[string]struct {
		damage  func(*copied)
		say     string
		restore bool
	}{
		"a signature changed": {func(c *copied) { flipLetter(t, record(c, 1), `"sig":"`) }, "00000002: the record before it is not", true},
		"an older record":     {func(c *copied) { check(t, os.Rename(record(c, 2), record(c, 3))) }, "00000003: stands under a wrong key", false},
		"another practice":    {func(c *copied) { flipLetter(t, record(c, 2), `"repository":"`) }, "00000002: belongs to another practice", false},
		"not enrolled":        {func(c *copied) { check(t, os.Remove(glob1(t, c.store+"/keys/pc-*.json"))) }, ".json is missing", true},
		"a newer format":      {func(c *copied) { replace(t, record(c, 2), `"format":1`, `"format":2`) }, "written in format 2", false},
		"a pin that leads out": {func(c *copied) {
			replace(t, record(c, 2), `"segments":["`, `"segments":["../../`)
		}, "wrong list of segments", false},
		"cut":       {func(c *copied) { check(t, os.Truncate(record(c, 2), 500)) }, "00000002: not a signed document", false},
		"no header": {func(c *copied) { check(t, os.Remove(filepath.Join(c.store, "offsite.json"))) }, "offsite.json: ", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := damageable(t)
			tc.damage(c)
			run(t, "", "recover.py", c.store, "list").want(t, exitDamaged, c.days[0], tc.say)
			if tc.restore { // the first day is whole
				to := target(t)
				c.restore(t, to, c.days[0]).want(t, exitDamaged, tc.say)
				sameTree(t, c.sources[0], to)
			}
		})
	}
}

func glob1(t *testing.T, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	check(t, err)
	if len(paths) != 1 {
		t.Fatalf("%s: %d files", pattern, len(paths))
	}
	return paths[0]
}

// flipLetter changes the character behind what it finds.
func flipLetter(t *testing.T, path, behind string) {
	t.Helper()
	data, err := os.ReadFile(path)
	check(t, err)
	at := bytes.Index(data, []byte(behind)) + len(behind)
	other := byte('0')
	if data[at] == other {
		other = '1'
	}
	data[at] = other
	check(t, os.WriteFile(path, data, 0o600))
}

func replace(t *testing.T, path, from, to string) {
	t.Helper()
	data, err := os.ReadFile(path)
	check(t, err)
	if !bytes.Contains(data, []byte(from)) {
		t.Fatalf("%s holds no %s", path, from)
	}
	check(t, os.WriteFile(path, bytes.Replace(data, []byte(from), []byte(to), 1), 0o600))
}
