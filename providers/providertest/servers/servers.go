// Package servers installs and starts the real object stores that the tests of
// drivers talk to. A test package keeps one of each that it needs:
//
//	var gateway = servers.Shared[*servers.Gateway]{Start: servers.StartGateway}
//
//	func TestMain(m *testing.M) { os.Exit(servers.Main(m, &gateway)) }
//
//	func TestX(t *testing.T) { url := gateway.Get(t).URL ... }
//
// It promises that a server listens on the loopback alone, on a free port, that it
// is built or installed once for each user, and that it ends with the tests, by its
// process. It refuses to pass over a missing server where servers are required
// (CI=true or OFFSITE_SERVERS=require): the test then fails. Elsewhere the test is
// left out and says why.
package servers

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Log takes what an installation has to say.
type Log func(format string, args ...any)

// Shared is the one server that all tests of a package share.
type Shared[S interface{ Stop() }] struct {
	Start func(Log) (S, error)

	once   sync.Once
	server S
	err    error
}

// Get starts the server at its first call.
func (s *Shared[S]) Get(t testing.TB) S {
	t.Helper()
	s.once.Do(func() { s.server, s.err = s.Start(t.Logf) })
	if s.err != nil {
		missing(t, s.err)
	}
	return s.server
}

// Stop ends the server if it runs.
func (s *Shared[S]) Stop() {
	started := false
	s.once.Do(func() { s.err = errors.New("the tests are over") })
	started = s.err == nil
	if started {
		s.server.Stop()
	}
}

// Main runs the tests of a package and then ends its servers. It returns the exit
// code.
func Main(m *testing.M, shared ...interface{ Stop() }) int {
	code := m.Run()
	for _, s := range shared {
		s.Stop()
	}
	return code
}

// ErrElsewhere: this machine is none on which the server can be had, however hard
// one tries. Its tests are left out even where servers are required.
var ErrElsewhere = errors.New("not to be had on this machine")

// missing fails the test or leaves it out.
func missing(t testing.TB, err error) {
	t.Helper()
	required := os.Getenv("CI") == "true" || os.Getenv("OFFSITE_SERVERS") == "require"
	if required && !errors.Is(err, ErrElsewhere) {
		t.Fatalf("no server to test against: %v", err)
	}
	// To the terminal too: without -v nobody would see that something was left out.
	fmt.Fprintf(os.Stderr, "LEFT OUT %s: %v\n", t.Name(), err)
	t.Skipf("LEFT OUT, no server to test against: %v", err)
}
