package keep_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/providers"
)

// lapsedShop is a store in which one of two snapshots has lapsed.
func lapsedShop(t *testing.T, native bool) (s *shop, gone, stay []string) {
	t.Helper()
	s = newShop(t, native)
	old, shared, segment := s.pack(35*day), s.pack(35*day), s.segment(35*day)
	s.leases(s.pc, sourceID, []manifest.ObjectLease{old.ObjectLease(), segment.ObjectLease()})
	lease := s.mem.Objects()
	ref := s.commit(s.pc, sourceID, 1, 35*day, old, shared, segment)
	s.now = s.now.Add(30 * day)
	check(t, s.store.Raise(t.Context(), shared.Key(), "", s.now.Add(90*day)))
	next := s.commit(s.pc, sourceID, 2, 90*day, shared)
	s.now = s.now.Add(10 * day)
	for _, o := range lease {
		if strings.HasPrefix(o.Key, manifest.LeasePrefix) {
			gone = append(gone, o.Key)
		}
	}
	return s, append(gone, old.Key(), segment.Key(), ref.Key), []string{shared.Key(), next.Key}
}

func (s *shop) sweep(r providers.Sweeper, signed bool) (keep.Swept, error) {
	s.t.Helper()
	e := s.evidence(keep.Options{})
	w := keep.Sweep{Store: s.store, Remover: r, Log: s.log(signed)}
	return w.Run(s.t.Context(), e, e.Plan(s.now), s.now)
}

func (s *shop) want(gone, stay []string) {
	s.t.Helper()
	for _, key := range gone {
		if s.stands(key) {
			s.t.Errorf("%s stands", key)
		}
	}
	for _, key := range stay {
		if !s.stands(key) {
			s.t.Errorf("%s is gone", key)
		}
	}
}

// logged is the log without problems.
func (s *shop) logged() []keep.Logged {
	s.t.Helper()
	out, err := s.log(false).Read(s.t.Context())
	check(s.t, err)
	for _, n := range out {
		if n.Problem != nil {
			s.t.Errorf("%s: %v", n.Key, n.Problem)
		}
	}
	return out
}

func TestSweepRemovesWhatLapsedAndWritesItDown(t *testing.T) {
	for _, native := range []bool{false, true} {
		for _, signed := range []bool{false, true} {
			t.Run(fmt.Sprint("native ", native, ", signed ", signed), func(t *testing.T) {
				s, gone, stay := lapsedShop(t, native)
				var remover providers.Sweeper = &remover{shop: s}
				if native {
					remover = s.mem
				}
				done, err := s.sweep(remover, signed)
				check(t, err)
				if done.Removed != len(gone) || len(done.Left) != 0 {
					t.Errorf("done: %+v", done)
				}
				s.want(gone, stay)
				log := s.logged()
				if len(log) != 2 || log[0].Kind != keep.Intent || log[1].Kind != keep.Outcome || log[1].Of != 1 || log[1].Removed != int64(len(gone)) || log[0].Signed != signed {
					t.Fatalf("log: %+v", log)
				}
				for _, m := range log[0].Objects {
					if !slices.Contains(gone, m.Key) || m.Why == "" || m.Until.After(s.now.Add(-keep.Grace)) {
						t.Errorf("mention: %+v", m)
					}
				}
				again, err := s.sweep(remover, signed)
				if err != nil || again.Removed != 0 || len(s.logged()) != 2 {
					t.Errorf("a second sweep: %+v, %v", again, err)
				}
			})
		}
	}
}

func TestRecordsGoFirstAndLeaseRecordsLast(t *testing.T) {
	s, _, _ := lapsedShop(t, false)
	r := &remover{shop: s}
	_, err := s.sweep(r, true)
	check(t, err)
	if len(r.order) != 4 || !strings.HasPrefix(r.order[0], "r/s/") || !strings.HasPrefix(r.order[3], "r/l/") {
		t.Errorf("order: %v", r.order)
	}
}

// TestASweepThatStopsIsSettledByTheNext stops a sweep before every write and every
// removal: from then on nothing of it reaches the store.
func TestASweepThatStopsIsSettledByTheNext(t *testing.T) {
	for at := range int32(7) {
		t.Run(fmt.Sprint("at step ", at), func(t *testing.T) {
			s, gone, stay := lapsedShop(t, false)
			var steps atomic.Int32
			dead := func(string) error {
				if steps.Add(1) > at {
					return &providers.Error{Op: "any", Kind: providers.ErrDenied}
				}
				return nil
			}
			e := s.evidence(keep.Options{})
			log := s.log(true)
			log.Store = s.open(&stopper{Driver: s.mem.Plain(), before: dead})
			w := keep.Sweep{Store: s.store, Remover: &remover{shop: s, fail: dead}, Log: log}
			if _, err := w.Run(t.Context(), e, e.Plan(s.now), s.now); (err == nil) != (at == 6) {
				t.Fatalf("stopped at step %d: %v", at, err)
			}
			done, err := s.sweep(&remover{shop: s}, true)
			check(t, err)
			s.want(gone, stay)
			open, removed := 0, int64(0)
			for _, n := range s.logged() {
				switch n.Kind {
				case keep.Intent:
					open++
				case keep.Outcome:
					open--
					removed += n.Removed
				}
			}
			if open != 0 || removed != int64(len(gone)) {
				t.Errorf("%d announcements without an outcome, %d removals in the log of %d (%+v)", open, removed, len(gone), done)
			}
		})
	}
}

func TestWhatCannotBeRemovedIsLeftAndLogged(t *testing.T) {
	denied := &providers.Error{Op: "remove", Kind: providers.ErrDenied}
	held := &providers.Error{Op: "remove", Kind: providers.ErrHeld}
	busy := &providers.Error{Op: "remove", Kind: providers.ErrBusy}
	for _, c := range []struct {
		name string
		err  error
		end  string
		fail bool
	}{
		{"held", held, keep.EndHeld, false},
		{"busy", busy, keep.EndLeft, false},
		{"denied", denied, keep.EndLeft, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, gone, stay := lapsedShop(t, false)
			r := &remover{shop: s, fail: func(string) error { return c.err }}
			done, err := s.sweep(r, true)
			if (err != nil) != c.fail || c.fail && !errors.Is(err, c.err) {
				t.Errorf("error: %v", err)
			}
			s.want(nil, append(gone, stay...))
			log := s.logged()
			if len(done.Left) != len(gone) || len(log) != 2 || log[1].Removed != 0 || log[1].Objects[0].End != c.end {
				t.Errorf("done: %+v, log: %+v", done, log)
			}
			r.fail = nil
			_, err = s.sweep(r, true)
			check(t, err)
			s.want(gone, stay)
		})
	}
}

func TestWhatABusyStoreKeepsIsTriedAgain(t *testing.T) {
	s, gone, stay := lapsedShop(t, false)
	var asked atomic.Int32
	r := &remover{shop: s, fail: func(string) error {
		if asked.Add(1)%4 != 0 {
			return &providers.Error{Op: "remove", Kind: providers.ErrBusy}
		}
		return nil
	}}
	pauses := 0
	e := s.evidence(keep.Options{})
	w := keep.Sweep{Store: s.store, Remover: r, Log: s.log(true), Pause: func(context.Context, time.Duration) { pauses++ }}
	done, err := w.Run(t.Context(), e, e.Plan(s.now), s.now)
	if err != nil || done.Removed != len(gone) || pauses == 0 {
		t.Errorf("done: %+v after %d pauses, %v", done, pauses, err)
	}
	s.want(gone, stay)
}

func TestALostAnswerOfARemovalIsSettled(t *testing.T) {
	s, gone, stay := lapsedShop(t, false)
	done, err := s.sweep(&remover{shop: s, lostEnd: true}, true)
	if err != nil || done.Removed != len(gone) {
		t.Errorf("done: %+v, %v", done, err)
	}
	s.want(gone, stay)
}

// TestAnObjectThatLostItsLeaseGoesAllTheSame: a folder holds an object whose lease a
// crash took away, although it is over by every document.
func TestAnObjectThatLostItsLeaseGoesAllTheSame(t *testing.T) {
	s := newShop(t, true)
	p, err := s.mem.Put(t.Context(), "r/x/"+strings.Repeat("ab", 32), []byte("x"), providers.PutOptions{})
	check(t, err)
	s.now = s.now.Add(32 * day)
	done, err := s.sweep(s.mem, true)
	if err != nil || done.Removed != 1 {
		t.Errorf("%v: %+v, %v", p, done, err)
	}
}

func TestADocumentThatCameMeanwhileEndsTheSweep(t *testing.T) {
	s, gone, stay := lapsedShop(t, false)
	e := s.evidence(keep.Options{})
	plan := e.Plan(s.now)
	s.leases(s.other, sourceID, nil, manifest.SnapshotLease{Seq: 1, Until: manifest.At(s.now.Add(400 * day))})
	w := keep.Sweep{Store: s.store, Remover: &remover{shop: s}, Log: s.log(true)}
	if _, err := w.Run(t.Context(), e, plan, s.now); !errors.Is(err, keep.ErrChanged) {
		t.Errorf("got %v", err)
	}
	s.want(nil, append(gone, stay...))
	if got := s.lapsed(keep.Options{}); len(got) != 1 { // the first lease record alone has lapsed
		t.Errorf("planned anew: %v", got)
	}
}

// TestRecordsOfAThiefDelayASweepAndLoseNothing: with the upload key a thief asks for
// everything for ever, and for nothing at all.
func TestRecordsOfAThiefDelayASweepAndLoseNothing(t *testing.T) {
	s, gone, stay := lapsedShop(t, false)
	s.commit(s.pc, sourceID, 3, -300*day)
	s.leases(s.pc, sourceID, nil, manifest.SnapshotLease{Seq: 1, Until: manifest.At(s.now.AddDate(100, 0, 0))},
		manifest.SnapshotLease{Seq: 2, Until: manifest.At(s.now.AddDate(-100, 0, 0))})
	_, err := s.sweep(&remover{shop: s}, true)
	check(t, err)
	s.want(nil, stay)
	s.want(gone[:1], gone[1:]) // the lease record that kept nothing else
}

func TestTheLogShowsWhatWasDoneToIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		harm  func(s *shop)
		key   string
		count int
	}{
		{"an entry was taken out", func(s *shop) { s.mem.Lose("log/00000002") }, "log/00000003", 1},
		{"the first one was taken out", func(s *shop) { s.mem.Lose("log/00000001") }, "log/00000002", 1},
		{"a bit flipped", func(s *shop) { s.mem.Damage("log/00000003", 100) }, "log/00000003", 2},
		{"somebody put garbage there", func(s *shop) { s.put("log/00000005", "x") }, "log/00000005", 1},
		{"an entry without a signature was put in", func(s *shop) {
			b := s.mem.Snapshot()["log/00000002"]
			s.mem.Lose("log/00000002")
			at := bytes.LastIndex(b, []byte(`,"signer":`))
			s.put("log/00000002", string(b[:at])+`,"signer":"","sig":""}`)
		}, "log/00000002", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShop(t, false)
			for range 4 {
				_, err := s.log(true).Append(t.Context(), keep.Entry{Kind: keep.Gone, Time: manifest.At(s.now)})
				check(t, err)
			}
			s.logged()
			c.harm(s)
			got, err := s.log(true).Read(t.Context())
			check(t, err)
			var wrong []string
			for _, n := range got {
				if n.Problem != nil {
					wrong = append(wrong, n.Key)
				}
			}
			if len(wrong) != c.count || wrong[0] != c.key {
				t.Errorf("wrong: %v", wrong)
			}
			n, err := s.log(true).Append(t.Context(), keep.Entry{Kind: keep.Gone, Time: manifest.At(s.now)})
			if err != nil || n.Seq < 5 {
				t.Errorf("the log does not go on: %+v, %v", n, err)
			}
		})
	}
}

func TestNobodySignsForAnIntentWithoutSignature(t *testing.T) {
	s, gone, stay := lapsedShop(t, false)
	_, err := s.log(false).Append(t.Context(), keep.Entry{Kind: keep.Intent, Time: manifest.At(s.now), Objects: []keep.Mention{{Key: "r/x/invented", Size: 1}}})
	check(t, err)
	_, err = s.sweep(&remover{shop: s}, true)
	check(t, err)
	s.want(gone, stay)
	if log := s.logged(); len(log) != 3 || log[2].Of != 2 {
		t.Errorf("log: %+v", log)
	}
}

func TestNumbersOfTheLogCannotBeUsedUp(t *testing.T) {
	s := newShop(t, false)
	s.put("log/99999999", "x")
	n, err := s.log(false).Append(t.Context(), keep.Entry{Kind: keep.Gone, Time: manifest.At(s.now)})
	if err != nil || n.Seq != 1 || len(s.logged()) != 1 {
		t.Errorf("entry %+v, %v", n, err)
	}
}

func TestOneOfTwoWritersOfTheLogIsTold(t *testing.T) {
	s := newShop(t, false)
	log := s.log(true)
	racing := false
	log.Store = s.open(&stopper{Driver: s.mem.Plain(), before: func(string) error {
		if !racing {
			racing = true
			s.put("log/00000001", "somebody else's")
		}
		return nil
	}})
	_, err := log.Append(t.Context(), keep.Entry{Kind: keep.Gone, Time: manifest.At(s.now)})
	if !errors.Is(err, manifest.ErrRace) {
		t.Errorf("got %v", err)
	}
}

func TestACancelledSweepSaysWhatItDid(t *testing.T) {
	s, gone, _ := lapsedShop(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	e := s.evidence(keep.Options{})
	r := &remover{shop: s, fail: func(string) error { cancel(); return nil }}
	w := keep.Sweep{Store: s.store, Remover: r, Log: s.log(true)}
	done, err := w.Run(ctx, e, e.Plan(s.now), s.now)
	if !errors.Is(err, context.Canceled) || done.Removed == 0 || done.Removed == len(gone) {
		t.Errorf("done: %+v, %v", done, err)
	}
	if log := s.logged(); len(log) != 2 || log[1].Removed != int64(done.Removed) {
		t.Errorf("log: %+v", log)
	}
}

// stopper asks before every write.
type stopper struct {
	providers.Driver
	before func(key string) error
}

func (d *stopper) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	if err := d.before(key); err != nil {
		return "", err
	}
	return d.Driver.Put(ctx, key, data, opt)
}
