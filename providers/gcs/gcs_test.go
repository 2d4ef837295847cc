package gcs_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/gcs"
	"offsite/providers/providertest"
)

func open(t *testing.T, c gcs.Config) *gcs.Driver {
	t.Helper()
	if c.Token == "" {
		c.Anonymous = true
	}
	d, err := gcs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// opened remembers how a driver was opened, to open it again.
type opened struct {
	*gcs.Driver
	config gcs.Config
	turns  *sync.Mutex // nil: calls of Raise need no turns
}

func (o *opened) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	if o.turns != nil {
		o.turns.Lock()
		defer o.turns.Unlock()
	}
	return o.Driver.Raise(ctx, key, v, until)
}

// The real server by itself. It says metageneration 1 of every object and minds
// no condition on it, so that two raises at once could end with the earlier time;
// here they take turns. TestContractEnforced has them race.
func TestContract(t *testing.T) {
	url := serverURL(t)
	providertest.Run(t, func(t *testing.T) providers.Driver {
		c := gcs.Config{Bucket: newBucket(t, url), Endpoint: url}
		return &opened{open(t, c), c, new(sync.Mutex)}
	}, abilities)
}

var abilities = providertest.Abilities{Lease: true, Clock: true, Again: func(t *testing.T, d providers.Driver) providers.Driver {
	o := d.(*opened)
	return &opened{open(t, o.config), o.config, o.turns}
}}
