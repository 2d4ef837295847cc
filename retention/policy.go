package retention

import (
	"fmt"
	"time"
)

const day = 24 * time.Hour

// Policy says how long snapshots are kept. Every class but the floors may be
// switched off with 0.
type Policy struct {
	BusinessDays int
	Months       int
	Quarters     int
	FiscalYears  int
	FiscalEnd    MonthDay
	// FiscalQuarters counts quarters from the fiscal year's end instead of the
	// calendar's. For years that end with March, June, September or December both are one.
	FiscalQuarters bool
	Floor          time.Duration // every snapshot, clean or not
	Weekly         time.Duration // the last clean one of each week
	// Silence is how long the newest clean one outlives its next open day, should
	// nothing ever follow it; at most Weekly counts.
	Silence time.Duration
	// SlackMin and SlackMax bound what Lease adds, so that a pack used every night
	// is not raised every night.
	SlackMin, SlackMax time.Duration
	// Night is how many leases a run raises at least, if so many are due.
	Night int
	// Guard is how much of its lease a stored object must have left to be reused.
	Guard time.Duration
}

// DefaultPolicy returns the policy that holds unless somebody decides otherwise.
func DefaultPolicy() Policy {
	return Policy{
		BusinessDays: 10, Months: 12, Quarters: 8, FiscalYears: 7, FiscalEnd: MonthDay{time.December, 31},
		Floor: 30 * day, Weekly: 90 * day, Silence: 60 * day, SlackMin: 7 * day, SlackMax: 28 * day, Night: 500, Guard: 3 * day,
	}
}

// Limits of a policy. They only stop slips of the pen: a lease that is too long
// cannot be taken back where the store enforces it.
const (
	maxBusinessDays = 1000
	maxMonths       = 50 * 12
	maxQuarters     = 50 * 4
	maxFiscalYears  = 50
	maxFloor        = 3650 * day
	minFloor        = 7 * day
	maxSlack        = 60 * day
)

func (p Policy) check() error {
	for _, n := range []struct {
		name        string
		value, most int
	}{
		{"business days", p.BusinessDays, maxBusinessDays},
		{"months", p.Months, maxMonths},
		{"quarters", p.Quarters, maxQuarters},
		{"fiscal years", p.FiscalYears, maxFiscalYears},
	} {
		if n.value < 0 || n.value > n.most {
			return fmt.Errorf("%d %s are not between 0 and %d", n.value, n.name, n.most)
		}
	}
	m := p.FiscalEnd
	if m.Month < time.January || m.Month > time.December || m.Day < 1 || m.Day > m.longest() {
		return fmt.Errorf("fiscal year end %d-%d is not a day of the year", int(m.Month), m.Day)
	}
	if p.Floor < minFloor || p.Floor > maxFloor || p.Weekly < p.Floor || p.Weekly > maxFloor {
		return fmt.Errorf("floor %v and weekly floor %v are not between %v and %v, in this order", p.Floor, p.Weekly, minFloor, maxFloor)
	}
	if p.Silence < 0 || p.Silence > maxFloor {
		return fmt.Errorf("silence of %v is not between 0 and %v", p.Silence, maxFloor)
	}
	if p.SlackMin < 0 || p.SlackMax < p.SlackMin || p.SlackMax > maxSlack {
		return fmt.Errorf("slack from %v to %v is not between 0 and %v", p.SlackMin, p.SlackMax, maxSlack)
	}
	if p.Night < 1 {
		return fmt.Errorf("%d raises a night are not at least 1", p.Night)
	}
	if p.Guard < 0 || p.Guard > p.Floor {
		return fmt.Errorf("guard %v is not between 0 and the floor", p.Guard)
	}
	return nil
}

func (m MonthDay) longest() int { return MonthDay{m.Month, 31}.in(2024, m.Month).Day }
