package sdk_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

func TestFunctionsGoOnBesideEachOther(t *testing.T) {
	h := sdktest.New(t)
	fetched := make(chan struct{})
	h.Kernel = func(abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error) {
		<-fetched
		return abi.KernelExecuteResponse{Outputs: []abi.Output{{Type: abi.OutputStream, Text: "ran "}}}, nil
	}
	h.HTTP = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("page"))
		close(fetched)
	})
	if got := texts(call(t, h, "beside", nil)); got != "ran page" {
		t.Errorf("the tool answered with %q", got)
	}
}

func TestTheFirstErrorEndsTheWaiting(t *testing.T) {
	h := sdktest.New(t)
	h.Kernel = func(abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error) {
		return abi.KernelExecuteResponse{}, abi.Errorf(abi.CodeStateLost, "the kernel ended")
	}
	h.HTTP = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	refused(t, h, "beside", nil, abi.CodeStateLost) // and the fetch was cancelled
}

func TestAFunctionsEndIsItsTasks(t *testing.T) {
	ctx := sdktest.New(t).Context()
	for name, tt := range map[string]struct {
		fn   func(sdk.Context) (int, error)
		want string
	}{
		"a value":     {func(sdk.Context) (int, error) { return 7, nil }, ""},
		"no error":    {func(sdk.Context) (int, error) { var e *abi.Error; return 7, e }, ""},
		"an error":    {func(sdk.Context) (int, error) { return 1, errors.New("no column B") }, "no column B"},
		"a panic":     {func(sdk.Context) (int, error) { panic("on purpose") }, "plugin_failed: a function that the tool started panicked: on purpose"},
		"no return":   {func(sdk.Context) (int, error) { runtime.Goexit(); return 1, nil }, "plugin_failed: a function that the tool started ended its goroutine"},
		"a refusal":   {func(ctx sdk.Context) (int, error) { _, err := kernel.Status(ctx, ""); return 1, err }, "permission_denied: the test's host has no kernel"},
		"its context": {func(ctx sdk.Context) (int, error) { return len(ctx.Session), nil }, ""},
	} {
		task := sdk.Go(ctx, tt.fn)
		<-task.Done()
		for range 2 {
			switch got, err := task.Wait(); {
			case err == nil && (tt.want != "" || got != 7):
				t.Errorf("%s is %d", name, got)
			case err != nil && (err.Error() != tt.want || got != 0):
				t.Errorf("%s is %d, %v", name, got, err)
			}
		}
	}
}

func TestWaitingForNothingIsOver(t *testing.T) {
	if err := sdk.Wait(sdktest.New(t).Context()); err != nil {
		t.Error(err)
	}
}

func TestACancelledFunctionsOperationsEnd(t *testing.T) {
	h := sdktest.New(t)
	started, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	h.Kernel = func(abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error) {
		close(started)
		<-end // of the test: it knows nothing of contexts
		return abi.KernelExecuteResponse{}, nil
	}
	ctx := h.Context()
	slow := sdk.Go(ctx, func(ctx sdk.Context) (kernel.Execution, error) {
		return kernel.Execute(ctx, kernel.Request{Code: "slow()"})
	})
	<-started
	queued := sdk.Go(ctx, func(ctx sdk.Context) (kernel.Execution, error) {
		return kernel.Execute(ctx, kernel.Request{Code: "slow()"})
	})
	for _, task := range []*sdk.Task[kernel.Execution]{queued, slow} {
		task.Cancel()
		if _, err := task.Wait(); abi.CodeOf(err) != abi.CodeCanceled {
			t.Errorf("a cancelled function ended with %v", err)
		}
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ctx := sdk.Context{Context: inner}
		end := make(chan struct{})
		deaf := sdk.Go(ctx, func(sdk.Context) (bool, error) { <-end; return true, nil })
		if err := sdk.Wait(ctx, deaf); abi.CodeOf(err) != abi.CodeDeadlineExceeded {
			t.Errorf("Wait failed with %v", err)
		}
		if ok, err := deaf.Wait(); ok || abi.CodeOf(err) != abi.CodeDeadlineExceeded {
			t.Errorf("the task's Wait failed with %v", err)
		}
		close(end)
		<-deaf.Done()
		if ok, err := deaf.Wait(); !ok || err != nil {
			t.Errorf("what has ended has %v, %v", ok, err)
		}
	})
}

func TestAToolThatReturnsCancelsWhatItLeft(t *testing.T) {
	if got := texts(call(t, sdktest.New(t), "leave", nil)); got != "left" {
		t.Errorf("the tool answered with %q", got)
	}
	select {
	case <-(<-left).Done():
	default:
		t.Error("its function goes on")
	}
}

func TestAFunctionThatGoesOnFailsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end)
		number := uint32(0)
		for i, tool := range describe(t).Tools {
			if tool.Name == "leave" {
				number = uint32(i)
			}
		}
		before := time.Now()
		ctx := context.WithValue(t.Context(), strayKey{}, end)
		resp, err := abi.DecodeCallResponse(sdk.Serve(ctx, number, request(t, "leave", `{"stray":true}`)))
		if err != nil || resp.Error == nil || resp.Error.Code != abi.CodePluginFailed || !strings.Contains(resp.Error.Message, "went on for 5s") {
			t.Errorf("the call ended with %+v, %v", resp, err)
		}
		if took := time.Since(before); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		<-left
	})
}

// describe returns what the tools under test are described as.
func describe(t *testing.T) abi.Description {
	t.Helper()
	f, err := abi.DecodeFrame(sdk.Describe())
	if err != nil {
		t.Fatal(err)
	}
	var d abi.Description
	if err := f.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}
