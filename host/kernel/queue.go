package kernel

import (
	"context"
	"slices"
	"sync"

	"github.com/sallyport-dev/sallyport/abi"
)

// A queue gives turns in the order in which they were asked for.
type queue struct {
	bound int // of those who wait

	mu      sync.Mutex
	taken   bool
	waiting []chan struct{}
}

// enter waits for a turn; leave ends it. When ctx ends first, its cause is
// returned and the place in the queue is given up.
func (q *queue) enter(ctx context.Context) error {
	q.mu.Lock()
	if err := context.Cause(ctx); err != nil {
		q.mu.Unlock()
		return err
	}
	if !q.taken {
		q.taken = true
		q.mu.Unlock()
		return nil
	}
	if len(q.waiting) >= q.bound {
		q.mu.Unlock()
		e := abi.Errorf(abi.CodeResourceExhausted, "%d executions are waiting for this kernel already", q.bound)
		e.Retryable = true
		return e.WithHint("wait for some to end, or interrupt the one that runs")
	}
	turn := make(chan struct{})
	q.waiting = append(q.waiting, turn)
	q.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	at := slices.Index(q.waiting, turn)
	if at >= 0 {
		q.waiting = slices.Delete(q.waiting, at, at+1)
	}
	q.mu.Unlock()
	if at < 0 { // the turn came at the same moment
		q.leave()
	}
	return context.Cause(ctx)
}

func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.taken = false
		return
	}
	close(q.waiting[0])
	q.waiting = q.waiting[1:]
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
