package gcs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// The server these tests talk to, as its maintainers released it.
const (
	serverModule  = "github.com/fsouza/fake-gcs-server"
	serverVersion = "v1.56.1"
)

const (
	installLimit = 9 * time.Minute // a cold build on two busy cores takes three
	startLimit   = 20 * time.Second
	pollEvery    = 20 * time.Millisecond
)

func TestMain(m *testing.M) {
	code := m.Run()
	running.stop()
	os.Exit(code)
}

// server is the one process that all tests of this package share.
type server struct {
	once   sync.Once
	url    string
	err    error
	cancel context.CancelFunc
	done   chan error
}

var (
	running   server
	bucketSeq atomic.Int64
)

// serverURL starts the real server, installing it first where it is missing. If
// that is impossible the test fails where servers are required (CI=true or
// OFFSITE_SERVERS=require), and else is left out with the reason.
func serverURL(t *testing.T) string {
	t.Helper()
	running.once.Do(func() { running.url, running.err = running.start(t.Logf) })
	if running.err != nil {
		if os.Getenv("CI") == "true" || os.Getenv("OFFSITE_SERVERS") == "require" {
			t.Fatalf("no server to test against: %v", running.err)
		}
		t.Skipf("LEFT OUT, no server to test against: %v", running.err)
	}
	return running.url
}

func (s *server) start(logf func(string, ...any)) (string, error) {
	binary, err := installServer(logf)
	if err != nil {
		return "", err
	}
	for range 3 { // the port may be taken between choosing and using it
		var url string
		if url, err = s.try(binary); err == nil {
			return url, nil
		}
	}
	return "", err
}

// try starts the process on a free port and waits until it answers.
func (s *server) try(binary string) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "-scheme", "http", "-host", "127.0.0.1", "-port", fmt.Sprint(port),
		"-external-url", url, "-backend", "memory", "-log-level", "error")
	if err := cmd.Start(); err != nil {
		cancel()
		return "", err
	}
	s.cancel, s.done = cancel, make(chan error, 1)
	go func() { s.done <- cmd.Wait() }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for {
		select {
		case err := <-s.done:
			s.cancel = nil
			cancel()
			return "", fmt.Errorf("server ended at once: %w", err)
		case <-limit.C:
			s.stop()
			return "", errors.New("server does not answer")
		case <-tick.C:
			res, err := http.Get(url + "/_internal/healthcheck")
			if err != nil {
				continue
			}
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return url, nil
			}
		}
	}
}

// stop ends the process that start made.
func (s *server) stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.done
	s.cancel = nil
}

// installServer builds the server into the cache of this user, once.
func installServer(logf func(string, ...any)) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "offsite-test-servers", "fake-gcs-server-"+serverVersion)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "fake-gcs-server")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer lock.Unlock()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	logf("installing %s@%s, once; this takes some minutes", serverModule, serverVersion)
	ctx, cancel := context.WithTimeout(context.Background(), installLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", serverModule+"@"+serverVersion)
	cmd.Dir = dir // outside any module
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return "", fmt.Errorf("go install %s@%s: %w: %s", serverModule, serverVersion, err, lines[len(lines)-1])
	}
	return binary, nil
}

// newBucket makes a bucket of its own and returns its name.
func newBucket(t *testing.T, url string) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", bucketSeq.Add(1))
	res, err := http.Post(url+"/storage/v1/b?project=test", "application/json", strings.NewReader(`{"name":"`+name+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("make bucket: status %d", res.StatusCode)
	}
	return name
}
