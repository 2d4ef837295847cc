package restore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// objects fetches and opens the packs of a record.
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

// opened is a pack that can be read, whole in memory or at its place.
type opened struct {
	*pack.Reader
	key   string
	plain []byte     // of a whole pack
	ahead *readAhead // of one that is read at its place
}

// whole fetches a pack and opens it. With proof its bytes must have its name: for
// what nothing else proves. The plain bytes are written over the sealed ones, step
// by step behind the reading, which saves a third of the memory. All stand in *room if
// that is large enough, and what they stand in is left there for the next pack.
func (o *objects) whole(ctx context.Context, pin manifest.Pin, proof bool, room *[]byte) (*opened, error) {
	key := manifest.PackKey(pin.Name)
	sealed, err := o.store.ReadInto(ctx, key, pin.Version, *room)
	if err != nil && pin.Version != "" && errors.Is(err, providers.ErrNotExist) {
		// A store that was copied has other versions; the name still tells.
		sealed, err = o.store.ReadInto(ctx, key, "", *room)
		proof = true
	}
	if err != nil {
		return nil, fmt.Errorf("read pack %s: %w", key, err)
	}
	if int64(len(sealed)) != pin.Size {
		return nil, fmt.Errorf("read pack %s: %w: %d bytes instead of %d", key, ErrDamaged, len(sealed), pin.Size)
	}
	if proof && !sameName(sealed, pin) {
		return nil, fmt.Errorf("read pack %s: %w: its bytes are not those of its name", key, ErrDamaged)
	}
	plain, err := o.opener.Append(sealed[:0], sealed)
	if err != nil {
		if proof && errors.Is(err, seal.ErrNotForThisKey) {
			return nil, wrongKey{err}
		}
		return nil, fmt.Errorf("open pack %s: %w", key, err)
	}
	r, err := pack.ParsePlain(plain)
	if err != nil {
		return nil, fmt.Errorf("open pack %s: %w", key, err)
	}
	*room = plain
	return &opened{Reader: r, key: key, plain: plain}, nil
}

// wrongKey is the error for a pack that is as it was written, but not sealed to
// this restore key. It is no damage.
type wrongKey struct{ err error }

func (w wrongKey) Error() string {
	return "the restore key is that of another practice: " + w.err.Error()
}

func (w wrongKey) Unwrap() error { return w.err }

// part opens a pack at its place, without fetching it whole and without comparing
// its bytes with its name.
func (o *objects) part(ctx context.Context, pin manifest.Pin) (*opened, error) {
	key := manifest.PackKey(pin.Name)
	src := &remote{ctx: ctx, store: o.store, key: key, version: pin.Version, size: pin.Size}
	plain, size, err := o.opener.OpenAt(src, pin.Size)
	if err != nil && pin.Version != "" && errors.Is(err, providers.ErrNotExist) {
		src.version = "" // as in whole
		plain, size, err = o.opener.OpenAt(src, pin.Size)
	}
	if err != nil {
		return nil, fmt.Errorf("open pack %s: %w", key, err)
	}
	ahead := &readAhead{src: plain}
	r, err := pack.NewReader(ahead, size)
	if err != nil {
		return nil, fmt.Errorf("open pack %s: %w", key, err)
	}
	return &opened{Reader: r, key: key, ahead: ahead}, nil
}

// frame returns the plain bytes of frame i, in buf unless they stand in the pack as
// they are. They are valid until the next use of buf and of the pack.
func (p *opened) frame(buf []byte, i int) (data, room []byte, err error) {
	f := p.Directory().Frames[i]
	if p.plain != nil && f.Codec == pack.Raw {
		data = p.plain[f.Offset:][:f.Stored]
		if crc32.ChecksumIEEE(data) != f.CRC {
			return nil, buf, fmt.Errorf("read pack %s: frame %d: %w: checksum", p.key, i, ErrDamaged)
		}
		return data, buf, nil
	}
	data, err = p.Frame(buf[:0], i)
	if err != nil {
		return nil, buf, fmt.Errorf("read pack %s: %w", p.key, err)
	}
	return data, data, nil
}

// frameAt returns the number of the frame that starts at an offset.
func (p *opened) frameAt(offset uint32) (int, error) {
	frames := p.Directory().Frames
	i := sort.Search(len(frames), func(i int) bool { return frames[i].Offset >= offset })
	if i == len(frames) || frames[i].Offset != offset {
		return 0, fmt.Errorf("read pack %s: %w: the index names a frame that it does not have", p.key, ErrDamaged)
	}
	return i, nil
}

// cut returns a chunk of a decoded frame.
func cut(frame []byte, offset, length uint32) ([]byte, error) {
	if uint64(offset)+uint64(length) > uint64(len(frame)) {
		return nil, fmt.Errorf("%w: the index names a place outside a frame", ErrDamaged)
	}
	return frame[offset:][:length], nil
}

const (
	headPiece = 72 << 10 // the seal's header and first step, with the pack's header
	tailPiece = 80 << 10 // the seal's last step and most of the directory
)

// remote is a stored object for reading at any place. Both ends are kept, as seal
// and pack each look there. It is not safe for concurrent use.
type remote struct {
	ctx     context.Context
	store   *providers.Store
	key     string
	version providers.Version
	size    int64
	head    []byte
	tail    []byte
}

// ReadAt implements io.ReaderAt.
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

// readAhead reads a run of frames with one request. The plain bytes that want
// asked for are kept until the next want.
type readAhead struct {
	src io.ReaderAt
	off int64
	b   []byte
}

// want fetches plain bytes. Where that fails, reading frame by frame still may
// succeed, and says which frame is damaged.
func (a *readAhead) want(off, n int64) {
	if int64(cap(a.b)) < n {
		a.b = make([]byte, n)
	}
	a.off, a.b = off, a.b[:n]
	if m, _ := a.src.ReadAt(a.b, off); m < len(a.b) {
		a.b = a.b[:0]
	}
}

// ReadAt implements io.ReaderAt.
func (a *readAhead) ReadAt(p []byte, off int64) (int, error) {
	if off >= a.off && off+int64(len(p)) <= a.off+int64(len(a.b)) {
		return copy(p, a.b[off-a.off:]), nil
	}
	return a.src.ReadAt(p, off)
}
