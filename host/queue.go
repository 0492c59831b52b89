package host

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// A queue lets calls in, so many at once, in the order in which they came.
// Calls with the same key, "" apart, follow one another; others overtake those
// that wait for one of their own. It is safe for concurrent use.
type queue struct {
	owner   string // whose calls they are, for messages: "plugin python"
	limited bool   // by limits that the operator can raise for a plugin

	mu      sync.Mutex
	places  int
	bound   int // of those who wait
	taken   int
	keys    map[string]bool // of the calls that are in
	waiting []waiter        // nobody in it could go in at once
	mean    time.Duration   // of what calls took lately
}

type waiter struct {
	key  string
	turn chan struct{} // closed when it is in
}

func newQueue(owner string, limited bool) *queue {
	return &queue{owner: owner, limited: limited, keys: map[string]bool{}}
}

// resize sets how many calls are in at once, and how many more wait. What is
// in or waits already stays.
func (q *queue) resize(places, bound int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.places, q.bound = places, bound
	q.letIn()
}

// enter waits for a place, until ctx ends or patience does, which began when
// the call was asked for; leave gives it back. The error is resource_exhausted and retryable where too many wait or
// the wait was too long, and the cause of ctx where that ended.
func (q *queue) enter(ctx context.Context, key string, asked time.Time, patience time.Duration) (leave func(), err error) {
	q.mu.Lock()
	if q.free(key) {
		defer q.mu.Unlock()
		q.take(key)
		return q.leave(key), nil
	}
	if len(q.waiting) >= q.bound {
		defer q.mu.Unlock()
		return nil, q.refusal("queue", fmt.Sprintf("and %d more wait already", q.bound))
	}
	w := waiter{key, make(chan struct{})}
	q.waiting = append(q.waiting, w)
	q.mu.Unlock()

	timeout := time.NewTimer(time.Until(asked.Add(patience)))
	defer timeout.Stop()
	select {
	case <-w.turn:
		return q.leave(key), nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timeout.C:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, w)
	if i < 0 { // the turn came at the same moment
		if err == nil {
			return q.leave(key), nil
		}
		q.giveBack(key)
		return nil, err
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	if err == nil {
		err = q.refusal("concurrent", fmt.Sprintf("and its turn didn't come in %v", patience))
	}
	return nil, err
}

// try takes a place that is free now: for calls that hold a place themselves,
// of which no chain may wait for its own end.
func (q *queue) try(key string) (leave func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.free(key) {
		return nil, q.refusal("concurrent", "and a call that another plugin makes doesn't wait")
	}
	q.take(key)
	return q.leave(key), nil
}

// counts returns how many calls are in, and how many wait.
func (q *queue) counts() (running, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken, len(q.waiting)
}

// What is below needs the lock.

func (q *queue) free(key string) bool {
	return q.taken < q.places && (key == "" || !q.keys[key])
}

func (q *queue) take(key string) {
	q.taken++
	if key != "" {
		q.keys[key] = true
	}
}

// leave returns the function that gives back a place that was taken. It needs
// no lock, and the function takes it.
func (q *queue) leave(key string) func() {
	began := time.Now()
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		took := time.Since(began)
		if q.mean == 0 {
			q.mean = took
		}
		q.mean += (took - q.mean) / 8
		q.giveBack(key)
	}
}

func (q *queue) giveBack(key string) {
	q.taken--
	delete(q.keys, key)
	q.letIn()
}

// letIn lets in whoever can be, the first first.
func (q *queue) letIn() {
	for i := 0; i < len(q.waiting) && q.taken < q.places; {
		w := q.waiting[i]
		if !q.free(w.key) {
			i++
			continue
		}
		q.take(w.key)
		close(w.turn)
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
}

// Bounds of what a refusal asks for as the time to come again.
const (
	minRetry = time.Second
	maxRetry = time.Minute
)

// refusal is the error of a call that can't go in. When to come again is
// guessed from how long calls took lately.
func (q *queue) refusal(limit, why string) error {
	retry := q.mean * time.Duration(len(q.waiting)+1) / time.Duration(max(q.places, 1))
	retry = min(max(retry, minRetry), maxRetry).Round(time.Second)
	busy := fmt.Sprintf("%d of %d calls under way", q.taken, q.places)
	if limit == "concurrent" && q.taken < q.places { // more places wouldn't help
		limit, busy = "", "a call of this session under way"
	}
	e := abi.Errorf(abi.CodeResourceExhausted, "%s has %s, %s", q.owner, busy, why).WithHint("try again in %v", retry)
	switch {
	case !q.limited:
	case limit == "queue":
		e.Hint += ", or " + raise("concurrent", "queue")
	case limit == "concurrent":
		e.Hint += ", or " + raise(limit)
	}
	e.Limit, e.Retryable, e.RetryAfterMS = limit, true, retry.Milliseconds()
	return e
}
