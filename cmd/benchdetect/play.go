package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"offsite/examples/practice"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// damages plays everything that can be wrong with the backup of the day, one after
// the other, and puts it back each time.
func (y *year) damages(ctx context.Context) error {
	before := len(y.steps) > 0 && slices.ContainsFunc(y.steps, func(s step) bool { return s.prev != nil })
	faults := []struct {
		kind string
		do   func(w *workshop) (bool, error)
		good func(o outcome) bool
	}{
		{"copy killed", y.killed, notClean},
		{"disk full", y.full, notClean},
		{"one file locked", y.locked, notClean},
		{"sub-directories off", y.flat, notClean},
		{"log says failed", y.says(toldFailure), notClean},
		{"log has no line", y.says(toldNothing), notClean},
		{"log missing", y.says(toldNowhere), notClean},
		{"clock a year ahead", y.clock(400), outcome.noticed},
		{"clock a year behind", y.clock(-400), outcome.noticed},
	}
	apart := ""
	if y.layout.log == "" && !y.layout.fresh && y.layout.packed == "" {
		apart = unlogged
	}
	for _, f := range faults {
		if !before && !y.layout.fresh && y.layout.packed == "" {
			break // there is nothing yet that the copy could leave in place
		}
		if err := y.play(ctx, f.kind+apart, f.do, f.good); err != nil {
			return err
		}
	}
	for way := range encryptions {
		for _, share := range []float64{0.03, 0.2, 1} {
			kind := fmt.Sprintf("encrypted: %s, %.0f %% of files", encryptions[way].name, share*100)
			if err := y.play(ctx, kind, func(w *workshop) (bool, error) { return y.encrypt(w, way, share) }, caught); err != nil {
				return err
			}
		}
		if y.layout.packed != "" {
			continue
		}
		kind := fmt.Sprintf("encrypted: %s, what is new", encryptions[way].name)
		if err := y.play(ctx, kind, func(w *workshop) (bool, error) { return y.encryptNew(w, way) }, caught); err != nil {
			return err
		}
		kind = fmt.Sprintf("encrypted: %s, databases", encryptions[way].name)
		if err := y.play(ctx, kind, func(w *workshop) (bool, error) { return y.encryptTables(w, way) }, caught); err != nil {
			return err
		}
	}
	if y.layout.packed != "" {
		return nil
	}
	if err := y.slow(ctx); err != nil {
		return err
	}
	if err := y.tell(toldSuccess); err != nil {
		return err
	}
	return y.massChange(ctx)
}

func notClean(o outcome) bool { return o.verdict != verify.Clean }

// caught says whether an encryption was found for what it is.
func caught(o outcome) bool {
	return o.verdict != verify.Clean && slices.ContainsFunc(o.findings, func(f verify.Finding) bool {
		return slices.Contains([]string{"damaged", "rewritten", "finished", "new-broken", "cut-short", "ransom-names", "count", "content", "first-look"}, f.Check)
	})
}

// play does one damage, judges, and puts everything back. What do reports as not
// possible here, or too small to count, is not counted.
func (y *year) play(ctx context.Context, kind string, do func(*workshop) (bool, error), good func(outcome) bool) error {
	w := newWorkshop(y.seed+uint64(y.day), practice.Evening(y.day).Add(time.Minute))
	counts, err := do(w)
	if err == nil && counts {
		err = y.tell(w.log)
	}
	if err == nil && counts {
		y.reader.extra = map[string]known{}
		var out outcome
		if out, err = y.judge(ctx, y.history(), false); err == nil {
			switch {
			case w.unseen:
				kind = blind
			case w.few:
				kind += few
			}
			y.verdict(kind, out, !good(out))
		}
		y.reader.extra = nil
	}
	for _, undo := range []func() error{w.restore, func() error { return y.tell(toldSuccess) }} {
		if uerr := undo(); err == nil {
			err = uerr
		}
	}
	return err
}

func (y *year) at(rel string) string { return filepath.Join(y.target(), rel) }

// undoFrom takes back what the copy did from step k on: a copy that was stopped
// there never came so far. In a fresh folder nothing stands after it.
func (y *year) undoFrom(w *workshop, k int) error {
	if y.layout.fresh && y.layout.packed == "" {
		files, err := list(y.target())
		if err != nil {
			return err
		}
		for _, f := range files {
			if f > y.steps[k].rel {
				if err := w.remove(y.at(f)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, s := range y.steps[k+1:] {
		if err := y.undo(w, s); err != nil {
			return err
		}
	}
	return nil
}

func (y *year) undo(w *workshop, s step) error {
	if s.prev == nil {
		return w.remove(y.at(s.rel))
	}
	if err := w.keep(y.at(s.rel)); err != nil {
		return err
	}
	return writeAt(y.at(s.rel), s.prev, s.time)
}

// killed: the copy program was ended in the midst of a file.
func (y *year) killed(w *workshop) (bool, error) {
	w.log = toldNothing
	k := w.rng.IntN(len(y.steps))
	err := w.edit(y.at(y.steps[k].rel), func(b []byte) []byte { return b[:len(b)*w.rng.IntN(100)/100] })
	if err != nil {
		return false, err
	}
	return true, y.undoFrom(w, k)
}

// full: the disk had no room left; the file in question has its length and no end.
func (y *year) full(w *workshop) (bool, error) {
	w.log = toldFailure
	k := w.rng.IntN(len(y.steps))
	err := w.edit(y.at(y.steps[k].rel), func(b []byte) []byte {
		clear(b[len(b)*w.rng.IntN(95)/100:])
		return b
	})
	if err != nil {
		return false, err
	}
	return true, y.undoFrom(w, k)
}

// locked: the copy program could not read a table that was in use.
func (y *year) locked(w *workshop) (bool, error) {
	w.log = toldFailure
	var tables []step
	for _, s := range y.steps {
		if strings.HasSuffix(s.rel, ".FS5") || strings.HasSuffix(s.rel, ".db") || (realFile{name: s.rel}).database() {
			tables = append(tables, s)
		}
	}
	if len(tables) == 0 || y.layout.packed != "" {
		return false, nil
	}
	s := tables[w.rng.IntN(len(tables))]
	if y.layout.fresh {
		return true, w.remove(y.at(s.rel))
	}
	return true, y.undo(w, s)
}

// flat: the folders of images and documents were left out.
func (y *year) flat(w *workshop) (bool, error) {
	if y.layout.packed != "" {
		return false, nil
	}
	left := func(f string) bool { return strings.Count(f, "/") > 1 && !strings.Contains(f, "/tables/") }
	if !y.layout.fresh {
		did := false
		for _, s := range y.steps {
			if left(s.rel) {
				did = true
				if err := y.undo(w, s); err != nil {
					return false, err
				}
			}
		}
		return did, nil
	}
	files, err := list(y.target())
	if err != nil {
		return false, err
	}
	for _, f := range files {
		if left(f) {
			if err := w.remove(y.at(f)); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// says: the files are all there, but not so the word of the backup program.
func (y *year) says(what told) func(*workshop) (bool, error) {
	return func(w *workshop) (bool, error) {
		w.log = what
		return y.layout.log != "", nil
	}
}

// clock: the clock of the PC that wrote the backup was wrong.
func (y *year) clock(days int) func(*workshop) (bool, error) {
	return func(w *workshop) (bool, error) {
		for _, s := range y.steps {
			if err := w.keep(y.at(s.rel)); err != nil {
				return false, err
			}
			when := evening(y.day).AddDate(0, 0, days)
			if err := os.Chtimes(y.at(s.rel), when, when); err != nil {
				return false, err
			}
		}
		return true, nil
	}
}

// idle is the evening of a day on which the backup was not made, and that of one on
// which it was made, but a disk of some days ago is looked at.
func (y *year) idle(ctx context.Context) error {
	out, err := y.judge(ctx, y.history(), false)
	if err != nil {
		return err
	}
	y.verdict("silent stop", out, out.verdict == verify.Clean)
	if y.layout.kind != source.Disks || y.day < 2*y.layout.copies {
		return nil
	}
	if err := errors.Join(y.connect(y.day+2), y.tell(toldSuccess)); err != nil {
		return err
	}
	if out, err = y.judge(ctx, y.history(), false); err != nil {
		return err
	}
	y.verdict("wrong disk", out, out.verdict == verify.Clean)
	return errors.Join(y.connect(y.day), y.tell(toldNothing))
}

// encrypt damages a share of all files. It counts where it changed more than 2 % of
// the files or of the bytes.
func (y *year) encrypt(w *workshop, way int, share float64) (bool, error) {
	files, err := y.members()
	if err != nil {
		return false, err
	}
	return y.encryptThese(w, way, files, func(string) bool { return share == 1 || w.rng.Float64() < share })
}

func (y *year) encryptTables(w *workshop, way int) (bool, error) {
	files, err := y.members()
	if err != nil {
		return false, err
	}
	return y.encryptThese(w, way, files, func(f string) bool {
		return strings.HasSuffix(f, ".FS5") || strings.HasSuffix(f, ".db") || (realFile{name: f}).database()
	})
}

// encryptNew damages the images and documents that came today. Where they are less than
// 2 % of the set, the day is counted apart.
func (y *year) encryptNew(w *workshop, way int) (bool, error) {
	files, err := y.members()
	if err != nil {
		return false, err
	}
	today := practice.Evening(y.day - 1)
	counts, err := y.encryptThese(w, way, files, func(f string) bool {
		info, err := os.Stat(y.at(f))
		return err == nil && document(f) && info.ModTime().After(today)
	})
	w.few = !counts
	return len(w.undo) > 3, err
}

// first is the first set of all, encrypted before anybody saw it.
func (y *year) first(ctx context.Context) error {
	if y.layout.packed != "" {
		return nil
	}
	history := y.history()
	for way := range encryptions {
		err := y.play(ctx, "the first set of all, encrypted: "+encryptions[way].name, func(w *workshop) (bool, error) { return y.encrypt(w, way, 1) }, caught)
		if err != nil {
			return err
		}
	}
	if exists(history) {
		return errors.New("the first set was remembered")
	}
	return nil
}

func (y *year) encryptThese(w *workshop, way int, files []string, hit func(string) bool) (bool, error) {
	var all, bytes int64
	n := 0
	// Too little of what is new today and packed in a way that nobody knows looks like
	// noise, before and after one block in sixteen is locked; and in the first days nobody
	// knows that such files never change.
	w.unseen = y.layout.packed == "chain" && way == len(encryptions)-1
	for _, f := range files {
		info, err := os.Stat(y.at(f))
		if err != nil {
			return false, err
		}
		all += info.Size()
		if !hit(f) {
			continue
		}
		changed, err := w.encrypt(y.at(f), way)
		if err != nil {
			return false, err
		}
		if changed {
			fresh := slices.ContainsFunc(y.steps, func(s step) bool { return s.rel == f && s.prev == nil })
			w.unseen = w.unseen && (fresh || y.day < 10) && info.Size() < blindBelow && !strings.HasSuffix(f, ".vbm")
			n++
			bytes += info.Size()
		}
	}
	return n*100 > 2*len(files) || bytes*100 > 2*all, nil
}

// slow: one file in a hundred is encrypted each day, for three days.
func (y *year) slow(ctx context.Context) error {
	w := newWorkshop(y.seed+uint64(y.day), practice.Evening(y.day).Add(time.Minute))
	fork := y.path("history-slow")
	if err := copyFile(y.history(), fork); err != nil {
		return err
	}
	defer func(day int) { y.day = day }(y.day)
	files, err := list(y.target())
	if err != nil {
		return err
	}
	y.pinned, y.reader.extra = y.target(), map[string]known{} // every disk and computer has the same damage
	defer func() { y.pinned, y.reader.extra = "", nil }()
	var out outcome
	for range 3 {
		if err := y.tell(toldSuccess); err != nil {
			return err
		}
		w.when = practice.Evening(y.day).Add(time.Minute)
		n := max(len(files)/100, 1)
		for range n {
			if _, err := w.encrypt(y.at(files[w.rng.IntN(len(files))]), 0); err != nil {
				return err
			}
		}
		if out, err = y.judge(ctx, fork, true); err != nil {
			return err
		}
		if caught(out) {
			break
		}
		y.day++
	}
	y.verdict("encrypted: whole, 1 % of files a day, three days", out, !caught(out))
	return w.restore() // the log is written anew when the day is
}

// massChange: the practice system saves room, somebody says so, and the next set
// is as good as any.
func (y *year) massChange(ctx context.Context) error {
	w := newWorkshop(y.seed+uint64(y.day), practice.Evening(y.day).Add(time.Minute))
	fork := y.path("history-change")
	if err := copyFile(y.history(), fork); err != nil {
		return err
	}
	files, err := list(y.target())
	if err != nil {
		return err
	}
	n := 0
	for _, f := range files {
		if ext := strings.ToLower(filepath.Ext(f)); ext != ".jpg" && ext != ".jpeg" {
			continue
		}
		did, err := w.compress(y.at(f), &y.press)
		if err != nil {
			return err
		}
		if did {
			n++
		}
	}
	y.reader.extra = map[string]known{}
	defer func() { y.reader.extra = nil }()
	if n*100 > 2*len(files) {
		out, err := y.judge(ctx, fork, true)
		if err != nil {
			return err
		}
		y.verdict("mass change that nobody announced", out, out.verdict == verify.Clean)
		if out.verdict != verify.Clean {
			if err := y.acknowledge(fork); err != nil {
				return err
			}
		}
		if out, err = y.judge(ctx, fork, true); err != nil {
			return err
		}
		y.verdict(afterChange, out, out.verdict != verify.Clean)
	}
	return w.restore()
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
