package pack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// The skip test: a large chunk is compressed only if one of three samples of
// it shrinks by more than 4 %. Compressed images show 0 %, the least
// compressible practice data over 40 %, so the exact threshold matters little.
const (
	sampleSize  = 8 << 10
	sampleSaves = sampleSize / 25
	// sampledMin is the smallest chunk that is sampled: the samples are then at most
	// a third of it.
	sampledMin = 64 << 10
	// worthSaving: a frame that shrinks by less than this part of it is stored as it
	// is, which saves decoding it for as long as it is kept.
	worthSaving = 32
)

// defaultProve: decoding every frame again costs 20 to 23 % of the time to
// compress it, which a first upload of a whole practice would feel. One in four
// costs some 5 %, and a compressor or a memory that has gone wrong is still met
// within a few frames. ProveEvery changes it.
const defaultProve = 4

// Frame is one or several chunks as they will stand in a pack. It is made by an
// Encoder alone and borrows its memory: it is valid until the next Add or Flush
// of that Encoder and, for a chunk that was stored raw, as long as the caller
// leaves the chunk's bytes alone. Append it to a Builder at once.
type Frame struct {
	stored []byte
	rows   []byte // chunk rows, as they stand in the directory
	plain  uint32
	crc    uint32 // of the plain bytes
	codec  Codec
}

// StoredLen returns how many bytes the frame takes in the pack.
func (f Frame) StoredLen() int { return len(f.stored) }

// PlainLen returns how many plain bytes the frame holds.
func (f Frame) PlainLen() int { return int(f.plain) }

// Chunks returns how many chunks the frame holds.
func (f Frame) Chunks() int { return len(f.rows) / chunkRowSize }

// Codec returns how the frame is stored.
func (f Frame) Codec() Codec { return f.codec }

// Encoder turns chunks into frames. Small chunks are grouped; a chunk of 256 KiB
// and more, or of 64 KiB and more that does not compress, is a frame by itself and
// is not copied before it is appended. An Encoder belongs to one goroutine at a
// time and keeps its buffers.
//
//	err := e.Add(id, plain)
//	for e.Full() {
//		frame, _ := e.Flush()
//		// append the frame to a Builder
//	}
//
// At the end, Flush until it reports false.
type Encoder struct {
	enc     *zstd.Encoder
	dec     *Decoder
	group   []byte // plain bytes of the small chunks that wait
	rows    []byte // their chunk rows
	large   []byte // the chunk that waits to be a frame by itself, the caller's own bytes
	largeID ChunkID
	squeeze bool   // the large chunk is worth compressing
	spent   bool   // the group was flushed; its buffers are reused by the next Add
	largeRw []byte // room for the row of a large chunk
	out     []byte // room for compressed bytes
	proof   []byte // room for decoding them again
	every   int    // one compressed frame in so many is proved; 0: none
	count   int    // compressed frames since the last proved one
}

// NewEncoder returns an Encoder with empty buffers.
func NewEncoder() (*Encoder, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), // the frame row has a checksum of its own
		zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	dec, err := NewDecoder()
	if err != nil {
		return nil, err
	}
	return &Encoder{
		enc:     enc,
		dec:     dec,
		group:   make([]byte, 0, 2*frameTarget),
		largeRw: make([]byte, 0, chunkRowSize),
		every:   defaultProve,
	}, nil
}

// ProveEvery makes the Encoder decode one compressed frame in n again and
// compare it with its plain bytes before handing it out: 1 for every frame, 0
// for none. Without it, it is one in four, beginning with the first.
func (e *Encoder) ProveEvery(n int) { e.every, e.count = max(n, 0), 0 }

// Add takes one chunk of 1 to MaxChunk bytes. It copies a small chunk; a large
// one it keeps a reference to until the Flush that hands it out. While Full
// reports true, Add refuses: flush first.
func (e *Encoder) Add(id ChunkID, plain []byte) error {
	if len(plain) == 0 || len(plain) > MaxChunk {
		return fmt.Errorf("add chunk of %d bytes: %w", len(plain), ErrLimit)
	}
	if e.Full() {
		return fmt.Errorf("add chunk to a full encoder: %w", ErrLimit)
	}
	if len(plain) >= sampledMin {
		squeeze := e.worthCompressing(plain)
		if len(plain) >= frameTarget || !squeeze {
			e.large, e.largeID, e.squeeze = plain, id, squeeze
			return nil
		}
	}
	if e.spent {
		e.group, e.rows, e.spent = e.group[:0], e.rows[:0], false
	}
	e.group = append(e.group, plain...)
	e.rows = appendChunkRow(e.rows, id, len(plain))
	return nil
}

// Full reports whether a frame is ready and must be flushed.
func (e *Encoder) Full() bool {
	return e.large != nil || !e.spent && (len(e.group) >= frameTarget || len(e.rows) >= MaxFrameChunks*chunkRowSize)
}

// Flush returns the next frame, full or not, and false when no chunk waits.
func (e *Encoder) Flush() (Frame, bool) {
	if plain := e.large; plain != nil {
		e.large = nil
		e.largeRw = appendChunkRow(e.largeRw[:0], e.largeID, len(plain))
		return e.encode(plain, e.largeRw, e.squeeze), true
	}
	if e.spent || len(e.group) == 0 {
		return Frame{}, false
	}
	e.spent = true
	// What is in a group is too small to be sampled; zstd itself passes over what it
	// cannot compress at several gigabytes a second.
	return e.encode(e.group, e.rows, true), true
}

// Reset forgets the chunks that wait.
func (e *Encoder) Reset() {
	e.large, e.group, e.rows, e.spent = nil, e.group[:0], e.rows[:0], false
}

func (e *Encoder) encode(plain, rows []byte, compress bool) Frame {
	f := Frame{
		stored: plain,
		rows:   rows,
		plain:  uint32(len(plain)),
		crc:    crc32.ChecksumIEEE(plain),
		codec:  Raw,
	}
	if !compress {
		return f
	}
	e.out = e.enc.EncodeAll(plain, e.out[:0])
	if len(e.out) > len(plain)-len(plain)/worthSaving || !e.proves(plain) {
		return f
	}
	f.stored, f.codec = e.out, Zstd
	return f
}

// proves decodes what was just compressed and compares it with the plain bytes,
// when it is the frame's turn. A frame that does not come back is stored raw: a
// mistake of the compressor must cost a few bytes, not a patient's image. The
// frames after it are then proved too.
func (e *Encoder) proves(plain []byte) bool {
	turn := e.every > 0 && e.count == 0
	if e.count++; e.count >= e.every {
		e.count = 0
	}
	if !turn {
		return true
	}
	got, err := e.dec.Frame(e.proof[:0], Zstd, e.out, len(plain))
	if err != nil || !bytes.Equal(got, plain) {
		e.every, e.count = 1, 0
		return false
	}
	e.proof = got
	return true
}

// worthCompressing samples the start, middle and end of a large chunk. One
// sample that shrinks is enough: a file may be half thumbnails and half zeros.
func (e *Encoder) worthCompressing(plain []byte) bool {
	for _, at := range [...]int{(len(plain) - sampleSize) / 2, 0, len(plain) - sampleSize} {
		e.out = e.enc.EncodeAll(plain[at:at+sampleSize], e.out[:0])
		if len(e.out) < sampleSize-sampleSaves {
			return true
		}
	}
	return false
}

func appendChunkRow(rows []byte, id ChunkID, n int) []byte {
	rows = append(rows, id[:]...)
	return binary.LittleEndian.AppendUint32(rows, uint32(n))
}
