package restore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// behind takes the files of a large restore to the disk while others are put together,
// and out of the system's memory once they are there. Otherwise a restore would fill
// all memory with what nobody is about to read, push out what the programs of that PC
// keep there, and say that all is well before it hears of a disk that fails. What is on
// its way in the end is left to the system, so a small restore waits for nothing.
type behind struct {
	pace pace
	wg   sync.WaitGroup

	mu    sync.Mutex
	moved sync.Cond // there is more in line, or less on its way, or all has ended
	line  []stretch // the first one is the oldest
	bytes int64     // in line, or waited for
	parts int
	ended bool
	err   error // the first trouble of the disk
}

// pace says how far the disk may be behind.
type pace struct {
	flush flushFunc // nil: this system cannot
	least int64     // smaller parts are left to the system
	piece int64     // a file is flushed in parts of so many bytes, or a little more
	bytes int64     // while more than that is on its way, workers wait
	parts int
}

func defaultPace() pace {
	p := pace{
		least: 64 << 10,
		piece: 32 << 20,
		bytes: 256 << 20,
		parts: 256, // their files are open
	}
	if canFlush {
		p.flush = flushPart
	}
	return p
}

// behindFlushers wait for the disk.
const behindFlushers = 2

// flushFunc starts to write a part of a file to the disk, or waits until it is there and
// takes it out of memory. What a file system does not offer is no error.
type flushFunc func(f *os.File, from, n int64, wait bool) error

// errDisk is the trouble of a disk that did not take what it was given. It ends a
// restore: nobody knows what else is lost.
var errDisk = errors.New("the disk did not take what was written")

// stretch is a part of a file that was written.
type stretch struct {
	out     *os.File
	from, n int64
	err     error // of starting to write it
	// done gives the handle back. With an error the bytes may be lost, and the file must
	// not keep its name. It returns the error, and what happened besides.
	done func(err error) error
}

func newBehind(p pace) *behind {
	b := &behind{pace: p}
	b.moved.L = &b.mu
	if p.flush != nil {
		for range behindFlushers {
			b.wg.Go(b.work)
		}
	}
	return b
}

// takes says whether a part of n bytes is worth to be added.
func (b *behind) takes(n int64) bool { return b.pace.flush != nil && n >= b.pace.least }

// add takes a part over. It waits while the disk is too far behind. The error may be
// that of an earlier part: the disk is in trouble.
func (b *behind) add(s stretch) error {
	s.err = b.pace.flush(s.out, s.from, s.n, false)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line = append(b.line, s)
	b.bytes += s.n
	b.parts++
	b.moved.Broadcast()
	for b.bytes > b.pace.bytes || b.parts > b.pace.parts {
		b.moved.Wait()
	}
	return b.err
}

func (b *behind) fail(err error) {
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("%w: %w", errDisk, err)
	}
}

func (b *behind) work() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		for !b.ended && len(b.line) == 0 {
			b.moved.Wait()
		}
		if b.ended {
			return
		}
		s := b.line[0]
		b.line = b.line[1:]
		b.mu.Unlock()
		err := s.done(cmp.Or(s.err, b.pace.flush(s.out, s.from, s.n, true)))
		b.mu.Lock()
		b.fail(err)
		b.bytes -= s.n
		b.parts--
		b.moved.Broadcast()
	}
}

// end leaves the rest to the system and gives all handles back; after trouble nothing of the
// rest keeps its name. It returns the first trouble of the disk, and may be called again.
func (b *behind) end() error {
	b.mu.Lock()
	b.ended = true
	b.moved.Broadcast()
	b.mu.Unlock()
	b.wg.Wait()
	for _, s := range b.line {
		b.fail(s.done(cmp.Or(s.err, b.err)))
	}
	b.line = nil
	return b.err
}

// flushHashed takes a large file to the disk up to where it is hashed: nobody will read
// that back. Only who hashes may call it.
func (r *restorer) flushHashed(f *file, to int64) error {
	from := f.flushed
	if to-from < r.behind.pace.piece || !r.behind.takes(to-from) {
		return nil
	}
	out, err := r.acquire(f)
	if err != nil {
		return err
	}
	f.flushed = to
	f.mu.Lock()
	f.parts++
	f.mu.Unlock()
	return r.behind.add(stretch{out: out, from: from, n: to - from, done: func(err error) error {
		r.handles.release(f)
		return r.arrived(f, err)
	}})
}

// arrived notes that the disk has one part more, or not, closes the file after the last,
// and takes its name away where a part is lost.
func (r *restorer) arrived(f *file, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parts--
	if f.parts == 0 && f.closing != nil {
		err = errors.Join(err, f.closing.Close())
		f.closing = nil
	}
	if err == nil {
		return nil
	}
	f.lost = err
	if f.named {
		f.named = false
		if rerr := r.t.remove(f.row.Path); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// publish closes a file and gives it its name, unless err says that it must not get it. A
// large one is closed when the disk has all of it; if the disk never gets that, it loses
// its name again.
func (r *restorer) publish(f *file, out *os.File, err error, in *folder, temp string) error {
	rest := f.row.Size - f.flushed
	f.mu.Lock()
	more := err == nil && r.behind.takes(rest)
	if more {
		f.parts++
	}
	later := err == nil && f.parts > 0
	if later {
		f.closing = out
	}
	f.mu.Unlock()
	if !later {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}
	if err == nil {
		err = r.rename(f, in, temp)
	}
	if !more {
		return err
	}
	if err != nil {
		return errors.Join(err, r.arrived(f, nil))
	}
	return r.behind.add(stretch{out: out, from: f.flushed, n: rest, done: func(err error) error { return r.arrived(f, err) }})
}

// rename gives a file its name, unless the disk did not take a part of it.
func (r *restorer) rename(f *file, in *folder, temp string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost != nil {
		return fmt.Errorf("%w: %w", errDisk, f.lost)
	}
	err := r.giveName(in, temp, f.row)
	f.named = err == nil
	return err
}
