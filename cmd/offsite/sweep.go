package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
	"offsite/manifest/keep"
	"offsite/providers"
	"offsite/providers/s3/s3sweep"
)

// sweepFlags are what only a sweep is told.
type sweepFlags struct {
	with      string
	today     config.Date
	disregard []string
	log       bool
}

func (a *app) sweepVerb() verb {
	var f sweepFlags
	return verb{
		use:   "sweep [--store NAME] [--yes] [flags]",
		short: "remove what has lapsed from a store that has no rules for it, and keep the log of what went",
		long: `Prints what has lapsed by a day or more, by every record and lease that the store
holds, and with --yes removes it and nothing else. Each object is written down
before it goes and after: what, when and why. Nothing is removed while a record
cannot be read, or while the clocks of the store and of this computer disagree.

A store that removes by its own rules is only looked at: with --yes what went since
the last look is written down. What went too early is an alarm. Runs look by
themselves once a week.

In a bucket the removals use the credential that --with names, which should not
lie on the PC that uploads.`,
		example: "  offsite sweep\n  offsite sweep --store r2 --with access_key=env:SWEEP_KEY&secret_key=env:SWEEP_SECRET --yes\n  offsite sweep --log --json",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		flags: func(s *pflag.FlagSet) {
			s.StringVar(&f.with, "with", "", "the credentials that remove, as `KEY=VALUE&...`; else those of the configuration")
			s.Var(&textFlag{&f.today, "DATE", func() string { return "" }}, "today", "the `DATE` of today, where a long silence leaves doubt about the clock")
			s.StringArrayVar(&f.disregard, "disregard", nil, "take the object at this `KEY`, which cannot be read, to be worthless")
			s.BoolVar(&f.log, "log", false, "print the log of what went, and check it")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			k, err := a.openKeeper(ctx, "")
			if err != nil {
				return nil, err
			}
			if f.log {
				return k.printLog(ctx)
			}
			return k.sweep(ctx, &f)
		},
	}
}

// sweepAnswer says what has lapsed, and what became of it.
type sweepAnswer struct {
	Store   string         `json:"store"`
	Time    *time.Time     `json:"time"` // by which things lapse
	Lapsed  []keep.Sum     `json:"lapsed"`
	Kept    int            `json:"kept"`
	Held    int            `json:"held"`
	Unknown []string       `json:"unknown"` // objects of a later version's kind
	Next    *time.Time     `json:"next_lapse"`
	Bad     []badObject    `json:"unreadable"`
	Removed *removedAnswer `json:"removed"` // null: nothing was asked to be removed
	Gone    int            `json:"gone"`    // since the last look, and not by a sweep
	Early   []keep.Mention `json:"gone_early"`

	own  bool // the store removes by its own rules
	yes  bool
	zone *time.Location
}

type removedAnswer struct {
	Objects int            `json:"objects"`
	Bytes   int64          `json:"bytes"`
	Left    []keep.Mention `json:"left"`
	Log     string         `json:"log"` // the key of the newest entry
	Digest  string         `json:"digest"`
}

type badObject struct {
	Key     string `json:"key"`
	Problem string `json:"problem"`
}

func (s *sweepAnswer) text(w io.Writer) {
	day := func(t time.Time) string { return t.In(s.zone).Format(time.DateOnly) }
	for _, b := range s.Bad {
		fmt.Fprintf(w, "cannot be read: %s: %s\n", b.Key, b.Problem)
	}
	for _, m := range s.Early {
		fmt.Fprintf(w, "GONE TOO EARLY: %s, kept until %s by %s\n", m.Key, day(m.Until.Time), m.Why)
	}
	switch {
	case s.own:
		fmt.Fprintf(w, "%s removes by its own rules: %d objects went since the last look, %d stand\n", s.Store, s.Gone, s.Kept)
	case len(s.Lapsed) == 0:
		fmt.Fprintf(w, "%s: nothing has lapsed, %d objects are kept\n", s.Store, s.Kept)
	default:
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "LAPSED\tOBJECTS\tSIZE\tFIRST\tLAST")
		for _, k := range s.Lapsed {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", k.Kind, k.Count, bytesText(k.Bytes), day(k.Oldest), day(k.Newest))
		}
		t.Flush()
		fmt.Fprintf(w, "%s: %d objects are kept\n", s.Store, s.Kept)
	}
	if s.Held > 0 {
		fmt.Fprintf(w, "%d of them by a hold\n", s.Held)
	}
	if len(s.Unknown) > 0 {
		fmt.Fprintf(w, "%d objects are of a kind that this version does not know; they stay\n", len(s.Unknown))
	}
	switch {
	case s.Removed != nil:
		fmt.Fprintf(w, "removed %d objects, %s; written down in %s (SHA-256 %s)\n", s.Removed.Objects, bytesText(s.Removed.Bytes), s.Removed.Log, s.Removed.Digest)
		for _, m := range s.Removed.Left {
			fmt.Fprintf(w, "  %s: %s\n", m.End, m.Key)
		}
	case !s.yes && (len(s.Lapsed) > 0 || s.own && s.Gone > 0):
		fmt.Fprintln(w, "nothing was changed: add --yes")
	}
	if s.Next != nil && len(s.Lapsed) == 0 && !s.own {
		fmt.Fprintf(w, "the next object may go on %s\n", day(*s.Next))
	}
}

// sweep plans, and does what was planned.
func (k *keeper) sweep(ctx context.Context, f *sweepFlags) (answer, error) {
	ans := &sweepAnswer{Store: k.name, Lapsed: []keep.Sum{}, Unknown: []string{}, Bad: []badObject{}, Early: []keep.Mention{}, yes: k.app.yes, zone: k.zone}
	remover, err := k.remover(ctx, f.with)
	if err != nil {
		return nil, err
	}
	ans.own = remover == nil
	now, err := k.agreed(ctx)
	if err != nil {
		return nil, err
	}
	ans.Time = &now
	for try := 0; ; try++ {
		e, err := keep.Read(ctx, k.store, k.trust, keep.Options{Disregard: f.disregard})
		if err != nil {
			return nil, err
		}
		err = k.sweepOnce(ctx, e, remover, f, ans)
		// Somebody stores a backup at the same time.
		if errors.Is(err, keep.ErrChanged) && try < 3 {
			continue
		}
		return ans, err
	}
}

func (k *keeper) sweepOnce(ctx context.Context, e *keep.Evidence, remover providers.Sweeper, f *sweepFlags, ans *sweepAnswer) error {
	plan := e.Plan(*ans.Time)
	ans.plan(e, plan)
	if ans.own {
		return k.look(ctx, e, ans)
	}
	ans.Early = append([]keep.Mention{}, keep.Early(e.Missing(nil, *ans.Time))...)
	if len(ans.Bad) > 0 {
		return fail(exitDamaged, fmt.Errorf("%d objects of store %s cannot be read; nothing is removed", len(ans.Bad), k.name),
			"what they need is not known: offsite check says more", "if a person has looked at one and it is worthless: --disregard KEY")
	}
	if len(plan.Lapsed) == 0 {
		return ans.alarm(k.name)
	}
	if err := k.awake(e, *ans.Time, f.today); err != nil {
		return err
	}
	if !k.app.yes {
		return ans.alarm(k.name)
	}
	s := keep.Sweep{Store: k.store, Remover: remover, Log: k.log(), Pause: pause}
	done, err := s.Run(ctx, e, plan, *ans.Time)
	ans.removed(done)
	if err := errors.Join(err, k.noteHead(ctx, ans.Removed)); err != nil {
		return err
	}
	if c, ok := remover.(interface {
		RemoveLeftovers(context.Context, time.Time) (int, error)
	}); ok {
		if _, err := c.RemoveLeftovers(ctx, ans.Time.Add(-keep.Grace)); err != nil {
			return err
		}
	}
	if left := len(ans.Removed.Left); left > 0 {
		return fail(exitStore, fmt.Errorf("%d objects of store %s could not be removed", left, k.name), "each is named above; the next sweep tries again")
	}
	return ans.alarm(k.name)
}

// plan writes a plan into the answer.
func (s *sweepAnswer) plan(e *keep.Evidence, p keep.Plan) {
	s.Lapsed, s.Kept, s.Held, s.Unknown, s.Bad, s.Next = p.Sums(), p.Kept, p.Held, append([]string{}, p.Alien...), []badObject{}, nil
	if s.own {
		s.Lapsed, s.Kept, s.Held = []keep.Sum{}, e.Objects(), 0
	}
	if !p.Next.IsZero() {
		s.Next = &p.Next
	}
	for _, b := range e.Bad() {
		s.Bad = append(s.Bad, badObject{b.Key, b.Err.Error()})
	}
}

// removed adds what one part of a sweep did.
func (s *sweepAnswer) removed(done keep.Swept) {
	if s.Removed == nil {
		s.Removed = &removedAnswer{Left: []keep.Mention{}}
	}
	s.Removed.Objects += done.Removed
	s.Removed.Bytes += done.Bytes
	s.Removed.Left = slices.Concat(s.Removed.Left, done.Left)
}

// alarm is the error of an answer in which objects went too early.
func (s *sweepAnswer) alarm(store string) error {
	if len(s.Early) > 0 {
		return fail(exitDamaged, fmt.Errorf("%d objects of store %s went before their time", len(s.Early), store),
			"somebody or something removes what is leased: offsite store check", "offsite run --read-all stores again what the practice still has")
	}
	if len(s.Bad) > 0 {
		return fail(exitDamaged, fmt.Errorf("%d objects of store %s cannot be read", len(s.Bad), store), "offsite check says more")
	}
	return nil
}

// remover opens what may remove: nil for a store that removes by rules of its own.
func (k *keeper) remover(ctx context.Context, with string) (providers.Sweeper, error) {
	s := k.block
	var err error
	if with != "" {
		if s, err = k.app.storeWith(s, with); err != nil {
			return nil, err
		}
	}
	switch {
	case removesItself(s):
		if with != "" {
			return nil, wrongUse("--with: store "+k.name+" removes by its own rules, and nobody removes anything here", "leave it out")
		}
		return nil, nil
	case s.Address.Scheme == "dir":
		d, err := k.app.openDriver(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("open store %s: %w", k.name, err)
		}
		sweeper, _ := d.(providers.Sweeper)
		return sweeper, nil
	default:
		c, err := k.app.s3Config(s)
		if err != nil {
			return nil, err
		}
		sweeper, err := s3sweep.Open(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("open store %s: %w", k.name, err)
		}
		return sweeper, nil
	}
}

// removesItself says whether a store removes what has lapsed by rules of its own.
func removesItself(s config.Store) bool {
	return s.Address.Scheme != "dir" && (s.Address.Scheme != "s3" || s.Lease() != "none")
}

// awake refuses to believe a clock that may have leapt, unless a person says that it
// is right.
func (k *keeper) awake(e *keep.Evidence, now time.Time, today config.Date) error {
	date := now.In(k.zone).Format(time.DateOnly)
	if (today != config.Date{}) {
		if today.String() == date {
			return nil
		}
		return wrongUse("--today: the clocks say "+date+", and not "+today.String(), "set the clock right first")
	}
	if err := e.Alive(now); err != nil {
		return fail(exitFailed, fmt.Errorf("%w; nothing is removed", err), "if today really is "+date+": --today "+date)
	}
	return nil
}

// pause waits, unless the person who waits gives up.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
