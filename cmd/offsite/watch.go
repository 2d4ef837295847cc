package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/uploader/source"
)

const (
	// lookAgain is how often watch looks at the source for changes when no time of
	// day is configured. A look lists the folders and reads no file.
	lookAgain = time.Minute
	// tryAgain is how long watch leaves a store, or a source, alone that failed.
	tryAgain = 15 * time.Minute
	// longestWait is how long watch waits for a finished backup without a deadline:
	// until the next one is due, nearly.
	longestWait = 20 * time.Hour
)

type watchAnswer struct {
	Runs   int    `json:"runs"`
	Stored int    `json:"stored"` // runs that committed something
	Last   string `json:"last"`   // day of the last one
}

func (w watchAnswer) text(out io.Writer) {
	fmt.Fprintf(out, "stopped after %d runs; %d stored something", w.Runs, w.Stored)
	if w.Last != "" {
		fmt.Fprintf(out, ", last %s", w.Last)
	}
	fmt.Fprintln(out)
}

func (a *app) watchVerb() verb {
	return verb{
		use: "watch", short: "wait for finished backups and save each, until stopped",
		long: `Looks at once, so that a backup missed while the computer was off is caught up.
Then it looks for changes from the time of day that schedule.at names until
schedule.deadline; without a schedule, at all hours. What has changed and then
settled is saved. The configuration is read again before each run. An interrupt
stops it in order.`,
		example: "  offsite watch",
		exits:   []int{exitDone, exitFailed, exitUsage},
		run: func(ctx context.Context, _ []string) (answer, error) {
			if _, err := a.loadSite(); err != nil {
				return nil, err
			}
			// A service's standard error is the system's log.
			_, person := terminal(a.stderr)
			a.nameless = !person
			w := watcher{app: a}
			err := w.loop(ctx)
			if ctx.Err() != nil {
				return w.sum, nil // stopping is how it ends
			}
			return w.sum, err
		},
	}
}

// watcher is the loop of watch. It belongs to one goroutine.
type watcher struct {
	app    *app
	sum    watchAnswer
	seen   source.Set // the set of the last run that found one
	closed time.Time  // end of the window of the last run, for the alarm; zero: told
}

// loop runs once at the start, and then whenever the source changes while the
// window of the schedule is open.
func (w *watcher) loop(ctx context.Context) error {
	for first := true; ; first = false {
		p, err := w.app.loadSite()
		if err != nil {
			w.tell(ctx, err)
			if err := sleep(ctx, tryAgain); err != nil {
				return err
			}
			continue
		}
		now := w.app.now()
		win := windowAt(now, p.config.Schedule, p.calendar.Zone())
		if !win.open(now) && !first {
			w.alarm(ctx, p, win)
			if err := sleep(ctx, win.next.Sub(now)); err != nil {
				return err
			}
			continue
		}
		if err := w.turn(ctx, p, win); err != nil {
			return err
		}
	}
}

// turn is one run and the wait for the next reason to run.
func (w *watcher) turn(ctx context.Context, p *site, win window) error {
	now := w.app.now()
	limit := longestWait
	if win.open(now) {
		limit = win.end.Sub(now)
	}
	again := w.once(ctx, p, limit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if again {
		return sleep(ctx, tryAgain)
	}
	for now := w.app.now(); win.open(now); now = w.app.now() {
		if err := sleep(ctx, min(lookAgain, win.end.Sub(now))); err != nil {
			return err
		}
		if !w.seen.Valid() {
			return nil
		}
		if renewed, err := w.seen.Renewed(ctx); err != nil || renewed {
			return nil // the run says what is wrong, if something is
		}
	}
	return nil
}

// once is one run. It reports whether it should be tried again soon.
func (w *watcher) once(ctx context.Context, p *site, wait time.Duration) (again bool) {
	ans, set, err := w.app.saveSet(ctx, p, saving{wait: max(wait, time.Second)})
	w.sum.Runs++
	if set.Valid() {
		w.seen = set
	}
	exit, _ := judge(err)
	if r, ok := ans.(runAnswer); ok && r.committed() {
		w.sum.Stored++
		w.sum.Last = max(w.sum.Last, r.Day)
		w.app.say("%s", strings.TrimSpace(string(capture(r))))
	}
	switch exit {
	case exitDone, exitNothingNew:
		return false
	case exitSuspect, exitIncomplete:
		w.tell(ctx, err)
		return !set.Valid() // else nothing is gained before the backup changes
	}
	w.tell(ctx, err)
	return true
}

// tell explains an error, unless it is that of being stopped.
func (w *watcher) tell(ctx context.Context, err error) {
	if ctx.Err() == nil {
		_, hints := judge(err)
		w.app.explain(err, hints)
	}
}

// alarm says, once for each window, that the day of the window did not arrive.
func (w *watcher) alarm(ctx context.Context, p *site, win window) {
	if w.closed.Equal(win.end) {
		return
	}
	w.closed = win.end
	day := p.calendar.BusinessDate(win.start)
	if why := p.calendar.Closed(day); why != "" || w.sum.Last >= day.String() {
		return
	}
	w.tell(ctx, fail(exitIncomplete, fmt.Errorf("no finished backup of %s arrived until %s", day, win.end.Format("15:04")),
		"did the practice system's backup run?"))
}

// window is when watch looks at the source: from schedule.at to the deadline.
type window struct {
	start, end time.Time
	next       time.Time // when the one after it begins
}

func (w window) open(now time.Time) bool { return !now.Before(w.start) && now.Before(w.end) }

// windowAt returns the window that now lies in, or the last one before now. With
// no time of day it is always open.
func windowAt(now time.Time, s config.Schedule, zone *time.Location) window {
	if !s.At.IsSet() {
		return window{start: now, end: now.Add(longestWait), next: now}
	}
	next := nextAt(now, s.At, zone)
	start := next
	for back := 1; start.After(now); back++ {
		d := next.In(zone)
		start = time.Date(d.Year(), d.Month(), d.Day()-back, s.At.Hour, s.At.Minute, 0, 0, zone)
	}
	end := start.Add(longestWait)
	if s.Deadline.IsSet() {
		end = nextAt(start, s.Deadline, zone)
	}
	return window{start: start, end: end, next: next}
}

// nextAt returns the next time of day after now, in the practice's zone. A time
// that a change of the clocks skips comes as much later as the clocks jump.
func nextAt(now time.Time, at config.TimeOfDay, zone *time.Location) time.Time {
	d := now.In(zone)
	for n := 0; ; n++ {
		if t := time.Date(d.Year(), d.Month(), d.Day()+n, at.Hour, at.Minute, 0, 0, zone); t.After(now) {
			return t
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
