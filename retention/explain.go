package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// finish turns what was worked out into a plan.
func (p *planner) finish() Plan {
	for i := range p.all {
		k := &p.all[i]
		k.Until = k.Need
		if k.Snapshot.Until.After(k.Need) {
			k.Until = k.Snapshot.Until
			k.Reasons = append(k.Reasons, Reason{Leased, "", k.Until, "leased this long before, and no lease is shortened"})
		}
		slices.SortStableFunc(k.Reasons, func(a, b Reason) int { return b.Until.Compare(a.Until) })
		if u := k.Snapshot.Until; !u.IsZero() && u.Before(p.now) && k.Need.After(p.now) {
			p.alarm("the lease of the snapshot of %s ran out on %s although it is needed; check that it is still there", k.Date.long(), stamp(u, p.cal.zone))
		}
	}
	if len(p.all) > 0 && len(p.good) == 0 {
		p.alarm("there is no clean snapshot")
	}
	slices.Reverse(p.all)
	slices.SortStableFunc(p.missing, func(a, b Missing) int {
		return cmp.Or(b.Last.Compare(a.Last), a.First.Compare(b.First))
	})
	return Plan{kept: p.all, missing: p.missing, open: p.open, alarms: p.alarms, since: p.since, zone: p.cal.zone, now: p.now}
}

// Kept returns all snapshots, newest first.
func (p Plan) Kept() []Kept { return slices.Clone(p.kept) }

// Of returns the decision for one snapshot.
func (p Plan) Of(id string) (Kept, bool) {
	i := slices.IndexFunc(p.kept, func(k Kept) bool { return k.ID == id })
	if i < 0 {
		return Kept{}, false
	}
	return p.kept[i], true
}

// Raises returns the snapshots that are needed longer than they are leased,
// newest first: what a run cannot finish, the next one finds again.
func (p Plan) Raises() []Raise {
	var out []Raise
	for _, k := range p.kept {
		if k.Need.After(k.Snapshot.Until) && k.Need.After(p.now) {
			out = append(out, Raise{k.ID, k.Need, k.Reasons[0].Class})
		}
	}
	return out
}

// Missing returns the periods without a clean snapshot, latest first. Periods
// that ended before Since are not expected to have one.
func (p Plan) Missing() []Missing { return slices.Clone(p.missing) }

// Open returns the periods that are not over: week, month, quarter, fiscal year.
func (p Plan) Open() []Open { return slices.Clone(p.open) }

// Since returns the date of the first snapshot, the zero Date if there is none.
func (p Plan) Since() Date { return p.since }

// Alarms returns what somebody should look at, in plain words.
func (p Plan) Alarms() []string { return slices.Clone(p.alarms) }

// Explain returns the whole plan in plain words, newest snapshot first.
func (p Plan) Explain() string {
	var b strings.Builder
	for _, a := range p.alarms {
		fmt.Fprintf(&b, "! %s\n", a)
	}
	if len(p.kept) == 0 {
		b.WriteString("no snapshots yet\n")
		return b.String()
	}
	for _, k := range p.kept {
		fmt.Fprintf(&b, "%s#%d  %-7s  kept until %s\n", k.Date.long(), k.Revision, k.Verdict, stamp(k.Until, p.zone))
		for _, r := range k.Reasons {
			at := "          "
			if !r.Until.IsZero() {
				at = DateOf(r.Until.In(p.zone)).String()
			}
			fmt.Fprintf(&b, "    %s  %s\n", at, r.Text)
		}
	}
	for _, o := range p.open {
		fmt.Fprintf(&b, "%s\n", p.SoFar(o))
	}
	for _, m := range p.missing {
		fmt.Fprintf(&b, "no clean snapshot for %v: %s", m.Period, m.Why)
		if late, ok := p.Of(m.Late); ok {
			fmt.Fprintf(&b, "; %s stands in", late.Date.long())
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "nothing is expected before %s\n", p.since.long())
	return b.String()
}

// Day returns the date on which a moment lies where the practice is.
func (p Plan) Day(t time.Time) Date { return DateOf(t.In(p.zone)) }

// SoFar says in plain words what an open period has and what may still come.
func (p Plan) SoFar(o Open) string {
	has := "nothing clean yet, " + o.Why
	if k, ok := p.Of(o.Keeper); ok {
		has = k.Date.long() + " so far"
	}
	return fmt.Sprintf("%v is open until %s, with %s to come: %s", o.Period, o.Last.long(), plural(o.Left, "business day"), has)
}

// stamp shows a moment to the minute in the practice's zone.
func stamp(t time.Time, zone *time.Location) string { return t.In(zone).Format("2006-01-02 15:04") }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func days(d time.Duration) string { return plural(int(d/day), "day") }
