package gcs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/gcs"
	"offsite/providers/gcs/gcstest"
)

// badLine stands between driver and service and lets a share of the requests go
// wrong: before they arrive, after they were done, or in the middle of an answer.
type badLine struct {
	to   *url.URL
	mu   sync.Mutex
	rand *rand.Rand
	hits map[string]int
}

func (b *badLine) choose() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	fault := [...]string{"", "", "", "cut before", "cut after", "answer cut", "503", "429", "500 after", "408"}[b.rand.IntN(10)]
	b.hits[fault]++
	return fault
}

func (b *badLine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fault := b.choose()
	if err != nil || fault == "cut before" {
		panic(http.ErrAbortHandler)
	}
	switch fault {
	case "503":
		refusal(w, r, 503, "backendError", "")
		return
	case "429":
		refusal(w, r, 429, "rateLimitExceeded", "")
		return
	case "408":
		refusal(w, r, 408, "uploadBrokenConnection", "")
		return
	}
	target := *r.URL
	target.Scheme, target.Host = b.to.Scheme, b.to.Host
	out, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header = r.Header.Clone()
	res, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || fault == "cut after" {
		panic(http.ErrAbortHandler)
	}
	if fault == "500 after" {
		refusal(w, r, 500, "internalError", "")
		return
	}
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	if fault == "answer cut" && len(answer) > 1 {
		w.Write(answer[:len(answer)/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(answer)
}

// On a bad line every object is stored once, with its bytes, its version and at
// least its lease, and nothing else is there.
func TestStoreOnABadLine(t *testing.T) {
	const seeds, objects = 25, 6
	hits := map[string]int{}
	for seed := range seeds {
		e := enforce(t, gcstest.Options{PermissionFirst: seed%2 == 1})
		to, err := url.Parse(e.url)
		if err != nil {
			t.Fatal(err)
		}
		line := &badLine{to: to, rand: rand.New(rand.NewPCG(uint64(seed), 7)), hits: hits}
		web := httptest.NewServer(line)
		d := open(t, gcs.Config{Bucket: e.bucket, Endpoint: web.URL, Token: uploader})
		store := providers.NewStore(d, providers.Options{Attempts: 60, WaitBudget: time.Hour,
			Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
		versions := make([]providers.Version, objects)
		for i := range objects {
			key, data := fmt.Sprintf("r/p/%d", i), bytes.Repeat([]byte{byte(i)}, 1000*i)
			if versions[i], err = store.Create(t.Context(), key, data, start().Add(day)); err != nil {
				t.Fatalf("seed %d: create: %v", seed, err)
			}
			if err := store.Raise(t.Context(), key, versions[i], start().Add(time.Duration(i)*day)); err != nil {
				t.Fatalf("seed %d: raise: %v", seed, err)
			}
			if got, err := store.Read(t.Context(), key, versions[i]); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("seed %d: read %d of %d bytes: %v", seed, len(got), len(data), err)
			}
		}
		n := 0
		for obj, err := range store.List(t.Context(), "", "") {
			if err != nil {
				t.Fatalf("seed %d: list: %v", seed, err)
			}
			if n >= objects || obj.Version != versions[n] || obj.Size != int64(1000*n) || obj.Lease.Before(start().Add(max(1, time.Duration(n))*day)) {
				t.Fatalf("seed %d: listed %+v as number %d", seed, obj, n)
			}
			n++
		}
		if n != objects {
			t.Errorf("seed %d: %d objects, want %d", seed, n, objects)
		}
		web.Close()
	}
	t.Logf("faults met: %v", hits)
}
