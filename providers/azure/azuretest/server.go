package azuretest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// AzuriteVersion is the release of the real server that tests run against.
const AzuriteVersion = "3.37.0"

const (
	lockPoll  = 100 * time.Millisecond // between two looks whether another process has installed it
	stopGrace = 5 * time.Second        // for the process to end after it was killed
	saidMost  = 2000                   // bytes of npm's output that an error repeats
)

// boot runs the server until its standard input ends: it must not outlive a test
// that was killed.
const boot = `process.stdin.on("end", () => process.exit(1)).resume(); require(process.argv[1])`

// Server is one Azurite process on the loopback with one account.
type Server struct {
	URL     string // http://127.0.0.1:PORT/ACCOUNT
	Account string
	Key     string // base64

	cancel context.CancelFunc
	ended  chan struct{}
}

// Start runs Azurite, which keeps everything in memory, in the folder data and waits
// until it listens. Where it is missing below cache it is installed there first, by
// npm. Until it listens it ends with ctx; then with Stop, or with this process.
func Start(ctx context.Context, cache, data string) (*Server, error) {
	program, err := install(ctx, cache)
	if err != nil {
		return nil, fmt.Errorf("install Azurite %s: %w", AzuriteVersion, err)
	}
	sum := sha256.Sum256([]byte(data)) // an account of its own: a wrong server refuses
	s := &Server{Account: "offsitetest", Key: base64.StdEncoding.EncodeToString(sum[:]), ended: make(chan struct{})}
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	cmd := exec.CommandContext(runCtx, "node", "-e", boot, "--", program, "--blobHost", "127.0.0.1", "--blobPort", "0",
		"--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
	cmd.Env = append(cmd.Environ(), "AZURITE_ACCOUNTS="+s.Account+":"+s.Key)
	cmd.WaitDelay = stopGrace
	cmd.Dir = data
	out, err := cmd.StdoutPipe()
	if err == nil {
		_, err = cmd.StdinPipe() // held open as long as this process lives
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start Azurite: %w", err)
	}
	stop := context.AfterFunc(ctx, cancel) // until it listens
	address, said := listening(out)
	go func() {
		defer close(s.ended)
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}()
	if !stop() || address == "" {
		s.Stop()
		return nil, errors.Join(fmt.Errorf("start Azurite: it does not listen: %q", said), ctx.Err())
	}
	s.URL = address + "/" + s.Account
	return s, nil
}

// listening reads what the server says until it names its address.
func listening(out io.Reader) (address, said string) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, address, ok := strings.Cut(lines.Text(), "successfully listens on "); ok {
			return strings.TrimSpace(address), ""
		}
		said = lines.Text()
	}
	return "", said
}

// Stop ends the process and waits for it.
func (s *Server) Stop() {
	s.cancel()
	<-s.ended
}

// install makes sure that the server is there, and returns its program.
func install(ctx context.Context, cache string) (string, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return "", errors.New("there is no node on this machine")
	}
	dir := filepath.Join(cache, "azurite-"+AzuriteVersion)
	program := filepath.Join(dir, "node_modules", "azurite", "dist", "src", "blob", "main.js")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	lock := flock.New(dir + ".lock")
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return "", err
	}
	defer lock.Unlock()
	if _, err := os.Stat(program); err == nil {
		return program, nil // another process was first
	}
	temp, err := os.MkdirTemp(cache, "azurite-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", temp, "--no-audit", "--no-fund", "--no-save",
		"--ignore-scripts", "--loglevel=error", "azurite@"+AzuriteVersion)
	cmd.Dir = temp
	cmd.WaitDelay = stopGrace
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install: %w: %.*s", err, saidMost, said)
	}
	return program, os.Rename(temp, dir)
}
