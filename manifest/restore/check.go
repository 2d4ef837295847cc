package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// Depth says how much of a store is checked. Each depth includes those before it.
type Depth int

// The depths.
const (
	// Records: every record is signed, well-formed and in its chain; every object
	// that one names is there, in its size and kept long enough. Needs no key.
	Records Depth = iota
	// Objects: the store vouches for the bytes of every object by a checksum of its
	// own, or else they are read and compared with the object's name. Needs no key.
	Objects
	// Bytes: every pack opens, every chunk has its name, every file its SHA-256.
	Bytes
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
	Source   string         // empty: all sources
	Refs     []manifest.Ref // only these snapshots; nil: all that are listed
	Opener   *seal.Opener   // for Bytes
	Namer    *seal.Namer    // for Bytes; nil: chunks are not compared with their names, only files with their SHA-256
	Workers  int            // packs at work at once, each with 25 MiB; 0: two more than processors
	Progress Progress
}

// Finding is one object that is not as it must be. It holds no file name.
type Finding struct {
	Key       string
	Err       error
	Snapshots []string // keys of the records that need it
	Days      []string // their business dates, with #2 and so on for further revisions
	Advice    string   // what to do about it
}

// CheckReport says what was checked. It holds no file names.
type CheckReport struct {
	Snapshots, Packs, Segments int
	Vouched                    int   // of Objects: how many objects the store's own checksums vouch for
	Compared                   int64 // of Objects: bytes of the others, which were read
	Bytes                      int64 // of Bytes: what was read of packs
	Files                      int64 // different files whose SHA-256 was compared
	Unhashed                   int64 // files whose chunks were compared one by one only, as they are scattered over many packs
	Findings                   []Finding
	Broken                     []string // keys of records whose snapshots cannot be restored in full
}

// ErrDamagedStore: the check went to its end and found something. It is an
// ErrDamaged.
var ErrDamagedStore = fmt.Errorf("the check found damage: %w", ErrDamaged)

// ErrShortLease: an object is still well, but may lapse before a snapshot does.
var ErrShortLease = errors.New("leased for too short a time")

// What a finding advises.
const (
	adviceAgain   = "offsite run stores again what the practice still has; while the set of the day still stands, offsite run --day brings the day back whole"
	adviceSegment = "nothing is lost: the index is made again from the packs; the next offsite run writes a new one"
	adviceLease   = "the next offsite run raises the lease; if it does not, look at the store's rules and credentials"
	adviceRecord  = "look who wrote to the store; other days do not depend on this record"
	adviceTable   = "restore the day to see which files are affected, and tell the makers of offsite"
)

// Check examines stored snapshots without writing anything. It returns
// ErrDamagedStore when there are findings; any other error means that it stopped
// early.
func Check(ctx context.Context, store *providers.Store, trust *manifest.Trust, opt CheckOptions) (CheckReport, error) {
	opt.Workers = workers(opt.Workers)
	if opt.Depth == Bytes && opt.Opener == nil {
		return CheckReport{}, errors.New("check: reading bytes needs the restore key")
	}
	c := &checker{store: store, opt: opt, needs: make(map[string]*need)}
	err := c.records(ctx, trust)
	if err == nil {
		err = c.listed(ctx)
	}
	if err == nil && opt.Depth == Objects {
		err = c.objects(ctx)
	}
	if err == nil && opt.Depth == Bytes {
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
	until []time.Time      // by number in refs: when the snapshot lapses
	needs map[string]*need // by key and version

	mu     sync.Mutex // guards report, and the errors and proofs of needs
	report CheckReport
}

// need is one object that records name.
type need struct {
	key    string
	pin    manifest.Pin
	pack   bool
	refs   []int // numbers in refs
	err    error
	summed bool // the store keeps a checksum
	proved bool // every byte of it was read
}

// find notes a finding that belongs to records only.
func (c *checker) find(key, advice string, err error, refs ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := Finding{Key: key, Err: err, Advice: advice}
	for _, i := range refs {
		f.Snapshots = append(f.Snapshots, c.refs[i].Key)
		f.Days = append(f.Days, day(&c.refs[i].Record))
	}
	c.report.Findings = append(c.report.Findings, f)
}

// day writes a record's business date as people do on the command line.
func day(r *manifest.Record) string {
	if r.Revision > 1 {
		return fmt.Sprintf("%s#%d", r.Date, r.Revision)
	}
	return r.Date
}

func (c *checker) fail(n *need, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.err == nil || errors.Is(n.err, ErrShortLease) {
		n.err = err
	}
}

// well reports whether nothing is wrong with an object's bytes so far.
func (n *need) well() bool { return n.err == nil || errors.Is(n.err, ErrShortLease) }

// records reads all records, follows their chains and collects what they need.
func (c *checker) records(ctx context.Context, trust *manifest.Trust) error {
	c.refs = c.opt.Refs
	if c.refs == nil {
		refs, bad, err := manifest.List(ctx, c.store, trust, c.opt.Source, nil)
		if err != nil {
			return err
		}
		c.refs = refs
		for _, b := range bad {
			c.find(b.Key, adviceRecord, b.Err)
		}
	}
	c.report.Snapshots = len(c.refs)
	digests := make(map[string]string)
	versions := make(map[string]providers.Version)
	for _, r := range c.refs {
		digests[r.Key] = r.Digest
		for _, pin := range r.Record.Packs {
			noteVersion(versions, manifest.PackKey(pin.Name), pin.Version)
		}
		for _, pin := range r.Record.Segments {
			noteVersion(versions, manifest.SegmentKey(pin.Name), pin.Version)
		}
	}
	for i, r := range c.refs {
		// A record may have lapsed; one that is there must be the one that was meant.
		before, ok := digests[manifest.RecordKey(r.Record.Source, r.Record.Seq-1)]
		if ok && r.Record.Prev != "" && r.Record.Prev != before {
			c.find(r.Key, adviceRecord, fmt.Errorf("%w: it does not follow the record before it", ErrDamaged), i)
		}
		for _, pin := range r.Record.Packs {
			c.need(manifest.PackKey(pin.Name), pin, versions, true, i)
		}
		for _, pin := range r.Record.Segments {
			c.need(manifest.SegmentKey(pin.Name), pin, versions, false, i)
		}
	}
	return c.leases(ctx, trust)
}

// leases finds out until when each snapshot is kept: a lease record may say longer
// than the snapshot's own.
func (c *checker) leases(ctx context.Context, trust *manifest.Trust) error {
	raised := make(map[string]time.Time) // by record key
	seen := make(map[string]bool)
	for _, r := range c.refs {
		if trust == nil || seen[r.Record.Source] {
			continue
		}
		seen[r.Record.Source] = true
		recs, _, bad, err := manifest.ReadLeases(ctx, c.store, trust, r.Record.Source, "")
		if err != nil {
			return err
		}
		for _, b := range bad {
			c.find(b.Key, adviceRecord, b.Err)
		}
		for seq, s := range manifest.Latest(recs) {
			raised[manifest.RecordKey(r.Record.Source, seq)] = s.Until.Time
		}
	}
	c.until = make([]time.Time, len(c.refs))
	for i, r := range c.refs {
		c.until[i] = r.Record.Expiry.Time
		if u := raised[r.Key]; u.After(c.until[i]) {
			c.until[i] = u
		}
	}
	return nil
}

// noteVersion notes the one version of an object that records name, or that they
// name several. Some leave it out, as not every listing tells it.
func noteVersion(versions map[string]providers.Version, key string, v providers.Version) {
	if v == "" {
		return
	}
	if have, ok := versions[key]; ok && have != v {
		v = ""
	}
	versions[key] = v
}

func (c *checker) need(key string, pin manifest.Pin, versions map[string]providers.Version, isPack bool, ref int) {
	if pin.Version == "" {
		pin.Version = versions[key] // one object, one finding
	}
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

// listed compares what records name with one listing of the store, and asks singly
// only for versions that are not the present ones.
func (c *checker) listed(ctx context.Context) error {
	objects := make(map[string]providers.Object)
	for _, prefix := range []string{manifest.PackPrefix, manifest.SegmentPrefix, manifest.RecordPrefix} {
		for o, err := range c.store.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			objects[o.Key] = o
		}
	}
	for i, r := range c.refs {
		if o := objects[r.Key]; tooShort(o, c.until[i]) {
			c.find(r.Key, adviceLease, shortLease(o, c.until[i]), i)
		}
	}
	for _, n := range c.needs {
		o, ok := objects[n.key]
		if !ok || n.pin.Version != "" && o.Version != "" && o.Version != n.pin.Version {
			var err error
			if o, err = c.store.Stat(ctx, n.key, n.pin.Version); err != nil {
				if !isDamage(err) {
					return err
				}
				c.fail(n, err)
				continue
			}
		}
		n.summed = len(o.Checksum.Sum) > 0
		if o.Size != n.pin.Size {
			c.fail(n, fmt.Errorf("%w: %d bytes instead of %d", ErrDamaged, o.Size, n.pin.Size))
			continue
		}
		for _, i := range n.refs {
			if tooShort(o, c.until[i]) {
				c.fail(n, shortLease(o, c.until[i]))
			}
		}
	}
	return nil
}

// tooShort says whether a lease ends before it may, as far as the store tells.
func tooShort(o providers.Object, until time.Time) bool {
	return !o.Lease.IsZero() && o.Lease.Before(until)
}

func shortLease(o providers.Object, until time.Time) error {
	return fmt.Errorf("%w: until %s, needed until %s", ErrShortLease, manifest.At(o.Lease).Format(time.RFC3339), manifest.At(until).Format(time.RFC3339))
}

// sorted returns the objects whose bytes are well so far, in the order of keys.
func (c *checker) sorted(choose func(*need) bool) []*need {
	var list []*need
	for _, n := range c.needs {
		if n.well() && choose(n) {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b *need) int { return strings.Compare(a.key, b.key) })
	return list
}

// objects makes sure of every object's bytes without opening them. A checksum that
// the store keeps was compared by the store when the object arrived, and is again
// whenever it is read or moved.
func (c *checker) objects(ctx context.Context) error {
	list := c.sorted(func(n *need) bool { return !n.summed })
	if len(list) > 0 {
		// Some stores tell checksums only when asked for one object.
		o, err := c.store.Stat(ctx, list[0].key, list[0].pin.Version)
		if err != nil && !isDamage(err) {
			return err
		}
		if len(o.Checksum.Sum) > 0 {
			if err := c.askSums(ctx, list); err != nil {
				return err
			}
			list = c.sorted(func(n *need) bool { return !n.summed })
		}
	}
	total := int64(0)
	for _, n := range list {
		total += n.pin.Size
	}
	c.report.Vouched = len(c.sorted(func(n *need) bool { return n.summed }))
	c.opt.Progress.total(total)
	return forEach(ctx, len(list), c.opt.Workers, func(ctx context.Context, i int) error {
		n := list[i]
		b, err := c.store.Read(ctx, n.key, n.pin.Version)
		c.opt.Progress.done(n.pin.Size)
		switch {
		case err != nil && !isDamage(err):
			return err
		case err != nil:
			c.fail(n, err)
			return nil
		}
		c.mu.Lock()
		c.report.Compared += int64(len(b))
		c.mu.Unlock()
		if !sameName(b, n.pin) {
			c.fail(n, fmt.Errorf("%w: its bytes are not those of its name", ErrDamaged))
		}
		return nil
	})
}

// sumSlots objects are asked for their checksums at a time.
const sumSlots = 8

func (c *checker) askSums(ctx context.Context, list []*need) error {
	return forEach(ctx, len(list), sumSlots, func(ctx context.Context, i int) error {
		o, err := c.store.Stat(ctx, list[i].key, list[i].pin.Version)
		switch {
		case err != nil && !isDamage(err):
			return err
		case err != nil:
			c.fail(list[i], err)
		default:
			list[i].summed = len(o.Checksum.Sum) > 0
		}
		return nil
	})
}

// provePack proves an opened pack: every frame, and every chunk by its name.
func (c *checker) provePack(p *opened, room []byte) ([]byte, error) {
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

// sum turns the errors of objects into findings, in the order of keys, and names
// the snapshots that they break. A lost segment breaks none, as it can be made
// again; nor does a short lease.
func (c *checker) sum() {
	broken := make(map[string]bool) // by a pack, at first
	for _, n := range c.needs {
		if n.err == nil {
			continue
		}
		advice := adviceAgain
		switch {
		case errors.Is(n.err, ErrShortLease):
			advice = adviceLease
		case !n.pack:
			advice = adviceSegment
		default:
			for _, i := range n.refs {
				broken[c.refs[i].Key] = true
			}
		}
		c.find(n.key, advice, n.err, n.refs...)
	}
	// Where a pack is damaged, that its day's table cannot be read is no second finding.
	c.report.Findings = slices.DeleteFunc(c.report.Findings, func(f Finding) bool { return errors.Is(f.Err, errRows) && broken[f.Key] })
	for _, f := range c.report.Findings {
		if strings.HasPrefix(f.Key, manifest.RecordPrefix) && errors.Is(f.Err, errRows) {
			broken[f.Key] = true
		}
	}
	slices.SortFunc(c.report.Findings, func(a, b Finding) int { return strings.Compare(a.Key, b.Key) })
	for k := range broken {
		c.report.Broken = append(c.report.Broken, k)
	}
	slices.Sort(c.report.Broken)
}
