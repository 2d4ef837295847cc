package source

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The bounds of waiting.
const (
	// DefaultQuiet suits a backup that is a plain copy over a local network: long
	// enough for one slow file after another, short enough for a lunch break.
	DefaultQuiet = 10 * time.Minute
	// DefaultLimit is longer than any nightly backup we know of and shorter than
	// the time to the next one.
	DefaultLimit = 12 * time.Hour
	minPoll      = time.Second
	maxPoll      = 30 * time.Second
)

// WaitOptions say what to wait for.
type WaitOptions struct {
	Scan Options
	// Quiet is for how long nothing must have changed. 0: DefaultQuiet.
	Quiet time.Duration
	// Poll is the time between two scans. 0: a twentieth of Quiet, within 1 s and 30 s.
	Poll time.Duration
	// Limit is when waiting ends without a set. 0: DefaultLimit.
	Limit time.Duration
	// Now is the clock. It must be set.
	Now func() time.Time
	// After is the timer. nil: time.After.
	After func(time.Duration) <-chan time.Time
}

// Wait scans again and again until the whole set has settled and returns the
// last scan. A set has settled when two scans in a row found the same and
//
//   - nothing changed between scans for the quiet period, or
//   - nothing changed since the first look, every file carries a change time of
//     its file system, and the newest change in the whole set is older than the
//     quiet period.
//
// The second makes a backup that ended hours ago settled after one more look. It
// compares the clock of this PC with that of the file server: a server that is
// ahead makes Wait fall back to the first; a server that is behind by more than
// the quiet period makes a backup that pauses for longer than Poll look settled.
//
// Whatever cannot be used at the first look is an error at once, except an empty
// root; later a root that is missing or empty is part of the change, because
// some programs rename the old backup before they write the next.
func Wait(ctx context.Context, opt WaitOptions) (Set, error) {
	if opt.Now == nil {
		return Set{}, errors.New("wait for source: no clock was given")
	}
	if opt.Quiet < 0 || opt.Poll < 0 || opt.Limit < 0 {
		return Set{}, errors.New("wait for source: times cannot be negative")
	}
	if opt.Quiet == 0 {
		opt.Quiet = DefaultQuiet
	}
	if opt.Poll == 0 {
		opt.Poll = min(max(opt.Quiet/20, minPoll), maxPoll)
	}
	if opt.Limit == 0 {
		opt.Limit = DefaultLimit
	}
	if opt.After == nil {
		opt.After = time.After
	}
	w := waiter{opt: opt, start: opt.Now()}
	for {
		if w.look(ctx); w.done || w.err != nil {
			break
		}
		w.pause(ctx)
	}
	if w.err != nil {
		return Set{}, fmt.Errorf("wait for source: %w", w.err)
	}
	return w.last, nil
}

// waiter is the state of one Wait.
type waiter struct {
	opt    WaitOptions
	start  time.Time
	last   Set       // the last scan; zero while there is no usable source
	since  time.Time // end of the first of the scans that equal last
	equal  int       // scans in a row that equal last
	looked bool
	active bool  // something changed between two looks
	reason error // why there is no usable source
	done   bool
	err    error
}

// look makes one scan and judges it.
func (w *waiter) look(ctx context.Context) {
	before := w.opt.Now()
	set, err := Scan(ctx, w.opt.Scan)
	if err != nil {
		passing := errors.Is(err, ErrRootEmpty) || w.looked && errors.Is(err, ErrRootMissing)
		if context.Cause(ctx) != nil {
			err = errors.Join(ErrNotSettled, context.Cause(ctx))
		} else if passing {
			w.last, w.equal, w.reason, w.looked, w.active = Set{}, 0, err, true, true
			w.limit(before)
			return
		}
		w.err = err
		return
	}
	w.reason = nil
	if w.equal == 0 || !same(w.last, set) {
		w.active, w.looked = w.looked, true
		w.last, w.since, w.equal = set, w.opt.Now(), 1
		w.limit(before)
		return
	}
	w.last = set
	w.equal++
	quiet := before.Sub(w.since)
	if newest := set.Newest(); !w.active && set.d.timed && !newest.IsZero() {
		quiet = max(quiet, before.Sub(newest))
	}
	if quiet >= w.opt.Quiet {
		w.last.d.quiet = quiet
		w.done = true
		return
	}
	w.limit(before)
}

func (w *waiter) limit(now time.Time) {
	if now.Sub(w.start) < w.opt.Limit {
		return
	}
	w.err = fmt.Errorf("%w within %v", ErrNotSettled, w.opt.Limit)
	if w.reason != nil {
		w.err = fmt.Errorf("%w: %w", w.err, w.reason)
	}
}

// pause waits for the next look: not longer than the quiet period still takes,
// nor beyond the limit.
func (w *waiter) pause(ctx context.Context) {
	now := w.opt.Now()
	d := w.opt.Poll
	if w.equal > 0 {
		d = min(d, w.opt.Quiet-now.Sub(w.since))
	}
	d = max(min(d, w.opt.Limit-now.Sub(w.start)), time.Millisecond)
	select {
	case <-ctx.Done():
		w.err = errors.Join(ErrNotSettled, context.Cause(ctx))
	case <-w.opt.After(d):
	}
}
