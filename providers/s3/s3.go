// Package s3 keeps objects in a bucket of Amazon S3 or of a store that speaks
// its protocol.
//
// It promises what package providers demands of a driver: every object is one
// PutObject with a checksum in its header, created by If-None-Match, replaced by
// If-Match, read by its version. A lease is the retain-until of Object Lock; a
// bucket without it is opened with Config.Lock unset and keeps no leases.
//
// It refuses to delete, to hide, to tag, to shorten a lease and to bypass
// governance: there is no code for any of these.
//
// # Which version an empty one means
//
// In a bucket with versions an attacker, or the rule that hides old objects, can
// put something above an object but cannot take it away. Under Config.WriteOnce
// ("r/") the oldest version is therefore the object: the first writer wins, and
// hidden objects are there. Other keys are replaced on purpose; of these the
// newest version is the object. Delete markers never count. Get, Stat, Raise and
// List agree on this. Resolving an empty version of a key under WriteOnce costs
// one listing; callers who know the version save it.
//
// # What is weaker than it looks
//
//   - If-None-Match sees only what is not hidden. Over a delete marker some stores
//     create a second version; it is never the one that readers get.
//   - A replaceable key that somebody hid cannot be replaced: ErrConflict.
//   - A replacement is conditional on the entity tag, so a version with the same
//     bytes passes for the one that was named.
//   - Listings tell no leases.
//   - Some stores compare and set a lease in two steps. Raises of one key take
//     turns inside a process; of two processes at once the shorter may win there.
//   - A credential without the right to list is told AccessDenied for what is
//     absent; without s3:GetObjectRetention it cannot tell "already longer".
package s3

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers"
	"offsite/providers/s3/internal/wire"
)

// Config says where the bucket is and how to speak to it.
type Config struct {
	Bucket string
	// Prefix stands before every key: a folder path without a slash at its end,
	// in the grammar of keys. Empty: the bucket itself.
	Prefix string
	Region string // empty: that of the credentials chain; with Endpoint "us-east-1"
	// Endpoint is the address of a store other than AWS. Plain http is refused
	// unless the host is a loopback address or PlainHTTP is set.
	Endpoint  string
	PathStyle bool // the bucket is in the path, not in the host name
	PlainHTTP bool

	// Lock: the bucket has Object Lock; leases are retain-until times. It implies
	// Versioned. Compliance: leases that nobody can lift, instead of governance.
	Lock       bool
	Compliance bool
	// LeaseAfterPut: the lease is given in a request of its own, where the limit on
	// leases does not see one that comes with the object (MinIO). In between the
	// object has the bucket's default retention.
	LeaseAfterPut bool
	// Versioned: the bucket keeps versions, and versions are version ids. Unset:
	// a version is an entity tag.
	Versioned bool
	// WriteOnce is the beginning of the keys that are never replaced. Empty: "r/".
	WriteOnce string
	// NoConditions: the store knows neither If-None-Match nor If-Match (Backblaze
	// B2, Ceph 16). Put then looks before it writes and, under WriteOnce in a
	// bucket with versions, again afterwards: the first writer wins, the others are
	// told so. Of two replacements at the same moment both may succeed.
	NoConditions bool
	// Checksum travels with every object. Empty: ChecksumSHA256 at AWS,
	// ChecksumMD5 at an Endpoint.
	Checksum Checksum
	// OpaqueETags: the bucket encrypts with KMS or customer keys, so that entity
	// tags are not MD5 sums. Noticed without it at the first Put or Stat.
	OpaqueETags bool

	// AccessKey and SecretKey, with Token if they are temporary. All empty: the
	// chain of the SDK (environment, profiles, single sign-on, machine roles).
	AccessKey, SecretKey, Token string
	Profile                     string // of the chain; empty: the default one

	UserAgent string // "offsite/1.2"; empty: "offsite"
	CAFile    string // PEM certificates trusted besides the system's
	// Proxy chooses the proxy of a request. Nil: the environment's.
	Proxy func(*http.Request) (*url.URL, error)
	// Conn wraps every connection that is made, such as pace.Limiter.Conn. Nil: as
	// it is.
	Conn func(net.Conn) net.Conn
}

// Checksum names the digest by which the store checks an object on arrival.
type Checksum string

const (
	// ChecksumSHA256 is kept by the store and told by Stat.
	ChecksumSHA256 Checksum = "sha256"
	// ChecksumMD5 is Content-MD5, which every compatible store knows.
	ChecksumMD5 Checksum = "md5"
)

// Driver is a bucket without leases. Safe for concurrent use.
type Driver struct {
	client    *s3.Client
	creds     aws.CredentialsProvider
	cfg       Config
	bucket    *string
	prefix    string // with the slash at its end, or empty
	versioned bool
	opaque    atomic.Bool // entity tags are not MD5 sums
}

// Locked is a bucket with Object Lock: a Driver that keeps leases.
type Locked struct {
	*Driver
	// turns let one raise of a key follow another: compatible stores compare and
	// set in two steps, and the shorter of two leases may win there.
	turns [64]chan struct{}
}

var (
	_ providers.Driver = (*Driver)(nil)
	_ providers.Clock  = (*Driver)(nil)
	_ providers.Leaser = (*Locked)(nil)
)

// Open prepares a bucket: a *Locked if cfg.Lock is set, else a *Driver. It asks
// nothing of the store; a missing bucket shows at the first call.
func Open(ctx context.Context, cfg Config) (providers.Driver, error) {
	cfg, settings, err := cfg.Reach()
	if err != nil {
		return nil, err
	}
	client, creds, err := wire.NewClient(ctx, settings)
	if err != nil {
		return nil, &providers.Error{Op: "open", Provider: wire.Name, Kind: providers.ErrInvalid, Err: err}
	}
	d := &Driver{client: client, creds: creds, cfg: cfg, bucket: aws.String(cfg.Bucket), versioned: cfg.Versioned}
	if cfg.Prefix != "" {
		d.prefix = cfg.Prefix + "/"
	}
	d.opaque.Store(cfg.OpaqueETags)
	if cfg.Lock {
		l := &Locked{Driver: d}
		for i := range l.turns {
			l.turns[i] = make(chan struct{}, 1)
		}
		return l, nil
	}
	return d, nil
}

// complete checks the configuration and sets what follows from other fields.
func (c *Config) complete() error {
	c.Versioned = c.Versioned || c.Lock
	if c.WriteOnce == "" {
		c.WriteOnce = "r/"
	}
	if c.Checksum == "" {
		c.Checksum = ChecksumSHA256
		if c.Endpoint != "" {
			c.Checksum = ChecksumMD5
		}
	}
	switch {
	case c.Bucket == "" || strings.ContainsAny(c.Bucket, "/? #\n"):
		return errors.New("bucket is missing or malformed")
	case c.Prefix != "" && (!providers.ValidKey(c.Prefix) || strings.HasSuffix(c.Prefix, "/")):
		return errors.New("prefix is outside the grammar of keys")
	case (c.Compliance || c.LeaseAfterPut) && !c.Lock:
		return errors.New("compliance needs lock, and so do leases after a put")
	case c.Checksum != ChecksumSHA256 && c.Checksum != ChecksumMD5:
		return errors.New("checksum is neither sha256 nor md5")
	}
	return c.settings().Check()
}

func (c *Config) settings() wire.Settings {
	return wire.Settings{
		Region: c.Region, Endpoint: c.Endpoint, PathStyle: c.PathStyle, PlainHTTP: c.PlainHTTP,
		AccessKey: c.AccessKey, SecretKey: c.SecretKey, Token: c.Token, Profile: c.Profile,
		UserAgent: c.UserAgent, CAFile: c.CAFile, Proxy: c.Proxy, Conn: c.Conn,
	}
}

// Reach checks the configuration, completes it, and says how the service is
// reached. It is for the packages below this folder.
func (c Config) Reach() (Config, wire.Settings, error) {
	if err := c.complete(); err != nil {
		return c, wire.Settings{}, &providers.Error{Op: "open", Provider: wire.Name, Kind: providers.ErrInvalid, Err: err}
	}
	return c, c.settings(), nil
}

// wrap gives an error of a call its kind.
func (d *Driver) wrap(ctx context.Context, op, key string, err error) error {
	return wire.Wrap(ctx, op, key, op == "put", err)
}

// Expires is when the present credentials end; zero: they do not say.
func (d *Driver) Expires(ctx context.Context) (time.Time, error) {
	c, err := d.creds.Retrieve(ctx)
	if err != nil {
		return time.Time{}, wire.CredentialsError(ctx, "time", "", err)
	}
	if !c.CanExpire {
		return time.Time{}, nil
	}
	return c.Expires, nil
}

// begin checks what every call checks: a live context, a key of the grammar, and
// credentials to sign with.
func (d *Driver) begin(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return wire.Fail(op, key, providers.ErrBusy, err)
	}
	if !providers.ValidKey(key) {
		// The key is not repeated: a wrong one may hold anything.
		return wire.Fail(op, "", providers.ErrInvalid, errors.New("key outside the grammar"))
	}
	return d.signable(ctx, op, key)
}

func (d *Driver) signable(ctx context.Context, op, key string) error {
	if _, err := d.creds.Retrieve(ctx); err != nil {
		return wire.CredentialsError(ctx, op, key, err)
	}
	return nil
}

func (d *Driver) path(key string) *string { return aws.String(d.prefix + key) }

func (d *Driver) writeOnce(key string) bool { return strings.HasPrefix(key, d.cfg.WriteOnce) }
