package retention

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// DefaultCutOff is the local time before which a backup still belongs to the
// previous day: later than the longest nightly run, earlier than the first patient.
const DefaultCutOff = 5 * time.Hour

const (
	// maxCutOff keeps a backup made at lunch on its own day.
	maxCutOff = 12 * time.Hour
	// maxRange bounds a closure; a practice closed for longer has no business days.
	maxRange = 366
	// maxSearch bounds the search for open days, in days. A calendar with fewer open
	// days than that is treated as if the last day searched were open: things are
	// then kept longer, never shorter.
	maxSearch = 3 * 366
)

// Settings describe a practice's calendar.
type Settings struct {
	Region string         // one of Regions, such as GB, GB-SCT or none
	Zone   string         // such as Europe/London
	CutOff time.Duration  // after local midnight; usually DefaultCutOff
	Open   []time.Weekday // none: Monday to Friday
	Closed []DateRange    // the practice's own closures
	Extra  []DateRange    // days it opens although the rest says closed; they win
}

// Calendar knows a practice's business days. It is immutable and made by
// NewCalendar alone.
type Calendar struct {
	zone     *time.Location
	cutOff   time.Duration
	open     [7]bool
	holidays map[Date]string
	closed   map[Date]bool
	extra    map[Date]bool
}

// NewCalendar checks the settings.
func NewCalendar(s Settings) (*Calendar, error) {
	zone, err := time.LoadLocation(s.Zone)
	if err != nil || s.Zone == "" {
		return nil, fmt.Errorf("make calendar: %q is not a time zone", s.Zone)
	}
	if s.CutOff < 0 || s.CutOff > maxCutOff {
		return nil, fmt.Errorf("make calendar: cut-off %v is not between midnight and noon", s.CutOff)
	}
	c := &Calendar{zone: zone, cutOff: s.CutOff, closed: map[Date]bool{}, extra: map[Date]bool{}}
	var ok bool
	if c.holidays, ok = holidays(s.Region); !ok {
		return nil, fmt.Errorf("make calendar: holidays of %q are not known; use none and list the closed days", s.Region)
	}
	open := s.Open
	if len(open) == 0 {
		open = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	}
	for _, w := range open {
		if w < time.Sunday || w > time.Saturday {
			return nil, fmt.Errorf("make calendar: %d is not a day of the week", int(w))
		}
		c.open[w] = true
	}
	if err := errors.Join(mark(c.closed, s.Closed), mark(c.extra, s.Extra)); err != nil {
		return nil, fmt.Errorf("make calendar: %w", err)
	}
	return c, nil
}

func mark(days map[Date]bool, ranges []DateRange) error {
	for _, r := range ranges {
		if !r.First.valid() || !r.Last.valid() || r.Last.Before(r.First) {
			return fmt.Errorf("%v to %v is not a range of days", r.First, r.Last)
		}
		if r.First.DaysUntil(r.Last) >= maxRange {
			return fmt.Errorf("%v to %v is longer than a year", r.First, r.Last)
		}
		for d := r.First; !d.After(r.Last); d = d.AddDays(1) {
			days[d] = true
		}
	}
	return nil
}

// BusinessDate returns the day to which a backup finished at t belongs: the local
// day, or the one before until the cut-off. It may be a day on which the practice
// is closed.
func (c *Calendar) BusinessDate(t time.Time) Date {
	t = t.In(c.zone)
	d := DateOf(t)
	// the clock on the wall decides, so hours skipped or repeated do not matter
	if wall := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute; wall < c.cutOff {
		d = d.AddDays(-1)
	}
	return d
}

// End returns the end of business date d: the next day's cut-off.
func (c *Calendar) End(d Date) time.Time {
	n := d.AddDays(1)
	return time.Date(n.Year, n.Month, n.Day, 0, int(c.cutOff/time.Minute), 0, 0, c.zone)
}

// Zone returns the practice's time zone.
func (c *Calendar) Zone() *time.Location { return c.zone }

// Open says whether the practice is open on d.
func (c *Calendar) Open(d Date) bool { return c.Closed(d) == "" }

// Closed says in plain words why the practice is closed on d, "" if it is open.
func (c *Calendar) Closed(d Date) string {
	switch {
	case c.extra[d]:
		return ""
	case c.closed[d]:
		return "closed by the practice"
	case c.holidays[d] != "":
		return c.holidays[d]
	case !c.open[d.Weekday()]:
		return "closed on " + d.Weekday().String() + "s"
	}
	return ""
}

// AddOpen returns the n-th open day after d.
func (c *Calendar) AddOpen(d Date, n int) Date {
	for range maxSearch + 7*n {
		if n <= 0 {
			break
		}
		d = d.AddDays(1)
		if c.Open(d) {
			n--
		}
	}
	return d
}

// LastOpen returns the last open day from first to last, false if there is none.
func (c *Calendar) LastOpen(first, last Date) (Date, bool) {
	for d := last; !d.Before(first); d = d.AddDays(-1) {
		if c.Open(d) {
			return d, true
		}
	}
	return Date{}, false
}

// OpenDays returns the last n open days before or on d, latest first; fewer if
// the practice was closed for years.
func (c *Calendar) OpenDays(d Date, n int) []Date {
	var days []Date
	for range maxSearch + 7*n {
		if len(days) >= n {
			break
		}
		if c.Open(d) {
			days = append(days, d)
		}
		d = d.AddDays(-1)
	}
	return slices.Clip(days)
}

// between counts the open days after a up to and including b.
func (c *Calendar) between(a, b Date) int {
	n := 0
	for d := a.AddDays(1); !d.After(b); d = d.AddDays(1) {
		if c.Open(d) {
			n++
		}
	}
	return n
}
