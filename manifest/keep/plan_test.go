package keep_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/manifest/seal"
	"offsite/providers"
)

func TestAnObjectLapsesADayAfterItsLatestEvidence(t *testing.T) {
	for _, c := range []struct {
		name   string
		native bool
		make   func(s *shop) (key string)
		until  time.Duration // from the founding
	}{
		{"nobody mentions it", false, func(s *shop) string { return s.pack(0).Key() }, 30 * day},
		{"the store's own lease", true, func(s *shop) string { return s.pack(45 * day).Key() }, 45 * day},
		{"a lease below the 30 days from its creation", true, func(s *shop) string { return s.pack(5 * day).Key() }, 30 * day},
		{"a record", false, func(s *shop) string { return s.commit(s.pc, sourceID, 1, 40*day, s.pack(0)).Key }, 40 * day},
		{"a pack of a record", false, func(s *shop) string {
			p := s.pack(0)
			s.commit(s.pc, sourceID, 1, 40*day, p)
			return p.Key()
		}, 40 * day},
		{"a pack of two PCs", false, func(s *shop) string {
			p := s.pack(0)
			s.commit(s.pc, sourceID, 1, 40*day, p)
			s.commit(s.other, "ffffffffffffffff", 1, 60*day, p)
			return p.Key()
		}, 60 * day},
		{"a lease record on an object", false, func(s *shop) string {
			p := s.segment(50 * day)
			s.leases(s.pc, sourceID, []manifest.ObjectLease{p.ObjectLease()})
			return p.Key()
		}, 50 * day},
		{"a lease record on a snapshot", false, func(s *shop) string {
			p := s.pack(0)
			s.commit(s.pc, sourceID, 1, 40*day, p)
			s.leases(s.pc, sourceID, nil, manifest.SnapshotLease{Seq: 1, Until: manifest.At(s.now.Add(400 * day)), Class: "month"})
			return p.Key()
		}, 400 * day},
		{"a lease record of another source", false, func(s *shop) string {
			p := s.pack(0)
			s.commit(s.pc, sourceID, 1, 40*day, p)
			s.leases(s.pc, "ffffffffffffffff", nil, manifest.SnapshotLease{Seq: 1, Until: manifest.At(s.now.Add(400 * day)), Class: "month"})
			return p.Key()
		}, 40 * day},
		{"a short canary", false, func(s *shop) string {
			check(s.t, manifest.LeaveCanaries(s.t.Context(), s.store, sourceID, 1, s.now))
			key, _ := manifest.CanaryKeys(sourceID, 1)
			return key
		}, 2 * day},
		{"a long canary", false, func(s *shop) string {
			check(s.t, manifest.LeaveCanaries(s.t.Context(), s.store, sourceID, 1, s.now))
			_, key := manifest.CanaryKeys(sourceID, 1)
			return key
		}, 30 * day},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t, c.native)
			key := c.make(s)
			s.now = founded.Add(c.until + keep.Grace)
			if s.lapsed(keep.Options{})[key] {
				t.Error("it lapses before its day of grace is over")
			}
			s.now = s.now.Add(time.Second)
			if !s.lapsed(keep.Options{})[key] {
				t.Errorf("it does not lapse at %v", s.now)
			}
		})
	}
}

func TestALeaseRecordStandsAsLongAsWhatItGrants(t *testing.T) {
	s := newShop(t, false)
	p := s.segment(50 * day)
	s.leases(s.pc, sourceID, []manifest.ObjectLease{p.ObjectLease()}, manifest.SnapshotLease{Seq: 7, Until: manifest.At(s.now.Add(60 * day))})
	s.now = founded.Add(61 * day)
	if got := s.lapsed(keep.Options{}); len(got) != 1 || !got[p.Key()] {
		t.Errorf("lapsed: %v, want the segment alone", got)
	}
	s.now = s.now.Add(time.Second)
	if got := s.lapsed(keep.Options{}); len(got) != 2 {
		t.Errorf("lapsed: %v, want the lease record, too", got)
	}
}

func TestAHeldSnapshotDoesNotLapse(t *testing.T) {
	s := newShop(t, false)
	p := s.pack(0)
	s.commit(s.pc, sourceID, 1, 40*day, p)
	note := manifest.Note{Format: 1, Repository: s.pc.Repository, Source: sourceID, PC: s.pc.PC, Time: manifest.At(s.now), Kind: manifest.HoldNote, Snapshots: []uint64{1}}
	check(t, manifest.WriteNote(t.Context(), s.store, note, s.pc.Signing))
	s.now = founded.Add(1000 * day)
	if got := s.evidence(keep.Options{}).Plan(s.now); len(got.Lapsed) != 0 || got.Held != 2 {
		t.Errorf("plan: %+v", got)
	}
	note.Kind, note.Time = manifest.ReleaseNote, manifest.At(s.now)
	check(t, manifest.WriteNote(t.Context(), s.store, note, s.pc.Signing))
	if got := s.evidence(keep.Options{}).Plan(s.now); len(got.Lapsed) != 2 || got.Held != 0 {
		t.Errorf("after the release: %+v", got)
	}
}

func TestNothingLapsesWhileADocumentCannotBeBelieved(t *testing.T) {
	stranger, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), newShop(t, false).pc.Restore, mustSecrets(t), newShop(t, false).pc.Owner)
	check(t, err)
	for _, c := range []struct {
		name string
		harm func(s *shop) (key string)
	}{
		{"a flipped bit in a record", func(s *shop) string {
			s.mem.Damage(manifest.RecordKey(sourceID, 1), 70)
			return manifest.RecordKey(sourceID, 1)
		}},
		{"garbage beside the records", func(s *shop) string { s.put("r/s/notes.txt", "x"); return "r/s/notes.txt" }},
		{"garbage beside the lease records", func(s *shop) string { s.put("r/l/x", "x"); return "r/l/x" }},
		{"an empty record", func(s *shop) string {
			s.put(manifest.RecordKey(sourceID, 2), "")
			return manifest.RecordKey(sourceID, 2)
		}},
		{"a record of a PC that is not enrolled", func(s *shop) string {
			stranger.Repository = s.pc.Repository
			return s.commit(stranger, sourceID, 2, 10*day).Key
		}},
		{"a record of another practice", func(s *shop) string {
			k := *s.pc
			k.Repository = seal.NewID()
			return s.commit(&k, sourceID, 2, 10*day).Key
		}},
		{"an enrolled PC that signs in another's name", func(s *shop) string {
			k := *s.pc
			k.Signing = s.other.Signing
			return s.commit(&k, sourceID, 2, 10*day).Key
		}},
		{"a note that is garbage", func(s *shop) string { s.put("notes/"+sourceID+"/x", "x"); return "notes/" + sourceID + "/x" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t, false)
			s.commit(s.pc, sourceID, 1, 40*day, s.pack(0))
			key := c.harm(s)
			s.now = founded.Add(400 * day)
			e := s.evidence(keep.Options{})
			if bad := e.Bad(); len(bad) != 1 || bad[0].Key != key {
				t.Errorf("bad: %v, want %s", bad, key)
			}
			if got := e.Plan(s.now).Lapsed; len(got) != 0 {
				t.Errorf("lapsed all the same: %v", got)
			}
			// A person looked at it: nothing is kept for its sake, and it lapses itself.
			got := s.evidence(keep.Options{Disregard: []string{key}}).Plan(s.now)
			if len(got.Lapsed) < 2 {
				t.Errorf("disregarded, and yet: %+v", got)
			}
		})
	}
}

func mustSecrets(t *testing.T) seal.Secrets {
	s, err := seal.NewSecrets()
	check(t, err)
	return s
}

// TestNoDocumentMakesAnythingLapseEarlier: whatever somebody with the upload
// credential and the key of an enrolled PC writes, all that stands until then stands
// until then.
func TestNoDocumentMakesAnythingLapseEarlier(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			s := newShop(t, r.IntN(2) == 0)
			var packs []manifest.Stored
			for range 6 {
				packs = append(packs, s.pack(time.Duration(r.IntN(90))*day))
			}
			for seq := range uint64(3) {
				s.commit(s.pc, sourceID, seq+1, time.Duration(30+r.IntN(60))*day, packs[seq], packs[seq+1])
			}
			s.now = s.now.Add(time.Duration(r.IntN(40)) * day)
			fresh := s.pack(time.Hour) // of a run that goes on
			at := s.now.Add(time.Duration(r.IntN(120)) * day)
			stays := make(map[string]bool)
			for _, o := range s.mem.Objects() {
				stays[o.Key] = true
			}
			for _, l := range s.evidence(keep.Options{}).Plan(at).Lapsed {
				delete(stays, l.Key)
			}
			wrong := func(d int) time.Time { return s.now.Add(-time.Duration(r.IntN(d)) * day) }
			for range 4 { // back-dated, empty, about everything
				lease := manifest.ObjectLease{Kind: manifest.PackKind, Pin: append(packs, fresh)[r.IntN(7)].Pin(), Until: manifest.At(wrong(1000))}
				s.leases(s.pc, sourceID, []manifest.ObjectLease{lease}, manifest.SnapshotLease{Seq: uint64(1 + r.IntN(4)), Until: manifest.At(wrong(900))})
				s.now = s.now.Add(time.Second)
			}
			s.commit(s.other, sourceID, 90, -time.Duration(1+r.IntN(500))*day, packs[0], fresh)
			for _, l := range s.evidence(keep.Options{}).Plan(at).Lapsed {
				if stays[l.Key] {
					t.Errorf("%s lapses earlier: %+v", l.Key, l)
				}
			}
			if s.lapsed(keep.Options{})[fresh.Key()] {
				t.Error("what a run has just put has lapsed")
			}
		})
	}
}

func TestWhatThisVersionDoesNotKnowStays(t *testing.T) {
	s := newShop(t, false)
	s.put("r/z/new", "of a later version")
	s.now = founded.Add(1000 * day)
	got := s.evidence(keep.Options{}).Plan(s.now)
	if len(got.Lapsed) != 0 || len(got.Alien) != 1 {
		t.Errorf("plan: %+v", got)
	}
}

func TestKeysOutsideTheRemovablePrefixAreNeverListed(t *testing.T) {
	s := newShop(t, false)
	s.put("log/00000001", "x")
	s.put("keys/holder-a.age", "x")
	s.now = founded.Add(10000 * day)
	if got := s.evidence(keep.Options{}); got.Objects() != 0 {
		t.Errorf("%d objects", got.Objects())
	}
}

func TestSumsAddUpByKind(t *testing.T) {
	s := newShop(t, false)
	s.commit(s.pc, sourceID, 1, 40*day, s.pack(0))
	s.now = s.now.Add(day)
	s.pack(0)
	s.now = founded.Add(100 * day)
	sums := s.evidence(keep.Options{}).Plan(s.now).Sums()
	if len(sums) != 2 || sums[0].Kind != "pack" || sums[0].Count != 2 || sums[0].Bytes != 30 || sums[1].Kind != "record" ||
		!sums[0].Oldest.Equal(founded.Add(31*day)) || !sums[0].Newest.Equal(founded.Add(40*day)) {
		t.Errorf("sums: %+v", sums)
	}
}

func TestTheEarlierOfTwoClocksCountsIfTheyAgree(t *testing.T) {
	for _, c := range []struct {
		store, pc time.Duration
		want      time.Duration
		err       error
	}{
		{0, 0, 0, nil}, {time.Minute, 0, 0, nil}, {0, time.Minute, 0, nil}, {keep.MaxSkew, 0, 0, nil},
		{keep.MaxSkew + time.Second, 0, 0, keep.ErrClocks}, {0, keep.MaxSkew + time.Second, 0, keep.ErrClocks}, {0, 365 * day, 0, keep.ErrClocks},
	} {
		got, err := keep.Now(founded.Add(c.store), founded.Add(c.pc))
		if !errors.Is(err, c.err) || err == nil && !got.Equal(founded.Add(c.want)) {
			t.Errorf("store %v, PC %v: %v, %v", c.store, c.pc, got, err)
		}
	}
}

// TestALeapOfTheClockIsSeen: a folder's clock is the computer's, so two clocks that
// agree say nothing there.
func TestALeapOfTheClockIsSeen(t *testing.T) {
	for _, c := range []struct {
		name   string
		nights []int // on which something was stored
		now    int
		ok     bool
	}{
		{"an empty store", nil, 5, true},
		{"every night", seq(0, 60, 1), 60, true},
		{"once a week", seq(0, 60, 7), 60, true},
		{"a new store", []int{0}, 3, true},
		{"the clock leaps by a year, and no run since", seq(0, 30, 1), 395, false},
		{"the clock leaps by a year, and a week of runs since", append(seq(0, 30, 1), seq(395, 402, 1)...), 402, false},
		{"it leaps by three weeks in a new store", []int{0, 21}, 21, false},
		{"closed for a fortnight", append(seq(0, 30, 1), 44), 44, true},
		{"closed for three weeks", append(seq(0, 30, 1), 51, 52), 52, false},
		{"closed for three weeks, some time ago", append(seq(0, 30, 1), seq(51, 70, 1)...), 70, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t, false)
			for _, n := range c.nights {
				s.now = founded.Add(time.Duration(n) * day)
				s.pack(0)
			}
			now := founded.Add(time.Duration(c.now)*day + time.Hour)
			if c.name == "closed for a fortnight" {
				now = now.Add(-time.Hour)
			}
			if err := s.evidence(keep.Options{}).Alive(now); (err == nil) != c.ok || err != nil && !errors.Is(err, keep.ErrSilent) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func seq(from, to, step int) (out []int) {
	for ; from <= to; from += step {
		out = append(out, from)
	}
	return out
}

func TestAStoreThatCannotBeReadEndsTheReading(t *testing.T) {
	s := newShop(t, false)
	s.commit(s.pc, sourceID, 1, 40*day)
	broken := s.open(unreadable{s.mem})
	if _, err := keep.Read(t.Context(), broken, s.trust, keep.Options{}); !errors.Is(err, providers.ErrDenied) {
		t.Errorf("got %v", err)
	}
}
