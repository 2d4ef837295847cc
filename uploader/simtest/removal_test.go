package simtest_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/manifest/restore"
	"offsite/providers"
	"offsite/uploader/simtest"
)

// remove is what happens in the stores at night: the provider removes what has
// lapsed, the sweep does where the store keeps no leases, and the lease manager
// raises what the records ask for.
func (w *world) remove() {
	if w.day < w.lazy {
		return
	}
	w.gate.drive(w.removal())
}

// removal is whoever removes, as an actor among others.
func (w *world) removal() *actor {
	a := &actor{name: "removal"}
	go func() {
		defer func() { a.ended.Store(true); w.gate.ring() }()
		for _, b := range w.boxes {
			w.gate.enter(a.name, "begin", b.name)
			if b.down {
				continue
			}
			switch b.kind {
			case records:
				w.sweep(a, b)
			case managed:
				w.manage(a, b)
				fallthrough
			case native:
				w.gate.enter(a.name, "lapse", b.name)
				gone := b.mem.Lapse(manifest.Removable)
				w.stats.removed += len(gone)
				if b.managed == b.writes {
					b.managed += len(gone) // what went needs no lease
				}
				b.wrote(gone...)
				b.lost(gone...)
				w.note("store %s: %d objects lapsed", b.name, len(gone))
			}
		}
	}()
	return a
}

// sweepEvery is how often somebody sweeps, in days.
const sweepEvery = 7

// sweep is the program's own sweep, by the clock of the first PC: the plan from what
// the store says now, then one removal after the other, while others go on using the
// store. What the thief left among the documents somebody has looked at.
func (w *world) sweep(a *actor, b *box) {
	if w.day%sweepEvery != 0 && !w.lapsing && !w.over {
		return
	}
	p, ctx := w.pcs[0], context.Background()
	store := b.open(w.gate, a, &b.near[2])
	now, err := keep.Now(w.now(), w.now().Add(p.clock))
	if err != nil {
		w.note("store %s: sweep: %v", b.name, err)
		return
	}
	trust := w.trust(b.reader())
	e, err := keep.Read(ctx, store, trust, keep.Options{})
	must(err)
	var known []string
	for _, d := range e.Bad() {
		if w.thief.wrote(b, d.Key) {
			known = append(known, d.Key)
		}
	}
	if len(known) > 0 {
		e, err = keep.Read(ctx, store, trust, keep.Options{Disregard: known})
		must(err)
	}
	if err := e.Alive(now); err != nil && !w.over {
		w.note("store %s: sweep: %v", b.name, err)
		return
	}
	s := keep.Sweep{Store: store, Remover: remover{w, a, b}, Log: &keep.Log{Store: store, Trust: trust, Repository: p.key.Repository, PC: p.key.PC, Key: p.key.Signing}}
	done, err := s.Run(ctx, e, e.Plan(now), now)
	if err != nil && !errors.Is(err, keep.ErrChanged) {
		w.fail("I9 store %s: sweep: %v", b.name, err)
	}
	w.stats.removed += done.Removed
	w.note("store %s: %d objects swept, %v", b.name, done.Removed, err)
}

// remover is the credential that may remove.
type remover struct {
	w *world
	a *actor
	b *box
}

func (r remover) Remove(_ context.Context, key string, _ providers.Version) error {
	r.w.gate.enter(r.a.name, "remove", r.b.name+" "+key)
	r.b.mem.Lose(key)
	r.b.wrote(key)
	r.b.lost(key)
	return nil
}

func (w *world) trust(store *providers.Store) *manifest.Trust {
	header, err := manifest.OpenHeader(context.Background(), store, w.checker.Owner)
	must(err)
	trust, err := manifest.LoadTrust(context.Background(), store, header)
	must(err)
	return trust
}

// maxManaged is the longest lease that the manager grants: it knows the rules.
const maxManaged = 10 * 366 * day

// manage is the program's own lease manager: it raises what the signed records ask
// for, and holds no key but the owner's public one.
func (w *world) manage(a *actor, b *box) {
	if b.managed == b.writes {
		return // nothing was written since: nobody asks for more
	}
	ctx, seen := context.Background(), b.writes
	store := providers.NewStore(leasingPort{port{b, w.gate, a, b.mem}}, providers.Options{Cache: &b.near[2], Near: manifest.Near})
	e, err := keep.Read(ctx, store, w.trust(store), keep.Options{Longest: maxManaged})
	must(err)
	done, err := keep.Manage(ctx, store, e.Raises(w.now(), w.policy.Lease, func(keep.Place) time.Time { return time.Time{} }))
	if err != nil {
		w.note("store %s: lease manager: %v", b.name, err)
	} else {
		b.managed = seen + len(done.Raised) + len(done.Missing) // but what it asked for itself
	}
}

// restoreOne brings one snapshot of each store back with the restore key, through
// the program's own reader, and compares the files.
func (w *world) restoreOne(arg uint64) {
	for _, b := range w.boxes {
		s := b.pick(w, arg)
		if s == nil || b.down {
			continue
		}
		ctx := context.Background()
		store := b.reader()
		to := filepath.Join(w.root, "restored")
		must(os.RemoveAll(to))
		err := func() error {
			ref, err := manifest.ReadRecord(ctx, store, w.trust(store), s.key, "")
			if err != nil {
				return err
			}
			snapshot, err := restore.Open(ctx, store, w.checker.Opener, ref)
			if err != nil {
				return err
			}
			if _, err := snapshot.Restore(ctx, restore.Options{To: to, Workers: 1, Log: slog.New(slog.DiscardHandler)}); err != nil {
				return err
			}
			got, err := simtest.ReadState(to)
			if err != nil {
				return err
			}
			return w.checker.Same(b.name, s.key, got)
		}()
		if err != nil {
			w.fail("I1 store %s: %s cannot be restored: %v", b.name, s.key, err)
		}
		w.stats.restored++
	}
}

// finish lets the practice fall silent for ever and watches its stores: the newest
// clean week outlives the silence that the rules allow for, and in bounded time
// everything is gone without anybody's doing.
func (w *world) finish() {
	for _, b := range w.boxes {
		b.down = false
	}
	w.lazy, w.over = 0, true
	for _, p := range w.pcs {
		p.clock = 0
	}
	for i := range 20 {
		w.step(7 + 21*min(1, i/10))
		if len(w.wrong) > 0 {
			return
		}
	}
	last := w.now()
	for _, b := range w.boxes {
		promised := b.ledger.promises()
		for _, s := range b.ledger.snaps {
			last = later(last, s.until(promised))
		}
		for _, d := range promised.objects {
			last = later(last, d)
		}
	}
	// What lapses in the meantime needs no steps of its own: removal is idempotent.
	time.Sleep(last.Sub(w.now()) + 70*day)
	for range 3 {
		w.step(40)
	}
	for _, b := range w.boxes {
		var left []string
		for key := range b.ledger.objects {
			if strings.HasPrefix(key, manifest.Removable) && !w.thief.wrote(b, key) {
				left = append(left, key)
			}
		}
		if len(left) > 0 && len(w.wrong) == 0 {
			slices.Sort(left)
			w.fail("I9 store %s: %d objects are left after the last lease: %v", b.name, len(left), left[:min(4, len(left))])
		}
	}
}

// step is some days of silence.
func (w *world) step(days int) {
	time.Sleep(time.Duration(days) * day)
	w.day += days
	w.remove()
	w.audit()
}
