package replay

import (
	"sync"
	"time"
)

// tick is how far a Clock goes each time it is read.
const tick = time.Microsecond

// A Clock is the time of a call that can be made again: it goes on when it is
// read, and when the plugin sleeps, and by nothing else. It is safe for
// concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a Clock that says start when it is first read.
func NewClock(start time.Time) *Clock { return &Clock{now: start.Add(-tick)} }

// Now reads the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(tick)
	return c.now
}

// endOfTime is when a Clock doesn't go on: nanoseconds since 1970 have to fit
// into 64 bits.
var endOfTime = time.Date(2262, time.January, 1, 0, 0, 0, 0, time.UTC)

// Sleep puts the clock forward, and returns at once.
func (c *Clock) Sleep(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d = max(d, 0); d > endOfTime.Sub(c.now) {
		c.now = endOfTime
		return
	}
	c.now = c.now.Add(d)
}
