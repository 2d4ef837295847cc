package uploader_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/dir"
	"offsite/providers/mem"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/simtest"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// practicePC is one PC with its keys, its source and its stores, as tests use it.
// When the test ends, every store is read anew and every snapshot compared with
// what the source was when it was committed.
type practicePC struct {
	t testing.TB
	*clock
	restore *seal.RestoreKey
	owner   *seal.Owner
	key     *seal.UploadKey
	id      string // of the source
	source  string // folder
	state   string
	boxes   []*box
	stores  []uploader.Target
	log     *slog.Logger
	checker *simtest.Checker
	change  func(*uploader.Config) // optional
}

// clock is what the PC and all its stores see.
type clock struct{ now time.Time }

func (c *clock) nextDay() { c.now = c.now.AddDate(0, 0, 1) }

const sourceID = "0102030405060708"

func newPC(t testing.TB, source string) *practicePC {
	t.Helper()
	restore, err := seal.NewRestoreKey()
	check(t, err)
	owner := restore.Owner()
	secrets, err := seal.NewSecrets()
	check(t, err)
	key, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	check(t, err)
	p := &practicePC{t: t, clock: &clock{time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)}, restore: restore, owner: owner, key: key, id: sourceID,
		source: source, state: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	p.checker = &simtest.Checker{Opener: restore.Opener(), Namer: key.Namer(), Owner: key.Owner, Now: func() time.Time { return p.now }}
	t.Cleanup(p.check)
	return p
}

// newPractice is a PC with a source of a few files of every kind, and one store.
func newPractice(t testing.TB) (*practicePC, *box) {
	t.Helper()
	p := newPC(t, t.TempDir())
	p.write("letters/one.txt", "Dear colleague, thank you for the referral.\n")
	p.write("letters/two.txt", "Dear colleague, the X-ray is enclosed.\n")
	p.write("images/a.jpg", noise(1, 60<<10))
	p.write("images/b.jpg", noise(2, 700<<10))
	p.write("data/patients.fs5", noise(3, 200<<10))
	p.write("data/empty.fs5", "")
	check(t, os.MkdirAll(p.path("unused"), 0o755))
	return p, p.addMem("first")
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noise is n bytes that do not compress, the same for the same seed.
func noise(seed uint64, n int) string {
	b := make([]byte, n)
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	rand.NewChaCha8(s).Read(b)
	return string(b)
}

func (p *practicePC) path(rel string) string { return filepath.Join(p.source, filepath.FromSlash(rel)) }

// write makes or replaces a file of the source.
func (p *practicePC) write(rel, content string) {
	p.t.Helper()
	check(p.t, os.MkdirAll(filepath.Dir(p.path(rel)), 0o755))
	check(p.t, os.WriteFile(p.path(rel), []byte(content), 0o644))
}

// edit changes bytes of a file in place.
func (p *practicePC) edit(rel string, off int64, b string) {
	p.t.Helper()
	f, err := os.OpenFile(p.path(rel), os.O_WRONLY, 0)
	check(p.t, err)
	_, err = f.WriteAt([]byte(b), off)
	check(p.t, errors.Join(err, f.Close()))
}

// addMem founds another store of the practice in memory.
func (p *practicePC) addMem(name string) *box {
	p.t.Helper()
	b := newBox(p.t, name, p.newMem(name))
	p.addStore(name, b.hook)
	p.boxes = append(p.boxes, b)
	return b
}

func (p *practicePC) newMem(name string) *mem.Mem {
	return mem.New(mem.Options{Now: func() time.Time { return p.now },
		Report: func(breach string) { p.t.Errorf("store %s: %s", name, breach) }})
}

// addStore founds another store of the practice on d.
func (p *practicePC) addStore(name string, d providers.Driver) *providers.Store {
	p.t.Helper()
	s := p.open(d)
	check(p.t, manifest.Found(p.t.Context(), s, manifest.Founding{
		Header: manifest.Header{Format: 1, Repository: p.key.Repository, Created: manifest.At(p.now), Owner: manifest.Public(p.key.Owner),
			Restore: p.key.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable},
		Enrolment: p.enrolment(), Owner: p.owner, Sealed: map[string][]byte{},
	}))
	p.stores = append(p.stores, uploader.Target{Name: name, Store: s})
	return s
}

func (p *practicePC) enrolment() manifest.Enrolment {
	return manifest.Enrolment{Format: 1, Repository: p.key.Repository, PC: p.key.PC, Signing: manifest.Public(p.key.Public()), Created: manifest.At(p.now)}
}

// open is a store that never waits.
func (p *practicePC) open(d providers.Driver) *providers.Store {
	return providers.NewStore(d, providers.Options{Sleep: func(context.Context, time.Duration) error { return nil }})
}

func (p *practicePC) config() uploader.Config {
	cal, err := retention.NewCalendar(retention.Settings{Zone: "UTC", Region: "none"})
	check(p.t, err)
	cfg := uploader.Config{Key: p.key, Source: p.id, Stores: p.stores, State: p.state, Calendar: cal, Policy: retention.DefaultPolicy(),
		Now: func() time.Time { return p.now }, Log: p.log, Workers: 2}
	if p.change != nil {
		p.change(&cfg)
	}
	return cfg
}

func (p *practicePC) judge() verify.Passed {
	p.t.Helper()
	set, err := source.Scan(p.t.Context(), source.Options{Roots: []source.Root{{Path: p.source}}})
	check(p.t, err)
	profile, err := verify.Builtin("generic")
	check(p.t, err)
	passed, report := verify.Judge(p.t.Context(), set, profile, verify.Options{})
	if !passed.Valid() {
		p.t.Fatalf("set is not complete: %+v", report.Findings())
	}
	return passed
}

// run makes one run. Whatever it committed must hold what the source is now.
func (p *practicePC) run() (uploader.Result, error) {
	p.t.Helper()
	return p.runContext(p.t.Context())
}

func (p *practicePC) runContext(ctx context.Context) (uploader.Result, error) {
	p.t.Helper()
	was, err := simtest.ReadState(p.source)
	check(p.t, err)
	res, err := uploader.Run(ctx, p.config(), p.judge())
	p.expect(was)
	return res, err
}

// expect notes that records that nobody knows yet are of this state.
func (p *practicePC) expect(s simtest.State) {
	for _, b := range p.boxes {
		for _, key := range b.keys(manifest.RecordPrefix) {
			if !p.checker.Expected(b.name, key) {
				p.checker.Expect(b.name, key, s)
			}
		}
	}
}

// commit makes one run that must commit in every store.
func (p *practicePC) commit() uploader.Result {
	p.t.Helper()
	res, err := p.run()
	if err != nil {
		p.t.Fatalf("run: %v (%+v)", err, res.Stores)
	}
	for _, s := range res.Stores {
		if s.Err != nil || s.Ref.Key == "" {
			p.t.Fatalf("store %s: committed %q, error %v", s.Name, s.Ref.Key, s.Err)
		}
	}
	return res
}

// nothingNew makes one run that must find all done.
func (p *practicePC) nothingNew() {
	p.t.Helper()
	before := 0
	for _, b := range p.boxes {
		before += len(b.mem.Objects())
	}
	if res, err := p.run(); !errors.Is(err, uploader.ErrNothingNew) {
		p.t.Fatalf("run: %v, want nothing new (%+v)", err, res.Stores)
	}
	after := 0
	for _, b := range p.boxes {
		after += len(b.mem.Objects())
	}
	if before != after {
		p.t.Errorf("nothing new, and yet %d objects were stored", after-before)
	}
}

// fork is the same PC with copies of its stores and its local state, to go on from
// here in one of several ways. The source and the clock are shared; the clock is
// set to now.
func (p *practicePC) fork(t testing.TB, now time.Time) *practicePC {
	t.Helper()
	f := *p
	f.t, f.state, f.boxes, f.stores, f.checker = t, t.TempDir(), nil, nil, p.checker.Fork()
	f.clock.now = now
	check(t, os.CopyFS(f.state, os.DirFS(p.state)))
	for _, b := range p.boxes {
		f.adopt(b.name, b.mem.Clone())
	}
	t.Cleanup(f.check)
	return &f
}

// adopt uses a store that is founded already.
func (p *practicePC) adopt(name string, m *mem.Mem) *box {
	b := newBox(p.t, name, m)
	p.boxes = append(p.boxes, b)
	p.stores = append(p.stores, uploader.Target{Name: name, Store: p.open(b.hook)})
	return b
}

// check reads every store anew.
func (p *practicePC) check() {
	p.t.Helper()
	for _, b := range p.boxes {
		if err := p.checker.Check(context.Background(), b.name, b.mem); err != nil {
			p.t.Error(err)
		}
	}
}

// once fails the test if a store holds a chunk in two packs.
func (p *practicePC) once() {
	p.t.Helper()
	for _, b := range p.boxes {
		twice, err := p.checker.Twice(context.Background(), b.mem)
		if err != nil || len(twice) > 0 {
			p.t.Errorf("store %s: %d chunks were stored twice, %v", b.name, len(twice), err)
		}
	}
}

// result is what a run did in the store of that name.
func result(t testing.TB, res uploader.Result, name string) uploader.StoreResult {
	t.Helper()
	for _, s := range res.Stores {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no result for store %s", name)
	return uploader.StoreResult{}
}

func folder(t testing.TB) (*dir.Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	d, err := dir.Create(path)
	check(t, err)
	return d, path
}

// describe is for failures: what a run did.
func describe(res uploader.Result, err error) string {
	s := fmt.Sprint("error: ", err)
	for _, r := range res.Stores {
		s += fmt.Sprintf("; %s: committed %q, %d packs, error %v", r.Name, r.Ref.Key, r.Packs, r.Err)
	}
	return s
}
