package simtest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// mutation is a bug planted into a copy of the production code.
type mutation struct {
	name    string
	patches []patch
}

// mutations are mistakes that somebody could make. The first ones are run by every
// test of this package, all by `make sim`.
func mutations() []mutation {
	return []mutation{
		{"no guard", []patch{{"retention/lease.go", "return lease.Sub(now) >= p.Guard }", "return true }"}}},
		{"slack is negative", []patch{{"retention/lease.go", "return need.Add(slack + time.Second", "return need.Add(-slack + time.Second"}}},
		{"leases are raised after the commit", []patch{
			{"manifest/snapshot.go", "if s.lease.Before(expiry) {", "if false {"},
			{"uploader/uploader.go", "\t\tr.secure(ctx, t)\n\t\tr.leave", "\t\tr.leave"},
			{"uploader/uploader.go", "\t\tr.commit(ctx, t, content)\n", "\t\tt.expiry = r.secured(t)\n\t\tr.commit(ctx, t, content)\n\t\tr.secure(ctx, t)\n"}}},
		{"keepers by the time of the upload", []patch{{"retention/plan.go", "\t\tp.all[i].Snapshot = s\n", "\t\tp.all[i].Snapshot = s\n\t\tif !s.Time.IsZero() {\n\t\t\tp.all[i].Date = DateOf(s.Time.In(p.cal.zone))\n\t\t}\n"}}},
		{"index segments are not raised", []patch{{"uploader/commit.go", "\t\tif s.receipt, err = r.extend(ctx, t, s.receipt, expiry); err != nil {\n\t\t\treturn err\n\t\t}\n", "\t\ts.receipt = s.receipt.Leased(expiry)\n"}}},
		{"a pack used again is not looked for", []patch{{"uploader/target.go", "\t\tcase !ok:\n\t\t\tdelete(t.kept, n)\n", "\t\tcase !ok:\n"}, {"uploader/target.go", "\t\to, ok := t.present[p.Name]\n\t\tif !ok {\n\t\t\tcontinue\n\t\t}\n\t\t// Where", "\t\to, ok := t.present[p.Name]\n\t\tif !ok {\n\t\t\to.Key, o.Size = manifest.PackKey(p.Name), int64(p.Size)\n\t\t\to.Version = t.versions[p.Name]\n\t\t}\n\t\t// Where"}}},
		{"a pack that was not stored counts", []patch{{"manifest/snapshot.go", "\tif err != nil {\n\t\treturn Stored{}, err\n\t}\n\treturn Stored{pin: Pin{Name: name, Size: int64(len(sealed)), Version: v}, key: key, lease: lease}, nil", "\t_ = err\n\treturn Stored{pin: Pin{Name: name, Size: int64(len(sealed)), Version: v}, key: key, lease: lease}, nil"}}},
		{"lease records are not written", []patch{{"uploader/commit.go", "\treturn manifest.WriteLeases(ctx, t.store, rec, r.cfg.Key.Signing)\n", "\treturn rec.Time.UnmarshalJSON(nil)\n"}, {"uploader/commit.go", "\tt.leased = nil\n\treturn", "\tt.leased = nil\n\tif true {\n\t\treturn nil\n\t}\n\treturn"}}},
		{"the floor is dropped", []patch{{"retention/plan.go", "\tp.floors()\n", ""}}},
		{"late keepers are dropped", []patch{{"retention/rules.go", "\tif i, ok := p.firstAfter(of.Last); ok {\n", "\tif i, ok := p.firstAfter(of.Last); ok && false {\n"}}},
		{"the last of a week is not kept", []patch{{"retention/plan.go", "\tp.weeks()\n", ""}}},
		{"silence is not outlived", []patch{{"retention/plan.go", "\tp.silence()\n", ""}}},
		{"suspect days count as clean", []patch{{"retention/plan.go", "\t\tcase s.Verdict != Clean:\n", "\t\tcase s.Verdict == \"\":\n"}}},
		{"suspicion keeps nothing", []patch{{"retention/plan.go", "\tp.suspicion()\n", ""}}},
		{"the newest days are not kept", []patch{{"retention/plan.go", "\tp.newest()\n", ""}}},
		{"keepers are not raised", []patch{{"uploader/retain.go", "\tr.raise(ctx, t)\n}\n\nfunc (r *run) raise(", "}\n\nfunc (r *run) raise("}}},
		{"the record of a keeper is not raised", []patch{{"uploader/retain.go", "r.leaseFor(raise.Until, pack.NameOf([]byte(ref.Key)))); err != nil {", "ref.Record.Time.Time); err != nil {"}}},
		{"the set is not looked at again", []patch{{"uploader/commit.go", "\tif len(changes) == 0 {\n\t\treturn nil\n\t}\n", "\tif len(changes) >= 0 {\n\t\treturn nil\n\t}\n"}}},
		{"nothing is read back", []patch{{"uploader/uploader.go", "\t\tr.readBack(ctx, t)\n", ""}}},
		{"a lost answer is success", []patch{{"providers/store.go", "\t\tif k := KindOf(err); k != ErrExist && k != ErrInDoubt {\n\t\t\t// ErrUnreachable", "\t\tif KindOf(err) == ErrInDoubt {\n\t\t\treturn nil\n\t\t}\n\t\tif k := KindOf(err); k != ErrExist && k != ErrInDoubt {\n\t\t\t// ErrUnreachable"}}},
		{"lies about leases are believed", []patch{{"uploader/target.go", "\tt.believeStore()\n", ""}}},
		{"the sweep believes one clock", []patch{{"manifest/keep/plan.go", "\tif d := store.Sub(pc).Abs(); d > MaxSkew {", "\tif true {\n\t\treturn pc, nil\n\t}\n\tif d := store.Sub(pc).Abs(); d > MaxSkew {"}}},
	}
}

// TestPlantedBugsAreFound: each mutation makes the simulation fail, within so many
// years as a mistake may hide.
func TestPlantedBugsAreFound(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("builds programs; the other tests of this package run with the race detector")
	}
	chosen := mutations()
	if *mutationsFlag > 0 {
		chosen = chosen[:min(*mutationsFlag, len(chosen))]
	}
	var mu sync.Mutex
	var table []string
	slots := make(chan struct{}, runtime.NumCPU())
	t.Run("all", func(t *testing.T) {
		for _, m := range chosen {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				bin := build(t, m.patches)
				out, err := run(t, bin, "-test.run", "^TestYears$", "-sim.quick", "-sim.years", strconv.FormatFloat(*huntFlag, 'g', -1, 64))
				found := firstWrong(out)
				if err == nil || found == "" {
					t.Errorf("not found: %v\n%s", err, out)
				}
				mu.Lock()
				table = append(table, fmt.Sprintf("%-45s %s", m.name, found))
				mu.Unlock()
			})
		}
	})
	slices.Sort(table)
	t.Log("\n" + strings.Join(table, "\n"))
}

// firstWrong is the first violation that a run of TestYears reports.
func firstWrong(out string) string {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if len(line) > 3 && line[0] == 'I' && line[1] >= '1' && line[1] <= '9' && line[2] == ' ' || strings.HasPrefix(line, "store ") && strings.Contains(line, ": ") {
			return line[:min(len(line), 150)]
		}
	}
	return ""
}

// build makes a test program of this package in little, with patches.
func build(t *testing.T, patches []patch) string {
	t.Helper()
	little, added := miniature()
	bin := filepath.Join(t.TempDir(), "sim.test")
	cmd := exec.Command("go", "test", "-c", "-overlay", overlay(t, slices.Concat(little, patches), added), "-o", bin, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// run runs a program that build made, on one processor.
func run(t *testing.T, bin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestManyYears simulates -sim.many practice years in little, on all processors.
func TestManyYears(t *testing.T) {
	if *manyFlag == 0 {
		t.Skip("no -sim.many; see make sim")
	}
	bin, n := build(t, nil), runtime.NumCPU()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		wg.Go(func() {
			out, err := run(t, bin, "-test.run", "^TestYears$", "-test.v", "-test.timeout", "2h", "-sim.years", fmt.Sprint(*manyFlag/float64(n)),
				"-sim.seed", fmt.Sprint(i+1), "-sim.step", fmt.Sprint(n))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
				return
			}
			for line := range strings.Lines(out) {
				if strings.Contains(line, "simulated:") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
	wg.Wait()
}

// TestEveryPatchFits: production code changes, and a planted bug whose place is gone
// would no longer be planted.
func TestEveryPatchFits(t *testing.T) {
	little, added := miniature()
	for _, m := range mutations() {
		t.Run(m.name, func(t *testing.T) {
			overlay(t, append(little[:len(little):len(little)], m.patches...), added)
		})
	}
}
