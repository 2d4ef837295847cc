package retention

import (
	"fmt"
	"time"
)

// Class says why a snapshot is kept.
type Class string

const (
	Day        Class = "day"         // one of the last business days
	Week       Class = "week"        // last clean one of its week
	Month      Class = "month"       // keeper of a month
	Quarter    Class = "quarter"     // keeper of a quarter
	FiscalYear Class = "fiscal-year" // keeper of a fiscal year
	Floor      Class = "floor"       // every snapshot
	Silence    Class = "silence"     // every clean one, should it be the last for long
	Newest     Class = "newest"      // one of the newest clean days
	Suspicion  Class = "suspicion"   // last clean ones before a suspect one
	RunnerUp   Class = "runner-up"   // second best of a period, until its keeper was checked
	Hold       Class = "hold"        // somebody wants it kept
	Leased     Class = "leased"      // leased longer than needed now; leases never shorten
)

// Period is a stretch of days that has one keeper.
type Period struct {
	Class       Class
	First, Last Date
}

// String names the period in plain words.
func (p Period) String() string {
	switch p.Class {
	case Day:
		return p.Last.long()
	case Week:
		y, w := p.Last.utc().ISOWeek()
		return fmt.Sprintf("week %d of %d", w, y)
	case Month:
		return fmt.Sprintf("%v %d", p.Last.Month, p.Last.Year)
	case Quarter:
		return "the quarter to " + p.Last.String()
	case FiscalYear:
		return "the fiscal year to " + p.Last.String()
	}
	return string(p.Class)
}

// cycle is a class whose periods end every so many months on the same day of the
// month. A period is known by its index, the month of its end counted from year 0.
type cycle struct {
	class  Class
	months int // length of a period
	anchor int // an index at which a period ends
	day    int // of the month, cut down to the month's length
	keep   int // for how many periods after its own a keeper stays
}

func (p Policy) cycles() []cycle {
	fiscal := int(p.FiscalEnd.Month) - 1
	dayOf := p.FiscalEnd.Day
	if p.FiscalEnd == (MonthDay{time.February, 29}) {
		dayOf = 31
	}
	quarter := cycle{Quarter, 3, int(time.December) - 1, 31, p.Quarters}
	if p.FiscalQuarters {
		quarter.anchor, quarter.day = fiscal, dayOf
		if dayOf >= p.FiscalEnd.longest() {
			quarter.day = 31 // a year that ends with a month has quarters that do
		}
	}
	return []cycle{
		{Month, 1, 0, 31, p.Months},
		quarter,
		{FiscalYear, 12, fiscal, dayOf, p.FiscalYears},
	}
}

// index returns the period in which d lies.
func (c cycle) index(d Date) int {
	m := d.Year*12 + int(d.Month) - 1
	i := m - ((m-c.anchor)%c.months+c.months)%c.months
	if c.end(i).Before(d) {
		i += c.months
	}
	return i
}

func (c cycle) end(index int) Date { return MonthDay{Day: c.day}.in(0, time.Month(index+1)) }

func (c cycle) period(index int) Period {
	return Period{c.class, c.end(index - c.months).AddDays(1), c.end(index)}
}

// weekOf returns the ISO week of d.
func weekOf(d Date) Period {
	first := d.AddDays(-(int(d.Weekday()) + 6) % 7)
	return Period{Week, first, first.AddDays(6)}
}
