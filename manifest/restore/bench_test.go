package restore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"offsite/manifest/restore"
)

func BenchmarkRestore(b *testing.B) {
	pages, images := set{}, set{}
	for i := range 4 {
		pages[fmt.Sprintf("%d.sqlite", i)] = file(noise(uint64(i), 32<<20))
	}
	for i := range 2000 {
		images[fmt.Sprintf("%04d.jpg", i)] = file(noise(uint64(i), 64<<10))
	}
	for name, s := range map[string]set{"pages": pages, "images": images} {
		b.Run(name, func(b *testing.B) {
			p := newPractice(b)
			p.packed = 15 << 20
			ref := p.commit(b, s, nil)
			b.SetBytes(ref.Record.Counts.Bytes)
			top := b.TempDir()
			n := 0
			for b.Loop() {
				n++
				to := filepath.Join(top, fmt.Sprint(n))
				snap, err := restore.Open(b.Context(), p.store, p.restore.Opener(), ref)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := snap.Restore(b.Context(), restore.Options{To: to}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := os.RemoveAll(to); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func BenchmarkCheckBytes(b *testing.B) {
	p := newPractice(b)
	p.packed = 15 << 20
	s := set{}
	for i := range 2000 {
		s[fmt.Sprintf("%04d.jpg", i)] = file(noise(uint64(i), 64<<10))
	}
	ref := p.commit(b, s, nil)
	b.SetBytes(ref.Record.Counts.Bytes)
	for b.Loop() {
		if _, err := restore.Check(b.Context(), p.store, p.trust, restore.CheckOptions{
			Depth: restore.Bytes, Opener: p.restore.Opener(), Namer: p.upload.Namer()}); err != nil {
			b.Fatal(err)
		}
	}
}
