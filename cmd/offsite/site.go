package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/near"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// site is a loaded configuration as the packages take it.
type site struct {
	config   *config.Config
	key      *seal.UploadKey
	calendar *retention.Calendar
	policy   retention.Policy
	profile  verify.Profile
	layout   source.Layout
	required []source.Pattern
	near     []*near.Folder // copies that runs keep of what never changes
	terms    terms
}

func (a *app) loadSite() (*site, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	p := &site{config: c}
	if err := apart(c); err != nil {
		return nil, err
	}
	if p.calendar, err = calendarOf(c); err != nil {
		return nil, err
	}
	p.policy = policyOf(c)
	if err := p.agree(); err != nil {
		return nil, err
	}
	if p.profile, err = profileOf(c); err != nil {
		return nil, err
	}
	if p.layout, err = layoutOf(c, p.profile); err != nil {
		return nil, err
	}
	if p.required, err = patterns(c.Source.Required); err != nil {
		return nil, err
	}
	p.key, err = loadUploadKey(c)
	return p, err
}

func settingsOf(c *config.Config) retention.Settings {
	s := retention.Settings{
		Region: c.Calendar.Country, Zone: string(c.Calendar.Zone),
		CutOff: time.Duration(c.Calendar.CutOff.Hour)*time.Hour + time.Duration(c.Calendar.CutOff.Minute)*time.Minute,
		Closed: ranges(c.Calendar.Closed), Extra: ranges(c.Calendar.Extra),
	}
	for _, w := range c.Calendar.Open {
		s.Open = append(s.Open, time.Weekday(w))
	}
	return s
}

func calendarOf(c *config.Config) (*retention.Calendar, error) {
	cal, err := retention.NewCalendar(settingsOf(c))
	if err != nil {
		return nil, c.Problem("calendar", err.Error(), "correct the calendar")
	}
	return cal, nil
}

func ranges(in []config.DateRange) []retention.DateRange {
	var out []retention.DateRange
	for _, r := range in {
		out = append(out, retention.DateRange{First: dateOf(r.First), Last: dateOf(r.Last)})
	}
	return out
}

func dateOf(d config.Date) retention.Date {
	return retention.Date{Year: d.Year, Month: d.Month, Day: d.Day}
}

func policyOf(c *config.Config) retention.Policy {
	p, r := retention.DefaultPolicy(), c.Retention
	p.BusinessDays, p.Months, p.Quarters, p.FiscalYears = r.BusinessDays, r.MonthEnds, r.QuarterEnds, r.FiscalYearEnds
	p.FiscalEnd = retention.MonthDay{Month: r.FiscalYearEnd.Month, Day: r.FiscalYearEnd.Day}
	p.FiscalQuarters = r.FiscalQuarters
	p.Floor, p.Weekly = time.Duration(r.Floor), time.Duration(r.WeeklyFloor)
	return p
}

func patterns(texts []string) ([]source.Pattern, error) {
	var out []source.Pattern
	for _, t := range texts {
		p, err := source.ParsePattern(t)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// quiet is how long nothing may have changed.
func (p *site) quiet() time.Duration {
	if p.config.Source.Quiet > 0 {
		return time.Duration(p.config.Source.Quiet)
	}
	return p.profile.Quiet()
}

// judge judges a set by the profile and by what the configuration requires. What
// settle did not wait for is taken to have finished. The set cannot be older than
// expected; zero: it may be of any age.
func (p *site) judge(ctx context.Context, set source.Set, wait time.Duration, now func() time.Time, expected time.Time) (verify.Passed, verify.Report) {
	passed, report := verify.Judge(ctx, set, p.profile, verify.Options{
		Now: now, Quiet: p.quiet(), Finished: wait == 0, Zone: p.calendar.Zone(), Expected: expected, Free: freeBytes,
	})
	missing := p.missing(set)
	if len(missing) == 0 {
		return passed, report
	}
	report.Add(verify.Finding{
		Check: "required", Level: verify.LevelIncomplete, Count: len(missing),
		Measured: fmt.Sprintf("%d of %d required patterns not found", len(missing), len(p.required)), Limit: "all found",
		Remedy: "look at the log of the backup program, or correct source.required in the configuration",
	})
	for _, m := range missing {
		report.AddDetail("required, but not found: " + m.String())
	}
	return verify.Passed{}, report
}

// missing returns the required patterns that no entry with content matches.
func (p *site) missing(set source.Set) []source.Pattern {
	left := append([]source.Pattern(nil), p.required...)
	for e := range set.Entries() {
		if len(left) == 0 {
			break
		}
		if e.Type == source.TypeFile && e.Size == 0 || e.Err != nil {
			continue
		}
		for i := 0; i < len(left); i++ {
			if left[i].Match(set.Within(e), e.Type == source.TypeDir) {
				left = append(left[:i], left[i+1:]...)
				i--
			}
		}
	}
	return left
}

// targets opens the chosen stores. One that cannot be opened does not keep the
// others from their copy: it comes back as an error beside them.
func (a *app) targets(ctx context.Context, p *site) (out []uploader.Target, down []storeDown, err error) {
	chosen, err := a.chosenStores(p.config)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range chosen {
		store, err := a.openNightly(ctx, p, s, len(chosen) == 1)
		switch {
		case err == nil:
			out = append(out, uploader.Target{Name: s.Name, Store: store})
		case providers.KindOf(err) != nil:
			down = append(down, storeDown{s.Name, err})
		default:
			return nil, nil, err
		}
	}
	return out, down, nil
}

type storeDown struct {
	name string
	err  error
}

// stateOf is the folder for the local state of the source.
func (p *site) stateOf() string {
	return filepath.Join(string(p.config.State), p.config.Source.Name)
}

// log is for what nobody above can act on; people see it on standard error.
func (a *app) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// snapshotsOf writes a history as the plan takes it.
func snapshotsOf(h history) ([]retention.Snapshot, error) {
	var out []retention.Snapshot
	var wrong error
	for _, d := range h.Days {
		date, err := retention.ParseDate(d.ref.Record.Date)
		wrong = errors.Join(wrong, err)
		v := retention.Suspect
		if d.Verdict == manifest.Clean {
			v = retention.Clean
		}
		out = append(out, retention.Snapshot{ID: d.Day, Date: date, Revision: d.ref.Record.Revision, Time: d.Time, Verdict: v, Until: d.Until})
	}
	return out, wrong
}
