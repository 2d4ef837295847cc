package uploader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/providers"
	"offsite/retention"
	"offsite/uploader/verify"
)

// life is how long a snapshot is kept, and why.
type life struct {
	until   time.Time
	firm    time.Time // the part that must be leased at the commit
	classes []string
}

// Snapshots returns what a retention plan needs to know of committed snapshots.
// until holds leases that were raised after the commit, by sequence number; notes
// are what was said about them since.
func Snapshots(refs []manifest.Ref, until map[uint64]time.Time, notes manifest.Notes) ([]retention.Snapshot, error) {
	out := make([]retention.Snapshot, 0, len(refs)+1)
	for _, ref := range refs {
		rec := &ref.Record
		date, err := retention.ParseDate(rec.Date)
		if err != nil {
			return nil, err
		}
		s := retention.Snapshot{ID: snapshotID(rec.Seq), Date: date, Revision: rec.Revision, Time: rec.Time.Time,
			Verdict: retention.Verdict(rec.Verdict), Until: rec.Expiry.Time}
		if u := until[rec.Seq]; u.After(s.Until) {
			s.Until = u
		}
		if n, ok := notes.Held(rec.Seq); ok {
			s.Hold = "since " + n.Time.Format(time.DateOnly)
		}
		s.Checked = notes.Checked(rec.Seq, rec.Time.Time)
		out = append(out, s)
	}
	return out, nil
}

func snapshotID(seq uint64) string { return strconv.FormatUint(seq, 10) }

// decide plans the life of the snapshot that is about to be committed to t.
func (r *run) decide(t *target, verdict string) (life, error) {
	snapshots, err := Snapshots(t.refs, t.until, t.notes)
	if err != nil {
		return life{}, err
	}
	next := retention.Snapshot{ID: snapshotID(t.nextSeq), Date: r.date, Revision: t.revision(r.date.String()), Time: t.now, Verdict: retention.Verdict(verdict)}
	plan, err := retention.NewPlan(r.cfg.Calendar, r.cfg.Policy, append(snapshots, next), t.now)
	if err != nil {
		return life{}, err
	}
	kept, ok := plan.Of(next.ID)
	if !ok {
		return life{}, fmt.Errorf("plan retention: the new snapshot is missing from the plan")
	}
	l := life{until: kept.Until, firm: kept.Firm}
	for _, reason := range kept.Reasons {
		l.classes = append(l.classes, reason.Text)
	}
	return l, nil
}

// revision is the number of a new snapshot among those of the same date.
func (t *target) revision(date string) int {
	n := 1
	for _, old := range t.refs {
		if old.Record.Date == date {
			n = max(n, old.Record.Revision+1)
		}
	}
	return n
}

// leaseFor is until when an object is leased that must be kept until need: later by
// a slack that differs from object to object, so that few leases need raising on
// any one day.
func (r *run) leaseFor(need time.Time, name pack.Name) time.Time {
	return r.cfg.Policy.Lease(need, name.String())
}

// secured is until when everything that the new snapshot needs is leased at its
// commit: for its whole life, if tonight's raises suffice for that, and else for the
// firm part of it. The rest is a promotion, and takes some nights.
func (r *run) secured(t *target) time.Time {
	short := 0
	for i := range t.packs {
		if p := &t.packs[i]; p.used.Load() && p.receipt.Lease().Before(t.life.until) {
			short++
		}
	}
	if short > r.nightly(t) {
		return t.life.firm
	}
	return t.life.until
}

// nightly is how many leases this run raises in a store, if nothing is urgent.
func (r *run) nightly(t *target) int { return r.cfg.Policy.Nightly(len(t.packs)) }

// promote raises the leases of older snapshots that the new one makes keepers, and
// of those that anything else keeps longer than they are leased. What fails here, or
// is more than a night's work, is made up for by the next run.
func (r *run) promote(ctx context.Context, t *target) {
	if t.ref.Key == "" && !t.done {
		return
	}
	r.raise(ctx, t)
}

func (r *run) raise(ctx context.Context, t *target) {
	if err := r.raiseKeepers(ctx, t); err != nil {
		t.fail(fmt.Errorf("raise keepers: %w", err))
	}
}

// Raise makes a run that stores nothing: it raises what the plan wants longer than
// it is leased. It is how a hold takes effect at once.
func Raise(ctx context.Context, cfg Config) (Result, error) {
	r, unlock, err := begin(cfg, verify.Passed{})
	if err != nil {
		return Result{}, fmt.Errorf("raise leases: %w", err)
	}
	defer unlock()
	var res Result
	err = r.openTargets(ctx)
	for _, t := range r.live() {
		r.raise(ctx, t)
	}
	if err == nil {
		err = r.anyLeft(ctx)
	}
	r.sumUp(&res)
	if err != nil {
		return res, fmt.Errorf("raise leases: %w", err)
	}
	return res, nil
}

func (r *run) raiseKeepers(ctx context.Context, t *target) error {
	snapshots, err := Snapshots(t.refs, t.until, t.notes)
	if err != nil {
		return err
	}
	plan, err := retention.NewPlan(r.cfg.Calendar, r.cfg.Policy, snapshots, t.now)
	if err != nil {
		return err
	}
	first := r.raiseObjects(ctx, t, plan)
	var done []manifest.SnapshotLease
	for _, raise := range plan.Raises() {
		ref, ok := t.snapshot(raise.ID)
		if !ok || !t.holdsUntil(ref, raise.Until) {
			continue
		}
		// The record comes last: one that is kept promises that its packs are. One that
		// had lapsed may go at any moment.
		lapsed := t.keptUntil(ref).Before(t.now)
		if err := t.store.Raise(ctx, ref.Key, ref.Version, r.leaseFor(raise.Until, pack.NameOf([]byte(ref.Key)))); err != nil {
			gone := errors.Is(err, providers.ErrNotExist)
			if !gone || !lapsed {
				first = cmp.Or(first, err)
			}
			if !gone {
				break
			}
			continue
		}
		done = append(done, manifest.SnapshotLease{Seq: ref.Record.Seq, Until: manifest.At(raise.Until), Class: string(raise.Class)})
		t.until[ref.Record.Seq], t.lasts[ref.Record.Seq] = raise.Until, raise.Until
		for _, o := range manifest.Needs(ref) {
			t.writeDown(o.Leased(t.kept[o.Pin().Name]), raise.Until)
		}
	}
	return errors.Join(first, r.writeLeases(ctx, t, done))
}

// raiseObjects raises as many of the objects that are due as the night allows. One
// that is lost must not keep the others from being raised. That something is gone
// of a snapshot which has lapsed is nobody's fault.
func (r *run) raiseObjects(ctx context.Context, t *target, plan retention.Plan) (lost error) {
	for _, s := range slices.Concat(t.stored, t.newSegments) {
		t.kept[s.Pin().Name], t.told[s.Pin().Name] = s.Lease(), s.Lease()
	}
	receipts, live := make(map[string]manifest.Stored), make(map[string]bool)
	miss := func(name string, err error) {
		if live[name] {
			lost = cmp.Or(lost, err)
		}
	}
	due := plan.Due(func(id string) iter.Seq2[string, time.Time] {
		return func(yield func(string, time.Time) bool) {
			ref, _ := t.snapshot(id)
			lapsed := t.keptUntil(ref).Before(t.now)
			for _, o := range manifest.Needs(ref) {
				name := o.Pin().Name.String()
				live[name] = live[name] || !lapsed
				lease, ok := t.kept[o.Pin().Name]
				if !ok {
					miss(name, fmt.Errorf("raise lease: %w: %s", providers.ErrNotExist, o.Key()))
					continue
				}
				receipts[name] = o.Leased(lease)
				if !yield(name, lease) {
					return
				}
			}
		}
	})
	var g group
	g.limit(raising)
	for _, d := range r.cfg.Policy.Tonight(due, r.nightly(t)-t.raised, t.now) {
		s := receipts[d.Name]
		g.run(func() error {
			_, err := r.extend(ctx, t, s, d.Need)
			if errors.Is(err, providers.ErrNotExist) {
				t.mu.Lock()
				defer t.mu.Unlock()
				miss(d.Name, err)
				return nil
			}
			return err
		})
	}
	return cmp.Or(g.wait(), lost)
}

// keptUntil is how long a snapshot is kept as things are.
func (t *target) keptUntil(ref manifest.Ref) time.Time {
	return later(ref.Record.Expiry.Time, t.lasts[ref.Record.Seq])
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// holdsUntil says whether everything that a snapshot needs is leased until then.
func (t *target) holdsUntil(ref manifest.Ref, until time.Time) bool {
	return !slices.ContainsFunc(manifest.Needs(ref), func(o manifest.Stored) bool { return t.kept[o.Pin().Name].Before(until) })
}

func (t *target) snapshot(id string) (manifest.Ref, bool) {
	for _, ref := range t.refs {
		if snapshotID(ref.Record.Seq) == id {
			return ref, true
		}
	}
	return manifest.Ref{}, false
}
