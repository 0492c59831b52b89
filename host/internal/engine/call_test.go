package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

func TestCallAnswersWithWhatTheGuestLeaves(t *testing.T) {
	p := plugin(t, newGuest())
	answer, err := p.Call(t.Context(), engine.Call{Tool: 7, Request: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	if string(answer.Response) != "hello" || answer.Stderr != "" || answer.Usage.MemoryBytes != 64<<10 || answer.Usage.Wall <= 0 {
		t.Errorf("got %+v", answer)
	}
}

func TestCallNamesItsTool(t *testing.T) {
	p := plugin(t, newGuest().onCall(answerWith(get(0)+extendU), 0))
	for _, tool := range []uint32{0, 3, 1<<32 - 1} {
		answer, err := p.Call(t.Context(), engine.Call{Tool: tool})
		if err != nil {
			t.Fatal(err)
		}
		if got := number(t, answer); got != int64(tool) {
			t.Errorf("the guest got the tool %d, want %d", got, tool)
		}
	}
}

func TestRequestOverTheBoundIsRefused(t *testing.T) {
	_, err := plugin(t, newGuest()).Call(t.Context(), engine.Call{Request: make([]byte, abi.MaxFrameBytes+1)})
	refused(t, err, abi.CodeInvalidArgument, fmt.Sprint(abi.MaxFrameBytes))
}

func TestGuestsThatFail(t *testing.T) {
	exit := func(code int) *guest {
		g := newGuest()
		f := g.use(abi.ModuleWASI, "proc_exit", i32, "")
		return g.onCall(i32Const(code)+call(f)+i64Const(0), 0)
	}
	arena := func(code string) *guest {
		g := newGuest()
		g.function(abi.ExportArena).code = code
		return g
	}
	initialize := func(code string) *guest {
		g := newGuest()
		g.funcs = append(g.funcs, function{export: abi.ExportInitialize, code: code})
		return g
	}
	for _, test := range []struct {
		name  string
		guest *guest
		texts []string
	}{
		{"unreachable", newGuest().onCall(unreachable, 0), []string{"plugin trapped: unreachable"}},
		{"out of bounds", newGuest().onCall(i32Const(-1)+load32+extendU, 0), []string{"plugin trapped: out of bounds memory access"}},
		{"division by zero", newGuest().onCall(i32Const(1)+i32Const(0)+divide32+extendU, 0), []string{"plugin trapped: integer divide by zero"}},
		{"an exit", exit(2), []string{"plugin trapped: exit code 2"}},
		{"an exit that says that all is well", exit(0), []string{"plugin trapped: exit code 0"}},
		{"an exit that looks like a deadline", exit(-0x10000001), []string{"plugin trapped: exit code 4026531839"}},
		{"an exit that looks like a cancellation", exit(-1), []string{"plugin trapped: exit code 4294967295"}},
		{"a trap in _initialize", initialize(unreachable), []string{"plugin trapped in _initialize: unreachable"}},
		{"a trap in the arena", arena(unreachable), []string{"plugin trapped in sallyport_v1_arena: unreachable"}},
		{"an arena outside the memory", arena(i32Const(65536)), []string{"arena of 4 bytes at 65536", "65536"}},
		{"an arena at the memory's end", arena(i32Const(65533)), []string{"arena of 4 bytes at 65533"}},
		{"an answer outside the memory", newGuest().onCall(i64Const(65536<<32|1), 0), []string{"answered with 1 bytes at 65536, outside its memory of 65536"}},
		{"an answer across the memory's end", newGuest().onCall(i64Const(65530<<32|10), 0), []string{"answered with 10 bytes at 65530"}},
		{"an answer across the end of what 32 bits address", newGuest().onCall(i64Const(-1<<32|10), 0), []string{"answered with 10 bytes at 4294967295"}},
		{"an answer that is too long", newGuest().onCall(i64Const(abi.MaxFrameBytes+1), 0), []string{"answered with 67108865 bytes, the bound is 67108864"}},
		{"an answer of every byte there could be", newGuest().onCall(i64Const(-1), 0), []string{"answered with 4294967295 bytes"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, err := plugin(t, test.guest).Call(t.Context(), engine.Call{Request: []byte("ping")})
			e := refused(t, err, abi.CodePluginFailed, test.texts...)
			if answer.Response != nil {
				t.Errorf("there is an answer all the same: %q", answer.Response)
			}
			if errors.Unwrap(e) == nil {
				t.Error("the error has no cause")
			}
		})
	}
}

func TestTrapKeepsTheStackAndWhatWasPrinted(t *testing.T) {
	p := probe(t, 0)
	_, answer, err := tryAsk(t, t.Context(), p, engine.Call{},
		step{Op: "print", Data: "to stdout\n"}, step{Op: "stderr", Data: "to stderr\n"}, step{Op: "panic", Data: "on purpose"})
	e := refused(t, err, abi.CodePluginFailed, "plugin trapped: unreachable") // as Go ends a library
	for _, text := range []string{"to stdout\nto stderr\n", "panic: on purpose", "goroutine"} {
		if !strings.Contains(answer.Stderr, text) {
			t.Errorf("what was printed lacks %q: %s", text, answer.Stderr)
		}
	}
	if answer.Usage.MemoryBytes == 0 || answer.Usage.Wall == 0 {
		t.Errorf("the answer to a trap lacks its figures: %+v", answer)
	}
	if e.Hint != "" {
		t.Errorf("got the hint %q", e.Hint)
	}

	_, err = plugin(t, newGuest().onCall(unreachable, 0)).Call(t.Context(), engine.Call{})
	if cause := errors.Unwrap(err); cause == nil || !strings.Contains(cause.Error(), "wasm stack trace") {
		t.Errorf("the cause has no stack: %v", cause)
	}
}

func TestWhatIsPrintedIsBoundedAtBothEnds(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{OutputBytes: 100}), probeWasm(t), engine.Options{Modules: []string{abi.ModuleKernel}})
	steps := []step{{Op: "stderr", Data: "the beginning"}, {Op: "flood", At: 1 << 20, Flag: 3}, {Op: "flood", At: 7, Flag: 11}, {Op: "stderr", Data: "the end"}}
	_, answer, err := tryAsk(t, t.Context(), p, engine.Call{}, steps...)
	if err != nil {
		t.Fatal(err)
	}
	total := 3<<20 + 77 + len("the beginning") + len("the end")
	want := "the beginning" + strings.Repeat("x", 37) + fmt.Sprintf("\n… %d bytes dropped …\n", total-100) + strings.Repeat("x", 43) + "the end"
	if answer.Stderr != want {
		t.Errorf("got %q, want %q", answer.Stderr, want)
	}

	_, answer, err = tryAsk(t, t.Context(), p, engine.Call{}, step{Op: "flood", At: 10, Flag: 9}, step{Op: "stderr", Data: "0123456789"})
	if want := strings.Repeat("x", 90) + "0123456789"; err != nil || answer.Stderr != want {
		t.Errorf("up to the bound, got %q, %v", answer.Stderr, err)
	}
}

func TestDeadlineEndsAnyLoop(t *testing.T) {
	// f(n) is 0 for 0, and f(n-1) + f(n-1): it has no loop, and is never deep.
	recursion := newGuest()
	again := get(0) + i32Const(-1) + add32 + call(3)
	recursion.funcs = append(recursion.funcs, function{params: i32, results: i32,
		code: get(0) + isZero + ifElse(i32, i32Const(0), again+again+add32)})
	recursion.onCall(answerWith(i32Const(60)+call(3)+extendU), 0)
	imports := newGuest()
	poll := imports.use(abi.ModuleWASI, "sched_yield", "", i32)
	imports.onCall("\x03\x40"+call(poll)+drop+"\x0c\x00\x0b"+i64Const(0), 0)
	for name, p := range map[string]*engine.Plugin{
		"in a call":      plugin(t, newGuest().onCall(endless+i64Const(0), 0)),
		"in _initialize": compile(t, newEngine(t, engine.Config{DescribeTimeout: 50 * time.Millisecond}), endlessInitialize().encode(), engine.Options{}),
		"by recursion":   plugin(t, recursion),
		"of imports":     compile(t, newEngine(t, engine.Config{}), imports.encode(), engine.Options{Limits: abi.Limits{HostCalls: 1 << 40}}),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := p.Call(ctx, engine.Call{})
			e := refused(t, err, abi.CodeDeadlineExceeded, "limit of ")
			if e.Hint == "" {
				t.Error("there is no hint")
			}
		})
	}
}

func endlessInitialize() *guest {
	g := newGuest()
	g.funcs = append(g.funcs, function{export: abi.ExportInitialize, code: endless})
	return g
}

func TestDeadlineNamesTheLimit(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := plugin(t, newGuest()).Call(ctx, engine.Call{})
	refused(t, err, abi.CodeDeadlineExceeded, "the call took longer than its limit of -1")
}

func TestCancellationEndsALoop(t *testing.T) {
	p := probe(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := engine.Call{Dispatch: func(context.Context, string, []byte) ([]byte, error) { cancel(); return nil, nil }}
	_, answer, err := tryAsk(t, ctx, p, c, step{Op: "stderr", Data: "before"}, step{Op: "log", Data: "{}"}, step{Op: "loop"})
	refused(t, err, abi.CodeCanceled)
	if answer.Stderr != "before" {
		t.Errorf("got %q of what was printed", answer.Stderr)
	}
}

func TestCancellationPassesOnItsTypedCause(t *testing.T) {
	g := newGuest()
	f := g.use(abi.ModuleCall, "log", i32+i32+i32+i32, i64)
	g.onCall(i32Const(0)+i32Const(0)+i32Const(0)+i32Const(0)+call(f)+drop+endless+i64Const(0), 0)
	ctx, cancel := context.WithCancelCause(t.Context())
	revoked := abi.Errorf(abi.CodePermissionDenied, "the plugin was revoked")
	_, err := plugin(t, g).Call(ctx, engine.Call{Dispatch: func(context.Context, string, []byte) ([]byte, error) { cancel(revoked); return nil, nil }})
	if err != error(revoked) {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestSleepAndRandomBytesEndWithTheCall(t *testing.T) {
	p := probe(t, 0)
	for name, s := range map[string]step{
		"sleep":  {Op: "sleep", At: int64(time.Hour)},
		"random": {Op: "random", At: 200 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := engine.Call{Dispatch: func(context.Context, string, []byte) ([]byte, error) { cancel(); return nil, nil }}
			_, _, err := tryAsk(t, ctx, p, c, step{Op: "log", Data: "{}"}, s)
			refused(t, err, abi.CodeCanceled)
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, _, err := tryAsk(t, ctx, p, engine.Call{}, step{Op: "sleep", At: int64(time.Hour)})
	refused(t, err, abi.CodeDeadlineExceeded)
}

func TestMemoryLimitHolds(t *testing.T) {
	grow := func(pages int) *guest {
		return newGuest().onCall(answerWith(i32Const(pages)+growMemory+extendS), 0)
	}
	answer, err := plugin(t, grow(15)).Call(t.Context(), engine.Call{}) // of a limit of 16 pages
	if err != nil || number(t, answer) != 1 || answer.Usage.MemoryBytes != 1<<20 {
		t.Errorf("growing up to the limit gives %d, with %d bytes, %v", number(t, answer), answer.Usage.MemoryBytes, err)
	}
	answer, err = plugin(t, grow(16)).Call(t.Context(), engine.Call{})
	if err != nil || number(t, answer) != -1 || answer.Usage.MemoryBytes != 64<<10 {
		t.Errorf("growing beyond the limit gives %d, with %d bytes, %v", number(t, answer), answer.Usage.MemoryBytes, err)
	}
	// A plugin that is told so and traps gets to know why.
	_, err = plugin(t, newGuest().onCall(i32Const(16)+growMemory+drop+unreachable, 0)).Call(t.Context(), engine.Call{})
	refused(t, err, abi.CodePluginFailed, "unreachable", "limit of 1 MiB")
	// What a module allows itself is its own bound, not ours.
	own := grow(2)
	own.memory = "\x01\x01\x02"
	answer, err = plugin(t, own).Call(t.Context(), engine.Call{})
	if err != nil || number(t, answer) != -1 {
		t.Errorf("growing beyond the module's own maximum gives %d, %v", number(t, answer), err)
	}
}

func TestGoGuestThatEatsMemoryIsToldTheLimit(t *testing.T) {
	p := probe(t, 64)
	eat := step{Op: "memory", At: 1 << 20}
	_, answer, err := tryAsk(t, t.Context(), p, engine.Call{}, slicesOf(eat, 100)...)
	e := refused(t, err, abi.CodePluginFailed, "limit of 64 MiB")
	if !strings.Contains(e.Hint, "memory_mib") {
		t.Errorf("got the hint %q", e.Hint)
	}
	if answer.Usage.MemoryBytes > 64<<20 {
		t.Errorf("the memory had %d bytes", answer.Usage.MemoryBytes)
	}
	if !strings.Contains(answer.Stderr, "out of memory") {
		t.Errorf("got %q of what was printed", answer.Stderr)
	}
	if _, answer, err = tryAsk(t, t.Context(), p, engine.Call{}, slicesOf(eat, 20)...); err != nil || answer.Usage.MemoryBytes < 20<<20 {
		t.Errorf("what fits fails: %v, with %d bytes", err, answer.Usage.MemoryBytes)
	}
}

func slicesOf[T any](v T, n int) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// Wazero takes a memory of 4 GiB to be empty, so no plugin gets to have one.
func TestLastPageOfTheAddressSpaceIsNotGiven(t *testing.T) {
	g := newGuest().onCall(answerWith(i32Const(65535)+growMemory+extendS), 0)
	p := compile(t, newEngine(t, engine.Config{}), g.encode(), engine.Options{Limits: abi.Limits{MemoryMiB: 4096}})
	answer, err := p.Call(t.Context(), engine.Call{})
	if err != nil || number(t, answer) != -1 || answer.Usage.MemoryBytes != 64<<10 {
		t.Errorf("got %+v, %v", answer, err)
	}
}

func TestNothingIsLeftFromOneCallToTheNext(t *testing.T) {
	// Memory: the guest answers with what is at 2048, after putting the tool
	// there. Globals: probe's.
	g := newGuest()
	was := i32Const(2048) + load32 + extendU
	g.onCall(i32Const(8)+was+store64+i32Const(2048)+get(0)+store32+i64Const(8<<32|8), 0)
	p := plugin(t, g)
	for range 3 {
		answer, err := p.Call(t.Context(), engine.Call{Tool: 4711})
		if err != nil {
			t.Fatal(err)
		}
		if got := number(t, answer); got != 0 {
			t.Errorf("the memory holds %d from another call", got)
		}
	}
	q := probe(t, 0)
	for range 3 {
		if r := ask(t, q, engine.Call{}, step{Op: "keep", Data: "secret"}); r[0].Out != "secret" {
			t.Errorf("a variable holds %q", r[0].Out)
		}
	}
	// A pending response, too.
	big := engine.Call{Dispatch: func(context.Context, string, []byte) ([]byte, error) { return []byte("secret"), nil }}
	if r := ask(t, q, big, step{Op: "log", Data: "{}"}); r[0].Out != `6 ""` {
		t.Errorf("got %+v", r[0])
	}
	if r := ask(t, q, engine.Call{}, step{Op: "response", At: 10}); !strings.HasPrefix(r[0].Out, fmt.Sprint(int(abi.CodeNotFound))) {
		t.Errorf("a response of another call is pending: %+v", r[0])
	}
}

func TestGuestsWorldIsEmptyAndReal(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_SECRET", "x")
	p := probe(t, 0)
	before := time.Now().Add(-time.Second)
	r := ask(t, p, engine.Call{}, step{Op: "environment"}, step{Op: "clock"}, step{Op: "random", At: 16})
	if r[0].Out != `0 0 ""` {
		t.Errorf("arguments, environment and input are %s", r[0].Out)
	}
	now, err := time.Parse(time.RFC3339Nano, r[1].Out)
	if err != nil || now.Before(before) || now.After(time.Now().Add(time.Second)) {
		t.Errorf("the clock says %s", r[1].Out)
	}
	if other := ask(t, p, engine.Call{}, step{Op: "random", At: 16}); other[0].Out == r[2].Out {
		t.Errorf("two calls draw the same random bytes, %s", r[2].Out)
	}
	// A sleep takes its time, by the guest's own clock.
	r = ask(t, p, engine.Call{}, step{Op: "clock"}, step{Op: "sleep", At: int64(50 * time.Millisecond)}, step{Op: "clock"})
	a, _ := time.Parse(time.RFC3339Nano, r[0].Out)
	b, _ := time.Parse(time.RFC3339Nano, r[2].Out)
	if b.Sub(a) < 50*time.Millisecond {
		t.Errorf("a sleep of 50ms took %v", b.Sub(a))
	}
}

func TestDescribeHasNothingOfTheHosts(t *testing.T) {
	frame, err := probe(t, 0).Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := results(t, frame)
	if len(r) != 3 {
		t.Fatalf("got %s", frame)
	}
	if r[0].Reason == nil || r[0].Reason.Code != abi.CodePermissionDenied || r[0].Out != fmt.Sprint(int(abi.CodePermissionDenied)) {
		t.Errorf("an operation gives %+v", r[0])
	}
	if r[1].Reason == nil || r[1].Reason.Code != abi.CodePermissionDenied || r[1].Errno != 2 {
		t.Errorf("a mount gives %+v", r[1])
	}
	if r[2].Reason == nil || r[2].Reason.Code != abi.CodeFailedPrecondition || !strings.Contains(r[2].Reason.Message, "_initialize") {
		t.Errorf("before it was described it got %+v", r[2])
	}

	frame, err = plugin(t, newGuest()).Describe(t.Context())
	if f, _ := abi.DecodeFrame(frame); err != nil || string(f.Header) != "{}" {
		t.Errorf("got %q, %v", frame, err)
	}
}

func TestDescribeIsBoundedAndFailsInWords(t *testing.T) {
	loop := newGuest()
	loop.function(abi.ExportDescribe).code = endless + i64Const(0)
	p := compile(t, newEngine(t, engine.Config{DescribeTimeout: 100 * time.Millisecond}), loop.encode(), engine.Options{})
	_, err := p.Describe(t.Context())
	refused(t, err, abi.CodeDeadlineExceeded, "100ms")

	trap := newGuest()
	write := trap.use(abi.ModuleWASI, "fd_write", i32+i32+i32+i32, i32)
	trap.raw = map[byte]string{11: "\x01\x00" + i32Const(0) + "\x0b" + vec("\x08\x00\x00\x00\x04\x00\x00\x00oops")}
	trap.function(abi.ExportDescribe).code = i32Const(2) + i32Const(0) + i32Const(1) + i32Const(64) + call(write) + drop + unreachable
	_, err = plugin(t, trap).Describe(t.Context())
	if e := refused(t, err, abi.CodePluginFailed, "plugin trapped in sallyport_v1_describe: unreachable"); e.Hint != "the plugin printed: oops" {
		t.Errorf("got the hint %q", e.Hint)
	}
}

func TestBadMountsAreRefused(t *testing.T) {
	p := plugin(t, newGuest())
	_, err := p.Call(t.Context(), engine.Call{Mounts: []engine.Mount{{Path: "/etc"}}})
	refused(t, err, abi.CodeInvalidArgument, `"/etc"`, "/upload")
	_, err = p.Call(t.Context(), engine.Call{Mounts: []engine.Mount{{Path: "/tmp"}, {Path: "/tmp"}}})
	refused(t, err, abi.CodeInvalidArgument, "/tmp")
}
