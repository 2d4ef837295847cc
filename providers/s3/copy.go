package s3

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"offsite/providers"
	"offsite/providers/s3/internal/wire"
)

var _ providers.Copier = (*Driver)(nil)

// CopyFrom copies between buckets of one service with this driver's credentials,
// which must be able to read the other bucket; see providers.Copier. It looks before
// and, where there are versions, after. A service that wants leases in requests of
// their own is left to Put.
func (d *Driver) CopyFrom(ctx context.Context, from providers.Driver, key string, v providers.Version, opt providers.PutOptions) (providers.Version, error) {
	if err := d.begin(ctx, "copy", key); err != nil {
		return "", err
	}
	src := bucketOf(from)
	if src == nil || opt.Replace != "" || d.cfg.LeaseAfterPut ||
		src.cfg.Endpoint != d.cfg.Endpoint || src.cfg.Region != d.cfg.Region || src.cfg.Checksum != d.cfg.Checksum {
		return "", wire.Fail("copy", key, providers.ErrInvalid, errors.ErrUnsupported)
	}
	source := url.PathEscape(src.cfg.Bucket) + "/" + strings.ReplaceAll(url.PathEscape(*src.path(key)), "%2F", "/")
	in := &s3.CopyObjectInput{Bucket: d.bucket, Key: d.path(key)}
	if !d.cfg.NoConditions {
		in.IfNoneMatch = aws.String("*")
	}
	if etag, isTag := strings.CutPrefix(string(v), tagPrefix); isTag {
		in.CopySourceIfMatch = aws.String(`"` + etag + `"`)
	} else if v != "" {
		source += "?versionId=" + url.QueryEscape(string(v))
	}
	in.CopySource = aws.String(source)
	if d.cfg.Checksum == ChecksumSHA256 {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	}
	if d.cfg.Lock && !opt.Lease.IsZero() {
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockMode(d.lockMode()), aws.Time(wholeSecond(opt.Lease))
	}
	// Compatible services are known to pass over the condition of a copy.
	if _, err := d.stat(ctx, "put", key, ""); err == nil {
		return "", wire.Fail("copy", key, providers.ErrExist, nil)
	} else if !errors.Is(err, providers.ErrNotExist) {
		return "", notApplied(err)
	}
	out, err := d.client.CopyObject(ctx, in)
	if err != nil {
		return "", wire.Wrap(ctx, "put", key, true, err)
	}
	var etag *string
	if out.CopyObjectResult != nil {
		etag = out.CopyObjectResult.ETag
	}
	got := d.version(out.VersionId, etag)
	if got == "" {
		return "", wire.Fail("copy", key, providers.ErrInDoubt, errors.New("answer names no version"))
	}
	if d.versioned && d.writeOnce(key) {
		if err := d.wasFirst(ctx, key, got); err != nil {
			return "", err
		}
	}
	return got, nil
}

// bucketOf is the bucket behind a driver of this package.
func bucketOf(d providers.Driver) *Driver {
	switch d := d.(type) {
	case *Driver:
		return d
	case *Locked:
		return d.Driver
	}
	return nil
}
