//go:build unix

package recover_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"unicode/utf8"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"offsite/examples/practice"
	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/dir"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

const (
	practiceSize = 2 << 20
	sourceID     = "0102030405060708"
	passphrase   = "correct horse battery staple"
)

// copied is a store as somebody would have copied it out of a bucket, with two
// days in it, and what those days looked like.
type copied struct {
	store      string
	days       []string // business dates, oldest first
	sources    []string // a copy of the source as it was on each day
	restoreKey string   // file with the restore key
	identity   string   // file with a holder's own key
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newStore makes a small practice below root, lives a day and stores both days.
func newStore(t testing.TB, root string) *copied {
	t.Helper()
	c := &copied{store: filepath.Join(root, "store"), restoreKey: filepath.Join(root, "restore.key"), identity: filepath.Join(root, "holder.key")}
	live := filepath.Join(root, "live")
	now := time.Date(2026, 11, 19, 22, 0, 0, 0, time.UTC)

	restore, err := seal.NewRestoreKey()
	check(t, err)
	check(t, os.WriteFile(c.restoreKey, restore.Text(), 0o600))
	owner := restore.Owner()
	secrets, err := seal.NewSecrets()
	check(t, err)
	key, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	check(t, err)

	d, err := dir.Create(c.store)
	check(t, err)
	store := providers.NewStore(d, providers.Options{Sleep: func(context.Context, time.Duration) error { return nil }})
	check(t, manifest.Found(t.Context(), store, manifest.Founding{
		Header: manifest.Header{Format: 1, Repository: key.Repository, Created: manifest.At(now), Owner: manifest.Public(key.Owner),
			Restore: key.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable},
		Enrolment: manifest.Enrolment{Format: 1, Repository: key.Repository, PC: key.PC, Signing: manifest.Public(key.Public()), Created: manifest.At(now)},
		Owner:     owner, Sealed: holders(t, restore, c.identity),
	}))

	cal, err := retention.NewCalendar(retention.Settings{Zone: "UTC", Region: "none"})
	check(t, err)
	cfg := uploader.Config{Key: key, Source: sourceID, Stores: []uploader.Target{{Name: "local", Store: store}}, State: filepath.Join(root, "state"),
		Calendar: cal, Policy: retention.DefaultPolicy(), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	for day := range 2 {
		opt := practice.Options{Dir: live, Size: practiceSize, Seed: 7, Day: day}
		if day == 0 {
			_, err = practice.Generate(t.Context(), opt)
			check(t, err)
			addOddities(t, live)
		} else {
			_, err = practice.Advance(t.Context(), opt)
			check(t, err)
			check(t, os.WriteFile(filepath.Join(live, "extra", "second day.txt"), []byte("new"), 0o640))
		}
		_, err = uploader.Run(t.Context(), cfg, judge(t, live))
		check(t, err)
		kept := filepath.Join(root, "kept", now.Format(time.DateOnly))
		copyTree(t, live, kept)
		c.days, c.sources = append(c.days, now.Format(time.DateOnly)), append(c.sources, kept)
		now = now.AddDate(0, 0, 1)
	}
	return c
}

// holders seals the restore key to a passphrase and to a holder's own key.
func holders(t testing.TB, restore *seal.RestoreKey, identityFile string) map[string][]byte {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	check(t, err)
	check(t, os.WriteFile(identityFile, []byte(id.String()+"\n"), 0o600))
	byKey, err := seal.RecipientHolder(id.Recipient().String(), seal.Ask{})
	check(t, err)
	byPassphrase, err := seal.PassphraseHolder(passphrase, 10) // little work, for a quick test
	check(t, err)
	sealed := map[string][]byte{}
	for name, h := range map[string]seal.Holder{"escrow": byKey, "practice": byPassphrase} {
		sealed[manifest.HolderKey(name)], err = seal.SealToHolder(restore, h)
		check(t, err)
	}
	return sealed
}

func judge(t testing.TB, dir string) verify.Passed {
	t.Helper()
	set, err := source.Scan(t.Context(), source.Options{Roots: []source.Root{{Path: dir}}})
	check(t, err)
	profile, err := verify.Builtin("generic")
	check(t, err)
	passed, report := verify.Judge(t.Context(), set, profile, verify.Options{})
	if !passed.Valid() {
		t.Fatalf("set is not complete: %+v", report.Findings())
	}
	return passed
}

// addOddities adds what real folders hold and practices do not make up: names that
// need care, modes, old times, links, nothing at all, and pages that repeat.
func addOddities(t testing.TB, root string) {
	t.Helper()
	old := time.Date(1969, 12, 31, 23, 0, 0, 123456789, time.UTC)
	repeated := bytes.Repeat(make([]byte, 16<<10), 100) // over 64 chunks, so that there is a chunk list
	for i := 0; i < 100; i += 3 {
		binary.LittleEndian.PutUint32(repeated[i<<14:], uint32(i))
	}
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{
		{"empty", nil, 0o600},
		{"one byte", []byte{0}, 0o444},
		{"Zoë O'Neil 01.txt", []byte("accents"), 0o644},
		{"back\\slash", []byte("backslash"), 0o755},
		{"line\nfeed", []byte("line feed"), 0o640},
		{"not\xffutf8", []byte("bytes"), 0o604},
		{"-rf *", []byte("option"), 0o644},
		{"pages.db", append([]byte("SQLite format 3\x00"), repeated...), 0o660},
		{"deep/er/and/deeper/file", []byte("deep"), 0o400},
	} {
		if runtime.GOOS == "darwin" && !utf8.ValidString(f.name) {
			continue // its file systems have no such names
		}
		p := filepath.Join(root, "extra", f.name)
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		check(t, os.WriteFile(p, f.data, 0o600))
		check(t, os.Chmod(p, f.mode))
		check(t, os.Chtimes(p, old, old))
	}
	check(t, os.MkdirAll(filepath.Join(root, "extra", "empty folder"), 0o755))
	check(t, os.Symlink("empty", filepath.Join(root, "extra", "link")))
	check(t, os.Symlink("../../outside", filepath.Join(root, "extra", "link to nowhere")))
	check(t, os.Symlink("deep", filepath.Join(root, "extra", "link to a folder")))
	check(t, os.Chmod(filepath.Join(root, "extra", "deep", "er"), 0o555))
	check(t, os.Chtimes(filepath.Join(root, "extra", "deep"), old, old))
}

// copyTree copies files, modes, links and times.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	check(t, filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		q := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(q, 0o755)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			check(t, err)
			check(t, os.Symlink(target, q))
			info, err := d.Info()
			check(t, err)
			ts := unix.NsecToTimespec(info.ModTime().UnixNano())
			return unix.UtimesNanoAt(unix.AT_FDCWD, q, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
		}
		data, err := os.ReadFile(p)
		check(t, err)
		return os.WriteFile(q, data, 0o600)
	}))
	var dirs []string
	check(t, filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(from, p)
		if d.Type() != fs.ModeSymlink {
			dirs = append(dirs, rel)
		}
		return err
	}))
	for i := len(dirs) - 1; i >= 0; i-- { // what is inside first, so that the folder's own time and mode stay
		info, err := os.Stat(filepath.Join(from, dirs[i]))
		check(t, err)
		q := filepath.Join(to, dirs[i])
		check(t, os.Chmod(q, info.Mode().Perm()))
		check(t, os.Chtimes(q, info.ModTime(), info.ModTime()))
	}
}
