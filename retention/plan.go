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
	Hold     string    // why somebody holds it, in plain words; "": nobody does
	Checked  bool      // all its bytes were once read back from the store and were right
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
	Firm    time.Time // until when it must be leased at its commit; never after Need
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

// Open is a period that is not over yet.
type Open struct {
	Period
	Keeper string // id of the last clean snapshot so far, "" if there is none
	Left   int    // open days to come: from today to its end, without those that have a clean one
	Why    string // why there is none
}

// Plan is the decision for all snapshots of one source. Only NewPlan makes one.
type Plan struct {
	kept    []Kept // newest first
	missing []Missing
	open    []Open
	alarms  []string
	since   Date
	zone    *time.Location
	now     time.Time
}

const (
	// maxSnapshots bounds a plan: 30 years of ten backups a day.
	maxSnapshots = 110_000
	// What is kept for as long as something lasts is leased for a step ahead, anew
	// when less than the guard is left. The newest clean days: the floor is longer
	// than both, so this happens only when clean days stay away.
	newestGuard, newestStep = 7 * day, 14 * day
	// Runners-up are spare: silence may take them.
	runnerGuard, runnerStep = 45 * day, 90 * day
	// A held day outlives 60 days of silence, as the newest one does.
	holdGuard, holdStep = 62 * day, 92 * day
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
	p.silence()
	p.newest()
	p.firm()
	p.weeks()
	for _, c := range policy.cycles() {
		p.cycle(c)
	}
	p.suspicion()
	p.holds()
	p.runnersUp()
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
	runners []runner
	missing []Missing
	open    []Open
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
