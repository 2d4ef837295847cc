// Package uploader turns one judged set into committed snapshots, one in every
// store. It reads each file once, seals each new chunk once, and sends it to the
// stores that lack it; each store commits by itself, and one that is down catches
// up at the next run.
//
// It promises that a snapshot exists only when everything it names is durable and
// leased for as long as the snapshot; that after a crash at any point the next run
// finishes and sends nothing again that had arrived; that memory stays bounded
// whatever the size of the set. It refuses a set that was not judged, one that
// changes while it is read, and one with a file that cannot be read: then nothing
// is committed. It never writes into the source and removes nothing anywhere.
//
// PROTOCOL.md holds the order of writes and what a crash after each step leaves.
package uploader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/retention"
	"offsite/uploader/chunk"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// Config says what a run works with. All fields are required but those marked.
type Config struct {
	Key      *seal.UploadKey
	Source   string // id of the source, 16 hexadecimal digits
	Stores   []Target
	State    string // folder for local state of this source; made if missing
	Calendar *retention.Calendar
	Policy   retention.Policy
	Date     retention.Date // business date; zero: that of Now
	Now      func() time.Time
	Log      *slog.Logger
	Progress Progress // optional
	Workers  int      // optional; 0: one per core
	// ReadAll reads every file again and proves every pack that is relied on, so
	// that what is missing or damaged in a store is stored again.
	ReadAll bool
	// Observer sees what is read, and has a say before the commit. Optional.
	Observer Observer
}

// Observer sees the bytes of the files in the one pass that reads them. Wants and
// File are called from several goroutines.
type Observer interface {
	// Wants says whether a file must be read although nothing shows that it changed.
	Wants(entry int) bool
	// File returns what takes the bytes of one file in order. It is closed after the
	// last byte, or when reading the file failed before.
	File(entry int) io.WriteCloser
	// Findings is called once, after the last byte of the set and before anything is
	// committed. sum gives the SHA-256 of every file, read or not.
	Findings(sum func(entry int) [32]byte) []verify.Finding
}

// Target names a store of the run.
type Target struct {
	Name  string
	Store *providers.Store
}

// Progress is told how far a run is. Its functions may be nil and are called from
// several goroutines.
type Progress struct {
	Total func(bytes int64) // plain bytes that will be read
	Read  func(bytes int64) // that many more were read
}

// Errors of a run.
var (
	// ErrUnsettled: the set changed while it was read; nothing was committed.
	ErrUnsettled = errors.New("the backup set changed while it was read")
	// ErrIncomplete: what was read proves that the set is not whole; nothing was committed.
	ErrIncomplete = errors.New("the backup set is not whole")
	// ErrUnreadable: files of the set cannot be read; nothing was committed.
	ErrUnreadable = errors.New("files of the backup set cannot be read")
	// ErrRunning: another run of this source is under way on this PC.
	ErrRunning = errors.New("another run of this source is under way")
	// ErrNotEnrolled: the owner never enrolled this PC in the store; nobody would
	// believe what it commits there.
	ErrNotEnrolled = errors.New("this PC is not enrolled")
	// ErrStores: no store could be reached.
	ErrStores = errors.New("no store took the backup")
	// ErrNothingNew: every store holds this very set as this very day already.
	ErrNothingNew = errors.New("nothing new")
)

// Result says what a run did.
type Result struct {
	Date     retention.Date
	Verdict  string
	Files    int64
	Bytes    int64 // plain bytes of the set
	Read     int64 // plain bytes read
	New      int64 // plain bytes that at least one store lacked
	Stores   []StoreResult
	Unread   []Unread         // files that could not be read; for the local console only
	Changed  []string         // what changed while it was read; for the local console only
	Findings []verify.Finding // of the Observer
	Rotted   int              // files whose bytes changed behind an unchanged date
}

// StoreResult is what became of one store.
type StoreResult struct {
	Name   string
	Ref    manifest.Ref // zero: nothing was committed
	Packs  int          // put in this run
	Bytes  int64        // of all objects put
	Raised int          // leases raised
	Err    error        // why it is out; nil: committed
}

// Unread is a file that could not be read.
type Unread struct {
	Path string
	Err  error
}

// run is the state of one run.
type run struct {
	cfg    Config
	passed verify.Passed
	set    source.Set
	now    time.Time
	date   retention.Date

	namer    *seal.Namer
	sealer   *seal.Sealer
	cutter   *chunk.Cutter
	memory   *memory
	journal  *journal
	targets  []*target
	packer   *packer
	claims   *claims
	progress Progress

	free, spans chan *span
	fresh       atomic.Int64
	readBytes   atomic.Int64
}

// Run uploads one judged set. The steps are those of PROTOCOL.md; a crash between
// any two of them loses nothing that was committed before.
func Run(ctx context.Context, cfg Config, passed verify.Passed) (Result, error) {
	if !passed.Valid() {
		return Result{}, errors.New("upload set: it was not judged")
	}
	r, unlock, err := begin(cfg, passed)
	if err != nil {
		return Result{}, fmt.Errorf("upload set: %w", err)
	}
	defer unlock()
	res, err := r.steps(ctx)
	res.Date = r.date
	if err != nil {
		return res, fmt.Errorf("upload set: %w", err)
	}
	return res, nil
}

func (r *run) steps(ctx context.Context) (res Result, err error) {
	t := r.set.Totals()
	res.Files, res.Bytes, res.Verdict = int64(t.Files), t.Bytes, r.passed.Verdict().String()
	defer func() { r.sumUp(&res) }()

	// Learn what every store holds and what a crashed run left. Nothing is written.
	if err := r.openTargets(ctx); err != nil {
		return res, err
	}
	plan := r.plan()

	// New packs go to the stores, each leased from the moment it exists.
	// Crash: they lapse by themselves, or the next run finds them by the journal.
	content, err := r.upload(ctx, plan, &res)
	if err != nil {
		return res, r.settled(ctx, &res, err)
	}
	if err := r.observed(content, &res); err != nil {
		return res, err
	}
	res.Verdict = r.verdict(content)
	r.findDone(content)

	// Every older pack and segment that the snapshot relies on is leased for as long
	// as the snapshot; new index segments say where the new chunks stand.
	// Crash: leases are longer than they need be, which harms nothing.
	for _, t := range r.behind() {
		r.secure(ctx, t)
		r.leaveCanaries(ctx, t)
	}
	if err := r.anyLeft(ctx); err != nil {
		return res, err
	}

	// Anything that changed while it was read makes the set void: settle again.
	if len(r.behind()) > 0 {
		if err := r.recheck(ctx, &res); err != nil {
			return res, err
		}
	}

	// COMMIT: from here on the snapshot exists in that store.
	// Crash before: nothing happened. Crash after: the day is safe; the steps below
	// are repeated by the next run.
	for _, t := range r.behind() {
		r.commit(ctx, t, content)
	}
	if err := r.remember(content); err != nil {
		return res, err
	}

	// Look at what was written, and lease the keepers of a period that has ended.
	for _, t := range r.live() {
		r.readBack(ctx, t)
		r.promote(ctx, t)
	}
	return res, r.outcome(ctx)
}

// outcome is what a run that came to its end reports of all stores together. What
// became of each stands in the result.
func (r *run) outcome(ctx context.Context) error {
	committed, done := 0, 0
	for _, t := range r.targets {
		switch {
		case t.ref.Key != "":
			committed++
		case t.done && t.failed() == nil:
			done++
		}
	}
	switch {
	case committed > 0:
		return nil
	case done == len(r.targets):
		return ErrNothingNew
	}
	return r.anyLeft(ctx)
}

// begin prepares a run and takes the lock of its source.
func begin(cfg Config, passed verify.Passed) (r *run, unlock func(), err error) {
	if len(cfg.Stores) == 0 || len(cfg.Stores) > MaxStores {
		return nil, nil, fmt.Errorf("%d stores configured, want 1 to %d", len(cfg.Stores), MaxStores)
	}
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if err := os.MkdirAll(cfg.State, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make state folder: %w", err)
	}
	lock := flock.New(filepath.Join(cfg.State, "lock"))
	switch ok, err := lock.TryLock(); {
	case err != nil:
		return nil, nil, fmt.Errorf("lock state folder: %w", err)
	case !ok:
		return nil, nil, ErrRunning
	}
	defer func() {
		if err != nil {
			lock.Unlock()
		}
	}()
	r = &run{cfg: cfg, passed: passed, set: passed.Set(), now: cfg.Now(), date: cfg.Date, namer: cfg.Key.Namer(),
		cutter: chunk.New(cfg.Key.Namer().Cut()), claims: newClaims(), progress: cfg.Progress}
	if r.date == (retention.Date{}) {
		r.date = cfg.Calendar.BusinessDate(r.now)
	}
	if r.sealer, err = cfg.Key.Sealer(); err != nil {
		return nil, nil, err
	}
	if r.memory, err = loadMemory(r.path("files"), r.memoryHead()); err != nil {
		return nil, nil, err
	}
	return r, func() { r.close(); lock.Unlock() }, nil
}

func (r *run) close() {
	if r.journal != nil {
		r.journal.close()
	}
}

func (r *run) path(name string) string { return filepath.Join(r.cfg.State, name) }

func (r *run) pathHash(path string) [16]byte { return r.namer.Path([]byte(path)) }

// openTargets opens every store; those that cannot be opened are out of this run.
func (r *run) openTargets(ctx context.Context) error {
	j, segments, err := openJournal(r.path("journal"))
	if err != nil {
		return err
	}
	r.journal = j
	var g group
	for i, s := range r.cfg.Stores {
		t := &target{name: s.Name, store: s.Store, bit: 1 << i, log: r.cfg.Log,
			orphans: min(journalTrust, r.cfg.Policy.Floor-r.cfg.Policy.Guard)}
		r.targets = append(r.targets, t)
		g.run(func() error {
			err := t.open(ctx, r.cfg.Key, r.cfg.Source, segments, r.cfg.Policy, r.now)
			if err == nil && r.cfg.ReadAll {
				err = t.verify(ctx)
			}
			if err != nil {
				t.fail(err)
			}
			return nil
		})
	}
	g.wait()
	return r.anyLeft(ctx)
}

// live returns the stores that are still in this run.
func (r *run) live() []*target {
	out := make([]*target, 0, len(r.targets))
	for _, t := range r.targets {
		if !t.out.Load() {
			out = append(out, t)
		}
	}
	return out
}

// behind returns the stores in this run that lack the new snapshot.
func (r *run) behind() []*target {
	return slices.DeleteFunc(r.live(), func(t *target) bool { return t.done || t.ref.Key != "" })
}

// anyLeft is nil as long as at least one store is in this run.
func (r *run) anyLeft(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := ErrStores
	for _, t := range r.targets {
		f := t.failed()
		if f == nil {
			return nil
		}
		err = fmt.Errorf("%w; %s: %w", err, t.name, f)
	}
	return err
}

// missing returns the live stores that lack a chunk.
func (r *run) missing(id pack.ChunkID) (m mask) {
	for _, t := range r.targets {
		if !t.out.Load() && !t.holds(id) {
			m |= t.bit
		}
	}
	return m
}

// covered says whether every live store holds all chunks of a file.
func (r *run) covered(old *remembered) bool {
	for i := range old.chunks() {
		if r.missing(old.chunk(i)) != 0 {
			return false
		}
	}
	return true
}

// stored says the same without relying on those chunks: whether the file still is
// made of them is not known yet, and a pack that is not needed must lapse.
func (r *run) stored(old *remembered) bool {
	for _, t := range r.live() {
		for i := range old.chunks() {
			if t.find(old.chunk(i)) == nil {
				return false
			}
		}
	}
	return true
}

// deliver hands a pack to its stores. The last one to finish gives its buffer back.
func (r *run) deliver(ctx context.Context, stores mask, p *sealedPack) error {
	for _, t := range r.targets {
		if stores&t.bit == 0 || t.out.Load() {
			continue
		}
		p.refs.Add(1)
		t.queue <- p // its goroutines take everything until stop, failed or not
	}
	go func() {
		p.refs.Wait()
		p.giveUp()
	}()
	return r.anyLeft(ctx)
}

// countRead notes that n plain bytes were read.
func (r *run) countRead(n int) {
	r.readBytes.Add(int64(n))
	if r.progress.Read != nil {
		r.progress.Read(int64(n))
	}
}

func (r *run) sumUp(res *Result) {
	res.New, res.Read = r.fresh.Load(), r.readBytes.Load()
	for _, t := range r.targets {
		t.mu.Lock()
		res.Stores = append(res.Stores, StoreResult{Name: t.name, Ref: t.ref, Packs: len(t.entries), Bytes: t.bytes, Raised: t.raised, Err: t.err})
		t.mu.Unlock()
	}
}
