package retention_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"offsite/retention"
)

// TestStories plays the scripts of testdata/stories and compares what they show. A
// script is lines of: region, zone, fiscal, quarters, saturdays, closed, extra (settings, before all
// else); clean, suspect (DATE or DATE..DATE: every open day), made (a moment of UTC); plan (works a plan out and
// records its leases); hold, checked (a date); raises (what the plan would raise); show (dates, open,
// missing, alarms). The second part of each file is what is shown.
func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/stories/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil || len(a.Files) != 2 {
				t.Fatalf("%d parts, %v", len(a.Files), err)
			}
			s := &story{history: history{t: t}, policy: retention.DefaultPolicy(), settings: retention.Settings{Region: "GB", Zone: "Europe/London", CutOff: retention.DefaultCutOff}}
			for line := range strings.Lines(string(a.Files[0].Data)) {
				if verb, rest, _ := strings.Cut(strings.TrimSpace(line), " "); verb != "" {
					s.step(verb, strings.TrimSpace(rest))
				}
			}
			got := s.out.String()
			if *update {
				a.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(a.Files[1].Data); got != want {
				t.Errorf("shown:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

type story struct {
	history
	settings retention.Settings
	policy   retention.Policy
	last     retention.Plan
	out      strings.Builder
}

func (s *story) span(text string) retention.DateRange {
	first, last, ok := strings.Cut(text, "..")
	if !ok {
		last = first
	}
	return retention.DateRange{First: date(s.t, first), Last: date(s.t, last)}
}

func (s *story) step(verb, rest string) {
	t := s.t
	t.Helper()
	switch verb {
	case "region":
		s.settings.Region = rest
	case "zone":
		s.settings.Zone = rest
	case "saturdays":
		s.settings.Open = []time.Weekday{1, 2, 3, 4, 5, 6}
	case "fiscal":
		m, err := time.Parse("01-02", rest)
		if err != nil {
			t.Fatal(err)
		}
		s.policy.FiscalEnd = retention.MonthDay{Month: m.Month(), Day: m.Day()}
	case "quarters":
		s.policy.FiscalQuarters = rest == "fiscal"
	case "closed":
		s.settings.Closed = append(s.settings.Closed, s.span(rest))
	case "extra":
		s.settings.Extra = append(s.settings.Extra, s.span(rest))
	default:
		s.happen(verb, rest)
	}
}

func (s *story) happen(verb, rest string) {
	t := s.t
	t.Helper()
	if s.cal == nil {
		var err error
		if s.cal, err = retention.NewCalendar(s.settings); err != nil {
			t.Fatal(err)
		}
	}
	switch verb {
	case "clean", "suspect":
		r := s.span(rest)
		for d := r.First; !d.After(r.Last); d = d.AddDays(1) {
			if r.First == r.Last || s.cal.Open(d) {
				s.add(d.String(), retention.Verdict(verb))
			}
		}
	case "made": // a moment in UTC: what the backup's business date is
		m, err := time.Parse("2006-01-02 15:04", rest)
		if err != nil {
			t.Fatal(err)
		}
		id := s.add(s.cal.BusinessDate(m).String(), retention.Clean)
		s.list[len(s.list)-1].Time = m
		fmt.Fprintf(&s.out, "%s UTC, %s there: %s\n", rest, m.In(s.cal.Zone()).Format("15:04 MST"), id)
	case "hold", "checked":
		for i := range s.list {
			if d, why, _ := strings.Cut(rest, " "); s.list[i].Date.String() == d {
				s.list[i].Hold, s.list[i].Checked = why, verb == "checked"
			}
		}
	case "plan", "raises":
		var err error
		if s.last, err = retention.NewPlan(s.cal, s.policy, s.list, at(t, s.cal, rest)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&s.out, "= %s\n", rest)
		for _, r := range s.last.Raises() {
			if verb == "raises" {
				fmt.Fprintf(&s.out, "raise %s until %s for %s\n", r.ID, r.Until.In(s.cal.Zone()).Format("2006-01-02 15:04"), r.Class)
			}
		}
		s.record(s.last)
	case "show":
		for what := range strings.FieldsSeq(rest) {
			s.show(what)
		}
	default:
		t.Fatalf("no such step: %s", verb)
	}
}

func (s *story) show(what string) {
	switch what {
	case "open":
		for _, o := range s.last.Open() {
			fmt.Fprintln(&s.out, s.last.SoFar(o))
		}
	case "missing":
		for _, m := range s.last.Missing() {
			fmt.Fprintf(&s.out, "missing: %v: %s, late %q\n", m.Period, m.Why, m.Late)
		}
	case "alarms":
		for _, a := range s.last.Alarms() {
			fmt.Fprintf(&s.out, "! %s\n", a)
		}
	default:
		found := slices.DeleteFunc(s.last.Kept(), func(k retention.Kept) bool { return k.Date != date(s.t, what) })
		if len(found) == 0 {
			fmt.Fprintf(&s.out, "%s: none\n", what)
		}
		for _, k := range found {
			fmt.Fprintf(&s.out, "%s %s until %s, firm until %s\n", k.ID, k.Verdict, k.Until.In(s.cal.Zone()).Format("2006-01-02 15:04 MST"), k.Firm.In(s.cal.Zone()).Format(time.DateOnly))
			for _, r := range k.Reasons {
				fmt.Fprintf(&s.out, "  %s\n", r.Text)
			}
		}
	}
}
