// Package simtest holds what tests of whole runs share. Its Checker reads a store
// anew from its bytes, with the restore key alone, and says whether every
// committed snapshot still is what the source was when it was committed.
//
// It trusts nothing that an uploader says or remembers, and does not use package
// restore: every pack is opened and hashed, every chunk is named again, every file
// is put together and compared. It is for tests: it keeps all plain bytes in memory.
package simtest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// Checker knows what every snapshot must hold. It is not safe for concurrent use.
type Checker struct {
	Opener *seal.Opener
	Namer  *seal.Namer
	Owner  ed25519.PublicKey
	Now    func() time.Time // snapshots that have expired by then are left out

	expected map[string]State      // by store and record key
	known    map[string]time.Time  // until when each was kept when it was last seen
	broken   map[string]bool       // snapshots that a test has harmed on purpose
	packs    map[pack.Name]Content // proved once
	segments map[pack.Name]*pack.Segment
}

// Content is what one pack holds.
type Content struct {
	Class  pack.Class
	Chunks map[pack.ChunkID][]byte
}

// Expect notes what the source was when the record at key was committed.
func (c *Checker) Expect(store, key string, s State) {
	if c.expected == nil {
		c.expected = make(map[string]State)
	}
	c.expected[store+" "+key] = s
}

// Expected says whether something is known of the record at key.
func (c *Checker) Expected(store, key string) bool {
	_, ok := c.expected[store+" "+key]
	return ok
}

// Break notes that the snapshot at key was harmed on purpose. The Checker then
// requires that it is found to be damaged.
func (c *Checker) Break(store, key string) {
	if c.broken == nil {
		c.broken = make(map[string]bool)
	}
	c.broken[store+" "+key] = true
}

// Fork returns a Checker that knows the same and then goes its own way, for tests
// that go on from copies of a store.
func (c *Checker) Fork() *Checker {
	fork := *c
	fork.expected, fork.known, fork.broken = maps.Clone(c.expected), maps.Clone(c.known), maps.Clone(c.broken)
	return &fork // what packs hold is true for both
}

func cutStore(ref, store string) (key string, ok bool) {
	if len(ref) <= len(store) || ref[:len(store)+1] != store+" " {
		return "", false
	}
	return ref[len(store)+1:], true
}

// store is one store while it is checked.
type store struct {
	*Checker
	name    string
	store   *providers.Store
	objects map[string]providers.Object
	leased  map[pack.Name]time.Time  // by records and lease records
	raised  map[string]time.Time     // snapshots, by record key
	present map[pack.Name]Content    // packs that could be opened
	refs    map[string]*manifest.Ref // by key
}

// Check reads the whole store behind d and returns everything that is wrong.
func (c *Checker) Check(ctx context.Context, name string, d providers.Driver) error {
	s, err := c.read(ctx, name, d)
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(c.expected)) {
		until := c.known[key]
		if key, ok := cutStore(key, name); ok && s.refs[key] == nil && !c.broken[name+" "+key] && (until.IsZero() || until.After(c.Now())) {
			errs = append(errs, fmt.Errorf("%s: a committed snapshot has no record", key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.refs)) {
		ref := s.refs[key]
		c.known[name+" "+key] = s.until(ref)
		if s.until(ref).Before(c.Now()) {
			continue
		}
		err := s.snapshot(ctx, ref)
		switch {
		case c.broken[name+" "+key]:
			if err == nil {
				errs = append(errs, fmt.Errorf("%s: harmed, and nobody noticed", key))
			}
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	return nil
}

// Twice returns the chunks that stand in more than one pack of the store.
func (c *Checker) Twice(ctx context.Context, d providers.Driver) ([]pack.ChunkID, error) {
	s, err := c.read(ctx, "", d)
	if err != nil {
		return nil, err
	}
	count := make(map[pack.ChunkID]int)
	for _, p := range s.present {
		for id := range p.Chunks {
			count[id]++
		}
	}
	var twice []pack.ChunkID
	for id, n := range count {
		if n > 1 {
			twice = append(twice, id)
		}
	}
	return twice, nil
}

// Packs returns what every pack of the store holds that could be opened.
func (c *Checker) Packs(ctx context.Context, d providers.Driver) (map[pack.Name]Content, error) {
	s, err := c.read(ctx, "", d)
	if err != nil {
		return nil, err
	}
	return s.present, nil
}

func (c *Checker) newStore(name string, d providers.Driver) *store {
	if c.packs == nil {
		c.packs, c.segments, c.known = make(map[pack.Name]Content), make(map[pack.Name]*pack.Segment), make(map[string]time.Time)
	}
	return &store{Checker: c, name: name, store: providers.NewStore(d, providers.Options{}), objects: make(map[string]providers.Object),
		leased: make(map[pack.Name]time.Time), raised: make(map[string]time.Time), present: make(map[pack.Name]Content),
		refs: make(map[string]*manifest.Ref)}
}

// trust opens the store and says whose signatures count.
func (s *store) trust(ctx context.Context) (*manifest.Trust, error) {
	header, err := manifest.OpenHeader(ctx, s.store, s.Owner)
	if err != nil {
		return nil, err
	}
	return manifest.LoadTrust(ctx, s.store, header)
}

func (c *Checker) read(ctx context.Context, name string, d providers.Driver) (*store, error) {
	s := c.newStore(name, d)
	for o, err := range s.store.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		s.objects[o.Key] = o
	}
	trust, err := s.trust(ctx)
	if err != nil {
		return nil, err
	}
	refs, bad, err := manifest.List(ctx, s.store, trust, "", nil)
	if err != nil {
		return nil, err
	}
	for _, b := range bad {
		if !c.broken[name+" "+b.Key] {
			return nil, fmt.Errorf("record %s: %w", b.Key, b.Err)
		}
	}
	sources := make(map[string]bool)
	for i := range refs {
		s.refs[refs[i].Key] = &refs[i]
		sources[refs[i].Record.Source] = true
	}
	for source := range sources {
		if err := s.leases(ctx, trust, source); err != nil {
			return nil, err
		}
	}
	return s, s.readPacks(ctx)
}

// leases reads the lease records of a source. They must be true: no lease that the
// store states is shorter than what they promise.
func (s *store) leases(ctx context.Context, trust *manifest.Trust, source string) error {
	records, _, bad, err := manifest.ReadLeases(ctx, s.store, trust, source, "")
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("lease record %s: %w", bad[0].Key, bad[0].Err)
	}
	for _, r := range records {
		for _, l := range r.Objects {
			if l.Until.After(s.leased[l.Pin.Name]) {
				s.leased[l.Pin.Name] = l.Until.Time
			}
			key := manifest.PackKey(l.Pin.Name)
			if l.Kind == manifest.SegmentKind {
				key = manifest.SegmentKey(l.Pin.Name)
			}
			if o, ok := s.objects[key]; ok && !o.Lease.IsZero() && o.Lease.Before(l.Until.Time) {
				return fmt.Errorf("%s: a lease record promises %v, the store %v", key, l.Until.Time, o.Lease)
			}
		}
		for _, l := range r.Snapshots {
			key := manifest.RecordKey(source, l.Seq)
			if l.Until.After(s.raised[key]) {
				s.raised[key] = l.Until.Time
			}
		}
	}
	return nil
}

// readPacks opens every pack that stands in the store.
func (s *store) readPacks(ctx context.Context) error {
	for key, o := range s.objects {
		name, ok := manifest.ParsePackKey(key)
		if !ok {
			continue
		}
		p, err := s.readPack(ctx, name, o.Version)
		switch {
		case err == nil:
			s.present[name] = p
		case providers.KindOf(err) != nil:
			return err
		}
	}
	return nil
}

// readPack reads one version of a pack, and opens it where that was not done before.
func (s *store) readPack(ctx context.Context, name pack.Name, v providers.Version) (Content, error) {
	sealed, err := s.store.Read(ctx, manifest.PackKey(name), v)
	if err != nil {
		return Content{}, err
	}
	if pack.NameOf(sealed) != name {
		return Content{}, fmt.Errorf("pack %v: bytes are not those of the name", name)
	}
	p, ok := s.packs[name]
	if !ok {
		if p, err = s.openPack(sealed); err != nil {
			return Content{}, fmt.Errorf("pack %v: %w", name, err)
		}
		s.packs[name] = p
	}
	return p, nil
}

func (c *Checker) openPack(sealed []byte) (Content, error) {
	plain, err := c.Opener.Open(sealed)
	if err != nil {
		return Content{}, err
	}
	r, err := pack.ParsePlain(plain)
	if err != nil {
		return Content{}, err
	}
	d := r.Directory()
	frames := make([][]byte, len(d.Frames))
	for i := range frames {
		if frames[i], err = r.Frame(nil, i); err != nil {
			return Content{}, err
		}
	}
	p := Content{Class: d.Class, Chunks: make(map[pack.ChunkID][]byte, len(d.Chunks))}
	for _, ch := range d.Chunks {
		b := frames[ch.Frame][ch.Offset:][:ch.Length:ch.Length]
		if pack.ChunkID(c.Namer.Chunk(b)) != ch.ID {
			return Content{}, fmt.Errorf("chunk %v has other bytes than its name says", ch.ID)
		}
		p.Chunks[ch.ID] = b
	}
	return p, nil
}

// until is how long a snapshot is kept.
func (s *store) until(ref *manifest.Ref) time.Time {
	if u := s.raised[ref.Key]; u.After(ref.Record.Expiry.Time) {
		return u
	}
	return ref.Record.Expiry.Time
}

// snapshot checks one committed snapshot: what it names, how long that is kept,
// that its index leads to every chunk, and every file.
func (s *store) snapshot(ctx context.Context, ref *manifest.Ref) error {
	want, ok := s.expected[s.name+" "+ref.Key]
	if !ok {
		return errors.New("nobody expects this snapshot")
	}
	if prev := s.refs[manifest.RecordKey(ref.Record.Source, ref.Record.Seq-1)]; prev != nil && prev.Digest != ref.Record.Prev {
		return errors.New("it does not name the record before it")
	}
	until := s.until(ref)
	if o := s.objects[ref.Key]; !o.Lease.IsZero() && o.Lease.Before(until) {
		return fmt.Errorf("%s: leased until %v, needed until %v", ref.Key, o.Lease, until)
	}
	for _, pin := range ref.Record.Packs {
		if err := s.pinned(ctx, manifest.PackKey(pin.Name), pin, until); err != nil {
			return err
		}
	}
	for _, pin := range ref.Record.Segments {
		if err := s.pinned(ctx, manifest.SegmentKey(pin.Name), pin, until); err != nil {
			return err
		}
	}
	return s.content(ctx, ref, want)
}

// content reads everything that a record names and puts every file together.
func (s *store) content(ctx context.Context, ref *manifest.Ref, want State) error {
	chunks := make(map[pack.ChunkID][]byte)
	pinned := make(map[pack.Name]bool)
	for _, pin := range ref.Record.Packs {
		p, err := s.readPack(ctx, pin.Name, pin.Version)
		if err != nil {
			return err
		}
		pinned[pin.Name] = true
		maps.Copy(chunks, p.Chunks)
	}
	var segments []*pack.Segment
	for _, pin := range ref.Record.Segments {
		seg, err := s.segment(ctx, pin)
		if err != nil {
			return err
		}
		segments = append(segments, seg)
	}
	r := &reader{chunks: chunks, pinned: pinned, index: pack.NewIndex(segments...)}
	return r.compare(ref, want)
}

// Snapshot reads the bytes of one committed snapshot anew and compares every file
// with what the source was. It says nothing of leases.
func (c *Checker) Snapshot(ctx context.Context, name string, d providers.Driver, key string) error {
	want, ok := c.expected[name+" "+key]
	if !ok {
		return fmt.Errorf("%s: nobody expects this snapshot", key)
	}
	s := c.newStore(name, d)
	trust, err := s.trust(ctx)
	if err != nil {
		return err
	}
	ref, err := manifest.ReadRecord(ctx, s.store, trust, key, "")
	if err != nil {
		return err
	}
	if err := s.content(ctx, &ref, want); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// segment opens an index segment, once, and compares its bytes with its name.
func (s *store) segment(ctx context.Context, pin manifest.Pin) (*pack.Segment, error) {
	if seg := s.segments[pin.Name]; seg != nil {
		sealed, err := s.store.Read(ctx, manifest.SegmentKey(pin.Name), pin.Version)
		if err == nil && pack.NameOf(sealed) != pin.Name {
			err = fmt.Errorf("index segment %v: bytes are not those of the name", pin.Name)
		}
		return seg, err
	}
	seg, err := manifest.ReadSegment(ctx, s.store, s.Opener, pin)
	if err == nil {
		s.Checker.segments[pin.Name] = seg
	}
	return seg, err
}

// pinned checks one object that a record names, in the version that it names.
func (s *store) pinned(ctx context.Context, key string, pin manifest.Pin, until time.Time) error {
	o, ok := s.objects[key]
	if !ok {
		return fmt.Errorf("%s: it is missing", key)
	}
	if o.Version != pin.Version && pin.Version != "" {
		var err error
		if o, err = s.store.Stat(ctx, key, pin.Version); err != nil {
			return err
		}
	}
	switch {
	case o.Size != pin.Size:
		return fmt.Errorf("%s: it is another object than the record names", key)
	case s.leased[pin.Name].Before(until):
		return fmt.Errorf("%s: lease records keep it until %v, the snapshot until %v", key, s.leased[pin.Name], until)
	case !o.Lease.IsZero() && o.Lease.Before(until):
		return fmt.Errorf("%s: leased until %v, needed until %v", key, o.Lease, until)
	}
	return nil
}

// reader puts the files of one snapshot together.
type reader struct {
	chunks map[pack.ChunkID][]byte
	pinned map[pack.Name]bool
	index  *pack.Index
}

// chunk returns a chunk's bytes, having seen that the index leads to them.
func (r *reader) chunk(id pack.ChunkID) ([]byte, error) {
	b, ok := r.chunks[id]
	if !ok {
		return nil, fmt.Errorf("chunk %v is in none of the packs that the record names", id)
	}
	for l := range r.index.All(id) {
		if r.pinned[l.Pack.Name] && int(l.Length) == len(b) {
			return b, nil
		}
	}
	return nil, fmt.Errorf("chunk %v: the index leads to no pack that the record names", id)
}

func (r *reader) compare(ref *manifest.Ref, want State) error {
	root, err := ref.Record.TableRoot()
	if err != nil {
		return err
	}
	b, err := r.chunk(root)
	if err != nil {
		return fmt.Errorf("root of the file table: %w", err)
	}
	ids, err := manifest.ParseRoot(b)
	if err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, id := range ids {
		if b, err = r.chunk(id); err != nil {
			return fmt.Errorf("file table: %w", err)
		}
		for len(b) > 0 {
			var row *manifest.Row
			if row, b, err = manifest.ReadRow(b); err != nil {
				return err
			}
			item, ok := want[row.Path]
			if !ok || seen[row.Path] {
				return fmt.Errorf("%q: the source did not have it, or the table has it twice", row.Path)
			}
			seen[row.Path] = true
			if err := r.file(row, item); err != nil {
				return fmt.Errorf("%q: %w", row.Path, err)
			}
		}
	}
	for path := range want {
		if !seen[path] {
			return fmt.Errorf("%q: it is not in the file table", path)
		}
	}
	if n := ref.Record.Table.Rows; n != int64(len(seen)) {
		return fmt.Errorf("the record says %d rows, there are %d", n, len(seen))
	}
	return nil
}

// file compares a row with what the source had, bytes and all.
func (r *reader) file(row *manifest.Row, want Item) error {
	if err := want.compare(row); err != nil || row.Type != manifest.File {
		return err
	}
	ids := row.Chunks
	if row.Lists {
		ids = nil
		for _, list := range row.Chunks {
			b, err := r.chunk(list)
			if err != nil {
				return fmt.Errorf("chunk list: %w", err)
			}
			more, err := manifest.ParseList(b)
			if err != nil {
				return err
			}
			ids = append(ids, more...)
		}
	}
	hash, size := sha256.New(), int64(0)
	for _, id := range ids {
		b, err := r.chunk(id)
		if err != nil {
			return err
		}
		hash.Write(b)
		size += int64(len(b))
	}
	if size != want.Size || [32]byte(hash.Sum(nil)) != want.SHA256 {
		return errors.New("the chunks make another file")
	}
	return nil
}
