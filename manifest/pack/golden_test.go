package pack_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"offsite/manifest/pack"
)

// writeGolden writes those vectors that do not exist yet. It never changes one:
// a new version of the format gets a folder of its own.
var writeGolden = flag.Bool("write-golden", false, "write missing vectors to testdata/v1")

// zstdFrame compresses with options other than the Encoder's, which a reader
// must take as well.
func zstdFrame(plain []byte, opt ...zstd.EOption) []byte {
	e, err := zstd.NewWriter(nil, append([]zstd.EOption{zstd.WithSingleSegment(true)}, opt...)...)
	if err != nil {
		panic(err)
	}
	return e.EncodeAll(plain, nil)
}

// vector is one file: what it shows, what a reader says, the bytes.
type vector struct {
	name, kind, expect, about string
	data                      []byte
}

func packVectors() []vector {
	good := samplePack()
	tail := len(good) - 16
	dir := tail - int(le.Uint32(good[tail:]))
	frameRow := func(i int) int { return dir + 8 + 16*i }
	chunkRow := func(i int) int { return frameRow(3) + 20*i }
	var list []vector
	add := func(name, expect, about string, data []byte) {
		list = append(list, vector{"pack-" + name, "pack", expect, about, data})
	}
	bad := func(name, about string, f func(b []byte)) {
		add(name, "damaged", about, fixPack(changed(good, f)))
	}
	text := words(3, 600)
	twice := slices.Concat(text, text)
	z := zstdFrame(twice)
	frame := func(stored []byte) []byte {
		return writePack(2, rawFrame{stored, 1200, crc32.ChecksumIEEE(twice), 1, []rawChunk{{pack.ChunkID{7}, 600}, {pack.ChunkID{8}, 600}}})
	}
	add("good", "ok", "raw and zstd frames, one of several chunks", good)
	add("good-one-byte", "ok", "the smallest pack", writePack(3, single(pack.ChunkID{1}, []byte{0})))
	add("good-twice", "ok", "one chunk id twice", writePack(2, single(pack.ChunkID{1}, text), single(pack.ChunkID{1}, text)))
	add("good-zstd-checksum", "ok", "a zstd frame with a checksum of its own", frame(zstdFrame(twice, zstd.WithEncoderCRC(true))))
	add("version", "version", "version 2", fixPack(changed(good, func(b []byte) { b[8] = 2 })))
	bad("magic", "first letter of the header", func(b []byte) { b[0] = 'o' })
	bad("class-zero", "class 0", func(b []byte) { b[10] = 0 })
	bad("class-unknown", "class 4", func(b []byte) { b[10] = 4 })
	bad("header-reserved", "last header byte is not zero", func(b []byte) { b[15] = 1 })
	bad("end-magic", "last letter of the trailer", func(b []byte) { b[len(b)-1] = 'd' })
	add("checksum", "damaged", "a bit of a chunk id", changed(good, func(b []byte) { b[chunkRow(0)] ^= 1 }))
	bad("padding", "padding is not zero", func(b []byte) { b[dir-1] = 1 })
	bad("directory-size", "directory a row too long", func(b []byte) { le.PutUint32(b[tail:], le.Uint32(b[tail:])+16) })
	bad("directory-size-huge", "directory longer than the pack", func(b []byte) { le.PutUint32(b[tail:], 1<<31) })
	bad("frame-count", "one frame too many", func(b []byte) { b[dir]++ })
	bad("frame-count-zero", "no frames", func(b []byte) { b[dir] = 0 })
	bad("chunk-count-huge", "more chunks than the directory has room for", func(b []byte) { le.PutUint32(b[dir+4:], 1<<32-1) })
	bad("frame-stored-zero", "zstd frame of no bytes", func(b []byte) { le.PutUint32(b[frameRow(1):], 0) })
	bad("frame-stored-long", "last frame reaches into the directory", func(b []byte) {
		le.PutUint32(b[frameRow(2):], 4000)
		le.PutUint32(b[frameRow(2)+4:], 4000)
		le.PutUint32(b[chunkRow(4)+16:], 4000)
	})
	bad("frame-plain-zero", "frame of no plain bytes", func(b []byte) { le.PutUint32(b[frameRow(0)+4:], 0) })
	bad("frame-plain-huge", "frame of more than 4 MiB", func(b []byte) { le.PutUint32(b[frameRow(1)+4:], 4<<20+1) })
	bad("frame-codec", "codec 2", func(b []byte) { b[frameRow(1)+14] = 2 })
	bad("frame-reserved", "last byte of a frame row is not zero", func(b []byte) { b[frameRow(2)+15] = 1 })
	bad("frame-chunks-zero", "frame without chunks", func(b []byte) { le.PutUint16(b[frameRow(0)+12:], 0) })
	bad("frame-chunks-many", "frame with more chunks than rows", func(b []byte) { le.PutUint16(b[frameRow(2)+12:], 2) })
	bad("frame-chunks-few", "frame with fewer chunks than fill it", func(b []byte) { le.PutUint16(b[frameRow(1)+12:], 2) })
	bad("raw-sizes", "raw frame whose two lengths differ", func(b []byte) { b[frameRow(0)+4]++; b[chunkRow(0)+16]++ })
	bad("zstd-grows", "zstd frame that is as long as its plain bytes", func(b []byte) {
		copy(b[frameRow(1)+4:frameRow(1)+8], b[frameRow(1):])
	})
	bad("chunk-empty", "chunk of no bytes", func(b []byte) { le.PutUint32(b[chunkRow(3)+16:], 0) })
	bad("chunk-short", "chunks do not fill their frame", func(b []byte) { b[chunkRow(0)+16]-- })
	bad("chunk-long", "chunk reaches out of its frame", func(b []byte) { le.PutUint32(b[chunkRow(0)+16:], 1<<32-1) })
	extra := single(pack.ChunkID{1}, text)
	extra.chunks = append(extra.chunks, rawChunk{pack.ChunkID{2}, 1})
	add("chunk-without-frame", "damaged", "chunk row that belongs to no frame", fixPack(changed(writePack(1, extra), func(b []byte) {
		le.PutUint16(b[len(b)-16-2*20-16+12:], 1)
	})))
	add("not-padded", "damaged", "padding missing", fixPack(append(bytes.Clone(good[:dir-1]), good[dir:]...)))
	add("padded-more", "damaged", "padded too far", fixPack(slices.Concat(good[:dir], make([]byte, 256), good[dir:])))
	add("truncated", "damaged", "last byte is missing", good[:len(good)-1])
	add("trailing", "damaged", "a byte behind the end", append(bytes.Clone(good), 0))
	add("empty", "damaged", "nothing at all", nil)
	add("frame-raw-bit", "frame", "a bit of a raw frame", changed(good, func(b []byte) { b[16] ^= 1 }))
	add("frame-crc", "frame", "wrong checksum of a frame", fixPack(changed(good, func(b []byte) { b[frameRow(0)+8] ^= 1 })))
	add("zstd-cut", "frame", "zstd frame without its last byte", frame(z[:len(z)-1]))
	add("zstd-cut-block", "frame", "half a zstd frame", frame(z[:len(z)/2]))
	add("zstd-trailing", "frame", "a byte behind the zstd frame", frame(append(bytes.Clone(z), 0)))
	add("zstd-skippable", "frame", "an empty skippable frame behind the zstd frame", frame(append(bytes.Clone(z), 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0)))
	add("zstd-skippable-first", "frame", "an empty skippable frame before the zstd frame", frame(append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, z...)))
	add("zstd-two", "frame", "two zstd frames, the second empty", frame(append(bytes.Clone(z), zstdFrame(nil, zstd.WithZeroFrames(true))...)))
	add("zstd-short", "frame", "zstd frame of fewer bytes", frame(zstdFrame(twice[:1100])))
	add("zstd-long", "frame", "zstd frame of more bytes", frame(zstdFrame(append(bytes.Clone(twice), 'x'))))
	add("zstd-garbage", "frame", "not a zstd frame", frame(noise(3, 300)))
	add("zstd-dictionary", "frame", "a dictionary is named", frame(changed(z, func(b []byte) { b[4] |= 1 })))
	return list
}

func segmentVectors() []vector {
	var list []vector
	add := func(name, expect, about string, data []byte) {
		list = append(list, vector{"segment-" + name, "segment", expect, about, data})
	}
	good := sampleSegment().write()
	bytesBad := func(name, about string, f func(b []byte)) {
		add(name, "damaged", about, fixSegment(changed(good, f)))
	}
	bad := func(name, about string, f func(s *rawSegment)) {
		s := sampleSegment()
		f(&s)
		add(name, "damaged", about, s.write())
	}
	add("good", "ok", "two packs, both codecs, a chunk in both packs", good)
	add("good-one", "ok", "the smallest segment", rawSegment{
		packs: []rawPackRow{{pack.Name{}, 1, 3}}, frames: []rawFrameRow{{0, 16, 1, 1, 0}}, entries: []rawEntry{{pack.ChunkID{}, 0, 0, 1}}}.write())
	add("version", "version", "version 2", fixSegment(changed(good, func(b []byte) { b[8] = 2 })))
	bytesBad("magic", "first letter", func(b []byte) { b[0] = 'o' })
	bytesBad("reserved", "header byte 10 is not zero", func(b []byte) { b[10] = 1 })
	bytesBad("reserved-end", "header byte 31 is not zero", func(b []byte) { b[31] = 1 })
	bytesBad("no-packs", "no packs", func(b []byte) { b[12] = 0 })
	bytesBad("counts", "more frames than entries", func(b []byte) { b[16] = 6 })
	bytesBad("counts-huge", "more entries than a segment may have", func(b []byte) { le.PutUint32(b[20:], 1<<32-1) })
	bytesBad("padding", "padding is not zero", func(b []byte) { b[len(b)-5] = 1 })
	bytesBad("pack-reserved", "last byte of a pack row is not zero", func(b []byte) { b[32+39] = 1 })
	add("checksum", "damaged", "a bit of an entry", changed(good, func(b []byte) { b[32+2*40+3*16] ^= 1 }))
	add("truncated", "damaged", "last byte is missing", good[:len(good)-1])
	add("trailing", "damaged", "a byte behind the end", append(bytes.Clone(good), 0))
	add("padded-more", "damaged", "padded too far", fixSegment(append(bytes.Clone(good), make([]byte, 256)...)))
	add("empty", "damaged", "nothing at all", nil)
	bad("pack-order", "packs out of order", func(s *rawSegment) { s.packs[0].name[0] = 3 })
	bad("pack-twice", "a pack twice", func(s *rawSegment) { s.packs[0].name = s.packs[1].name })
	bad("pack-size-zero", "pack of no bytes", func(s *rawSegment) { s.packs[0].size = 0 })
	bad("pack-size-huge", "pack of more than 64 MiB", func(s *rawSegment) { s.packs[0].size = 64<<20 + 1 })
	bad("pack-class", "class 4", func(s *rawSegment) { s.packs[1].class = 4 })
	bad("pack-without-frame", "a pack without frames", func(s *rawSegment) { s.packs = append(s.packs, rawPackRow{pack.Name{3}, 1, 1}) })
	bad("frame-pack", "frame of an unknown pack", func(s *rawSegment) { s.frames[2].pack = 2 })
	bad("frame-pack-order", "frames out of order", func(s *rawSegment) { s.frames[0].pack, s.frames[1].pack, s.frames[2].pack = 1, 1, 0 })
	bad("frame-start", "first frame does not start at 16", func(s *rawSegment) { s.frames[2].offset = 17 })
	bad("frame-gap", "a gap between frames", func(s *rawSegment) { s.frames[1].offset++ })
	bad("frame-end", "frames longer than a pack", func(s *rawSegment) {
		for range 5 {
			f := rawFrameRow{1, s.frames[len(s.frames)-1].offset + s.frames[len(s.frames)-1].stored, 4 << 20, 4 << 20, 0}
			s.frames = append(s.frames, f)
			s.entries = append(s.entries, rawEntry{pack.ChunkID{0xff, byte(len(s.frames))}, 0, 0, 1})
		}
	})
	bad("frame-codec", "codec 2", func(s *rawSegment) { s.frames[1].codec = 2 })
	bad("frame-plain-zero", "frame of no plain bytes", func(s *rawSegment) { s.frames[1].plain = 0 })
	bad("frame-raw-sizes", "raw frame whose lengths differ", func(s *rawSegment) { s.frames[0].plain++ })
	bad("frame-zstd-sizes", "zstd frame that does not save", func(s *rawSegment) { s.frames[1].plain = 100 })
	bad("entry-order", "entries out of order", func(s *rawSegment) { s.entries[0].id[0] = 3 })
	bad("entry-twice", "an entry twice", func(s *rawSegment) { s.entries[2] = s.entries[1] })
	bad("entry-frame-order", "entries of one chunk out of order", func(s *rawSegment) { s.entries[1], s.entries[2] = s.entries[2], s.entries[1] })
	bad("entry-frame", "entry of an unknown frame", func(s *rawSegment) { s.entries[4].frame = 3 })
	bad("entry-empty", "chunk of no bytes", func(s *rawSegment) { s.entries[0].length = 0 })
	bad("entry-length", "chunk reaches out of its frame", func(s *rawSegment) { s.entries[3].length++ })
	bad("entry-offset", "chunk starts behind its frame", func(s *rawSegment) { s.entries[3].offset = 1<<32 - 1 })
	return list
}

// file returns a vector as a file.
func (v vector) file(t *testing.T) []byte {
	b := fmt.Appendf(nil, "kind: %s\nexpect: %s\nabout: %s\n", v.kind, v.expect, v.about)
	if v.expect == "ok" && v.kind == "pack" {
		r, err := pack.ParsePlain(v.data)
		if err != nil {
			t.Fatal(v.name, err)
		}
		for _, c := range r.Directory().Chunks {
			plain, err := r.Frame(nil, int(c.Frame))
			if err != nil {
				t.Fatal(v.name, err)
			}
			b = fmt.Appendf(b, "chunk: %s %x\n", c.ID, sha256.Sum256(plain[c.Offset:][:c.Length]))
		}
	}
	if v.expect == "ok" && v.kind == "segment" {
		s, err := pack.ParseSegment(v.data)
		if err != nil {
			t.Fatal(v.name, err)
		}
		for id, l := range s.Entries() {
			b = fmt.Appendf(b, "entry: %s %s %d %d %d %d %d %d\n", id, l.Pack.Name, l.Frame, l.Stored, l.Plain, l.Codec, l.Offset, l.Length)
		}
	}
	return append(append(b, '\n'), v.data...)
}

// split returns the header lines and the bytes of a vector file.
func split(t testing.TB, file []byte) (map[string][]string, []byte) {
	t.Helper()
	head, data, ok := bytes.Cut(file, []byte("\n\n"))
	if !ok {
		t.Fatal("vector without an empty line")
	}
	words := make(map[string][]string)
	for line := range strings.Lines(string(head)) {
		word, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		words[word] = append(words[word], text)
	}
	return words, data
}

func TestVectorsHoldForEver(t *testing.T) {
	t.Parallel()
	for _, v := range append(packVectors(), segmentVectors()...) {
		name := filepath.Join("testdata", "v1", v.name)
		if _, err := os.Stat(name); *writeGolden && errors.Is(err, os.ErrNotExist) {
			if err := os.WriteFile(name, v.file(t), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := os.ReadDir(filepath.Join("testdata", "v1"))
	if err != nil || len(files) < 80 {
		t.Fatalf("%d vectors: %v", len(files), err)
	}
	for _, f := range files {
		file, err := os.ReadFile(filepath.Join("testdata", "v1", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		words, data := split(t, file)
		t.Run(f.Name(), func(t *testing.T) {
			t.Parallel()
			switch words["kind"][0] {
			case "pack":
				checkPackVector(t, words, data)
			case "segment":
				checkSegmentVector(t, words, data)
			default:
				t.Fatal(words)
			}
		})
	}
}

func checkPackVector(t *testing.T, words map[string][]string, data []byte) {
	r, err := pack.ParsePlain(data)
	switch words["expect"][0] {
	case "damaged":
		wants(t, err, pack.ErrDamaged)
		return
	case "version":
		wants(t, err, pack.ErrVersion)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var broken error
	frames := make([][]byte, len(r.Directory().Frames))
	for i := range frames {
		if frames[i], err = r.Frame(nil, i); err != nil {
			broken = err
		}
	}
	if words["expect"][0] == "frame" {
		wants(t, broken, pack.ErrDamaged)
		return
	}
	var got []string
	for _, c := range r.Directory().Chunks {
		sum := sha256.Sum256(frames[c.Frame][c.Offset:][:c.Length])
		got = append(got, c.ID.String()+" "+hex.EncodeToString(sum[:]))
	}
	if broken != nil || !slices.Equal(got, words["chunk"]) {
		t.Errorf("%v, got chunks\n%s", broken, strings.Join(got, "\n"))
	}
	if !bytes.Equal(rewrite(r, data), data) {
		t.Error("written again, the pack differs")
	}
}

func checkSegmentVector(t *testing.T, words map[string][]string, data []byte) {
	s, err := pack.ParseSegment(bytes.Clone(data))
	streamed, streamErr := pack.DecodeSegment(bytes.NewReader(data), int64(len(data)))
	for _, err := range []error{err, streamErr} {
		switch words["expect"][0] {
		case "damaged":
			wants(t, err, pack.ErrDamaged)
		case "version":
			wants(t, err, pack.ErrVersion)
		default:
			wants(t, err, nil)
		}
	}
	if err != nil || streamErr != nil {
		return
	}
	for _, s := range []*pack.Segment{s, streamed} {
		var got []string
		for id, l := range s.Entries() {
			got = append(got, fmt.Sprintf("%s %s %d %d %d %d %d %d", id, l.Pack.Name, l.Frame, l.Stored, l.Plain, l.Codec, l.Offset, l.Length))
		}
		if !slices.Equal(got, words["entry"]) {
			t.Errorf("got entries\n%s", strings.Join(got, "\n"))
		}
	}
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("error is %v, want %v", err, want)
	}
}
