package kernel

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// Of the two signs that code has ended, the reply and idle, one can be lost:
// iopub drops messages when it is flooded, and an interrupt may hit the kernel
// between the two. These bound the wait for the second sign.
const (
	idleBound  = 5 * time.Second // of silence on iopub, after the reply
	replyBound = 2 * time.Second // after idle
)

// exitBound is how long a kernel may take to end after code that asked it to.
const exitBound = 5 * time.Second

// A cause is why code is made to end.
type cause int

const (
	causeNone cause = iota
	causeTimeout
	causeInterrupt
	causeContext
)

// run sends code to a process and sees it through.
func (k *Kernel) run(ctx context.Context, e *execution, p *process, code string, timeout time.Duration, sink func(abi.Output)) (abi.KernelExecuteResponse, error) {
	out := newTranscript(k.config.MaxOutput, k.config.MaxBlobs, sink)
	stateLost := k.takeLost()
	k.mu.Lock()
	k.runs++
	k.mu.Unlock()
	begun := time.Now()
	r, err := p.begin(code, out)
	var why cause
	var lost bool // the process, with all state
	if err != nil {
		p.kill(fmt.Errorf("it could not be sent code: %w", err))
		<-p.gone
		lost = true
	} else {
		why, lost = k.await(ctx, e, p, r, timeout)
	}
	p.finish()
	out.close()
	if r.exits() && !lost {
		// The next execution must not meet a kernel that is about to end.
		p.awaitEnd(exitBound)
	}

	response := abi.KernelExecuteResponse{DurationMS: time.Since(begun).Milliseconds()}
	response.Outputs, response.Truncated = out.outputs()
	response.Truncated += r.conclude(&response)
	purpose := p.endedFor()
	switch {
	case lost && purpose != nil:
		err = contextError(purpose, "while it ran")
	case lost && !e.killed:
		reason, _, _ := p.ended()
		err = abi.Errorf(abi.CodeStateLost, "the kernel ended while the code ran (%s); its variables are gone", reason).
			WithHint("the next execution starts a fresh kernel: run first what defines the variables")
	case why == causeContext:
		err = contextError(context.Cause(ctx), "while it ran")
	case why == causeTimeout:
		response.Status = abi.StatusTimeout
	case why == causeInterrupt:
		response.Status = abi.StatusInterrupted
	case response.Status == "":
		response.Status = abi.StatusError
		response.Error = &abi.KernelError{Name: "NoReply", Value: "the kernel did not say how the code ended"}
	}
	if err != nil {
		response.Status = ""
		k.putBackLost(stateLost)
		return response, err
	}
	response.StateLost, response.Killed = stateLost, lost
	return response, nil
}

// await returns when the code has ended, or its process has. It makes the code
// end when its time is over, somebody interrupts it or ctx ends, and says which
// it was.
func (k *Kernel) await(ctx context.Context, e *execution, p *process, r *run, timeout time.Duration) (why cause, lost bool) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	var (
		overdue     = deadline.C
		interrupted = e.interrupted
		canceled    = ctx.Done()
		started     = r.started
		replied     = r.replied
		idle        = r.idle

		grace, again, settle <-chan time.Time
	)
	end := func(c cause) {
		why = c
		overdue, interrupted, canceled = nil, nil, nil
		grace = time.After(k.config.InterruptGrace)
		// Once more, in case the code swallowed the first one.
		again = time.After(k.config.InterruptGrace / 2)
		if started == nil {
			p.interrupt()
		} // else it would be lost on a kernel that has not begun
	}
	for replied != nil || idle != nil {
		select {
		case <-started:
			started = nil
			if why != causeNone {
				p.interrupt()
			}
		case <-replied:
			replied = nil
			settle = time.After(idleBound)
		case <-idle:
			idle = nil
			settle = time.After(replyBound)
		case <-settle:
			if replied == nil {
				if rest := idleBound - r.silence(); rest > 0 {
					settle = time.After(rest)
					continue
				}
			}
			k.log.Warn("a kernel left out a sign of the code's end", "replied", replied == nil, "idle", idle == nil)
			return why, false
		case <-overdue:
			end(causeTimeout)
		case <-interrupted:
			end(causeInterrupt)
		case <-canceled:
			end(causeContext)
		case <-again:
			p.interrupt()
		case <-grace:
			e.killed = true
			p.kill(fmt.Errorf("its code did not obey an interrupt within %v", k.config.InterruptGrace))
			<-p.gone
			return why, true
		case <-p.gone:
			return why, true
		}
	}
	return why, false
}
