package s3

import (
	"context"
	"errors"
	"hash/crc32"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"offsite/providers"
	"offsite/providers/s3/internal/wire"
)

// Put is that of the Driver, with the lease given afterwards where the service wants
// it so. Until then the bucket's default retention holds; a failure is in doubt, so
// that the caller looks and raises.
func (l *Locked) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	v, err := l.Driver.Put(ctx, key, data, opt)
	if err != nil || !l.cfg.LeaseAfterPut || opt.Lease.IsZero() {
		return v, err
	}
	if err := l.Raise(ctx, key, v, opt.Lease); err != nil {
		return "", wire.Fail("put", key, providers.ErrInDoubt, err)
	}
	return v, nil
}

// Raise moves the lease of one version later; see providers.Leaser. It is one
// request, and one more for an empty version. The store refuses to shorten a
// lease, with 403 or 400; only then the present lease is read to tell "already
// longer" from "not allowed".
func (l *Locked) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	if err := l.begin(ctx, "raise", key); err != nil {
		return err
	}
	turn := l.turns[crc32.ChecksumIEEE([]byte(key))%uint32(len(l.turns))]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return wire.Fail("raise", key, providers.ErrBusy, ctx.Err())
	}
	v, err := l.versionID(ctx, key, v)
	if err != nil {
		return err
	}
	until = wholeSecond(until)
	err = l.retain(ctx, key, v, l.lockMode(), until)
	switch providers.KindOf(err) {
	case providers.ErrDenied, providers.ErrInvalid, providers.ErrHeld:
	default:
		return err
	}
	mode, have, readErr := l.retention(ctx, "raise", key, v)
	switch {
	case errors.Is(readErr, providers.ErrNotExist), readErr != nil && ctx.Err() != nil:
		return readErr
	case readErr != nil:
		return err
	case !have.Before(until):
		return nil
	case mode != "" && mode != l.lockMode():
		// The object is held in the other mode; a lease is extended in its own.
		return l.retain(ctx, key, v, mode, until)
	}
	return err
}

// versionID is the id of a version. Without one the store would take whatever
// was stored last, be it a delete marker. Entity tags are from a time before the
// bucket had versions.
func (l *Locked) versionID(ctx context.Context, key string, v providers.Version) (providers.Version, error) {
	switch {
	case v == "":
		return l.present(ctx, "raise", key)
	case strings.HasPrefix(string(v), tagPrefix):
		obj, err := l.head(ctx, "raise", key, v)
		if err == nil && strings.HasPrefix(string(obj.Version), tagPrefix) {
			err = wire.Fail("raise", key, providers.ErrInvalid, errors.New("the bucket keeps no versions"))
		}
		return obj.Version, err
	}
	return v, nil
}

func (l *Locked) retain(ctx context.Context, key string, v providers.Version, mode types.ObjectLockRetentionMode, until time.Time) error {
	in := &s3.PutObjectRetentionInput{
		Bucket: l.bucket, Key: l.path(key),
		Retention: &types.ObjectLockRetention{Mode: mode, RetainUntilDate: aws.Time(until)},
	}
	in.VersionId, _ = pin(v)
	var opt []func(*s3.Options)
	if l.cfg.Checksum == ChecksumMD5 {
		opt = append(opt, wire.ContentMD5)
	}
	if _, err := l.client.PutObjectRetention(ctx, in, opt...); err != nil {
		return l.wrap(ctx, "raise", key, err)
	}
	return nil
}

// retention reads the present lease; none is the zero time.
func (d *Driver) retention(ctx context.Context, op, key string, v providers.Version) (types.ObjectLockRetentionMode, time.Time, error) {
	in := &s3.GetObjectRetentionInput{Bucket: d.bucket, Key: d.path(key)}
	in.VersionId, _ = pin(v)
	out, err := d.client.GetObjectRetention(ctx, in)
	switch {
	case err == nil && out.Retention != nil:
		return out.Retention.Mode, aws.ToTime(out.Retention.RetainUntilDate), nil
	case err == nil || wire.Read(err).Code == "NoSuchObjectLockConfiguration":
		return "", time.Time{}, nil
	}
	return "", time.Time{}, d.readError(ctx, op, key, v, err)
}
