package retention_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"offsite/retention"
)

const oracleFile = "testdata/oracle.txt"

// differs is a kind of weekday on which the rules and the independent table do not
// agree, and why the rules stand.
type differs struct {
	regions string // these and those that begin so
	ours    string // how our name begins, "" if we have none
	theirs  string // how theirs begins, "" if they have none
	why     string
}

// differences hold for the version of the table that testdata/oracle.txt names.
func differences() []differs {
	return []differs{
		{"GB-SCT", "World Cup", "", "proclaimed in 2026"},
		{"GB-SCT", "St Andrew's Day (s", "", "the act of 2007 moves it from a weekend"},
		{"GB-NIR", "Battle of the Boyne (s", "", "proclaimed in each such year"},
		{"IE", "St Brigid's Day", "", "since 2023"},
		{"US", "Juneteenth", "", "since 2021"},
		{"NZ", "Matariki", "", "by the act of 2022"},
		{"AU-NSW", "Anzac Day (additional)", "", "by order of 2026"},
		{"AU-NSW", "", "Bank Holiday", "banks alone"},
		{"AU-QLD", "", "The Royal Queensland Show", "Brisbane alone"},
		{"AU-NT", "", "Anzac Day (Observed)", "made up for from a Sunday only"},
		{"AU-ACT", "Anzac Day (s", "", "made up for from a Saturday, too"},
		{"AU-VIC", "Friday before", "", "proclaimed for each year; the day before the last Saturday of September so far"},
		{"AU-VIC", "", "Grand Final Day", "the same"},
		{"AU-WA", "King's Birthday", "", "the last Monday of September, also where a fifth one is"},
		{"AU-WA", "", "Queen's Birthday", "the same"},
		{"CA", "New Year's Day (s", "", "made up for on the next weekday"},
		{"CA", "", "New Year's Day (O", "the same; from a Saturday they take the Friday before"},
		{"CA", "", "Christmas Day (O", "the same"},
		{"CA-ON", "Boxing Day (s", "", "the same; they have it on the same Monday as Christmas"},
		{"CA", "", "Boxing Day", "statutory in Ontario alone"},
		{"CA", "National Day for Truth", "", "since 2022 to 2024, by province"},
		{"CA-YT", "National Indigenous", "", "since 2017"},
		{"CA-NU", "Civic Holiday", "", "statutory in Nunavut"},
		{"CA-ON", "", "Civic Holiday", "not statutory there"},
		{"CA-MB", "", "Civic Holiday", "not statutory there"},
		{"CA-AB", "", "Heritage Day", "optional"},
		{"CA-YT", "", "Heritage Day", "kept by few"},
		{"CA-NL", "", "Discovery Day", "the government alone"},
		{"CA-NL", "", "St. George's Day", "the government alone"},
		{"CA-NL", "", "St. Patrick's Day", "the government alone"},
		{"CA-NL", "", "Remembrance Day (O", "not moved there"},
		{"CA-NS", "", "Remembrance Day (O", "not moved there"},
		{"CA-NT", "", "Remembrance Day (O", "not moved there"},
		{"CA-PE", "", "Remembrance Day (O", "not moved there"},
		{"CA-QC", "Good Friday", "", "one of the two, as the employer chooses"},
		{"CA-QC", "", "Easter Monday", "the same"},
	}
}

// oracle reads the table: by region and day the name of each holiday on a weekday.
func oracle(t *testing.T, text string) map[string]map[retention.Date]string {
	t.Helper()
	table := map[string]map[retention.Date]string{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSpace(line), " | ")
		if len(f) != 3 {
			t.Fatalf("line %q", line)
		}
		for region := range strings.FieldsSeq(f[0]) {
			if table[region] == nil {
				table[region] = map[retention.Date]string{}
			}
			for day := range strings.FieldsSeq(f[2]) {
				table[region][date(t, day)] = f[1]
			}
		}
	}
	return table
}

// TestHolidaysAgreeWithTheOracleFor30Years compares every weekday of 30 years in every
// region. Whatever differs must stand in the list above, and the list must not hold more.
func TestHolidaysAgreeWithTheOracleFor30Years(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(oracleFile)
	if err != nil {
		t.Fatal(err)
	}
	table := oracle(t, string(text))
	known := differences()
	used := make([]bool, len(known))
	compared := 0
	for _, region := range retention.Regions() {
		theirs, ok := table[region]
		if !ok {
			continue
		}
		c := calendar(t, region, "UTC")
		for d := date(t, "2026-01-01"); d.Year < 2056; d = d.AddDays(1) {
			if w := d.Weekday(); w == time.Saturday || w == time.Sunday {
				continue
			}
			compared++
			ours, other := c.Closed(d), theirs[d]
			if (ours == "") == (other == "") {
				continue
			}
			found := false
			for i, k := range known {
				if strings.HasPrefix(region, k.regions) && (k.ours == "") == (ours == "") && strings.HasPrefix(ours, k.ours) && strings.HasPrefix(other, k.theirs) {
					found, used[i] = true, true
				}
			}
			if !found {
				t.Errorf("%s %s %s: here %q, there %q", region, d, d.Weekday(), ours, other)
			}
		}
	}
	for i, u := range used {
		if !u {
			t.Errorf("nothing differs as %+v says", known[i])
		}
	}
	if compared < 42*7800 {
		t.Errorf("only %d days compared", compared)
	}
}

// TestTheOracleIsWhatTheLibrarySays prints the table anew where Python and the library
// are there.
func TestTheOracleIsWhatTheLibrarySays(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(oracleFile)
	if err != nil {
		t.Fatal(err)
	}
	// The system's own Python comes first: a library of Debian's is installed for that one.
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		got, err := exec.Command(python, "testdata/oracle.py", "2026", "30").Output()
		if err != nil {
			if stopped := (*exec.ExitError)(nil); errors.As(err, &stopped) && !bytes.Contains(stopped.Stderr, []byte("No module named")) {
				t.Fatalf("%s: %s", python, stopped.Stderr)
			}
			continue
		}
		first := func(b []byte) string { line, _, _ := strings.Cut(string(b), "\n"); return line }
		if first(got) != first(want) {
			t.Skipf("another version: %s", first(got))
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the library prints", oracleFile)
		}
		return
	}
	t.Skip("Debian's package python3-holidays is not there")
}
