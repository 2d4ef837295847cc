package azure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/providertest"
)

// badService answers some requests with an error of the service, before it does what
// was asked or after it.
type badService struct {
	handler http.Handler

	mu   sync.Mutex
	rng  *rand.Rand // nil: none
	gave map[string]int
}

var badAnswers = []struct {
	status int
	code   string
	after  bool // it may come for a request that was applied
}{
	{500, "InternalError", true}, {500, "OperationTimedOut", true}, {503, "ServerBusy", false}, {503, "OperationTimedOut", true},
	{429, "TooManyRequests", false}, {500, "", true}, {502, "", true}, {504, "", true},
}

func (b *badService) set(seed uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rng = nil
	if seed > 0 {
		b.rng = rand.New(rand.NewPCG(seed, 7))
	}
}

func (b *badService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	n, after := 99, false
	if b.rng != nil && b.rng.IntN(100) < 20 {
		n = b.rng.IntN(len(badAnswers))
		after = badAnswers[n].after && b.rng.IntN(2) == 0
		b.gave[fmt.Sprintf("%d %s, applied %v", badAnswers[n].status, badAnswers[n].code, after)]++
	}
	b.mu.Unlock()
	if n == 99 {
		b.handler.ServeHTTP(w, r)
		return
	}
	if after {
		b.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	if code := badAnswers[n].code; code != "" {
		service(w).Set("X-Ms-Error-Code", code)
	}
	w.WriteHeader(badAnswers[n].status)
}

// Two hundred times (fewer under the race detector) a few objects are stored, replaced, leased and read, over a line
// that breaks in every way and from a service that fails now and then. Then every
// object that was reported stored is there once, in one version, with its bytes; what
// is there besides was given up with its outcome unknown.
func TestNothingIsLostOrDoubledOverABadLine(t *testing.T) {
	const lanes, runs = 8, faultRuns // most of a run is waiting, so lanes run side by side
	layer, endpoint := newLayer(t, worm)
	var mu sync.Mutex
	var wg sync.WaitGroup
	met, gave := map[providertest.Fault]int{}, map[string]int{}
	sent, givenUp := 0, 0
	for n := range uint64(lanes) {
		l := newFaultLane(t, layer, endpoint)
		wg.Go(func() {
			for seed := n*runs + 1; seed <= (n+1)*runs; seed++ {
				run := l.run(seed)
				mu.Lock()
				sent += len(run.want)
				givenUp += len(run.open)
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			for f, n := range l.line.Met() {
				met[f] += n
			}
			for a, n := range l.bad.gave {
				gave[a] += n
			}
		})
	}
	wg.Wait()
	t.Logf("%d objects stored in %d runs, %d given up; faults of the line %v; answers %v", sent, lanes*runs, givenUp, met, gave)
	if len(met) < len(providertest.Faults())+1 || len(gave) < len(badAnswers) || sent < lanes*runs*2 {
		t.Error("hardly anything went wrong, or nothing right")
	}
}

// faultLane is one bad line to one container.
type faultLane struct {
	*testing.T
	bad       *badService
	line      *providertest.Proxy
	sure      providers.Driver
	all       *container.Client
	throughIt providers.Driver
}

func newFaultLane(t *testing.T, layer http.Handler, endpoint string) *faultLane {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	l := &faultLane{T: t, bad: &badService{handler: layer, gave: map[string]int{}}}
	server := httptest.NewServer(l.bad)
	t.Cleanup(server.Close)
	l.line = providertest.NewProxy(t, server.Listener.Addr().String())
	cfg := newContainer(t, endpoint)
	cfg.Versions, cfg.Leases, cfg.MaxLease = true, azure.LeaseManager, 400*day
	l.sure, l.all = open(t, cfg), admin(t, endpoint, cfg.Container)
	cfg.Endpoint = "http://" + l.line.Address() + u.Path
	l.throughIt = open(t, cfg)
	return l
}

// run is one run of a seed, looked at when line and service are well again.
func (l *faultLane) run(seed uint64) faultRun {
	// Many times what a request takes on a good line, for the computer may be busy.
	began := time.Now()
	if _, err := l.throughIt.Stat(l.Context(), "r/absent", ""); !errors.Is(err, providers.ErrNotExist) {
		l.Errorf("run %d: on a good line: %v", seed, err)
	}
	limit := max(150*time.Millisecond, 20*time.Since(began))
	l.line.Close()
	r := faultRun{T: l.T, seed: seed, want: map[string][]byte{}, open: map[string]bool{}, again: map[string]bool{}}
	r.store = providers.NewStore(l.throughIt, providers.Options{Attempts: 12, Timeout: limit, MinRate: 1 << 30, Seed: seed,
		Sleep: func(ctx context.Context, _ time.Duration) error { l.line.Close(); return ctx.Err() }})
	l.line.Set(providertest.Draw(seed, 30))
	l.bad.set(seed)
	r.work()
	l.line.Set(nil)
	l.bad.set(0)
	l.line.Close()
	r.look(l.sure, l.all)
	return r
}

type faultRun struct {
	*testing.T
	seed  uint64
	store *providers.Store
	want  map[string][]byte // what was reported stored
	open  map[string]bool   // what was given up
	again map[string]bool   // what was replaced on purpose
}

func (r *faultRun) key(n int) string { return fmt.Sprintf("r/p/%d-%d", r.seed, n) }

// bytes of an object differ for every object.
func (r *faultRun) bytes(key string) []byte {
	h := fnv.New64a()
	h.Write([]byte(key))
	rng := rand.New(rand.NewPCG(h.Sum64(), r.seed))
	data := make([]byte, rng.IntN(6000))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

// work stores objects, one after the other and some at once.
func (r *faultRun) work() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for n := range 2 {
		wg.Go(func() {
			key := r.key(n)
			data := r.bytes(key)
			_, err := r.store.Create(r.Context(), key, data, start.AddDate(0, 0, 10+n))
			mu.Lock()
			defer mu.Unlock()
			r.note(key, data, err)
		})
	}
	wg.Wait()
	head := fmt.Sprintf("head-%d.json", r.seed)
	first := r.bytes(head)
	v, err := r.store.Create(r.Context(), head, first, time.Time{})
	r.note(head, first, err)
	if err == nil {
		second := r.bytes(head + "2")
		_, err := r.store.Replace(r.Context(), head, v, second, time.Time{})
		r.again[head] = true
		r.note(head, second, err)
	}
	if err := r.store.Raise(r.Context(), r.key(0), "", start.AddDate(0, 0, 60)); err != nil && r.want[r.key(0)] != nil {
		r.wantTrouble("raise", err)
		r.again["raise"] = true
	}
	if data, err := r.store.Read(r.Context(), r.key(1), ""); err == nil && r.want[r.key(1)] != nil && !bytes.Equal(data, r.want[r.key(1)]) {
		r.Errorf("run %d: other bytes were read", r.seed)
	}
}

func (r *faultRun) note(key string, data []byte, err error) {
	r.Helper()
	if err == nil {
		r.want[key] = data
		return
	}
	r.open[key] = true
	delete(r.want, key)
	r.wantTrouble("store "+key, err)
}

// wantTrouble allows only errors that a bad line explains.
func (r *faultRun) wantTrouble(what string, err error) {
	r.Helper()
	if k := providers.KindOf(err); k != providers.ErrBusy && k != providers.ErrInDoubt && k != providers.ErrUnreachable {
		r.Errorf("run %d: %s: %v", r.seed, what, err)
	}
}

// look compares what is stored with what was reported, by a sure way.
func (r *faultRun) look(d providers.Driver, c *container.Client) {
	r.Helper()
	for key, want := range r.want {
		obj, err := d.Stat(r.Context(), key, "")
		if err != nil {
			r.Errorf("run %d: %s is lost: %v", r.seed, key, err)
			continue
		}
		if got, err := d.Get(r.Context(), key, obj.Version, 0, -1); err != nil || !bytes.Equal(got, want) {
			r.Errorf("run %d: %s has other bytes: %v", r.seed, key, err)
		}
		if key == r.key(0) && !r.again["raise"] && obj.Lease.Before(start.AddDate(0, 0, 60)) {
			r.Errorf("run %d: raised, and leased until %v only", r.seed, obj.Lease)
		}
	}
	versions := map[string]int{}
	for _, prefix := range []string{fmt.Sprintf("r/p/%d-", r.seed), fmt.Sprintf("head-%d.json", r.seed)} {
		pager := c.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix, Include: container.ListBlobsInclude{Versions: true}})
		for pager.More() {
			page, err := pager.NextPage(r.Context())
			if err != nil {
				r.Errorf("run %d: list: %v", r.seed, err)
				return
			}
			for _, item := range page.Segment.BlobItems {
				versions[*item.Name]++
			}
		}
	}
	for key, n := range versions {
		if r.want[key] == nil && !r.open[key] {
			r.Errorf("run %d: %s was never stored", r.seed, key)
		}
		if most := map[bool]int{false: 1, true: 2}[r.again[key]]; n > most {
			r.Errorf("run %d: %s is stored %d times", r.seed, key, n)
		}
	}
}

// A line that comes back: what was given up is stored once by asking again.
func TestGivenUpIsDoneByAskingAgain(t *testing.T) {
	_, endpoint := newLayer(t, worm)
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	line := providertest.NewProxy(t, u.Host)
	cfg := newContainer(t, endpoint)
	cfg.Versions = true
	cfg.Endpoint = "http://" + line.Address() + u.Path
	line.Set(func(int) providertest.Plan { return providertest.Plan{Fault: providertest.FaultNoAnswer} })
	store := providers.NewStore(open(t, cfg), providers.Options{Attempts: 3, Timeout: 200 * time.Millisecond,
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	_, err = store.Create(t.Context(), "r/p/a", []byte("as written"), time.Time{})
	if !errors.Is(err, providers.ErrInDoubt) {
		t.Fatalf("without an answer: %v", err)
	}
	line.Set(nil)
	line.Close()
	v, err := store.Create(t.Context(), "r/p/a", []byte("as written"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := store.Read(t.Context(), "r/p/a", v); err != nil || string(data) != "as written" {
		t.Errorf("read %q, %v", data, err)
	}
}
