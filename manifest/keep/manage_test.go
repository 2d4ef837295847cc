package keep_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/mem"
)

const slackDays = 7

func slack(need time.Time, _ string) time.Time { return need.Add(slackDays * day) }

func unknown(keep.Place) time.Time { return time.Time{} }

// most is what the manager of the tests grants.
var most = keep.Options{Longest: 800 * day}

func (s *shop) manage() (keep.Managed, error) {
	s.t.Helper()
	return keep.Manage(s.t.Context(), s.open(s.mem), s.evidence(most).Raises(s.now, slack, unknown))
}

func (s *shop) lease(key string, v providers.Version) time.Duration {
	s.t.Helper()
	o, err := s.mem.Stat(s.t.Context(), key, v)
	check(s.t, err)
	return o.Lease.Sub(founded)
}

// managedShop is a store whose uploader may not raise: what it puts has the lease
// that the container gives.
func managedShop(t *testing.T) *shop {
	s := newShop(t, false)
	s.store = s.open(floored{s.mem.Plain(), s})
	return s
}

const floor = 14 * day

type floored struct {
	providers.Driver
	*shop
}

func (f floored) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	opt.Lease = f.now.Add(floor)
	return f.Driver.Put(ctx, key, data, opt)
}

func TestManagerRaisesWhatDocumentsNeed(t *testing.T) {
	s := managedShop(t)
	a, b, idle := s.pack(0), s.segment(60*day), s.pack(0)
	s.leases(s.pc, sourceID, []manifest.ObjectLease{b.ObjectLease()})
	one := s.commit(s.pc, sourceID, 1, 40*day, a, b)
	two := s.commit(s.other, "ffffffffffffffff", 1, 50*day, a)
	done, err := s.manage()
	check(t, err)
	want := map[string]time.Duration{
		a.Key(): (50 + slackDays) * day, b.Key(): 60 * day, idle.Key(): floor,
		one.Key: (40 + slackDays) * day, two.Key: (50 + slackDays) * day,
	}
	for key, lease := range want {
		if got := s.lease(key, ""); got != lease {
			t.Errorf("%s is leased for %v, want %v", key, got, lease)
		}
	}
	if len(done.Raised) != 5 || len(done.Missing) != 0 { // the lease record, too
		t.Errorf("done: %+v", done)
	}
	if again, err := s.manage(); err != nil || len(again.Raised) != 0 {
		t.Errorf("raised again: %+v, %v", again, err)
	}
	s.leases(s.pc, sourceID, nil, manifest.SnapshotLease{Seq: 1, Until: manifest.At(founded.Add(45 * day)), Class: "week"})
	done, err = s.manage()
	if err != nil || len(done.Raised) != 1 || done.Raised[0].Key == one.Key {
		t.Errorf("a promotion within the slack raises the new lease record alone: %+v, %v", done, err)
	}
	s.leases(s.pc, sourceID, nil, manifest.SnapshotLease{Seq: 1, Until: manifest.At(founded.Add(400 * day)), Class: "month"})
	if _, err = s.manage(); err != nil || s.lease(one.Key, "") != 407*day || s.lease(b.Key(), "") != 407*day {
		t.Errorf("a promotion: record until %v, segment until %v, %v", s.lease(one.Key, ""), s.lease(b.Key(), ""), err)
	}
}

func TestManagerGrantsNobodyTooMuch(t *testing.T) {
	stranger := func(s *shop) *seal.UploadKey {
		k, err := seal.NewUploadKey(s.pc.Repository, seal.NewID(), s.pc.Restore, mustSecrets(t), s.pc.Owner)
		check(t, err)
		return k
	}
	for _, c := range []struct {
		name    string
		forge   func(s *shop, p manifest.Stored)
		refused int // documents
		bad     int
	}{
		{"a record for a hundred years", func(s *shop, p manifest.Stored) { s.commit(s.pc, sourceID, 9, 36500*day, p) }, 1, 0},
		{"a lease record for a hundred years", func(s *shop, p manifest.Stored) {
			o := p.ObjectLease()
			o.Until = manifest.At(s.now.AddDate(100, 0, 0))
			s.leases(s.pc, sourceID, []manifest.ObjectLease{o}, manifest.SnapshotLease{Seq: 1, Until: o.Until})
		}, 1, 0},
		{"one second too much", func(s *shop, p manifest.Stored) { s.commit(s.pc, sourceID, 9, most.Longest+time.Second, p) }, 1, 0},
		{"records dated back", func(s *shop, p manifest.Stored) {
			s.commit(s.pc, sourceID, 9, -500*day, p)
			s.leases(s.pc, sourceID, nil, manifest.SnapshotLease{Seq: 1, Until: manifest.At(s.now.AddDate(-100, 0, 0))})
		}, 0, 0},
		{"garbage", func(s *shop, _ manifest.Stored) {
			s.put("r/s/"+sourceID+"/00000009", "{}")
			s.put("r/l/"+sourceID+"/x", "{}")
		}, 0, 2},
		{"a PC that is not enrolled", func(s *shop, p manifest.Stored) { s.commit(stranger(s), sourceID, 9, 300*day, p) }, 0, 1},
		{"a lease record of a PC that is not enrolled", func(s *shop, _ manifest.Stored) {
			s.leases(stranger(s), sourceID, nil, manifest.SnapshotLease{Seq: 1, Until: manifest.At(s.now.Add(300 * day))})
		}, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := managedShop(t)
			p, other := s.pack(0), s.pack(0)
			ref := s.commit(s.pc, sourceID, 1, 40*day, p)
			c.forge(s, p)
			late := s.commit(s.pc, sourceID, 20, 60*day, other)
			e := s.evidence(most)
			done, err := keep.Manage(t.Context(), s.open(s.mem), e.Raises(s.now, slack, unknown))
			check(t, err)
			if len(e.Refused()) != c.refused || len(e.Bad()) != c.bad {
				t.Errorf("refused: %+v, bad: %v", e.Refused(), e.Bad())
			}
			for key, want := range map[string]int{p.Key(): 47, ref.Key: 47, other.Key(): 67, late.Key: 67} {
				if got := s.lease(key, ""); got != time.Duration(want)*day {
					t.Errorf("%s is leased for %v, want %d days", key, got, want)
				}
			}
			for _, o := range s.mem.Objects() {
				if o.Lease.Sub(s.now) > most.Longest {
					t.Errorf("%s is leased until %v", o.Key, o.Lease)
				}
			}
			if len(done.Missing) > 0 {
				t.Errorf("done: %+v", done)
			}
		})
	}
}

// TestManagerNeverPassesTheMaximum: what a thief may ask for is granted, and no more.
func TestManagerNeverPassesTheMaximum(t *testing.T) {
	s := managedShop(t)
	p := s.pack(0)
	s.commit(s.pc, sourceID, 1, most.Longest, p)
	if _, err := s.manage(); err != nil || s.lease(p.Key(), "") != most.Longest {
		t.Errorf("leased for %v, %v", s.lease(p.Key(), ""), err)
	}
}

func TestManagerRaisesTheVersionThatIsNamed(t *testing.T) {
	s := managedShop(t)
	p := s.pack(0)
	s.commit(s.pc, sourceID, 1, 40*day, p)
	over, err := s.mem.Put(t.Context(), p.Key(), []byte("written over"), providers.PutOptions{Replace: p.Pin().Version, Lease: s.now.Add(90 * day)})
	check(t, err)
	_, err = s.manage()
	check(t, err)
	if s.lease(p.Key(), p.Pin().Version) != 47*day || s.lease(p.Key(), over) != 90*day {
		t.Errorf("named version: %v, the other one: %v", s.lease(p.Key(), p.Pin().Version), s.lease(p.Key(), over))
	}
}

func TestManagerReportsWhatIsMissingAndGoesOn(t *testing.T) {
	s := managedShop(t)
	p, q := s.pack(0), s.pack(0)
	s.commit(s.pc, sourceID, 1, 40*day, p, q)
	s.mem.Lose(p.Key())
	done, err := s.manage()
	check(t, err)
	if len(done.Missing) != 1 || done.Missing[0].Key != p.Key() || s.lease(q.Key(), "") != 47*day {
		t.Errorf("done: %+v", done)
	}
}

func TestManagerThatIsStoppedGoesOn(t *testing.T) {
	s := managedShop(t)
	var packs []manifest.Stored
	for range 30 {
		packs = append(packs, s.pack(0))
	}
	s.commit(s.pc, sourceID, 1, 40*day, packs...)
	raised := 0
	for try := 0; ; try++ {
		var left atomic.Int32
		left.Store(10)
		store := s.open(&tired{Driver: s.mem, raise: s.mem.Raise, left: &left})
		done, err := keep.Manage(t.Context(), store, s.evidence(most).Raises(s.now, slack, unknown))
		raised += len(done.Raised)
		if err == nil {
			break
		}
		if !errors.Is(err, providers.ErrDenied) || len(done.Raised) == 0 || try > 10 {
			t.Fatalf("try %d: %+v, %v", try, done, err)
		}
	}
	if raised != 31 {
		t.Errorf("%d raises, want one for each of 31 objects", raised)
	}
}

// tired is denied after some raises.
type tired struct {
	providers.Driver
	raise func(context.Context, string, providers.Version, time.Time) error
	left  *atomic.Int32
}

func (d *tired) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	if d.left.Add(-1) < 0 {
		return &providers.Error{Op: "raise", Key: key, Kind: providers.ErrDenied}
	}
	return d.raise(ctx, key, v, until)
}

// TestManagerRemembersWhereListingsTellNoLeases: S3 tells leases object by object
// only.
func TestManagerRemembersWhereListingsTellNoLeases(t *testing.T) {
	s := managedShop(t)
	s.commit(s.pc, sourceID, 1, 40*day, s.pack(0), s.pack(0))
	blind := s.open(silent{s.mem})
	e := func() *keep.Evidence {
		e, err := keep.Read(t.Context(), blind, s.trust, most)
		check(t, err)
		return e
	}
	first := e().Raises(s.now, slack, unknown)
	done, err := keep.Manage(t.Context(), blind, first)
	check(t, err)
	memory := make(keep.Memory)
	for _, r := range done.Raised {
		memory[r.Place] = keep.Remembered{Until: r.Until}
	}
	memory, err = keep.DecodeMemory(memory.Encode("00000000000000aa"), "00000000000000aa")
	check(t, err)
	again := e().Raises(s.now, slack, func(p keep.Place) time.Time { return memory[p].Until })
	if len(first) != 3 || len(again) != 0 {
		t.Errorf("%d raises, then %d: %+v", len(first), len(again), again)
	}
}

// silent lists without leases.
type silent struct{ *mem.Mem }

func (d silent) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		for o, err := range d.Mem.List(ctx, prefix, after) {
			o.Lease = time.Time{}
			if !yield(o, err) {
				return
			}
		}
	}
}

func TestManagerNeedsAStoreThatKeepsLeases(t *testing.T) {
	s := newShop(t, false)
	if _, err := keep.Manage(t.Context(), s.store, nil); !errors.Is(err, providers.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestLooksTellWhatWent(t *testing.T) {
	s := newShop(t, true)
	lapsing, kept := s.pack(35*day), s.pack(80*day)
	s.pack(31 * day) // nothing needs it
	s.commit(s.pc, sourceID, 1, 35*day, lapsing)
	s.commit(s.pc, sourceID, 2, 80*day, kept)
	seen := s.evidence(keep.Options{}).Sight()
	seen, err := keep.DecodeMemory(seen.Encode("00000000000000aa"), "00000000000000aa")
	check(t, err)
	if got := s.evidence(keep.Options{}).Missing(seen, s.now); len(got) != 0 {
		t.Errorf("nothing went, and yet: %+v", got)
	}
	s.now = s.now.Add(40 * day)
	s.mem.Lapse("r/")
	gone := s.evidence(keep.Options{}).Missing(seen, s.now)
	if len(gone) != 3 || len(keep.Early(gone)) != 0 {
		t.Errorf("gone: %+v", gone)
	}
	s.mem.Lose(kept.Key())
	gone = s.evidence(keep.Options{}).Missing(seen, s.now)
	if early := keep.Early(gone); len(gone) != 4 || len(early) != 1 || early[0].Key != kept.Key() {
		t.Errorf("gone: %+v", gone)
	}
	// Without a memory the documents still tell what must be there.
	gone = s.evidence(keep.Options{}).Missing(nil, s.now)
	if len(gone) != 1 || gone[0].Key != kept.Key() || gone[0].End != keep.EndEarly {
		t.Errorf("without a memory: %+v", gone)
	}
	// And with one it is told even if the record went as well.
	s.mem.Lose(manifest.RecordKey(sourceID, 2))
	if early := keep.Early(s.evidence(keep.Options{}).Missing(seen, s.now)); len(early) != 2 {
		t.Errorf("with its record: %+v", early)
	}
}

func TestMemoryIsOfOneStore(t *testing.T) {
	m := keep.Memory{{Key: "r/x/a", Version: "v1"}: {Size: 3}}
	if got, err := keep.DecodeMemory(m.Encode("00000000000000aa"), "00000000000000bb"); err != nil || len(got) != 0 {
		t.Errorf("of another store: %v, %v", got, err)
	}
	for _, bad := range []string{"", "x\n", "offsite memory 1 a\nr/x/a - 1\n", "offsite memory 1 a\nr/x/a - x 0\n", "offsite memory 1 a\n../a - 1 0\n"} {
		if _, err := keep.DecodeMemory([]byte(bad), "a"); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestLogEntriesOfALookHoldEveryObject(t *testing.T) {
	var gone []keep.Mention
	for i := range 12_000 {
		gone = append(gone, keep.Mention{Key: fmt.Sprint("r/x/", i), Size: 2, End: keep.EndLapse})
	}
	n := 0
	s := newShop(t, false)
	for _, e := range keep.LookEntries(gone, s.now) {
		_, err := s.log(true).Append(t.Context(), e)
		check(t, err)
		n += len(e.Objects)
	}
	if n != len(gone) || len(s.logged()) != 3 {
		t.Errorf("%d of %d objects", n, len(gone))
	}
}
