package retention_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"offsite/retention"
)

// life plays years of a practice: each byte is one or more days that pass and
// what happens then. After every step the leases are recorded as a run would,
// and the promises are checked.
func life(t *testing.T, cal *retention.Calendar, policy retention.Policy, script []byte) {
	now := time.Date(2026, 1, 5, 22, 0, 0, 0, cal.Zone())
	var list []retention.Snapshot
	for step, b := range script {
		now = now.AddDate(0, 0, []int{0, 1, 1, 1, 1, 3, 20, 45}[b&7])
		verdict := retention.Clean
		date := cal.BusinessDate(now)
		switch b >> 3 & 7 {
		case 0:
			verdict = retention.Suspect
		case 1: // an older day is uploaded late
			date = date.AddDays(-int(b >> 6))
		case 2: // nothing arrives
			check(t, cal, policy, list, now)
			continue
		case 3: // the clock is wrong
			date = date.AddDays(int(b>>6) * 400)
		}
		revision := 1
		for _, s := range list {
			if s.Date == date {
				revision++
			}
		}
		before := must(t, cal, policy, list, now)
		list = append(list, retention.Snapshot{
			ID: fmt.Sprint(step), Date: date, Revision: revision, Time: now, Verdict: verdict,
		})
		after := must(t, cal, policy, list, now)
		addingKeeps(t, before, after, list[len(list)-1])
		check(t, cal, policy, list, now)
		for i := range list {
			k, _ := after.Of(list[i].ID)
			if k.Until.Before(list[i].Until) {
				t.Fatalf("snapshot of %v: lease went from %v to %v", k.Date, list[i].Until, k.Until)
			}
			list[i].Until = k.Until
		}
		if again := must(t, cal, policy, list, now); len(again.Raises()) != 0 {
			t.Fatalf("raises once more: %+v", again.Raises())
		}
	}
}

func must(t *testing.T, cal *retention.Calendar, policy retention.Policy, list []retention.Snapshot, now time.Time) retention.Plan {
	t.Helper()
	p, err := retention.NewPlan(cal, policy, list, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// addingKeeps: a new snapshot un-keeps no clean one of another date.
func addingKeeps(t *testing.T, before, after retention.Plan, added retention.Snapshot) {
	t.Helper()
	for _, b := range before.Kept() {
		a, ok := after.Of(b.ID)
		if !ok {
			t.Fatalf("%v is gone from the plan", b.Date)
		}
		if a.Until.Before(b.Snapshot.Until) {
			t.Fatalf("adding %v took %v from %v to %v", added.Date, b.Date, b.Snapshot.Until, a.Until)
		}
		if b.Date == added.Date {
			continue
		}
		for _, class := range []retention.Class{retention.Day, retention.Floor} {
			if until(a, class).Before(until(b, class)) {
				t.Fatalf("adding %v took the reason %s of %v from %v to %v", added.Date, class, b.Date, until(b, class), until(a, class))
			}
		}
	}
}

func until(k retention.Kept, class retention.Class) (u time.Time) {
	for _, r := range k.Reasons {
		if r.Class == class && r.Until.After(u) {
			u = r.Until
		}
	}
	return u
}

func check(t *testing.T, cal *retention.Calendar, policy retention.Policy, list []retention.Snapshot, now time.Time) {
	t.Helper()
	p := must(t, cal, policy, list, now)
	today := cal.BusinessDate(now)
	kept := p.Kept()
	var dates []retention.Date // clean ones, newest first
	monthly := map[string]time.Time{}
	for i, k := range kept {
		if i > 0 && k.Date.After(kept[i-1].Date) {
			t.Fatal("plan is not newest first")
		}
		if len(k.Reasons) == 0 || k.Until.Before(k.Need) || k.Until.Before(k.Snapshot.Until) {
			t.Fatalf("%v is kept until %v, needed until %v, leased until %v", k.Date, k.Until, k.Need, k.Snapshot.Until)
		}
		var longest time.Time
		for _, r := range k.Reasons {
			longest = later(longest, r.Until)
			if r.Class != retention.Floor && r.Class != retention.Leased && k.Verdict != retention.Clean {
				t.Fatalf("suspect %v is kept as %s", k.Date, r.Text)
			}
			if r.Text == "" {
				t.Fatalf("a reason of %v says nothing", k.Date)
			}
			if r.Class == retention.Month && !r.Until.IsZero() {
				monthly[r.Period] = later(monthly[r.Period], r.Until)
			}
		}
		if !longest.Equal(k.Until) {
			t.Fatalf("%v is kept until %v, but the longest reason says %v", k.Date, k.Until, longest)
		}
		if k.Verdict == retention.Clean && !k.Date.After(today.AddDays(1)) && !slices.Contains(dates, k.Date) {
			dates = append(dates, k.Date)
			if len(dates) <= max(1, policy.BusinessDays) && k.Until.Sub(now) < 7*24*time.Hour {
				t.Fatalf("clean day %d, %v, is kept until %v only, now %v", len(dates), k.Date, k.Until, now)
			}
		}
	}
	if policy.Months == 0 {
		return
	}
	// every month that is over and had a clean day has its keeper
	for _, d := range dates {
		end := retention.DateOf(time.Date(d.Year, d.Month+1, 0, 0, 0, 0, 0, time.UTC))
		goes := cal.End(retention.DateOf(time.Date(d.Year, d.Month+1+time.Month(policy.Months), 0, 0, 0, 0, 0, time.UTC)))
		name := fmt.Sprintf("%v %d", d.Month, d.Year)
		if end.Before(today) && goes.After(now) && !monthly[name].Equal(goes) {
			t.Fatalf("keeper of %s is kept until %v, want %v", name, monthly[name], goes)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func TestPromisesHoldOverManyLives(t *testing.T) {
	t.Parallel()
	cals := []*retention.Calendar{calendar(t, "GB", "Europe/London"), calendar(t, "NZ-AUK", "Pacific/Auckland")}
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		script := make([]byte, 60)
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		life(t, cals[r.IntN(2)], retention.DefaultPolicy(), script)
	}
}

func TestTheOrderOfSnapshotsDoesNotMatter(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-01-05", "2026-11-26")
	h.add("2026-11-20", retention.Clean)
	h.add("2026-11-26", retention.Suspect)
	want := h.plan("2026-11-27 12:00").Explain()
	r := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		r.Shuffle(len(h.list), func(i, j int) { h.list[i], h.list[j] = h.list[j], h.list[i] })
		if h.plan("2026-11-27 12:00").Explain() != want {
			t.Fatal("plan depends on the order of its input")
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte("a quiet month follows a busy one"), byte(10), byte(12))
	f.Add([]byte{0, 1, 2, 3, 0x21, 0x39, 0x3e, 0x47, 0xff, 0x80}, byte(0), byte(0))
	f.Add([]byte{0x21, 0x21, 0x21, 0x21, 0x25, 0x01, 0x01, 0x01, 0x01, 0x05, 0x01, 0x01, 0x16, 0x16}, byte(3), byte(1))
	cal := calendar(f, "GB", "Europe/London")
	f.Fuzz(func(t *testing.T, script []byte, businessDays, months byte) {
		policy := retention.DefaultPolicy()
		policy.BusinessDays, policy.Months = int(businessDays), int(months)
		life(t, cal, policy, script[:min(len(script), 80)])
	})
}

func BenchmarkPlan(b *testing.B) {
	cal := calendar(b, "GB", "Europe/London")
	var list []retention.Snapshot
	for d := date(b, "2019-11-20"); d.Before(date(b, "2026-11-20")); d = d.AddDays(1) {
		list = append(list, retention.Snapshot{ID: d.String(), Date: d, Revision: 1, Verdict: retention.Clean, Time: cal.End(d).Add(-7 * time.Hour)})
	}
	now := at(b, cal, "2026-11-20 12:00")
	for b.Loop() {
		if _, err := retention.NewPlan(cal, retention.DefaultPolicy(), list, now); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(list)), "snapshots")
}

func BenchmarkNewCalendar(b *testing.B) {
	for b.Loop() {
		calendar(b, "GB-SCT", "Europe/London")
	}
}
