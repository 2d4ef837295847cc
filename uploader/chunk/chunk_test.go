package chunk_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"offsite/uploader/chunk"
)

var update = flag.Bool("update", false, "write the golden files anew")

var kinds = []chunk.Kind{chunk.WriteOnce, chunk.Volatile, chunk.Paged}

// limits are the promised sizes, written once more so that a slip in the rules shows.
var limits = map[chunk.Kind]struct{ min, mean, max int }{
	chunk.WriteOnce: {512 << 10, 1 << 20, 4 << 20},
	chunk.Volatile:  {8 << 10, 32 << 10, 128 << 10},
	chunk.Paged:     {16 << 10, 16 << 10, 16 << 10},
}

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// text returns n bytes of words: few byte values, as in dumps and logs.
func text(seed uint64, n int) []byte {
	words := strings.Fields("patient tooth crown filling 2026-11-20 09:15 upper left six note invoice paid recall x-ray")
	r := rand.New(rand.NewPCG(seed, 0))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%s %d ", words[r.IntN(len(words))], r.IntN(1000))
	}
	return b.Bytes()[:n]
}

// sizes cuts b in one piece and checks the limits.
func sizes(t *testing.T, c *chunk.Cutter, k chunk.Kind, b []byte) []int {
	t.Helper()
	var out []int
	for rest := b; len(rest) > 0; {
		n := c.Next(k, rest, true)
		if n <= 0 || n > len(rest) {
			t.Fatalf("%v: Next of %d bytes = %d", k, len(rest), n)
		}
		if n > limits[k].max || n < limits[k].min && n != len(rest) {
			t.Fatalf("%v: chunk of %d bytes, %d bytes before the end", k, n, len(rest))
		}
		out = append(out, n)
		rest = rest[n:]
	}
	return out
}

func TestStreamCutsTheSameHoweverItIsFed(t *testing.T) {
	t.Parallel()
	c := chunk.New([32]byte{1})
	inputs := map[string][]byte{
		"random": random(2, 5<<20+12345),
		"text":   text(3, 2<<20+1),
		"zeros":  make([]byte, 5<<20+17),
		"period": bytes.Repeat([]byte("0123456789abcde"), 70_000),
		"one":    {42},
		"empty":  {},
	}
	for name, in := range inputs {
		for _, k := range kinds {
			want := sizes(t, c, k, in)
			for i, r := range []io.Reader{
				bytes.NewReader(in),
				iotest.DataErrReader(bytes.NewReader(in)),
				iotest.HalfReader(bytes.NewReader(in)),
				&pieces{bytes.NewReader(in), rand.New(rand.NewPCG(5, 6))},
			} {
				s := chunk.NewStream(c, k, r, make([]byte, k.Max()+1+i*777))
				var joined []byte
				var got []int
				for {
					b, err := s.Next()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					joined = append(joined, b...)
					got = append(got, len(b))
				}
				if !bytes.Equal(joined, in) {
					t.Fatalf("%s, %v, reader %d: chunks do not join to the input", name, k, i)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("%s, %v, reader %d: sizes %v, want %v", name, k, i, got, want)
				}
				if _, err := s.Next(); err != io.EOF {
					t.Fatalf("%s, %v, reader %d: after the end: %v", name, k, i, err)
				}
			}
		}
	}
}

// pieces returns reads of random length, also empty ones.
type pieces struct {
	r    io.Reader
	rand *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	n := p.rand.IntN(64 << 10)
	return p.r.Read(b[:min(n, len(b))])
}

func TestNextNeedsNoMoreThanMaxAndNeverChangesItsMind(t *testing.T) {
	t.Parallel()
	c := chunk.New([32]byte{1})
	for _, k := range kinds {
		in := random(4, k.Max()+1)
		want := c.Next(k, in, false)
		if want == 0 {
			t.Fatalf("%v: no chunk in Max bytes", k)
		}
		for n := 0; n <= len(in); n += 1 + len(in)/97 {
			got := c.Next(k, in[:n], false)
			if got != 0 && got != want || got == 0 && n >= k.Max() {
				t.Fatalf("%v: Next of %d bytes = %d, want %d", k, n, got, want)
			}
		}
		if got := c.Next(k, nil, true); got != 0 {
			t.Fatalf("%v: Next of nothing = %d", k, got)
		}
	}
}

func TestWriteOnceUpToHalfAMebibyteIsOneChunk(t *testing.T) {
	t.Parallel()
	c := chunk.New([32]byte{1})
	for _, n := range []int{1, 4096, 512<<10 - 1, 512 << 10} {
		if got := c.Next(chunk.WriteOnce, random(9, n), true); got != n {
			t.Errorf("%d bytes: first chunk %d", n, got)
		}
	}
}

func TestStreamPassesReadErrorsOn(t *testing.T) {
	t.Parallel()
	c := chunk.New([32]byte{})
	for _, cause := range []error{errors.New("disk is gone"), io.ErrUnexpectedEOF} {
		s := chunk.NewStream(c, chunk.WriteOnce, io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(cause)), nil)
		if b, err := s.Next(); !errors.Is(err, cause) {
			t.Errorf("Next = %d bytes, %v; want %v", len(b), err, cause)
		}
	}
	s := chunk.NewStream(c, chunk.Volatile, idle{}, nil)
	if _, err := s.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reader without progress: %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestAnEditMovesFewCuts(t *testing.T) {
	t.Parallel()
	c := chunk.New([32]byte{3})
	for _, k := range []chunk.Kind{chunk.WriteOnce, chunk.Volatile} {
		in := random(5, 24*limits[k].mean)
		known := map[string]bool{}
		all := func(b []byte, visit func([]byte)) {
			for _, n := range sizes(t, c, k, b) {
				visit(b[:n])
				b = b[n:]
			}
		}
		all(in, func(b []byte) { known[string(b)] = true })
		at := len(in) / 2
		for name, edited := range map[string][]byte{
			"insert":    append(append(bytes.Clone(in[:at]), "some new bytes"...), in[at:]...),
			"delete":    append(bytes.Clone(in[:at]), in[at+100:]...),
			"overwrite": append(append(bytes.Clone(in[:at]), random(6, 100)...), in[at+100:]...),
			"prepend":   append([]byte("x"), in...),
			"append":    append(bytes.Clone(in), "x"...),
		} {
			fresh := 0
			all(edited, func(b []byte) {
				if !known[string(b)] {
					fresh++
				}
			})
			// one chunk holds the edit; after it the old cuts are met again within a few
			if fresh < 1 || fresh > 6 {
				t.Errorf("%v, %s: %d new chunks", k, name, fresh)
			}
		}
	}
}

func TestPagedChunksFollowPages(t *testing.T) {
	t.Parallel()
	c := chunk.New([32]byte{3})
	in := random(5, 100<<14)
	edited := bytes.Clone(in)
	edited[3<<14+5]++
	edited = append(edited, random(6, 1000)...)
	fresh := 0
	for at, n := range sizes(t, c, chunk.Paged, edited) {
		lo, hi := at<<14, at<<14+n
		if hi > len(in) || !bytes.Equal(edited[lo:hi], in[lo:hi]) {
			fresh++
		}
	}
	if fresh != 2 {
		t.Errorf("%d new chunks after one page changed and one was added", fresh)
	}
}

func TestSizesLieAroundTheAverage(t *testing.T) {
	t.Parallel()
	c := chunk.New([32]byte{8})
	for _, k := range []chunk.Kind{chunk.WriteOnce, chunk.Volatile} {
		total := max(40*limits[k].mean, 8<<20)
		for name, in := range map[string][]byte{"random": random(7, total), "text": text(7, total)} {
			all := sizes(t, c, k, in)
			all = all[:len(all)-1]
			var sum, squares float64
			largest := 0
			for _, n := range all {
				sum += float64(n)
				squares += float64(n) * float64(n)
				largest = max(largest, n)
			}
			mean := sum / float64(len(all))
			spread := math.Sqrt(squares/float64(len(all))-mean*mean) / mean
			want := float64(limits[k].mean)
			if mean < 0.85*want || mean > 1.15*want || spread > 0.45 || largest == limits[k].max {
				t.Errorf("%v, %s: mean %.0f KiB (spread %.2f), longest %d KiB", k, name, mean/1024, spread, largest>>10)
			}
		}
	}
}

func TestSeedsCutAlikeOnlyIfEqual(t *testing.T) {
	t.Parallel()
	in := random(7, 8<<20)
	for _, k := range []chunk.Kind{chunk.WriteOnce, chunk.Volatile} {
		a := fmt.Sprint(sizes(t, chunk.New([32]byte{1}), k, in))
		again := fmt.Sprint(sizes(t, chunk.New([32]byte{1}), k, in))
		other := fmt.Sprint(sizes(t, chunk.New([32]byte{31: 1}), k, in))
		if a != again {
			t.Errorf("%v: the same seed cuts differently", k)
		}
		if a == other {
			t.Errorf("%v: different seeds cut alike", k)
		}
	}
}

// TestGoldenCuts fails when the rules change, on whatever platform. A change is
// allowed, but makes every store receive its large files once more.
func TestGoldenCuts(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for seed := range byte(2) {
		c := chunk.New([32]byte{seed, 1, 2, 3})
		for _, k := range kinds {
			for _, in := range []struct {
				name string
				data []byte
			}{
				{"random", random(11, 3*limits[k].max)},
				{"text", text(11, 2*limits[k].max+100)},
				{"zeros", make([]byte, limits[k].max+1)},
			} {
				fmt.Fprintf(&got, "seed %d %v %s: %v\n", seed, k, in.name, sizes(t, c, k, in.data))
			}
		}
	}
	const file = "testdata/cuts.golden"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("cuts differ from %s (-update writes it anew):\n%s", file, got.String())
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := chunk.New([32]byte{1})
	in := random(12, 3<<20)
	want := fmt.Sprint(sizes(t, c, chunk.WriteOnce, in))
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			if got := fmt.Sprint(sizes(t, c, chunk.WriteOnce, in)); got != want {
				t.Errorf("sizes %s, want %s", got, want)
			}
		})
	}
}

// FuzzCuts stretches the input, since interesting cuts need more bytes than a
// fuzzer likes to send.
func FuzzCuts(f *testing.F) {
	f.Add([]byte("seed"), []byte("content"), uint16(3), uint16(100))
	f.Add([]byte{0}, []byte{0}, uint16(65535), uint16(5000))
	f.Add([]byte{1, 2}, random(1, 3000), uint16(64), uint16(7))
	f.Fuzz(func(t *testing.T, seed, content []byte, times, feed uint16) {
		if len(content) == 0 {
			return
		}
		in := bytes.Repeat(content, int(times)+1)
		in = in[:min(len(in), 1<<20)]
		var s [32]byte
		copy(s[:], seed)
		c := chunk.New(s)
		for _, k := range kinds {
			want := sizes(t, c, k, in)
			stream := chunk.NewStream(c, k, &pieces{bytes.NewReader(in), rand.New(rand.NewPCG(uint64(feed), 0))}, nil)
			rest := in
			for _, n := range want {
				b, err := stream.Next()
				if err != nil || !bytes.Equal(b, rest[:n]) {
					t.Fatalf("%v: chunk of %d bytes, %v; want %d", k, len(b), err, n)
				}
				rest = rest[n:]
			}
			if _, err := stream.Next(); err != io.EOF {
				t.Fatalf("%v: at the end: %v", k, err)
			}
		}
	})
}

func BenchmarkNext(b *testing.B) {
	c := chunk.New([32]byte{7})
	for name, data := range map[string][]byte{"random": random(1, 64<<20), "text": text(1, 64<<20)} {
		for _, k := range kinds[:2] {
			b.Run(k.String()+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					n = 0
					for rest := data; len(rest) > 0; n++ {
						rest = rest[c.Next(k, rest, true):]
					}
				}
				b.ReportMetric(float64(len(data))/1024/float64(n), "KiB/chunk")
			})
		}
	}
}

func BenchmarkStream(b *testing.B) {
	c := chunk.New([32]byte{7})
	data := random(1, 64<<20)
	buf := make([]byte, 2*chunk.MaxLen)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s := chunk.NewStream(c, chunk.WriteOnce, bytes.NewReader(data), buf)
		for {
			if _, err := s.Next(); err != nil {
				break
			}
		}
	}
}
