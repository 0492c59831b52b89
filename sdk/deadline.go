package sdk

import (
	"context"
	"sync"
	"time"
)

// A deadlined context ends at a time, as one of context.WithDeadline does, and
// makes the timer for it only when somebody waits: most calls are over before
// anyone asks, and a timer is a good part of what a short one would cost.
type deadlined struct {
	context.Context
	end time.Time

	mu     sync.Mutex
	timed  context.Context // the real one, once it is needed
	cancel context.CancelFunc
	ended  bool
}

func (c *deadlined) Deadline() (time.Time, bool) {
	if end, ok := c.Context.Deadline(); ok && end.Before(c.end) {
		return end, true
	}
	return c.end, true
}

func (c *deadlined) Done() <-chan struct{} { return c.real().Done() }

func (c *deadlined) Err() error {
	c.mu.Lock()
	timed, ended := c.timed, c.ended
	c.mu.Unlock()
	switch {
	case timed != nil:
		return timed.Err()
	case ended:
		return context.Canceled
	case c.Context.Err() != nil:
		return c.Context.Err()
	case !time.Now().Before(c.end):
		return c.real().Err()
	}
	return nil
}

// Value asks the real context once there is one, so that contexts derived from
// it find it and need no goroutine to learn of its end.
func (c *deadlined) Value(key any) any {
	c.mu.Lock()
	timed := c.timed
	c.mu.Unlock()
	if timed != nil {
		return timed.Value(key)
	}
	return c.Context.Value(key)
}

func (c *deadlined) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.Context, c.end)
		if c.ended {
			c.cancel()
		}
	}
	return c.timed
}

// stop ends the context.
func (c *deadlined) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.timed != nil {
		c.cancel()
	}
}
