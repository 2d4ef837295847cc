package retention_test

import (
	"fmt"
	"testing"
	"time"

	"offsite/retention"
)

// TestLastBusinessDay are dates worked out by hand and with an independent table.
func TestLastBusinessDay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ region, last, want, why string }{
		{"GB", "2024-03-31", "2024-03-28", "Easter Sunday; month, quarter and company year at once"},
		{"NZ", "2024-03-31", "2024-03-28", "the same in New Zealand"},
		{"GB", "2026-04-05", "2026-04-02", "Easter Sunday"},
		{"GB", "2026-08-31", "2026-08-28", "summer holiday in England"},
		{"GB-SCT", "2026-08-31", "2026-08-31", "and none in Scotland"},
		{"GB", "2027-05-31", "2027-05-28", "spring holiday"},
		{"GB-SCT", "2027-05-31", "2027-05-28", "spring holiday"},
		{"AU-NSW", "2024-06-30", "2024-06-28", "a Sunday"},
		{"AU-VIC", "2024-06-30", "2024-06-28", "a Sunday"},
		{"US", "2027-12-31", "2027-12-30", "New Year's Day of a Saturday is observed on the Friday before"},
		{"GB-SCT", "2026-11-30", "2026-11-27", "St Andrew's Day"},
		{"GB", "2028-02-29", "2028-02-29", "leap day, a Tuesday"},
		{"IE", "2026-12-31", "2026-12-31", "a Thursday"},
	} {
		c := calendar(t, tt.region, "UTC")
		got, ok := c.LastOpen(date(t, "2020-01-01"), date(t, tt.last))
		if !ok || got != date(t, tt.want) {
			t.Errorf("%s to %s: %v, %v; want %s (%s)", tt.region, tt.last, got, ok, tt.want, tt.why)
		}
	}
}

func TestOpenDaysAroundTheNewYear(t *testing.T) {
	t.Parallel()
	c := calendar(t, "GB", "Europe/London")
	got := fmt.Sprint(c.OpenDays(date(t, "2026-01-01"), 10))
	want := "[2025-12-31 2025-12-30 2025-12-29 2025-12-24 2025-12-23 2025-12-22 2025-12-19 2025-12-18 2025-12-17 2025-12-16]"
	if got != want {
		t.Errorf("open days %s, want %s", got, want)
	}
	if got := c.AddOpen(date(t, "2025-12-16"), 10); got != date(t, "2026-01-02") {
		t.Errorf("10th open day after 2025-12-16: %v", got)
	}
}

func TestBusinessDate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, utc, want, why string }{
		{"Europe/London", "2026-11-21T01:40:00Z", "2026-11-20", "a night's run belongs to the day before"},
		{"Europe/London", "2026-11-21T04:59:59Z", "2026-11-20", "until the cut-off"},
		{"Europe/London", "2026-11-21T05:00:00Z", "2026-11-21", "and no longer"},
		{"Europe/London", "2026-03-29T00:30:00Z", "2026-03-28", "before the hour that London skips"},
		{"Europe/London", "2026-03-29T01:30:00Z", "2026-03-28", "after it"},
		{"Europe/London", "2026-03-29T03:59:00Z", "2026-03-28", "04:59 summer time"},
		{"Europe/London", "2026-03-29T04:00:00Z", "2026-03-29", "05:00 summer time, four hours after midnight"},
		{"Europe/London", "2026-10-25T00:30:00Z", "2026-10-24", "01:30 for the first time"},
		{"Europe/London", "2026-10-25T01:30:00Z", "2026-10-24", "01:30 for the second time"},
		{"Europe/London", "2026-10-25T05:00:00Z", "2026-10-25", "05:00 winter time"},
		{"America/New_York", "2026-03-08T08:59:00Z", "2026-03-07", "04:59 summer time"},
		{"America/New_York", "2026-11-01T09:59:00Z", "2026-10-31", "04:59 winter time"},
		{"Australia/Sydney", "2026-04-04T18:59:00Z", "2026-04-04", "04:59 after the clocks went back"},
		{"Australia/Sydney", "2026-10-03T18:00:00Z", "2026-10-04", "05:00 after they went forward"},
		{"Pacific/Auckland", "2026-04-04T17:00:00Z", "2026-04-05", "05:00 after the clocks went back"},
		{"Pacific/Auckland", "2026-09-26T15:59:00Z", "2026-09-26", "04:59 after they went forward"},
		{"Australia/Brisbane", "2026-10-03T18:59:00Z", "2026-10-03", "04:59 where clocks are left alone"},
		{"Europe/London", "2028-02-29T12:00:00Z", "2028-02-29", "leap day"},
		{"Europe/London", "2028-03-01T02:00:00Z", "2028-02-29", "the night after it"},
		{"Europe/London", "2027-01-01T02:00:00Z", "2026-12-31", "the night of New Year's Eve"},
	} {
		c := calendar(t, "none", tt.zone)
		m, err := time.Parse(time.RFC3339, tt.utc)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.BusinessDate(m); got != date(t, tt.want) {
			t.Errorf("%s %s: %v, want %s (%s)", tt.zone, tt.utc, got, tt.want, tt.why)
		}
	}
}

// TestEndIsWhereTheNextDateBegins ties End to BusinessDate on every day of two years.
func TestEndIsWhereTheNextDateBegins(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/London", "America/New_York", "Australia/Sydney", "Pacific/Auckland", "America/Santiago"} {
		c := calendar(t, "none", zone)
		for d := date(t, "2026-01-01"); d.Year < 2028; d = d.AddDays(1) {
			end := c.End(d)
			if before, after := c.BusinessDate(end.Add(-time.Second)), c.BusinessDate(end); before != d || after != d.AddDays(1) {
				t.Fatalf("%s %v: before its end %v, after %v", zone, d, before, after)
			}
		}
	}
}

func TestClosedSaysWhy(t *testing.T) {
	t.Parallel()
	c, err := retention.NewCalendar(retention.Settings{
		Region: "GB", Zone: "Europe/London",
		Open:   []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Saturday},
		Closed: []retention.DateRange{{First: date(t, "2026-08-03"), Last: date(t, "2026-08-15")}},
		Extra:  []retention.DateRange{{First: date(t, "2026-08-31"), Last: date(t, "2026-08-31")}, {First: date(t, "2026-08-06"), Last: date(t, "2026-08-07")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[string]string{
		"2026-07-25": "", // a Saturday
		"2026-07-24": "closed on Fridays",
		"2026-08-03": "closed by the practice",
		"2026-08-15": "closed by the practice",
		"2026-08-07": "", // opens although closed
		"2026-08-31": "", // works on the holiday
		"2026-12-25": "Christmas Day",
		"2026-12-26": "Boxing Day", // although Saturdays are open
		"2026-12-28": "Boxing Day (substitute)",
	} {
		if got := c.Closed(date(t, day)); got != want {
			t.Errorf("%s: %q, want %q", day, got, want)
		}
	}
	if got := c.AddOpen(date(t, "2026-08-01"), 3); got != date(t, "2026-08-17") {
		t.Errorf("third open day after 2026-08-01: %v", got)
	}
}

func TestCalendarRefusesNonsense(t *testing.T) {
	t.Parallel()
	d := date(t, "2026-08-03")
	for name, s := range map[string]retention.Settings{
		"no region":       {Zone: "UTC"},
		"unknown region":  {Region: "GB-XXX", Zone: "UTC"},
		"no zone":         {Region: "GB"},
		"unknown zone":    {Region: "GB", Zone: "Europe/Nowhere"},
		"late cut-off":    {Region: "GB", Zone: "UTC", CutOff: 13 * time.Hour},
		"cut-off below 0": {Region: "GB", Zone: "UTC", CutOff: -time.Hour},
		"weekday":         {Region: "GB", Zone: "UTC", Open: []time.Weekday{7}},
		"range backwards": {Region: "GB", Zone: "UTC", Closed: []retention.DateRange{{First: d, Last: d.AddDays(-1)}}},
		"no such day":     {Region: "GB", Zone: "UTC", Extra: []retention.DateRange{{First: retention.Date{Year: 2026, Month: 2, Day: 30}, Last: d}}},
		"endless range":   {Region: "GB", Zone: "UTC", Closed: []retention.DateRange{{First: d, Last: d.AddDays(400)}}},
	} {
		if _, err := retention.NewCalendar(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestACalendarWithoutOpenDaysEnds(t *testing.T) {
	t.Parallel()
	var closed []retention.DateRange
	for y := 2025; y < 2035; y++ {
		closed = append(closed, retention.DateRange{First: retention.Date{Year: y, Month: 1, Day: 1}, Last: retention.Date{Year: y, Month: 12, Day: 31}})
	}
	c, err := retention.NewCalendar(retention.Settings{Region: "none", Zone: "UTC", Closed: closed})
	if err != nil {
		t.Fatal(err)
	}
	from := date(t, "2026-01-01")
	if got := c.AddOpen(from, 10); from.DaysUntil(got) < 3*365 {
		t.Errorf("10th open day after %v: %v", from, got)
	}
	if got := c.OpenDays(date(t, "2030-01-01"), 10); len(got) != 0 {
		t.Errorf("open days: %v", got)
	}
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "2026-2-1", "2026-02-30", "2027-02-29", "20260201", "2026-02-01 ", "0000-01-01", "2026-02-01T00:00:00Z"} {
		if d, err := retention.ParseDate(s); err == nil {
			t.Errorf("%q: %v", s, d)
		}
	}
	if d := date(t, "2028-02-29"); d.String() != "2028-02-29" || d.AddDays(1) != date(t, "2028-03-01") || d.DaysUntil(date(t, "2029-02-28")) != 365 {
		t.Errorf("leap day: %v", d)
	}
}
