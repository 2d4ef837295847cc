// Package restore turns a committed snapshot back into files, and checks stored
// snapshots without writing anything.
//
// It promises that a file which appears under its own name has the bytes that
// were stored, proved by its SHA-256; that nothing is written outside the target
// folder, whatever a file table says, and no link is followed while writing; that
// one damaged object costs only the files that need it, each of them listed; and
// that every pack is fetched once for a window of a million chunks, so that
// memory stays bounded.
//
// It refuses a target folder that holds anything, names that the target system
// reads otherwise than the source did, and objects that are not what the signed
// record names. It needs no local state: store, restore key and record are enough,
// and lost index segments are made again from the packs themselves.
//
// It brings back bytes, times, permission bits, folders and links. It does not
// bring back owners, setuid bits, extended or Windows attributes, and it does not
// wait until a disk has written what it was given.
package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// Errors that callers may act on.
var (
	// ErrIncomplete: the restore went to its end, but not all of it succeeded; the
	// report lists what is missing.
	ErrIncomplete = errors.New("not everything could be restored")
	// ErrTargetNotEmpty: the target folder holds something already.
	ErrTargetNotEmpty = errors.New("the target folder is not empty")
	// ErrName: the target system cannot hold a file of this name.
	ErrName = errors.New("the name cannot be used on this system")
	// ErrExists: another file has this name here, as on systems that take capital
	// and small letters for the same.
	ErrExists = errors.New("a file of this name was restored already")
	// ErrDiskFull: the restore stopped because the disk of the target is full.
	ErrDiskFull = errors.New("the disk of the target folder is full")
)

// Entry is one file, folder or link of a snapshot.
type Entry = manifest.Row

// Snapshot is an opened snapshot. It is safe for concurrent use.
type Snapshot struct {
	ref     manifest.Ref
	source  *objects
	index   *pack.Index
	root    pack.ChunkID
	rebuilt int
}

// Open opens the index of a snapshot. Segments that are lost or damaged are made
// again from the directories of the packs.
func Open(ctx context.Context, store *providers.Store, opener *seal.Opener, ref manifest.Ref) (*Snapshot, error) {
	s := &Snapshot{ref: ref, source: newObjects(store, opener, ref.Record.Packs)}
	var err error
	if s.root, err = ref.Record.TableRoot(); err != nil {
		return nil, fmt.Errorf("open snapshot: %w: %w", providers.ErrCorrupt, err)
	}
	segments, lost, err := readSegments(ctx, store, opener, ref.Record.Segments)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	s.index = pack.NewIndex(segments...)
	if len(lost) == 0 {
		return s, nil
	}
	again, err := s.rebuild(ctx)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", errors.Join(append(lost, err)...))
	}
	s.index = pack.NewIndex(append(segments, again...)...)
	return s, nil
}

// Ref returns the record that the snapshot was opened by.
func (s *Snapshot) Ref() manifest.Ref { return s.ref }

// Rebuilt returns how many packs had to be read because an index segment was
// lost. More than none means that the store is damaged.
func (s *Snapshot) Rebuilt() int { return s.rebuilt }

// Entries yields every entry in the order of paths. An error ends the sequence.
func (s *Snapshot) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r := s.newChunks()
		root, err := r.read(ctx, s.root)
		var ids []pack.ChunkID
		if err == nil {
			ids, err = manifest.ParseRoot(root)
		}
		if err != nil {
			yield(Entry{}, tableError(err))
			return
		}
		last := ""
		for _, id := range ids {
			b, err := r.read(ctx, id)
			for err == nil && len(b) > 0 {
				var row *manifest.Row
				if row, b, err = manifest.ReadRow(b); err != nil {
					break
				}
				if row.Path <= last {
					err = errors.New("rows are out of order")
					break
				}
				last = row.Path
				if !yield(*row, nil) {
					return
				}
			}
			if err != nil {
				yield(Entry{}, tableError(err))
				return
			}
		}
	}
}

// tableError makes whatever a file table's bytes are found to be an ErrCorrupt,
// and leaves errors of the store what they are.
func tableError(err error) error {
	if providers.KindOf(err) != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("read file table: %w", err)
	}
	return fmt.Errorf("read file table: %w: %w", providers.ErrCorrupt, err)
}

// locate returns where a chunk stands, in a pack that the record pins.
func (s *Snapshot) locate(id pack.ChunkID) (pack.Location, error) {
	for l := range s.index.All(id) {
		if _, ok := s.source.pins[l.Pack.Name]; ok {
			return l, nil
		}
	}
	return pack.Location{}, fmt.Errorf("%w: chunk %s is in no pack of the snapshot", providers.ErrCorrupt, id)
}

// chunkIDs returns the chunks of a file, its chunk lists resolved one at a time.
func (s *Snapshot) chunkIDs(ctx context.Context, r *chunks, e *Entry) iter.Seq2[pack.ChunkID, error] {
	return func(yield func(pack.ChunkID, error) bool) {
		for _, id := range e.Chunks {
			if !e.Lists {
				if !yield(id, nil) {
					return
				}
				continue
			}
			b, err := r.read(ctx, id)
			var ids []pack.ChunkID
			if err == nil {
				ids, err = manifest.ParseList(b)
			}
			if err != nil {
				yield(id, tableError(err))
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
		}
	}
}

// readSegments reads the segments of a record, some at a time. Those that are
// lost or damaged are returned as errors; anything else ends the reading.
func readSegments(ctx context.Context, store *providers.Store, opener *seal.Opener, pins []manifest.Pin) ([]*pack.Segment, []error, error) {
	segments := make([]*pack.Segment, len(pins))
	errs := make([]error, len(pins))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2) // a segment may take 120 MiB while it is opened
	for i, pin := range pins {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			segments[i], errs[i] = manifest.ReadSegment(ctx, store, opener, pin)
		})
	}
	wg.Wait()
	good, lost := segments[:0], []error(nil)
	for i, err := range errs {
		switch {
		case err == nil:
			good = append(good, segments[i])
		case isDamage(err):
			lost = append(lost, err)
		default:
			return nil, nil, err
		}
	}
	return good, lost, nil
}

// rebuild makes segments of those pinned packs that no segment mentions.
func (s *Snapshot) rebuild(ctx context.Context) ([]*pack.Segment, error) {
	known := make(map[pack.Name]bool)
	for _, p := range s.index.Packs() {
		known[p.Name] = true
	}
	var entries []pack.PackEntry
	for _, pin := range s.ref.Record.Packs {
		if known[pin.Name] {
			continue
		}
		r, err := s.source.part(ctx, pin)
		if isDamage(err) {
			continue // its chunks will be missed by those who need them
		}
		if err != nil {
			return nil, err
		}
		s.rebuilt++
		entries = append(entries, pack.PackEntry{Name: pin.Name, Size: uint32(pin.Size), Directory: *r.Directory()})
	}
	plain, err := pack.EncodeSegments(entries)
	if err != nil {
		return nil, err
	}
	segments := make([]*pack.Segment, len(plain))
	for i, p := range plain {
		if segments[i], err = pack.ParseSegment(p); err != nil {
			return nil, err
		}
	}
	return segments, nil
}

// isDamage reports whether an object, rather than the way to it, is the trouble:
// other objects may still be well.
func isDamage(err error) bool {
	return errors.Is(err, providers.ErrCorrupt) || errors.Is(err, providers.ErrNotExist) ||
		errors.Is(err, seal.ErrDamaged) || errors.Is(err, pack.ErrDamaged)
}
