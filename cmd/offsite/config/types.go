package config

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/zalando/go-keyring"

	_ "time/tzdata" // Windows has no zone database of the kind Go reads
)

// ValueError says what is wrong with a value and what to write instead.
type ValueError struct{ Problem, Hint string }

// Error is the problem; the hint is shown apart from it.
func (e *ValueError) Error() string { return e.Problem }

func wrong(kind, got, hint string) error {
	return &ValueError{fmt.Sprintf("%q is not %s", got, kind), hint}
}

// Path is a file or folder. In the file it may be relative to the file's folder.
type Path string

func (*Path) expects() string { return "a path" }

// UnmarshalText reads a path as it stands; nothing is expanded.
func (p *Path) UnmarshalText(text []byte) error {
	s := string(text)
	switch {
	case s == "":
		return &ValueError{"is empty", "give a path, or remove the line"}
	case strings.HasPrefix(s, "~"), strings.HasPrefix(s, "$"), strings.HasPrefix(s, "%"):
		return &ValueError{fmt.Sprintf("%q is not expanded", s), "write the whole path: the service runs as another user"}
	}
	*p = Path(s)
	return nil
}

const day = 24 * time.Hour

// Duration is a length of time that was written with its unit.
type Duration time.Duration

func (*Duration) expects() string { return "a duration with a unit, such as 2m" }

const durationHint = "write a number with a unit, such as 30s, 2m, 1h30m, 10d or 12w"

var durationPart = regexp.MustCompile(`^(\d{1,6})(s|m|h|d|w)`)

// UnmarshalText reads one or more numbers, each with a unit: s, m, h, d or w.
func (d *Duration) UnmarshalText(text []byte) error {
	rest, sum := string(text), time.Duration(0)
	if _, err := strconv.ParseFloat(rest, 64); err == nil {
		return &ValueError{fmt.Sprintf("%q has no unit", rest), durationHint}
	}
	for rest != "" {
		part := durationPart.FindStringSubmatch(rest)
		if part == nil {
			return wrong("a duration", string(text), durationHint)
		}
		n, _ := strconv.Atoi(part[1])
		unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": day, "w": 7 * day}[part[2]]
		if time.Duration(n) > (math.MaxInt64-sum)/unit {
			return wrong("a duration", string(text), "it is too long")
		}
		sum += time.Duration(n) * unit
		rest = rest[len(part[0]):]
	}
	if len(text) == 0 {
		return wrong("a duration", "", durationHint)
	}
	*d = Duration(sum)
	return nil
}

// String writes the duration so that UnmarshalText reads it again.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	out, rest := "", time.Duration(d)
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := rest / u.unit; n > 0 {
			out += strconv.FormatInt(int64(n), 10) + u.name
			rest -= n * u.unit
		}
	}
	return out
}

// within compares with the bounds of the field's tags.
func (d Duration) within(lo, hi string) error {
	var l, h Duration
	if lo == "" || hi == "" || l.UnmarshalText([]byte(lo)) != nil || h.UnmarshalText([]byte(hi)) != nil {
		return nil
	}
	if d < l || d > h {
		return &ValueError{fmt.Sprintf("%s is out of bounds", d), fmt.Sprintf("write a duration from %s to %s", lo, hi)}
	}
	return nil
}

// Size is a number of bytes that was written with its unit.
type Size int64

func (*Size) expects() string { return "a size with a unit, such as 64MB" }

var sizePattern = regexp.MustCompile(`^(\d{1,9})(B|[kMGT]B|[KMGT]iB)$`)

// UnmarshalText reads a number with a unit: B, kB, MB, GB, TB or KiB, MiB, GiB, TiB.
func (s *Size) UnmarshalText(text []byte) error {
	m := sizePattern.FindStringSubmatch(string(text))
	if m == nil {
		return wrong("a size", string(text), "write a number with a unit, such as 64MB or 2GiB")
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	base := int64(1000)
	if strings.HasSuffix(m[2], "iB") {
		base = 1024
	}
	unit := map[string]int{"B": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}[m[2][:1]]
	for range unit {
		if n > math.MaxInt64/base {
			return wrong("a size", string(text), "it is too large")
		}
		n *= base
	}
	*s = Size(n)
	return nil
}

// TimeOfDay is a wall-clock time. Its zero value is "not given"; midnight is not.
type TimeOfDay struct {
	Hour, Minute int
	set          bool
}

func (*TimeOfDay) expects() string { return `a time of day, such as "21:30"` }

// IsSet reports whether the file gave the time.
func (t TimeOfDay) IsSet() bool { return t.set }

var clockPattern = regexp.MustCompile(`^([01]\d|2[0-3]):([0-5]\d)$`)

// UnmarshalText reads HH:MM on the 24-hour clock.
func (t *TimeOfDay) UnmarshalText(text []byte) error {
	m := clockPattern.FindStringSubmatch(string(text))
	if m == nil {
		return wrong("a time of day", string(text), `write it on the 24-hour clock with two digits each, such as "05:00" or "21:30"`)
	}
	h, _ := strconv.Atoi(m[1])
	min, _ := strconv.Atoi(m[2])
	*t = TimeOfDay{Hour: h, Minute: min, set: true}
	return nil
}

func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", t.Hour, t.Minute) }

// Date is a day of the calendar, without a zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

func (*Date) expects() string { return "a date, such as 2026-12-24" }

// UnmarshalText reads YYYY-MM-DD and refuses days that do not exist.
func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse("2006-01-02", string(text))
	if err != nil {
		if strings.Contains(err.Error(), "out of range") {
			return &ValueError{fmt.Sprintf("the day %s does not exist", text), "write the date as year-month-day, such as 2026-12-24"}
		}
		return wrong("a date", string(text), "write it as year-month-day, such as 2026-12-24")
	}
	if t.Year() < 2000 || t.Year() > 2199 {
		return &ValueError{fmt.Sprintf("the year of %s is out of bounds", text), "write a year from 2000 to 2199"}
	}
	*d = Date{t.Year(), t.Month(), t.Day()}
	return nil
}

func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// Time is midnight of the date in UTC, for counting days.
func (d Date) Time() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// DateRange is one date, or the days from one to another with both ends.
type DateRange struct{ First, Last Date }

func (*DateRange) expects() string { return "a date, or two joined by .." }

// maxRange bounds a closure; a longer one is a mistyped year.
const maxRange = 120 * day

// UnmarshalText reads DATE or DATE..DATE.
func (r *DateRange) UnmarshalText(text []byte) error {
	first, last, two := strings.Cut(string(text), "..")
	if !two {
		last = first
	}
	var v DateRange
	if err := v.First.UnmarshalText([]byte(first)); err != nil {
		return err
	}
	if err := v.Last.UnmarshalText([]byte(last)); err != nil {
		return err
	}
	length := v.Last.Time().Sub(v.First.Time())
	switch {
	case length < 0:
		return &ValueError{fmt.Sprintf("%s ends before it begins", text), "write the earlier date first"}
	case length > maxRange:
		return &ValueError{fmt.Sprintf("%s is longer than %s", text, Duration(maxRange)), "is the year right?"}
	}
	*r = v
	return nil
}

// Days are the dates of the range in order.
func (r DateRange) Days() []Date {
	var out []Date
	for t := r.First.Time(); !t.After(r.Last.Time()); t = t.AddDate(0, 0, 1) {
		out = append(out, Date{t.Year(), t.Month(), t.Day()})
	}
	return out
}

// MonthDay is a day that comes every year.
type MonthDay struct {
	Month time.Month
	Day   int
}

func (*MonthDay) expects() string { return `a month and a day, such as "12-31"` }

// UnmarshalText reads MM-DD. The 29th of February is refused: it does not come
// every year.
func (m *MonthDay) UnmarshalText(text []byte) error {
	const hint = `write month-day with two digits each, such as "03-31"`
	t, err := time.Parse("01-02", string(text))
	if err != nil || len(text) != 5 {
		return wrong("a day of the year", string(text), hint)
	}
	if t.Month() == time.February && t.Day() == 29 {
		return &ValueError{"02-29 does not come every year", "write 02-28"}
	}
	*m = MonthDay{t.Month(), t.Day()}
	return nil
}

func (m MonthDay) String() string { return fmt.Sprintf("%02d-%02d", m.Month, m.Day) }

// Weekday is a day of the week.
type Weekday time.Weekday

func (*Weekday) expects() string { return "a day of the week, such as mon" }

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// UnmarshalText reads the three-letter name in lower case.
func (w *Weekday) UnmarshalText(text []byte) error {
	for i, name := range weekdays {
		if string(text) == name {
			*w = Weekday(i)
			return nil
		}
	}
	return wrong("a day of the week", string(text), "write mon, tue, wed, thu, fri, sat or sun")
}

func (w Weekday) String() string { return weekdays[w] }

// Zone is the name of a time zone.
type Zone string

func (*Zone) expects() string { return "a time zone, such as Europe/London" }

// UnmarshalText checks that the zone is known. "Local" is refused: the business
// date would then change with the settings of a PC.
func (z *Zone) UnmarshalText(text []byte) error {
	s := string(text)
	if _, err := time.LoadLocation(s); err != nil || s == "" || s == "Local" {
		return wrong("a time zone", s, "write a name such as Europe/London, America/New_York or Pacific/Auckland")
	}
	*z = Zone(s)
	return nil
}

// Location returns the zone for package time.
func (z Zone) Location() (*time.Location, error) { return time.LoadLocation(string(z)) }

// Secret names a secret; the value never stands in the file.
type Secret struct{ Scheme, Ref string }

func (*Secret) expects() string { return "env:NAME, file:PATH or keyring:NAME" }

// UnmarshalText reads env:NAME, file:PATH or keyring:NAME. The text is not repeated in the
// error, because it may be the secret itself.
func (s *Secret) UnmarshalText(text []byte) error {
	scheme, ref, ok := strings.Cut(string(text), ":")
	if !ok || ref == "" || (scheme != "env" && scheme != "file" && scheme != "keyring") {
		return &ValueError{"a secret never stands in this file", "write env:NAME to read an environment variable, file:PATH to read a file that only this user can read, or keyring:NAME to ask the system's keyring"}
	}
	*s = Secret{scheme, ref}
	return nil
}

// String is the name of the secret, never its value.
func (s Secret) String() string {
	if s == (Secret{}) {
		return ""
	}
	return s.Scheme + ":" + s.Ref
}

// KeyringService is under which name the system's keyring keeps secrets of ours.
const KeyringService = "offsite"

// maxSecret bounds a secret's file: a service account's key is about 2 KiB.
const maxSecret = 64 << 10

// Resolve returns the value. A file's last line end is not part of it.
func (s Secret) Resolve(env func(string) (string, bool)) (string, error) {
	switch s.Scheme {
	case "":
		return "", nil
	case "env":
		v, ok := env(s.Ref)
		if !ok || v == "" {
			return "", fmt.Errorf("read secret: the environment variable %s is not set", s.Ref)
		}
		return v, nil
	case "file":
		info, err := os.Stat(s.Ref)
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		if info.Size() > maxSecret {
			return "", fmt.Errorf("read secret: %s is larger than %d KiB", s.Ref, maxSecret>>10)
		}
		data, err := os.ReadFile(s.Ref)
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	case "keyring":
		v, err := keyring.Get(KeyringService, s.Ref)
		if err != nil {
			return "", fmt.Errorf("read secret %s from the keyring of this user: %w", s.Ref, err)
		}
		return v, nil
	}
	return "", fmt.Errorf("read secret: unknown kind %q", s.Scheme)
}
