package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"offsite/examples/practice"
	"offsite/uploader/verify"
)

// year is a practice's year in one layout.
type year struct {
	*bench
	layout  layout
	dir     string
	rng     *rand.Rand
	reader  *reader
	profile verify.Profile
	real    []realFile
	waiting []realFile // still to arrive
	day     int
	files   int
	pinned  string   // the folder to look at instead of the day's
	steps   []step   // what the copy of the day wrote
	names   []string // of the archives of the newest set
}

// step is one file that the copy of the day wrote, and what stood there before.
type step struct {
	rel  string
	prev []byte // nil: nothing
	time time.Time
}

func newYear(b *bench, l layout, dir string, real []realFile) *year {
	y := &year{bench: b, layout: l, dir: dir, reader: newReader(), real: real, rng: rand.New(rand.NewPCG(b.seed, uint64(len(l.name))))}
	return y
}

func (y *year) path(parts ...string) string {
	return filepath.Join(append([]string{y.dir}, parts...)...)
}

func (y *year) options() practice.Options {
	return practice.Options{Dir: y.path("live", "databackup"), Size: y.mib << 20, Seed: y.seed}
}

// evening is when the backup of a day is judged.
func evening(day int) time.Time { return practice.Evening(day).Add(2 * time.Hour) }

func date(day int) string { return practice.Date(day).Format(time.DateOnly) }

// live plays the whole year.
func (y *year) live(ctx context.Context) (err error) {
	if y.profile, err = y.watched(); err != nil {
		return err
	}
	if _, err := practice.Generate(ctx, y.options()); err != nil {
		return err
	}
	if err := y.settleIn(); err != nil {
		return err
	}
	for y.day = 0; y.day < y.days; y.day++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if y.day > 0 {
			if err := y.work(ctx); err != nil {
				return fmt.Errorf("day %d: %w", y.day, err)
			}
		}
		if err := y.tell(toldNothing); err != nil {
			return err
		}
		if err := y.connect(y.day); err != nil {
			return err
		}
		if y.day >= 6 && y.day%y.every == 0 {
			if err := y.idle(ctx); err != nil {
				return err
			}
		}
		if err := y.backup(); err != nil {
			return fmt.Errorf("back up day %d: %w", y.day, err)
		}
		if err := y.tell(toldSuccess); err != nil {
			return err
		}
		if y.day == 0 {
			if err := y.first(ctx); err != nil {
				return err
			}
		}
		if y.day >= 6 && y.day%y.every == 0 {
			if err := y.damages(ctx); err != nil {
				return fmt.Errorf("damage day %d: %w", y.day, err)
			}
		}
		out, err := y.judge(ctx, y.history(), true)
		if err != nil {
			return err
		}
		y.verdict(cleanDay, out, out.verdict != verify.Clean)
		if out.verdict != verify.Clean { // a person looks, and says that it is right
			if err := y.acknowledge(y.history()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (y *year) history() string { return y.path("history") }

func (y *year) acknowledge(history string) error {
	h, err := verify.LoadHistory(history, "bench", y.reader.key)
	if err != nil {
		return err
	}
	return h.Acknowledge(date(y.day))
}

func (y *year) judge(ctx context.Context, history string, keep bool) (outcome, error) {
	now := evening(y.day)
	opt := verify.Options{Now: at(now), Finished: true, Zone: time.UTC, Expected: practice.Date(y.day).Add(5 * time.Hour)}
	return y.reader.judge(ctx, y.sets(), y.profile, opt, history, date(y.day), keep)
}

// verdict counts a day, and tells of it if it is wrong.
func (y *year) verdict(kind string, out outcome, wrong bool) {
	y.count(kind, wrong)
	if !wrong || !y.verbose {
		return
	}
	fmt.Fprintf(y.out, "%s day %d, %s: %s\n", y.layout.name, y.day, kind, out.verdict)
	for _, f := range out.findings {
		fmt.Fprintf(y.out, "    %s %s: %s (limit %s)\n", f.Level, f.Check, f.Measured, f.Limit)
	}
	for _, line := range out.console[:min(len(out.console), 6)] {
		fmt.Fprintf(y.out, "    %s\n", line)
	}
}

// settleIn puts most of the real files into the practice before the first day.
func (y *year) settleIn() error {
	for i, f := range y.real {
		if i%4 == 3 && !f.database() {
			y.waiting = append(y.waiting, f)
			continue
		}
		if err := y.arrive(f, 0); err != nil {
			return err
		}
	}
	return nil
}

func (y *year) arrive(f realFile, day int) error {
	name := y.path("live", "real", fmt.Sprintf("p%02d", (len(f.name)*31+int(f.name[0])+int(f.name[3]))%40), f.name)
	if f.database() {
		name = y.path("live", "real", "tables", f.name[5:])
	}
	return writeAt(name, f.data, practice.Evening(day).Add(-time.Hour))
}

// work is a day of the practice: new visits, and what people do now and then.
func (y *year) work(ctx context.Context) error {
	if _, err := practice.Advance(ctx, y.options()); err != nil {
		return err
	}
	coming := 8 + y.rng.IntN(10)
	if y.day%60 == 59 {
		coming *= 5 // another practice's records are taken over
	}
	for n := 0; n < coming; n++ {
		var f realFile
		switch more, ok := y.another(n); {
		case len(y.waiting) > 0 && n%2 == 0:
			f, y.waiting = y.waiting[0], y.waiting[1:]
		case ok:
			f = more
		default:
			continue
		}
		if err := y.arrive(f, y.day); err != nil {
			return err
		}
	}
	if err := y.editTables(ctx); err != nil {
		return err
	}
	return y.housekeeping()
}

// largeAgain is from which size on files are multiplied less often: what has come by the
// end of a year is read and written again for every kind of damage.
const largeAgain = 64 << 10

// another makes a new image or document like one that there is.
func (y *year) another(n int) (realFile, bool) {
	for range 20 {
		if len(y.real) == 0 {
			break
		}
		f := y.real[y.rng.IntN(len(y.real))]
		if len(f.data) > largeAgain && y.rng.IntN(10) > 0 {
			continue
		}
		if more, ok := f.again(y.day*1000 + n); ok && document(f.name) {
			return more, true
		}
	}
	return realFile{}, false
}

// housekeeping deletes, renames and edits a few documents.
func (y *year) housekeeping() error {
	files, err := list(y.path("live"))
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f string) bool { return !document(f) })
	pick := func() string { return y.path("live", files[y.rng.IntN(len(files))]) }
	when := practice.Evening(y.day).Add(-2 * time.Hour)
	switch {
	case y.day%7 == 3:
		return os.Remove(pick())
	case y.day%9 == 4: // a patient's folder gets another name
		from := y.path("live", "real", fmt.Sprintf("p%02d", y.rng.IntN(40)))
		if err := os.Rename(from, from+" (married)"); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	case y.day%5 == 1:
		for range 2 {
			name := pick()
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if ext := path.Ext(name); ext == ".rtf" || ext == ".xml" || ext == ".txt" || ext == ".eml" {
				data = []byte(strings.Replace(string(data), "e", "a", 20))
			} else if more, ok := (realFile{"x", data}).again(y.day); ok {
				data = more.data // turned, or commented on
			}
			if err := writeAt(name, data, when); err != nil {
				return err
			}
		}
	}
	return nil
}

// document says whether a file is an image or a document.
func document(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".dcm", ".pdf", ".rtf", ".xml", ".txt", ".eml":
		return true
	}
	return false
}

// aged is when a file of the backup was written.
func (y *year) aged(rel string) time.Time {
	info, err := os.Stat(y.path("copy", rel))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// list names the files below dir, with slashes, sorted.
func list(dir string) (out []string, err error) {
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			rel, rerr := filepath.Rel(dir, p)
			if rerr != nil {
				return rerr
			}
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	})
	return out, err
}
