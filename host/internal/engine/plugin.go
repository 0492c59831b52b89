package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// idleInstances is how many instances a plugin keeps for calls to come. Each
// holds the pages that a call writes, and little else.
const idleInstances = 8

// A Plugin is a module that was admitted and compiled, under its limits. It is
// safe for use from several goroutines; every call has an instance of its own,
// or its session's.
type Plugin struct {
	engine  *Engine
	product *product
	limits  abi.Limits
	state   string
	plain   bool // takes no snapshot, though there may be one
	gate    gate

	mu       sync.Mutex
	closed   bool
	idle     []*instance
	sessions map[string]*sessionInstance
}

// Describe runs the plugin's describe export and returns the frame it answers
// with. The plugin has no operation and no mount while it runs.
func (p *Plugin) Describe(ctx context.Context) ([]byte, error) {
	timeout := p.engine.config.DescribeTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, timeout,
		abi.Errorf(abi.CodeDeadlineExceeded, "the plugin takes longer than %v to describe itself", timeout).
			WithHint("make the describe export, and _initialize, do less"))
	defer cancel()
	answer, err := p.run(ctx, Call{}, errDescribed, func(ctx context.Context, i *instance) ([]byte, error) {
		return i.ask(ctx, exportDescribe)
	})
	if err != nil {
		failure := *abi.AsError(err) // a copy, for it may be the cause of the context's end
		if printed := strings.TrimSpace(answer.Stderr); printed != "" && failure.Hint == "" {
			failure.Hint = "the plugin printed: " + printed[:min(len(printed), 2000)]
		}
		return nil, &failure
	}
	return answer.Response, nil
}

var errDescribed = abi.Errorf(abi.CodePermissionDenied, "nothing is granted while the plugin is described").
	WithHint("make the describe export depend on nothing outside of the plugin")

// Call runs one tool, in the plugin's snapshot or in its session's instance.
// The deadline of ctx is the call's; when it passes or ctx is cancelled, the
// guest is stopped, and Call returns once the Dispatch under way has. It fails
// with
//
//   - plugin_failed when the plugin traps, exits or answers garbage;
//   - resource_exhausted when it takes more than a limit, which the error names;
//   - deadline_exceeded and canceled when ctx ends, or with the *abi.Error that
//     is the cause of ctx's end;
//   - invalid_argument when the request is over abi.MaxFrameBytes, the mounts
//     are not those of the table, or a session is lacking;
//   - internal when a Dispatch or a file system panics;
//   - unavailable when the plugin was closed.
func (p *Plugin) Call(ctx context.Context, c Call) (Answer, error) {
	switch {
	case len(c.Request) > abi.MaxFrameBytes:
		return Answer{}, abi.Errorf(abi.CodeInvalidArgument, "the request has %d bytes, the bound is %d", len(c.Request), abi.MaxFrameBytes)
	case (c.Clock != nil || c.Random != nil) && !p.plain:
		return Answer{}, abi.Errorf(abi.CodeInvalidArgument, "a clock or random bytes are given to a plugin that isn't Plain")
	case p.state == abi.StateSession && c.Session == "":
		return Answer{}, abi.Errorf(abi.CodeInvalidArgument, "a plugin that keeps state is called without a session")
	}
	return p.run(ctx, c, nil, func(ctx context.Context, i *instance) ([]byte, error) {
		return i.call(ctx, c.Tool, c.Request)
	})
}

// EndSession throws the session's instance away, once the call under way in
// it has ended. Where ctx ends first, that call does it.
func (p *Plugin) EndSession(ctx context.Context, session string) {
	p.mu.Lock()
	s := p.sessions[session]
	delete(p.sessions, session)
	p.mu.Unlock()
	if s != nil {
		s.end(ctx)
	}
}

// Close waits for running calls and frees the plugin. Calls that come later
// fail with unavailable. When ctx ends first, Close can be called again.
func (p *Plugin) Close(ctx context.Context) error {
	if err := p.gate.close(ctx, "calls"); err != nil {
		return err
	}
	p.mu.Lock()
	closed, idle, sessions := p.closed, p.idle, p.sessions
	p.closed, p.idle, p.sessions = true, nil, nil
	p.mu.Unlock()
	if closed {
		return nil
	}
	for _, i := range idle {
		i.discard()
	}
	for _, s := range sessions {
		s.end(ctx) // nobody is in there any more
	}
	return p.engine.release(ctx, p)
}

// run has enter use an instance. Operations and mounts are closed for as long
// as shut says.
func (p *Plugin) run(ctx context.Context, c Call, shut *abi.Error, enter func(context.Context, *instance) ([]byte, error)) (answer Answer, err error) {
	if !p.gate.enter() {
		return Answer{}, abi.Errorf(abi.CodeUnavailable, "the plugin is closed")
	}
	defer p.gate.leave()

	s := p.newState(ctx, c, shut)
	ctx = s.ctx
	var i *instance
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v (panic in the runtime)\n%s", r, debug.Stack())
		}
		answer.Stderr = s.out.String()
		answer.Usage.OutputBytes = int64(len(answer.Response))
		s.account(&answer.Usage, i)
		if err != nil {
			answer.Response = nil
			err = s.failure(err, i)
		}
		switch {
		case i != nil:
			p.give(i, c.Session, err == nil)
		case s.turn != nil:
			<-s.turn.turn
		}
		answer.Usage.Wall = time.Since(s.started)
	}()
	if i, answer.Usage.Sandbox, err = p.take(ctx, c.Session, s); err != nil {
		return answer, err
	}
	if err := i.mount(c.Mounts); err != nil {
		return answer, err
	}
	if ctx.Err() != nil {
		return answer, errTimeOver // the sandbox took it all
	}
	if answer.Response, err = enter(ctx, i); err == nil && ctx.Err() != nil {
		err = errTimeOver // an answer that came too late, or that nobody waits for
	}
	return answer, err
}

// newState makes the state of a run, and the context by which it is found.
func (p *Plugin) newState(ctx context.Context, c Call, shut *abi.Error) *state {
	config := p.engine.config
	s := &state{
		log:       config.Logger,
		dispatch:  c.Dispatch,
		budget:    &budget{limits: p.limits, parent: budgetOf(ctx)},
		started:   time.Now(),
		clock:     c.Clock,
		random:    c.Random,
		asleep:    c.Sleep,
		out:       newOutput(config.OutputBytes),
		shut:      shut,
		maxOpen:   config.OpenFiles,
		stackLeft: int64(p.limits.StackKiB) << 10,
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.deadline = deadline.Sub(s.started)
	}
	s.ctx = context.WithValue(ctx, stateKey{}, s)
	return s
}

// account fills in what the run took.
func (s *state) account(u *Usage, i *instance) {
	u.Guest = s.guest
	u.Fuel = s.budget.fuel.Load()
	u.HostCalls, u.HostBytes = s.budget.hostCalls.Load(), s.budget.hostBytes.Load()
	u.StackBytes = int64(s.budget.limits.StackKiB)<<10 - s.stackLeft
	if i != nil {
		u.MemoryBytes, u.TableElements = int64(i.memory.size), i.tableElements()
	}
}

// take finds an instance for a run and binds it: the session's, one that is
// idle, or a new one.
func (p *Plugin) take(ctx context.Context, session string, s *state) (*instance, string, error) {
	if p.state == abi.StateSession && session != "" {
		return p.takeSession(ctx, session, s)
	}
	p.mu.Lock()
	var i *instance
	if n := len(p.idle); n > 0 {
		i, p.idle = p.idle[n-1], p.idle[:n-1]
	}
	p.mu.Unlock()
	if i != nil {
		i.bind(s)
		return i, SandboxReset, nil
	}
	return p.fresh(ctx, s)
}

// fresh makes an instance: of the snapshot, or where there is none of the
// module, and initialises it.
func (p *Plugin) fresh(ctx context.Context, s *state) (*instance, string, error) {
	img, how := p.product.snapshot, SandboxFork
	if img == nil || p.plain {
		img, how = p.product.birth, SandboxPlain
	}
	i, err := p.product.instantiate(ctx, img, p.limits)
	if err != nil {
		return nil, how, err
	}
	i.bind(s)
	if how == SandboxPlain {
		// An instance that failed is returned as well, to be accounted for.
		err = i.initialize(ctx)
	}
	return i, how, err
}

// give takes an instance back after a run. One that did well may serve again.
func (p *Plugin) give(i *instance, session string, well bool) {
	if p.state == abi.StateSession && session != "" {
		p.giveSession(i, session, well)
		return
	}
	if i.image != p.product.snapshot || !well || !i.reset() {
		i.discard()
		return
	}
	p.mu.Lock()
	keep := len(p.idle) < idleInstances
	if keep {
		p.idle = append(p.idle, i)
	}
	p.mu.Unlock()
	if !keep {
		i.discard()
	}
}
