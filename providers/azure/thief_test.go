package azure_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/azuretest"
)

func body(text string) io.ReadSeeker { return strings.NewReader(text) }

// Everything that a thief of the uploader's credential may try against one object is
// refused, with and without versions, and the object reads as before.
func TestThief(t *testing.T) {
	for name, opt := range map[string]azuretest.Options{"managed": z1, "last access": z2} {
		t.Run(name, func(t *testing.T) {
			_, endpoint := newLayer(t, opt)
			cfg := newContainer(t, endpoint)
			cfg.SharedKey, cfg.SAS = "", signature(t, cfg, uploaderCan)
			cfg.Versions = opt.Versions
			d := open(t, cfg)
			v, err := d.Put(t.Context(), "r/p/a", []byte("sealed"), providers.PutOptions{})
			if err != nil {
				t.Fatal(err)
			}
			c, err := container.NewClientWithNoCredential(endpoint+"/"+cfg.Container+"?"+cfg.SAS, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, attack := range attacks(c, v) {
				err := attack.do(t.Context())
				var answer *azcore.ResponseError
				if !errors.As(err, &answer) || answer.StatusCode != 403 && answer.StatusCode != 409 {
					t.Errorf("%s: %v, want a refusal", attack.name, err)
					continue
				}
				t.Logf("%-40s -> %d %s", attack.name, answer.StatusCode, answer.ErrorCode)
			}
			if got, err := d.Get(t.Context(), "r/p/a", v, 0, -1); err != nil || string(got) != "sealed" {
				t.Errorf("afterwards the object reads %q, %v", got, err)
			}
			obj, err := d.Stat(t.Context(), "r/p/a", "")
			if err != nil || obj.Version != v {
				t.Errorf("afterwards version %s is stored, %v; want %s", obj.Version, err, v)
			}
		})
	}
}

type attack struct {
	name string
	do   func(context.Context) error
}

func attacks(c *container.Client, v providers.Version) []attack {
	b, bb := c.NewBlobClient("r/p/a"), c.NewBlockBlobClient("r/p/a")
	put := func(name string, opt *blockblob.UploadOptions) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := c.NewBlockBlobClient(name).Upload(ctx, streaming.NopCloser(body("garbage")), opt)
			return err
		}
	}
	text := "x"
	etag := azcore.ETagAny
	return []attack{
		{"delete", func(ctx context.Context) error { _, err := b.Delete(ctx, nil); return err }},
		{"delete version", func(ctx context.Context) error {
			old, err := b.WithVersionID(string(v))
			if err == nil {
				_, err = old.Delete(ctx, nil)
			}
			return err
		}},
		{"overwrite", put("r/p/a", nil)},
		{"overwrite with If-Match *", put("r/p/a", &blockblob.UploadOptions{AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &etag}}})},
		{"overwrite by blocks", func(ctx context.Context) error {
			_, err := bb.StageBlock(ctx, "AAAA", streaming.NopCloser(body("garbage")), nil)
			return err
		}},
		{"commit no blocks", func(ctx context.Context) error { _, err := bb.CommitBlockList(ctx, nil, nil); return err }},
		{"copy over it", func(ctx context.Context) error { _, err := b.StartCopyFromURL(ctx, c.URL(), nil); return err }},
		{"set metadata", func(ctx context.Context) error {
			_, err := b.SetMetadata(ctx, map[string]*string{"a": &text}, nil)
			return err
		}},
		{"set properties", func(ctx context.Context) error {
			_, err := b.SetHTTPHeaders(ctx, blob.HTTPHeaders{BlobContentType: &text}, nil)
			return err
		}},
		{"set tags", func(ctx context.Context) error {
			_, err := b.SetTags(ctx, map[string]string{"a": "b"}, nil)
			return err
		}},
		{"move to archive", func(ctx context.Context) error { _, err := b.SetTier(ctx, blob.AccessTierArchive, nil); return err }},
		{"lock for 400 years", func(ctx context.Context) error {
			_, err := b.SetImmutabilityPolicy(ctx, start.AddDate(399, 0, 0), &blob.SetImmutabilityPolicyOptions{Mode: ptr(blob.ImmutabilityPolicySettingLocked)})
			return err
		}},
		{"put, locked for 400 years", put("r/p/poison", &blockblob.UploadOptions{
			ImmutabilityPolicyMode: ptr(blob.ImmutabilityPolicySettingLocked), ImmutabilityPolicyExpiryTime: ptr(start.AddDate(399, 0, 0))})},
		{"put under legal hold", put("r/p/poison", &blockblob.UploadOptions{LegalHold: ptr(true)})},
		{"take the policy away", func(ctx context.Context) error { _, err := b.DeleteImmutabilityPolicy(ctx, nil); return err }},
		{"set legal hold", func(ctx context.Context) error { _, err := b.SetLegalHold(ctx, true, nil); return err }},
	}
}

// The manager's credential locks and unlocks nothing that is locked, and cannot write.
func TestManagersCredentialNeitherWritesNorUnlocks(t *testing.T) {
	p := newPractice(t, z1)
	v := p.put(p.uploader, "r/p/a", "sealed")
	_, err := p.manager.Put(t.Context(), "r/p/b", nil, providers.PutOptions{})
	wantKind(t, "put", err, providers.ErrDenied)
	key := signature(t, p.cfg, managerCan)
	c, err := container.NewClientWithNoCredential(p.cfg.Endpoint+"/"+p.cfg.Container+"?"+key, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := c.NewBlobClient("r/p/a")
	for name, try := range map[string]func() error{
		"delete": func() error { _, err := b.Delete(t.Context(), nil); return err },
		"shorten": func() error {
			_, err := b.SetImmutabilityPolicy(t.Context(), start.Add(2*day), &blob.SetImmutabilityPolicyOptions{Mode: ptr(blob.ImmutabilityPolicySettingLocked)})
			return err
		},
		"unlock": func() error {
			_, err := b.SetImmutabilityPolicy(t.Context(), start.Add(90*day), &blob.SetImmutabilityPolicyOptions{Mode: ptr(blob.ImmutabilityPolicySettingUnlocked)})
			return err
		},
		"take away": func() error { _, err := b.DeleteImmutabilityPolicy(t.Context(), nil); return err },
	} {
		var answer *azcore.ResponseError
		if err := try(); !errors.As(err, &answer) || answer.StatusCode != 403 && answer.StatusCode != 409 {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	if obj, err := p.uploader.Stat(t.Context(), "r/p/a", v); err != nil || !obj.Lease.Equal(start.Add(14*day)) {
		t.Errorf("lease %v, %v", obj.Lease, err)
	}
	// Not even the account's key removes a locked version.
	all := admin(t, p.cfg.Endpoint, p.cfg.Container).NewBlobClient("r/p/a")
	old, err := all.WithVersionID(string(v))
	if err != nil {
		t.Fatal(err)
	}
	var answer *azcore.ResponseError
	if _, err := old.Delete(t.Context(), nil); !errors.As(err, &answer) || answer.ErrorCode != "BlobImmutableDueToPolicy" {
		t.Errorf("delete of a locked version: %v", err)
	}
	if _, err := all.SetMetadata(t.Context(), map[string]*string{"a": ptr("b")}, nil); !errors.As(err, &answer) || answer.ErrorCode != "BlobImmutableDueToPolicy" {
		t.Errorf("metadata of a locked version: %v", err)
	}
}

// Whichever way the service refuses a create-only credential over a taken key.
func TestTakenKeyIsErrExistForACreateOnlyCredential(t *testing.T) {
	for code, replaced := range map[string]error{
		"UnauthorizedBlobOverwrite":       providers.ErrDenied,
		"AuthorizationPermissionMismatch": providers.ErrDenied,
		"BlobAlreadyExists":               providers.ErrConflict,
	} {
		_, endpoint := newLayer(t, azuretest.Options{TakenCode: code})
		cfg := newContainer(t, endpoint)
		cfg.SharedKey, cfg.SAS = "", signature(t, cfg, uploaderCan)
		d := open(t, cfg)
		v, err := d.Put(t.Context(), "head.json", []byte("one"), providers.PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Put(t.Context(), "head.json", []byte("two"), providers.PutOptions{})
		wantKind(t, code+": create", err, providers.ErrExist)
		_, err = d.Put(t.Context(), "head.json", []byte("two"), providers.PutOptions{Replace: v})
		wantKind(t, code+": replace", err, replaced)
	}
}

// Requests of each call, as the service counts and bills them.
func TestRequestsPerCall(t *testing.T) {
	layer, endpoint := newLayer(t, worm)
	cfg := newContainer(t, endpoint)
	cfg.Versions, cfg.Leases, cfg.MaxLease = true, azure.LeaseManager, 400*day
	d := open(t, cfg)
	plain := newContainer(t, endpoint)
	e := open(t, plain)
	access := plain
	access.Leases, access.KeepDays = azure.LeaseLastAccess, 40
	a := open(t, access)
	var v, w providers.Version
	put := func(d providers.Driver, key string, v *providers.Version, opt providers.PutOptions) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			*v, err = d.Put(ctx, key, []byte("0123456789"), opt)
			return err
		}
	}
	get := func(off, n int64) func(context.Context) error {
		return func(ctx context.Context) error { _, err := d.Get(ctx, "head.json", v, off, n); return err }
	}
	raise := func(d providers.Driver, days int) func(context.Context) error {
		return func(ctx context.Context) error {
			return d.(providers.Leaser).Raise(ctx, "head.json", "", start.AddDate(0, 0, days))
		}
	}
	layer.Requests()
	for _, c := range []struct {
		name string
		call func(context.Context) error
		want map[string]int
	}{
		{"create", put(d, "head.json", &v, providers.PutOptions{}), map[string]int{"Put Blob": 1}},
		{"create with ETag", put(e, "head.json", &w, providers.PutOptions{}), map[string]int{"Put Blob": 1}},
		{"get", get(0, -1), map[string]int{"Get Blob": 1}},
		{"get range", get(2, 3), map[string]int{"Get Blob": 1}},
		{"get nothing", get(2, 0), map[string]int{"Get Blob Properties": 1}},
		{"get from the end", get(10, -1), map[string]int{"Get Blob": 1, "Get Blob Properties": 1}},
		{"stat", func(ctx context.Context) error { _, err := d.Stat(ctx, "head.json", v); return err }, map[string]int{"Get Blob Properties": 1}},
		{"list", func(ctx context.Context) error {
			for _, err := range d.List(ctx, "", "") {
				return err
			}
			return nil
		}, map[string]int{"List Blobs": 1}},
		{"raise", raise(d, 30), map[string]int{"Get Blob Properties": 1, "Set Blob Immutability Policy": 1}},
		{"raise in vain", raise(d, 29), map[string]int{"Get Blob Properties": 1}},
		{"raise by reading", raise(a, 30), map[string]int{"Get Blob": 1}},
		{"time", func(ctx context.Context) error {
			now, err := d.(providers.Clock).Time(ctx)
			if err == nil && !now.Equal(start) {
				err = errors.New(now.Format(time.RFC3339))
			}
			return err
		}, map[string]int{"Get Blob Properties": 1}},
		{"replace version", func(ctx context.Context) error {
			_, err := d.Put(ctx, "head.json", nil, providers.PutOptions{Replace: v})
			return err
		}, map[string]int{"Get Blob Properties": 1, "Put Blob": 1}},
		{"replace ETag", func(ctx context.Context) error {
			_, err := e.Put(ctx, "head.json", nil, providers.PutOptions{Replace: w})
			return err
		}, map[string]int{"Put Blob": 1}},
	} {
		if err := c.call(t.Context()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got := layer.Requests()
		for op := range c.want {
			if got[op] != c.want[op] || len(got) != len(c.want) {
				t.Errorf("%s: requests %v, want %v", c.name, got, c.want)
			}
		}
	}
}

func ptr[T any](v T) *T { return &v }
