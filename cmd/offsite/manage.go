package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
	"offsite/manifest/keep"
	"offsite/providers"
	"offsite/retention"
)

// manageAnswer says what a manager raised and refused.
type manageAnswer struct {
	Store     string         `json:"store"`
	Snapshots int            `json:"snapshots"`
	Objects   int            `json:"objects"`
	Due       int            `json:"due"`
	Raised    int            `json:"raised"`
	Until     *time.Time     `json:"raised_until"` // the latest
	Requests  int64          `json:"requests"`     // of every kind
	Maximum   string         `json:"maximum"`
	Refused   []keep.Refusal `json:"refused"`
	Missing   []string       `json:"missing"`
	Bad       []badObject    `json:"unreadable"`

	zone *time.Location
}

func (m *manageAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "%s: %d snapshots, %d objects, %d of %d leases raised", m.Store, m.Snapshots, m.Objects, m.Raised, m.Due)
	if m.Until != nil {
		fmt.Fprintf(w, ", the longest until %s", m.Until.In(m.zone).Format(time.DateOnly))
	}
	fmt.Fprintf(w, "; %d requests\n", m.Requests)
	for _, r := range m.Refused {
		fmt.Fprintf(w, "REFUSED: %s asks until %s for %d objects, more than %s\n", r.Key, r.Until.In(m.zone).Format(time.DateOnly), r.Objects, m.Maximum)
	}
	for _, key := range m.Missing {
		fmt.Fprintf(w, "MISSING: %s\n", key)
	}
	for _, b := range m.Bad {
		fmt.Fprintf(w, "cannot be believed: %s: %s\n", b.Key, b.Problem)
	}
}

func (a *app) manageVerb() verb {
	var with string
	var most config.Duration
	return verb{
		use:   "manage --store NAME|ADDRESS [flags]",
		short: "raise leases as the records ask for it, where the uploader may not",
		long: `For stores in which the right to raise a lease is not the uploader's: Azure with
leases: managed, or a bucket with a key of its own for it. Reads records and lease
records, believes those of enrolled PCs, and raises the leases of what they need.
It needs no key of the practice, and should run on another computer, every night.

A record that asks for more than --max is refused and reported; the others are
served. Without a configuration the default policy says how long the longest is.`,
		example: "  offsite manage --store azblob://account/container/practice?leases=manager --with sas=env:MANAGER_SAS",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		flags: func(s *pflag.FlagSet) {
			s.StringVar(&with, "with", "", "the manager's credentials, as `KEY=VALUE&...`; else those of the configuration")
			s.Var(&textFlag{&most, "DURATION", func() string { return "" }}, "max", "the longest lease that is granted, a `DURATION` such as 3000d; else the longest class and the slack")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			if a.store == "" {
				return nil, wrongUse("manage needs a store", "name one with --store")
			}
			k, err := a.openKeeper(ctx, with)
			if err != nil {
				return nil, err
			}
			return k.manage(ctx, with, time.Duration(most))
		},
	}
}

func (k *keeper) manage(ctx context.Context, with string, most time.Duration) (answer, error) {
	policy := retention.DefaultPolicy()
	if k.config != nil {
		policy = policyOf(k.config)
	}
	if most == 0 {
		most = longestClass(policy) + policy.SlackMax
	}
	store, err := k.raiser(ctx, with)
	if err != nil {
		return nil, err
	}
	now, err := k.agreed(ctx)
	if err != nil {
		return nil, err
	}
	e, err := keep.Read(ctx, store, k.trust, keep.Options{Longest: most})
	if err != nil {
		return nil, err
	}
	known, err := k.remembered(raisedFile)
	if err != nil {
		return nil, err
	}
	due := e.Raises(now, policy.Lease, func(at keep.Place) time.Time { return known[at].Until })
	done, err := keep.Manage(ctx, store, due)
	ans := &manageAnswer{Store: k.name, Snapshots: e.Snapshots(), Objects: e.Objects(), Due: len(due), Raised: len(done.Raised),
		Maximum: config.Duration(most).String(), Refused: append([]keep.Refusal{}, e.Refused()...), Missing: []string{}, Bad: []badObject{}, zone: k.zone}
	for _, r := range done.Raised {
		known[r.Place] = keep.Remembered{Until: r.Until}
		if ans.Until == nil || r.Until.After(*ans.Until) {
			ans.Until = &r.Until
		}
	}
	for _, m := range done.Missing {
		ans.Missing = append(ans.Missing, m.Key)
	}
	for _, b := range e.Bad() {
		ans.Bad = append(ans.Bad, badObject{b.Key, b.Err.Error()})
	}
	c := store.Counters()
	ans.Requests = c.Put + c.Get + c.Stat + c.List + c.Raise + c.Time
	for at, r := range known { // what has lapsed is of no use any more
		if r.Until.Before(now) {
			delete(known, at)
		}
	}
	if saveErr := k.remember(raisedFile, known); err == nil {
		err = saveErr
	}
	if err == nil && len(ans.Refused)+len(ans.Missing)+len(ans.Bad) > 0 {
		err = fail(exitDamaged, fmt.Errorf("store %s: %d records ask for too much, %d objects are missing, %d records cannot be believed",
			k.name, len(ans.Refused), len(ans.Missing), len(ans.Bad)), "everything else was raised; offsite check says what is affected")
	}
	return ans, err
}

// raiser opens the store as the manager reaches it.
func (k *keeper) raiser(ctx context.Context, with string) (*providers.Store, error) {
	s := k.block
	if s.Lease() == "managed" { // so the uploader's block says
		s.Leases = "manager"
	}
	store, err := k.app.openStoreWith(ctx, s, with)
	if err != nil {
		return nil, err
	}
	if !store.Leases() {
		return nil, wrongUse("store "+k.name+" keeps no leases of its own", "there is nothing to raise; what has lapsed is removed by offsite sweep")
	}
	return store, nil
}

// longestClass is the longest that a policy keeps a snapshot from when it was
// stored: to the end of the last of so many periods.
func longestClass(p retention.Policy) time.Duration {
	const day = 24 * time.Hour
	// Open days: the practice may be closed for most of a year.
	return max(p.Floor, p.Weekly, p.Silence, time.Duration(p.BusinessDays)*7*day+366*day,
		time.Duration(p.Months+1)*31*day, time.Duration(p.Quarters+1)*92*day, time.Duration(p.FiscalYears+1)*366*day)
}
