package pack

import "iter"

// Index answers where chunks stand, over several segments. It does not change
// and is safe for concurrent use; a new run makes a new one.
type Index struct {
	segments []indexed
	packs    []PackInfo
	entries  int
}

type indexed struct {
	*Segment
	packs []int32 // number in the Index of each of the segment's packs
}

// NewIndex returns an Index over the segments, asked in the order given.
func NewIndex(segments ...*Segment) *Index {
	x := &Index{segments: make([]indexed, 0, len(segments))}
	seen := make(map[Name]int32)
	for _, s := range segments {
		numbers := make([]int32, s.Packs())
		for i := range numbers {
			p := s.Pack(i)
			n, ok := seen[p.Name]
			if !ok {
				n = int32(len(x.packs))
				seen[p.Name] = n
				x.packs = append(x.packs, p)
			}
			numbers[i] = n
		}
		x.segments = append(x.segments, indexed{s, numbers})
		x.entries += s.Len()
	}
	return x
}

// Len returns the number of entries of all segments: a chunk that stands in two
// packs, or whose pack stands in two segments, counts twice.
func (x *Index) Len() int { return x.entries }

// Packs returns every pack once. Location.PackNo is a number in this slice,
// which is the Index's own: do not change it.
func (x *Index) Packs() []PackInfo { return x.packs }

// Lookup returns the first place found for a chunk.
func (x *Index) Lookup(id ChunkID) (Location, bool) {
	k := newKey(id)
	for i := range x.segments {
		s := &x.segments[i]
		if at, ok := s.find(k); ok {
			return s.locate(at), true
		}
	}
	return Location{}, false
}

// All yields every place of a chunk, so that a caller can take one whose pack
// will live long enough. A pack that stands in two segments yields twice.
func (x *Index) All(id ChunkID) iter.Seq[Location] {
	return func(yield func(Location) bool) {
		k := newKey(id)
		for i := range x.segments {
			s := &x.segments[i]
			at, ok := s.find(k)
			for ; ok; ok = at < s.Len() && s.key(at) == k {
				if !yield(s.locate(at)) {
					return
				}
				at++
			}
		}
	}
}

func (s *indexed) locate(at int) Location {
	l := s.location(s.entry(at))
	l.PackNo = int(s.packs[l.PackNo])
	return l
}
