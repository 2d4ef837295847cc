package uploader

import "sync"

// group runs functions with a limit on how many at a time, and keeps the first
// error; after one, those not yet begun are left out.
type group struct {
	wg    sync.WaitGroup
	slots chan struct{}
	mu    sync.Mutex // guards err
	err   error
}

func (g *group) limit(n int) { g.slots = make(chan struct{}, n) }

func (g *group) run(f func() error) {
	if g.first() != nil {
		return
	}
	if g.slots != nil {
		g.slots <- struct{}{}
	}
	g.wg.Go(func() {
		if g.slots != nil {
			defer func() { <-g.slots }()
		}
		if err := f(); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.err == nil {
				g.err = err
			}
		}
	})
}

func (g *group) first() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *group) wait() error {
	g.wg.Wait()
	return g.first()
}
