package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/providers"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// defaultWait is how long run waits for a backup that is still being written.
const defaultWait = config.Duration(10 * time.Minute)

// maxWait bounds --wait: after a day the next backup is due.
const maxWait = config.Duration(24 * time.Hour)

// runAnswer says what a run did. It names no file: it may be kept and sent.
type runAnswer struct {
	Day      string           `json:"day"` // business date
	Verdict  string           `json:"verdict"`
	Files    int64            `json:"files"`
	Bytes    int64            `json:"bytes"`
	Read     int64            `json:"read"`
	New      int64            `json:"new"`
	Stores   []storeAnswer    `json:"stores"`
	Findings []verify.Finding `json:"findings"`
}

type storeAnswer struct {
	Name      string     `json:"name"`
	Committed bool       `json:"committed"`
	Day       string     `json:"day,omitempty"` // as verbs take it
	Sent      int64      `json:"sent"`
	Packs     int        `json:"packs"`
	Raised    int        `json:"raised"`
	Until     *time.Time `json:"kept_until,omitempty"`
	Error     string     `json:"error,omitempty"`
}

func (r runAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, %d files, %s", r.Day, r.Verdict, r.Files, bytesText(r.Bytes))
	if r.New > 0 {
		fmt.Fprintf(w, ", %s of it new", bytesText(r.New))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range r.Stores {
		switch {
		case s.Committed:
			fmt.Fprintf(t, "  %s\tstored as %s\t%s sent\tkept until %s\n", s.Name, s.Day, bytesText(s.Sent), s.Until.Format(time.DateOnly))
		case s.Error != "":
			fmt.Fprintf(t, "  %s\tnot stored: %s\n", s.Name, s.Error)
		default:
			fmt.Fprintf(t, "  %s\tnothing new\n", s.Name)
		}
	}
	t.Flush()
	for _, f := range r.Findings {
		fmt.Fprintf(w, "  %s: %s: %s (limit: %s)\n    %s\n", f.Level, f.Check, f.Measured, f.Limit, f.Remedy)
	}
}

func (a *app) runVerb() verb {
	wait := defaultWait
	var date config.Date
	var all bool
	return verb{
		use:   "run [--day DATE] [--wait DURATION]",
		short: "save the finished backup now, once",
		long: `Waits until the backup has finished, judges it, stores what is new in every
store, and commits it as its business day. With --wait 0s the backup is taken to
have finished: that is right where the backup program itself starts offsite.

With --day the set is stored again as the day that is named: every file is read,
everything in the stores that it needs is read back, what is missing or damaged is
sent, and the day gets a new revision. Do this while the set still stands.`,
		example: "  offsite run\n  offsite run --wait 2h --json",
		exits:   []int{exitDone, exitFailed, exitUsage, exitIncomplete, exitSuspect, exitStore, exitDamaged, exitNothingNew},
		flags: func(f *pflag.FlagSet) {
			f.Var(&textFlag{&date, "DATE", func() string { return "" }}, "day", "store the set again, as that of this business `DATE`")
			f.Var(&textFlag{&wait, "DURATION", wait.String}, "wait", "for how long to wait for a backup that is being written, a `DURATION`")
			f.BoolVar(&all, "read-all", false, "read every file again, and prove everything that is stored already")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			if wait > maxWait {
				return nil, wrongUse("--wait: "+wait.String()+" is out of bounds", "wait for at most "+maxWait.String())
			}
			p, err := a.loadSite()
			if err != nil {
				return nil, err
			}
			if today := p.calendar.BusinessDate(a.now()); dateOf(date).After(today) {
				return nil, wrongUse("--day: "+date.String()+" is in the future", "today's business date is "+today.String())
			}
			// Naming a day by hand is asking for it to be stored again, whatever is there.
			all = all || date != config.Date{}
			return a.save(ctx, p, saving{wait: time.Duration(wait), date: date, all: all})
		},
	}
}

// saving is what one run is told.
type saving struct {
	wait time.Duration
	date config.Date // zero: today's business date
	all  bool
}

// save is one run: settle, judge, upload.
func (a *app) save(ctx context.Context, p *site, s saving) (answer, error) {
	ans, _, err := a.saveSet(ctx, p, s)
	return ans, err
}

// saveSet is save that also returns the set, if it came so far.
func (a *app) saveSet(ctx context.Context, p *site, s saving) (answer, source.Set, error) {
	targets, down, err := a.targets(ctx, p)
	if err != nil {
		return nil, source.Set{}, err
	}
	if len(targets) == 0 {
		return nil, source.Set{}, allDown(down)
	}
	set, err := p.settle(ctx, s, a.now)
	var late error // why the newest set is not the one that is saved
	if errors.Is(err, source.ErrNotSettled) && ctx.Err() == nil && p.layout.Kind.Several() && s.date == (config.Date{}) {
		if older, found := p.finished(ctx, a.now); found == nil {
			set, err, late = older, nil, err
		}
	}
	if err != nil {
		return nil, set, err
	}
	a.noteDisk(p, set)
	day := dateOf(s.date)
	if s.date == (config.Date{}) {
		day = p.businessDate(set, a.now())
	}
	ans, err := a.upload(ctx, p, s, set, day, targets, down)
	if err != nil && !errors.Is(err, verdictOnly(exitNothingNew)) {
		return ans, set, err
	}
	switch alarm := a.lookAtRuled(ctx, p, targets); {
	case alarm != nil: // what went too early is the worse news
		err = errors.Join(alarm, late)
	case late != nil:
		err = fail(exitIncomplete, late, "the newest set that has finished is of "+day.String()+", and it is stored")
	}
	return ans, set, err
}

// upload judges a set and stores it as that of a day.
func (a *app) upload(ctx context.Context, p *site, s saving, set source.Set, day retention.Date, targets []uploader.Target, down []storeDown) (answer, error) {
	checks, err := p.checks()
	if err != nil {
		return nil, err
	}
	var expected time.Time
	if s.date == (config.Date{}) { // a day that is named may be of any age
		expected = p.expected(checks, a.now())
	}
	passed, report := p.judge(ctx, set, s.wait, a.now, expected)
	a.sayNames(report.Console())
	ans := runAnswer{Day: day.String(), Verdict: report.Verdict().String(), Files: int64(report.Totals().Files),
		Bytes: report.Totals().Bytes, Findings: append([]verify.Finding{}, report.Findings()...), Stores: []storeAnswer{}}
	if report.Verdict() == verify.Incomplete {
		if err := p.keepNames(report.Console()); err != nil {
			a.say("%v", err)
		}
		return ans, fail(exitIncomplete, errors.New("the set is incomplete; nothing was committed"), "the findings say what is missing")
	}
	if err := a.tellPending(p); err != nil {
		return ans, err
	}
	pass, err := p.observer(checks, passed, day)
	if err != nil {
		return ans, err
	}
	bar := a.newBar("reading")
	with := a.uploadConfig(p, targets, day, s.all, bar)
	with.Observer = pass
	res, err := uploader.Run(ctx, with, passed)
	bar.done()
	a.tellFiles(res)
	if len(res.Stores) > 0 && (err == nil || errors.Is(err, uploader.ErrNothingNew)) {
		if terr := p.trimNear(); terr != nil {
			a.say("%v", terr)
		}
	}
	if kerr := a.concluded(p, pass, report.Console(), res, err); kerr != nil {
		a.say("%v", kerr) // the day is stored all the same
	}
	ans.take(res, down, p.calendar.Zone())
	return ans, outcome(res, down, err)
}

// committed says whether any store has the day now.
func (r runAnswer) committed() bool {
	for _, s := range r.Stores {
		if s.Committed {
			return true
		}
	}
	return false
}

// uploadConfig is what the uploader works with.
func (a *app) uploadConfig(p *site, targets []uploader.Target, day retention.Date, all bool, b *bar) uploader.Config {
	var total, read atomic.Int64
	return uploader.Config{
		Key: p.key, Source: sourceID(p.key, p.config.Source.Name), Stores: targets, State: p.stateOf(),
		Calendar: p.calendar, Policy: p.policy, Date: day, Now: a.now, Log: a.log(), ReadAll: all,
		Progress: uploader.Progress{
			Total: func(n int64) { total.Store(n); b.at(read.Load(), n) },
			Read:  func(n int64) { b.at(read.Add(n), total.Load()) },
		},
	}
}

// mostNamed of many files or objects are named: the first ones show the pattern.
const mostNamed = 20

// tellFiles names, on the console alone, the files that stood in the way.
func (a *app) tellFiles(res uploader.Result) {
	if n := len(res.Unread) + len(res.Changed); a.nameless && n > 0 {
		a.say("%d files could not be read, or were written to meanwhile: offsite run, started by hand, names them", n)
		return
	}
	for i, u := range res.Unread {
		if i == mostNamed {
			a.say("and %d more", len(res.Unread)-mostNamed)
			break
		}
		a.say("cannot read %s: %v", u.Path, u.Err)
	}
	for i, c := range res.Changed {
		if i == mostNamed {
			a.say("and %d more", len(res.Changed)-mostNamed)
			break
		}
		a.say("changed while it was read: %s", c)
	}
}

// take fills the answer from the result.
func (r *runAnswer) take(res uploader.Result, down []storeDown, zone *time.Location) {
	if res.Verdict != "" {
		r.Verdict = res.Verdict
	}
	r.Read, r.New = res.Read, res.New
	r.Findings = append(r.Findings, res.Findings...)
	for _, s := range res.Stores {
		one := storeAnswer{Name: s.Name, Sent: s.Bytes, Packs: s.Packs, Raised: s.Raised}
		if s.Ref.Key != "" {
			until := s.Ref.Record.Expiry.In(zone)
			one.Committed, one.Day, one.Until = true, dayName(s.Ref.Record.Date, s.Ref.Record.Revision), &until
			r.Verdict = s.Ref.Record.Verdict
		}
		if s.Err != nil {
			one.Error = s.Err.Error()
		}
		r.Stores = append(r.Stores, one)
	}
	for _, d := range down {
		r.Stores = append(r.Stores, storeAnswer{Name: d.name, Error: d.err.Error()})
	}
	if res.Rotted > 0 {
		r.Findings = append(r.Findings, verify.Finding{
			Check: "rotted", Level: verify.LevelSuspect, Count: res.Rotted, Measured: fmt.Sprintf("%d files", res.Rotted), Limit: "none",
			Remedy: "their bytes changed behind an unchanged date: test the disk, and look for tampering",
		})
	}
}

// outcome gives a run its exit code. A suspect set weighs more than a store that
// is down: the next run brings the store up to date by itself.
func outcome(res uploader.Result, down []storeDown, err error) error {
	if errors.Is(err, uploader.ErrNothingNew) && len(down) == 0 {
		return verdictOnly(exitNothingNew)
	}
	if err != nil && !errors.Is(err, uploader.ErrNothingNew) {
		return err
	}
	for _, s := range res.Stores {
		if s.Ref.Record.Verdict == manifest.Suspect {
			return fail(exitSuspect, errors.New("stored, but the set is suspect"), "the findings say why; older clean days are kept longer meanwhile")
		}
	}
	for _, s := range res.Stores {
		if s.Err != nil {
			down = append(down, storeDown{s.Name, s.Err})
		}
	}
	if len(down) == 0 {
		return nil
	}
	d := down[0]
	exit, hints := judge(d.err)
	if exit == exitFailed {
		exit = exitStore
	}
	return fail(exit, fmt.Errorf("store %s has no copy of this day: %w", d.name, d.err), append(hints, "the next run brings it up to date")...)
}

func allDown(down []storeDown) error {
	if len(down) == 0 {
		return fail(exitStore, errors.New("no store is configured"))
	}
	var all error
	for _, d := range down {
		all = errors.Join(all, d.err)
	}
	exit, hints := judge(providers.KindOf(down[0].err))
	return fail(exit, all, hints...)
}

// textFlag makes a flag of a type that reads itself from text.
type textFlag struct {
	value interface{ UnmarshalText([]byte) error }
	kind  string
	shown func() string
}

func (t *textFlag) String() string {
	if t.shown == nil {
		return ""
	}
	return t.shown()
}
func (t *textFlag) Set(s string) error { return t.value.UnmarshalText([]byte(s)) }
func (t *textFlag) Type() string       { return t.kind }
