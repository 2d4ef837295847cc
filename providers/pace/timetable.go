// Package pace keeps an upload from taking the practice's whole line: it slows
// down what is written to connections, by a timetable.
//
// It promises that over any few seconds no more bytes are written to all
// connections of one Limiter together than the rate of the moment allows, that a
// change of the rate counts from the next piece on, and that a connection that is
// closed waits no longer. What is read is not slowed down.
package pace

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MinRate is the slowest rate, in bytes a second, that a timetable takes: on less, a
// pack of 16 MiB would take over an hour, and a night's change a week.
const MinRate = 128_000 / 8

// Unlimited is the rate of a line that is not slowed down.
const Unlimited = 0

// Timetable says how many bytes a second may be sent at which time.
type Timetable struct {
	rules []rule
	rest  int64 // outside of all rules
}

type rule struct {
	days     [7]bool
	from, to int // minutes of the day; to may be the smaller one: over midnight
	rate     int64
}

var (
	rulePattern = regexp.MustCompile(`^(?:([A-Za-z]{3,5})(?:-([A-Za-z]{3}))? +)?(\d{2}):(\d{2})-(\d{2}):(\d{2}) +(\S.*)$`)
	ratePattern = regexp.MustCompile(`^(\d{1,6}(?:\.\d{1,3})?) ?(kbit|Mbit|Gbit)/s$`)
	dayNames    = map[string]time.Weekday{"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
)

// Parse reads a timetable: rules of days, hours and rate, joined by commas, of
// which the first that fits counts, and a rate for the rest of the time.
//
//	2Mbit/s
//	Mon-Fri 08:00-18:30 2Mbit/s, else unlimited
//	22:00-06:00 unlimited, Sat 09:00-12:00 500kbit/s, else 1Mbit/s
//
// Hours that end before they begin go over midnight and belong to the day on which
// they begin. Rates count bits, as lines are sold; a byte has 8.
func Parse(text string) (*Timetable, error) {
	t := &Timetable{}
	parts := strings.Split(text, ",")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		last := i == len(parts)-1
		if rest, ok := strings.CutPrefix(part, "else "); ok || last && len(parts) == 1 && !rulePattern.MatchString(part) {
			if !ok {
				rest = part
			}
			if !last {
				return nil, errors.New("what follows else can never count: put it last")
			}
			rate, err := parseRate(strings.TrimSpace(rest))
			t.rest = rate
			return t, err
		}
		r, err := parseRule(part)
		if err != nil {
			return nil, err
		}
		t.rules = append(t.rules, r)
	}
	return nil, errors.New("it does not say what holds otherwise: end it with else and a rate, such as else unlimited")
}

func parseRule(text string) (r rule, err error) {
	m := rulePattern.FindStringSubmatch(text)
	if m == nil {
		return r, fmt.Errorf("%q is no rule: write days, hours and rate, such as Mon-Fri 08:00-18:30 2Mbit/s", text)
	}
	if err := r.setDays(m[1], m[2]); err != nil {
		return r, err
	}
	if r.from, err = minutes(m[3], m[4]); err != nil {
		return r, err
	}
	if r.to, err = minutes(m[5], m[6]); err != nil {
		return r, err
	}
	if r.from == r.to {
		return r, fmt.Errorf("%q has no length: for the whole day write 00:00-24:00", text)
	}
	r.rate, err = parseRate(m[7])
	return r, err
}

func (r *rule) setDays(first, last string) error {
	if first == "" || strings.EqualFold(first, "daily") && last == "" {
		r.days = [7]bool{true, true, true, true, true, true, true}
		return nil
	}
	from, ok := dayNames[strings.ToLower(first)]
	to, too := from, ok
	if last != "" {
		to, too = dayNames[strings.ToLower(last)]
	}
	if !ok || !too {
		return fmt.Errorf("%q is no day: write Mon, Tue, Wed, Thu, Fri, Sat, Sun, or two of them joined by a hyphen", strings.TrimSuffix(first+"-"+last, "-"))
	}
	for d := from; ; d = (d + 1) % 7 {
		r.days[d] = true
		if d == to {
			return nil
		}
	}
}

func minutes(hour, minute string) (int, error) {
	h, _ := strconv.Atoi(hour)
	m, _ := strconv.Atoi(minute)
	if h > 24 || m > 59 || h == 24 && m > 0 {
		return 0, fmt.Errorf("%s:%s is no time of day", hour, minute)
	}
	return h*60 + m, nil
}

func parseRate(text string) (int64, error) {
	if text == "unlimited" {
		return Unlimited, nil
	}
	m := ratePattern.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is no rate: write a number with kbit/s, Mbit/s or Gbit/s, or unlimited", text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no rate", text)
	}
	rate := int64(n * map[string]float64{"kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9}[m[2]] / 8)
	if rate < MinRate {
		return 0, fmt.Errorf("%s is too slow: the least is %d kbit/s", text, MinRate*8/1000)
	}
	return rate, nil
}

// Rate is how many bytes a second may be sent at a time, which must be in the
// practice's zone; Unlimited: any number.
func (t *Timetable) Rate(at time.Time) int64 {
	minute, day := at.Hour()*60+at.Minute(), at.Weekday()
	for _, r := range t.rules {
		if r.holds(day, minute) {
			return r.rate
		}
	}
	return t.rest
}

func (r rule) holds(day time.Weekday, minute int) bool {
	if r.from < r.to {
		return r.days[day] && minute >= r.from && minute < r.to
	}
	return r.days[day] && minute >= r.from || r.days[(day+6)%7] && minute < r.to
}

// Slowest is the lowest rate of the whole timetable; Unlimited: there is no limit
// at any time.
func (t *Timetable) Slowest() int64 {
	slowest := t.rest
	for _, r := range t.rules {
		if r.rate != Unlimited && (slowest == Unlimited || r.rate < slowest) {
			slowest = r.rate
		}
	}
	return slowest
}
