package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"

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
		return dst, openError("sealed data", err)
	}
	// size is below len(sealed), so a forged length cannot ask for more memory.
	start := len(dst)
	out := append(dst, make([]byte, size)...)
	if size == 0 {
		return out, nil
	}
	n, err := r.ReadAt(out[start:], 0)
	if err != nil && !errors.Is(err, io.EOF) || n != int(size) {
		clear(out[start:])
		return dst, openError("sealed data", err)
	}
	return out, nil
}

// OpenAt opens sealed data of size bytes for reading at any offset. It returns
// the plain bytes' length, already verified.
func (o *Opener) OpenAt(src io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
	r, plain, err := age.DecryptReaderAt(src, size, o.ids...)
	if err != nil {
		return nil, 0, openError("sealed data", err)
	}
	return r, plain, nil
}

// NewReader opens sealed data as a stream. Bytes already read are authentic, but
// only io.EOF says that nothing is missing.
func (o *Opener) NewReader(src io.Reader) (io.Reader, error) {
	r, err := age.Decrypt(src, o.ids...)
	if err != nil {
		return nil, openError("sealed data", err)
	}
	return r, nil
}
