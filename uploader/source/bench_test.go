package source_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"offsite/uploader/source"
)

// BenchmarkScan lists a practice-shaped tree: folders of 250 small files. Set
// OFFSITE_BENCH_FILES to another number of files (500000 makes a big practice).
func BenchmarkScan(b *testing.B) {
	files := 5000
	if n, err := strconv.Atoi(os.Getenv("OFFSITE_BENCH_FILES")); err == nil {
		files = n
	}
	root := b.TempDir()
	for i := range files {
		dir := filepath.Join(root, "images", fmt.Sprintf("%03d", i/25000), fmt.Sprintf("patient-%05d", i/250))
		if i%250 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("x-ray-%08d.dcm", i)), []byte("x"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for name, opt := range map[string]source.Options{
		"plain":   {},
		"exclude": {Exclude: patterns(b, "*.tmp", "~*", "/logfiles/**", "thumbs.db")},
	} {
		opt.Roots = []source.Root{{Path: root}}
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			var keep source.Set
			for b.Loop() {
				set, err := source.Scan(context.Background(), opt)
				if err != nil || set.Totals().Files != files {
					b.Fatal(err, set.Totals())
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(files), "µs/file")
			runtime.GC()
			runtime.ReadMemStats(&before)
			keep, err := source.Scan(context.Background(), opt)
			if err != nil {
				b.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(files), "B/file")
			runtime.KeepAlive(keep)
		})
	}
}

func patterns(tb testing.TB, texts ...string) []source.Pattern {
	tb.Helper()
	var list []source.Pattern
	for _, t := range texts {
		p, err := source.ParsePattern(t)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}
