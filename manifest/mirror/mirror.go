// Package mirror carries snapshots from one store to another: to a second cloud, or
// from a disk that was filled at the practice and taken to a fast line.
//
// It promises that what arrives is what the source's records name: every object is
// hashed before it is sent or, where a service copies within itself, has the checksum
// there that the service took when it first came; and a snapshot is committed at the target only when all
// it needs stands there, leased as long as at the source. It may be stopped and
// started again at any time; what has arrived is not sent again. It needs the upload
// key and no restore key, and opens nothing.
//
// A record pins versions, which differ from store to store. So the target gets a
// record of its own, signed by the PC that copies, in which all but pins, sequence
// number and chain is the source's.
//
// It refuses to mix practices, and to copy a snapshot of which anything is missing
// or damaged: that one is reported, and the others are copied.
package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// carrying is how many objects are on their way at a time: each is held in memory.
const carrying = 4

// Config says what is copied, from where to where.
type Config struct {
	From, To *providers.Store
	Key      *seal.UploadKey
	// Lease is until when an object is leased that is needed until need.
	Lease func(need time.Time, name string) time.Time
	Now   func() time.Time
	// Want chooses snapshots; nil: all that have not lapsed.
	Want func(manifest.Ref) bool
	// Sent is told of the bytes of every object that arrived; nil: nobody is.
	Sent func(bytes int64)
}

// Result says what was done.
type Result struct {
	Founded  bool // the target was empty and got header and keys
	Copied   []manifest.Ref
	Had      int // snapshots that the target had already
	Objects  int // packs and index segments that arrived
	Within   int // of these, copied by the service itself
	Bytes    int64
	Damaged  []Damage
	Unwanted int // snapshots that have lapsed, or were not chosen
}

// Damage is a snapshot that could not be copied.
type Damage struct {
	Ref manifest.Ref
	Err error
}

// Copy carries snapshots over, the oldest first.
func Copy(ctx context.Context, cfg Config) (Result, error) {
	c := &copier{Config: cfg, arrived: make(map[pack.Name]manifest.Stored)}
	if err := c.prepare(ctx); err != nil {
		return c.res, fmt.Errorf("copy store: %w", err)
	}
	for _, ref := range c.refs {
		until := c.until(ref)
		switch {
		case !until.After(cfg.Now()), cfg.Want != nil && !cfg.Want(ref):
			c.res.Unwanted++
			continue
		case c.has(ref):
			c.res.Had++
			continue
		}
		got, err := c.snapshot(ctx, ref, until)
		switch {
		case errors.Is(err, providers.ErrCorrupt) || errors.Is(err, errMissing):
			c.res.Damaged = append(c.res.Damaged, Damage{Ref: ref, Err: err})
		case err != nil:
			return c.res, fmt.Errorf("copy snapshot of %s: %w", ref.Record.Date, err)
		default:
			c.res.Copied = append(c.res.Copied, got)
		}
	}
	return c.res, nil
}

// errMissing is an object that the source does not have. At the target an absent
// object is no damage.
var errMissing = errors.New("an object is missing at the source")

type copier struct {
	Config
	res Result

	refs   []manifest.Ref                               // of the source, oldest first
	raised map[string]map[uint64]manifest.SnapshotLease // leases of its snapshots beyond their records, by source and number
	trust  *manifest.Trust                              // of the target
	there  []manifest.Ref                               // committed at the target
	listed map[string]providers.Object                  // at the target

	carry atomic.Bool // the service does not copy for us

	mu      sync.Mutex
	arrived map[pack.Name]manifest.Stored // receipts of this copy
	leased  []manifest.ObjectLease        // not yet written down
}

// prepare reads both stores, and founds the target if it is empty.
func (c *copier) prepare(ctx context.Context) error {
	header, err := manifest.OpenHeader(ctx, c.From, c.Key.Owner)
	if err != nil {
		return err
	}
	trust, err := manifest.LoadTrust(ctx, c.From, header)
	if err != nil {
		return err
	}
	refs, bad, err := manifest.List(ctx, c.From, trust, "", nil)
	if err != nil {
		return err
	}
	for _, b := range bad {
		c.res.Damaged = append(c.res.Damaged, Damage{Ref: manifest.Ref{Key: b.Key}, Err: b.Err})
	}
	slices.SortStableFunc(refs, func(a, b manifest.Ref) int {
		return cmp.Or(a.Record.Time.Compare(b.Record.Time.Time), cmp.Compare(a.Key, b.Key))
	})
	c.refs = refs
	if err := c.readLeases(ctx, trust); err != nil {
		return err
	}
	if err := c.found(ctx, header); err != nil {
		return err
	}
	return c.look(ctx, header)
}

func (c *copier) readLeases(ctx context.Context, trust *manifest.Trust) error {
	c.raised = make(map[string]map[uint64]manifest.SnapshotLease)
	for _, ref := range c.refs {
		source := ref.Record.Source
		if c.raised[source] != nil {
			continue
		}
		recs, _, _, err := manifest.ReadLeases(ctx, c.From, trust, source, "")
		if err != nil {
			return err
		}
		c.raised[source] = manifest.Latest(recs)
	}
	return nil
}

// until is how long a snapshot is kept at the source.
func (c *copier) until(ref manifest.Ref) time.Time {
	if u := c.raised[ref.Record.Source][ref.Record.Seq].Until; u.After(ref.Record.Expiry.Time) {
		return u.Time
	}
	return ref.Record.Expiry.Time
}

// found copies the header and the keys as they are: the same practice, the same
// holders. The header goes last, for it is what makes a place a store.
func (c *copier) found(ctx context.Context, header manifest.Header) error {
	switch err := manifest.Vacant(ctx, c.To); {
	case err == nil:
	case !errors.Is(err, providers.ErrExist):
		return err
	default:
		if _, err := c.To.Stat(ctx, manifest.HeaderKey, ""); !errors.Is(err, providers.ErrNotExist) {
			return err // a store, or not to be reached
		}
	}
	var keys []string
	for o, err := range c.From.List(ctx, manifest.KeysPrefix, "") {
		if err != nil {
			return err
		}
		keys = append(keys, o.Key)
	}
	for _, key := range append(keys, manifest.HeaderKey) {
		data, err := c.From.Read(ctx, key, "")
		if err != nil {
			return err
		}
		if _, err := c.To.Create(ctx, key, data, time.Time{}); err != nil {
			return fmt.Errorf("found the target: %w", err)
		}
	}
	c.res.Founded = true
	return nil
}

// look learns what the target holds.
func (c *copier) look(ctx context.Context, header manifest.Header) error {
	target, err := manifest.OpenHeader(ctx, c.To, c.Key.Owner)
	if err != nil {
		return err
	}
	if target.Repository != header.Repository {
		return manifest.ErrOtherStore
	}
	if c.trust, err = manifest.LoadTrust(ctx, c.To, target); err != nil {
		return err
	}
	if !c.trust.Enrolled(c.Key.PC, c.Key.Public()) {
		return ErrNotEnrolled
	}
	if c.there, _, err = manifest.List(ctx, c.To, c.trust, "", nil); err != nil {
		return err
	}
	c.listed = make(map[string]providers.Object)
	for o, err := range c.To.List(ctx, manifest.Removable, "") {
		if err != nil {
			return err
		}
		c.listed[o.Key] = o
	}
	return nil
}

// ErrNotEnrolled: nobody would believe what this PC commits at the target.
var ErrNotEnrolled = errors.New("this PC is not enrolled at the target")

// has says whether the target has a snapshot: the same set, of the same day, judged
// at the same time.
func (c *copier) has(ref manifest.Ref) bool {
	return slices.ContainsFunc(c.there, func(t manifest.Ref) bool {
		a, b := &t.Record, &ref.Record
		return a.Source == b.Source && a.Date == b.Date && a.Revision == b.Revision && a.Table == b.Table && a.Time == b.Time
	})
}

// snapshot carries one over and commits it.
func (c *copier) snapshot(ctx context.Context, ref manifest.Ref, until time.Time) (manifest.Ref, error) {
	needs := manifest.Needs(ref)
	receipts := make([]manifest.Stored, len(needs))
	if err := c.each(ctx, len(needs), func(ctx context.Context, i int) (err error) {
		receipts[i], err = c.object(ctx, needs[i], until)
		return err
	}); err != nil {
		return manifest.Ref{}, err
	}
	var packs, segments []manifest.Stored
	for _, r := range receipts {
		if _, ok := manifest.ParsePackKey(r.Key()); ok {
			packs = append(packs, r)
		} else {
			segments = append(segments, r)
		}
	}
	segments, err := c.withNewest(ctx, ref.Record.Source, segments, until)
	if err != nil {
		return manifest.Ref{}, err
	}
	if err := c.writeLeases(ctx, ref.Record.Source); err != nil {
		return manifest.Ref{}, err
	}
	rec := ref.Record
	rec.PC, rec.Expiry = c.Key.PC, manifest.At(until)
	rec.Seq, rec.Prev = c.next(rec.Source, rec.Seq)
	got, err := manifest.Commit(ctx, c.To, rec, packs, segments, c.Key.Signing, c.Lease(until, pack.NameOf([]byte(manifest.RecordKey(rec.Source, rec.Seq))).String()))
	if err != nil {
		return manifest.Ref{}, err
	}
	data, err := c.To.Fresh(ctx, got.Key, got.Version)
	if err == nil && !got.Is(data) {
		err = fmt.Errorf("%s is not what was written", got.Key)
	}
	if err != nil {
		return manifest.Ref{}, fmt.Errorf("read back: %w", err)
	}
	c.there = append(c.there, got)
	return got, nil
}

// withNewest adds the segments that the target's newest snapshot of the source
// names: the next run takes what is stored from the newest record alone.
func (c *copier) withNewest(ctx context.Context, source string, segments []manifest.Stored, until time.Time) ([]manifest.Stored, error) {
	var newest manifest.Ref
	for _, t := range c.there {
		if t.Record.Source == source && t.Record.Seq > newest.Record.Seq {
			newest = t
		}
	}
	for _, p := range newest.Record.Segments {
		key := manifest.SegmentKey(p.Name)
		if slices.ContainsFunc(segments, func(s manifest.Stored) bool { return s.Pin().Name == p.Name }) || c.listed[key].Size != p.Size {
			continue
		}
		s, err := c.extend(ctx, c.listed[key], p.Size, until)
		if err != nil {
			return nil, err
		}
		segments = append(segments, s)
	}
	return segments, nil
}

// next is the sequence number of a new record at the target, and the digest of the
// record before it. The source's number is kept where it is free.
func (c *copier) next(source string, want uint64) (seq uint64, prev string) {
	var last manifest.Ref
	for _, t := range c.there {
		if t.Record.Source == source && t.Record.Seq > last.Record.Seq {
			last = t
		}
	}
	seq = max(want, last.Record.Seq+1)
	if last.Key != "" && last.Record.Seq == seq-1 {
		prev = last.Digest
	}
	return seq, prev
}

// object brings one object to the target, or sees that it is there and leased.
func (c *copier) object(ctx context.Context, need manifest.Stored, until time.Time) (manifest.Stored, error) {
	pin, key := need.Pin(), need.Key()
	c.mu.Lock()
	had, ok := c.arrived[pin.Name]
	c.mu.Unlock()
	switch {
	case ok && !had.Lease().Before(until):
		return had, nil
	case ok:
		return c.noted(had.Extend(ctx, c.To, c.Lease(until, pin.Name.String())))
	case c.listed[key].Size == pin.Size:
		return c.extend(ctx, c.listed[key], pin.Size, until)
	}
	lease := c.Lease(until, pin.Name.String())
	if s, ok := c.within(ctx, key, pin, lease); ok {
		return c.noted(s, nil)
	}
	data, err := c.read(ctx, key, pin)
	if err != nil {
		return manifest.Stored{}, err
	}
	var s manifest.Stored
	if _, isPack := manifest.ParsePackKey(key); isPack {
		s, err = manifest.SavePack(ctx, c.To, pin.Name, data, lease)
	} else {
		s, err = manifest.SaveSegment(ctx, c.To, data, lease)
	}
	if err != nil {
		return manifest.Stored{}, err
	}
	c.mu.Lock()
	c.res.Objects++
	c.res.Bytes += pin.Size
	c.mu.Unlock()
	if c.Sent != nil {
		c.Sent(pin.Size)
	}
	return c.noted(s, nil)
}

// within has the service itself copy an object, where both stores are its own. Any
// refusal means that the bytes are carried: nothing is lost by having asked.
func (c *copier) within(ctx context.Context, key string, pin manifest.Pin, lease time.Time) (manifest.Stored, bool) {
	if c.carry.Load() {
		return manifest.Stored{}, false
	}
	v, err := c.To.CopyFrom(ctx, c.From, key, pin.Version, lease)
	if err != nil {
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, providers.ErrDenied) {
			c.carry.Store(true) // it will not be otherwise for the next object
		}
		return manifest.Stored{}, false
	}
	s, err := manifest.Confirm(providers.Object{Key: key, Size: pin.Size, Version: v}, pin.Size, lease)
	if err != nil {
		return manifest.Stored{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.res.Objects++
	c.res.Within++
	return s, true
}

// read gets an object from the source and proves it by its name.
func (c *copier) read(ctx context.Context, key string, pin manifest.Pin) ([]byte, error) {
	data, err := c.From.Read(ctx, key, pin.Version)
	if pin.Version != "" && errors.Is(err, providers.ErrNotExist) {
		data, err = c.From.Read(ctx, key, "") // a copy of a copy, or another version with the same bytes
	}
	switch {
	case errors.Is(err, providers.ErrNotExist):
		return nil, fmt.Errorf("%w: %s", errMissing, key)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", key, err)
	case int64(len(data)) != pin.Size || pack.NameOf(data) != pin.Name:
		return nil, fmt.Errorf("read %s: %w: the bytes are not those of its name", key, providers.ErrCorrupt)
	}
	return data, nil
}

// extend makes a receipt for an object that the target lists. How long it is leased
// is only known where the listing says so; else it is raised, which harms nothing.
func (c *copier) extend(ctx context.Context, o providers.Object, size int64, until time.Time) (manifest.Stored, error) {
	s, err := manifest.Confirm(o, size, o.Lease)
	if err != nil || !s.Lease().Before(until) {
		return c.noted(s, err) // an earlier copy may have been stopped before it wrote that down
	}
	return c.noted(s.Extend(ctx, c.To, c.Lease(until, s.Pin().Name.String())))
}

// noted remembers a receipt, so that its lease is written down.
func (c *copier) noted(s manifest.Stored, err error) (manifest.Stored, error) {
	if err != nil {
		return s, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived[s.Pin().Name] = s
	c.leased = append(c.leased, s.ObjectLease())
	return s, nil
}

func (c *copier) writeLeases(ctx context.Context, source string) error {
	c.mu.Lock()
	leased := c.leased
	c.leased = nil
	c.mu.Unlock()
	if len(leased) == 0 {
		return nil
	}
	slices.SortFunc(leased, func(a, b manifest.ObjectLease) int { return slices.Compare(a.Pin.Name[:], b.Pin.Name[:]) })
	return manifest.WriteLeases(ctx, c.To, manifest.LeaseRecord{Format: manifest.FormatVersion, Repository: c.Key.Repository, Source: source,
		PC: c.Key.PC, Time: manifest.At(c.Now()), Objects: leased}, c.Key.Signing)
}

// each calls do for 0 to n-1, several at a time, until one fails.
func (c *copier) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan int)
	var wg sync.WaitGroup
	for range min(carrying, n) {
		wg.Go(func() {
			for i := range work {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		work <- i
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}
