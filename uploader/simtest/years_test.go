package simtest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

var (
	yearsFlag  = flag.Float64("sim.years", 3, "practice years that TestYears simulates")
	seedFlag   = flag.Uint64("sim.seed", 1, "first seed of TestYears")
	stepFlag   = flag.Uint64("sim.step", 1, "from one seed to the next, so that several processes can share them")
	onlyFlag   = flag.Bool("sim.only", false, "TestYears simulates the one seed and prints the diary of its last days")
	reduceFlag = flag.Int("sim.reduce", 150, "runs with which TestYears reduces what fails; 0: it does not")
	manyFlag   = flag.Float64("sim.many", 0, "practice years that TestManyYears simulates")
	huntFlag   = flag.Float64("sim.hunt", 40, "practice years within which a planted bug must be found")
	allFlag    = flag.Bool("sim.all", false, "TestScriptsThatEverFailedPass leaves none out")
	scriptFlag = flag.String("sim.script", "", "a script that TestScript replays")
)

// outcome is what came of one simulated practice.
type outcome struct {
	day    int // on which something was wrong
	failed bool
	wrong  []string
	report string
	stats  stats
	trace  uint64
}

// simulate runs a script in a bubble of its own.
func simulate(t *testing.T, s script) (out outcome) {
	t.Helper()
	must(s.check())
	cryptotest.SetGlobalRandom(t, s.seed)
	root := tempRoot(t)
	defer os.RemoveAll(root)
	keys := newKeyring()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(s, root, keys)
		out.day = w.live()
		out.failed, out.wrong, out.stats, out.trace = len(w.wrong) > 0, w.wrong, w.stats, w.gate.trace
		out.report = w.report()
	})
	return out
}

// tempRoot is a folder in memory where there is one: a simulated year writes
// thousands of tiny files.
func tempRoot(t *testing.T) string {
	t.Helper()
	for _, parent := range []string{"/dev/shm", os.TempDir()} {
		if root, err := os.MkdirTemp(parent, "offsite-sim-"); err == nil {
			return root
		}
	}
	t.Fatal("no folder to simulate in")
	return ""
}

// daysOf is how long the practice of a seed is watched.
func daysOf(seed uint64) int { return []int{400, 500, 750, 400, 1150}[seed%5] }

// TestYears simulates practices of one seed after the other. What fails is reduced
// to a script that TestScript replays.
func TestYears(t *testing.T) {
	years := *yearsFlag
	if testing.Short() || raceEnabled {
		years = min(years, 0.5)
	}
	var total stats
	for seed := *seedFlag; total.years < years; seed += *stepFlag {
		out := simulate(t, newScript(seed, daysOf(seed)))
		total.add(out.stats)
		if out.failed {
			t.Fatal(explain(t, seed, out))
		}
		if *onlyFlag {
			t.Log(out.report)
			break
		}
	}
	t.Log("simulated:", total)
}

// explain reduces a failure and says how to see it again.
func explain(t *testing.T, seed uint64, out outcome) string {
	t.Helper()
	text := fmt.Sprintf("seed %d fails on day %d:\n%s", seed, out.day, out.report)
	if *reduceFlag == 0 {
		return text
	}
	small := newScript(seed, daysOf(seed)).reduce(*reduceFlag, func(s script) (int, bool) {
		out := simulate(t, s)
		return out.day, out.failed
	})
	out = simulate(t, small)
	return fmt.Sprintf("seed %d fails. Reduced to %d events in %d days; put this into testdata/kept once it is understood:\n\n%s\n%s", seed, len(small.events), small.days, small, out.report)
}

// TestScript replays the script of -sim.script.
func TestScript(t *testing.T) {
	if *scriptFlag == "" {
		t.Skip("no -sim.script")
	}
	b, err := os.ReadFile(*scriptFlag)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseScript(string(b))
	if err != nil {
		t.Fatal(err)
	}
	out := simulate(t, s)
	t.Log("\n" + out.report)
	if out.failed {
		t.Error("it fails")
	}
}

// TestScriptsThatEverFailedPass runs what once was wrong, and what is wrong only with
// a planted bug: each file is a script as the reducer printed it. With real ciphers the
// long ones take too long; TestPlantedBugsAreFound runs them all in little.
func TestScriptsThatEverFailedPass(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseScript(string(b))
			if err != nil {
				t.Fatal(err)
			}
			if s.days > shortScript && !*allFlag {
				t.Skip("a long script")
			}
			if out := simulate(t, s); out.failed {
				t.Error(out.report)
			}
		})
	}
}

// shortScript is how many days a script may have that is run with real ciphers.
const shortScript = 100

// TestTheSameSeedGivesTheSameRun: every call to a store, in the same order, with
// the same names, though the runs are concurrent.
func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	for _, kind := range []storeKind{native, managed} {
		seed := practiceWith(kind)
		s := newScript(seed, 30)
		first, second := simulate(t, s), simulate(t, s)
		if first.trace != second.trace || first.stats != second.stats {
			t.Errorf("seed %d: two runs differ: %v, %v", seed, first.stats, second.stats)
		}
		if first.stats.commits < 5 {
			t.Errorf("seed %d: only %d commits", seed, first.stats.commits)
		}
	}
}

func TestScriptsAreReadAsTheyAreWritten(t *testing.T) {
	s := newScript(7, 300)
	got, err := parseScript("# for people\n\n" + s.String())
	if err != nil || got.String() != s.String() || len(got.events) < 20 {
		t.Errorf("%d events of %d, %v", len(got.events), len(s.events), err)
	}
	for _, bad := range []string{"practice 1\n", "practice 1 days 0", "practice 1 days 5\nmonday crash 0 1", "days 5"} {
		if _, err := parseScript(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// TestTheReducerKeepsWhatMatters: of many events, the two that make it fail, and the
// days until then.
func TestTheReducerKeepsWhatMatters(t *testing.T) {
	s := newScript(3, 900)
	a, b := s.events[17], s.events[61]
	runs := 0
	const most = 150
	small := s.reduce(most, func(c script) (int, bool) {
		runs++
		found := 0
		for _, e := range c.events {
			if e == a || e == b {
				found++
			}
		}
		return b.day, found == 2 && c.days > b.day
	})
	if len(small.events) != 2 || small.events[0] != a || small.events[1] != b || small.days != b.day+1 {
		t.Errorf("reduced to\n%v", small)
	}
	if runs > most+1 {
		t.Errorf("%d runs to reduce %d events", runs, len(s.events))
	}
}
