package pack

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Decoder turns stored frames into plain bytes. It is safe for concurrent use,
// but one call at a time runs; give each worker its own.
type Decoder struct {
	dec *zstd.Decoder
}

// NewDecoder returns a Decoder that never allocates more than a frame may hold.
func NewDecoder() (*Decoder, error) {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(MaxFrame),
		zstd.WithDecoderMaxWindow(2*MaxFrame),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	return &Decoder{dec: dec}, nil
}

// Frame appends the plain bytes of a stored frame to dst and returns the
// result. The frame must hold exactly plain bytes, or it is ErrDamaged.
func (d *Decoder) Frame(dst []byte, codec Codec, stored []byte, plain int) ([]byte, error) {
	if plain < 0 || plain > MaxFrame || len(stored) > MaxFrame {
		return dst, fmt.Errorf("%w: frame of %d bytes for %d plain bytes", ErrDamaged, len(stored), plain)
	}
	if err := checkFrame(codec, uint32(len(stored)), uint32(plain)); err != nil {
		return dst, err
	}
	if codec == Raw {
		return append(dst, stored...), nil
	}
	if err := checkZstd(stored, plain); err != nil {
		return dst, err
	}
	start := len(dst)
	if cap(dst)-start < plain {
		grown := make([]byte, start, start+plain)
		copy(grown, dst)
		dst = grown
	}
	// The capacity ends where the frame must end, so a frame that unpacks to
	// more than it said is an error, not an allocation.
	out, err := d.dec.DecodeAll(stored, dst[:start:start+plain])
	if err != nil {
		return dst[:start], fmt.Errorf("%w: decode zstd frame: %w", ErrDamaged, err)
	}
	if len(out) != start+plain {
		return dst[:start], fmt.Errorf("%w: zstd frame holds %d bytes, not %d", ErrDamaged, len(out)-start, plain)
	}
	return out, nil
}

// checkZstd walks the blocks of a zstd frame without decoding them: exactly one
// frame, no dictionary, its content size stated and right, nothing behind it.
func checkZstd(b []byte, plain int) error {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return fmt.Errorf("%w: zstd frame header: %w", ErrDamaged, err)
	}
	if h.Skippable || h.DictionaryID != 0 || !h.HasFCS || h.FrameContentSize != uint64(plain) {
		return fmt.Errorf("%w: zstd frame header does not state %d bytes", ErrDamaged, plain)
	}
	const blockHeader, blockRLE, blockReserved, checksum = 3, 1, 3, 4
	at := h.HeaderSize
	for last := false; !last; {
		if len(b)-at < blockHeader {
			return fmt.Errorf("%w: zstd frame ends within a block header", ErrDamaged)
		}
		v := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16
		last = v&1 != 0
		size := v >> 3
		switch v >> 1 & 3 {
		case blockRLE:
			size = 1
		case blockReserved:
			return fmt.Errorf("%w: zstd block of an unknown kind", ErrDamaged)
		}
		at += blockHeader
		if len(b)-at < size {
			return fmt.Errorf("%w: zstd frame ends within a block", ErrDamaged)
		}
		at += size
	}
	if h.HasCheckSum {
		at += checksum
	}
	if at != len(b) {
		return fmt.Errorf("%w: zstd frame does not end where its last block does", ErrDamaged)
	}
	return nil
}
