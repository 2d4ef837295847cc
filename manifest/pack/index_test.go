package pack_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"offsite/manifest/pack"
)

// entries makes n pack entries of frames x chunks; the chunk ids count up from first.
func entries(first uint64, n, frames, chunks int) []pack.PackEntry {
	list := make([]pack.PackEntry, n)
	for i := range list {
		d := pack.Directory{Class: pack.Volatile}
		at := uint32(16)
		for f := range frames {
			fr := pack.FrameInfo{Offset: at, Stored: 100, Plain: uint32(1000 * chunks), Codec: pack.Zstd}
			d.Frames = append(d.Frames, fr)
			at += fr.Stored
			for c := range chunks {
				d.Chunks = append(d.Chunks, pack.ChunkInfo{ID: id(first), Frame: uint32(f), Offset: uint32(1000 * c), Length: 1000})
				first++
			}
		}
		ch := d.Chunks[0].ID
		list[i] = pack.PackEntry{Name: pack.NameOf(ch[:]), Size: 5000, Directory: d}
	}
	return list
}

// segments encodes and decodes the segments of some packs.
func segments(t testing.TB, packs []pack.PackEntry) []*pack.Segment {
	t.Helper()
	plains, err := pack.EncodeSegments(packs)
	if err != nil {
		t.Fatal(err)
	}
	var list []*pack.Segment
	for _, p := range plains {
		s, err := pack.DecodeSegment(bytes.NewReader(p), int64(len(p)))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// holds fails unless the index knows every chunk of the packs, where it stands.
func holds(t *testing.T, x *pack.Index, packs []pack.PackEntry) {
	t.Helper()
	for _, p := range packs {
		for _, c := range p.Directory.Chunks {
			f := p.Directory.Frames[c.Frame]
			found := false
			for l := range x.All(c.ID) {
				found = found || l.Pack == pack.PackInfo{Name: p.Name, Size: p.Size, Class: p.Directory.Class} &&
					x.Packs()[l.PackNo] == l.Pack && l.Frame == f.Offset && l.Stored == f.Stored && l.Plain == f.Plain &&
					l.Codec == f.Codec && l.Offset == c.Offset && l.Length == c.Length
			}
			if _, ok := x.Lookup(c.ID); !found || !ok {
				t.Fatalf("chunk %s of pack %s is not found where it stands", c.ID, p.Name)
			}
		}
	}
}

func TestIndexFindsEveryChunkAndNoOther(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 7, 50} {
		packs := entries(0, n, 3, 5)
		x := pack.NewIndex(segments(t, packs)...)
		holds(t, x, packs)
		if x.Len() != n*15 || len(x.Packs()) != n {
			t.Errorf("%d entries, %d packs", x.Len(), len(x.Packs()))
		}
		for i := range uint64(1000) {
			if l, ok := x.Lookup(id(1_000_000 + i)); ok {
				t.Fatalf("a chunk that is not there stands at %+v", l)
			}
		}
	}
}

func TestMergeKeepsWantedPacksOnce(t *testing.T) {
	t.Parallel()
	a, b := entries(0, 20, 2, 3), entries(1000, 30, 1, 4)
	dropped := b[7].Name
	kept := slices.DeleteFunc(slices.Concat(a, b), func(p pack.PackEntry) bool { return p.Name == dropped })
	segs := append(segments(t, a), segments(t, b)...)
	segs = append(segs, segments(t, a[:5])...)
	var merged []*pack.Segment
	for plain, err := range pack.Merge(func(n pack.Name) bool { return n != dropped }, segs...) {
		if err != nil {
			t.Fatal(err)
		}
		s, err := pack.ParseSegment(plain)
		if err != nil {
			t.Fatal(err)
		}
		merged = append(merged, s)
	}
	x := pack.NewIndex(merged...)
	if len(merged) != 1 || len(x.Packs()) != 49 || x.Len() != 120+29*4 {
		t.Fatalf("%d segments, %d packs, %d entries", len(merged), len(x.Packs()), x.Len())
	}
	holds(t, x, kept)
	// The same packs in another order make the same bytes.
	var one []byte
	for plain, err := range pack.Merge(nil, merged...) {
		if err != nil {
			t.Fatal(err)
		}
		one = plain
	}
	again, err := pack.EncodeSegments(kept)
	if err != nil || !bytes.Equal(one, again[0]) {
		t.Errorf("merging and encoding differ (%v)", err)
	}
}

func TestTooMuchForOneSegmentMakesSeveral(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("makes 1.6 million entries")
	}
	packs := entries(0, 400, 4000, 1)
	list := segments(t, packs)
	if len(list) != 2 {
		t.Fatalf("%d segments", len(list))
	}
	var merged []*pack.Segment
	for plain, err := range pack.Merge(nil, list[1], list[0]) {
		if err != nil || len(plain) > pack.MaxSegment {
			t.Fatalf("segment of %d bytes: %v", len(plain), err)
		}
		s, err := pack.ParseSegment(plain)
		if err != nil {
			t.Fatal(err)
		}
		merged = append(merged, s)
	}
	if len(merged) != 2 {
		t.Fatalf("merged to %d segments", len(merged))
	}
	x := pack.NewIndex(merged...)
	if x.Len() != 1_600_000 || len(x.Packs()) != 400 {
		t.Fatalf("%d entries, %d packs", x.Len(), len(x.Packs()))
	}
	holds(t, x, packs[:1])
	holds(t, x, packs[399:])
}

func TestSegmentsAreRefusedForWrongEntries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(p []pack.PackEntry)
	}{
		{"pack twice", func(p []pack.PackEntry) { p[1].Name = p[0].Name }},
		{"size of no bytes", func(p []pack.PackEntry) { p[0].Size = 0 }},
		{"no class", func(p []pack.PackEntry) { p[0].Directory.Class = 0 }},
		{"no frames", func(p []pack.PackEntry) { p[0].Directory.Frames, p[0].Directory.Chunks = nil, nil }},
		{"unknown frame", func(p []pack.PackEntry) { p[0].Directory.Chunks[2].Frame = 9 }},
		{"chunk outside its frame", func(p []pack.PackEntry) { p[0].Directory.Chunks[2].Length = 5000 }},
	} {
		packs := entries(0, 2, 2, 3)
		c.do(packs)
		if got, err := pack.EncodeSegments(packs); !errors.Is(err, pack.ErrDamaged) || got != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if got, err := pack.EncodeSegments(nil); got != nil || err != nil {
		t.Errorf("no packs: %d segments, %v", len(got), err)
	}
}

func TestMergeRefusesSegmentsThatDisagree(t *testing.T) {
	t.Parallel()
	a, b := entries(0, 3, 2, 3), entries(0, 3, 2, 3)
	b[1].Size++
	var last error
	for _, err := range pack.Merge(nil, append(segments(t, a), segments(t, b)...)...) {
		last = err
	}
	wants(t, last, pack.ErrDamaged)
	for range pack.Merge(func(pack.Name) bool { return false }, segments(t, a)...) {
		t.Error("a segment of nothing")
	}
	for range pack.Merge(nil) {
		t.Error("a segment of no segments")
	}
}

func TestChunkInSeveralPacksIsFoundInAll(t *testing.T) {
	t.Parallel()
	a, b := entries(0, 1, 1, 4), entries(0, 1, 1, 4)
	b[0].Name = pack.Name{0xff}
	both := segments(t, slices.Concat(a, b))
	apart := append(segments(t, b), segments(t, a)...)
	for _, x := range []*pack.Index{pack.NewIndex(both...), pack.NewIndex(apart...), pack.NewIndex(append(apart, both...)...)} {
		names := make(map[pack.Name]bool)
		for l := range x.All(id(2)) {
			if x.Packs()[l.PackNo].Name != l.Pack.Name {
				t.Error("wrong pack number")
			}
			names[l.Pack.Name] = true
		}
		if len(names) != 2 || len(x.Packs()) != 2 {
			t.Errorf("found in %d packs of %d", len(names), len(x.Packs()))
		}
	}
	if l, _ := pack.NewIndex(apart...).Lookup(id(2)); l.Pack.Name != b[0].Name {
		t.Error("the first segment is not asked first")
	}
}
