package pack_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"offsite/manifest/pack"
)

func newEncoder(t testing.TB) *pack.Encoder {
	t.Helper()
	e, err := pack.NewEncoder()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPaddedSizeIsPadme(t *testing.T) {
	t.Parallel()
	for n := range 1 << 17 {
		check := n * 521 % (pack.MaxSegment + 1)
		for _, n := range []int{n, check} {
			got := pack.PaddedSize(n)
			if got != padded(n) || got < n || pack.PaddedSize(got) != got {
				t.Fatalf("PaddedSize(%d) = %d, not %d", n, got, padded(n))
			}
			if n > 1<<20 && got > n+n*33/1000 || n > 4096 && got > n+n*12/100 {
				t.Fatalf("PaddedSize(%d) = %d wastes too much", n, got)
			}
		}
	}
	for _, n := range []int{pack.MaxPack, pack.MaxSegment} {
		if pack.PaddedSize(n) != n {
			t.Errorf("the limit %d is not a padded size", n)
		}
	}
}

func TestEncoderRefusesWhatItCannotHold(t *testing.T) {
	t.Parallel()
	e := newEncoder(t)
	wants(t, e.Add(id(1), nil), pack.ErrLimit)
	wants(t, e.Add(id(1), make([]byte, pack.MaxChunk+1)), pack.ErrLimit)
	wants(t, e.Add(id(1), make([]byte, pack.MaxChunk)), nil)
	if !e.Full() {
		t.Error("a large chunk does not fill the encoder")
	}
	wants(t, e.Add(id(2), []byte{1}), pack.ErrLimit)
	if f, ok := e.Flush(); !ok || f.PlainLen() != pack.MaxChunk || f.Codec() != pack.Zstd || f.Chunks() != 1 {
		t.Errorf("frame of %d bytes, %s", f.PlainLen(), f.Codec())
	}
	if _, ok := e.Flush(); ok || e.Full() {
		t.Error("a frame came from an empty encoder")
	}
	for i := range uint64(pack.MaxFrameChunks) {
		wants(t, e.Add(id(i), []byte{byte(i)}), nil)
	}
	wants(t, e.Add(id(2), []byte{1}), pack.ErrLimit)
	if f, ok := e.Flush(); !ok || f.Chunks() != pack.MaxFrameChunks {
		t.Errorf("frame of %d chunks", f.Chunks())
	}
	wants(t, e.Add(id(2), []byte{1}), nil)
	e.Reset()
	if _, ok := e.Flush(); ok {
		t.Error("a frame came from an encoder that was reset")
	}
}

func TestLargeChunkDoesNotDisturbTheGroup(t *testing.T) {
	t.Parallel()
	e := newEncoder(t)
	small, large := words(1, 1000), noise(2, 300<<10)
	wants(t, e.Add(id(1), small), nil)
	wants(t, e.Add(id(2), large), nil)
	f, ok := e.Flush()
	if !ok || f.PlainLen() != len(large) || f.Codec() != pack.Raw || f.StoredLen() != len(large) {
		t.Fatalf("first frame of %d bytes, %s", f.PlainLen(), f.Codec())
	}
	wants(t, e.Add(id(3), small), nil)
	if f, ok = e.Flush(); !ok || f.Chunks() != 2 || f.PlainLen() != 2000 {
		t.Fatalf("second frame of %d chunks", f.Chunks())
	}
}

func TestSkipTestFindsDataThatShrinksInPart(t *testing.T) {
	t.Parallel()
	half := slices.Concat(noise(1, 512<<10), make([]byte, 512<<10))
	for _, c := range []struct {
		name  string
		plain []byte
		want  pack.Codec
	}{
		{"noise", noise(3, 1<<20), pack.Raw},
		{"noise, small", noise(3, 5000), pack.Raw},
		{"text", words(3, 1<<20), pack.Zstd},
		{"half noise", half, pack.Zstd},
		{"one byte", []byte{1}, pack.Raw},
	} {
		e := newEncoder(t)
		wants(t, e.Add(id(1), c.plain), nil)
		if f, _ := e.Flush(); f.Codec() != c.want {
			t.Errorf("%s: %s", c.name, f.Codec())
		}
	}
}

func TestBuilderStopsAtTheLimitAndNotBefore(t *testing.T) {
	t.Parallel()
	e, b := newEncoder(t), pack.NewBuilder(pack.WriteOnce)
	frame := func(n int) pack.Frame {
		wants(t, e.Add(id(9), noise(9, n)), nil)
		f, _ := e.Flush()
		return f
	}
	for range 3 {
		wants(t, b.Append(frame(4<<20)), nil)
	}
	// What is left after the header, the directory of five rows and the trailer.
	left := pack.MaxPack - 3*(4<<20) - 16 - 8 - 5*(16+20) - 16
	wants(t, b.Append(frame(left/2)), nil)
	left -= left / 2
	f := frame(left + 1)
	if b.Fits(f) {
		t.Error("a frame one byte too long fits")
	}
	wants(t, b.Append(f), pack.ErrLimit)
	wants(t, b.Append(frame(left)), nil)
	plain := b.Plain()
	if len(plain) != pack.MaxPack || b.Len() != pack.MaxPack {
		t.Errorf("full pack of %d bytes", len(plain))
	}
	wants(t, b.Append(frame(300<<10)), pack.ErrLimit)
	if _, err := pack.ParsePlain(plain); err != nil {
		t.Error(err)
	}
	b.Reset(b.Class())
	wants(t, b.Append(pack.Frame{}), pack.ErrLimit)
	if !b.Empty() || b.Len() != 16+8+16 {
		t.Errorf("Builder of %d bytes after Reset", b.Len())
	}
}

func TestBuilderStopsAtTheMostChunks(t *testing.T) {
	t.Parallel()
	e, b := newEncoder(t), pack.NewBuilder(pack.Table)
	for n := range uint64(pack.MaxPackChunks) {
		wants(t, e.Add(id(n%7), []byte{byte(n % 7)}), nil)
		if e.Full() {
			f, _ := e.Flush()
			wants(t, b.Append(f), nil)
		}
	}
	wants(t, e.Add(id(1), []byte{1}), nil)
	f, _ := e.Flush()
	wants(t, b.Append(f), pack.ErrLimit)
	r, err := pack.ParsePlain(b.Plain())
	if err != nil || len(r.Directory().Chunks) != pack.MaxPackChunks {
		t.Fatal(err)
	}
}

func TestBuilderDirectoryIsWhatAReaderFinds(t *testing.T) {
	t.Parallel()
	e, b := newEncoder(t), pack.NewBuilder(pack.Volatile)
	for i := range uint64(200) {
		wants(t, e.Add(id(i), words(i, 1+int(i)*97)), nil)
		for e.Full() {
			f, _ := e.Flush()
			wants(t, b.Append(f), nil)
		}
	}
	f, _ := e.Flush()
	wants(t, b.Append(f), nil)
	before := b.Directory()
	plain := b.Plain()
	if &plain[0] != &b.Plain()[0] {
		t.Error("Plain made another pack")
	}
	r, err := pack.ParsePlain(plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []pack.Directory{before, b.Directory()} {
		if d.Class != r.Directory().Class || !slices.Equal(d.Frames, r.Directory().Frames) || !slices.Equal(d.Chunks, r.Directory().Chunks) {
			t.Error("directories differ")
		}
	}
	if !bytes.Equal(rewrite(r, plain), plain) {
		t.Error("the pack is not what FORMAT.md says")
	}
}

func TestSameChunksMakeSameBytes(t *testing.T) {
	t.Parallel()
	chunks := [][]byte{words(1, 400<<10), noise(2, 3<<20), pages(3, 100<<10), words(4, 10)}
	a, b := encode(t, pack.WriteOnce, chunks...), encode(t, pack.WriteOnce, chunks...)
	if !slices.EqualFunc(a, b, bytes.Equal) {
		t.Error("two runs differ")
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	e, b := newEncoder(t), pack.NewBuilder(pack.WriteOnce)
	plain := noise(1, 1<<20)
	run := func() {
		if err := e.Add(pack.ChunkID{1}, plain); err != nil {
			t.Fatal(err)
		}
		f, _ := e.Flush()
		if !b.Fits(f) {
			b.Plain()
			b.Reset(b.Class())
		}
		if err := b.Append(f); err != nil {
			t.Fatal(err)
		}
	}
	for range 40 {
		run()
	}
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations a chunk", n)
	}
}

func TestEveryTruncationAndBitFlipOfAPackIsFound(t *testing.T) {
	t.Parallel()
	good := samplePack()
	want, err := readAll(good)
	if err != nil {
		t.Fatal(err)
	}
	harmless := 0
	for n := range len(good) {
		if _, err := pack.ParsePlain(good[:n]); !errors.Is(err, pack.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for bit := range 8 * len(good) {
		bad := changed(good, func(b []byte) { b[bit/8] ^= 1 << (bit % 8) })
		got, err := readAll(bad)
		if err == nil && bytes.Equal(got, want) {
			harmless++ // zstd has a few bits that mean nothing
			continue
		}
		if !errors.Is(err, pack.ErrDamaged) && !errors.Is(err, pack.ErrVersion) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	if harmless > 16 {
		t.Errorf("%d bits mean nothing", harmless)
	}
}

// readAll parses a pack and returns all its frames, one behind the other.
func readAll(plain []byte) ([]byte, error) {
	r, err := pack.ParsePlain(plain)
	if err != nil {
		return nil, err
	}
	var all []byte
	for i := range r.Directory().Frames {
		if all, err = r.Frame(all, i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func TestEveryTruncationAndBitFlipOfASegmentIsFound(t *testing.T) {
	t.Parallel()
	good := sampleSegment().write()
	for n := range len(good) {
		if _, err := pack.DecodeSegment(bytes.NewReader(good[:n]), int64(len(good))); !errors.Is(err, pack.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
		if _, err := pack.ParseSegment(good[:n:n]); !errors.Is(err, pack.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for bit := range 8 * len(good) {
		bad := changed(good, func(b []byte) { b[bit/8] ^= 1 << (bit % 8) })
		for _, err := range []error{second(pack.ParseSegment(bad)), second(pack.DecodeSegment(bytes.NewReader(bad), int64(len(bad))))} {
			if !errors.Is(err, pack.ErrDamaged) && !errors.Is(err, pack.ErrVersion) {
				t.Fatalf("bit %d: %v", bit, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestReaderFromAFarStoreReadsTheEndOnce(t *testing.T) {
	t.Parallel()
	var chunks [][]byte
	for i := range uint64(3000) {
		chunks = append(chunks, noise(i, 2000))
	}
	plain := encode(t, pack.WriteOnce, chunks...)[0]
	for _, size := range []int{0, 1 << 10} {
		r := &countingReader{b: plain[:len(plain)-size]}
		p, err := pack.NewReader(r, int64(len(r.b)))
		if size > 0 {
			wants(t, err, pack.ErrDamaged)
			continue
		}
		if err != nil || r.calls != 2 {
			t.Fatalf("%d reads: %v", r.calls, err)
		}
		for i, f := range p.Directory().Frames {
			got, err := p.Frame([]byte("before"), i)
			if err != nil || len(got) != 6+int(f.Plain) {
				t.Fatalf("frame %d: %v", i, err)
			}
		}
		if _, err := p.Frame(nil, len(p.Directory().Frames)); !errors.Is(err, pack.ErrLimit) {
			t.Error(err)
		}
	}
}

type countingReader struct {
	b     []byte
	calls int
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	r.calls++
	return bytes.NewReader(r.b).ReadAt(p, off)
}

func TestReadersOwnErrorIsNotDamage(t *testing.T) {
	t.Parallel()
	own := errors.New("the line is cut")
	seg := sampleSegment().write()
	for n := range 3 {
		cut := io.MultiReader(bytes.NewReader(seg[:n*2000]), iotest.ErrReader(own))
		if _, err := pack.DecodeSegment(cut, int64(len(seg))); !errors.Is(err, own) || errors.Is(err, pack.ErrDamaged) {
			t.Error(err)
		}
	}
	// The seal of a segment may be found broken only after its last byte.
	late := io.MultiReader(bytes.NewReader(seg), iotest.ErrReader(own))
	if _, err := pack.DecodeSegment(late, int64(len(seg))); !errors.Is(err, own) {
		t.Error(err)
	}
	if _, err := pack.DecodeSegment(iotest.OneByteReader(bytes.NewReader(seg)), int64(len(seg))); err != nil {
		t.Error(err)
	}
	if _, err := pack.NewReader(failingReader{own}, 5000); !errors.Is(err, own) || errors.Is(err, pack.ErrDamaged) {
		t.Error(err)
	}
}

type failingReader struct{ err error }

func (r failingReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }
