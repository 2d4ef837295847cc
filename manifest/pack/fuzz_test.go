package pack_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"offsite/manifest/pack"
)

// seed adds the vectors of one kind to a fuzz target.
func seed(f *testing.F, kind string) {
	f.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "v1", kind+"-*"))
	if err != nil || len(names) == 0 {
		f.Fatal(len(names), err)
	}
	for _, name := range names {
		file, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, data := split(f, file)
		f.Add(data)
	}
}

// FuzzParsePlain: no input makes the Reader panic or hold more than a frame, and
// a pack that it takes is, byte for byte, the one that FORMAT.md gives for what
// the Reader says it holds. The checksum is made right first, as it would keep
// every change from the code behind it.
func FuzzParsePlain(f *testing.F) {
	seed(f, "pack")
	f.Fuzz(func(t *testing.T, data []byte) {
		data = fixPack(bytes.Clone(data))
		r, err := pack.ParsePlain(data)
		if err != nil {
			return
		}
		if !bytes.Equal(rewrite(r, data), data) {
			t.Error("two ways to write one pack")
		}
		for i, frame := range r.Directory().Frames {
			got, err := r.Frame(nil, i)
			if err == nil && len(got) != int(frame.Plain) {
				t.Errorf("frame of %d bytes, not %d", len(got), frame.Plain)
			}
			if cap(got) > 2*pack.MaxFrame {
				t.Errorf("frame took %d bytes", cap(got))
			}
		}
	})
}

// FuzzDecodeFrame: no stored bytes make the Decoder panic or return other than
// the stated number of bytes.
func FuzzDecodeFrame(f *testing.F) {
	f.Add(zstdFrame(words(1, 1000)), 1000)
	f.Add(zstdFrame(make([]byte, 1<<20)), 1<<20)
	f.Add(zstdFrame(slices.Concat(noise(1, 200<<10), make([]byte, 100<<10))), 300<<10)
	dec, err := pack.NewDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, stored []byte, plain int) {
		got, err := dec.Frame([]byte("before"), pack.Zstd, stored, plain)
		if string(got[:6]) != "before" || err == nil && len(got) != 6+plain || err != nil && len(got) != 6 {
			t.Errorf("%d bytes for %d: %v", len(got), plain, err)
		}
	})
}

// FuzzDecodeSegment: no input makes a Segment panic; one that is taken is found
// again in every way of asking, and merging it alone changes nothing.
func FuzzDecodeSegment(f *testing.F) {
	seed(f, "segment")
	f.Fuzz(func(t *testing.T, data []byte) {
		data = fixSegment(bytes.Clone(data))
		s, err := pack.ParseSegment(data)
		streamed, streamErr := pack.DecodeSegment(bytes.NewReader(data), int64(len(data)))
		if (err == nil) != (streamErr == nil) {
			t.Fatalf("%v, but as a stream %v", err, streamErr)
		}
		if err != nil {
			return
		}
		x := pack.NewIndex(streamed)
		n := 0
		for id, l := range s.Entries() {
			n++
			first, ok := s.Lookup(id)
			if !ok || !slices.Contains(slices.Collect(x.All(id)), l) || first != slices.Collect(x.All(id))[0] {
				t.Fatalf("chunk %s is not found", id)
			}
			near := id
			near[15]++
			x.Lookup(near)
		}
		if n != s.Len() || n != x.Len() {
			t.Errorf("%d entries of %d", n, s.Len())
		}
		for plain, err := range pack.Merge(nil, s, streamed) {
			if err != nil || !bytes.Equal(plain, data) {
				t.Fatalf("merging it alone changes it: %v", err)
			}
		}
	})
}

// FuzzRoundTrip: what goes in comes out. The input is cut into chunks of its own
// making, some blown up so that large ones occur.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("\x05hello\x03abc\xff"), byte(1))
	f.Add(bytes.Repeat([]byte("\x10sixteen bytes...."), 50), byte(200))
	e, b := newEncoder(f), pack.NewBuilder(pack.Volatile)
	f.Fuzz(func(t *testing.T, data []byte, repeat byte) {
		var chunks [][]byte
		for len(data) > 1 && len(chunks) < 50 {
			n := min(int(data[0])+1, len(data)-1)
			c := data[1 : 1+n]
			if len(chunks)%5 == 4 {
				c = bytes.Repeat(c, 1+20*int(repeat))
			}
			chunks = append(chunks, c)
			data = data[1+n:]
		}
		got := make(map[pack.ChunkID][]byte)
		for _, p := range encodeWith(t, e, b, chunks...) {
			for k, v := range decode(t, p) {
				got[k] = v
			}
		}
		for i, c := range chunks {
			if !bytes.Equal(got[id(uint64(i))], c) {
				t.Fatalf("chunk %d of %d bytes did not come back", i, len(c))
			}
		}
	})
}
