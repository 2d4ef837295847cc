package main

import (
	"testing"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/retention"
)

// london is a practice that is open from Monday to Friday.
func london(t *testing.T, s config.Schedule) *site {
	t.Helper()
	cal, err := retention.NewCalendar(retention.Settings{Region: "GB", Zone: "Europe/London", CutOff: retention.DefaultCutOff})
	must(t, err)
	return &site{config: &config.Config{Schedule: s}, calendar: cal}
}

func TestDayIsDueOnceItsDeadlineHasPassed(t *testing.T) {
	for _, c := range []struct{ name, at, deadline, now, want string }{
		{"Friday evening, Friday is not over", "", "", "2026-11-20 23:00", "2026-11-19"},
		{"Saturday before the cut-off", "", "", "2026-11-21 04:59", "2026-11-19"},
		{"Saturday within the grace", "", "", "2026-11-21 08:59", "2026-11-19"},
		{"Saturday after the grace", "", "", "2026-11-21 09:00", "2026-11-20"},
		{"Monday morning: nothing new is due", "", "", "2026-11-23 10:00", "2026-11-20"},
		{"a deadline in the evening", "18:00", "20:00", "2026-11-20 23:59", "2026-11-19"},
		{"a deadline in the evening, and the grace", "18:00", "20:00", "2026-11-21 00:00", "2026-11-20"},
		{"a deadline after midnight", "21:30", "06:00", "2026-11-21 09:59", "2026-11-19"},
		{"a deadline after midnight, and the grace", "21:30", "06:00", "2026-11-21 10:00", "2026-11-20"},
		{"a window that begins after midnight is the day before's", "01:00", "03:00", "2026-11-21 06:59", "2026-11-19"},
		{"and the same after the grace", "01:00", "03:00", "2026-11-21 07:00", "2026-11-20"},
		{"Christmas is not due", "", "", "2026-12-27 12:00", "2026-12-24"},
		{"the night of the clocks going back", "", "", "2026-10-25 12:00", "2026-10-23"},
	} {
		p := london(t, schedule(t, c.at, c.deadline))
		now, err := time.ParseInLocation("2006-01-02 15:04", c.now, p.calendar.Zone())
		must(t, err)
		if got, ok := p.dueDay(now, time.Duration(uploadGrace)); !ok || got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	closed, err := retention.NewCalendar(retention.Settings{Region: "none", Zone: "Etc/UTC", CutOff: retention.DefaultCutOff,
		Closed: []retention.DateRange{{First: retention.Date{Year: 2026, Month: 1, Day: 1}, Last: retention.Date{Year: 2026, Month: 12, Day: 31}}}})
	must(t, err)
	p := &site{config: &config.Config{}, calendar: closed}
	if got, ok := p.dueDay(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), 0); ok {
		t.Errorf("of a practice that is closed for a year %s is due", got)
	}
}

func TestStateOfAStoreIsTheGravestThing(t *testing.T) {
	p := london(t, config.Schedule{})
	due := retention.Date{Year: 2026, Month: 11, Day: 20} // a Friday
	const clean, suspect = manifest.Clean, manifest.Suspect
	for _, c := range []struct {
		name    string
		days    []string // date and verdict
		damaged bool
		known   bool
		state   string
		missing int
	}{
		{"nothing", nil, false, false, stateTooOld, 0},
		{"only a suspect one", []string{"2026-11-20", suspect}, false, false, stateTooOld, 0},
		{"the day itself", []string{"2026-11-20", clean}, false, false, stateOK, 0},
		{"a later day on which it is closed", []string{"2026-11-21", clean}, false, false, stateOK, 0},
		{"the day before", []string{"2026-11-19", clean}, false, false, stateTooOld, 1},
		{"a week before", []string{"2026-11-13", clean}, false, false, stateTooOld, 5},
		{"a suspect day in the place of a clean one", []string{"2026-11-19", clean, "2026-11-20", suspect}, false, true, stateTooOld, 1},
		{"a suspect day after it", []string{"2026-11-20", clean, "2026-11-23", suspect}, false, false, stateSuspect, 0},
		{"a suspect day that is known", []string{"2026-11-20", clean, "2026-11-23", suspect}, false, true, stateOK, 0},
		{"a clean one has followed", []string{"2026-11-19", suspect, "2026-11-20", clean}, false, false, stateOK, 0},
		{"damage", []string{"2026-11-20", clean}, true, false, stateDamaged, 0},
		{"damage and suspicion", []string{"2026-11-20", clean, "2026-11-23", suspect}, true, false, stateDamaged, 0},
		{"damage, and too old", []string{"2026-11-19", clean}, true, false, stateTooOld, 1},
	} {
		var h history
		for i := 0; i < len(c.days); i += 2 {
			h.Days = append(h.Days, snapshot{Day: c.days[i], Verdict: c.days[i+1], ref: manifest.Ref{Record: manifest.Record{Date: c.days[i]}}})
		}
		if c.damaged {
			h.Damaged = []string{"records/x: damaged"}
		}
		var s storeStatus
		s.judge(p, h, due, func(string) bool { return c.known })
		if s.State != c.state || s.Missing != c.missing {
			t.Errorf("%s: %s, %d missing", c.name, s.State, s.Missing)
		}
	}
}
