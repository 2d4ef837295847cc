package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Each mistake or misfortune has its exit code and words, and harms nothing: the
// day that was stored before is still the only one, and is well.
func TestBadInputHasItsExitCodeAndHarmsNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	other := newPlace(t)
	p.file("source/patients.fs5", "patients")
	p.file("source/images/p1.jpg", "pixels")
	p.want(exitDone, "run", "--wait", "0s")
	stored := facts(t, p.store)
	passphrase := p.file("passphrase.txt", "not the passphrase of anybody\n")
	run := []string{"run", "--wait", "0s"}
	restore := []string{"restore", "latest", "--to", p.path("back")}

	for _, c := range []struct {
		name string
		harm func(p *place)
		args []string
		exit int
		says string // on standard error
	}{
		{"a typing error in the configuration", func(p *place) { p.configure("profile: generic", "profil: generic") }, run, exitUsage, `did you mean "profile"?`},
		{"a value out of bounds", func(p *place) { p.configure("business_days: 10", "business_days: -10") }, run, exitUsage, "offsite.yaml:"},
		{"an empty configuration", func(p *place) { p.file("offsite.yaml", "") }, run, exitUsage, "is empty"},
		{"no configuration", func(p *place) { must(t, os.Remove(p.config())) }, run, exitUsage, "there is no configuration at "},
		{"a profile that does not exist", func(p *place) { p.configure("profile: generic", "profile: exakt") }, run, exitUsage, "did you mean exact?"},
		{"no upload key", func(p *place) { must(t, os.Remove(p.path("upload.key"))) }, run, exitUsage, "there is no upload key at "},
		{"half an upload key", func(p *place) { must(t, os.Truncate(p.path("upload.key"), 200)) }, run, exitUsage, "not a valid key"},
		{"the upload key of another practice", func(p *place) { p.copyFile(other.path("upload.key"), "upload.key") }, run, exitStore, "the store belongs to another practice"},
		{"no source", func(p *place) { must(t, os.RemoveAll(p.source)) }, run, exitIncomplete, "did the backup run?"},
		{"an empty source", func(p *place) { must(t, os.RemoveAll(p.source)); must(t, os.Mkdir(p.source, 0o755)) }, run, exitIncomplete, "did the backup run?"},
		{"a source of empty folders", func(p *place) {
			must(t, os.RemoveAll(p.source))
			must(t, os.MkdirAll(filepath.Join(p.source, "images"), 0o755))
		}, run, exitIncomplete, "nothing was committed"},
		{"a source that is a file", func(p *place) { must(t, os.RemoveAll(p.source)); p.file("source", "x") }, run, exitUsage, "not a folder"},
		{"a source that the state lies in", func(p *place) { p.configure("state: '"+p.path("state"), "state: '"+filepath.Join(p.source, "state")) }, run, exitUsage, "offsite.yaml:12:8: the folder for local state lies in the source"},
		{"a store that lies in the source", func(p *place) {
			p.configure("address: 'dir:"+p.store, "address: 'dir:"+filepath.Join(p.source, "store"))
		}, run, exitUsage, "lies in the source"},
		{"a source that lies in a store", func(p *place) { p.configure("address: 'dir:"+p.store, "address: 'dir:"+p.home) }, run, exitUsage, "the source lies in the store"},
		{"no store", func(p *place) { must(t, os.Rename(p.store, p.path("away"))) }, run, exitStore, "is the disk connected"},
		{"an empty folder where the store was", func(p *place) {
			must(t, os.Rename(p.store, p.path("away")))
			must(t, os.Mkdir(p.store, 0o755))
		}, run, exitStore, "is the disk connected"},
		{"a store without its header", func(p *place) { must(t, os.Remove(filepath.Join(p.store, "offsite.json"))) }, run, exitStore, "is the address right"},
		{"a state folder that cannot be made", func(p *place) { must(t, os.RemoveAll(p.path("state"))); p.file("state", "a file") }, run, exitFailed, "read confirmed terms: "},
		{"a state file that is a folder", func(p *place) {
			must(t, os.RemoveAll(p.path("state")))
			must(t, os.MkdirAll(p.path("state", "practice", "files"), 0o755))
		}, run, exitFailed, "state"},
		{"a day to come", nil, []string{"run", "--day", "2199-01-01"}, exitUsage, "is in the future"},
		{"a passphrase where no holder has one", nil, append(restore[:len(restore):len(restore)], "--recovery-passphrase-file", passphrase), exitUsage, "not sealed to this key"},
		{"a wrong restore key", nil, append(restore[:len(restore):len(restore)], "--restore-key", other.key), exitStore, "the store belongs to another practice"},
		{"a text that is no restore key", nil, append(restore[:len(restore):len(restore)], "--restore-key", passphrase), exitUsage, "not a valid key"},
		{"a restore key that is not there", nil, append(restore[:len(restore):len(restore)], "--restore-key", "none.key"), exitUsage, "none.key"},
		{"a check with a wrong restore key", nil, []string{"check", "--depth", "bytes", "--restore-key", other.key}, exitStore, "the store belongs to another practice"},
		{"a day that is not stored", nil, []string{"restore", "2001-01-01", "--to", p.path("back"), "--restore-key", p.key}, exitUsage, "the days go from "},
		{"a target that is a file", nil, []string{"restore", "latest", "--to", p.key, "--restore-key", p.key}, exitFailed, "make target folder"},
		{"a target with something in it", nil, []string{"restore", "latest", "--to", p.home, "--restore-key", p.key}, exitUsage, "is not empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := p.fork(t)
			if c.harm != nil {
				c.harm(q)
			}
			args := q.here(p, c.args)
			r := q.want(c.exit, append([]string{"--json"}, args...)...)
			r.says(t, c.says)
			var ans struct{ Error errorObject }
			r.into(t, &ans)
			if ans.Error.Exit != c.exit || ans.Error.Message == "" {
				t.Errorf("answer %s", r.stdout)
			}
			if _, err := os.Lstat(q.path("back")); err == nil {
				t.Error("a target was made")
			}
			if strings.Contains(c.name, "header") {
				return
			}
			if _, err := os.Lstat(q.path("away")); err == nil {
				left, err := os.ReadDir(q.store)
				if len(left) > 0 {
					t.Errorf("%v was written into a folder that is not the store, %v", left, err)
				}
				q.store = q.path("away")
			}
			equal(t, stored, facts(t, q.store))
		})
	}
}

// fork copies a place with its stores.
func (p *place) fork(t *testing.T) *place {
	t.Helper()
	home := t.TempDir()
	must(t, os.CopyFS(home, os.DirFS(p.home)))
	must(t, copyTimes(p.home, home))
	q := &place{t: t, home: home, env: p.env}
	q.source, q.store, q.key = q.moved(p, p.source), q.moved(p, p.store), q.moved(p, p.key)
	text, err := os.ReadFile(q.config())
	must(t, err)
	must(t, os.WriteFile(q.config(), []byte(strings.ReplaceAll(string(text), p.home, q.home)), 0o644))
	return q
}

// copyTimes gives the copy of a folder the times and modes of what was copied.
func copyTimes(from, to string) error {
	return filepath.WalkDir(from, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := os.Chmod(filepath.Join(to, rel), info.Mode().Perm()); err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(to, rel), info.ModTime(), info.ModTime())
	})
}

// moved is a path of one place in another.
func (p *place) moved(from *place, path string) string {
	return strings.ReplaceAll(path, from.home, p.home)
}

// here writes arguments that were meant for another place.
func (p *place) here(from *place, args []string) []string {
	var out []string
	for _, a := range args {
		out = append(out, p.moved(from, a))
	}
	return out
}

func (p *place) copyFile(from, to string) {
	p.t.Helper()
	b, err := os.ReadFile(from)
	must(p.t, err)
	must(p.t, os.WriteFile(p.path(to), b, 0o600))
}

// A key file that others can read is refused: it is the one secret of this PC.
func TestUploadKeyThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes on Windows")
	}
	p := newPlace(t)
	p.file("source/a", "a")
	must(t, os.Chmod(p.path("upload.key"), 0o644))
	p.want(exitUsage, "run", "--wait", "0s").says(t, "chmod 600")
}

func TestWrongPassphraseOpensNothing(t *testing.T) {
	t.Parallel()
	if raceDetector {
		t.Skip("a passphrase takes half a minute under the race detector; the script key.txtar has one")
	}
	p := newPlace(t)
	p.file("source/a", "a")
	p.want(exitDone, "run", "--wait", "0s")
	right, wrong := p.file("right.txt", "Correct horse battery staple\n"), p.file("wrong.txt", "correct horse battery staple\n")
	p.want(exitDone, "key", "holders", "add", "--new-passphrase-file", right, "--restore-key", p.key)
	p.want(exitUsage, "restore", "latest", "--to", p.path("back"), "--recovery-passphrase-file", wrong).says(t, "wrong passphrase", "mind capitals")
	if _, err := os.Lstat(p.path("back")); err == nil {
		t.Error("a target was made")
	}
	p.want(exitDone, "restore", "latest", "--to", p.path("back"), "--recovery-passphrase-file", right)
}
