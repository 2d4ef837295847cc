package azure

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"offsite/providers"
)

// List yields the objects of flat listings of up to 5,000 blobs each, with size,
// version, checksum and lease; see providers.Driver. A listing cannot begin after
// a key, so what comes before is listed too and left out here. With versions every
// version is listed and the present one passed on.
func (d *Driver) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		if !providers.ValidPrefix(prefix) {
			yield(providers.Object{}, fail("list", "", providers.ErrInvalid, errors.New("prefix outside the grammar")))
			return
		}
		pager := d.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
			Prefix:  ptr(d.prefix + prefix),
			Include: container.ListBlobsInclude{Versions: d.versions, ImmutabilityPolicy: d.versions},
		})
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
				if ok && obj.Key > after && !yield(obj, nil) {
					return
				}
			}
		}
	}
}

// object is a present blob of a listing; others are not ok.
func (d *Driver) object(item *container.BlobItem) (providers.Object, bool) {
	if item == nil || item.Name == nil || item.Properties == nil {
		return providers.Object{}, false
	}
	if item.VersionID != nil && (item.IsCurrentVersion == nil || !*item.IsCurrentVersion) {
		return providers.Object{}, false
	}
	key, ok := strings.CutPrefix(*item.Name, d.prefix)
	p := item.Properties
	if !ok || p.ContentLength == nil || p.LastModified == nil {
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
