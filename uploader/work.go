package uploader

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"offsite/manifest/pack"
	"offsite/uploader/chunk"
)

// claims remembers which chunks this run has begun to store, and for which
// stores, so that two workers that meet the same new bytes store them once.
type claims struct {
	shards [64]struct {
		mu sync.Mutex
		m  map[pack.ChunkID]mask // guarded by mu
	}
}

func newClaims() *claims {
	c := new(claims)
	for i := range c.shards {
		c.shards[i].m = make(map[pack.ChunkID]mask)
	}
	return c
}

// claim returns those stores of want that nobody stores the chunk in yet; the
// caller must now do so.
func (c *claims) claim(id pack.ChunkID, want mask) mask {
	s := &c.shards[id[0]%uint8(len(c.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	had := s.m[id]
	s.m[id] = had | want
	return want &^ had
}

// worker names chunks and hands those that are new to the packer, grouped in
// frames. It belongs to one goroutine.
type worker struct {
	run      *run
	encoders map[bin]*pack.Encoder
}

// bin is what must be the same for chunks to share a pack: how long they are
// expected to live, and the stores that lack them.
type bin struct {
	class  pack.Class
	stores mask
}

func (b bin) compare(o bin) int {
	return cmp.Or(cmp.Compare(b.class, o.class), cmp.Compare(b.stores, o.stores))
}

func (r *run) newWorker() *worker {
	return &worker{run: r, encoders: make(map[bin]*pack.Encoder)}
}

// spans works until there are no more spans.
func (w *worker) spans(ctx context.Context) error {
	for {
		select {
		case s, ok := <-w.run.spans:
			if !ok {
				return nil
			}
			err := w.span(ctx, s)
			w.run.free <- s
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// span handles the chunks of one span. Frames refer to its bytes, so every
// encoder is empty again at the end.
func (w *worker) span(ctx context.Context, s *span) error {
	for i := range s.pieces {
		p := &s.pieces[i]
		data := p.data
		for k, n := range p.lens {
			id := pack.ChunkID(w.run.namer.Chunk(data[:n]))
			p.ids[k] = id
			if err := w.chunk(ctx, classOf(p.kind), id, data[:n]); err != nil {
				return err
			}
			data = data[n:]
		}
	}
	return w.flush(ctx)
}

// classOf says what a file's chunks may share a pack with.
func classOf(k chunk.Kind) pack.Class {
	if k == chunk.WriteOnce {
		return pack.WriteOnce
	}
	return pack.Volatile
}

// chunk stores one chunk in every store that lacks it.
func (w *worker) chunk(ctx context.Context, class pack.Class, id pack.ChunkID, plain []byte) error {
	missing := w.run.missing(id)
	if missing != 0 {
		missing = w.run.claims.claim(id, missing)
	}
	if missing == 0 {
		return nil
	}
	w.run.fresh.Add(int64(len(plain)))
	b := bin{class, missing}
	e := w.encoders[b]
	if e == nil {
		var err error
		if e, err = pack.NewEncoder(); err != nil {
			return err
		}
		w.encoders[b] = e
	}
	if err := e.Add(id, plain); err != nil {
		return fmt.Errorf("pack chunk: %w", err)
	}
	for e.Full() {
		f, _ := e.Flush()
		if err := w.run.packer.add(ctx, b, f); err != nil {
			return err
		}
	}
	return nil
}

// flush empties every encoder into the packer.
func (w *worker) flush(ctx context.Context) error {
	for _, b := range slices.SortedFunc(maps.Keys(w.encoders), bin.compare) {
		for {
			f, ok := w.encoders[b].Flush()
			if !ok {
				break
			}
			if err := w.run.packer.add(ctx, b, f); err != nil {
				return err
			}
		}
	}
	return nil
}
