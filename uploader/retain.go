package uploader

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/providers"
	"offsite/retention"
)

// life is how long a snapshot is kept, and why.
type life struct {
	until   time.Time
	classes []string
}

// Snapshots returns what a retention plan needs to know of committed snapshots.
// until holds leases that were raised after the commit, by sequence number.
func Snapshots(refs []manifest.Ref, until map[uint64]time.Time) ([]retention.Snapshot, error) {
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
		out = append(out, s)
	}
	return out, nil
}

func snapshotID(seq uint64) string { return strconv.FormatUint(seq, 10) }

// decide plans the life of the snapshot that is about to be committed to t.
func (r *run) decide(t *target, verdict string) (life, error) {
	snapshots, err := Snapshots(t.refs, t.until)
	if err != nil {
		return life{}, err
	}
	next := retention.Snapshot{ID: snapshotID(t.nextSeq), Date: r.date, Revision: t.revision(r.date.String()), Time: r.now, Verdict: retention.Verdict(verdict)}
	plan, err := retention.NewPlan(r.cfg.Calendar, r.cfg.Policy, append(snapshots, next), r.now)
	if err != nil {
		return life{}, err
	}
	kept, ok := plan.Of(next.ID)
	if !ok {
		return life{}, fmt.Errorf("plan retention: the new snapshot is missing from the plan")
	}
	l := life{until: kept.Until}
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

// promote raises the leases of older snapshots that the new one makes keepers, and
// of those that anything else keeps longer than they are leased. What fails here is
// reported and made up for by the next run.
func (r *run) promote(ctx context.Context, t *target) {
	if t.ref.Key == "" && !t.done {
		return
	}
	if err := r.raiseKeepers(ctx, t); err != nil {
		t.fail(fmt.Errorf("raise keepers: %w", err))
	}
}

func (r *run) raiseKeepers(ctx context.Context, t *target) error {
	snapshots, err := Snapshots(t.refs, t.until)
	if err != nil {
		return err
	}
	plan, err := retention.NewPlan(r.cfg.Calendar, r.cfg.Policy, snapshots, r.now)
	if err != nil {
		return err
	}
	var done []manifest.SnapshotLease
	var first error
	for _, raise := range plan.Raises() {
		ref, ok := t.snapshot(raise.ID)
		if !ok {
			continue
		}
		if err := r.raiseSnapshot(ctx, t, ref, raise.Until); err != nil {
			// One that has lost an object must not keep the others from being raised.
			if first == nil {
				first = err
			}
			if !errors.Is(err, providers.ErrNotExist) {
				break
			}
			continue
		}
		done = append(done, manifest.SnapshotLease{Seq: ref.Record.Seq, Until: manifest.At(raise.Until), Class: string(raise.Class)})
		t.until[ref.Record.Seq] = raise.Until
	}
	return errors.Join(first, r.writeLeases(ctx, t, done))
}

func (t *target) snapshot(id string) (manifest.Ref, bool) {
	for _, ref := range t.refs {
		if snapshotID(ref.Record.Seq) == id {
			return ref, true
		}
	}
	return manifest.Ref{}, false
}

// raiseSnapshot raises the lease of everything a snapshot needs, its record last:
// a record that is kept promises that its packs are.
func (r *run) raiseSnapshot(ctx context.Context, t *target, ref manifest.Ref, until time.Time) error {
	var g group
	g.limit(raising)
	for _, o := range manifest.Needs(ref) {
		g.run(func() error {
			s := o.Leased(t.kept[o.Pin().Name])
			_, err := r.extend(ctx, t, s, until)
			return err
		})
	}
	if err := g.wait(); err != nil {
		return err
	}
	return t.store.Raise(ctx, ref.Key, ref.Version, r.leaseFor(until, pack.NameOf([]byte(ref.Key))))
}
