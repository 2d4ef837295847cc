package s3_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers"
	"offsite/providers/providertest"
	"offsite/providers/s3"
)

// moody stands before a service and lets a share of the requests be answered by an
// error of the service, before or after the request was done.
type moody struct {
	forward *httputil.ReverseProxy
	busy    sync.WaitGroup // requests under way

	mu   sync.Mutex
	rand *rand.Rand // nil: all is well
	met  map[string]int
}

// moods are answers that services give on bad days. Those of 500 may come after the
// request was done; the others say that it was not.
var moods = []struct {
	status int
	code   string
}{
	{500, "InternalError"}, {500, ""}, {502, ""}, {503, "ServiceUnavailable"}, {503, "SlowDown"}, {429, "TooManyRequests"},
	{400, "RequestTimeout"}, {409, "OperationAborted"}, {400, "ExpiredToken"}, {403, "RequestTimeTooSkewed"},
}

func newMoody(t *testing.T, to string) (*moody, string) {
	t.Helper()
	u, err := url.Parse(to)
	check(t, err)
	m := &moody{forward: httputil.NewSingleHostReverseProxy(u), met: map[string]int{}}
	m.forward.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return m, strings.TrimPrefix(server.URL, "http://")
}

// set begins another run of answers, always the same for a seed.
func (m *moody) set(r *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rand = r
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.busy.Add(1)
	defer m.busy.Done()
	fault, mood, after := false, moods[0], false
	m.mu.Lock()
	if m.rand != nil {
		fault, mood, after = m.rand.IntN(100) < badService, moods[m.rand.IntN(len(moods))], m.rand.IntN(2) == 0
	}
	if fault {
		m.met[fmt.Sprintf("answer: %d %s", mood.status, mood.code)]++
	}
	m.mu.Unlock()
	switch {
	case !fault:
		m.forward.ServeHTTP(w, r)
		return
	case mood.status == 500 && after:
		m.forward.ServeHTTP(httptest.NewRecorder(), r)
	}
	if mood.code == "" {
		w.WriteHeader(mood.status)
		return
	}
	w.Header().Set("Retry-After", "1")
	refuse(w, mood.status, mood.code)
}

// A refusal that breaks off before it says why is not final, whatever its status.
func TestAnswersThatBreakOff(t *testing.T) {
	const whole = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>words of the store</Message></Error>`
	for _, status := range []int{400, 403, 409, 500, 503} {
		for _, n := range []int{0, 10, 60, len(whole) - 1} {
			f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
				w.WriteHeader(status)
				io.WriteString(w, whole[:n])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			})
			d := f.open(t, s3.Config{Lock: true})
			what := fmt.Sprintf("status %d, %d bytes", status, n)
			_, err := d.Get(t.Context(), "r/a", "v", 0, -1)
			wantKind(t, "get: "+what, err, providers.ErrBusy)
			_, err = d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{})
			wantKind(t, "put: "+what, err, providers.ErrInDoubt)
		}
	}
}

// fading is a context whose time is up once it was asked so often.
type fading struct {
	context.Context
	left atomic.Int64
}

func (f *fading) Err() error {
	if f.left.Add(-1) < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// Whenever the time is up, a taken key is taken or in doubt, and a version that is
// gone is gone or not to be read now; neither is a conflict, which would be final.
func TestTimeThatEndsBesideAnAnswer(t *testing.T) {
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	})
	d := f.open(t, s3.Config{})
	for what, c := range map[string]struct {
		do     func(context.Context) error
		said   error // by the answer
		unsaid []error
	}{
		"create": {func(ctx context.Context) error {
			_, err := d.Put(ctx, "r/a", []byte("x"), providers.PutOptions{})
			return err
		}, providers.ErrExist, []error{providers.ErrInDoubt, providers.ErrBusy}},
		"read": {func(ctx context.Context) error { _, err := d.Get(ctx, "r/a", "etag:00", 0, -1); return err },
			providers.ErrNotExist, []error{providers.ErrBusy}},
	} {
		for asked := range int64(1000) {
			ctx := &fading{Context: t.Context()}
			ctx.left.Store(asked)
			kind := providers.KindOf(c.do(ctx))
			if ctx.left.Load() >= 0 { // the time was not up at all
				if kind != c.said {
					t.Errorf("%s: %v", what, kind)
				}
				break
			}
			if kind != c.said && !slices.Contains(c.unsaid, kind) {
				t.Errorf("%s, asked %d times: %v", what, asked, kind)
			}
			if asked == 999 {
				t.Errorf("%s asks for ever", what)
			}
		}
	}
}

// badDay is one seeded run after another: a line that breaks, before a service that is
// moody.
type badDay struct {
	t       *testing.T
	url     string // of the line's good end
	line    *providertest.Proxy
	service *moody

	seed uint64
	cfg  s3.Config // without the bad line
	bad  s3.Config
	rand *rand.Rand

	limit time.Duration // for one attempt
}

const (
	badLine, badService = 35, 25                 // of 100 connections, and of 100 requests
	badDayLimit         = 400 * time.Millisecond // for one attempt, at least; some stalls are longer
	busyLimit           = 20                     // times what a request takes on a good line: the computer may be busy
)

func newBadDay(t *testing.T) *badDay {
	t.Helper()
	b := &badDay{t: t, url: gatewayURL(t)}
	service, address := newMoody(t, b.url)
	b.service, b.line = service, providertest.NewProxy(t, address)
	return b
}

// begin sets the line and the service to a seed.
func (b *badDay) begin(seed uint64, bucket string) {
	b.seed, b.rand = seed, rand.New(rand.NewPCG(seed, 5))
	b.cfg = s3.Config{Bucket: bucket, Lock: true, Prefix: "practice", Endpoint: b.url}
	b.bad = b.cfg
	b.bad.Endpoint = "http://" + b.line.Address()
	began := time.Now()
	_, err := open(b.t, b.bad).Stat(b.t.Context(), "r/absent", "")
	if !errors.Is(err, providers.ErrNotExist) {
		b.stop("seed %d: on a good line: %v", seed, err)
	}
	b.limit = max(badDayLimit, busyLimit*time.Since(began))
	b.line.Close()
	b.service.set(rand.New(rand.NewPCG(seed, 3)))
	draw := providertest.Draw(seed, badLine)
	b.line.Set(func(n int) providertest.Plan {
		plan := draw(n)
		if plan.Fault == providertest.FaultStall || plan.Fault == providertest.FaultSlow {
			plan.Pause *= 2
		}
		return plan
	})
}

// end makes the line good, and waits for what is still on its way.
func (b *badDay) end() {
	b.line.Set(nil)
	b.line.Close()
	b.service.set(nil)
	b.service.busy.Wait()
}

// stop ends the worker whose night has failed.
func (b *badDay) stop(format string, args ...any) {
	b.t.Helper()
	b.t.Errorf(format, args...)
	runtime.Goexit()
}

// result is what one attempt to write was said to have done.
type result struct {
	data []byte
	v    providers.Version
	err  error
}

// attempts makes single attempts, each with a key of its own.
func (b *badDay) attempts(lease time.Time) map[string]result {
	out := map[string]result{}
	d := open(b.t, b.bad)
	for i := range 2 {
		key, data := fmt.Sprintf("r/once/%d", i), noise(byte(b.rand.IntN(256)), b.rand.IntN(5000))
		ctx, cancel := context.WithTimeout(b.t.Context(), b.limit)
		v, err := d.Put(ctx, key, data, providers.PutOptions{Lease: lease})
		cancel()
		b.line.Close() // every attempt has a line of its own
		out[key] = result{data, v, err}
	}
	return out
}

// again repeats what a person would: expired credentials are renewed.
func (b *badDay) again(what string, do func() error) {
	b.t.Helper()
	for range 20 {
		err := do()
		b.line.Close()
		if err == nil {
			return
		}
		if !errors.Is(err, providers.ErrDenied) || !strings.Contains(err.Error(), "ExpiredToken") {
			b.stop("seed %d: %s: %v", b.seed, what, err)
		}
	}
	b.stop("seed %d: %s: credentials expire for ever", b.seed, what)
}

// night does through a Store what a run does, and says what must be stored then.
func (b *badDay) night(lease time.Time) map[string]result {
	store := providers.NewStore(open(b.t, b.bad), providers.Options{Attempts: 60, WaitBudget: time.Hour, Timeout: b.limit, MinRate: 1 << 40,
		Sleep: func(ctx context.Context, _ time.Duration) error { b.line.Close(); return ctx.Err() }})
	want := map[string]result{}
	const key = "r/p/0"
	data := noise(byte(b.rand.IntN(256)), b.rand.IntN(30_000))
	var first providers.Version
	b.again("create", func() (err error) { first, err = store.Create(b.t.Context(), key, data, lease); return err })
	b.again("raise", func() error { return store.Raise(b.t.Context(), key, first, lease.AddDate(0, 0, 5)) })
	b.again("read", func() error {
		got, err := store.Read(b.t.Context(), key, first)
		if err == nil && !bytes.Equal(got, data) {
			err = errors.New("other bytes")
		}
		return err
	})
	want[key] = result{data: data, v: first}
	// A key that is taken, by the same bytes and by others.
	b.again("create anew", func() error {
		v, err := store.Create(b.t.Context(), key, data, lease)
		if err == nil && v != first {
			err = errors.New("another version")
		}
		return err
	})
	b.again("create differently", func() error {
		_, err := store.Create(b.t.Context(), key, []byte("others"), lease)
		if errors.Is(err, providers.ErrConflict) {
			return nil
		}
		return cmp.Or(err, errors.New("a taken key was written"))
	})
	var old, v providers.Version
	b.again("create header", func() (err error) {
		old, err = store.Create(b.t.Context(), "offsite.json", []byte("one"), time.Time{})
		return err
	})
	replaced := fmt.Sprintf("two of %d", b.seed)
	b.again("replace header", func() (err error) {
		v, err = store.Replace(b.t.Context(), "offsite.json", old, []byte(replaced), time.Time{})
		if errors.Is(err, providers.ErrConflict) {
			// Who could not read back, because the credentials had expired, looks again.
			var got []byte
			if got, err = store.Read(b.t.Context(), "offsite.json", ""); err == nil && string(got) != replaced {
				err = errors.New("replaced by something else")
			}
		}
		return err
	})
	want["offsite.json"] = result{data: []byte(replaced), v: v} // v is empty after such a look: the newest
	b.again("list", func() error {
		var keys []string
		for obj, err := range store.List(b.t.Context(), "r/p/", "") {
			if err != nil {
				return err
			}
			keys = append(keys, obj.Key)
		}
		if len(keys) != 1 {
			return fmt.Errorf("listed %q", keys)
		}
		return nil
	})
	return want
}

// Two hundred nights on a bad line before a moody service: no object is lost, none is
// stored twice, every lease is at least what was asked for, and no single attempt to
// write says what is not true.
func TestBadDays(t *testing.T) {
	t.Parallel()
	const days, workers = 200, 8
	var own [days]string // buckets: the gateway lists small ones faster
	for i := range own {
		own[i] = newBucket(t, locked)
	}
	now, err := open(t, s3.Config{Bucket: own[0], Lock: true}).(providers.Clock).Time(t.Context())
	check(t, err)
	lease := now.AddDate(0, 0, 30)
	outcomes, met := map[string]int{}, map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for w := range uint64(workers) {
		b := newBadDay(t)
		all.Go(func() {
			for seed := w; seed < days; seed += workers {
				b.begin(seed, own[seed])
				single := b.attempts(lease)
				want := b.night(lease)
				b.end()
				mu.Lock()
				b.compare(single, want, lease, outcomes)
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			for fault, n := range b.line.Met() {
				met["line: "+string(fault)] += n
			}
			for mood, n := range b.service.met {
				met[mood] += n
			}
		})
	}
	all.Wait()
	t.Logf("faults met: %v", met)
	t.Logf("single attempts: %v", outcomes)
	for _, outcome := range []string{"stored, success", "stored, failure", "not stored, failure"} {
		if outcomes[outcome] == 0 {
			t.Errorf("no attempt was %q", outcome)
		}
	}
	if n := outcomes["not stored, success"]; n > 0 {
		t.Errorf("%d attempts lied", n)
	}
	for _, fault := range providertest.Faults() {
		if met["line: "+string(fault)] == 0 {
			t.Errorf("no line was %s", fault)
		}
	}
	for _, mood := range moods {
		if met[fmt.Sprintf("answer: %d %s", mood.status, mood.code)] == 0 {
			t.Errorf("no answer was %d %s", mood.status, mood.code)
		}
	}
}

// compare looks straight into the bucket.
func (b *badDay) compare(single, want map[string]result, lease time.Time, outcomes map[string]int) {
	t := b.t
	d := open(t, b.cfg)
	versions := map[string]int{}
	out, err := owner(t).ListObjectVersions(t.Context(), &sdk.ListObjectVersionsInput{Bucket: &b.cfg.Bucket, Prefix: &b.cfg.Prefix})
	check(t, err)
	for _, v := range out.Versions {
		if key, ok := strings.CutPrefix(*v.Key, b.cfg.Prefix+"/"); ok {
			versions[key]++
		}
	}
	if len(out.DeleteMarkers) > 0 {
		t.Errorf("seed %d: somebody deletes", b.seed)
	}
	for key, r := range single {
		said := "failure"
		if r.err == nil {
			said = "success"
		}
		stored := "not stored"
		if versions[key] > 0 {
			stored = "stored"
			want[key] = result{data: r.data, v: r.v} // whole or not at all
		}
		outcomes[stored+", "+said]++
		// Busy and denied say that nothing was stored.
		if kind := providers.KindOf(r.err); stored == "stored" && (kind == providers.ErrBusy || kind == providers.ErrDenied) {
			t.Errorf("seed %d: %s was stored, but the answer was %v", b.seed, key, r.err)
		}
		if r.err != nil && providers.KindOf(r.err) == nil {
			t.Errorf("seed %d: %s: an error without a kind: %v", b.seed, key, r.err)
		}
	}
	for key, w := range want {
		got, err := d.Get(t.Context(), key, w.v, 0, -1)
		if err != nil || !bytes.Equal(got, w.data) {
			t.Errorf("seed %d: %s: %d bytes of %d, %v", b.seed, key, len(got), len(w.data), err)
		}
		times := 1
		if key == "offsite.json" {
			times = 2
		}
		if versions[key] != times {
			t.Errorf("seed %d: %s is stored %d times", b.seed, key, versions[key])
		}
		obj, err := d.Stat(t.Context(), key, w.v)
		least := lease
		if strings.HasPrefix(key, "r/p/") {
			least = lease.AddDate(0, 0, 5)
		}
		if err != nil || key != "offsite.json" && obj.Lease.Before(least) {
			t.Errorf("seed %d: %s is leased until %v, %v", b.seed, key, obj.Lease, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(versions)) {
		if _, ok := want[key]; !ok {
			t.Errorf("seed %d: %s is stored, and nobody asked for it", b.seed, key)
		}
	}
}
