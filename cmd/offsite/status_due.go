package main

import (
	"time"

	"offsite/manifest"
	"offsite/retention"
)

// judge says in which state a store is, by its days. known says whether what made a
// suspect day suspect is known and right.
func (s *storeStatus) judge(p *site, h history, due retention.Date, known func(day string) bool) {
	clean := retention.Date{}
	for _, d := range h.Days { // oldest first
		day := &statusDay{Day: d.Day, Verdict: d.Verdict, Time: d.Time}
		s.Newest = day
		if d.Verdict == manifest.Clean {
			s.Clean = day
			clean, _ = retention.ParseDate(d.ref.Record.Date) // snapshotsOf has read it
		}
	}
	if s.Newest != nil && s.Newest.Verdict != manifest.Clean {
		s.Acknowledged = known(h.Days[len(h.Days)-1].ref.Record.Date)
	}
	if s.Clean != nil {
		for d := due; d.After(clean); d = d.AddDays(-1) {
			if p.calendar.Open(d) {
				s.Missing++
			}
		}
	}
	switch {
	case s.Clean == nil || s.Missing > 0:
		s.State = stateTooOld
	case len(h.Damaged) > 0:
		s.State = stateDamaged
		s.Alarms = append(s.Alarms, count(len(h.Damaged), "record")+" cannot be read: offsite check says more")
	case s.Newest.Verdict != manifest.Clean && !s.Acknowledged:
		s.State = stateSuspect
	default:
		s.State = stateOK
	}
}

// dueDay is the last business day whose backup must be stored by now; false if the
// practice has been closed for long.
func (p *site) dueDay(now time.Time, grace time.Duration) (retention.Date, bool) {
	const most = 60 // a longer closure has nothing to miss
	today := p.calendar.BusinessDate(now)
	for n := range most {
		if d := today.AddDays(-n); p.calendar.Open(d) && !p.dueAt(d).Add(grace).After(now) {
			return d, true
		}
	}
	return retention.Date{}, false
}

// dueAt is when the backup of a day must have finished: at the deadline of the
// schedule's window that begins on the day, or else when the day ends.
func (p *site) dueAt(d retention.Date) time.Time {
	s, zone := p.config.Schedule, p.calendar.Zone()
	if !s.Deadline.IsSet() {
		return p.calendar.End(d)
	}
	begin := p.calendar.End(d.AddDays(-1))
	return nextAt(nextAt(begin.Add(-1), s.At, zone), s.Deadline, zone)
}
