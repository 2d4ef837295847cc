package uploader_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/providertest"
	"offsite/uploader"
)

// fault is one way in which a write can go wrong.
type fault struct {
	name string
	rule providertest.Rule
	// passes: Store settles it by itself, and the run commits all the same.
	passes bool
}

var faults = []fault{
	{"not applied and reported so", providertest.Rule{Outcome: providertest.FailBefore}, true},
	{"applied and reported as failed", providertest.Rule{Outcome: providertest.FailAfter}, true},
	{"applied and its answer cut", providertest.Rule{Outcome: providertest.Cut}, true},
	{"not applied and no answer", providertest.Rule{Outcome: providertest.FailBefore, Kind: providers.ErrInDoubt}, true},
	{"refused once", providertest.Rule{Outcome: providertest.FailBefore, Kind: providers.ErrDenied}, false},
	{"applied and reported as refused", providertest.Rule{Outcome: providertest.FailAfter, Kind: providers.ErrDenied}, false},
	{"every answer lost from here on", providertest.Rule{Outcome: providertest.FailAfter, Kind: providers.ErrUnreachable, Times: -1}, false},
	{"disk full from here on", providertest.Rule{Outcome: providertest.FailBefore, Kind: providers.ErrFull, Times: -1}, false},
	{"credentials revoked from here on", providertest.Rule{Outcome: providertest.Deny}, false},
	{"store gone from here on", providertest.Rule{Outcome: providertest.Gone}, false},
}

// aSecondDay is a practice with one snapshot and changes since, at a day when a run
// writes all that a run ever writes: new packs of every class, an index segment, raised
// leases, lease records, the record, and the leases of the first snapshot, which has
// become the keeper of its month.
func aSecondDay(t *testing.T) (p *practicePC, now time.Time) {
	t.Helper()
	p = newPC(t, t.TempDir())
	p.write("letters/one.txt", "Dear colleague, thank you for the referral.\n")
	p.write("images/a.jpg", noise(1, 30<<10))
	p.write("data/patients.fs5", noise(3, 64<<10))
	p.change = func(c *uploader.Config) { c.Workers = 1 } // less memory to clear in each of many runs
	p.addMem("first")
	p.commit()
	p.edit("data/patients.fs5", 20<<10, "another page")
	p.write("images/b.jpg", noise(2, 30<<10))
	return p, p.now.AddDate(0, 2, 0)
}

// writesOf counts what a run of p writes, by verb.
func writesOf(t *testing.T, p *practicePC, now time.Time) map[string]int {
	t.Helper()
	f := p.fork(t, now)
	f.commit()
	n := make(map[string]int)
	for _, c := range f.boxes[0].writes(0) {
		n[c.Op]++
	}
	if n["put"] < 6 || n["raise"] < 4 {
		t.Fatalf("a run makes %v; it should write everything that a run can write", n)
	}
	return n
}

// TestEveryWriteMayFailInEveryWay: whatever one write of a run meets, the next run
// finishes, nothing committed is lost, and nothing that arrived is sent again.
func TestEveryWriteMayFailInEveryWay(t *testing.T) {
	p, now := aSecondDay(t)
	writes := writesOf(t, p, now)
	for i, f := range faults {
		for _, op := range []string{"put", "raise"} {
			for n := 1; n <= writes[op]; n++ {
				if (i+n)%thin != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s %d", f.name, op, n), func(t *testing.T) {
					p := p.fork(t, now)
					rule := f.rule
					rule.Op, rule.Nth = op, n
					p.boxes[0].faulty.Set(rule)
					res, err := p.run()
					p.afterFault(f, res, err)
					p.boxes[0].faulty.Set()
					p.finish()
				})
			}
		}
	}
}

// afterFault requires that a run says truly how it went.
func (p *practicePC) afterFault(f fault, res uploader.Result, err error) {
	p.t.Helper()
	records := len(p.boxes[0].keys("r/s/"))
	s := result(p.t, res, "first")
	switch {
	case f.passes && (err != nil || s.Err != nil || s.Ref.Key == ""):
		p.t.Errorf("a fault that passes stopped the run: %s", describe(res, err))
	case err == nil && s.Ref.Key == "":
		p.t.Errorf("the run committed nothing and reports success: %s", describe(res, err))
	case err == nil && s.Err == nil && f.rule.Outcome == providertest.Deny:
		p.t.Errorf("the store refused all, and nothing is reported: %s", describe(res, err))
	case s.Ref.Key != "" && records != 2:
		p.t.Errorf("%d records after a run that committed: %s", records, describe(res, err))
	case err != nil && !errors.Is(err, uploader.ErrStores):
		p.t.Errorf("error %v, want one of the store", err)
	}
	p.check()
}

// finish makes the next run, which must bring everything to its end.
func (p *practicePC) finish() {
	p.t.Helper()
	res, err := p.run()
	for _, s := range res.Stores {
		if s.Err != nil {
			p.t.Errorf("next run: store %s: %v", s.Name, s.Err)
		}
	}
	if err != nil && !errors.Is(err, uploader.ErrNothingNew) {
		p.t.Errorf("next run: %v", err)
	}
	for _, b := range p.boxes {
		if n := len(b.keys("r/s/")); n != 2 {
			p.t.Errorf("store %s: %d records after the next run, want 2", b.name, n)
		}
	}
	p.once()
}

// TestAStoreThatLiesIsFoundOut: it reports success for a write that never happened,
// which only reading back can show. The night after makes up for it.
func TestAStoreThatLiesIsFoundOut(t *testing.T) {
	for _, prefix := range []string{"r/p/", "r/s/"} {
		t.Run(prefix, func(t *testing.T) {
			p, box := newPractice(t)
			box.faulty.Set(providertest.Rule{Op: "put", Prefix: prefix, Times: -1, Outcome: providertest.Lie})
			res, err := p.run()
			if s := result(t, res, "first"); s.Err == nil {
				t.Errorf("nobody noticed: %s", describe(res, err))
			}
			for _, key := range box.keys("r/s/") {
				p.checker.Break("first", key)
			}
			box.faulty.Set()
			p.nextDay()
			p.commit()
		})
	}
}

// TestAStoreThatDamagesWhatItTakesIsFoundOut reads one bit of the record or of a pack back
// other than it was written.
func TestAStoreThatDamagesWhatItTakesIsFoundOut(t *testing.T) {
	for _, prefix := range []string{"r/p/", "r/s/"} {
		t.Run(prefix, func(t *testing.T) {
			p, box := newPractice(t)
			box.faulty.Set(providertest.Rule{Op: "get", Prefix: prefix, Times: -1, Outcome: providertest.Flip})
			res, err := p.run()
			if s := result(t, res, "first"); s.Err == nil || s.Ref.Key == "" {
				t.Errorf("nobody noticed: %s", describe(res, err))
			}
			box.faulty.Set()
			p.nothingNew()
		})
	}
}

// TestTheWholeRunRepeatsNothingWhenAnswersAreLost: every single write is applied, and
// every answer is lost.
func TestTheWholeRunRepeatsNothingWhenAnswersAreLost(t *testing.T) {
	p, now := aSecondDay(t)
	p.now = now
	p.boxes[0].faulty.Set(providertest.Rule{Op: "put", Times: -1, Outcome: providertest.FailAfter})
	p.commit()
	p.boxes[0].faulty.Set()
	p.finish()
}
