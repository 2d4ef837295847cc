package uploader_test

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/mem"
	"offsite/providers/providertest"
)

// around is called instead of a driver call and decides what becomes of it: apply
// makes the call.
type around func(op, key string, apply func() error) error

// hooked is a driver whose calls all go through a function.
type hooked struct {
	under interface {
		providers.Driver
		providers.Leaser
		providers.Clock
	}
	mu sync.Mutex // guards do
	do around
}

func (h *hooked) set(do around) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.do = do
}

func (h *hooked) call(op, key string, apply func() error) error {
	h.mu.Lock()
	do := h.do
	h.mu.Unlock()
	if do == nil {
		return apply()
	}
	return do(op, key, apply)
}

func (h *hooked) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (v providers.Version, err error) {
	err = h.call("put", key, func() (err error) { v, err = h.under.Put(ctx, key, data, opt); return err })
	return v, err
}

func (h *hooked) Get(ctx context.Context, key string, v providers.Version, off, n int64) (data []byte, err error) {
	err = h.call("get", key, func() (err error) { data, err = h.under.Get(ctx, key, v, off, n); return err })
	return data, err
}

func (h *hooked) Stat(ctx context.Context, key string, v providers.Version) (obj providers.Object, err error) {
	err = h.call("stat", key, func() (err error) { obj, err = h.under.Stat(ctx, key, v); return err })
	return obj, err
}

func (h *hooked) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		var objects []providers.Object
		err := h.call("list", prefix, func() error {
			for o, err := range h.under.List(ctx, prefix, after) {
				if err != nil {
					return err
				}
				objects = append(objects, o)
			}
			return nil
		})
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
		if err != nil {
			yield(providers.Object{}, err)
		}
	}
}

func (h *hooked) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	return h.call("raise", key, func() error { return h.under.Raise(ctx, key, v, until) })
}

func (h *hooked) Time(ctx context.Context) (now time.Time, err error) {
	err = h.call("time", "", func() (err error) { now, err = h.under.Time(ctx); return err })
	return now, err
}

// box is one store under test: a model store, faults, and a hook around both.
type box struct {
	name   string
	mem    *mem.Mem
	faulty *providertest.Faulty
	hook   *hooked
}

// newBox wraps m. A breach of the rules of stores fails the test.
func newBox(t testing.TB, name string, m *mem.Mem) *box {
	faulty := providertest.NewFaulty(m)
	under, ok := faulty.Driver().(interface {
		providers.Driver
		providers.Leaser
		providers.Clock
	})
	if !ok {
		t.Fatal("the model store has lost an ability")
	}
	return &box{name: name, mem: m, faulty: faulty, hook: &hooked{under: under}}
}

// writes returns the calls that write, since the first n calls.
func (b *box) writes(n int) []providertest.Call {
	calls := slices.Clone(b.faulty.Calls()[n:])
	return slices.DeleteFunc(calls, func(c providertest.Call) bool { return c.Op != "put" && c.Op != "raise" })
}

// keys returns the present keys under a prefix.
func (b *box) keys(prefix string) []string {
	var keys []string
	for _, o := range b.mem.Objects() {
		if len(o.Key) >= len(prefix) && o.Key[:len(prefix)] == prefix {
			keys = append(keys, o.Key)
		}
	}
	return keys
}
