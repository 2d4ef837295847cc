package retention_test

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"offsite/retention"
)

func TestLease(t *testing.T) {
	t.Parallel()
	p := retention.DefaultPolicy()
	need := time.Date(2026, 11, 27, 5, 0, 0, 1, time.UTC)
	different := map[time.Time]bool{}
	for i := range 1000 {
		name := fmt.Sprint("pack", i)
		got := p.Lease(need, name)
		if slack := got.Sub(need); slack < p.SlackMin || slack > p.SlackMax+time.Second || got.Nanosecond() != 0 {
			t.Fatalf("lease %v for %v", got, need)
		}
		if !got.Equal(p.Lease(need, name)) {
			t.Fatal("lease depends on more than need and name")
		}
		different[got] = true
	}
	if len(different) < 900 {
		t.Errorf("only %d different leases", len(different))
	}
	if !p.Reusable(need.Add(72*time.Hour), need) || p.Reusable(need.Add(71*time.Hour), need) {
		t.Error("guard is not three days")
	}
}

// leased is a store of objects for the tests of what a night raises.
type leased map[string]time.Time

func (l leased) all(string) iter.Seq2[string, time.Time] { return maps.All(l) }

func TestANightRaisesTheShortestLeasesFirst(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-11-02", "2026-11-30")
	now := at(t, h.cal, "2026-11-30 22:30")
	plan := h.plan("2026-11-30 22:30")
	policy := retention.DefaultPolicy()
	objects := leased{}
	for i := range 9000 {
		name := fmt.Sprint(i)
		objects[name] = policy.Lease(now.AddDate(0, 0, 60), name)
	}
	for night := 1; ; night++ {
		due := plan.Due(objects.all)
		if len(due) == 0 {
			if night < 12 || night > 20 {
				t.Errorf("raised within %d nights", night-1)
			}
			return
		}
		raised := policy.Tonight(due, policy.Nightly(len(objects)), now)
		if len(raised) > 600 {
			t.Fatalf("night %d: %d raised", night, len(raised))
		}
		longest := slices.MaxFunc(raised, func(a, b retention.Due) int { return a.Lease.Compare(b.Lease) })
		for _, d := range raised {
			objects[d.Name] = policy.Lease(d.Need, d.Name)
			if d.Need.Before(at(t, h.cal, "2027-12-01 05:00")) {
				t.Fatalf("needed until %v only", d.Need)
			}
		}
		for _, d := range plan.Due(objects.all) {
			if d.Lease.Before(longest.Lease) {
				t.Fatalf("night %d: %v went before %v", night, longest.Lease, d.Lease)
			}
		}
	}
}

func TestWhatIsUrgentWaitsForNoNight(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 22, 0, 0, 0, time.UTC)
	var due []retention.Due
	for i := range 3000 {
		due = append(due, retention.Due{Name: fmt.Sprint(i), Lease: now.Add(time.Duration(i) * 36 * time.Minute), Need: now.AddDate(1, 0, 0)})
	}
	raised := retention.DefaultPolicy().Tonight(due, 500, now)
	if len(raised) != 30*24*60/36 { // those with less than 30 days
		t.Errorf("%d raised", len(raised))
	}
	if raised = retention.DefaultPolicy().Tonight(due[2000:], -5, now); len(raised) != 0 {
		t.Errorf("%d raised although the night's work is done", len(raised))
	}
}

// TestAnObjectIsRaisedOnceForAllThatNeedIt: to the latest need, whichever snapshot has it.
func TestAnObjectIsRaisedOnceForAllThatNeedIt(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-09-01", "2026-11-30")
	p := h.plan("2026-11-30 22:30")
	due := p.Due(leased{"one": at(t, h.cal, "2026-12-20 00:00")}.all)
	if len(due) != 1 || !due[0].Need.Equal(at(t, h.cal, "2028-10-01 05:00")) { // the quarter to September
		t.Errorf("due %+v", due)
	}
}

// TestANightWithRaisesToSpareLooksAhead: nothing must be raised yet, but soon everything would.
func TestANightWithRaisesToSpareLooksAhead(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	id := h.add("2026-11-18", retention.Clean)
	h.record(h.plan("2026-11-18 22:10"))
	p := h.plan("2026-11-18 22:10")
	k, _ := p.Of(id)
	if due := p.Due(leased{"soon": k.Until.AddDate(0, 0, 7), "later": k.Until.AddDate(0, 0, 20)}.all); len(p.Raises()) != 0 || len(due) != 1 || due[0].Name != "soon" {
		t.Errorf("due %+v", due)
	}
}

// TestASnapshotIsNotOutlivedByItsOwnPacks: what it needs is kept for long by others
// and is not urgent by itself. But it is raised only when all of that is, and its own
// lease is about to run out.
func TestASnapshotIsNotOutlivedByItsOwnPacks(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.add("2026-11-30", retention.Clean)
	now := at(t, h.cal, "2026-12-30 22:10")
	h.list[0].Until = now.AddDate(0, 0, 10)
	due := h.plan("2026-12-30 22:10").Due(leased{"shared": now.AddDate(0, 6, 0)}.all)
	if raised := retention.DefaultPolicy().Tonight(due, 0, now); len(raised) != 1 {
		t.Errorf("%d raised of %+v", len(raised), due)
	}
}
