package manifest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

var noLease time.Time

// Stored is the receipt for one durable object: only Save and Confirm make it, so
// a record cannot name an object that was not there.
type Stored struct {
	pin   Pin
	key   string
	lease time.Time
}

// Pin returns what a record says of the object.
func (s Stored) Pin() Pin { return s.pin }

// Lease returns until when the object is kept at least.
func (s Stored) Lease() time.Time { return s.lease }

// Key returns where the object stands.
func (s Stored) Key() string { return s.key }

// Valid reports whether s was made by this package.
func (s Stored) Valid() bool { return s.key != "" && s.pin.Size > 0 }

// SavePack stores a sealed pack under its name, kept until lease.
func SavePack(ctx context.Context, store *providers.Store, name pack.Name, sealed []byte, lease time.Time) (Stored, error) {
	return save(ctx, store, PackKey(name), name, sealed, lease)
}

// SaveSegment stores a sealed index segment under its name, kept until lease.
func SaveSegment(ctx context.Context, store *providers.Store, sealed []byte, lease time.Time) (Stored, error) {
	name := pack.NameOf(sealed)
	return save(ctx, store, SegmentKey(name), name, sealed, lease)
}

func save(ctx context.Context, store *providers.Store, key string, name pack.Name, sealed []byte, lease time.Time) (Stored, error) {
	v, err := store.Create(ctx, key, sealed, lease)
	if err != nil {
		return Stored{}, err
	}
	return Stored{pin: Pin{Name: name, Size: int64(len(sealed)), Version: v}, key: key, lease: lease}, nil
}

// Confirm makes a receipt for an object of an earlier run that the store was just
// seen to hold under key, with the size it must have.
func Confirm(o providers.Object, size int64, lease time.Time) (Stored, error) {
	name, ok := ParsePackKey(o.Key)
	if !ok {
		name, ok = ParseSegmentKey(o.Key)
	}
	if !ok {
		return Stored{}, fmt.Errorf("confirm object: %w: key is neither a pack's nor a segment's", providers.ErrCorrupt)
	}
	if o.Size != size || size <= 0 {
		return Stored{}, fmt.Errorf("confirm object %s: %w: it has %d bytes instead of %d", o.Key, providers.ErrCorrupt, o.Size, size)
	}
	return Stored{pin: Pin{Name: name, Size: size, Version: o.Version}, key: o.Key, lease: lease}, nil
}

// Extend returns the receipt with a lease that was raised to until.
func (s Stored) Extend(ctx context.Context, store *providers.Store, until time.Time) (Stored, error) {
	if !until.After(s.lease) {
		return s, nil
	}
	if err := store.Raise(ctx, s.key, s.pin.Version, until); err != nil {
		return s, err
	}
	s.lease = until
	return s, nil
}

// Ref is a committed snapshot: its record and where it stands.
type Ref struct {
	Record  Record
	Key     string
	Version providers.Version
	Digest  string // SHA-256 of the stored record; the next record's Prev
	Size    int64
	Lease   time.Time // of the record, as the store told when it was listed; zero: it did not
}

// Is says whether data is the record as it was stored.
func (r Ref) Is(data []byte) bool { return digest(data) == r.Digest }

// ErrRace is returned when another run committed under the same sequence number.
var ErrRace = errors.New("another run has committed meanwhile")

// ErrShortLease is returned by Commit for an object that would lapse before the
// snapshot does.
var ErrShortLease = errors.New("an object is not leased as long as the snapshot")

// Commit writes the record of a snapshot that needs the objects packs and
// segments. The fields Segments and Packs are filled from the receipts. From the
// moment this returns without error the snapshot exists.
func Commit(ctx context.Context, store *providers.Store, rec Record, packs, segments []Stored, key ed25519.PrivateKey, lease time.Time) (Ref, error) {
	var err error
	if rec.Packs, err = pins(packs, rec.Expiry.Time); err != nil {
		return Ref{}, fmt.Errorf("commit snapshot: packs: %w", err)
	}
	if rec.Segments, err = pins(segments, rec.Expiry.Time); err != nil {
		return Ref{}, fmt.Errorf("commit snapshot: index segments: %w", err)
	}
	if rec.Findings == nil {
		rec.Findings = []Finding{}
	}
	if rec.Classes == nil {
		rec.Classes = []string{}
	}
	if err := rec.validate(); err != nil {
		return Ref{}, fmt.Errorf("commit snapshot: %w", err)
	}
	data, err := sign(recordDomain, rec, rec.PC, key)
	if err != nil {
		return Ref{}, fmt.Errorf("commit snapshot: %w", err)
	}
	at := RecordKey(rec.Source, rec.Seq)
	v, err := store.Create(ctx, at, data, lease)
	if errors.Is(err, providers.ErrConflict) || errors.Is(err, providers.ErrExist) {
		return Ref{}, fmt.Errorf("commit snapshot: %w: %w", ErrRace, err)
	}
	if err != nil {
		return Ref{}, fmt.Errorf("commit snapshot: %w", err)
	}
	return Ref{Record: rec, Key: at, Version: v, Digest: digest(data), Size: int64(len(data))}, nil
}

func pins(stored []Stored, expiry time.Time) ([]Pin, error) {
	out := make([]Pin, 0, len(stored))
	for _, s := range stored {
		if !s.Valid() {
			return nil, errors.New("a receipt was not made by a successful save")
		}
		if s.lease.Before(expiry) {
			return nil, fmt.Errorf("%w: %s", ErrShortLease, s.pin.Name)
		}
		out = append(out, s.pin)
	}
	slices.SortFunc(out, func(a, b Pin) int { return slices.Compare(a.Name[:], b.Name[:]) })
	return slices.CompactFunc(out, func(a, b Pin) bool { return a.Name == b.Name }), nil
}

// ReadRecord reads and checks the record at key.
func ReadRecord(ctx context.Context, store *providers.Store, trust *Trust, key string, v providers.Version) (Ref, error) {
	data, err := store.Read(ctx, key, v)
	if err != nil {
		return Ref{}, fmt.Errorf("read record %s: %w", key, err)
	}
	rec, err := ParseRecord(data, key, trust)
	if err != nil {
		return Ref{}, fmt.Errorf("read record %s: %w: %w", key, providers.ErrCorrupt, err)
	}
	return Ref{Record: *rec, Key: key, Version: v, Digest: digest(data), Size: int64(len(data))}, nil
}

// ParseRecord checks signature, form and place of a record's stored bytes.
func ParseRecord(data []byte, key string, trust *Trust) (*Record, error) {
	var r Record
	if err := openOf(recordDomain, data, trust, &r, &r.PC); err != nil {
		return nil, err
	}
	if err := r.validate(); err != nil {
		return nil, err
	}
	if r.Repository != trust.repository || RecordKey(r.Source, r.Seq) != key {
		return nil, errors.New("the record does not belong here")
	}
	return &r, nil
}

// Damaged is a record that cannot be read or trusted.
type Damaged struct {
	Key string
	Err error
}

// List reads every record of a source, oldest first; an empty source means all
// sources. Records that cannot be read or trusted are returned apart: one bad
// object must not hide the days that are well. known may hold records that were
// read before; they are not fetched again.
func List(ctx context.Context, store *providers.Store, trust *Trust, source string, known func(key string, v providers.Version) (Ref, bool)) ([]Ref, []Damaged, error) {
	prefix := RecordPrefix
	if source != "" {
		prefix += source + "/"
	}
	var refs []Ref
	var bad []Damaged
	for o, err := range store.List(ctx, prefix, "") {
		if err != nil {
			return nil, nil, fmt.Errorf("list records: %w", err)
		}
		if known != nil {
			if ref, ok := known(o.Key, o.Version); ok {
				refs = append(refs, ref)
				continue
			}
		}
		ref, err := ReadRecord(ctx, store, trust, o.Key, o.Version)
		ref.Lease = o.Lease
		switch {
		case err == nil:
			refs = append(refs, ref)
		case errors.Is(err, providers.ErrCorrupt), errors.Is(err, providers.ErrNotExist):
			bad = append(bad, Damaged{Key: o.Key, Err: err})
		default:
			return nil, nil, err
		}
	}
	return refs, bad, nil
}

// ReadSegment reads, checks and opens the index segment that pin names.
func ReadSegment(ctx context.Context, store *providers.Store, opener *seal.Opener, pin Pin) (*pack.Segment, error) {
	key := SegmentKey(pin.Name)
	sealed, err := store.Read(ctx, key, pin.Version)
	if err != nil {
		return nil, fmt.Errorf("read index segment %s: %w", key, err)
	}
	if int64(len(sealed)) != pin.Size || pack.NameOf(sealed) != pin.Name {
		return nil, fmt.Errorf("read index segment %s: %w: the bytes are not those of its name", key, providers.ErrCorrupt)
	}
	plain, size, err := opener.OpenAt(bytes.NewReader(sealed), int64(len(sealed)))
	if err != nil {
		return nil, fmt.Errorf("open index segment %s: %w", key, err)
	}
	s, err := pack.DecodeSegment(io.NewSectionReader(plain, 0, size), size)
	if err != nil {
		return nil, fmt.Errorf("read index segment %s: %w: %w", key, providers.ErrCorrupt, err)
	}
	return s, nil
}

// Needs returns a receipt for every object that a committed snapshot pins, leased
// until the snapshot's own expiry: its record could not have been written otherwise.
func Needs(ref Ref) []Stored {
	out := make([]Stored, 0, len(ref.Record.Packs)+len(ref.Record.Segments))
	for _, p := range ref.Record.Packs {
		out = append(out, Stored{pin: p, key: PackKey(p.Name), lease: ref.Record.Expiry.Time})
	}
	for _, p := range ref.Record.Segments {
		out = append(out, Stored{pin: p, key: SegmentKey(p.Name), lease: ref.Record.Expiry.Time})
	}
	return out
}

// Leased returns the receipt with the lease that a lease record states, if that is
// later than what the receipt knows.
func (s Stored) Leased(until time.Time) Stored {
	s.lease = later(s.lease, until)
	return s
}
