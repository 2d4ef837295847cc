package s3

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"offsite/providers"
	"offsite/providers/s3/internal/wire"
)

const (
	fullPage  = 1000 // the most that the service gives
	shortPage = 16   // for one key: its versions, and the next key as a sign of their end
)

// List yields the present objects; see providers.Driver and the package comment.
// No listing of the service tells leases.
func (d *Driver) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		err := ctx.Err()
		switch {
		case err != nil:
			err = wire.Fail("list", "", providers.ErrBusy, err)
		case !providers.ValidPrefix(prefix):
			err = wire.Fail("list", "", providers.ErrInvalid, errors.New("prefix outside the grammar"))
		default:
			err = d.signable(ctx, "list", "")
		}
		if err != nil {
			yield(providers.Object{}, err)
			return
		}
		if d.versioned {
			d.versions(ctx, "list", prefix, after, fullPage)(yield)
		} else {
			d.plain(ctx, prefix, after, yield)
		}
	}
}

// plain lists a bucket without versions.
func (d *Driver) plain(ctx context.Context, prefix, after string, yield func(providers.Object, error) bool) {
	in := &s3.ListObjectsV2Input{Bucket: d.bucket, Prefix: aws.String(d.prefix + prefix), EncodingType: types.EncodingTypeUrl}
	if after != "" {
		in.StartAfter = aws.String(d.prefix + after)
	}
	for {
		out, err := d.client.ListObjectsV2(ctx, in)
		if err != nil {
			yield(providers.Object{}, d.wrap(ctx, "list", "", err))
			return
		}
		for _, o := range out.Contents {
			key, ok := d.key(o.Key, out.EncodingType, prefix, after)
			if ok && !yield(d.describe(key, o.Size, o.ETag, o.LastModified, nil), nil) {
				return
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return
		}
		next := aws.ToString(out.NextContinuationToken)
		if next == "" || next == aws.ToString(in.ContinuationToken) {
			yield(providers.Object{}, wire.Fail("list", "", providers.ErrBusy, errors.New("listing does not go on")))
			return
		}
		in.ContinuationToken, in.StartAfter = aws.String(next), nil
	}
}

// versions lists a bucket with versions: one version of each key, the one that
// the key stands for. The versions of a key follow each other, newest first;
// delete markers come in a list of their own and are not looked at.
func (d *Driver) versions(ctx context.Context, op, prefix, after string, page int32) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		in := &s3.ListObjectVersionsInput{Bucket: d.bucket, Prefix: aws.String(d.prefix + prefix), EncodingType: types.EncodingTypeUrl, MaxKeys: aws.Int32(page)}
		if after != "" {
			in.KeyMarker = aws.String(d.prefix + after)
		}
		var best providers.Object // of the key being read; its other versions may follow
		for {
			out, err := d.client.ListObjectVersions(ctx, in)
			if err != nil {
				yield(providers.Object{}, d.wrap(ctx, op, "", err))
				return
			}
			for _, o := range out.Versions {
				key, ok := d.key(o.Key, out.EncodingType, prefix, after)
				if !ok {
					continue
				}
				obj := d.describe(key, o.Size, o.ETag, o.LastModified, o.VersionId)
				if key != best.Key {
					if best.Key != "" && !yield(best, nil) {
						return
					}
					best = obj
				} else if d.better(obj, best) {
					best = obj
				}
			}
			if !aws.ToBool(out.IsTruncated) {
				break
			}
			if !advance(in, out) {
				yield(providers.Object{}, wire.Fail(op, "", providers.ErrBusy, errors.New("listing does not go on")))
				return
			}
		}
		if best.Key != "" {
			yield(best, nil)
		}
	}
}

// better says whether obj, which stands behind best in the listing, is the
// object: the oldest where a key is written once, else the newest.
func (d *Driver) better(obj, best providers.Object) bool {
	if d.writeOnce(obj.Key) {
		return !obj.Modified.After(best.Modified)
	}
	return obj.Modified.After(best.Modified)
}

// advance moves on to the next page, if there is one.
func advance(in *s3.ListObjectVersionsInput, out *s3.ListObjectVersionsOutput) bool {
	key, ok := decode(out.NextKeyMarker, out.EncodingType)
	version := out.NextVersionIdMarker
	if !ok || key == "" || key == aws.ToString(in.KeyMarker) && aws.ToString(version) == aws.ToString(in.VersionIdMarker) {
		return false
	}
	if aws.ToString(version) == "" {
		version = nil
	}
	in.KeyMarker, in.VersionIdMarker = aws.String(key), version
	return true
}

// key is the key of a listed name, if it belongs into the listing.
func (d *Driver) key(name *string, encoding types.EncodingType, prefix, after string) (string, bool) {
	text, ok := decode(name, encoding)
	if !ok {
		return "", false
	}
	key, ok := strings.CutPrefix(text, d.prefix)
	return key, ok && key != "" && strings.HasPrefix(key, prefix) && key > after
}

// decode undoes the encoding that keeps strange names of strangers from breaking
// the listing.
func decode(name *string, encoding types.EncodingType) (string, bool) {
	if encoding != types.EncodingTypeUrl {
		return aws.ToString(name), true
	}
	text, err := url.QueryUnescape(aws.ToString(name))
	return text, err == nil
}

func (d *Driver) describe(key string, size *int64, etag *string, modified *time.Time, version *string) providers.Object {
	return providers.Object{
		Key: key, Size: aws.ToInt64(size), Version: d.version(version, etag), Modified: aws.ToTime(modified), Checksum: d.tagSum(etag),
	}
}
