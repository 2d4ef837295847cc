package providers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"offsite/providers"
	"offsite/providers/mem"
)

// narrowLine is a driver on a line that carries one object a second, shared by all
// that are on their way, until wide is set.
type narrowLine struct {
	providers.Driver
	under atomic.Int32
	most  atomic.Int32
	wide  atomic.Bool
}

func (n *narrowLine) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	at := n.under.Add(1)
	defer n.under.Add(-1)
	for m := n.most.Load(); at > m && !n.most.CompareAndSwap(m, at); m = n.most.Load() {
	}
	wait := time.Second
	if !n.wide.Load() {
		wait *= time.Duration(at)
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return "", &providers.Error{Op: "put", Key: key, Kind: providers.ErrInDoubt, Err: ctx.Err()}
	}
	return n.Driver.Put(ctx, key, data, opt)
}

// TestRequestsAdaptToTheLine: on a line where two at a time run into the time limit,
// all arrive, one at a time; on the same line, repaired, many go at once again.
func TestRequestsAdaptToTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &narrowLine{Driver: mem.New(mem.Options{Now: time.Now})}
		s := providers.NewStore(line, providers.Options{Concurrency: 8, Timeout: 1500 * time.Millisecond, Attempts: 20})
		put := func(from, n int) {
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					if _, err := s.Create(t.Context(), fmt.Sprintf("r/%04d", from+i), []byte("x"), time.Time{}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		put(0, 16)
		if most := line.most.Load(); most != 8 {
			t.Errorf("it began with %d at once", most)
		}
		line.most.Store(0)
		put(100, 3)
		if most := line.most.Load(); most > 2 {
			t.Errorf("%d at once on a line for one", most)
		}
		line.wide.Store(true)
		put(1000, 100)
		line.most.Store(0)
		put(2000, 20)
		if most := line.most.Load(); most != 8 {
			t.Errorf("%d at once on the repaired line", most)
		}
	})
}

// awayUntil is a driver whose store is away until a time.
type awayUntil struct {
	providers.Driver
	back time.Time
}

func (a *awayUntil) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	if time.Now().Before(a.back) {
		return "", &providers.Error{Op: "put", Key: key, Kind: providers.ErrUnreachable, Err: errors.New("no route to host")}
	}
	return a.Driver.Put(ctx, key, data, opt)
}

// TestHoursOffline: where the store had answered before, its absence is waited for;
// where it never did, the address may be wrong, and a person wants to know at once.
func TestHoursOffline(t *testing.T) {
	for _, c := range []struct {
		name            string
		known           bool
		patience, away  time.Duration
		wantErr         bool
		atLeast, atMost time.Duration
	}{
		{"three hours, patient", true, 6 * time.Hour, 3 * time.Hour, false, 3 * time.Hour, 3*time.Hour + time.Minute},
		{"three hours, impatient", true, 0, 3 * time.Hour, true, 0, 6 * time.Minute},
		{"nobody ever answered", false, 6 * time.Hour, 3 * time.Hour, true, 0, 6 * time.Minute},
		{"longer than patience", true, time.Hour, 3 * time.Hour, true, 50 * time.Minute, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &awayUntil{Driver: mem.New(mem.Options{Now: time.Now})}
				s := providers.NewStore(d, providers.Options{Patience: c.patience})
				if c.known {
					if _, err := s.Create(t.Context(), "r/first", []byte("x"), time.Time{}); err != nil {
						t.Fatal(err)
					}
				}
				start := time.Now()
				d.back = start.Add(c.away)
				_, err := s.Create(t.Context(), "r/second", []byte("x"), time.Time{})
				if (err != nil) != c.wantErr || err != nil && !strings.Contains(err.Error(), "give up") {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took < c.atLeast || took > c.atMost {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
