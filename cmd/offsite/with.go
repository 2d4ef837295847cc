package main

import (
	"context"
	"errors"

	"offsite/cmd/offsite/config"
	"offsite/providers"
)

// withUsage explains the flag --with of verbs that reach a store.
const withUsage = "other credentials for the store than its block's, as `KEY=VALUE&...`, such as profile=admin"

// openStoreWith opens a store with the credentials that with names, else with those
// of its block.
func (a *app) openStoreWith(ctx context.Context, s config.Store, with string) (*providers.Store, error) {
	if with != "" {
		var err error
		if s, err = a.storeWith(s, with); err != nil {
			return nil, err
		}
	}
	return a.openStore(ctx, s)
}

// storeWith is a store as somebody other than the uploader reaches it. The
// credentials of the store's block are never used for more than the nightly upload:
// the flag --with names others, and without it the environment's serve.
func (a *app) storeWith(s config.Store, with string) (config.Store, error) {
	out, err := s.As(with)
	var v *config.ValueError
	if errors.As(err, &v) {
		return out, wrongUse("--with: "+v.Problem, v.Hint)
	}
	if err != nil {
		return out, err
	}
	return out, out.Absolute()
}
