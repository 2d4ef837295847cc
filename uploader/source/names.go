package source

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Stamp is a date that stands in a name, with a time of day if one does. It is a
// wall-clock reading without a zone. The zero Stamp means that no date stands there.
type Stamp struct {
	Year                 int
	Month                time.Month
	Day                  int
	Hour, Minute, Second int
	Timed                bool // a time of day stands there as well
}

// IsZero reports whether s is no date.
func (s Stamp) IsZero() bool { return s.Year == 0 }

// In returns the moment in a zone: without a time of day, noon.
func (s Stamp) In(zone *time.Location) time.Time {
	if !s.Timed {
		return time.Date(s.Year, s.Month, s.Day, 12, 0, 0, 0, zone)
	}
	return time.Date(s.Year, s.Month, s.Day, s.Hour, s.Minute, s.Second, 0, zone)
}

func (s Stamp) compare(t Stamp) int { return s.In(time.UTC).Compare(t.In(time.UTC)) }

// The forms of dates in names. Two-digit years and names of months are not read:
// too many numbers look like the former, and the latter have a language.
const clockForm = `(?:[T_\-. @]{0,3}([01]\d|2[0-3])[-_.:hH ]?([0-5]\d)(?:[-_.:mM ]?([0-5]\d))?)?(?:\D|$)`

var (
	yearFirst = regexp.MustCompile(`(?:^|\D)(20\d\d)[-_. ]?(\d\d)[-_. ]?(\d\d)` + clockForm)
	yearLast  = regexp.MustCompile(`(?:^|\D)(\d\d)([-_. ]?)(\d\d)[-_. ]?(20\d\d)` + clockForm)
)

// findStamp returns the date in a name and what is left of the name without it,
// in lower case. Where the year stands last, day and month may stand either way
// round: the one that lies nearer to the time of the thing itself is taken.
func findStamp(name string, modified time.Time) (Stamp, string) {
	if m := yearFirst.FindStringSubmatchIndex(name); m != nil {
		s := stampOf(name, m, 1, 2, 3)
		if !s.IsZero() {
			return s, stem(name, m, 1)
		}
	}
	m := yearLast.FindStringSubmatchIndex(name)
	if m == nil {
		return Stamp{}, strings.ToLower(name)
	}
	// The groups are day, separator, month, year and the clock.
	s, other := stampOf(name, m, 4, 3, 1), stampOf(name, m, 4, 1, 3)
	if s.IsZero() || !other.IsZero() && apart(other, modified) < apart(s, modified) {
		s = other
	}
	if s.IsZero() {
		return Stamp{}, strings.ToLower(name)
	}
	return s, stem(name, m, 1)
}

func apart(s Stamp, t time.Time) time.Duration { return s.In(time.UTC).Sub(t).Abs() }

// stampOf reads the groups of a match. The last three groups are the clock.
func stampOf(name string, m []int, year, month, day int) Stamp {
	group := func(i int) int {
		if m[2*i] < 0 {
			return 0
		}
		n, _ := strconv.Atoi(name[m[2*i]:m[2*i+1]])
		return n
	}
	clock := len(m)/2 - 3
	s := Stamp{
		Year: group(year), Month: time.Month(group(month)), Day: group(day),
		Hour: group(clock), Minute: group(clock + 1), Second: group(clock + 2), Timed: m[2*clock] >= 0,
	}
	if d := s.In(time.UTC); d.Day() != s.Day || d.Month() != s.Month || s.Month < 1 {
		return Stamp{}
	}
	return s
}

// stem is the name with the match, from group first on to the end of its last
// group, replaced by a mark that no name has.
func stem(name string, m []int, first int) string {
	end := 0
	for i := 2 * first; i < len(m); i += 2 {
		end = max(end, m[i+1])
	}
	return strings.ToLower(name[:m[2*first]] + "\x00" + name[end:])
}

// weekdayNames are the names of the days, Sunday first, in the languages of the
// countries whose calendars are known.
var weekdayNames = [][]string{
	{"sunday", "sun", "zondag", "sonntag", "dimanche"},
	{"monday", "mon", "maandag", "montag", "lundi"},
	{"tuesday", "tue", "tues", "dinsdag", "dienstag", "mardi"},
	{"wednesday", "wed", "woensdag", "mittwoch", "mercredi"},
	{"thursday", "thu", "thur", "thurs", "donderdag", "donnerstag", "jeudi"},
	{"friday", "fri", "vrijdag", "freitag", "vendredi"},
	{"saturday", "sat", "zaterdag", "samstag", "sonnabend", "samedi"},
}

// shortWeekday is the longest abbreviation of a weekday. Longer names are also
// found at the end or beginning of a run of letters, as in BackupMonday.
const shortWeekday = 5

// findWeekday returns the weekday in a name, and what is left of the name.
func findWeekday(name string) (time.Weekday, string, bool) {
	low := strings.ToLower(name)
	for start := 0; start < len(low); {
		letter := func(c rune) bool { return unicode.IsLetter(c) }
		from := strings.IndexFunc(low[start:], letter)
		if from < 0 {
			break
		}
		from += start
		end := from + len(low[from:]) - len(strings.TrimLeftFunc(low[from:], letter))
		run := low[from:end]
		for day, words := range weekdayNames {
			for _, w := range words {
				long := len(w) > shortWeekday
				switch {
				case run == w, long && strings.HasPrefix(run, w):
					return time.Weekday(day), low[:from] + "\x00" + low[from+len(w):], true
				case long && strings.HasSuffix(run, w):
					return time.Weekday(day), low[:end-len(w)] + "\x00" + low[end:], true
				}
			}
		}
		start = end
	}
	return 0, low, false
}

// weekNumber is a single digit from 1 to 7 at the end of a name.
var weekNumber = regexp.MustCompile(`^(.*?)([1-7])(\.[^.\d]*)?$`)

// slot is the place of a name in a weekly rotation: its weekday, or its number
// from 1 to 7, as in d1.zip to d7.zip.
func slot(name string) (string, bool) {
	if day, _, ok := findWeekday(name); ok {
		return strings.ToLower(day.String()), true
	}
	m := weekNumber.FindStringSubmatch(name)
	if m == nil || strings.HasSuffix(m[1], "0") || m[1] != "" && unicode.IsDigit(rune(m[1][len(m[1])-1])) {
		return "", false
	}
	return m[2], true
}

// shifted is a name of a rotation by number: archive007.zip, backup (2), data.3.
var shifted = regexp.MustCompile(`^(.*?)[-_. (]*(\d{1,4})\)?((?:\.[A-Za-z][A-Za-z0-9]{0,7})*)$`)

// number returns the number by which a rotation shifted a name. A name without
// one is the newest; it has the number -1.
func number(name string) int {
	m := shifted.FindStringSubmatch(name)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[2])
	return n
}

// predecessor is a folder that was renamed to make room: the name of the one that
// took its place, a word or a mark, and a number.
var predecessor = regexp.MustCompile(`(?i)^(.*?)([-_. ]*(?:backup|bak|old|copy)[-_. (]*|[-_. (]+)(\d{1,4})\)?$`)

// renamed splits the name of a renamed folder. Sure says that a word stands in it
// which says that it was.
func renamed(name string) (base string, sure, ok bool) {
	m := predecessor.FindStringSubmatch(name)
	if m == nil || m[1] == "" {
		return "", false, false
	}
	return strings.ToLower(m[1]), strings.Trim(m[2], "-_. (") != "", true
}
