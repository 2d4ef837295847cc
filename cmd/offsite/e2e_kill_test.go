package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/examples/practice"
	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/dir"
	"offsite/uploader/simtest"
)

// killing is a practice whose program is killed again and again.
type killing struct {
	*place
	driver  *dir.Dir
	checker *simtest.Checker
	stored  map[string]bool // keys of everything in the store, when it was last looked at
	state   simtest.State   // of the source
	opened  map[string]bool // packs whose chunks are known
	in      map[pack.ChunkID]string
}

// A run is killed at 50 moments with a known seed: half of them are spread evenly
// over its whole duration, half over what comes after its first pack is made, where
// the steps are short. After each the store is clean, the next run finishes, and
// nothing that was stored is stored again.
func TestRunKilledAtFiftyMomentsLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	size, first, next := int64(24e6), 20, 30
	if raceDetector {
		size, first, next = 6e6, 6, 10
	}
	source := filepath.Join(t.TempDir(), "databackup")
	made := practice.Options{Dir: source, Size: size, Seed: 50}
	_, err := practice.Generate(t.Context(), made)
	must(t, err)
	state, err := simtest.ReadState(source)
	must(t, err)
	chance := rand.New(rand.NewPCG(50, 1))
	steps := map[string]int{}
	k := newKilling(t, source, state)
	took := k.wholeRun()
	t.Logf("a first run takes %v, from its first pack on %v", took.whole, took.whole-took.packing)
	many(t, first, took, chance, steps, k.neverRun)
	k.complete()
	took = k.nextDay(made).wholeRun()
	t.Logf("a next day's run takes %v, from its first pack on %v", took.whole, took.whole-took.packing)
	many(t, next, took, chance, steps, func() *killing { return k.nextDay(made) })
	k.complete()
	for _, s := range slices.Sorted(maps.Keys(steps)) {
		t.Logf("killed in step %s: %d times", s, steps[s])
	}
	k.want(exitDone, "check", "--depth", "bytes", "--restore-key", k.key)
	back, _ := k.restore(exitDone, "latest", "back")
	equal(t, facts(t, source), facts(t, back))
}

// many kills n runs. A run that ended before it was killed does not count.
func many(t *testing.T, n int, took duration, chance *rand.Rand, steps map[string]int, next func() *killing) {
	t.Helper()
	for killed, tried := 0, 0; killed < n; tried++ {
		if tried > 4*n {
			t.Fatal("it is always faster than it can be killed")
		}
		at := moment{after: time.Duration((float64(killed) + chance.Float64()) / float64(n) * float64(took.whole))}
		if killed%2 == 1 {
			at = moment{packing: true, after: time.Duration((float64(killed) + chance.Float64()) / float64(n) * float64(took.whole-took.packing))}
		}
		if step := next().round(at); step != "" {
			steps[step]++
			killed++
		} else { // the computer is less busy than it was
			took.whole, took.packing = took.whole*7/8, took.packing*7/8
		}
	}
}

// moment is when a run is killed: after a while, counted from its start or from
// its first pack.
type moment struct {
	after   time.Duration
	packing bool
}

// duration is how long a run takes, and how long until its first pack is made.
type duration struct{ whole, packing time.Duration }

func newKilling(t *testing.T, source string, state simtest.State) *killing {
	t.Helper()
	k := openKilling(newPlace(t, source))
	k.state = state
	return k
}

// openKilling opens the store of a place with its restore key.
func openKilling(p *place) *killing {
	t := p.t
	t.Helper()
	k := &killing{place: p, opened: map[string]bool{}, in: map[pack.ChunkID]string{}}
	var err error
	k.driver, err = dir.Open(k.store)
	must(t, err)
	text, err := os.ReadFile(k.key)
	must(t, err)
	key, err := seal.ParseRestoreKey(text)
	must(t, err)
	store := providers.NewStore(k.driver, providers.Options{})
	header, err := manifest.OpenHeader(t.Context(), store, key.Owner().Public())
	must(t, err)
	sealed, err := store.Read(t.Context(), manifest.SecretsKey, "")
	must(t, err)
	secrets, err := key.OpenSecrets(sealed, header.Repository)
	must(t, err)
	k.checker = &simtest.Checker{Opener: key.Opener(), Namer: secrets.Namer(), Owner: key.Owner().Public(), Now: time.Now}
	k.look()
	return k
}

// neverRun takes everything back that runs have done.
func (k *killing) neverRun() *killing {
	k.t.Helper()
	must(k.t, os.RemoveAll(filepath.Join(k.store, "r")))
	must(k.t, os.RemoveAll(k.path("state")))
	k.checker = &simtest.Checker{Opener: k.checker.Opener, Namer: k.checker.Namer, Owner: k.checker.Owner, Now: time.Now}
	k.stored, k.opened, k.in = nil, map[string]bool{}, map[pack.ChunkID]string{}
	k.look()
	return k
}

// nextDay lets the practice work for a day.
func (k *killing) nextDay(made practice.Options) *killing {
	k.t.Helper()
	_, err := practice.Advance(k.t.Context(), made)
	must(k.t, err)
	k.state, err = simtest.ReadState(k.source)
	must(k.t, err)
	return k
}

// look lists the store and returns what is new by the prefix of its key.
func (k *killing) look() map[string]int {
	k.t.Helper()
	seen, fresh := map[string]bool{}, map[string]int{}
	for o, err := range k.driver.List(k.t.Context(), "", "") {
		must(k.t, err)
		seen[o.Key] = true
		if !k.stored[o.Key] {
			for _, prefix := range []string{manifest.PackPrefix, manifest.SegmentPrefix, manifest.LeasePrefix, manifest.RecordPrefix} {
				if strings.HasPrefix(o.Key, prefix) {
					fresh[prefix]++
				}
			}
		}
	}
	for key := range k.stored {
		if !seen[key] {
			k.t.Errorf("%s was stored and is gone", key)
		}
	}
	k.stored = seen
	return fresh
}

// wholeRun is a run that nobody kills.
func (k *killing) wholeRun() (d duration) {
	k.t.Helper()
	c := k.command("run", "--wait", "0s")
	start := time.Now()
	must(k.t, c.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.untilPacking(done)
		d.packing = time.Since(start)
	}()
	if code := exitOf(k.t, c.Wait()); code != exitDone {
		k.t.Fatalf("exit %d", code)
	}
	d.whole = time.Since(start)
	<-done
	k.settle(1)
	return d
}

// untilPacking waits until a run has made a pack.
func (k *killing) untilPacking(stop <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !k.journaled() {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// round kills one run, looks at what it left, and lets the next one finish. It
// returns the step that the kill hit; none if the run had ended before.
func (k *killing) round(at moment) (step string) {
	k.t.Helper()
	c := k.command("run", "--wait", "0s")
	must(k.t, c.Start())
	ended := make(chan struct{})
	go func() {
		if at.packing {
			k.untilPacking(ended)
		}
		select {
		case <-time.After(at.after):
			_ = c.Process.Kill()
		case <-ended:
		}
	}()
	code := exitOf(k.t, c.Wait())
	close(ended)
	if code == exitDone {
		k.settle(1)
		return ""
	}
	if code != -1 && code != 1 { // 1 is what Windows makes of it
		k.t.Fatalf("exit %d", code)
	}
	fresh := k.look()
	switch {
	case fresh[manifest.RecordPrefix] > 0:
		step = "6 commit or later"
	case fresh[manifest.SegmentPrefix]+fresh[manifest.LeasePrefix] > 0:
		step = "4 secure or 5 recheck"
	case fresh[manifest.PackPrefix] > 0:
		step = "3 upload, some packs stored"
	case k.journaled():
		step = "3 upload, a pack on its way"
	default:
		step = "1 to 3, no pack made"
	}
	k.want(exitDone, "check", "--depth", "objects")
	r := k.run("run", "--wait", "0s")
	committed := fresh[manifest.RecordPrefix]
	if want := []int{exitDone, exitNothingNew}[committed]; r.code != want {
		k.t.Fatalf("killed %+v in step %s; the next run: exit %d, want %d\n%s%s", at, step, r.code, want, r.stdout, r.stderr)
	}
	k.settle(1 - committed)
	return step
}

// journaled says whether a run has noted a pack and did not commit it.
func (k *killing) journaled() bool {
	info, err := os.Stat(k.path("state", "practice", "journal"))
	return err == nil && info.Size() > 0
}

// settle looks at a store when no run is under way: it has so many new records, and
// no chunk stands in two packs.
func (k *killing) settle(records int) {
	k.t.Helper()
	if n := k.look()[manifest.RecordPrefix]; n != records {
		k.t.Errorf("%d new records, want %d", n, records)
	}
	for key := range k.stored {
		if strings.HasPrefix(key, manifest.RecordPrefix) && !k.checker.Expected("", key) {
			k.checker.Expect("", key, k.state)
		}
	}
	if err := k.once(); err != nil {
		k.t.Error(err)
	}
}

// once wants every chunk in one pack only. It opens packs that it has not seen yet.
func (k *killing) once() error {
	for o, err := range k.driver.List(k.t.Context(), manifest.PackPrefix, "") {
		if err != nil {
			return err
		}
		if k.opened[o.Key] {
			continue
		}
		k.opened[o.Key] = true
		sealed, err := k.driver.Get(k.t.Context(), o.Key, "", 0, -1)
		if err != nil {
			return err
		}
		plain, err := k.checker.Opener.Open(sealed)
		if err != nil {
			return err
		}
		r, err := pack.ParsePlain(plain)
		if err != nil {
			return err
		}
		for _, c := range r.Directory().Chunks {
			if other, twice := k.in[c.ID]; twice {
				return fmt.Errorf("chunk %v was stored again: it stands in %s and %s", c.ID, other, o.Key)
			}
			k.in[c.ID] = o.Key
		}
	}
	return nil
}

// complete reads the whole store anew: every snapshot is what the source was.
func (k *killing) complete() {
	k.t.Helper()
	if err := k.checker.Check(k.t.Context(), "", k.driver); err != nil {
		k.t.Error(err)
	}
}

// A restore that is killed leaves no file under its name that is not whole, and the
// same command goes on from there.
func TestRestoreKilledAtAnyMomentIsGoneOnWith(t *testing.T) {
	t.Parallel()
	source := filepath.Join(t.TempDir(), "databackup")
	_, err := practice.Generate(t.Context(), practice.Options{Dir: source, Size: 20e6, Seed: 51})
	must(t, err)
	p := newPlace(t, source)
	p.want(exitDone, "run", "--wait", "0s")
	_, whole := p.restore(exitDone, "latest", "whole")
	want := facts(t, source)
	for name, f := range want { // times are given last of all to folders
		if f.mode.IsDir() {
			delete(want, name)
		}
	}
	moments := 10
	if raceDetector {
		moments = 4
	}
	chance := rand.New(rand.NewPCG(51, 1))
	for killed, tried := 0, 0; killed < moments; tried++ {
		if tried > 5*moments {
			t.Fatal("it is always faster than it can be killed")
		}
		to := p.path(fmt.Sprint("back ", tried))
		args := []string{"restore", "latest", "--to", to, "--restore-key", p.key}
		c := p.command(args...)
		must(t, c.Start())
		after := time.Duration((float64(killed) + chance.Float64()) / float64(moments) * float64(whole.took))
		timer := time.AfterFunc(after, func() { _ = c.Process.Kill() })
		code := exitOf(t, c.Wait())
		timer.Stop()
		if code == exitDone {
			whole.took = whole.took * 7 / 8
			continue
		}
		killed++
		if _, err := os.Stat(to); err == nil {
			for name, f := range facts(t, to) {
				if w, ok := want[name]; ok && f != w {
					t.Errorf("killed after %v: %s came back as %v, was %v", after, name, f, w)
				}
			}
		}
		// Without its marker it was killed on its way out, when all was done.
		_, unmarked := os.Stat(filepath.Join(to, ".offsite-restore"))
		if names, _ := os.ReadDir(to); len(names) == 0 || unmarked == nil {
			p.want(exitDone, args...)
		}
		equal(t, facts(t, source), facts(t, to))
	}
}
