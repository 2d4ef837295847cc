package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"offsite/providers"
	"offsite/providers/s3/internal/wire"
)

// Get reads a range of one version; see providers.Driver.
func (d *Driver) Get(ctx context.Context, key string, v providers.Version, off, n int64) ([]byte, error) {
	if err := d.begin(ctx, "get", key); err != nil {
		return nil, err
	}
	if off < 0 || off > providers.MaxObject || n > providers.MaxObject {
		return nil, wire.Fail("get", key, providers.ErrRange, nil)
	}
	v, err := d.resolve(ctx, "get", key, v)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return d.nothing(ctx, key, v, off)
	}
	data, err := d.fetch(ctx, key, v, off, n)
	if v == "" && d.versioned && errors.Is(err, providers.ErrNotExist) {
		if v, err = d.present(ctx, "get", key); err == nil { // hidden by a delete marker
			data, err = d.fetch(ctx, key, v, off, n)
		}
	}
	if errors.Is(err, providers.ErrRange) && n < 0 {
		return d.nothing(ctx, key, v, off) // from the very end to the end
	}
	return data, err
}

// nothing is the empty range at off, if off is inside the object or at its end.
func (d *Driver) nothing(ctx context.Context, key string, v providers.Version, off int64) ([]byte, error) {
	obj, err := d.stat(ctx, "get", key, v)
	if err != nil {
		return nil, err
	}
	if off > obj.Size {
		return nil, wire.Fail("get", key, providers.ErrRange, nil)
	}
	return []byte{}, nil
}

func (d *Driver) fetch(ctx context.Context, key string, v providers.Version, off, n int64) ([]byte, error) {
	in := &s3.GetObjectInput{Bucket: d.bucket, Key: d.path(key)}
	in.VersionId, in.IfMatch = pin(v)
	switch {
	case n >= 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case off > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
	}
	out, err := d.client.GetObject(ctx, in)
	if err != nil {
		return nil, d.readError(ctx, "get", key, v, err)
	}
	defer out.Body.Close()
	if out.ContentRange == nil && in.Range != nil {
		return d.cutOut(ctx, key, out, off, n) // the store serves no ranges
	}
	data, err := d.body(ctx, key, out)
	if err != nil {
		return nil, err
	}
	if in.Range != nil {
		if err := d.checkRange(key, out.ContentRange, off, n, int64(len(data))); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// checkRange compares what was served with what was asked for. A service cuts a
// range off at the end of the object; here that is an error.
func (d *Driver) checkRange(key string, served *string, off, n, got int64) error {
	start, end, size, ok := parseContentRange(served)
	switch {
	case !ok || start != off || end-start+1 != got || end >= size || n < 0 && end != size-1 || n >= 0 && got > n:
		return wire.Fail("get", key, providers.ErrBusy, errors.New("answer is not the range asked for"))
	case n >= 0 && got < n && end == size-1:
		return wire.Fail("get", key, providers.ErrRange, nil)
	case n >= 0 && got < n:
		return wire.Fail("get", key, providers.ErrBusy, errors.New("answer is shorter than the range asked for"))
	}
	return nil
}

// cutOut serves a range from a whole object.
func (d *Driver) cutOut(ctx context.Context, key string, out *s3.GetObjectOutput, off, n int64) ([]byte, error) {
	data, err := d.body(ctx, key, out)
	if err != nil {
		return nil, err
	}
	size := int64(len(data))
	if n < 0 {
		n = max(size-off, 0)
	}
	if off > size || n > size-off {
		return nil, wire.Fail("get", key, providers.ErrRange, nil)
	}
	return data[off : off+n : off+n], nil
}

// body reads an answer of known length whole.
func (d *Driver) body(ctx context.Context, key string, out *s3.GetObjectOutput) ([]byte, error) {
	if out.ContentLength == nil || *out.ContentLength < 0 {
		return nil, wire.Fail("get", key, providers.ErrBusy, errors.New("answer without a length"))
	}
	if *out.ContentLength > providers.MaxObject {
		return nil, wire.Fail("get", key, providers.ErrCorrupt, fmt.Errorf("%d bytes, limit %d", *out.ContentLength, providers.MaxObject))
	}
	data := make([]byte, *out.ContentLength)
	if _, err := io.ReadFull(out.Body, data); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, wire.Fail("get", key, providers.ErrBusy, wire.PlainCause(err))
	}
	return data, nil
}

func parseContentRange(text *string) (start, end, size int64, ok bool) {
	rest, ok := strings.CutPrefix(aws.ToString(text), "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(span, "-")
	start, err1 := strconv.ParseInt(from, 10, 64)
	end, err2 := strconv.ParseInt(to, 10, 64)
	size, err3 := strconv.ParseInt(total, 10, 64)
	return start, end, size, ok && ok2 && ok3 && err1 == nil && err2 == nil && err3 == nil
}

// Stat describes one version; see providers.Driver.
func (d *Driver) Stat(ctx context.Context, key string, v providers.Version) (providers.Object, error) {
	if err := d.begin(ctx, "stat", key); err != nil {
		return providers.Object{}, err
	}
	return d.stat(ctx, "stat", key, v)
}

func (d *Driver) stat(ctx context.Context, op, key string, v providers.Version) (providers.Object, error) {
	v, err := d.resolve(ctx, op, key, v)
	if err != nil {
		return providers.Object{}, err
	}
	obj, err := d.head(ctx, op, key, v)
	if v == "" && d.versioned && errors.Is(err, providers.ErrNotExist) {
		if v, err = d.present(ctx, op, key); err == nil { // hidden by a delete marker
			obj, err = d.head(ctx, op, key, v)
		}
	}
	if err == nil && d.cfg.Lock && obj.Lease.IsZero() {
		// Some stores do not tell the lease of what something stands above. A
		// failure leaves it untold.
		_, obj.Lease, _ = d.retention(ctx, op, key, obj.Version)
	}
	return obj.Object, err
}

// headed is an object with the entity tag that conditions need.
type headed struct {
	providers.Object
	etag string
}

func (d *Driver) head(ctx context.Context, op, key string, v providers.Version) (headed, error) {
	in := &s3.HeadObjectInput{Bucket: d.bucket, Key: d.path(key)}
	if d.cfg.Checksum == ChecksumSHA256 {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	in.VersionId, in.IfMatch = pin(v)
	out, err := d.client.HeadObject(ctx, in)
	if err != nil {
		return headed{}, d.headError(ctx, op, key, v, err)
	}
	if isKMS(out.ServerSideEncryption, out.SSECustomerAlgorithm) {
		d.opaque.Store(true)
	}
	obj := headed{etag: bareTag(out.ETag), Object: providers.Object{
		Key: key, Size: aws.ToInt64(out.ContentLength), Version: d.version(out.VersionId, out.ETag),
		Modified: aws.ToTime(out.LastModified), Lease: aws.ToTime(out.ObjectLockRetainUntilDate),
	}}
	obj.Checksum = d.tagSum(out.ETag)
	if sum, err := base64.StdEncoding.DecodeString(aws.ToString(out.ChecksumSHA256)); err == nil && len(sum) == 32 && out.ChecksumType != types.ChecksumTypeComposite {
		obj.Checksum = providers.Checksum{Algorithm: "sha256", Sum: sum}
	}
	return obj, nil
}

// headError asks once more with a request whose answer has a body: a HEAD cannot
// tell a missing object from a missing bucket, nor a wrong version from expired
// credentials.
func (d *Driver) headError(ctx context.Context, op, key string, v providers.Version, err error) error {
	switch wire.Read(err).Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
	default:
		return d.readError(ctx, op, key, v, err)
	}
	in := &s3.GetObjectInput{Bucket: d.bucket, Key: d.path(key), Range: aws.String("bytes=0-0")}
	in.VersionId, in.IfMatch = pin(v)
	out, again := d.client.GetObject(ctx, in)
	if again == nil {
		out.Body.Close()
		return wire.Fail(op, key, providers.ErrBusy, errors.New("object appeared meanwhile"))
	}
	if wire.Read(again).Status == http.StatusRequestedRangeNotSatisfiable {
		return wire.Fail(op, key, providers.ErrBusy, errors.New("object appeared meanwhile"))
	}
	return d.readError(ctx, op, key, v, again)
}

// readError is wrap, knowing that a version was named: a tag that no longer
// fits, a malformed id and the id of a delete marker are absent versions.
func (d *Driver) readError(ctx context.Context, op, key string, v providers.Version, err error) error {
	wrapped := d.wrap(ctx, op, key, err)
	var e *providers.Error
	if v == "" || !errors.As(wrapped, &e) || e.Status == 0 {
		return wrapped // without an answer; the time that ends after one changes nothing
	}
	switch a := wire.Read(err); {
	case a.Status == http.StatusPreconditionFailed, a.Code == "InvalidArgument", a.Code == "MethodNotAllowed":
		e.Kind = providers.ErrNotExist
	}
	return wrapped
}

// pin says by which header a version is asked for.
func pin(v providers.Version) (id, ifMatch *string) {
	if tag, ok := strings.CutPrefix(string(v), tagPrefix); ok {
		return nil, aws.String(`"` + tag + `"`)
	}
	if v == "" {
		return nil, nil
	}
	return aws.String(string(v)), nil
}

// resolve turns the empty version into that of the oldest object under a key
// that is written once. Other keys keep the empty version: their newest object.
func (d *Driver) resolve(ctx context.Context, op, key string, v providers.Version) (providers.Version, error) {
	switch {
	case v != "" && !d.versioned && !strings.HasPrefix(string(v), tagPrefix):
		return "", wire.Fail(op, key, providers.ErrNotExist, nil) // no tag: never given out here
	case v != "" || !d.versioned || !d.writeOnce(key):
		return v, nil
	}
	return d.present(ctx, op, key)
}

// present looks the version up that the key stands for.
func (d *Driver) present(ctx context.Context, op, key string) (providers.Version, error) {
	for obj, err := range d.versions(ctx, op, key, "", shortPage) {
		if err != nil {
			return "", err
		}
		if obj.Key == key {
			return obj.Version, nil
		}
		break
	}
	return "", wire.Fail(op, key, providers.ErrNotExist, nil)
}

// tagSum takes an entity tag for an MD5 sum where it is one: 32 hex digits, and
// no encryption that makes it something else.
func (d *Driver) tagSum(etag *string) providers.Checksum {
	tag := bareTag(etag)
	sum, err := hex.DecodeString(tag)
	if err != nil || len(sum) != 16 || d.opaque.Load() {
		return providers.Checksum{}
	}
	return providers.Checksum{Algorithm: "md5", Sum: sum}
}

// Time is the Date of an answer about the bucket. A refused request has one too:
// a PC whose clock is wrong is refused everything.
func (d *Driver) Time(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, wire.Fail("time", "", providers.ErrBusy, err)
	}
	if err := d.signable(ctx, "time", ""); err != nil {
		return time.Time{}, err
	}
	out, err := d.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: d.bucket})
	var header http.Header
	if err == nil {
		if raw, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); ok {
			header = raw.Header
		}
	} else {
		a := wire.Read(err)
		if a.Status != http.StatusForbidden || a.Request == "" {
			return time.Time{}, d.bucketError(ctx, err)
		}
		header = a.Header
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return time.Time{}, wire.Fail("time", "", providers.ErrBusy, errors.New("answer without a date"))
	}
	return now.UTC(), nil
}

// bucketError: a HEAD has no body, and the bucket is the store.
func (d *Driver) bucketError(ctx context.Context, err error) error {
	wrapped := d.wrap(ctx, "time", "", err)
	var e *providers.Error
	if errors.As(wrapped, &e) {
		switch wire.Read(err).Status {
		case http.StatusNotFound:
			e.Kind = providers.ErrUnreachable
		case http.StatusBadRequest: // expired credentials, or another region
			e.Kind = providers.ErrDenied
		}
	}
	return wrapped
}
