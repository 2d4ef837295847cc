// Package pack is the plain side of two objects: packs, which hold many chunks
// in compressed frames, and index segments, which say which chunks stand where
// in which packs. FORMAT.md in this folder is its specification.
//
// It promises that what an Encoder and a Builder made is read back by a Reader
// bit for bit, that two runs over the same chunks make the same bytes, and that
// an Index answers for millions of chunks from one allocation per segment. It
// is pure: no clock, no files, no network, no keys. Sealing and naming objects
// is left to others.
//
// It refuses, as ErrDamaged, every input that is not exactly what its encoders
// would have written: wrong lengths, trailing bytes, rows out of order, padding
// that is not zero, checksums that do not agree. Sizes are checked before
// memory is allocated for them. The checksums find damage, not malice; the seal
// around these bytes is what authenticates them.
package pack

import (
	"errors"
	"fmt"
	"math/bits"
)

// Version is the only format version that this package writes and reads.
const Version = 1

// Limits. Every one is checked both when writing and when reading.
const (
	// MaxChunk is the largest chunk, which is also what the cutter's largest is.
	MaxChunk = 4 << 20
	// MaxFrame is the most plain bytes in one frame: what a reader must hold to
	// get at one chunk.
	MaxFrame = 4 << 20
	// MaxFrameChunks bounds the chunks of one frame, so that a frame of tiny
	// files does not make its directory rows larger than its data.
	MaxFrameChunks = 4096
	// MaxPack is the most plain bytes of one pack, padding and directory
	// included. A quarter of what a store accepts as one object: large enough
	// that requests cost little, small enough that a lost upload does too.
	MaxPack = 16 << 20
	// MaxPackChunks bounds the directory of one pack to about 2.3 MiB.
	MaxPackChunks = 1 << 16
	// MaxSegment is the most plain bytes of one index segment. Sealed, it stays
	// below 60 MiB, and so below the 64 MiB that a store accepts as one object.
	MaxSegment = 59 << 20
	// MaxPackSealed is the largest sealed size of a pack that an index segment
	// may state: the largest object of a store.
	MaxPackSealed = 64 << 20

	// frameTarget is when a frame of small chunks is full. Below it zstd finds
	// little to refer back to; above it, reading one small chunk costs more.
	frameTarget = 256 << 10
	// minPlain is the least plain size of a pack or segment, so that the size of
	// a nearly empty one says nothing.
	minPlain = 4 << 10
)

// Errors. Every error of this package that callers may act on wraps one of them.
var (
	// ErrDamaged: the bytes are not what an encoder of this package wrote.
	ErrDamaged = errors.New("damaged")
	// ErrVersion: the bytes were written by a newer version of the format.
	ErrVersion = errors.New("format version is not known")
	// ErrLimit: the caller asked for more than a limit above allows.
	ErrLimit = errors.New("limit exceeded")
)

// Class says how long the chunks of a pack are expected to live. Chunks that
// are expected to die together are packed together.
type Class byte

// The classes. The values are part of the format.
const (
	WriteOnce Class = 1 // images and documents, which are written once and kept
	Volatile  Class = 2 // databases and logs, which are rewritten in place
	Table     Class = 3 // file tables
)

func (c Class) valid() bool { return c >= WriteOnce && c <= Table }

// String returns the class in words, for logs and reports.
func (c Class) String() string {
	switch c {
	case WriteOnce:
		return "write-once"
	case Volatile:
		return "volatile"
	case Table:
		return "table"
	}
	return fmt.Sprintf("class(%d)", byte(c))
}

// Codec says how a frame is stored.
type Codec byte

// The codecs. The values are part of the format.
const (
	Raw  Codec = 0 // the plain bytes themselves
	Zstd Codec = 1 // one standard zstd frame with its content size, no dictionary
)

// String returns the codec in words.
func (c Codec) String() string {
	switch c {
	case Raw:
		return "raw"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec(%d)", byte(c))
}

// Sizes of the parts of a pack. FORMAT.md has the same numbers in tables.
const (
	packMagic    = "OFFSPACK"
	packEndMagic = "OFFSPEND"

	packHeaderSize  = 16
	packTrailerSize = 16
	dirHeadSize     = 8
	frameRowSize    = 16
	chunkRowSize    = 20
)

// PaddedSize returns the size to which n plain bytes are padded: Padmé, which
// hides all but the first few bits of a size for at most 12 % (above 1 MiB, at
// most 3 %), with a floor of 4 KiB. The size after sealing depends on nothing
// but the padded size, so it says no more.
func PaddedSize(n int) int {
	if n <= minPlain {
		return minPlain
	}
	e := bits.Len(uint(n)) - 1
	s := bits.Len(uint(e))
	grain := 1 << (e - s)
	return (n + grain - 1) &^ (grain - 1)
}

// checkFrame says whether a frame's sizes and codec agree with each other. A
// compressed frame must be smaller than its plain bytes; a raw one is as large.
func checkFrame(codec Codec, stored, plain uint32) error {
	if plain == 0 || plain > MaxFrame {
		return fmt.Errorf("%w: frame of %d plain bytes", ErrDamaged, plain)
	}
	switch {
	case codec == Raw && stored == plain:
	case codec == Zstd && stored > 0 && stored < plain:
	default:
		return fmt.Errorf("%w: %s frame of %d bytes for %d plain bytes", ErrDamaged, codec, stored, plain)
	}
	return nil
}
