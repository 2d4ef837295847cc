package restore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// Depth says how much of a store is checked. Each depth includes those before it.
type Depth int

// The depths.
const (
	Records Depth = iota // every record is signed, well-formed and in its chain; needs no key
	Objects              // every object that a record names is there, in its size and with its lease; needs no key
	Bytes                // every pack opens, every chunk has its name, every file table is whole
)

// ParseDepth reads what String writes.
func ParseDepth(s string) (Depth, error) {
	for _, d := range []Depth{Records, Objects, Bytes} {
		if d.String() == s {
			return d, nil
		}
	}
	return 0, fmt.Errorf("depth is records, objects or bytes, not %q", s)
}

// String returns the depth's word.
func (d Depth) String() string { return [...]string{"records", "objects", "bytes"}[d] }

// CheckOptions say what is checked.
type CheckOptions struct {
	Depth    Depth
	Source   string       // empty: all sources
	Opener   *seal.Opener // for Bytes
	Namer    *seal.Namer  // for Bytes; nil: chunks are compared with checksums only, not with their names
	Workers  int          // packs at work at once; 0: four
	Progress Progress
}

// Finding is one object that is not as it must be.
type Finding struct {
	Key       string
	Err       error
	Snapshots []string // keys of the records that need it
}

// CheckReport says what was checked. It holds no file names.
type CheckReport struct {
	Snapshots, Packs, Segments int
	Bytes                      int64 // of objects read
	Findings                   []Finding
	Broken                     []string // keys of records whose snapshots cannot be restored in full
}

// ErrDamagedStore: the check went to its end and found something.
var ErrDamagedStore = fmt.Errorf("the check found damage: %w", ErrDamaged)

// ErrShortLease: an object is still well, but may lapse before a snapshot does.
var ErrShortLease = errors.New("leased for too short a time")

// Check examines stored snapshots without writing anything. It returns
// ErrDamagedStore when there are findings; any other error means that it stopped
// early.
func Check(ctx context.Context, store *providers.Store, trust *manifest.Trust, opt CheckOptions) (CheckReport, error) {
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.Depth == Bytes && opt.Opener == nil {
		return CheckReport{}, errors.New("check: reading bytes needs the restore key")
	}
	c := &checker{store: store, opt: opt, needs: make(map[string]*need)}
	err := c.records(ctx, trust)
	if err == nil && opt.Depth >= Objects {
		err = c.objects(ctx)
	}
	if err == nil && opt.Depth >= Bytes {
		err = c.bytes(ctx)
	}
	c.sum()
	switch {
	case err != nil:
		return c.report, fmt.Errorf("check: %w", err)
	case len(c.report.Findings) > 0:
		return c.report, fmt.Errorf("check: %w", ErrDamagedStore)
	}
	return c.report, nil
}

type checker struct {
	store *providers.Store
	opt   CheckOptions
	refs  []manifest.Ref
	needs map[string]*need // by key and version

	mu     sync.Mutex // guards report and the errors of needs
	report CheckReport
}

// need is one object that records name.
type need struct {
	key  string
	pin  manifest.Pin
	pack bool
	refs []int // numbers in refs
	err  error
}

// find notes a finding that belongs to records only.
func (c *checker) find(key string, err error, snapshots ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Findings = append(c.report.Findings, Finding{key, err, snapshots})
}

func (c *checker) fail(n *need, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.err == nil || errors.Is(n.err, ErrShortLease) {
		n.err = err
	}
}

// records reads all records, follows their chains and collects what they need.
func (c *checker) records(ctx context.Context, trust *manifest.Trust) error {
	refs, bad, err := manifest.List(ctx, c.store, trust, c.opt.Source, nil)
	if err != nil {
		return err
	}
	c.refs = refs
	c.report.Snapshots = len(refs)
	for _, b := range bad {
		c.find(b.Key, b.Err)
	}
	digests := make(map[string]string)
	for _, r := range refs {
		digests[r.Key] = r.Digest
	}
	for i, r := range refs {
		// A record may have lapsed; one that is there must be the one that was meant.
		before, ok := digests[manifest.RecordKey(r.Record.Source, r.Record.Seq-1)]
		if ok && r.Record.Prev != "" && r.Record.Prev != before {
			c.find(r.Key, fmt.Errorf("%w: it does not follow the record before it", providers.ErrCorrupt), r.Key)
		}
		for _, pin := range r.Record.Packs {
			c.need(manifest.PackKey(pin.Name), pin, true, i)
		}
		for _, pin := range r.Record.Segments {
			c.need(manifest.SegmentKey(pin.Name), pin, false, i)
		}
	}
	return nil
}

func (c *checker) need(key string, pin manifest.Pin, isPack bool, ref int) {
	id := key + " " + string(pin.Version)
	n := c.needs[id]
	if n == nil {
		n = &need{key: key, pin: pin, pack: isPack}
		c.needs[id] = n
		if isPack {
			c.report.Packs++
		} else {
			c.report.Segments++
		}
	}
	n.refs = append(n.refs, ref)
}

// objects lists the store once and asks singly only for versions that are not the
// present ones.
func (c *checker) objects(ctx context.Context) error {
	listed := make(map[string]providers.Object)
	for _, prefix := range []string{manifest.PackPrefix, manifest.SegmentPrefix} {
		for o, err := range c.store.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			listed[o.Key] = o
		}
	}
	for _, n := range c.needs {
		o, ok := listed[n.key]
		if !ok || n.pin.Version != "" && o.Version != n.pin.Version {
			var err error
			if o, err = c.store.Stat(ctx, n.key, n.pin.Version); err != nil {
				if !isDamage(err) {
					return err
				}
				c.fail(n, err)
				continue
			}
		}
		if o.Size != n.pin.Size {
			c.fail(n, fmt.Errorf("%w: %d bytes instead of %d", providers.ErrCorrupt, o.Size, n.pin.Size))
			continue
		}
		for _, i := range n.refs {
			if until := c.refs[i].Record.Expiry.Time; !o.Lease.IsZero() && o.Lease.Before(until) {
				c.fail(n, fmt.Errorf("%w: until %s, needed until %s", ErrShortLease, manifest.At(o.Lease).Time, until))
			}
		}
	}
	return nil
}

// bytes reads every pack once, then every file table.
func (c *checker) bytes(ctx context.Context) error {
	var packs []*need
	total := int64(0)
	for _, n := range c.needs {
		if n.pack && (n.err == nil || errors.Is(n.err, ErrShortLease)) {
			packs = append(packs, n)
			total += n.pin.Size
		}
	}
	slices.SortFunc(packs, func(a, b *need) int { return strings.Compare(a.key, b.key) })
	c.opt.Progress.total(total)
	source := newObjects(c.store, c.opt.Opener, nil)
	rooms := make(chan []byte, c.opt.Workers)
	for range c.opt.Workers {
		rooms <- nil
	}
	err := forEach(ctx, len(packs), c.opt.Workers, func(ctx context.Context, i int) error {
		room, err := c.readPack(ctx, source, packs[i], <-rooms)
		rooms <- room
		return err
	})
	if err != nil {
		return err
	}
	for i := range c.refs {
		if err := c.table(ctx, &c.refs[i]); err != nil {
			return err
		}
	}
	return nil
}

// readPack proves one pack: its name, its seal, every frame and every chunk.
func (c *checker) readPack(ctx context.Context, source *objects, n *need, room []byte) ([]byte, error) {
	p, err := source.whole(ctx, n.pin, true)
	if err == nil {
		room, err = c.readFrames(p, room)
	}
	if err != nil {
		if !isDamage(err) {
			return room, err
		}
		c.fail(n, err)
	}
	c.mu.Lock()
	c.report.Bytes += n.pin.Size
	c.mu.Unlock()
	c.opt.Progress.done(n.pin.Size)
	return room, nil
}

func (c *checker) readFrames(p *opened, room []byte) ([]byte, error) {
	d := p.Directory()
	at := 0
	for i := range d.Frames {
		var data []byte
		var err error
		if data, room, err = p.frame(room, i); err != nil {
			return room, err
		}
		for ; at < len(d.Chunks) && d.Chunks[at].Frame == uint32(i); at++ {
			ch := d.Chunks[at]
			if c.opt.Namer != nil && pack.ChunkID(c.opt.Namer.Chunk(data[ch.Offset:][:ch.Length])) != ch.ID {
				return room, fmt.Errorf("%w: chunk %s has other bytes than its name says", ErrDamaged, ch.ID)
			}
		}
	}
	return room, nil
}

// table follows one snapshot from its record to the last chunk of its last file,
// without reading the files' bytes again.
func (c *checker) table(ctx context.Context, ref *manifest.Ref) error {
	s, err := Open(ctx, c.store, c.opt.Opener, *ref)
	if err != nil {
		return c.broken(ref, err)
	}
	if s.Rebuilt() > 0 {
		for _, n := range c.needs {
			if !n.pack && n.err == nil && slices.Contains(n.refs, c.number(ref)) {
				if _, err := manifest.ReadSegment(ctx, c.store, c.opt.Opener, n.pin); err != nil {
					c.fail(n, err)
				}
			}
		}
	}
	lists := s.newChunks()
	rows := int64(0)
	for e, err := range s.Entries(ctx) {
		if err != nil {
			return c.broken(ref, err)
		}
		rows++
		size := int64(0)
		for id, err := range s.chunkIDs(ctx, lists, &e) {
			var l pack.Location
			if err == nil {
				l, err = s.locate(id)
			}
			if err != nil {
				return c.broken(ref, err)
			}
			size += int64(l.Length)
		}
		if size != e.Size {
			return c.broken(ref, fmt.Errorf("%w: row %d of the file table and its chunks differ in length", providers.ErrCorrupt, rows))
		}
	}
	if rows != ref.Record.Table.Rows {
		return c.broken(ref, fmt.Errorf("%w: the file table has %d rows, the record says %d", providers.ErrCorrupt, rows, ref.Record.Table.Rows))
	}
	return nil
}

func (c *checker) number(ref *manifest.Ref) int {
	return slices.IndexFunc(c.refs, func(r manifest.Ref) bool { return r.Key == ref.Key })
}

// broken notes that a snapshot cannot be read to its end. Damage of an object that
// is a finding already is not told twice.
func (c *checker) broken(ref *manifest.Ref, err error) error {
	if !isDamage(err) {
		return err
	}
	number := c.number(ref)
	for _, n := range c.needs {
		if n.err != nil && !errors.Is(n.err, ErrShortLease) && slices.Contains(n.refs, number) {
			return nil
		}
	}
	c.find(ref.Key, err, ref.Key)
	return nil
}

// sum turns the errors of objects into findings, in the order of keys, and names
// the snapshots that they break. A lost segment breaks none, as it can be made
// again; nor does a short lease.
func (c *checker) sum() {
	broken := make(map[string]bool)
	for _, n := range c.needs {
		if n.err == nil {
			continue
		}
		f := Finding{Key: n.key, Err: n.err}
		for _, i := range n.refs {
			f.Snapshots = append(f.Snapshots, c.refs[i].Key)
		}
		c.report.Findings = append(c.report.Findings, f)
	}
	slices.SortFunc(c.report.Findings, func(a, b Finding) int { return strings.Compare(a.Key, b.Key) })
	for _, f := range c.report.Findings {
		if strings.HasPrefix(f.Key, manifest.SegmentPrefix) || errors.Is(f.Err, ErrShortLease) {
			continue
		}
		for _, k := range f.Snapshots {
			broken[k] = true
		}
	}
	for k := range broken {
		c.report.Broken = append(c.report.Broken, k)
	}
	slices.Sort(c.report.Broken)
}
