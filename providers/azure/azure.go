// Package azure keeps objects as block blobs in one container of Azure Blob
// Storage.
//
// It promises that an object is written by one Put Blob request, whole or not at
// all, with an MD5 that the service checks on arrival and keeps; that a key is
// created only if it is absent, by the service's own condition; that each call makes
// one attempt; and that no secret is part of any error. It refuses to delete
// anything: there is no code for it.
//
// The Version of an object is one of two texts, both the service's own:
//
//	2026-11-20T19:00:00.1234567Z  its version id, where Config.Versions is set
//	0x8DE1234567890AB             its ETag without quotation marks, elsewhere, and
//	                              for blobs older than the account's versions
//
// A version id can be read after it was replaced, and stays when only properties
// change; an ETag is gone then. Replacing a version id costs one request more,
// which finds the ETag that the condition needs.
//
// With versions and below "r/", where nothing is ever replaced, the oldest version is
// the object: a rule that hides what is leased, or somebody who deletes or overwrites
// it, does not take it away. List says so always, Stat and Get of no version where the
// key has no present version; callers that name the version they were given are safe.
//
// How leases are kept is Config.Leases.
package azure

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"offsite/providers"
	"offsite/providers/azure/internal/wire"
)

// clockKey is the object that Time asks for. It need not be there.
const clockKey = "offsite.json"

// Driver is one container. Safe for concurrent use.
type Driver struct {
	client   *container.Client
	prefix   string // "" or ends in a slash
	mode     LeaseMode
	versions bool
	maxLease time.Duration
	keep     time.Duration
	expires  time.Time
	date     atomic.Int64 // Unix time of the last answer; 0: none yet
}

// Expires is when the credential lapses, if it is one that does and says so. Those of
// the default chain are renewed by themselves.
func (d *Driver) Expires(context.Context) (time.Time, error) { return d.expires, nil }

// now is the service's time at its last answer; long ago, if there was none.
func (d *Driver) now() time.Time { return time.Unix(d.date.Load(), 0) }

// begin checks what every call checks.
func begin(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return fail(op, key, providers.ErrBusy, err)
	}
	if !providers.ValidKey(key) {
		return fail(op, "", providers.ErrInvalid, errors.New("key outside the grammar"))
	}
	return nil
}

// Put stores data by one Put Blob; see providers.Driver.
func (d *Driver) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	if err := begin(ctx, "put", key); err != nil {
		return "", err
	}
	if len(data) > providers.MaxObject || opt.Replace != "" && len(data) > providers.MaxReplace {
		return "", fail("put", key, providers.ErrInvalid, errors.New("object over the limit"))
	}
	condition := &blob.ModifiedAccessConditions{IfNoneMatch: ptr(azcore.ETagAny)}
	what := create
	if opt.Replace != "" {
		what = replace
		etag, err := d.etag(ctx, key, opt.Replace)
		if err != nil {
			return "", err
		}
		condition = &blob.ModifiedAccessConditions{IfMatch: &etag}
	}
	// The service compares this MD5 with what arrived, refuses a difference, and
	// keeps it. It takes no CRC-64 beside it.
	sum := md5.Sum(data)
	options := &blockblob.UploadOptions{
		HTTPHeaders:      &blob.HTTPHeaders{BlobContentMD5: sum[:], BlobContentType: ptr("application/octet-stream")},
		AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: condition},
	}
	if err := d.leaseAtPut(ctx, key, opt.Lease, options); err != nil {
		return "", err
	}
	body := newUpload(data)
	defer body.end()
	resp, err := d.client.NewBlockBlobClient(d.prefix+key).Upload(ctx, body, options)
	if err != nil {
		err = d.failure(ctx, "put", what, key, err)
		if what == create && errors.Is(err, providers.ErrDenied) && d.taken(ctx, key) {
			return "", fail("put", key, providers.ErrExist, err)
		}
		return "", err
	}
	v := d.version(resp.VersionID, resp.ETag)
	if v == "" {
		return "", fail("put", key, providers.ErrInDoubt, errors.New("the answer has no ETag"))
	}
	return v, nil
}

// taken settles a refused create. A credential that may only create is refused
// when the key is taken; which of two codes the service then gives is not written
// down. Store compares the bytes, so a wrong guess does no harm.
func (d *Driver) taken(ctx context.Context, key string) bool {
	_, err := d.Stat(ctx, key, "")
	return err == nil
}

// etag finds the ETag that stands for the version old, which must be the present one.
func (d *Driver) etag(ctx context.Context, key string, old providers.Version) (azcore.ETag, error) {
	if !isVersionID(old) {
		return quoted(old), nil
	}
	resp, err := d.client.NewBlobClient(d.prefix+key).GetProperties(ctx, nil)
	if err != nil {
		err = d.failure(ctx, "put", read, key, err)
		if errors.Is(err, providers.ErrNotExist) {
			err = fail("put", key, providers.ErrConflict, errors.New("nothing is stored"))
		}
		return "", err
	}
	if resp.VersionID == nil || *resp.VersionID != string(old) || resp.ETag == nil {
		return "", fail("put", key, providers.ErrConflict, nil)
	}
	return *resp.ETag, nil
}

// version makes the text of a version; see the package comment.
func (d *Driver) version(id *string, etag *azcore.ETag) providers.Version {
	if d.versions && id != nil && isVersionID(providers.Version(*id)) {
		return providers.Version(*id)
	}
	if etag == nil {
		return ""
	}
	return providers.Version(strings.Trim(string(*etag), `"`))
}

func isVersionID(v providers.Version) bool {
	_, err := time.Parse(time.RFC3339Nano, string(v))
	return err == nil
}

// quoted is a version as the value of a condition. A character that cannot stand
// there makes it the ETag of nothing.
func quoted(v providers.Version) azcore.ETag {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || r == '"' || r == '\\' || r == ',' {
			return '_'
		}
		return r
	}, string(v))
	return azcore.ETag(`"` + clean + `"`)
}

// pin makes the client and the conditions that name one version.
func (d *Driver) pin(key string, v providers.Version) (*blob.Client, *blob.AccessConditions, error) {
	client := d.client.NewBlobClient(d.prefix + key)
	switch {
	case v == "":
		return client, nil, nil
	case isVersionID(v):
		client, err := client.WithVersionID(string(v))
		return client, nil, err
	}
	etag := quoted(v)
	return client, &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &etag}}, nil
}

// checkVersion refuses the answer of a server that knows no versions or conditions
// and gives whatever it has.
func checkVersion(op, key string, asked providers.Version, id *string, etag *azcore.ETag) error {
	switch {
	case asked == "":
	case isVersionID(asked) && (id == nil || *id != string(asked)):
		return fail(op, key, providers.ErrNotExist, errors.New("the answer is of another version"))
	case !isVersionID(asked) && (etag == nil || strings.Trim(string(*etag), `"`) != string(asked)):
		return fail(op, key, providers.ErrNotExist, errors.New("the answer is of another version"))
	}
	return nil
}

// Stat describes an object by its properties; see providers.Driver.
func (d *Driver) Stat(ctx context.Context, key string, v providers.Version) (providers.Object, error) {
	obj, _, err := d.look(ctx, "stat", key, v)
	return obj, err
}

// look is Stat, and tells the end of an unlocked policy too.
func (d *Driver) look(ctx context.Context, op, key string, v providers.Version) (obj providers.Object, unlocked time.Time, err error) {
	if err := begin(ctx, op, key); err != nil {
		return obj, unlocked, err
	}
	client, conditions, err := d.pin(key, v)
	if err != nil {
		return obj, unlocked, fail(op, key, providers.ErrInvalid, wire.Cause(err))
	}
	resp, err := client.GetProperties(ctx, &blob.GetPropertiesOptions{AccessConditions: conditions})
	if err != nil {
		err = d.failure(ctx, op, read, key, err)
		if v == "" && errors.Is(err, providers.ErrNotExist) {
			if v, err = d.hidden(ctx, key, err); err == nil {
				return d.look(ctx, op, key, v)
			}
		}
		return obj, unlocked, err
	}
	if err := checkVersion(op, key, v, resp.VersionID, resp.ETag); err != nil {
		return obj, unlocked, err
	}
	if resp.ContentLength == nil || resp.LastModified == nil || resp.ETag == nil {
		return obj, unlocked, fail(op, key, providers.ErrBusy, errors.New("the answer lacks properties"))
	}
	lease := locked(resp.ImmutabilityPolicyMode, resp.ImmutabilityPolicyExpiresOn)
	if lease.IsZero() && resp.ImmutabilityPolicyExpiresOn != nil {
		unlocked = *resp.ImmutabilityPolicyExpiresOn
	}
	return providers.Object{
		Key:      key,
		Size:     *resp.ContentLength,
		Version:  d.version(resp.VersionID, resp.ETag),
		Modified: *resp.LastModified,
		Lease:    lease,
		Checksum: checksum(resp.ContentMD5),
	}, unlocked, nil
}

func checksum(sum []byte) providers.Checksum {
	if len(sum) != md5.Size {
		return providers.Checksum{}
	}
	return providers.Checksum{Algorithm: "md5", Sum: sum}
}

// Get reads a range by one Get Blob; see providers.Driver. A range of no bytes, or
// one that begins at the end, takes a look at the size.
func (d *Driver) Get(ctx context.Context, key string, v providers.Version, off, n int64) ([]byte, error) {
	if err := begin(ctx, "get", key); err != nil {
		return nil, err
	}
	if off < 0 || off > providers.MaxObject || n > providers.MaxObject {
		return nil, fail("get", key, providers.ErrRange, nil)
	}
	if n == 0 {
		return d.nothing(ctx, key, v, off, false)
	}
	client, conditions, err := d.pin(key, v)
	if err != nil {
		return nil, fail("get", key, providers.ErrInvalid, wire.Cause(err))
	}
	resp, err := client.DownloadStream(ctx, &blob.DownloadStreamOptions{
		Range: blob.HTTPRange{Offset: off, Count: max(n, 0)}, AccessConditions: conditions,
	})
	if err != nil {
		err = d.failure(ctx, "get", read, key, err)
		if v == "" && errors.Is(err, providers.ErrNotExist) {
			if v, err = d.hidden(ctx, key, err); err == nil {
				return d.Get(ctx, key, v, off, n)
			}
		}
		if n < 0 && off > 0 && errors.Is(err, providers.ErrRange) {
			return d.nothing(ctx, key, v, off, true)
		}
		return nil, err
	}
	defer resp.Body.Close()
	if err := checkVersion("get", key, v, resp.VersionID, resp.ETag); err != nil {
		return nil, err
	}
	size, err := answerSize(resp, off, n)
	if err != nil {
		return nil, fail("get", key, providers.KindOf(err), errors.Unwrap(err))
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(resp.Body, data); err != nil {
		return nil, d.failure(ctx, "get", read, key, fmt.Errorf("read answer: %w", err))
	}
	return data, nil
}

// answerSize checks that the answer is the range that was asked for.
func answerSize(resp blob.DownloadStreamResponse, off, n int64) (int64, error) {
	if resp.ContentLength == nil || *resp.ContentLength < 0 {
		return 0, &providers.Error{Kind: providers.ErrBusy, Err: errors.New("the answer has no length")}
	}
	size := *resp.ContentLength
	if off > 0 || n > 0 {
		var first int64
		if resp.ContentRange == nil {
			return 0, &providers.Error{Kind: providers.ErrBusy, Err: errors.New("the answer is not a range")}
		}
		if _, err := fmt.Sscanf(*resp.ContentRange, "bytes %d-", &first); err != nil || first != off {
			return 0, &providers.Error{Kind: providers.ErrBusy, Err: errors.New("the answer is another range")}
		}
	}
	switch {
	case n > 0 && size < n:
		return 0, &providers.Error{Kind: providers.ErrRange}
	case n > 0 && size > n:
		return 0, &providers.Error{Kind: providers.ErrBusy, Err: errors.New("the answer is longer than the range")}
	case size > providers.MaxObject:
		return 0, &providers.Error{Kind: providers.ErrCorrupt, Err: errors.New("blob is larger than any object")}
	}
	return size, nil
}

// nothing answers a read of no bytes at off, or of what follows off (atEnd): only
// the end itself is inside then.
func (d *Driver) nothing(ctx context.Context, key string, v providers.Version, off int64, atEnd bool) ([]byte, error) {
	obj, _, err := d.look(ctx, "get", key, v)
	if err != nil {
		return nil, err
	}
	if off > obj.Size || atEnd && off != obj.Size {
		return nil, fail("get", key, providers.ErrRange, nil)
	}
	return []byte{}, nil
}

// Time is the Date of the answer to a cheap question: the properties of one
// object, whether it is there or not; see providers.Clock.
func (d *Driver) Time(ctx context.Context) (time.Time, error) {
	if err := begin(ctx, "time", clockKey); err != nil {
		return time.Time{}, err
	}
	resp, err := d.client.NewBlobClient(d.prefix+clockKey).GetProperties(ctx, nil)
	if err == nil && resp.Date != nil {
		return *resp.Date, nil
	}
	if err != nil {
		if date, ok := dateOfAbsent(err); ok {
			return date, nil
		}
		return time.Time{}, d.failure(ctx, "time", read, "", err)
	}
	return time.Time{}, fail("time", "", providers.ErrBusy, errors.New("the answer has no date"))
}

func ptr[T any](v T) *T { return &v }
