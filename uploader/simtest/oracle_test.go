package simtest_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"offsite/retention"
)

// oracle says what the rules of retention/PROTOCOL.md owe to snapshots, worked out
// in the slow and obvious way: day by day, period by period. It uses the calendar
// for two questions alone: whether a day is open, and when a date ends.
type oracle struct {
	cal    *retention.Calendar
	policy retention.Policy
}

// owe notes that a snapshot is to be kept until then. One that had lapsed when the
// run began is owed nothing: it may be gone in part.
func (s *snap) owe(until time.Time, why string, args ...any) {
	if until.After(s.owed) && !s.lapsed {
		s.owed, s.why = until, fmt.Sprintf(why, args...)
	}
}

// afterRun is what must hold when a run of a source has gone through at now.
func (o oracle) afterRun(all []*snap, now time.Time) {
	today := o.cal.BusinessDate(now)
	slices.SortFunc(all, func(a, b *snap) int {
		return cmp.Or(a.date.Compare(b.date), cmp.Compare(a.revision, b.revision), cmp.Compare(a.seq, b.seq))
	})
	var good []*snap // the last clean one of each date
	for _, s := range all {
		if !s.clean || s.date.After(today.AddDays(1)) {
			continue
		}
		if n := len(good); n > 0 && good[n-1].date == s.date {
			good[n-1] = s
		} else {
			good = append(good, s)
		}
	}
	for _, s := range all {
		s.owe(s.at.Add(o.policy.Floor), "floor")
	}
	o.days(good, today, now)
	if len(all) > 0 {
		for _, c := range o.cycles() {
			o.periods(c, good, all[0].date, today, now)
		}
	}
	o.suspect(all, good, today, now)
}

func (o oracle) days(good []*snap, today retention.Date, now time.Time) {
	for i, s := range good {
		d := s.date
		for n := o.policy.BusinessDays; n > 0; {
			d = d.AddDays(1)
			if o.cal.Open(d) {
				n--
			}
		}
		if o.policy.BusinessDays > 0 {
			s.owe(o.cal.End(d), "one of the last business days")
		}
		s.owe(o.cal.End(o.nextOpen(s.date)).Add(min(o.policy.Silence, o.policy.Weekly)), "silence")
		if sunday := monday(s.date).AddDays(6); today.After(sunday) && (i+1 == len(good) || good[i+1].date.After(sunday)) {
			s.owe(o.cal.End(s.date).Add(o.policy.Weekly), "last clean one of its week")
		}
		if i >= len(good)-max(1, o.policy.BusinessDays) {
			s.owe(now.Add(7*24*time.Hour), "among the newest clean ones")
		}
	}
}

func (o oracle) nextOpen(d retention.Date) retention.Date {
	for d = d.AddDays(1); !o.cal.Open(d); d = d.AddDays(1) {
	}
	return d
}

// monday is the first day of the week of d.
func monday(d retention.Date) retention.Date {
	return d.AddDays(-(int(d.Weekday()) + 6) % 7)
}

func (o oracle) suspect(all, good []*snap, today retention.Date, now time.Time) {
	for i, s := range all {
		if s.clean || s.date.After(today.AddDays(1)) {
			continue
		}
		until := o.cal.End(s.date).Add(o.policy.Weekly)
		if until.Before(now) {
			continue
		}
		n := max(1, o.policy.BusinessDays)
		for j := i - 1; j >= 0 && n > 0; j-- {
			if slices.Contains(good, all[j]) {
				all[j].owe(until, "among the last clean ones before the suspect one of %v", s.date)
				n--
			}
		}
	}
}

// cycle is a class of periods: how many months each has, in which month of the year
// one of them ends, and on which day.
type cycle struct {
	name        string
	months      int
	month, last int
	keep        int
}

func (o oracle) cycles() []cycle {
	p := o.policy
	return []cycle{{"month", 1, 12, 31, p.Months}, {"quarter", 3, 12, 31, p.Quarters}, {"fiscal year", 12, int(p.FiscalEnd.Month), p.FiscalEnd.Day, p.FiscalYears}}
}

// ends says whether a period of the cycle ends on d.
func (c cycle) ends(d retention.Date) bool {
	length := retention.Date{Year: d.Year, Month: d.Month + 1, Day: 1}
	if d.Month == 12 {
		length = retention.Date{Year: d.Year + 1, Month: 1, Day: 1}
	}
	last := min(c.last, length.AddDays(-1).Day)
	return (int(d.Month)-c.month)%c.months == 0 && d.Day == last
}

// periods walks every day since the first snapshot and settles each period whose
// end it meets.
func (o oracle) periods(c cycle, good []*snap, since, today retention.Date, now time.Time) {
	if c.keep == 0 {
		return
	}
	first := since.AddDays(-1) // the day before the period begins
	for !c.ends(first) {
		first = first.AddDays(-1)
	}
	for d := first.AddDays(1); d.Before(today); d = d.AddDays(1) {
		if !c.ends(d) {
			continue
		}
		until := d
		for n := 0; n < c.keep; {
			until = until.AddDays(1)
			if c.ends(until) {
				n++
			}
		}
		if end := o.cal.End(until); !end.Before(now) {
			o.keeper(c, good, first, d, end, now)
		}
		first = d
	}
}

// patience is how much of its lease something has left that may wait for a raise.
const patience = 30 * day

// keeper finds the keeper of the period behind the day after up to last.
func (o oracle) keeper(c cycle, good []*snap, after, last retention.Date, until, now time.Time) {
	var in, late *snap
	for _, s := range good {
		switch {
		case s.date.After(last):
			if late == nil {
				late = s
			}
		case s.date.After(after):
			in = s
		}
	}
	// What a night raises is limited, and what is not urgent may wait.
	if soon := now.Add(patience); o.policy.Night < 500 && until.After(soon) {
		until = soon
	}
	switch {
	case in != nil:
		in.owe(until, "keeper of the %s to %v", c.name, last)
	case late != nil:
		late.owe(until, "late keeper of the %s to %v", c.name, last)
	}
}
