package manifest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"offsite/providers"
)

// maxLeases bounds one lease record; a run with more writes several.
const maxLeases = 100_000

// LeaseRecord says until when objects and snapshots are kept from now on. A store
// without leases of its own is swept by these records alone; for the others they
// save asking object by object. The latest time that any record says counts:
// leases only move later.
type LeaseRecord struct {
	Format     int             `json:"format"`
	Repository string          `json:"repository"`
	Source     string          `json:"source"`
	PC         string          `json:"pc"`
	Time       Time            `json:"time"`
	Objects    []ObjectLease   `json:"objects"`
	Snapshots  []SnapshotLease `json:"snapshots"`
}

// ObjectLease is the lease of one pack or index segment.
type ObjectLease struct {
	Kind  string `json:"kind"` // "pack", "segment"
	Pin   Pin    `json:"pin"`
	Until Time   `json:"until"`
}

// SnapshotLease says that a snapshot is kept longer than its record says, and why.
type SnapshotLease struct {
	Seq   uint64 `json:"seq"`
	Until Time   `json:"until"`
	Class string `json:"class"`
}

// Kinds of leased objects.
const (
	PackKind    = "pack"
	SegmentKind = "segment"
)

// ObjectLease returns the receipt's line in a lease record.
func (s Stored) ObjectLease() ObjectLease {
	kind := PackKind
	if strings.HasPrefix(s.key, SegmentPrefix) {
		kind = SegmentKind
	}
	// Rounded down: a record never promises more than the store was told.
	return ObjectLease{Kind: kind, Pin: s.pin, Until: At(s.lease)}
}

func (l *LeaseRecord) validate() error {
	if l.Format != FormatVersion {
		return fmt.Errorf("format %d is not one that this version reads (%d)", l.Format, FormatVersion)
	}
	if !validID(l.Repository) || !validID(l.Source) || !validID(l.PC) {
		return errors.New("an identifier is not 16 hexadecimal digits")
	}
	if len(l.Objects) > maxLeases || len(l.Snapshots) > maxLeases {
		return errors.New("a list is too long")
	}
	for _, o := range l.Objects {
		if o.Kind != PackKind && o.Kind != SegmentKind {
			return errors.New("unknown kind of object")
		}
	}
	for _, s := range l.Snapshots {
		if len(s.Class) > maxText || s.Seq == 0 {
			return errors.New("bad snapshot lease")
		}
	}
	return nil
}

// WriteLeases stores what has been put or raised, as signed lease records, each
// kept as long as the longest lease in it.
func WriteLeases(ctx context.Context, store *providers.Store, rec LeaseRecord, key ed25519.PrivateKey) error {
	objects, snapshots := rec.Objects, rec.Snapshots
	for first := true; first || len(objects) > 0 || len(snapshots) > 0; first = false {
		part := rec
		part.Objects, objects = split(objects, maxLeases)
		part.Snapshots, snapshots = split(snapshots, maxLeases)
		if err := writeLeases(ctx, store, part, key); err != nil {
			return fmt.Errorf("write leases: %w", err)
		}
	}
	return nil
}

func split[T any](s []T, n int) (head, tail []T) {
	if s == nil {
		return []T{}, nil
	}
	n = min(n, len(s))
	return s[:n:n], s[n:]
}

func writeLeases(ctx context.Context, store *providers.Store, rec LeaseRecord, key ed25519.PrivateKey) error {
	if err := rec.validate(); err != nil {
		return err
	}
	var until time.Time
	for _, o := range rec.Objects {
		until = later(until, o.Until.Time)
	}
	for _, s := range rec.Snapshots {
		until = later(until, s.Until.Time)
	}
	data, err := sign(leaseDomain, rec, rec.PC, key)
	if err != nil {
		return err
	}
	at := LeasePrefix + rec.Source + "/" + rec.Time.UTC().Format("20060102t150405z") + "-" + digest(data)[:16]
	_, err = store.Create(ctx, at, data, until)
	return err
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// ReadLeases reads the lease records of a source whose key sorts after the key
// after, and returns them with the last key seen. A record that cannot be read or
// trusted is returned apart and counts for nothing.
func ReadLeases(ctx context.Context, store *providers.Store, trust *Trust, source, after string) (recs []LeaseRecord, last string, bad []Damaged, err error) {
	last = after
	for o, err := range store.List(ctx, LeasePrefix+source+"/", after) {
		if err != nil {
			return nil, after, nil, fmt.Errorf("list lease records: %w", err)
		}
		last = o.Key
		rec, err := ReadLease(ctx, store, trust, o.Key, o.Version)
		switch providers.KindOf(err) {
		case nil, providers.ErrNotExist, providers.ErrCorrupt:
		default:
			return nil, after, nil, err
		}
		if err != nil {
			bad = append(bad, Damaged{Key: o.Key, Err: err})
			continue
		}
		recs = append(recs, *rec)
	}
	return recs, last, bad, nil
}

// Latest returns, for each snapshot that lease records of one source keep beyond its
// own record, the line that keeps it the longest.
func Latest(recs []LeaseRecord) map[uint64]SnapshotLease {
	latest := make(map[uint64]SnapshotLease)
	for _, r := range recs {
		for _, s := range r.Snapshots {
			if s.Until.After(latest[s.Seq].Until.Time) {
				latest[s.Seq] = s
			}
		}
	}
	return latest
}

// ReadLease reads and checks the lease record at key.
func ReadLease(ctx context.Context, store *providers.Store, trust *Trust, key string, v providers.Version) (*LeaseRecord, error) {
	data, err := store.Read(ctx, key, v)
	if err != nil {
		return nil, fmt.Errorf("read lease record %s: %w", key, err)
	}
	source, _, _ := strings.Cut(strings.TrimPrefix(key, LeasePrefix), "/")
	rec, err := parseLeases(data, source, trust)
	if err != nil {
		return nil, fmt.Errorf("read lease record %s: %w: %w", key, providers.ErrCorrupt, err)
	}
	return rec, nil
}

func parseLeases(data []byte, source string, trust *Trust) (*LeaseRecord, error) {
	var l LeaseRecord
	if err := openOf(leaseDomain, data, trust, &l, &l.PC); err != nil {
		return nil, err
	}
	if err := l.validate(); err != nil {
		return nil, err
	}
	if l.Repository != trust.repository || l.Source != source {
		return nil, errors.New("the lease record does not belong here")
	}
	return &l, nil
}
