package structure

import (
	"bufio"
	"errors"
	"hash/crc32"
	"io"
	"iter"

	"github.com/klauspost/compress/flate"
)

const (
	// unpackedLeast and unpackedTimes end the unpacking of what only grows: that much,
	// and so many times what may be unpacked.
	unpackedLeast = 64 << 20
	unpackedTimes = 16
	// unpackBuffer is how much is unpacked at a time.
	unpackBuffer = 16 << 10
)

// unpacker unpacks one packed stream while its bytes pass by, and holds none of
// them. Whoever makes one calls close.
type unpacker struct {
	in   []byte // what has come and is not taken yet
	next func() (struct{}, bool)
	stop func()

	left int64  // bytes that may still come out
	size int64  // bytes that came out
	sum  uint32 // their CRC-32
	done bool   // the stream has ended, or cannot be followed
	err  error  // why; nil: at its own end
	rest int    // bytes of the last write that stand behind the end
}

// inflater opens one deflated stream after the other, with the memory of one.
type inflater struct{ reader io.ReadCloser }

func (i *inflater) open(r *bufio.Reader) (io.Reader, error) {
	if i.reader == nil {
		i.reader = flate.NewReader(r)
		return i.reader, nil
	}
	return i.reader, i.reader.(flate.Resetter).Reset(r, nil)
}

// errEnough ends a stream that grows beyond all use.
var errEnough = errors.New("too much was unpacked")

// newUnpacker begins a stream that open knows how to read. allowed is how many
// packed bytes will come at most.
func newUnpacker(open func(*bufio.Reader) (io.Reader, error), allowed int64) *unpacker {
	u := &unpacker{left: unpackedLeast + unpackedTimes*min(allowed, 1<<50)}
	u.next, u.stop = iter.Pull(func(yield func(struct{}) bool) {
		src := bufio.NewReader(pulled{u, yield})
		u.err = u.run(src, open)
		if u.err == io.EOF {
			u.err = nil
		}
		u.done, u.rest = true, src.Buffered()+len(u.in)
	})
	return u
}

func (u *unpacker) run(src *bufio.Reader, open func(*bufio.Reader) (io.Reader, error)) error {
	r, err := open(src)
	buf := make([]byte, unpackBuffer)
	for err == nil {
		var n int
		n, err = r.Read(buf)
		u.sum = crc32.Update(u.sum, crc32.IEEETable, buf[:n])
		u.size += int64(n)
		if u.left -= int64(n); u.left <= 0 {
			return errEnough
		}
	}
	return err
}

// pulled is where the unpacker reads from.
type pulled struct {
	u     *unpacker
	yield func(struct{}) bool
}

func (p pulled) Read(b []byte) (int, error) {
	for len(p.u.in) == 0 {
		if !p.yield(struct{}{}) {
			return 0, io.EOF
		}
	}
	n := copy(b, p.u.in)
	p.u.in = p.u.in[n:]
	return n, nil
}

// write unpacks p and returns how much of it belongs to the stream.
func (u *unpacker) write(p []byte) int {
	if u.done || len(p) == 0 {
		return 0
	}
	u.in = p
	u.next()
	if !u.done {
		return len(p)
	}
	return len(p) - u.rest
}

// close is called when nothing more comes. Calling it again changes nothing.
func (u *unpacker) close() { u.stop() }

// wrong says whether something stood in the stream that no packer writes. Of one that
// is not over yet nothing wrong was seen so far.
func (u *unpacker) wrong() bool {
	return u.done && u.err != nil && !errors.Is(u.err, errEnough) && !errors.Is(u.err, io.ErrUnexpectedEOF)
}

// whole says whether the stream came to its own end.
func (u *unpacker) whole() bool { return u.done && u.err == nil }
