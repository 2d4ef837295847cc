package azure

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"offsite/providers"
)

// writeOnce is the prefix below which nothing is replaced. There the oldest version is
// the object: whatever stands above it, and whoever put it there, or if nothing does.
const writeOnce = "r/"

// List yields the objects of flat listings of up to 5,000 blobs each, with size,
// version, checksum and lease; see providers.Driver. A listing cannot begin after
// a key, so what comes before is listed too and left out here. With versions every
// version is listed, and the one that is the object passed on.
func (d *Driver) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		if !providers.ValidPrefix(prefix) {
			yield(providers.Object{}, fail("list", "", providers.ErrInvalid, errors.New("prefix outside the grammar")))
			return
		}
		for obj, err := range d.list(ctx, prefix) {
			if (err != nil || obj.Key > after) && !yield(obj, err) {
				return
			}
		}
	}
}

// list is List from the prefix's beginning.
func (d *Driver) list(ctx context.Context, prefix string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		pager := d.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
			Prefix:  ptr(d.prefix + prefix),
			Include: container.ListBlobsInclude{Versions: d.versions, ImmutabilityPolicy: d.versions},
		})
		var held providers.Object // of the key being read; its other versions may follow
		for pager.More() {
			if err := ctx.Err(); err != nil {
				yield(providers.Object{}, fail("list", prefix, providers.ErrBusy, err))
				return
			}
			page, err := pager.NextPage(ctx)
			if err != nil {
				yield(providers.Object{}, d.failure(ctx, "list", read, prefix, err))
				return
			}
			if page.Segment == nil {
				yield(providers.Object{}, fail("list", prefix, providers.ErrBusy, errors.New("the answer is no listing")))
				return
			}
			for _, item := range page.Segment.BlobItems {
				obj, ok := d.object(item)
				switch {
				case !ok:
				case obj.Key != held.Key:
					if held.Key != "" && !yield(held, nil) {
						return
					}
					held = obj
				case obj.Version < held.Version: // version ids are times
					held = obj
				}
			}
		}
		if held.Key != "" {
			yield(held, nil)
		}
	}
}

// hidden finds the oldest version of a key that has no present one; absent is the
// error that said so, and stays where nothing is found or the credential may not list.
func (d *Driver) hidden(ctx context.Context, key string, absent error) (providers.Version, error) {
	if !d.versions || !strings.HasPrefix(key, writeOnce) {
		return "", absent
	}
	for obj, err := range d.list(ctx, key) {
		switch kind := providers.KindOf(err); {
		case kind == providers.ErrBusy || kind == providers.ErrUnreachable:
			return "", err
		case err == nil && obj.Key == key:
			return obj.Version, nil
		}
		break // the key itself comes first
	}
	return "", absent
}

// object is a blob of a listing that may be an object; others are not ok.
func (d *Driver) object(item *container.BlobItem) (providers.Object, bool) {
	if item == nil || item.Name == nil || item.Properties == nil {
		return providers.Object{}, false
	}
	key, ok := strings.CutPrefix(*item.Name, d.prefix)
	p := item.Properties
	if !ok || p.ContentLength == nil || p.LastModified == nil {
		return providers.Object{}, false
	}
	older := item.VersionID != nil && (item.IsCurrentVersion == nil || !*item.IsCurrentVersion)
	if older && (!d.versions || !strings.HasPrefix(key, writeOnce)) {
		return providers.Object{}, false
	}
	return providers.Object{
		Key:      key,
		Size:     *p.ContentLength,
		Version:  d.version(item.VersionID, p.ETag),
		Modified: *p.LastModified,
		Lease:    locked(p.ImmutabilityPolicyMode, p.ImmutabilityPolicyExpiresOn),
		Checksum: checksum(p.ContentMD5),
	}, true
}
