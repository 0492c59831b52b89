package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Dispatch carries out an operation, as engines want it.
type Dispatch func(ctx context.Context, op string, frame []byte) ([]byte, error)

// A RecorderConfig says what is recorded.
type RecorderConfig struct {
	// Case is what is called. Required.
	Case *Case
	// Next carries out the operations. Required. call.config is the exception:
	// the case says what is set.
	Next Dispatch
	// Files reads the workspace. Nil is one in which operations change nothing.
	Files func() (Tree, error)
}

// A Recorder stands before a host's operations and keeps what goes through.
// Dispatch is called from one goroutine, Emit and Touch from any.
type Recorder struct {
	config RecorderConfig
	fixed  []bool // of the case's fixes: whether there was something to fix
	before Tree   // the workspace when the call began
	known  Tree   // the workspace when it was read last

	mu      sync.Mutex
	calls   []Call
	events  []Event         // that belong to no call yet
	touched map[string]bool // by the plugin, since the workspace was read
	err     error           // why there can be no recording
}

// NewRecorder returns a Recorder of one call. The workspace has the case's files
// already.
func NewRecorder(cfg RecorderConfig) (*Recorder, error) {
	r := &Recorder{config: cfg, fixed: make([]bool, len(cfg.Case.Fixes)), touched: map[string]bool{}}
	if cfg.Files == nil {
		return r, nil
	}
	var err error
	r.before, err = cfg.Files()
	r.known = r.before
	return r, err
}

// Dispatch carries out an operation and keeps it.
func (r *Recorder) Dispatch(ctx context.Context, op string, frame []byte) ([]byte, error) {
	call := Call{Op: op, Request: partOf(frame)}
	if len(call.Request.Body) > maxRequestBody {
		call.Request.Body, call.Request.Digest = nil, digestOf(call.Request.Body)
	}
	meanwhile, err := r.look(op)
	if err != nil {
		return nil, err
	}
	var response []byte
	if op == abi.OpCallConfig {
		config := r.config.Case.Config
		if config == nil {
			config = map[string]string{}
		}
		response, err = abi.EncodeFrame(abi.ConfigResponse{Config: config}, nil)
	} else {
		response, err = r.config.Next(ctx, op, frame)
	}
	if err == nil {
		call.Response = r.fix(op, partOf(response))
		response, err = call.Response.frame()
	}
	if err != nil {
		call.Error = withCode(err)
		err = call.Error
	}
	done, failed := r.look(op)
	if failed != nil {
		return nil, failed
	}
	call.Changes = join(meanwhile, done)
	r.keep(call)
	return response, err
}

// withCode is an error as the plugin gets to see it.
func withCode(err error) *abi.Error {
	e := *abi.AsError(err)
	if e.Code >= 0 {
		e.Code = abi.CodeInternal
	}
	return &e
}

// look reads the workspace, where op is one that may change it or waits for
// one that does, and returns what is different since the last look and not the
// plugin's own doing.
func (r *Recorder) look(op string) ([]Change, error) {
	if r.config.Files == nil || strings.HasPrefix(op, "http.") || strings.HasPrefix(op, "call.") && op != abi.OpCallWait {
		return nil, nil
	}
	now, err := r.config.Files()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = err
		return nil, err
	}
	changes := slices.DeleteFunc(r.known.Changes(now), func(c Change) bool { return r.touchedBy(c.Path) })
	r.known = now
	clear(r.touched)
	return changes, nil
}

// join returns what two lists of changes come to, one after the other.
func join(first, second []Change) []Change {
	if len(first) == 0 {
		return second
	}
	later := byPath(second)
	first = slices.DeleteFunc(first, func(c Change) bool { return later[c.Path] != nil })
	return append(first, second...)
}

// touchedBy says whether the plugin itself changed a path, or what is above or
// below it.
func (r *Recorder) touchedBy(path string) bool {
	path = strings.TrimSuffix(path, "/")
	for touched := range r.touched {
		if path == touched || strings.HasPrefix(path, touched+"/") || strings.HasPrefix(touched, path+"/") {
			return true
		}
	}
	return false
}

// keep adds a call, with what the agent was sent.
func (r *Recorder) keep(call Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !leavesEvents(call) {
		call.Events, r.events = r.events, nil
	}
	r.calls = append(r.calls, call)
}

// leavesEvents says whether a call leaves what the agent is sent to a later one:
// when a task's events come is a matter of chance, so they are kept with the
// call that waits for it.
func leavesEvents(c Call) bool {
	var async abi.Async
	_ = json.Unmarshal(c.Request.Header, &async)
	return async.Async || strings.HasPrefix(c.Op, "call.") && c.Op != abi.OpCallWait && c.Op != abi.OpCallProgress
}

// Touch says that the plugin is about to change a path of the workspace by
// itself, such as output/report.md.
func (r *Recorder) Touch(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.touched[path] = true
}

// Emit keeps an event that the agent is sent. Neighbouring prints are one.
func (r *Recorder) Emit(e abi.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e.Progress != nil:
		progress := *e.Progress
		r.events = append(r.events, Event{Progress: &progress})
	case e.Output != nil:
		out := *e.Output
		if n := len(r.events); n > 0 && out.Type == abi.OutputStream {
			if last := r.events[n-1].Output; last != nil && last.Type == out.Type && last.Name == out.Name {
				last.Text += out.Text
				return
			}
		}
		r.events = append(r.events, Event{Output: &out})
	}
}

// fix makes the case's fixes in a response.
func (r *Recorder) fix(op string, p Part) Part {
	for i, f := range r.config.Case.Fixes {
		if f.Op != op || p.Header == nil {
			continue
		}
		header, ok := replaceAt(p.Header, f.Pointer, compact(f.Value))
		if ok {
			p.Header, r.fixed[i] = header, true
		}
	}
	return p
}

// Recording returns what was recorded, once the call has ended with response
// and printed something. It fails where a fix of the case never had anything
// to fix, or the workspace can't be recorded.
func (r *Recorder) Recording(response abi.CallResponse, printed string) (*Recording, error) {
	var after Tree
	if r.config.Files != nil {
		var err error
		if after, err = r.config.Files(); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	if i := slices.Index(r.fixed, false); i >= 0 {
		f := r.config.Case.Fixes[i]
		return nil, abi.Errorf(abi.CodeInvalidArgument, "no response of %s has a %s to fix", f.Op, f.Pointer).
			WithHint("correct the line fix: of the case, or remove it")
	}
	rec := &Recording{Case: r.config.Case.Digest(), Calls: r.calls, Printed: []byte(printed), Changes: r.before.Changes(after)}
	if n := len(rec.Calls); n > 0 {
		// What came in the end, of tasks that nobody waited for, has no call of
		// its own.
		rec.Calls[n-1].Events = append(rec.Calls[n-1].Events, r.events...)
	}
	if len(printed) == 0 {
		rec.Printed = nil
	}
	rec.Result, rec.Error = ResponseOf(response)
	return rec, nil
}

// equalParts says whether two requests are the same to a host.
func equalParts(want, got Part) bool {
	if (want.Header == nil) != (got.Header == nil) || want.Header != nil && compareJSON(want.Header, got.Header) != nil {
		return false
	}
	return sameBody(want, got)
}

func sameBody(want, got Part) bool {
	if want.Digest != "" {
		return want.Digest == digestOf(got.Body)
	}
	return bytes.Equal(want.Body, got.Body)
}
