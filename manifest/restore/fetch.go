package restore

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sort"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// objects fetches and opens the packs of one record.
type objects struct {
	store  *providers.Store
	opener *seal.Opener
	pins   map[pack.Name]manifest.Pin
}

func newObjects(store *providers.Store, opener *seal.Opener, pins []manifest.Pin) *objects {
	o := &objects{store: store, opener: opener, pins: make(map[pack.Name]manifest.Pin, len(pins))}
	for _, p := range pins {
		o.pins[p.Name] = p
	}
	return o
}

// whole fetches a pack, proves that its bytes are those that the record names, and
// opens it into buf, which it returns for the next use.
func (o *objects) whole(ctx context.Context, pin manifest.Pin, buf []byte) (*pack.Reader, []byte, error) {
	sealed, err := o.read(ctx, pin)
	if err != nil {
		return nil, buf, err
	}
	plain, err := o.opener.Append(buf[:0], sealed)
	if err != nil {
		return nil, buf, fmt.Errorf("open pack %s: %w", pin.Name, damage(err))
	}
	r, err := pack.ParsePlain(plain)
	if err != nil {
		return nil, plain, fmt.Errorf("open pack %s: %w", pin.Name, damage(err))
	}
	return r, plain, nil
}

func (o *objects) read(ctx context.Context, pin manifest.Pin) ([]byte, error) {
	key := manifest.PackKey(pin.Name)
	sealed, err := o.store.Read(ctx, key, pin.Version)
	if err != nil && pin.Version != "" && isDamage(err) {
		// A store that was copied has other versions; the name still tells.
		sealed, err = o.store.Read(ctx, key, "")
	}
	if err != nil {
		return nil, fmt.Errorf("read pack %s: %w", pin.Name, err)
	}
	if int64(len(sealed)) != pin.Size || pack.NameOf(sealed) != pin.Name {
		return nil, fmt.Errorf("read pack %s: %w: the bytes are not those of its name", pin.Name, providers.ErrCorrupt)
	}
	return sealed, nil
}

// part opens a pack without fetching it whole. Its bytes are not compared with its
// name, so what is read this way must be proved otherwise.
func (o *objects) part(ctx context.Context, pin manifest.Pin) (*pack.Reader, error) {
	src := &remote{ctx: ctx, store: o.store, key: manifest.PackKey(pin.Name), version: pin.Version, size: pin.Size}
	plain, size, err := o.opener.OpenAt(src, pin.Size)
	if err != nil {
		return nil, fmt.Errorf("open pack %s: %w", pin.Name, damage(err))
	}
	r, err := pack.NewReader(plain, size)
	if err != nil {
		return nil, fmt.Errorf("open pack %s: %w", pin.Name, damage(err))
	}
	return r, nil
}

// damage makes damage that seal or pack found an ErrCorrupt as well.
func damage(err error) error {
	if isDamage(err) && providers.KindOf(err) == nil {
		return fmt.Errorf("%w: %w", providers.ErrCorrupt, err)
	}
	return err
}

const (
	headPiece = 72 << 10 // the seal's header and first step, with the pack's header
	tailPiece = 80 << 10 // the seal's last step and most of the directory
)

// remote is a stored object for reading at any place. Both ends are kept, as the
// seal and the pack each look there.
type remote struct {
	ctx     context.Context
	store   *providers.Store
	key     string
	version providers.Version
	size    int64
	head    []byte
	tail    []byte
}

// ReadAt implements io.ReaderAt. It is not safe for concurrent use.
func (r *remote) ReadAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if off < 0 || end > r.size {
		return 0, io.ErrUnexpectedEOF
	}
	head, tail := min(headPiece, r.size), max(r.size-tailPiece, 0)
	switch {
	case end <= head:
		return r.kept(&r.head, p, 0, head, off)
	case off >= tail:
		return r.kept(&r.tail, p, tail, r.size-tail, off)
	}
	b, err := r.store.ReadRange(r.ctx, r.key, r.version, off, int64(len(p)))
	return copy(p, b), err
}

func (r *remote) kept(piece *[]byte, p []byte, from, n, off int64) (int, error) {
	if *piece == nil {
		b, err := r.store.ReadRange(r.ctx, r.key, r.version, from, n)
		if err != nil {
			return 0, err
		}
		*piece = b
	}
	return copy(p, (*piece)[off-from:]), nil
}

// frameAt returns the number of the frame that starts at a place of a pack.
func frameAt(r *pack.Reader, offset uint32) (int, bool) {
	frames := r.Directory().Frames
	i := sort.Search(len(frames), func(i int) bool { return frames[i].Offset >= offset })
	return i, i < len(frames) && frames[i].Offset == offset
}

// cut returns a chunk of a decoded frame.
func cut(frame []byte, offset, length uint32) ([]byte, error) {
	if uint64(offset)+uint64(length) > uint64(len(frame)) {
		return nil, fmt.Errorf("%w: the index names a place outside a frame", providers.ErrCorrupt)
	}
	return frame[offset:][:length], nil
}

// keptPacks is how many opened packs a chunks keeps: those of the file table's
// rows and of its chunk lists, and one more for a change from one to the next.
const keptPacks = 3

// chunks reads single chunks of the file table. Packs are fetched whole, so that
// their bytes are proved by their names, and the last few are kept. It belongs to
// one goroutine.
type chunks struct {
	s     *Snapshot
	packs []keptPack // the last used one first
}

type keptPack struct {
	name  pack.Name
	r     *pack.Reader
	frame int // the frame that data holds; -1: none
	data  []byte
}

func (s *Snapshot) newChunks() *chunks { return &chunks{s: s} }

// read returns the bytes of a chunk. They are valid until the next read.
func (c *chunks) read(ctx context.Context, id pack.ChunkID) ([]byte, error) {
	l, err := c.s.locate(id)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(c.packs, func(p keptPack) bool { return p.name == l.Pack.Name })
	if at < 0 {
		r, _, err := c.s.source.whole(ctx, c.s.source.pins[l.Pack.Name], nil)
		if err != nil {
			return nil, err
		}
		if len(c.packs) == keptPacks {
			c.packs = c.packs[:keptPacks-1]
		}
		c.packs = append(c.packs, keptPack{name: l.Pack.Name, r: r, frame: -1})
		at = len(c.packs) - 1
	}
	p := c.packs[at]
	copy(c.packs[1:at+1], c.packs[:at])
	defer func() { c.packs[0] = p }()
	i, ok := frameAt(p.r, l.Frame)
	if !ok {
		return nil, fmt.Errorf("%w: the index names a frame that pack %s does not have", providers.ErrCorrupt, p.name)
	}
	if p.frame != i {
		data, err := p.r.Frame(p.data[:0], i)
		if err != nil {
			p.frame = -1
			return nil, fmt.Errorf("read pack %s: %w", p.name, damage(err))
		}
		p.frame, p.data = i, data
	}
	if !holds(p.r.Directory(), id, i, l) {
		return nil, fmt.Errorf("%w: pack %s has another chunk where the index names one", providers.ErrCorrupt, p.name)
	}
	return cut(p.data, l.Offset, l.Length)
}

// holds reports whether the pack itself says that the chunk stands where the index
// says. An index that was made again is proved by nothing else.
func holds(d *pack.Directory, id pack.ChunkID, frame int, l pack.Location) bool {
	i, ok := slices.BinarySearchFunc(d.Chunks, l, func(c pack.ChunkInfo, l pack.Location) int {
		return cmp.Or(cmp.Compare(int(c.Frame), frame), cmp.Compare(c.Offset, l.Offset))
	})
	return ok && d.Chunks[i].ID == id && d.Chunks[i].Length == l.Length
}
