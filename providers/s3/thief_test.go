package s3_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/providertest/servers"
	"offsite/providers/s3"
	"offsite/providers/s3/s3admin"
)

// thief has the upload credential and the upload key, and no manners.
type thief struct {
	t       *testing.T
	c       *sdk.Client
	bucket  *string
	key     *string
	version *string
	lease   time.Time
}

// Somebody steals the upload credential and the upload key and does harm to
// everything that is stored, for real and not on canaries, while the removal rule is
// at work with days of ten seconds. Afterwards every committed snapshot restores bit
// for bit, and the next night commits.
func TestThief(t *testing.T) {
	t.Parallel()
	owner, uploader, manager, reader := thiefsBucket(t)
	night := split{Locked: openWith(t, uploader), manager: openWith(t, manager)}
	p := newPractice(t)
	p.found(openWith(t, owner))
	p.commit(night)
	p.write("letters/two.txt", []byte("Dear colleague, the X-ray is enclosed.\n"))
	p.write("images/b.jpg", noise(3, 100<<10))
	p.commit(night)

	th := &thief{t: t, bucket: &owner.Bucket, c: sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: aws.String(owner.Endpoint), UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(uploader.AccessKey, uploader.SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, Retryer: aws.NopRetryer{}})}
	answers := map[string]map[string]int{}
	said := func(attack, answer string) {
		if answers[attack] == nil {
			answers[attack] = map[string]int{}
		}
		answers[attack][answer]++
	}
	var objects []providers.Object
	see := openWith(t, reader)
	for obj, err := range see.List(t.Context(), "", "") {
		check(t, err)
		obj, err = see.Stat(t.Context(), obj.Key, obj.Version)
		check(t, err)
		objects = append(objects, obj)
	}
	for _, a := range th.onBucket() {
		said(a.name, th.try(a, false))
	}
	for _, obj := range objects {
		th.key, th.version, th.lease = aws.String(obj.Key), aws.String(string(obj.Version)), obj.Lease
		for _, a := range th.onObject() {
			said(a.name, th.try(a, strings.HasPrefix(obj.Key, manifest.Removable)))
		}
	}
	th.forge(p, providers.NewStore(openWith(t, uploader), providers.Options{Attempts: 1}), said)
	printAnswers(t, answers)

	// Days go by, until the rule has removed what lapsed after the theft.
	last, err := openWith(t, uploader).Put(t.Context(), "r/c/last", []byte("canary"), providers.PutOptions{Lease: time.Now().Add(servers.CephDay)})
	check(t, err)
	await(t, "the rule removes a canary", func() bool {
		_, err := see.Stat(t.Context(), "r/c/last", last)
		return errors.Is(err, providers.ErrNotExist)
	})
	for _, obj := range objects {
		got, err := see.Stat(t.Context(), obj.Key, obj.Version)
		if err != nil || got.Size != obj.Size || got.Lease.Before(obj.Lease) {
			t.Errorf("%s is now %+v, %v", obj.Key, got, err)
		}
	}
	p.restoreAll(see)
	p.write("letters/three.txt", []byte("Dear colleague, see you at the congress.\n"))
	p.commit(night)
	p.restoreAll(see)
}

// thiefsBucket is set up with the printed policies for an uploader, a manager and
// somebody who restores.
func thiefsBucket(t *testing.T) (owner, uploader, manager, reader s3.Config) {
	t.Helper()
	c := ceph.Get(t)
	owner = s3.Config{Endpoint: c.URL, PathStyle: true, AccessKey: c.Access, SecretKey: c.Secret, Lock: true, NoConditions: true, Bucket: fmt.Sprintf("practice-%d", buckets.Add(1))}
	uploader, up := cephUser(t, owner, providers.RoleUploader)
	manager, man := cephUser(t, owner, providers.RoleManager)
	reader, res := cephUser(t, owner, providers.RoleRestore)
	admin, err := s3admin.Open(t.Context(), s3admin.Config{Store: owner, HideDays: 1, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Split: true,
		Users: map[providers.Role]string{providers.RoleUploader: up, providers.RoleManager: man, providers.RoleRestore: res}}})
	check(t, err)
	settings, err := admin.Setup(t.Context())
	check(t, err)
	for _, s := range settings {
		if s.State != providers.StateRight {
			t.Fatalf("setup: %+v", s)
		}
	}
	return owner, uploader, manager, reader
}

type attack struct {
	name string
	// harmless: it may succeed below the removable prefix, where it changes nothing
	// for those who pin versions.
	harmless bool
	do       func(context.Context) error
}

// try makes one attack and returns the answer; one that succeeds must be harmless.
func (th *thief) try(a attack, removable bool) string {
	th.t.Helper()
	err := a.do(th.t.Context())
	if err == nil {
		if !a.harmless || !removable {
			th.t.Errorf("%s of %s: done", a.name, aws.ToString(th.key))
		}
		return "done; the first version stays"
	}
	var api smithy.APIError
	var web *awshttp.ResponseError
	if errors.As(err, &api) && api.ErrorCode() != "UnknownError" {
		return api.ErrorCode()
	}
	if errors.As(err, &web) {
		return fmt.Sprintf("%d %s", web.HTTPStatusCode(), http.StatusText(web.HTTPStatusCode()))
	}
	th.t.Errorf("%s: no answer: %v", a.name, err)
	return "none"
}

// put writes over the object at hand.
func (th *thief) put(change func(*sdk.PutObjectInput)) func(context.Context) error {
	return func(ctx context.Context) error {
		in := &sdk.PutObjectInput{Bucket: th.bucket, Key: th.key, Body: strings.NewReader("garbage")}
		change(in)
		_, err := th.c.PutObject(ctx, in)
		return err
	}
}

func (th *thief) retain(mode types.ObjectLockRetentionMode, until time.Time, bypass bool) func(context.Context) error {
	return func(ctx context.Context) error {
		in := &sdk.PutObjectRetentionInput{Bucket: th.bucket, Key: th.key, VersionId: th.version,
			Retention: &types.ObjectLockRetention{Mode: mode, RetainUntilDate: &until}}
		if bypass {
			in.BypassGovernanceRetention = aws.Bool(true)
		}
		_, err := th.c.PutObjectRetention(ctx, in)
		return err
	}
}

func (th *thief) remove(version, bypass *bool) func(context.Context) error {
	return func(ctx context.Context) error {
		in := &sdk.DeleteObjectInput{Bucket: th.bucket, Key: th.key, BypassGovernanceRetention: bypass}
		if version != nil {
			in.VersionId = th.version
		}
		_, err := th.c.DeleteObject(ctx, in)
		return err
	}
}

func (th *thief) onObject() []attack {
	const governance, compliance = types.ObjectLockRetentionModeGovernance, types.ObjectLockRetentionModeCompliance
	century := time.Now().AddDate(99, 0, 0)
	yes := aws.Bool(true)
	tags := &types.Tagging{TagSet: []types.Tag{{Key: aws.String("expired"), Value: aws.String("yes")}}}
	return []attack{
		{"delete", false, th.remove(nil, nil)},
		{"delete the version", false, th.remove(yes, nil)},
		{"delete the version by bypass", false, th.remove(yes, yes)},
		{"delete in bulk", false, func(ctx context.Context) error {
			out, err := th.c.DeleteObjects(ctx, &sdk.DeleteObjectsInput{Bucket: th.bucket, BypassGovernanceRetention: yes,
				Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: th.key, VersionId: th.version}}}})
			if err == nil && len(out.Errors) > 0 {
				err = &smithy.GenericAPIError{Code: *out.Errors[0].Code}
			}
			return err
		}},
		{"overwrite", true, th.put(func(*sdk.PutObjectInput) {})},
		{"overwrite by a copy", true, func(ctx context.Context) error {
			_, err := th.c.CopyObject(ctx, &sdk.CopyObjectInput{Bucket: th.bucket, Key: th.key, CopySource: aws.String(*th.bucket + "/" + *th.key), MetadataDirective: types.MetadataDirectiveReplace})
			return err
		}},
		{"overwrite, locked for 99 years", true, th.put(func(in *sdk.PutObjectInput) {
			in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockModeGovernance, &century
		})},
		{"overwrite in compliance mode", true, th.put(func(in *sdk.PutObjectInput) {
			in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockModeCompliance, aws.Time(time.Now().Add(time.Minute))
		})},
		{"overwrite under legal hold", true, th.put(func(in *sdk.PutObjectInput) { in.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn })},
		{"tag", false, func(ctx context.Context) error {
			_, err := th.c.PutObjectTagging(ctx, &sdk.PutObjectTaggingInput{Bucket: th.bucket, Key: th.key, Tagging: tags})
			return err
		}},
		{"tag the version", false, func(ctx context.Context) error {
			_, err := th.c.PutObjectTagging(ctx, &sdk.PutObjectTaggingInput{Bucket: th.bucket, Key: th.key, VersionId: th.version, Tagging: tags})
			return err
		}},
		{"make it public", false, func(ctx context.Context) error {
			_, err := th.c.PutObjectAcl(ctx, &sdk.PutObjectAclInput{Bucket: th.bucket, Key: th.key, VersionId: th.version, ACL: types.ObjectCannedACLPublicReadWrite})
			return err
		}},
		{"legal hold", false, func(ctx context.Context) error {
			_, err := th.c.PutObjectLegalHold(ctx, &sdk.PutObjectLegalHoldInput{Bucket: th.bucket, Key: th.key, VersionId: th.version,
				LegalHold: &types.ObjectLockLegalHold{Status: types.ObjectLockLegalHoldStatusOn}})
			return err
		}},
		{"shorten the lease", false, th.retain(governance, time.Now().Add(time.Minute), false)},
		{"shorten the lease by bypass", false, th.retain(governance, time.Now().Add(time.Minute), true)},
		{"lease for 99 years", false, th.retain(governance, century, false)},
		{"lease in compliance mode", false, th.retain(compliance, th.lease.Add(time.Hour), false)},
	}
}

func (th *thief) onBucket() []attack {
	eat := types.LifecycleRule{ID: aws.String("eat"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
		Expiration: &types.LifecycleExpiration{Days: aws.Int32(1)}, NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1)}}
	anybody := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::%[1]s","arn:aws:s3:::%[1]s/*"]}]}`, *th.bucket)
	return []attack{
		{"lifecycle: remove everything", false, func(ctx context.Context) error {
			_, err := th.c.PutBucketLifecycleConfiguration(ctx, &sdk.PutBucketLifecycleConfigurationInput{Bucket: th.bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{eat}}})
			return err
		}},
		{"lifecycle: no rules", false, func(ctx context.Context) error {
			_, err := th.c.DeleteBucketLifecycle(ctx, &sdk.DeleteBucketLifecycleInput{Bucket: th.bucket})
			return err
		}},
		{"suspend versioning", false, func(ctx context.Context) error {
			_, err := th.c.PutBucketVersioning(ctx, &sdk.PutBucketVersioningInput{Bucket: th.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended}})
			return err
		}},
		{"no default retention", false, func(ctx context.Context) error {
			_, err := th.c.PutObjectLockConfiguration(ctx, &sdk.PutObjectLockConfigurationInput{Bucket: th.bucket, ObjectLockConfiguration: &types.ObjectLockConfiguration{ObjectLockEnabled: types.ObjectLockEnabledEnabled}})
			return err
		}},
		{"policy: anybody may do anything", false, func(ctx context.Context) error {
			_, err := th.c.PutBucketPolicy(ctx, &sdk.PutBucketPolicyInput{Bucket: th.bucket, Policy: &anybody})
			return err
		}},
		{"no policy", false, func(ctx context.Context) error {
			_, err := th.c.DeleteBucketPolicy(ctx, &sdk.DeleteBucketPolicyInput{Bucket: th.bucket})
			return err
		}},
		{"make the bucket public", false, func(ctx context.Context) error {
			_, err := th.c.PutBucketAcl(ctx, &sdk.PutBucketAclInput{Bucket: th.bucket, ACL: types.BucketCannedACLPublicReadWrite})
			return err
		}},
		{"delete the bucket", false, func(ctx context.Context) error {
			_, err := th.c.DeleteBucket(ctx, &sdk.DeleteBucketInput{Bucket: th.bucket})
			return err
		}},
	}
}

// forge writes what the upload key can sign, and what only looks like it.
func (th *thief) forge(p *practice, store *providers.Store, said func(attack, answer string)) {
	t := th.t
	result := func(err error) string {
		if err != nil {
			if kind := providers.KindOf(err); kind != nil {
				return kind.Error()
			}
			return err.Error()
		}
		return "done; the snapshots before it stay"
	}
	last := p.commits[len(p.commits)-1].Record
	garbage := bytes.Repeat([]byte("garbage "), 100)
	_, err := store.Create(t.Context(), manifest.RecordKey(practiceSource, last.Seq+1), garbage, time.Time{})
	said("garbage as the next record", result(err))
	_, err = store.Create(t.Context(), manifest.RecordKey(practiceSource, last.Seq+1_000_000), garbage, time.Time{})
	said("garbage as a record of the far future", result(err))
	name := hex.EncodeToString(noise(9, 32))
	_, err = store.Create(t.Context(), manifest.PackPrefix+name[:2]+"/"+name, garbage, time.Time{})
	said("garbage as a pack", result(err))
	for i, days := range []int{-400, -1, 0, 400} {
		rec := last
		rec.Seq, rec.Date, rec.Revision, rec.Prev = last.Seq+2+uint64(i), time.Now().AddDate(0, 0, days).Format("2006-01-02"), 7, ""
		rec.Time, rec.Expiry = manifest.At(time.Now().AddDate(0, 0, days)), manifest.At(time.Now().AddDate(0, 0, 20))
		rec.Table.Root = strings.Repeat("00", 16)
		_, err = manifest.Commit(t.Context(), store, rec, nil, nil, p.key.Signing, time.Now().AddDate(0, 0, 20))
		said(fmt.Sprintf("a false record, signed, dated %+d days", days), result(err))
	}
	err = manifest.WriteLeases(t.Context(), store, manifest.LeaseRecord{Format: 1, Repository: p.key.Repository, Source: practiceSource, PC: p.key.PC, Time: manifest.At(time.Now()),
		Snapshots: []manifest.SnapshotLease{{Seq: 1, Until: manifest.At(time.Now().Add(time.Hour)), Class: "false"}}}, p.key.Signing)
	said("a lease record that promises less", result(err))
	for _, key := range []string{manifest.HeaderKey, manifest.PCKey("00000000000000ee"), manifest.HolderKey("thief")} {
		_, err = openWith(t, s3.Config{Endpoint: *th.c.Options().BaseEndpoint, Bucket: *th.bucket, Lock: true, NoConditions: true, AccessKey: credentialOf(th), SecretKey: "of " + credentialOf(th)}).
			Put(t.Context(), key, garbage, providers.PutOptions{})
		said("another "+strings.TrimSuffix(key, ".json"), result(err))
		if err == nil {
			t.Errorf("%s was written", key)
		}
	}
}

func credentialOf(th *thief) string {
	c, err := th.c.Options().Credentials.Retrieve(th.t.Context())
	check(th.t, err)
	return c.AccessKeyID
}

func printAnswers(t *testing.T, answers map[string]map[string]int) {
	t.Helper()
	var names []string
	for name := range answers {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "%-45s %s\n", "attack", "answer (how often)")
	for _, name := range names {
		var parts []string
		for answer, n := range answers[name] {
			parts = append(parts, fmt.Sprintf("%s (%d)", answer, n))
		}
		slices.Sort(parts)
		fmt.Fprintf(&b, "%-45s %s\n", name, strings.Join(parts, ", "))
	}
	t.Log("\n" + b.String())
}

// await waits for something that a real server does in its own time: on a busy
// machine the removal rule comes round late.
func await(t *testing.T, what string, done func() bool) {
	const limit = 60 * servers.CephDay
	t.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
