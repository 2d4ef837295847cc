package retention

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Terms are what a practice agreed to: the part of the calendar and the policy that
// decides for years. Closed and extra days are not in them. They are entered every
// year, and move an end by days.
type Terms struct {
	Region         string         `json:"region"`
	Zone           string         `json:"zone"`
	CutOff         time.Duration  `json:"cut_off_ns"`
	Open           []time.Weekday `json:"open"`
	BusinessDays   int            `json:"business_days"`
	Months         int            `json:"month_ends"`
	Quarters       int            `json:"quarter_ends"`
	FiscalYears    int            `json:"fiscal_year_ends"`
	FiscalEnd      MonthDay       `json:"fiscal_year_end"`
	FiscalQuarters bool           `json:"fiscal_quarters"`
	Floor          time.Duration  `json:"floor_ns"`
	Weekly         time.Duration  `json:"weekly_floor_ns"`
}

// termsVersion is that of the written form.
const termsVersion = 1

// maxTerms bounds what ParseTerms reads; terms are some hundred bytes.
const maxTerms = 16 << 10

// TermsOf returns the terms in settings and a policy.
func TermsOf(s Settings, p Policy) Terms {
	return Terms{Region: s.Region, Zone: s.Zone, CutOff: s.CutOff, Open: openDays(s.Open),
		BusinessDays: p.BusinessDays, Months: p.Months, Quarters: p.Quarters, FiscalYears: p.FiscalYears,
		FiscalEnd: p.FiscalEnd, FiscalQuarters: p.FiscalQuarters, Floor: p.Floor, Weekly: p.Weekly}
}

func openDays(open []time.Weekday) []time.Weekday {
	if len(open) == 0 {
		open = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}
	}
	open = slices.Clone(open)
	slices.Sort(open)
	return slices.Compact(open)
}

// Apply puts the terms into settings and a policy; what is not in terms stays.
func (t Terms) Apply(s Settings, p Policy) (Settings, Policy) {
	s.Region, s.Zone, s.CutOff, s.Open = t.Region, t.Zone, t.CutOff, slices.Clone(t.Open)
	p.BusinessDays, p.Months, p.Quarters, p.FiscalYears = t.BusinessDays, t.Months, t.Quarters, t.FiscalYears
	p.FiscalEnd, p.FiscalQuarters, p.Floor, p.Weekly = t.FiscalEnd, t.FiscalQuarters, t.Floor, t.Weekly
	return s, p
}

// Differences says in plain words what changes from these terms to others.
func (t Terms) Differences(to Terms) []string {
	var out []string
	say := func(what string, from, to any) {
		if a, b := fmt.Sprint(from), fmt.Sprint(to); a != b {
			out = append(out, fmt.Sprintf("%s: %s instead of %s", what, b, a))
		}
	}
	weekdays := func(days []time.Weekday) string {
		var names []string
		for _, d := range days {
			names = append(names, d.String())
		}
		return strings.Join(names, ", ")
	}
	clock := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", d/time.Hour, d%time.Hour/time.Minute) }
	say("public holidays", t.Region, to.Region)
	say("time zone", t.Zone, to.Zone)
	say("cut-off", clock(t.CutOff), clock(to.CutOff))
	say("open on", weekdays(t.Open), weekdays(to.Open))
	say("business days kept", t.BusinessDays, to.BusinessDays)
	say("months kept", t.Months, to.Months)
	say("quarters kept", t.Quarters, to.Quarters)
	say("fiscal years kept", t.FiscalYears, to.FiscalYears)
	say("end of the fiscal year", t.FiscalEnd, to.FiscalEnd)
	say("quarters counted from the fiscal year", t.FiscalQuarters, to.FiscalQuarters)
	say("nothing is kept for less than", days(t.Floor), days(to.Floor))
	say("a week's last one is kept for", days(t.Weekly), days(to.Weekly))
	return out
}

// termsForm is the written form of Terms.
type termsForm struct {
	Version int `json:"version"`
	Terms
}

// Marshal writes the terms as JSON.
func (t Terms) Marshal() ([]byte, error) {
	b, err := json.MarshalIndent(termsForm{termsVersion, t}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write terms: %w", err)
	}
	return append(b, '\n'), nil
}

// ParseTerms reads what Marshal wrote, and refuses terms that make no calendar or no policy.
func ParseTerms(data []byte) (Terms, error) {
	if len(data) > maxTerms {
		return Terms{}, fmt.Errorf("read terms: %d bytes are too many", len(data))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var f termsForm
	if err := d.Decode(&f); err != nil {
		return Terms{}, fmt.Errorf("read terms: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Terms{}, errors.New("read terms: something follows them")
	}
	if f.Version != termsVersion {
		return Terms{}, fmt.Errorf("read terms: version %d is not one that this program reads (%d)", f.Version, termsVersion)
	}
	s, p := f.Terms.Apply(Settings{}, DefaultPolicy())
	_, err := NewCalendar(s)
	if err := errors.Join(err, p.check()); err != nil {
		return Terms{}, fmt.Errorf("read terms: %w", err)
	}
	return f.Terms, nil
}

// Change is a snapshot that other terms would keep for less or for more.
type Change struct {
	Kept              // as it is now
	Then    time.Time // until when the other terms want it, or its lease keeps it
	Because string    // the longest reason then
}

// Sooner says whether the snapshot would lapse before its present end.
func (c Change) Sooner() bool { return c.Then.Before(c.Until) }

// Changes compares plans of the same snapshots, newest first. A recorded lease holds in
// both, so what is leased never comes sooner.
func (p Plan) Changes(then Plan) []Change {
	other := make(map[string]Kept, len(then.kept))
	for _, k := range then.kept {
		other[k.ID] = k
	}
	var out []Change
	for _, k := range p.kept {
		if o, ok := other[k.ID]; ok && !o.Until.Equal(k.Until) && (o.Until.After(p.now) || k.Until.After(p.now)) {
			out = append(out, Change{k, o.Until, o.Reasons[0].Text})
		}
	}
	return out
}
