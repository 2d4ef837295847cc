package s3_test

import (
	"context"
	"fmt"
	"iter"
	"path"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"offsite/providers"
	"offsite/providers/providertest"
	"offsite/providers/s3"
)

func TestContractWithLeases(t *testing.T) {
	contract(t, s3.Config{Bucket: newBucket(t, locked), Lock: true})
}

func TestContractWithVersionsAndSHA256(t *testing.T) {
	contract(t, s3.Config{Bucket: newBucket(t, versioned), Versioned: true, Checksum: s3.ChecksumSHA256})
}

func TestContractOfAPlainBucket(t *testing.T) {
	contract(t, s3.Config{Bucket: newBucket(t, plain)})
}

var prefixes atomic.Int64

// contract gives each case a prefix of its own in one bucket.
func contract(t *testing.T, cfg s3.Config) {
	t.Parallel()
	can := providertest.Abilities{Lease: cfg.Lock, Clock: true, Again: func(t *testing.T, d providers.Driver) providers.Driver {
		again := d.(interface{ config() s3.Config }).config()
		return open(t, again)
	}}
	providertest.Run(t, func(t *testing.T) providers.Driver {
		own := cfg
		own.Prefix = path.Join(cfg.Prefix, fmt.Sprintf("case-%d/below", prefixes.Add(1)))
		switch d := open(t, own).(type) {
		case *s3.Locked:
			return &lockedStore{Locked: d, cfg: own}
		case *s3.Driver:
			return &plainStore{d, own}
		}
		panic("unknown driver")
	}, can)
}

type plainStore struct {
	*s3.Driver
	cfg s3.Config
}

func (p *plainStore) config() s3.Config { return p.cfg }

// lockedStore adds to the listing what no listing of S3 has: the leases, so that
// the contract can compare them.
//
// A store without conditions cannot let one of two replacements at the same moment
// win; there they take turns, as they do in life, where only the owner replaces.
type lockedStore struct {
	*s3.Locked
	cfg  s3.Config
	turn sync.Mutex
}

func (l *lockedStore) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	if l.cfg.NoConditions && opt.Replace != "" {
		l.turn.Lock()
		defer l.turn.Unlock()
	}
	return l.Locked.Put(ctx, key, data, opt)
}

func (l *lockedStore) config() s3.Config { return l.cfg }

func (l *lockedStore) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		for obj, err := range l.Locked.List(ctx, prefix, after) {
			if err == nil && !obj.Lease.IsZero() {
				err = fmt.Errorf("listing tells a lease: %v", obj.Lease)
			}
			if err == nil {
				var stat providers.Object
				stat, err = l.Stat(ctx, obj.Key, obj.Version)
				obj.Lease = stat.Lease
			}
			if !yield(obj, err) {
				return
			}
		}
	}
}

func open(t *testing.T, cfg s3.Config) providers.Driver {
	t.Helper()
	if cfg.Region == "" { // else it is a live one
		if cfg.Endpoint == "" {
			cfg.Endpoint = gatewayURL(t)
		}
		cfg.PathStyle, cfg.AccessKey, cfg.SecretKey = true, accessKey, secretKey
	}
	d, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

type bucketKind int

const (
	plain bucketKind = iota
	versioned
	locked
)

var buckets atomic.Int64

// newBucket makes a bucket with the rights of the gateway's owner.
func newBucket(t *testing.T, kind bucketKind) string {
	t.Helper()
	c := owner(t)
	name := fmt.Sprintf("bucket-%d", buckets.Add(1))
	in := &sdk.CreateBucketInput{Bucket: aws.String(name)}
	if kind == locked {
		in.ObjectLockEnabledForBucket = aws.Bool(true)
	}
	if _, err := c.CreateBucket(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if kind == versioned {
		_, err := c.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningInput{
			Bucket: in.Bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// owner is a client of the SDK that may do anything.
func owner(t *testing.T) *sdk.Client {
	t.Helper()
	return sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(gatewayURL(t)), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
}
