// Package s3sweep removes objects from a bucket without Object Lock, which has no
// rule that knows their leases. It is the one place below providers/s3 that deletes,
// apart from the driver, so that the nightly run has no code for it.
//
// It promises that an object is gone with all its versions, and that a crash leaves
// none that no listing shows. It refuses keys outside the removable prefix, and a
// bucket that is opened with leases of its own. Whether an object has lapsed it
// cannot know: the caller says so.
//
// The credential needs s3:DeleteObject, s3:DeleteObjectVersion and
// s3:ListBucketVersions, for keys below PREFIX/r/ alone. It needs no right to read
// and none to write, and does not belong on the PC that uploads.
package s3sweep

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers"
	driver "offsite/providers/s3"
	"offsite/providers/s3/internal/wire"
)

// Removable is the beginning of the keys that may be removed.
const Removable = "r/"

// maxVersions bounds what one call removes of one key. Whoever may write can put any
// number of versions on top; the next sweep goes on.
const maxVersions = 10_000

// Sweeper is a bucket in the hands of the sweep. Safe for concurrent use.
type Sweeper struct {
	client *s3.Client
	bucket *string
	prefix string
	// plain: the service keeps no versions, or does not list them.
	plain atomic.Bool
}

var _ providers.Sweeper = (*Sweeper)(nil)

// Open prepares a bucket. It asks nothing of the service.
func Open(ctx context.Context, cfg driver.Config) (*Sweeper, error) {
	if cfg.Lock {
		return nil, wire.Fail("open", "", providers.ErrInvalid, errors.New("a bucket with Object Lock removes what has lapsed by its own rule"))
	}
	cfg, settings, err := cfg.Reach()
	if err != nil {
		return nil, err
	}
	client, _, err := wire.NewClient(ctx, settings)
	if err != nil {
		return nil, wire.Fail("open", "", providers.ErrInvalid, err)
	}
	s := &Sweeper{client: client, bucket: aws.String(cfg.Bucket)}
	if cfg.Prefix != "" {
		s.prefix = cfg.Prefix + "/"
	}
	return s, nil
}

// Remove removes a key with all its versions; see providers.Sweeper. Keys below
// Removable are written once, so which version the caller means makes no difference.
func (s *Sweeper) Remove(ctx context.Context, key string, _ providers.Version) error {
	switch {
	case ctx.Err() != nil:
		return wire.Fail("remove", key, providers.ErrBusy, ctx.Err())
	case !providers.ValidKey(key):
		return wire.Fail("remove", "", providers.ErrInvalid, errors.New("key outside the grammar"))
	case !strings.HasPrefix(key, Removable):
		return wire.Fail("remove", key, providers.ErrInvalid, errors.New("nothing outside "+Removable+" is ever removed"))
	}
	if s.plain.Load() {
		return s.delete(ctx, key, nil)
	}
	ids, err := s.versions(ctx, key)
	a := wire.Read(err)
	switch {
	case err != nil && (a.Code == "NotImplemented" || a.Code == "MethodNotAllowed" || a.Status == 501 || a.Status == 405):
		s.plain.Store(true)
		return s.delete(ctx, key, nil)
	case err != nil:
		return wire.Wrap(ctx, "remove", key, false, err)
	case len(ids) == 0:
		return wire.Fail("remove", key, providers.ErrNotExist, nil)
	case slices.Equal(ids, []string{unversioned}):
		// Without an id: some services refuse that of a bucket that keeps no versions.
		return s.delete(ctx, key, nil)
	}
	for _, id := range ids {
		if err := s.delete(ctx, key, aws.String(id)); err != nil {
			return err
		}
	}
	return nil
}

// unversioned is the id of what was stored while the bucket kept no versions.
const unversioned = "null"

// versions lists the ids at a key in the order of their removal: delete markers
// first, then versions, newest first. As long as one stands, a listing shows it.
func (s *Sweeper) versions(ctx context.Context, key string) ([]string, error) {
	name := s.prefix + key
	var markers, versions []string
	in := &s3.ListObjectVersionsInput{Bucket: s.bucket, Prefix: aws.String(name)}
	for {
		out, err := s.client.ListObjectVersions(ctx, in)
		if err != nil {
			return nil, err
		}
		beyond := false // other keys may begin with this one, and sort after it
		for _, m := range out.DeleteMarkers {
			if aws.ToString(m.Key) == name {
				markers = append(markers, id(m.VersionId))
			}
			beyond = beyond || aws.ToString(m.Key) > name
		}
		for _, v := range out.Versions {
			if aws.ToString(v.Key) == name {
				versions = append(versions, id(v.VersionId))
			}
			beyond = beyond || aws.ToString(v.Key) > name
		}
		if beyond || !aws.ToBool(out.IsTruncated) || len(markers)+len(versions) >= maxVersions ||
			aws.ToString(out.NextKeyMarker) == "" {
			return append(markers, versions...), nil
		}
		in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
	}
}

func id(v *string) string {
	if aws.ToString(v) == "" {
		return unversioned
	}
	return *v
}

func (s *Sweeper) delete(ctx context.Context, key string, version *string) error {
	in := &s3.DeleteObjectInput{Bucket: s.bucket, Key: aws.String(s.prefix + key), VersionId: version}
	if _, err := s.client.DeleteObject(ctx, in); err != nil {
		return wire.Wrap(ctx, "remove", key, true, err)
	}
	return nil
}
