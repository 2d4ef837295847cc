package azureadmin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/lease"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/internal/wire"
)

// attacker is what a thief of the upload credential is; see providers.Attacker.
//
// What would harm more than the canary if it were allowed carries a condition that
// never holds: that the container or blob is unchanged since 1970. The service checks
// the right first, so a refusal for lack of it is 403, and 412 means that nothing but
// the condition stood in the way.
type attacker struct {
	driver  providers.Driver
	client  *container.Client
	account *service.Client
	prefix  string
}

// NewAttacker makes an attacker with the credential of cfg, which should be the
// uploader's.
func NewAttacker(ctx context.Context, cfg azure.Config) (providers.Attacker, error) {
	driver, err := azure.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	target := wire.Target{Account: cfg.Account, Container: cfg.Container, Endpoint: cfg.Endpoint, SharedKey: cfg.SharedKey, SAS: cfg.SAS, Token: cfg.Token,
		Line: wire.Line{Proxy: cfg.Proxy, CAFile: cfg.CAFile, UserAgent: cfg.UserAgent}}
	a := &attacker{driver: driver}
	if a.client, err = target.Client(); err != nil {
		return nil, err
	}
	if a.account, err = target.Service(); err != nil {
		return nil, err
	}
	if cfg.Prefix != "" {
		a.prefix = cfg.Prefix + "/"
	}
	return a, nil
}

// never is a condition that no container and no blob meets.
func never() *time.Time { return ptr(time.Unix(1, 0).UTC()) }

// trial is one attempt: what is tried, and which right lets it pass.
type trial struct {
	name   string
	remedy string
	do     func(context.Context) error
}

const (
	takeWrite  = "take away blobs/write, or w of the SAS"
	takeDelete = "take away blobs/delete, or d of the SAS"
	takeTags   = "take away blobs/tags/write, or t of the SAS"
	takeWORM   = "take away blobs/immutableStorage/runAsSuperUser/action, or i of the SAS: it belongs to the manager"
	takeAll    = "take away rights on the container and the account; the uploader needs none but those on blobs"
)

// Attack tries everything, the least harmful first; see providers.Attacker.
func (a *attacker) Attack(ctx context.Context, canary providers.Object) ([]providers.Attempt, error) {
	if !strings.HasPrefix(canary.Key, providers.CanaryPrefix) || !providers.ValidKey(canary.Key) {
		return nil, fail("attack", providers.ErrInvalid, errors.New("only canaries are attacked"))
	}
	if _, err := a.driver.Stat(ctx, canary.Key, canary.Version); err != nil {
		return nil, err
	}
	var out []providers.Attempt
	for _, t := range append(a.onBlob(canary), append(a.onContainer(), a.removals(canary)...)...) {
		answer, refused, err := verdict(ctx, t.do(ctx))
		if err != nil {
			return out, failure(ctx, "try to "+t.name, true, err)
		}
		attempt := providers.Attempt{Name: t.name, Refused: refused, Answer: answer}
		if !refused {
			attempt.Remedy = t.remedy
		}
		out = append(out, attempt)
	}
	return out, nil
}

// verdict tells a refusal from success, and both from trouble on the way, which proves
// nothing. An answer that only the condition failed means that the right is there.
func verdict(ctx context.Context, err error) (answer string, refused bool, trouble error) {
	if err == nil {
		return "done", false, nil
	}
	var e *azcore.ResponseError
	if !errors.As(err, &e) || ctx.Err() != nil {
		return "", false, err
	}
	switch code := e.StatusCode; {
	case code == http.StatusPreconditionFailed:
		return "allowed, but for a condition", false, nil
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500 && code != http.StatusNotImplemented:
		return "", false, err
	}
	return wire.Printable(e.ErrorCode, longestCode), true, nil
}

// onBlob are attempts that change the canary, or would make it live too long.
func (a *attacker) onBlob(canary providers.Object) []trial {
	name := a.prefix + canary.Key
	b, bb := a.client.NewBlobClient(name), a.client.NewBlockBlobClient(name)
	since := &blob.ModifiedAccessConditions{IfUnmodifiedSince: never()}
	far := time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC)
	text := "changed"
	return []trial{
		{"change metadata", takeWrite, func(ctx context.Context) error {
			_, err := b.SetMetadata(ctx, map[string]*string{"canary": &text}, nil)
			return err
		}},
		{"change properties", takeWrite, func(ctx context.Context) error {
			_, err := b.SetHTTPHeaders(ctx, blob.HTTPHeaders{BlobContentType: &text}, nil)
			return err
		}},
		{"set tags", takeTags, func(ctx context.Context) error {
			_, err := b.SetTags(ctx, map[string]string{"canary": text}, nil)
			return err
		}},
		{"block it by a lease of Azure's", takeWrite, func(ctx context.Context) error { return a.block(ctx, b) }},
		{"undelete", takeWrite, func(ctx context.Context) error { _, err := b.Undelete(ctx, nil); return err }},
		{"lock it for centuries", takeWORM, func(ctx context.Context) error {
			_, err := b.SetImmutabilityPolicy(ctx, far, &blob.SetImmutabilityPolicyOptions{Mode: ptr(blob.ImmutabilityPolicySettingLocked), ModifiedAccessConditions: since})
			return err
		}},
		{"put another one, locked for centuries", takeWORM, func(ctx context.Context) error {
			_, err := a.client.NewBlockBlobClient(name+".poison").Upload(ctx, bytesOf("poison"), &blockblob.UploadOptions{
				ImmutabilityPolicyMode: ptr(blob.ImmutabilityPolicySettingLocked), ImmutabilityPolicyExpiryTime: &far,
				AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: ptr(azcore.ETag(`"0x0"`))}}})
			return err
		}},
		{"make its retention shorter", takeWORM, func(ctx context.Context) error {
			soon := canary.Modified.Add(2 * day)
			_, err := b.SetImmutabilityPolicy(ctx, soon, &blob.SetImmutabilityPolicyOptions{Mode: ptr(blob.ImmutabilityPolicySettingUnlocked), ModifiedAccessConditions: since})
			return err
		}},
		{"take its retention away", takeWORM, func(ctx context.Context) error { _, err := b.DeleteImmutabilityPolicy(ctx, nil); return err }},
		{"put it under a legal hold", takeWORM, func(ctx context.Context) error {
			if _, err := b.SetLegalHold(ctx, true, nil); err != nil {
				return err
			}
			_, err := b.SetLegalHold(ctx, false, nil)
			return err
		}},
		{"overwrite", takeWrite, func(ctx context.Context) error { _, err := bb.Upload(ctx, bytesOf("garbage"), nil); return err }},
		{"overwrite by blocks", takeWrite, func(ctx context.Context) error {
			if _, err := bb.StageBlock(ctx, "Y2FuYXJ5", bytesOf("garbage"), nil); err != nil {
				return err
			}
			_, err := bb.CommitBlockList(ctx, []string{"Y2FuYXJ5"}, nil)
			return err
		}},
		{"commit no blocks over it", takeWrite, func(ctx context.Context) error { _, err := bb.CommitBlockList(ctx, []string{}, nil); return err }},
	}
}

// block takes Azure's own kind of lease, which keeps others from writing, without an
// end, and gives it back.
func (a *attacker) block(ctx context.Context, b *blob.Client) error {
	l, err := lease.NewBlobClient(b, nil)
	if err == nil {
		_, err = l.AcquireLease(ctx, -1, nil)
	}
	if err == nil {
		_, err = l.ReleaseLease(ctx, nil)
	}
	return err
}

// onContainer are attempts on the container and the account. None takes effect.
func (a *attacker) onContainer() []trial {
	conditions := &container.ModifiedAccessConditions{IfUnmodifiedSince: never()}
	return []trial{
		{"delete the container", takeAll, func(ctx context.Context) error {
			_, err := a.client.Delete(ctx, &container.DeleteOptions{AccessConditions: &container.AccessConditions{ModifiedAccessConditions: conditions,
				LeaseAccessConditions: &container.LeaseAccessConditions{LeaseID: ptr("00000000-0000-4000-8000-000000000001")}}})
			return err
		}},
		{"open the container to the public", takeAll, func(ctx context.Context) error {
			_, err := a.client.SetAccessPolicy(ctx, &container.SetAccessPolicyOptions{Access: ptr(container.PublicAccessTypeBlob),
				AccessConditions: &container.AccessConditions{ModifiedAccessConditions: conditions}})
			return err
		}},
		{"block the container by a lease of Azure's", takeAll, func(ctx context.Context) error {
			l, err := lease.NewContainerClient(a.client, nil)
			if err == nil {
				_, err = l.AcquireLease(ctx, -1, &lease.ContainerAcquireOptions{ModifiedAccessConditions: conditions})
			}
			return err
		}},
		{"change properties of the account", takeAll, func(ctx context.Context) error {
			_, err := a.account.SetProperties(ctx, &service.SetPropertiesOptions{}) // names none, so it changes none
			return err
		}},
	}
}

// removals are attempts after which the canary cannot be read any more.
func (a *attacker) removals(canary providers.Object) []trial {
	b := a.client.NewBlobClient(a.prefix + canary.Key)
	out := []trial{
		{"move to the archive", takeWrite, func(ctx context.Context) error { _, err := b.SetTier(ctx, blob.AccessTierArchive, nil); return err }},
		{"delete", takeDelete, func(ctx context.Context) error {
			_, err := b.Delete(ctx, &blob.DeleteOptions{DeleteSnapshots: ptr(blob.DeleteSnapshotsOptionTypeInclude)})
			return err
		}},
	}
	if versioned, err := b.WithVersionID(string(canary.Version)); err == nil && strings.Contains(string(canary.Version), ":") {
		out = append(out, trial{"delete the version", "take away blobs/deleteBlobVersion/action, or x of the SAS",
			func(ctx context.Context) error { _, err := versioned.Delete(ctx, nil); return err }})
	}
	return out
}

func bytesOf(text string) io.ReadSeekCloser {
	return streaming.NopCloser(bytes.NewReader([]byte(text)))
}
