package uploader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/providers"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

const (
	// manySegments is how many index segments a store may have before the small ones
	// are merged into one. Every run opens them all.
	manySegments = 24
	// smallSegment is the number of entries up to which a segment is merged.
	smallSegment = 256 << 10
	// raising is how many leases are raised at a time.
	raising = 8
	// sampled is how many of the new packs are read back after the commit.
	sampled = 2
)

// last returns the newest snapshot of this source in the store.
func (t *target) last() (manifest.Ref, bool) {
	if len(t.refs) == 0 {
		return manifest.Ref{}, false
	}
	return t.refs[len(t.refs)-1], true
}

// lastOf returns the newest snapshot of this source and of a day in the store.
func (t *target) lastOf(date string) (manifest.Ref, bool) {
	for _, ref := range slices.Backward(t.refs) {
		if ref.Record.Date == date {
			return ref, true
		}
	}
	return manifest.Ref{}, false
}

// findDone finds the stores that already have this very set as this very day, whole
// as far as can be seen. They get no second record of it, also when other days came
// since: a disk of last week that is in its place again is nothing new.
func (r *run) findDone(c *contents) {
	if r.cfg.ReadAll {
		return
	}
	for _, t := range r.live() {
		last, ok := t.lastOf(r.date.String())
		t.done = ok && last.Record.Table.Root == c.table.Root && last.Record.Verdict == r.verdict(c) && t.reliesOn(&last.Record)
	}
}

// reliesOn says whether the store needs nothing for the new snapshot but what the
// record names already. It is false after something was found missing or damaged.
func (t *target) reliesOn(rec *manifest.Record) bool {
	named := make(map[pack.Name]bool, len(rec.Packs))
	for _, p := range rec.Packs {
		named[p.Name] = true
	}
	for i := range t.packs {
		if t.packs[i].used.Load() && !named[t.packs[i].receipt.Pin().Name] {
			return false
		}
	}
	opened := make(map[pack.Name]bool, len(t.segments))
	for _, s := range t.segments {
		opened[s.receipt.Pin().Name] = true
	}
	for _, p := range rec.Segments {
		if !opened[p.Name] {
			return false
		}
	}
	return len(t.entries) == 0
}

// verdict is that of the judged set, unless reading it brought up worse.
func (r *run) verdict(c *contents) string {
	if c.rotted > 0 || slices.ContainsFunc(c.found, func(f verify.Finding) bool { return f.Level == verify.LevelSuspect }) {
		return manifest.Suspect
	}
	return r.passed.Verdict().String()
}

// secure writes the index segments of what is new and makes sure that everything
// the snapshot relies on is kept as long as it. What it does is written down in a
// lease record. After an error the store is out of this run.
func (r *run) secure(ctx context.Context, t *target) {
	expiry := r.secured(t)
	t.expiry = expiry
	err := r.raisePacks(ctx, t, expiry)
	if err == nil {
		err = r.indexNew(ctx, t, expiry)
	}
	if err == nil {
		for _, s := range t.stored {
			t.leased = append(t.leased, s.ObjectLease())
		}
		err = r.writeLeases(ctx, t, nil)
	}
	if err != nil {
		t.fail(err)
	}
}

// raisePacks raises the lease of every pack in use that is kept too short.
func (r *run) raisePacks(ctx context.Context, t *target, expiry time.Time) error {
	var g group
	g.limit(raising)
	for i := range t.packs {
		p := &t.packs[i]
		if !p.used.Load() {
			continue
		}
		g.run(func() (err error) {
			p.receipt, err = r.extend(ctx, t, p.receipt, expiry)
			return err
		})
	}
	return g.wait()
}

// extend returns the receipt of an object that is kept until expiry at least.
func (r *run) extend(ctx context.Context, t *target, s manifest.Stored, expiry time.Time) (manifest.Stored, error) {
	if !s.Lease().Before(expiry) {
		t.writeDown(s, expiry)
		return s, nil
	}
	s, err := s.Extend(ctx, t.store, r.leaseFor(expiry, s.Pin().Name))
	if errors.Is(err, providers.ErrNotExist) {
		return s, fmt.Errorf("raise lease: an object vanished during the run; the next run stores it again: %w", err)
	}
	if err != nil {
		return s, fmt.Errorf("raise lease: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.raised++
	t.kept[s.Pin().Name], t.told[s.Pin().Name] = s.Lease(), s.Lease()
	t.leased = append(t.leased, s.ObjectLease())
	return s, nil
}

// writeDown notes the lease of an object that is relied on until then where no record
// that can be true says as much: somebody raised it and crashed, and somebody else
// signed that it is kept for years. The next run then finds it written.
func (t *target) writeDown(s manifest.Stored, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := s.Pin().Name; t.told[n].Before(until) && !t.kept[n].Before(until) {
		t.told[n] = t.kept[n]
		t.leased = append(t.leased, s.ObjectLease())
	}
}

// indexNew decides which segments the record names: those committed before that
// are still needed, with leases raised, and new ones for what this run and crashed
// ones before it stored. When there are many small ones, they become one.
func (r *run) indexNew(ctx context.Context, t *target, expiry time.Time) error {
	used, usable, spoilt := make(map[pack.Name]bool), make(map[pack.Name]bool), make(map[pack.Name]bool)
	for i, p := range t.index.Packs() {
		used[p.Name], usable[p.Name], spoilt[p.Name] = t.packs[i].used.Load(), t.packs[i].usable, t.packs[i].spoilt
	}
	// A segment stays as long as any of its packs can be relied on, whether this
	// snapshot needs it or not: after a night on which the images were missing from the
	// set, they must not all be sent again.
	// One that lists a damaged pack is written anew without it: a listing does not
	// show the damage, and the next run must not rely on that pack.
	keep := t.segments[:0]
	var anew []*pack.Segment
	indexed := make(map[pack.Name]bool)
	for _, s := range t.segments {
		for i := range s.Packs() {
			indexed[s.Pack(i).Name] = true
		}
		switch {
		case holdsAny(s.Segment, func(n pack.Name) bool { return spoilt[n] }):
			anew = append(anew, s.Segment)
		case holdsAny(s.Segment, func(n pack.Name) bool { return usable[n] }):
			keep = append(keep, s)
		}
	}
	t.segments = keep
	plain, err := pack.EncodeSegments(t.entries)
	if err != nil {
		return err
	}
	merge, err := parseSegments(plain)
	if err != nil {
		return err
	}
	// Packs of crashed runs that the snapshot uses are in no segment yet.
	orphan := func(n pack.Name) bool { return used[n] && !indexed[n] }
	if old := slices.DeleteFunc(slices.Clone(t.journal), func(s *pack.Segment) bool { return !holdsAny(s, orphan) }); len(old) > 0 {
		merge = append(merge, old...)
	}
	wanted := make(map[pack.Name]bool)
	for _, e := range t.entries {
		wanted[e.Name] = true
	}
	if len(t.segments) >= manySegments {
		t.segments = slices.DeleteFunc(t.segments, func(s *segment) bool {
			if s.Len() > smallSegment {
				return false
			}
			anew = append(anew, s.Segment)
			return true
		})
	}
	for _, s := range anew { // what has lapsed or was lost is forgotten here
		for i := range s.Packs() {
			if n := s.Pack(i).Name; usable[n] {
				wanted[n] = true
			}
		}
	}
	merge = append(merge, anew...)
	if err := r.saveSegments(ctx, t, func(n pack.Name) bool { return wanted[n] || orphan(n) }, merge, expiry); err != nil {
		return err
	}
	for _, s := range t.segments {
		if s.receipt, err = r.extend(ctx, t, s.receipt, expiry); err != nil {
			return err
		}
	}
	return nil
}

// needsJournal says whether the journal alone knows of packs that can be relied on:
// those of a run that was stopped, which this snapshot did not need, but the next
// one may. After journalTrust they cannot.
func (t *target) needsJournal() bool {
	for i := range t.packs {
		if p := &t.packs[i]; p.orphan && p.usable && !p.used.Load() {
			return true
		}
	}
	return false
}

func parseSegments(plain [][]byte) ([]*pack.Segment, error) {
	out := make([]*pack.Segment, 0, len(plain))
	for _, p := range plain {
		s, err := pack.ParseSegment(p)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func holdsAny(s *pack.Segment, want func(pack.Name) bool) bool {
	for i := range s.Packs() {
		if want(s.Pack(i).Name) {
			return true
		}
	}
	return false
}

// saveSegments merges, seals and stores segments.
func (r *run) saveSegments(ctx context.Context, t *target, keep func(pack.Name) bool, merge []*pack.Segment, expiry time.Time) error {
	if len(merge) == 0 {
		return nil
	}
	for plain, err := range pack.Merge(keep, merge...) {
		if err != nil {
			return fmt.Errorf("merge index segments: %w", err)
		}
		sealed, err := r.sealer.Index(nil, plain)
		if err != nil {
			return err
		}
		s, err := manifest.SaveSegment(ctx, t.store, sealed, r.leaseFor(expiry, pack.NameOf(sealed)))
		if err != nil {
			return fmt.Errorf("store index segment: %w", err)
		}
		t.newSegments = append(t.newSegments, s)
		t.leased = append(t.leased, s.ObjectLease())
		t.bytes += s.Pin().Size
	}
	return nil
}

func (r *run) writeLeases(ctx context.Context, t *target, snapshots []manifest.SnapshotLease) error {
	if len(t.leased) == 0 && len(snapshots) == 0 {
		return nil
	}
	slices.SortFunc(t.leased, func(a, b manifest.ObjectLease) int { return bytes.Compare(a.Pin.Name[:], b.Pin.Name[:]) })
	rec := manifest.LeaseRecord{Format: manifest.FormatVersion, Repository: r.cfg.Key.Repository, Source: r.cfg.Source,
		PC: r.cfg.Key.PC, Time: manifest.At(r.now), Objects: t.leased, Snapshots: snapshots}
	t.leased = nil
	return manifest.WriteLeases(ctx, t.store, rec, r.cfg.Key.Signing)
}

// recheck lists the source again. Whatever differs makes the set void.
func (r *run) recheck(ctx context.Context, res *Result) error {
	changes, err := r.set.Recheck(ctx)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return nil
	}
	for _, c := range changes {
		res.Changed = append(res.Changed, c.Path)
	}
	return fmt.Errorf("%w: %d files or folders differ", ErrUnsettled, len(changes))
}

// settled looks whether files could not be read because they changed or went away
// meanwhile: then the set is void, and nobody need look for missing rights.
func (r *run) settled(ctx context.Context, res *Result, err error) error {
	if !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrUnsettled) {
		return err
	}
	if changed := r.recheck(ctx, res); errors.Is(changed, ErrUnsettled) {
		return changed
	}
	return err
}

// commit writes the record.
func (r *run) commit(ctx context.Context, t *target, c *contents) {
	life := t.life
	if v := r.verdict(c); v != r.passed.Verdict().String() {
		var err error
		if life, err = r.decide(t, v); err != nil {
			t.fail(err)
			return
		}
	}
	expiry := life.until // of a suspect one less may be left than was secured
	if t.expiry.Before(expiry) {
		expiry = t.expiry
	}
	totals := r.set.Totals()
	rec := manifest.Record{
		Format: manifest.FormatVersion, Repository: r.cfg.Key.Repository, Source: r.cfg.Source, PC: r.cfg.Key.PC,
		Seq: t.nextSeq, Time: manifest.At(t.now), Date: r.date.String(), Revision: t.revision(r.date.String()),
		Zone: r.cfg.Calendar.Zone().String(), Profile: r.passed.Report().Profile(), Verdict: r.verdict(c), Findings: r.findings(t, c),
		Counts: manifest.Counts{Files: int64(totals.Files), Folders: int64(totals.Dirs), Links: int64(totals.Symlinks),
			Bytes: totals.Bytes, NewBytes: r.fresh.Load(), Stored: t.bytes},
		Table: c.table, Expiry: manifest.At(expiry), Classes: life.classes,
	}
	if last, ok := t.last(); ok && last.Record.Seq == rec.Seq-1 {
		rec.Prev = last.Digest
	}
	packs := slices.Clone(t.stored)
	for i := range t.packs {
		if t.packs[i].used.Load() {
			packs = append(packs, t.packs[i].receipt)
		}
	}
	segments := slices.Clone(t.newSegments)
	for _, s := range t.segments {
		segments = append(segments, s.receipt)
	}
	lease := r.leaseFor(expiry, pack.NameOf([]byte(manifest.RecordKey(rec.Source, rec.Seq))))
	ref, err := manifest.Commit(ctx, t.store, rec, packs, segments, r.cfg.Key.Signing, lease)
	if err != nil {
		t.fail(err)
		return
	}
	t.ref = ref
	t.refs = append(t.refs, ref)
	t.bytes += ref.Size
}

// findings are those of the judged set and what reading it brought up.
func (r *run) findings(t *target, c *contents) []manifest.Finding {
	var out []manifest.Finding
	if t.skew.Abs() > maxSkew {
		out = append(out, manifest.Finding{Check: "clock", Level: verify.LevelWarning.String(), Measured: "store ahead by " + t.skew.Round(time.Second).String(), Limit: maxSkew.String()})
	}
	for _, f := range slices.Concat(r.passed.Report().Findings(), c.found) {
		out = append(out, manifest.Finding{Check: f.Check, Level: f.Level.String(), Measured: f.Measured, Limit: f.Limit, Count: int64(f.Count)})
	}
	if c.rotted > 0 {
		out = append(out, manifest.Finding{Check: "changed-behind-date", Level: manifest.Suspect, Measured: fmt.Sprint(c.rotted), Limit: "0", Count: int64(c.rotted)})
	}
	return out
}

// readBack reads the record and a sample of the new packs as they now stand in the
// store. A difference is an error of the store: the day must not be relied on.
func (r *run) readBack(ctx context.Context, t *target) {
	if t.ref.Key == "" {
		return
	}
	data, err := t.store.Fresh(ctx, t.ref.Key, t.ref.Version)
	if err == nil && !t.ref.Is(data) {
		err = fmt.Errorf("%w: %s is not what was written", providers.ErrCorrupt, t.ref.Key)
	}
	if err == nil {
		err = r.sample(ctx, t)
	}
	if err != nil {
		t.fail(fmt.Errorf("read back what was committed: %w", err))
	}
}

func (r *run) sample(ctx context.Context, t *target) error {
	packs := slices.Clone(t.stored)
	// Names are hashes of sealed bytes: their order is as good as random.
	slices.SortFunc(packs, func(a, b manifest.Stored) int {
		x, y := a.Pin().Name, b.Pin().Name
		return slices.Compare(x[:], y[:])
	})
	for _, s := range packs[:min(sampled, len(packs))] {
		data, err := t.store.Read(ctx, s.Key(), s.Pin().Version)
		if err != nil {
			return err
		}
		if pack.NameOf(data) != s.Pin().Name {
			return fmt.Errorf("%w: %s is not what was written", providers.ErrCorrupt, s.Key())
		}
	}
	return nil
}

// remember saves what the next run need not read again. The journal ends when
// every store has committed what it lists.
func (r *run) remember(c *contents) error {
	committed := 0
	for _, t := range r.targets {
		if t.ref.Key != "" || t.done {
			committed++
		}
	}
	if committed == 0 {
		return nil
	}
	w := newMemoryWriter(r.memoryHead(), len(c.files))
	for i := range c.files {
		e := r.set.At(i)
		if e.Type != source.TypeFile {
			continue
		}
		f := &c.files[i]
		w.add(r.pathHash(e.Path), remembered{Size: e.Size, Mtime: e.ModTime, Changed: e.ChangeTime, ID: e.ID.Index,
			Read: f.read, Kind: f.kind, Partly: f.partly, SHA256: f.sha256}, f.chunks())
	}
	if err := w.save(r.path("files")); err != nil {
		return err
	}
	if committed < len(r.targets) || slices.ContainsFunc(r.targets, (*target).needsJournal) {
		return nil
	}
	return r.journal.clear()
}
