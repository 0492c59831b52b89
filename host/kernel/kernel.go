package kernel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Kernel runs code in one language, in one process at a time that keeps its
// variables from one execution to the next. Its methods may be called from
// several goroutines at once.
type Kernel struct {
	config Config
	log    hclog.Logger
	queue  queue

	mu       sync.Mutex
	closed   bool
	process  *process // nil when there is none
	starting bool
	active   *execution              // whose turn it is
	calls    map[*execution]struct{} // all that have not returned
	lost     string                  // to be told by the next response
	runs     int                     // executions of the process
	starts   int
	lastExit string
}

// An execution is one call of Execute.
type execution struct {
	cancel      context.CancelCauseFunc
	once        sync.Once
	interrupted chan struct{} // closed by Interrupt
	returned    chan struct{} // closed when Execute is done with the kernel
	killed      bool          // the process had to be killed; to be read after returned
}

// New checks the configuration and returns a Kernel. It starts nothing: the
// first execution does. An error has the code invalid_argument.
func New(c Config) (*Kernel, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	return &Kernel{
		config: c, log: c.Logger, lost: c.Lost,
		queue: queue{bound: c.MaxQueue},
		calls: map[*execution]struct{}{},
	}, nil
}

// Execute runs code and returns what it did. Executions run in the order of
// their calls, and at most Config.MaxQueue of them wait.
//
// What the code prints and shows goes to sink, which may be nil, as it comes:
// one call at a time, never after Execute has returned, and no more than the
// response may hold; a display that is updated is shown again, and what the
// code clears has been seen. The response has the outputs joined, the head and
// the tail of a text that is over the bound, and in Truncated how many bytes
// were left out. The outputs' bytes must not be changed. A slow sink delays
// the return, but never the code.
//
// When the request's time is over, or Interrupt is called, the code is
// interrupted, and if it doesn't end within Config.InterruptGrace its process
// is killed, which Killed says; the response has the status and what was
// printed until then.
// StateLost says in the first response of a new process why the variables are
// gone and since when, unless that was asked for by Reset.
//
// An error is an *abi.Error, and the response beside it holds what was printed:
//
//   - invalid_argument: another language than the kernel's, or a negative time
//   - resource_exhausted, retryable: the queue is full
//   - canceled, deadline_exceeded: ctx ended, and the code was interrupted as
//     above; or, canceled, Reset or Close ended it
//   - unavailable: the process can't be started; the hint says what is missing
//   - state_lost: the process ended while the code ran
//   - failed_precondition: the kernel is closed
func (k *Kernel) Execute(ctx context.Context, req abi.KernelExecuteRequest, sink func(abi.Output)) (abi.KernelExecuteResponse, error) {
	none := abi.KernelExecuteResponse{Outputs: []abi.Output{}}
	timeout, err := k.check(req)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := &execution{cancel: cancel, interrupted: make(chan struct{}), returned: make(chan struct{})}
	if err := k.admit(e); err != nil {
		return none, err
	}
	defer k.dismiss(e)
	if err := k.queue.enter(ctx); err != nil {
		return none, contextError(err, "while it waited for the kernel")
	}
	defer k.queue.leave()

	p, err := k.ready(ctx, e)
	if cause := context.Cause(ctx); cause != nil {
		return none, contextError(cause, "while the kernel started")
	}
	if err != nil {
		return none, err
	}
	select {
	case <-e.interrupted:
		none.Status = abi.StatusInterrupted
		none.StateLost = k.takeLost()
		return none, nil
	default:
	}
	return k.run(ctx, e, p, req.Code, timeout, sink)
}

// check returns the time that a request may take.
func (k *Kernel) check(req abi.KernelExecuteRequest) (time.Duration, error) {
	if req.Language != "" && req.Language != k.config.Language {
		return 0, abi.Errorf(abi.CodeInvalidArgument, "this kernel runs %s, not %s", k.config.Language, req.Language)
	}
	switch {
	case req.TimeoutMS < 0:
		return 0, abi.Errorf(abi.CodeInvalidArgument, "the timeout is negative: %d ms", req.TimeoutMS)
	case req.TimeoutMS == 0 || req.TimeoutMS > k.config.MaxTime.Milliseconds():
		return k.config.MaxTime, nil
	}
	return time.Duration(req.TimeoutMS) * time.Millisecond, nil
}

func (k *Kernel) admit(e *execution) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return abi.Errorf(abi.CodeFailedPrecondition, "the kernel is closed")
	}
	k.calls[e] = struct{}{}
	return nil
}

func (k *Kernel) dismiss(e *execution) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.calls, e)
	if k.active == e {
		k.active = nil
	}
	close(e.returned)
}

// ready returns the process, starting one if there is none. The caller has the
// turn.
func (k *Kernel) ready(ctx context.Context, e *execution) (*process, error) {
	for {
		k.mu.Lock()
		if cause := context.Cause(ctx); cause != nil {
			k.mu.Unlock()
			return nil, cause
		}
		k.active = e
		old := k.process
		if old == nil {
			k.starting = true
			k.mu.Unlock()
			return k.start(ctx)
		}
		if !old.ending() {
			k.mu.Unlock()
			return old, nil
		}
		k.mu.Unlock()
		select {
		case <-old.gone: // its end has been noted
		case <-ctx.Done():
		}
	}
}

func (k *Kernel) start(ctx context.Context) (*process, error) {
	p, err := startProcess(ctx, &k.config, k.noteEnd)
	k.mu.Lock()
	k.starting = false
	if err == nil {
		k.process, k.runs = p, 0
		k.starts++
	}
	why, ending := errors.AsType[*abi.Error](context.Cause(ctx))
	k.mu.Unlock()
	if err == nil && ending {
		// Reset or Close came when there was no process yet for it to end.
		p.kill(why)
		<-p.gone
	}
	return p, err
}

// noteEnd is called when a process has ended.
func (k *Kernel) noteEnd(p *process) {
	reason, at, ok := p.ended()
	if !ok {
		reason, at = "it would not end", time.Now()
	}
	k.log.Info("a kernel ended", "language", k.config.Language, "pid", p.child.PID(), "reason", reason)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastExit = reason
	if k.process == p {
		k.process = nil
	}
	if p.endedFor() == nil && k.runs > 0 {
		k.lost = fmt.Sprintf("the kernel ended at %s (%s)",
			at.UTC().Format(time.RFC3339), reason)
	}
}

// takeLost returns what a response has to say of lost state, once.
func (k *Kernel) takeLost() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	lost := k.lost
	k.lost = ""
	return lost
}

// putBackLost leaves to the next response what this one didn't say.
func (k *Kernel) putBackLost(lost string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost == "" {
		k.lost = lost
	}
}

// Interrupt ends what runs and returns when it has ended. The variables are
// kept, unless the code doesn't obey within Config.InterruptGrace: then its
// process is killed, and the error is state_lost. With nothing running it does
// nothing; what waits is not touched. It fails with canceled or
// deadline_exceeded when ctx ends first.
func (k *Kernel) Interrupt(ctx context.Context) error {
	k.mu.Lock()
	e := k.active
	k.mu.Unlock()
	if e == nil {
		return nil
	}
	e.once.Do(func() { close(e.interrupted) })
	select {
	case <-e.returned:
	case <-ctx.Done():
		return contextError(ctx.Err(), "while the code was being interrupted")
	}
	if e.killed {
		return abi.Errorf(abi.CodeStateLost, "the code did not obey the interrupt within %v, and its kernel was ended", k.config.InterruptGrace).
			WithHint("the next execution starts a fresh kernel, without the variables")
	}
	return nil
}

// Reset ends the process, on purpose: the next execution starts a fresh one,
// and no response calls its state lost. What runs or waits ends with canceled.
// It returns when nothing is left of the process; when ctx ends, the polite
// steps of that are cut short.
func (k *Kernel) Reset(ctx context.Context) error {
	return k.end(ctx, abi.Errorf(abi.CodeCanceled, "the kernel was reset").
		WithHint("run the code again in the fresh kernel"), false)
}

// Close ends the process for good and returns when nothing is left of it, no
// execution is under way and no goroutine runs. What runs or waits ends with
// canceled, and later executions fail. When ctx ends, the polite steps are cut
// short. A second Close does nothing.
func (k *Kernel) Close(ctx context.Context) error {
	return k.end(ctx, abi.Errorf(abi.CodeCanceled, "the kernel was closed"), true)
}

func (k *Kernel) end(ctx context.Context, why *abi.Error, forGood bool) error {
	k.mu.Lock()
	k.closed = k.closed || forGood
	k.lost = ""
	p := k.process
	if p != nil {
		p.endFor(why)
	}
	var calls []*execution
	for e := range k.calls {
		calls = append(calls, e)
		e.cancel(why)
	}
	k.mu.Unlock()

	var err error
	if p != nil {
		err = p.stop(ctx)
	}
	if !forGood {
		return err
	}
	bound := time.NewTimer(endBound)
	defer bound.Stop()
	for _, e := range calls {
		select {
		case <-e.returned:
		case <-bound.C:
			return errors.Join(err, abi.Errorf(abi.CodeInternal, "an execution has not returned: its sink blocks"))
		}
	}
	return err
}

// Status says how the kernel fares.
func (k *Kernel) Status() abi.KernelStatusResponse {
	queued := k.queue.len()
	k.mu.Lock()
	defer k.mu.Unlock()
	s := abi.KernelStatusResponse{
		State: abi.KernelNone, Language: k.config.Language,
		Queued: queued, Starts: k.starts, LastExit: k.lastExit,
	}
	if k.starting {
		s.State = abi.KernelStarting
	}
	p := k.process
	if p == nil {
		return s
	}
	if _, _, ended := p.ended(); ended {
		return s
	}
	s.State = abi.KernelIdle
	if k.active != nil {
		s.State = abi.KernelBusy
	}
	s.PID = p.child.PID()
	s.Started = p.started.UTC().Format(time.RFC3339)
	s.Executions = k.runs
	return s
}

// contextError turns a context's end into an *abi.Error. A cause that is one
// already, from Reset or Close, stays.
func contextError(cause error, during string) error {
	if e, ok := errors.AsType[*abi.Error](cause); ok {
		own := *e // several callers get it
		return &own
	}
	code := abi.CodeCanceled
	if errors.Is(cause, context.DeadlineExceeded) {
		code = abi.CodeDeadlineExceeded
	}
	return abi.Errorf(code, "the execution was given up %s: %w", during, cause)
}
