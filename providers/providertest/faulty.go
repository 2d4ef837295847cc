package providertest

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"time"

	"offsite/providers"
)

// Outcome is what a rule does to a call. A write ends in one of four ways:
// applied or not, reported as success or as failure.
type Outcome int

const (
	FailBefore Outcome = iota // not applied, reported as failure
	FailAfter                 // applied, reported as failure
	Lie                       // not applied, reported as success (writes only)
	Cut                       // applied, the answer cut: no version, half the bytes, half the list
	Flip                      // one bit of the bytes read is flipped
	Slow                      // Wait first, then as usual
	Hang                      // not applied, no answer before the context ends
	Deny                      // from this call on everything is ErrDenied
	Gone                      // from this call on everything is ErrUnreachable
)

// Rule says which calls meet which outcome. Fields left out match everything.
type Rule struct {
	Op      string // "put", "get", "stat", "list", "raise", "remove", "time"; empty: any
	Prefix  string // of the key; for list, of the prefix
	Nth     int    // the first matching call that is met, from 1; 0 means 1
	Times   int    // how many matching calls are met; 0 means 1, -1 all
	Outcome Outcome
	Kind    error         // of the error; default ErrBusy before and ErrInDoubt after
	After   time.Duration // RetryAfter of the error
	Wait    time.Duration // for Slow
}

// Call is one call that a Faulty has seen.
type Call struct{ Op, Key string }

// Faulty wraps a driver and makes it fail as its rules say. Which rule meets a
// call depends only on the order of calls; the first matching rule counts.
type Faulty struct {
	driver providers.Driver
	// Sleep serves Slow. Default: a timer that minds the context.
	Sleep func(ctx context.Context, d time.Duration) error

	mu    sync.Mutex
	rules []Rule
	seen  []int // matching calls per rule
	calls []Call
	all   error // kind that every call gets from now on
}

// NewFaulty wraps d. Use Driver to hand it on.
func NewFaulty(d providers.Driver, rules ...Rule) *Faulty {
	return &Faulty{driver: d, rules: rules, seen: make([]int, len(rules)), Sleep: sleep}
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

// Driver returns the wrapped driver with exactly the optional abilities that the
// driver below has.
func (f *Faulty) Driver() providers.Driver {
	_, leaser := f.driver.(providers.Leaser)
	_, sweeper := f.driver.(providers.Sweeper)
	_, clock := f.driver.(providers.Clock)
	type (
		driver = providers.Driver
		l      = providers.Leaser
		s      = providers.Sweeper
		c      = providers.Clock
	)
	d := faultyDriver{f}
	switch {
	case leaser && sweeper && clock:
		return d
	case leaser && sweeper:
		return struct {
			driver
			l
			s
		}{d, d, d}
	case leaser && clock:
		return struct {
			driver
			l
			c
		}{d, d, d}
	case sweeper && clock:
		return struct {
			driver
			s
			c
		}{d, d, d}
	case leaser:
		return struct {
			driver
			l
		}{d, d}
	case sweeper:
		return struct {
			driver
			s
		}{d, d}
	case clock:
		return struct {
			driver
			c
		}{d, d}
	}
	return struct{ driver }{d}
}

// Set replaces the rules and makes a denied or gone store work again.
func (f *Faulty) Set(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.seen, f.all = rules, make([]int, len(rules)), nil
}

// Calls returns the calls seen so far, in order.
func (f *Faulty) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// Count returns how many calls of op were seen.
func (f *Faulty) Count(op string) int {
	n := 0
	for _, c := range f.Calls() {
		if c.Op == op {
			n++
		}
	}
	return n
}

// meet notes the call and returns the rule that it meets, or nil.
func (f *Faulty) meet(op, key string) (*Rule, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, Call{op, key})
	if f.all != nil {
		return nil, fault(op, key, f.all, 0)
	}
	for i := range f.rules {
		r := f.rules[i]
		if r.Op != "" && r.Op != op || !strings.HasPrefix(key, r.Prefix) {
			continue
		}
		f.seen[i]++
		first := max(r.Nth, 1)
		times := r.Times
		if times == 0 {
			times = 1
		}
		if n := f.seen[i]; n < first || times > 0 && n >= first+times {
			continue
		}
		switch r.Outcome {
		case Deny:
			f.all = providers.ErrDenied
			return nil, fault(op, key, f.all, 0)
		case Gone:
			f.all = providers.ErrUnreachable
			return nil, fault(op, key, f.all, 0)
		}
		return &r, nil
	}
	return nil, nil
}

func fault(op, key string, kind error, after time.Duration) error {
	return &providers.Error{Op: op, Provider: "faulty", Key: key, Kind: kind, RetryAfter: after, Err: errors.New("injected fault")}
}

func (r *Rule) fail(op, key string, standard error) error {
	kind := r.Kind
	if kind == nil {
		kind = standard
	}
	return fault(op, key, kind, r.After)
}

// call runs one call under the rules. lied is set when apply was left out and
// success is to be reported.
func (f *Faulty) call(ctx context.Context, op, key string, apply func() error) (r Rule, lied bool, err error) {
	rule, err := f.meet(op, key)
	if err != nil || rule == nil {
		if err == nil {
			err = apply()
		}
		return Rule{Outcome: Slow}, false, err
	}
	switch rule.Outcome {
	case FailBefore:
		return *rule, false, rule.fail(op, key, providers.ErrBusy)
	case FailAfter:
		if err := apply(); err != nil {
			return *rule, false, err
		}
		return *rule, false, rule.fail(op, key, providers.ErrInDoubt)
	case Lie:
		return *rule, true, nil
	case Hang:
		<-ctx.Done()
		return *rule, false, rule.fail(op, key, providers.ErrInDoubt)
	case Slow:
		if err := f.Sleep(ctx, rule.Wait); err != nil {
			return *rule, false, rule.fail(op, key, providers.ErrBusy)
		}
	}
	return *rule, false, apply()
}

// faultyDriver has every ability; Faulty.Driver hides those that are missing
// below.
type faultyDriver struct{ f *Faulty }

func (d faultyDriver) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (v providers.Version, err error) {
	r, lied, err := d.f.call(ctx, "put", key, func() (err error) {
		v, err = d.f.driver.Put(ctx, key, data, opt)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case lied:
		return "never-stored", nil
	case r.Outcome == Cut:
		return "", r.fail("put", key, providers.ErrInDoubt)
	}
	return v, nil
}

func (d faultyDriver) Get(ctx context.Context, key string, v providers.Version, off, n int64) (data []byte, err error) {
	r, _, err := d.f.call(ctx, "get", key, func() (err error) {
		data, err = d.f.driver.Get(ctx, key, v, off, n)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case r.Outcome == Cut:
		return data[:len(data)/2], nil
	case r.Outcome == Flip && len(data) > 0:
		data = bytes.Clone(data)
		data[len(data)/2] ^= 1
	}
	return data, nil
}

func (d faultyDriver) Stat(ctx context.Context, key string, v providers.Version) (obj providers.Object, err error) {
	r, _, err := d.f.call(ctx, "stat", key, func() (err error) {
		obj, err = d.f.driver.Stat(ctx, key, v)
		return err
	})
	if err == nil && r.Outcome == Cut {
		err = r.fail("stat", key, providers.ErrBusy)
	}
	return obj, err
}

// List fails before the first object, after the last one (FailAfter) or in the
// middle (Cut).
func (d faultyDriver) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		var all []providers.Object
		r, _, err := d.f.call(ctx, "list", prefix, func() error {
			for obj, err := range d.f.driver.List(ctx, prefix, after) {
				if err != nil {
					return err
				}
				all = append(all, obj)
			}
			return nil
		})
		if err == nil && r.Outcome == Cut {
			all, err = all[:len(all)/2], r.fail("list", prefix, providers.ErrBusy)
		}
		for _, obj := range all {
			if !yield(obj, nil) {
				return
			}
		}
		if err != nil {
			yield(providers.Object{}, err)
		}
	}
}

func (d faultyDriver) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	return d.plain(ctx, "raise", key, func() error {
		return d.f.driver.(providers.Leaser).Raise(ctx, key, v, until)
	})
}

func (d faultyDriver) Remove(ctx context.Context, key string, v providers.Version) error {
	return d.plain(ctx, "remove", key, func() error {
		return d.f.driver.(providers.Sweeper).Remove(ctx, key, v)
	})
}

func (d faultyDriver) Time(ctx context.Context) (now time.Time, err error) {
	err = d.plain(ctx, "time", "", func() (err error) {
		now, err = d.f.driver.(providers.Clock).Time(ctx)
		return err
	})
	return now, err
}

// plain is a call whose answer holds nothing: cut, it is in doubt.
func (d faultyDriver) plain(ctx context.Context, op, key string, apply func() error) error {
	r, _, err := d.f.call(ctx, op, key, apply)
	if err == nil && r.Outcome == Cut {
		return r.fail(op, key, providers.ErrInDoubt)
	}
	return err
}
