package proc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

// killWait bounds the wait for a child that was sent SIGKILL. Only one that is
// stuck inside the system takes longer.
const killWait = 5 * time.Second

// A Process is a child that was started. Its methods may be called from
// several goroutines at once.
type Process struct {
	spec    Spec
	starter *Starter
	log     hclog.Logger
	pid     int      // of the program that was started: bubblewrap, where there is one
	group   int      // that signals go to: pid, or the first process of the child's own table
	first   *os.File // a pidfd of that process; nil where there is none
	bounds  *group   // what bounds it; nil is nothing
	over    string   // which of those bounds it ran into; to be read after Done
	output  *tail

	background sync.WaitGroup // of what lasts as long as the child
	listeners  []net.Listener // on the child's network
	report     []byte         // of a trial

	ctx context.Context // ends when nothing of the child is left
	end context.CancelFunc

	mu       sync.Mutex
	reaped   bool          // the pid may belong to another by now
	stopping chan struct{} // made by the first Stop, closed when it is through
	fault    string        // why the host killed it; "" when it didn't
	exit     Exit
}

// An Exit says how a child ended.
type Exit struct {
	Code    int            // the exit code, -1 when a signal ended it
	Signal  syscall.Signal // zero when it ended by itself
	Stopped bool           // Stop was called before it ended
	Reason  string         // in words, such as "exit code 1" or "killed by SIGKILL"
	Time    time.Time      // when it ended
	CPU     time.Duration  // processor time of the child and what it waited for
	Memory  int64          // its largest resident size, in bytes
}

// PID returns the number, on the host, of the process that leads the child's
// group and session: an isolated child's first process, whose end is the end of
// all of it. It means nothing once Done is closed.
func (p *Process) PID() int { return p.group }

// Done is closed when the child has ended and nothing of its session is left.
func (p *Process) Done() <-chan struct{} { return p.ctx.Done() }

// Exit says how the child ended. It is zero until Done is closed.
func (p *Process) Exit() Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

// Output returns the end of what the child wrote to the descriptors the host
// keeps, at most Limits.Output bytes, as valid UTF-8.
func (p *Process) Output() string { return p.output.String() }

// Signal sends sig to the child's whole process group. It fails with
// os.ErrProcessDone once the child has ended.
func (p *Process) Signal(sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return &Error{Reason: ReasonInvalid, Message: fmt.Sprintf("signal %s: %v is not a signal", p.spec.Name, sig)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	return syscall.Kill(-p.group, number)
}

// Stop ends the child and everything in its session, in steps: it calls
// Spec.Ask, then sends SIGTERM, then SIGKILL, each but the last with
// Spec.Grace to be obeyed. When ctx ends the step is SIGKILL at once. It
// returns when nothing is left; an error, after a few seconds more, means that
// the system would not let go of a process. A second Stop joins the first.
func (p *Process) Stop(ctx context.Context) error {
	p.mu.Lock()
	first := p.stopping == nil
	if first {
		p.stopping = make(chan struct{})
	}
	stopping := p.stopping
	p.mu.Unlock()

	if first {
		defer close(stopping)
		p.ask(ctx)
		p.step(ctx, syscall.SIGTERM)
	} else {
		select {
		case <-p.Done():
		case <-stopping:
		case <-ctx.Done():
		}
	}
	return p.kill()
}

func (p *Process) ask(ctx context.Context) {
	if p.spec.Ask == nil || p.ctx.Err() != nil || ctx.Err() != nil {
		return
	}
	asking, cancel := context.WithTimeout(p.ctx, p.spec.Grace)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if err := p.spec.Ask(asking); err != nil && p.ctx.Err() == nil {
		p.log.Debug("a child could not be asked to end", "child", p.spec.Name, "pid", p.pid, "error", err)
		return // no use in waiting for an answer to a question that wasn't heard
	}
	<-asking.Done()
}

func (p *Process) step(ctx context.Context, sig syscall.Signal) {
	if p.ctx.Err() != nil || ctx.Err() != nil {
		return
	}
	if err := p.Signal(sig); err != nil {
		return
	}
	grace := time.NewTimer(p.spec.Grace)
	defer grace.Stop()
	select {
	case <-p.Done():
	case <-grace.C:
	case <-ctx.Done():
	}
}

func (p *Process) kill() error {
	if p.ctx.Err() != nil {
		return nil
	}
	p.mu.Lock()
	if !p.reaped {
		syscall.Kill(-p.group, syscall.SIGKILL)
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	p.mu.Unlock()
	bound := time.NewTimer(killWait)
	defer bound.Stop()
	select {
	case <-p.Done():
		return nil
	case <-bound.C:
		return &Error{Reason: ReasonFailed, Message: fmt.Sprintf("%s (pid %d) is still there %v after SIGKILL", p.spec.Name, p.pid, killWait)}
	}
}

// awaitReady waits for Ready, and ends the child when it fails.
func (p *Process) awaitReady(ctx context.Context) error {
	if p.spec.Ready == nil {
		return nil
	}
	starting, cancel := context.WithTimeout(ctx, p.spec.StartTimeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	err := p.spec.Ready(starting)
	if err == nil && p.ctx.Err() == nil {
		return nil
	}
	failure := &Error{Reason: ReasonFailed, cause: err}
	ended := p.ctx.Err() != nil
	now, cancelNow := context.WithCancel(context.Background())
	cancelNow()
	stopErr := p.Stop(now)
	switch {
	case ended:
		failure.Reason = ReasonEnded
		failure.Message = fmt.Sprintf("%s ended before it was ready: %s", p.spec.Name, p.Exit().Reason)
	case stopErr == nil && p.over != "": // what Ready saw is that it was dying
		failure.Reason = ReasonEnded
		failure.Message = fmt.Sprintf("%s was killed before it was ready: %s", p.spec.Name, p.over)
	case ctx.Err() != nil:
		failure.Reason = ReasonCanceled
		failure.Message = fmt.Sprintf("start %s: %v", p.spec.Name, ctx.Err())
	case errors.Is(starting.Err(), context.DeadlineExceeded):
		failure.Reason = ReasonNotReady
		failure.Message = fmt.Sprintf("%s was not ready within %v", p.spec.Name, p.spec.StartTimeout)
	default:
		failure.Message = fmt.Sprintf("start %s: %v", p.spec.Name, err)
	}
	if stopErr != nil {
		failure.Message += "; " + stopErr.Error()
	}
	failure.Output = p.Output()
	return failure
}
