package chunk

import "io"

// maxIdle bounds the reads in a row that return nothing; bufio uses the same.
const maxIdle = 100

// Stream cuts what it reads. It is meant for files longer than memory may hold;
// one goroutine owns it.
type Stream struct {
	c          *Cutter
	kind       Kind
	r          io.Reader
	buf        []byte
	start, end int  // buf[start:end] is read but not yet cut
	last       bool // r has ended
	err        error
}

// NewStream returns a Stream over r that works in buf, and so allocates nothing
// as long as buf is longer than kind.Max(); twice that copies least. A shorter
// one is replaced.
func NewStream(c *Cutter, kind Kind, r io.Reader, buf []byte) *Stream {
	buf = buf[:cap(buf)]
	if len(buf) <= kind.Max() {
		buf = make([]byte, 2*kind.Max())
	}
	return &Stream{c: c, kind: kind, r: r, buf: buf}
}

// Next returns the next chunk, which stays valid until the following call. At
// the end it returns io.EOF; an empty stream has no chunk. After a read error it
// returns that error, and never the bytes before it as if they were the end.
func (s *Stream) Next() ([]byte, error) {
	if s.err == nil && !s.last && s.end-s.start < s.kind.Max() {
		s.fill()
	}
	if s.err != nil {
		return nil, s.err
	}
	n := s.c.Next(s.kind, s.buf[s.start:s.end], s.last)
	if n == 0 {
		return nil, io.EOF
	}
	b := s.buf[s.start : s.start+n : s.start+n]
	s.start += n
	return b, nil
}

// fill reads until the buffer is full or the stream ends. It does not use
// io.ReadFull, which cannot tell a reader's io.ErrUnexpectedEOF from an end.
func (s *Stream) fill() {
	s.end = copy(s.buf, s.buf[s.start:s.end])
	s.start = 0
	for idle := 0; s.end < len(s.buf); {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		switch {
		case err == io.EOF:
			s.last = true
			return
		case err != nil:
			s.err = err
			return
		case n > 0:
			idle = 0
		default:
			if idle++; idle == maxIdle {
				s.err = io.ErrNoProgress
				return
			}
		}
	}
}
