package keep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"offsite/providers"
)

// Raise is one lease that must be raised.
type Raise struct {
	Place
	Have  time.Time // what is known of the present lease; zero: nothing
	Need  Until
	Until time.Time // what to ask for: the need and some slack
}

// Raises works out which leases must be raised, the shortest first. slack turns a
// need into the lease to ask for, by the object's name; known is what was raised
// before, for stores whose listings tell no leases.
func (e *Evidence) Raises(now time.Time, slack func(need time.Time, name string) time.Time, known func(Place) time.Time) []Raise {
	var out []Raise
	for at, need := range e.places {
		if !need.Time.After(now) {
			continue // it has lapsed; nothing brings it back
		}
		have := known(at)
		if o := e.listing(at); !o.Lease.IsZero() {
			have = o.Lease // what the store says goes before what anybody remembers
		}
		if !have.Before(need.Time) {
			continue
		}
		until := need.Time
		if !need.exact {
			until = slack(until, at.Key[strings.LastIndexByte(at.Key, '/')+1:])
		}
		if most := now.Add(e.opt.Longest); e.opt.Longest > 0 && until.After(most) && !most.Before(need.Time) {
			until = most
		}
		out = append(out, Raise{at, have, need, until})
	}
	slices.SortFunc(out, func(a, b Raise) int {
		return cmp.Or(a.Have.Compare(b.Have), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Version, b.Version))
	})
	return out
}

// listing is what the listing said of one version; zero if it showed another one.
func (e *Evidence) listing(at Place) providers.Object {
	i, ok := e.listed[at.Key]
	if !ok {
		return providers.Object{}
	}
	if o := e.objects[i]; o.Version == at.Version || o.Version == "" || at.Version == "" {
		return o
	}
	return providers.Object{}
}

// Managed says what a manager did.
type Managed struct {
	Raised  []Raise
	Missing []Place // needed, and not there
}

// Manage raises leases. One that is missing keeps no other from being raised; any
// other error ends it, and the next Manage goes on.
func Manage(ctx context.Context, store *providers.Store, raises []Raise) (Managed, error) {
	if !store.Leases() {
		return Managed{}, fmt.Errorf("raise leases: %w: the store keeps no leases of its own", providers.ErrInvalid)
	}
	var done Managed
	var first error
	var mu sync.Mutex
	stop := func() bool { mu.Lock(); defer mu.Unlock(); return first != nil || ctx.Err() != nil }
	parallel(raises, func(r Raise) {
		if stop() {
			return
		}
		err := store.Raise(ctx, r.Key, r.Version, r.Until)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			done.Raised = append(done.Raised, r)
		case errors.Is(err, providers.ErrNotExist):
			done.Missing = append(done.Missing, r.Place)
		default:
			first = cmp.Or(first, err)
		}
	})
	slices.SortFunc(done.Missing, func(a, b Place) int { return cmp.Compare(a.Key, b.Key) })
	if first == nil && ctx.Err() != nil {
		first = context.Cause(ctx)
	}
	if first != nil {
		return done, fmt.Errorf("raise leases: %w", first)
	}
	return done, nil
}
