package retention_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"offsite/retention"
)

func terms() retention.Terms {
	return retention.TermsOf(retention.Settings{Region: "GB", Zone: "Europe/London", CutOff: retention.DefaultCutOff}, retention.DefaultPolicy())
}

func TestTermsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	want := terms()
	text, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := retention.ParseTerms(text)
	if err != nil || !reflect.DeepEqual(got, want) || len(want.Differences(got)) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	// what version 1 wrote stays readable
	file, err := os.ReadFile("testdata/terms.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, text) {
		t.Errorf("version 1 wrote\n%s\nnow\n%s", file, text)
	}
	s, p := got.Apply(retention.Settings{Closed: []retention.DateRange{{First: date(t, "2026-12-24"), Last: date(t, "2026-12-24")}}}, retention.DefaultPolicy())
	if s.Region != "GB" || len(s.Closed) != 1 || p.Night != retention.DefaultPolicy().Night {
		t.Errorf("%+v %+v", s, p)
	}
}

func TestTermsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	text, _ := terms().Marshal()
	for name, change := range map[string][2]string{
		"version": {`"version": 1`, `"version": 2`}, "unknown": {`"region"`, `"religion"`}, "region": {`"GB"`, `"XX"`}, "zone": {"Europe/London", "Europe/Nowhere"},
		"months": {`"month_ends": 12`, `"month_ends": -1`}, "more": {"\n}\n", "\n}\n{}"}, "long": {"{", "{" + strings.Repeat(" ", 20<<10)}, "cut": {"\n}\n", ""},
	} {
		bad := strings.Replace(string(text), change[0], change[1], 1)
		if bad == string(text) {
			t.Fatalf("%s changes nothing in %s", name, text)
		}
		if _, err := retention.ParseTerms([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseTerms(f *testing.F) {
	text, _ := terms().Marshal()
	f.Add(text)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := retention.ParseTerms(data)
		if err != nil {
			return
		}
		again, err := got.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := retention.ParseTerms(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

func TestDifferencesAreSaidInWords(t *testing.T) {
	t.Parallel()
	a, b := terms(), terms()
	b.Region, b.Open, b.Months, b.FiscalEnd, b.Floor = "NZ", []time.Weekday{time.Monday, time.Saturday}, 6, retention.MonthDay{Month: 3, Day: 31}, 40*24*time.Hour
	want := `public holidays: NZ instead of GB
open on: Monday, Saturday instead of Monday, Tuesday, Wednesday, Thursday, Friday
months kept: 6 instead of 12
end of the fiscal year: 03-31 instead of 12-31
nothing is kept for less than: 40 days instead of 30 days`
	if got := strings.Join(a.Differences(b), "\n"); got != want {
		t.Errorf("said:\n%s", got)
	}
	v := reflect.ValueOf(b)
	for i := range v.NumField() { // a field that nobody compares would change in silence
		one := terms()
		f := reflect.ValueOf(&one).Elem().Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Bool:
			f.SetBool(!f.Bool())
		case reflect.Int, reflect.Int64:
			f.SetInt(f.Int() + int64(24*time.Hour))
		case reflect.Slice:
			f.Set(reflect.Zero(f.Type()))
		case reflect.Struct:
			f.Set(reflect.ValueOf(retention.MonthDay{Month: 1, Day: 2}))
		}
		if d := a.Differences(one); len(d) != 1 {
			t.Errorf("%s: %q", v.Type().Field(i).Name, d)
		}
	}
}

// TestOtherTermsShortenNoLease: fewer months are wanted, and another end of the year.
func TestOtherTermsShortenNoLease(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-07-01", "2026-10-29")
	h.record(h.plan("2026-10-29 22:30"))
	h.add("2026-10-30", retention.Clean) // the month's end is not leased yet
	now := h.plan("2026-10-30 22:30")
	less := retention.DefaultPolicy()
	less.Months, less.FiscalEnd = 1, retention.MonthDay{Month: time.September, Day: 30}
	then, err := retention.NewPlan(h.cal, less, h.list, at(t, h.cal, "2026-10-30 22:30"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range now.Changes(then) {
		got = append(got, fmt.Sprintf("%s %v %v %s", c.ID, c.Sooner(), now.Day(c.Then), c.Because))
		if c.Then.Before(c.Snapshot.Until) {
			t.Errorf("%s: the lease would end sooner", c.ID)
		}
	}
	want := []string{
		"2026-10-30#1 true 2027-01-29 last clean one of week 44 of 2026", // instead of a year; what was leased for a month stays
		"2026-09-30#1 false 2033-10-01 keeper of the fiscal year to 2026-09-30; the first period, begun on 2026-07-01",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("changes:\n%s", strings.Join(got, "\n"))
	}
}

func TestThePictureShowsAYear(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-01-12", "2026-11-18")
	h.add("2026-11-19", retention.Suspect)
	held := &h.list[indexOf(h.list, "2026-09-16")]
	held.Hold = "since <today> & for long"
	h.record(h.plan("2026-11-18 22:30"))
	h.clean("2026-11-23", "2026-11-24")
	p := h.plan("2026-11-24 22:30")
	var b bytes.Buffer
	if err := p.Picture(&b, h.cal, date(t, "2026-11-24")); err != nil {
		t.Fatal(err)
	}
	titles := map[string]string{}
	title := ""
	d := xml.NewDecoder(&b)
	all := b.String()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("no XML: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			title = e.Name.Local
		case xml.CharData:
			if day, why, ok := strings.Cut(string(e), ": "); ok && title == "title" {
				titles[day] = why
			}
			title = ""
		}
	}
	if len(titles) != 365 {
		t.Errorf("%d days", len(titles))
	}
	for day, want := range map[string]string{
		"Wed 2025-12-31": "before the first one", "Mon 2026-05-25": "Spring bank holiday", "Sat 2026-11-14": "closed on Saturdays",
		"Fri 2026-11-20": "no set arrived", "Thu 2026-11-26": "to come", "Thu 2026-11-19": "suspect, kept until", "Fri 2026-10-30": "keeper of October 2026",
		"Tue 2026-03-03": "clean, lapsed on", "Wed 2026-09-16": "held, and kept until released: since <today> & for long",
	} {
		if !strings.Contains(titles[day], want) {
			t.Errorf("%s: %q, want %q", day, titles[day], want)
		}
	}
	for _, letter := range []string{">M<", ">Q<", ">W<", ">H<", ">!<", ">×<", ">-<"} {
		if !strings.Contains(all, letter) {
			t.Errorf("no %s in the picture", letter)
		}
	}
	if strings.Contains(all, "<today>") {
		t.Error("a reason was not escaped")
	}
}

func indexOf(list []retention.Snapshot, day string) int {
	for i, s := range list {
		if s.Date.String() == day {
			return i
		}
	}
	return -1
}
