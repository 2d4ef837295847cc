package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"filippo.io/age"
)

// Geometry of an age payload (age-encryption.org/v1): a nonce, then steps of 64
// KiB, each with a tag; empty plain bytes take one empty step.
const (
	ageNonce = 16
	ageStep  = 64 << 10
	ageTag   = 16
)

// compareStep is how much is opened and compared at a time while proving: large
// enough that the buffer which age makes for each call does not count (5 % faster
// than 256 KiB, 15 % faster than 64 KiB), and not measurably slower than more.
const compareStep = 1 << 20

// Sealer seals packs and index segments. It is safe for concurrent use and holds
// nothing that opens a pack: a pack is proved with its own file key, which lives
// only inside the one call that made it.
type Sealer struct {
	restore     *age.HybridRecipient
	index       *age.HybridRecipient
	packHeader  int
	indexHeader int
	scratch     sync.Pool // *[]byte of compareStep
}

// Sealer returns the sealer of this PC.
func (k *UploadKey) Sealer() (*Sealer, error) {
	restore, err := parseRestoreRecipient(k.Restore)
	if err != nil {
		return nil, fmt.Errorf("prepare sealing: %w", err)
	}
	index, err := parseHybrid(k.Secrets.Index)
	if err != nil {
		return nil, fmt.Errorf("prepare sealing: %w", err)
	}
	s := &Sealer{restore: restore, index: index.Recipient()}
	s.scratch.New = func() any { b := make([]byte, compareStep); return &b }
	// The header's length depends only on the kind and number of recipients, so
	// sealing nothing measures it once and for all.
	if s.packHeader, err = headerSize(s.restore); err != nil {
		return nil, fmt.Errorf("prepare sealing: %w", err)
	}
	if s.indexHeader, err = headerSize(s.restore, s.index); err != nil {
		return nil, fmt.Errorf("prepare sealing: %w", err)
	}
	return s, nil
}

func headerSize(to ...age.Recipient) (int, error) {
	sealed, err := appendSealed(nil, nil, to...)
	return len(sealed) - ageNonce - ageTag, err
}

// Pack appends to dst the plain bytes sealed to the restore key, after having
// proved them. With PackSize(len(plain)) bytes of room in dst it allocates little.
func (s *Sealer) Pack(dst, plain []byte) ([]byte, error) {
	return s.seal("pack", dst, plain, s.PackSize(len(plain)), s.restore)
}

// Index appends to dst the plain bytes sealed to the restore key and to the
// practice's index identity, after having proved them.
func (s *Sealer) Index(dst, plain []byte) ([]byte, error) {
	return s.seal("index segment", dst, plain, s.IndexSize(len(plain)), s.restore, s.index)
}

// PackSize is the sealed length of a pack of so many plain bytes.
func (s *Sealer) PackSize(plain int) int { return sealedSize(s.packHeader, plain) }

// IndexSize is the sealed length of an index segment of so many plain bytes.
func (s *Sealer) IndexSize(plain int) int { return sealedSize(s.indexHeader, plain) }

func sealedSize(header, plain int) int {
	steps := max(1, (plain+ageStep-1)/ageStep)
	return header + ageNonce + plain + steps*ageTag
}

// PackRoom is the largest plain length whose pack is at most sealed bytes long,
// or -1 if not even an empty one is. Where the last step would be empty, no plain
// length gives exactly sealed: then the pack is up to 16 bytes shorter.
func (s *Sealer) PackRoom(sealed int) int { return room(s.packHeader, sealed) }

// IndexRoom is PackRoom for index segments.
func (s *Sealer) IndexRoom(sealed int) int { return room(s.indexHeader, sealed) }

func room(header, sealed int) int {
	payload := sealed - header - ageNonce
	if payload < ageTag {
		return -1
	}
	full, rest := payload/(ageStep+ageTag), payload%(ageStep+ageTag)
	return full*ageStep + max(0, rest-ageTag)
}

func (s *Sealer) seal(what string, dst, plain []byte, size int, to ...age.Recipient) ([]byte, error) {
	out, key, err := sealUnproved(slices.Grow(dst, size), plain, to...)
	if err != nil {
		return dst, fmt.Errorf("seal %s: %w", what, err)
	}
	defer key.drop()
	sealed := out[len(dst):]
	if len(sealed) != size {
		return dst, fmt.Errorf("seal %s: length is not the computed one: %w", what, ErrProof)
	}
	if err := s.prove(sealed, plain, key.identity()); err != nil {
		return dst, fmt.Errorf("seal %s: %w", what, err)
	}
	return out, nil
}

// sealUnproved appends an age file to dst and returns its file key, to prove it with.
func sealUnproved(dst, plain []byte, to ...age.Recipient) ([]byte, *fileKey, error) {
	key := &fileKey{Recipient: to[0]}
	out, err := appendSealed(dst, plain, append([]age.Recipient{key}, to[1:]...)...)
	if err != nil {
		key.drop()
		return dst, nil, err
	}
	return out, key, nil
}

// prove opens sealed step by step and compares it with plain.
func (s *Sealer) prove(sealed, plain []byte, id age.Identity) error {
	opened, size, err := age.DecryptReaderAt(bytes.NewReader(sealed), int64(len(sealed)), id)
	if err != nil || size != int64(len(plain)) {
		return ErrProof
	}
	scratch := s.scratch.Get().(*[]byte)
	defer s.scratch.Put(scratch)
	for off := 0; off < len(plain); {
		n, err := opened.ReadAt((*scratch)[:min(compareStep, len(plain)-off)], int64(off))
		if err != nil && !errors.Is(err, io.EOF) || n == 0 || !bytes.Equal((*scratch)[:n], plain[off:off+n]) {
			return ErrProof
		}
		off += n
	}
	return nil
}

// fileKey is a recipient that keeps the file key which age hands it, so that the
// file can be opened again without any identity. Sealing to one more, throw-away
// identity would do too, at the price of a second key to the pack that lives as
// long as the run, and of 1.6 KB in every pack.
type fileKey struct {
	age.Recipient
	key []byte
}

// WrapWithLabels passes the labels on: without them age would refuse the index
// segments' second recipient.
func (f *fileKey) WrapWithLabels(key []byte) ([]*age.Stanza, []string, error) {
	f.key = bytes.Clone(key)
	if r, ok := f.Recipient.(age.RecipientWithLabels); ok {
		return r.WrapWithLabels(key)
	}
	stanzas, err := f.Recipient.Wrap(key)
	return stanzas, nil, err
}

func (f *fileKey) identity() age.Identity { return age.NewInjectedFileKeyIdentity(f.key) }

func (f *fileKey) drop() { clear(f.key) }

// appendSealed appends an age file to dst.
func appendSealed(dst, plain []byte, to ...age.Recipient) ([]byte, error) {
	out := appender{dst}
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		return dst, err
	}
	if _, err := w.Write(plain); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	return out.b, nil
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// SealTo seals a small secret (naming secrets, owner key) to a restore key's
// public half.
func SealTo(recipient string, plain []byte) ([]byte, error) {
	r, err := parseRestoreRecipient(recipient)
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	sealed, err := appendSealed(nil, plain, r)
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	return sealed, nil
}
