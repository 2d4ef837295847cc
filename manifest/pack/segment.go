package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math/bits"
)

const (
	segMagic = "OFFSINDX"

	segHeaderSize   = 32
	segTrailerSize  = 4
	segPackRowSize  = 40
	segFrameRowSize = 16
	segEntrySize    = 28

	// readPiece is how much of a segment is read and summed at once, so that
	// the checksum finds the bytes still in the processor's cache.
	readPiece = 256 << 10
	// bucketBits: the table over the entries has a bucket for about every
	// 2^bucketBits of them, that is half a byte an entry.
	bucketBits = 3
)

// PackInfo names one stored pack.
type PackInfo struct {
	Name  Name
	Size  uint32 // sealed size: the size of the stored object
	Class Class
}

// Location says where one chunk stands.
type Location struct {
	Pack   PackInfo
	PackNo int    // number of the pack in the Index or Segment that was asked
	Frame  uint32 // where the frame's stored bytes start in the plain pack
	Stored uint32 // their length
	Plain  uint32 // the frame's plain length
	Codec  Codec
	Offset uint32 // where the chunk starts in the frame's plain bytes
	Length uint32 // of the chunk
}

// Segment is a decoded index segment. It keeps the one block that it was read
// into. It does not change and is safe for concurrent use.
type Segment struct {
	packs   []byte // rows, sorted by name
	frames  []byte // rows, sorted by pack and place
	entries []byte // rows, sorted by chunk id, frame and offset
	buckets []uint32
	shift   uint // 64 minus the number of id bits that choose a bucket
}

// segmentCounts are the numbers of rows, as the header states them.
type segmentCounts struct{ packs, frames, entries int }

func (c segmentCounts) size() int {
	return segHeaderSize + c.packs*segPackRowSize + c.frames*segFrameRowSize + c.entries*segEntrySize + segTrailerSize
}

func parseSegmentHeader(b []byte, size int64) (segmentCounts, error) {
	le := binary.LittleEndian
	if string(b[:8]) != segMagic {
		return segmentCounts{}, fmt.Errorf("%w: not an index segment", ErrDamaged)
	}
	if v := le.Uint16(b[8:]); v != Version {
		return segmentCounts{}, fmt.Errorf("index segment version %d: %w", v, ErrVersion)
	}
	p, f, e := le.Uint32(b[12:]), le.Uint32(b[16:]), le.Uint32(b[20:])
	// Each count is bounded by itself, so that their sum cannot overflow.
	if p == 0 || p > f || f > e || e > MaxSegment/segEntrySize || !allZero(b[10:12]) || !allZero(b[24:segHeaderSize]) {
		return segmentCounts{}, fmt.Errorf("%w: index segment header", ErrDamaged)
	}
	c := segmentCounts{int(p), int(f), int(e)}
	if want := PaddedSize(c.size()); int64(want) != size {
		return segmentCounts{}, fmt.Errorf("%w: index segment of %d bytes, its header says %d", ErrDamaged, size, want)
	}
	return c, nil
}

func appendSegmentHeader(b []byte, c segmentCounts) []byte {
	le := binary.LittleEndian
	b = append(b, segMagic...)
	b = le.AppendUint16(b, Version)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(c.packs))
	b = le.AppendUint32(b, uint32(c.frames))
	b = le.AppendUint32(b, uint32(c.entries))
	return le.AppendUint64(b, 0)
}

// DecodeSegment reads a plain index segment of exactly size bytes from r into
// one allocation, so that a sealed segment can be opened as a stream.
func DecodeSegment(r io.Reader, size int64) (*Segment, error) {
	if size < minPlain || size > MaxSegment {
		return nil, fmt.Errorf("%w: index segment of %d bytes", ErrDamaged, size)
	}
	var head [segHeaderSize]byte
	if err := readFull(r, head[:]); err != nil {
		return nil, err
	}
	c, err := parseSegmentHeader(head[:], size)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	sum := crc32.ChecksumIEEE(b[:copy(b, head[:])])
	for at := segHeaderSize; at < len(b); {
		piece := b[at:min(at+readPiece, len(b))]
		if err := readFull(r, piece); err != nil {
			return nil, err
		}
		at += len(piece)
		if at == len(b) {
			piece = piece[:max(len(piece)-segTrailerSize, 0)]
		}
		sum = crc32.Update(sum, crc32.IEEETable, piece)
	}
	// The end of the stream is where a seal is found to be whole.
	if n, err := io.ReadFull(r, head[:1]); n != 0 {
		return nil, fmt.Errorf("%w: bytes behind the index segment", ErrDamaged)
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read index segment: %w", err)
	}
	return newSegment(b, c, sum)
}

// ParseSegment decodes a plain index segment and keeps b.
func ParseSegment(b []byte) (*Segment, error) {
	if len(b) < minPlain || len(b) > MaxSegment {
		return nil, fmt.Errorf("%w: index segment of %d bytes", ErrDamaged, len(b))
	}
	c, err := parseSegmentHeader(b[:segHeaderSize], int64(len(b)))
	if err != nil {
		return nil, err
	}
	return newSegment(b, c, crc32.ChecksumIEEE(b[:len(b)-segTrailerSize]))
}

func newSegment(b []byte, c segmentCounts, sum uint32) (*Segment, error) {
	rest, trailer := b[segHeaderSize:len(b)-segTrailerSize], b[len(b)-segTrailerSize:]
	if binary.LittleEndian.Uint32(trailer) != sum {
		return nil, fmt.Errorf("%w: index segment checksum", ErrDamaged)
	}
	cut := func(n int) []byte {
		part := rest[:n:n]
		rest = rest[n:]
		return part
	}
	s := &Segment{
		packs:   cut(c.packs * segPackRowSize),
		frames:  cut(c.frames * segFrameRowSize),
		entries: cut(c.entries * segEntrySize),
	}
	if !allZero(rest) {
		return nil, fmt.Errorf("%w: index segment padding is not zero", ErrDamaged)
	}
	for _, check := range []func() error{s.checkPacks, s.checkFrames, s.checkEntries} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Segment) checkPacks() error {
	for i := range s.Packs() {
		row := s.packs[i*segPackRowSize:][:segPackRowSize]
		if i > 0 && bytes.Compare(s.packs[(i-1)*segPackRowSize:][:32], row[:32]) >= 0 {
			return fmt.Errorf("%w: index segment packs are out of order", ErrDamaged)
		}
		p := s.Pack(i)
		if p.Size == 0 || p.Size > MaxPackSealed || !p.Class.valid() || !allZero(row[37:]) {
			return fmt.Errorf("%w: index segment row of pack %d", ErrDamaged, i)
		}
	}
	return nil
}

// checkFrames: the frames of a pack follow each other, the packs too, and every
// pack has one.
func (s *Segment) checkFrames() error {
	pack, at := -1, uint32(MaxPack)
	for i := range s.frameCount() {
		f := s.frame(uint32(i))
		if int64(f.pack) == int64(pack)+1 {
			pack++
			at = packHeaderSize
		}
		if int64(f.pack) != int64(pack) || f.offset != at {
			return fmt.Errorf("%w: index segment frame %d is out of order", ErrDamaged, i)
		}
		if err := checkFrame(f.codec, f.stored, f.plain); err != nil {
			return err
		}
		if at += f.stored; at > MaxPack {
			return fmt.Errorf("%w: index segment frame %d ends outside its pack", ErrDamaged, i)
		}
	}
	if pack != s.Packs()-1 {
		return fmt.Errorf("%w: index segment has packs without frames", ErrDamaged)
	}
	return nil
}

// checkEntries checks every entry and makes the table of buckets on the way.
func (s *Segment) checkEntries() error {
	n := s.Len()
	width := max(bits.Len(uint(n))-bucketBits, 0)
	s.shift = uint(64 - width)
	s.buckets = make([]uint32, 1<<width+1)
	next := uint64(0) // first bucket whose start is not known
	var prev entry
	for i := range n {
		e := s.entry(i)
		if i > 0 && !prev.less(e) {
			return fmt.Errorf("%w: index segment entries are out of order", ErrDamaged)
		}
		if e.frame >= uint32(s.frameCount()) {
			return fmt.Errorf("%w: index segment entry of an unknown frame", ErrDamaged)
		}
		if plain := s.framePlain(e.frame); e.length == 0 || e.length > plain || e.offset > plain-e.length {
			return fmt.Errorf("%w: index segment entry outside its frame", ErrDamaged)
		}
		for b := e.hi >> s.shift; next <= b; next++ {
			s.buckets[next] = uint32(i)
		}
		prev = e
	}
	for ; next < uint64(len(s.buckets)); next++ {
		s.buckets[next] = uint32(n)
	}
	return nil
}

// Len returns the number of entries: chunks, counted once for every place.
func (s *Segment) Len() int { return len(s.entries) / segEntrySize }

// Packs returns the number of packs.
func (s *Segment) Packs() int { return len(s.packs) / segPackRowSize }

// Size returns the segment's plain size without its padding.
func (s *Segment) Size() int {
	return segmentCounts{s.Packs(), s.frameCount(), s.Len()}.size()
}

// Pack returns pack i, in the order of names.
func (s *Segment) Pack(i int) PackInfo {
	row := s.packs[i*segPackRowSize:][:segPackRowSize]
	return PackInfo{Name: Name(row[:32]), Size: binary.LittleEndian.Uint32(row[32:]), Class: Class(row[36])}
}

// Lookup returns the first place of a chunk.
func (s *Segment) Lookup(id ChunkID) (Location, bool) {
	i, ok := s.find(newKey(id))
	if !ok {
		return Location{}, false
	}
	return s.location(s.entry(i)), true
}

// Entries yields every chunk of the segment with its place, in the order of ids.
func (s *Segment) Entries() iter.Seq2[ChunkID, Location] {
	return func(yield func(ChunkID, Location) bool) {
		for i := range s.Len() {
			if !yield(ChunkID(s.entries[i*segEntrySize:][:16]), s.location(s.entry(i))) {
				return
			}
		}
	}
}

// find returns the number of the first entry with the key.
func (s *Segment) find(k key) (int, bool) {
	b := k.hi >> s.shift
	lo, hi := int(s.buckets[b]), int(s.buckets[b+1])
	// A bucket holds some eight entries, as names are uniform; were they not,
	// halving would still find the place.
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.key(mid).less(k) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < s.Len() && s.key(lo) == k
}

func (s *Segment) location(e entry) Location {
	f := s.frame(e.frame)
	return Location{
		Pack: s.Pack(int(f.pack)), PackNo: int(f.pack),
		Frame: f.offset, Stored: f.stored, Plain: f.plain, Codec: f.codec,
		Offset: e.offset, Length: e.length,
	}
}

// frameRow is one row of the frame table.
type frameRow struct {
	pack, offset, stored, plain uint32
	codec                       Codec
}

func (s *Segment) frameCount() int { return len(s.frames) / segFrameRowSize }

func (s *Segment) frame(i uint32) frameRow {
	row := s.frames[int(i)*segFrameRowSize:][:segFrameRowSize]
	le := binary.LittleEndian
	plain := le.Uint32(row[12:])
	return frameRow{pack: le.Uint32(row), offset: le.Uint32(row[4:]), stored: le.Uint32(row[8:]),
		plain: plain & 0xffffff, codec: Codec(plain >> 24)}
}

func (s *Segment) framePlain(i uint32) uint32 {
	return binary.LittleEndian.Uint32(s.frames[int(i)*segFrameRowSize+12:]) & 0xffffff
}

func (s *Segment) framePack(i uint32) uint32 {
	return binary.LittleEndian.Uint32(s.frames[int(i)*segFrameRowSize:])
}

func appendSegmentFrame(b []byte, f frameRow) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, f.pack)
	b = le.AppendUint32(b, f.offset)
	b = le.AppendUint32(b, f.stored)
	return le.AppendUint32(b, f.plain|uint32(f.codec)<<24)
}

// key is a chunk id as two numbers, which compare faster than bytes do.
type key struct{ hi, lo uint64 }

func newKey(id ChunkID) key {
	be := binary.BigEndian
	return key{be.Uint64(id[:]), be.Uint64(id[8:])}
}

func (k key) less(o key) bool { return k.hi < o.hi || k.hi == o.hi && k.lo < o.lo }

// entry is one row of the entry table.
type entry struct {
	key
	frame, offset, length uint32
}

func (e entry) less(o entry) bool {
	if e.key != o.key {
		return e.key.less(o.key)
	}
	if e.frame != o.frame {
		return e.frame < o.frame
	}
	return e.offset < o.offset
}

func (e entry) compare(o entry) int {
	switch {
	case e.less(o):
		return -1
	case o.less(e):
		return 1
	}
	return 0
}

func (s *Segment) key(i int) key {
	row := s.entries[i*segEntrySize:][:16]
	return key{binary.BigEndian.Uint64(row), binary.BigEndian.Uint64(row[8:])}
}

func (s *Segment) entry(i int) entry {
	row := s.entries[i*segEntrySize:][:segEntrySize]
	be, le := binary.BigEndian, binary.LittleEndian
	return entry{key{be.Uint64(row), be.Uint64(row[8:])}, le.Uint32(row[16:]), le.Uint32(row[20:]), le.Uint32(row[24:])}
}

func appendEntry(b []byte, e entry) []byte {
	be, le := binary.BigEndian, binary.LittleEndian
	b = be.AppendUint64(b, e.hi)
	b = be.AppendUint64(b, e.lo)
	b = le.AppendUint32(b, e.frame)
	b = le.AppendUint32(b, e.offset)
	return le.AppendUint32(b, e.length)
}

// readFull fills b. A stream that ends early is damage; any other error is the
// stream's own and stays what it is.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: index segment ends early", ErrDamaged)
	}
	return fmt.Errorf("read index segment: %w", err)
}
