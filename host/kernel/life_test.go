package kernel_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

// forever is an endless loop that has printed something.
const forever = "print('begun', flush=True)\nwhile True: pass"

// deaf is one that no interrupt ends.
const deaf = `
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('begun', flush=True)
while True: pass
`

func TestTimeoutKeepsOutputAndVariables(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "kept = 'still here'")
	r, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "print('begun')\nimport time\nwhile True: time.sleep(0.01)", TimeoutMS: 500}, nil)
	if err != nil || r.Status != abi.StatusTimeout || printed(r, "stdout") != "begun\n" || r.StateLost != "" {
		t.Errorf("%v %+v", err, r)
	}
	if r.Error == nil || r.Error.Name != "KeyboardInterrupt" {
		t.Errorf("%+v", r.Error)
	}
	expect(t, k, "print(kept)", "still here\n")
}

func TestTimeoutIsBoundedByTheKernels(t *testing.T) {
	t.Parallel()
	k := newKernel(t, func(c *kernel.Config) { c.MaxTime = 300 * time.Millisecond })
	for _, ms := range []int64{0, 3600_000, 1 << 62} {
		r, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: forever, TimeoutMS: ms}, nil)
		if err != nil || r.Status != abi.StatusTimeout {
			t.Errorf("%d ms: %v %+v", ms, err, r)
		}
	}
}

func TestInterruptEndsALoopAndKeepsVariables(t *testing.T) {
	t.Parallel()
	for _, mode := range []kernel.InterruptMode{kernel.InterruptSignal, kernel.InterruptMessage} {
		k := newKernel(t, func(c *kernel.Config) { c.InterruptMode = mode })
		run(t, k, "kept = 'still here'")
		for _, code := range []string{
			forever,
			"print('begun', flush=True)\nimport time; time.sleep(1000)",
			"print('begun', flush=True)\nimport asyncio; await asyncio.sleep(1000)",
			"print('begun', flush=True)\nimport subprocess; subprocess.run(['sleep', '1000'])",
		} {
			printing, done := background(t.Context(), k, abi.KernelExecuteRequest{Code: code})
			within(t, "the first output", printing)
			if err := k.Interrupt(t.Context()); err != nil {
				t.Error(err)
			}
			got := within(t, "the end", done)
			if got.err != nil || got.response.Status != abi.StatusInterrupted || strings.TrimSpace(printed(got.response, "stdout")) != "begun" {
				t.Errorf("%s: %s: %v %+v", mode, code, got.err, got.response)
			}
			expect(t, k, "print(kept)", "still here\n")
		}
		if s := k.Status(); s.Starts != 1 {
			t.Errorf("%+v", s)
		}
	}
}

func TestInterruptIsNotLostOnCodeThatHasNotBegun(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "kept = 'still here'")
	for range 10 {
		done := make(chan result, 1)
		go func() {
			r, err := k.Execute(context.Background(), abi.KernelExecuteRequest{Code: "while True: pass"}, nil)
			done <- result{r, err}
		}()
		poll(t, "the code to be sent", func() bool { return k.Status().State == abi.KernelBusy })
		if err := k.Interrupt(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := within(t, "the end", done); got.err != nil || got.response.Status != abi.StatusInterrupted {
			t.Errorf("%v %+v", got.err, got.response)
		}
	}
	expect(t, k, "print(kept)", "still here\n")
}

func TestInterruptOfAnIdleKernelDoesNothing(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "kept = 1")
	if err := k.Interrupt(t.Context()); err != nil {
		t.Error(err)
	}
	expect(t, k, "print(kept)", "1\n")
}

func TestCodeThatIgnoresInterruptsLosesItsKernel(t *testing.T) {
	t.Parallel()
	grace := func(c *kernel.Config) { c.InterruptGrace = 500 * time.Millisecond }
	for _, c := range []struct {
		name   string
		end    func(*kernel.Kernel, context.CancelFunc) error
		ms     int64
		status string
		code   abi.Code
		ended  abi.Code // what end says
	}{
		{"timeout", nil, 300, abi.StatusTimeout, 0, 0},
		{"interrupt", func(k *kernel.Kernel, _ context.CancelFunc) error { return k.Interrupt(context.Background()) }, 0, abi.StatusInterrupted, 0, abi.CodeStateLost},
		{"canceled", func(_ *kernel.Kernel, cancel context.CancelFunc) error { cancel(); return nil }, 0, "", abi.CodeCanceled, 0},
	} {
		k := newKernel(t, grace)
		run(t, k, "kept = 1")
		before := time.Now().Add(-time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		printing, done := background(ctx, k, abi.KernelExecuteRequest{Code: deaf, TimeoutMS: c.ms})
		within(t, "the first output", printing)
		if c.end != nil {
			if err := c.end(k, cancel); abi.CodeOf(err) != c.ended {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		got := within(t, "the end", done)
		cancel()
		if abi.CodeOf(got.err) != c.code || got.response.Status != c.status || strings.TrimSpace(printed(got.response, "stdout")) != "begun" {
			t.Errorf("%s: %v %+v", c.name, got.err, got.response)
		}
		if got.err == nil && !got.response.Killed {
			t.Errorf("%s: the response doesn't say that the variables are gone", c.name)
		}
		r := run(t, k, "print('kept' in globals())")
		if printed(r, "stdout") != "False\n" || r.Killed || !strings.Contains(r.StateLost, "did not obey an interrupt") {
			t.Errorf("%s: %+v", c.name, r)
		}
		if r.StateLost == "" {
			continue
		}
		// It says since when.
		at, err := time.Parse(time.RFC3339, strings.Fields(strings.TrimPrefix(r.StateLost, "the kernel ended at "))[0])
		if err != nil || at.Before(before.Truncate(time.Second)) || at.After(time.Now()) {
			t.Errorf("%s: %v in %s", c.name, err, r.StateLost)
		}
		if r := run(t, k, "1"); r.StateLost != "" {
			t.Errorf("%s: told twice: %s", c.name, r.StateLost)
		}
	}
}

func TestDeathInMidCallEndsItAtOnce(t *testing.T) {
	t.Parallel()
	var work string
	k := newKernel(t, func(c *kernel.Config) {
		work = filepath.Join(c.Dir, "work")
		// So that nothing but the death can end the call while the test waits.
		c.MaxTime, c.Heartbeat, c.InterruptGrace = time.Hour, time.Hour, time.Hour
	})
	tell := func(file string) {
		if err := os.WriteFile(filepath.Join(work, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ code, reason string }{
		{"os._exit(0)", "exit code 0"},
		{"os.kill(os.getpid(), 9)", "killed by SIGKILL"},
		{"os.kill(os.getpid(), 11)", "killed by SIGSEGV"},
		// What it leaves behind holds its sockets open, beyond the call's end.
		{"if os.fork() == 0:\n os.setsid()\n for _ in range(6000):\n  if os.path.exists('told'): break\n  time.sleep(0.01)\n os._exit(0)\nos._exit(1)", "exit code 1"},
	} {
		run(t, k, "kept = 1")
		printing, done := background(t.Context(), k, abi.KernelExecuteRequest{Code: "import os, time\nprint('last words', flush=True)\nwhile not os.path.exists('heard'): time.sleep(0.002)\nos.remove('heard')\n" + c.code})
		within(t, "the last words", printing)
		tell("heard")
		got := within(t, "the end", done)
		e := code(t, got.err, abi.CodeStateLost)
		if !strings.Contains(e.Message, c.reason) || e.Hint == "" || printed(got.response, "stdout") != "last words\n" {
			t.Errorf("%s: %v, %+v", c.code, e, got.response)
		}
		if s := k.Status(); s.State != abi.KernelNone || !strings.Contains(s.LastExit, c.reason) {
			t.Errorf("%+v", s)
		}
		fresh := run(t, k, "print('kept' in globals())")
		if printed(fresh, "stdout") != "False\n" || !strings.Contains(fresh.StateLost, c.reason) {
			t.Errorf("%s: %+v", c.code, fresh)
		}
	}
	tell("told")
}

func TestDeathBetweenCallsIsTold(t *testing.T) {
	t.Parallel()
	k := newKernel(t, nil)
	run(t, k, "import threading, os, time\nthreading.Thread(target=lambda: (time.sleep(0.2), os._exit(6))).start()")
	poll(t, "the kernel's end", func() bool { return k.Status().State == abi.KernelNone })
	if r := run(t, k, "1"); !strings.Contains(r.StateLost, "exit code 6") {
		t.Errorf("%+v", r)
	}
}

func TestLostStateIsToldUntilItWasHeard(t *testing.T) {
	t.Parallel()
	k := newKernel(t, nil)
	run(t, k, "kept = 1")
	_, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "import os; os._exit(5)"}, nil)
	code(t, err, abi.CodeStateLost)
	ctx, cancel := context.WithCancel(t.Context())
	printing, done := background(ctx, k, abi.KernelExecuteRequest{Code: forever})
	within(t, "the first output", printing)
	cancel()
	code(t, within(t, "the end", done).err, abi.CodeCanceled)
	if r := run(t, k, "1"); !strings.Contains(r.StateLost, "exit code 5") {
		t.Errorf("%+v", r)
	}
}

func TestFrozenKernelIsFoundOut(t *testing.T) {
	t.Parallel()
	k := newKernel(t, func(c *kernel.Config) { c.Heartbeat = 2 * time.Second })
	_, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"}, nil)
	if e := code(t, err, abi.CodeStateLost); !strings.Contains(e.Message, "heartbeat") {
		t.Error(e)
	}
	expect(t, k, "print('fresh')", "fresh\n")
}

func TestCancelEndsTheCode(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "kept = 1")
	ctx, cancel := context.WithCancel(t.Context())
	printing, done := background(ctx, k, abi.KernelExecuteRequest{Code: forever})
	within(t, "the first output", printing)
	cancel()
	got := within(t, "the end", done)
	code(t, got.err, abi.CodeCanceled)
	if strings.TrimSpace(printed(got.response, "stdout")) != "begun" {
		t.Errorf("%+v", got.response)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := k.Execute(ctx, abi.KernelExecuteRequest{Code: forever}, nil)
	code(t, err, abi.CodeDeadlineExceeded)
	expect(t, k, "print(kept)", "1\n")
}

func TestParallelExecutionsKeepTheirOrder(t *testing.T) {
	k, _ := shared(t)
	run(t, k, "order = []")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	printing, first := background(ctx, k, abi.KernelExecuteRequest{Code: forever})
	within(t, "the first output", printing)
	var wait sync.WaitGroup
	for i := range 10 {
		wait.Go(func() {
			if _, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: fmt.Sprintf("order.append(%d)", i)}, nil); err != nil {
				t.Error(err)
			}
		})
		poll(t, "a place in the queue", func() bool { return k.Status().Queued == i+1 })
	}
	cancel()
	within(t, "the first one's end", first)
	wait.Wait()
	expect(t, k, "print(order)", "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n")
}

func TestQueueIsBoundedAndCanBeLeft(t *testing.T) {
	t.Parallel()
	k := newKernel(t, func(c *kernel.Config) { c.MaxQueue = 2 })
	run(t, k, "ran = []")
	printing, first := background(t.Context(), k, abi.KernelExecuteRequest{Code: forever})
	within(t, "the first output", printing)
	leaving, leave := context.WithCancel(t.Context())
	_, left := background(leaving, k, abi.KernelExecuteRequest{Code: "ran.append('left')"})
	poll(t, "a place in the queue", func() bool { return k.Status().Queued == 1 })
	_, stayed := background(t.Context(), k, abi.KernelExecuteRequest{Code: "ran.append('stayed')"})
	poll(t, "a place in the queue", func() bool { return k.Status().Queued == 2 })
	_, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "1"}, nil)
	if e := code(t, err, abi.CodeResourceExhausted); !e.Retryable || e.Hint == "" {
		t.Errorf("%+v", e)
	}
	leave()
	code(t, within(t, "the one that leaves", left).err, abi.CodeCanceled)
	if err := k.Interrupt(t.Context()); err != nil {
		t.Error(err)
	}
	within(t, "the first one", first)
	if got := within(t, "the one that stayed", stayed); got.err != nil {
		t.Error(got.err)
	}
	expect(t, k, "print(ran)", "['stayed']\n")
}

func TestResetStartsAfresh(t *testing.T) {
	t.Parallel()
	k := newKernel(t, nil)
	if err := k.Reset(t.Context()); err != nil { // nothing to end
		t.Error(err)
	}
	run(t, k, "kept = 1")
	pid := k.Status().PID
	printing, running := background(t.Context(), k, abi.KernelExecuteRequest{Code: forever})
	within(t, "the first output", printing)
	_, waiting := background(t.Context(), k, abi.KernelExecuteRequest{Code: "1"})
	poll(t, "a place in the queue", func() bool { return k.Status().Queued == 1 })
	if err := k.Reset(t.Context()); err != nil {
		t.Error(err)
	}
	if lives(pid) {
		t.Error("the process is still there")
	}
	for _, done := range []<-chan result{running, waiting} {
		if e := code(t, within(t, "the end", done).err, abi.CodeCanceled); !strings.Contains(e.Message, "reset") || e.Hint == "" {
			t.Errorf("%+v", e)
		}
	}
	r := run(t, k, "print('kept' in globals())")
	if printed(r, "stdout") != "False\n" || r.StateLost != "" {
		t.Errorf("%+v", r)
	}
	if s := k.Status(); s.Starts != 2 || s.Executions != 1 || s.State != abi.KernelIdle || s.PID == pid || s.PID == 0 {
		t.Errorf("%+v", s)
	}
}

func TestResetOfADeafKernelIsBoundedByItsContext(t *testing.T) {
	t.Parallel()
	k := newKernel(t, func(c *kernel.Config) { c.InterruptGrace = time.Hour })
	run(t, k, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
	printing, running := background(t.Context(), k, abi.KernelExecuteRequest{Code: deaf})
	within(t, "the first output", printing)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := k.Reset(ctx); err != nil {
		t.Error(err)
	}
	code(t, within(t, "the end", running).err, abi.CodeCanceled)
}

func TestInterruptAndResetReachAKernelThatStarts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(*kernel.Kernel) error
		code abi.Code
	}{
		{"interrupt", func(k *kernel.Kernel) error { return k.Interrupt(context.Background()) }, 0},
		{"reset", func(k *kernel.Kernel) error { return k.Reset(context.Background()) }, abi.CodeCanceled},
		{"close", func(k *kernel.Kernel) error { return k.Close(context.Background()) }, abi.CodeCanceled},
	} {
		k := newKernel(t, nil)
		printing, done := background(t.Context(), k, abi.KernelExecuteRequest{Code: forever})
		poll(t, "the start", func() bool { return k.Status().State == abi.KernelStarting })
		if err := c.end(k); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got := within(t, "the end", done)
		if abi.CodeOf(got.err) != c.code || c.code == 0 && got.response.Status != abi.StatusInterrupted {
			t.Errorf("%s: %v %+v", c.name, got.err, got.response)
		}
		select {
		case <-printing:
			t.Errorf("%s: the code ran", c.name)
		default:
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	runtimeDir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	goroutines := runtime.NumGoroutine()
	k := newKernel(t, nil)
	// Its own number inside is another one.
	mark := fmt.Sprintf("%d.%d", 1000, time.Now().UnixNano())
	run(t, k, "import subprocess; child = subprocess.Popen(['sleep', '"+mark+"'])")
	if !runs(t, mark) {
		t.Error("the kernel's child can't be found")
	}
	pid := k.Status().PID
	printing, running := background(t.Context(), k, abi.KernelExecuteRequest{Code: forever})
	within(t, "the first output", printing)
	if sockets, _ := filepath.Glob(filepath.Join(runtimeDir, "*", "s", "*")); len(sockets) < 5 {
		t.Errorf("the sockets are elsewhere: %v", sockets)
	}
	if err := k.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if e := code(t, within(t, "the end", running).err, abi.CodeCanceled); !strings.Contains(e.Message, "closed") {
		t.Error(e)
	}
	if lives(pid) || runs(t, mark) {
		t.Error("a process is still there")
	}
	if left, err := os.ReadDir(runtimeDir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	poll(t, "the goroutines' end", func() bool { return runtime.NumGoroutine() <= goroutines })
	_, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "1"}, nil)
	code(t, err, abi.CodeFailedPrecondition)
	if s := k.Status(); s.State != abi.KernelNone || s.PID != 0 {
		t.Errorf("%+v", s)
	}
	if err := k.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStatusFollowsTheKernel(t *testing.T) {
	t.Parallel()
	k := newKernel(t, nil)
	if s := k.Status(); s.State != abi.KernelNone || s.Language != "python" || s.PID != 0 || s.Starts != 0 {
		t.Errorf("%+v", s)
	}
	run(t, k, "1")
	s := k.Status()
	if s.State != abi.KernelIdle || !lives(s.PID) || s.Starts != 1 || s.Executions != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := time.Parse(time.RFC3339, s.Started); err != nil {
		t.Error(err)
	}
	printing, done := background(t.Context(), k, abi.KernelExecuteRequest{Code: forever, TimeoutMS: 60_000})
	within(t, "the first output", printing)
	if s := k.Status(); s.State != abi.KernelBusy {
		t.Errorf("%+v", s)
	}
	if err := k.Interrupt(t.Context()); err != nil {
		t.Error(err)
	}
	within(t, "the end", done)
}
