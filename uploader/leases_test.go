package uploader_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/mem"
	"offsite/uploader"
	"offsite/uploader/simtest"
)

const day = 24 * time.Hour

// leases returns until when each object under a prefix is kept.
func (b *box) leases(prefix string) map[string]time.Time {
	m := make(map[string]time.Time)
	for _, o := range b.mem.Objects() {
		if strings.HasPrefix(o.Key, prefix) {
			m[o.Key] = o.Lease
		}
	}
	return m
}

// pinned returns the keys of the packs that a snapshot needs.
func pinned(ref manifest.Ref) []string {
	var keys []string
	for _, p := range ref.Record.Packs {
		keys = append(keys, manifest.PackKey(p.Name))
	}
	return keys
}

// leaseRecords reads all lease records of the source.
func (p *practicePC) leaseRecords(b *box) []manifest.LeaseRecord {
	p.t.Helper()
	ctx, store := p.t.Context(), p.open(b.mem)
	header, err := manifest.OpenHeader(ctx, store, p.key.Owner)
	check(p.t, err)
	trust, err := manifest.LoadTrust(ctx, store, header)
	check(p.t, err)
	records, _, bad, err := manifest.ReadLeases(ctx, store, trust, p.id, "")
	check(p.t, err)
	if len(bad) > 0 {
		p.t.Fatalf("lease records cannot be read: %v", bad)
	}
	return records
}

func TestReusedPacksAreRaisedBeforeTheRecordIsWritten(t *testing.T) {
	p, box := newPractice(t)
	p.commit()
	p.now = p.now.AddDate(0, 0, 40)
	committed := false
	box.hook.set(func(op, key string, apply func() error) error {
		if err := apply(); err != nil || op != "put" || !strings.HasPrefix(key, "r/s/") {
			return err
		}
		committed = true
		now := box.mem.Clone() // as a crash right here would leave it
		fork := p.checker.Fork()
		was, err := simtest.ReadState(p.source)
		if err == nil {
			fork.Expect("first", key, was)
			err = fork.Check(context.Background(), "first", now)
		}
		if err != nil {
			t.Errorf("at the moment of the commit: %v", err)
		}
		return nil
	})
	res := p.commit()
	if !committed || result(t, res, "first").Raised < 4 {
		t.Errorf("%d leases raised, want those of three packs and a segment", result(t, res, "first").Raised)
	}
}

// TestLeasesAreRaisedSeldom: a pack that is used every night is not raised every night.
func TestLeasesAreRaisedSeldom(t *testing.T) {
	p, _ := newPractice(t)
	p.commit()
	raised := 0
	for range 28 {
		p.nextDay()
		raised += result(t, p.commit(), "first").Raised
	}
	if raised < 4 || raised > 4*5+4 {
		t.Errorf("4 objects were raised %d times in 28 days, want each some 4 times", raised)
	}
}

func TestAPackThatIsAboutToLapseIsStoredAgain(t *testing.T) {
	p, box := newPractice(t)
	p.commit()
	old := box.leases("r/p/")
	first := slices.MinFunc(slices.Collect(maps.Values(old)), time.Time.Compare)
	p.now = first.Add(-2 * day)
	res := p.commit()
	pins := pinned(res.Stores[0].Ref)
	for key, lease := range old {
		want := lease.Sub(p.now) >= 3*day
		if got := slices.Contains(pins, key); got != want {
			t.Errorf("%s has %v left; relied on: %v", key, lease.Sub(p.now), got)
		}
	}
	if res.Stores[0].Packs == 0 {
		t.Error("nothing was stored again")
	}
}

func TestAPackWithTimeLeftIsRaisedAndNotStoredAgain(t *testing.T) {
	p, box := newPractice(t)
	p.commit()
	old := box.leases("r/p/")
	p.now = slices.MinFunc(slices.Collect(maps.Values(old)), time.Time.Compare).Add(-4 * day)
	res := p.commit()
	if s := res.Stores[0]; s.Packs != 0 {
		t.Errorf("%d packs were stored again", s.Packs)
	}
	for key, lease := range box.leases("r/p/") {
		if !lease.After(old[key]) {
			t.Errorf("%s was not raised", key)
		}
	}
}

func TestLeaseRecordsListEverythingThatWasPutOrRaised(t *testing.T) {
	p, box := newPractice(t)
	p.commit()
	for range 3 {
		p.now = p.now.AddDate(0, 0, 23)
		p.edit("data/patients.fs5", 50<<10, p.now.String())
		p.commit()
	}
	listed := make(map[string]time.Time)
	for _, r := range p.leaseRecords(box) {
		for _, o := range r.Objects {
			key := manifest.PackKey(o.Pin.Name)
			if o.Kind == manifest.SegmentKind {
				key = manifest.SegmentKey(o.Pin.Name)
			}
			if o.Until.After(listed[key]) {
				listed[key] = o.Until.Time
			}
		}
	}
	stored := box.leases("r/p/")
	maps.Copy(stored, box.leases("r/x/"))
	for key, lease := range stored {
		if !listed[key].Equal(lease) {
			t.Errorf("%s is kept until %v, the lease records say %v", key, lease, listed[key])
		}
	}
}

// TestAMonthThatEndedHasItsKeeper: the last clean day of November becomes its keeper
// at the first run of December, with all that it needs.
func TestAMonthThatEndedHasItsKeeper(t *testing.T) {
	p, box := newPractice(t)
	p.now = time.Date(2026, 11, 27, 22, 0, 0, 0, time.UTC) // a Friday; Monday the 30th is missed
	ref := p.commit().Stores[0].Ref
	p.edit("data/patients.fs5", 0, "December")
	p.now = time.Date(2026, 12, 1, 22, 0, 0, 0, time.UTC)
	p.commit()
	want := time.Date(2027, 11, 30, 23, 59, 0, 0, time.UTC)
	for key, lease := range box.leases("r/") {
		if (slices.Contains(pinned(ref), key) || key == ref.Key) && lease.Before(want) {
			t.Errorf("%s is kept until %v", key, lease)
		}
	}
	found := false
	for _, r := range p.leaseRecords(box) {
		for _, s := range r.Snapshots {
			found = found || s.Seq == ref.Record.Seq && s.Class == "month" && s.Until.After(want.Add(-time.Hour))
		}
	}
	if !found {
		t.Error("no lease record says that the snapshot is the keeper of its month")
	}
	// It is still whole a year later, when all that was not kept is gone.
	p.check()
	p.now = time.Date(2027, 11, 29, 0, 0, 0, 0, time.UTC)
	if gone := box.mem.Lapse("r/"); len(gone) == 0 {
		t.Error("nothing has lapsed after a year")
	}
}

// TestOneDamagedSnapshotDoesNotKeepOthersFromBeingRaised: two months have ended, and
// the snapshot of one of them has lost a pack.
func TestOneDamagedSnapshotDoesNotKeepOthersFromBeingRaised(t *testing.T) {
	for _, lost := range []int{0, 1} {
		p, box := newPractice(t)
		// What the months share is stored before, so that each has a pack of its own.
		p.now = time.Date(2026, 11, 19, 22, 0, 0, 0, time.UTC)
		p.commit()
		var refs []manifest.Ref
		for i, date := range []time.Time{time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC), time.Date(2026, 12, 18, 22, 0, 0, 0, time.UTC)} {
			p.now = date
			p.write("images/b.jpg", noise(uint64(50+i), 700<<10)) // each month has packs that only it needs
			box.hook.set(noPromotion())                           // so that November is not raised by the run of December
			res, err := p.run()
			check(t, err)
			refs = append(refs, res.Stores[0].Ref)
			box.hook.set(nil)
		}
		p.write("images/b.jpg", noise(52, 700<<10))
		own := func(key string) bool { return !slices.Contains(pinned(refs[1-lost]), key) }
		if i := slices.IndexFunc(pinned(refs[lost]), own); i < 0 || !box.mem.Lose(pinned(refs[lost])[i]) {
			t.Fatal("the month has no object of its own")
		}
		p.checker.Break("first", refs[lost].Key)
		p.now = time.Date(2027, 1, 8, 22, 0, 0, 0, time.UTC)
		res, err := p.run()
		check(t, err)
		if res.Stores[0].Err == nil {
			t.Error("a lost pack was not reported")
		}
		good := refs[1-lost]
		if lease := box.leases("r/s/")[good.Key]; lease.Sub(p.now) < 300*day {
			t.Errorf("snapshot %d lost a pack, and the other one is kept until %v only", lost, lease)
		}
	}
}

// noPromotion refuses every lease that is raised behind the commit.
func noPromotion() around {
	var committed atomic.Bool
	return func(op, key string, apply func() error) error {
		if op == "put" && strings.HasPrefix(key, "r/s/") {
			committed.Store(true)
		}
		if op == "raise" && committed.Load() {
			return &providers.Error{Op: op, Key: key, Kind: providers.ErrDenied}
		}
		return apply()
	}
}

func TestALostOrCutPackIsStoredAgainTheSameDay(t *testing.T) {
	for name, harm := range map[string]func(b *box, key string){
		"lost": func(b *box, key string) { b.mem.Lose(key) },
		"cut": func(b *box, key string) {
			data := b.mem.Snapshot()[key]
			b.mem.Lose(key)
			if _, err := b.mem.Put(context.Background(), key, data[:len(data)/2], providers.PutOptions{Lease: b.mem.Objects()[0].Lease}); err != nil {
				panic(err)
			}
		},
	} {
		for i := range 3 {
			p, box := newPractice(t)
			first := p.commit().Stores[0].Ref
			key := box.keys("r/p/")[i]
			harm(box, key)
			p.checker.Break("first", first.Key)
			res := p.commit() // and not "nothing new"
			rec := res.Stores[0].Ref.Record
			if rec.Revision != 2 || res.Stores[0].Packs != 1 || slices.Contains(pinned(res.Stores[0].Ref), key) {
				t.Errorf("%s: revision %d, %d packs stored", name, rec.Revision, res.Stores[0].Packs)
			}
			p.nothingNew()
		}
	}
}

// TestAPackThatWasWrittenOverIsNotReliedOn: whoever stole the credentials puts
// something else of the same length on top. What is committed names the version
// below, and what comes after must not name the one on top.
func TestAPackThatWasWrittenOverIsNotReliedOn(t *testing.T) {
	p, _ := newPractice(t)
	p.boxes, p.stores = nil, nil
	m := mem.New(mem.Options{Now: func() time.Time { return p.now }, Immutable: func(string) bool { return false },
		Report: func(breach string) { t.Error(breach) }})
	p.addStore("first", m)
	p.stores = nil
	p.adopt("first", m)
	p.commit()
	packs := slices.DeleteFunc(m.Objects(), func(o providers.Object) bool { return !strings.HasPrefix(o.Key, "r/p/") })
	obj := slices.MinFunc(packs, func(a, b providers.Object) int { return cmp.Compare(a.Size, b.Size) }) // mem replaces small ones only
	key := obj.Key
	_, err := m.Put(t.Context(), key, []byte(noise(66, int(obj.Size))), providers.PutOptions{Replace: obj.Version, Lease: obj.Lease})
	check(t, err)
	p.nextDay()
	res := p.commit()
	if slices.Contains(pinned(res.Stores[0].Ref), key) || res.Stores[0].Packs != 1 {
		t.Errorf("%d packs stored, named: %v", res.Stores[0].Packs, slices.Contains(pinned(res.Stores[0].Ref), key))
	}
}

func TestReadingAllFindsAFlippedBitAndStoresTheDataAgain(t *testing.T) {
	p, box := newPractice(t)
	first := p.commit().Stores[0].Ref
	key := box.keys("r/p/")[1]
	box.mem.Damage(key, 5000)
	p.checker.Break("first", first.Key)
	p.change = func(c *uploader.Config) { c.ReadAll = true }
	res := p.commit()
	rec := res.Stores[0].Ref.Record
	if rec.Revision != 2 || rec.Date != first.Record.Date || res.Read != res.Bytes || res.Stores[0].Packs != 1 {
		t.Errorf("revision %d of %s, read %d of %d, %d packs", rec.Revision, rec.Date, res.Read, res.Bytes, res.Stores[0].Packs)
	}
	if slices.Contains(pinned(res.Stores[0].Ref), key) {
		t.Error("the new revision relies on the damaged pack")
	}
}

func TestALostOrDamagedIndexSegmentCostsStoringAgain(t *testing.T) {
	for name, harm := range map[string]func(b *box, key string){
		"lost":    func(b *box, key string) { b.mem.Lose(key) },
		"damaged": func(b *box, key string) { b.mem.Damage(key, 3000) },
	} {
		t.Run(name, func(t *testing.T) {
			p, box := newPractice(t)
			first := p.commit().Stores[0].Ref
			harm(box, box.keys("r/x/")[0])
			p.checker.Break("first", first.Key)
			if rec := p.commit().Stores[0].Ref.Record; rec.Revision != 2 {
				t.Errorf("revision %d, want 2", rec.Revision)
			}
			p.nothingNew()
		})
	}
}

func TestADamagedRecordIsPassedOver(t *testing.T) {
	p, box := newPractice(t)
	p.commit()
	p.nextDay()
	p.edit("data/patients.fs5", 0, "the next day")
	second := p.commit().Stores[0].Ref
	box.mem.Damage(second.Key, 300)
	p.checker.Break("first", second.Key)
	p.nextDay()
	rec := p.commit().Stores[0].Ref.Record
	if rec.Seq != 3 || rec.Prev != "" {
		t.Errorf("sequence number %d after %q, want 3 after a record that cannot be read", rec.Seq, rec.Prev)
	}
}
