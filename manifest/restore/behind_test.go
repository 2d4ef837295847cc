package restore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"offsite/manifest/restore"
)

// disk stands for one that is told what to write.
type disk struct {
	mu      sync.Mutex
	started map[string]int64 // by the file: up to where, from its begin
	gaps    int
	ahead   int64 // started and not there yet
	most    int64
	there   int // parts
	broken  int // after so many parts; 0: never
}

func (d *disk) flush(f *os.File, from, n int64, wait bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !wait {
		if d.started[f.Name()] != from {
			d.gaps++
		}
		d.started[f.Name()] = from + n
		d.ahead += n
		d.most = max(d.most, d.ahead)
		return nil
	}
	d.ahead -= n
	if d.there++; d.broken > 0 && d.there > d.broken {
		return syscall.EIO
	}
	return nil
}

func TestALargeRestoreGoesToTheDiskAsItGoes(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	p.packed = 200 << 10
	s := practiceSet()
	snap := open(t, p, p.commit(t, s, nil))
	dir, d := t.TempDir(), &disk{started: map[string]int64{}}
	const onTheWay, workers = 1 << 20, 3
	rep, err := snap.Restore(t.Context(), restore.Paced(restore.Options{To: dir, Workers: workers}, 256<<10, onTheWay, d.flush))
	if err != nil {
		t.Fatal(err, rep.Problems)
	}
	same(t, dir, s, false, everything)
	var sum, largest int64
	for _, n := range d.started {
		sum, largest = sum+n, max(largest, n)
	}
	if sum != rep.Bytes || d.gaps > 0 {
		t.Errorf("%d bytes went to the disk with %d gaps, %d were restored", sum, d.gaps, rep.Bytes)
	}
	if d.most > onTheWay+workers*largest || largest < 1<<20 {
		t.Errorf("%d bytes were on their way at once; the largest file has %d", d.most, largest)
	}
}

func TestADiskThatFailsEndsTheRestore(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	s := practiceSet()
	snap := open(t, p, p.commit(t, s, nil))
	dir, d := t.TempDir(), &disk{started: map[string]int64{}, broken: 20}
	rep, err := snap.Restore(t.Context(), restore.Paced(restore.Options{To: dir}, 1<<40, 1<<20, d.flush))
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("%v, %+v", err, rep)
	}
	// What the disk never got has lost its name again, so that nobody takes it for restored.
	named := 0
	werr := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if info, ierr := e.Info(); err == nil && ierr == nil && e.Type().IsRegular() && info.Size() > 0 && e.Name() != ".offsite-restore" {
			named++
		}
		return err
	})
	if werr != nil || named > d.broken {
		t.Errorf("%d files have their names, the disk got %d; %v", named, d.broken, werr)
	}
	rep, err = snap.Restore(t.Context(), restore.Options{To: dir})
	if err != nil {
		t.Fatal(err, rep.Problems)
	}
	same(t, dir, s, false, everything)
}
