package abi

import "encoding/json"

// StreamAgent in a request's Stream sends its output to the agent as it comes.
const StreamAgent = "agent"

// A KernelExecuteRequest runs code in the kernel that belongs to the calling
// session and plugin, starting it if there is none. Executions of one kernel
// are queued in order.
type KernelExecuteRequest struct {
	Code     string `json:"code"`
	Language string `json:"language,omitempty"` // "" is python
	Stream   string `json:"stream,omitempty"`   // "" or StreamAgent
	// TimeoutMS bounds the run, its time in the queue not counted; when it is
	// over the code is interrupted and what it printed is returned. Zero is
	// the longest the grant allows, and more than that is permission_denied.
	TimeoutMS int64 `json:"timeout_ms,omitempty"`
	Async
}

// Outcomes of an execution.
const (
	StatusOK          = "ok"
	StatusError       = "error"       // the code raised; Error is set
	StatusTimeout     = "timeout"     // interrupted when its time was over
	StatusInterrupted = "interrupted" // interrupted by somebody else
)

// A KernelExecuteResponse is what the code did. A kernel that ends in
// mid-execution is the error state_lost instead.
type KernelExecuteResponse struct {
	Status         string       `json:"status"`
	ExecutionCount int          `json:"execution_count,omitempty"`
	Outputs        []Output     `json:"outputs"`
	Error          *KernelError `json:"error,omitempty"`
	// StateLost says why the variables of earlier calls are gone, when this
	// is the first execution of a kernel that replaced another.
	StateLost string `json:"state_lost,omitempty"`
	// Killed says that the code didn't obey its interrupt, so that its kernel
	// was ended and all variables with it: Status is timeout or interrupted.
	Killed bool `json:"killed,omitempty"`
	// Truncated is how many bytes of output were dropped, over the bound.
	Truncated  int64 `json:"truncated,omitempty"`
	DurationMS int64 `json:"duration_ms"`
}

// Output types.
const (
	OutputStream  = "stream"  // Name is stdout or stderr
	OutputDisplay = "display" // shown by the code
	OutputResult  = "result"  // the value of the last expression
)

// An Output is one thing that the code printed or showed. Neighbouring prints
// to the same stream are joined.
type Output struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
	Text string `json:"text,omitempty"`
	// Data holds the textual representations of a display or a result by MIME
	// type: a string, or JSON for JSON types.
	Data map[string]json.RawMessage `json:"data,omitempty"`
	// Blobs are the binary representations.
	Blobs []Blob `json:"blobs,omitempty"`
}

// A Blob is bytes of a MIME type, in a frame's body.
type Blob struct {
	MIMEType string `json:"mimeType"`
	Bytes    []byte `json:"-"`
	Range
}

// A KernelError is an exception. The traceback's lines carry no colour codes.
type KernelError struct {
	Name      string   `json:"name"`
	Value     string   `json:"value"`
	Traceback []string `json:"traceback,omitempty"`
}

// EncodeKernelExecute returns the frame of r, with the blobs in its body.
func EncodeKernelExecute(r KernelExecuteResponse) ([]byte, error) {
	var body []byte
	outputs := make([]Output, len(r.Outputs))
	for i, o := range r.Outputs {
		blobs := make([]Blob, len(o.Blobs))
		for j, b := range o.Blobs {
			body, b.Range = add(body, b.Bytes)
			blobs[j] = b
		}
		o.Blobs = blobs
		outputs[i] = o
	}
	r.Outputs = outputs
	return EncodeFrame(r, body)
}

// DecodeKernelExecute reads a frame that EncodeKernelExecute wrote; the blobs
// are views of the body.
func DecodeKernelExecute(f Frame) (KernelExecuteResponse, error) {
	var r KernelExecuteResponse
	if err := f.Decode(&r); err != nil {
		return r, err
	}
	for i := range r.Outputs {
		for j := range r.Outputs[i].Blobs {
			b := &r.Outputs[i].Blobs[j]
			var err error
			if b.Bytes, err = b.Range.of(f.Body); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// A KernelRequest names a kernel, for interrupt, reset and status. Interrupt
// and reset answer with the empty object. Interrupt ends what runs and keeps
// the variables; with nothing running it does nothing. Reset starts afresh.
type KernelRequest struct {
	Language string `json:"language,omitempty"` // "" is python
	Async
}

// States of a kernel.
const (
	KernelNone     = "none" // not started, or ended; the next execution starts one
	KernelStarting = "starting"
	KernelIdle     = "idle"
	KernelBusy     = "busy"
)

// A KernelStatusResponse says how a kernel fares.
type KernelStatusResponse struct {
	State      string `json:"state"`
	Language   string `json:"language"`
	PID        int    `json:"pid,omitempty"`
	Started    string `json:"started,omitempty"` // RFC 3339
	Executions int    `json:"executions"`        // since it started
	Queued     int    `json:"queued"`            // waiting for their turn
	Starts     int    `json:"starts"`            // how often one was started for this session and plugin
	LastExit   string `json:"last_exit,omitempty"`
}

// An Event is what an agent sees while a call runs, in the order of Seq. The
// last one is a result or an error.
type Event struct {
	Seq      int64            `json:"seq"`
	TS       string           `json:"ts"` // RFC 3339, with nanoseconds
	Type     string           `json:"type"`
	Call     string           `json:"call,omitempty"` // of started: the call's id
	Output   *Output          `json:"output,omitempty"`
	Progress *ProgressRequest `json:"progress,omitempty"`
	Result   *Result          `json:"result,omitempty"`
	Error    *Error           `json:"error,omitempty"`
}

// Event types.
const (
	EventStarted  = "started"
	EventOutput   = "output"
	EventProgress = "progress"
	EventResult   = "result"
	EventError    = "error"
)
