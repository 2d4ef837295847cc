// Package mem is the model store: what the contract of package providers means,
// kept in memory. It holds every version of every object with its lease, tells
// the time by an injected clock and, while it is used, reports callers that
// break the rules of the program (see Options.Report).
//
// It forgets everything when the process ends and is meant for tests,
// simulations and demonstrations.
package mem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"offsite/providers"
)

// Options of a Mem. The zero value is a store whose clock stands still.
type Options struct {
	// Now is the store's clock. Nil: a fixed moment.
	Now func() time.Time
	// Report is told of every breach of the rules: a key outside the grammar or
	// in the way of another one, an object over the limit, the replacement of an
	// immutable key, a lease that is over when it is given, stored bytes that
	// changed by themselves. Nil: breaches only fail. It is called with the
	// store's mutex held and must not call back.
	Report func(breach string)
	// Immutable says which keys may never be replaced. Nil: those under "r/".
	Immutable func(key string) bool
	// Sum makes Stat and List give the SHA-256 of each object, as some stores do.
	Sum bool
}

// Mem is a store in memory. It has every optional ability; see Plain for one
// without leases. Safe for concurrent use.
type Mem struct {
	opt Options

	mu      sync.Mutex
	objects map[string][]*object // oldest version first; the last one is present
	order   []string             // the keys in byte order, never changed in place; nil: not known
	folders map[string]int       // how many keys lie below each folder
	serial  int
	seed    maphash.Seed // of object.trip
}

type object struct {
	version  providers.Version
	data     []byte
	trip     uint64            // a quick hash of data, which nothing may change
	sum      [sha256.Size]byte // with Options.Sum
	modified time.Time
	lease    time.Time
	harmed   bool // by Damage
}

// New makes an empty store.
func New(opt Options) *Mem {
	if opt.Now == nil {
		fixed := time.Date(2026, 1, 5, 20, 0, 0, 0, time.UTC)
		opt.Now = func() time.Time { return fixed }
	}
	if opt.Report == nil {
		opt.Report = func(string) {}
	}
	if opt.Immutable == nil {
		opt.Immutable = func(key string) bool { return strings.HasPrefix(key, "r/") }
	}
	return &Mem{opt: opt, objects: map[string][]*object{}, folders: map[string]int{}, seed: maphash.MakeSeed()}
}

// Plain is the same store seen without leases and removal, as a bucket that has
// neither.
func (m *Mem) Plain() providers.Driver {
	return struct {
		providers.Driver
		providers.Clock
	}{m, m}
}

func fail(op, key string, kind error, cause string) error {
	e := &providers.Error{Op: op, Provider: "mem", Key: key, Kind: kind}
	if cause != "" {
		e.Err = errors.New(cause)
	}
	return e
}

// begin checks what every call checks: a live context and a key of the grammar.
func (m *Mem) begin(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return &providers.Error{Op: op, Provider: "mem", Key: key, Kind: providers.ErrBusy, Err: err}
	}
	if !providers.ValidKey(key) {
		m.opt.Report(fmt.Sprintf("%s: key outside the grammar: %q", op, key))
		return fail(op, "", providers.ErrInvalid, "key outside the grammar")
	}
	return nil
}

// Put stores data; see providers.Driver.
func (m *Mem) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx, "put", key); err != nil {
		return "", err
	}
	if len(data) > providers.MaxObject {
		m.opt.Report(fmt.Sprintf("put %s: %d bytes are over the limit", key, len(data)))
		return "", fail("put", key, providers.ErrInvalid, "object over the limit")
	}
	versions := m.objects[key]
	if opt.Replace == "" {
		if len(versions) > 0 {
			return "", fail("put", key, providers.ErrExist, "")
		}
		m.checkFolders(key)
		m.order = nil
	} else {
		if m.opt.Immutable(key) {
			m.opt.Report("put " + key + ": an immutable key is replaced")
		}
		if len(data) > providers.MaxReplace {
			return "", fail("put", key, providers.ErrInvalid, "replacement over the limit")
		}
		if len(versions) == 0 || versions[len(versions)-1].version != opt.Replace {
			return "", fail("put", key, providers.ErrConflict, "")
		}
	}
	now := m.opt.Now()
	if !opt.Lease.IsZero() && opt.Lease.Before(now) {
		m.opt.Report("put " + key + ": the lease is over already")
	}
	m.serial++
	o := &object{
		version: providers.Version(fmt.Sprintf("m%d", m.serial)), data: bytes.Clone(data),
		trip: maphash.Bytes(m.seed, data), modified: now, lease: opt.Lease,
	}
	if m.opt.Sum {
		o.sum = sha256.Sum256(data)
	}
	m.objects[key] = append(versions, o)
	return o.version, nil
}

// checkFolders reports a key that is a folder of another one: a file system
// cannot hold both.
func (m *Mem) checkFolders(key string) {
	if m.folders[key] > 0 {
		m.opt.Report("put " + key + ": in the way of the keys below it")
	}
	for folder := range folders(key) {
		if len(m.objects[folder]) > 0 {
			m.opt.Report("put " + key + ": in the way of " + folder)
		}
		m.folders[folder]++
	}
}

// folders yields the folders that key lies in.
func folders(key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range len(key) {
			if key[i] == '/' && !yield(key[:i]) {
				return
			}
		}
	}
}

// find returns the named version, or the present one.
func (m *Mem) find(op, key string, v providers.Version) (*object, error) {
	versions := m.objects[key]
	if len(versions) > 0 && v == "" {
		return versions[len(versions)-1], nil
	}
	for _, o := range versions {
		if o.version == v {
			return o, nil
		}
	}
	return nil, fail(op, key, providers.ErrNotExist, "")
}

// Get reads a range; see providers.Driver.
func (m *Mem) Get(ctx context.Context, key string, v providers.Version, off, n int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx, "get", key); err != nil {
		return nil, err
	}
	o, err := m.find("get", key, v)
	if err != nil {
		return nil, err
	}
	size := int64(len(o.data))
	if n < 0 {
		n = size - off
	}
	if off < 0 || off > size || n > size-off {
		return nil, fail("get", key, providers.ErrRange, "")
	}
	if !o.harmed && off == 0 && n == size && maphash.Bytes(m.seed, o.data) != o.trip {
		m.opt.Report("get " + key + ": stored bytes changed")
	}
	return append([]byte{}, o.data[off:off+n]...), nil
}

// Stat describes a version; see providers.Driver.
func (m *Mem) Stat(ctx context.Context, key string, v providers.Version) (providers.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx, "stat", key); err != nil {
		return providers.Object{}, err
	}
	o, err := m.find("stat", key, v)
	if err != nil {
		return providers.Object{}, err
	}
	return m.describe(key, o), nil
}

func (m *Mem) describe(key string, o *object) providers.Object {
	obj := providers.Object{Key: key, Size: int64(len(o.data)), Version: o.version, Modified: o.modified, Lease: o.lease}
	if m.opt.Sum {
		obj.Checksum = providers.Checksum{Algorithm: "sha256", Sum: bytes.Clone(o.sum[:])}
	}
	return obj
}

// List yields the present objects; see providers.Driver. It sees the keys of the
// moment it began, minus those removed since.
func (m *Mem) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		for _, key := range m.keys(prefix, after) {
			if err := ctx.Err(); err != nil {
				yield(providers.Object{}, &providers.Error{Op: "list", Provider: "mem", Kind: providers.ErrBusy, Err: err})
				return
			}
			m.mu.Lock()
			o, err := m.find("list", key, "")
			var obj providers.Object
			if err == nil {
				obj = m.describe(key, o)
			}
			m.mu.Unlock()
			if err == nil && !yield(obj, nil) {
				return
			}
		}
	}
}

func (m *Mem) keys(prefix, after string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := m.ordered()
	from, _ := slices.BinarySearch(keys, prefix)
	keys = keys[from:]
	end, _ := slices.BinarySearchFunc(keys, prefix, func(key, prefix string) int {
		if strings.HasPrefix(key, prefix) {
			return -1
		}
		return 1
	})
	keys = keys[:end]
	from, found := slices.BinarySearch(keys, after)
	if found {
		from++
	}
	return keys[from:]
}

// ordered returns all keys in byte order.
func (m *Mem) ordered() []string {
	if m.order == nil {
		m.order = slices.Sorted(maps.Keys(m.objects))
	}
	return m.order
}

// Raise moves a lease later; see providers.Leaser.
func (m *Mem) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx, "raise", key); err != nil {
		return err
	}
	o, err := m.find("raise", key, v)
	if err != nil {
		return err
	}
	if until.Before(m.opt.Now()) {
		m.opt.Report("raise " + key + ": the lease is over already")
	}
	if until.After(o.lease) {
		o.lease = until
	}
	return nil
}

// Remove removes a lapsed version; see providers.Sweeper. A version without a
// lease is held for ever.
func (m *Mem) Remove(ctx context.Context, key string, v providers.Version) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx, "remove", key); err != nil {
		return err
	}
	o, err := m.find("remove", key, v)
	if err != nil {
		return err
	}
	if !o.lapsed(m.opt.Now()) {
		return fail("remove", key, providers.ErrHeld, "")
	}
	m.drop(key, o)
	return nil
}

// Time is the store's clock; see providers.Clock.
func (m *Mem) Time(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, &providers.Error{Op: "time", Provider: "mem", Kind: providers.ErrBusy, Err: err}
	}
	return m.opt.Now(), nil
}

func (o *object) lapsed(now time.Time) bool { return !o.lease.IsZero() && o.lease.Before(now) }

func (m *Mem) drop(key string, o *object) {
	rest := slices.DeleteFunc(m.objects[key], func(other *object) bool { return other == o })
	if len(rest) > 0 {
		m.objects[key] = rest
		return
	}
	m.forget(key)
}

func (m *Mem) forget(key string) {
	delete(m.objects, key)
	m.order = nil
	for folder := range folders(key) {
		if m.folders[folder]--; m.folders[folder] == 0 {
			delete(m.folders, folder)
		}
	}
}
