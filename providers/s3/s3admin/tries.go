package s3admin

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	driver "offsite/providers/s3"
	"offsite/providers/s3/internal/wire"
)

const century = 99 * 365 * day // just below what services take as the longest lease

// tries are all attacks in the order in which they are made: what cannot change the
// canary first.
func tries(cfg driver.Config) []try {
	return slices.Concat(onSettings(), onObject(cfg), onLease(cfg))
}

func onSettings() []try {
	return []try{
		{name: "change the lifecycle rules", right: "s3:PutLifecycleConfiguration", do: func(ctx context.Context, t *target) error { return t.lifecycleOf(ctx) }},
		{name: "change versioning", right: "s3:PutBucketVersioning", do: func(ctx context.Context, t *target) error {
			// As it is in every bucket that keeps leases, so nothing changes.
			_, err := t.a.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: t.bucket,
				VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}, t.a.sums...)
			return err
		}},
		{name: "change the lock configuration", right: "s3:PutBucketObjectLockConfiguration", do: func(ctx context.Context, t *target) error { return t.lockOf(ctx) }},
		{name: "change the bucket policy", right: "s3:PutBucketPolicy", do: func(ctx context.Context, t *target) error {
			// No service takes this text, but only who has the right is told so.
			_, err := t.a.client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: t.bucket, Policy: aws.String("{")}, t.a.sums...)
			if wire.Read(err).Status == http.StatusBadRequest {
				return errDone{"allowed, and then " + wire.Read(err).Code}
			}
			return err
		}},
		{name: "change public access", right: "s3:PutBucketPublicAccessBlock", do: func(ctx context.Context, t *target) error { return t.publicOf(ctx) }},
		{name: "delete the bucket", right: "s3:DeleteBucket", do: func(ctx context.Context, t *target) error {
			// A bucket with objects cannot be deleted, and the canary was just read.
			_, err := t.a.client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: t.bucket})
			return err
		}},
	}
}

func onObject(cfg driver.Config) []try {
	hides := ""
	if ServiceOf(cfg) == B2 {
		hides = "who may write there may hide; readers pin versions, which stay"
	}
	return []try{
		{name: "change the access list", right: "s3:PutObjectAcl", do: func(ctx context.Context, t *target) error {
			_, err := t.a.client.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: t.bucket, Key: t.key, VersionId: t.version, ACL: types.ObjectCannedACLPrivate}, t.a.sums...)
			return err
		}},
		{name: "tag", right: "s3:PutObjectTagging", do: tag(false)},
		{name: "tag the version", right: "s3:PutObjectVersionTagging", do: tag(true)},
		{name: "legal hold", right: "s3:PutObjectLegalHold", do: func(ctx context.Context, t *target) error {
			// Off is what it is; the right is the same.
			_, err := t.a.client.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{Bucket: t.bucket, Key: t.key, VersionId: t.version,
				LegalHold: &types.ObjectLockLegalHold{Status: types.ObjectLockLegalHoldStatusOff}}, t.a.sums...)
			return err
		}},
		{name: "overwrite", right: "s3:PutObject without If-None-Match", do: func(ctx context.Context, t *target) error { return t.overwrite(ctx) },
			accepted: "it makes a new version; readers take the first one, which nothing changes"},
		{name: "re-encrypt with a key of one's own", right: "s3:PutObject with customer keys", do: func(ctx context.Context, t *target) error { return t.encrypt(ctx) }},
		{name: "delete", right: "s3:DeleteObject", do: func(ctx context.Context, t *target) error {
			_, err := t.a.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: t.bucket, Key: t.key})
			return err
		}, accepted: hides},
		{name: "delete the version", right: "s3:DeleteObjectVersion", do: func(ctx context.Context, t *target) error { return t.deleteVersion(ctx, false) }},
		{name: "delete versions in bulk", right: "s3:DeleteObjectVersion", do: func(ctx context.Context, t *target) error { return t.deleteMany(ctx) }},
	}
}

func onLease(cfg driver.Config) []try {
	own := "" // what the policies of AWS can refuse, and those of MinIO with leases after a put
	if ServiceOf(cfg) != AWS && !cfg.LeaseAfterPut {
		own = "the service cannot limit leases that come with an object; the garbage of a thief lives and costs, and nothing else"
	}
	out := []try{
		{name: "shorten the lease", right: "s3:BypassGovernanceRetention", do: func(ctx context.Context, t *target) error { return t.retain(ctx, t.shorter(), t.mode(), false) }},
		{name: "shorten the lease by bypassing governance", right: "s3:BypassGovernanceRetention", do: func(ctx context.Context, t *target) error {
			return t.retain(ctx, t.shorter(), t.mode(), true)
		}},
		{name: "delete the version by bypassing governance", right: "s3:BypassGovernanceRetention", do: func(ctx context.Context, t *target) error { return t.deleteVersion(ctx, true) }},
	}
	if !cfg.Compliance {
		out = append(out, try{name: "put in compliance mode", right: "s3:PutObject with object lock headers", do: func(ctx context.Context, t *target) error {
			return t.put(ctx, t.locked(types.ObjectLockModeCompliance, t.obj.Lease))
		}, accepted: own})
	}
	out = append(out, []try{
		{name: "put with an event hold", right: "s3:PutObject with event holds", do: func(ctx context.Context, t *target) error { return t.hold(ctx) }},
		{name: "put with a lease of 99 years", right: "s3:PutObject with object lock headers", do: func(ctx context.Context, t *target) error {
			return t.put(ctx, t.locked(types.ObjectLockMode(t.mode()), t.obj.Lease.Add(century)))
		}, accepted: own},
	}...)
	if !cfg.Compliance {
		out = append(out, try{name: "move the lease to compliance mode", right: "s3:PutObjectRetention in compliance mode", do: func(ctx context.Context, t *target) error {
			return t.retain(ctx, t.obj.Lease, types.ObjectLockRetentionModeCompliance, false)
		}})
	}
	return append(out, try{name: "lease for 99 years", right: "s3:PutObjectRetention beyond the longest lease", do: func(ctx context.Context, t *target) error {
		return t.poison(ctx)
	}})
}

func (t *target) mode() types.ObjectLockRetentionMode {
	if t.a.cfg.Compliance {
		return types.ObjectLockRetentionModeCompliance
	}
	return types.ObjectLockRetentionModeGovernance
}

func (t *target) shorter() time.Time { return t.obj.Lease.Add(-time.Hour) }

func (t *target) retain(ctx context.Context, until time.Time, mode types.ObjectLockRetentionMode, bypass bool) error {
	in := &s3.PutObjectRetentionInput{Bucket: t.bucket, Key: t.key, VersionId: t.version,
		Retention: &types.ObjectLockRetention{Mode: mode, RetainUntilDate: aws.Time(until)}}
	if bypass {
		in.BypassGovernanceRetention = aws.Bool(true)
	}
	_, err := t.a.client.PutObjectRetention(ctx, in, t.a.sums...)
	return err
}

// poison leases for ever, and looks what became of it: some services count so far
// only that the lease ends in the past.
func (t *target) poison(ctx context.Context) error {
	if err := t.retain(ctx, t.obj.Lease.Add(century), t.mode(), false); err != nil {
		return err
	}
	have, err := t.a.client.GetObjectRetention(ctx, &s3.GetObjectRetentionInput{Bucket: t.bucket, Key: t.key, VersionId: t.version})
	if err == nil && have.Retention != nil && aws.ToTime(have.Retention.RetainUntilDate).Before(t.obj.Lease) {
		return errDone{"done, and the lease now ends " + have.Retention.RetainUntilDate.UTC().Format("2006-01-02")}
	}
	return nil
}

// put writes another version of the canary.
func (t *target) put(ctx context.Context, with func(*s3.PutObjectInput)) error {
	_, err := t.written(ctx, with)
	return err
}

func (t *target) written(ctx context.Context, with func(*s3.PutObjectInput)) (*s3.PutObjectOutput, error) {
	garbage := []byte("written by an attack of offsite store check")
	sum := md5.Sum(garbage)
	in := &s3.PutObjectInput{Bucket: t.bucket, Key: t.key, Body: bytes.NewReader(garbage), ContentMD5: aws.String(base64.StdEncoding.EncodeToString(sum[:]))}
	with(in)
	return t.a.client.PutObject(ctx, in)
}

// encrypt writes with a key that nobody else has. Services that do not know such
// keys pass over them.
func (t *target) encrypt(ctx context.Context) error {
	if strings.HasPrefix(t.a.cfg.Endpoint, "http:") {
		return errNotTried{"not tried: keys are not sent over plain http"}
	}
	key := bytes.Repeat([]byte{7}, 32)
	sum := md5.Sum(key)
	out, err := t.written(ctx, func(in *s3.PutObjectInput) {
		in.SSECustomerAlgorithm, in.SSECustomerKey = aws.String("AES256"), aws.String(base64.StdEncoding.EncodeToString(key))
		in.SSECustomerKeyMD5 = aws.String(base64.StdEncoding.EncodeToString(sum[:]))
	})
	if err == nil && out.SSECustomerAlgorithm == nil {
		return t.unharmed(ctx)
	}
	return err
}

// hold writes under an event hold, which has no end. Services that do not know it
// pass over it.
func (t *target) hold(ctx context.Context) error {
	out, err := t.written(ctx, func(in *s3.PutObjectInput) { in.ObjectLockEventHold = types.ObjectLockEventHoldOn })
	if err != nil {
		return err
	}
	head, err := t.a.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: t.bucket, Key: t.key, VersionId: out.VersionId})
	if err == nil && head.ObjectLockEventHold != types.ObjectLockEventHoldOn {
		return t.unharmed(ctx)
	}
	return nil
}

func (t *target) locked(mode types.ObjectLockMode, until time.Time) func(*s3.PutObjectInput) {
	return func(in *s3.PutObjectInput) { in.ObjectLockMode, in.ObjectLockRetainUntilDate = mode, aws.Time(until) }
}

func (t *target) overwrite(ctx context.Context) error {
	return t.put(ctx, func(*s3.PutObjectInput) {})
}

// unharmed turns what was done into a refusal if it changed nothing for readers.
func (t *target) unharmed(ctx context.Context) error {
	err := t.reads(ctx)
	switch {
	case err == nil:
		return errHarmless
	case wire.Read(err).Status == http.StatusNotFound:
		return nil
	}
	return err
}

func tag(version bool) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		in := &s3.PutObjectTaggingInput{Bucket: t.bucket, Key: t.key, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("offsite"), Value: aws.String("canary")}}}}
		if version {
			in.VersionId = t.version
		}
		_, err := t.a.client.PutObjectTagging(ctx, in, t.a.sums...)
		return err
	}
}

func (t *target) deleteVersion(ctx context.Context, bypass bool) error {
	in := &s3.DeleteObjectInput{Bucket: t.bucket, Key: t.key, VersionId: t.version}
	if bypass {
		in.BypassGovernanceRetention = aws.Bool(true)
	}
	_, err := t.a.client.DeleteObject(ctx, in)
	return err
}

// deleteMany has an answer of its own for every object.
func (t *target) deleteMany(ctx context.Context) error {
	out, err := t.a.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: t.bucket,
		Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: t.key, VersionId: t.version}}}}, t.a.sums...)
	switch {
	case wire.Read(err).Status == http.StatusOK:
		return t.unharmed(ctx) // Ceph breaks the answer off now and then
	case err != nil || len(out.Errors) == 0:
		return err
	}
	return &smithy.GenericAPIError{Code: aws.ToString(out.Errors[0].Code), Message: aws.ToString(out.Errors[0].Message)}
}

// lifecycleOf writes the rules that are there.
func (t *target) lifecycleOf(ctx context.Context) error {
	have, err := t.a.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: t.bucket})
	switch {
	case err != nil && strings.HasPrefix(wire.Read(err).Code, "NoSuchLifecycle"):
		_, err = t.a.client.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: t.bucket}) // there is nothing to delete
		return err
	case err != nil && wire.Read(err).Code == "AccessDenied":
		return errNotTried{"not tried: the rules may not be read, and writing others would be harm"}
	case err != nil:
		return err
	}
	_, err = t.a.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: t.bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: have.Rules}, TransitionDefaultMinimumObjectSize: have.TransitionDefaultMinimumObjectSize}, t.a.sums...)
	return err
}

// lockOf writes the lock configuration that is there.
func (t *target) lockOf(ctx context.Context) error {
	have, err := t.a.client.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: t.bucket})
	if err != nil {
		if wire.Read(err).Code == "AccessDenied" {
			return errNotTried{"not tried: the configuration may not be read, and writing another would be harm"}
		}
		return err
	}
	_, err = t.a.client.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: t.bucket, ObjectLockConfiguration: have.ObjectLockConfiguration}, t.a.sums...)
	return err
}

// publicOf writes what is there. Where that may not be read, blocking everything is
// no harm at AWS; elsewhere it can be.
func (t *target) publicOf(ctx context.Context) error {
	have, err := t.a.client.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: t.bucket})
	var c *types.PublicAccessBlockConfiguration
	switch {
	case err == nil:
		c = have.PublicAccessBlockConfiguration
	case unsupported(err):
		return err
	case ServiceOf(t.a.cfg) != AWS:
		return errNotTried{"not tried: it may not be read, and writing something else would be harm"}
	default:
		c = allBlocked()
	}
	_, err = t.a.client.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: t.bucket, PublicAccessBlockConfiguration: c}, t.a.sums...)
	return err
}
