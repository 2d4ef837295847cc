package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/providers"
	"offsite/providers/azure/azureadmin"
	"offsite/providers/gcs/gcsadmin"
	"offsite/providers/s3"
	"offsite/providers/s3/s3admin"
)

// This file is to administrators what stores.go is to the nightly run: it turns the
// block of a store into what sets it up, attacks it, and prints its policies.

// openAdmin opens a store with the administrator's credentials.
func (a *app) openAdmin(ctx context.Context, s config.Store, c *config.Config, f *placeFlags) (providers.Admin, error) {
	s, err := a.storeWith(s, f.with)
	if err != nil {
		return nil, err
	}
	return a.openAdminAs(ctx, s, c, f)
}

// openAdminAs opens it with the credentials of its block.
func (a *app) openAdminAs(ctx context.Context, s config.Store, c *config.Config, f *placeFlags) (providers.Admin, error) {
	admin, err := a.adminOf(ctx, s, c, f)
	if errors.Is(err, providers.ErrInvalid) {
		return nil, fail(exitUsage, err, "correct the flags, or the store's address or block")
	}
	return admin, err
}

func (a *app) adminOf(ctx context.Context, s config.Store, c *config.Config, f *placeFlags) (providers.Admin, error) {
	floor, longest := time.Duration(f.floor), longestOf(c)
	switch s.Address.Scheme {
	case "s3":
		store, err := a.s3Config(s)
		if err != nil {
			return nil, err
		}
		policy, err := f.policyS3()
		if err != nil {
			return nil, err
		}
		policy.Max, policy.Split = longest, policy.Split || s.Lease() == "managed"
		store.Lock = true // whoever raises the leases
		return s3admin.Open(ctx, s3admin.Config{Store: store, Floor: floor, Policy: policy})
	case "gs":
		store, err := a.gcsConfig(s)
		if err != nil {
			return nil, err
		}
		return gcsadmin.Open(ctx, gcsadmin.Config{Store: store, Floor: floor, Max: longest, Project: f.project, Location: f.location})
	case "azblob":
		store, err := a.azureConfig(s)
		if err != nil {
			return nil, err
		}
		if f.subscription == "" || f.resourceGroup == "" {
			return nil, wrongUse("an account is set up through its subscription", "give --subscription and --resource-group")
		}
		return azureadmin.Open(ctx, azureadmin.Config{Store: store, Subscription: f.subscription, ResourceGroup: f.resourceGroup,
			Location: f.location, Management: f.management, Floor: floor, Max: longest, Lock: f.lock})
	}
	return nil, fail(exitUsage, fmt.Errorf("a store at %s: is not set up", s.Address.Scheme))
}

// openAttacker opens a store with the upload credential, to try what must fail.
func (a *app) openAttacker(ctx context.Context, s config.Store) (providers.Attacker, error) {
	switch s.Address.Scheme {
	case "s3":
		c, err := a.s3Config(s)
		if err != nil {
			return nil, err
		}
		return s3admin.NewAttacker(ctx, c)
	case "gs":
		c, err := a.gcsConfig(s)
		if err != nil {
			return nil, err
		}
		return gcsadmin.NewAttacker(ctx, c)
	case "azblob":
		c, err := a.azureConfig(s)
		if err != nil {
			return nil, err
		}
		return azureadmin.NewAttacker(ctx, c)
	}
	return nil, fail(exitUsage, fmt.Errorf("a store at %s: has no credential to try", s.Address.Scheme))
}

// policies are the documents of a role at a store.
func policies(role providers.Role, s config.Store, c *config.Config, f *placeFlags) ([]providers.Document, error) {
	at := s.Address
	switch at.Scheme {
	case "s3":
		policy, err := f.policyS3()
		if err != nil {
			return nil, err
		}
		policy.Bucket, policy.Prefix, policy.Compliance, policy.Max = at.Bucket, at.Prefix, s.Lease() == "compliance", longestOf(c)
		policy.Split = policy.Split || s.Lease() == "managed"
		if policy.Service == "" {
			policy.Service = s3admin.ServiceOf(s3.Config{Endpoint: s.Endpoint})
		}
		return s3admin.Policies(role, policy)
	case "gs":
		return gcsadmin.Policies(role, gcsadmin.PolicyConfig{Project: f.project, Bucket: at.Bucket, Prefix: at.Prefix})
	}
	return azureadmin.Policies(role, azureadmin.PolicyConfig{Subscription: f.subscription, ResourceGroup: f.resourceGroup, Account: at.Account, Container: at.Bucket, Leases: azureMode(s)})
}

// longestOf is the longest lease that a practice's policy can ask for: its longest
// class, and slack. Without a configuration it is that of the defaults.
func longestOf(c *config.Config) time.Duration {
	const year = 366 * 24 * time.Hour
	if c == nil {
		c = config.Default()
	}
	r := c.Retention
	years := max(r.FiscalYearEnds, (r.QuarterEnds+3)/4, (r.MonthEnds+11)/12)
	// The period itself may be a year long before it ends, and a late keeper comes
	// after it; slack is two weeks.
	return time.Duration(years+2) * year
}
