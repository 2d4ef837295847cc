package providers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"offsite/providers"
	"offsite/providers/mem"
	"offsite/providers/providertest"
)

// bench is a Store over a faulty model store.
type bench struct {
	mem   *mem.Mem
	fault *providertest.Faulty
	store *providers.Store
}

func newBench(t *testing.T, rules ...providertest.Rule) bench {
	t.Helper()
	m := mem.New(mem.Options{Now: time.Now, Report: func(b string) { t.Errorf("breach: %s", b) }})
	f := providertest.NewFaulty(m, rules...)
	return bench{m, f, providers.NewStore(f.Driver(), providers.Options{})}
}

func (b bench) seed(t *testing.T, key, data string, lease time.Time) providers.Version {
	t.Helper()
	v, err := b.mem.Put(t.Context(), key, []byte(data), providers.PutOptions{Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantStored demands that key holds data (nil: nothing) under version v.
func (b bench) wantStored(t *testing.T, key, data string, v providers.Version) {
	t.Helper()
	obj, err := b.mem.Stat(t.Context(), key, "")
	if err != nil || string(b.mem.Snapshot()[key]) != data || obj.Version != v {
		t.Errorf("%s holds %q version %q (%v), want %q version %q", key, b.mem.Snapshot()[key], obj.Version, err, data, v)
	}
}

var (
	kinds    = []error{providers.ErrBusy, providers.ErrUnreachable, providers.ErrInDoubt}
	outcomes = map[string]providertest.Outcome{"before": providertest.FailBefore, "after": providertest.FailAfter, "cut": providertest.Cut, "hang": providertest.Hang}
)

// eachFault runs f for every transient failure of the first and of the first
// three calls of op. ErrBusy promises "not applied", so it never follows a write
// that was.
func eachFault(t *testing.T, op string, f func(t *testing.T, rule providertest.Rule)) {
	for name, outcome := range outcomes {
		for _, kind := range kinds {
			applied := outcome == providertest.FailAfter || outcome == providertest.Cut
			if kind == providers.ErrBusy && applied && op == "put" {
				continue
			}
			for _, times := range []int{1, 3} {
				rule := providertest.Rule{Op: op, Outcome: outcome, Kind: kind, Times: times}
				t.Run(fmt.Sprintf("%s %s %v times %d", op, name, kind, times), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { f(t, rule) })
				})
			}
		}
	}
}

func TestCreateSurvivesEveryFault(t *testing.T) {
	for _, op := range []string{"put", "stat", "get"} {
		eachFault(t, op, func(t *testing.T, rule providertest.Rule) {
			rules := []providertest.Rule{rule}
			if op != "put" { // make it read back
				rules = append(rules, providertest.Rule{Op: "put", Outcome: providertest.FailAfter})
			}
			b := newBench(t, rules...)
			lease := time.Now().Add(time.Hour)
			v, err := b.store.Create(t.Context(), "r/a", []byte("data"), lease)
			if op == "get" && rule.Outcome == providertest.Cut {
				// A cut answer without an error reads as other bytes: the careful
				// answer is a conflict, never a success.
				if !errors.Is(err, providers.ErrConflict) {
					t.Errorf("create: %v, want a conflict", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b.wantStored(t, "r/a", "data", v)
			if obj, _ := b.mem.Stat(t.Context(), "r/a", ""); obj.Lease.Before(lease) {
				t.Errorf("lease %v, want %v", obj.Lease, lease)
			}
		})
	}
}

func TestReplaceSurvivesEveryFault(t *testing.T) {
	eachFault(t, "put", func(t *testing.T, rule providertest.Rule) {
		b := newBench(t, rule)
		old := b.seed(t, "head.json", "old", time.Time{})
		v, err := b.store.Replace(t.Context(), "head.json", old, []byte("new"), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		b.wantStored(t, "head.json", "new", v)
		if _, err := b.store.Replace(t.Context(), "head.json", old, []byte("newer"), time.Time{}); !errors.Is(err, providers.ErrConflict) {
			t.Errorf("replace of a stale version: %v, want a conflict", err)
		}
		b.wantStored(t, "head.json", "new", v)
	})
}

func TestReadsAndRaisesSurviveEveryFault(t *testing.T) {
	for _, op := range []string{"get", "stat", "raise", "time", "list"} {
		eachFault(t, op, func(t *testing.T, rule providertest.Rule) {
			b := newBench(t, rule)
			until := time.Now().Add(time.Hour)
			v := b.seed(t, "r/a", "data", time.Time{})
			if got, err := b.store.ReadRange(t.Context(), "r/a", v, 1, 2); err != nil || string(got) != "at" {
				t.Errorf("read %q, %v", got, err)
			}
			if obj, err := b.store.Stat(t.Context(), "r/a", ""); err != nil || obj.Version != v {
				t.Errorf("stat %+v, %v", obj, err)
			}
			if err := b.store.Raise(t.Context(), "r/a", v, until); err != nil {
				t.Errorf("raise: %v", err)
			}
			if obj, _ := b.mem.Stat(t.Context(), "r/a", v); !obj.Lease.Equal(until) {
				t.Errorf("lease %v, want %v", obj.Lease, until)
			}
			if now, err := b.store.Time(t.Context()); err != nil || now.Before(until.Add(-time.Hour)) {
				t.Errorf("time %v, %v", now, err)
			}
			n := 0
			for obj, err := range b.store.List(t.Context(), "r/", "") {
				if err != nil || obj.Key != "r/a" {
					t.Errorf("list %+v, %v", obj, err)
				}
				n++
			}
			if n != 1 {
				t.Errorf("%d objects listed, want 1", n)
			}
		})
	}
}

// The fourth outcome: a store that reports success for nothing. Only reading
// shows it; the test fixes what is known afterwards.
func TestALyingStoreIsFoundByReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, providertest.Rule{Op: "put", Outcome: providertest.Lie})
		if _, err := b.store.Create(t.Context(), "r/a", []byte("data"), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.Read(t.Context(), "r/a", ""); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read: %v, want not exist", err)
		}
	})
}

func TestCreateOfATakenKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		short, long := time.Now().Add(time.Hour), time.Now().Add(48*time.Hour)
		v := b.seed(t, "r/a", "data", short)
		got, err := b.store.Create(t.Context(), "r/a", []byte("data"), long)
		if err != nil || got != v {
			t.Errorf("same bytes: version %q, %v; want %q", got, err, v)
		}
		if obj, _ := b.mem.Stat(t.Context(), "r/a", ""); !obj.Lease.Equal(long) {
			t.Errorf("lease %v was not raised to %v", obj.Lease, long)
		}
		if b.fault.Count("raise") != 1 {
			t.Errorf("%d raises, want 1", b.fault.Count("raise"))
		}
		if _, err := b.store.Create(t.Context(), "r/a", []byte("data"), short); err != nil || b.fault.Count("raise") != 1 {
			t.Errorf("a long lease was raised again: %v", err)
		}
		for _, other := range []string{"", "DATA", "data and more"} {
			_, err := b.store.Create(t.Context(), "r/a", []byte(other), long)
			if !errors.Is(err, providers.ErrConflict) || errors.Is(err, fs.ErrExist) {
				t.Errorf("other bytes %q: %v, want only a conflict", other, err)
			}
		}
		b.wantStored(t, "r/a", "data", v)
	})
}

// The store's own SHA-256 spares reading back.
func TestCreateComparesByTheStoresDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mem.New(mem.Options{Sum: true})
		f := providertest.NewFaulty(m, providertest.Rule{Op: "put", Outcome: providertest.FailAfter})
		s := providers.NewStore(f.Driver(), providers.Options{})
		if _, err := s.Create(t.Context(), "r/a", []byte("data"), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Create(t.Context(), "r/a", []byte("DATA"), time.Time{}); !errors.Is(err, providers.ErrConflict) {
			t.Errorf("other bytes: %v", err)
		}
		if f.Count("get") != 0 {
			t.Errorf("%d reads, want none", f.Count("get"))
		}
	})
}

func TestStopsAtOnceWhereWaitingIsInVain(t *testing.T) {
	for _, kind := range providers.Kinds() {
		if slices.Contains(kinds, kind) || kind == providers.ErrExist {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, providertest.Rule{Outcome: providertest.FailBefore, Kind: kind, Times: -1})
			_, err := b.store.Create(t.Context(), "r/a", []byte("x"), time.Time{})
			_, readErr := b.store.Read(t.Context(), "r/b", "")
			if providers.KindOf(err) != kind || providers.KindOf(readErr) != kind || len(b.fault.Calls()) != 2 {
				t.Errorf("%v: create %v, read %v after %d calls", kind, err, readErr, len(b.fault.Calls()))
			}
		})
	}
}

func TestGivesUpWithinTheBudget(t *testing.T) {
	for _, c := range []struct {
		name     string
		opt      providers.Options
		after    time.Duration
		requests int
		longest  time.Duration
	}{
		{"defaults", providers.Options{}, 0, 8, 2 * time.Minute},
		{"attempts", providers.Options{Attempts: 3}, 0, 3, 2 * time.Second},
		{"budget", providers.Options{Attempts: 100, WaitBudget: 10 * time.Second, MaxWait: time.Second}, 0, 0, 10 * time.Second},
		{"the store asks for less than the budget", providers.Options{Attempts: 4}, time.Minute, 4, 3 * time.Minute},
		{"the store asks for more than the budget", providers.Options{}, time.Hour, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := providertest.NewFaulty(mem.New(mem.Options{}), providertest.Rule{Outcome: providertest.FailBefore, After: c.after, Times: -1})
				s := providers.NewStore(f.Driver(), c.opt)
				start := time.Now()
				_, err := s.Read(t.Context(), "r/a", "")
				took := time.Since(start)
				if !errors.Is(err, providers.ErrBusy) || took > c.longest {
					t.Errorf("gave up after %v: %v", took, err)
				}
				if n := f.Count("get"); c.requests != 0 && n != c.requests || n < 1 {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
				if got := s.Counters(); got.Get != int64(f.Count("get")) || got.Retries != got.Get-1 {
					t.Errorf("counters %+v after %d requests", got, f.Count("get"))
				}
			})
		})
	}
}

func TestWaitsAreTheSameEveryTime(t *testing.T) {
	waits := func(seed uint64) (all []time.Duration) {
		f := providertest.NewFaulty(mem.New(mem.Options{}), providertest.Rule{Outcome: providertest.FailBefore, Times: -1})
		s := providers.NewStore(f.Driver(), providers.Options{Seed: seed, Sleep: func(_ context.Context, d time.Duration) error {
			all = append(all, d)
			return nil
		}})
		_, _ = s.Read(t.Context(), "r/a", "")
		return all
	}
	one, again, two := waits(1), waits(1), waits(2)
	if !slices.Equal(one, again) || slices.Equal(one, two) || len(one) != 7 {
		t.Errorf("waits %v, again %v, other seed %v", one, again, two)
	}
}

func TestAStuckAttemptEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, providertest.Rule{Op: "put", Outcome: providertest.Hang})
		start := time.Now()
		if _, err := b.store.Create(t.Context(), "r/a", make([]byte, 16<<20), time.Time{}); err != nil {
			t.Fatal(err)
		}
		// One minute, and 16 MiB at 16 KiB/s.
		if took := time.Since(start); took < time.Minute || took > 19*time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

func TestCancellingEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, providertest.Rule{Outcome: providertest.FailBefore, Times: -1})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := b.store.Create(ctx, "r/a", []byte("x"), time.Time{})
		if !errors.Is(err, context.DeadlineExceeded) || providers.KindOf(err) == nil || time.Since(start) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := providertest.NewFaulty(mem.New(mem.Options{}), providertest.Rule{Op: "put", Outcome: providertest.Slow, Wait: time.Second, Times: -1})
		var now, most atomic.Int32
		f.Sleep = func(_ context.Context, d time.Duration) error {
			n := now.Add(1)
			defer now.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(d)
			return nil
		}
		s := providers.NewStore(f.Driver(), providers.Options{Concurrency: 3})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				if _, err := s.Create(t.Context(), fmt.Sprintf("r/%d", i), []byte("x"), time.Time{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 3 || time.Since(start) != 4*time.Second {
			t.Errorf("%d at once, %v in all; want 3 and 4s", most.Load(), time.Since(start))
		}
	})
}

func TestListGoesOnWhereItBroke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, providertest.Rule{Op: "list", Outcome: providertest.Cut, Times: 5})
		var want, got []string
		for i := range 100 {
			want = append(want, fmt.Sprintf("r/%03d", i))
			b.seed(t, want[i], "x", time.Time{})
		}
		for obj, err := range b.store.List(t.Context(), "r/", "r/009") {
			if err != nil {
				t.Fatal(err)
			}
			// The loop may take its time and use the store.
			time.Sleep(2 * time.Minute)
			if _, err := b.store.Stat(t.Context(), obj.Key, ""); err != nil {
				t.Fatal(err)
			}
			got = append(got, obj.Key)
		}
		if !slices.Equal(got, want[10:]) {
			t.Errorf("listed %q", got)
		}
	})
}

// The time limit of a listing leaves out what the loop takes.
func TestASlowLoopDoesNotEndTheListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mem.New(mem.Options{})
		s := providers.NewStore(m, providers.Options{Attempts: 1, Timeout: time.Minute})
		for i := range 5 {
			if _, err := m.Put(t.Context(), fmt.Sprintf("r/%d", i), nil, providers.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for _, err := range s.List(t.Context(), "r/", "") {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			n++
		}
		if got := s.Counters().List; n != 5 || got != 1 {
			t.Errorf("%d objects in %d listings", n, got)
		}
	})
}

func TestListEndsWithTheErrorThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, providertest.Rule{Op: "list", Nth: 2, Outcome: providertest.Gone}, providertest.Rule{Op: "list", Outcome: providertest.Cut})
		b.seed(t, "r/a", "x", time.Time{})
		b.seed(t, "r/b", "x", time.Time{})
		var keys []string
		var last error
		for obj, err := range b.store.List(t.Context(), "r/", "") {
			if last = err; err == nil {
				keys = append(keys, obj.Key)
			}
		}
		if !slices.Equal(keys, []string{"r/a"}) || !errors.Is(last, providers.ErrUnreachable) {
			t.Errorf("listed %q, then %v", keys, last)
		}
	})
}

func TestABadCallNeverReachesTheDriver(t *testing.T) {
	b := newBench(t)
	_, create := b.store.Create(t.Context(), "R/A", nil, time.Time{})
	_, over := b.store.Create(t.Context(), "r/a", make([]byte, providers.MaxObject+1), time.Time{})
	_, noVersion := b.store.Replace(t.Context(), "r/a", "", nil, time.Time{})
	_, large := b.store.Replace(t.Context(), "r/a", "v", make([]byte, providers.MaxReplace+1), time.Time{})
	_, read := b.store.Read(t.Context(), "../a", "")
	_, stat := b.store.Stat(t.Context(), "", "")
	raise := b.store.Raise(t.Context(), "a//b", "", time.Now())
	var list error
	for _, err := range b.store.List(t.Context(), "../", "") {
		list = err
	}
	for i, err := range []error{create, over, noVersion, large, read, stat, raise, list} {
		if !errors.Is(err, providers.ErrInvalid) {
			t.Errorf("call %d: %v, want invalid", i, err)
		}
	}
	if calls := b.fault.Calls(); len(calls) != 0 {
		t.Errorf("driver saw %v", calls)
	}
}

func TestAStoreWithoutLeasesRaisesNothing(t *testing.T) {
	f := providertest.NewFaulty(mem.New(mem.Options{}).Plain())
	s := providers.NewStore(f.Driver(), providers.Options{})
	if s.Leases() {
		t.Error("leases promised")
	}
	if err := s.Raise(t.Context(), "r/a", "", time.Now()); err != nil || len(f.Calls()) != 0 {
		t.Errorf("raise: %v, calls %v", err, f.Calls())
	}
}

func TestCounters(t *testing.T) {
	b := newBench(t)
	data := bytes.Repeat([]byte("x"), 1000)
	if _, err := b.store.Create(t.Context(), "r/a", data, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.ReadRange(t.Context(), "r/a", "", 0, 10); err != nil {
		t.Fatal(err)
	}
	if got, want := b.store.Counters(), (providers.Counters{Put: 1, Get: 1, Sent: 1000, Received: 10}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
}

func TestErrorsNameOneKind(t *testing.T) {
	gone := &providers.Error{Op: "get", Provider: "dir", Key: "r/a", Kind: providers.ErrUnreachable, Err: fs.ErrNotExist}
	if errors.Is(gone, fs.ErrNotExist) || !errors.Is(gone, providers.ErrUnreachable) {
		t.Error("a missing root reads like a missing object")
	}
	full := &providers.Error{Op: "put", Provider: "s3", Key: "r/a", Kind: providers.ErrBusy, Status: 503, RequestID: "X1", Err: errors.New("slow down")}
	if got, want := full.Error(), "put r/a (s3): store is busy: status 503: request X1: slow down"; got != want {
		t.Errorf("error reads %q, want %q", got, want)
	}
	for kind, std := range map[error]error{providers.ErrNotExist: fs.ErrNotExist, providers.ErrExist: fs.ErrExist, providers.ErrDenied: fs.ErrPermission} {
		if err := fmt.Errorf("do: %w", &providers.Error{Kind: kind}); !errors.Is(err, std) || providers.KindOf(err) != kind {
			t.Errorf("%v is not %v", kind, std)
		}
	}
	if providers.KindOf(errors.New("x")) != nil || providers.KindOf(nil) != nil {
		t.Error("a kind out of nowhere")
	}
}

func FuzzValidKey(f *testing.F) {
	for _, key := range []string{"offsite.json", "r/p/00/aa", "a..b", "a/", "A", "con.txt", "x.lease", "", "a/-b"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if !providers.ValidKey(key) {
			return
		}
		if len(key) > providers.MaxKey || !fs.ValidPath(key) || key == "." || strings.ToLower(key) != key || strings.ContainsAny(key, "\\: \x00") {
			t.Errorf("%q is valid", key)
		}
		for i := range key {
			if !providers.ValidPrefix(key[:i]) {
				t.Errorf("%q, the beginning of %q, is no valid prefix", key[:i], key)
			}
		}
	})
}
