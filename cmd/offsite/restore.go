package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"offsite/manifest/restore"
	"offsite/providers"
)

// restoreAnswer says what came back. It names no file: those stand on the
// console alone.
type restoreAnswer struct {
	Day     string  `json:"day"`
	Verdict string  `json:"verdict"`
	To      string  `json:"to"`
	Files   int64   `json:"files"`
	Folders int64   `json:"folders"`
	Links   int64   `json:"links"`
	Bytes   int64   `json:"bytes"`
	Missing int64   `json:"missing"`
	Rebuilt int     `json:"rebuilt"` // packs read because an index was lost
	Fetched int64   `json:"fetched"` // bytes from the store
	Seconds float64 `json:"seconds"`
}

func (r restoreAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "%s (%s): %d files, %d folders, %s restored to %s in %s\n", r.Day, r.Verdict, r.Files, r.Folders,
		bytesText(r.Bytes), r.To, time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond))
	if r.Links > 0 {
		fmt.Fprintf(w, "%d links\n", r.Links)
	}
	if r.Missing > 0 {
		fmt.Fprintf(w, "%d entries are missing\n", r.Missing)
	}
	if r.Rebuilt > 0 {
		fmt.Fprintf(w, "an index was lost and made again from %d packs: offsite check says more\n", r.Rebuilt)
	}
}

func (a *app) restoreVerb() verb {
	var unlock keyFlags
	var to string
	return verb{
		use: "restore DAY [PATH...] --to DIR", short: "bring a stored day back, or some files of it",
		long: `DAY is latest, a date such as 2026-11-20, or 2026-11-20#2 for its second
revision; latest is the newest clean one. Every file is proved before it gets its
name. On a new computer --store takes the store's address, and neither
configuration nor upload key is needed.`,
		example: `  offsite restore latest --to /srv/restored --restore-key restore.key
  offsite restore 2026-11-20 images/p1 --to D:\restored --store dir:E:\offsite --restore-key restore.key`,
		exits: []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		args: func(args []string) error {
			if len(args) == 0 {
				return wrongUse("restore needs a day", "write offsite restore latest --to DIR")
			}
			return nil
		},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&to, "to", "", "the folder to restore into, empty or not there yet: a `DIR`")
			unlock.add(f)
		},
		run: func(ctx context.Context, args []string) (answer, error) {
			if to == "" {
				return nil, wrongUse("restore needs a folder to write into", "add --to DIR")
			}
			return a.restore(ctx, args[0], args[1:], to, &unlock)
		},
	}
}

func (a *app) restore(ctx context.Context, day string, paths []string, to string, unlock *keyFlags) (answer, error) {
	l, s, err := a.openDay(ctx, day, unlock)
	if err != nil {
		return nil, err
	}
	for i := range paths {
		paths[i] = cleanPath(paths[i])
	}
	bar := a.newBar("restoring")
	start := a.now()
	report, err := s.Restore(ctx, restore.Options{To: to, Paths: paths, Progress: bar.restoring()})
	bar.done()
	a.tellProblems(report.Problems, report.Missing)
	if errors.Is(err, restore.ErrTargetNotEmpty) {
		return nil, fail(exitUsage, fmt.Errorf("%s is not empty", to), "restore replaces nothing: name a new folder")
	}
	if notFound(report.Problems) {
		err = fail(exitUsage, fmt.Errorf("%s is not in %s", quoted(report.Problems[0].Path), s.day.Day), "offsite ls "+s.day.Day+" lists what is")
	}
	ans := restoreAnswer{
		Day: s.day.Day, Verdict: s.day.Verdict, To: to, Files: report.Files, Folders: report.Folders, Links: report.Links,
		Bytes: report.Bytes, Missing: report.Missing, Rebuilt: report.Rebuilt, Fetched: l.store.Counters().Received,
		Seconds: a.now().Sub(start).Seconds(),
	}
	return ans, err
}

// notFound reports whether all that went wrong is that paths are not there.
func notFound(problems []restore.Problem) bool {
	for _, p := range problems {
		if !errors.Is(p.Err, fs.ErrNotExist) || providers.KindOf(p.Err) != nil {
			return false
		}
	}
	return len(problems) > 0
}

// tellProblems names what could not be restored, on the console.
func (a *app) tellProblems(problems []restore.Problem, all int64) {
	const most = 100 // more than a screen; the answer has the count
	for i, p := range problems {
		if i == most {
			a.say("and %d more", all-most)
			return
		}
		a.say("missing: %s: %v", printable(p.Path), p.Err)
	}
}

// restoring makes a bar serve a restore or a check.
func (b *bar) restoring() restore.Progress {
	var total, done atomic.Int64
	return restore.Progress{
		Total: func(n int64) { total.Store(n); b.at(done.Load(), n) },
		Done:  func(n int64) { b.at(done.Add(n), total.Load()) },
	}
}
