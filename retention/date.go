package retention

import (
	"cmp"
	"fmt"
	"time"
)

// Date is a day of the calendar, without a zone. The zero Date is no day.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf returns the day on which t falls in t's own location.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// ParseDate reads a date written as 2026-11-20, and nothing else.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1 {
		return Date{}, fmt.Errorf("parse date: %q is not a day written as 2026-11-20", s)
	}
	return DateOf(t), nil
}

// String returns the date as 2026-11-20.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// long returns the date as Fri 2026-11-20, as people read it.
func (d Date) long() string { return d.Weekday().String()[:3] + " " + d.String() }

// valid says whether d is a day that exists, in a year of four digits.
func (d Date) valid() bool { return d.Year >= 1 && d.Year <= 9999 && DateOf(d.utc()) == d }

func (d Date) utc() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// Weekday returns the day of the week.
func (d Date) Weekday() time.Weekday { return d.utc().Weekday() }

// AddDays returns the date n days later.
func (d Date) AddDays(n int) Date {
	if day := d.Day + n; 1 <= day && day <= 28 { // within the month, as most steps are
		return Date{d.Year, d.Month, day}
	}
	return DateOf(d.utc().AddDate(0, 0, n))
}

// DaysUntil returns how many days e is after d.
func (d Date) DaysUntil(e Date) int { return int(e.utc().Sub(d.utc()) / (24 * time.Hour)) }

// Compare orders dates.
func (d Date) Compare(e Date) int {
	return cmp.Or(cmp.Compare(d.Year, e.Year), cmp.Compare(d.Month, e.Month), cmp.Compare(d.Day, e.Day))
}

// Before says whether d is earlier than e.
func (d Date) Before(e Date) bool { return d.Compare(e) < 0 }

// After says whether d is later than e.
func (d Date) After(e Date) bool { return d.Compare(e) > 0 }

func later(d, e Date) Date {
	if e.After(d) {
		return e
	}
	return d
}

// DateRange is the days from First to Last, both included.
type DateRange struct{ First, Last Date }

// MonthDay is a day that comes every year. 29 February means the last day of
// February, as does any day beyond the end of its month.
type MonthDay struct {
	Month time.Month
	Day   int
}

// in returns the day in the given year and month, counted from January of that
// year and so also beyond December.
func (m MonthDay) in(year int, month time.Month) Date {
	first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return Date{first.Year(), first.Month(), min(m.Day, last)}
}

// String returns the day as 12-31.
func (m MonthDay) String() string { return fmt.Sprintf("%02d-%02d", int(m.Month), m.Day) }
