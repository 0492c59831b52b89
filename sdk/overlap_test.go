package sdk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// hostTasks are the async operations of one call, as a host has them.
type hostTasks struct {
	all  []*hostTask
	most int // that were outstanding at once
}

type hostTask struct {
	request abi.Frame
	cancel  context.CancelFunc
	stopped bool // by cancel
	fetched bool
	ended   chan struct{}
	frame   []byte
	err     error
}

func (h *hostTasks) start(t testing.TB, f abi.Frame, do func(context.Context) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithCancel(t.Context())
	task := &hostTask{request: f, cancel: cancel, ended: make(chan struct{})}
	h.all = append(h.all, task)
	outstanding := 0
	for _, other := range h.all {
		if !other.fetched {
			outstanding++
		}
	}
	h.most = max(h.most, outstanding)
	go func() {
		defer close(task.ended)
		task.frame, task.err = do(ctx)
	}()
	return abi.EncodeFrame(abi.Task{Task: uint32(len(h.all))}, nil)
}

// end cancels what is left of a call, as a host does, and waits for it.
func (h *hostTasks) end() {
	for _, task := range h.all {
		task.cancel()
		<-task.ended
	}
}

func (h *hostTasks) wait(f abi.Frame) ([]byte, error) {
	var req abi.WaitRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	if len(req.Tasks) == 0 || len(req.Tasks) > abi.MaxTasks {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "wait for %d tasks", len(req.Tasks))
	}
	var timeout <-chan time.Time
	if req.TimeoutMS > 0 {
		timeout = time.After(time.Duration(req.TimeoutMS) * time.Millisecond)
	}
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(timeout)}}
	for _, n := range req.Tasks {
		if int(n) > len(h.all) || h.all[n-1].fetched {
			return nil, abi.Errorf(abi.CodeNotFound, "there is no task %d", n)
		}
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(h.all[n-1].ended)})
	}
	i, _, _ := reflect.Select(cases)
	if i == 0 {
		return nil, abi.Errorf(abi.CodeDeadlineExceeded, "none ended")
	}
	n := req.Tasks[i-1]
	task := h.all[n-1]
	task.fetched = true
	if task.err != nil {
		return abi.EncodeFrame(abi.WaitResponse{Task: n, Error: abi.AsError(task.err)}, nil)
	}
	resp, err := abi.DecodeFrame(task.frame)
	if err != nil {
		return nil, err
	}
	return abi.EncodeFrame(abi.WaitResponse{Task: n, Response: resp.Header}, resp.Body)
}

func (h *hostTasks) stop(f abi.Frame) ([]byte, error) {
	var req abi.CancelRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	task := h.all[req.Task-1]
	task.stopped = true
	task.cancel()
	return abi.EncodeFrame(nil, nil)
}

// stoppedOnes returns how many tasks were cancelled.
func (h *hostTasks) stoppedOnes() int {
	n := 0
	for _, task := range h.all {
		if task.stopped {
			n++
		}
	}
	return n
}

// executed is what code answers with.
func executed(code string) ([]byte, error) {
	return abi.EncodeKernelExecute(abi.KernelExecuteResponse{
		Status: abi.StatusOK, Outputs: []abi.Output{{Type: abi.OutputStream, Name: "stdout", Text: code}},
	})
}

// kernelAndPage answers executions with their code, "long" when it is
// cancelled or interrupted, and requests with a page that is a number of bytes.
func kernelAndPage(size int) func(context.Context, string, abi.Frame) ([]byte, error) {
	interrupted := make(chan struct{})
	fetching := make(chan struct{})
	read := 0
	page := bytes.Repeat([]byte("x"), size)
	return func(ctx context.Context, op string, f abi.Frame) ([]byte, error) {
		switch op {
		case abi.OpKernelInterrupt:
			close(interrupted)
			return abi.EncodeFrame(nil, nil)
		case abi.OpHTTPFetch:
			close(fetching)
			return abi.EncodeFrame(abi.HTTPFetchResponse{Status: 200, Body: 7}, nil)
		case abi.OpHTTPRead:
			part := page[read:min(read+10, size)]
			if read += len(part); len(part) == 0 {
				return abi.EncodeFrame(abi.HTTPReadResponse{Ended: true}, nil)
			}
			return abi.EncodeFrame(abi.HTTPReadResponse{}, part)
		}
		var req abi.KernelExecuteRequest
		if err := f.Decode(&req); err != nil {
			return nil, err
		}
		switch {
		case req.Code == "long":
			select {
			case <-interrupted:
			case <-ctx.Done():
				return nil, abi.Errorf(abi.CodeCanceled, "cancelled")
			}
		case size > 0:
			<-fetching
		}
		return executed(req.Code)
	}
}

func TestFunctionsInASandbox(t *testing.T) {
	box := newSandbox(t, buildGuest(t, "./testdata/tasks"))
	with := func(t *testing.T, begin func(context.Context, string, abi.Frame) ([]byte, error)) *sandbox {
		s := box.with(t, func(op string, f abi.Frame) ([]byte, error) {
			if op == abi.OpHTTPClose {
				return abi.EncodeFrame(nil, nil)
			}
			return begin(t.Context(), op, f) // with no function running
		})
		s.begin = begin
		return s
	}

	t.Run("go on beside the tool", func(t *testing.T) {
		s := with(t, kernelAndPage(25))
		if got, want := s.text("beside", `{}`), "one "+strings.Repeat("x", 25); got != want {
			t.Errorf("the tool answered with %q, want %q", got, want)
		}
	})
	t.Run("wait for a place at the host", func(t *testing.T) {
		s := with(t, kernelAndPage(0))
		var want []string
		for i := range 40 {
			want = append(want, fmt.Sprint(i))
		}
		if got := s.text("crowd", `{}`); got != strings.Join(want, " ") {
			t.Errorf("the tool answered with %q", got)
		}
		if s.tasks.most > abi.MaxTasks || len(s.tasks.all) != 40 {
			t.Errorf("%d tasks, %d at once", len(s.tasks.all), s.tasks.most)
		}
	})
	t.Run("may sleep", func(t *testing.T) {
		if got := with(t, kernelAndPage(0)).text("sleeper", `{}`); got != "interrupted" {
			t.Errorf("the tool answered with %q", got)
		}
	})
	t.Run("may be waited for as Go does", func(t *testing.T) {
		if got := with(t, kernelAndPage(0)).text("channels", `{}`); got != "one two" {
			t.Errorf("the tool answered with %q", got)
		}
	})
	t.Run("are cancelled one by one", func(t *testing.T) {
		s := with(t, kernelAndPage(0))
		if got := s.text("cancel", `{}`); got != "one two" || s.tasks.stoppedOnes() != 1 {
			t.Errorf("the tool answered with %q, and %d were cancelled", got, s.tasks.stoppedOnes())
		}
	})
	t.Run("have time of their own", func(t *testing.T) {
		s := with(t, kernelAndPage(0))
		if got := s.run("timeout", `{}`).Error; got == nil || got.Code != abi.CodeDeadlineExceeded || s.tasks.stoppedOnes() != 1 {
			t.Errorf("the tool answered with %v, and %d were cancelled", got, s.tasks.stoppedOnes())
		}
	})
	t.Run("fail alone when they panic", func(t *testing.T) {
		s := with(t, kernelAndPage(0))
		if got := s.run("panic", `{}`).Error; got == nil || got.Code != abi.CodePluginFailed || !strings.Contains(s.stderr.String(), "on purpose") {
			t.Errorf("the tool answered with %v", got)
		}
	})
	t.Run("end with the call", func(t *testing.T) {
		for range 3 { // in the same sandbox, where nothing is left of the last
			s := with(t, kernelAndPage(0))
			if got := s.text("leave", `{}`); got != "one" || s.tasks.stoppedOnes() != 2 {
				t.Errorf("the tool answered with %q, and %d were cancelled", got, s.tasks.stoppedOnes())
			}
		}
	})
	t.Run("learn what the host refuses", func(t *testing.T) {
		s := with(t, func(context.Context, string, abi.Frame) ([]byte, error) {
			return nil, abi.Errorf(abi.CodeStateLost, "the kernel ended")
		})
		if got := s.run("channels", `{}`).Error; got == nil || got.Code != abi.CodeStateLost {
			t.Errorf("the tool answered with %v", got)
		}
	})
	t.Run("speak the wire vectors", func(t *testing.T) {
		s := with(t, func(_ context.Context, op string, _ abi.Frame) ([]byte, error) {
			switch op {
			case abi.OpKernelExecute:
				return vectorFrame(t, "message_kernel_execute_response"), nil
			case abi.OpHTTPFetch:
				return vectorFrame(t, "message_http_fetch_response"), nil
			}
			return vectorFrame(t, "message_kernel_status_response"), nil
		})
		if got := s.text("wire", `{}`); got != abi.KernelIdle {
			t.Errorf("the tool answered with %q", got)
		}
		var sent []string
		for _, task := range s.tasks.all {
			frame := binary.LittleEndian.AppendUint32(nil, uint32(len(task.request.Header)))
			sent = append(sent, string(slices.Concat(frame, task.request.Header, task.request.Body)))
		}
		for i, name := range []string{"message_kernel_execute_request_full", "message_http_fetch_request_full"} {
			if want := string(vectorFrame(t, name)); !slices.Contains(sent, want) {
				t.Errorf("asked with\n%q, want\n%q", sent[i], want)
			}
		}
		if !strings.HasSuffix(sent[len(sent)-1], `{"async":true}`) {
			t.Errorf("asked with %q", sent[len(sent)-1])
		}
	})
	t.Run("trap where they never end", func(t *testing.T) {
		s := with(t, kernelAndPage(0))
		if err := s.trap("stray", `{}`); !strings.Contains(s.stderr.String(), "went on for 5s after they were cancelled") {
			t.Errorf("the call ended with %v\n%s", err, s.stderr)
		}
	})
}
