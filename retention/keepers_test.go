package retention_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"offsite/retention"
)

// slow says for one snapshot, by looking at every other one and every day, until when
// each class keeps it. It knows the calendar's open days and nothing of the package's
// periods; where the plan counts in months, this counts in days.
type slow struct {
	cal    *retention.Calendar
	policy retention.Policy
	days   map[retention.Date]retention.Snapshot
	now    time.Time
	today  retention.Date
	since  retention.Date
	last   map[retention.Class][]retention.Date // the last day of every period
}

func slowly(cal *retention.Calendar, policy retention.Policy, list []retention.Snapshot, now time.Time) slow {
	s := slow{cal: cal, policy: policy, now: now, today: cal.BusinessDate(now), days: map[retention.Date]retention.Snapshot{}}
	s.since = s.today
	for _, x := range list {
		if x.Date.Before(s.since) {
			s.since = x.Date
		}
		old, ok := s.days[x.Date]
		if x.Verdict == retention.Clean && !x.Date.After(s.today.AddDays(1)) && (!ok || x.Revision > old.Revision) {
			s.days[x.Date] = x
		}
	}
	s.last = map[retention.Class][]retention.Date{}
	for d := s.since.AddDays(-800); d.Year <= s.today.Year+42; d = d.AddDays(1) {
		for _, class := range []retention.Class{retention.Week, retention.Month, retention.Quarter, retention.FiscalYear} {
			if s.ends(class, d) {
				s.last[class] = append(s.last[class], d)
			}
		}
	}
	return s
}

// best returns the snapshot that counts for a date, false if none does.
func (s slow) best(d retention.Date) (retention.Snapshot, bool) {
	x, ok := s.days[d]
	return x, ok
}

// openAfter is the n-th open day after d.
func (s slow) openAfter(d retention.Date, n int) retention.Date {
	for n > 0 {
		d = d.AddDays(1)
		if s.cal.Open(d) {
			n--
		}
	}
	return d
}

// lastOfMonth says whether a month ends with d.
func lastOfMonth(d retention.Date) bool { return d.AddDays(1).Day == 1 }

// ends says whether a period of the class ends with d.
func (s slow) ends(class retention.Class, d retention.Date) bool {
	fiscal := func(d retention.Date) bool {
		f := s.policy.FiscalEnd
		if f.Day >= 29 && f.Month == time.February {
			return d.Month == time.February && lastOfMonth(d)
		}
		return d.Month == f.Month && d.Day == f.Day
	}
	switch class {
	case retention.Week:
		return d.Weekday() == time.Sunday
	case retention.Month:
		return lastOfMonth(d)
	case retention.FiscalYear:
		return fiscal(d)
	}
	if !s.policy.FiscalQuarters {
		return lastOfMonth(d) && d.Month%3 == 0
	}
	// three, six, nine or twelve months before the end of a fiscal year
	f := s.policy.FiscalEnd
	if (int(d.Month)-int(f.Month)+12)%3 != 0 {
		return false
	}
	if f.Day >= 28 && lastOfMonth(retention.Date{Year: d.Year, Month: f.Month, Day: f.Day}) || f.Month == time.February && f.Day == 29 {
		return lastOfMonth(d)
	}
	return d.Day == f.Day || lastOfMonth(d) && d.Day < f.Day
}

// period returns the days of the period in which d lies.
func (s slow) period(class retention.Class, d retention.Date) (first, last retention.Date) {
	i, _ := slices.BinarySearchFunc(s.last[class], d, retention.Date.Compare)
	return s.last[class][i-1].AddDays(1), s.last[class][i]
}

// later returns the end of the n-th period after the one that ends with last.
func (s slow) later(class retention.Class, last retention.Date, n int) retention.Date {
	return s.last[class][slices.Index(s.last[class], last)+n]
}

// keeps returns until when a class keeps a clean snapshot that counts for its date;
// zero: it does not.
func (s slow) keeps(class retention.Class, x retention.Snapshot, n int) (until time.Time) {
	count := func(last retention.Date) {
		if s.today.After(last) || !s.openLeft(x.Date, last) {
			if u := s.cal.End(s.later(class, last, n)); !u.Before(s.now) && u.After(until) {
				until = u
			}
		}
	}
	first, last := s.period(class, x.Date)
	if k, _ := s.keeper(first, last); k.ID == x.ID {
		count(last)
	}
	// And those before it in which nothing clean arrived.
	for d := first.AddDays(-1); !d.Before(s.since) && s.firstAfter(d).ID == x.ID; d = first.AddDays(-1) {
		first, last = s.period(class, d)
		if _, found := s.keeper(first, last); found {
			break
		}
		count(last)
	}
	return until
}

func (s slow) keeper(first, last retention.Date) (retention.Snapshot, bool) {
	for d := last; !d.Before(first); d = d.AddDays(-1) {
		if x, ok := s.best(d); ok {
			return x, true
		}
	}
	return retention.Snapshot{}, false
}

func (s slow) firstAfter(d retention.Date) retention.Snapshot {
	for ; !d.After(s.today); d = d.AddDays(1) {
		if x, ok := s.best(d.AddDays(1)); ok {
			return x
		}
	}
	return retention.Snapshot{}
}

// openLeft says whether an open day lies after d, up to and with last; so it does
// where the period has no open day at all.
func (s slow) openLeft(d, last retention.Date) bool {
	for d = d.AddDays(1); !d.After(last); d = d.AddDays(1) {
		if s.cal.Open(d) {
			return true
		}
	}
	return false
}

// want is everything that keeps a snapshot, by class; the latest time of each counts.
func (s slow) want(x retention.Snapshot) map[retention.Class]time.Time {
	w := map[retention.Class]time.Time{retention.Floor: x.Time.Add(s.policy.Floor)}
	if best, ok := s.best(x.Date); !ok || best.ID != x.ID {
		return w
	}
	w[retention.Day] = s.cal.End(s.openAfter(x.Date, s.policy.BusinessDays))
	w[retention.Silence] = s.cal.End(s.openAfter(x.Date, 1)).Add(s.policy.Silence)
	if first, last := s.period(retention.Week, x.Date); true {
		if k, _ := s.keeper(first, last); k.ID == x.ID && (s.today.After(last) || !s.openLeft(x.Date, last)) {
			w[retention.Week] = s.cal.End(x.Date).Add(s.policy.Weekly)
		}
	}
	for class, n := range map[retention.Class]int{retention.Month: s.policy.Months, retention.Quarter: s.policy.Quarters, retention.FiscalYear: s.policy.FiscalYears} {
		if until := s.keeps(class, x, n); n > 0 && !until.IsZero() {
			w[class] = until
		}
	}
	return w
}

// lives makes the snapshots of thirty years: most nights are clean, some fail, some
// are suspect, some days have two, now and then weeks are missing.
func lives(cal *retention.Calendar, r *rand.Rand, first, last retention.Date) []retention.Snapshot {
	var list []retention.Snapshot
	add := func(d retention.Date, revision int, v retention.Verdict) {
		list = append(list, retention.Snapshot{ID: fmt.Sprintf("%v#%d", d, revision), Date: d, Revision: revision, Verdict: v,
			Time: cal.End(d).Add(-7*time.Hour + time.Duration(revision)*time.Minute)})
	}
	for d := first; !d.After(last); d = d.AddDays(1) {
		if r.IntN(300) == 0 {
			d = d.AddDays(r.IntN(80)) // nobody looked
			continue
		}
		p := r.IntN(100)
		switch {
		case !cal.Open(d) && p < 93, p < 4:
		case p < 7:
			add(d, 1, retention.Suspect)
		case p < 10:
			add(d, 1, retention.Clean)
			add(d, 2, []retention.Verdict{retention.Clean, retention.Suspect}[p%2])
		default:
			add(d, 1, retention.Clean)
		}
	}
	return list
}

// TestKeepersAgreeWithASlowDefinition: thirty years in every region, with periods that
// are kept so long that each of the thirty years counts at the end of them.
func TestKeepersAgreeWithASlowDefinition(t *testing.T) {
	t.Parallel()
	for i, region := range retention.Regions() {
		if i%thin != 0 {
			continue
		}
		t.Run(region, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(i), 7))
			zone := []string{"Europe/London", "Pacific/Auckland", "America/Vancouver", "Australia/Sydney"}[i%4]
			c := calendar(t, region, zone)
			policy := retention.DefaultPolicy()
			policy.Months, policy.Quarters, policy.FiscalYears = 400, 150, 40
			policy.FiscalEnd = []retention.MonthDay{{Month: 3, Day: 31}, {Month: 4, Day: 5}, {Month: 6, Day: 30}, {Month: 2, Day: 29}, {Month: 12, Day: 31}}[i%5]
			policy.FiscalQuarters = i%2 == 0
			list := lives(c, r, date(t, "2026-01-20"), date(t, "2055-12-20").AddDays(r.IntN(30)))
			agree(t, c, policy, list, list[len(list)-1].Time.Add(time.Hour))
			// and with the usual policy, somewhere on the way
			half := list[:len(list)/2+r.IntN(len(list)/3)]
			agree(t, c, retention.DefaultPolicy(), half[max(0, len(half)-900):], half[len(half)-1].Time.Add(time.Duration(r.IntN(60*24))*time.Hour))
		})
	}
}

func agree(t *testing.T, c *retention.Calendar, policy retention.Policy, list []retention.Snapshot, now time.Time) {
	t.Helper()
	plan := must(t, c, policy, list, now)
	s := slowly(c, policy, list, now)
	kept := map[string]retention.Kept{}
	for _, k := range plan.Kept() {
		kept[k.ID] = k
	}
	for _, x := range list {
		k, want := kept[x.ID], s.want(x)
		for _, class := range []retention.Class{retention.Floor, retention.Day, retention.Silence, retention.Week, retention.Month, retention.Quarter, retention.FiscalYear} {
			if got := until(k, class); !got.Equal(want[class]) {
				t.Errorf("%s, %v %s: the plan keeps it until %v, the slow definition until %v", x.ID, x.Date.Weekday(), class, got, want[class])
			}
		}
		if t.Failed() {
			return
		}
	}
}
