package main

import (
	"errors"

	"offsite/cmd/offsite/config"
)

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
