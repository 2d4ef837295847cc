package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

const (
	startLimit = 3 * time.Minute // on a busy machine; one that ends is noticed at once
	pollEvery  = 20 * time.Millisecond
	stopGrace  = 5 * time.Second // for its output to end after it was killed
	saidMost   = 2000            // bytes of what a server said that an error repeats
)

// Process is one running program.
type Process struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of its end; read after ended is closed
	said   tail
}

// Run starts a program and returns when ready says so. On Linux it ends at the
// latest with this process, however that ends.
func Run(ready func() bool, dir, program string, args ...string) (*Process, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Process{cancel: cancel, ended: make(chan struct{})}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, &p.said, &p.said, stopGrace
	endWithUs(cmd)
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	if err := p.await(ready); err != nil {
		p.Stop()
		return nil, fmt.Errorf("start %s: %w: %s", program, err, p.said.text())
	}
	return p, nil
}

func (p *Process) await(ready func() bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for {
		select {
		case <-p.ended:
			return fmt.Errorf("it ended: %w", p.err)
		case <-limit.C:
			return errors.New("it does not answer")
		case <-tick.C:
			if ready() {
				select {
				case <-p.ended: // somebody else answers in its place
					return fmt.Errorf("it ended: %w", p.err)
				default:
					return nil
				}
			}
		}
	}
}

// tries and betweenTries are for downloads, which break off.
const (
	tries        = 3
	betweenTries = 10 * time.Second
)

// again does something a few times until it succeeds, and for as long as ctx allows
// where it waits for somebody else.
func again(ctx context.Context, log Log, do func() (waits bool, err error)) error {
	for n := 1; ; n++ {
		waits, err := do()
		if err == nil || n >= tries && !waits || ctx.Err() != nil {
			return err
		}
		log("once more in %v: %v", betweenTries, err)
		t := time.NewTimer(betweenTries)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// Stop ends the process and waits for it.
func (p *Process) Stop() {
	p.cancel()
	<-p.ended
}

// tail keeps the end of what a program says.
type tail struct {
	mu  sync.Mutex
	end []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = append(t.end, b...)
	t.end = t.end[max(0, len(t.end)-saidMost):]
	return len(b), nil
}

func (t *tail) text() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.TrimSpace(t.end)
}

// freeAddress is an address of the loopback that nobody uses now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// onFreePort tries start on a few addresses: one that was free a moment ago may be
// taken.
func onFreePort[S any](start func(address string) (S, error)) (s S, err error) {
	for range 3 {
		var address string
		if address, err = freeAddress(); err != nil {
			return s, err
		}
		if s, err = start(address); err == nil {
			return s, nil
		}
	}
	return s, err
}

// inFolder is onFreePort with a folder of its own that goes where start fails.
func inFolder[S any](start func(address, folder string) (S, error)) (S, error) {
	return onFreePort(func(address string) (s S, err error) {
		folder, err := os.MkdirTemp("", "offsite-server-")
		if err != nil {
			return s, err
		}
		if s, err = start(address, folder); err != nil {
			_ = os.RemoveAll(folder)
		}
		return s, err
	})
}
