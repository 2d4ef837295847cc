package restore

import (
	"cmp"
	"errors"
	"fmt"
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
