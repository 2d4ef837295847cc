package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"offsite/providers"
	"offsite/providers/s3/internal/wire"
)

// Put stores data in one request; see providers.Driver. A replacement in a
// bucket with versions asks first which version is present.
func (d *Driver) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	if err := d.begin(ctx, "put", key); err != nil {
		return "", err
	}
	if len(data) > providers.MaxObject || opt.Replace != "" && len(data) > providers.MaxReplace {
		return "", wire.Fail("put", key, providers.ErrInvalid, errors.New("object over the limit"))
	}
	in := &s3.PutObjectInput{
		Bucket: d.bucket, Key: d.path(key), Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))),
		ContentType: aws.String("application/octet-stream"),
	}
	d.sum(in, data)
	if d.cfg.Lock && !d.cfg.LeaseAfterPut && !opt.Lease.IsZero() {
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockMode(d.lockMode()), aws.Time(wholeSecond(opt.Lease))
	}
	var err error
	if opt.Replace == "" {
		err = d.onlyCreate(ctx, key, in)
	} else {
		err = d.onlyReplace(ctx, key, in, opt.Replace)
	}
	if err != nil {
		return "", err
	}
	out, err := d.client.PutObject(ctx, in)
	if err != nil {
		return "", d.putError(ctx, key, err, opt.Replace)
	}
	if isKMS(out.ServerSideEncryption, out.SSECustomerAlgorithm) {
		d.opaque.Store(true)
	}
	v := d.version(out.VersionId, out.ETag)
	if v == "" {
		return "", wire.Fail("put", key, providers.ErrInDoubt, errors.New("answer names no version"))
	}
	if d.cfg.NoConditions && d.versioned && opt.Replace == "" && d.writeOnce(key) {
		if err := d.wasFirst(ctx, key, v); err != nil {
			return "", err
		}
	}
	return v, nil
}

// wasFirst looks, at a store without conditions, whether another writer was faster:
// the first version is the object, and whoever wrote another has lost.
func (d *Driver) wasFirst(ctx context.Context, key string, v providers.Version) error {
	first, err := d.present(ctx, "put", key)
	switch {
	case err != nil:
		return wire.Fail("put", key, providers.ErrInDoubt, err)
	case first != v:
		return wire.Fail("put", key, providers.ErrExist, errors.New("another writer was faster"))
	}
	return nil
}

func (d *Driver) sum(in *s3.PutObjectInput, data []byte) {
	if d.cfg.Checksum == ChecksumSHA256 {
		sum := sha256.Sum256(data)
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(sum[:]))
		return
	}
	sum := md5.Sum(data)
	in.ContentMD5 = aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

// onlyCreate makes the write fail when the key is taken. A store without
// conditions is asked before.
func (d *Driver) onlyCreate(ctx context.Context, key string, in *s3.PutObjectInput) error {
	if !d.cfg.NoConditions {
		in.IfNoneMatch = aws.String("*")
		return nil
	}
	_, err := d.stat(ctx, "put", key, "")
	switch {
	case err == nil:
		return wire.Fail("put", key, providers.ErrExist, nil)
	case errors.Is(err, providers.ErrNotExist):
		return nil
	}
	return notApplied(err)
}

// onlyReplace makes the write fail when something else than old is present. The
// condition is on the entity tag, so that a version with the same bytes, stored
// between the look and the write, passes for old.
func (d *Driver) onlyReplace(ctx context.Context, key string, in *s3.PutObjectInput, old providers.Version) error {
	etag, isTag := strings.CutPrefix(string(old), tagPrefix)
	if !isTag || d.cfg.NoConditions {
		if !d.versioned && !isTag {
			return wire.Fail("put", key, providers.ErrConflict, nil)
		}
		obj, err := d.head(ctx, "put", key, "")
		switch {
		case errors.Is(err, providers.ErrNotExist) || err == nil && obj.Version != old:
			return wire.Fail("put", key, providers.ErrConflict, nil)
		case err != nil:
			return notApplied(err)
		}
		etag = obj.etag
	}
	if !d.cfg.NoConditions {
		in.IfMatch = aws.String(`"` + etag + `"`)
	}
	return nil
}

// notApplied is the error of a look before a write: nothing was written.
func notApplied(err error) error {
	var e *providers.Error
	if errors.As(err, &e) && e.Kind == providers.ErrInDoubt {
		e.Kind = providers.ErrBusy
	}
	return err
}

func (d *Driver) putError(ctx context.Context, key string, err error, replace providers.Version) error {
	a := wire.Read(err)
	wrapped := d.wrap(ctx, "put", key, err)
	var e *providers.Error
	if !errors.As(wrapped, &e) || e.Status == 0 {
		return wrapped // without an answer; the time that ends after one changes nothing
	}
	switch {
	case a.Status == http.StatusPreconditionFailed && replace == "":
		e.Kind = providers.ErrExist
	case a.Status == http.StatusPreconditionFailed, a.Code == "NoSuchKey":
		e.Kind = providers.ErrConflict
	case a.Code == "ConditionalRequestConflict":
		return d.settle(ctx, key, e, replace)
	case a.Code == "NotImplemented" || a.Status == http.StatusNotImplemented:
		e.Kind, e.Err = providers.ErrInvalid, errors.New("the service knows no conditional writes, or no object lock: write conditions: none or leases: none into the store's block")
	}
	return e
}

// settle looks what became of a write that lost against another one at the same
// moment: 409 says only that nothing of it was stored.
func (d *Driver) settle(ctx context.Context, key string, e *providers.Error, replace providers.Version) error {
	obj, err := d.head(ctx, "put", key, "")
	switch {
	case err == nil && replace == "":
		e.Kind = providers.ErrExist
	case err == nil && obj.Version != replace, replace != "" && errors.Is(err, providers.ErrNotExist):
		e.Kind = providers.ErrConflict
	default:
		e.Kind = providers.ErrBusy
	}
	return e
}

const tagPrefix = "etag:"

// version is what a store says about the identity of one object: its version
// id, or its entity tag where there are no versions.
func (d *Driver) version(id, etag *string) providers.Version {
	if v := aws.ToString(id); d.versioned && v != "" {
		return providers.Version(v)
	}
	if tag := bareTag(etag); tag != "" {
		return providers.Version(tagPrefix + tag)
	}
	return ""
}

func bareTag(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

func isKMS(sse types.ServerSideEncryption, customer *string) bool {
	return customer != nil || sse != "" && sse != types.ServerSideEncryptionAes256
}

// wholeSecond rounds up: a lease is never shorter than asked for.
func wholeSecond(t time.Time) time.Time {
	s := t.UTC().Truncate(time.Second)
	if s.Before(t) {
		s = s.Add(time.Second)
	}
	return s
}

func (d *Driver) lockMode() types.ObjectLockRetentionMode {
	if d.cfg.Compliance {
		return types.ObjectLockRetentionModeCompliance
	}
	return types.ObjectLockRetentionModeGovernance
}
