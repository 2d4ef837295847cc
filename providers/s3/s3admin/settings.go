package s3admin

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"offsite/providers"
	"offsite/providers/s3/internal/wire"
)

// setting is right when have is want, else wrong with a remedy.
func setting(name, want, have string, right bool, remedy string) []providers.Setting {
	s := providers.Setting{Name: name, Want: want, Have: have, State: providers.StateRight}
	if !right {
		s.State, s.Remedy = providers.StateWrong, remedy
	}
	return []providers.Setting{s}
}

const again = "run store setup with the administrator's credential"

func (a *Admin) versioning(ctx context.Context) ([]providers.Setting, error) {
	out, err := a.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: a.bucket})
	if err != nil {
		return a.unseen(ctx, "versioning", "enabled", "s3:GetBucketVersioning", err)
	}
	have := map[types.BucketVersioningStatus]string{"": "never enabled", types.BucketVersioningStatusSuspended: "suspended", types.BucketVersioningStatusEnabled: "enabled"}[out.Status]
	return setting("versioning", "enabled", have, out.Status == types.BucketVersioningStatusEnabled, again), nil
}

func (a *Admin) setVersioning(ctx context.Context) error {
	out, err := a.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: a.bucket})
	if err != nil || out.Status == types.BucketVersioningStatusEnabled {
		return a.failNeeded(ctx, "look at versioning", err)
	}
	_, err = a.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: a.bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}, a.sums...)
	return a.failNeeded(ctx, "enable versioning", err)
}

// locked is the present lock: whether there is one, and its default retention.
func (a *Admin) locked(ctx context.Context) (on bool, rule types.DefaultRetention, err error) {
	out, err := a.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: a.bucket})
	switch code := wire.Read(err).Code; {
	case err != nil && (code == "ObjectLockConfigurationNotFoundError" || code == "NoSuchObjectLockConfiguration"):
		return false, rule, nil
	case err != nil:
		return false, rule, err
	}
	c := out.ObjectLockConfiguration
	if c == nil {
		return false, rule, nil
	}
	if c.Rule != nil && c.Rule.DefaultRetention != nil {
		rule = *c.Rule.DefaultRetention
	}
	return c.ObjectLockEnabled == types.ObjectLockEnabledEnabled, rule, nil
}

// retentionOf counts a year as the services do.
func retentionOf(r types.DefaultRetention) time.Duration {
	return time.Duration(aws.ToInt32(r.Days))*day + time.Duration(aws.ToInt32(r.Years))*365*day
}

// fits: as long as the floor or longer, but never longer than the longest
// lease, in governance unless compliance is wanted.
func (a *Admin) fits(r types.DefaultRetention) bool {
	have := retentionOf(r)
	mode := r.Mode == types.ObjectLockRetentionModeGovernance || r.Mode == types.ObjectLockRetentionModeCompliance && a.cfg.Store.Compliance
	return mode && r.DefaultEventHold == nil && have >= a.floor() && (a.cfg.Policy.Max == 0 || have <= a.cfg.Policy.Max)
}

func (a *Admin) floor() time.Duration { return time.Duration(a.floorDays()) * day }

func (a *Admin) floorDays() int32 { return int32((a.cfg.Floor + day - 1) / day) }

func (a *Admin) lock(ctx context.Context) ([]providers.Setting, error) {
	want := fmt.Sprintf("governance, %d days", a.floorDays())
	on, rule, err := a.locked(ctx)
	if err != nil {
		return a.unseen(ctx, "object lock", "enabled", "s3:GetBucketObjectLockConfiguration", err)
	}
	if !on {
		return setting("object lock", "enabled", "not enabled", false,
			"run store setup with the administrator's credential; where the service locks new buckets alone, take a new bucket"), nil
	}
	have := "none"
	if rule.Mode != "" {
		have = fmt.Sprintf("%s, %d days", lower(string(rule.Mode)), int(retentionOf(rule)/day))
	}
	if rule.DefaultEventHold != nil {
		have += ", under event hold"
	}
	return append(setting("object lock", "enabled", "enabled", true, ""),
		setting("default retention", want, have, a.fits(rule), again)...), nil
}

func (a *Admin) setLock(ctx context.Context) error {
	on, rule, err := a.locked(ctx)
	if err != nil || on && a.fits(rule) {
		return a.failNeeded(ctx, "look at object lock", err)
	}
	_, err = a.client.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: a.bucket,
		ObjectLockConfiguration: &types.ObjectLockConfiguration{ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			Rule: &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeGovernance, Days: aws.Int32(a.floorDays())}}},
	}, a.sums...)
	if err != nil && !on {
		return a.failNeeded(ctx, "enable object lock (some services lock new buckets alone)", err)
	}
	return a.fail(ctx, "set default retention", err)
}

func (a *Admin) public(ctx context.Context) ([]providers.Setting, error) {
	const name, want = "public access", "blocked"
	if !a.cfg.Policy.Service.can().public {
		return nil, nil
	}
	out, err := a.client.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: a.bucket})
	switch {
	case err != nil && wire.Read(err).Code == "NoSuchPublicAccessBlockConfiguration":
		return setting(name, want, "not blocked", false, again), nil
	case err != nil:
		return a.unseen(ctx, name, want, "s3:GetBucketPublicAccessBlock", err)
	}
	have := want
	if !blocks(out.PublicAccessBlockConfiguration) {
		have = "blocked in part"
	}
	return setting(name, want, have, have == want, again), nil
}

func blocks(c *types.PublicAccessBlockConfiguration) bool {
	return c != nil && aws.ToBool(c.BlockPublicAcls) && aws.ToBool(c.BlockPublicPolicy) && aws.ToBool(c.IgnorePublicAcls) && aws.ToBool(c.RestrictPublicBuckets)
}

func (a *Admin) setPublic(ctx context.Context) error {
	if !a.cfg.Policy.Service.can().public {
		return nil
	}
	out, err := a.client.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: a.bucket})
	switch {
	case unsupported(err) || err == nil && blocks(out.PublicAccessBlockConfiguration):
		return nil
	case err != nil && wire.Read(err).Code != "NoSuchPublicAccessBlockConfiguration":
		return a.fail(ctx, "look at public access", err)
	}
	_, err = a.client.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: a.bucket, PublicAccessBlockConfiguration: allBlocked()}, a.sums...)
	return a.fail(ctx, "block public access", err)
}

func allBlocked() *types.PublicAccessBlockConfiguration {
	yes := aws.Bool(true)
	return &types.PublicAccessBlockConfiguration{BlockPublicAcls: yes, IgnorePublicAcls: yes, BlockPublicPolicy: yes, RestrictPublicBuckets: yes}
}
