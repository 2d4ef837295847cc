package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math/bits"
	"math/rand/v2"
	"slices"
	"text/tabwriter"
	"time"

	"offsite/retention"
)

// The practice whose storage cost is played through: its packs at the start, and how
// many years of nights follow.
const (
	costPacks = 10_000
	costYears = 3
	// writtenOnce is the share of the start that is images and letters.
	writtenOnce = 0.6
	// grown is how many of a night's packs replace nothing: a tenth more in a year.
	grown = 4
	// hot is the share of rewritten parts that goes to a tenth of the database.
	hot = 0.7
)

// costCase is one row of the table.
type costCase struct {
	name   string
	change float64 // share of all bytes that is new each night
	parts  int     // of a pack, each of which is rewritten as a whole; at most 32
	seed   uint64
	policy retention.Policy
	// promised: what is kept beyond need and the raises of a night must stay in bounds.
	promised bool
}

// What is promised of the rules as they are.
const (
	mostBeyond = 0.10
	mostRaises = 1000
)

// costPack is one stored pack.
type costPack struct {
	name  string
	lease time.Time
	cells uint32 // the parts that the practice still has
	gone  bool
}

// costDay is one committed snapshot. cells counts, for each of its packs, the parts
// that it needs.
type costDay struct {
	packs []int32
	cells []uint32
	until time.Time
}

// costs is what one case came to.
type costs struct {
	kept         int     // packs at the end
	beyond, most float64 // packs kept although no kept snapshot needs them: mean and largest share
	dead         float64 // parts in the packs kept that no kept snapshot needs, beside them
	raises       int
	mostRaises   int
	yearly       [costYears]int
	nights       int
	waited       int // most nights from a period's end until its keeper was leased
}

// costing plays the nights of one case with the plan, the slack and the choice of
// leases that runs use.
type costing struct {
	costCase
	cal  *retention.Calendar
	rng  *rand.Rand
	now  time.Time
	list []retention.Snapshot
	days []costDay

	packs   []costPack
	index   map[string]int32
	data    []cell // rewritable parts, oldest first
	sum     costs
	shares  []float64
	deads   []float64
	waiting map[string]int
	stored  int // packs, summed over the measurements
}

type cell struct {
	pack int32
	at   uint8
}

func retentionCosts(w io.Writer) error {
	cal, err := retention.NewCalendar(retention.Settings{Region: "GB", Zone: "Europe/London", CutOff: retention.DefaultCutOff})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "storage cost and raised leases, %d packs at the start, %d years of business days:\n", costPacks, costYears)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tchange a night\tpacks stored\tkept beyond need\tat most\tdead parts\traises a day\tat most\tyear 1\tyear 2\tyear 3\tlongest wait\t")
	var broken error
	for _, c := range costCases() {
		s, err := c.play(cal)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%.1f %%\t%d\t%.1f %%\t%.1f %%\t%.1f %%\t%d\t%d\t%d\t%d\t%d\t%d nights\t\n", c.name, 100*c.change, s.kept,
			100*s.beyond, 100*s.most, 100*s.dead, s.raises/max(1, s.nights), s.mostRaises, s.yearly[0], s.yearly[1], s.yearly[2], s.waited)
		if c.promised && (s.most >= mostBeyond || s.mostRaises >= mostRaises) {
			broken = fmt.Errorf("retention costs more than promised: %.1f %% kept beyond need, %d raises in one night, at a change of %.1f %%", 100*s.most, s.mostRaises, 100*c.change)
		}
	}
	return errors.Join(t.Flush(), broken)
}

func costCases() []costCase {
	var out []costCase
	for _, change := range []float64{0.01, 0.003} {
		out = append(out, costCase{name: "as it is", change: change, parts: 1, seed: 1, policy: retention.DefaultPolicy(), promised: true})
		old := retention.DefaultPolicy()
		old.Silence = old.Weekly
		out = append(out, costCase{name: "90 days for all", change: change, parts: 1, seed: 1, policy: old})
		out = append(out, costCase{name: "parts of packs die alone", change: change, parts: 32, seed: 1, policy: retention.DefaultPolicy()})
	}
	return out
}

func (c costCase) play(cal *retention.Calendar) (costs, error) {
	p := &costing{costCase: c, cal: cal, rng: rand.New(rand.NewPCG(c.seed, 1)), waiting: map[string]int{}, index: map[string]int32{}}
	first := retention.Date{Year: 2026, Month: time.January, Day: 5}
	last := retention.Date{Year: first.Year + costYears, Month: first.Month, Day: first.Day}
	for d := first; d.Before(last); d = d.AddDays(1) {
		if !cal.Open(d) {
			continue
		}
		if err := p.night(d); err != nil {
			return costs{}, err
		}
	}
	s := p.sum
	for i := range p.shares {
		s.beyond += p.shares[i] / float64(len(p.shares))
		s.dead += p.deads[i] / float64(len(p.shares))
		s.most = max(s.most, p.shares[i])
	}
	s.kept = p.stored / max(1, len(p.shares))
	return s, nil
}

// night is one run: what is new is stored, the snapshot is committed, and what a
// plan wants longer is raised as far as the night goes.
func (p *costing) night(d retention.Date) error {
	p.now = p.cal.End(d).Add(-6 * time.Hour)
	p.lapse()
	id := d.String()
	p.list = append(p.list, retention.Snapshot{ID: id, Date: d, Revision: 1, Time: p.now, Verdict: retention.Clean})
	p.forget()
	plan, err := retention.NewPlan(p.cal, p.policy, p.list, p.now)
	if err != nil {
		return err
	}
	life, _ := plan.Of(id)
	p.change(life.Need)
	used := p.used()
	raised := p.commit(life, used)
	if plan, err = retention.NewPlan(p.cal, p.policy, p.list, p.now); err != nil {
		return err
	}
	raised += p.promote(plan, p.policy.Nightly(len(used))-raised)
	p.sum.raises += raised
	p.sum.mostRaises = max(p.sum.mostRaises, raised)
	p.sum.yearly[min(costYears-1, p.sum.nights*costYears/(252*costYears))] += raised
	p.sum.nights++
	if p.sum.nights%5 == 0 {
		p.measure()
	}
	return nil
}

// lapse removes what the store's rule would: everything whose lease is over.
func (p *costing) lapse() {
	for i := range p.packs {
		if !p.packs[i].gone && p.packs[i].lease.Add(24*time.Hour).Before(p.now) {
			p.packs[i].gone = true
		}
	}
}

// forget drops snapshots that are over; their keepers' periods are over as well.
func (p *costing) forget() {
	for i := range p.days {
		if p.days[i].packs != nil && p.days[i].until.Before(p.now) {
			p.days[i].packs, p.days[i].cells = nil, nil
		}
	}
}

// change makes the night's new bytes: packs of new parts, some of which replace old ones.
func (p *costing) change(until time.Time) {
	if len(p.packs) == 0 {
		for i := range costPacks {
			n := p.pack(until)
			if i >= costPacks*writtenOnce {
				p.fill(n)
			}
		}
		return
	}
	packs := int(p.costCase.change * costPacks)
	replaced := (packs - grown) * p.parts
	for done := 0; done < replaced; {
		i := p.rng.IntN(len(p.data))
		if p.rng.Float64() < hot {
			i = len(p.data) - 1 - p.rng.IntN(max(1, len(p.data)/10)) // written lately, written again
		}
		if c := p.data[i]; p.packs[c.pack].cells&(1<<c.at) != 0 {
			p.packs[c.pack].cells &^= 1 << c.at
			done++
		}
	}
	p.data = slices.DeleteFunc(p.data, func(c cell) bool { return p.packs[c.pack].cells&(1<<c.at) == 0 })
	for range grown {
		p.pack(until) // written once
	}
	for range packs - grown {
		p.fill(p.pack(until))
	}
}

func (p *costing) pack(until time.Time) int32 {
	n := int32(len(p.packs))
	name := fmt.Sprintf("pack %d", n)
	p.index[name] = n
	p.packs = append(p.packs, costPack{name: name, lease: p.policy.Lease(until, name), cells: 1<<p.parts - 1})
	return n
}

func (p *costing) fill(n int32) {
	for i := range p.parts {
		p.data = append(p.data, cell{n, uint8(i)})
	}
}

// used are the packs of the new snapshot.
func (p *costing) used() []int32 {
	var out []int32
	for i := range p.packs {
		if !p.packs[i].gone && p.packs[i].cells != 0 {
			out = append(out, int32(i))
		}
	}
	return out
}

func (p *costing) commit(life retention.Kept, used []int32) (raised int) {
	short := func(until time.Time) (n int) {
		for _, i := range used {
			if p.packs[i].lease.Before(until) {
				n++
			}
		}
		return n
	}
	until := life.Need
	if short(until) > p.policy.Nightly(len(used)) {
		until = life.Firm
	}
	for _, i := range used {
		raised += p.raise(i, until)
	}
	d := costDay{packs: used, cells: make([]uint32, len(used)), until: until}
	for n, i := range used {
		d.cells[n] = p.packs[i].cells
	}
	p.days = append(p.days, d)
	p.list[len(p.list)-1].Until = until
	return raised
}

func (p *costing) raise(i int32, until time.Time) int {
	k := &p.packs[i]
	if !k.lease.Before(until) {
		return 0
	}
	k.lease = p.policy.Lease(until, k.name)
	return 1
}

// promote raises what the plan wants longer than it is leased.
func (p *costing) promote(plan retention.Plan, night int) (raised int) {
	raises := plan.Raises()
	at := func(id string) int {
		return slices.IndexFunc(p.list, func(s retention.Snapshot) bool { return s.ID == id })
	}
	due := plan.Due(func(id string) iter.Seq2[string, time.Time] {
		return func(yield func(string, time.Time) bool) {
			for _, i := range p.days[at(id)].packs {
				if !yield(p.packs[i].name, p.packs[i].lease) {
					return
				}
			}
		}
	})
	for _, d := range p.policy.Tonight(due, night, p.now) {
		raised += p.raise(p.index[d.Name], d.Need)
	}
	for _, r := range raises {
		n := at(r.ID)
		done := !slices.ContainsFunc(p.days[n].packs, func(i int32) bool { return p.packs[i].lease.Before(r.Until) })
		p.waiting[r.ID]++
		p.sum.waited = max(p.sum.waited, p.waiting[r.ID])
		if done {
			p.list[n].Until, p.days[n].until = r.Until, r.Until
			delete(p.waiting, r.ID)
			raised++ // the record itself
		}
	}
	return raised
}

// measure compares what is stored with what the snapshots that are kept need.
func (p *costing) measure() {
	needed := map[int32]uint32{}
	for _, d := range p.days {
		if d.packs == nil || d.until.Before(p.now) {
			continue
		}
		for n, i := range d.packs {
			needed[i] |= d.cells[n]
		}
	}
	stored, parts := 0, 0
	for i := range p.packs {
		if !p.packs[i].gone {
			stored++
		}
	}
	for _, m := range needed {
		parts += bits.OnesCount32(m)
	}
	p.stored += stored
	p.shares = append(p.shares, float64(stored-len(needed))/float64(len(needed)))
	p.deads = append(p.deads, float64(len(needed)*p.parts-parts)/float64(parts))
}
