package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk image with little in it costs little: in the store, and of the disk that
// it is restored to.
func TestSparseFileOfFiveGigabytesComesBackSparse(t *testing.T) {
	p := newPlace(t) // not beside others: it moves the most bytes of all
	if !holesIn(t, p.home) {
		t.Skip("the file system of the temporary folder has no sparse files")
	}
	size := int64(5 << 30)
	if raceDetector {
		size = 512 << 20 // the same in a tenth of the time
	}
	image := filepath.Join(p.source, "practice server.vhd")
	f, err := os.Create(image)
	must(t, err)
	must(t, f.Truncate(size))
	pieces := map[int64][]byte{0: []byte("head"), size/2 + 12345: noise(1, 200<<10), size - 4: []byte("tail")}
	for at, b := range pieces {
		_, err := f.WriteAt(b, at)
		must(t, err)
	}
	must(t, f.Close())

	var saved runAnswer
	p.want(exitDone, "run", "--wait", "0s", "--json").into(t, &saved)
	if sent := saved.Stores[0].Sent; sent > 2<<20 {
		t.Errorf("%d bytes were sent", sent)
	}
	back, r := p.restore(exitDone, "latest", "back")
	restored := filepath.Join(back, filepath.Base(image))
	info, err := os.Stat(restored)
	must(t, err)
	if info.Size() != size {
		t.Errorf("%d bytes came back", info.Size())
	}
	sparse(t, restored, 2<<20)
	if image, restored := bytesIn(t, image), bytesIn(t, restored); len(restored) == 0 || image != restored {
		t.Error("other bytes came back than were saved")
	}
	t.Logf("restored in %v", r.took)
}

// bytesIn returns what is written in a file and where, without its holes and
// without blocks of zeros.
func bytesIn(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	const block = 4 << 10
	var out []byte
	for at := int64(0); ; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return string(out)
		}
		must(t, err)
		to, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		must(t, err)
		for from -= from % block; from < to; from += block {
			b := make([]byte, block)
			n, _ := f.ReadAt(b, from)
			if [block]byte(b) != [block]byte{} {
				out = append(out, fmt.Sprintf("%d:", from)...)
				out = append(out, b[:n]...)
			}
		}
		at = to
	}
}
