// Package providers is where sealed objects rest: one small interface that
// every storage service implements, one Store above it that retries, limits and
// verifies, and the error kinds that say what a caller does next.
//
// Objects are whole byte slices of at most MaxObject bytes. They are created,
// never overwritten; the few replaceable ones name the version they replace.
// Nothing in this package or its drivers deletes remote data, except the
// optional Sweeper, which only the verb sweep uses.
package providers

import (
	"context"
	"iter"
	"time"
)

// MaxObject is the largest object a driver accepts, in bytes. Packs aim at a
// quarter of it; the limit bounds memory and keeps every write a single request.
const MaxObject = 64 << 20

// Version is what a store calls the version id or generation of one object. It
// is opaque; the empty Version means "whatever the store has under this key".
type Version string

// Object describes one stored object.
type Object struct {
	Key      string
	Size     int64
	Version  Version
	Modified time.Time // by the store's clock
	Lease    time.Time // keep until; zero: the store does not say
	Checksum Checksum  // the store's own; zero: the store keeps none
}

// Checksum is a digest that the store computed or verified by itself.
type Checksum struct {
	Algorithm string // "sha256", "md5", "crc32c"
	Sum       []byte
}

// PutOptions says how an object is written.
type PutOptions struct {
	// Replace names the version that is to be replaced. Empty: create only.
	Replace Version
	// Lease is the time until which the object must be kept. Zero: none.
	Lease time.Time
}

// Driver is what one storage service must do. Each call makes one attempt and
// returns an error that wraps exactly one of the kinds of this package. Drivers
// are safe for concurrent use. There is no way to overwrite without naming what
// is replaced, and no way to remove anything.
type Driver interface {
	// Put stores data whole or not at all. With an empty opt.Replace the key must
	// be absent, else ErrExist; otherwise opt.Replace must be the present version,
	// else ErrConflict.
	Put(ctx context.Context, key string, data []byte, opt PutOptions) (Version, error)
	// Get returns n bytes from off of the named version (n < 0: to the end). A
	// range that is not wholly inside the object is ErrRange.
	Get(ctx context.Context, key string, v Version, off, n int64) ([]byte, error)
	// Stat describes the named version.
	Stat(ctx context.Context, key string, v Version) (Object, error)
	// List yields the present objects whose key starts with prefix and sorts
	// after the key after, in byte order. An error ends the sequence.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
}

// Filler is the ability to read a whole object into memory that the caller brings,
// which saves who reads many packs the making of as many buffers.
type Filler interface {
	// Fill is Get of the whole of the named version, in room if that is large enough.
	Fill(ctx context.Context, key string, v Version, room []byte) ([]byte, error)
}

// Leaser is the ability to raise a lease. A lease only ever moves later: raising
// to a time that is not later than the present one is success and changes
// nothing. A driver without it keeps leases as signed lease records only.
type Leaser interface {
	Raise(ctx context.Context, key string, v Version, until time.Time) error
}

// Sweeper is the ability to remove an object whose lease has lapsed. Only stores
// without lifecycle rules of their own have it. An object still leased is ErrHeld.
type Sweeper interface {
	Remove(ctx context.Context, key string, v Version) error
}

// Expirer is the ability to tell when the credentials end. The zero time: they do
// not say, or are renewed by themselves.
type Expirer interface {
	Expires(ctx context.Context) (time.Time, error)
}

// Clock is the ability to tell the store's own time.
type Clock interface {
	Time(ctx context.Context) (time.Time, error)
}
