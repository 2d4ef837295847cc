package simtest_test

import (
	"testing"

	"offsite/providers/providertest"
)

// practiceWith is the first seed whose practice runs often and has such a store.
func practiceWith(kind storeKind) uint64 {
	for seed := uint64(1); ; seed++ {
		if h := newHabits(seed); len(h.kinds) == 1 && h.kinds[0] == kind && h.cadence[0] == 1 && len(h.settings.Open) >= 2 {
			return seed
		}
	}
}

// argWith is the first number from which an event draws such a fault.
func argWith(want func(providertest.Rule) bool) uint64 {
	for arg := uint64(1); ; arg++ {
		if want(fault(drawn(arg), false)) {
			return arg
		}
	}
}

// daily is one event on each of so many days, for both PCs in turn.
func daily(kind string, from, to int, arg uint64) (events []event) {
	for d := from; d < to; d++ {
		events = append(events, event{d, kind, d % 2, arg})
	}
	return events
}

// TestNamedScenarios: the interleavings that are known to be dangerous, each on its
// own, in every kind of store.
func TestNamedScenarios(t *testing.T) {
	put := func(o providertest.Outcome) uint64 {
		return argWith(func(r providertest.Rule) bool { return r.Op == "put" && r.Outcome == o && r.Nth <= 4 })
	}
	ahead := uint64(1)
	for ; ; ahead++ { // the clock that is more than two years ahead
		if clockOff(drawn(ahead)) > 365*day {
			break
		}
	}
	behind := uint64(1)
	for clockOff(drawn(behind)) > -20*day {
		behind++
	}
	scenarios := []struct {
		name   string
		events []event
	}{
		{"removal between a run's look and its commit", daily("lapse", 10, 60, 3)},
		{"two PCs at once, with removal", append(daily("overlap", 5, 60, 1), daily("lapse", 5, 60, 1)...)},
		{"writes applied and reported as failed", daily("fault", 5, 60, put(providertest.FailAfter))},
		{"writes not applied and reported as failed", daily("fault", 5, 60, put(providertest.FailBefore))},
		{"a record reported as written that never was", daily("lie", 12, 20, 1)},
		{"credentials revoked during a run", daily("fault", 8, 30, put(providertest.Deny))},
		{"crash at every write", func() (e []event) {
			for d := 3; d < 60; d++ {
				e = append(e, event{d, "crash", d % 2, uint64(d)})
			}
			return e
		}()},
		{"a set rewritten while it is read", daily("unsettled", 5, 60, 1)},
		{"days offline, then a backlog", []event{{10, "silence", 0, 1}, {24, "catchup", 0, 1}, {25, "catchup", 0, 2}, {26, "catchup", 0, 3}, {27, "catchup", 0, 4}}},
		{"a PC set back to an older image", []event{{30, "image", 0, 1}, {45, "image", 0, 1}, {46, "lost", 1, 1}}},
		{"a clock years ahead while it sweeps", []event{{20, "clock", 0, ahead}, {50, "clock", 0, ahead}}},
		{"a clock weeks behind", []event{{20, "clock", 0, behind}, {50, "clock", 0, behind}}},
		{"a fortnight of suspect days", daily("suspect", 14, 40, 1)},
		{"the rules change", []event{{15, "policy", 0, 4}, {30, "policy", 0, 9}, {40, "policy", 0, 77}}},
		{"a thief every day", func() (e []event) {
			for d := 10; d < 50; d++ {
				e = append(e, event{d, "thief", d % 2, uint64(1000 + d)})
			}
			return e
		}()},
	}
	for i, s := range scenarios {
		for _, kind := range []storeKind{native, records, managed} {
			if raceEnabled && (i+int(kind))%7 != 0 {
				continue
			}
			t.Run(s.name+"/"+kind.String(), func(t *testing.T) {
				if out := simulate(t, script{seed: practiceWith(kind), days: 64, events: sorted(s.events)}); out.failed {
					t.Error(out.report)
				}
			})
		}
	}
}
