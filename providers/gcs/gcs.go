// Package gcs keeps objects in a Google Cloud Storage bucket, over the JSON API.
//
// It promises that an object is created once (ifGenerationMatch=0), whole and
// with the CRC32C that was sent, that a replacement names the generation it
// replaces, and that a lease only moves later. It makes one attempt per call, and
// deletes nothing.
//
// A lease is the object's customTime: the service lets it move later only, and
// the bucket's one lifecycle rule (daysSinceCustomTime) removes what has lapsed.
// An object without it is never removed. The version of an object is its
// generation.
//
// It refuses redirects, decompression and any request that the SDK would repeat
// by itself.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"

	"offsite/providers"
	"offsite/providers/gcs/internal/wire"
)

// Config says where the objects are and who asks for them. The program reads the
// environment and the secrets; this package only takes values.
type Config struct {
	Bucket string
	// Prefix is put before every key, with a "/" between. Empty: none.
	Prefix string
	// Endpoint is the address of the service without a path. Empty: Google's. Plain
	// http is refused unless it leads to this machine.
	Endpoint string

	// CredentialsJSON is the text of a key file (service account, authorised user,
	// or external account). It never appears in an error or a log.
	CredentialsJSON []byte
	// CredentialsFile is read when CredentialsJSON is empty. When both are empty,
	// the application default credentials serve.
	CredentialsFile string
	// Anonymous sends no credentials at all; for emulators.
	Anonymous bool
	// Token is a ready access token; it is used as it is and never renewed.
	Token string

	// UserAgent is sent with every request, such as "offsite/1.2.0".
	UserAgent string
	// CAFile adds the certificates of a PEM file to those of the system.
	CAFile string
	// Proxy chooses the proxy of a request, such as http.ProxyFromEnvironment.
	// Nil: none.
	Proxy func(*http.Request) (*url.URL, error)
	// Conn wraps every connection that is made, such as pace.Limiter.Conn. Nil: as
	// it is.
	Conn func(net.Conn) net.Conn
}

// Driver keeps objects in one bucket. Safe for concurrent use.
type Driver struct {
	bucket *storage.BucketHandle
	client *storage.Client
	wire   *wire.Wire
	prefix string
}

// Open checks the configuration and finds the credentials. It asks the bucket
// for nothing.
func Open(ctx context.Context, c Config) (*Driver, error) {
	w, err := wire.Open(ctx, wire.Config(c))
	if err != nil {
		return nil, err
	}
	client, err := storage.NewClient(ctx,
		option.WithHTTPClient(w.Client()),
		option.WithoutAuthentication(), // the wire adds the token
		option.WithEndpoint(w.Endpoint()),
		storage.WithJSONReads(),
	)
	if err != nil {
		return nil, fail("open", "", providers.ErrInvalid, err)
	}
	client.SetRetry(storage.WithPolicy(storage.RetryNever))
	return &Driver{bucket: client.Bucket(w.Bucket()), client: client, wire: w, prefix: w.Prefix()}, nil
}

// Close lets go of idle connections.
func (d *Driver) Close() error {
	d.wire.Close()
	return d.client.Close()
}

// begin is what every call on a key starts with.
func (d *Driver) begin(ctx context.Context, op, key string) error {
	if !providers.ValidKey(key) {
		return fail(op, "", providers.ErrInvalid, errors.New("key outside the grammar"))
	}
	if err := ctx.Err(); err != nil {
		return fail(op, key, providers.ErrBusy, err)
	}
	return nil
}

// object names one generation; 0 is the live one.
func (d *Driver) object(key string, gen int64) *storage.ObjectHandle {
	o := d.bucket.Object(d.prefix + key)
	if gen != 0 {
		o = o.Generation(gen)
	}
	return o
}

// Stat describes the named generation; see providers.Driver.
func (d *Driver) Stat(ctx context.Context, key string, v providers.Version) (providers.Object, error) {
	attrs, err := d.attrs(ctx, "stat", key, v)
	if err != nil {
		return providers.Object{}, err
	}
	return d.describe(attrs), nil
}

// attrs asks for the metadata of one generation.
func (d *Driver) attrs(ctx context.Context, op, key string, v providers.Version) (*storage.ObjectAttrs, error) {
	if err := d.begin(ctx, op, key); err != nil {
		return nil, err
	}
	gen, ok := generation(v)
	if !ok {
		return nil, fail(op, key, providers.ErrNotExist, errors.New("no such generation"))
	}
	cctx, call := wire.NewCall(ctx, 1)
	attrs, err := d.object(key, gen).Attrs(cctx)
	if err != nil {
		return nil, d.readFail(ctx, op, key, call, err)
	}
	if attrs.Name != d.prefix+key || (gen != 0 && attrs.Generation != gen) {
		return nil, fail(op, key, providers.ErrBusy, errors.New("answer is about another object"))
	}
	return attrs, nil
}

// describe says what the service knows of an object. Modified is when this
// generation came to be: raising a lease does not move it.
func (d *Driver) describe(a *storage.ObjectAttrs) providers.Object {
	modified := a.Created
	if modified.IsZero() {
		modified = a.Updated
	}
	return providers.Object{
		Key:      strings.TrimPrefix(a.Name, d.prefix),
		Size:     a.Size,
		Version:  version(a.Generation),
		Modified: modified,
		Lease:    a.CustomTime,
		Checksum: checksum(a),
	}
}

// checksum is the service's own CRC32C, in the byte order of its JSON.
func checksum(a *storage.ObjectAttrs) providers.Checksum {
	if a.CRC32C == 0 && a.Size != 0 { // an answer without one; a true zero is one in 4 billion
		return providers.Checksum{}
	}
	return providers.Checksum{Algorithm: "crc32c", Sum: []byte{
		byte(a.CRC32C >> 24), byte(a.CRC32C >> 16), byte(a.CRC32C >> 8), byte(a.CRC32C)}}
}

// Time is the Date header of a cheap answer: the metadata of one object, there
// or not.
func (d *Driver) Time(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fail("time", "", providers.ErrBusy, err)
	}
	cctx, call := wire.NewCall(ctx, 1)
	_, err := d.object(clockKey, 0).Attrs(cctx)
	if err != nil {
		err = d.readFail(ctx, "time", "", call, err)
		if providers.KindOf(err) != providers.ErrNotExist {
			return time.Time{}, err
		}
	}
	now, perr := http.ParseTime(call.Header().Get("Date"))
	if perr != nil {
		return time.Time{}, fail("time", "", providers.ErrBusy, errors.New("answer without a date"))
	}
	return now, nil
}

// clockKey is the store header: the object most likely to be there.
const clockKey = "offsite.json"

func version(gen int64) providers.Version {
	return providers.Version(strconv.FormatInt(gen, 10))
}

// generation parses a version; the empty one is 0. What this driver cannot have
// given out is not ok, and is not sent.
func generation(v providers.Version) (gen int64, ok bool) {
	if v == "" {
		return 0, true
	}
	gen, err := strconv.ParseInt(string(v), 10, 64)
	return gen, err == nil && gen > 0 && version(gen) == v
}

func fail(op, key string, kind, cause error) error {
	return wire.Fail(op, key, kind, cause)
}

func failf(op, key string, kind error, format string, args ...any) error {
	return fail(op, key, kind, fmt.Errorf(format, args...))
}
