package seal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"filippo.io/age"
)

// maxWindow bounds what one ReadAt fetches at once, and with it the memory that it
// takes beside the caller's. It holds the largest frame of a pack.
const maxWindow = 8 << 20

// OpenAt opens sealed data of size bytes for reading at any offset, and returns
// its plain length, already verified. Opening takes two reads of src (header and
// end); every ReadAt after that takes one, of just the steps it needs, so that src
// may be a remote object. The result is safe for concurrent use if src is. An
// error of src comes back wrapped, not as ErrDamaged.
func (o *Opener) OpenAt(src io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
	windows := &windowedSource{src: src}
	r, plain, err := age.DecryptReaderAt(windows, size, o.ids...)
	if err != nil {
		return nil, 0, openError(err)
	}
	steps := max(1, (plain+ageStep-1)/ageStep)
	return &openedAt{r: r, src: windows, plain: plain, end: size, start: size - plain - steps*ageTag}, plain, nil
}

type openedAt struct {
	r          io.ReaderAt // age's, reading from src
	src        *windowedSource
	plain      int64
	start, end int64 // of the steps in the sealed data
}

// ReadAt reads plain bytes, all of them authentic.
func (o *openedAt) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("read sealed data: negative offset")
	}
	if off >= o.plain {
		return 0, io.EOF
	}
	for n < len(p) && off < o.plain {
		piece := p[n:]
		piece = piece[:min(int64(len(piece)), maxWindow, o.plain-off)]
		if err := o.readPiece(piece, off); err != nil {
			return n, err
		}
		n += len(piece)
		off += int64(len(piece))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readPiece fetches the steps that hold the piece, then lets age open them.
func (o *openedAt) readPiece(p []byte, off int64) error {
	const sealedStep = ageStep + ageTag
	from := o.start + off/ageStep*sealedStep
	to := min(o.end, o.start+((off+int64(len(p))-1)/ageStep+1)*sealedStep)
	if to-from > sealedStep {
		w, err := o.src.fetch(from, to)
		if err != nil {
			return openError(err)
		}
		defer o.src.drop(w)
	}
	if n, err := o.r.ReadAt(p, off); n != len(p) {
		return openError(err)
	}
	return nil
}

// windowedSource reads from what was fetched ahead, and else from the source.
// age reads a step at a time, which would be a request each.
type windowedSource struct {
	src io.ReaderAt

	mu      sync.Mutex
	windows []*window // one for each ReadAt under way
}

type window struct {
	off int64
	b   []byte
}

func (s *windowedSource) fetch(from, to int64) (*window, error) {
	w := &window{off: from, b: make([]byte, to-from)}
	n, err := s.src.ReadAt(w.b, from)
	if n < len(w.b) {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, markSource(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.windows = append(s.windows, w)
	return w, nil
}

func (s *windowedSource) drop(w *window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.windows, w); i >= 0 {
		s.windows = slices.Delete(s.windows, i, i+1)
	}
}

func (s *windowedSource) ReadAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	for _, w := range s.windows {
		if off >= w.off && off+int64(len(p)) <= w.off+int64(len(w.b)) {
			s.mu.Unlock()
			return copy(p, w.b[off-w.off:]), nil
		}
	}
	s.mu.Unlock()
	n, err := s.src.ReadAt(p, off)
	if err != nil {
		err = markSource(err)
	}
	return n, err
}

// openError turns an error of the age library into one of ours. Its own text is
// left out on purpose: it quotes lines of the file.
func openError(err error) error {
	var source *sourceError
	var outside *outsideError
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &source):
		return fmt.Errorf("open sealed data: %w", source)
	case errors.As(err, &outside):
		return fmt.Errorf("open sealed data: %w", outside)
	case errors.As(err, &none):
		return fmt.Errorf("open sealed data: %w", ErrNotForThisKey)
	default:
		return fmt.Errorf("open sealed data: %w", ErrDamaged)
	}
}
