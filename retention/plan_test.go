package retention_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/retention"
)

// history builds the snapshots of a practice: each is made at 22:00 of its date.
type history struct {
	t    *testing.T
	cal  *retention.Calendar
	list []retention.Snapshot
}

func begin(t *testing.T, region, zone string) *history {
	t.Helper()
	t.Parallel()
	return &history{t: t, cal: calendar(t, region, zone)}
}

func (h *history) add(d string, verdict retention.Verdict) string {
	h.t.Helper()
	revision := 1
	for _, s := range h.list {
		if s.Date.String() == d {
			revision++
		}
	}
	id := fmt.Sprintf("%s#%d", d, revision)
	h.list = append(h.list, retention.Snapshot{
		ID: id, Date: date(h.t, d), Revision: revision, Verdict: verdict,
		Time: at(h.t, h.cal, d+" 22:00").Add(time.Duration(revision) * time.Minute),
	})
	return id
}

// clean adds a clean one for every open day from first to last.
func (h *history) clean(first, last string) {
	h.t.Helper()
	for d := date(h.t, first); !d.After(date(h.t, last)); d = d.AddDays(1) {
		if h.cal.Open(d) {
			h.add(d.String(), retention.Clean)
		}
	}
}

func (h *history) plan(now string) retention.Plan {
	h.t.Helper()
	p, err := retention.NewPlan(h.cal, retention.DefaultPolicy(), h.list, at(h.t, h.cal, now))
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// record takes a plan's decisions over as recorded leases.
func (h *history) record(p retention.Plan) {
	for i, s := range h.list {
		if k, ok := p.Of(s.ID); ok {
			h.list[i].Until = k.Until
		}
	}
}

func (h *history) expect(p retention.Plan, id string, class retention.Class, until, text string) {
	h.t.Helper()
	k, ok := p.Of(id)
	if !ok {
		h.t.Fatalf("plan does not know %s", id)
	}
	for _, r := range k.Reasons {
		if r.Class != class || !strings.Contains(r.Text, text) {
			continue
		}
		got := ""
		if !r.Until.IsZero() {
			got = r.Until.In(h.cal.Zone()).Format("2006-01-02 15:04")
		}
		if got == until {
			return
		}
	}
	h.t.Errorf("%s lacks the reason %s until %q with %q; it has %+v", id, class, until, text, k.Reasons)
}

func (h *history) none(p retention.Plan, id string, classes ...retention.Class) {
	h.t.Helper()
	k, _ := p.Of(id)
	for _, r := range k.Reasons {
		if slices.Contains(classes, r.Class) {
			h.t.Errorf("%s is kept for %q", id, r.Text)
		}
	}
}

func TestANewCleanSnapshot(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	id := h.add("2026-11-18", retention.Clean)
	p := h.plan("2026-11-18 22:10")
	h.expect(p, id, retention.Day, "2026-12-03 05:00", "one of the last 10 business days")
	h.expect(p, id, retention.Silence, "2027-01-19 05:00", "outlives 60 days of silence")
	h.expect(p, id, retention.Week, "", "last clean one of week 47 of 2026 so far")
	h.expect(p, id, retention.Floor, "2026-12-18 22:01", "less than 30 days")
	h.expect(p, id, retention.Month, "", "keeper of November 2026 so far, which ends on Mon 2026-11-30; the first period, begun on 2026-11-18")
	h.expect(p, id, retention.FiscalYear, "", "the fiscal year to 2026-12-31 so far")
	if r := p.Raises(); len(r) != 1 || r[0].ID != id || r[0].Class != retention.Silence {
		t.Errorf("raises %+v", r)
	}
	h.record(p)
	if r := h.plan("2026-11-19 22:00").Raises(); len(r) != 0 {
		t.Errorf("raises once more: %+v", r)
	}
}

func TestMonthEndsArePromoted(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-09-01", "2026-11-26")
	h.record(h.plan("2026-11-26 22:10"))
	friday := h.add("2026-11-27", retention.Clean)
	h.record(h.plan("2026-11-27 22:10"))

	// Monday 30th fails; the next run promotes Friday
	p := h.plan("2026-12-01 05:30")
	h.expect(p, friday, retention.Month, "2027-12-01 05:00", "keeper of November 2026, 1 business day early (last business day: Mon 2026-11-30)")
	if r := p.Raises(); len(r) != 1 || r[0].ID != friday || r[0].Class != retention.Month {
		t.Errorf("raises %+v", r)
	}
	if p := h.plan("2026-12-01 04:30"); len(p.Raises()) != 0 {
		t.Errorf("November ends at the cut-off, not at midnight: %+v", p.Raises())
	}
	h.expect(p, "2026-10-30#1", retention.Month, "2027-11-01 05:00", "keeper of October 2026")
	h.expect(p, "2026-09-30#1", retention.Quarter, "2028-10-01 05:00", "keeper of the quarter to 2026-09-30; the first period, begun on 2026-09-01")
	for _, m := range p.Missing() {
		if m.Class != retention.Day || m.Last != date(t, "2026-11-30") {
			t.Errorf("missing %+v", m)
		}
	}
}

func TestTheLastBusinessDayIsPromotedAtOnce(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2024-01-02", "2024-03-28") // 29th is Good Friday, 31st Easter Sunday
	policy := retention.DefaultPolicy()
	policy.FiscalEnd = retention.MonthDay{Month: time.March, Day: 31}
	p, err := retention.NewPlan(h.cal, policy, h.list, at(t, h.cal, "2024-03-28 23:00"))
	if err != nil {
		t.Fatal(err)
	}
	const id = "2024-03-28#1"
	h.expect(p, id, retention.Month, "2025-04-01 05:00", "keeper of March 2024")
	h.expect(p, id, retention.Quarter, "2026-04-01 05:00", "keeper of the quarter to 2024-03-31")
	h.expect(p, id, retention.FiscalYear, "2031-04-01 05:00", "keeper of the fiscal year to 2024-03-31")
	if k, _ := p.Of(id); k.Reasons[0].Class != retention.FiscalYear || !k.Until.Equal(at(t, h.cal, "2031-04-01 05:00")) {
		t.Errorf("kept until %v for %+v", k.Until, k.Reasons[0])
	}
}

func TestFiscalYearsThatEndInsideAMonth(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-03-02", "2026-04-30")
	policy := retention.DefaultPolicy()
	policy.FiscalEnd, policy.FiscalQuarters = retention.MonthDay{Month: time.April, Day: 5}, true
	p, err := retention.NewPlan(h.cal, policy, h.list, at(t, h.cal, "2026-05-01 12:00"))
	if err != nil {
		t.Fatal(err)
	}
	// 5 April 2026 is Easter Sunday, 3 April Good Friday
	h.expect(p, "2026-04-02#1", retention.FiscalYear, "2033-04-06 05:00", "the fiscal year to 2026-04-05")
	h.expect(p, "2026-04-02#1", retention.Quarter, "2028-04-06 05:00", "the quarter to 2026-04-05")
	h.none(p, "2026-04-02#1", retention.Month)
	h.expect(p, "2026-03-31#1", retention.Month, "2027-04-01 05:00", "March 2026")
	h.expect(p, "2026-04-30#1", retention.Quarter, "", "the quarter to 2026-07-05 so far")
}

func TestLeapDays(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2028-02-01", "2028-03-03")
	policy := retention.DefaultPolicy()
	policy.FiscalEnd = retention.MonthDay{Month: time.February, Day: 29}
	p, err := retention.NewPlan(h.cal, policy, h.list, at(t, h.cal, "2028-03-03 23:00"))
	if err != nil {
		t.Fatal(err)
	}
	h.expect(p, "2028-02-29#1", retention.Month, "2029-03-01 05:00", "February 2028")
	h.expect(p, "2028-02-29#1", retention.FiscalYear, "2035-03-01 05:00", "the fiscal year to 2028-02-29")
}

func TestAPeriodWithoutCleanSnapshotsGetsALateKeeper(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-08-03", "2026-09-30")
	h.add("2026-10-15", retention.Suspect)
	p := h.plan("2026-11-02 22:00")
	missing := func(p retention.Plan, class retention.Class) (out []string) {
		for _, m := range p.Missing() {
			if m.Class == class {
				out = append(out, fmt.Sprintf("%v: %s, late %q", m.Period, m.Why, m.Late))
			}
		}
		return out
	}
	if got := fmt.Sprint(missing(p, retention.Month)); got != `[October 2026: only suspect sets arrived, late ""]` {
		t.Errorf("missing %s", got)
	}
	late := h.add("2026-11-03", retention.Clean)
	h.clean("2026-11-04", "2026-11-10")
	p = h.plan("2026-11-10 22:00")
	h.expect(p, late, retention.Month, "2027-11-01 05:00", "late keeper of October 2026: only suspect sets arrived")
	h.none(p, "2026-11-04#1", retention.Month)
	if got := fmt.Sprint(missing(p, retention.Month)); got != `[October 2026: only suspect sets arrived, late "2026-11-03#1"]` {
		t.Errorf("missing %s", got)
	}
	if got := len(missing(p, retention.Day)); got != 5 { // 27 October to 2 November
		t.Errorf("%d missing days", got)
	}
	if !strings.Contains(p.Explain(), "no clean snapshot for October 2026: only suspect sets arrived; Tue 2026-11-03 stands in") {
		t.Errorf("explained as:\n%s", p.Explain())
	}
}

func TestNothingIsExpectedBeforeInstallation(t *testing.T) {
	h := begin(t, "NZ", "Pacific/Auckland")
	h.clean("2026-11-17", "2026-12-04")
	p := h.plan("2026-12-04 23:00")
	if len(p.Missing()) != 0 || p.Since() != date(t, "2026-11-17") {
		t.Errorf("missing %+v, since %v", p.Missing(), p.Since())
	}
	h.expect(p, "2026-11-30#1", retention.Month, "2027-12-01 05:00", "keeper of November 2026; the first period, begun on 2026-11-17")
}

func TestASuspectSnapshotIsNoKeeperAndKeepsWhatWasBefore(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-11-02", "2026-11-27")
	h.record(h.plan("2026-11-27 22:10"))
	bad := h.add("2026-11-30", retention.Suspect)
	p := h.plan("2026-11-30 22:30")
	h.none(p, bad, retention.Day, retention.Week, retention.Month, retention.Quarter, retention.FiscalYear, retention.Newest)
	h.expect(p, bad, retention.Floor, "2026-12-30 22:01", "")
	h.expect(p, "2026-11-27#1", retention.Suspicion, "2027-03-01 05:00", "before the suspect one of Mon 2026-11-30")
	h.expect(p, "2026-11-16#1", retention.Suspicion, "2027-03-01 05:00", "") // the tenth
	h.none(p, "2026-11-13#1", retention.Suspicion)
	if got := len(p.Raises()); got != 11 {
		t.Errorf("%d raises", got)
	}
	if a := p.Alarms(); len(a) != 1 || !strings.Contains(a[0], "Mon 2026-11-30 is suspect") {
		t.Errorf("alarms %q", a)
	}
	// Friday is promoted although the suspect one is later
	h.expect(h.plan("2026-12-01 06:00"), "2026-11-27#1", retention.Month, "2027-12-01 05:00", "1 business day early")

	h.record(p)
	h.add("2026-12-01", retention.Clean)
	if a := h.plan("2026-12-01 22:30").Alarms(); len(a) != 0 {
		t.Errorf("alarms after a clean one: %q", a)
	}
}

func TestOfTwoRevisionsTheLaterCleanOneCounts(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	lunch := h.add("2026-11-30", retention.Clean)
	night := h.add("2026-11-30", retention.Clean)
	bad := h.add("2026-11-30", retention.Suspect)
	p := h.plan("2026-12-01 12:00")
	h.none(p, lunch, retention.Day, retention.Month, retention.Week)
	h.none(p, bad, retention.Day, retention.Month, retention.Week)
	h.expect(p, night, retention.Month, "2027-12-01 05:00", "keeper of November 2026")
	h.expect(p, lunch, retention.Floor, "2026-12-30 22:01", "")
}

func TestAClosedFortnightEndsNoDay(t *testing.T) {
	t.Parallel()
	c, err := retention.NewCalendar(retention.Settings{
		Region: "GB", Zone: "Europe/London", CutOff: retention.DefaultCutOff,
		Closed: []retention.DateRange{{First: date(t, "2026-08-03"), Last: date(t, "2026-08-16")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &history{t: t, cal: c}
	h.clean("2026-07-13", "2026-07-31")
	p := h.plan("2026-08-17 07:00")
	// 3 open days after 28 July, none in the fortnight, 7 after it
	h.expect(p, "2026-07-28#1", retention.Day, "2026-08-26 05:00", "")
	for _, m := range p.Missing() {
		t.Errorf("missing %v %s", m.Period, m.Why)
	}
}

func TestThreeFailedWeeksKeepTheLastTenGoodDays(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-09-01", "2026-10-16")
	h.record(h.plan("2026-10-16 22:30"))
	for i := range h.list { // as if all but the newest had only their floor
		if d := h.list[i].Date; d.Before(date(t, "2026-10-16")) {
			h.list[i].Until = h.list[i].Time.Add(30 * 24 * time.Hour)
		}
	}
	p := h.plan("2026-11-06 22:30")
	for _, d := range []string{"2026-10-05", "2026-10-06", "2026-10-07", "2026-10-14"} {
		k, _ := p.Of(d + "#1")
		if left := k.Until.Sub(at(t, h.cal, "2026-11-06 22:30")); left < 7*24*time.Hour {
			t.Errorf("%s is kept for %v", d, left)
		}
	}
	h.none(p, "2026-10-05#1", retention.Newest) // it outlives silence anyway
	// seven weeks more without a clean one
	p = h.plan("2026-12-28 22:30")
	h.expect(p, "2026-10-05#1", retention.Newest, "2027-01-11 22:30", "among the newest 10 clean days")
	h.none(p, "2026-10-16#1", retention.Newest) // its week keeps it longer
	h.none(p, "2026-10-02#1", retention.Newest) // the eleventh
}

func TestTheNewestCleanOutlivesSilence(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	id := h.add("2026-11-18", retention.Clean)
	h.record(h.plan("2026-11-18 22:10"))
	if k, _ := h.plan("2026-11-18 22:10").Of(id); k.Until.Before(at(t, h.cal, "2026-11-20 05:00").AddDate(0, 0, 60)) {
		t.Errorf("kept until %v", k.Until)
	}
	// back after 100 days: too late to promise, but tried and said
	p := h.plan("2027-02-26 10:00")
	if r := p.Raises(); len(r) != 1 || r[0].ID != id {
		t.Errorf("raises %+v", r)
	}
	if a := fmt.Sprint(p.Alarms()); !strings.Contains(a, "ran out on 2027-01-19 05:00") {
		t.Errorf("alarms %s", a)
	}
}

func TestLeasesNeverShorten(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.add("2026-11-18", retention.Clean)
	far := at(t, h.cal, "2033-01-01 00:00")
	h.list[0].Until = far
	p := h.plan("2026-11-19 10:00")
	if k, _ := p.Of("2026-11-18#1"); !k.Until.Equal(far) || k.Reasons[0].Class != retention.Leased {
		t.Errorf("kept until %v, %+v", k.Until, k.Reasons[0])
	}
	if r := p.Raises(); len(r) != 0 {
		t.Errorf("raises %+v", r)
	}
}

func TestASnapshotFromTheFutureWinsNoPeriod(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-11-02", "2026-11-27")
	wrong := h.add("2036-11-27", retention.Clean)
	p := h.plan("2026-11-27 23:00")
	h.none(p, wrong, retention.Day, retention.Week, retention.Month, retention.Quarter, retention.FiscalYear)
	h.expect(p, wrong, retention.Floor, "2026-12-27 23:00", "")
	h.expect(p, "2026-11-27#1", retention.Week, "2027-02-26 05:00", "")
	if a := fmt.Sprint(p.Alarms()); !strings.Contains(a, "Thu 2036-11-27 is dated in the future") {
		t.Errorf("alarms %s", a)
	}
}

func TestADayUploadedLateIsTheKeeperOfItsPeriod(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.clean("2026-10-01", "2026-10-29")
	h.clean("2026-11-02", "2026-11-03")
	h.record(h.plan("2026-11-03 22:30"))
	friday := h.add("2026-10-30", retention.Clean)
	h.list[len(h.list)-1].Time = at(t, h.cal, "2026-11-03 23:00")
	p := h.plan("2026-11-03 23:01")
	h.expect(p, friday, retention.Month, "2027-11-01 05:00", "keeper of October 2026")
	h.expect(p, friday, retention.Floor, "2026-12-03 23:00", "")
	if k, _ := p.Of("2026-10-29#1"); !k.Until.Equal(at(t, h.cal, "2027-11-01 05:00")) {
		t.Errorf("the former keeper is kept until %v", k.Until)
	}
}

func TestPlanRefusesNonsense(t *testing.T) {
	t.Parallel()
	c := calendar(t, "GB", "Europe/London")
	now := at(t, c, "2026-11-27 23:00")
	ok := retention.Snapshot{ID: "a", Date: date(t, "2026-11-27"), Verdict: retention.Clean}
	policy := func(change func(*retention.Policy)) retention.Policy {
		p := retention.DefaultPolicy()
		change(&p)
		return p
	}
	for name, tt := range map[string]struct {
		policy retention.Policy
		list   []retention.Snapshot
		now    time.Time
	}{
		"same id twice":    {retention.DefaultPolicy(), []retention.Snapshot{ok, ok}, now},
		"no id":            {retention.DefaultPolicy(), []retention.Snapshot{{Date: ok.Date, Verdict: retention.Clean}}, now},
		"no date":          {retention.DefaultPolicy(), []retention.Snapshot{{ID: "a", Verdict: retention.Clean}}, now},
		"no verdict":       {retention.DefaultPolicy(), []retention.Snapshot{{ID: "a", Date: ok.Date}}, now},
		"incomplete":       {retention.DefaultPolicy(), []retention.Snapshot{{ID: "a", Date: ok.Date, Verdict: "incomplete"}}, now},
		"no time":          {retention.DefaultPolicy(), []retention.Snapshot{ok}, time.Time{}},
		"zero policy":      {retention.Policy{}, []retention.Snapshot{ok}, now},
		"fiscal 31 April":  {policy(func(p *retention.Policy) { p.FiscalEnd = retention.MonthDay{Month: 4, Day: 31} }), nil, now},
		"short floor":      {policy(func(p *retention.Policy) { p.Floor = time.Hour }), nil, now},
		"weekly too short": {policy(func(p *retention.Policy) { p.Weekly = 20 * 24 * time.Hour }), nil, now},
		"ages":             {policy(func(p *retention.Policy) { p.FiscalYears = 700 }), nil, now},
		"slack backwards":  {policy(func(p *retention.Policy) { p.SlackMax = 0 }), nil, now},
	} {
		if _, err := retention.NewPlan(c, tt.policy, tt.list, tt.now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if p, err := retention.NewPlan(c, retention.DefaultPolicy(), nil, now); err != nil || len(p.Kept()) != 0 || p.Explain() != "no snapshots yet\n" {
		t.Errorf("no snapshots: %v, %q", err, p.Explain())
	}
}

func TestExplain(t *testing.T) {
	h := begin(t, "GB", "Europe/London")
	h.add("2026-10-30", retention.Clean)
	h.add("2026-11-17", retention.Clean)
	h.record(h.plan("2026-11-17 22:10"))
	h.add("2026-11-18", retention.Suspect)
	want := `! snapshot of Wed 2026-11-18 is suspect, and no clean one has followed
Wed 2026-11-18#1  suspect  kept until 2026-12-18 22:01
    2026-12-18  no snapshot is kept for less than 30 days
Tue 2026-11-17#1  clean    kept until 2027-02-17 05:00
    2027-02-17  among the last clean ones before the suspect one of Wed 2026-11-18
    2027-01-18  outlives 60 days of silence
    2026-12-17  no snapshot is kept for less than 30 days
    2026-12-02  one of the last 10 business days
                last clean one of week 47 of 2026 so far
                keeper of November 2026 so far, which ends on Mon 2026-11-30
                keeper of the quarter to 2026-12-31 so far, which ends on Thu 2026-12-31; the first period, begun on 2026-10-30
                keeper of the fiscal year to 2026-12-31 so far, which ends on Thu 2026-12-31; the first period, begun on 2026-10-30
Fri 2026-10-30#1  clean    kept until 2027-11-01 05:00
    2027-11-01  keeper of October 2026; the first period, begun on 2026-10-30
    2027-02-17  among the last clean ones before the suspect one of Wed 2026-11-18
    2027-01-29  last clean one of week 44 of 2026
    2027-01-02  outlives 60 days of silence
    2026-11-29  no snapshot is kept for less than 30 days
    2026-11-14  one of the last 10 business days
week 47 of 2026 is open until Sun 2026-11-22, with 3 business days to come: Tue 2026-11-17 so far
November 2026 is open until Mon 2026-11-30, with 9 business days to come: Tue 2026-11-17 so far
the quarter to 2026-12-31 is open until Thu 2026-12-31, with 30 business days to come: Tue 2026-11-17 so far
the fiscal year to 2026-12-31 is open until Thu 2026-12-31, with 30 business days to come: Tue 2026-11-17 so far
no clean snapshot for Mon 2026-11-16: no set arrived
`
	got := h.plan("2026-11-18 22:30").Explain()
	if got, _, _ := strings.Cut(got, "no clean snapshot for Fri 2026-11-13"); got != want {
		t.Errorf("explained as:\n%s\nwant\n%s", got, want)
	}
	if !strings.HasSuffix(got, "nothing is expected before Fri 2026-10-30\n") {
		t.Errorf("explained as:\n%s", got)
	}
}
