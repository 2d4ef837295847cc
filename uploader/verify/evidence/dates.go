package evidence

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Order is the order of the parts of a date.
type Order string

// The orders.
const (
	DMY Order = "dmy"
	MDY Order = "mdy"
	YMD Order = "ymd"
)

const (
	// dateText and timeText are what stands for a date and for a time in a pattern.
	dateText = `\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d{1,2}\.?[ -]\p{L}{3,9}\.?[ -,]{1,2}\d{2,4}|\p{L}{3,9}\.? \d{1,2},? \d{4}`
	timeText = `\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:[.,]\d{1,6})?(?:\s?[AaPp]\.?[Mm]\.?)?`
)

// monthStarts are the first letters of the months in English, Dutch, German and
// French, as far as they tell them apart.
var monthStarts = [...]string{"jan", "feb fev fév", "mar maa mrt mär", "apr avr", "may mei mai", "jun juin", "jul juil", "aug aou aoû", "sep", "oct okt", "nov", "dec dez déc"}

// parseDate reads a date in the given order.
func parseDate(text string, order Order) (y, m, d int, err error) {
	parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("./- ,", r) })
	if len(parts) != 3 {
		return 0, 0, 0, fmt.Errorf("read date: %d parts", len(parts))
	}
	for i, p := range parts[:2] {
		if month := monthOf(p); month > 0 { // 20 Nov 2026, Nov 20 2026
			y, d = number(parts[2]), number(parts[1-i])
			return century(y), month, d, nil
		}
	}
	a, b, c := number(parts[0]), number(parts[1]), number(parts[2])
	switch {
	case len(parts[0]) == 4 || order == YMD:
		y, m, d = a, b, c
	case order == MDY:
		m, d, y = a, b, c
	case order == DMY:
		d, m, y = a, b, c
	default:
		return 0, 0, 0, fmt.Errorf("read date: no order of day and month")
	}
	return century(y), m, d, nil
}

func century(y int) int {
	if y < 100 {
		return 2000 + y
	}
	return y
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

func monthOf(s string) int {
	s = strings.ToLower(s)
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return 0
	}
	for i, starts := range monthStarts {
		for start := range strings.FieldsSeq(starts) {
			if strings.HasPrefix(s, start) {
				return i + 1
			}
		}
	}
	return 0
}

// parseWhen reads a date and a time.
func parseWhen(date, clock string, order Order, zone *time.Location) (time.Time, bool) {
	y, m, d, err := parseDate(date, order)
	if err != nil {
		return time.Time{}, false
	}
	digits := regexp.MustCompile(`\d+`).FindAllString(clock, 3)
	if len(digits) < 2 {
		return time.Time{}, false
	}
	h, min, sec := number(digits[0]), number(digits[1]), 0
	if len(digits) > 2 {
		sec = number(digits[2])
	}
	lower := strings.ToLower(clock)
	switch {
	case strings.Contains(lower, "p") && h < 12:
		h += 12
	case strings.Contains(lower, "a") && h == 12:
		h = 0
	}
	t := time.Date(y, time.Month(m), d, h, min, sec, 0, zone)
	// What does not come out as it went in was no date: 31.02., 25:00.
	if t.Day() != d || int(t.Month()) != m || h > 23 || min > 59 || sec > 60 {
		return time.Time{}, false
	}
	return t, true
}
