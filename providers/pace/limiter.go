package pace

import (
	"net"
	"sync"
	"time"
)

const (
	// piece is how much is written at a time. At the slowest rate it takes half a
	// second, so that other programs' packets come in between.
	piece = 8 << 10
	// ahead is how far the account may be overdrawn before a writer waits: it keeps
	// timers, which are coarse on Windows, from making the line slower than it may be.
	ahead = 50 * time.Millisecond
	// unused is how much of the time in which nothing was sent may be made up for.
	unused = 200 * time.Millisecond
)

// Limiter slows down all connections that go through it. Safe for concurrent use.
type Limiter struct {
	rate func(time.Time) int64
	now  func() time.Time

	mu   sync.Mutex
	next time.Time // when all that was written so far is paid for
}

// NewLimiter makes a Limiter. rate tells how many bytes a second may be sent at a
// time of the clock now.
func NewLimiter(rate func(time.Time) int64, now func() time.Time) *Limiter {
	return &Limiter{rate: rate, now: now}
}

// Conn returns c, slowed down.
func (l *Limiter) Conn(c net.Conn) net.Conn {
	return &conn{Conn: c, limiter: l, closed: make(chan struct{})}
}

// book puts n bytes on the account and returns how long to wait before they are
// written.
func (l *Limiter) book(n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	rate := l.rate(now)
	if rate == Unlimited {
		l.next = time.Time{}
		return 0
	}
	// A clock that was set back must not make anybody wait for it.
	if l.next.Before(now.Add(-unused)) || l.next.After(now.Add(time.Hour)) {
		l.next = now.Add(-unused)
	}
	wait := l.next.Sub(now)
	l.next = l.next.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return wait
}

// conn is a connection whose writes wait for their turn.
type conn struct {
	net.Conn
	limiter *Limiter
	once    sync.Once
	closed  chan struct{}
}

func (c *conn) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		n := min(len(b), piece)
		if wait := c.limiter.book(n); wait > ahead {
			if !c.pause(wait) {
				return written, net.ErrClosed
			}
		}
		n, err = c.Conn.Write(b[:n])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
	}
	return written, nil
}

func (c *conn) pause(wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.closed:
		return false
	}
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
