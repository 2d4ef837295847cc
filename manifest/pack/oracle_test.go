package pack_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"offsite/manifest/pack"
)

// This file writes packs and segments by FORMAT.md alone, without a check, so
// that tests can also make what no encoder would.

var le = binary.LittleEndian

// padded is FORMAT.md's function, in its words.
func padded(n int) int {
	if n <= 4096 {
		return 4096
	}
	e := 0
	for m := n; m > 1; m >>= 1 {
		e++
	}
	s := 0
	for m := e; m > 0; m >>= 1 {
		s++
	}
	grain := 1 << (e - s)
	return (n + grain - 1) / grain * grain
}

type rawFrame struct {
	stored []byte
	plain  uint32
	crc    uint32
	codec  byte
	chunks []rawChunk
}

type rawChunk struct {
	id pack.ChunkID
	n  uint32
}

// single is a raw frame of one chunk.
func single(id pack.ChunkID, plain []byte) rawFrame {
	n := uint32(len(plain))
	return rawFrame{plain, n, crc32.ChecksumIEEE(plain), 0, []rawChunk{{id, n}}}
}

func writePack(class byte, frames ...rawFrame) []byte {
	b := append([]byte("OFFSPACK"), 1, 0, class, 0, 0, 0, 0, 0)
	var rows, chunks []byte
	count := 0
	for _, f := range frames {
		b = append(b, f.stored...)
		rows = le.AppendUint32(rows, uint32(len(f.stored)))
		rows = le.AppendUint32(rows, f.plain)
		rows = le.AppendUint32(rows, f.crc)
		rows = le.AppendUint16(rows, uint16(len(f.chunks)))
		rows = append(rows, f.codec, 0)
		for _, c := range f.chunks {
			chunks = append(chunks, c.id[:]...)
			chunks = le.AppendUint32(chunks, c.n)
			count++
		}
	}
	dir := le.AppendUint32(nil, uint32(len(frames)))
	dir = le.AppendUint32(dir, uint32(count))
	dir = slices.Concat(dir, rows, chunks)
	n := len(b) + len(dir) + 16
	b = append(b, make([]byte, padded(n)-n)...)
	b = append(b, dir...)
	b = le.AppendUint32(b, uint32(len(dir)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, "OFFSPEND"...)
	return fixPack(b)
}

// fixPack makes the checksum of a pack right, if there is a place for it.
func fixPack(b []byte) []byte {
	if len(b) < 32 {
		return b
	}
	t := b[len(b)-16:]
	n := int(le.Uint32(t))
	if n > len(b)-32 {
		return b
	}
	dir := b[len(b)-16-n : len(b)-16]
	le.PutUint32(t[4:], crc32.ChecksumIEEE(slices.Concat(b[:16], dir, t[:4])))
	return b
}

type rawPackRow struct {
	name  pack.Name
	size  uint32
	class byte
}

type rawFrameRow struct {
	pack, offset, stored, plain uint32
	codec                       byte
}

type rawEntry struct {
	id                    pack.ChunkID
	frame, offset, length uint32
}

type rawSegment struct {
	packs   []rawPackRow
	frames  []rawFrameRow
	entries []rawEntry
}

func (s rawSegment) write() []byte {
	b := append([]byte("OFFSINDX"), 1, 0, 0, 0)
	b = le.AppendUint32(b, uint32(len(s.packs)))
	b = le.AppendUint32(b, uint32(len(s.frames)))
	b = le.AppendUint32(b, uint32(len(s.entries)))
	b = append(b, make([]byte, 8)...)
	for _, p := range s.packs {
		b = append(b, p.name[:]...)
		b = le.AppendUint32(b, p.size)
		b = append(b, p.class, 0, 0, 0)
	}
	for _, f := range s.frames {
		b = le.AppendUint32(b, f.pack)
		b = le.AppendUint32(b, f.offset)
		b = le.AppendUint32(b, f.stored)
		b = le.AppendUint32(b, f.plain|uint32(f.codec)<<24)
	}
	for _, e := range s.entries {
		b = append(b, e.id[:]...)
		b = le.AppendUint32(b, e.frame)
		b = le.AppendUint32(b, e.offset)
		b = le.AppendUint32(b, e.length)
	}
	b = append(b, make([]byte, padded(len(b)+4)-len(b))...)
	return fixSegment(b)
}

// fixSegment makes the checksum of a segment right, if there is a place for it.
func fixSegment(b []byte) []byte {
	if n := len(b) - 4; n >= 0 {
		le.PutUint32(b[n:], crc32.ChecksumIEEE(b[:n]))
	}
	return b
}

// rewrite writes a pack again from what a Reader says of it.
func rewrite(r *pack.Reader, plain []byte) []byte {
	d := r.Directory()
	frames := make([]rawFrame, len(d.Frames))
	for i, f := range d.Frames {
		frames[i] = rawFrame{plain[f.Offset:][:f.Stored], f.Plain, f.CRC, byte(f.Codec), nil}
	}
	for _, c := range d.Chunks {
		frames[c.Frame].chunks = append(frames[c.Frame].chunks, rawChunk{c.ID, c.Length})
	}
	return writePack(byte(d.Class), frames...)
}

// sampleSegment is a small segment with all that a segment can have: a frame of
// two chunks, a chunk that stands in two packs, both codecs.
func sampleSegment() rawSegment {
	a, b := pack.Name{1}, pack.Name{2, 9}
	return rawSegment{
		packs:  []rawPackRow{{a, 5000, 1}, {b, 70000, 2}},
		frames: []rawFrameRow{{0, 16, 30, 30, 0}, {0, 46, 100, 1000, 1}, {1, 16, 65536, 65536, 0}},
		entries: []rawEntry{
			{pack.ChunkID{1}, 0, 0, 30},
			{pack.ChunkID{2}, 1, 0, 400},
			{pack.ChunkID{2}, 2, 0, 400},
			{pack.ChunkID{0xfe}, 1, 400, 600},
			{pack.ChunkID{0xff}, 2, 400, 65136},
		},
	}
}

// samplePack has a raw frame, a zstd frame of three chunks and a large raw one.
func samplePack() []byte {
	a, b, c := []byte("The bytes of a chunk."), words(1, 900), noise(2, 1500)
	z := zstdFrame(slices.Concat(b, b[:300], b[:1]))
	return writePack(1,
		single(pack.ChunkID{1}, a),
		rawFrame{z, 1201, crc32.ChecksumIEEE(slices.Concat(b, b[:300], b[:1])), 1,
			[]rawChunk{{pack.ChunkID{2}, 900}, {pack.ChunkID{3}, 300}, {pack.ChunkID{4}, 1}}},
		single(pack.ChunkID{5}, c))
}

// changed returns a copy of b on which f has worked.
func changed(b []byte, f func(b []byte)) []byte {
	b = bytes.Clone(b)
	f(b)
	return b
}
