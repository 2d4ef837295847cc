package providertest

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Fault is what a line does to one connection.
type Fault string

const (
	FaultNone      Fault = "none"
	FaultRefused   Fault = "refused"     // closed before a byte is taken
	FaultSlow      Fault = "slow accept" // nothing happens for Pause, then all is well
	FaultCut       Fault = "cut"         // closed after Bytes of the request
	FaultReset     Fault = "reset"       // reset after Bytes of the request
	FaultNoAnswer  Fault = "no answer"   // the request arrives; the answer never does, the line ends
	FaultAnswerCut Fault = "answer cut"  // closed after Bytes of the answer
	FaultHalf      Fault = "half closed" // no more of the answer after Bytes, but the line stays open
	FaultStall     Fault = "stall"       // after Bytes of the request everything stands for Pause
	FaultTrickle   Fault = "trickle"     // the answer comes in sips of Bytes, with a pause between them
)

// Faults returns all of them but FaultNone.
func Faults() []Fault {
	return []Fault{FaultRefused, FaultSlow, FaultCut, FaultReset, FaultNoAnswer, FaultAnswerCut, FaultHalf, FaultStall, FaultTrickle}
}

// Proxy is a bad line to a real server, byte for byte, so that any protocol passes
// through it. Give a driver its URL instead of the server's, with short time limits:
//
//	line := providertest.NewProxy(t, "127.0.0.1:9000")
//	line.Set(providertest.Draw(seed, 30))           // 30 of 100 connections go wrong
//	driver := open(t, Config{Endpoint: "http://" + line.Address(), ...})
//	store := providers.NewStore(driver, providers.Options{Timeout: time.Second / 4, ...})
//	... work, then line.Set(nil) and look what is stored.
//
// A fault meets a connection, not a request: a client that keeps its connections
// meets few. Close ends those under way, so that the next request meets a new one.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	plan  func(n int) Plan
	n     int
	met   map[Fault]int
	conns map[net.Conn]bool
	done  chan struct{}
	wg    sync.WaitGroup
}

// Plan says what happens to a connection.
type Plan struct {
	Fault Fault
	Bytes int64         // where it happens
	Pause time.Duration // how long it lasts
}

// Sip is how much a trickling line lets pass at once where Plan.Bytes is zero, and
// longestPause how long a drawn plan stands still: time enough to run into the
// limits of a test.
const (
	sip          = 64
	longestPause = 300 * time.Millisecond
)

// NewProxy listens on the loopback before target, "host:port", until the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, met: map[Fault]int{}, conns: map[net.Conn]bool{}, done: make(chan struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		close(p.done)
		l.Close()
		p.Close()
		p.wg.Wait()
	})
	return p
}

// Address is where it listens, "127.0.0.1:port".
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Set says what happens to connections from now on; n counts them from 0. Nil:
// nothing.
func (p *Proxy) Set(plan func(n int) Plan) {
	p.mu.Lock()
	p.plan, p.n = plan, 0
	p.mu.Unlock()
}

// Met counts the faults that connections have met.
func (p *Proxy) Met() map[Fault]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[Fault]int{}
	for f, n := range p.met {
		out[f] += n
	}
	return out
}

// Close cuts every connection under way.
func (p *Proxy) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Draw makes plans for percent of 100 connections, always the same for a seed and
// the number of the connection.
func Draw(seed uint64, percent int) func(n int) Plan {
	return func(n int) Plan {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		if r.IntN(100) >= percent {
			return Plan{Fault: FaultNone}
		}
		all := Faults()
		plan := Plan{Fault: all[r.IntN(len(all))], Bytes: r.Int64N(3000), Pause: time.Duration(r.Int64N(int64(longestPause)))}
		if plan.Fault == FaultTrickle {
			plan.Bytes, plan.Pause = sip, 2*time.Millisecond // 32 KB/s; a sixth of a second for 5 KB
		}
		return plan
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		plan := Plan{Fault: FaultNone}
		if p.plan != nil {
			plan = p.plan(p.n)
		}
		p.n++
		p.met[plan.Fault]++
		p.conns[client] = true
		p.mu.Unlock()
		p.wg.Go(func() {
			defer p.forget(client)
			p.serve(client, plan)
		})
	}
}

func (p *Proxy) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

func (p *Proxy) serve(client net.Conn, plan Plan) {
	switch plan.Fault {
	case FaultRefused:
		return
	case FaultSlow:
		p.pause(plan.Pause)
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.conns[server] = true
	p.mu.Unlock()
	defer p.forget(server)
	gone := make(chan struct{}) // the client has nothing more to say
	go func() {
		defer close(gone)
		p.request(client, server, plan)
		if tcp, ok := server.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	}()
	p.answer(client, server, plan)
	if plan.Fault == FaultHalf {
		<-gone // until the client gives up
	}
	client.Close() // the request ends with the answer
	<-gone
}

// request carries what the client says.
func (p *Proxy) request(client, server net.Conn, plan Plan) {
	switch plan.Fault {
	case FaultCut, FaultReset, FaultStall:
		if _, err := io.CopyN(server, client, plan.Bytes); err != nil {
			return
		}
	}
	switch plan.Fault {
	case FaultReset:
		if tcp, ok := client.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		fallthrough
	case FaultCut:
		client.Close()
		return
	case FaultStall:
		p.pause(plan.Pause)
	}
	_, _ = io.Copy(server, client)
}

// answer carries what the server says.
func (p *Proxy) answer(client, server net.Conn, plan Plan) {
	switch plan.Fault {
	case FaultNoAnswer:
		_, _ = io.CopyN(io.Discard, server, 1) // it has answered, so the request was done
	case FaultAnswerCut:
		_, _ = io.CopyN(client, server, plan.Bytes%400+1) // answers are short
	case FaultHalf:
		_, _ = io.CopyN(client, server, plan.Bytes%400+1)
	case FaultTrickle:
		for {
			if _, err := io.CopyN(client, server, max(plan.Bytes, 1)); err != nil || !p.pause(plan.Pause) {
				return
			}
		}
	default:
		_, _ = io.Copy(client, server)
	}
}

// pause waits, unless the test is over.
func (p *Proxy) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.done:
		return false
	}
}
