package simtest_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// mutation is a bug planted into a copy of the production code. Where its patches say
// PLANTED, the copy asks whether this bug is wanted, so that one program holds all.
type mutation struct {
	name    string
	patches []patch
}

// mutations are mistakes that somebody could make.
func mutations() []mutation {
	return []mutation{
		{"no guard", []patch{{"retention/lease.go", "return lease.Sub(now) >= p.Guard }", "return PLANTED || lease.Sub(now) >= p.Guard }"}}},
		{"slack is negative", []patch{{"retention/lease.go", "\treturn need.Add(slack + time.Second", "\tif PLANTED {\n\t\tslack = -slack\n\t}\n\treturn need.Add(slack + time.Second"}}},
		{"leases are raised after the commit", []patch{
			{"manifest/snapshot.go", "if s.lease.Before(expiry) {", "if s.lease.Before(expiry) && !PLANTED {"},
			{"uploader/uploader.go", "\t\tr.secure(ctx, t)\n\t\tr.leave", "\t\tif !PLANTED {\n\t\t\tr.secure(ctx, t)\n\t\t}\n\t\tr.leave"},
			{"uploader/uploader.go", "\t\tr.commit(ctx, t, content)\n", "\t\tif PLANTED {\n\t\t\tt.expiry = r.secured(t)\n\t\t}\n\t\tr.commit(ctx, t, content)\n\t\tif PLANTED {\n\t\t\tr.secure(ctx, t)\n\t\t}\n"}}},
		{"keepers by the time of the upload", []patch{{"retention/plan.go", "\t\tp.all[i].Snapshot = s\n", "\t\tp.all[i].Snapshot = s\n\t\tif PLANTED && !s.Time.IsZero() {\n\t\t\tp.all[i].Date = DateOf(s.Time.In(p.cal.zone))\n\t\t}\n"}}},
		{"index segments are not raised", []patch{{"uploader/commit.go", "\t\tif s.receipt, err = r.extend(ctx, t, s.receipt, expiry)", "\t\tif PLANTED {\n\t\t\ts.receipt = s.receipt.Leased(expiry)\n\t\t} else if s.receipt, err = r.extend(ctx, t, s.receipt, expiry)"}}},
		{"a pack used again is not looked for", []patch{
			{"uploader/target.go", "\t\tcase !ok:\n\t\t\tdelete(t.kept, n)\n", "\t\tcase !ok && PLANTED:\n\t\tcase !ok:\n\t\t\tdelete(t.kept, n)\n"},
			{"uploader/target.go", "\t\to, ok := t.present[p.Name]\n\t\tif !ok {\n\t\t\tcontinue\n\t\t}\n\t\t// Where", "\t\to, ok := t.present[p.Name]\n\t\tif !ok && PLANTED {\n\t\t\to.Key, o.Size = manifest.PackKey(p.Name), int64(p.Size)\n\t\t\to.Version = t.versions[p.Name]\n\t\t} else if !ok {\n\t\t\tcontinue\n\t\t}\n\t\t// Where"}}},
		{"a pack that was not stored counts", []patch{{"manifest/snapshot.go", "\tif err != nil {\n\t\treturn Stored{}, err\n\t}\n\treturn Stored{pin: Pin{Name: name, Size: int64(len(sealed)), Version: v}", "\tif err != nil && !PLANTED {\n\t\treturn Stored{}, err\n\t}\n\treturn Stored{pin: Pin{Name: name, Size: int64(len(sealed)), Version: v}"}}},
		{"lease records are not written", []patch{{"uploader/commit.go", "\tt.leased = nil\n\treturn", "\tt.leased = nil\n\tif PLANTED {\n\t\treturn nil\n\t}\n\treturn"}}},
		{"a lease that the listing tells is not written down", []patch{{"uploader/commit.go", "if n := s.Pin().Name; t.told[n].Before(until)", "if n := s.Pin().Name; !PLANTED && t.told[n].Before(until)"}}},
		{"the floor is dropped", []patch{{"retention/plan.go", "\tp.floors()\n", "\tif !PLANTED {\n\t\tp.floors()\n\t}\n"}}},
		{"late keepers are dropped", []patch{{"retention/rules.go", "\tif i, ok := p.firstAfter(of.Last); ok {\n", "\tif i, ok := p.firstAfter(of.Last); ok && !PLANTED {\n"}}},
		{"the last of a week is not kept", []patch{{"retention/plan.go", "\tp.weeks()\n", "\tif !PLANTED {\n\t\tp.weeks()\n\t}\n"}}},
		{"silence is not outlived", []patch{{"retention/plan.go", "\tp.silence()\n", "\tif !PLANTED {\n\t\tp.silence()\n\t}\n"}}},
		{"suspect days count as clean", []patch{{"retention/plan.go", "\t\tcase s.Verdict != Clean:\n", "\t\tcase s.Verdict != Clean && !PLANTED:\n"}}},
		{"suspicion keeps nothing", []patch{{"retention/plan.go", "\tp.suspicion()\n", "\tif !PLANTED {\n\t\tp.suspicion()\n\t}\n"}}},
		{"the newest days are not kept", []patch{{"retention/plan.go", "\tp.newest()\n", "\tif !PLANTED {\n\t\tp.newest()\n\t}\n"}}},
		{"keepers are not raised", []patch{{"uploader/retain.go", "\tr.raise(ctx, t)\n}\n\nfunc (r *run) raise(", "\tif !PLANTED {\n\t\tr.raise(ctx, t)\n\t}\n}\n\nfunc (r *run) raise("}}},
		{"the record of a keeper is not raised", []patch{{"uploader/retain.go", "r.leaseFor(raise.Until, pack.NameOf([]byte(ref.Key)))); err != nil {", "either(PLANTED, ref.Record.Time.Time, r.leaseFor(raise.Until, pack.NameOf([]byte(ref.Key))))); err != nil {"}}},
		{"the set is not looked at again", []patch{{"uploader/commit.go", "\tif len(changes) == 0 {\n\t\treturn nil\n\t}\n", "\tif len(changes) == 0 || PLANTED {\n\t\treturn nil\n\t}\n"}}},
		{"nothing is read back", []patch{{"uploader/uploader.go", "\t\tr.readBack(ctx, t)\n", "\t\tif !PLANTED {\n\t\t\tr.readBack(ctx, t)\n\t\t}\n"}}},
		{"a lost answer is success", []patch{{"providers/store.go", "\t\tif k := KindOf(err); k != ErrExist && k != ErrInDoubt {\n\t\t\t// ErrUnreachable", "\t\tif PLANTED && KindOf(err) == ErrInDoubt {\n\t\t\treturn nil\n\t\t}\n\t\tif k := KindOf(err); k != ErrExist && k != ErrInDoubt {\n\t\t\t// ErrUnreachable"}}},
		{"lies about leases are believed", []patch{{"uploader/target.go", "\tt.believeStore(own)\n", "\tif PLANTED {\n\t\tt.until, t.lasts = make(map[uint64]time.Time), make(map[uint64]time.Time)\n\t\tfor seq, s := range manifest.Latest(own) {\n\t\t\tt.until[seq], t.lasts[seq] = s.Until.Time, s.Until.Time\n\t\t}\n\t\treturn own, nil\n\t}\n\tt.believeStore(own)\n"}}},
		{"the sweep believes one clock", []patch{{"manifest/keep/plan.go", "\tif d := store.Sub(pc).Abs(); d > MaxSkew {", "\tif PLANTED {\n\t\treturn pc, nil\n\t}\n\tif d := store.Sub(pc).Abs(); d > MaxSkew {"}}},
	}
}

// plants are the patches of all mutations, and what their copies ask.
func plants() ([]patch, map[string]string) {
	var patches []patch
	added := make(map[string]string)
	for _, m := range mutations() {
		for _, p := range m.patches {
			p.new = strings.ReplaceAll(p.new, "PLANTED", "(planted == "+strconv.Quote(m.name)+")")
			patches = append(patches, p)
			dir := path.Dir(p.file)
			added[dir+"/planted.go"] = "package " + path.Base(dir) + plantedSource
		}
	}
	return patches, added
}

const plantedVariable = "OFFSITE_SIM_PLANTED"

const plantedSource = `

import "os"

var planted = os.Getenv("` + plantedVariable + `")

func either[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
`

// TestPlantedBugsAreFound: each mutation makes the simulation fail, in the script that
// once found it, or within so many years as a mistake may hide. Without one, all scripts
// pass.
func TestPlantedBugsAreFound(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("builds a program; the other tests of this package run with the race detector")
	}
	bin := build(t)
	var mu sync.Mutex
	var table []string
	slots := make(chan struct{}, runtime.NumCPU())
	t.Run("all", func(t *testing.T) {
		t.Run("none", func(t *testing.T) {
			t.Parallel()
			if out, err := run(t, bin, "", "-test.run", "^TestScriptsThatEverFailedPass$", "-sim.all"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
		for _, m := range mutations() {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				out, err := run(t, bin, m.name, "-test.run", "^TestScript$", "-test.v", "-sim.script", m.script())
				found, where := firstWrong(out), "its script"
				if (err == nil || found == "") && *huntFlag > 0 {
					out, err = run(t, bin, m.name, "-test.run", "^TestYears$", "-sim.reduce", "0", "-sim.years", strconv.FormatFloat(*huntFlag, 'g', -1, 64))
					found, where = firstWrong(out), "a search; give it a new script"
				}
				if err == nil || found == "" {
					t.Errorf("not found: %v\n%s", err, out)
				} else if where != "its script" {
					t.Log(out)
				}
				mu.Lock()
				table = append(table, fmt.Sprintf("%-51s by %s: %s", m.name, where, found))
				mu.Unlock()
			})
		}
	})
	slices.Sort(table)
	t.Log("\n" + strings.Join(table, "\n"))
}

// script is the file with the practice in which a mutation shows.
func (m mutation) script() string {
	return filepath.Join("testdata", "planted", strings.ReplaceAll(m.name, " ", "-")+".txt")
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

// build makes a test program of this package in little, with every bug ready to be
// planted.
func build(t *testing.T) string {
	t.Helper()
	patches, added := miniature()
	bugs, asked := plants()
	maps.Copy(added, asked)
	bin := filepath.Join(t.TempDir(), "sim.test")
	cmd := exec.Command("go", "test", "-c", "-overlay", overlay(t, slices.Concat(patches, bugs), added), "-o", bin, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// run runs a program that build made, with a bug in it, on one processor.
func run(t *testing.T, bin, bug string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400", "GODEBUG=adaptivestackstart=1", plantedVariable+"="+bug)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestManyYears simulates -sim.many practice years in little, on all processors.
func TestManyYears(t *testing.T) {
	if *manyFlag == 0 {
		t.Skip("no -sim.many; see make sim")
	}
	bin, n := build(t), runtime.NumCPU()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		wg.Go(func() {
			out, err := run(t, bin, "", "-test.run", "^TestYears$", "-test.v", "-test.timeout", "2h", "-sim.years", fmt.Sprint(*manyFlag/float64(n)),
				"-sim.seed", fmt.Sprint(*seedFlag+uint64(i)), "-sim.step", fmt.Sprint(n))
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
	patches, added := miniature()
	bugs, asked := plants()
	maps.Copy(added, asked)
	overlay(t, slices.Concat(patches, bugs), added)
}
