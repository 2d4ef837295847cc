package providertest_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"offsite/providers"
	"offsite/providers/mem"
	"offsite/providers/providertest"
)

// Every case is in CONTRACT.md, and every case named there exists.
func TestContractPageNamesEveryCase(t *testing.T) {
	page, err := os.ReadFile("../CONTRACT.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range regexp.MustCompile("(?m)\\| `([a-z0-9-]+)` \\|$").FindAllSubmatch(page, -1) {
		named = append(named, string(m[1]))
	}
	have := providertest.Cases()
	slices.Sort(named)
	slices.Sort(have)
	if !slices.Equal(named, have) {
		t.Errorf("CONTRACT.md names %q, Run has %q", named, have)
	}
}

func TestWithoutRulesFaultyChangesNothing(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providers.Driver {
		return providertest.NewFaulty(mem.New(mem.Options{})).Driver()
	}, providertest.Abilities{Lease: true, Sweep: true, Clock: true})
}

func TestFaultyHasTheAbilitiesBelow(t *testing.T) {
	m := mem.New(mem.Options{})
	for _, c := range []struct {
		below               providers.Driver
		lease, sweep, clock bool
	}{
		{m, true, true, true},
		{m.Plain(), false, false, true},
		{struct{ providers.Driver }{m}, false, false, false},
		{struct {
			providers.Driver
			providers.Leaser
		}{m, m}, true, false, false},
		{struct {
			providers.Driver
			providers.Leaser
			providers.Clock
		}{m, m, m}, true, false, true},
		{struct {
			providers.Driver
			providers.Leaser
			providers.Sweeper
		}{m, m, m}, true, true, false},
		{struct {
			providers.Driver
			providers.Sweeper
			providers.Clock
		}{m, m, m}, false, true, true},
		{struct {
			providers.Driver
			providers.Sweeper
		}{m, m}, false, true, false},
	} {
		d := providertest.NewFaulty(c.below).Driver()
		_, lease := d.(providers.Leaser)
		_, sweep := d.(providers.Sweeper)
		_, clock := d.(providers.Clock)
		if lease != c.lease || sweep != c.sweep || clock != c.clock {
			t.Errorf("lease %v, sweep %v, clock %v; want %v, %v, %v", lease, sweep, clock, c.lease, c.sweep, c.clock)
		}
	}
}

// The four outcomes of a write, and those of a read.
func TestOutcomes(t *testing.T) {
	put := func(ctx context.Context, d providers.Driver) error {
		_, err := d.Put(ctx, "r/new", []byte("data"), providers.PutOptions{})
		return err
	}
	get := func(want string) func(context.Context, providers.Driver) error {
		return func(ctx context.Context, d providers.Driver) error {
			got, err := d.Get(ctx, "r/old", "", 0, -1)
			if err == nil && string(got) != want {
				return errors.New("read " + string(got))
			}
			return err
		}
	}
	for _, c := range []struct {
		name    string
		rule    providertest.Rule
		call    func(context.Context, providers.Driver) error
		applied bool
		kind    error
		takes   time.Duration
	}{
		{"put fails before", providertest.Rule{Outcome: providertest.FailBefore}, put, false, providers.ErrBusy, 0},
		{"put fails after", providertest.Rule{Outcome: providertest.FailAfter}, put, true, providers.ErrInDoubt, 0},
		{"put lies", providertest.Rule{Outcome: providertest.Lie}, put, false, nil, 0},
		{"put succeeds", providertest.Rule{Op: "get", Outcome: providertest.FailBefore}, put, true, nil, 0},
		{"put cut", providertest.Rule{Outcome: providertest.Cut}, put, true, providers.ErrInDoubt, 0},
		{"put slow", providertest.Rule{Outcome: providertest.Slow, Wait: time.Second}, put, true, nil, time.Second},
		{"put hangs", providertest.Rule{Outcome: providertest.Hang}, put, false, providers.ErrInDoubt, time.Hour},
		{"put denied", providertest.Rule{Outcome: providertest.Deny}, put, false, providers.ErrDenied, 0},
		{"store gone", providertest.Rule{Outcome: providertest.Gone}, put, false, providers.ErrUnreachable, 0},
		{"own kind", providertest.Rule{Outcome: providertest.FailBefore, Kind: providers.ErrFull}, put, false, providers.ErrFull, 0},
		{"another prefix", providertest.Rule{Prefix: "k/", Outcome: providertest.FailBefore}, put, true, nil, 0},
		{"the second one", providertest.Rule{Nth: 2, Outcome: providertest.FailBefore}, put, true, nil, 0},
		{"get flipped", providertest.Rule{Outcome: providertest.Flip}, get("omd"), false, nil, 0},
		{"get cut", providertest.Rule{Outcome: providertest.Cut}, get("o"), false, nil, 0},
		{"get whole", providertest.Rule{Nth: 2, Outcome: providertest.Flip}, get("old"), false, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := mem.New(mem.Options{})
				if _, err := m.Put(t.Context(), "r/old", []byte("old"), providers.PutOptions{}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				f := providertest.NewFaulty(m, c.rule)
				start := time.Now()
				err := c.call(ctx, f.Driver())
				if providers.KindOf(err) != c.kind || (err == nil) != (c.kind == nil) {
					t.Errorf("got %v, want kind %v", err, c.kind)
				}
				if _, applied := m.Snapshot()["r/new"]; applied != c.applied {
					t.Errorf("applied %v, want %v", applied, c.applied)
				}
				if took := time.Since(start); took != c.takes {
					t.Errorf("took %v, want %v", took, c.takes)
				}
				f.Set()
				if err := get("old")(t.Context(), f.Driver()); err != nil {
					t.Errorf("after the rules were taken back: %v", err)
				}
				if len(f.Calls()) != 2 {
					t.Errorf("calls %v, want 2", f.Calls())
				}
			})
		})
	}
}
