package gcs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/gcs"
	"offsite/providers/gcs/gcstest"
	"offsite/providers/providertest"
)

// badAnswer is how the service fails now and then: before it does what was asked,
// or after.
type badAnswer struct {
	status int
	reason string
	done   bool
}

func badAnswers() []badAnswer {
	return []badAnswer{
		{500, "internalError", false}, {500, "internalError", true}, {503, "backendError", false}, {503, "backendError", true},
		{429, "rateLimitExceeded", false}, {408, "uploadBrokenConnection", false}, {502, "backendError", true}, {504, "gatewayTimeout", true},
		{403, "userRateLimitExceeded", false}, {409, "conflict", false},
	}
}

// badService stands before the layer and answers one request in five badly.
type badService struct {
	layer http.Handler
	mu    sync.Mutex
	rand  *rand.Rand // nil: nothing goes wrong
	gave  map[string]int
}

func (b *badService) set(r *rand.Rand) {
	b.mu.Lock()
	b.rand = r
	b.mu.Unlock()
}

// choose draws the answer to one request.
func (b *badService) choose() (badAnswer, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rand == nil || b.rand.IntN(5) != 0 {
		return badAnswer{}, false
	}
	all := badAnswers()
	a := all[b.rand.IntN(len(all))]
	b.gave[fmt.Sprintf("%d %s done %v", a.status, a.reason, a.done)]++
	return a, true
}

func (b *badService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, bad := b.choose()
	if !bad {
		b.layer.ServeHTTP(w, r)
		return
	}
	if a.done {
		b.layer.ServeHTTP(httptest.NewRecorder(), r)
	}
	if a.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	refusal(w, r, a.status, a.reason, "")
}

// Two hundred times a few objects are stored, leased and read back, two at once,
// over a line that breaks in every way and from a service that fails now and then.
// Then every object that was reported stored is there, in the generation that was
// reported, with its bytes and at least its lease; and what is there besides was
// given up with its outcome unknown.
func TestNothingIsLostOrDoubledOverABadLine(t *testing.T) {
	const groups, runs = 8, 25
	met, gave, stored, givenUp := map[providertest.Fault]int{}, map[string]int{}, 0, 0
	all := make([]*faultGroup, groups)
	for i := range all {
		all[i] = newFaultGroup(t, gcstest.Options{PermissionFirst: i%2 == 1})
	}
	var wg sync.WaitGroup // at once, because most of a run is waiting for a line that stands still
	for i, g := range all {
		wg.Go(func() {
			for run := range runs {
				g.run(uint64(i*runs + run))
			}
		})
	}
	wg.Wait()
	for _, g := range all {
		for fault, n := range g.line.Met() {
			met[fault] += n
		}
		for answer, n := range g.bad.gave {
			gave[answer] += n
		}
		stored, givenUp = stored+g.stored, givenUp+g.givenUp
	}
	t.Logf("%d objects stored in %d runs, %d given up; faults of the line %v; answers %v", stored, groups*runs, givenUp, met, gave)
	if len(gave) < len(badAnswers()) || stored < groups*runs*2 || givenUp == 0 {
		t.Error("hardly anything went wrong, or nothing right")
	}
	for _, fault := range providertest.Faults() {
		if met[fault] == 0 {
			t.Errorf("no line was ever %s", fault)
		}
	}
}

// faultGroup is a bucket behind a bad service behind a bad line.
type faultGroup struct {
	enforced
	bad             *badService
	line            *providertest.Proxy
	sure            *gcs.Driver
	stored, givenUp int
}

func newFaultGroup(t *testing.T, opt gcstest.Options) *faultGroup {
	t.Helper()
	e := enforce(t, opt)
	g := &faultGroup{enforced: e, bad: &badService{layer: e.layer, gave: map[string]int{}}}
	web := httptest.NewServer(g.bad)
	t.Cleanup(web.Close)
	g.line = providertest.NewProxy(t, web.Listener.Addr().String())
	g.sure = open(t, gcs.Config{Bucket: e.bucket, Endpoint: e.url, Token: uploader})
	return g
}

// faultObject is what became of one object of a run.
type faultObject struct {
	key     string
	data    []byte
	lease   time.Time
	version providers.Version
	err     error
}

func (g *faultGroup) run(seed uint64) {
	g.Helper()
	const objects = 3
	attempts := 25
	if seed%5 == 0 {
		attempts = 2 // so that some are given up
	}
	d, err := gcs.Open(g.Context(), gcs.Config{Bucket: g.bucket, Endpoint: "http://" + g.line.Address(), Token: uploader})
	if err != nil {
		g.Errorf("seed %d: %v", seed, err)
		return
	}
	// Many times what a request takes on a good line, for the computer may be busy.
	began := time.Now()
	if _, err := d.Stat(g.Context(), "r/absent", ""); !errors.Is(err, providers.ErrNotExist) {
		g.Errorf("seed %d: on a good line: %v", seed, err)
	}
	limit := max(150*time.Millisecond, 20*time.Since(began))
	g.line.Close()
	store := providers.NewStore(d, providers.Options{Attempts: attempts, WaitBudget: time.Hour, Timeout: limit, MinRate: 1 << 30, Seed: seed,
		Sleep: func(ctx context.Context, _ time.Duration) error { g.line.Close(); return ctx.Err() }})
	g.line.Set(providertest.Draw(seed, 30))
	g.bad.set(rand.New(rand.NewPCG(seed, 7)))
	all := make([]faultObject, objects)
	var wg sync.WaitGroup
	for half := range 2 {
		wg.Go(func() {
			for i := half; i < objects; i += 2 {
				all[i] = g.store(store, seed, i)
			}
		})
	}
	wg.Wait()
	g.line.Set(nil)
	g.bad.set(nil)
	g.line.Close()
	if err := d.Close(); err != nil {
		g.Errorf("seed %d: close: %v", seed, err)
	}
	g.look(seed, all)
}

// store puts, raises and reads one object. The first error ends it.
func (g *faultGroup) store(store *providers.Store, seed uint64, i int) (o faultObject) {
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	o = faultObject{key: fmt.Sprintf("r/p/%d/%d", seed, i), data: make([]byte, r.IntN(6000)), lease: start().Add(day)}
	for j := range o.data {
		o.data[j] = byte(r.Uint32())
	}
	if o.version, o.err = store.Create(g.Context(), o.key, o.data, o.lease); o.err != nil {
		return o
	}
	later := start().Add(time.Duration(2+i) * day)
	if o.err = store.Raise(g.Context(), o.key, o.version, later); o.err != nil {
		return o
	}
	o.lease = later
	var got []byte
	if got, o.err = store.Read(g.Context(), o.key, o.version); o.err == nil && !bytes.Equal(got, o.data) {
		g.Errorf("seed %d: %s reads otherwise over the bad line", seed, o.key)
	}
	return o
}

// look compares what is stored with what was reported, over a good line.
func (g *faultGroup) look(seed uint64, all []faultObject) {
	g.Helper()
	there := map[string]providers.Object{}
	for obj, err := range g.sure.List(g.Context(), "r/p/"+strconv.FormatUint(seed, 10)+"/", "") {
		if err != nil {
			g.Errorf("seed %d: list: %v", seed, err)
			return
		}
		if _, twice := there[obj.Key]; twice {
			g.Errorf("seed %d: %s is listed twice", seed, obj.Key)
		}
		there[obj.Key] = obj
	}
	for _, o := range all {
		obj, found := there[o.key]
		delete(there, o.key)
		if o.err != nil {
			g.givenUp++
			if kind := providers.KindOf(o.err); kind != providers.ErrInDoubt && kind != providers.ErrBusy && kind != providers.ErrUnreachable {
				g.Errorf("seed %d: %s was given up with %v", seed, o.key, o.err)
			}
		}
		if o.version != "" {
			g.stored++
			if !found || obj.Version != o.version || obj.Lease.Before(o.lease) {
				g.Errorf("seed %d: stored %s as %s until %v; there is %+v", seed, o.key, o.version, o.lease, obj)
			}
		}
		if !found {
			continue
		}
		sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(o.data, crc32.MakeTable(crc32.Castagnoli)))
		if obj.Size != int64(len(o.data)) || !bytes.Equal(obj.Checksum.Sum, sum) {
			g.Errorf("seed %d: %s has %d bytes of %d, or others", seed, o.key, obj.Size, len(o.data))
		}
	}
	for key := range there {
		g.Errorf("seed %d: %s is there, and nobody stored it", seed, key)
	}
}
