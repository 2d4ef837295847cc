package retention

import (
	"slices"
	"strings"
	"time"
)

// Public holidays are known from firstYear to lastYear; beyond, only the opening
// days and the practice's own settings count. Rules this far ahead are a forecast,
// and an error is cheap: a wrong holiday moves a label or an end by a day.
const (
	firstYear = 2020
	lastYear  = 2100
)

// move says what happens to a holiday that falls on a weekend.
type move uint8

const (
	stay         move = iota // nothing: the free day is lost
	onward                   // it is made up for on the next weekday that is no holiday itself
	sunday                   // the same, but only from a Sunday
	monday                   // it is also on the next Monday, even if that is a holiday itself
	sundayMonday             // the same, but only from a Sunday
	nearest                  // a Saturday's is on the Friday before, a Sunday's on the Monday after
)

// year collects the holidays of one year.
type year struct {
	year  int
	days  map[Date]string
	moved []moving
}

type moving struct {
	day  Date
	name string
	move move
}

func (y *year) on(d Date, name string) {
	if _, ok := y.days[d]; !ok {
		y.days[d] = name
	}
}

func (y *year) fixed(m time.Month, day int, name string, how move) {
	d := Date{y.year, m, day}
	y.on(d, name)
	if how != stay {
		y.moved = append(y.moved, moving{d, name, how})
	}
}

// nth is the n-th such weekday of a month; a negative n counts from its end.
func (y *year) nth(n int, w time.Weekday, m time.Month, name string) { y.on(y.find(n, w, m), name) }

func (y *year) find(n int, w time.Weekday, m time.Month) Date {
	if n < 0 {
		last := MonthDay{m, 31}.in(y.year, m)
		return last.AddDays(-(int(last.Weekday()-w)+7)%7 + (n+1)*7)
	}
	return y.from(Date{y.year, m, 1}, w).AddDays((n - 1) * 7)
}

// from returns the first such weekday on or after d.
func (y *year) from(d Date, w time.Weekday) Date { return d.AddDays((int(w-d.Weekday()) + 7) % 7) }

// nearMonday returns the Monday nearest to a day.
func (y *year) nearMonday(m time.Month, day int) Date {
	return y.from(Date{y.year, m, day}.AddDays(-3), time.Monday)
}

// easter is a day counted from Easter Sunday.
func (y *year) easter(offset int, name string) { y.on(easterSunday(y.year).AddDays(offset), name) }

// once is a holiday of one year alone.
func (y *year) once(year int, m time.Month, day int, name string) {
	if y.year == year {
		y.on(Date{year, m, day}, name)
	}
}

// settle makes up for holidays on weekends, in the order of their dates.
func (y *year) settle() {
	slices.SortStableFunc(y.moved, func(a, b moving) int { return a.day.Compare(b.day) })
	for _, m := range y.moved {
		w := m.day.Weekday()
		if w != time.Saturday && w != time.Sunday || w == time.Saturday && (m.move == sunday || m.move == sundayMonday) {
			continue
		}
		d := m.day
		switch m.move {
		case nearest:
			y.on(d.AddDays(map[time.Weekday]int{time.Saturday: -1, time.Sunday: 1}[w]), m.name+" (observed)")
			continue
		case monday, sundayMonday:
			y.on(y.from(d, time.Monday), m.name+" (substitute)")
			continue
		}
		for y.days[d] != "" || d.Weekday() == time.Saturday || d.Weekday() == time.Sunday {
			d = d.AddDays(1)
		}
		y.on(d, m.name+" (substitute)")
	}
}

// easterSunday is the Gregorian computus in the form of Meeus, Jones and Butcher.
func easterSunday(year int) Date {
	a, b, c := year%19, year/100, year%100
	h := (19*a + b - b/4 - (b-(b+8)/25+1)/3 + 15) % 30
	l := (32 + 2*(b%4) + 2*(c/4) - h - c%4) % 7
	n := h + l - 7*((a+11*h+22*l)/451) + 114
	return Date{year, time.Month(n / 31), n%31 + 1}
}

// holidays returns every holiday of a region, false for a region unknown here.
func holidays(region string) (map[Date]string, bool) {
	days := map[Date]string{}
	for n := firstYear; n <= lastYear; n++ {
		y := &year{year: n, days: map[Date]string{}}
		if !y.region(region) {
			return nil, false
		}
		y.settle()
		for d, name := range y.days {
			if days[d] == "" {
				days[d] = name
			}
		}
	}
	return days, true
}

// Regions lists the regions whose holidays are known, in the order of their names.
func Regions() []string {
	return []string{
		"AU", "AU-ACT", "AU-NSW", "AU-NT", "AU-QLD", "AU-SA", "AU-TAS", "AU-VIC", "AU-WA",
		"CA", "CA-AB", "CA-BC", "CA-MB", "CA-NB", "CA-NL", "CA-NS", "CA-NT", "CA-NU", "CA-ON", "CA-PE", "CA-QC", "CA-SK", "CA-YT",
		"GB", "GB-ENG", "GB-NIR", "GB-SCT", "GB-WLS",
		"IE", "NL",
		"NZ", "NZ-AUK", "NZ-CAN", "NZ-CIT", "NZ-HKB", "NZ-MBH", "NZ-NSN", "NZ-NTL", "NZ-OTA", "NZ-STC", "NZ-STL", "NZ-TKI", "NZ-WGN", "NZ-WTL",
		"US", "none",
	}
}

// region adds a region's holidays, false for one that Regions does not list.
func (y *year) region(region string) bool {
	if !slices.Contains(Regions(), region) {
		return false
	}
	country, part, _ := strings.Cut(region, "-")
	switch country {
	case "GB":
		y.unitedKingdom(part)
	case "IE":
		y.ireland()
	case "NZ":
		y.newZealand(part)
	case "AU":
		y.australia(part)
	case "US":
		y.unitedStates()
	case "CA":
		y.canada(part)
	case "NL":
		y.netherlands()
	}
	return true
}
