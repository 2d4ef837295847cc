package simtest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"offsite/manifest/seal"
	"offsite/retention"
	"offsite/uploader/simtest"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// habits are how a practice lives: all drawn from its seed.
type habits struct {
	settings retention.Settings
	policy   retention.Policy
	start    retention.Date
	cadence  [2]int // each PC runs on every so many open days
	kinds    []storeKind
	closed   int // per mille of the closed days on which it runs all the same
}

const day = 24 * time.Hour

// newHabits draws a practice. Most keep things for short, so that whole lives of
// leases go by in a simulated year; some have the rules that are the default.
func newHabits(seed uint64) habits {
	r := rand.New(rand.NewPCG(seed, 7))
	weeks := [][]time.Weekday{{1, 2, 3, 4, 5}, {2, 3, 4}, {2, 5}, {1, 4}, {6}, {3}, {5}, {4}}
	h := habits{
		settings: retention.Settings{Zone: []string{"UTC", "Europe/London", "Pacific/Auckland", "America/New_York"}[r.IntN(4)],
			Region: []string{"none", "GB", "NZ", "US"}[r.IntN(4)], CutOff: retention.DefaultCutOff, Open: weeks[r.IntN(len(weeks))]},
		policy:  newPolicy(r),
		start:   retention.Date{Year: 2023 + r.IntN(6), Month: time.Month(1 + r.IntN(12)), Day: 1 + r.IntN(28)},
		cadence: [2]int{1 + r.IntN(3), 3 + r.IntN(8)},
		kinds:   []storeKind{[]storeKind{native, native, native, records, records, managed}[r.IntN(6)]},
		closed:  r.IntN(60),
	}
	if r.IntN(16) == 0 {
		h.kinds = append(h.kinds, []storeKind{native, records}[r.IntN(2)])
	}
	for y := h.start.Year; y < h.start.Year+4; y++ {
		august := retention.Date{Year: y, Month: time.August, Day: 1 + r.IntN(20)}
		christmas := retention.Date{Year: y, Month: time.December, Day: 24}
		h.settings.Closed = append(h.settings.Closed, retention.DateRange{First: august, Last: august.AddDays(r.IntN(15))},
			retention.DateRange{First: christmas, Last: christmas.AddDays(r.IntN(10))})
	}
	return h
}

func newPolicy(r *rand.Rand) retention.Policy {
	if r.IntN(100) == 0 {
		return retention.DefaultPolicy()
	}
	days := func(n int) time.Duration { return time.Duration(n) * day }
	p := retention.Policy{BusinessDays: 1 + r.IntN(4), Months: r.IntN(4), Quarters: r.IntN(3), FiscalYears: r.IntN(2),
		FiscalEnd: []retention.MonthDay{{Month: 3, Day: 31}, {Month: 4, Day: 5}, {Month: 12, Day: 31}, {Month: 2, Day: 29}}[r.IntN(4)],
		Floor:     days(7 + r.IntN(3)), SlackMin: days(r.IntN(3)), Guard: days(2 + r.IntN(2))}
	p.Weekly, p.SlackMax, p.Silence = p.Floor+days(r.IntN(8)), p.SlackMin+days(r.IntN(4)), days(6+r.IntN(6))
	if p.Night = 500; r.IntN(3) == 0 {
		p.Night = 3 + r.IntN(20)
	}
	return p
}

// pc is one PC of the practice: its keys, its source, its local state.
type pc struct {
	number  int
	name    string
	key     *seal.UploadKey
	id      string // of the source
	source  string // folder
	state   string
	old     string // an older image of state
	hidden  string // files that are away for a night
	clock   time.Duration
	offline int // days from which it runs again
	opened  int // open days so far
	files   []string
	hides   bool // some of them are away
	made    int

	actor    *actor
	afterRun func()        // what a crash leaves behind a run that went through
	began    time.Time     // when its last run began
	before   simtest.State // what the source was then
	incident bool          // something befell this PC or its store tonight
}

// actor is one run of somebody. dead and the counters belong to whoever the
// scheduler lets go, which is one goroutine at a time.
type actor struct {
	name  string
	ended atomic.Bool
	dead  bool // it has crashed: nothing of it reaches a store any more

	writes  int
	crashAt int  // write at which it dies; 0: none
	late    bool // behind that write, not before it
	onCrash func()
	onWrite func(op, key string)
}

func (a *actor) before(op, key string) (dies bool) {
	if op != "put" && op != "raise" {
		return false
	}
	a.writes++
	if a.onWrite != nil {
		a.onWrite(op, key)
	}
	return a.crash(!a.late)
}

func (a *actor) after(op, _ string) (dies bool) {
	return (op == "put" || op == "raise") && a.crash(a.late)
}

func (a *actor) crash(now bool) bool {
	if now && a.crashAt > 0 && a.writes >= a.crashAt && !a.dead {
		a.dead = true
		a.onCrash()
	}
	return a.dead
}

func (p *pc) path(rel string) string { return filepath.Join(p.source, filepath.FromSlash(rel)) }

// write makes or replaces a file, dated now by the PC's clock.
func (p *pc) write(rel string, seed uint64, size int, now time.Time) error {
	path := p.path(rel)
	b := make([]byte, size)
	var s [32]byte
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	rand.NewChaCha8(s).Read(b)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	if !slices.Contains(p.files, rel) {
		p.files = append(p.files, rel)
	}
	return os.Chtimes(path, now, now)
}

const fewFiles = 4 // with fewer, the set is suspect

// work is what happens in a practice between two backups.
func (p *pc) work(seed uint64, now time.Time, changes int) error {
	r := rand.New(rand.NewPCG(seed, text(p.name)))
	for range changes {
		var err error
		switch k := r.IntN(10); {
		case k < 5: // the database
			err = p.write("patients.fs5", r.Uint64(), 200+r.IntN(600), now)
		case k < 8 && len(p.files) < 12: // a new image, the same on both PCs now and then
			p.made++
			content := r.Uint64()
			if r.IntN(3) == 0 {
				content = seed % 97
			}
			err = p.write(fmt.Sprintf("image%d.jpg", p.made), content, 100+int(content%400), now)
		case k < 9 && len(p.files) > fewFiles+1:
			i := 1 + r.IntN(len(p.files)-1)
			if err = os.Remove(p.path(p.files[i])); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			p.files = slices.Delete(p.files, i, i+1)
		default: // a letter is written anew, or as it was weeks ago
			content := r.Uint64N(6)
			err = p.write(p.files[r.IntN(len(p.files))], content, 50+int(content), now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hide takes all files but so many away; show brings them back.
func (p *pc) hide(keep int) error {
	p.hides = true
	for _, f := range p.files[min(keep, len(p.files)):] {
		if err := os.Rename(p.path(f), filepath.Join(p.hidden, f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (p *pc) show() error {
	if !p.hides {
		return nil
	}
	p.hides = false
	away, err := os.ReadDir(p.hidden)
	if err != nil {
		return err
	}
	for _, f := range away {
		if err := os.Rename(filepath.Join(p.hidden, f.Name()), p.path(f.Name())); err != nil {
			return err
		}
	}
	return nil
}

const profileText = `
name: practice
title: Simulated practice
quiet: 10m
min_files: 4
proves: nothing
cannot_prove: anything
`

// copyState replaces the folder to by a copy of from.
func copyState(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if _, err := os.Stat(from); err != nil {
		return os.MkdirAll(to, 0o700)
	}
	return os.CopyFS(to, os.DirFS(from))
}

// judge scans the source and judges it.
func (p *pc) scan() source.Options {
	return source.Options{Roots: []source.Root{{Path: p.source}}, Workers: 1}
}

func mustProfile() verify.Profile {
	p, err := verify.ParseProfile([]byte(profileText))
	if err != nil {
		panic(err)
	}
	return p
}
