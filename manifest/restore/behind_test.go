package restore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

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
	closed  int // parts of files that were closed before
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
	if _, err := f.Stat(); err != nil {
		d.closed++
	}
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
	rep, err := snap.Restore(t.Context(), restore.Paced(restore.Options{To: dir, Workers: workers}, 16<<10, onTheWay, d.flush))
	if err != nil {
		t.Fatal(err, rep.Problems)
	}
	same(t, dir, s, false, everything)
	var sum, largest int64
	for _, n := range d.started {
		sum, largest = sum+n, max(largest, n)
	}
	if sum != rep.Bytes || d.gaps > 0 || d.closed > 0 {
		t.Errorf("%d bytes went to the disk with %d gaps, %d parts of closed files, %d were restored", sum, d.gaps, d.closed, rep.Bytes)
	}
	if d.most > onTheWay+workers*largest || largest < 1<<20 {
		t.Errorf("%d bytes were on their way at once; the largest file has %d", d.most, largest)
	}
}

func TestADiskThatFailsEndsTheRestore(t *testing.T) {
	t.Parallel()
	type flush = func(f *os.File, from, n int64, wait bool) error
	for _, c := range []struct {
		name  string
		piece int64
		trips func(dir string, d *disk) flush
	}{
		{"while it is waited for", 1 << 40, func(_ string, d *disk) flush {
			d.broken = 20
			return d.flush
		}},
		{"when it begins to write, and is well when it is waited for", 1 << 40, func(_ string, d *disk) flush {
			return func(f *os.File, from, n int64, wait bool) error {
				if err := d.flush(f, from, n, wait); err != nil || wait {
					return err
				}
				d.mu.Lock()
				defer d.mu.Unlock()
				if len(d.started) > 20 {
					return syscall.EIO
				}
				return nil
			}
		}},
		{"with a part of a file that has its name by then", 256 << 10, func(dir string, d *disk) flush {
			var once sync.Once
			return func(f *os.File, from, n int64, wait bool) (err error) {
				if wait && n >= 256<<10 && from == 0 {
					once.Do(func() {
						for start := time.Now(); len(large(dir)) < 2 && time.Since(start) < time.Minute; {
							runtime.Gosched()
						}
						err = syscall.EIO
					})
				}
				return err
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPractice(t)
			s := practiceSet()
			delete(s, "db/patients.sqlite")
			snap := open(t, p, p.commit(t, s, nil))
			dir, d := t.TempDir(), &disk{started: map[string]int64{}}
			rep, err := snap.Restore(t.Context(), restore.Paced(restore.Options{To: dir}, c.piece, 1<<30, c.trips(dir, d)))
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
			if werr != nil || c.piece == 1<<40 && named > 20 || len(large(dir)) > 1 {
				t.Errorf("%d files have their names, and %q; %v", named, large(dir), werr)
			}
			rep, err = snap.Restore(t.Context(), restore.Options{To: dir})
			if err != nil {
				t.Fatal(err, rep.Problems)
			}
			same(t, dir, s, false, everything)
		})
	}
}

// large lists which of the two largest files have their names.
func large(dir string) (names []string) {
	for _, name := range []string{"large.tif", "copy of large"} {
		if _, err := os.Lstat(filepath.Join(dir, "images", name)); err == nil {
			names = append(names, name)
		}
	}
	return names
}
