package restore_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"

	"offsite/manifest/restore"
	"offsite/providers"
)

// unreachable is a driver that does not give out what stands under a prefix.
type unreachable struct {
	providers.Driver
	prefix string
}

func (u unreachable) Get(ctx context.Context, key string, v providers.Version, off, n int64) ([]byte, error) {
	if strings.HasPrefix(key, u.prefix) {
		return nil, &providers.Error{Op: "get", Key: key, Kind: providers.ErrUnreachable}
	}
	return u.Driver.Get(ctx, key, v, off, n)
}

// TestMemoryStaysBounded: the package comment's limit for two workers, against what
// the Go heap takes from the system at most.
func TestMemoryStaysBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 300 MiB")
	}
	p, _ := onDisk(t)
	p.packed = 15 << 20
	ref := p.commit(t, largeSet(), nil)
	runtime.GC() // the set is not needed any more
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64() + sample[1].Value.Uint64()
	}
	var mu sync.Mutex
	base, peak := read(), uint64(0)
	look := restore.Progress{Done: func(int64) {
		mu.Lock()
		defer mu.Unlock()
		peak = max(peak, read())
	}}
	snap := open(t, p, ref)
	if _, err := snap.Restore(t.Context(), restore.Options{To: t.TempDir(), Workers: 2, Progress: look}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d MiB before, %d MiB at most", base>>20, peak>>20)
	if peak > base+200<<20 {
		t.Errorf("%d MiB before, %d MiB at most", base>>20, peak>>20)
	}
}

func largeSet() set {
	s := set{}
	for i := range 5 {
		s[fmt.Sprintf("%d.sqlite", i)] = file(noise(uint64(i), 24<<20))
		s[fmt.Sprintf("%d.tif", i)] = file(noise(uint64(90+i), 24<<20))
	}
	for i := range 400 {
		s[fmt.Sprintf("%04d.jpg", i)] = file(s["1.tif"].data[i*1000:][:150_000])
	}
	return s
}
