// Package keep works out from a store's own documents until when each of its
// objects must be kept: for sweep, which removes what has lapsed where the store
// has no rules of its own; for a lease manager, which raises what the uploader may
// not raise; and for the destruction log, which says what went, when and why.
//
// It promises that no document makes anything removable earlier: evidence only
// ever adds, and nothing is removable within 30 days of its creation. It refuses to
// plan a removal while any record, lease record or note cannot be read or trusted,
// while two clocks disagree, and while the store shows that a clock may have leapt.
// PROTOCOL.md beside this file is the reference.
package keep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"offsite/manifest"
	"offsite/providers"
)

const (
	// Grace is how long after its lapse an object still stands: leases are kept to
	// the second, and clocks may differ.
	Grace = 24 * time.Hour
	// Young is how long any object stands from its creation, whatever documents say:
	// one that a running upload has just put stands in none of them yet.
	Young = 30 * 24 * time.Hour
)

// Place is one version of one key.
type Place struct {
	Key     string
	Version providers.Version
}

// Until is until when something is kept, and the key of the document that says so.
type Until struct {
	Time time.Time
	By   string
	// exact: it is a lease that was asked of a store, slack and all, and not a need.
	exact bool
}

func (u Until) latest(v Until) Until {
	if v.Time.After(u.Time) {
		return v
	}
	return u
}

// Refusal is a document that asks for more than is granted.
type Refusal struct {
	Key     string    `json:"key"`
	Until   time.Time `json:"until"` // the latest that it asks for
	Objects int       `json:"objects"`
}

// Options say what to make of documents.
type Options struct {
	// Disregard names objects that a person has looked at: they are not read, and
	// nothing is kept for their sake.
	Disregard []string
	// Longest is how long after the store took it a document may ask for. Zero: for
	// ever, which is what a removal must assume.
	Longest time.Duration
}

// Evidence is all that a store says about its own objects at one time.
type Evidence struct {
	objects   []providers.Object // below manifest.Removable, in order of their keys
	listed    map[string]int     // their places in objects
	documents map[string]bool    // keys of records, lease records and notes
	places    map[Place]Until
	keys      map[string]Until // the latest of any version
	held      map[string]bool  // keys that a hold keeps
	snapshots int
	bad       []manifest.Damaged
	refused   map[string]Refusal
	opt       Options
}

// Bad returns the documents that cannot be read or trusted.
func (e *Evidence) Bad() []manifest.Damaged { return e.bad }

// Snapshots is how many records were read.
func (e *Evidence) Snapshots() int { return e.snapshots }

// Objects is how many objects may ever lapse.
func (e *Evidence) Objects() int { return len(e.objects) }

// Refused returns the documents that ask for more than Options.Longest.
func (e *Evidence) Refused() []Refusal {
	return slices.SortedFunc(maps.Values(e.refused), func(a, b Refusal) int { return strings.Compare(a.Key, b.Key) })
}

// Read gathers the evidence of a store.
func Read(ctx context.Context, store *providers.Store, trust *manifest.Trust, opt Options) (*Evidence, error) {
	e := &Evidence{listed: make(map[string]int), documents: make(map[string]bool), places: make(map[Place]Until), keys: make(map[string]Until),
		held: make(map[string]bool), refused: make(map[string]Refusal), opt: opt}
	for o, err := range store.List(ctx, manifest.Removable, "") {
		if err != nil {
			return nil, fmt.Errorf("list store: %w", err)
		}
		e.listed[o.Key] = len(e.objects)
		e.objects = append(e.objects, o)
	}
	r := reader{Evidence: e, store: store, trust: trust, later: make(map[snapshot]Until)}
	if err := r.documents(ctx); err != nil {
		return nil, err
	}
	r.conclude()
	return e, nil
}

// snapshot names a snapshot without its record.
type snapshot struct {
	source string
	seq    uint64
}

// reader is an Evidence while it is gathered.
type reader struct {
	*Evidence
	store *providers.Store
	trust *manifest.Trust
	refs  []manifest.Ref
	later map[snapshot]Until // leases of snapshots beyond their records
}

func (r *reader) documents(ctx context.Context) error {
	for _, o := range r.objects {
		record, lease := strings.HasPrefix(o.Key, manifest.RecordPrefix), strings.HasPrefix(o.Key, manifest.LeasePrefix)
		if !record && !lease {
			continue
		}
		r.Evidence.documents[o.Key] = true
		if slices.Contains(r.opt.Disregard, o.Key) {
			continue
		}
		var err error
		if record {
			err = r.record(ctx, o)
		} else {
			err = r.lease(ctx, o)
		}
		if err := r.judge(o.Key, err); err != nil {
			return err
		}
	}
	return r.holds(ctx)
}

// judge sets a document apart that cannot be believed. Another error ends the reading.
func (r *reader) judge(key string, err error) error {
	switch providers.KindOf(err) {
	case providers.ErrNotExist, providers.ErrCorrupt:
		r.bad = append(r.bad, manifest.Damaged{Key: key, Err: err})
		return nil
	}
	return err
}

func (r *reader) record(ctx context.Context, o providers.Object) error {
	ref, err := manifest.ReadRecord(ctx, r.store, r.trust, o.Key, o.Version)
	if err == nil {
		r.refs = append(r.refs, ref)
	}
	return err
}

// lease takes what one lease record asks for. The lease record itself is kept as
// long as anything that it grants.
func (r *reader) lease(ctx context.Context, o providers.Object) error {
	rec, err := manifest.ReadLease(ctx, r.store, r.trust, o.Key, o.Version)
	if err != nil {
		return err
	}
	own := Until{By: o.Key}
	for _, l := range rec.Objects {
		key := manifest.PackKey(l.Pin.Name)
		if l.Kind == manifest.SegmentKind {
			key = manifest.SegmentKey(l.Pin.Name)
		}
		if u, ok := r.grant(o, l.Until.Time); ok {
			u.exact = true
			r.keep(Place{key, l.Pin.Version}, u)
			own = own.latest(u)
		}
	}
	for _, l := range rec.Snapshots {
		if u, ok := r.grant(o, l.Until.Time); ok {
			s := snapshot{rec.Source, l.Seq}
			r.later[s] = r.later[s].latest(u)
			own = own.latest(u)
		}
	}
	own.exact = true
	r.keep(Place{o.Key, o.Version}, own)
	return nil
}

// grant says whether a document may ask for as much.
func (r *reader) grant(by providers.Object, until time.Time) (Until, bool) {
	if r.opt.Longest == 0 || !until.After(by.Modified.Add(r.opt.Longest)) {
		return Until{Time: until, By: by.Key}, true
	}
	f := r.refused[by.Key]
	f.Key, f.Objects = by.Key, f.Objects+1
	if until.After(f.Until) {
		f.Until = until
	}
	r.refused[by.Key] = f
	return Until{}, false
}

func (r *reader) keep(at Place, u Until) {
	r.places[at] = r.places[at].latest(u)
	r.keys[at.Key] = r.keys[at.Key].latest(u)
}

// conclude gives every object that a snapshot needs the snapshot's own end.
func (r *reader) conclude() {
	r.snapshots = len(r.refs)
	for _, ref := range r.refs {
		end := r.later[snapshot{ref.Record.Source, ref.Record.Seq}]
		if u, ok := r.grant(r.objects[r.listed[ref.Key]], ref.Record.Expiry.Time); ok {
			end = end.latest(u)
		}
		r.keep(Place{ref.Key, ref.Version}, end)
		for _, s := range manifest.Needs(ref) {
			r.keep(Place{s.Key(), s.Pin().Version}, end)
		}
	}
}

// holds notes what a hold keeps, whatever its leases say. Notes stand outside of
// what is ever removed.
func (r *reader) holds(ctx context.Context) error {
	for o, err := range r.store.List(ctx, manifest.NotePrefix, "") {
		if err != nil {
			return fmt.Errorf("list notes: %w", err)
		}
		r.Evidence.documents[o.Key] = true
	}
	notes := make(map[string]manifest.Notes)
	for _, ref := range r.refs {
		source := ref.Record.Source
		if _, ok := notes[source]; !ok {
			read, bad, err := manifest.ReadNotes(ctx, r.store, r.trust, source)
			if err != nil {
				return err
			}
			notes[source] = read
			for _, b := range bad {
				if !slices.Contains(r.opt.Disregard, b.Key) {
					r.bad = append(r.bad, b)
				}
			}
		}
		if _, held := notes[source].Held(ref.Record.Seq); !held {
			continue
		}
		r.held[ref.Key] = true
		for _, s := range manifest.Needs(ref) {
			r.held[s.Key()] = true
		}
	}
	return nil
}

// ErrChanged is returned when documents were written after the evidence was read.
var ErrChanged = errors.New("the store was written to meanwhile")

// Unchanged is nil as long as no document came after the evidence was read: what a
// run has written since may keep what seemed to have lapsed.
func (e *Evidence) Unchanged(ctx context.Context, store *providers.Store) error {
	for _, prefix := range []string{manifest.RecordPrefix, manifest.LeasePrefix, manifest.NotePrefix} {
		for o, err := range store.List(ctx, prefix, "") {
			if err != nil {
				return fmt.Errorf("list documents: %w", err)
			}
			if !e.documents[o.Key] {
				return ErrChanged
			}
		}
	}
	return nil
}
