package providers

import (
	"context"
	"net"
	"sync"
	"time"
)

// idleLimit is how long a connection may carry nothing in either direction before
// it is given up. A line that went away without a word, as behind a router that was
// restarted, would otherwise hold a request until its time limit, which counts in
// the minutes that a large object takes on a slow line.
const idleLimit = 90 * time.Second

// Dial is how drivers connect: by d, each connection wrapped by wrap unless that is
// nil, and given up when nothing has moved on it for a while.
func Dial(d *net.Dialer, wrap func(net.Conn) net.Conn) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c = Watched(c, idleLimit)
		if wrap != nil {
			c = wrap(c)
		}
		return c, nil
	}
}

// Watched closes c when no byte has moved on it, in either direction, for idle.
func Watched(c net.Conn, idle time.Duration) net.Conn {
	w := &watched{Conn: c, idle: idle}
	w.timer = time.AfterFunc(idle, w.giveUp)
	return w
}

// watched is a connection with a timer that every byte winds up. One timer serves
// both directions: while a body is sent, the reader of the answer waits in vain.
type watched struct {
	net.Conn
	idle  time.Duration
	timer *time.Timer

	mu    sync.Mutex
	stale bool
}

// errStale is what a reader or writer is told.
type errStale struct{ idle time.Duration }

func (e errStale) Error() string   { return "nothing moved on the line for " + e.idle.String() }
func (e errStale) Timeout() bool   { return true }
func (e errStale) Temporary() bool { return true }

func (w *watched) giveUp() {
	w.mu.Lock()
	w.stale = true
	w.mu.Unlock()
	_ = w.Conn.Close()
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	return n, w.moved(n, err)
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	return n, w.moved(n, err)
}

func (w *watched) moved(n int, err error) error {
	if n > 0 && err == nil {
		w.timer.Reset(w.idle)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.stale {
		return errStale{w.idle}
	}
	return err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return w.Conn.Close()
}
