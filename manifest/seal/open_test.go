package seal_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"offsite/manifest/seal"
)

func TestProofFindsEveryFault(t *testing.T) {
	p := newPractice(t)
	s := newSealer(t, p.upload)
	plain := random(300_000)
	must(t, s.PackWithFault(plain, func([]byte) {}))
	size := s.PackSize(len(plain))
	for _, at := range []int{0, 30, 900, size - 300_000, size - 150_000, size - 1} {
		if err := s.PackWithFault(plain, func(sealed []byte) { sealed[at] ^= 1 }); !errors.Is(err, seal.ErrProof) {
			t.Errorf("bit changed at %d of the sealed bytes: %v", at, err)
		}
	}
	for _, at := range []int{0, 65535, 65536, len(plain) - 1} {
		if err := s.PackWithFault(plain, func([]byte) { plain[at] ^= 1 }); !errors.Is(err, seal.ErrProof) {
			t.Errorf("bit changed at %d of the plain bytes: %v", at, err)
		}
		plain[at] ^= 1
	}
}

func TestRoomIsTheLargestPlainThatFits(t *testing.T) {
	s := newSealer(t, newPractice(t).upload)
	for _, sealed := range []int{1 << 16, 1<<20 - 7, 1 << 20, 16 << 20, s.PackSize(65536), s.PackSize(65536) + 16, s.PackSize(65537)} {
		room := s.PackRoom(sealed)
		if s.PackSize(room) > sealed || s.PackSize(room+1) <= sealed {
			t.Errorf("room in %d is %d: sizes %d and %d", sealed, room, s.PackSize(room), s.PackSize(room+1))
		}
		room = s.IndexRoom(sealed)
		if s.IndexSize(room) > sealed || s.IndexSize(room+1) <= sealed {
			t.Errorf("index room in %d is %d", sealed, room)
		}
	}
	if n := s.PackRoom(100); n != -1 {
		t.Errorf("room in 100 bytes is %d", n)
	}
}

// countingSource is a remote object: it counts requests, and can fail.
type countingSource struct {
	b []byte

	mu    sync.Mutex
	reads int
	err   error
}

func (c *countingSource) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	if c.err != nil {
		return 0, c.err
	}
	return bytes.NewReader(c.b).ReadAt(p, off)
}

func TestOpenAtMakesOneRequestPerRead(t *testing.T) {
	p := newPractice(t)
	plain := random(3<<20 + 77)
	sealed, err := newSealer(t, p.upload).Pack(nil, plain)
	must(t, err)
	src := &countingSource{b: sealed}
	r, size, err := p.restore.Opener().OpenAt(src, int64(len(sealed)))
	must(t, err)
	if src.reads > 2 || size != int64(len(plain)) {
		t.Fatalf("opening took %d requests, size %d", src.reads, size)
	}
	for _, at := range []struct{ off, n int }{{0, 1}, {0, 65536}, {65535, 2}, {1, 1 << 20}, {1<<20 - 5, 2 << 20}, {len(plain) - 70_000, 70_000}} {
		src.reads = 0
		got := make([]byte, at.n)
		if n, err := r.ReadAt(got, int64(at.off)); n != at.n || err != nil && err != io.EOF {
			t.Fatalf("read %d at %d: %d, %v", at.n, at.off, n, err)
		}
		if !bytes.Equal(got, plain[at.off:at.off+at.n]) || src.reads > 1 {
			t.Errorf("read %d at %d: %d requests", at.n, at.off, src.reads)
		}
	}
	got := make([]byte, 100)
	if n, err := r.ReadAt(got, size-10); n != 10 || err != io.EOF {
		t.Errorf("read over the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(got, size); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if _, err := r.ReadAt(got, -1); err == nil {
		t.Error("read before the start")
	}
}

func TestReadsLargerThanAWindowComeBackWhole(t *testing.T) {
	p := newPractice(t)
	plain := random(17<<20 + 3)
	sealed, err := newSealer(t, p.upload).Pack(nil, plain)
	must(t, err)
	r, size, err := p.restore.Opener().OpenAt(bytes.NewReader(sealed), int64(len(sealed)))
	must(t, err)
	got := make([]byte, size)
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("read whole: %v", err)
	}
}

func TestSourceErrorsAreNotDamage(t *testing.T) {
	p := newPractice(t)
	sealed, err := newSealer(t, p.upload).Pack(nil, random(300_000))
	must(t, err)
	gone := errors.New("connection lost")
	check := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, gone) || errors.Is(err, seal.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	opener := p.restore.Opener()
	_, _, err = opener.OpenAt(&countingSource{b: sealed, err: gone}, int64(len(sealed)))
	check("open", err)
	src := &countingSource{b: sealed}
	r, _, err := opener.OpenAt(src, int64(len(sealed)))
	must(t, err)
	src.err = gone
	for _, n := range []int{10, 100_000} {
		_, err = r.ReadAt(make([]byte, n), 0)
		check("read at", err)
	}
	for _, good := range []int{0, 100, 2000, 100_000} {
		r, err := opener.NewReader(io.MultiReader(bytes.NewReader(sealed[:good]), &failing{gone}))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		check("stream", err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// openAll opens sealed in all three ways and requires them to agree.
func openAll(t *testing.T, o *seal.Opener, sealed []byte) ([]byte, error) {
	t.Helper()
	whole, err := o.Open(sealed)
	var streamed []byte
	r, errStream := o.NewReader(bytes.NewReader(sealed))
	if errStream == nil {
		streamed, errStream = io.ReadAll(r)
	}
	var ranged []byte
	at, size, errAt := o.OpenAt(bytes.NewReader(sealed), int64(len(sealed)))
	if errAt == nil {
		ranged, errAt = io.ReadAll(io.NewSectionReader(at, 0, size))
	}
	for _, e := range []error{errStream, errAt} {
		if (e == nil) != (err == nil) || errors.Is(e, seal.ErrNotForThisKey) != errors.Is(err, seal.ErrNotForThisKey) {
			t.Errorf("ways of opening disagree: %v, %v, %v", err, errStream, errAt)
		}
	}
	if err == nil && (!bytes.Equal(whole, streamed) || !bytes.Equal(whole, ranged)) {
		t.Error("ways of opening give different bytes")
	}
	return whole, err
}

func TestDamageIsFoundWhereverItIs(t *testing.T) {
	p := newPractice(t)
	sealed, err := newSealer(t, p.upload).Pack(nil, random(140_000))
	must(t, err)
	opener := p.restore.Opener()
	for at := 0; at < len(sealed); at += max(1, len(sealed)/211) {
		broken := bytes.Clone(sealed)
		broken[at] ^= 0x10
		if _, err := openAll(t, opener, broken); !errors.Is(err, seal.ErrDamaged) && !errors.Is(err, seal.ErrNotForThisKey) {
			t.Errorf("bit changed at %d: %v", at, err)
		}
		if _, err := openAll(t, opener, sealed[:at]); !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("cut off at %d: %v", at, err)
		}
	}
	if _, err := openAll(t, opener, append(bytes.Clone(sealed), 0)); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("byte added: %v", err)
	}
}

func TestOpenLeavesNoPlainBytesBehindOnDamage(t *testing.T) {
	p := newPractice(t)
	plain := bytes.Repeat([]byte("patient"), 30_000)
	sealed, err := newSealer(t, p.upload).Pack(nil, plain)
	must(t, err)
	sealed[len(sealed)-70_000] ^= 1
	dst := make([]byte, 5, len(sealed))
	got, err := p.restore.Opener().Append(dst, sealed)
	if !errors.Is(err, seal.ErrDamaged) || len(got) != 5 || bytes.Contains(dst[:cap(dst)], []byte("patient")) {
		t.Fatalf("damaged pack: %d bytes, %v", len(got), err)
	}
}

func TestSealerAndOpenerWorkConcurrently(t *testing.T) {
	p := newPractice(t)
	s, opener, namer := newSealer(t, p.upload), p.restore.Opener(), p.upload.Namer()
	shared, err := s.Pack(nil, random(1<<20))
	must(t, err)
	at, size, err := opener.OpenAt(bytes.NewReader(shared), int64(len(shared)))
	must(t, err)
	want, err := opener.Open(shared)
	must(t, err)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			plain := random(100_000 + i)
			sealed, err := s.Pack(nil, plain)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := opener.Open(sealed); err != nil || namer.Chunk(got) != namer.Chunk(plain) {
				t.Errorf("worker %d: %v", i, err)
			}
			part := make([]byte, 300_000)
			off := int64(i) * 100_000 % (size - int64(len(part)))
			if _, err := at.ReadAt(part, off); err != nil || !bytes.Equal(part, want[off:off+int64(len(part))]) {
				t.Errorf("worker %d at %d: %v", i, off, err)
			}
		})
	}
	wg.Wait()
}
