package retention

import (
	"fmt"
	"slices"
	"time"
)

// floors: the insurance against silence, for every snapshot.
func (p *planner) floors() {
	for i, s := range p.all {
		from := s.Time
		if from.IsZero() || from.After(p.now) {
			from = p.now // a clock that ran ahead must not lease for years
		}
		p.keep(i, Floor, "", from.Add(p.policy.Floor), "no snapshot is kept for less than %s", days(p.policy.Floor))
	}
}

// days: a clean date is kept to the end of the n-th open day after it.
func (p *planner) days() {
	n := p.policy.BusinessDays
	if n == 0 {
		return
	}
	for _, i := range p.good {
		d := p.all[i].Date
		p.keep(i, Day, d.long(), p.cal.End(p.cal.AddOpen(d, n)), "one of the last %d business days", n)
	}
	for _, d := range p.cal.OpenDays(p.today.AddDays(-1), n) {
		if d.Before(p.since) {
			break
		}
		if _, ok := p.lastIn(d, d); !ok {
			p.missing = append(p.missing, Missing{Period{Day, d, d}, p.why(d, d), ""})
		}
	}
}

// silence: whatever clean date turns out to be the newest one, the practice is
// missed on its next open day at the earliest, and silence is counted from then.
func (p *planner) silence() {
	wait := min(p.policy.Silence, p.policy.Weekly)
	if wait == 0 {
		return
	}
	for _, i := range p.good {
		missed := p.cal.End(p.cal.AddOpen(p.all[i].Date, 1))
		p.keep(i, Silence, "", missed.Add(wait), "outlives %s of silence", days(wait))
	}
}

// firm ends what a snapshot is leased for at its commit. Everything behind it is a
// promotion, for which there are some nights.
func (p *planner) firm() {
	for i := range p.all {
		p.all[i].Firm = p.all[i].Need
	}
}

// weeks: the last clean one of each week, once nothing better is to come.
func (p *planner) weeks() {
	for n, i := range p.good {
		d := p.all[i].Date
		week := weekOf(d)
		if n+1 < len(p.good) && !p.all[p.good[n+1]].Date.After(week.Last) {
			continue
		}
		if p.decided(week, d) {
			p.keep(i, Week, week.String(), p.cal.End(d).Add(p.policy.Weekly), "last clean one of %v", week)
		} else {
			p.keep(i, Week, week.String(), time.Time{}, "last clean one of %v so far", week)
		}
	}
	p.soFar(weekOf(p.today))
}

// decided says whether the last clean date of a period can be relied on to be its
// keeper: the period is over, or has no open day left after it.
func (p *planner) decided(of Period, d Date) bool {
	last, open := p.cal.LastOpen(of.First, of.Last)
	return p.today.After(of.Last) || open && !d.Before(last)
}

// soFar notes what a period that is not over has.
func (p *planner) soFar(of Period) {
	if len(p.all) == 0 || p.today.After(of.Last) {
		return
	}
	o := Open{Period: of}
	from := p.today.AddDays(-1)
	if i, ok := p.lastIn(of.First, of.Last); ok {
		o.Keeper = p.all[i].ID
		from = later(from, p.all[i].Date)
	} else {
		o.Why = p.why(of.First, of.Last)
	}
	o.Left = p.cal.between(from, of.Last)
	p.open = append(p.open, o)
}

// cycle finds the keepers of months, quarters or fiscal years.
func (p *planner) cycle(c cycle) {
	if c.keep == 0 || len(p.all) == 0 {
		return
	}
	now := c.index(p.today)
	first := max(c.index(p.since), now-(c.keep+1)*c.months)
	for i := first; i <= now; i += c.months {
		p.period(c.period(i), p.cal.End(c.end(i+c.keep*c.months)))
	}
}

// period finds the keeper of one period, which is kept until until.
func (p *planner) period(of Period, until time.Time) {
	if until.Before(p.now) {
		return
	}
	p.soFar(of)
	name := of.String()
	first := ""
	if of.First.Before(p.since) && !p.since.After(of.Last) {
		first = fmt.Sprintf("; the first period, begun on %v", p.since)
	}
	if i, ok := p.lastIn(of.First, of.Last); ok {
		d := p.all[i].Date
		if !p.decided(of, d) {
			p.keep(i, of.Class, name, time.Time{}, "keeper of %s so far, which ends on %s%s", name, of.Last.long(), first)
			return
		}
		last, open := p.cal.LastOpen(of.First, of.Last)
		p.keep(i, of.Class, name, until, "keeper of %s%s%s", name, p.early(d, last, open), first)
		if second, ok := p.lastIn(of.First, d.AddDays(-1)); ok && !p.all[i].Checked {
			p.runners = append(p.runners, runner{second, i, name})
		}
		return
	}
	if !p.today.After(of.Last) {
		return
	}
	m := Missing{Period: of, Why: p.why(of.First, of.Last)}
	if i, ok := p.firstAfter(of.Last); ok {
		m.Late = p.all[i].ID
		p.keep(i, of.Class, name, until, "late keeper of %s: %s%s", name, m.Why, first)
	}
	p.missing = append(p.missing, m)
}

// early labels a keeper that is not of its period's last business day.
func (p *planner) early(d, last Date, open bool) string {
	if !open || !d.Before(last) {
		return ""
	}
	n := p.cal.between(d, last)
	return fmt.Sprintf(", %s early (last business day: %s)", plural(n, "business day"), last.long())
}

// suspicion: what stood before a suspect snapshot is kept longer, since damage is
// often understood late.
func (p *planner) suspicion() {
	unresolved := -1
	for i, s := range p.all {
		if s.Verdict != Suspect || p.future(s.Date) {
			continue
		}
		until := p.cal.End(s.Date).Add(p.policy.Weekly)
		before, _ := slices.BinarySearch(p.good, i)
		if before == len(p.good) {
			unresolved = i
		}
		if until.Before(p.now) {
			continue
		}
		for _, g := range p.good[max(0, before-p.newestCount()):before] {
			p.keep(g, Suspicion, "", until, "among the last clean ones before the suspect one of %s", s.Date.long())
		}
	}
	if unresolved >= 0 {
		p.alarm("snapshot of %s is suspect, and no clean one has followed", p.all[unresolved].Date.long())
	}
}

// newestCount is how many clean dates are kept whatever their age.
func (p *planner) newestCount() int { return max(1, p.policy.BusinessDays) }

// newest: while clean days stay away, the newest ones outlive their own ends.
func (p *planner) newest() {
	n := p.newestCount()
	text := "the newest clean one"
	if n > 1 {
		text = fmt.Sprintf("among the newest %d clean days", n)
	}
	for _, i := range p.good[max(0, len(p.good)-n):] {
		if p.left(i) < newestGuard {
			p.keep(i, Newest, "", p.now.Add(newestStep), "%s; kept until newer ones take its place", text)
		}
	}
}

// left is how long a snapshot is kept yet.
func (p *planner) left(i int) time.Duration {
	have := p.all[i].Need
	if u := p.all[i].Snapshot.Until; u.After(have) {
		have = u
	}
	return have.Sub(p.now)
}

// rolling keeps a snapshot for as long as something lasts: its lease is raised by a
// step whenever less than the guard is left.
func (p *planner) rolling(i int, class Class, period string, guard, step time.Duration, format string, args ...any) {
	var until time.Time
	if p.left(i) < guard {
		until = p.now.Add(step)
	}
	p.keep(i, class, period, until, format, args...)
}

// holds: what somebody holds is kept until they release it.
func (p *planner) holds() {
	for i, s := range p.all {
		if s.Hold != "" {
			p.rolling(i, Hold, "", holdGuard, holdStep, "held, and kept until released: %s", s.Hold)
		}
	}
}

// runner is the second best of a period.
type runner struct {
	second, keeper int
	period         string
}

// runnersUp: should a keeper turn out to be bad, the one before it takes its place.
// This ends when all bytes of the keeper were once read back.
func (p *planner) runnersUp() {
	for _, r := range p.runners {
		p.rolling(r.second, RunnerUp, r.period, runnerGuard, runnerStep, "runner-up of %s until its keeper, %s, has been checked",
			r.period, p.all[r.keeper].Date.long())
	}
}

// lastIn returns the last snapshot that may be a keeper from first to last.
func (p *planner) lastIn(first, last Date) (int, bool) {
	n := p.search(last.AddDays(1))
	if n == 0 || p.all[p.good[n-1]].Date.Before(first) {
		return 0, false
	}
	return p.good[n-1], true
}

func (p *planner) firstAfter(last Date) (int, bool) {
	if n := p.search(last.AddDays(1)); n < len(p.good) {
		return p.good[n], true
	}
	return 0, false
}

// search returns how many of good are before d.
func (p *planner) search(d Date) int {
	n, _ := slices.BinarySearchFunc(p.good, d, func(i int, d Date) int { return p.all[i].Date.Compare(d) })
	return n
}

// why says why there is no keeper from first to last.
func (p *planner) why(first, last Date) string {
	n, _ := slices.BinarySearchFunc(p.all, first, func(k Kept, d Date) int { return k.Date.Compare(d) })
	if n < len(p.all) && !p.all[n].Date.After(last) {
		return "only suspect sets arrived"
	}
	return "no set arrived"
}
