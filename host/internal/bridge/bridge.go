package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
)

// Phases of a Record.
const (
	PhaseIntent  = "intent"  // about to be done
	PhaseOutcome = "outcome" // done, failed, or refused: then there was no intent
)

// A Record is what the audit log gets of an operation.
type Record struct {
	Op     string
	Detail map[string]string
	Err    error // of an outcome: an *abi.Error, nil where it went well
	Phase  string
}

// A Config says for whom a Call acts, and through what.
type Config struct {
	// Logger gets the plugin's log lines, under the name "log", and the
	// private causes of internal errors. It carries the fields that tell this
	// call from others. Nil is silent.
	Logger hclog.Logger
	// Capabilities are the effective ones. The zero value allows nothing.
	Capabilities abi.Capabilities
	// Config is what the operator set for the plugin. Nil is nothing.
	Config map[string]string
	// Kernel is the kernels of the calling session and plugin. Nil answers
	// unavailable.
	Kernel Kernel
	// HTTP is the way out of the calling session and plugin. Nil answers
	// unavailable.
	HTTP HTTP
	// Tool is the tools of other plugins, for the calling session and plugin.
	// Nil answers unavailable.
	Tool Tool
	// Audit records. An intent that it refuses is not carried out. It is
	// called from several goroutines. Nil refuses every intent.
	Audit func(Record) error
	// Emit gets the events of type output and progress, without Seq and TS, one
	// at a time and none after Close. It must not block. Nil drops them.
	Emit func(abi.Event)
	// Grace is how long Close waits for a capability that was cancelled. Zero
	// is 15 s.
	Grace time.Duration
}

const defaultGrace = 15 * time.Second

// A Call is one call of a tool, seen from the host functions. Its methods may
// be called from several goroutines.
type Call struct {
	config  Config
	log     hclog.Logger
	plugin  hclog.Logger
	running sync.WaitGroup // of tasks, and of what fills bodies

	mu         sync.Mutex
	closed     bool
	tasks      map[uint32]*task
	started    uint32           // tasks ever
	ended      int              // tasks ever
	changed    chan struct{}    // closed and replaced when a task ends
	bodies     map[uint32]*body // open for http.read
	fetching   int              // fetches that may leave a body
	numbered   uint32           // bodies ever
	operations int
	lines      int
	reports    int

	emitting sync.Mutex
	deaf     bool // Close is over: nobody listens
}

// New returns the Call of one tool call. Close ends it.
func New(c Config) *Call {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	return &Call{
		config:  c,
		log:     c.Logger,
		plugin:  c.Logger.Named("log"),
		tasks:   map[uint32]*task{},
		bodies:  map[uint32]*body{},
		changed: make(chan struct{}),
	}
}

// Dispatch carries out one operation. Every error is an *abi.Error. The context
// is the tool call's: async tasks go on under it after Dispatch has returned,
// until it is done or the Call is closed.
func (c *Call) Dispatch(ctx context.Context, op string, frame []byte) (response []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			response, err = nil, c.panicked(op, v)
		}
		if err != nil {
			err = c.public(op, err)
		}
	}()
	if err := c.open(op); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch op {
	case abi.OpCallLog:
		return c.callLog(op, frame)
	case abi.OpCallProgress:
		return c.callProgress(op, frame)
	case abi.OpCallConfig:
		return c.callConfig(op, frame)
	case abi.OpCallWait:
		return c.callWait(ctx, op, frame)
	case abi.OpCallCancel:
		return c.callCancel(op, frame)
	case abi.OpKernelExecute:
		return c.kernelExecute(ctx, op, frame)
	case abi.OpKernelInterrupt:
		return c.kernelInterrupt(ctx, op, frame)
	case abi.OpKernelReset:
		return c.kernelReset(ctx, op, frame)
	case abi.OpKernelStatus:
		return c.kernelStatus(ctx, op, frame)
	case abi.OpHTTPFetch:
		return c.httpFetch(ctx, op, frame)
	case abi.OpHTTPRead:
		return c.httpRead(ctx, op, frame)
	case abi.OpHTTPClose:
		return c.httpClose(ctx, op, frame)
	case abi.OpToolCall:
		return c.toolCall(ctx, op, frame)
	}
	return nil, abi.Errorf(abi.CodeUnimplemented, "%s: this host has no such operation", op)
}

// Close ends the call: what is outstanding is cancelled, what is open closed,
// and Close waits until all of it has ended, for Config.Grace at most.
// Afterwards Dispatch answers canceled and nothing is emitted.
func (c *Call) Close() {
	c.mu.Lock()
	c.closed = true
	for _, t := range c.tasks {
		t.cancel()
	}
	open := maps.Clone(c.bodies)
	c.mu.Unlock()
	for n, b := range open {
		c.drop(n, b, bodyOfCall, nil)
	}

	ended := make(chan struct{})
	go func() {
		c.running.Wait()
		close(ended)
	}()
	grace := time.NewTimer(c.config.Grace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
		c.log.Error("a capability goes on after it was cancelled", "grace", c.config.Grace)
	}

	c.emitting.Lock()
	c.deaf = true
	c.emitting.Unlock()
}

// open fails once the call was closed.
func (c *Call) open(op string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errEnded(op)
	}
	return nil
}

func errEnded(op string) *abi.Error {
	return abi.Errorf(abi.CodeCanceled, "%s: the call has ended", op)
}

// emit passes an event on.
func (c *Call) emit(e abi.Event) {
	c.emitting.Lock()
	defer c.emitting.Unlock()
	if c.config.Emit != nil && !c.deaf {
		c.config.Emit(e)
	}
}

// public returns what the plugin may know of err. A cause that has no code is
// logged here, since nobody above gets to see it.
func (c *Call) public(op string, err error) *abi.Error {
	if e, ok := errors.AsType[*abi.Error](err); ok && e != nil && e.Code < 0 {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return abi.Errorf(abi.CodeDeadlineExceeded, "%s: the call's time is over", op)
	case errors.Is(err, context.Canceled):
		return abi.Errorf(abi.CodeCanceled, "%s: cancelled", op)
	}
	c.log.Error("operation failed", "op", op, "error", err)
	return internal(op).WithCause(err)
}

// panicked logs a panic of op and returns the error for it.
func (c *Call) panicked(op string, v any) error {
	c.log.Error("operation panicked", "op", op, "panic", v, "stack", string(debug.Stack()))
	return internal(op).WithCause(fmt.Errorf("panic: %v", v))
}

func internal(op string) *abi.Error {
	return abi.Errorf(abi.CodeInternal, "%s: the host failed; its log has the cause", op)
}
