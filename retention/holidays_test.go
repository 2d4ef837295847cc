package retention_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/au"
	"github.com/rickar/cal/v2/gb"
	"github.com/rickar/cal/v2/nl"
	"github.com/rickar/cal/v2/us"

	"offsite/retention"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGoldenHolidays shows every known holiday of six years to whoever reviews a
// change of the rules.
func TestGoldenHolidays(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, region := range retention.Regions() {
		c := calendar(t, region, "UTC")
		for d := date(t, "2024-01-01"); d.Year < 2030; d = d.AddDays(1) {
			if why := c.Closed(d); why != "" && !strings.HasPrefix(why, "closed on") {
				fmt.Fprintf(&b, "%s %s %s %s\n", region, d, d.Weekday().String()[:3], why)
			}
		}
	}
	const file = "testdata/holidays.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, old := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for _, line := range got {
		if !slices.Contains(old, line) {
			t.Errorf("new: %s", line)
		}
	}
	for _, line := range old {
		if !slices.Contains(got, line) {
			t.Errorf("gone: %s", line)
		}
	}
}

// TestHolidaysAgreeWithAnIndependentTable compares weekdays with a library that
// knows some of the regions. Where the library is behind the law, the day is listed.
func TestHolidaysAgreeWithAnIndependentTable(t *testing.T) {
	t.Parallel()
	none := func(retention.Date) bool { return false }
	for region, tt := range map[string]struct {
		days   []*cal.Holiday
		except func(d retention.Date) bool // days on which the library is wrong
	}{
		"GB": {gb.Holidays, none},
		"US": {us.Holidays, none},
		"NL": {nl.Holidays, func(d retention.Date) bool {
			// neither Good Friday nor, but for every fifth year, 5 May is a day off
			return d.Weekday() == time.Friday && d.Month <= time.April || d.Month == time.May && d.Day == 5
		}},
		"AU-NSW": {au.HolidaysNSW, func(d retention.Date) bool { // by order of 2026
			return d == retention.Date{Year: 2026, Month: 4, Day: 27} || d == retention.Date{Year: 2027, Month: 4, Day: 26}
		}},
		"AU-VIC": {au.HolidaysVIC, none},
		"AU-QLD": {au.HolidaysQLD, none},
		"AU-SA":  {au.HolidaysSA, none},
		"AU-WA": {au.HolidaysWA, func(d retention.Date) bool { // as proclaimed for 2024
			return d.Year == 2024 && d.Month == time.September
		}},
		"AU-TAS": {au.HolidaysTAS, none},
		"AU-ACT": {au.HolidaysACT, none},
		"AU-NT":  {au.HolidaysNT, none},
	} {
		c := calendar(t, region, "UTC")
		other := cal.NewBusinessCalendar()
		other.AddHoliday(tt.days...)
		for d := date(t, "2023-01-01"); d.Year < 2036; d = d.AddDays(1) {
			theirs := other.IsWorkday(time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC))
			if c.Open(d) != theirs && !tt.except(d) {
				t.Errorf("%s %s %s: open %v (%s), elsewhere %v", region, d, d.Weekday(), c.Open(d), c.Closed(d), theirs)
			}
		}
	}
}
