package host

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/internal/bridge"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/session"
)

// A ToolCall asks for one tool to be run.
type ToolCall struct {
	Session   *session.Session
	Tool      string          // the full name: python_run
	Arguments json.RawMessage // a JSON object; nil is the empty one
	Principal string          // who asks, for the audit
	Request   string          // the request's id, for logs and the audit
	// Emit gets the events while the call runs, in order, from one goroutine
	// at a time; the result is not among them. Nil is nobody.
	Emit func(abi.Event)

	// enter stands for the plugin's code, where the call is recorded. Nil is
	// the code.
	enter func(context.Context, engine.Call) (engine.Answer, error)
}

// Call runs a tool and returns its result, once it is the call's turn. It ends
// with ctx, with the session, when the plugin is revoked, or at the plugin's
// deadline, which runs from its turn on. Errors hold an *abi.Error; a tool that
// did its work and failed at it is a result with IsError instead.
func (h *Host) Call(ctx context.Context, c ToolCall) (*abi.Result, error) {
	return h.call(ctx, c, nil)
}

// call is Call, for the run that calls a tool of another plugin's; nil is an
// agent.
func (h *Host) call(ctx context.Context, c ToolCall, caller *run) (*abi.Result, error) {
	if len(c.Arguments) == 0 {
		c.Arguments = json.RawMessage("{}")
	}
	p, tool, err := h.find(ctx, c, caller)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := c.Session.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	asked := time.Now()
	free, err := h.place(ctx, p, c.Session.ID, caller != nil)
	if err != nil {
		if ctx.Err() != nil {
			err = endedBy(ctx, p.limits, err)
		}
		return nil, err
	}
	defer free()
	queued := time.Since(asked)
	for !p.gate.enter() { // another took its place meanwhile
		if p, tool, err = h.find(ctx, c, caller); err != nil {
			return nil, err
		}
	}
	defer p.gate.leave()
	short := p.artifact.Manifest.Tools[tool].Name
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(context.Cause(p.ctx)) })()
	ctx, stop := context.WithTimeoutCause(ctx, time.Duration(p.limits.Deadline), tooLong(p.limits))
	defer stop()

	run := &run{host: h, caller: caller, plugin: p, ToolCall: c, id: "c-" + strings.ToLower(rand.Text()[:16]), emit: newEmitter(c.Emit)}
	run.usage = Usage{Call: run.id, QueueMS: milliseconds(queued), Limits: p.limits}
	if err := run.audit(audit.KindCallStart, nil); err != nil {
		return nil, err
	}
	log := h.log.With("request", c.Request, "session", c.Session.ID, "call", run.id, "tool", c.Tool)
	if caller != nil {
		log = log.With("caller", caller.id)
	}
	log.Debug("call started")
	started := time.Now()
	run.emit(abi.Event{Type: abi.EventStarted, Call: run.id})
	result, err := run.do(ctx, tool, short)
	if err != nil && ctx.Err() != nil {
		err = endedBy(ctx, p.limits, err)
	}
	end := run.entry(audit.KindCallEnd, err)
	end.Detail = run.usage.detail()
	if auditErr := run.append(end); auditErr != nil {
		err = errors.Join(auditErr, err)
	}
	if err != nil {
		log.Info("call failed", "ms", time.Since(started).Milliseconds(), "code", abi.CodeOf(err), "error", err)
		return nil, err
	}
	log.Info("call ended", "ms", time.Since(started).Milliseconds(), "is_error", result.IsError)
	return result, nil
}

// find returns the plugin and the number of the tool that c asks for, and
// checks its arguments.
func (h *Host) find(ctx context.Context, c ToolCall, caller *run) (*loaded, int, error) {
	p, tool, err := h.catalog.find(ctx, c.Tool)
	if err != nil {
		h.refused(c, caller, err)
		return nil, 0, err
	}
	if err := p.artifact.Validate(p.artifact.Manifest.Tools[tool].Name, c.Arguments); err != nil {
		if e := *abi.AsError(err); e.Code == abi.CodeResourceExhausted {
			e.Code = abi.CodeInvalidArgument // too large to be held against the schema
			return nil, 0, &e
		}
		return nil, 0, err
	}
	return p, tool, nil
}

// place waits for the call's turn among those of its plugin, and then among
// all: for as long as the plugin's deadline altogether. A call that another one
// makes doesn't wait, for that one holds a place as long, and of two such
// chains each could wait for the other.
func (h *Host) place(ctx context.Context, p *loaded, session string, nested bool) (free func(), err error) {
	asked := time.Now()
	enter := func(q *queue, key string) (func(), error) {
		if nested {
			return q.try(key)
		}
		return q.enter(ctx, key, asked, time.Duration(p.limits.Deadline))
	}
	key := ""
	if p.artifact.Manifest.State == abi.StateSession {
		key = session // there is one instance for all its calls
	}
	own, err := enter(p.queue, key)
	if err != nil {
		return nil, err
	}
	all, err := enter(h.queue, "")
	if err != nil {
		own()
		return nil, err
	}
	return func() {
		all()
		own()
	}, nil
}

// refused audits a call that the whitelist stopped. Unknown tools are the
// agent's slip and not audited.
func (h *Host) refused(c ToolCall, caller *run, err error) {
	if abi.CodeOf(err) == abi.CodeNotFound {
		return
	}
	e := audit.Entry{
		Kind: audit.KindPluginRefuse, Principal: c.Principal, Request: c.Request, Session: c.Session.ID,
		Tool: c.Tool, Code: abi.CodeOf(err).String(), Message: abi.AsError(err).Message,
	}
	if caller != nil {
		e.Caller = caller.id
	}
	if err := h.audit.Append(e); err != nil {
		h.log.Error("a refusal could not be audited", "tool", c.Tool, "error", err)
	}
}

// A run is one call under way.
type run struct {
	ToolCall
	host   *Host
	caller *run // whose tool call this is; nil where an agent's
	plugin *loaded
	id     string
	emit   func(abi.Event)
	files  int // changes of files that were audited
	usage  Usage
}

func (r *run) do(ctx context.Context, tool int, short string) (*abi.Result, error) {
	deadline, _ := ctx.Deadline()
	request, err := abi.EncodeCallRequest(abi.CallRequest{
		Tool: short, Session: r.Session.ID, Call: r.id, Arguments: r.Arguments,
		DeadlineMS: time.Until(deadline).Milliseconds(),
	})
	if err != nil {
		return nil, err
	}
	mounts, unmount, err := r.mounts()
	if err != nil {
		return nil, err
	}
	defer unmount()
	out := &network{run: r}
	log := r.host.log.With("plugin", r.plugin.name(), "request", r.Request, "session", r.Session.ID, "call", r.id)
	b := bridge.New(bridge.Config{
		Logger:       log,
		Capabilities: r.plugin.effective,
		Config:       r.plugin.entry.Config,
		Kernel:       kernels{r},
		HTTP:         out,
		Tool:         tools{r},
		Audit:        r.auditOp,
		Emit:         r.emit,
	})
	enter := r.enter
	if enter == nil {
		enter = r.plugin.code.Call
	}
	answer, err := enter(ctx, engine.Call{
		Tool: uint32(tool), Request: request, Mounts: mounts, Dispatch: b.Dispatch, Session: r.Session.ID,
	})
	b.Close()
	out.close()
	r.usage.take(answer.Usage)
	if answer.Stderr != "" {
		log.Warn("plugin wrote to stderr", "stderr", answer.Stderr)
	}
	if err != nil {
		return nil, withStderr(withOperator(err), answer.Stderr)
	}
	response, err := abi.DecodeCallResponse(answer.Response)
	if err != nil {
		return nil, abi.Errorf(abi.CodePluginFailed, "plugin %s answered garbage: %w", r.plugin.name(), err).
			WithHint("the plugin's author has to mend this")
	}
	if response.Error != nil {
		return nil, r.said(response.Error)
	}
	return response.Result, r.usage.addTo(response.Result)
}

// said is an error in a plugin's words. Those that only the host can mean are
// the plugin's failure, and none is longer than a person reads.
func (r *run) said(e *abi.Error) error {
	switch e.Code {
	case abi.CodeUnauthenticated, abi.CodeInternal, abi.CodeUnimplemented:
		e = abi.Errorf(abi.CodePluginFailed, "plugin %s says %v: %s", r.plugin.name(), e.Code, e.Message)
	}
	e.Message, e.Hint = clip(e.Message), clip(e.Hint)
	e.Grant, e.Field, e.Limit = clip(e.Grant), clip(e.Field), clip(e.Limit)
	return e
}

func clip(s string) string {
	const most = 4000
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// withOperator says in the hint of a limit that was reached who can raise it,
// which the engine doesn't know.
func withOperator(err error) error {
	e, ok := errors.AsType[*abi.Error](err)
	if !ok || e.Limit == "" {
		return err
	}
	if hint, ok := strings.CutSuffix(e.Hint, "raise limits."+e.Limit); ok {
		own := *e
		own.Hint = hint + raise(e.Limit)
		return &own
	}
	return err
}

// maxStderr is how much of a failed plugin's stderr the error tells, in bytes.
const maxStderr = 2000

// withStderr adds what a plugin printed before it failed, the end of it: that
// is where a trap is explained. The stacks that a Go plugin prints after that
// are its author's, who finds them in the host's log.
func withStderr(err error, stderr string) error {
	stderr, _, _ = strings.Cut(stderr, "\ngoroutine ")
	stderr = strings.TrimSpace(stderr)
	if abi.CodeOf(err) != abi.CodePluginFailed || stderr == "" {
		return err
	}
	e := *abi.AsError(err)
	said := strings.ToValidUTF8(stderr[max(0, len(stderr)-maxStderr):], "")
	e.Hint = strings.TrimSpace(e.Hint + "\nthe plugin printed: " + said)
	return &e
}

// endedBy says why a call whose context is over ended: the session's or the
// plugin's end, the deadline, or a caller who went away.
func endedBy(ctx context.Context, limits abi.Limits, err error) error {
	if e, ok := errors.AsType[*abi.Error](context.Cause(ctx)); ok {
		own := *e // the cause is shared by every call that it ends
		return own.WithCause(err)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return tooLong(limits).WithCause(err)
	}
	return abi.Errorf(abi.CodeCanceled, "the caller went away").WithCause(err)
}

// tooLong is what a call ends with at its deadline, and the calls that it made
// with it.
func tooLong(limits abi.Limits) *abi.Error {
	e := abi.Errorf(abi.CodeDeadlineExceeded, "the call took longer than its limit of %v", limits.Deadline).
		WithHint("do less in one call, or %s", raise("deadline"))
	e.Limit = "deadline"
	return e
}

// entry is the audit entry of this call with its kind.
func (r *run) entry(kind string, err error) audit.Entry {
	e := audit.Entry{
		Kind: kind, Principal: r.Principal, Request: r.Request, Session: r.Session.ID, Call: r.id,
		Plugin: r.plugin.name(), Digest: r.plugin.artifact.Digest, Tool: r.Tool,
	}
	if r.caller != nil {
		e.Caller = r.caller.id
	}
	if err != nil {
		e.Code, e.Message = abi.CodeOf(err).String(), abi.AsError(err).Message
	}
	return e
}

func (r *run) audit(kind string, err error) error { return r.append(r.entry(kind, err)) }

func (r *run) auditOp(rec bridge.Record) error {
	kind := audit.KindOpIntent
	if rec.Phase == bridge.PhaseOutcome {
		kind = audit.KindOpOutcome
	}
	e := r.entry(kind, rec.Err)
	e.Op, e.Detail = rec.Op, rec.Detail
	return r.append(e)
}

// auditFile records an attempt to change a zone. Like operations, they are
// bounded, so that no call fills the disk with its refusals. It is called by
// the guest's goroutine alone.
func (r *run) auditFile(op, path string, err error) error {
	if r.files++; r.files > abi.MaxOperations {
		return abi.Errorf(abi.CodeResourceExhausted, "a call changes files at most %d times", abi.MaxOperations)
	}
	e := r.entry(audit.KindFile, err)
	e.Op, e.Detail = "files."+op, map[string]string{"path": path}
	return r.append(e)
}

func (r *run) append(e audit.Entry) error {
	if err := r.host.audit.Append(e); err != nil {
		return abi.Errorf(abi.CodeUnavailable, "the audit log can't be written, and nothing is done without it: %w", err).
			WithHint("the operator has to mend the data directory: is its disk full?")
	}
	return nil
}
