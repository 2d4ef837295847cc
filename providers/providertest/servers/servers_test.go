package servers_test

import (
	"errors"
	"strings"
	"testing"

	"offsite/providers/providertest/servers"
)

type counted struct{ stopped *int }

func (c counted) Stop() { *c.stopped++ }

func TestOneServerForAllTests(t *testing.T) {
	started, stopped := 0, 0
	s := servers.Shared[counted]{Start: func(servers.Log) (counted, error) { started++; return counted{&stopped}, nil }}
	if a, b := s.Get(t), s.Get(t); a != b || started != 1 {
		t.Errorf("started %d times", started)
	}
	s.Stop()
	if stopped != 1 {
		t.Errorf("stopped %d times", stopped)
	}
	unused := servers.Shared[counted]{Start: s.Start}
	unused.Stop()
	if started != 1 || stopped != 1 {
		t.Errorf("a server that nobody asked for was started %d and stopped %d times", started-1, stopped-1)
	}
}

// A test without its server fails where servers are required, unless the machine
// cannot have it; elsewhere it is left out.
func TestMissingServers(t *testing.T) {
	broken, elsewhere := errors.New("no network"), servers.ErrElsewhere
	for _, c := range []struct {
		ci, require string
		err         error
		fails       bool
	}{
		{"", "", broken, false}, {"", "", elsewhere, false},
		{"true", "", broken, true}, {"true", "", elsewhere, false},
		{"", "require", broken, true},
	} {
		t.Setenv("CI", c.ci)
		t.Setenv("OFFSITE_SERVERS", c.require)
		s := servers.Shared[counted]{Start: func(servers.Log) (counted, error) { return counted{}, c.err }}
		r := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }()
			s.Get(r)
			t.Error("the test goes on without its server")
		}()
		if r.failed != c.fails || r.failed == r.skipped {
			t.Errorf("%+v: failed %v, skipped %v", c, r.failed, r.skipped)
		}
	}
}

// recorder is a test that ends by panic instead of ending its goroutine.
type recorder struct {
	testing.TB
	failed, skipped bool
}

func (r *recorder) Fatalf(string, ...any) { r.failed = true; panic("over") }
func (r *recorder) Skipf(string, ...any)  { r.skipped = true; panic("over") }

func TestProgramsThatEndSayWhy(t *testing.T) {
	_, err := servers.Run(func() bool { return false }, t.TempDir(), "go", "no-such-command")
	if err == nil || !strings.Contains(err.Error(), "no-such-command: unknown command") {
		t.Errorf("got %v", err)
	}
	if _, err := servers.Run(func() bool { return true }, t.TempDir(), "no-such-program-at-all"); err == nil {
		t.Error("a program that is not there was started")
	}
}
