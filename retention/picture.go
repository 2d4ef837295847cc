package retention

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Sizes of the picture, in its own units: a cell is a day, a line is a month.
const (
	cellSize   = 22
	cellGap    = 2
	pictureTop = 70
	nameWidth  = 110
	legendLine = 24
	// pictureMonths are shown, the last of them being the one that today lies in.
	pictureMonths = 12
)

// look is how a day is shown. Colours come with a letter or a pattern, so that they
// need not be told apart.
type look struct {
	fill, letter, words string
}

// Picture writes a year as an SVG image: a line for each of the last twelve months, a
// cell for each day, with the whole reason as its title.
func (p Plan) Picture(w io.Writer, cal *Calendar, today Date) error {
	var b bytes.Buffer
	width := nameWidth + 31*(cellSize+cellGap) + 20
	height := pictureTop + pictureMonths*(cellSize+cellGap) + 20 + (len(looks())+1)/2*legendLine + 20
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>What is kept, as of %s</title>\n", today)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="20" y="28" font-size="16">What is kept, as of %s</text>`+"\n", today.long())
	for d := 1; d <= 31; d++ {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle" fill="#666666">%d</text>`+"\n", nameWidth+(d-1)*(cellSize+cellGap)+cellSize/2, pictureTop-8, d)
	}
	days := p.byDay()
	for i := range pictureMonths {
		first := MonthDay{Day: 1}.in(today.Year, today.Month-pictureMonths+1+time.Month(i))
		y := pictureTop + i*(cellSize+cellGap)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%v %d</text>`+"\n", nameWidth-10, y+cellSize-6, first.Month.String()[:3], first.Year)
		for d := first; d.Month == first.Month; d = d.AddDays(1) {
			p.cell(&b, nameWidth+(d.Day-1)*(cellSize+cellGap), y, d, p.look(cal, days[d], d, today))
		}
	}
	legend(&b, pictureTop+pictureMonths*(cellSize+cellGap)+20)
	b.WriteString("</svg>\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	return nil
}

// byDay returns the snapshots of each date, newest revision first.
func (p Plan) byDay() map[Date][]Kept {
	days := map[Date][]Kept{}
	for _, k := range p.kept {
		days[k.Date] = append(days[k.Date], k)
	}
	return days
}

func (p Plan) cell(b *bytes.Buffer, x, y int, d Date, l look) {
	fmt.Fprintf(b, `<g><title>%s: %s</title><rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="%s" stroke="#999999" stroke-width="0.5"/>`,
		d.long(), escape(l.words), x, y, cellSize, cellSize, l.fill)
	if l.letter != "" {
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle" fill="#000000">%s</text>`, x+cellSize/2, y+cellSize-6, escape(l.letter))
	}
	b.WriteString("</g>\n")
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a builder refuses nothing
	return b.String()
}

// looks are those of the legend, the most telling first.
func looks() []look {
	return []look{
		{"#2f7ed8", "Y", "keeper of a fiscal year"}, {"#5b9be6", "Q", "keeper of a quarter"},
		{"#8bbcf0", "M", "keeper of a month"}, {"#c9a9e8", "H", "held"},
		{"#bfe3bf", "W", "last clean one of its week"}, {"#d9f2d9", "", "kept"},
		{"#f6c26b", "!", "suspect"}, {"#ffffff", "-", "lapsed"},
		{"#e05a5a", "×", "open, and nothing stored"}, {"#e4e4e4", "", "closed"},
	}
}

func legend(b *bytes.Buffer, y int) {
	all := looks()
	for i, l := range all {
		x := 20 + (i%2)*340
		at := y + i/2*legendLine
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="%s" stroke="#999999" stroke-width="0.5"/>`, x, at, cellSize-4, cellSize-4, l.fill)
		if l.letter != "" {
			fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`, x+(cellSize-4)/2, at+cellSize-9, l.letter)
		}
		fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", x+cellSize+4, at+cellSize-9, l.words)
	}
}

// look says how a day is shown. What is kept longest gives it its letter.
func (p Plan) look(cal *Calendar, kept []Kept, d, today Date) look {
	all := looks()
	words := p.words(kept)
	is := func(i int) look { return look{all[i].fill, all[i].letter, words} }
	best := -1
	for _, k := range kept {
		switch {
		case k.Until.Before(p.now):
		case k.Verdict == Suspect:
			best = rank(best, 6)
		default:
			best = rank(best, 5)
			for _, r := range k.Reasons {
				if i, ok := map[Class]int{FiscalYear: 0, Quarter: 1, Month: 2, Hold: 3, Week: 4}[r.Class]; ok && p.counts(r) {
					best = rank(best, i)
				}
			}
		}
	}
	switch why := cal.Closed(d); {
	case best >= 0:
		return is(best)
	case len(kept) > 0:
		return is(7)
	case why != "":
		return look{all[9].fill, "", why}
	case d.After(today):
		return look{"#ffffff", "", "to come"}
	case d.Before(p.since) || len(p.kept) == 0:
		return look{"#ffffff", "", "before the first one"}
	case d == today:
		return look{"#ffffff", "", "nothing stored yet"}
	}
	return look{all[8].fill, all[8].letter, "no set arrived"}
}

// counts says whether a reason keeps its snapshot now.
func (p Plan) counts(r Reason) bool { return r.Until.After(p.now) || r.Class == Hold }

// rank returns the more telling of two looks.
func rank(a, b int) int {
	if a < 0 {
		return b
	}
	return min(a, b)
}

// words are the reasons of a day's snapshots, for its title.
func (p Plan) words(kept []Kept) string {
	var lines []string
	for _, k := range kept {
		end := "kept until"
		if k.Until.Before(p.now) {
			end = "lapsed on"
		}
		line := fmt.Sprintf("%s, %s %s", k.Verdict, end, stamp(k.Until, p.zone))
		for _, r := range k.Reasons {
			if p.counts(r) || r.Until.IsZero() {
				line += "; " + r.Text
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
