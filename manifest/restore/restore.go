// Package restore brings a snapshot back as files, and checks what is stored
// without writing anything. Store, restore key and record are enough for it; it
// needs no local state and never imports the uploader.
//
// It promises: a file under its final name is whole and has the SHA-256 that the
// signed record leads to; damage of a stored object costs only the files that need
// it, and those are named; nothing is written outside the target folder or through
// a link; a restore that was stopped goes on where it was. What was restored is in
// the system's hands but, without Options.Sync, not yet surely on the disk. On Linux
// a large restore is written out, and taken out of memory, as it goes on; a disk that
// fails meanwhile ends it.
//
// It refuses: a target folder that holds something else, names that the target
// system would read otherwise, rows that lie about folders, and, for the file
// table, packs whose bytes are not those that the record names. Data packs are read
// without that test, because every file's own SHA-256 is compared.
//
// Memory, beside the index (28 bytes a chunk): 25 MiB for each worker and 60 MiB.
// It does not bring back extended attributes, access control lists, or Windows
// attributes of folders.
package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// Errors that callers may act on.
var (
	// ErrDamaged: something stored is missing or is not what was written. Everything
	// else was restored or checked all the same; the report says what is affected.
	// It is a providers.ErrCorrupt.
	ErrDamaged error = damage{}
	// ErrIncomplete: the restore went to its end, but not all of it succeeded: for
	// damage, because the target did not take it, or because it is not in the snapshot.
	ErrIncomplete = errors.New("not everything could be restored")
	// ErrTargetNotEmpty: the target holds something that is not an earlier restore
	// of this snapshot.
	ErrTargetNotEmpty = errors.New("the target folder is not empty")
)

type damage struct{}

func (damage) Error() string { return "stored data is damaged or missing" }
func (damage) Unwrap() error { return providers.ErrCorrupt }

// Entry is one file, folder or link of a snapshot.
type Entry = manifest.Row

// Damage is one stored object that cannot be used, or only in part. It holds no
// file name.
type Damage struct {
	Key string // of the object
	Err error
}

// Snapshot is an opened snapshot. It is safe for concurrent use.
type Snapshot struct {
	ref    manifest.Ref
	source *objects
	index  *pack.Index
	pinned []bool         // by number of the pack in the index
	table  []pack.ChunkID // the chunks that hold the file table's rows
	again  int            // packs whose directories were read for want of an index

	naming sync.Once
	namer  *seal.Namer // set by naming; nil: there are no secrets

	mu     sync.Mutex // guards damage
	damage []Damage
}

const (
	// segmentSlots index segments are opened at a time; one may take 120 MiB while
	// it is, but most are small.
	segmentSlots = 2
	// directorySlots packs are asked for their directories at a time.
	directorySlots = 8
	// rebuiltEntries bounds the directories that are held at once: 30 MiB.
	rebuiltEntries = 1 << 20
)

// Open opens the index and the root of the file table of a snapshot. Index segments
// that are lost or damaged are made again from the directories of the packs.
func Open(ctx context.Context, store *providers.Store, opener *seal.Opener, ref manifest.Ref) (*Snapshot, error) {
	s, err := open(ctx, store, opener, ref)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, store *providers.Store, opener *seal.Opener, ref manifest.Ref) (*Snapshot, error) {
	s := &Snapshot{ref: ref, source: newObjects(store, opener, ref.Record.Packs)}
	root, err := ref.Record.TableRoot()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	segments, err := s.readSegments(ctx, store, opener)
	if err != nil {
		return nil, err
	}
	again, err := s.rebuild(ctx, segments)
	if err != nil {
		return nil, err
	}
	s.index = pack.NewIndex(append(segments, again...)...)
	s.pinned = make([]bool, len(s.index.Packs()))
	for i, p := range s.index.Packs() {
		_, s.pinned[i] = s.source.pins[p.Name]
	}
	b, err := s.newChunks().read(ctx, root)
	if err == nil {
		s.table, err = manifest.ParseRoot(b)
	}
	if err != nil {
		return nil, damaged(fmt.Errorf("read file table: %w", err))
	}
	return s, nil
}

// Ref returns the record that the snapshot was opened by.
func (s *Snapshot) Ref() manifest.Ref { return s.ref }

// Damage returns the index segments, and the packs of the file table, that were
// found to be damaged so far. The snapshot can be used all the same.
func (s *Snapshot) Damage() []Damage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.damage)
}

func (s *Snapshot) note(d Damage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.damage, func(o Damage) bool { return o.Key == d.Key }) {
		s.damage = append(s.damage, d)
	}
}

// Rebuilt returns how many packs had to be asked for their directories because an
// index segment was lost. More than none means that the store is damaged.
func (s *Snapshot) Rebuilt() int { return s.again }

// readSegments reads the record's segments. Those that are lost or damaged are
// noted; any other error ends the reading.
func (s *Snapshot) readSegments(ctx context.Context, store *providers.Store, opener *seal.Opener) ([]*pack.Segment, error) {
	pins := s.ref.Record.Segments
	segments := make([]*pack.Segment, len(pins))
	errs := make([]error, len(pins))
	err := forEach(ctx, len(pins), segmentSlots, func(ctx context.Context, i int) error {
		segments[i], errs[i] = manifest.ReadSegment(ctx, store, opener, pins[i])
		if errs[i] != nil && pins[i].Version != "" && errors.Is(errs[i], providers.ErrNotExist) {
			pin := pins[i] // a store that was copied has other versions; the name still tells
			pin.Version = ""
			segments[i], errs[i] = manifest.ReadSegment(ctx, store, opener, pin)
		}
		if errors.Is(errs[i], seal.ErrNotForThisKey) {
			return wrongKey{errs[i]} // as the bytes have the right name
		}
		if isDamage(errs[i]) {
			return nil
		}
		return errs[i]
	})
	if err != nil {
		return nil, err
	}
	good := segments[:0]
	for i, err := range errs {
		if err == nil {
			good = append(good, segments[i])
		} else {
			s.note(Damage{manifest.SegmentKey(pins[i].Name), err})
		}
	}
	return good, nil
}

// rebuild makes segments of those pinned packs that no segment mentions.
func (s *Snapshot) rebuild(ctx context.Context, segments []*pack.Segment) ([]*pack.Segment, error) {
	known := make(map[pack.Name]bool)
	for _, seg := range segments {
		for i := range seg.Packs() {
			known[seg.Pack(i).Name] = true
		}
	}
	var lost []manifest.Pin
	for _, pin := range s.ref.Record.Packs {
		if !known[pin.Name] {
			lost = append(lost, pin)
		}
	}
	if len(lost) == 0 {
		return nil, nil
	}
	var (
		mu      sync.Mutex
		entries []pack.PackEntry
		rows    int
		made    []*pack.Segment
	)
	encode := func() error {
		plain, err := pack.EncodeSegments(entries)
		for _, b := range plain {
			var seg *pack.Segment
			if seg, err = pack.ParseSegment(b); err != nil {
				break
			}
			made = append(made, seg)
		}
		entries, rows = nil, 0
		return err
	}
	err := forEach(ctx, len(lost), directorySlots, func(ctx context.Context, i int) error {
		r, err := s.source.part(ctx, lost[i])
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
		case isDamage(err):
			// Its chunks will be missed by the files that need them.
			s.note(Damage{manifest.PackKey(lost[i].Name), err})
			return nil
		default:
			return err
		}
		s.again++
		d := r.Directory()
		entries = append(entries, pack.PackEntry{Name: lost[i].Name, Size: uint32(lost[i].Size), Directory: *d})
		if rows += len(d.Chunks); rows >= rebuiltEntries {
			return encode()
		}
		return nil
	})
	if err == nil && len(entries) > 0 {
		err = encode()
	}
	return made, err
}

// places yields where a chunk stands, in packs that the record pins.
func (s *Snapshot) places(id pack.ChunkID) func(func(pack.Location) bool) {
	return func(yield func(pack.Location) bool) {
		for l := range s.index.All(id) {
			if s.pinned[l.PackNo] && !yield(l) {
				return
			}
		}
	}
}

// locate returns the first place of a chunk.
func (s *Snapshot) locate(id pack.ChunkID) (pack.Location, error) {
	if l, ok := s.index.Lookup(id); ok && s.pinned[l.PackNo] {
		return l, nil
	}
	for l := range s.places(id) {
		return l, nil
	}
	return pack.Location{}, fmt.Errorf("%w: chunk %s is in no pack of the snapshot that could be read", ErrDamaged, id)
}

// isDamage reports whether an object is the trouble rather than the way to it:
// other objects may still be well.
func isDamage(err error) bool {
	var key wrongKey
	if errors.As(err, &key) {
		return false
	}
	for _, kind := range [...]error{ErrDamaged, providers.ErrCorrupt, providers.ErrNotExist, providers.ErrRange,
		seal.ErrDamaged, seal.ErrNotForThisKey, pack.ErrDamaged, pack.ErrVersion} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// damaged marks what is damage as ErrDamaged and leaves other errors alone.
func damaged(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) || !isDamage(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// forEach calls f for 0 to n-1, some at a time, until one fails.
func forEach(ctx context.Context, n, slots int, f func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, slots) {
		wg.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					continue
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// sameName reports whether bytes are those of a name.
func sameName(sealed []byte, pin manifest.Pin) bool {
	name := pack.NameOf(sealed)
	return int64(len(sealed)) == pin.Size && bytes.Equal(name[:], pin.Name[:])
}
