package restore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"offsite/manifest"
	"offsite/providers"
)

// errRows: a snapshot's file table, or a file in it, is not as it must be, though
// no object is to blame.
var errRows = errors.New("the file table and what is stored do not fit together")

// keptAhead bounds the bytes of files whose chunks come before their turn.
const keptAhead = 48 << 20

// dryRun makes a restorer compare files instead of writing them. Every pack is read
// once for the windows of files that need it, and proved whole the first time.
type dryRun struct {
	c      *checker
	source *objects
	packs  map[string]*need // by key
	known  map[[sha256.Size]byte]struct{}
	ref    int
	kept   atomic.Int64
	hashed atomic.Int64 // files
	loose  atomic.Int64 // files whose chunks came in too strange an order

	mu  sync.Mutex // guards bad
	bad int64      // files of the present snapshot that are not what they were, though all objects are well
	err error      // of the first
}

// bytes proves every pack and every file.
func (c *checker) bytes(ctx context.Context) error {
	d := &dryRun{c: c, source: newObjects(c.store, c.opt.Opener, nil), packs: make(map[string]*need), known: make(map[[sha256.Size]byte]struct{})}
	total := int64(0)
	for _, n := range c.needs {
		if n.pack {
			d.packs[n.key] = n
			total += n.pin.Size
		}
	}
	c.opt.Progress.total(total)
	for i := range c.refs {
		if err := d.snapshot(ctx, i); err != nil {
			return err
		}
	}
	c.report.Files, c.report.Unhashed = d.hashed.Load(), d.loose.Load()
	// What no file needs: packs of file tables, and those with chunks of other days.
	rest := c.sorted(func(n *need) bool { return n.pack && !n.proved })
	free := make(chan *rooms, c.opt.Workers)
	for range c.opt.Workers {
		free <- new(rooms)
	}
	return forEach(ctx, len(rest), c.opt.Workers, func(ctx context.Context, i int) error {
		room := <-free
		_, err := d.open(ctx, rest[i].pin, room)
		free <- room
		if isDamage(err) {
			return nil
		}
		return err
	})
}

// snapshot follows one snapshot from its record to the last byte of its last file.
func (d *dryRun) snapshot(ctx context.Context, ref int) error {
	s, err := Open(ctx, d.c.store, d.c.opt.Opener, d.c.refs[ref])
	if err != nil {
		return d.broken(ref, err)
	}
	d.ref, d.bad, d.err = ref, 0, nil
	r := &restorer{s: s, opt: Options{Workers: d.c.opt.Workers, Log: slog.New(slog.DiscardHandler)}, dry: d,
		chunks: s.newChunks(), packNo: make(map[int32]int32)}
	rows, lost := int64(0), error(nil)
	for row, err := range s.rows(ctx, r.chunks, 0) {
		if err != nil {
			if !isDamage(err) {
				return err
			}
			lost = err
			continue
		}
		rows++
		if row.Type != manifest.File || d.knows(row) {
			continue
		}
		if err := r.planChunks(ctx, row); err != nil {
			return err
		}
		if err := r.workIfFull(ctx); err != nil {
			return err
		}
	}
	if err := r.work(ctx); err != nil {
		return err
	}
	d.damage(s)
	if lost == nil && rows != s.ref.Record.Table.Rows {
		lost = fmt.Errorf("%d rows, the record says %d", rows, s.ref.Record.Table.Rows)
	}
	if lost != nil {
		return d.broken(ref, lost)
	}
	if d.bad > 0 {
		return d.broken(ref, fmt.Errorf("%w: %d files: %w", ErrDamaged, d.bad, d.err))
	}
	return nil
}

// knows reports whether a file of the same content and chunks was compared already.
func (d *dryRun) knows(row *Entry) bool {
	h := sha256.New()
	h.Write(row.SHA256[:])
	fmt.Fprint(h, row.Size, row.Lists)
	for _, id := range row.Chunks {
		h.Write(id[:])
	}
	sum := [sha256.Size]byte(h.Sum(nil))
	_, ok := d.known[sum]
	d.known[sum] = struct{}{}
	return ok
}

// damage passes on what a snapshot found to be damaged: segments, and packs of its
// file table.
func (d *dryRun) damage(s *Snapshot) {
	for _, found := range s.Damage() {
		for _, n := range d.c.needs {
			if n.key == found.Key {
				d.c.fail(n, found.Err)
			}
		}
	}
}

// broken notes that a snapshot cannot be had whole. Where an object that it needs is
// to blame, that is a finding already.
func (d *dryRun) broken(ref int, err error) error {
	if !isDamage(err) && !errors.Is(err, errRows) && providers.KindOf(err) != nil {
		return err
	}
	if errors.As(err, new(wrongKey)) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	for _, n := range d.c.needs {
		if n.pack && !n.well() {
			for _, i := range n.refs {
				if i == ref {
					return nil
				}
			}
		}
	}
	d.c.find(d.c.refs[ref].Key, adviceTable, fmt.Errorf("%w: %w", errRows, err), ref)
	return nil
}

// open fetches a pack whole and, the first time, proves all of it.
func (d *dryRun) open(ctx context.Context, pin manifest.Pin, room *rooms) (*opened, error) {
	n := d.packs[manifest.PackKey(pin.Name)]
	p, err := d.source.whole(ctx, pin, true, &room.pack)
	d.c.mu.Lock()
	d.c.report.Bytes += pin.Size
	first := !n.proved
	n.proved = true
	d.c.mu.Unlock()
	if first {
		d.c.opt.Progress.done(pin.Size)
	}
	if err == nil && first {
		room.frame, err = d.c.provePack(p, room.frame)
	}
	if err != nil && isDamage(err) {
		d.c.fail(n, err)
	}
	return p, err
}

// fail notes a file that could not be put together.
func (d *dryRun) fail(p *Problem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bad++; d.err == nil {
		d.err = p.Err
	}
}

// take hashes a chunk when its turn has come, or keeps it until then.
func (d *dryRun) take(f *file, at int64, b []byte) {
	s := span{at, int64(len(b))}
	f.mu.Lock()
	if f.loose {
		f.mu.Unlock()
		return
	}
	if f.hashing || at != f.hashed {
		if d.kept.Add(s.n) > keptAhead {
			d.kept.Add(-s.n)
			d.let(f)
		} else {
			if f.kept == nil {
				f.kept = make(map[int64][]byte)
			}
			f.kept[at] = append([]byte(nil), b...)
		}
		f.mu.Unlock()
		return
	}
	if f.hash == nil {
		f.hash = sha256.New()
	}
	f.hashing = true
	for b != nil {
		f.mu.Unlock()
		f.hash.Write(b)
		f.mu.Lock()
		f.hashed += int64(len(b))
		b = f.kept[f.hashed]
		delete(f.kept, f.hashed)
		d.kept.Add(-int64(len(b)))
	}
	f.hashing = false
	f.mu.Unlock()
}

// let gives up hashing a file as a whole; f.mu is held.
func (d *dryRun) let(f *file) {
	f.loose = true
	for _, b := range f.kept {
		d.kept.Add(-int64(len(b)))
	}
	f.kept = nil
}

// done notes a file that was compared.
func (d *dryRun) done(f *file) {
	if f.loose {
		d.loose.Add(1)
	} else {
		d.hashed.Add(1)
	}
}
