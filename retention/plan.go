// Package retention decides until when each snapshot of a practice is kept, and
// says why in plain words. It is pure: calendar, policy, snapshots and the time go
// in, a Plan comes out, and nothing is raised or removed here.
//
// It promises that the newest clean snapshot is always kept, that a plan never asks
// for less than a snapshot's recorded lease, that a suspect snapshot is nobody's
// keeper, and that every end has a reason. It refuses policies and snapshots that make
// no sense rather than guess. The rules stand in PROTOCOL.md.
package retention

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Verdict is what was found when a set was judged.
type Verdict string

const (
	Clean   Verdict = "clean"
	Suspect Verdict = "suspect"
)

// Snapshot is what a plan needs to know of a stored one.
type Snapshot struct {
	ID       string // unique within a plan
	Date     Date   // business date
	Revision int    // counts the snapshots of one date, from 1
	Time     time.Time
	Verdict  Verdict
	Until    time.Time // leased until, as recorded; zero: not yet
}

// Reason is one ground to keep a snapshot.
type Reason struct {
	Class  Class
	Period string    // in plain words, "" where there is none
	Until  time.Time // zero for a keeper of a period that is still open
	Text   string    // the whole reason in plain words
}

// Kept is a snapshot with what the plan decided.
type Kept struct {
	Snapshot
	Need    time.Time // until when the rules want it
	Until   time.Time // the later of Need and the recorded lease
	Reasons []Reason  // longest first
}

// Raise is a snapshot whose lease must be raised.
type Raise struct {
	ID    string
	Until time.Time // at least; see Policy.Lease
	Class Class     // the reason that asks for it
}

// Missing is a period without a clean snapshot.
type Missing struct {
	Period
	Why  string
	Late string // id of the late keeper, "" if there is none yet
}

// Plan is the decision for all snapshots of one source. Only NewPlan makes one.
type Plan struct {
	kept    []Kept // newest first
	missing []Missing
	alarms  []string
	since   Date
	zone    *time.Location
	now     time.Time
}

const (
	// maxSnapshots bounds a plan: 30 years of ten backups a day.
	maxSnapshots = 110_000
	// The newest clean days are raised by newestStep once less than newestGuard of
	// their lease is left. The floor is longer than both, so this happens only when clean days stay away.
	newestGuard = 7 * day
	newestStep  = 14 * day
)

// NewPlan decides for all snapshots of one source at once. now is by the store's
// clock. To learn the expiry of a snapshot about to be committed, add it to the others.
func NewPlan(cal *Calendar, policy Policy, snapshots []Snapshot, now time.Time) (Plan, error) {
	if cal == nil {
		return Plan{}, errors.New("plan retention: no calendar")
	}
	if err := errors.Join(policy.check(), check(snapshots, now)); err != nil {
		return Plan{}, fmt.Errorf("plan retention: %w", err)
	}
	p := planner{cal: cal, policy: policy, now: now, today: cal.BusinessDate(now)}
	p.load(snapshots)
	p.floors()
	p.days()
	p.weeks()
	for _, c := range policy.cycles() {
		p.cycle(c)
	}
	p.suspicion()
	p.newest()
	return p.finish(), nil
}

func check(snapshots []Snapshot, now time.Time) error {
	if len(snapshots) > maxSnapshots {
		return fmt.Errorf("%d snapshots are more than %d", len(snapshots), maxSnapshots)
	}
	if now.Year() < 2000 || now.Year() > 9000 {
		return fmt.Errorf("the time is %v", now)
	}
	seen := make(map[string]bool, len(snapshots))
	for _, s := range snapshots {
		switch {
		case s.ID == "" || seen[s.ID]:
			return fmt.Errorf("snapshot id %q is empty or stands twice", s.ID)
		case !s.Date.valid():
			return fmt.Errorf("snapshot %s has no valid date", s.ID)
		case s.Verdict != Clean && s.Verdict != Suspect:
			return fmt.Errorf("snapshot %s has the verdict %q", s.ID, s.Verdict)
		}
		seen[s.ID] = true
	}
	return nil
}

// planner works a plan out. all is in order of date and revision; good are the
// indexes of the snapshots that may be keepers, one for each date.
type planner struct {
	cal    *Calendar
	policy Policy
	now    time.Time
	today  Date
	since  Date // date of the first snapshot: nothing is expected before

	all     []Kept
	good    []int
	missing []Missing
	alarms  []string
}

func (p *planner) load(snapshots []Snapshot) {
	p.all = make([]Kept, len(snapshots))
	for i, s := range snapshots {
		p.all[i].Snapshot = s
	}
	slices.SortFunc(p.all, func(a, b Kept) int {
		return cmp.Or(a.Date.Compare(b.Date), cmp.Compare(a.Revision, b.Revision), a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	})
	for i, s := range p.all {
		if i == 0 {
			p.since = s.Date
		}
		switch {
		case p.future(s.Date):
			p.alarm("snapshot of %s is dated in the future; it counts for no period until then", s.Date.long())
		case s.Verdict != Clean:
		case len(p.good) > 0 && p.all[p.good[len(p.good)-1]].Date == s.Date:
			p.good[len(p.good)-1] = i // the later revision counts
		default:
			p.good = append(p.good, i)
		}
	}
	if p.future(p.since) {
		p.since = p.today
	}
}

// future allows for one day: the PC's zone may be ahead of the practice's.
func (p *planner) future(d Date) bool { return d.After(p.today.AddDays(1)) }

func (p *planner) alarm(format string, args ...any) {
	p.alarms = append(p.alarms, fmt.Sprintf(format, args...))
}

// keep adds a reason to a snapshot. A zero until only explains.
func (p *planner) keep(i int, class Class, period string, until time.Time, format string, args ...any) {
	k := &p.all[i]
	if until.After(k.Need) {
		k.Need = until
	}
	r := Reason{class, period, until, fmt.Sprintf(format, args...)}
	same := slices.IndexFunc(k.Reasons, func(o Reason) bool { return o.Class == class && o.Period == period })
	switch {
	case same < 0:
		k.Reasons = append(k.Reasons, r)
	case until.After(k.Reasons[same].Until): // of several suspect ones after it, the last counts
		k.Reasons[same] = r
	}
}

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

// weeks: the last clean one of each week, and so at its commit the newest one.
func (p *planner) weeks() {
	for n, i := range p.good {
		d := p.all[i].Date
		week := weekOf(d)
		if n+1 < len(p.good) && !p.all[p.good[n+1]].Date.After(week.Last) {
			continue
		}
		so := ""
		if !p.today.After(week.Last) {
			so = " so far"
		}
		p.keep(i, Week, week.String(), p.cal.End(d).Add(p.policy.Weekly), "last clean one of %v%s", week, so)
	}
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
	over := p.today.After(of.Last)
	name := of.String()
	first := ""
	if of.First.Before(p.since) && !p.since.After(of.Last) {
		first = fmt.Sprintf("; the first period, begun on %v", p.since)
	}
	if i, ok := p.lastIn(of.First, of.Last); ok {
		d := p.all[i].Date
		last, open := p.cal.LastOpen(of.First, of.Last)
		switch {
		case over || open && !d.Before(last): // nothing better is to come
			p.keep(i, of.Class, name, until, "keeper of %s%s%s", name, p.early(d, last, open), first)
		default:
			p.keep(i, of.Class, name, time.Time{}, "keeper of %s so far, which ends on %s%s", name, of.Last.long(), first)
		}
		return
	}
	if !over {
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
	for _, i := range p.good[max(0, len(p.good)-n):] {
		k := &p.all[i]
		have := k.Need
		if k.Snapshot.Until.After(have) {
			have = k.Snapshot.Until
		}
		text := "the newest clean one"
		if n > 1 {
			text = fmt.Sprintf("among the newest %d clean days", n)
		}
		if have.Sub(p.now) < newestGuard {
			p.keep(i, Newest, "", p.now.Add(newestStep), "%s; kept until newer ones take its place", text)
		}
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
