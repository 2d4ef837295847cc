package uploader

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/uploader/chunk"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// rereadDays is within how many days every file is read again, whatever its date
// says, so that silent rot and tampering behind an old date are found.
const rereadDays = 7

// spansPerWorker is enough for each reader to hold two while it moves on, and each
// worker one.
const spansPerWorker = 3

// file is what the snapshot says of one regular file of the set.
type file struct {
	kind   chunk.Kind
	partly uint8 // how often in a row it had changed in part
	read   int64 // when it was last read, seconds since 1970
	sha256 [32]byte
	ids    []pack.ChunkID
	old    []byte // where ids is nil: chunk ids as they are remembered
}

func (f *file) chunks() []pack.ChunkID {
	if f.ids != nil {
		return f.ids
	}
	return chunkIDs(f.old)
}

// work says what is to be read. files has one entry for each entry of the set.
type work struct {
	files []file
	todo  []int        // entries to be read
	same  map[int]bool // those of them that nothing shows to have changed
	bytes int64
}

// plan decides which files need not be read: those whose size, dates and id are as
// remembered, whose chunks every store holds, and whose weekly turn it is not.
func (r *run) plan() *work {
	w := &work{files: make([]file, r.set.Len()), same: make(map[int]bool)}
	for i := range r.set.Len() {
		e := r.set.At(i)
		if e.Type != source.TypeFile {
			continue
		}
		old, ok := r.memory.find(r.pathHash(e.Path))
		same := ok && old.Size == e.Size && old.Mtime == e.ModTime && old.Changed == e.ChangeTime && old.ID == e.ID.Index
		if same && !r.cfg.ReadAll && !r.due(e.Path, old.Read) && r.covered(&old) && !r.wants(i) {
			w.files[i] = file{kind: old.Kind, partly: old.Partly, read: old.Read, sha256: old.SHA256, old: old.ids}
			continue
		}
		if same {
			w.same[i] = true
		}
		w.todo = append(w.todo, i)
		w.bytes += e.Size
	}
	return w
}

// due says whether it is a file's turn to be read again although nothing about it
// seems to have changed. Turns are spread over the days of a week by the path.
func (r *run) due(path string, last int64) bool {
	const day = 24 * 60 * 60
	age := r.now.Unix() - last
	if age >= rereadDays*day-day/2 || age < 0 { // a turn was missed: the PC was off, or the run late
		return true
	}
	hash := r.pathHash(path)
	return age >= day/2 && (r.now.Unix()/day)%rereadDays == int64(hash[15])%rereadDays
}

// upload reads what must be read and sends what the stores lack, then the file
// table. It returns what the snapshot says of every file.
func (r *run) upload(ctx context.Context, w *work, res *Result) (*contents, error) {
	if r.progress.Total != nil {
		r.progress.Total(w.bytes)
	}
	for _, t := range r.live() {
		var err error
		if t.life, err = r.decide(t, r.passed.Verdict().String()); err != nil {
			return nil, err
		}
		t.start(ctx, func(n pack.Name) time.Time { return r.leaseFor(t.life.until, n) })
	}
	started := r.live()
	r.packer = newPacker(r.sealer, r.journal, r.deliver)
	err := r.pass(ctx, w, res)
	var table manifest.Table
	if err == nil {
		if table, err = r.table(ctx, w.files); err == nil {
			err = r.packer.flush(ctx)
		}
	}
	for _, t := range started {
		t.stop()
	}
	if err == nil {
		err = r.anyLeft(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &contents{files: w.files, table: table, rotted: res.Rotted}, nil
}

// contents is what a committed snapshot will hold.
type contents struct {
	files  []file
	table  manifest.Table
	rotted int              // files whose bytes changed behind their date
	found  []verify.Finding // of the observer
}

// pass reads the files of w.todo, several at a time.
func (r *run) pass(ctx context.Context, w *work, res *Result) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n := r.cfg.Workers
	spans := n * spansPerWorker
	r.free, r.spans = make(chan *span, spans), make(chan *span, n)
	for range spans {
		r.free <- &span{buf: make([]byte, spanSize)}
	}
	var workers, readers group
	for range n {
		workers.run(func() error {
			err := r.newWorker().spans(ctx)
			if err != nil {
				cancel(err)
			}
			return err
		})
	}
	col := &collector{run: r, work: w, reads: make([]*read, len(w.todo))}
	var next atomic.Int64
	for range n {
		readers.run(func() error {
			err := col.readFiles(ctx, r.newReader(), &next)
			if err != nil {
				cancel(err)
			}
			return err
		})
	}
	rerr := readers.wait()
	close(r.spans)
	werr := workers.wait()
	r.free, r.spans = nil, nil
	res.Unread = col.unread
	for _, err := range []error{context.Cause(ctx), rerr, werr} {
		if err != nil {
			return err
		}
	}
	if len(col.unread) > 0 {
		return fmt.Errorf("%w: %d of them", ErrUnreadable, len(col.unread))
	}
	res.Rotted = col.finish()
	return nil
}

// collector gathers what the readers found.
type collector struct {
	run   *run
	work  *work
	reads []*read // one for each of work.todo; written by the reader that took it

	mu     sync.Mutex // guards unread
	unread []Unread
}

func (c *collector) readFiles(ctx context.Context, rd *reader, next *atomic.Int64) error {
	for {
		i := int(next.Add(1)) - 1
		if i >= len(c.work.todo) {
			return rd.flush(ctx)
		}
		entry := c.work.todo[i]
		got, err := rd.file(ctx, entry)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, source.ErrChanged):
			return fmt.Errorf("%w: %w", ErrUnsettled, err)
		case err != nil:
			c.mu.Lock()
			c.unread = append(c.unread, Unread{Path: c.run.set.At(entry).Path, Err: err})
			c.mu.Unlock()
		default:
			c.reads[i] = got
		}
	}
}

// finish turns what was read into the files of the snapshot. It returns how many
// files have other bytes although nothing else about them changed.
func (c *collector) finish() (rotted int) {
	now := c.run.now.Unix()
	for i, got := range c.reads {
		f := &c.work.files[got.entry]
		old, known := c.run.memory.find(c.run.pathHash(c.run.set.At(got.entry).Path))
		*f = file{kind: got.kind, read: now, sha256: got.sha256}
		switch {
		case got.same:
			f.old = old.ids
		case len(got.ids) == 1:
			f.ids = got.ids[0]
		default:
			f.ids = slices.Concat(got.ids...)
		}
		if known && c.work.same[got.entry] && old.SHA256 != got.sha256 {
			rotted++
		}
		if known {
			f.learn(&old)
		}
		c.reads[i] = nil
	}
	return rotted
}

// learnAfter is how often in a row a file must have changed in part before it
// is taken for one that is rewritten in place. Cutting it anew costs storing it once
// more, so one edit of a document is not enough.
const learnAfter = 2

// learn notes whether a file of a kind that is written once was changed in part
// after all: then some of its chunks are still those of before. Such a file is a
// database of a format that is not known, and is cut finely from the next run on.
func (f *file) learn(old *remembered) {
	if f.kind != chunk.WriteOnce || f.old != nil || f.sha256 == old.SHA256 {
		f.partly = old.Partly
		return
	}
	if !sharesChunk(old.ids, f.ids) {
		return // replaced altogether, which says nothing; the count begins anew
	}
	f.partly = min(old.Partly+1, 15)
	if f.partly < learnAfter {
		return
	}
	f.kind = chunk.Volatile
	if old.Kind == chunk.WriteOnce && old.Size%pagedUnit == 0 {
		f.kind = chunk.Paged
	}
}

// pagedUnit divides the length of every file that consists of pages.
const pagedUnit = 4096

func sharesChunk(old []byte, ids []pack.ChunkID) bool {
	had := make(map[pack.ChunkID]bool, len(old)/16)
	for _, id := range chunkIDs(old) {
		had[id] = true
	}
	return slices.ContainsFunc(ids, func(id pack.ChunkID) bool { return had[id] })
}

// table writes the file table into packs of its own class.
func (r *run) table(ctx context.Context, files []file) (manifest.Table, error) {
	w := r.newWorker()
	b := manifest.TableBuilder{
		Put: func(plain []byte) (pack.ChunkID, error) {
			id := pack.ChunkID(r.namer.Chunk(plain))
			return id, w.chunk(ctx, pack.Table, id, plain)
		},
		Cut: func(path string) bool { h := r.pathHash(path); return h[14]%128 == 0 },
	}
	for i := range files {
		row := rowOf(r.set.At(i))
		if row.Type == 0 {
			continue
		}
		if row.Type == manifest.File {
			row.SHA256, row.Chunks = files[i].sha256, files[i].chunks()
		}
		if err := b.Add(row); err != nil {
			return manifest.Table{}, err
		}
	}
	t, err := b.Finish()
	if err != nil {
		return t, err
	}
	return t, w.flush(ctx)
}

// rowOf is the part of a row that needs no reading. Sockets, pipes and devices
// have none.
func rowOf(e source.Entry) manifest.Row {
	row := manifest.Row{Path: e.Path, Mode: e.Mode, Mtime: e.ModTime, Attrs: e.Attributes}
	if runtime.GOOS != "windows" {
		row.Owner = &manifest.Owner{UID: e.UID, GID: e.GID}
	}
	switch e.Type {
	case source.TypeFile:
		row.Type, row.Size = manifest.File, e.Size
	case source.TypeDir:
		row.Type = manifest.Folder
	case source.TypeSymlink:
		row.Type, row.Target = manifest.Link, e.LinkTarget
	}
	return row
}
