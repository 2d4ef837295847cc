package providers

import (
	"context"
	"errors"
	"sync"
)

// gate lets a bounded number of requests through at a time, and adapts the bound to
// the line: it is halved when an attempt gets stuck or the store asks to be left
// alone, and grows by one after as many answers in a row as it is wide. A line on
// which two packs at a time both run into their time limit thus gets one.
type gate struct {
	slots chan struct{} // one element for each request that may start now

	mu    sync.Mutex
	width int // how many may be under way
	debt  int // slots that come back and are kept, because the gate was narrowed
	good  int // answers in a row since the last change
}

func newGate(width int) *gate {
	g := &gate{slots: make(chan struct{}, width), width: width}
	for range width {
		g.slots <- struct{}{}
	}
	return g
}

// enter waits for a slot.
func (g *gate) enter(ctx context.Context) error {
	select {
	case <-g.slots:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave gives the slot back and learns from how the attempt went.
func (g *gate) leave(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	more := 0 // slots to open beside the one that comes back
	switch kind := KindOf(err); {
	case errors.Is(err, context.Canceled):
	case kind == ErrBusy, kind == ErrUnreachable, kind == ErrInDoubt:
		g.good = 0
		narrower := max(1, g.width/2)
		g.debt += g.width - narrower
		g.width = narrower
	default: // any answer will do: the line carried it
		if g.good++; g.good >= g.width && g.width < cap(g.slots) {
			g.good = 0
			g.width++
			more++
		}
	}
	for range more + 1 {
		if g.debt > 0 {
			g.debt--
			continue
		}
		g.slots <- struct{}{}
	}
}
