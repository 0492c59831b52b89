package bridge

import (
	"context"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// A task is an async operation whose response hasn't been fetched. Fields but
// the first are guarded by the Call.
type task struct {
	cancel   context.CancelFunc
	place    int // 1 for the task that ended first; 0 while it runs
	response []byte
	err      error
}

// begin starts an operation and answers with the task's number. The intent is
// audited first, so that one that can't be is the caller's to see at once.
func (c *Call) begin(ctx context.Context, o operation) ([]byte, error) {
	n, t, ctx, err := c.reserve(ctx, o.ask.Op)
	if err != nil {
		return nil, err
	}
	o.detail["task"] = number(n)
	if err := c.intend(o); err != nil {
		c.finish(t, nil, err)
		c.forget(n)
		return nil, err
	}
	go func() {
		frame, err := c.carryOut(ctx, o)
		c.finish(t, frame, err)
	}()
	return abi.EncodeFrame(abi.Task{Task: n}, nil)
}

// reserve makes a task, to be ended with finish.
func (c *Call) reserve(ctx context.Context, op string) (uint32, *task, context.Context, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, nil, nil, errEnded(op)
	}
	if len(c.tasks) >= abi.MaxTasks {
		return 0, nil, nil, abi.Errorf(abi.CodeResourceExhausted, "%s: %d tasks are outstanding, the bound of a call", op, len(c.tasks)).
			WithHint("fetch one with call.wait; a cancelled one too counts until it was fetched")
	}
	ctx, cancel := context.WithCancel(ctx)
	c.started++
	t := &task{cancel: cancel}
	c.tasks[c.started] = t
	c.running.Add(1)
	return c.started, t, ctx, nil
}

// finish keeps a task's end for wait.
func (c *Call) finish(t *task, response []byte, err error) {
	t.cancel()
	c.mu.Lock()
	c.ended++
	t.place, t.response, t.err = c.ended, response, err
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	c.running.Done()
}

func (c *Call) forget(n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tasks, n)
}

func (c *Call) callWait(ctx context.Context, op string, frame []byte) ([]byte, error) {
	var req abi.WaitRequest
	if err := decode(op, frame, &req); err != nil {
		return nil, err
	}
	if n := len(req.Tasks); n == 0 || n > abi.MaxTasks {
		return nil, invalid(op, "/tasks", "tasks has %d numbers: use 1 to %d", n, abi.MaxTasks)
	}
	if err := checkTimeout(op, req.TimeoutMS); err != nil {
		return nil, err
	}
	var over <-chan time.Time
	if req.TimeoutMS > 0 {
		timer := time.NewTimer(time.Duration(req.TimeoutMS) * time.Millisecond)
		defer timer.Stop()
		over = timer.C
	}
	for timedOut := false; ; {
		n, t, changed, err := c.fetch(op, req.Tasks)
		if err != nil {
			return nil, err
		}
		if t != nil {
			return encodeTask(n, t)
		}
		if timedOut {
			return nil, abi.Errorf(abi.CodeDeadlineExceeded, "%s: none of the tasks ended within %d ms", op, req.TimeoutMS).
				WithHint("they go on: wait again, or cancel them")
		}
		select {
		case <-changed:
		case <-over:
			timedOut = true // one may have ended at the same moment: look again
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fetch takes the one of some tasks that ended first. Where none has, it
// returns what is closed when one does.
func (c *Call) fetch(op string, numbers []uint32) (uint32, *task, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first uint32
	for _, n := range numbers {
		t, err := c.find(op, n)
		if err != nil {
			return 0, nil, nil, err
		}
		if t.place > 0 && (first == 0 || t.place < c.tasks[first].place) {
			first = n
		}
	}
	if first == 0 {
		return 0, nil, c.changed, nil
	}
	t := c.tasks[first]
	delete(c.tasks, first)
	return first, t, nil, nil
}

// find returns a task by its number. The lock is held.
func (c *Call) find(op string, n uint32) (*task, error) {
	if t := c.tasks[n]; t != nil {
		return t, nil
	}
	return nil, abi.Errorf(abi.CodeNotFound, "%s: there is no task %d, or its response was fetched", op, n)
}

// encodeTask returns the response of wait: the task's header is inside, its
// body is the body.
func encodeTask(n uint32, t *task) ([]byte, error) {
	if t.err != nil {
		return abi.EncodeFrame(abi.WaitResponse{Task: n, Error: abi.AsError(t.err)}, nil)
	}
	f, err := abi.DecodeFrame(t.response)
	if err != nil {
		return nil, err
	}
	return abi.EncodeFrame(abi.WaitResponse{Task: n, Response: f.Header}, f.Body)
}

func (c *Call) callCancel(op string, frame []byte) ([]byte, error) {
	var req abi.CancelRequest
	if err := decode(op, frame, &req); err != nil {
		return nil, err
	}
	c.mu.Lock()
	t, err := c.find(op, req.Task)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	t.cancel()
	return abi.EncodeFrame(nil, nil)
}
