package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// A flow is one exchange or one tunnel. Its context ends, with an *abi.Error as
// its cause, when it has lasted for too long, when nothing came or went for too
// long, and with its gate.
type flow struct {
	gate   *Gate
	ctx    context.Context
	cancel context.CancelCauseFunc

	start time.Time
	moved atomic.Int64 // when something last did, since start
	sent  atomic.Bool  // the request's body, to its end
	timer *time.Timer
	unarm func() bool
}

// flow returns a flow below ctx. The caller ends it.
func (g *Gate) flow(ctx context.Context) *flow {
	f := &flow{gate: g, start: time.Now()}
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	f.unarm = context.AfterFunc(g.ctx, func() { f.cancel(context.Cause(g.ctx)) })
	f.timer = time.AfterFunc(g.config.MaxTime, f.look)
	f.timer.Reset(min(g.config.MaxTime, g.config.Idle))
	return f
}

// end ends what is left of f. It may be called again.
func (f *flow) end() {
	f.timer.Stop()
	f.unarm()
	f.cancel(context.Canceled)
}

// progress notes that something came or went.
func (f *flow) progress() { f.moved.Store(int64(time.Since(f.start))) }

// look ends f if its time is over, and else comes again when it may be.
func (f *flow) look() {
	now, limits := time.Since(f.start), f.gate.config
	silence := now - time.Duration(f.moved.Load())
	switch {
	case f.ctx.Err() != nil:
	case now >= limits.MaxTime:
		f.cancel(abi.Errorf(abi.CodeDeadlineExceeded, "the exchange took %v, and that is the most", limits.MaxTime))
	case silence >= limits.Idle:
		f.cancel(abi.Errorf(abi.CodeDeadlineExceeded, "nothing came or went for %v", limits.Idle))
	default:
		f.timer.Reset(min(limits.MaxTime-now, limits.Idle-silence))
	}
}

// failure says in public words why f, or what was done for it, failed.
func (f *flow) failure(what string, err error) *abi.Error {
	if e, ok := errors.AsType[*abi.Error](context.Cause(f.ctx)); ok {
		return e
	}
	if e, ok := errors.AsType[*abi.Error](err); ok {
		return e
	}
	switch timeout, ok := errors.AsType[net.Error](err); {
	case errors.Is(err, context.DeadlineExceeded), ok && timeout.Timeout():
		return abi.Errorf(abi.CodeDeadlineExceeded, "%s: out of time", what).WithCause(err)
	case errors.Is(err, context.Canceled):
		return abi.Errorf(abi.CodeCanceled, "%s: canceled", what).WithCause(err)
	}
	return abi.Errorf(abi.CodeUnavailable, "%s: %w", what, err)
}

// tooMuch is the failure of what is larger than its bound.
func (g *Gate) tooMuch() *abi.Error {
	return abi.Errorf(abi.CodeResourceExhausted, "the body has more than %d bytes, and that is the most", g.config.MaxBytes)
}

// A body is one of an exchange, request or response: bounded, and watched.
type body struct {
	io.ReadCloser
	from Bounded
	flow *flow
	of   string // the response's host; "" of a request
	ends bool   // the flow ends with it
}

func (f *flow) body(b io.ReadCloser, of string) body {
	return body{ReadCloser: b, from: Bounded{From: b, Left: f.gate.config.MaxBytes, Over: f.gate.tooMuch()}, flow: f, of: of}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if n > 0 {
		b.flow.progress()
	}
	switch {
	case err == io.EOF && b.of == "":
		b.flow.sent.Store(true)
	case err != nil && err != io.EOF && b.of == "":
		err = b.flow.failure("the request's body broke off", err)
	case err != nil && err != io.EOF:
		err = b.flow.failure("the response of "+b.of+" broke off", err)
	}
	if err != nil && b.ends {
		b.flow.end()
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	if b.ends {
		b.flow.end()
	}
	return err
}

// An upgraded body is both ways of a connection that changed its protocol.
type upgraded struct {
	body
	out     io.Writer
	outLeft int64
}

func (u *upgraded) Write(p []byte) (int, error) {
	if int64(len(p)) > u.outLeft {
		return 0, u.flow.gate.tooMuch()
	}
	n, err := u.out.Write(p)
	u.outLeft -= int64(n)
	u.flow.progress()
	return n, err
}
