package bridge

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// firstTime is how long a fetch waits for more of a body that isn't whole yet.
const firstTime = 500 * time.Millisecond

// A body is what comes of a response. Some of it is read ahead, so that a read
// that is cancelled loses nothing and a slow body can be read as it comes.
type body struct {
	of      map[string]string // what the audit is to know of its fetch
	cancel  context.CancelFunc
	claimed bool // by a reader; guarded by the Call

	mu      sync.Mutex
	held    []byte        // not read yet
	came    int64         // bytes ever
	err     error         // what comes after held: io.EOF at the end, nil while more may come
	changed chan struct{} // closed and replaced when one of these changes
}

// fill starts to read src into b, up to MaxHTTPFirst ahead, until it ends or
// ctx does. It closes src.
func (c *Call) fill(ctx context.Context, op string, b *body, src io.ReadCloser) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		b.cancel()
		_ = src.Close()
		return errEnded(op)
	}
	c.running.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				b.add(nil, c.panicked(op, v))
			}
		}()
		defer src.Close()
		part := make([]byte, 32<<10)
		for {
			n, err := src.Read(part)
			b.add(part[:n], err)
			if err != nil || !b.room(ctx) {
				return
			}
		}
	})
	return nil
}

// add notes that something came, or that nothing will any more.
func (b *body) add(part []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = append(b.held, part...)
	b.came += int64(len(part))
	b.err = err
	b.change()
}

// change wakes who waits. The lock is held.
func (b *body) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// room waits until more may be read ahead, and says whether it still matters.
func (b *body) room(ctx context.Context) bool {
	for {
		b.mu.Lock()
		full, changed := len(b.held) >= abi.MaxHTTPFirst, b.changed
		b.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			b.add(nil, context.Cause(ctx))
			return false
		}
	}
}

// first returns the first part: all of the body where it is short and soon
// there, else what has come. It says whether that is all.
func (b *body) first(ctx context.Context) (part []byte, all bool, err error) {
	timer := time.NewTimer(firstTime)
	defer timer.Stop()
	for late := false; ; {
		b.mu.Lock()
		if late || b.err != nil || len(b.held) >= abi.MaxHTTPFirst {
			part = b.take(abi.MaxHTTPFirst)
			all = b.err == io.EOF && len(b.held) == 0
			b.mu.Unlock()
			return part, all, nil
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			late = true
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// read waits for the next bytes and returns at most so many. At the end it
// fails with io.EOF, and where the body broke off with what it broke off by.
func (b *body) read(ctx context.Context, most int) ([]byte, error) {
	for {
		b.mu.Lock()
		if len(b.held) > 0 || b.err != nil {
			part, err := b.take(most), b.err
			b.mu.Unlock()
			if len(part) > 0 {
				return part, nil
			}
			return nil, err
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take returns at most so many bytes of what is held. The lock is held.
func (b *body) take(most int) []byte {
	n := min(most, len(b.held))
	part := b.held[:n:n]
	b.held = b.held[n:]
	if n > 0 {
		b.change()
	}
	return part
}

// length is how many bytes came.
func (b *body) length() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.came
}
