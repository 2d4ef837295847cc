package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/manifest/mirror"
	"offsite/providers"
)

// copyAnswer says what was carried from one store to another.
type copyAnswer struct {
	From    string   `json:"from"`
	To      string   `json:"to"`
	Founded bool     `json:"founded"`
	Copied  []string `json:"copied"` // days
	Had     int      `json:"had"`
	Objects int      `json:"objects"`
	Within  int      `json:"copied_by_the_service"`
	Bytes   int64    `json:"bytes"`
	Damaged []string `json:"damaged"`
}

func (c copyAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "%s to %s: %d days copied, %d were there, %d objects with %s sent\n", c.From, c.To, len(c.Copied), c.Had, c.Objects, bytesText(c.Bytes))
	if c.Within > 0 {
		fmt.Fprintf(w, "%d of the objects were copied by the service itself\n", c.Within)
	}
	if c.Founded {
		fmt.Fprintf(w, "%s was empty: it now holds the practice's keys, too\n", c.To)
	}
	for _, d := range c.Damaged {
		fmt.Fprintf(w, "  not copied: %s\n", d)
	}
}

func (a *app) copyVerb() verb {
	var from, to, with string
	var date config.Date
	return verb{
		use:   "copy --from STORE --to STORE [--day DATE]",
		short: "seed a store from another: a second cloud, or a disk that was carried to a fast line",
		long: `Copies every day that has not lapsed, the oldest first; with --day that one. Every
object is proved by its hash before it is sent, and a day counts at the target only
when all it needs is there and leased. What has arrived is not sent again: a copy
that was stopped goes on. An empty target gets the practice's keys as well. Between two
buckets of one S3 service, and with a credential that reads both, the service copies
by itself; else the bytes go through this computer.`,
		example: `  offsite copy --from disk --to cloud
  offsite copy --from nas --to 's3://second-bucket?region=eu-west-1' --with profile=admin`,
		exits: []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged, exitNothingNew},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&from, "from", "", "the `STORE` to copy from: its name, or an address")
			f.StringVar(&to, "to", "", "the `STORE` to copy to: its name, or an address")
			f.Var(&textFlag{&date, "DATE", func() string { return "" }}, "day", "copy the days of this business `DATE` only")
			f.StringVar(&with, "with", "", withUsage+": for the target, where it is empty")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			if from == "" || to == "" {
				return nil, wrongUse("copy needs a store to copy from and one to copy to", "give --from STORE and --to STORE")
			}
			return a.copyStores(ctx, from, to, with, date)
		},
	}
}

func (a *app) copyStores(ctx context.Context, from, to, with string, date config.Date) (answer, error) {
	p, err := a.loadSite()
	if err != nil {
		return nil, err
	}
	source, err := a.storeOf(p.config, from)
	if err != nil {
		return nil, err
	}
	target, err := a.storeOf(p.config, to)
	if err != nil {
		return nil, err
	}
	if source.Address == target.Address && source.Endpoint == target.Endpoint {
		return nil, wrongUse("both are the same store", "name two")
	}
	cfg := mirror.Config{Key: p.key, Lease: p.policy.Lease, Now: a.now}
	if cfg.From, err = a.openStore(ctx, source); err != nil {
		return nil, err
	}
	if cfg.To, err = a.openTarget(ctx, target, with); err != nil {
		return nil, err
	}
	if date != (config.Date{}) {
		cfg.Want = func(r manifest.Ref) bool { return r.Record.Date == date.String() }
	}
	bar := a.newBar("copying")
	var sent atomic.Int64
	cfg.Sent = func(n int64) { bar.at(sent.Add(n), 0) }
	res, err := mirror.Copy(ctx, cfg)
	bar.done()
	ans := copyAnswer{From: source.Name, To: target.Name, Founded: res.Founded, Copied: []string{}, Had: res.Had,
		Objects: res.Objects, Within: res.Within, Bytes: res.Bytes, Damaged: []string{}}
	for _, r := range res.Copied {
		ans.Copied = append(ans.Copied, r.Record.Date)
	}
	for _, d := range res.Damaged {
		day := d.Ref.Record.Date
		if day == "" {
			day = d.Ref.Key
		}
		ans.Damaged = append(ans.Damaged, fmt.Sprintf("%s: %v", day, d.Err))
	}
	switch {
	case errors.Is(err, mirror.ErrNotEnrolled):
		return ans, fail(exitStore, err, "the owner never enrolled this PC there: offsite init --join makes it one of the practice")
	case err != nil:
		return ans, err
	case len(res.Damaged) > 0:
		return ans, fail(exitDamaged, fmt.Errorf("%d days were not copied, because what they need is missing or damaged", len(res.Damaged)), "offsite run --day stores a day again while its backup still stands")
	case len(res.Copied) == 0 && res.Had == 0:
		return ans, fail(exitNothingNew, errors.New("there is no day to copy"), "offsite days --store "+from+" lists them")
	case len(res.Copied) == 0:
		return ans, verdictOnly(exitNothingNew)
	}
	return ans, nil
}

// storeOf is a store of the configuration by its name, or any by its address.
func (a *app) storeOf(c *config.Config, text string) (config.Store, error) {
	if s, _, ok := c.StoreNamed(text); ok {
		return s, nil
	}
	s, err := storeAt(text)
	s.Name = s.Address.String()
	return s, err
}

// openTarget opens a store to copy to; a folder is made where it is missing.
func (a *app) openTarget(ctx context.Context, s config.Store, with string) (*providers.Store, error) {
	store, err := a.openStoreWith(ctx, s, with)
	if s.Address.Scheme == "dir" && errors.Is(err, providers.ErrUnreachable) {
		return a.createStore(ctx, s, with)
	}
	return store, err
}
