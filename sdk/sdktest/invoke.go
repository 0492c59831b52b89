package sdktest

import (
	"context"
	"slices"

	"github.com/sallyport-dev/sallyport/abi"
)

// Logs returns what the tools logged, in order.
func (h *Host) Logs() []abi.LogRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.logs)
}

// Progress returns the progress that the tools reported, in order.
func (h *Host) Progress() []abi.ProgressRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.progress)
}

// Streamed returns the output that the tools had sent to the agent as it came.
func (h *Host) Streamed() []abi.Output {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.streamed)
}

// Interrupts returns how often the tools interrupted a kernel.
func (h *Host) Interrupts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.interrupts
}

// Resets returns how often the tools reset a kernel.
func (h *Host) Resets() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.resets
}

// A task is an async operation. It was carried out when it was asked for: a
// test has no use for a race.
type task struct {
	frame []byte
	err   error
	done  bool // fetched by wait
}

func (h *Host) invoke(ctx context.Context, op string, frame []byte) ([]byte, error) {
	f, err := abi.DecodeFrame(frame)
	if err != nil {
		return nil, err
	}
	switch op {
	case abi.OpCallLog:
		return empty(), record(h, &h.logs, f)
	case abi.OpCallProgress:
		return empty(), record(h, &h.progress, f)
	case abi.OpCallConfig:
		return abi.EncodeFrame(abi.ConfigResponse{Config: h.Config}, nil)
	case abi.OpCallWait:
		return h.wait(f)
	case abi.OpCallCancel:
		return h.cancel(f)
	}
	var async abi.Async
	if err := f.Decode(&async); err != nil {
		return nil, err
	}
	if !async.Async {
		return h.operate(ctx, op, f)
	}
	resp, err := h.operate(ctx, op, f)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tasks = append(h.tasks, task{frame: resp, err: err})
	return abi.EncodeFrame(abi.Task{Task: uint32(len(h.tasks))}, nil)
}

// empty is the frame of the empty object.
func empty() []byte { return []byte{2, 0, 0, 0, '{', '}'} }

func record[T any](h *Host, to *[]T, f abi.Frame) error {
	var req T
	if err := f.Decode(&req); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	*to = append(*to, req)
	return nil
}

// operate carries out an operation of a capability.
func (h *Host) operate(ctx context.Context, op string, f abi.Frame) ([]byte, error) {
	switch op {
	case abi.OpKernelExecute:
		return h.execute(f)
	case abi.OpHTTPFetch, abi.OpHTTPRead, abi.OpHTTPClose:
		return h.operateHTTP(ctx, op, f)
	case abi.OpToolCall:
		return h.callTool(f)
	case abi.OpKernelInterrupt, abi.OpKernelReset, abi.OpKernelStatus:
	default:
		return nil, abi.Errorf(abi.CodeUnimplemented, "sdktest has no %s", op)
	}
	if h.Kernel == nil {
		return nil, noKernel()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch op {
	case abi.OpKernelInterrupt:
		h.interrupts++
	case abi.OpKernelReset:
		h.resets++
	case abi.OpKernelStatus:
		s := h.KernelStatus
		if s.State == "" {
			s.State = abi.KernelNone
		}
		if s.Language == "" {
			s.Language = "python"
		}
		return abi.EncodeFrame(s, nil)
	}
	return empty(), nil
}

func (h *Host) execute(f abi.Frame) ([]byte, error) {
	if h.Kernel == nil {
		return nil, noKernel()
	}
	var req abi.KernelExecuteRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	resp, err := h.Kernel(req)
	if err != nil {
		return nil, err
	}
	if resp.Status == "" {
		resp.Status = abi.StatusOK
	}
	if req.Stream == abi.StreamAgent {
		h.mu.Lock()
		h.streamed = append(h.streamed, resp.Outputs...)
		h.mu.Unlock()
	}
	return abi.EncodeKernelExecute(resp)
}

func noKernel() error {
	e := abi.Errorf(abi.CodePermissionDenied, "the test's host has no kernel").WithHint("set Host.Kernel")
	e.Grant = "kernel"
	return e
}

func (h *Host) wait(f abi.Frame) ([]byte, error) {
	var req abi.WaitRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	if len(req.Tasks) == 0 {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "wait names no task")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n := req.Tasks[0] // all of them have ended
	t, err := h.task(n)
	if err != nil {
		return nil, err
	}
	t.done = true
	if t.err != nil {
		return abi.EncodeFrame(abi.WaitResponse{Task: n, Error: abi.AsError(t.err)}, nil)
	}
	resp, err := abi.DecodeFrame(t.frame)
	if err != nil {
		return nil, err
	}
	return abi.EncodeFrame(abi.WaitResponse{Task: n, Response: resp.Header}, resp.Body)
}

func (h *Host) cancel(f abi.Frame) ([]byte, error) {
	var req abi.CancelRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.task(req.Task)
	return empty(), err
}

// task returns a task that hasn't been waited for; the lock is held.
func (h *Host) task(n uint32) (*task, error) {
	if n == 0 || int(n) > len(h.tasks) || h.tasks[n-1].done {
		return nil, abi.Errorf(abi.CodeNotFound, "there is no task %d", n)
	}
	return &h.tasks[n-1], nil
}
