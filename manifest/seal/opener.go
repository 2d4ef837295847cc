package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
)

// Opener opens sealed data. It is safe for concurrent use.
type Opener struct{ ids []age.Identity }

// IndexOpener opens the practice's index segments, and nothing else.
func (s Secrets) IndexOpener() (*Opener, error) {
	id, err := parseHybrid(s.Index)
	if err != nil {
		return nil, fmt.Errorf("prepare opening index segments: %w", err)
	}
	return &Opener{ids: []age.Identity{id}}, nil
}

// Open opens sealed and returns all of its plain bytes, in memory of their own.
func (o *Opener) Open(sealed []byte) ([]byte, error) { return o.Append(nil, sealed) }

// Append is Open with the plain bytes appended to dst, so that buffers can be
// reused. On an error it returns dst as it was.
func (o *Opener) Append(dst, sealed []byte) ([]byte, error) {
	r, size, err := age.DecryptReaderAt(bytes.NewReader(sealed), int64(len(sealed)), o.ids...)
	if err != nil {
		return dst, openError(err)
	}
	// size is below len(sealed), so a forged length cannot ask for more memory.
	start := len(dst)
	out := slices.Grow(dst, int(size))[:start+int(size)]
	if size == 0 {
		return out, nil
	}
	n, err := r.ReadAt(out[start:], 0)
	if err != nil && !errors.Is(err, io.EOF) || n != int(size) {
		clear(out[start:])
		return dst, openError(err)
	}
	return out, nil
}

// NewReader opens sealed data as a stream. Bytes already read are authentic, but
// only io.EOF says that nothing is missing. An error of src comes back wrapped,
// not as ErrDamaged.
func (o *Opener) NewReader(src io.Reader) (io.Reader, error) {
	r, err := age.Decrypt(sourceReader{src}, o.ids...)
	if err != nil {
		return nil, openError(err)
	}
	return opened{r}, nil
}

// opened turns the errors of an age stream into ours.
type opened struct{ r io.Reader }

func (o opened) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && err != io.EOF {
		err = openError(err)
	}
	return n, err
}

// sourceError marks an error of the caller's source, so that a network failure is
// not taken for damage.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return "read source: " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func markSource(err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return err
	}
	return &sourceError{err}
}

type sourceReader struct{ r io.Reader }

func (s sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	return n, markSource(err)
}
