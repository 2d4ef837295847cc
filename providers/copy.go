package providers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// Copier is the ability to take an object from another store of the same service
// without its bytes passing through this computer. It is create-only, as Put is.
type Copier interface {
	// CopyFrom copies the named version that from holds under key. What cannot be
	// copied so is ErrInvalid with errors.ErrUnsupported inside.
	CopyFrom(ctx context.Context, from Driver, key string, v Version, opt PutOptions) (Version, error)
}

// CopyFrom copies one version from another store on the service's side, and proves
// it: the checksums that the service keeps of both must be equal. Where that cannot
// be had, it is ErrInvalid with errors.ErrUnsupported inside, and the caller carries
// the bytes.
func (s *Store) CopyFrom(ctx context.Context, from *Store, key string, v Version, lease time.Time) (Version, error) {
	copier, ok := s.driver.(Copier)
	if !ok || !ValidKey(key) {
		return "", &Error{Op: "copy", Key: key, Kind: ErrInvalid, Err: errors.ErrUnsupported}
	}
	src, err := from.Stat(ctx, key, v)
	if err != nil {
		return "", err
	}
	if len(src.Checksum.Sum) == 0 {
		return "", &Error{Op: "copy", Key: key, Kind: ErrInvalid, Err: errors.ErrUnsupported}
	}
	var version Version
	err = s.retry(ctx, "copy", key, func() error {
		s.count.put.Add(1)
		err := s.attempt(ctx, "put", key, src.Size, func(ctx context.Context) (err error) {
			version, err = copier.CopyFrom(ctx, from.driver, key, src.Version, PutOptions{Lease: lease})
			return err
		})
		if k := KindOf(err); err != nil && k != ErrExist && k != ErrInDoubt {
			return err
		}
		if err != nil {
			version = "" // whatever stands there
		}
		dst, statErr := s.stat(ctx, key, version)
		switch {
		case errors.Is(statErr, ErrNotExist) && err != nil:
			return &Error{Op: "copy", Key: key, Kind: ErrBusy, Err: err}
		case statErr != nil:
			return unsettled(key, statErr)
		case dst.Size != src.Size, dst.Checksum.Algorithm != src.Checksum.Algorithm, !bytes.Equal(dst.Checksum.Sum, src.Checksum.Sum):
			return &Error{Op: "copy", Key: key, Kind: ErrConflict, Err: fmt.Errorf("the copy is not known to be the same: %s of %d bytes", dst.Checksum.Algorithm, dst.Size)}
		}
		version = dst.Version
		return s.ensureLease(ctx, key, dst, lease)
	})
	return version, err
}
