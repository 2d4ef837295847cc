package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/providers"
	"offsite/retention"
	"offsite/uploader/near"
)

const (
	// answerWithin is how long status waits for one store: what polls it waits no
	// longer either.
	answerWithin = time.Minute
	// briefAttempts is how often a request is tried: some seconds, where a run has
	// minutes. The next poll is another try.
	briefAttempts = 3
	// uploadGrace is how long after its deadline a day may still be on its way: a
	// large night on a slow line.
	uploadGrace = config.Duration(4 * time.Hour)
	// maxGrace bounds --grace: after a week nobody waits for a day any more.
	maxGrace = config.Duration(7 * 24 * time.Hour)
)

// The states of a store, the gravest first.
const (
	stateTooOld      = "too old"
	stateDamaged     = "damaged"
	stateUnreachable = "unreachable"
	stateSuspect     = "suspect"
	stateOK          = "ok"
)

// statesByGravity orders the states, with their exit codes: the gravest of any store
// is that of the whole.
var statesByGravity = []struct {
	state string
	exit  int
}{
	{stateTooOld, exitTooOld},
	{stateDamaged, exitDamaged},
	{stateUnreachable, exitStore},
	{stateSuspect, exitSuspect},
	{stateOK, exitDone},
}

// statusAnswer is what a monitoring system polls.
type statusAnswer struct {
	State    string        `json:"state"`              // the gravest of any store
	Expected string        `json:"expected,omitempty"` // the business day that must be there by now
	Next     *time.Time    `json:"next,omitempty"`     // when watch looks next; absent: at all hours
	Stores   []storeStatus `json:"stores"`

	zone *time.Location
}

type storeStatus struct {
	Store        string     `json:"store"`
	State        string     `json:"state"`
	Clean        *statusDay `json:"clean"`        // the newest clean day; null: there is none
	Newest       *statusDay `json:"newest"`       // the newest day of any verdict
	Missing      int        `json:"missing"`      // business days between the newest clean one and the expected one, this included
	Acknowledged bool       `json:"acknowledged"` // somebody said that what made the newest day suspect is right
	Alarms       []string   `json:"alarms"`
	Error        string     `json:"error,omitempty"`
}

type statusDay struct {
	Day     string    `json:"day"`
	Verdict string    `json:"verdict"`
	Time    time.Time `json:"time"`
}

func (s statusAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "%s", s.State)
	if s.Expected != "" {
		fmt.Fprintf(w, "; a clean day of %s or later is expected in every store", s.Expected)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STORE\tSTATE\tNEWEST CLEAN DAY\tFINISHED\tNEWEST DAY")
	for _, one := range s.Stores {
		clean, finished, newest := "none", "", "none"
		if one.Error != "" {
			clean, newest = "?", "?"
		}
		if one.Clean != nil {
			clean, finished = one.Clean.Day, one.Clean.Time.In(s.zone).Format("2006-01-02 15:04")
		}
		if one.Newest != nil {
			newest = one.Newest.Day + " " + one.Newest.Verdict
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", one.Store, one.State, clean, finished, newest)
	}
	t.Flush()
	for _, one := range s.Stores {
		if one.Missing > 0 {
			fmt.Fprintf(w, "! %s: %s without a clean copy: offsite doctor says what is in the way\n", one.Store, count(one.Missing, "business day"))
		}
		for _, a := range one.Alarms {
			fmt.Fprintf(w, "! %s: %s\n", one.Store, a)
		}
		if one.Acknowledged {
			fmt.Fprintf(w, "%s: what made %s suspect was acknowledged\n", one.Store, one.Newest.Day)
		}
		if one.Error != "" {
			fmt.Fprintf(w, "! %s: %s\n", one.Store, one.Error)
		}
	}
	if s.Next != nil {
		fmt.Fprintf(w, "watch looks for a backup next on %s\n", s.Next.In(s.zone).Format("2006-01-02 at 15:04"))
	}
}

func (a *app) statusVerb() verb {
	grace := uploadGrace
	return verb{
		use: "status", short: "say for every store whether it has the days that it should have by now, for a monitoring system",
		long: `A day is expected once its schedule.deadline, or without one its end, has passed by
the grace. Days on which the practice is closed are not expected. Needs no restore
key, changes nothing in a store, and shows the other stores when one is away. Run it
as the user that watch runs as, or as an administrator: it reads the upload key.

The exit code is that of the gravest state of any store, in this order: 7 too old, or
no clean day at all; 6 damaged, a record cannot be read; 5 unreachable; 4 suspect,
the newest day is suspect and nobody has acknowledged it on this PC; 0 ok.`,
		example: "  offsite status\n  offsite status --json --store cloud",
		exits:   []int{exitDone, exitFailed, exitUsage, exitSuspect, exitStore, exitDamaged, exitTooOld},
		flags: func(f *pflag.FlagSet) {
			f.Var(&textFlag{&grace, "DURATION", grace.String}, "grace", "how long after its deadline a day may still be on its way, a `DURATION`")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			if grace < 0 || grace > maxGrace {
				return nil, wrongUse("--grace: "+grace.String()+" is out of bounds", "wait for at most "+maxGrace.String())
			}
			if strings.Contains(a.store, ":") {
				return nil, wrongUse("status needs the calendar of a configuration", "name a store of the configuration")
			}
			p, err := a.loadSite()
			if err != nil {
				return nil, err
			}
			return a.status(ctx, p, time.Duration(grace))
		},
	}
}

func (a *app) status(ctx context.Context, p *site, grace time.Duration) (answer, error) {
	chosen, err := a.chosenStores(p.config)
	if err != nil {
		return nil, err
	}
	now := a.now()
	ans := statusAnswer{Stores: []storeStatus{}, zone: p.calendar.Zone()}
	due, ok := p.dueDay(now, grace)
	if ok {
		ans.Expected = due.String()
	}
	if p.config.Schedule.At.IsSet() {
		next := windowAt(now, p.config.Schedule, ans.zone).next
		ans.Next = &next
	}
	for _, s := range chosen {
		one := storeStatus{Store: s.Name, Alarms: []string{}}
		limited, cancel := context.WithTimeout(ctx, answerWithin)
		err := a.lookAt(limited, p, s, due, &one)
		cancel()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			one.fail(err)
		}
		ans.Stores = append(ans.Stores, one)
	}
	for _, g := range statesByGravity {
		for _, s := range ans.Stores {
			if s.State == g.state {
				ans.State = g.state
				if g.exit == exitDone {
					return ans, nil
				}
				return ans, verdictOnly(g.exit)
			}
		}
	}
	return ans, nil
}

// fail notes why nothing is known of a store.
func (s *storeStatus) fail(err error) {
	s.State, s.Error = stateUnreachable, oneLine(err)
	switch exit, _ := judge(err); {
	case errors.Is(err, context.DeadlineExceeded):
		s.Error = fmt.Sprintf("no answer within %v", answerWithin)
	case exit == exitDamaged:
		s.State = stateDamaged
	}
}

// lookAt reads the records of one store and says in which state it is.
func (a *app) lookAt(ctx context.Context, p *site, s config.Store, due retention.Date, one *storeStatus) error {
	store, err := a.openBriefly(ctx, p, s)
	if err != nil {
		return err
	}
	l := p.library(s.Name, store)
	if err := l.identify(ctx); err != nil {
		return err
	}
	h, err := a.history(ctx, l)
	if err != nil {
		return err
	}
	snapshots, err := a.markedSnapshots(ctx, l, h)
	if err != nil {
		return err
	}
	plan, err := retention.NewPlan(p.calendar, p.policy, snapshots, a.now())
	if err != nil {
		return err
	}
	one.Alarms = append(one.Alarms, plan.Alarms()...)
	checks, err := p.checks()
	if err != nil {
		return err
	}
	last, verdict := checks.Last()
	one.judge(p, h, due, func(day string) bool {
		return checks.Clean() > day || last == day && verdict.String() == manifest.Clean
	})
	return nil
}

// openBriefly opens a store for somebody who waits for an answer. What runs keep near
// is used, but not made: another account must not own it.
func (a *app) openBriefly(ctx context.Context, p *site, s config.Store) (*providers.Store, error) {
	if s.Address.Scheme == "dir" {
		return a.openStore(ctx, s)
	}
	d, err := a.openDriver(ctx, s)
	if err != nil {
		return nil, err
	}
	a.tellExpiry(ctx, s, d)
	opt := a.storeOptions(s)
	opt.Attempts = briefAttempts
	folder := p.nearOf(s)
	if _, err := os.ReadDir(folder); err == nil {
		if opt.Cache, err = near.Open(folder); err != nil {
			return nil, err
		}
		opt.Near = manifest.Near
	}
	return providers.NewStore(d, opt), nil
}
