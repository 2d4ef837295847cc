package providers

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// MaxReplace is the largest object that can be replaced, in bytes. Replaceable
// objects are the store header and key material; the limit lets a folder name
// their versions by content.
const MaxReplace = 64 << 10

const (
	defaultConcurrency = 8                // fills 20 Mbit/s; 8 packs in memory are 128 MiB
	defaultAttempts    = 8                // with the waits below: about two minutes
	defaultWaitBudget  = 5 * time.Minute  // longer outages belong to the caller's schedule
	defaultFirstWait   = time.Second / 2  // a throttled bucket wants at least this
	defaultMaxWait     = 30 * time.Second // a recovered store is noticed soon
	defaultTimeout     = time.Minute      // one answer, without its bytes
	defaultMinRate     = 16 << 10         // bytes/s: eight uploads sharing 1 Mbit/s
	typicalObject      = 16 << 20         // what a whole read of unknown size may take
)

// Options are the limits of a Store. Zero fields take the defaults above.
type Options struct {
	Concurrency int           // requests in flight at once; fewer while the line is bad
	Attempts    int           // tries of one operation, the first one included
	WaitBudget  time.Duration // all waits of one operation together
	Patience    time.Duration // the same where the store had answered before; 0: WaitBudget
	FirstWait   time.Duration // before the second attempt; doubles afterwards
	MaxWait     time.Duration // longest single wait
	Timeout     time.Duration // one attempt, apart from its bytes
	MinRate     int64         // bytes/s below which an attempt counts as stuck

	// Cache keeps whole versions of the keys that Near names, so that they are asked
	// for once. Nil: none.
	Cache Cache
	Near  func(key string) bool

	// Sleep waits for d or until ctx ends. Default: a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// Jitter returns a fraction in [0,1) by which a wait is shortened. It must not
	// depend on which goroutine asks first. Default: a hash of Seed and arguments.
	Jitter func(op, key string, attempt int) float64
	// Seed sets the default Jitter apart from that of other PCs.
	Seed uint64
	// Log gets one line per retry at debug level. Nil: none.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	def(&o.Concurrency, defaultConcurrency)
	def(&o.Attempts, defaultAttempts)
	def(&o.WaitBudget, defaultWaitBudget)
	def(&o.FirstWait, defaultFirstWait)
	def(&o.MaxWait, defaultMaxWait)
	def(&o.Timeout, defaultTimeout)
	def(&o.MinRate, int64(defaultMinRate))
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Jitter == nil {
		seed := o.Seed
		o.Jitter = func(op, key string, attempt int) float64 {
			h := fnv.New64a()
			fmt.Fprintf(h, "%d\x00%s\x00%s\x00%d", seed, op, key, attempt)
			return float64(h.Sum64()>>11) / (1 << 53)
		}
	}
	if o.Near == nil {
		o.Near = func(string) bool { return false }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func def[T int | int64 | time.Duration](p *T, value T) {
	if *p <= 0 {
		*p = value
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Counters say what a Store has asked for since it was made.
type Counters struct {
	Put, Get, Stat, List, Raise, Time int64 // requests, repeated ones included
	Retries                           int64 // waits before another attempt
	Sent, Received                    int64 // payload bytes
	Foreign                           int64 // listed keys outside the grammar, skipped
}

type counters struct {
	put, get, stat, list, raise, time, retries, sent, received, foreign atomic.Int64
}

// Counters returns the present counts.
func (s *Store) Counters() Counters {
	c := &s.count
	return Counters{
		Put: c.put.Load(), Get: c.get.Load(), Stat: c.stat.Load(), List: c.list.Load(), Raise: c.raise.Load(),
		Time: c.time.Load(), Retries: c.retries.Load(), Sent: c.sent.Load(), Received: c.received.Load(),
		Foreign: c.foreign.Load(),
	}
}

// attempt makes one request in a slot, under a time limit that grows with the
// bytes to move, and gives errors without a kind the careful one.
func (s *Store) attempt(ctx context.Context, op, key string, size int64, f func(context.Context) error) error {
	if err := s.gate.enter(ctx); err != nil {
		return &Error{Op: op, Key: key, Kind: ErrBusy, Err: err}
	}
	limit := s.opt.Timeout + time.Duration(size/s.opt.MinRate)*time.Second
	actx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := classify(op, key, f(actx))
	s.gate.leave(err)
	if !again(err) {
		s.answered.Store(true)
	}
	return err
}

// again says whether the same may be tried again after an error.
func again(err error) bool {
	k := KindOf(err)
	return k == ErrBusy || k == ErrUnreachable || k == ErrInDoubt
}

// classify gives an error without a kind the careful one: a write may have been
// applied, a read may succeed later.
func classify(op, key string, err error) error {
	if err == nil || KindOf(err) != nil {
		return err
	}
	kind := ErrBusy
	if op == "put" {
		kind = ErrInDoubt
	}
	return &Error{Op: op, Key: key, Kind: kind, Err: err}
}

// retry runs f until it succeeds, fails for good, or the budget is used up. The
// error it then returns is the last one, with its kind.
func (s *Store) retry(ctx context.Context, op, key string, f func() error) error {
	b := backoff{s: s, op: op, key: key}
	for {
		err := f()
		if err == nil {
			return nil
		}
		if err := b.wait(ctx, err); err != nil {
			return err
		}
	}
}

// backoff counts the attempts of one operation and waits between them.
type backoff struct {
	s       *Store
	op, key string
	attempt int
	waited  time.Duration
	told    bool // that the store is away
}

// wait returns nil when another attempt may follow, else the error to return.
func (b *backoff) wait(ctx context.Context, err error) error {
	b.attempt++
	if ctx.Err() != nil {
		if errors.Is(err, ctx.Err()) {
			return err
		}
		return &Error{Op: b.op, Key: b.key, Kind: KindOf(err), Err: fmt.Errorf("%w: %w", ctx.Err(), err)}
	}
	if !again(err) {
		return err
	}
	o := &b.s.opt
	d := min(o.FirstWait<<min(b.attempt-1, 16), o.MaxWait)
	d -= time.Duration(o.Jitter(b.op, b.key, b.attempt) * float64(d) / 2)
	d = max(d, retryAfter(err))
	if b.attempt >= o.Attempts || b.waited+d > o.WaitBudget {
		if !b.s.answered.Load() || b.waited+d > o.Patience {
			return fmt.Errorf("give up after %d attempts: %w", b.attempt, err)
		}
		if !b.told {
			b.told = true
			o.Log.Warn("the store is away; waiting for it to come back", "for", o.Patience, "err", err)
		}
	}
	b.waited += d
	b.s.count.retries.Add(1)
	o.Log.Debug("retry", "op", b.op, "key", b.key, "attempt", b.attempt, "wait", d, "err", err)
	if sleepErr := o.Sleep(ctx, d); sleepErr != nil {
		return &Error{Op: b.op, Key: b.key, Kind: KindOf(err), Err: fmt.Errorf("%w: %w", sleepErr, err)}
	}
	return nil
}

// List yields the objects whose key starts with prefix and sorts after the key
// after, in byte order, each once: an interrupted listing goes on behind the
// last key. Keys outside the grammar are skipped and counted. It takes no slot,
// so the body of the loop may use the Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if !ValidPrefix(prefix) {
			yield(Object{}, &Error{Op: "list", Kind: ErrInvalid, Err: errors.New("prefix outside the grammar")})
			return
		}
		if known, ok := s.surveyed(prefix, after); ok {
			known(yield)
			return
		}
		b := backoff{s: s, op: "list", key: prefix}
		last := after
		for {
			before := last
			stop, err := s.listOnce(ctx, prefix, &last, yield)
			if stop || err == nil {
				return
			}
			if last != before { // progress: the budget counts failures in a row
				b.attempt, b.waited = 0, 0
			}
			if err := b.wait(ctx, err); err != nil {
				yield(Object{}, err)
				return
			}
		}
	}
}

// listOnce passes on one listing and moves last along. The time limit counts
// only the time spent inside the driver, not in the caller's loop.
func (s *Store) listOnce(ctx context.Context, prefix string, last *string, yield func(Object, error) bool) (stop bool, err error) {
	s.count.list.Add(1)
	actx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(s.opt.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	for obj, err := range s.driver.List(actx, prefix, *last) {
		if err != nil {
			return false, classify("list", prefix, err)
		}
		timer.Stop()
		if !strings.HasPrefix(obj.Key, prefix) || obj.Key <= *last {
			return false, &Error{Op: "list", Key: prefix, Kind: ErrCorrupt, Err: errors.New("listing out of order")}
		}
		*last = obj.Key
		if !ValidKey(obj.Key) {
			s.count.foreign.Add(1)
		} else if !yield(obj, nil) {
			return true, nil
		}
		timer.Reset(s.opt.Timeout)
	}
	return false, nil
}
