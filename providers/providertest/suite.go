// Package providertest is the contract of package providers as code: Run holds
// every driver to it, and Faulty makes any driver fail on purpose.
//
// Each case of Run is named in providers/CONTRACT.md; a test keeps the two alike.
package providertest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offsite/providers"
)

// Abilities say what the driver under test must be able to do. A missing or an
// unexpected ability fails; nothing is skipped in silence.
type Abilities struct {
	Lease, Sweep, Clock bool
	// Again opens the same store a second time. Nil: the driver itself serves.
	Again func(t *testing.T, d providers.Driver) providers.Driver
}

// Run holds the drivers that newDriver makes to the contract. Each case gets its
// own, empty store.
func Run(t *testing.T, newDriver func(t *testing.T) providers.Driver, can Abilities) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(suite{T: t, d: newDriver(t), can: can})
		})
	}
}

// Cases returns the names of the cases of Run.
func Cases() []string {
	var names []string
	for _, c := range cases() {
		names = append(names, c.name)
	}
	return names
}

type testCase struct {
	name string
	run  func(suite)
}

func cases() []testCase {
	return []testCase{
		{"abilities", abilities},
		{"sizes", sizes},
		{"size-limit", sizeLimit},
		{"create-only", createOnly},
		{"one-winner-of-16", oneWinner},
		{"copies-bytes", copiesBytes},
		{"replace", replace},
		{"replace-one-winner", replaceOneWinner},
		{"ranges", ranges},
		{"fill", fill},
		{"absent", absent},
		{"versions", versions},
		{"describes", describes},
		{"list-order", listOrder},
		{"list-prefix-after", listPrefixAfter},
		{"list-many", listMany},
		{"list-while-writing", listWhileWriting},
		{"list-stops", listStops},
		{"hostile-keys", hostileKeys},
		{"longest-key", longestKey},
		{"cancelled-put", cancelledPut},
		{"cancelled-calls", cancelledCalls},
		{"two-handles", twoHandles},
		{"lease-at-put", leaseAtPut},
		{"lease-only-later", leaseOnlyLater},
		{"lease-raced", leaseRaced},
		{"sweep-held", sweepHeld},
		{"sweep-lapsed", sweepLapsed},
		{"clock", clock},
	}
}

// suite is one case at work: a testing.T, an empty store and short words.
type suite struct {
	*testing.T
	d   providers.Driver
	can Abilities
}

func (s suite) put(key string, data []byte) providers.Version {
	s.Helper()
	v, err := s.d.Put(s.Context(), key, data, providers.PutOptions{})
	if err != nil {
		s.Fatalf("put %s: %v", key, err)
	}
	return v
}

func (s suite) wantBytes(key string, want []byte) {
	s.Helper()
	got, err := s.d.Get(s.Context(), key, "", 0, -1)
	if err != nil {
		s.Fatalf("get %s: %v", key, err)
	}
	if !bytes.Equal(got, want) {
		s.Fatalf("get %s: %d bytes, want %d others", key, len(got), len(want))
	}
}

// wantKind demands an error of the kind, and of no other.
func (s suite) wantKind(err, kind error) {
	s.Helper()
	if err == nil {
		s.Errorf("no error, want %q", kind)
		return
	}
	for _, k := range providers.Kinds() {
		if errors.Is(err, k) != (k == kind) {
			s.Errorf("error %q: is kind %q: %v; want only %q", err, k, errors.Is(err, k), kind)
		}
	}
}

func (s suite) keys(prefix, after string) []string {
	s.Helper()
	keys := []string{}
	for obj, err := range s.d.List(s.Context(), prefix, after) {
		if err != nil {
			s.Fatalf("list %q after %q: %v", prefix, after, err)
		}
		keys = append(keys, obj.Key)
	}
	return keys
}

func (s suite) wantKeys(got []string, want ...string) {
	s.Helper()
	if !slices.Equal(got, want) {
		s.Errorf("listed %q, want %q", got, want)
	}
}

// pattern is n bytes that differ by seed.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) ^ byte(i>>8) ^ seed
	}
	return b
}

func abilities(s suite) {
	_, lease := s.d.(providers.Leaser)
	_, sweep := s.d.(providers.Sweeper)
	_, clock := s.d.(providers.Clock)
	if lease != s.can.Lease || sweep != s.can.Sweep || clock != s.can.Clock {
		s.Errorf("driver has lease %v, sweep %v, clock %v; want %v, %v, %v", lease, sweep, clock, s.can.Lease, s.can.Sweep, s.can.Clock)
	}
}

func sizes(s suite) {
	for i, n := range []int{0, 1, 4095, 65536, 65537, 1<<20 + 1} {
		key, data := fmt.Sprintf("r/size-%d", n), pattern(n, byte(i))
		s.put(key, data)
		s.wantBytes(key, data)
		if obj, err := s.d.Stat(s.Context(), key, ""); err != nil || obj.Size != int64(n) {
			s.Errorf("stat %s: %d bytes, %v", key, obj.Size, err)
		}
	}
}

func sizeLimit(s suite) {
	data := pattern(providers.MaxObject+1, 3)
	_, err := s.d.Put(s.Context(), "r/over", data, providers.PutOptions{})
	s.wantKind(err, providers.ErrInvalid)
	s.wantKeys(s.keys("", ""))
	s.put("r/limit", data[:providers.MaxObject])
	s.wantBytes("r/limit", data[:providers.MaxObject])
}

func createOnly(s suite) {
	s.put("r/a", []byte("one"))
	for _, data := range []string{"two", "one", ""} {
		_, err := s.d.Put(s.Context(), "r/a", []byte(data), providers.PutOptions{})
		s.wantKind(err, providers.ErrExist)
	}
	s.wantBytes("r/a", []byte("one"))
}

func oneWinner(s suite) {
	const racers = 16
	errs := make([]error, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			_, errs[i] = s.d.Put(s.Context(), "r/race/one", pattern(9000, byte(i)), providers.PutOptions{})
		})
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			s.Fatalf("racers %d and %d both won", winner, i)
		case err == nil:
			winner = i
		default:
			s.wantKind(err, providers.ErrExist)
		}
	}
	if winner < 0 {
		s.Fatal("nobody won")
	}
	s.wantBytes("r/race/one", pattern(9000, byte(winner)))
}

func copiesBytes(s suite) {
	data := []byte("as written")
	s.put("r/a", data)
	copy(data, "XXXXXXXXXX")
	got, err := s.d.Get(s.Context(), "r/a", "", 0, -1)
	if err != nil {
		s.Fatal(err)
	}
	copy(got, "YYYYYYYYYY")
	s.wantBytes("r/a", []byte("as written"))
}

func replace(s suite) {
	ctx := s.Context()
	swap := func(key string, old providers.Version, data []byte) (providers.Version, error) {
		return s.d.Put(ctx, key, data, providers.PutOptions{Replace: old})
	}
	v1 := s.put("head.json", []byte("one"))
	if v1 == "" {
		s.Fatal("a small object has no version to replace")
	}
	foreign := s.put("other.json", []byte("other"))
	v2, err := swap("head.json", v1, []byte("two"))
	if err != nil || v2 == v1 || v2 == "" {
		s.Fatalf("replace: version %q after %q, %v", v2, v1, err)
	}
	s.wantBytes("head.json", []byte("two"))
	for _, old := range []providers.Version{v1, foreign, "no-such-version"} {
		_, err := swap("head.json", old, []byte("three"))
		s.wantKind(err, providers.ErrConflict)
	}
	_, err = swap("missing.json", v1, []byte("three"))
	s.wantKind(err, providers.ErrConflict)
	_, err = swap("head.json", v2, make([]byte, providers.MaxReplace+1))
	s.wantKind(err, providers.ErrInvalid)
	s.wantBytes("head.json", []byte("two"))
	if _, err := swap("head.json", v2, pattern(providers.MaxReplace, 1)); err != nil {
		s.Errorf("replace at the limit: %v", err)
	}
	s.wantKeys(s.keys("", ""), "head.json", "other.json")
}

func replaceOneWinner(s suite) {
	const racers = 8
	old := s.put("head.json", []byte("old"))
	errs := make([]error, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			_, errs[i] = s.d.Put(s.Context(), "head.json", pattern(100, byte(i)), providers.PutOptions{Replace: old})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			s.wantKind(err, providers.ErrConflict)
		}
	}
	if won != 1 {
		s.Errorf("%d of %d racers replaced the same version", won, racers)
	}
}

func ranges(s suite) {
	const size = 10_000
	data := pattern(size, 1)
	s.put("r/a", data)
	s.put("r/empty", nil)
	for _, r := range []struct {
		key    string
		off, n int64
		ok     bool
	}{
		{"r/a", 0, -1, true}, {"r/a", 0, size, true}, {"r/a", 0, 1, true}, {"r/a", size - 1, 1, true}, {"r/a", size - 1, -1, true},
		{"r/a", 4095, 4097, true}, {"r/a", 0, 0, true}, {"r/a", size, 0, true}, {"r/a", size, -1, true},
		{"r/empty", 0, -1, true}, {"r/empty", 0, 0, true},
		{"r/a", 0, size + 1, false}, {"r/a", size - 1, 2, false}, {"r/a", size, 1, false}, {"r/a", size + 1, 0, false},
		{"r/a", size + 1, -1, false}, {"r/a", -1, 1, false}, {"r/a", 1, 1<<63 - 1, false}, {"r/a", 1<<63 - 1, 1, false},
		{"r/empty", 0, 1, false}, {"r/empty", 1, -1, false},
	} {
		got, err := s.d.Get(s.Context(), r.key, "", r.off, r.n)
		if !r.ok {
			s.wantKind(err, providers.ErrRange)
			continue
		}
		want := data
		if r.key == "r/empty" {
			want = nil
		}
		end := r.off + r.n
		if r.n < 0 {
			end = int64(len(want))
		}
		if err != nil || !bytes.Equal(got, want[r.off:end]) {
			s.Errorf("get %s from %d, %d bytes: %d bytes, %v", r.key, r.off, r.n, len(got), err)
		}
	}
}

// fill reads small and large objects into room of every size, also of no alignment.
func fill(s suite) {
	filler, ok := s.d.(providers.Filler)
	if !ok {
		return // an ability that costs nothing to lack
	}
	for i, size := range []int{0, 1, 4096, 1<<20 - 1, 1 << 20, 3<<20 + 5} {
		key := fmt.Sprintf("r/fill%d", i)
		data := pattern(size, byte(i))
		s.put(key, data)
		for _, room := range [][]byte{nil, {}, make([]byte, size/2), make([]byte, size), make([]byte, size+1<<16), make([]byte, size+1<<16)[3:]} {
			for at := range room {
				room[at] = 0xa5
			}
			got, err := filler.Fill(s.Context(), key, "", room)
			if err != nil || !bytes.Equal(got, data) {
				s.Errorf("fill %d of %d: %d bytes, %v", size, cap(room), len(got), err)
			}
			if size > 0 && len(room) >= size+4096 && &got[0] != &room[0] {
				s.Errorf("fill %d of %d: memory of its own", size, cap(room))
			}
		}
	}
	_, err := filler.Fill(s.Context(), "r/missing", "", nil)
	s.wantKind(err, providers.ErrNotExist)
}

func absent(s suite) {
	s.put("r/p/present", []byte("x"))
	// A folder of another key is no object, nor is what lies below an object.
	for _, key := range []string{"r/missing", "missing", "r/p", "r", "r/p/present-not", "r/p/present/below"} {
		_, err := s.d.Get(s.Context(), key, "", 0, -1)
		s.wantKind(err, providers.ErrNotExist)
		_, err = s.d.Stat(s.Context(), key, "")
		s.wantKind(err, providers.ErrNotExist)
		if leaser, ok := s.d.(providers.Leaser); ok {
			s.wantKind(leaser.Raise(s.Context(), key, "", s.now().Add(time.Hour)), providers.ErrNotExist)
		}
		if sweeper, ok := s.d.(providers.Sweeper); ok {
			s.wantKind(sweeper.Remove(s.Context(), key, ""), providers.ErrNotExist)
		}
	}
	s.wantKeys(s.keys("nothing/here/", ""))
}

func versions(s suite) {
	ctx := s.Context()
	v1 := s.put("head.json", []byte("one"))
	if obj, err := s.d.Stat(ctx, "head.json", ""); err != nil || obj.Version != v1 {
		s.Errorf("stat: version %q, %v; put said %q", obj.Version, err, v1)
	}
	got, err := s.d.Get(ctx, "head.json", v1, 1, 2)
	if err != nil || string(got) != "ne" {
		s.Errorf("get of a version: %q, %v", got, err)
	}
	_, err = s.d.Get(ctx, "head.json", "no-such-version", 0, -1)
	s.wantKind(err, providers.ErrNotExist)
	_, err = s.d.Stat(ctx, "head.json", "no-such-version")
	s.wantKind(err, providers.ErrNotExist)
	if _, err := s.d.Put(ctx, "head.json", []byte("two"), providers.PutOptions{Replace: v1}); err != nil {
		s.Fatal(err)
	}
	// A store may keep the old version or not; it never gives other bytes for it.
	if got, err := s.d.Get(ctx, "head.json", v1, 0, -1); err == nil {
		if string(got) != "one" {
			s.Errorf("the old version reads %q", got)
		}
	} else {
		s.wantKind(err, providers.ErrNotExist)
	}
	for obj, err := range s.d.List(ctx, "", "") {
		if err != nil || obj.Version == v1 {
			s.Errorf("list: %+v, %v: the old version is listed", obj, err)
		}
	}
}

func hostileKeys(s suite) {
	for _, key := range []string{
		"", "/", "a/", "/a", "a//b", ".", "..", "a/..", "../a", "a/../b", "a..b", ".a", "a/.b", "-a", "_a",
		"A", "a/B", "ä", "a b", "a\\b", "a:b", "a\x00b", "a\nb", "a%2fb", "a?b", "a#b", "a*", "\xff",
		"a.", "a./b", "a.lease", "a.lease/b", "a.tmp", ".tmp-1", ".leases/a", ".offsite-folder", ".lock",
		"con", "nul.txt", "a/aux", "com1", "lpt9.x/a", "c:", strings.Repeat("a", providers.MaxKey+1),
		strings.Repeat("a/", 100) + "a",
	} {
		_, err := s.d.Put(s.Context(), key, []byte("x"), providers.PutOptions{})
		s.wantKind(err, providers.ErrInvalid)
		_, err = s.d.Get(s.Context(), key, "", 0, -1)
		s.wantKind(err, providers.ErrInvalid)
		_, err = s.d.Stat(s.Context(), key, "")
		s.wantKind(err, providers.ErrInvalid)
		if leaser, ok := s.d.(providers.Leaser); ok {
			s.wantKind(leaser.Raise(s.Context(), key, "", s.now()), providers.ErrInvalid)
		}
		if sweeper, ok := s.d.(providers.Sweeper); ok {
			s.wantKind(sweeper.Remove(s.Context(), key, ""), providers.ErrInvalid)
		}
	}
	s.wantKeys(s.keys("", ""))
}

func longestKey(s suite) {
	flat := strings.Repeat("k", providers.MaxKey)
	deep := strings.Repeat("d/", providers.MaxKey/2-1) + "dd"
	s.put(flat, []byte("flat"))
	s.put(deep, []byte("deep"))
	s.wantBytes(flat, []byte("flat"))
	s.wantBytes(deep, []byte("deep"))
	s.wantKeys(s.keys("", ""), deep, flat)
}
