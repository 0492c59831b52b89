package sdktest

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"runtime/debug"
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
	}
	return h.attempt(ctx, op, f)
}

// attempt carries out an operation of a capability, for as long as ctx lasts:
// what the test has for it may not know when a tool has cancelled it. A panic
// there is the tool's, as is the end of a test that failed there.
func (h *Host) attempt(ctx context.Context, op string, f abi.Frame) ([]byte, error) {
	type outcome struct {
		frame    []byte
		err      error
		panicked any
	}
	outcomes := make(chan outcome, 1)
	h.operations.Go(func() {
		defer close(outcomes)
		var o outcome
		defer func() {
			if o.panicked = recover(); o.panicked != nil {
				h.t.Logf("panic in what answers %s: %v\n%s", op, o.panicked, debug.Stack())
				outcomes <- o
			}
		}()
		o.frame, o.err = h.operate(ctx, op, f)
		outcomes <- o
	})
	select {
	case o, ok := <-outcomes:
		if !ok {
			runtime.Goexit()
		}
		if o.panicked != nil {
			panic(o.panicked)
		}
		return o.frame, o.err
	case <-ctx.Done():
		return nil, over(ctx, op)
	}
}

// over is what a host answers when the context of an operation is.
func over(ctx context.Context, op string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return abi.Errorf(abi.CodeDeadlineExceeded, "%s: the call's time is over", op)
	}
	return abi.Errorf(abi.CodeCanceled, "%s: cancelled", op)
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
		return h.execute(ctx, f)
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

func (h *Host) execute(ctx context.Context, f abi.Frame) ([]byte, error) {
	if h.Kernel == nil {
		return nil, noKernel()
	}
	var req abi.KernelExecuteRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	turn := h.kernelTurn(req.Language)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, over(ctx, abi.OpKernelExecute)
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

// kernelTurn returns what is full while a kernel executes something.
func (h *Host) kernelTurn(language string) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	language = cmp.Or(language, "python")
	if h.turns[language] == nil {
		h.turns[language] = make(chan struct{}, 1)
	}
	return h.turns[language]
}

func noKernel() error {
	e := abi.Errorf(abi.CodePermissionDenied, "the test's host has no kernel").WithHint("set Host.Kernel")
	e.Grant = "kernel"
	return e
}
