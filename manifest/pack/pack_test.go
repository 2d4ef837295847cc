package pack_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"offsite/manifest/pack"
)

// id returns a chunk id that depends on n alone and is as uniform as real ones.
func id(n uint64) pack.ChunkID {
	r := rand.New(rand.NewPCG(n, 77))
	var c pack.ChunkID
	binary.BigEndian.PutUint64(c[:], r.Uint64())
	binary.BigEndian.PutUint64(c[8:], r.Uint64())
	return c
}

// noise returns n bytes that do not compress.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 5))
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b[:n:n]
}

// words returns n bytes that compress like a log does.
func words(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 6))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%d: appointment %d moved, room %d\n", r.Uint32(), r.IntN(5000), r.IntN(9))
	}
	return b.Bytes()[:n:n]
}

// encode feeds chunks through an Encoder and returns the packs they make.
func encode(t testing.TB, class pack.Class, chunks ...[]byte) [][]byte {
	t.Helper()
	return encodeWith(t, newEncoder(t), pack.NewBuilder(class), chunks...)
}

// encodeWith is encode with an Encoder and a Builder that were used before.
func encodeWith(t testing.TB, e *pack.Encoder, b *pack.Builder, chunks ...[]byte) [][]byte {
	t.Helper()
	b.Reset(b.Class())
	var packs [][]byte
	put := func(f pack.Frame) {
		if !b.Fits(f) {
			packs = append(packs, bytes.Clone(b.Plain()))
			b.Reset(b.Class())
		}
		if err := b.Append(f); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range chunks {
		if err := e.Add(id(uint64(i)), c); err != nil {
			t.Fatal(err)
		}
		for e.Full() {
			f, _ := e.Flush()
			put(f)
		}
	}
	for {
		f, ok := e.Flush()
		if !ok {
			break
		}
		put(f)
	}
	if !b.Empty() {
		packs = append(packs, bytes.Clone(b.Plain()))
	}
	return packs
}

// decode returns every chunk of a pack by its id.
func decode(t testing.TB, plain []byte) map[pack.ChunkID][]byte {
	t.Helper()
	r, err := pack.ParsePlain(plain)
	if err != nil {
		t.Fatal(err)
	}
	chunks := make(map[pack.ChunkID][]byte)
	d := r.Directory()
	frames := make([][]byte, len(d.Frames))
	for i := range d.Frames {
		if frames[i], err = r.Frame(nil, i); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range d.Chunks {
		chunks[c.ID] = frames[c.Frame][c.Offset:][:c.Length]
	}
	return chunks
}

func TestChunksComeBackBitForBit(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var chunks [][]byte
	for i := range uint64(120) {
		n := []int{1, 100, 16 << 10, 255 << 10, 256 << 10, 1 << 20, pack.MaxChunk}[r.IntN(7)]
		if i%2 == 0 {
			chunks = append(chunks, noise(i, n))
		} else {
			chunks = append(chunks, words(i, n))
		}
	}
	packs := encode(t, pack.WriteOnce, chunks...)
	got := make(map[pack.ChunkID][]byte)
	for _, p := range packs {
		if len(p) > pack.MaxPack || len(p) != pack.PaddedSize(len(p)) {
			t.Errorf("pack of %d bytes", len(p))
		}
		for k, v := range decode(t, p) {
			got[k] = v
		}
	}
	for i, c := range chunks {
		if !bytes.Equal(got[id(uint64(i))], c) {
			t.Errorf("chunk %d of %d bytes did not come back", i, len(c))
		}
	}
	if len(packs) < 5 {
		t.Errorf("%d packs", len(packs))
	}
}
