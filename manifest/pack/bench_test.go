package pack_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"offsite/manifest/pack"
)

// pages returns n bytes like those of a practice database: rows of numbers,
// dates and short words in 16 KiB pages that are about two thirds full.
func pages(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 9))
	b := make([]byte, 0, n+256)
	for len(b) < n {
		end := len(b) + 16<<10
		b = append(b, noise(r.Uint64(), 24)...)
		for len(b) < end-5<<10 {
			b = append(b, noise(r.Uint64(), 8)...)
			b = fmt.Appendf(b, "2026-%02d-%02d\x00\x00\x00patient %06d\x00tooth %02d\x00", r.IntN(12), r.IntN(28), r.IntN(9999), r.IntN(48))
		}
		b = append(b, make([]byte, end-len(b))...)
	}
	return b[:n]
}

func BenchmarkEncoder(b *testing.B) {
	const total = 16 << 20
	for _, data := range []struct {
		name string
		make func(uint64, int) []byte
	}{{"text", words}, {"pages", pages}, {"noise", noise}} {
		for _, size := range []int{16 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", data.name, size>>10), func(b *testing.B) {
				plain := data.make(1, total)
				e, err := pack.NewEncoder()
				if err != nil {
					b.Fatal(err)
				}
				w := pack.NewBuilder(pack.Volatile)
				stored := 0
				put := func(f pack.Frame) {
					if !w.Fits(f) {
						w.Plain()
						w.Reset(w.Class())
					}
					if err := w.Append(f); err != nil {
						b.Fatal(err)
					}
					stored += f.StoredLen()
				}
				b.SetBytes(total)
				b.ReportAllocs()
				for b.Loop() {
					stored = 0
					for at := 0; at < total; at += size {
						if err := e.Add(pack.ChunkID{}, plain[at:at+size]); err != nil {
							b.Fatal(err)
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
				}
				b.ReportMetric(float64(total)/float64(stored), "ratio")
			})
		}
	}
}

func BenchmarkEncoderProvesEveryFrame(b *testing.B) {
	plain := pages(1, 8<<20)
	for _, every := range []int{0, 4, 1} {
		b.Run(fmt.Sprint(every), func(b *testing.B) {
			e, err := pack.NewEncoder()
			if err != nil {
				b.Fatal(err)
			}
			e.ProveEvery(every)
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				for at := 0; at < len(plain); at += 1 << 20 {
					if err := e.Add(pack.ChunkID{}, plain[at:at+1<<20]); err != nil {
						b.Fatal(err)
					}
					e.Flush()
				}
			}
		})
	}
}

// million writes the segments of n chunks to files, perFrame of them in a frame.
func million(b *testing.B, n, perFrame int) []string {
	dir := b.TempDir()
	frames := 512 / perFrame
	list := entries(0, n/512, frames, perFrame)
	plains, err := pack.EncodeSegments(list)
	if err != nil {
		b.Fatal(err)
	}
	var files []string
	for i, p := range plains {
		files = append(files, filepath.Join(dir, fmt.Sprint(i)))
		if err := os.WriteFile(files[i], p, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return files
}

// open opens an index over segment files as streams, several at once.
func open(files []string) (*pack.Index, error) {
	list := make([]*pack.Segment, len(files))
	var wg sync.WaitGroup
	errs := make([]error, len(files))
	for i, name := range files {
		wg.Go(func() {
			f, err := os.Open(name)
			if err != nil {
				errs[i] = err
				return
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				errs[i] = err
				return
			}
			list[i], errs[i] = pack.DecodeSegment(f, info.Size())
		})
	}
	wg.Wait()
	return pack.NewIndex(list...), errors.Join(errs...)
}

// childFiles is set in the process of its own that measures peak memory.
const childFiles = "PACK_BENCH_FILES"

func TestMain(m *testing.M) {
	if files := os.Getenv(childFiles); files != "" {
		if _, err := open(filepath.SplitList(files)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		status, _ := os.ReadFile("/proc/self/status")
		var kib int
		if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
			fmt.Sscan(after, &kib)
		}
		fmt.Println(kib)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func BenchmarkIndexOpen5M(b *testing.B) {
	const n = 5_000_192 // a multiple of 512
	for _, perFrame := range []int{16, 1} {
		b.Run(fmt.Sprintf("%dPerFrame", perFrame), func(b *testing.B) {
			files := million(b, n, perFrame)
			b.ResetTimer()
			for b.Loop() {
				x, err := open(files)
				if err != nil || x.Len() != n {
					b.Fatal(x.Len(), err)
				}
			}
			b.ReportMetric(float64(len(files)), "segments")
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childFiles+"="+strings.Join(files, string(filepath.ListSeparator)))
			out, err := cmd.Output()
			if err != nil {
				b.Fatal(err, string(out))
			}
			if kib, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil && kib > 0 {
				b.ReportMetric(float64(kib)/1024, "peak-MiB")
			}
		})
	}
}

func BenchmarkIndexLookup5M(b *testing.B) {
	const n = 5_000_192
	x, err := open(million(b, n, 16))
	if err != nil {
		b.Fatal(err)
	}
	ids := make([]pack.ChunkID, 1<<16)
	for name, first := range map[string]uint64{"hit": 0, "miss": n} {
		for i := range ids {
			ids[i] = id(first + uint64(i)*(n/uint64(len(ids))))
		}
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if _, ok := x.Lookup(ids[i&(len(ids)-1)]); ok != (first == 0) {
					b.Fatal(ok)
				}
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
		})
	}
}

func BenchmarkParsePlain(b *testing.B) {
	plain := samplePack()
	b.ReportAllocs()
	for b.Loop() {
		r, err := pack.ParsePlain(plain)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Frame(nil, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	var list []*pack.Segment
	for i := range uint64(64) {
		list = append(list, segments(b, entries(i*16384, 32, 32, 16))...)
	}
	b.ResetTimer()
	for b.Loop() {
		for _, err := range pack.Merge(nil, list...) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*64*16384/b.Elapsed().Seconds(), "entries/s")
}
