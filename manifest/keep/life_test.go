package keep_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/simtest"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// practice is two PCs whose real runs fill one store that is swept.
type practice struct {
	*shop
	rng     *rand.Rand
	pcs     [2]office
	checker *simtest.Checker
	native  bool
	signed  bool
	removed int
	crashes int
	skipped int
}

type office struct {
	key    *seal.UploadKey
	source string // id
	folder string
	state  string
}

func newPractice(t *testing.T, seed uint64) *practice {
	t.Helper()
	p := &practice{rng: rand.New(rand.NewPCG(seed, 9)), native: seed%2 == 1, signed: seed%3 > 0}
	p.shop = newShop(t, p.native)
	p.checker = &simtest.Checker{Opener: p.key.Opener(), Namer: p.pc.Namer(), Owner: p.pc.Owner, Now: func() time.Time { return p.now }}
	for i, key := range []*seal.UploadKey{p.pc, p.other} {
		p.pcs[i] = office{key, fmt.Sprintf("%016x", i+1), t.TempDir(), t.TempDir()}
		p.work(&p.pcs[i])
	}
	return p
}

// work is a day in the practice: some files are written anew, some go.
func (p *practice) work(o *office) {
	for i := range 4 {
		name := filepath.Join(o.folder, fmt.Sprintf("file%d.txt", i))
		if _, err := os.Stat(name); err == nil && p.rng.IntN(3) > 0 {
			continue
		}
		b := make([]byte, 100+p.rng.IntN(300))
		for j := range b {
			b[j] = byte(p.rng.Uint32())
		}
		check(p.t, os.WriteFile(name, b, 0o600))
		check(p.t, os.Chtimes(name, p.now, p.now))
	}
}

// run stores what a PC has now, through a store that may die at one of its writes.
func (p *practice) run(o *office) {
	p.t.Helper()
	was, err := simtest.ReadState(o.folder)
	check(p.t, err)
	set, err := source.Scan(p.t.Context(), source.Options{Roots: []source.Root{{Path: o.folder}}, Workers: 1})
	check(p.t, err)
	profile, err := verify.Builtin("generic")
	check(p.t, err)
	passed, report := verify.Judge(p.t.Context(), set, profile, verify.Options{})
	if !passed.Valid() {
		p.t.Fatalf("set is not complete: %+v", report.Findings())
	}
	cal, err := retention.NewCalendar(retention.Settings{Zone: "UTC", Region: "none"})
	check(p.t, err)
	policy := retention.DefaultPolicy()
	policy.BusinessDays, policy.Months, policy.Quarters, policy.FiscalYears = 3, 2, 1, 0
	policy.Floor, policy.Weekly, policy.Silence, policy.SlackMin, policy.SlackMax = 7*day, 10*day, 10*day, day, 3*day
	dies := int32(1 << 30)
	if p.rng.IntN(6) == 0 {
		dies = p.rng.Int32N(12)
	}
	var writes atomic.Int32
	before := func(string) error {
		if writes.Add(1) > dies {
			return &providers.Error{Op: "any", Kind: providers.ErrDenied}
		}
		return nil
	}
	var d providers.Driver = &stopper{Driver: bare{p.mem.Plain()}, before: before}
	if p.native {
		d = &raiser{&stopper{Driver: p.mem, before: before}, p.mem}
	}
	_, err = uploader.Run(p.t.Context(), uploader.Config{Key: o.key, Source: o.source, State: o.state, Calendar: cal, Policy: policy,
		Stores: []uploader.Target{{Name: "store", Store: p.open(d)}}, Now: func() time.Time { return p.now },
		Log: slog.New(slog.DiscardHandler), Workers: 1}, passed)
	if err != nil && !errors.Is(err, uploader.ErrNothingNew) && !errors.Is(err, providers.ErrDenied) {
		p.t.Fatalf("run: %v", err)
	}
	for _, obj := range p.mem.Objects() {
		if strings.HasPrefix(obj.Key, manifest.RecordPrefix+o.source) && !p.checker.Expected("store", obj.Key) {
			p.checker.Expect("store", obj.Key, was)
		}
	}
}

// raiser is a stopper whose store keeps leases.
type raiser struct {
	*stopper
	leaser providers.Leaser
}

func (r *raiser) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	if err := r.before(key); err != nil {
		return err
	}
	return r.leaser.Raise(ctx, key, v, until)
}

// sweepTonight sweeps as the verb does, through a remover that may die.
func (p *practice) sweepTonight() {
	p.t.Helper()
	e := p.evidence(keep.Options{})
	if bad := e.Bad(); len(bad) > 0 {
		p.t.Fatalf("bad documents: %v", bad)
	}
	if err := e.Alive(p.now); err != nil {
		p.skipped++
		return
	}
	p.sweepBy(e)
}

func (p *practice) sweepBy(e *keep.Evidence) {
	p.t.Helper()
	dies := int32(1 << 30)
	if p.rng.IntN(4) == 0 {
		dies = p.rng.Int32N(8)
		p.crashes++
	}
	var steps atomic.Int32
	before := func(string) error {
		if steps.Add(1) > dies {
			return &providers.Error{Op: "any", Kind: providers.ErrDenied}
		}
		return nil
	}
	var r providers.Sweeper = &remover{shop: p.shop, fail: before}
	if p.native {
		r = &mortal{p.mem, before}
	}
	log := p.log(p.signed)
	log.Store = p.open(&stopper{Driver: p.mem.Plain(), before: before})
	w := keep.Sweep{Store: p.store, Remover: r, Log: log}
	done, err := w.Run(p.t.Context(), e, e.Plan(p.now), p.now)
	if err != nil && !errors.Is(err, providers.ErrDenied) {
		p.t.Fatalf("sweep: %v", err)
	}
	p.removed += done.Removed
}

type mortal struct {
	providers.Sweeper
	before func(key string) error
}

func (m *mortal) Remove(ctx context.Context, key string, v providers.Version) error {
	if err := m.before(key); err != nil {
		return err
	}
	return m.Sweeper.Remove(ctx, key, v)
}

// TestSweepsOfRandomLives: real runs of two PCs, with crashes and silence, and real
// sweeps with crashes. Whatever was committed and has not expired is whole after
// every sweep; when the last lease is over, nothing is left. OFFSITE_LIVES says how
// many lives.
func TestSweepsOfRandomLives(t *testing.T) {
	lives := uint64(2)
	if text := os.Getenv("OFFSITE_LIVES"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		check(t, err)
		lives = n
	}
	for seed := range lives {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			p := newPractice(t, seed)
			for n := range 70 {
				for i := range p.pcs {
					if o := &p.pcs[i]; p.rng.IntN(3+4*i) < 2 && (n < 36 || n > 40+int(seed%8)*2) {
						p.work(o)
						p.run(o)
					}
				}
				p.now = p.now.Add(time.Duration(3+p.rng.IntN(6)) * time.Hour)
				if p.rng.IntN(3) > 0 {
					p.sweepTonight()
				}
				if n%6 == 5 {
					p.proveAll()
				}
				p.now = founded.Add(time.Duration(n+1) * day)
			}
			if p.removed == 0 || p.crashes == 0 {
				t.Errorf("a life in which nothing happened: %d removed, %d crashes", p.removed, p.crashes)
			}
			p.proveAll()
			p.fallSilent()
			t.Logf("%d objects removed, %d sweeps crashed, %d left out for silence", p.removed, p.crashes, p.skipped)
		})
	}
}

func (p *practice) proveAll() {
	p.t.Helper()
	if err := p.checker.Check(p.t.Context(), "store", p.mem); err != nil {
		p.t.Fatal(err)
	}
}

// fallSilent lets the last lease pass.
func (p *practice) fallSilent() {
	p.t.Helper()
	p.now = p.now.Add(30 * day)
	for range 40 {
		p.now = p.now.Add(20 * day)
		e := p.evidence(keep.Options{})
		if p.sweepBy(e); e.Objects() == 0 {
			break
		}
		p.proveAll()
	}
	for _, o := range p.mem.Objects() {
		if strings.HasPrefix(o.Key, manifest.Removable) {
			p.t.Errorf("%s is left", o.Key)
		}
	}
	open := 0
	for _, n := range p.logged() {
		switch n.Kind {
		case keep.Intent:
			open++
		case keep.Outcome:
			open--
		}
	}
	if open < 0 || open > 1 { // the last one may have crashed
		p.t.Errorf("%d announcements have no outcome", open)
	}
}
