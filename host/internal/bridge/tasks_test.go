package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/bridge"
)

// A stage is a kernel whose executions end when the test says so: each code has
// a channel that ends it.
type stage struct {
	kernel  fakeKernel
	ends    map[string]chan error
	running atomic.Int32
}

func newStage(codes ...string) *stage {
	s := &stage{ends: map[string]chan error{}}
	for _, code := range codes {
		s.ends[code] = make(chan error, 1)
	}
	s.kernel.execute = func(ctx context.Context, r abi.KernelExecuteRequest, _ func(abi.Output)) (abi.KernelExecuteResponse, error) {
		s.running.Add(1)
		defer s.running.Add(-1)
		select {
		case err := <-s.ends[r.Code]:
			return abi.KernelExecuteResponse{
				Status:  abi.StatusOK,
				Outputs: []abi.Output{{Type: abi.OutputDisplay, Blobs: []abi.Blob{{MIMEType: "image/png", Bytes: []byte(r.Code)}}}},
			}, err
		case <-ctx.Done():
			return abi.KernelExecuteResponse{}, ctx.Err()
		}
	}
	return s
}

// ended is what the task of a code answers with once it ended well.
func ended(task int, code string) string {
	return fmt.Sprintf(`{"task":%d,"response":{"status":"ok","outputs":[{"type":"display","blobs":[{"mimeType":"image/png","offset":0,"length":%d}]}],"duration_ms":0}} body=%x`, task, len(code), code)
}

func TestWaitAnswersWithTheTaskThatEndsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage("a", "b", "c")
		c, r := newCall(t, &s.kernel, nil)
		trace(t, c, `
			==> kernel.execute {"code":"a","async":true}
			<== {"task":1}
			==> kernel.execute {"code":"b","async":true}
			<== {"task":2}
			==> kernel.execute {"code":"c","async":true}
			<== {"task":3}
		`)
		s.ends["c"] <- nil
		trace(t, c, `
			==> call.wait {"tasks":[1,2,3]}
			<== `+ended(3, "c"))
		s.ends["b"] <- abi.Errorf(abi.CodeStateLost, "the kernel died")
		synctest.Wait()
		s.ends["a"] <- nil
		synctest.Wait()
		trace(t, c, `
			==> call.wait {"tasks":[1,2]}
			<== {"task":2,"error":{"code":"state_lost","message":"the kernel died"}}
			==> call.wait {"tasks":[1]}
			<== `+ended(1, "a")+`
			==> call.wait {"tasks":[1]}
			<== not_found: call.wait: there is no task 1, or its response was fetched
			==> call.wait {"tasks":[4]}
			<== not_found: call.wait: there is no task 4, or its response was fetched
			==> call.cancel {"task":1}
			<== not_found: call.cancel: there is no task 1, or its response was fetched
		`)
		same(t, "audit", r.audited(), `
			intent kernel.execute code_bytes=1 code_sha256=ca978112 language=python task=1
			intent kernel.execute code_bytes=1 code_sha256=3e23e816 language=python task=2
			intent kernel.execute code_bytes=1 code_sha256=2e7d2c03 language=python task=3
			outcome kernel.execute code_bytes=1 code_sha256=2e7d2c03 duration_ms=0 language=python status=ok task=3
			outcome kernel.execute code_bytes=1 code_sha256=3e23e816 language=python task=2 → state_lost
			outcome kernel.execute code_bytes=1 code_sha256=ca978112 duration_ms=0 language=python status=ok task=1
		`)
	})
}

func TestEveryOperationOfACapabilityCanBeATask(t *testing.T) {
	c, _ := newCall(t, &fakeKernel{}, nil)
	trace(t, c, `
		==> kernel.interrupt {"async":true}
		<== {"task":1}
		==> call.wait {"tasks":[1]}
		<== {"task":1,"response":{}}
		==> kernel.reset {"async":true}
		<== {"task":2}
		==> call.wait {"tasks":[2]}
		<== {"task":2,"response":{}}
		==> kernel.status {"async":true}
		<== {"task":3}
		==> call.wait {"tasks":[3]}
		<== {"task":3,"response":{"state":"idle","language":"python","executions":0,"queued":0,"starts":1}}
	`)
}

func TestWaitHasATimeoutAndTheTasksGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage("a")
		c, _ := newCall(t, &s.kernel, nil)
		start := time.Now()
		trace(t, c, `
			==> kernel.execute {"code":"a","async":true}
			<== {"task":1}
			==> call.wait {"tasks":[1],"timeout_ms":1500}
			<== deadline_exceeded: call.wait: none of the tasks ended within 1500 ms
		`)
		if waited := time.Since(start); waited != 1500*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
		s.ends["a"] <- nil
		trace(t, c, `
			==> call.wait {"tasks":[1],"timeout_ms":1500}
			<== `+ended(1, "a"))
	})
}

func TestWaitEndsWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage("a")
		c, _ := newCall(t, &s.kernel, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		same(t, "task", dispatch(ctx, t, c, abi.OpKernelExecute, `{"code":"a","async":true}`), `{"task":1}`)
		got := dispatch(ctx, t, c, abi.OpCallWait, `{"tasks":[1],"timeout_ms":5000}`)
		// Both end at once: the task, cancelled, or the wait for it.
		if got != `deadline_exceeded: call.wait: the call's time is over` &&
			got != `{"task":1,"error":{"code":"deadline_exceeded","message":"kernel.execute: the call's time is over"}}` {
			t.Errorf("wait answers %s", got)
		}
		same(t, "afterwards", dispatch(ctx, t, c, abi.OpCallConfig, `{}`), "deadline_exceeded: call.config: the call's time is over")
	})
}

func TestACancelledTaskEndsWithCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage("a", "b")
		c, _ := newCall(t, &s.kernel, nil)
		trace(t, c, `
			==> kernel.execute {"code":"a","async":true}
			<== {"task":1}
			==> kernel.execute {"code":"b","async":true}
			<== {"task":2}
			==> call.cancel {"task":1}
			<== {}
			==> call.wait {"tasks":[1,2]}
			<== {"task":1,"error":{"code":"canceled","message":"kernel.execute: cancelled"}}
		`)
		s.ends["b"] <- nil
		synctest.Wait()
		trace(t, c, `
			==> call.cancel {"task":2}
			<== {}
			==> call.wait {"tasks":[2]}
			<== `+ended(2, "b"))
	})
}

func TestAPanicInATaskIsItsError(t *testing.T) {
	c, _ := newCall(t, &fakeKernel{execute: func(context.Context, abi.KernelExecuteRequest, func(abi.Output)) (abi.KernelExecuteResponse, error) {
		panic("boom")
	}}, nil)
	trace(t, c, `
		==> kernel.execute {"code":"1","async":true}
		<== {"task":1}
		==> call.wait {"tasks":[1]}
		<== {"task":1,"error":{"code":"internal","message":"kernel.execute: the host failed; its log has the cause"}}
	`)
}

func TestTasksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage("a")
		c, _ := newCall(t, &s.kernel, nil)
		for n := range abi.MaxTasks {
			same(t, "task", dispatch(t.Context(), t, c, abi.OpKernelExecute, `{"code":"a","async":true}`), fmt.Sprintf(`{"task":%d}`, n+1))
		}
		trace(t, c, `
			==> kernel.execute {"code":"a","async":true}
			<== resource_exhausted: kernel.execute: 16 tasks are outstanding, the bound of a call
			==> call.cancel {"task":7}
			<== {}
			==> kernel.execute {"code":"a","async":true}
			<== resource_exhausted: kernel.execute: 16 tasks are outstanding, the bound of a call
			==> call.wait {"tasks":[7]}
			<== {"task":7,"error":{"code":"canceled","message":"kernel.execute: cancelled"}}
			==> kernel.execute {"code":"a","async":true}
			<== {"task":17}
		`)
	})
}

func TestCloseCancelsTasksAndWaitsForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage("a", "b")
		slow := s.kernel.execute
		s.kernel.execute = func(ctx context.Context, r abi.KernelExecuteRequest, sink func(abi.Output)) (abi.KernelExecuteResponse, error) {
			res, err := slow(ctx, r, sink)
			time.Sleep(3 * time.Second) // of the bubble: how long its clean-up takes
			sink(abi.Output{Type: abi.OutputStream, Name: "stdout", Text: "last words"})
			return res, err
		}
		c, r := newCall(t, &s.kernel, nil)
		trace(t, c, `
			==> kernel.execute {"code":"a","async":true,"stream":"agent"}
			<== {"task":1}
			==> kernel.execute {"code":"b","async":true}
			<== {"task":2}
		`)
		synctest.Wait()
		c.Close()
		if n := s.running.Load(); n != 0 {
			t.Errorf("%d tasks run after Close", n)
		}
		same(t, "events", r.emitted(), `{"type":"output","output":{"type":"stream","name":"stdout","text":"last words"}}`)
		same(t, "afterwards", dispatch(t.Context(), t, c, abi.OpCallConfig, "{}"), "canceled: call.config: the call has ended")
		c.Close() // a second time does nothing
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		var sink func(abi.Output)
		k := &fakeKernel{execute: func(_ context.Context, _ abi.KernelExecuteRequest, s func(abi.Output)) (abi.KernelExecuteResponse, error) {
			sink = s
			<-free // deaf to its context
			return abi.KernelExecuteResponse{}, errors.New("never mind")
		}}
		c, r := newCall(t, k, func(config *bridge.Config) { config.Grace = 2 * time.Second })
		same(t, "task", dispatch(t.Context(), t, c, abi.OpKernelExecute, `{"code":"a","async":true,"stream":"agent"}`), `{"task":1}`)
		synctest.Wait()
		start := time.Now()
		c.Close()
		if waited := time.Since(start); waited != 2*time.Second {
			t.Errorf("waited %v", waited)
		}
		sink(abi.Output{Type: abi.OutputStream})
		same(t, "events", r.emitted(), "")
		close(free)
	})
}
