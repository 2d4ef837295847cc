package uploader

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"

	"offsite/manifest/pack"
	"offsite/uploader/chunk"
	"offsite/uploader/source"
)

const (
	// spanSize is how much a reader hands on at a time. It holds the longest chunk,
	// so a chunk always lies in one span.
	spanSize = chunk.MaxLen
	// compareSize is how much is read at a time where only the hash is wanted.
	compareSize = 256 << 10
	// together is how much is hashed before the observer sees it: as much as the
	// processor's nearest caches hold.
	together = 64 << 10
)

// span is one buffer of plain bytes on its way from a reader to a chunk worker.
// It holds pieces of one or several files. Whoever received it last owns it.
type span struct {
	buf    []byte
	used   int
	pieces []piece
}

// piece is a run of whole chunks of one file. The worker that gets it fills ids.
type piece struct {
	kind chunk.Kind
	data []byte
	lens []int
	ids  []pack.ChunkID
}

// read is one file as it was read. The workers fill in the chunk ids; they are
// complete when the pass over the files has ended.
type read struct {
	entry  int // number in the set
	kind   chunk.Kind
	sha256 [32]byte
	same   bool             // the bytes are those remembered, and so are their chunks
	ids    [][]pack.ChunkID // of each piece, in order
}

// reader reads files and cuts them into chunks. It belongs to one goroutine.
type reader struct {
	run  *run
	cur  *span
	hash hash.Hash
}

func (r *run) newReader() *reader { return &reader{run: r, hash: sha256.New()} }

// room gives the current span at least want free bytes, of which the first left
// are those that lie behind its used part now.
func (rd *reader) room(ctx context.Context, left, want int) error {
	if rd.cur != nil && len(rd.cur.buf)-rd.cur.used >= want {
		return nil
	}
	var next *span
	select {
	case next = <-rd.run.free:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	next.used, next.pieces = 0, next.pieces[:0]
	if left > 0 {
		copy(next.buf, rd.cur.buf[rd.cur.used:][:left])
	}
	err := rd.flush(ctx)
	rd.cur = next
	return err
}

// flush hands the current span to the workers.
func (rd *reader) flush(ctx context.Context) error {
	s := rd.cur
	rd.cur = nil
	switch {
	case s == nil:
		return nil
	case len(s.pieces) == 0:
		rd.run.free <- s // has room for every span there is
		return nil
	}
	select {
	case rd.run.spans <- s:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// file reads the file of one entry whole. An error concerns this file alone,
// unless ctx has ended.
func (rd *reader) file(ctx context.Context, entry int) (*read, error) {
	e := rd.run.set.At(entry)
	f, err := rd.run.set.Open(e)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	got := &read{entry: entry}
	old, known := rd.run.memory.find(rd.run.pathHash(e.Path))
	// The same but for its times is the commonest case of all where the practice
	// system copies its data anew every night, and the hash alone proves it.
	// Databases are expected to differ and are cut at once.
	if known && old.Size == e.Size && old.Kind == chunk.WriteOnce && rd.run.stored(&old) && !rd.run.wants(entry) {
		if got.same, err = rd.compare(ctx, f, old.SHA256); err != nil {
			return nil, err
		}
		if got.same && rd.run.covered(&old) {
			got.kind, got.sha256 = old.Kind, old.SHA256
			return got, f.Unchanged()
		}
		got.same = false
	}
	if known {
		got.kind = old.Kind // what was learned of a file counts for more than its name
	}
	if err := rd.cut(ctx, f, e, got); err != nil {
		return nil, err
	}
	return got, f.Unchanged()
}

// compare says whether the file still has the bytes with this SHA-256.
func (rd *reader) compare(ctx context.Context, f *source.File, want [32]byte) (bool, error) {
	if err := rd.room(ctx, 0, compareSize); err != nil {
		return false, err
	}
	buf := rd.cur.buf[rd.cur.used:][:compareSize]
	rd.hash.Reset()
	for off := int64(0); off < f.Size(); {
		n, err := f.ReadAt(buf[:min(f.Size()-off, compareSize)], off)
		if n == 0 {
			return false, shortRead(err)
		}
		rd.hash.Write(buf[:n])
		off += int64(n)
		rd.run.countRead(n)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	var sum [32]byte
	rd.hash.Sum(sum[:0])
	return sum == want, nil
}

// cut reads the file into spans and cuts it there. It reads exactly as many bytes
// as were listed; that there are no more is seen when the file is looked at again.
func (rd *reader) cut(ctx context.Context, f io.Reader, e source.Entry, got *read) (err error) {
	rd.hash.Reset()
	watch := rd.run.observer(got.entry)
	defer func() { err = errors.Join(err, watch.Close()) }()
	left := 0 // bytes of an unfinished chunk behind the used part of the span
	for todo := e.Size; todo > 0; {
		want := int(min(int64(left)+todo, spanSize))
		if err := rd.room(ctx, left, want); err != nil {
			return err
		}
		b := rd.cur.buf[rd.cur.used:]
		b = b[:min(int64(len(b)), int64(left)+todo)]
		fresh := b[left:]
		if _, err := io.ReadFull(f, fresh); err != nil {
			return shortRead(err)
		}
		for at := 0; at < len(fresh); at += together {
			piece := fresh[at:min(at+together, len(fresh))]
			rd.hash.Write(piece)
			watch.Write(piece)
		}
		if todo == e.Size && got.kind == chunk.WriteOnce {
			got.kind = chunk.Detect(path.Ext(e.Path), b[:min(len(b), chunk.HeadLen)])
		}
		todo -= int64(len(fresh))
		left = len(b) - rd.chunks(got, b, todo == 0)
		rd.run.countRead(len(fresh))
	}
	rd.hash.Sum(got.sha256[:0])
	return nil
}

// chunks cuts b, which lies behind the used part of the current span, and returns
// how many bytes the chunks take.
func (rd *reader) chunks(got *read, b []byte, final bool) int {
	var lens []int
	at := 0
	for at < len(b) {
		n := rd.run.cutter.Next(got.kind, b[at:], final)
		if n == 0 {
			break
		}
		lens = append(lens, n)
		at += n
	}
	if at > 0 {
		p := piece{kind: got.kind, data: b[:at], lens: lens, ids: make([]pack.ChunkID, len(lens))}
		got.ids = append(got.ids, p.ids)
		rd.cur.pieces = append(rd.cur.pieces, p)
		rd.cur.used += at
	}
	return at
}

// shortRead says what an early end of a file means.
func shortRead(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read source file: %w: it became shorter", source.ErrChanged)
	}
	return err
}
