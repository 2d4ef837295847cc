package pack

import (
	"fmt"
)

// Builder collects frames into one plain pack. Append only copies, so that it
// may be called under a lock. A Builder is not safe for concurrent use.
type Builder struct {
	buf       []byte // header and frames, then the rest of the pack once closed
	frameRows []byte
	chunkRows []byte
	plain     int // plain bytes in all frames
	class     Class
	closed    bool
}

// NewBuilder returns an empty Builder for packs of one class. It panics for a
// class that is not known. The buffer of a whole pack is allocated at once and
// kept over Reset.
func NewBuilder(class Class) *Builder {
	if !class.valid() {
		panic("pack: NewBuilder with " + class.String())
	}
	b := &Builder{buf: make([]byte, 0, MaxPack)}
	b.Reset(class)
	return b
}

// Reset empties the Builder for a pack of the class, which must be a known one. The
// bytes that Plain returned are no longer valid.
func (b *Builder) Reset(class Class) {
	b.class = class
	b.buf = appendPackHeader(b.buf[:0], b.class)
	b.frameRows, b.chunkRows = b.frameRows[:0], b.chunkRows[:0]
	b.plain, b.closed = 0, false
}

// Class returns the class that the Builder was made for.
func (b *Builder) Class() Class { return b.class }

// Len returns the size of the pack so far, directory included, padding not.
func (b *Builder) Len() int { return b.size(0, 0, 0) }

// PlainLen returns the sum of the plain lengths of its frames.
func (b *Builder) PlainLen() int { return b.plain }

// Chunks returns how many chunks the pack holds so far.
func (b *Builder) Chunks() int { return len(b.chunkRows) / chunkRowSize }

// Empty reports whether the Builder holds no frame.
func (b *Builder) Empty() bool { return len(b.frameRows) == 0 }

// Fits reports whether Append would take f. An empty Builder takes any frame.
func (b *Builder) Fits(f Frame) bool {
	return !b.closed && b.Chunks()+f.Chunks() <= MaxPackChunks && b.size(len(f.stored), 1, f.Chunks()) <= MaxPack
}

// Append copies f into the pack. It refuses a frame that does not fit, and any
// frame after Plain.
func (b *Builder) Append(f Frame) error {
	if len(f.rows) == 0 {
		return fmt.Errorf("append frame that no encoder made: %w", ErrLimit)
	}
	if !b.Fits(f) {
		return fmt.Errorf("append frame of %d bytes to a pack of %d: %w", len(f.stored), b.Len(), ErrLimit)
	}
	b.buf = append(b.buf, f.stored...)
	b.frameRows = appendFrameRow(b.frameRows, f)
	b.chunkRows = append(b.chunkRows, f.rows...)
	b.plain += int(f.plain)
	return nil
}

// Plain closes the pack and returns its bytes, ready to be sealed. They are the
// Builder's own and valid until Reset. It panics for an empty Builder: a pack
// without a chunk is of no use, and the caller lost track.
func (b *Builder) Plain() []byte {
	if b.Empty() {
		panic("pack: Plain of an empty Builder")
	}
	if !b.closed {
		pad := PaddedSize(b.Len()) - b.Len()
		header := b.buf[:packHeaderSize]
		frames := len(b.buf)
		b.buf = b.buf[:frames+pad] // the buffer has the capacity of the largest pack
		clear(b.buf[frames:])
		b.buf = appendDirectory(b.buf, header, b.frameRows, b.chunkRows)
		b.closed = true
	}
	return b.buf
}

// Directory returns what the pack holds so far, in memory of its own.
func (b *Builder) Directory() Directory {
	d := Directory{Class: b.class, Frames: make([]FrameInfo, len(b.frameRows)/frameRowSize), Chunks: make([]ChunkInfo, 0, b.Chunks())}
	at, rows := uint32(packHeaderSize), b.chunkRows
	for i := range d.Frames {
		f, n := parseFrameRow(b.frameRows[i*frameRowSize:], at)
		d.Frames[i] = f
		at += f.Stored
		var err error
		if d.Chunks, err = appendChunks(d.Chunks, rows[:n*chunkRowSize], uint32(i), f.Plain); err != nil {
			panic("pack: Builder holds a wrong frame: " + err.Error())
		}
		rows = rows[n*chunkRowSize:]
	}
	return d
}

// size returns the pack's size with more stored bytes, frames and chunks.
func (b *Builder) size(stored, frames, chunks int) int {
	data := len(b.buf)
	if b.closed {
		return data
	}
	return data + stored + dirSize(len(b.frameRows)/frameRowSize+frames, b.Chunks()+chunks) + packTrailerSize
}
