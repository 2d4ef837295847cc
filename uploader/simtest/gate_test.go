package simtest_test

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/mem"
	"offsite/providers/providertest"
)

// gate holds every call to a store until the scheduler lets it go. When all
// goroutines of the bubble are blocked, the set of calls that wait depends on nothing
// but the seed; they are sorted, one is drawn, and it alone goes on.
type gate struct {
	mu     sync.Mutex // guards parked
	parked []*parked
	wake   chan struct{}
	seed   uint64
	steps  uint64
	trace  uint64 // a hash of all calls in their order
}

type parked struct {
	actor, op, key string
	pass           chan struct{}
}

func newGate(seed uint64) *gate { return &gate{wake: make(chan struct{}, 1), seed: seed} }

// enter waits for the caller's turn.
func (g *gate) enter(actor, op, key string) {
	p := &parked{actor, op, key, make(chan struct{})}
	g.mu.Lock()
	g.parked = append(g.parked, p)
	g.mu.Unlock()
	g.ring()
	<-p.pass
}

func (g *gate) ring() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// drive lets calls go until the actors have ended.
func (g *gate) drive(actors ...*actor) {
	for slices.ContainsFunc(actors, func(a *actor) bool { return !a.ended.Load() }) || g.waiting() > 0 {
		if g.waiting() == 0 {
			<-g.wake // while all wait for a timer, virtual time moves here
		}
		synctest.Wait()
		if p := g.pick(); p != nil {
			close(p.pass)
		}
	}
	synctest.Wait()
}

func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.parked)
}

func (g *gate) pick() *parked {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.parked) == 0 {
		return nil
	}
	g.steps++
	slices.SortFunc(g.parked, func(a, b *parked) int {
		return cmp.Or(cmp.Compare(a.actor, b.actor), cmp.Compare(a.op, b.op), cmp.Compare(a.key, b.key))
	})
	i := int(mix(g.seed, g.steps) % uint64(len(g.parked)))
	p := g.parked[i]
	g.parked = slices.Delete(g.parked, i, i+1)
	g.trace = mix(g.trace, text(p.actor), text(p.op), text(p.key))
	return p
}

// mix is a hash of numbers: every draw of the simulation is one of these, so that
// none depends on which goroutine asks first, or on which events were left out.
func mix(parts ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h ^= p
		h *= 0xff51afd7ed558ccd
		h ^= h >> 33
		h *= 0xc4ceb9fe1a85ec53
		h ^= h >> 29
	}
	return h
}

// text makes a number of a word, for mix.
func text(s string) (h uint64) {
	h = 14695981039346656037
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// box is one store: the model, and what the world knows of it apart from it.
type box struct {
	name      string
	kind      storeKind
	mem       *shelf
	ledger    *ledger
	down      bool      // an outage
	downUntil int       // its last day
	writes    int       // changes so far, whoever made them
	records   int       // records that went so far
	touched   []string  // keys that may have changed since the ledger looked
	managed   int       // changes up to which the lease manager has looked
	near      [3]nearby // what each PC, and whoever removes, keeps copies of
}

// wrote notes that somebody may have changed the objects at keys.
func (b *box) wrote(keys ...string) {
	b.writes += len(keys)
	b.touched = append(b.touched, keys...)
}

// lost notes that objects went, whoever removed them.
func (b *box) lost(keys ...string) {
	for _, key := range keys {
		if strings.HasPrefix(key, manifest.RecordPrefix) {
			b.records++
		}
	}
}

// nearby holds copies of small objects that never change, as the program keeps them
// on a PC.
type nearby struct {
	shelf *shelf
	mu    sync.Mutex
	docs  map[place][]byte // guarded by mu
}

type place struct {
	key     string
	version providers.Version
}

func (n *nearby) Get(key string, v providers.Version) ([]byte, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	data, ok := n.docs[place{key, v}]
	return data, ok
}

func (n *nearby) Put(key string, v providers.Version, data []byte) {
	at := place{key, v}
	data = n.shelf.one(at, data)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.docs == nil {
		n.docs = make(map[place][]byte)
	}
	n.docs[at] = data
}

// trim forgets the copies of what is gone.
func (n *nearby) trim(l *ledger) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for at := range n.docs {
		if o, ok := l.objects[at.key]; !ok || o.Version != at.version {
			delete(n.docs, at)
		}
	}
}

type storeKind uint8

const (
	native  storeKind = iota // keeps leases; a lifecycle rule removes what has lapsed
	records                  // no leases; a sweep removes what the signed records let go
	managed                  // keeps leases, but only the lease manager may raise them
)

func (k storeKind) String() string { return [...]string{"native", "records", "managed"}[k] }

// port is a store as one actor sees it during one run.
type port struct {
	box   *box
	gate  *gate
	actor *actor
	under providers.Driver // with this run's faults
}

// open returns the Store of one run of an actor. It has the abilities that the
// actor's credential has in this kind of store, and the copies that near holds.
func (b *box) open(g *gate, a *actor, near *nearby, rules ...providertest.Rule) *providers.Store {
	driver := providers.Driver(b.mem)
	if b.kind == records {
		driver = leaseless{b.mem}
	}
	if len(rules) > 0 {
		driver = providertest.NewFaulty(driver, rules...).Driver()
	}
	p := port{b, g, a, driver}
	opt := providers.Options{Seed: text(a.name), Cache: near, Near: manifest.Near}
	if b.kind == native {
		return providers.NewStore(leasingPort{p}, opt)
	}
	return providers.NewStore(p, opt)
}

// shelf is the model store, of which equal answers stand in memory once: whoever
// reads a document that was read before gets it from the same place.
type shelf struct {
	*mem.Mem
	mu   sync.Mutex
	docs map[place][]byte // guarded by mu
}

func (s *shelf) Get(ctx context.Context, key string, v providers.Version, off, n int64) ([]byte, error) {
	data, err := s.Mem.Get(ctx, key, v, off, n)
	if err != nil || off != 0 || n >= 0 || !manifest.Near(key) {
		return data, err
	}
	return s.one(place{key, v}, data), nil
}

// one returns data from the place in memory where it stands already, if it does.
func (s *shelf) one(at place, data []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.docs[at]; ok && bytes.Equal(old, data) {
		return old
	}
	if len(s.docs) > 2000 {
		clear(s.docs)
	}
	s.docs[at] = data
	return data
}

// reader is the store as somebody sees it who only reads, and waits for nobody.
func (b *box) reader() *providers.Store {
	return providers.NewStore(b.mem, providers.Options{Cache: &b.near[2], Near: manifest.Near})
}

// leaseless is the model store without leases: none is kept, none is told.
type leaseless struct{ m *shelf }

func (l leaseless) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	opt.Lease = time.Time{}
	return l.m.Put(ctx, key, data, opt)
}

func (l leaseless) Get(ctx context.Context, key string, v providers.Version, off, n int64) ([]byte, error) {
	return l.m.Get(ctx, key, v, off, n)
}

func (l leaseless) Stat(ctx context.Context, key string, v providers.Version) (providers.Object, error) {
	return l.m.Stat(ctx, key, v)
}

func (l leaseless) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return l.m.List(ctx, prefix, after)
}

func (l leaseless) Time(ctx context.Context) (time.Time, error) { return l.m.Time(ctx) }

// call makes one call when its turn has come, unless the actor is dead by then.
func (p port) call(op, key string, apply func() error) error {
	p.gate.enter(p.actor.name, op, p.box.name+" "+key)
	dead := &providers.Error{Op: op, Provider: "sim", Key: key, Kind: providers.ErrDenied}
	if p.actor.dead {
		return dead
	}
	if p.box.down {
		return &providers.Error{Op: op, Provider: "sim", Key: key, Kind: providers.ErrUnreachable}
	}
	if p.actor.before(op, key) {
		return dead
	}
	if op == "put" || op == "raise" {
		p.box.wrote(key)
	}
	err := apply()
	if p.actor.after(op, key) {
		return dead
	}
	return err
}

func (p port) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (v providers.Version, err error) {
	err = p.call("put", key, func() (err error) { v, err = p.under.Put(ctx, key, data, opt); return err })
	return v, err
}

func (p port) Get(ctx context.Context, key string, v providers.Version, off, n int64) (data []byte, err error) {
	err = p.call("get", key, func() (err error) { data, err = p.under.Get(ctx, key, v, off, n); return err })
	return data, err
}

func (p port) Stat(ctx context.Context, key string, v providers.Version) (obj providers.Object, err error) {
	err = p.call("stat", key, func() (err error) { obj, err = p.under.Stat(ctx, key, v); return err })
	return obj, err
}

func (p port) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		var objects []providers.Object
		err := p.call("list", prefix, func() error {
			for o, err := range p.under.List(ctx, prefix, after) {
				if err != nil {
					return err
				}
				objects = append(objects, o)
			}
			return nil
		})
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
		if err != nil {
			yield(providers.Object{}, err)
		}
	}
}

func (p port) Time(ctx context.Context) (now time.Time, err error) {
	err = p.call("time", "", func() (err error) { now, err = p.under.(providers.Clock).Time(ctx); return err })
	return now, err
}

type leasingPort struct{ port }

func (p leasingPort) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	return p.call("raise", key, func() error { return p.under.(providers.Leaser).Raise(ctx, key, v, until) })
}
