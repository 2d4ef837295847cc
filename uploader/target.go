package uploader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/retention"
)

// mask is a set of the run's stores.
type mask uint8

// MaxStores is how many stores one run may fill.
const MaxStores = 8

// journalTrust is how long after its arrival a pack of a run that never committed
// is still relied on; it was leased for the floor at least, usually 30 days, but
// nobody wrote down until when. With a shorter floor it is less.
const journalTrust = 20 * 24 * time.Hour

// sending is how many packs go to one store at a time.
const sending = 2

// target is one store during one run: what it holds, and what this run adds.
type target struct {
	name  string
	store *providers.Store
	bit   mask
	log   *slog.Logger

	header   manifest.Header
	trust    *manifest.Trust
	refs     []manifest.Ref // committed snapshots of this source, oldest first
	nextSeq  uint64
	until    map[uint64]time.Time            // leases of snapshots beyond their record
	notes    manifest.Notes                  // what was said about snapshots since
	kept     map[pack.Name]time.Time         // until when packs and segments are leased
	told     map[pack.Name]time.Time         // the latest that a record says of it and the listing does not belie
	lasts    map[uint64]time.Time            // until when snapshots last, whoever says so
	versions map[pack.Name]providers.Version // of packs, as the oldest record names them
	present  map[pack.Name]providers.Object  // packs and segments as listed
	orphans  time.Duration                   // how long a pack of a run that never committed is relied on
	segments []*segment                      // of committed snapshots, newest first
	journal  []*pack.Segment                 // of runs that never committed
	index    *pack.Index
	packs    []packState // by the index's numbers

	now         time.Time     // the later of this PC's and the store's clock
	skew        time.Duration // by how much the store's clock is ahead of this PC's
	life        life
	expiry      time.Time              // until when the new snapshot is leased at its commit
	done        bool                   // it has this very snapshot already
	ref         manifest.Ref           // what this run committed
	leased      []manifest.ObjectLease // put or raised, not yet written down
	newSegments []manifest.Stored

	queue chan *sealedPack
	wg    sync.WaitGroup
	out   atomic.Bool // err is set

	mu      sync.Mutex // guards what follows
	err     error      // why the store is out of this run
	stored  []manifest.Stored
	entries []pack.PackEntry
	bytes   int64 // of all objects put
	raised  int   // leases raised
}

// packState is one pack that the store is known to hold.
type packState struct {
	receipt manifest.Stored
	usable  bool        // present, whole as far as listed, and kept long enough
	named   bool        // the newest snapshot names it
	spoilt  bool        // it was read, and was damaged
	orphan  bool        // it stands in the journal and in no segment
	used    atomic.Bool // the new snapshot needs it
}

// segment is one committed index segment.
type segment struct {
	*pack.Segment
	receipt manifest.Stored
}

// open learns what the store holds. It makes no change there.
func (t *target) open(ctx context.Context, key *seal.UploadKey, source string, journal []*pack.Segment, policy retention.Policy, now time.Time) error {
	if err := t.compareClocks(ctx, now); err != nil {
		return err
	}
	// Everything that stands in the store, as of one moment and for one request.
	end, err := t.store.Survey(ctx, "")
	if err != nil {
		return fmt.Errorf("list store: %w", err)
	}
	defer end()
	if t.header, err = manifest.OpenHeader(ctx, t.store, key.Owner); err != nil {
		return err
	}
	if t.header.Repository != key.Repository {
		return fmt.Errorf("open store: %w", manifest.ErrOtherStore)
	}
	if t.trust, err = manifest.LoadTrust(ctx, t.store, t.header); err != nil {
		return err
	}
	for _, d := range t.trust.Refused() {
		t.log.Warn("enrolment counts for nothing", "store", t.name, "key", d.Key, "err", d.Err)
		if d.Key == manifest.PCKey(key.PC) {
			return fmt.Errorf("open store: %s: %w", d.Key, d.Err)
		}
	}
	if !t.trust.Enrolled(key.PC, key.Public()) {
		return fmt.Errorf("open store: %w", ErrNotEnrolled)
	}
	refs, unread, err := manifest.List(ctx, t.store, t.trust, "", nil)
	if err != nil {
		return err
	}
	for _, d := range unread {
		t.log.Warn("record cannot be read", "store", t.name, "key", d.Key, "err", d.Err)
	}
	for _, r := range refs {
		if r.Record.Source == source {
			t.refs = append(t.refs, r)
		}
	}
	if err := t.list(ctx); err != nil {
		return err
	}
	own, err := t.readLeases(ctx, refs, source)
	if err != nil {
		return err
	}
	var bad []manifest.Damaged
	if t.notes, bad, err = manifest.ReadNotes(ctx, t.store, t.trust, source); err != nil {
		return err
	}
	for _, d := range bad {
		t.log.Warn("note cannot be read", "store", t.name, "key", d.Key, "err", d.Err)
	}
	t.number(unread, own, source)
	relied := func(lease time.Time) bool { return policy.Reusable(lease, t.now) }
	return t.openIndex(ctx, key, refs, journal, relied, t.now)
}

// maxSkew is how far the clocks of PC and store may be apart before the snapshot
// says so.
const maxSkew = 15 * time.Minute

// compareClocks asks the store for its time. Where the PC's clock is behind, leases
// are counted from the store's: else objects would be relied on that have lapsed
// already, and new ones would lapse early. A PC whose clock is ahead keeps things
// longer than it must, which loses nothing.
func (t *target) compareClocks(ctx context.Context, now time.Time) error {
	t.now = now
	if t.store.Swept() {
		return nil // nothing goes there by itself, and a sweep compares the clocks first
	}
	at, err := t.store.Time(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask store for its time: %w", err)
	}
	t.skew = at.Sub(now)
	if t.skew.Abs() > maxSkew {
		t.log.Warn("the clocks of this PC and the store are apart", "store", t.name, "store ahead by", t.skew.Round(time.Second))
	}
	if t.skew > maxSkew {
		t.now = at
	}
	return nil
}

// number chooses the sequence number of the next record: above every record that is
// trusted, above those that have lapsed and of which a lease record or a note still
// speaks, lest that be taken for what is said of the new one, and at a place that is
// free. What cannot be trusted may be a record that was damaged, or something that
// somebody put there to use the numbers up, so it only counts where it is near.
func (t *target) number(bad []manifest.Damaged, own []manifest.LeaseRecord, source string) {
	const near = 1000 // that many records were never damaged, or lapsed, in a row
	highest := uint64(0)
	for _, r := range t.refs {
		highest = max(highest, r.Record.Seq)
	}
	taken := make(map[uint64]bool)
	for _, d := range bad {
		if s, seq, ok := manifest.ParseRecordKey(d.Key); ok && s == source {
			taken[seq] = true
		}
	}
	t.nextSeq = highest + 1
	above := func(seq uint64) {
		if seq > highest && seq-highest <= near {
			t.nextSeq = max(t.nextSeq, seq+1)
		}
	}
	for seq := range taken {
		above(seq)
	}
	for _, rec := range own {
		for _, s := range rec.Snapshots {
			above(s.Seq)
		}
	}
	for _, n := range t.notes {
		for _, seq := range n.Snapshots {
			above(seq)
		}
	}
	for taken[t.nextSeq] {
		t.nextSeq++
	}
}

// readLeases learns until when every pack and segment is kept at least, from the
// records, which promise their own expiry, and the lease records. It returns those of
// this source.
func (t *target) readLeases(ctx context.Context, refs []manifest.Ref, source string) (own []manifest.LeaseRecord, err error) {
	t.kept, t.told, t.versions = make(map[pack.Name]time.Time), make(map[pack.Name]time.Time), make(map[pack.Name]providers.Version)
	raise := func(n pack.Name, until time.Time) {
		if until.After(t.kept[n]) {
			t.kept[n] = until
		}
		if o := t.present[n]; until.After(t.told[n]) && (o.Lease.IsZero() || !until.After(o.Lease)) {
			t.told[n] = until
		}
	}
	sources := []string{source}
	for _, r := range refs {
		for _, p := range r.Record.Packs {
			raise(p.Name, r.Record.Expiry.Time)
			if t.versions[p.Name] == "" {
				t.versions[p.Name] = p.Version
			}
		}
		for _, p := range r.Record.Segments {
			raise(p.Name, r.Record.Expiry.Time)
		}
		if !slices.Contains(sources, r.Record.Source) {
			sources = append(sources, r.Record.Source)
		}
	}
	for _, s := range sources {
		recs, _, bad, err := manifest.ReadLeases(ctx, t.store, t.trust, s, "")
		if err != nil {
			return nil, err
		}
		for _, d := range bad {
			t.log.Warn("lease record cannot be read", "store", t.name, "key", d.Key, "err", d.Err)
		}
		for _, l := range recs {
			for _, o := range l.Objects {
				raise(o.Pin.Name, o.Until.Time)
			}
		}
		if s == source {
			own = recs
		}
	}
	t.believeStore(own)
	return own, nil
}

// openIndex loads the segments of the newest snapshot of each source and sets them
// against what the store really lists, so that an object that is gone is stored
// again tonight, while the practice still has its bytes.
func (t *target) openIndex(ctx context.Context, key *seal.UploadKey, refs []manifest.Ref, journal []*pack.Segment, relied func(lease time.Time) bool, now time.Time) error {
	opener, err := key.IndexOpener()
	if err != nil {
		return err
	}
	for _, pin := range newestSegments(refs) {
		s, err := t.loadSegment(ctx, opener, pin, t.kept[pin.Name])
		if errors.Is(err, providers.ErrNotExist) || errors.Is(err, providers.ErrCorrupt) {
			t.log.Warn("index segment is missing or damaged; what it lists is stored again", "store", t.name, "key", manifest.SegmentKey(pin.Name), "err", err)
			continue
		}
		if err != nil {
			return err
		}
		t.segments = append(t.segments, s)
	}
	t.journal = journal
	all := slices.Clone(journal)
	for _, s := range t.segments {
		all = append(all, s.Segment)
	}
	t.index = pack.NewIndex(all...)
	indexed, journaled := make(map[pack.Name]bool), make(map[pack.Name]bool)
	for _, s := range t.segments {
		for i := range s.Packs() {
			indexed[s.Pack(i).Name] = true
		}
	}
	for _, s := range journal {
		for i := range s.Packs() {
			journaled[s.Pack(i).Name] = true
		}
	}
	named := make(map[pack.Name]bool)
	if last, ok := t.last(); ok {
		for _, p := range last.Record.Packs {
			named[p.Name] = true
		}
	}
	t.packs = make([]packState, len(t.index.Packs()))
	for i, p := range t.index.Packs() {
		o, ok := t.present[p.Name]
		if !ok {
			continue
		}
		// Where objects have versions, whoever holds the credentials may put another
		// one on top. The old one is still there for the snapshots that name it.
		if was := t.versions[p.Name]; was != "" && o.Version != "" && was != o.Version {
			t.log.Warn("pack was written over; its chunks are stored again", "store", t.name, "key", o.Key)
			continue
		}
		lease := t.kept[p.Name]
		receipt, err := manifest.Confirm(o, int64(p.Size), lease)
		if err != nil {
			t.log.Warn("pack has another size than it must; its chunks are stored again", "store", t.name, "key", o.Key, "err", err)
			continue
		}
		fresh := journaled[p.Name] && o.Modified.After(now.Add(-t.orphans)) && (o.Lease.IsZero() || relied(o.Lease))
		t.packs[i].receipt, t.packs[i].named = receipt, named[p.Name]
		t.packs[i].usable = fresh || relied(lease)
		t.packs[i].orphan = journaled[p.Name] && !indexed[p.Name]
	}
	return nil
}

// list learns which packs and segments stand in the store.
func (t *target) list(ctx context.Context) error {
	t.present = make(map[pack.Name]providers.Object)
	for _, prefix := range []string{manifest.PackPrefix, manifest.SegmentPrefix} {
		for o, err := range t.store.List(ctx, prefix, "") {
			if err != nil {
				return fmt.Errorf("list store: %w", err)
			}
			n, ok := manifest.ParsePackKey(o.Key)
			if !ok {
				n, ok = manifest.ParseSegmentKey(o.Key)
			}
			if ok {
				t.present[n] = o
			}
		}
	}
	return nil
}

// believeStore corrects what the lease records say by what the store shows: what is
// gone is not kept, and a lease that the store itself tells is true. Whoever has a
// PC's key can sign that everything is kept for years; if that were believed, nothing
// would ever be raised again. What a record says of a snapshot and the store belies
// is no lease that another run need not write down.
func (t *target) believeStore(own []manifest.LeaseRecord) {
	for n, kept := range t.kept {
		o, ok := t.present[n]
		switch {
		case !ok:
			delete(t.kept, n)
		case !o.Lease.IsZero() && o.Lease.Before(kept):
			t.kept[n] = o.Lease
		}
	}
	said := make(map[uint64][]time.Time)
	for _, rec := range own {
		for _, s := range rec.Snapshots {
			said[s.Seq] = append(said[s.Seq], s.Until.Time)
		}
	}
	t.until, t.lasts = make(map[uint64]time.Time), make(map[uint64]time.Time)
	for _, ref := range t.refs {
		seq := ref.Record.Seq
		if said[seq] == nil {
			continue
		}
		most, none := ref.Lease, ref.Lease.IsZero()
		for _, o := range manifest.Needs(ref) {
			if kept := t.kept[o.Pin().Name]; none || kept.Before(most) {
				most, none = kept, false
			}
		}
		for _, until := range said[seq] {
			if !until.After(most) && until.After(t.until[seq]) {
				t.until[seq] = until
			}
			t.lasts[seq] = later(t.lasts[seq], earlier(until, most))
		}
	}
}

// newestSegments returns the segments that the newest record of each source pins,
// those of newer records first.
func newestSegments(refs []manifest.Ref) []manifest.Pin {
	newest := make(map[string]manifest.Record)
	for _, r := range refs {
		if r.Record.Seq > newest[r.Record.Source].Seq {
			newest[r.Record.Source] = r.Record
		}
	}
	var records []manifest.Record
	for _, r := range newest {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b manifest.Record) int {
		if c := b.Time.Compare(a.Time.Time); c != 0 {
			return c
		}
		return bytes.Compare([]byte(a.Source), []byte(b.Source))
	})
	var pins []manifest.Pin
	seen := make(map[pack.Name]bool)
	for _, r := range records {
		for _, p := range r.Segments {
			if !seen[p.Name] {
				seen[p.Name] = true
				pins = append(pins, p)
			}
		}
	}
	return pins
}

// loadSegment opens one. The listing is asked first: a copy that the PC keeps of a
// segment outlives it.
func (t *target) loadSegment(ctx context.Context, opener *seal.Opener, pin manifest.Pin, lease time.Time) (*segment, error) {
	if o, ok := t.present[pin.Name]; !ok {
		return nil, &providers.Error{Op: "get", Key: manifest.SegmentKey(pin.Name), Kind: providers.ErrNotExist}
	} else if o.Size != pin.Size && (pin.Version == "" || o.Version == pin.Version) {
		return nil, &providers.Error{Op: "get", Key: o.Key, Kind: providers.ErrCorrupt}
	}
	s, err := manifest.ReadSegment(ctx, t.store, opener, pin)
	if err != nil {
		return nil, err
	}
	receipt, err := manifest.Confirm(providers.Object{Key: manifest.SegmentKey(pin.Name), Size: pin.Size, Version: pin.Version}, pin.Size, lease)
	if err != nil {
		return nil, err
	}
	return &segment{Segment: s, receipt: receipt}, nil
}

// holds says whether the store has the chunk in a pack that can be relied on, and
// notes that the new snapshot needs that pack.
func (t *target) holds(id pack.ChunkID) bool {
	p := t.find(id)
	if p != nil && !p.used.Load() {
		p.used.Store(true)
	}
	return p != nil
}

// find returns a pack with the chunk that can be relied on, or nil. One that the
// newest snapshot names goes first: where a pack was found damaged and its chunks
// were stored again, the newest snapshot names the new one.
func (t *target) find(id pack.ChunkID) (found *packState) {
	for l := range t.index.All(id) {
		p := &t.packs[l.PackNo]
		switch {
		case !p.usable:
		case p.named:
			return p
		case found == nil:
			found = p
		}
	}
	return found
}

// verify reads every usable pack back and stops relying on those that are damaged
// or gone. It is what a re-upload of a day does first.
func (t *target) verify(ctx context.Context) error {
	var g group
	g.limit(sending)
	for i := range t.packs {
		p := &t.packs[i]
		if !p.usable {
			continue
		}
		g.run(func() error {
			pin := p.receipt.Pin()
			data, err := t.store.Read(ctx, p.receipt.Key(), pin.Version)
			switch {
			case errors.Is(err, providers.ErrNotExist), errors.Is(err, providers.ErrCorrupt),
				err == nil && pack.NameOf(data) != pin.Name:
				p.usable, p.spoilt = false, true
				t.log.Warn("pack is damaged or gone; its chunks are stored again", "store", t.name, "key", p.receipt.Key())
				return nil
			default:
				return err
			}
		})
	}
	return g.wait()
}

// start begins to take packs; each is kept until lease says for its name.
func (t *target) start(ctx context.Context, lease func(pack.Name) time.Time) {
	t.queue = make(chan *sealedPack)
	for range sending {
		t.wg.Go(func() {
			for p := range t.queue {
				t.put(ctx, p, lease(p.name))
				p.refs.Done()
			}
		})
	}
}

func (t *target) put(ctx context.Context, p *sealedPack, lease time.Time) {
	if t.out.Load() || ctx.Err() != nil {
		return
	}
	s, err := manifest.SavePack(ctx, t.store, p.name, p.bytes, lease)
	if err != nil {
		t.fail(fmt.Errorf("store pack: %w", err))
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stored = append(t.stored, s)
	t.entries = append(t.entries, p.entry)
	t.bytes += s.Pin().Size
}

// stop waits until every pack handed over is stored or given up.
func (t *target) stop() {
	close(t.queue)
	t.wg.Wait()
}

// fail takes the store out of this run; the others go on.
func (t *target) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
		t.out.Store(true)
		t.log.Error("store is out of this run", "store", t.name, "err", err)
	}
}

func (t *target) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
