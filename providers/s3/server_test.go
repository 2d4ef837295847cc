package s3_test

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
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// The gateway is a maintained S3 server over a folder, with versions and Object
// Lock in both modes.
const (
	gatewayPackage = "github.com/versity/versitygw/cmd/versitygw"
	gatewayVersion = "v1.8.0"
	accessKey      = "offsite-test"
	secretKey      = "no secret at all"

	installLimit = 9 * time.Minute // a cold build on two busy cores takes five
	startLimit   = 30 * time.Second
	pollEvery    = 20 * time.Millisecond
)

var gateway process

func TestMain(m *testing.M) {
	code := m.Run()
	gateway.stop()
	os.Exit(code)
}

// process is the one server that all tests of this package share.
type process struct {
	once   sync.Once
	url    string
	err    error
	folder string
	cancel context.CancelFunc
	ended  chan error
}

// gatewayURL starts the gateway, and builds it first where it is missing. Where
// that cannot be done the test fails if servers are required (CI=true or
// OFFSITE_SERVERS=require); else it is left out, and says why.
func gatewayURL(t *testing.T) string {
	t.Helper()
	gateway.once.Do(func() { gateway.url, gateway.err = gateway.start(t.Logf) })
	if gateway.err != nil {
		if os.Getenv("CI") == "true" || os.Getenv("OFFSITE_SERVERS") == "require" {
			t.Fatalf("no S3 server to test against: %v", gateway.err)
		}
		t.Skipf("LEFT OUT, no S3 server to test against: %v", gateway.err)
	}
	return gateway.url
}

func (p *process) start(logf func(string, ...any)) (string, error) {
	binary, err := install(logf)
	if err != nil {
		return "", err
	}
	for range 3 { // the free port may be taken before it is used
		var url string
		if url, err = p.try(binary); err == nil {
			return url, nil
		}
	}
	return "", err
}

func (p *process) try(binary string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := l.Addr().String()
	l.Close()
	if p.folder, err = os.MkdirTemp("", "offsite-s3-"); err != nil {
		return "", err
	}
	for _, sub := range []string{"data", "versions", "users"} {
		if err := os.Mkdir(filepath.Join(p.folder, sub), 0o700); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "--port", address, "--access", accessKey, "--secret", secretKey, "--quiet", "--keep-alive",
		"--iam-dir", filepath.Join(p.folder, "users"), "posix", "--versioning-dir", filepath.Join(p.folder, "versions"), filepath.Join(p.folder, "data"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		cancel()
		return "", err
	}
	p.cancel, p.ended = cancel, make(chan error, 1)
	go func() { p.ended <- cmd.Wait() }()
	url := "http://" + address
	if err := p.await(url); err != nil {
		p.stop() // the process has ended, so that what it said can be read
		return "", fmt.Errorf("start %s: %w: %s", gatewayPackage, err, bytes.TrimSpace(said.Bytes()))
	}
	return url, nil
}

// await returns when the server answers.
func (p *process) await(url string) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for {
		select {
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("server ended: %w", err)
		case <-limit.C:
			return errors.New("server does not answer")
		case <-tick.C:
			if res, err := http.Get(url); err == nil {
				res.Body.Close()
				return nil
			}
		}
	}
}

// stop ends the process that try made and removes its folder.
func (p *process) stop() {
	if p.cancel != nil {
		p.cancel()
		<-p.ended
		p.cancel = nil
	}
	if p.folder != "" {
		_ = os.RemoveAll(p.folder)
		p.folder = ""
	}
}

// install builds the gateway once, into the cache folder of this user.
func install(logf func(string, ...any)) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, "offsite-test-servers", "versitygw-"+gatewayVersion)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), installLimit)
	defer cancel()
	lock := flock.New(filepath.Join(folder, ".lock"))
	if _, err := lock.TryLockContext(ctx, time.Second); err != nil {
		return "", fmt.Errorf("wait for another installation: %w", err)
	}
	defer lock.Close()
	file := "versitygw"
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	binary := filepath.Join(folder, file)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	logf("building %s@%s, once for this user", gatewayPackage, gatewayVersion)
	fresh, err := os.MkdirTemp(folder, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	cmd := exec.CommandContext(ctx, "go", "install", gatewayPackage+"@"+gatewayVersion)
	cmd.Dir = fresh // outside this module
	cmd.Env = append(os.Environ(), "GOBIN="+fresh, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s@%s: %w: %s", gatewayPackage, gatewayVersion, err, lastLines(out))
	}
	return binary, os.Rename(filepath.Join(fresh, file), binary)
}

func lastLines(out []byte) []byte {
	const most = 600
	out = bytes.TrimSpace(out)
	return out[max(0, len(out)-most):]
}
