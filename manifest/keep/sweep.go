package keep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"offsite/manifest"
	"offsite/providers"
)

// atOnce is how many requests of one kind are under way at a time.
const atOnce = 8

// Sweep removes what a plan says has lapsed.
type Sweep struct {
	// Store reads, and writes the log: the ordinary credential does that.
	Store *providers.Store
	// Remover removes, with a credential that nothing else uses.
	Remover providers.Sweeper
	Log     *Log
	// Pause waits before what a busy store kept is tried again: a folder is locked for
	// a moment whenever a run raises a lease there. Nil: it is tried again at once.
	Pause func(ctx context.Context, d time.Duration)
}

const (
	// tries is how often an object is tried that a busy store keeps; with the pauses
	// doubling from firstPause that is some seconds for all of them together.
	tries      = 6
	firstPause = 100 * time.Millisecond
)

// Swept says what a sweep did.
type Swept struct {
	Removed int
	Bytes   int64
	Left    []Mention // what stands, and how that ended
}

// Run settles what an earlier sweep left open, and removes what has lapsed: each
// part is announced in the log, then removed, then accounted for. A crash between
// any two of these leaves an announcement that the next Run settles.
//
// Documents that came since the evidence was read end it with ErrChanged: read
// again and plan again. now is what the plan was made with.
func (s *Sweep) Run(ctx context.Context, e *Evidence, plan Plan, now time.Time) (Swept, error) {
	var done Swept
	if err := s.Settle(ctx, now); err != nil {
		return done, err
	}
	for part := range slices.Chunk(plan.Lapsed, maxMentions) {
		if err := e.Unchanged(ctx, s.Store); err != nil {
			return done, err
		}
		intent := Entry{Kind: Intent, Time: manifest.At(now), Disregarded: slices.Sorted(slices.Values(e.opt.Disregard))}
		for _, l := range part {
			intent.Objects = append(intent.Objects, l.mention(""))
			intent.Bytes += l.Size
		}
		announced, err := s.Log.Append(ctx, intent)
		if err != nil {
			return done, err
		}
		r := removal{sweep: s}
		r.all(ctx, part)
		outcome := account(announced.Entry, r.left, now)
		done.Removed += int(outcome.Removed)
		done.Bytes += outcome.Bytes
		done.Left = append(done.Left, r.left...)
		if err := errors.Join(s.conclude(ctx, outcome), r.err, context.Cause(ctx)); err != nil {
			return done, err
		}
	}
	return done, nil
}

func (l Lapsed) mention(end string) Mention {
	return Mention{Key: l.Key, Version: string(l.Version), Size: l.Size, Until: manifest.At(l.Until.Time), Why: l.Until.By, End: end}
}

func account(intent Entry, left []Mention, now time.Time) Entry {
	out := Entry{Kind: Outcome, Of: intent.Seq, Time: manifest.At(now), Objects: left,
		Removed: int64(len(intent.Objects) - len(left)), Bytes: intent.Bytes}
	for _, m := range left {
		out.Bytes -= m.Size
	}
	return out
}

// conclude writes an outcome, also if somebody else has written meanwhile: what was
// removed must be accounted for.
func (s *Sweep) conclude(ctx context.Context, outcome Entry) error {
	ctx = context.WithoutCancel(ctx) // what is done is done, and has to be said
	var err error
	for range 5 {
		if _, err = s.Log.Append(ctx, outcome); !errors.Is(err, manifest.ErrRace) {
			return err
		}
	}
	return err
}

// Settle accounts for the objects of an announcement that has no outcome: those that
// the store still lists were not removed. Nobody signs for what nobody signed.
func (s *Sweep) Settle(ctx context.Context, now time.Time) error {
	last, _, err := s.Log.last(ctx)
	if err != nil || last.Kind != Intent || s.Log.PC != "" && !last.Signed {
		return err
	}
	stands := make(map[string]bool)
	for o, err := range s.Store.List(ctx, manifest.Removable, "") {
		if err != nil {
			return fmt.Errorf("list store: %w", err)
		}
		stands[o.Key] = true
	}
	var left []Mention
	for _, m := range last.Objects {
		if stands[m.Key] {
			m.End = EndLeft
			left = append(left, m)
		}
	}
	return s.conclude(ctx, account(last.Entry, left, now))
}

// removal is one part while it is removed.
type removal struct {
	sweep *Sweep
	mu    sync.Mutex
	left  []Mention // what stands
	again []Lapsed  // what a busy store kept
	err   error     // no removal can succeed
}

// all removes objects rank by rank. What a busy store kept is tried again.
func (r *removal) all(ctx context.Context, part []Lapsed) {
	for rank := range 3 {
		now := slices.DeleteFunc(slices.Clone(part), func(l Lapsed) bool { return l.rank() != rank })
		for try := 0; try < tries && len(now) > 0; try++ {
			if try > 0 && r.sweep.Pause != nil {
				r.sweep.Pause(ctx, firstPause<<try)
			}
			r.again = nil
			parallel(now, func(l Lapsed) { r.settle(l, r.one(ctx, l)) })
			now = r.again
		}
		for _, l := range now {
			r.left = append(r.left, l.mention(EndLeft))
		}
	}
}

// settle notes what became of one object.
func (r *removal) settle(l Lapsed, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch kind := providers.KindOf(err); {
	case err == nil, kind == providers.ErrNotExist:
	case kind == providers.ErrBusy, kind == providers.ErrInDoubt:
		r.again = append(r.again, l)
	case kind == providers.ErrHeld:
		r.left = append(r.left, l.mention(EndHeld))
	default:
		r.err = cmp.Or(r.err, err)
		r.left = append(r.left, l.mention(EndLeft))
	}
}

func (r *removal) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// one removes one object. A store that keeps leases holds what has lost its lease;
// then the lease is given back that the documents know of, which is over.
func (r *removal) one(ctx context.Context, l Lapsed) error {
	if err := cmp.Or(r.failed(), context.Cause(ctx)); err != nil {
		return err
	}
	s := r.sweep
	err := s.Remover.Remove(ctx, l.Key, l.Version)
	if !errors.Is(err, providers.ErrHeld) || !s.Store.Leases() {
		return err
	}
	if err := s.Store.Raise(ctx, l.Key, l.Version, l.Until.Time); err != nil {
		return err
	}
	return s.Remover.Remove(ctx, l.Key, l.Version)
}

// parallel calls f for each item, some at a time, and waits.
func parallel[T any](items []T, f func(T)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, item := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(item)
		})
	}
	wg.Wait()
}
