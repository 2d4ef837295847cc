package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/dir"
	"offsite/providers/gcs"
	"offsite/providers/pace"
	"offsite/providers/s3"
	"offsite/uploader/near"
)

// This file turns the block of a store into an open store. What a service offers
// is its driver's affair; which of it is used, and whose credentials, is settled
// here.

// openStore opens a store. A cloud is asked for nothing yet: whether it answers,
// and whether the credentials are good, shows at the first call.
func (a *app) openStore(ctx context.Context, s config.Store) (*providers.Store, error) {
	d, err := a.openDriver(ctx, s)
	if err != nil {
		return nil, err
	}
	return providers.NewStore(d, a.storeOptions(s)), nil
}

// storeOptions are those of every store.
func (a *app) storeOptions(s config.Store) providers.Options {
	return providers.Options{Log: a.log(), MinRate: slowest(s)}
}

// slowest is the rate below which a request counts as stuck, where the timetable
// wants it slow: a quarter of it, because several share it. 0: the usual one.
func slowest(s config.Store) int64 {
	if s.Bandwidth.Table == nil || s.Bandwidth.Table.Slowest() == pace.Unlimited {
		return 0
	}
	return min(s.Bandwidth.Table.Slowest()/4, usualMinRate)
}

// usualMinRate is what a store takes where nobody wants it slow.
const usualMinRate = 16 << 10

// soon is how long before their end credentials are told of: longer than a run, and
// long enough for somebody to act in working hours.
const soon = 7 * 24 * time.Hour

// tellExpiry says ahead of time when the credentials of a store end.
func (a *app) tellExpiry(ctx context.Context, s config.Store, d providers.Driver) {
	e, ok := d.(providers.Expirer)
	if !ok {
		return
	}
	until, err := e.Expires(ctx)
	if err != nil || until.IsZero() || until.Sub(a.now()) > soon {
		return // what is wrong with them shows at the first call
	}
	if left := until.Sub(a.now()); left < 0 {
		a.say("the credentials of store %s ended on %s", s.Name, until.Format(time.DateOnly))
	} else {
		a.say("the credentials of store %s end in %s: renew them", s.Name, left.Round(time.Minute))
	}
}

// patience is how long a run waits for its only store to come back, once that had
// answered: lines are down for hours, and the night is long. With several stores the
// others must not wait; what is missed is made up for by the next run.
const patience = 6 * time.Hour

// openNightly opens a store for a run, with copies of what never changes beside the
// local state.
func (a *app) openNightly(ctx context.Context, p *site, s config.Store, alone bool) (*providers.Store, error) {
	if s.Address.Scheme == "dir" {
		return a.openStore(ctx, s)
	}
	d, err := a.openDriver(ctx, s)
	if err != nil {
		return nil, err
	}
	a.tellExpiry(ctx, s, d)
	copies, err := near.Open(p.nearOf(s))
	if err != nil {
		return nil, err
	}
	p.near = append(p.near, copies)
	opt := a.storeOptions(s)
	opt.Cache, opt.Near = copies, manifest.Near
	if alone {
		opt.Patience = patience
	}
	return providers.NewStore(d, opt), nil
}

// nearOf is the folder for copies of what never changes in a store.
func (p *site) nearOf(s config.Store) string { return filepath.Join(p.stateOf(), "near", s.Name) }

// trimNear forgets copies of what is no longer wanted, after a run that came to its
// end.
func (p *site) trimNear() error {
	for _, f := range p.near {
		if err := f.Trim(); err != nil {
			return err
		}
	}
	p.near = nil
	return nil
}

// openDriver opens the driver of a store.
func (a *app) openDriver(ctx context.Context, s config.Store) (providers.Driver, error) {
	d, err := a.driverOf(ctx, s)
	if errors.Is(err, providers.ErrInvalid) {
		return nil, fail(exitUsage, fmt.Errorf("open store %s: %w", s.Name, err), "correct the store's address or its block in the configuration")
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", s.Name, err)
	}
	return d, nil
}

func (a *app) driverOf(ctx context.Context, s config.Store) (providers.Driver, error) {
	switch s.Address.Scheme {
	case "dir":
		return dir.Open(string(s.Address.Path))
	case "s3":
		c, err := a.s3Config(s)
		if err != nil {
			return nil, err
		}
		return s3.Open(ctx, c)
	case "gs":
		c, err := a.gcsConfig(s)
		if err != nil {
			return nil, err
		}
		return gcs.Open(ctx, c)
	case "azblob":
		c, err := a.azureConfig(s)
		if err != nil {
			return nil, err
		}
		return azure.Open(ctx, c)
	}
	return nil, fail(exitUsage, fmt.Errorf("there is no kind of store %q", s.Address.Scheme))
}

func (a *app) s3Config(s config.Store) (s3.Config, error) {
	proxy, err := proxyOf(s)
	if err != nil {
		return s3.Config{}, err
	}
	lease := s.Lease()
	c := s3.Config{
		Bucket: s.Address.Bucket, Prefix: s.Address.Prefix, Region: s.Region, Endpoint: s.Endpoint, PathStyle: s.PathStyle,
		// What is managed elsewhere begins with the bucket's default retention.
		Lock: lease != "none" && lease != "managed", Versioned: lease == "managed", Compliance: lease == "compliance", NoConditions: s.Conditions == "none", LeaseAfterPut: s.LeaseAfterPut,
		Profile: s.Profile, UserAgent: userAgent(), CAFile: string(s.CAFile), Proxy: proxy, Conn: a.paced(s),
	}
	return c, a.secrets(secretInto{s.AccessKey, &c.AccessKey}, secretInto{s.SecretKey, &c.SecretKey}, secretInto{s.SessionToken, &c.Token})
}

func (a *app) gcsConfig(s config.Store) (gcs.Config, error) {
	proxy, err := proxyOf(s)
	if err != nil {
		return gcs.Config{}, err
	}
	c := gcs.Config{Bucket: s.Address.Bucket, Prefix: s.Address.Prefix, Endpoint: s.Endpoint,
		UserAgent: userAgent(), CAFile: string(s.CAFile), Proxy: proxy, Conn: a.paced(s)}
	var key string
	err = a.secrets(secretInto{s.Credentials, &key})
	c.CredentialsJSON = []byte(key)
	// Plain http is taken for this machine alone, where an emulator knows nobody.
	c.Anonymous = key == "" && strings.HasPrefix(s.Endpoint, "http://")
	return c, err
}

func (a *app) azureConfig(s config.Store) (azure.Config, error) {
	proxy, err := proxyOf(s)
	if err != nil {
		return azure.Config{}, err
	}
	mode := azureMode(s)
	c := azure.Config{
		Account: s.Address.Account, Container: s.Address.Bucket, Prefix: s.Address.Prefix, Endpoint: s.Endpoint,
		Leases: mode, KeepDays: s.KeepDays, Versions: mode == azure.LeaseManaged || mode == azure.LeaseManager,
		UserAgent: userAgent(), CAFile: string(s.CAFile), Proxy: proxy, Conn: a.paced(s),
	}
	if mode == azure.LeaseManager {
		c.MaxLease = longestLease
	}
	return c, a.secrets(secretInto{s.AccountKey, &c.SharedKey}, secretInto{s.SAS, &c.SAS})
}

// azureMode is the driver's word for how a store keeps objects.
func azureMode(s config.Store) azure.LeaseMode {
	return map[string]azure.LeaseMode{"managed": azure.LeaseManaged, "manager": azure.LeaseManager, "last-access": azure.LeaseLastAccess, "none": azure.LeaseNone}[s.Lease()]
}

// longestLease bounds what a manager grants: the longest class that the
// configuration allows, fiscal years, and the slack.
const longestLease = 51 * 366 * 24 * time.Hour

func userAgent() string { return "offsite/" + cmp.Or(version, "unreleased") }

// paced slows connections down as the store's timetable says, by this computer's
// clock and zone, as the people who share the line see it. nil: it does not say.
func (a *app) paced(s config.Store) func(net.Conn) net.Conn {
	if s.Bandwidth.Table == nil {
		return nil
	}
	now := func() time.Time { return a.now().Local() }
	return pace.NewLimiter(s.Bandwidth.Table.Rate, now).Conn
}

type secretInto struct {
	from config.Secret
	to   *string
}

// secrets looks up what the configuration names.
func (a *app) secrets(all ...secretInto) error {
	for _, s := range all {
		v, err := s.from.Resolve(a.env)
		if err != nil {
			return fail(exitUsage, err, "the configuration names the secret "+s.from.String())
		}
		*s.to = v
	}
	return nil
}

// proxyOf chooses a store's proxy: the one that its block names, none, or, when it
// says nothing, the environment's.
func proxyOf(s config.Store) (func(*http.Request) (*url.URL, error), error) {
	switch s.Proxy {
	case "":
		return http.ProxyFromEnvironment, nil
	case "none":
		return func(*http.Request) (*url.URL, error) { return nil, nil }, nil
	}
	u, err := url.Parse(s.Proxy)
	if err != nil {
		return nil, errors.New("read proxy: it is not an address")
	}
	return http.ProxyURL(u), nil
}
