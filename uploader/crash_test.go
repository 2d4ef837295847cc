package uploader_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"offsite/providers/mem"
	"offsite/uploader/simtest"
)

// wreck is what a crash at one moment leaves: the store, then the local state.
type wreck struct {
	when  string
	store *mem.Mem
	state string
}

// wreckage copies store and local state before and after each write of a run, and
// before every other call behind the commit, where local state changes.
type wreckage struct {
	t     *testing.T
	p     *practicePC
	mu    sync.Mutex // guards what follows
	calls int
	found []wreck
}

func (w *wreckage) around(op, key string, apply func() error) error {
	writes := op == "put" || op == "raise"
	if writes || len(w.p.boxes[0].keys("r/s/")) > 1 {
		w.take(fmt.Sprintf("before %s %.9s", op, key))
	}
	err := apply()
	if writes {
		w.take(fmt.Sprintf("after %s %.9s", op, key))
	}
	return err
}

// take copies the store first: a journal that knows more than the store is what a
// crash can leave, one that knows less is not.
func (w *wreckage) take(when string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	dir := filepath.Join(w.t.TempDir(), "state")
	store := w.p.boxes[0].mem.Clone()
	if err := os.CopyFS(dir, os.DirFS(w.p.state)); err != nil {
		w.t.Error(err)
	}
	w.found = append(w.found, wreck{fmt.Sprintf("%02d %s", w.calls, when), store, dir})
}

// TestACrashAtAnyWriteLosesNothing: whatever a crash leaves at any moment, the next
// run finishes from there, and nothing that arrived is sent again.
func TestACrashAtAnyWriteLosesNothing(t *testing.T) {
	p, now := aSecondDay(t)
	whole := p.fork(t, now)
	w := &wreckage{t: t, p: whole}
	whole.boxes[0].hook.set(w.around)
	whole.commit()
	if len(w.found) < 20 {
		t.Fatalf("a run with %d moments to crash in; there must be more", len(w.found))
	}
	for i, at := range w.found {
		if i%thin != 0 {
			continue
		}
		t.Run(at.when, func(t *testing.T) {
			p := p.fork(t, now)
			p.boxes, p.stores, p.state = nil, nil, at.state
			p.adopt("first", at.store)
			was, err := simtest.ReadState(p.source)
			check(t, err)
			p.expect(was) // the crash may have come behind the commit
			p.check()
			p.finish()
		})
	}
}

// TestARunCanBeStoppedAtAnyCall: when the context ends before or after any one call
// to the store, the run stops with its cause, and the next one finishes.
func TestARunCanBeStoppedAtAnyCall(t *testing.T) {
	p, now := aSecondDay(t)
	whole := p.fork(t, now)
	whole.commit()
	stopped := errors.New("told to stop")
	for n := range len(whole.boxes[0].faulty.Calls()) {
		if n%thin != 0 {
			continue
		}
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, applied %v", n, after), func(t *testing.T) {
				p := p.fork(t, now)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var mu sync.Mutex
				calls := 0
				p.boxes[0].hook.set(func(op, key string, apply func() error) error {
					mu.Lock()
					calls++
					now := calls == n+1
					mu.Unlock()
					if now && !after {
						cancel(stopped)
					}
					err := apply()
					if now {
						cancel(stopped)
					}
					return err
				})
				res, err := p.runContext(ctx)
				committed := result(t, res, "first").Ref.Key != ""
				if err == nil && !committed || err != nil && !errors.Is(err, stopped) {
					t.Errorf("stopped run: %s", describe(res, err))
				}
				p.boxes[0].hook.set(nil)
				p.finish()
			})
		}
	}
}
