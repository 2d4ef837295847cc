package structure_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"offsite/uploader/verify/structure"
)

// visits is text that packs to about a third, some MiB of it.
func visits(lines int) []byte {
	r := rand.New(rand.NewPCG(6, 6))
	var b bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&b, "%d;visit of patient %d;%x;seen\n", i, r.Uint32()%5000, r.Uint64())
	}
	return b.Bytes()
}

// zipped packs text in entries of every kind: lengths before the data or behind it,
// packed or not.
func zipped(t *testing.T, text []byte, method uint16, behind bool) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	var packed bytes.Buffer
	f, err := flate.NewWriter(&packed, flate.BestSpeed)
	must(t, err)
	f.Write(text)
	must(t, f.Close())
	for i := range 2 {
		if behind {
			w, err := z.Create(fmt.Sprint(i))
			must(t, err)
			w.Write(text)
			continue
		}
		h := &zip.FileHeader{Name: fmt.Sprint(i), Method: method, UncompressedSize64: uint64(len(text)), CompressedSize64: uint64(len(text)), CRC32: sum(text)}
		data := text
		if method == zip.Deflate {
			data = packed.Bytes()
			h.CompressedSize64 = uint64(len(data))
		}
		w, err := z.CreateRaw(h)
		must(t, err)
		w.Write(data)
	}
	must(t, z.Close())
	return out.Bytes()
}

func TestPackedStreamsAreProvedToTheirEnd(t *testing.T) {
	t.Parallel()
	text := visits(9_000)
	var g bytes.Buffer
	w := gzip.NewWriter(&g)
	io.Copy(w, bytes.NewReader(bytes.Repeat(text, 4)))
	must(t, w.Close())
	if g.Len() < 1<<19 {
		t.Fatalf("only %d bytes", g.Len())
	}
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"long.sql.gz", g.Bytes()},
		{"packed.zip", zipped(t, text, zip.Deflate, false)},
		{"stored.zip", zipped(t, text, zip.Store, false)},
		{"streamed.zip", zipped(t, text, zip.Deflate, true)},
	} {
		bad := bytes.Clone(c.data)
		bad[len(bad)*9/10] ^= 1
		for _, step := range []int{9973, len(bad)} {
			all := int64(len(bad))
			if r := check(c.name, c.data, step, all); r.State != structure.Sound {
				t.Errorf("%s in writes of %d: state %d", c.name, step, r.State)
			}
			if r := check(c.name, bad, step, all); r.State != structure.Broken {
				t.Errorf("%s with one bit changed, in writes of %d: state %d", c.name, step, r.State)
			}
			if r := check(c.name, bad, step, all/10); r.State != structure.Sound && c.name != "stored.zip" { // which needs no unpacking
				t.Errorf("%s, of which a tenth may be unpacked, in writes of %d: state %d", c.name, step, r.State)
			}
			if r := check(c.name, c.data[:len(bad)*9/10], step, all); r.State < structure.Short {
				t.Errorf("%s cut, in writes of %d: state %d", c.name, step, r.State)
			}
		}
	}
}

// check is look with another limit, and the usual samples alone.
func check(name string, b []byte, step int, allowed int64) structure.Result {
	return feed(structure.New(name, int64(len(b)), allowed, nil), b, step)
}

// TestStreamsOfAPDFAreProved needs no list of objects: it finds what is packed by
// itself.
func TestStreamsOfAPDFAreProved(t *testing.T) {
	t.Parallel()
	noise := rand.NewChaCha8([32]byte{3})
	n := 0
	for _, s := range samples(t) {
		if s.format != structure.PDF {
			continue
		}
		for at := len(s.data) / 4; at < len(s.data)*3/4; at += len(s.data) / 8 {
			bad := bytes.Clone(s.data)
			noise.Read(bad[at:][:1024])
			n++
			for _, step := range []int{513, len(bad)} {
				if r := check(s.name, bad, step, int64(len(bad))); r.State != structure.Broken {
					t.Errorf("%s with noise at %d of %d, in writes of %d: state %d", s.name, at, len(bad), step, r.State)
				}
			}
			locked := append(bytes.Clone(bad), "\ntrailer << /Encrypt 7 0 R >>\nstartxref\n0\n%%EOF\n"...)
			if r := check(s.name, locked, len(bad), int64(len(locked))); r.State != structure.Sound {
				t.Errorf("%s, whose owner locked it: state %d", s.name, r.State)
			}
		}
	}
	if n == 0 {
		t.Error("there is no PDF among the samples")
	}
}

// TestNoiseInAPictureNeedsNoComparison: pixels that are not packed never look random,
// and never differ between the halves of 32 bytes.
func TestNoiseInAPictureNeedsNoComparison(t *testing.T) {
	t.Parallel()
	noise := rand.NewChaCha8([32]byte{8})
	n := 0
	for _, s := range samples(t) {
		was := check(s.name, s.data, 4096, 0)
		if !was.Raw {
			continue
		}
		n++
		if skew := was.Profile.Skew / 256; skew > 3 || skew < -3 || was.Profile.Noise > 0 {
			t.Errorf("%s: %+v", s.name, was.Profile)
		}
		every, blocks := bytes.Clone(s.data), bytes.Clone(s.data)
		for i := 4096; i < len(every); i += 32 {
			noise.Read(every[i:min(i+16, len(every))])
		}
		for i := 4096; i < len(blocks); i += 64 << 10 {
			noise.Read(blocks[i:min(i+4096, len(blocks))])
		}
		if r := check(s.name, every, 4096, 0); r.Profile.Skew/256 < 10 {
			t.Errorf("%s, every other 16 bytes: %+v", s.name, r.Profile)
		}
		if r := check(s.name, blocks, 4096, 0); r.Profile.Noise < 30 {
			t.Errorf("%s, a block of 16: %+v", s.name, r.Profile)
		}
	}
	if n == 0 {
		t.Error("there is no raw picture among the samples")
	}
}

// TestPackedIsToldFromLocked: of a format that nobody knows, by how even the bytes are.
func TestPackedIsToldFromLocked(t *testing.T) {
	t.Parallel()
	noise := rand.NewChaCha8([32]byte{8})
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	must(t, err)
	w.Write(visits(20_000))
	must(t, w.Close())
	for _, before := range []int{0, 6000} { // of a head that is no noise
		packed := append(bytes.Repeat([]byte("kind of head \x00\x01"), before/15), b.Bytes()...)
		every := bytes.Clone(packed)
		for i := before; i < len(every); i += 32 {
			noise.Read(every[i:min(i+16, len(every))])
		}
		whole := bytes.Clone(packed)
		noise.Read(whole[before:])
		was := check("a.vbk", packed, 4096, 0).Profile
		limit := 6 * structure.BiasError(was.Counted)
		if was.Bias < 5*limit || was.Counted < len(packed)/4 {
			t.Fatalf("packed: %+v, limit %d", was, limit)
		}
		for name, data := range map[string][]byte{"every other 16 bytes": every, "whole": whole} {
			for _, step := range []int{100, len(data)} {
				is := check("a.vbk", data, step, 0).Profile
				if is.Bias*2 > was.Bias || was.Bias-is.Bias < limit || before == 0 && is.HeadBias*3 > was.HeadBias {
					t.Errorf("%s, in writes of %d: %+v, was %+v", name, step, is, was)
				}
			}
		}
	}
}
