package simtest_test

import (
	"fmt"
	"slices"
	"strings"
)

// script is everything that happens in a simulated practice beside its ordinary
// nights. The same script gives the same run, and a script with events left out is
// a script.
type script struct {
	seed   uint64 // of the practice: its calendar, its policy, its files
	days   int
	events []event
}

// event is one thing that goes wrong, or that somebody does, on one day.
type event struct {
	day  int
	kind string
	pc   int
	arg  uint64 // all details are drawn from it
}

// kinds of events, each with how often it happens in 1,000 days and what it is.
var kinds = []struct {
	name string
	rate int
	what string
}{
	{"crash", 12, "the PC dies at a write, before or after it, its journal perhaps torn"},
	{"crashlate", 4, "the PC dies behind the commit: the memory is new, the journal old"},
	{"fault", 30, "calls fail, or are applied and reported as failed, or cut"},
	{"lie", 3, "the store reports a record as written that it never wrote"},
	{"outage", 8, "the store cannot be reached for some days"},
	{"silence", 6, "the PC is off for some days or months"},
	{"suspect", 14, "files are missing from the set, which makes it suspect"},
	{"incomplete", 5, "the set is no backup"},
	{"unsettled", 8, "the set changes while it is read"},
	{"clock", 4, "the PC's clock is wrong for some days"},
	{"policy", 4, "the practice changes its rules"},
	{"night", 30, "the run is late and ends after midnight"},
	{"catchup", 6, "the set of an earlier day is stored with that day's date"},
	{"twice", 10, "two runs on one day"},
	{"overlap", 40, "both PCs run at the same time"},
	{"lapse", 120, "the removal runs during the PC's run"},
	{"lazy", 8, "nothing is removed for some days"},
	{"thief", 12, "somebody with the upload key and the credential"},
	{"lost", 4, "the PC loses its local state"},
	{"image", 3, "the PC is set back to an older image of itself"},
	{"lose", 5, "the store loses a pack"},
	{"readall", 6, "everything is read and proved again"},
	{"restore", 20, "somebody restores a day"},
	{"grow", 20, "many new files"},
}

// newScript draws a script.
func newScript(seed uint64, days int) script {
	s := script{seed: seed, days: days}
	for day := 1; day < days; day++ {
		for i, k := range kinds {
			h := mix(seed, uint64(day), uint64(i), 1)
			if h%1000 < uint64(k.rate) {
				s.events = append(s.events, event{day, k.name, int(h >> 20 & 1), mix(h, 2) % 1_000_000})
			}
		}
	}
	return s
}

// String writes a script as parseScript reads it.
func (s script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "practice %d days %d\n", s.seed, s.days)
	for _, e := range s.events {
		fmt.Fprintf(&b, "%d %s %d %d\n", e.day, e.kind, e.pc, e.arg)
	}
	return b.String()
}

// parseScript reads a script. Lines that begin with # are for people.
func parseScript(text string) (s script, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if s.days == 0 {
			if _, err := fmt.Sscanf(line, "practice %d days %d", &s.seed, &s.days); err != nil || s.days <= 0 {
				return s, fmt.Errorf("read script: line %q is not the practice", line)
			}
			continue
		}
		var e event
		if _, err := fmt.Sscanf(line, "%d %s %d %d", &e.day, &e.kind, &e.pc, &e.arg); err != nil {
			return s, fmt.Errorf("read script: line %q: %w", line, err)
		}
		s.events = append(s.events, e)
	}
	return s, nil
}

// reduce drops what is not needed for a failure: days at the end, then events, in
// halves first and one by one at last. fails says whether a script still fails; it is
// asked so many times at most.
func (s script) reduce(most int, fails func(script) (day int, failed bool)) script {
	try := func(c script) bool {
		day, failed := fails(c)
		if failed {
			s = c
			s.days = min(s.days, day+1)
		}
		return failed
	}
	if !try(s) {
		return s
	}
	runs := 0
	for n := max(1, len(s.events)/2); n > 0; n /= 2 {
		for at := 0; at < len(s.events) && runs < most; runs++ {
			c := s
			c.events = slices.Concat(s.events[:at], s.events[min(at+n, len(s.events)):])
			if !try(c) {
				at += n
			}
		}
	}
	return s
}

// sorted returns events in the order of their days.
func sorted(events []event) []event {
	return slices.SortedStableFunc(slices.Values(events), func(a, b event) int { return a.day - b.day })
}
