package evidence

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Pattern is one kind of line. Its text is the line itself with these in place of
// what differs from day to day:
//
//	{date} {time}  when it was written; both must be there
//	{computer}     who wrote the backup
//	{location}     where it was written to
//	{number}       any number
//	{any}          any text, also none
//
// Blanks stand for any blanks, and letters match whatever their case. A line
// matches as a whole or not at all.
type Pattern struct {
	text string
	exp  *regexp.Regexp
}

// fields are what the words in braces stand for.
var fields = map[string]string{
	"date": `(?P<date>` + dateText + `)`, "time": `(?P<time>` + timeText + `)`, "computer": `(?P<computer>[^\s"']+)`,
	"location": `(?P<location>.+?)`, "number": `[-+]?\d[\d.,' ]*`, "any": `.*?`,
}

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	if len(text) > MaxLine {
		return Pattern{}, fmt.Errorf("parse pattern: longer than %d bytes", MaxLine)
	}
	var b strings.Builder
	b.WriteString(`(?i)^\s*`)
	seen := map[string]int{}
	for rest := strings.TrimSpace(text); rest != ""; {
		if rest[0] == '{' {
			name, after, ok := strings.Cut(rest[1:], "}")
			exp, known := fields[name]
			if !ok || !known {
				return Pattern{}, fmt.Errorf("parse pattern: %.20q is none of {date}, {time}, {computer}, {location}, {number}, {any}", rest)
			}
			if seen[name]++; seen[name] > 1 && name != "number" && name != "any" {
				return Pattern{}, fmt.Errorf("parse pattern: {%s} stands twice", name)
			}
			b.WriteString(exp)
			rest = after
			continue
		}
		end := strings.IndexAny(rest[1:], "{ \t")
		word := rest
		if end >= 0 {
			word = rest[:end+1]
		}
		if blank := strings.TrimLeft(rest, " \t"); len(blank) < len(rest) {
			b.WriteString(`\s+`)
			rest = blank
			continue
		}
		b.WriteString(regexp.QuoteMeta(word))
		rest = rest[len(word):]
	}
	b.WriteString(`\s*$`)
	if seen["date"] == 0 || seen["time"] == 0 {
		return Pattern{}, errors.New("parse pattern: without {date} and {time} it cannot tell one night from another")
	}
	exp, err := regexp.Compile(b.String())
	if err != nil {
		return Pattern{}, fmt.Errorf("parse pattern: %w", err)
	}
	return Pattern{strings.TrimSpace(text), exp}, nil
}

// String returns the text.
func (p Pattern) String() string { return p.text }

// match says whether the line is of this kind and about this computer and place,
// and when it was written.
func (p Pattern) match(line string, s Spec, zone *time.Location) (time.Time, bool) {
	m := p.exp.FindStringSubmatch(line)
	if m == nil {
		return time.Time{}, false
	}
	get := func(name string) string {
		if i := p.exp.SubexpIndex(name); i >= 0 {
			return m[i]
		}
		return ""
	}
	if c := get("computer"); s.Computer != "" && c != "" && !sameComputer(c, s.Computer) {
		return time.Time{}, false
	}
	if l := get("location"); s.Location != "" && l != "" && !samePlace(l, s.Location) {
		return time.Time{}, false
	}
	return parseWhen(get("date"), get("time"), s.Order, zone)
}

// sameComputer compares names of computers: with or without \\ before and a domain
// behind them.
func sameComputer(a, b string) bool {
	bare := func(s string) string {
		s = strings.TrimLeft(strings.Trim(s, `"'[](),;`), `\`)
		s, _, _ = strings.Cut(s, ".")
		return s
	}
	return strings.EqualFold(bare(a), bare(b))
}

// samePlace compares paths. The backup program may name the folder that holds the
// backup, or the backup in it.
func samePlace(a, b string) bool {
	clean := func(s string) string {
		s = strings.ToLower(strings.ReplaceAll(strings.Trim(s, `"'[](),; `), `\`, "/"))
		return strings.TrimRight(s, "/")
	}
	a, b = clean(a), clean(b)
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// Samples are lines of a log that a person knows the meaning of.
type Samples struct {
	Good, Bad []string
	Computer  string   // a name that stands in them
	Location  string   // a path that stands in them
	Varying   []string // other text that differs from line to line, such as who was logged in
	Order     Order    // empty: to be found out
}

// ErrOrder: the samples do not tell whether the day or the month comes first.
var ErrOrder = errors.New("the dates can be read both ways")

// Learn makes patterns of samples. It proves that each matches its own line, and
// that no good line is taken for a bad one or the other way round.
func Learn(s Samples) (Spec, error) {
	if len(s.Good) == 0 || len(s.Bad) == 0 {
		return Spec{}, errors.New("learn log: at least one good line and one bad line are needed: a failure that is not known passes for silence")
	}
	spec := Spec{Kind: Lines, Order: s.Order, Computer: s.Computer, Location: s.Location}
	for _, k := range []struct {
		lines []string
		into  *[]Pattern
	}{{s.Good, &spec.Good}, {s.Bad, &spec.Bad}} {
		for _, line := range k.lines {
			p, err := s.pattern(line)
			if err != nil {
				return Spec{}, fmt.Errorf("learn log: %.80q: %w", line, err)
			}
			if !slices.ContainsFunc(*k.into, func(q Pattern) bool { return q.text == p.text }) {
				*k.into = append(*k.into, p)
			}
			if spec.Order, err = orderOf(p, line, spec.Order); err != nil {
				return Spec{}, fmt.Errorf("learn log: %.80q: %w", line, err)
			}
		}
	}
	if spec.Order == "" {
		return Spec{}, fmt.Errorf("learn log: %w: say whether they are dmy or mdy, or give a sample from after the 12th", ErrOrder)
	}
	return spec, spec.prove(s)
}

// prove matches every sample against every pattern.
func (s Spec) prove(from Samples) error {
	for _, k := range []struct {
		lines      []string
		own, else_ []Pattern
	}{{from.Good, s.Good, s.Bad}, {from.Bad, s.Bad, s.Good}} {
		for _, line := range k.lines {
			fits := func(p Pattern) bool { _, ok := p.match(line, s, time.UTC); return ok }
			if !slices.ContainsFunc(k.own, fits) {
				return fmt.Errorf("learn log: %.80q: its date or time cannot be read", line)
			}
			if slices.ContainsFunc(k.else_, fits) {
				return fmt.Errorf("learn log: %.80q matches both a good and a bad sample: give samples that differ in more than the text that varies", line)
			}
		}
	}
	return nil
}

// pattern puts words in braces into a line.
func (s Samples) pattern(line string) (Pattern, error) {
	line = strings.TrimSpace(line)
	if strings.ContainsAny(line, "{}") {
		return Pattern{}, errors.New("it holds braces")
	}
	type hole struct {
		from, to int
		name     string
	}
	var holes []hole
	free := func(a, b int) bool {
		return !slices.ContainsFunc(holes, func(h hole) bool { return a < h.to && h.from < b })
	}
	add := func(a, b int, name string) {
		if a >= 0 && free(a, b) {
			holes = append(holes, hole{a, b, name})
		}
	}
	word := func(text, name string) {
		if text == "" {
			return
		}
		if i := strings.Index(strings.ToLower(line), strings.ToLower(text)); i >= 0 {
			add(i, i+len(text), name)
		}
	}
	word(s.Location, "location")
	word(s.Computer, "computer")
	for _, v := range s.Varying {
		word(v, "any")
	}
	for _, k := range []struct{ exp, name string }{{dateText, "date"}, {timeText, "time"}} {
		for _, at := range regexp.MustCompile(k.exp).FindAllStringIndex(line, -1) {
			if free(at[0], at[1]) {
				add(at[0], at[1], k.name)
				break
			}
		}
	}
	for _, at := range regexp.MustCompile(`\d[\d.,]*\d|\d`).FindAllStringIndex(line, -1) {
		if free(at[0], at[1]) {
			add(at[0], at[1], "number")
		}
	}
	slices.SortFunc(holes, func(a, b hole) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for _, h := range holes {
		b.WriteString(line[at:h.from] + "{" + h.name + "}")
		at = h.to
	}
	b.WriteString(line[at:])
	return ParsePattern(b.String())
}

// orderOf finds out in which order a date is written, if one can tell.
func orderOf(p Pattern, line string, known Order) (Order, error) {
	m := p.exp.FindStringSubmatch(line)
	if m == nil || known != "" {
		return known, nil
	}
	text := m[p.exp.SubexpIndex("date")]
	parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("./- ,", r) })
	if len(parts) != 3 {
		return "", errors.New("its date cannot be read")
	}
	a, b := number(parts[0]), number(parts[1])
	switch {
	case len(parts[0]) == 4:
		return YMD, nil
	case a < 0 || b < 0: // a month in letters says by itself what is what
		return DMY, nil
	case a > 12:
		return DMY, nil
	case b > 12:
		return MDY, nil
	}
	return "", nil
}
