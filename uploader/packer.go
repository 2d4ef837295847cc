package uploader

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"offsite/manifest/pack"
	"offsite/manifest/seal"
)

// packer collects frames into packs, seals the full ones and hands them to the
// stores. Its memory is bounded by its builders and sealed buffers, all of which
// are reused; whoever finds none free waits.
type packer struct {
	sealer  *seal.Sealer
	journal *journal
	deliver func(ctx context.Context, stores mask, p *sealedPack) error

	mu   sync.Mutex // guards open
	open map[bin]*pack.Builder

	builders chan *pack.Builder // free ones; nil entries are not allocated yet
	opened   chan struct{}      // wakes one who waits for a builder: there is one more open pack to send off
	buffers  chan []byte        // free sealed buffers
}

// sealedPack is a pack ready to be stored. It is shared by the stores it goes to;
// the last one gives the buffer back.
type sealedPack struct {
	name   pack.Name
	bytes  []byte
	entry  pack.PackEntry
	refs   sync.WaitGroup
	giveUp func()
}

const (
	// packsFilling is how many packs may be filled or being sealed at a time.
	packsFilling = 3
	// packsSending is how many sealed packs may wait or be on their way.
	packsSending = 2
)

func newPacker(sealer *seal.Sealer, j *journal, deliver func(context.Context, mask, *sealedPack) error) *packer {
	p := &packer{sealer: sealer, journal: j, deliver: deliver, open: make(map[bin]*pack.Builder),
		builders: make(chan *pack.Builder, packsFilling), opened: make(chan struct{}, 1), buffers: make(chan []byte, packsSending)}
	for range packsFilling {
		p.builders <- nil
	}
	for range packsSending {
		p.buffers <- nil
	}
	return p
}

// add puts a frame into the open pack of its bin; one that is full goes off.
func (p *packer) add(ctx context.Context, b bin, f pack.Frame) error {
	for {
		p.mu.Lock()
		cur := p.open[b]
		if cur != nil && cur.Fits(f) {
			err := cur.Append(f)
			p.mu.Unlock()
			return err
		}
		delete(p.open, b)
		p.mu.Unlock()
		if cur != nil {
			if err := p.ship(ctx, b.stores, cur); err != nil {
				return err
			}
		}
		fresh, err := p.builder(ctx, b.class)
		if err != nil {
			return err
		}
		p.mu.Lock()
		if p.open[b] == nil {
			p.open[b] = fresh
			fresh = nil
		}
		p.mu.Unlock()
		select {
		case p.opened <- struct{}{}:
		default:
		}
		if fresh != nil { // another worker was faster
			p.builders <- fresh
		}
	}
}

// builder returns an empty builder. When all are taken by open packs of other
// bins, the fullest of those goes off to make room.
func (p *packer) builder(ctx context.Context, class pack.Class) (*pack.Builder, error) {
	for {
		select {
		case b := <-p.builders:
			return ready(b, class), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		default:
		}
		p.mu.Lock()
		var fullest bin
		var at *pack.Builder
		if len(p.open) >= packsFilling {
			for b, o := range p.open {
				if at == nil || o.Len() > at.Len() || o.Len() == at.Len() && b.compare(fullest) < 0 {
					fullest, at = b, o
				}
			}
			delete(p.open, fullest)
		}
		p.mu.Unlock()
		if at != nil {
			if err := p.ship(ctx, fullest.stores, at); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case b := <-p.builders:
			return ready(b, class), nil
		case <-p.opened: // all may be open now, and none on its way back
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ready returns b, or a new builder where there is none yet, empty and for the class.
func ready(b *pack.Builder, class pack.Class) *pack.Builder {
	if b == nil {
		return pack.NewBuilder(class)
	}
	b.Reset(class)
	return b
}

// ship seals one pack and hands it to its stores. The journal comes first: what
// it does not list would be lost to the next run after a crash.
func (p *packer) ship(ctx context.Context, stores mask, b *pack.Builder) error {
	var buf []byte
	select {
	case buf = <-p.buffers:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	sealed, err := p.sealer.Pack(buf[:0], b.Plain())
	if err != nil {
		p.buffers <- buf
		return fmt.Errorf("seal pack: %w", err)
	}
	name := pack.NameOf(sealed)
	s := &sealedPack{name: name, bytes: sealed,
		entry:  pack.PackEntry{Name: name, Size: uint32(len(sealed)), Directory: b.Directory()},
		giveUp: func() { p.buffers <- sealed },
	}
	p.builders <- b // emptied by whoever takes it
	if err := p.journal.add(s.entry); err != nil {
		s.giveUp()
		return err
	}
	return p.deliver(ctx, stores, s)
}

// flush sends every open pack off, full or not, in an order that depends on nothing
// but what is in them.
func (p *packer) flush(ctx context.Context) error {
	p.mu.Lock()
	open := p.open
	p.open = make(map[bin]*pack.Builder)
	p.mu.Unlock()
	for _, b := range slices.SortedFunc(maps.Keys(open), bin.compare) {
		if err := p.ship(ctx, b.stores, open[b]); err != nil {
			return err
		}
	}
	return nil
}
