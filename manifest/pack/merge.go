package pack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"
)

// PackEntry is one stored pack and what it holds: what an index segment is made of.
type PackEntry struct {
	Name      Name
	Size      uint32 // sealed size
	Directory Directory
}

// EncodeSegments makes plain index segments of stored packs, in the order given:
// one, or several where one would grow over MaxSegment. No pack may appear twice.
func EncodeSegments(packs []PackEntry) ([][]byte, error) {
	var segments [][]byte
	for len(packs) > 0 {
		n, counts := fitEntries(packs)
		b, err := encodeSegment(packs[:n], counts)
		if err != nil {
			return nil, err
		}
		segments = append(segments, b)
		packs = packs[n:]
	}
	return segments, nil
}

// fitEntries returns how many of the first packs one segment holds, at least one.
func fitEntries(packs []PackEntry) (int, segmentCounts) {
	var c segmentCounts
	for i := range packs {
		d := &packs[i].Directory
		next := segmentCounts{c.packs + 1, c.frames + len(d.Frames), c.entries + len(d.Chunks)}
		if i > 0 && next.size() > MaxSegment {
			return i, c
		}
		c = next
	}
	return len(packs), c
}

func encodeSegment(packs []PackEntry, c segmentCounts) ([]byte, error) {
	sorted := make([]*PackEntry, len(packs))
	for i := range packs {
		sorted[i] = &packs[i]
	}
	slices.SortFunc(sorted, func(a, b *PackEntry) int { return bytes.Compare(a.Name[:], b.Name[:]) })
	w := newSegmentWriter(c)
	for _, p := range sorted {
		w.pack(PackInfo{p.Name, p.Size, p.Directory.Class})
	}
	entries := make([]entry, 0, c.entries)
	frames := uint32(0) // of the packs so far
	for i, p := range sorted {
		for _, f := range p.Directory.Frames {
			w.frame(frameRow{uint32(i), f.Offset, f.Stored, f.Plain, f.Codec})
		}
		for _, ch := range p.Directory.Chunks {
			if int(ch.Frame) >= len(p.Directory.Frames) {
				return nil, fmt.Errorf("encode index segment: pack %s: %w: chunk of an unknown frame", p.Name, ErrDamaged)
			}
			entries = append(entries, entry{newKey(ch.ID), frames + ch.Frame, ch.Offset, ch.Length})
		}
		frames += uint32(len(p.Directory.Frames))
	}
	slices.SortFunc(entries, entry.compare)
	for _, e := range entries {
		w.entry(e)
	}
	return w.finish()
}

// Merge makes few segments of many: the packs of all of them, each once, in the
// order in which the segments are given, without those that keep refuses (nil
// keeps all). It yields one plain segment at a time, none over MaxSegment, and
// stops at the first error.
func Merge(keep func(Name) bool, segments ...*Segment) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		members, err := chooseMembers(keep, segments)
		if err != nil {
			yield(nil, err)
			return
		}
		for len(members) > 0 {
			n, counts := fitMembers(members)
			b, err := mergeSegment(members[:n], counts, segments)
			if !yield(b, err) || err != nil {
				return
			}
			members = members[n:]
		}
	}
}

// member is one pack of one of the segments that are merged.
type member struct {
	info    PackInfo
	segment int
	frame   int // its first frame in that segment
	frames  int
	entries int
}

// chooseMembers lists the packs to keep, each once.
func chooseMembers(keep func(Name) bool, segments []*Segment) ([]member, error) {
	var members []member
	seen := make(map[Name]member)
	for n, s := range segments {
		for _, m := range s.members(n) {
			if keep != nil && !keep(m.info.Name) {
				continue
			}
			if o, ok := seen[m.info.Name]; ok {
				if o.info != m.info || o.frames != m.frames || o.entries != m.entries {
					return nil, fmt.Errorf("merge index segments: %w: two say different things of pack %s", ErrDamaged, m.info.Name)
				}
				continue
			}
			seen[m.info.Name] = m
			members = append(members, m)
		}
	}
	return members, nil
}

// members counts the rows of each pack of the segment.
func (s *Segment) members(number int) []member {
	list := make([]member, s.Packs())
	for i := range s.frameCount() {
		m := &list[s.framePack(uint32(i))]
		if m.frames == 0 {
			m.frame = i
		}
		m.frames++
	}
	for i := range s.Len() {
		list[s.framePack(s.entry(i).frame)].entries++
	}
	for i := range list {
		list[i].info, list[i].segment = s.Pack(i), number
	}
	return list
}

// fitMembers returns how many of the first members one segment holds, at least one.
func fitMembers(members []member) (int, segmentCounts) {
	var c segmentCounts
	for i, m := range members {
		next := segmentCounts{c.packs + 1, c.frames + m.frames, c.entries + m.entries}
		if i > 0 && next.size() > MaxSegment {
			return i, c
		}
		c = next
	}
	return len(members), c
}

func mergeSegment(members []member, c segmentCounts, segments []*Segment) ([]byte, error) {
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b member) int { return bytes.Compare(a.info.Name[:], b.info.Name[:]) })
	w := newSegmentWriter(c)
	for _, m := range sorted {
		w.pack(m.info)
	}
	numbers := make([][]uint32, len(segments)) // by segment and old frame: new frame + 1
	frames := uint32(0)
	for i, m := range sorted {
		s := segments[m.segment]
		if numbers[m.segment] == nil {
			numbers[m.segment] = make([]uint32, s.frameCount())
		}
		for old := m.frame; old < m.frame+m.frames; old++ {
			f := s.frame(uint32(old))
			f.pack = uint32(i)
			w.frame(f)
			frames++
			numbers[m.segment][old] = frames
		}
	}
	for e := range mergeEntries(segments, numbers) {
		w.entry(e)
	}
	return w.finish()
}

// cursor walks those entries of a segment that belong to the members.
type cursor struct {
	segment *Segment
	numbers []uint32
	next    int
	at      entry // with its new frame number
}

// advance moves to the next such entry. Old and new frames are both numbered in
// the order of pack names, so the entries stay in order.
func (c *cursor) advance() bool {
	for ; c.next < c.segment.Len(); c.next++ {
		e := c.segment.entry(c.next)
		if n := c.numbers[e.frame]; n != 0 {
			e.frame = n - 1
			c.at = e
			c.next++
			return true
		}
	}
	return false
}

// mergeEntries yields the entries of all segments in order, by a heap of one
// cursor for each.
func mergeEntries(segments []*Segment, numbers [][]uint32) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		var heap []*cursor
		for i, s := range segments {
			if numbers[i] == nil {
				continue
			}
			if c := (&cursor{segment: s, numbers: numbers[i]}); c.advance() {
				heap = append(heap, c)
			}
		}
		for i := len(heap)/2 - 1; i >= 0; i-- {
			siftDown(heap, i)
		}
		for len(heap) > 0 {
			if !yield(heap[0].at) {
				return
			}
			if !heap[0].advance() {
				heap[0] = heap[len(heap)-1]
				heap = heap[:len(heap)-1]
			}
			siftDown(heap, 0)
		}
	}
}

func siftDown(heap []*cursor, i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(heap); child++ {
			if heap[child].at.less(heap[least].at) {
				least = child
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}

// segmentWriter writes the rows of one segment in order into one allocation.
type segmentWriter struct {
	b    []byte
	size int // padded
}

func newSegmentWriter(c segmentCounts) *segmentWriter {
	size := PaddedSize(c.size())
	return &segmentWriter{b: appendSegmentHeader(make([]byte, 0, size), c), size: size}
}

func (w *segmentWriter) pack(p PackInfo) {
	w.b = append(w.b, p.Name[:]...)
	w.b = binary.LittleEndian.AppendUint32(w.b, p.Size)
	w.b = append(w.b, byte(p.Class), 0, 0, 0)
}

func (w *segmentWriter) frame(f frameRow) { w.b = appendSegmentFrame(w.b, f) }
func (w *segmentWriter) entry(e entry)    { w.b = appendEntry(w.b, e) }

// finish pads the segment and proves it by decoding it: a segment that cannot
// be read would hide every chunk in it.
func (w *segmentWriter) finish() ([]byte, error) {
	n := len(w.b)
	if n > w.size-segTrailerSize {
		return nil, fmt.Errorf("encode index segment: %w: more rows than counted", ErrDamaged)
	}
	w.b = w.b[:w.size-segTrailerSize] // the allocation is zero where nothing was written
	w.b = binary.LittleEndian.AppendUint32(w.b, crc32.ChecksumIEEE(w.b))
	if _, err := ParseSegment(w.b); err != nil {
		return nil, fmt.Errorf("encode index segment: %w", err)
	}
	return w.b, nil
}
