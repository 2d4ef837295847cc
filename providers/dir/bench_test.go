package dir_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/dir"
)

func benchDir(b *testing.B) *dir.Dir {
	b.Helper()
	d, err := dir.Create(b.TempDir() + "/store")
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// putMany writes n objects by so many writers and returns.
func putMany(b *testing.B, d *dir.Dir, round, n, writers int, data []byte) {
	var wg sync.WaitGroup
	lease := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				key := fmt.Sprintf("r/p/%02x/%d-%d", i%256, round, i)
				if _, err := d.Put(b.Context(), key, data, providers.PutOptions{Lease: lease}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Packs of 16 MiB with their lease, on the disk when Put returns.
func BenchmarkPutPack(b *testing.B) {
	data := make([]byte, 16<<20)
	for i := range data {
		data[i] = byte(i*7) ^ byte(i>>9)
	}
	for _, writers := range []int{1, 4} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			d := benchDir(b)
			b.SetBytes(int64(len(data)) * 8)
			for round := 0; b.Loop(); round++ {
				putMany(b, d, round, 8, writers, data)
			}
		})
	}
}

// A thousand objects of 2,000 bytes.
func BenchmarkPutThousandSmall(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			d := benchDir(b)
			for round := 0; b.Loop(); round++ {
				putMany(b, d, round, 1000, writers, make([]byte, 2000))
			}
		})
	}
}

func BenchmarkThousand(b *testing.B) {
	d := benchDir(b)
	putMany(b, d, 0, 1000, 8, []byte("x"))
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for _, err := range d.List(b.Context(), "", "") {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != 1000 {
				b.Fatal(n)
			}
		}
	})
	b.Run("raise", func(b *testing.B) {
		until := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
		for b.Loop() {
			until = until.Add(time.Minute)
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for i := w; i < 1000; i += 8 {
						if err := d.Raise(b.Context(), fmt.Sprintf("r/p/%02x/0-%d", i%256, i), "", until); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		}
	})
}
