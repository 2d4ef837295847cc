package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/retention"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// layoutOf is where backups stand, as package source takes it.
func layoutOf(c *config.Config, profile verify.Profile) (source.Layout, error) {
	exclude, err := patterns(c.Source.Exclude)
	if err != nil {
		return source.Layout{}, err
	}
	l := source.Layout{
		Kind: source.Kind(c.Source.Layout),
		Scan: source.Options{Exclude: append(profile.Exclude(), exclude...), FollowRoot: true, Pause: time.Sleep},
	}
	for _, f := range c.Source.Folders {
		l.Scan.Roots = append(l.Scan.Roots, source.Root{Path: string(f)})
	}
	for _, f := range c.Source.Also {
		l.Also = append(l.Also, source.Root{Path: string(f)})
	}
	for _, d := range c.Source.Disks {
		l.Disks = append(l.Disks, source.Disk{Name: d.Name, Serial: d.Serial, Marker: d.Marker})
	}
	if c.Source.Live != "" {
		l.Scan.Live = []string{string(c.Source.Live)}
	}
	return l, nil
}

// sets is the layout with a clock, against which dates in names are held.
func (p *site) sets(now func() time.Time) source.Layout {
	l := p.layout
	l.Now = now
	return l
}

// settle waits until the newest set has settled, for at most wait longer than the
// quiet period. With no wait at all it is taken as it is: the backup program itself
// says, by starting offsite, that it has finished. Where several sets stand in the
// source, a day that is named means the set of that day.
func (p *site) settle(ctx context.Context, s saving, now func() time.Time) (source.Set, error) {
	l := p.sets(now)
	if s.date != (config.Date{}) && l.Kind.Several() {
		picked, err := p.pick(ctx, l, dateOf(s.date), now)
		if err != nil || s.wait == 0 {
			return picked, err
		}
		if newest, err := l.Newest(ctx); err != nil || newest.Name() != picked.Name() {
			return picked, nil // there is a newer one, so this one has finished
		}
	}
	if s.wait == 0 {
		return l.Newest(ctx)
	}
	o := source.WaitOptions{Layout: l, Quiet: p.quiet(), Limit: p.quiet() + s.wait, Now: now}
	if p.config.Source.Done != "" {
		done, err := source.ParsePattern(p.config.Source.Done)
		if err != nil {
			return source.Set{}, err
		}
		o.Done = done
	}
	if p.profile.Log() != "" {
		o.Ended = func(_ context.Context, set source.Set) (time.Time, bool) {
			return p.profile.Ended(set, now(), p.calendar.Zone())
		}
	}
	return source.Wait(ctx, o)
}

// pick returns the newest set of a business date.
func (p *site) pick(ctx context.Context, l source.Layout, day retention.Date, now func() time.Time) (source.Set, error) {
	set, err := l.Pick(ctx, func(set source.Set) bool { return p.businessDate(set, now()) == day })
	if errors.Is(err, source.ErrNoDay) {
		return set, fail(exitIncomplete, fmt.Errorf("%w: %s", err, day), "offsite doctor lists the sets that stand there")
	}
	return set, err
}

// finished returns the newest set that has not changed for the quiet period, for
// when the newest of all is still being written.
func (p *site) finished(ctx context.Context, now func() time.Time) (source.Set, error) {
	return p.sets(now).Pick(ctx, func(set source.Set) bool {
		newest := set.Newest()
		return !newest.IsZero() && now().Sub(newest) >= p.quiet()
	})
}

// businessDate is the day that a set belongs to: by the date in its name, or else by
// its newest change, not by the time of the run. A backup of Friday that is saved on
// Tuesday is Friday's, and one that nobody renews makes no new days.
func (p *site) businessDate(set source.Set, now time.Time) retention.Date {
	today := p.calendar.BusinessDate(now)
	stamp, moment := set.Stamp(), set.Moment()
	written := today // a clock that is ahead must not make days of tomorrow
	known := !moment.IsZero() && moment.Before(now)
	if known {
		written = p.calendar.BusinessDate(moment)
	}
	named := retention.Date{Year: stamp.Year, Month: stamp.Month, Day: stamp.Day}
	switch {
	case stamp.IsZero():
		return written
	case stamp.Timed:
		named = p.calendar.BusinessDate(stamp.In(p.calendar.Zone()))
	case known && written == named.AddDays(-1):
		return written // a run that began after midnight belongs to the day before
	}
	if named.After(today) {
		return today
	}
	return named
}

// disksFile is where, in the local state, it stands when each disk was last there.
const disksFile = "disks.json"

// seenDisks reads it. What cannot be read counts as never seen.
func (p *site) seenDisks() map[string]time.Time {
	seen := map[string]time.Time{}
	text, err := os.ReadFile(filepath.Join(p.stateOf(), disksFile))
	if err == nil && json.Unmarshal(text, &seen) != nil {
		return map[string]time.Time{}
	}
	return seen
}

// noteDisk remembers that a disk was there. It is told to people alone, so nothing
// is lost when it cannot be written.
func (a *app) noteDisk(p *site, set source.Set) {
	if set.Disk() == "" {
		return
	}
	seen := p.seenDisks()
	seen[set.Disk()] = a.now().UTC().Truncate(time.Second)
	text, err := json.Marshal(seen)
	if err == nil {
		err = os.MkdirAll(p.stateOf(), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(p.stateOf(), disksFile), text, 0o600)
	}
	if err != nil {
		a.say("remember disk: %v", err)
	}
}
