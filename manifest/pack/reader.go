package pack

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// tailGuess is how much of a pack's end is read at first: the directory of most
// packs, so that a far store is asked once.
const tailGuess = 64 << 10

// Reader reads a plain pack. It is not safe for concurrent use.
type Reader struct {
	r      io.ReaderAt
	whole  []byte // the pack, when it is in memory
	dec    *Decoder
	dir    *Directory
	stored []byte // room for the stored bytes of a frame
}

// ParsePlain checks a whole plain pack, padding included but not the frames,
// and returns a Reader that refers to b.
func ParsePlain(b []byte) (*Reader, error) {
	r, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	last := r.dir.Frames[len(r.dir.Frames)-1]
	end := int(last.Offset + last.Stored)
	if !allZero(b[end : len(b)-r.tailSize()]) {
		return nil, fmt.Errorf("%w: pack padding is not zero", ErrDamaged)
	}
	r.whole = b
	return r, nil
}

// NewReader reads the header and directory of a plain pack of the given size.
// It reads the end in one piece; the frames and the padding are left alone.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	if size < minPlain || size > MaxPack {
		return nil, fmt.Errorf("%w: pack of %d bytes", ErrDamaged, size)
	}
	header := make([]byte, packHeaderSize)
	if err := readAt(r, header, 0); err != nil {
		return nil, err
	}
	if _, err := parsePackHeader(header); err != nil {
		return nil, err // before the rest is believed: it may be of a newer version
	}
	tail := make([]byte, min(size-packHeaderSize, tailGuess))
	if err := readAt(r, tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	n, err := parseTrailer(tail[len(tail)-packTrailerSize:], size)
	if err != nil {
		return nil, err
	}
	if n += packTrailerSize; n > len(tail) {
		tail = make([]byte, n)
		if err := readAt(r, tail, size-int64(n)); err != nil {
			return nil, err
		}
	}
	dir, err := parseDirectory(header, tail[len(tail)-n:], size)
	if err != nil {
		return nil, err
	}
	dec, err := NewDecoder()
	if err != nil {
		return nil, err
	}
	return &Reader{r: r, dec: dec, dir: dir}, nil
}

// Directory returns what the pack holds. It is the Reader's own: do not change it.
func (r *Reader) Directory() *Directory { return r.dir }

// Frame appends the plain bytes of frame i to dst, checked against the
// directory, and returns the result.
func (r *Reader) Frame(dst []byte, i int) ([]byte, error) {
	if i < 0 || i >= len(r.dir.Frames) {
		return dst, fmt.Errorf("read frame %d of %d: %w", i, len(r.dir.Frames), ErrLimit)
	}
	f := r.dir.Frames[i]
	stored, err := r.storedBytes(f)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	out, err := r.dec.Frame(dst, f.Codec, stored, int(f.Plain))
	if err != nil {
		return dst[:start], fmt.Errorf("read frame %d: %w", i, err)
	}
	if crc32.ChecksumIEEE(out[start:]) != f.CRC {
		return dst[:start], fmt.Errorf("read frame %d: %w: checksum", i, ErrDamaged)
	}
	return out, nil
}

func (r *Reader) storedBytes(f FrameInfo) ([]byte, error) {
	if r.whole != nil {
		return r.whole[f.Offset:][:f.Stored], nil
	}
	if cap(r.stored) < int(f.Stored) {
		r.stored = make([]byte, f.Stored)
	}
	b := r.stored[:f.Stored]
	return b, readAt(r.r, b, int64(f.Offset))
}

func (r *Reader) tailSize() int {
	return dirSize(len(r.dir.Frames), len(r.dir.Chunks)) + packTrailerSize
}

// readAt fills b. A reader that ends early is damage; any other error is the
// reader's own and stays what it is.
func readAt(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: pack ends at byte %d", ErrDamaged, off+int64(n))
	}
	return fmt.Errorf("read pack: %w", err)
}
