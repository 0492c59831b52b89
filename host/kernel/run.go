package kernel

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// A run is one execution, as the conversation sees it.
type run struct {
	id  string
	out *transcript

	started chan struct{} // closed when the code has begun
	replied chan struct{} // closed when the reply has come on shell
	idle    chan struct{} // closed when the kernel is idle again, by iopub

	mu        sync.Mutex
	seen      map[string]bool // which of the three are closed
	reply     reply
	exception *abi.KernelError // of iopub
	lastHeard time.Time        // on iopub
}

// A reply is the content of an execute_reply, or of an error on iopub.
type reply struct {
	Status    string   `json:"status"`
	Count     int      `json:"execution_count"`
	Name      string   `json:"ename"`
	Value     string   `json:"evalue"`
	Traceback []string `json:"traceback"`
	Payload   []struct {
		Source string `json:"source"`
	} `json:"payload"`
}

// exits says whether the code asked its kernel to end, as exit() does.
func (r reply) exits() bool {
	return slices.ContainsFunc(r.Payload, func(p struct {
		Source string `json:"source"`
	}) bool {
		return p.Source == "ask_exit"
	})
}

func newRun(id string, out *transcript) *run {
	return &run{
		id: id, out: out, seen: map[string]bool{},
		started: make(chan struct{}), replied: make(chan struct{}), idle: make(chan struct{}),
	}
}

// exits says whether the code asked its kernel to end.
func (r *run) exits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reply.exits()
}

// mark closes one of the run's channels, once.
func (r *run) mark(name string, c chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.seen[name] {
		r.seen[name] = true
		close(c)
	}
}

// silence returns how long iopub has said nothing.
func (r *run) silence() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.lastHeard)
}

// conclude fills in what the kernel said of the code's end, and returns how
// many bytes of that it left out. The status stays empty when it said nothing.
func (r *run) conclude(response *abi.KernelExecuteResponse) (truncated int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	response.ExecutionCount, response.Error = r.reply.Count, r.exception
	switch {
	case r.reply.Status == abi.StatusOK:
		response.Status = abi.StatusOK
		response.Error = nil
	case r.reply.Status != "" || r.exception != nil:
		response.Status = abi.StatusError
		if r.exception == nil {
			response.Error, truncated = exception(r.reply.Name, r.reply.Value, r.reply.Traceback)
		}
	}
	return truncated
}

// begin sends code to the kernel. From then on what it prints goes to out,
// with what was printed since the execution before.
func (p *process) begin(code string, out *transcript) (*run, error) {
	r := newRun(p.newID(), out)
	p.mu.Lock()
	p.late.moveTo(out)
	p.current = r
	p.mu.Unlock()
	err := p.write(p.shell, r.id, "execute_request", map[string]any{
		"code": code, "silent": false, "store_history": true,
		"user_expressions": struct{}{}, "allow_stdin": false, "stop_on_error": false,
	})
	return r, err
}

// finish ends the routing of output to a run.
func (p *process) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = nil
}

// onShell handles a message from the shell channel: replies.
func (p *process) onShell(frames [][]byte) {
	m, err := p.key.decode(frames)
	if err != nil {
		p.log.Warn("a kernel's reply can't be read", "error", err)
		return
	}
	p.mu.Lock()
	r, asked := p.current, p.asked[m.parent.ID]
	p.mu.Unlock()
	if asked && m.header.Type == "kernel_info_reply" {
		p.answer("shell")
	}
	if r == nil || m.parent.ID != r.id || m.header.Type != "execute_reply" {
		return
	}
	var content reply
	if m.cut > 0 {
		// Only an exception makes a reply that long, and iopub has said so too.
		content.Status = abi.StatusError
		r.out.count(m.cut)
	} else if err := json.Unmarshal(m.content, &content); err != nil {
		p.log.Warn("a kernel's reply can't be read", "error", err)
	}
	r.mu.Lock()
	r.reply = content
	r.mu.Unlock()
	r.mark("replied", r.replied)
}

// onIOPub handles a message from iopub: output, and the kernel's state.
func (p *process) onIOPub(frames [][]byte) {
	m, err := p.key.decode(frames)
	if err != nil {
		p.log.Warn("a kernel's output can't be read", "error", err)
		return
	}
	p.mu.Lock()
	r, asked := p.current, p.asked[m.parent.ID]
	p.mu.Unlock()
	if asked || m.header.Type == "iopub_welcome" {
		p.answer("iopub")
	}
	if r != nil {
		r.mu.Lock()
		r.lastHeard = time.Now()
		r.mu.Unlock()
	}
	own := r != nil && m.parent.ID == r.id
	switch m.header.Type {
	case "status":
		var content struct {
			State string `json:"execution_state"`
		}
		if own && json.Unmarshal(m.content, &content) == nil && content.State == "idle" {
			r.mark("idle", r.idle)
		}
	case "execute_input":
		if own {
			r.mark("started", r.started)
		}
	case "error":
		var content reply
		if own && (m.cut > 0 || json.Unmarshal(m.content, &content) == nil) {
			e, lost := exception(content.Name, content.Value, content.Traceback)
			r.mu.Lock()
			r.exception = e
			r.mu.Unlock()
			r.out.count(lost + m.cut)
		}
	case "comm_open":
		p.refuse(m)
	default:
		p.output(r, m)
	}
}

// output routes what was printed or shown. A thread of an earlier execution
// may print at any time: that goes to what runs now, or waits for what runs
// next.
func (p *process) output(r *run, m message) {
	out := p.late
	if r != nil {
		out = r.out
	}
	if m.cut > 0 {
		out.count(m.cut)
		return
	}
	var content struct {
		Name      string                     `json:"name"`
		Text      string                     `json:"text"`
		Data      map[string]json.RawMessage `json:"data"`
		Wait      bool                       `json:"wait"`
		Transient struct {
			Display string `json:"display_id"`
		} `json:"transient"`
	}
	if json.Unmarshal(m.content, &content) != nil {
		return
	}
	o := abi.Output{Type: abi.OutputDisplay}
	switch m.header.Type {
	case "stream":
		out.stream(content.Name, content.Text)
		return
	case "clear_output":
		out.clear(content.Wait)
		return
	case "execute_result":
		o.Type = abi.OutputResult
	case "display_data", "update_display_data":
	default:
		return
	}
	o.Data, o.Blobs = bundle(content.Data)
	if m.header.Type == "update_display_data" {
		out.update(o, content.Transient.Display)
	} else {
		out.show(o, content.Transient.Display)
	}
}

// refuse closes a comm that code in the kernel opened: nobody is there to talk
// to it, and it should know.
func (p *process) refuse(m message) {
	var content struct {
		ID string `json:"comm_id"`
	}
	if json.Unmarshal(m.content, &content) != nil || content.ID == "" {
		return
	}
	// More would fill the kernel's inbox while it is busy, and then the host
	// would wait for it here instead of reading on.
	if p.refused++; p.refused > maxRefused {
		return
	}
	err := p.write(p.shell, p.newID(), "comm_close", map[string]any{"comm_id": content.ID, "data": struct{}{}})
	if err != nil {
		p.log.Debug("a comm could not be closed", "error", err)
	}
}
