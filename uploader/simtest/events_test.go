package simtest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/providertest"
)

// apply prepares what an event does to tonight's run of a PC. nights are its runs;
// there may be none.
func (w *world) apply(e event, p *pc, nights *[]night) {
	r := drawn(e.arg)
	var n *night
	if len(*nights) > 0 {
		n = &(*nights)[0]
	}
	switch e.kind {
	case "outage":
		b := w.boxes[r.IntN(len(w.boxes))]
		b.down, b.downUntil = true, w.day+r.IntN(5)
		w.disturb()
	case "silence":
		days := 1 + r.IntN(12)
		if r.IntN(3) == 0 {
			days = 20 + r.IntN(70)
		}
		p.offline, *nights = w.day+days, nil
	case "clock":
		if p.clock == 0 {
			p.clock = clockOff(r)
		} else {
			p.clock = 0
		}
		p.incident = true
	case "policy":
		w.policy = newPolicy(rand.New(rand.NewPCG(e.arg, 9)))
	case "lazy":
		w.lazy = w.day + 1 + r.IntN(6)
	case "lapse":
		w.lapsing = true
	case "thief":
		w.thief.visit(p, r)
	case "lost":
		for _, b := range w.boxes {
			b.near[p.number].docs = nil
		}
		must(os.RemoveAll(p.state))
		must(os.MkdirAll(p.state, 0o700))
	case "image":
		must(copyState(p.old, p.state))
	case "lose":
		w.lose(r)
	case "grow":
		must(p.work(e.arg, w.now(), 8))
	}
	if w.day%50 == 7 {
		must(copyState(p.state, p.old))
	}
	if n != nil {
		w.disturbRun(e, p, n, r)
	}
	if n != nil && e.kind == "twice" {
		*nights = append(*nights, night{})
	}
}

// clockOff draws by how much a PC's clock is wrong.
func clockOff(r *rand.Rand) time.Duration {
	off := []time.Duration{-40 * time.Minute, -20 * time.Hour, 3 * time.Hour, 40 * day, 800 * day}[r.IntN(5)]
	if r.IntN(3) == 0 {
		off = []time.Duration{-6 * day, -25 * day, -400 * day, 10 * day}[r.IntN(4)]
	}
	return off
}

// disturb notes that whatever fails tonight has a reason.
func (w *world) disturb() {
	for _, p := range w.pcs {
		p.incident = true
	}
}

// disturbRun prepares what an event does to a run that takes place.
func (w *world) disturbRun(e event, p *pc, n *night, r *rand.Rand) {
	switch e.kind {
	case "crash", "crashlate":
		p.incident = true
		w.crash(p, r, e.kind == "crashlate")
	case "fault", "lie":
		p.incident = true
		if n.rules == nil {
			n.rules = make([][]providertest.Rule, len(w.boxes))
		}
		i := r.IntN(len(w.boxes))
		n.rules[i] = append(n.rules[i], fault(r, e.kind == "lie"))
	case "suspect":
		if !n.suspect {
			n.suspect = true
			must(p.hide(fewFiles - 1))
		}
	case "incomplete":
		must(p.hide(0))
		n.suspect = true
	case "unsettled":
		p.incident = true
		w.unsettle(p, n)
	case "catchup":
		n.date = w.today.AddDays(-1 - r.IntN(4))
	case "readall":
		n.readAll = true
	}
}

// fault draws a way in which calls of one store go wrong.
func fault(r *rand.Rand, lie bool) providertest.Rule {
	if lie {
		return providertest.Rule{Op: "put", Prefix: "r/s/", Outcome: providertest.Lie}
	}
	rule := providertest.Rule{
		Op: []string{"put", "put", "put", "raise", "raise", "get", "list"}[r.IntN(7)], Nth: 1 + r.IntN(9), Times: []int{1, 1, 2, 9, -1}[r.IntN(5)],
		Outcome: []providertest.Outcome{providertest.FailBefore, providertest.FailAfter, providertest.Cut, providertest.Deny, providertest.Gone}[r.IntN(5)],
		Kind:    []error{nil, nil, providers.ErrDenied, providers.ErrFull, providers.ErrUnreachable, providers.ErrInDoubt}[r.IntN(6)],
	}
	if rule.Outcome == providertest.Cut && rule.Op == "get" {
		rule.Op = "put" // half an object is damage, which is another matter
	}
	return rule
}

// crash lets a PC die at a write. What it had not synced may be torn.
func (w *world) crash(p *pc, r *rand.Rand, late bool) {
	a := &actor{crashAt: 1 + r.IntN(14), late: r.IntN(2) == 0}
	p.actor = a
	tear, keep := r.IntN(3) == 0, r.IntN(400)
	at := filepath.Join(w.root, p.name, "crash")
	copied := false
	a.onCrash = func() {
		if !copied {
			must(copyState(p.state, at))
		}
		journal := filepath.Join(at, "journal")
		if b, err := os.ReadFile(journal); err == nil && tear {
			must(os.WriteFile(journal, b[:max(0, len(b)-keep)], 0o600))
		}
	}
	if late { // the whole run goes through, but the journal was never emptied
		a.crashAt = 0
		a.onWrite = nil
		journal := []byte(nil)
		w.crashLate(a, p, &journal)
	}
}

// crashLate keeps the journal as it was at the commit and puts it back afterwards.
func (w *world) crashLate(a *actor, p *pc, journal *[]byte) {
	a.crashAt = 1 << 30
	a.onWrite = func(_, key string) {
		if strings.HasPrefix(key, manifest.RecordPrefix) && *journal == nil {
			b, err := os.ReadFile(filepath.Join(p.state, "journal"))
			if err == nil {
				*journal = append([]byte{}, b...)
			}
		}
	}
	p.afterRun = func() {
		if *journal != nil {
			must(os.WriteFile(filepath.Join(p.state, "journal"), *journal, 0o600))
		}
	}
}

// unsettle changes the set when the first pack of the run is sent: what was read
// before is no longer what stands there, so nothing may be committed.
func (w *world) unsettle(p *pc, n *night) {
	done := false
	n.onWrite = func(op, key string) {
		switch {
		case !done && op == "put" && strings.HasPrefix(key, manifest.PackPrefix):
			done = true
			must(p.write("late.txt", text(key), 60, w.now().Add(time.Minute)))
		case done && op == "put" && strings.HasPrefix(key, manifest.RecordPrefix):
			w.fail("I1 %s: a set that changed while it was read is committed", p.name)
		}
	}
}

// lose takes a pack away that the snapshots need: they are harmed, and those to come
// must not be.
func (w *world) lose(r *rand.Rand) {
	b := w.boxes[r.IntN(len(w.boxes))]
	var packs []string
	for _, s := range b.ledger.snaps {
		for _, p := range s.pins {
			if _, ok := b.ledger.objects[p.key]; ok && strings.HasPrefix(p.key, manifest.PackPrefix) {
				packs = append(packs, p.key)
			}
		}
	}
	if len(packs) == 0 {
		return
	}
	key := packs[r.IntN(len(packs))]
	w.harm(b, key)
	b.mem.Lose(key)
	b.wrote(key)
	w.note("store %s loses %.14s", b.name, key)
}

func (w *world) harm(b *box, key string) {
	for _, s := range b.ledger.snaps {
		for _, p := range s.pins {
			s.harmed = s.harmed || p.key == key
		}
	}
}

var errScript = errors.New("the script cannot be run")

// check refuses scripts with events that nobody knows.
func (s script) check() error {
	known := make(map[string]bool)
	for _, k := range kinds {
		known[k.name] = true
	}
	for _, e := range s.events {
		if !known[e.kind] || e.pc < 0 || e.pc > 1 {
			return fmt.Errorf("%w: event %q of PC %d", errScript, e.kind, e.pc)
		}
	}
	return nil
}
