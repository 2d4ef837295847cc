package retention_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"offsite/retention"
)

// TestSilenceLeavesTheNewestWeek: uploads end on each day of a year. Sixty days later
// the newest clean day is still leased, and with it the newest week; and so is the
// last clean day of the week before. Once the longest lease has ended, nothing is.
func TestSilenceLeavesTheNewestWeek(t *testing.T) {
	t.Parallel()
	fortnight := func(first, last string) retention.DateRange {
		return retention.DateRange{First: date(t, first), Last: date(t, last)}
	}
	for name, s := range map[string]retention.Settings{
		"England":       {Region: "GB", Zone: "Europe/London"},
		"closed":        {Region: "GB", Zone: "Europe/London", Closed: []retention.DateRange{fortnight("2026-12-19", "2027-01-04"), fortnight("2027-08-02", "2027-08-20")}},
		"New Zealand":   {Region: "NZ-AUK", Zone: "Pacific/Auckland", Closed: []retention.DateRange{fortnight("2026-12-24", "2027-01-17")}},
		"three days":    {Region: "AU-VIC", Zone: "Australia/Melbourne", Open: []time.Weekday{time.Monday, time.Tuesday, time.Thursday}},
		"once a week":   {Region: "US", Zone: "America/New_York", Open: []time.Weekday{time.Wednesday}},
		"every day":     {Region: "none", Zone: "America/Santiago", Open: []time.Weekday{0, 1, 2, 3, 4, 5, 6}},
		"failed nights": {Region: "GB-SCT", Zone: "Europe/London"},
	} {
		s.CutOff = retention.DefaultCutOff
		cal, err := retention.NewCalendar(s)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 1))
		h := &history{t: t, cal: cal}
		for d := date(t, "2026-10-01"); d.Year < 2028; d = d.AddDays(1) {
			if cal.Open(d) {
				v := retention.Clean
				if name == "failed nights" && r.IntN(3) == 0 {
					v = retention.Suspect
				}
				h.add(d.String(), v)
				h.record(h.plan(d.String() + " 22:30"))
			}
			if d.Year < 2027 {
				continue
			}
			// d is the last day of this practice; the next night does not come
			then := cal.End(d).AddDate(0, 0, 60)
			newest := 0
			for i := len(h.list) - 1; i >= 0 && newest < 1; i-- {
				if h.list[i].Verdict == retention.Clean {
					newest++
					if !h.list[i].Until.After(then) {
						t.Errorf("%s: silence from %v %v: %s is leased until %v only", name, d.Weekday(), d, h.list[i].ID, h.list[i].Until)
					}
				}
			}
			if week := h.lastBefore(d); !week.Until.After(then) {
				t.Errorf("%s: silence from %v %v: %s, the last clean day of a week, is leased until %v only", name, d.Weekday(), d, week.ID, week.Until)
			}
		}
		h.nothingLeft(name)
	}
}

// lastBefore is the last clean one of the newest week that was over before d and has one.
func (h *history) lastBefore(d retention.Date) (last retention.Snapshot) {
	monday := d
	for monday.Weekday() != time.Monday {
		monday = monday.AddDays(-1)
	}
	for _, s := range h.list {
		if s.Verdict == retention.Clean && s.Date.Before(monday) && !s.Date.Before(last.Date) {
			last = s
		}
	}
	return last
}

// nothingLeft: with slack, everything is gone a month after the longest lease.
func (h *history) nothingLeft(name string) {
	h.t.Helper()
	policy := retention.DefaultPolicy()
	var longest time.Time
	for _, s := range h.list {
		longest = later(longest, s.Until)
	}
	for _, s := range h.list {
		for i := range 20 {
			if lease := policy.Lease(s.Until, fmt.Sprint(s.ID, i)); lease.After(longest.AddDate(0, 0, 29)) {
				h.t.Errorf("%s: an object of %s is leased until %v, and the longest need ends %v", name, s.ID, lease, longest)
			}
		}
	}
}
