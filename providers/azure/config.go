package azure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"offsite/providers"
)

// LeaseMode says how the account keeps leases and what this handle may do about
// them. It decides which optional abilities the driver has.
type LeaseMode int

const (
	// LeaseNone: the account keeps no leases. The driver is no Leaser; leases are
	// signed lease records only, and something else removes what has lapsed.
	LeaseNone LeaseMode = iota

	// LeaseManaged: version-level immutability, raised by somebody else. This is
	// the uploader's side: the driver reports leases but is no Leaser, and ignores
	// the lease given to Put, because the right to set one is also the right to set
	// one for 400 years. New objects are kept by the container's default policy
	// until the manager has raised them.
	LeaseManaged

	// LeaseManager: version-level immutability, raised by this handle. Config.MaxLease
	// bounds every raise: a Locked policy can be undone by nobody, Microsoft included.
	LeaseManager

	// LeaseLastAccess: an object is kept until Config.KeepDays after it was last
	// read, by a rule of the account. Raise reads one byte.
	//
	// So "until" cannot be set: Raise keeps the object for KeepDays from now, no
	// shorter and no longer, and must be repeated before they are over. What is
	// raised lives on after its lease; what is not raised again lapses KeepDays
	// after the last read, whoever read it. A raise to a time that the rule does not
	// reach is refused, because succeeding would be a promise nobody keeps. The
	// service notes at most one read in 24 hours, so a day is taken off. Object.Lease
	// stays zero: the service does not say.
	//
	// One number serves the whole container: use it for one uniform retention. If an
	// administrator switches access tracking off, the rule counts from the day it was
	// switched on; nothing here can prevent that.
	LeaseLastAccess
)

// Config says which container, with which credential, in which lease mode.
type Config struct {
	Account   string // name of the storage account
	Container string // it must exist
	Prefix    string // all keys lie below it; empty: the whole container

	// Endpoint is the address of the account. Empty: https://ACCOUNT.blob.core.windows.net.
	// With an address of numbers or localhost the account name is part of its path
	// (http://127.0.0.1:10000/devstoreaccount1). Only the loopback may be plain HTTP.
	Endpoint string

	// At most one of the credentials. None: azidentity's default chain.
	SharedKey string // account key in base64: the whole account, so not for a PC
	SAS       string // shared access signature, with or without the question mark

	// Token gives a bearer token for a scope, and when it ends: a sign-in that the
	// chain does not know.
	Token func(ctx context.Context, scope string) (string, time.Time, error)

	Leases   LeaseMode
	MaxLease time.Duration // LeaseManager: no lease ends later than this from now
	KeepDays int           // LeaseLastAccess: the N of the account's rule

	// Versions says that the account keeps versions. Needed for LeaseManaged and
	// LeaseManager, because immutability is a property of one version.
	Versions bool

	// Proxy chooses a proxy for a request, as http.ProxyFromEnvironment does. Nil: none.
	Proxy func(*http.Request) (*url.URL, error)
	// Conn wraps every connection that is made, such as pace.Limiter.Conn. Nil: as
	// it is.
	Conn func(net.Conn) net.Conn
	// CAFile names a file of PEM certificates trusted beside the system's.
	CAFile string
	// UserAgent is sent with every request: "offsite/1.2". Empty: "offsite".
	UserAgent string
}

// String leaves the secrets out.
func (c Config) String() string {
	return fmt.Sprintf("azblob://%s/%s/%s", c.Account, c.Container, c.Prefix)
}

// GoString is String, so that no verb of fmt shows the secrets.
func (c Config) GoString() string { return c.String() }

// Open makes a driver. It sends nothing: whether the account answers shows at the
// first call. What it returns is a Clock and a *Driver or wraps one; it is a
// providers.Leaser in the modes LeaseManager and LeaseLastAccess alone.
func Open(ctx context.Context, cfg Config) (providers.Driver, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail("open", "", providers.ErrBusy, err)
	}
	if err := cfg.check(); err != nil {
		return nil, fail("open", "", providers.ErrInvalid, err)
	}
	d := &Driver{mode: cfg.Leases, versions: cfg.Versions, maxLease: cfg.MaxLease, keep: keepFor(cfg.KeepDays)}
	if cfg.Prefix != "" {
		d.prefix = cfg.Prefix + "/"
	}
	if err := d.connect(cfg); err != nil {
		return nil, err
	}
	switch cfg.Leases {
	case LeaseManager:
		return &manager{d}, nil
	case LeaseLastAccess:
		return &lastAccess{d}, nil
	}
	return d, nil
}

func (c Config) check() error {
	switch {
	case !name(c.Account, 3, 24, false):
		return errors.New("account name is 3 to 24 lower-case letters and digits")
	case !name(c.Container, 3, 63, true):
		return errors.New("container name is 3 to 63 lower-case letters, digits and hyphens")
	case c.Prefix != "" && !providers.ValidKey(c.Prefix):
		return errors.New("prefix is outside the key grammar")
	case c.SharedKey != "" && c.SAS != "" || c.Token != nil && c.SharedKey+c.SAS != "":
		return errors.New("shared key, SAS and tokens exclude each other")
	case c.Leases < LeaseNone || c.Leases > LeaseLastAccess:
		return errors.New("unknown lease mode")
	case (c.Leases == LeaseManaged || c.Leases == LeaseManager) && !c.Versions:
		return errors.New("leases by immutability need an account that keeps versions")
	case c.Leases == LeaseManager && c.MaxLease <= 0:
		return errors.New("a manager needs a longest lease")
	case c.Leases == LeaseLastAccess && c.KeepDays < 2:
		return errors.New("leases by last access need the days of the rule, at least 2")
	}
	return nil
}

func name(s string, shortest, longest int, hyphens bool) bool {
	if len(s) < shortest || len(s) > longest {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || !hyphens) {
			return false
		}
	}
	return true
}

// expiry is when the SAS lapses; zero: it does not say, or there is none.
func (c Config) expiry() time.Time {
	q, err := url.ParseQuery(strings.TrimPrefix(c.SAS, "?"))
	if err != nil {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z", time.DateOnly} {
		if t, err := time.Parse(layout, q.Get("se")); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
