package providers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Store is what the rest of the program uses: a driver with retries, limits,
// time-outs and counters around it. It is the only place that sleeps or repeats
// a request. Safe for concurrent use.
//
// A write has four outcomes: applied or not, reported as success or as failure.
// Store turns three of them into the truth by reading back; the fourth, success
// reported for a write that never happened, shows only when the object is read.
type Store struct {
	driver Driver
	leaser Leaser // nil: the driver keeps no leases
	filler Filler // nil: every answer is in memory of its own
	opt    Options
	gate   *gate
	count  counters
	// answered says that the store has been there once, so that its absence is an
	// outage and not a wrong address.
	answered atomic.Bool
	survey   atomic.Pointer[survey]
}

// NewStore puts the limits of opt around d; zero fields take their defaults.
func NewStore(d Driver, opt Options) *Store {
	if d == nil {
		panic("providers: NewStore without a driver")
	}
	opt = opt.withDefaults()
	leaser, _ := d.(Leaser)
	filler, _ := d.(Filler)
	return &Store{driver: d, leaser: leaser, filler: filler, opt: opt, gate: newGate(opt.Concurrency)}
}

// Leases reports whether the store itself keeps leases.
func (s *Store) Leases() bool { return s.leaser != nil }

// Swept reports whether what has lapsed is removed by a sweep alone, because the
// store has no removal rules.
func (s *Store) Swept() bool {
	_, ok := s.driver.(Sweeper)
	return ok
}

// Create stores data under a new key until at least lease (zero: none). A key
// that already holds the same bytes is success, with the lease raised where it
// is shorter; other bytes are ErrConflict.
func (s *Store) Create(ctx context.Context, key string, data []byte, lease time.Time) (Version, error) {
	if err := checkPut(key, data); err != nil {
		return "", err
	}
	var version Version
	err := s.retry(ctx, "put", key, func() error {
		v, err := s.put(ctx, key, data, PutOptions{Lease: lease})
		if err == nil {
			version = v
			s.keepNear(key, v, data)
			return nil
		}
		if k := KindOf(err); k != ErrExist && k != ErrInDoubt {
			// ErrUnreachable may have been applied: the next attempt then meets
			// ErrExist and is settled by comparing.
			return err
		}
		obj, same, cmpErr := s.compare(ctx, key, data)
		switch {
		case errors.Is(cmpErr, ErrNotExist):
			// Not applied, or removed meanwhile: try again.
			return &Error{Op: "put", Key: key, Kind: ErrBusy, Err: err}
		case cmpErr != nil:
			return unsettled(key, cmpErr)
		case !same:
			return &Error{Op: "put", Key: key, Kind: ErrConflict}
		}
		version = obj.Version
		return s.ensureLease(ctx, key, obj, lease)
	})
	return version, err
}

// ensureLease raises a short lease of an object that was there before.
func (s *Store) ensureLease(ctx context.Context, key string, obj Object, lease time.Time) error {
	if s.leaser == nil || lease.IsZero() || !obj.Lease.Before(lease) {
		return nil
	}
	err := s.raise(ctx, key, obj.Version, lease)
	if errors.Is(err, ErrNotExist) { // removed between comparing and raising
		return &Error{Op: "put", Key: key, Kind: ErrBusy, Err: errors.New("object vanished")}
	}
	return err
}

// Replace stores data in place of the version old; when something else is
// stored, ErrConflict. Only objects of at most MaxReplace bytes are replaced.
func (s *Store) Replace(ctx context.Context, key string, old Version, data []byte, lease time.Time) (Version, error) {
	if err := checkPut(key, data); err != nil {
		return "", err
	}
	if old == "" || len(data) > MaxReplace {
		return "", &Error{Op: "put", Key: key, Kind: ErrInvalid, Err: errors.New("replace needs a version and a small object")}
	}
	var version Version
	doubt := false // an earlier attempt may have been applied, or may still be
	err := s.retry(ctx, "put", key, func() error {
		v, err := s.put(ctx, key, data, PutOptions{Replace: old, Lease: lease})
		if err == nil {
			version = v
			return nil
		}
		k := KindOf(err)
		doubt = doubt || k == ErrInDoubt || k == ErrUnreachable
		if !doubt || (k != ErrInDoubt && k != ErrUnreachable && k != ErrConflict) {
			return err
		}
		obj, same, cmpErr := s.compare(ctx, key, data)
		switch {
		case cmpErr != nil && !errors.Is(cmpErr, ErrNotExist):
			return unsettled(key, cmpErr)
		case same:
			version = obj.Version
			return s.ensureLease(ctx, key, obj, lease)
		case cmpErr == nil && obj.Version == old && k != ErrConflict:
			return &Error{Op: "put", Key: key, Kind: ErrBusy, Err: err} // not applied
		}
		return &Error{Op: "put", Key: key, Kind: ErrConflict}
	})
	return version, err
}

// unsettled is the answer when reading back failed for now: the write may stand.
func unsettled(key string, err error) error {
	switch KindOf(err) {
	case ErrBusy, ErrUnreachable, ErrInDoubt:
		return &Error{Op: "put", Key: key, Kind: ErrInDoubt, RetryAfter: retryAfter(err), Err: fmt.Errorf("read back: %w", err)}
	}
	return err
}

// compare tells whether the stored object holds data. Only equal bytes or an
// equal SHA-256 count as the same; weaker checksums can only tell a difference.
func (s *Store) compare(ctx context.Context, key string, data []byte) (Object, bool, error) {
	obj, err := s.stat(ctx, key, "")
	if err != nil {
		return Object{}, false, err
	}
	if obj.Size != int64(len(data)) {
		return obj, false, nil
	}
	if obj.Checksum.Algorithm == "sha256" && len(obj.Checksum.Sum) == sha256.Size {
		sum := sha256.Sum256(data)
		return obj, bytes.Equal(sum[:], obj.Checksum.Sum), nil
	}
	got, err := s.get(ctx, key, obj.Version, 0, -1, obj.Size, nil)
	if err != nil {
		return Object{}, false, err
	}
	return obj, bytes.Equal(got, data), nil
}

// Read returns the whole of the named version (empty: whatever is stored).
func (s *Store) Read(ctx context.Context, key string, v Version) ([]byte, error) {
	return s.ReadRange(ctx, key, v, 0, -1)
}

// Fresh is Read from the store itself, whatever copies there are.
func (s *Store) Fresh(ctx context.Context, key string, v Version) ([]byte, error) {
	return s.fresh(ctx, key, v, nil)
}

// ReadInto is Read for objects of which there are no copies, with room for the
// answer, which is used where it is large enough and the driver can.
func (s *Store) ReadInto(ctx context.Context, key string, v Version, room []byte) ([]byte, error) {
	return s.fresh(ctx, key, s.surveyedVersion(key, v), room)
}

func (s *Store) fresh(ctx context.Context, key string, v Version, room []byte) ([]byte, error) {
	if err := checkKey("get", key); err != nil {
		return nil, err
	}
	var data []byte
	err := s.retry(ctx, "get", key, func() (err error) {
		data, err = s.get(ctx, key, v, 0, -1, 0, room)
		return err
	})
	return data, err
}

// ReadRange returns n bytes from off (n < 0: to the end). A range that is not
// wholly inside the object is ErrRange.
func (s *Store) ReadRange(ctx context.Context, key string, v Version, off, n int64) ([]byte, error) {
	if err := checkKey("get", key); err != nil {
		return nil, err
	}
	if off < 0 || off > MaxObject || n > MaxObject {
		return nil, &Error{Op: "get", Key: key, Kind: ErrRange}
	}
	whole := off == 0 && n < 0
	if whole {
		v = s.surveyedVersion(key, v)
		if data, ok := s.cached(key, v); ok {
			return data, nil
		}
	}
	var data []byte
	err := s.retry(ctx, "get", key, func() (err error) {
		data, err = s.get(ctx, key, v, off, n, max(n, 0), nil)
		return err
	})
	if whole && err == nil {
		s.keepNear(key, v, data)
	}
	return data, err
}

// Stat describes the named version (empty: whatever is stored).
func (s *Store) Stat(ctx context.Context, key string, v Version) (Object, error) {
	if err := checkKey("stat", key); err != nil {
		return Object{}, err
	}
	var obj Object
	err := s.retry(ctx, "stat", key, func() (err error) {
		obj, err = s.stat(ctx, key, v)
		return err
	})
	return obj, err
}

// Raise makes the lease of the named version at least until. It does nothing,
// successfully, when the driver keeps no leases. Repeating it is harmless, so a
// lost answer is simply asked for again.
func (s *Store) Raise(ctx context.Context, key string, v Version, until time.Time) error {
	if err := checkKey("raise", key); err != nil {
		return err
	}
	if s.leaser == nil {
		return nil
	}
	return s.retry(ctx, "raise", key, func() error { return s.raise(ctx, key, v, until) })
}

// Time is the store's own clock. A driver without one is ErrInvalid with
// errors.ErrUnsupported inside.
func (s *Store) Time(ctx context.Context) (time.Time, error) {
	clock, ok := s.driver.(Clock)
	if !ok {
		return time.Time{}, &Error{Op: "time", Kind: ErrInvalid, Err: errors.ErrUnsupported}
	}
	var now time.Time
	err := s.retry(ctx, "time", "", func() error {
		s.count.time.Add(1)
		return s.attempt(ctx, "time", "", 0, func(ctx context.Context) (err error) {
			now, err = clock.Time(ctx)
			return err
		})
	})
	return now, err
}

func checkKey(op, key string) error {
	if ValidKey(key) {
		return nil
	}
	// The key is not repeated: a wrong one may hold anything.
	return &Error{Op: op, Kind: ErrInvalid, Err: errors.New("key outside the grammar")}
}

func checkPut(key string, data []byte) error {
	if err := checkKey("put", key); err != nil {
		return err
	}
	if len(data) > MaxObject {
		return &Error{Op: "put", Key: key, Kind: ErrInvalid, Err: fmt.Errorf("%d bytes, limit %d", len(data), MaxObject)}
	}
	return nil
}

// put, get, stat and raise are one attempt each, counted and limited.

func (s *Store) put(ctx context.Context, key string, data []byte, opt PutOptions) (v Version, err error) {
	s.count.put.Add(1)
	s.count.sent.Add(int64(len(data)))
	err = s.attempt(ctx, "put", key, int64(len(data)), func(ctx context.Context) (err error) {
		v, err = s.driver.Put(ctx, key, data, opt)
		return err
	})
	return v, err
}

func (s *Store) get(ctx context.Context, key string, v Version, off, n, expect int64, room []byte) (data []byte, err error) {
	s.count.get.Add(1)
	if n < 0 && expect == 0 {
		expect = typicalObject
	}
	err = s.attempt(ctx, "get", key, expect, func(ctx context.Context) (err error) {
		if room != nil && s.filler != nil {
			data, err = s.filler.Fill(ctx, key, v, room)
		} else {
			data, err = s.driver.Get(ctx, key, v, off, n)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.count.received.Add(int64(len(data)))
	if n >= 0 && int64(len(data)) != n {
		return nil, &Error{Op: "get", Key: key, Kind: ErrBusy, Err: fmt.Errorf("answer cut: %d of %d bytes", len(data), n)}
	}
	if len(data) > MaxObject {
		return nil, &Error{Op: "get", Key: key, Kind: ErrCorrupt, Err: fmt.Errorf("%d bytes, limit %d", len(data), MaxObject)}
	}
	return data, nil
}

func (s *Store) stat(ctx context.Context, key string, v Version) (obj Object, err error) {
	s.count.stat.Add(1)
	err = s.attempt(ctx, "stat", key, 0, func(ctx context.Context) (err error) {
		obj, err = s.driver.Stat(ctx, key, v)
		return err
	})
	return obj, err
}

func (s *Store) raise(ctx context.Context, key string, v Version, until time.Time) error {
	s.count.raise.Add(1)
	return s.attempt(ctx, "raise", key, 0, func(ctx context.Context) error {
		return s.leaser.Raise(ctx, key, v, until)
	})
}
