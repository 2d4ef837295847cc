package azureadmin

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"

	"offsite/providers"
	"offsite/providers/azure"
)

// Setup makes the account and the container if they are missing and makes them what
// they must be; see providers.Admin. Every step looks first and writes only what is
// wrong, so that a setup that broke off is simply done again. The rule comes last:
// until everything that keeps objects is there, nothing removes any.
func (a *Admin) Setup(ctx context.Context) ([]providers.Setting, error) {
	for _, step := range []func(context.Context) error{a.setAccount, a.setService, a.setContainer, a.setStandard, a.setRules} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return a.Audit(ctx)
}

// visible is the error of a step that must not write what it could not look at.
func visible[T any](op string, s seen[T]) error {
	if s.unseen {
		return fail(op, providers.ErrDenied, errors.New("this credential may not look; use the administrator's role"))
	}
	return nil
}

func (a *Admin) setAccount(ctx context.Context) error {
	const op = "set up account"
	s, err := a.lookAccount(ctx)
	if err == nil {
		err = visible(op, s)
	}
	if err != nil {
		return err
	}
	if s.absent {
		return a.makeAccount(ctx)
	}
	var out sheet
	a.cfg.compareAccount(&out, state{account: s})
	if !wrong(out, "public access", "encrypted connections") {
		return nil
	}
	p := &armstorage.AccountPropertiesUpdateParameters{AllowBlobPublicAccess: ptr(false), EnableHTTPSTrafficOnly: ptr(true)}
	if value(s.v.Properties.MinimumTLSVersion) != armstorage.MinimumTLSVersionTLS13 {
		p.MinimumTLSVersion = ptr(armstorage.MinimumTLSVersionTLS12)
	}
	if _, err := a.accounts.Update(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, armstorage.AccountUpdateParameters{Properties: p}, nil); err != nil {
		return failure(ctx, op, true, err)
	}
	return nil
}

// wrong says whether any setting of the names is.
func wrong(s sheet, names ...string) bool {
	for _, set := range s {
		for _, name := range names {
			if set.Name == name && set.State == providers.StateWrong {
				return true
			}
		}
	}
	return false
}

func (a *Admin) makeAccount(ctx context.Context) error {
	const op = "make account"
	if a.cfg.Location == "" {
		return fail(op, providers.ErrNotExist, errors.New("there is no such account in the resource group; name a location to make it"))
	}
	poller, err := a.accounts.BeginCreate(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, armstorage.AccountCreateParameters{
		Kind: ptr(armstorage.KindStorageV2), Location: ptr(a.cfg.Location), SKU: &armstorage.SKU{Name: ptr(armstorage.SKUNameStandardLRS)},
		Properties: &armstorage.AccountPropertiesCreateParameters{
			AllowBlobPublicAccess: ptr(false), EnableHTTPSTrafficOnly: ptr(true), MinimumTLSVersion: ptr(armstorage.MinimumTLSVersionTLS12),
			AllowCrossTenantReplication: ptr(false),
		},
	}, nil)
	if err == nil {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{})
	}
	if err != nil {
		return failure(ctx, op, true, err)
	}
	return nil
}

// setService changes what is wrong and sends the rest back as it was: the service
// forgets what is left out.
func (a *Admin) setService(ctx context.Context) error {
	const op = "set up blob service"
	s, err := a.lookService(ctx)
	if err == nil {
		err = visible(op, s)
	}
	if err != nil {
		return err
	}
	var out sheet
	a.cfg.compareService(&out, state{service: s})
	if !wrong(out, "soft deletion", "soft deletion of containers", "permanent deletion", "versioning", "tracking of the last access") {
		return nil
	}
	p := s.v
	p.DeleteRetentionPolicy = softDelete(p.DeleteRetentionPolicy)
	p.DeleteRetentionPolicy.AllowPermanentDelete = ptr(false)
	p.ContainerDeleteRetentionPolicy = softDelete(p.ContainerDeleteRetentionPolicy)
	switch {
	case a.cfg.worm():
		p.IsVersioningEnabled = ptr(true)
	case a.cfg.Store.Leases == azure.LeaseLastAccess:
		p.LastAccessTimeTrackingPolicy = &armstorage.LastAccessTimeTrackingPolicy{Enable: ptr(true), Name: ptr(armstorage.NameAccessTimeTracking),
			BlobType: []*string{ptr("blockBlob")}, TrackingGranularityInDays: ptr(int32(1))}
	}
	if _, err := a.services.SetServiceProperties(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, armstorage.BlobServiceProperties{BlobServiceProperties: &p}, nil); err != nil {
		return failure(ctx, op, true, err)
	}
	return nil
}

// softDelete is a policy that keeps what is deleted long enough, and no shorter than
// before.
func softDelete(p *armstorage.DeleteRetentionPolicy) *armstorage.DeleteRetentionPolicy {
	out := armstorage.DeleteRetentionPolicy{Enabled: ptr(true), Days: ptr(int32(softDeleteDays))}
	if p != nil && value(p.Enabled) && value(p.Days) > softDeleteDays {
		out.Days = p.Days
	}
	return &out
}

func (a *Admin) setContainer(ctx context.Context) error {
	const op = "set up container"
	s, err := a.lookContainer(ctx)
	if err == nil {
		err = visible(op, s)
	}
	if err != nil {
		return err
	}
	box := armstorage.BlobContainer{ContainerProperties: &armstorage.ContainerProperties{PublicAccess: ptr(armstorage.PublicAccessNone)}}
	switch {
	case s.absent:
		if a.cfg.worm() {
			box.ContainerProperties.ImmutableStorageWithVersioning = &armstorage.ImmutableStorageWithVersioning{Enabled: ptr(true)}
		}
		_, err = a.containers.Create(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, a.cfg.Store.Container, box, nil)
	case value(s.v.PublicAccess) != "" && *s.v.PublicAccess != armstorage.PublicAccessNone:
		_, err = a.containers.Update(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, a.cfg.Store.Container, box, nil)
	}
	if err != nil {
		return failure(ctx, op, true, err)
	}
	return nil
}

// setStandard makes the default policy long enough, and locks it if that is asked for.
// A container without immutability by version takes none that helps; Audit tells.
func (a *Admin) setStandard(ctx context.Context) error {
	const op = "set up default retention"
	if !a.cfg.worm() {
		return nil
	}
	box, err := a.lookContainer(ctx)
	if err != nil {
		return err
	}
	account, err := a.lookAccount(ctx)
	if err != nil {
		return err
	}
	var out sheet
	a.cfg.compareContainer(&out, state{container: box, account: account})
	if wrong(out, "immutability by version") {
		return nil
	}
	s, err := a.lookStandard(ctx)
	if err == nil {
		err = visible(op, s)
	}
	if err != nil {
		return err
	}
	if s, err = a.lengthen(ctx, op, s); err != nil {
		return err
	}
	if a.cfg.Lock && !s.v.locked {
		if _, err := a.containers.LockImmutabilityPolicy(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, a.cfg.Store.Container, s.v.etag, nil); err != nil {
			return failure(ctx, op, true, err)
		}
	}
	return nil
}

// lengthen makes the default policy at least the floor, and returns it as it then is.
func (a *Admin) lengthen(ctx context.Context, op string, s seen[standard]) (seen[standard], error) {
	if s.there() && s.v.days >= a.cfg.floorDays() {
		return s, nil
	}
	want := &armstorage.ImmutabilityPolicy{Properties: &armstorage.ImmutabilityPolicyProperty{ImmutabilityPeriodSinceCreationInDays: ptr(a.cfg.floorDays())}}
	var err error
	if s.there() && s.v.locked {
		_, err = a.containers.ExtendImmutabilityPolicy(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, a.cfg.Store.Container, s.v.etag,
			&armstorage.BlobContainersClientExtendImmutabilityPolicyOptions{Parameters: want})
	} else {
		opt := &armstorage.BlobContainersClientCreateOrUpdateImmutabilityPolicyOptions{Parameters: want}
		if s.there() {
			opt.IfMatch = ptr(s.v.etag)
		}
		_, err = a.containers.CreateOrUpdateImmutabilityPolicy(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, a.cfg.Store.Container, opt)
	}
	if err != nil {
		return s, failure(ctx, op, true, err)
	}
	return a.lookStandard(ctx)
}

// setRules puts this store's rule among the account's, and reads all of them back: the
// service has no condition for this write, so somebody else's may be lost in between,
// or ours.
func (a *Admin) setRules(ctx context.Context) error {
	const op = "set up removal rule"
	want := a.cfg.removal()
	if want == nil {
		return nil
	}
	s, err := a.lookRules(ctx)
	if err == nil {
		err = visible(op, s)
	}
	if err != nil || same(a.cfg.own(s.v.rules), want) {
		return err
	}
	if s.v.part {
		return fail(op, providers.ErrConflict, errors.New("the account's rules say something that this version does not know and would drop; add the rule with Azure's own tools"))
	}
	merged := a.cfg.merged(s.v.rules)
	_, err = a.rules.CreateOrUpdate(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, armstorage.ManagementPolicyNameDefault,
		armstorage.ManagementPolicy{Properties: &armstorage.ManagementPolicyProperties{Policy: &armstorage.ManagementPolicySchema{Rules: merged}}}, nil)
	if err != nil {
		return failure(ctx, op, true, err)
	}
	back, err := a.lookRules(ctx)
	if err != nil {
		return err
	}
	if !within(plainJSON(merged), plainJSON(back.v.rules)) {
		return fail(op, providers.ErrConflict, errors.New("the account's rules read back differ from what was written; somebody else changes them now"))
	}
	return nil
}
