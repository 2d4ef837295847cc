package providertest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"offsite/providers"
)

// now is the store's time, or a fixed one when it has no clock.
func (s suite) now() time.Time {
	s.Helper()
	c, ok := s.d.(providers.Clock)
	if !ok {
		return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	now, err := c.Time(s.Context())
	if err != nil {
		s.Fatalf("time: %v", err)
	}
	return now
}

func describes(s suite) {
	data := pattern(5000, 9)
	v := s.put("r/a", data)
	obj, err := s.d.Stat(s.Context(), "r/a", "")
	if err != nil {
		s.Fatal(err)
	}
	if obj.Key != "r/a" || obj.Size != 5000 || obj.Version != v || obj.Modified.IsZero() || !obj.Lease.IsZero() {
		s.Errorf("stat: %+v", obj)
	}
	s.wantChecksum(obj.Checksum, data)
	for listed, err := range s.d.List(s.Context(), "", "") {
		if err != nil {
			s.Fatal(err)
		}
		if listed.Key != obj.Key || listed.Size != obj.Size || !listed.Lease.Equal(obj.Lease) || listed.Modified.IsZero() {
			s.Errorf("list: %+v, stat: %+v", listed, obj)
		}
		if listed.Version != "" && listed.Version != obj.Version {
			s.Errorf("list: version %q, stat: %q", listed.Version, obj.Version)
		}
		s.wantChecksum(listed.Checksum, data)
	}
}

func (s suite) wantChecksum(c providers.Checksum, data []byte) {
	s.Helper()
	var want []byte
	switch c.Algorithm {
	case "":
		return
	case "sha256":
		sum := sha256.Sum256(data)
		want = sum[:]
	case "md5":
		sum := md5.Sum(data)
		want = sum[:]
	case "crc32c":
		want = binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	default:
		s.Fatalf("checksum algorithm %q is unknown", c.Algorithm)
	}
	if !bytes.Equal(c.Sum, want) {
		s.Errorf("checksum %s is %x, want %x", c.Algorithm, c.Sum, want)
	}
}

func listOrder(s suite) {
	// In byte order "-" and "." come before "/", "0" after it.
	want := []string{"a", "b-c", "b.c", "b/c", "b0", "c-x/1", "c.x/1", "c/x-y", "c/x.y", "c/x/y", "c/x0", "c0/1", "z"}
	for i := range want {
		s.put(want[(i*5+3)%len(want)], []byte{byte(i)})
	}
	s.wantKeys(s.keys("", ""), want...)
}

func listPrefixAfter(s suite) {
	for _, key := range []string{"offsite.json", "r/p/00/aa", "r/p/00/ab", "r/p/01/aa", "r/p0", "r/s/x/00000001", "r/x/aa"} {
		s.put(key, []byte("x"))
	}
	for _, c := range []struct {
		prefix, after string
		want          []string
	}{
		{"r/p/", "", []string{"r/p/00/aa", "r/p/00/ab", "r/p/01/aa"}},
		{"r/p", "", []string{"r/p/00/aa", "r/p/00/ab", "r/p/01/aa", "r/p0"}},
		{"r/p/00", "", []string{"r/p/00/aa", "r/p/00/ab"}},
		{"r/p/0", "r/p/00/aa", []string{"r/p/00/ab", "r/p/01/aa"}},
		{"r/p/00/ab", "", []string{"r/p/00/ab"}},
		{"r/p/", "r/p/00/ab", []string{"r/p/01/aa"}},
		{"r/p/", "r/p/00/zz", []string{"r/p/01/aa"}},
		{"r/p/", "r/p/01/aa", nil},
		{"r/p/", "a", []string{"r/p/00/aa", "r/p/00/ab", "r/p/01/aa"}},
		{"r/p/", "z", nil},
		{"", "r/p/01/aa", []string{"r/p0", "r/s/x/00000001", "r/x/aa"}},
		{"", "offsite.json", []string{"r/p/00/aa", "r/p/00/ab", "r/p/01/aa", "r/p0", "r/s/x/00000001", "r/x/aa"}},
		{"q", "", nil},
		{"r/p/00/aa/", "", nil},
		{"r/p/00/aax", "", nil},
	} {
		s.Logf("prefix %q after %q", c.prefix, c.after)
		s.wantKeys(s.keys(c.prefix, c.after), c.want...)
	}
}

// listMany needs more than one page of every cloud (1,000 keys).
func listMany(s suite) {
	const n, writers = 1_050, 8
	want := make([]string, n)
	for i := range want {
		want[i] = fmt.Sprintf("r/p/%02x/%04d", i*7/n, i)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				if _, err := s.d.Put(s.Context(), want[i], []byte{1}, providers.PutOptions{}); err != nil {
					s.Errorf("put %s: %v", want[i], err)
				}
			}
		})
	}
	wg.Wait()
	s.wantKeys(s.keys("r/p/", ""), want...)
	s.wantKeys(s.keys("r/p/", want[n/2]), want[n/2+1:]...)
}

// listWhileWriting: what was there before and stays is listed, once.
func listWhileWriting(s suite) {
	for i := range 20 {
		s.put(fmt.Sprintf("r/p/%02d/a", i), []byte("x"))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20 {
			if _, err := s.d.Put(s.Context(), fmt.Sprintf("r/p/%02d/b", i), []byte("x"), providers.PutOptions{}); err != nil {
				s.Errorf("put: %v", err)
			}
		}
	})
	last, old := "", 0
	for obj, err := range s.d.List(s.Context(), "r/p/", "") {
		if err != nil {
			s.Errorf("list: %v", err)
			break
		}
		if obj.Key <= last {
			s.Errorf("%s listed after %s", obj.Key, last)
		}
		last = obj.Key
		if obj.Key[len(obj.Key)-1] == 'a' {
			old++
		}
	}
	wg.Wait()
	if old != 20 {
		s.Errorf("%d of 20 objects listed while others were written", old)
	}
}

// listStops: leaving the loop ends the listing, and the loop may use the driver.
func listStops(s suite) {
	for i := range 5 {
		s.put(fmt.Sprintf("r/%d", i), []byte("x"))
	}
	n := 0
	for obj, err := range s.d.List(s.Context(), "r/", "") {
		if err != nil {
			s.Fatal(err)
		}
		s.wantBytes(obj.Key, []byte("x"))
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		s.Errorf("%d objects seen, want 2", n)
	}
}

// countdown is a context that is cancelled when it is looked at for the nth time.
type countdown struct {
	context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	left   int
}

func (c *countdown) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left < 0 {
		c.cancel()
	}
	return c.Context.Err()
}

func cancelledPut(s suite) {
	data := pattern(9<<20, 4)
	for n := range 6 {
		key := fmt.Sprintf("r/cancelled-%d", n)
		parent, cancel := context.WithCancel(s.Context())
		_, putErr := s.d.Put(&countdown{Context: parent, cancel: cancel, left: n}, key, data, providers.PutOptions{})
		cancel()
		if putErr != nil && !errors.Is(putErr, context.Canceled) {
			s.Errorf("put cancelled at look %d: %v does not say so", n, putErr)
		}
		got, err := s.d.Get(s.Context(), key, "", 0, -1)
		switch {
		case err == nil && !bytes.Equal(got, data):
			s.Errorf("put cancelled at look %d left %d of %d bytes", n, len(got), len(data))
		case err != nil && putErr == nil:
			s.Errorf("put succeeded at look %d, get: %v", n, err)
		case err != nil:
			s.wantKind(err, providers.ErrNotExist)
			if k := providers.KindOf(putErr); k != providers.ErrBusy && k != providers.ErrInDoubt {
				s.Errorf("put cancelled at look %d: kind %v", n, k)
			}
		}
	}
}

func cancelledCalls(s suite) {
	s.put("r/a", []byte("x"))
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	check := func(op string, err error) {
		s.Helper()
		if !errors.Is(err, context.Canceled) || providers.KindOf(err) == nil {
			s.Errorf("%s with a cancelled context: %v", op, err)
		}
	}
	_, err := s.d.Get(ctx, "r/a", "", 0, -1)
	check("get", err)
	_, err = s.d.Stat(ctx, "r/a", "")
	check("stat", err)
	listed := error(nil)
	for _, err := range s.d.List(ctx, "", "") {
		listed = err
	}
	check("list", listed)
	if leaser, ok := s.d.(providers.Leaser); ok {
		check("raise", leaser.Raise(ctx, "r/a", "", s.now().Add(time.Hour)))
	}
}

func twoHandles(s suite) {
	other := s.d
	if s.can.Again != nil {
		other = s.can.Again(s.T, s.d)
	}
	v := s.put("head.json", []byte("one"))
	if got, err := other.Get(s.Context(), "head.json", v, 0, -1); err != nil || string(got) != "one" {
		s.Fatalf("the second handle reads %q, %v", got, err)
	}
	_, err := other.Put(s.Context(), "head.json", []byte("x"), providers.PutOptions{})
	s.wantKind(err, providers.ErrExist)
	if _, err := other.Put(s.Context(), "head.json", []byte("two"), providers.PutOptions{Replace: v}); err != nil {
		s.Fatal(err)
	}
	_, err = s.d.Put(s.Context(), "head.json", []byte("three"), providers.PutOptions{Replace: v})
	s.wantKind(err, providers.ErrConflict)
	s.wantBytes("head.json", []byte("two"))
}

// wantLease demands a lease from want to a day later: stores round up.
func (s suite) wantLease(key string, want time.Time) {
	s.Helper()
	obj, err := s.d.Stat(s.Context(), key, "")
	if err != nil {
		s.Fatal(err)
	}
	if obj.Lease.Before(want) || obj.Lease.Sub(want) > 24*time.Hour {
		s.Errorf("lease of %s is %v, want %v", key, obj.Lease, want)
	}
	for listed, err := range s.d.List(s.Context(), key, "") {
		if err != nil || !listed.Lease.Equal(obj.Lease) {
			s.Errorf("listed lease of %s is %v, %v; stat says %v", key, listed.Lease, err, obj.Lease)
		}
	}
}

func leaseAtPut(s suite) {
	if !s.can.Lease {
		return
	}
	until := s.now().Add(30*24*time.Hour + 123*time.Millisecond)
	if _, err := s.d.Put(s.Context(), "r/a", []byte("x"), providers.PutOptions{Lease: until}); err != nil {
		s.Fatal(err)
	}
	s.wantLease("r/a", until)
	// A refused create changes nothing about the lease.
	_, err := s.d.Put(s.Context(), "r/a", []byte("y"), providers.PutOptions{Lease: until.AddDate(1, 0, 0)})
	s.wantKind(err, providers.ErrExist)
	s.wantLease("r/a", until)
}

func leaseOnlyLater(s suite) {
	if !s.can.Lease {
		return
	}
	leaser := s.d.(providers.Leaser)
	now := s.now()
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	v, err := s.d.Put(s.Context(), "r/a", []byte("x"), providers.PutOptions{Lease: day(10)})
	if err != nil {
		s.Fatal(err)
	}
	for _, step := range []struct{ ask, want int }{{5, 10}, {10, 10}, {40, 40}, {39, 40}, {41, 41}, {4000, 4000}, {1, 4000}} {
		if err := leaser.Raise(s.Context(), "r/a", v, day(step.ask)); err != nil {
			s.Fatalf("raise to day %d: %v", step.ask, err)
		}
		s.wantLease("r/a", day(step.want))
	}
	s.wantKind(leaser.Raise(s.Context(), "r/a", "no-such-version", day(5000)), providers.ErrNotExist)
	s.wantBytes("r/a", []byte("x"))
	// An object without a lease gets one.
	s.put("r/b", []byte("x"))
	if err := leaser.Raise(s.Context(), "r/b", "", day(3)); err != nil {
		s.Fatal(err)
	}
	s.wantLease("r/b", day(3))
	// Many raises in turn.
	for i := 4; i < 130; i++ {
		if err := leaser.Raise(s.Context(), "r/b", "", day(i)); err != nil {
			s.Fatal(err)
		}
	}
	s.wantLease("r/b", day(129))
}

func leaseRaced(s suite) {
	if !s.can.Lease {
		return
	}
	leaser := s.d.(providers.Leaser)
	now := s.now()
	s.put("r/a", []byte("x"))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := leaser.Raise(s.Context(), "r/a", "", now.AddDate(0, 0, 1+(i*7)%16)); err != nil {
				s.Errorf("raise: %v", err)
			}
		})
	}
	wg.Wait()
	s.wantLease("r/a", now.AddDate(0, 0, 16))
}

func sweepHeld(s suite) {
	if !s.can.Sweep {
		return
	}
	sweeper := s.d.(providers.Sweeper)
	if _, err := s.d.Put(s.Context(), "r/leased", []byte("x"), providers.PutOptions{Lease: s.now().Add(time.Hour)}); err != nil {
		s.Fatal(err)
	}
	s.put("r/without", []byte("x"))
	s.wantKind(sweeper.Remove(s.Context(), "r/leased", ""), providers.ErrHeld)
	s.wantKind(sweeper.Remove(s.Context(), "r/without", ""), providers.ErrHeld)
	s.wantKeys(s.keys("r/", ""), "r/leased", "r/without")
}

func sweepLapsed(s suite) {
	if !s.can.Sweep {
		return
	}
	sweeper := s.d.(providers.Sweeper)
	past := s.now().Add(-time.Hour)
	for _, key := range []string{"r/old", "r/raised"} {
		if _, err := s.d.Put(s.Context(), key, []byte("x"), providers.PutOptions{Lease: past}); err != nil {
			s.Fatal(err)
		}
	}
	if err := s.d.(providers.Leaser).Raise(s.Context(), "r/raised", "", s.now().Add(time.Hour)); err != nil {
		s.Fatal(err)
	}
	s.wantKind(sweeper.Remove(s.Context(), "r/old", "no-such-version"), providers.ErrNotExist)
	if err := sweeper.Remove(s.Context(), "r/old", ""); err != nil {
		s.Fatal(err)
	}
	s.wantKind(sweeper.Remove(s.Context(), "r/old", ""), providers.ErrNotExist)
	s.wantKind(sweeper.Remove(s.Context(), "r/raised", ""), providers.ErrHeld)
	s.wantKeys(s.keys("", ""), "r/raised")
	// The key is free again, and the old lease is gone with the object.
	s.put("r/old", []byte("new"))
	s.wantKind(sweeper.Remove(s.Context(), "r/old", ""), providers.ErrHeld)
	s.wantBytes("r/old", []byte("new"))
}

func clock(s suite) {
	if !s.can.Clock {
		return
	}
	before := s.now()
	s.put("r/a", []byte("x"))
	obj, err := s.d.Stat(s.Context(), "r/a", "")
	if err != nil {
		s.Fatal(err)
	}
	after := s.now()
	if after.Before(before) {
		s.Errorf("the store's clock went from %v to %v", before, after)
	}
	const tolerance = 3 * time.Second // FAT keeps even seconds
	if obj.Modified.Before(before.Add(-tolerance)) || obj.Modified.After(after.Add(tolerance)) {
		s.Errorf("object modified at %v, clock said %v and %v", obj.Modified, before, after)
	}
	s.wantKeys(s.keys("", ""), "r/a")
}
