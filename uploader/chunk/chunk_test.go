package chunk_test

import (
	"math/rand/v2"
	"testing"

	"offsite/uploader/chunk"
)

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func BenchmarkNext(b *testing.B) {
	data := random(1, 64<<20)
	c := chunk.New([32]byte{7})
	for _, k := range []chunk.Kind{chunk.WriteOnce, chunk.Volatile, chunk.Paged} {
		b.Run(k.String(), func(b *testing.B) {
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
