package uploader_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/providers"
	"offsite/uploader"
)

// TestALyingLeaseRecordKeepsNothingFromBeingRaised: whoever has the PC's key signs
// that everything is kept for years. Where the store itself tells leases, it is
// believed, and later snapshots and keepers are raised all the same.
func TestALyingLeaseRecordKeepsNothingFromBeingRaised(t *testing.T) {
	p, box := newPractice(t)
	p.now = time.Date(2026, 11, 27, 22, 0, 0, 0, time.UTC)
	first := p.commit().Stores[0].Ref
	lie := manifest.LeaseRecord{Format: 1, Repository: p.key.Repository, Source: p.id, PC: p.key.PC, Time: manifest.At(p.now)}
	for _, s := range manifest.Needs(first) {
		l := s.ObjectLease()
		l.Until = manifest.At(p.now.AddDate(50, 0, 0))
		lie.Objects = append(lie.Objects, l)
	}
	for seq := range uint64(5) {
		lie.Snapshots = append(lie.Snapshots, manifest.SnapshotLease{Seq: seq + 1, Until: manifest.At(p.now.AddDate(50, 0, 0)), Class: "year"})
	}
	if err := manifest.WriteLeases(t.Context(), p.stores[0].Store, lie, p.key.Signing); err != nil {
		t.Fatal(err)
	}
	p.boxes = nil // the checker would hold the store to what the lie promises
	p.now = time.Date(2026, 12, 1, 22, 0, 0, 0, time.UTC)
	p.edit("data/patients.fs5", 0, "December")
	res, err := uploader.Run(t.Context(), p.config(), p.judge())
	if err != nil {
		t.Fatal(err)
	}
	second := res.Stores[0].Ref
	november := time.Date(2027, 11, 30, 23, 0, 0, 0, time.UTC)
	if until := box.shortest(first); until.Before(november) {
		t.Errorf("the keeper of November is kept until %v", until)
	}
	if until := box.shortest(second); until.Before(second.Record.Expiry.Time) {
		t.Errorf("the second snapshot says %v and is kept until %v", second.Record.Expiry.Time, until)
	}
}

// TestALieDoesNotKeepALeaseFromBeingWrittenDown: one PC raised everything and crashed
// before it wrote that down, and somebody signed that all is kept for years. The next
// run relies on what the store tells, and writes it down, once.
func TestALieDoesNotKeepALeaseFromBeingWrittenDown(t *testing.T) {
	p, box := newPractice(t)
	p.now = time.Date(2026, 11, 27, 22, 0, 0, 0, time.UTC)
	first := p.commit().Stores[0].Ref
	raised := p.now.AddDate(3, 0, 0)
	lie := manifest.LeaseRecord{Format: 1, Repository: p.key.Repository, Source: p.id, PC: p.key.PC, Time: manifest.At(p.now.Add(-time.Hour))}
	for _, s := range manifest.Needs(first) {
		l := s.ObjectLease()
		l.Until = manifest.At(p.now.AddDate(50, 0, 0))
		lie.Objects = append(lie.Objects, l)
		if err := box.mem.Raise(t.Context(), s.Key(), s.Pin().Version, raised); err != nil {
			t.Fatal(err)
		}
	}
	store := p.stores[0].Store
	if err := manifest.WriteLeases(t.Context(), store, lie, p.key.Signing); err != nil {
		t.Fatal(err)
	}
	p.boxes = nil // the checker would hold the store to what the lie promises
	header, err := manifest.OpenHeader(t.Context(), store, p.key.Owner)
	check(t, err)
	trust, err := manifest.LoadTrust(t.Context(), store, header)
	check(t, err)
	written := func() (lines int) {
		recs, _, _, err := manifest.ReadLeases(t.Context(), store, trust, p.id, "")
		check(t, err)
		for _, r := range recs {
			for _, o := range r.Objects {
				if o.Until.Equal(raised) {
					lines++
				}
			}
		}
		return lines
	}
	p.now = time.Date(2026, 12, 1, 22, 0, 0, 0, time.UTC) // the first one is the keeper of November
	for range 2 {
		p.edit("data/patients.fs5", 0, "December")
		if _, err := uploader.Run(t.Context(), p.config(), p.judge()); err != nil {
			t.Fatal(err)
		}
		if n := written(); n != len(manifest.Needs(first)) {
			t.Errorf("%d leases are written down, of %d objects", n, len(manifest.Needs(first)))
		}
		p.now = p.now.Add(24 * time.Hour)
	}
}

// TestWhatIsGoneIsNotRaised: a store without leases answers to every raise that all
// is well. A keeper that has lost a pack there is an error, and nobody writes down
// that it is kept for a year.
func TestWhatIsGoneIsNotRaised(t *testing.T) {
	p, _ := newPractice(t)
	p.boxes, p.stores = nil, nil
	p.now = time.Date(2026, 11, 27, 22, 0, 0, 0, time.UTC)
	plain := p.newMem("plain")
	p.addStore("plain", plain.Plain())
	res, err := uploader.Run(t.Context(), p.config(), p.judge())
	if err != nil {
		t.Fatal(err)
	}
	ref := res.Stores[0].Ref
	plain.Lose(pinned(ref)[0])
	p.write("data/patients.fs5", noise(9, 100<<10))
	p.now = time.Date(2026, 12, 1, 22, 0, 0, 0, time.UTC)
	res, err = uploader.Run(t.Context(), p.config(), p.judge())
	if err != nil || !errors.Is(res.Stores[0].Err, providers.ErrNotExist) {
		t.Errorf("the keeper of November lost a pack: %s", describe(res, err))
	}
	header, err := manifest.OpenHeader(t.Context(), p.stores[0].Store, p.key.Owner)
	check(t, err)
	trust, err := manifest.LoadTrust(t.Context(), p.stores[0].Store, header)
	check(t, err)
	recs, _, _, err := manifest.ReadLeases(t.Context(), p.stores[0].Store, trust, p.id, "")
	check(t, err)
	for _, r := range recs {
		if slices.ContainsFunc(r.Snapshots, func(s manifest.SnapshotLease) bool { return s.Seq == ref.Record.Seq }) {
			t.Error("a lease record says that the damaged snapshot was raised")
		}
	}
}

// TestALapsedSnapshotInPiecesIsNoError: after months of silence the last days are
// still wanted, and some of their objects have been removed already.
func TestALapsedSnapshotInPiecesIsNoError(t *testing.T) {
	p, box := newPractice(t)
	ref := p.commit().Stores[0].Ref
	leases := box.leases("r/")
	last := slices.MaxFunc(slices.Collect(maps.Values(leases)), time.Time.Compare)
	p.now = last.Add(-time.Minute) // all but the last of them have lapsed
	if gone := box.mem.Lapse("r/"); len(gone) == 0 || len(box.keys("r/s/")) == 0 && slices.Contains(gone, ref.Key) && len(gone) == len(leases) {
		t.Fatalf("%d of %d objects have lapsed", len(gone), len(leases))
	}
	p.commit()
}

// TestAPackOfACrashedRunIsReliedOnNoLongerThanItsLease: the practice keeps things for
// so short that such a pack is about to lapse after a few days.
func TestAPackOfACrashedRunIsReliedOnNoLongerThanItsLease(t *testing.T) {
	const day = 24 * time.Hour
	p, box := newPractice(t)
	p.change = func(c *uploader.Config) {
		c.Policy.Floor, c.Policy.Silence, c.Policy.BusinessDays, c.Policy.SlackMin, c.Policy.SlackMax = 8*day, 0, 1, 0, 0
	}
	ctx, stop := context.WithCancelCause(t.Context())
	box.hook.set(func(op, key string, apply func() error) error {
		err := apply()
		if op == "put" && len(box.keys("r/x/")) > 0 {
			stop(errStopped)
		}
		return err
	})
	if _, err := p.runContext(ctx); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	box.hook.set(nil)
	p.now = p.now.Add(7 * day) // within the guard, and so about to be removed
	orphans := box.leases("r/p/")
	ref := p.commit().Stores[0].Ref
	for _, key := range pinned(ref) {
		if until, ok := orphans[key]; ok {
			t.Errorf("%s was relied on, though it was kept until %v only", key, until)
		}
	}
}
