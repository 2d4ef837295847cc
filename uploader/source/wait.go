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
	Layout Layout
	// Quiet is for how long nothing must have changed. 0: DefaultQuiet.
	Quiet time.Duration
	// Poll is the time between two looks. 0: a twentieth of Quiet, within 1 s and 30 s.
	Poll time.Duration
	// Limit is when waiting ends without a set. 0: DefaultLimit.
	Limit time.Duration
	// Done matches a file that the backup program writes last. The zero Pattern:
	// there is none.
	Done Pattern
	// Ended says when the backup program reported, outside of the set, that the
	// backup in this set had ended well. false: it has not said so. nil: nobody can
	// tell.
	Ended func(ctx context.Context, set Set) (time.Time, bool)
	// Now is the clock. It must be set.
	Now func() time.Time
	// After is the timer. nil: time.After.
	After func(time.Duration) <-chan time.Time

	eyes eyes // nil: those of the layout
}

// Wait looks again and again until the newest set of the layout has settled, and
// returns its last scan. A set has settled when two looks in a row found the same,
// no program is seen to hold one of its files open for writing, and
//
//   - the backup program said that it has ended: a report from outside, or the file
//     that it writes last, no older than the newest change of everything else; or
//   - nothing changed between looks for as long as patience asks for, which is at
//     least the quiet period; or
//   - nothing changed since the first look, every file carries a change time of
//     its file system, no clock was seen to jump, and the newest change in the whole
//     set is older than that.
//
// The last makes a backup that ended hours ago settled after one more look. It
// compares the clock of this PC with that of the file server: a server that is
// ahead makes Wait fall back to the second; a server that is behind by more than
// the quiet period makes a backup that pauses for longer than Poll look settled.
//
// Whatever cannot be used at the first look is an error at once, except a folder
// without a set; later a root that is missing or empty is part of the change,
// because some programs rename the old backup before they write the next.
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
	if opt.eyes == nil {
		opt.eyes = newFinder(opt.Layout)
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
	opt      WaitOptions
	start    time.Time
	last     Set       // the last scan; zero while there is no usable source
	since    time.Time // end of the first of the looks that equal last
	equal    int       // looks in a row that equal last
	looked   bool
	active   bool // something changed between two looks
	stepped  bool // the clock jumped
	patience patience
	open     int   // files held open when all else had settled
	reason   error // why there is no usable source
	done     bool
	err      error

	paused time.Time     // when the last pause began
	nap    time.Duration // how long it was meant to be
}

// look makes one scan and judges it.
func (w *waiter) look(ctx context.Context) {
	before := w.opt.Now()
	w.steps(before)
	set, err := w.opt.eyes.look(ctx)
	if err != nil {
		w.failed(ctx, err, before)
		return
	}
	w.reason = nil
	if w.equal == 0 || set.Name() != w.last.Name() || !same(w.last, set) {
		w.patience.saw(w.last, set, before)
		w.active, w.looked, w.open = w.looked, true, 0
		w.last, w.since, w.equal = set, w.opt.Now(), 1
		w.limit(before)
		return
	}
	w.last = set
	w.patience.calm()
	if w.equal++; w.settled(ctx, before) {
		w.done = true
		return
	}
	w.limit(before)
}

// failed judges a look that brought no set. A source that is not there yet, or not
// any more, is part of waiting.
func (w *waiter) failed(ctx context.Context, err error, now time.Time) {
	passing := errors.Is(err, ErrRootEmpty) || errors.Is(err, ErrNoSets) || w.looked && errors.Is(err, ErrRootMissing)
	switch {
	case context.Cause(ctx) != nil:
		w.err = errors.Join(ErrNotSettled, context.Cause(ctx))
	case passing:
		w.last, w.equal, w.reason, w.looked, w.active, w.open = Set{}, 0, err, true, true, 0
		w.limit(now)
	default:
		w.err = err
	}
}

// settled judges the last look, which equals the one before it.
func (w *waiter) settled(ctx context.Context, now time.Time) bool {
	proof, ended := w.ended(ctx, now)
	quiet := now.Sub(w.since)
	if newest := w.last.Newest(); !w.active && !w.stepped && w.last.ChangeTimes() && !newest.IsZero() {
		quiet = max(quiet, now.Sub(newest))
	}
	if !ended && quiet < w.opt.Quiet {
		return false
	}
	open, sure := w.opt.eyes.writers(ctx, w.last)
	if w.open = open; open > 0 {
		return false
	}
	if !ended {
		unwritten := !sure && w.opt.eyes.unwritten(w.last)
		if quiet < w.patience.need(w.opt.Quiet, w.last, sure, unwritten) {
			return false
		}
		proof = Proof{Kind: ProofQuiet}
	}
	proof.Quiet = quiet
	w.last.d.quiet, w.last.d.proof = quiet, proof
	return true
}

// steps notices a clock that jumped, or a PC that slept: the pause was not as long
// as it was meant to be. What was seen before then counts for nothing, and the
// times of files are no longer held against the clock.
func (w *waiter) steps(now time.Time) {
	if w.paused.IsZero() {
		return
	}
	wrong := func(took time.Duration) bool { return (took - w.nap).Abs() > w.nap+maxStep }
	// The second difference is that of the clock on the wall.
	took := now.Sub(w.paused)
	if !wrong(took) && !wrong(now.Round(0).Sub(w.paused.Round(0))) {
		return
	}
	w.stepped = true
	w.start = w.start.Add(took - w.nap)
	w.since, w.equal = now, min(w.equal, 1)
	w.patience.jumped(now)
}

func (w *waiter) limit(now time.Time) {
	if now.Sub(w.start) < w.opt.Limit {
		return
	}
	w.err = fmt.Errorf("%w within %v", ErrNotSettled, w.opt.Limit)
	switch {
	case w.reason != nil:
		w.err = fmt.Errorf("%w: %w", w.err, w.reason)
	case w.open > 0:
		w.err = fmt.Errorf("%w: %w (%d): a backup that hangs, or the running program's own data", w.err, ErrOpen, w.open)
	case w.patience.restless():
		w.err = fmt.Errorf("%w: %w: this looks like the running program's own data", w.err, ErrRestless)
	}
}

// pause waits for the next look: not longer than the quiet period still takes,
// nor beyond the limit.
func (w *waiter) pause(ctx context.Context) {
	now := w.opt.Now()
	d := w.opt.Poll
	if left := w.opt.Quiet - now.Sub(w.since); w.equal > 0 && left > 0 {
		d = min(d, left)
	}
	d = max(min(d, w.opt.Limit-now.Sub(w.start)), time.Millisecond)
	w.paused, w.nap = now, d
	select {
	case <-ctx.Done():
		w.err = errors.Join(ErrNotSettled, context.Cause(ctx))
	case <-w.opt.After(d):
	}
}
