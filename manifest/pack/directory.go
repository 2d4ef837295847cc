package pack

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// FrameInfo is one frame of a pack's directory.
type FrameInfo struct {
	Offset uint32 // where its stored bytes start in the plain pack
	Stored uint32 // stored length
	Plain  uint32 // plain length
	CRC    uint32 // CRC-32 of the plain bytes
	Codec  Codec
}

// ChunkInfo is one chunk of a pack's directory.
type ChunkInfo struct {
	ID     ChunkID
	Frame  uint32 // number of its frame
	Offset uint32 // where it starts in the frame's plain bytes
	Length uint32
}

// Directory says what a pack holds, in the order in which it stands there.
type Directory struct {
	Class  Class
	Frames []FrameInfo
	Chunks []ChunkInfo
}

// appendPackHeader appends the first bytes of a pack.
func appendPackHeader(b []byte, class Class) []byte {
	b = append(b, packMagic...)
	b = binary.LittleEndian.AppendUint16(b, Version)
	b = append(b, byte(class))
	return append(b, 0, 0, 0, 0, 0)
}

func parsePackHeader(b []byte) (Class, error) {
	if len(b) != packHeaderSize || string(b[:8]) != packMagic {
		return 0, fmt.Errorf("%w: not a pack", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != Version {
		return 0, fmt.Errorf("pack version %d: %w", v, ErrVersion)
	}
	class := Class(b[10])
	if !class.valid() || !allZero(b[11:]) {
		return 0, fmt.Errorf("%w: pack header", ErrDamaged)
	}
	return class, nil
}

// appendFrameRow appends the directory row of f.
func appendFrameRow(rows []byte, f Frame) []byte {
	le := binary.LittleEndian
	rows = le.AppendUint32(rows, uint32(len(f.stored)))
	rows = le.AppendUint32(rows, f.plain)
	rows = le.AppendUint32(rows, f.crc)
	rows = le.AppendUint16(rows, uint16(f.Chunks()))
	return append(rows, byte(f.codec), 0)
}

// parseFrameRow returns the frame of a row and how many chunks it holds.
func parseFrameRow(row []byte, at uint32) (FrameInfo, int) {
	le := binary.LittleEndian
	return FrameInfo{
		Offset: at,
		Stored: le.Uint32(row),
		Plain:  le.Uint32(row[4:]),
		CRC:    le.Uint32(row[8:]),
		Codec:  Codec(row[14]),
	}, int(le.Uint16(row[12:]))
}

// dirSize returns the size of a directory with its head.
func dirSize(frames, chunks int) int {
	return dirHeadSize + frames*frameRowSize + chunks*chunkRowSize
}

// appendDirectory appends the directory and the trailer; header is the pack's.
func appendDirectory(b, header, frameRows, chunkRows []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = le.AppendUint32(b, uint32(len(frameRows)/frameRowSize))
	b = le.AppendUint32(b, uint32(len(chunkRows)/chunkRowSize))
	b = append(b, frameRows...)
	b = append(b, chunkRows...)
	b = le.AppendUint32(b, uint32(len(b)-start))
	sum := crc32.Update(crc32.ChecksumIEEE(header), crc32.IEEETable, b[start:])
	b = le.AppendUint32(b, sum)
	return append(b, packEndMagic...)
}

// parseTrailer returns the length of the directory before the trailer. size is
// that of the whole pack.
func parseTrailer(b []byte, size int64) (int, error) {
	if string(b[8:]) != packEndMagic {
		return 0, fmt.Errorf("%w: pack has no trailer", ErrDamaged)
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n < int64(dirSize(1, 1)) || n > int64(dirSize(MaxPackChunks, MaxPackChunks)) ||
		n > size-packHeaderSize-packTrailerSize {
		return 0, fmt.Errorf("%w: pack directory of %d bytes in a pack of %d", ErrDamaged, n, size)
	}
	return int(n), nil
}

// parseDirectory parses the directory and trailer of a pack of the given size.
func parseDirectory(header, tail []byte, size int64) (*Directory, error) {
	class, err := parsePackHeader(header)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	end := len(tail) - packTrailerSize
	sum := crc32.Update(crc32.ChecksumIEEE(header), crc32.IEEETable, tail[:end+4])
	if sum != le.Uint32(tail[end+4:]) {
		return nil, fmt.Errorf("%w: pack directory checksum", ErrDamaged)
	}
	frames, chunks := int64(le.Uint32(tail)), int64(le.Uint32(tail[4:]))
	if frames == 0 || frames > chunks || chunks > MaxPackChunks ||
		int64(end) != dirHeadSize+frames*frameRowSize+chunks*chunkRowSize {
		return nil, fmt.Errorf("%w: pack directory counts", ErrDamaged)
	}
	d := &Directory{Class: class, Frames: make([]FrameInfo, frames), Chunks: make([]ChunkInfo, 0, chunks)}
	rows := tail[dirHeadSize:end]
	frameRows, chunkRows := rows[:frames*frameRowSize], rows[frames*frameRowSize:]
	at, limit := int64(packHeaderSize), size-int64(len(tail))
	for i := range d.Frames {
		row := frameRows[i*frameRowSize:][:frameRowSize]
		f, n := parseFrameRow(row, uint32(at))
		if err := checkFrame(f.Codec, f.Stored, f.Plain); err != nil {
			return nil, err
		}
		at += int64(f.Stored)
		if at > limit || row[15] != 0 {
			return nil, fmt.Errorf("%w: pack directory row of frame %d", ErrDamaged, i)
		}
		d.Frames[i] = f
		if n == 0 || n > MaxFrameChunks || n*chunkRowSize > len(chunkRows) {
			return nil, fmt.Errorf("%w: frame %d holds %d chunks", ErrDamaged, i, n)
		}
		if d.Chunks, err = appendChunks(d.Chunks, chunkRows[:n*chunkRowSize], uint32(i), f.Plain); err != nil {
			return nil, err
		}
		chunkRows = chunkRows[n*chunkRowSize:]
	}
	if len(chunkRows) != 0 {
		return nil, fmt.Errorf("%w: chunks that belong to no frame", ErrDamaged)
	}
	if want := PaddedSize(int(at) + len(tail)); int64(want) != size {
		return nil, fmt.Errorf("%w: pack of %d bytes is not padded to %d", ErrDamaged, size, want)
	}
	return d, nil
}

// appendChunks parses the chunk rows of one frame; they must fill it exactly.
func appendChunks(chunks []ChunkInfo, rows []byte, frame, plain uint32) ([]ChunkInfo, error) {
	at := uint32(0)
	for ; len(rows) > 0; rows = rows[chunkRowSize:] {
		n := binary.LittleEndian.Uint32(rows[16:])
		if n == 0 || n > plain-at {
			return nil, fmt.Errorf("%w: chunk of %d bytes in frame %d", ErrDamaged, n, frame)
		}
		chunks = append(chunks, ChunkInfo{ID: ChunkID(rows[:16]), Frame: frame, Offset: at, Length: n})
		at += n
	}
	if at != plain {
		return nil, fmt.Errorf("%w: chunks do not fill frame %d", ErrDamaged, frame)
	}
	return chunks, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
