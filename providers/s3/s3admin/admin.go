// Package s3admin is everything about a bucket that is not the nightly work of the
// driver: setting it up, comparing it with what it must be, attacking it with the
// upload credential, and the policies that make the attacks fail.
//
// It promises that Setup keeps what others put into the bucket's settings, reads
// back what it wrote, and may be run again; that Audit changes nothing; that an
// attack touches its canary alone, apart from settings that are written just as
// they were found.
//
// It refuses to remove an object, to shorten a lease and to take a foreign rule
// away: what could eat data is reported, and a person decides.
package s3admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"offsite/providers"
	driver "offsite/providers/s3"
	"offsite/providers/s3/internal/wire"
)

const (
	// DefaultFloor is how long an object is kept that nobody leased: time to notice
	// that leases are missing.
	DefaultFloor = 14 * day
	// DefaultHideDays is the age at which the removal rule hides an object. What is
	// hidden is removed a day later, or when its lease has lapsed. A week leaves
	// If-None-Match its view of what was written lately.
	DefaultHideDays = 7

	day = 24 * time.Hour
)

// Config says which bucket, and what it must be.
type Config struct {
	Store    driver.Config // with the administrator's credential
	Floor    time.Duration // default retention; zero: DefaultFloor
	HideDays int           // zero: DefaultHideDays
	// Policy says who may do what. Service, Bucket, Prefix and Compliance are taken
	// from Store where they are empty.
	Policy PolicyConfig
}

// Admin is a bucket in the hands of an administrator; see providers.Admin.
type Admin struct {
	client *s3.Client
	cfg    Config
	bucket *string
	sums   []func(*s3.Options) // the checksum that the service expects with settings
}

var _ providers.Admin = (*Admin)(nil)

// Open prepares the work; it asks nothing of the service.
func Open(ctx context.Context, cfg Config) (*Admin, error) {
	store, client, err := reach(ctx, cfg.Store)
	if err != nil {
		return nil, err
	}
	cfg.Store = store
	if cfg.Floor == 0 {
		cfg.Floor = DefaultFloor
	}
	if cfg.HideDays == 0 {
		cfg.HideDays = DefaultHideDays
	}
	cfg.Policy = cfg.Policy.within(store)
	cfg.Policy.HideDays = cfg.HideDays
	switch {
	case !store.Lock:
		err = errors.New("only a bucket with object lock keeps leases; set lock")
	case cfg.Floor < day || cfg.HideDays < 1:
		err = errors.New("default retention and hide days are at least one day")
	default:
		err = cfg.Policy.check()
	}
	if err == nil && cfg.Policy.Max != 0 && cfg.Policy.Max < cfg.Floor {
		err = errors.New("the longest lease is shorter than the default retention")
	}
	if err != nil {
		return nil, wire.Fail("open", "", providers.ErrInvalid, err)
	}
	return &Admin{client: client, cfg: cfg, bucket: aws.String(store.Bucket), sums: checksums(store)}, nil
}

func reach(ctx context.Context, cfg driver.Config) (driver.Config, *s3.Client, error) {
	cfg, settings, err := cfg.Reach()
	if err != nil {
		return cfg, nil, err
	}
	client, _, err := wire.NewClient(ctx, settings)
	if err != nil {
		return cfg, nil, wire.Fail("open", "", providers.ErrInvalid, err)
	}
	return cfg, client, nil
}

func checksums(cfg driver.Config) []func(*s3.Options) {
	if cfg.Checksum == driver.ChecksumMD5 {
		return []func(*s3.Options){wire.ContentMD5}
	}
	return nil
}

// Audit compares the bucket with what it must be; see providers.Admin.
func (a *Admin) Audit(ctx context.Context) ([]providers.Setting, error) {
	if there, err := a.exists(ctx); err != nil || !there {
		return []providers.Setting{bucketSetting(there)}, err
	}
	out := []providers.Setting{bucketSetting(true)}
	for _, look := range []func(context.Context) ([]providers.Setting, error){
		a.versioning, a.lock, a.rules, a.public, a.policy,
	} {
		settings, err := look(ctx)
		if err != nil {
			return out, err
		}
		out = append(out, settings...)
	}
	return out, nil
}

func bucketSetting(there bool) providers.Setting {
	s := providers.Setting{Name: "bucket", Want: "there", Have: "there", State: providers.StateRight}
	if !there {
		s.Have, s.State, s.Remedy = "missing", providers.StateWrong, "run store setup with the administrator's credential"
	}
	return s
}

// exists asks for the bucket. A bucket that may not be looked at is there.
func (a *Admin) exists(ctx context.Context) (bool, error) {
	_, err := a.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: a.bucket})
	switch wire.Read(err).Status {
	case http.StatusNotFound:
		return false, nil
	case http.StatusForbidden:
		// A HEAD cannot say why. Another look can.
		if _, err = a.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: a.bucket}); wire.Read(err).Code == "AccessDenied" {
			return true, nil
		}
	}
	if err != nil {
		return false, a.fail(ctx, "look for bucket", err)
	}
	return true, nil
}

// Setup makes the bucket what it must be; see providers.Admin. A service that knows no
// versions or no lock is errors.ErrUnsupported.
func (a *Admin) Setup(ctx context.Context) ([]providers.Setting, error) {
	there, err := a.exists(ctx)
	if err != nil {
		return nil, err
	}
	if !there {
		if err := a.create(ctx); err != nil {
			return nil, err
		}
	}
	for _, step := range []func(context.Context) error{a.setVersioning, a.setLock, a.setRule, a.setPolicy, a.setPublic} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return a.Audit(ctx)
}

func (a *Admin) create(ctx context.Context) error {
	in := &s3.CreateBucketInput{Bucket: a.bucket, ObjectLockEnabledForBucket: aws.Bool(true)}
	// The region without a name is the only one that must not be named.
	if region := a.client.Options().Region; a.cfg.Store.Endpoint == "" && region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	_, err := a.client.CreateBucket(ctx, in)
	return a.failNeeded(ctx, "make bucket with object lock", err)
}

// fail gives an error of a call its kind and says what was tried.
func (a *Admin) fail(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	return wire.Wrap(ctx, what, "", true, err)
}

// failNeeded is fail for what leases cannot do without: a service that does not know the
// call cannot keep them.
func (a *Admin) failNeeded(ctx context.Context, what string, err error) error {
	if unsupported(err) {
		return fmt.Errorf("%w: %w", a.fail(ctx, what, err), errors.ErrUnsupported)
	}
	return a.fail(ctx, what, err)
}

// unsupported says that the service does not know the call at all.
func unsupported(err error) bool {
	if err == nil {
		return false
	}
	a := wire.Read(err)
	return a.Status == http.StatusNotImplemented || a.Status == http.StatusMethodNotAllowed || a.Code == "NotImplemented"
}

// mayNot says that the credential is good and the right is missing.
func mayNot(err error) bool {
	a := wire.Read(err)
	return a.Status == http.StatusForbidden && (a.Code == "AccessDenied" || a.Code == "")
}

// unseen is a setting that may not be looked at; any other error ends the audit.
func (a *Admin) unseen(ctx context.Context, name, want string, right string, err error) ([]providers.Setting, error) {
	s := providers.Setting{Name: name, Want: want, State: providers.StateUnseen}
	switch {
	case unsupported(err):
		s.Have, s.Remedy = "the service has no such setting", "see the page of the service on what takes its place"
	case mayNot(err):
		s.Have, s.Remedy = "this credential may not look", "grant "+right+", or run the check with the administrator's credential"
	default:
		return nil, a.fail(ctx, "look at "+name, err)
	}
	return []providers.Setting{s}, nil
}
