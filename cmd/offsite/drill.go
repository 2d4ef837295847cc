package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/pflag"

	"offsite/manifest"
	"offsite/manifest/restore"
)

const (
	// drillFiles is how many files a drill brings back unless it is told otherwise.
	drillFiles = 200
	// maxDrillFiles bounds --files; more than that is a case for --all.
	maxDrillFiles = 10_000
	// smallDay is the size up to which a day is brought back as a whole.
	smallDay = 1 << 30
	// drillRoom is what must stay free on the disk, beside the files.
	drillRoom = 256 << 20
	// drillInflate bounds what is unpacked to prove one file.
	drillInflate = 64 << 20
)

// drillAnswer says how a restore exercise went. It names no file and no ending of a
// name: it may be kept and sent.
type drillAnswer struct {
	Store       string     `json:"store"`
	Day         string     `json:"day"`
	Verdict     string     `json:"verdict"`
	Whole       bool       `json:"whole"` // all files of the day, not a sample
	Files       int64      `json:"files"` // brought back, and the same as when they were saved
	Bytes       int64      `json:"bytes"`
	Of          int64      `json:"of"` // files of the day
	OfBytes     int64      `json:"of_bytes"`
	Missing     int64      `json:"missing"` // could not be brought back
	Wrong       int64      `json:"wrong"`   // were brought back, and then read with other bytes
	Structure   structures `json:"structure"`
	Fetched     int64      `json:"fetched"` // bytes from the store
	Seconds     float64    `json:"seconds"` // of the restore alone
	FullSeconds float64    `json:"full_seconds"`
	Noted       bool       `json:"noted"`
	To          string     `json:"to,omitempty"` // where the files stay
}

// structures counts what the bytes of the files look like.
type structures struct {
	Sound   int64 `json:"sound"`
	Unknown int64 `json:"unknown"`
	Short   int64 `json:"short"`
	Broken  int64 `json:"broken"`
}

func (d drillAnswer) text(w io.Writer) {
	took := func(seconds float64) time.Duration {
		return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond)
	}
	what := fmt.Sprintf("a sample of %d of %d files", d.Files+d.Missing+d.Wrong, d.Of)
	if d.Whole {
		what = fmt.Sprintf("all %d files", d.Of)
	}
	fmt.Fprintf(w, "%s (%s) in %s: %s\n", d.Day, d.Verdict, d.Store, what)
	fmt.Fprintf(w, "  %d files with %s came back in %s and are what was saved\n", d.Files, bytesText(d.Bytes), took(d.Seconds))
	if d.Missing+d.Wrong > 0 {
		fmt.Fprintf(w, "  %d did not come back, %d came back with other bytes\n", d.Missing, d.Wrong)
	}
	fmt.Fprintf(w, "  inside: %d sound, %d of formats without rules, %d too short, %d broken\n", d.Structure.Sound, d.Structure.Unknown, d.Structure.Short, d.Structure.Broken)
	if d.Structure.Short+d.Structure.Broken > 0 {
		fmt.Fprintln(w, "  what is short or broken was saved like that: look at it in the practice")
	}
	if d.FullSeconds > 0 && !d.Whole {
		fmt.Fprintf(w, "  the whole day, %s, would take about %s at this rate\n", bytesText(d.OfBytes), took(d.FullSeconds).Round(time.Second))
	}
	if d.Noted {
		fmt.Fprintln(w, "  the store was told that the day is whole")
	}
	if d.To != "" {
		fmt.Fprintf(w, "  the files stay in %s\n", d.To)
	}
}

func (a *app) drillVerb() verb {
	var unlock keyFlags
	var d drill
	return verb{
		use: "drill [DAY] [--to DIR] [--files N]", short: "practise a restore: bring files of a day back, and compare every byte",
		long: `DAY is as for restore; without one it is latest. A small day is brought back whole.
Of a larger one some files of every kind are, databases among them: chosen by a hash,
and other ones each day. Every file is read again from the disk, compared with the
SHA-256 that the day's record leads to, and looked into, as far as its format is known.

Without --to the files stand in a folder for temporary files that is removed at the
end, however the drill ends, and by the next one if it was killed; with --to they
stay, so that somebody can open them.
With --note the store is told that the day was checked, which ends the keeping of
runners-up; that needs the whole day, and this PC's upload key.`,
		example: "  offsite drill --restore-key restore.key\n  offsite drill 2026-11-20 --all --note --recovery-passphrase-file PASSPHRASE",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		args: func(args []string) error {
			if len(args) > 1 {
				return wrongUse("drill takes one day, but there is "+quoted(args[1]), "exercise one day after the other")
			}
			return nil
		},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&d.to, "to", "", "bring the files to this `DIR`, empty or not there yet, and leave them there")
			f.IntVar(&d.files, "files", 0, fmt.Sprintf("bring `N` files back (default: all of a small day, else %d)", drillFiles))
			f.BoolVar(&d.all, "all", false, "bring all files back")
			f.BoolVar(&d.note, "note", false, "write down in the store that the day was checked, byte for byte")
			unlock.add(f)
		},
		run: func(ctx context.Context, args []string) (answer, error) {
			if d.files < 0 || d.files > maxDrillFiles || d.files > 0 && d.all {
				return nil, wrongUse("--files: the number is out of bounds", fmt.Sprintf("write 1 to %d, or --all", maxDrillFiles))
			}
			day := "latest"
			if len(args) == 1 {
				day = args[0]
			}
			return a.drill(ctx, d, day, &unlock)
		},
	}
}

// drill is one exercise.
type drill struct {
	to        string
	files     int
	all, note bool

	app    *app
	day    openedDay
	chosen map[string]bool // nil: all files
	ans    drillAnswer
}

func (a *app) drill(ctx context.Context, d drill, day string, unlock *keyFlags) (answer, error) {
	l, s, err := a.openDay(ctx, day, unlock)
	if err != nil {
		return nil, err
	}
	d.app, d.day = a, s
	d.ans = drillAnswer{Store: l.name, Day: s.day.Day, Verdict: s.day.Verdict, Of: s.day.Files, OfBytes: s.day.Bytes, To: d.to}
	need, err := d.choose(ctx)
	if err != nil {
		return nil, err
	}
	if d.note && (d.chosen != nil || l.source == "") {
		return nil, wrongUse("--note says that the whole day is well, to a store of the configuration", "add --all, and name the store by its name")
	}
	dir, remove, err := d.folder(need)
	if err != nil {
		return nil, err
	}
	err = d.exercise(ctx, l, dir)
	if err == nil && d.note {
		if err = a.noteChecked(ctx, l, history{Days: []snapshot{s.day}}, nil); err == nil {
			d.ans.Noted = s.day.Until.After(a.now())
		}
	}
	return d.ans, errors.Join(err, remove())
}

// choose decides which files are brought back, and returns their bytes.
func (d *drill) choose(ctx context.Context) (need int64, err error) {
	n := int64(d.files)
	if n == 0 {
		n = drillFiles
	}
	d.ans.Whole = d.all || d.ans.Of <= n || d.files == 0 && d.ans.OfBytes <= smallDay
	if d.ans.Whole {
		return d.ans.OfBytes, nil
	}
	pick := sampler{most: int(n), salt: d.app.now().UTC().Format(time.DateOnly), kinds: map[string][]sampled{}}
	for e, err := range d.day.Entries(ctx) {
		var lost *restore.LostRows
		if err != nil && !errors.As(err, &lost) { // what is lost cannot be chosen; the restore tells
			return 0, err
		}
		if err == nil && e.Type == manifest.File {
			pick.add(e.Path, e.Size)
		}
	}
	d.chosen = map[string]bool{}
	for _, one := range pick.pick() {
		d.chosen[one.path] = true
		need += one.size
	}
	return need, nil
}

const (
	drillPrefix = "offsite-drill-"
	// lockSuffix names the file beside a drill's folder that is locked while it runs.
	lockSuffix = ".lock"
)

var errTaken = errors.New("another drill has it")

// removeAbandoned removes what drills left that were killed: files of the practice.
// What somebody else left there is not ours to remove, and a link is not followed.
func (a *app) removeAbandoned() {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), drillPrefix+"*"+lockSuffix)) // the pattern is right
	for _, name := range locks {
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		lock, dir := flock.New(name), strings.TrimSuffix(name, lockSuffix)
		if free, err := lock.TryLock(); err != nil || !free {
			continue // it is under way, or another account's
		}
		if err := errors.Join(os.RemoveAll(dir), lock.Unlock()); err != nil {
			a.say("%s holds files of the practice, left by a drill that was killed: remove it by hand (%v)", dir, err)
			continue
		}
		if err := os.Remove(name); err == nil {
			a.say("removed what a drill had left that was killed")
		}
	}
}

// folder is where the files go, and what removes it in the end.
func (d *drill) folder(need int64) (dir string, remove func() error, err error) {
	if d.to != "" {
		return d.to, func() error { return nil }, nil
	}
	d.app.removeAbandoned()
	if free, err := freeBytes(os.TempDir()); err == nil && free < uint64(need)+drillRoom {
		return "", nil, fail(exitUsage, fmt.Errorf("%s free for temporary files, %s needed", bytesText(int64(min(free, 1<<62))), bytesText(need+drillRoom)),
			"name a folder on a larger disk with --to DIR, or fewer files with --files N")
	}
	if dir, err = os.MkdirTemp("", drillPrefix); err != nil {
		return "", nil, fmt.Errorf("make temporary folder: %w", err)
	}
	lock := flock.New(dir + lockSuffix)
	if ours, err := lock.TryLock(); err != nil || !ours { // not ours: another drill takes it for abandoned
		return "", nil, errors.Join(fmt.Errorf("lock temporary folder %s: %w", dir, cmp.Or(err, errTaken)), os.RemoveAll(dir))
	}
	return dir, func() error {
		if err := removeRestored(dir); err != nil {
			return fail(exitFailed, errors.Join(fmt.Errorf("remove temporary folder: %w", err), lock.Unlock()), "it holds files of the practice: remove "+dir+" by hand")
		}
		return errors.Join(lock.Unlock(), os.Remove(dir+lockSuffix))
	}, nil
}

// exercise restores, and compares what stands on the disk then.
func (d *drill) exercise(ctx context.Context, l *library, dir string) error {
	opt := restore.Options{To: dir}
	for path := range d.chosen {
		opt.Paths = append(opt.Paths, path)
	}
	bar := d.app.newBar("restoring")
	opt.Progress = bar.restoring()
	received, start := l.store.Counters().Received, d.app.now()
	report, err := d.day.Restore(ctx, opt)
	bar.done()
	d.app.tellProblems(report.Problems, report.Missing)
	d.ans.Seconds, d.ans.Fetched, d.ans.Missing = d.app.now().Sub(start).Seconds(), l.store.Counters().Received-received, report.Missing
	if errors.Is(err, restore.ErrTargetNotEmpty) {
		return fail(exitUsage, fmt.Errorf("%s is not empty", dir), "a drill replaces nothing: name a new folder")
	}
	if err != nil && !errors.Is(err, restore.ErrDamaged) && !errors.Is(err, restore.ErrIncomplete) {
		return err
	}
	if cerr := d.compare(ctx, dir); cerr != nil {
		return errors.Join(cerr, err)
	}
	d.estimate()
	return err
}

// estimate says what the whole day would take: by bytes or by files, whichever is
// longer.
func (d *drill) estimate() {
	if d.ans.Files > 0 && d.ans.Bytes > 0 {
		d.ans.FullSeconds = d.ans.Seconds * max(float64(d.ans.OfBytes)/float64(d.ans.Bytes), float64(d.ans.Of)/float64(d.ans.Files))
	}
}
