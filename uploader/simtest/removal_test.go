package simtest_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"offsite/manifest"
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
	w.gate.drive(w.remover())
}

// remover is whoever removes, as an actor among others.
func (w *world) remover() *actor {
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
				b.writes += len(gone)
				w.note("store %s: %d objects lapsed", b.name, len(gone))
			}
		}
	}()
	return a
}

const (
	// sweepDelay is how long after its lease has lapsed an object is swept.
	sweepDelay = day
	// unmentioned is how long an object is kept that no record mentions.
	unmentioned = 30 * day
)

// sweep removes what no record keeps: first the plan, from what the store says now,
// then one removal after the other, while others go on using the store.
func (w *world) sweep(a *actor, b *box) {
	kept := w.keptByRecords(b)
	now := w.now()
	var plan []providers.Object
	for _, o := range b.mem.Objects() {
		until, known := kept[o.Key]
		if !known {
			until = o.Modified.Add(unmentioned)
		}
		if strings.HasPrefix(o.Key, manifest.Removable) && until.Add(sweepDelay).Before(now) {
			plan = append(plan, o)
		}
	}
	for _, o := range plan {
		w.gate.enter(a.name, "remove", b.name+" "+o.Key)
		b.mem.Lose(o.Key)
		b.writes++
		w.stats.removed++
	}
	w.note("store %s: %d objects swept", b.name, len(plan))
}

// keptByRecords is what FORMAT.md says of a store without leases: an object is kept
// until the latest time that any record or lease record says.
func (w *world) keptByRecords(b *box) map[string]time.Time {
	w.absorb(b)
	kept := make(map[string]time.Time)
	keep := func(key string, until time.Time) { kept[key] = later(kept[key], until) }
	for _, s := range b.ledger.snaps {
		if !b.ledger.present(s) {
			continue
		}
		keep(s.key, s.expiry)
		for _, p := range s.pins {
			keep(p.key, s.expiry)
		}
	}
	for key, d := range b.ledger.leases {
		for name, until := range d.objects {
			keep(manifest.SegmentPrefix+name, until)
			keep(manifest.PackPrefix+name[:2]+"/"+name, until)
			keep(key, until)
		}
		for record, until := range d.snaps {
			keep(record, until)
			keep(key, until)
		}
	}
	return kept
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

// manage raises what the signed lease records ask for. The manager holds no key but
// the owner's public one.
func (w *world) manage(a *actor, b *box) {
	kept := w.keptByRecords(b)
	now := w.now()
	keys := make([]string, 0, len(kept))
	for key := range kept {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		o, ok := b.ledger.objects[key]
		if ok && o.Lease.Before(kept[key]) && kept[key].After(now) && kept[key].Sub(now) < maxManaged {
			w.gate.enter(a.name, "raise", b.name+" "+key)
			_ = b.mem.Raise(context.Background(), key, "", kept[key])
			b.writes++
		}
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
		store := providers.NewStore(b.mem, providers.Options{})
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
	w.lazy = 0
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
