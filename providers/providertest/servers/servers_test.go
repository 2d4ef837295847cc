package servers_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

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

// onlyProgram leaves one program to this process, a shell script that counts in n how
// often it was called, and gives it a cache of its own. It returns how often.
func onlyProgram(t *testing.T, name, script string) (calls func() int) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	head := `#!/bin/sh
echo called >>"$0.calls"
n=0
while read -r called; do n=$((n + 1)); done <"$0.calls"
`
	if err := os.WriteFile(filepath.Join(dir, name), []byte(head+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return func() int {
		said, _ := os.ReadFile(filepath.Join(dir, name+".calls"))
		return strings.Count(string(said), "called")
	}
}

// A download that breaks off is begun again, but not for ever.
func TestABuildThatBreaksOffIsRepeated(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("there is no shell")
	}
	for _, c := range []struct {
		name, script string
		want         int
		fails        bool
	}{
		{"it broke off twice", `[ $n -gt 2 ] && echo x >"$GOBIN/server" && exit 0; echo broken off >&2; exit 1`, 3, false},
		{"there is no network", `echo no network >&2; exit 1`, 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := onlyProgram(t, "go", c.script)
			synctest.Test(t, func(t *testing.T) {
				binary, err := servers.Module{Package: "example.test/server", Version: "v1.0.0", Name: "server"}.Install(t.Logf)
				if _, missing := os.Stat(binary); (err != nil) != c.fails || (missing != nil) != c.fails || calls() != c.want {
					t.Errorf("%q after %d calls: %v", binary, calls(), err)
				}
			})
		})
	}
}

// For the lock of its lists of packages apt-get does not wait by itself.
func TestAptThatSomebodyElseUsesIsWaitedFor(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may install")
	}
	calls := onlyProgram(t, "apt-get", `[ $n -gt 7 ] && exit 0; echo "E: Could not get lock /var/lib/apt/lists/lock." >&2; exit 100`)
	synctest.Test(t, func(t *testing.T) {
		_, err := servers.StartCeph(t.Logf)
		// What it says it has installed is still not there.
		if err == nil || !strings.Contains(err.Error(), "ceph-authtool") || calls() != 9 {
			t.Errorf("after %d calls: %v", calls(), err)
		}
	})
}
