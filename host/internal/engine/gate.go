package engine

import (
	"context"
	"sync"
)

// A gate counts who is inside, and once closed lets nobody in. Its zero value
// is open.
type gate struct {
	mu     sync.Mutex
	closed bool
	inside int
	empty  chan struct{} // made by close, closed when the last one leaves
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// close shuts the gate and waits until nobody is inside. When ctx ends first
// the gate stays shut, and close can be called again to wait on.
func (g *gate) close(ctx context.Context, inside string) error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		g.empty = make(chan struct{})
		if g.inside == 0 {
			close(g.empty)
		}
	}
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return waitEnded(ctx, "waiting for running "+inside+" to end")
	}
}
