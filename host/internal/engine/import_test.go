package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// answering is a Dispatch that answers always the same.
func answering(frame string, err error) engine.Dispatch {
	return func(context.Context, string, []byte) ([]byte, error) { return []byte(frame), err }
}

// errorFrame is what the guest fetches for an error.
func errorFrame(t testing.TB, e *abi.Error) string {
	t.Helper()
	frame, err := abi.EncodeFrame(e, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(frame)
}

func TestOperationGetsTheRequestAndTheGuestTheResponse(t *testing.T) {
	p := probe(t, 0)
	var trace strings.Builder
	log, err := abi.EncodeFrame(abi.LogRequest{Level: "info", Message: "hi"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	execute, err := abi.EncodeFrame(map[string]string{"code": "1+1"}, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	c := engine.Call{Dispatch: traced(&trace, func(_ context.Context, op string, _ []byte) ([]byte, error) {
		if op == abi.OpKernelExecute {
			return nil, abi.Errorf(abi.CodeStateLost, "the kernel died")
		}
		return []byte("hello, guest"), nil
	})}
	r := ask(t, p, c,
		step{Op: "log", Data: string(log), At: 20},
		step{Op: "execute", Data: string(execute)},
		step{Op: "log", Data: "junk", At: 12},
		step{Op: "log", At: 12},
	)
	const want = `==> call.log({"level":"info","message":"hi"})
<== 12 bytes
==> kernel.execute({"code":"1+1"}, 4 bytes)
<== state_lost: the kernel died
==> call.log(4 bytes, no frame)
<== 12 bytes
==> call.log(0 bytes, no frame)
<== 12 bytes
`
	if trace.String() != want {
		t.Errorf("got the trace\n%s\nwant\n%s", trace.String(), want)
	}
	for i, want := range []string{`12 "hello, guest"`, "-12", `12 "hello, guest"`, `12 "hello, guest"`} {
		if r[i].Out != want {
			t.Errorf("step %d came to %+v, want %s", i, r[i], want)
		}
	}
	if r[1].Reason == nil || r[1].Reason.Code != abi.CodeStateLost || r[1].Reason.Message != "the kernel died" {
		t.Errorf("the reason is %+v", r[1].Reason)
	}
}

func TestPendingResponse(t *testing.T) {
	p := probe(t, 0)
	denied := &abi.Error{Code: abi.CodePermissionDenied, Message: "no", Hint: "ask", Grant: "kernel.languages: python"}
	long := errorFrame(t, &abi.Error{Code: abi.CodeInternal, Message: "the error is too long to be told"})
	notFound := fmt.Sprint(int(abi.CodeNotFound))
	fetch := func(size int) step { return step{Op: "response", At: int64(size)} }
	nothing := func(size int) string { return fmt.Sprintf("%s %q", notFound, strings.Repeat("\x00", size)) }
	whole := func(frame string, size int) string {
		return fmt.Sprintf("%d %q", len(frame), frame+strings.Repeat("\x00", size-len(frame)))
	}
	untouched := func(frame string, size int) string {
		return fmt.Sprintf("%d %q", len(frame), strings.Repeat("\x00", size))
	}
	for _, test := range []struct {
		name     string
		dispatch engine.Dispatch
		steps    []step
		want     []string
	}{
		{
			"nothing is pending at first", answering("", nil),
			[]step{fetch(4)}, []string{nothing(4)},
		},
		{
			"nothing is pending after a response that fitted", answering("12345678", nil),
			[]step{{Op: "log", At: 8}, fetch(8)}, []string{`8 "12345678"`, nothing(8)},
		},
		{
			"a response that doesn't fit is not written, and pending until it is fetched", answering("12345678", nil),
			[]step{{Op: "log", At: 7}, fetch(0), fetch(7), fetch(10), fetch(10)},
			[]string{untouched("12345678", 7), `8 ""`, untouched("12345678", 7), whole("12345678", 10), nothing(10)},
		},
		{
			"a response is not fetched twice", answering("12345678", nil),
			[]step{{Op: "log"}, fetch(8), fetch(8)}, []string{`8 ""`, whole("12345678", 8), nothing(8)},
		},
		{
			"the next operation replaces it",
			func(_ context.Context, op string, _ []byte) ([]byte, error) {
				if op == abi.OpKernelExecute {
					return []byte("second"), nil
				}
				return []byte("first response"), nil
			},
			[]step{{Op: "log"}, {Op: "execute"}, fetch(6)}, []string{`14 ""`, `6 ""`, whole("second", 6)},
		},
		{
			"the next operation replaces it even when it fits", answering("12345678", nil),
			[]step{{Op: "log"}, {Op: "log", At: 8}, fetch(8)}, []string{`8 ""`, `8 "12345678"`, nothing(8)},
		},
		{
			"an error is a frame as well", answering("", denied),
			[]step{{Op: "execute"}, fetch(200)}, []string{"-3", nothing(200)}, // the probe fetched it
		},
		{
			"an error that can't be told is told to be so", answering("", &abi.Error{Code: abi.CodeInternal, Message: strings.Repeat("x", abi.MaxHeaderBytes)}),
			[]step{{Op: "log"}}, []string{"-1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := ask(t, p, engine.Call{Dispatch: test.dispatch}, test.steps...)
			for i, want := range test.want {
				if r[i].Out != want {
					t.Errorf("step %d came to %s, want %s", i, r[i].Out, want)
				}
			}
			if test.name == "an error is a frame as well" && (r[0].Reason == nil || *r[0].Reason != *denied) {
				t.Errorf("the reason is %+v", r[0].Reason)
			}
			if strings.HasPrefix(test.name, "an error that can't") && (r[0].Reason == nil || errorFrame(t, r[0].Reason) != long) {
				t.Errorf("the reason is %+v", r[0].Reason)
			}
		})
	}
}

func TestErrorsOfDispatchReachTheGuestByCode(t *testing.T) {
	var errs []error
	for _, code := range abi.Codes() {
		errs = append(errs, fmt.Errorf("wrapped: %w", abi.Errorf(code, "why")))
	}
	// What isn't an abi.Error, or one without a code, is internal and keeps
	// its text to itself.
	errs = append(errs, errors.New("/secret/path"), &abi.Error{Message: "/secret/path"})
	next := 0
	c := engine.Call{Dispatch: func(context.Context, string, []byte) ([]byte, error) {
		next++
		return nil, errs[next-1]
	}}
	for i, got := range ask(t, probe(t, 0), c, slicesOf(step{Op: "log"}, len(errs))...) {
		code, message := abi.CodeInternal, "the host failed; its log has the cause"
		if codes := abi.Codes(); i < len(codes) {
			code, message = codes[i], "why"
		}
		if got.Out != fmt.Sprint(int(code)) || got.Reason == nil || got.Reason.Code != code || got.Reason.Message != message {
			t.Errorf("%v came to %+v (%+v)", errs[i], got, got.Reason)
		}
	}
}

func TestWithoutDispatchNothingIsGranted(t *testing.T) {
	r := ask(t, probe(t, 0), engine.Call{}, step{Op: "execute"}, step{Op: "log"})
	for _, got := range r {
		if got.Reason == nil || got.Reason.Code != abi.CodePermissionDenied {
			t.Errorf("got %+v", got)
		}
	}
}

func TestFramesOverTheBoundAreRefusedBothWays(t *testing.T) {
	p := probe(t, 0)
	called := false
	c := engine.Call{Dispatch: func(_ context.Context, op string, _ []byte) ([]byte, error) {
		called = true
		return make([]byte, abi.MaxFrameBytes+1), nil
	}}
	r := ask(t, p, c, step{Op: "log"})
	if r[0].Reason == nil || r[0].Reason.Code != abi.CodeResourceExhausted {
		t.Errorf("a response over the bound came to %+v", r[0])
	}
	// The request's bytes are whatever lies in the memory.
	g := newGuest()
	f := g.use(abi.ModuleCall, "log", i32+i32+i32+i32, i64)
	g.memory = "\x00" + leb(abi.MaxFrameBytes/(64<<10)+1)
	g.onCall(answerWith(i32Const(0)+i32Const(abi.MaxFrameBytes+1)+i32Const(0)+i32Const(0)+call(f)), 0)
	called = false
	answer, err := compile(t, newEngine(t, engine.Config{}), g.encode(), engine.Options{Limits: abi.Limits{MemoryMiB: 128}}).Call(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if got := number(t, answer); got != int64(abi.CodeInvalidArgument) || called {
		t.Errorf("a request over the bound gives %d, carried out: %t", got, called)
	}
}

func TestBadPointersTrap(t *testing.T) {
	const end = 65536
	type args [4]int
	for _, test := range []struct {
		name string
		args args
		text string // "" doesn't trap
	}{
		{"all in order", args{0, 8, 8, 8}, ""},
		{"everything", args{0, end, 0, end}, ""},
		{"no bytes have no place", args{-1, 0, -1, 0}, ""},
		{"a request outside", args{end, 1, 0, 8}, "call.log: its request, 1 bytes at 65536, is outside the memory"},
		{"a request across the end", args{end - 4, 5, 0, 8}, "call.log: its request, 5 bytes at 65532"},
		{"a request across the end of 32 bits", args{-4, 8, 0, 8}, "call.log: its request, 8 bytes at 4294967292"},
		{"a request of everything", args{0, -1, 0, 8}, "call.log: its request, 4294967295 bytes at 0"},
		{"a response outside", args{0, 8, end, 1}, "call.log: its room for the response, 1 bytes at 65536"},
		{"a response of everything", args{0, 8, 1, -1}, "call.log: its room for the response, 4294967295 bytes at 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGuest()
			f := g.use(abi.ModuleCall, "log", i32+i32+i32+i32, i64)
			code := ""
			for _, a := range test.args {
				code += i32Const(a)
			}
			g.onCall(answerWith(code+call(f)), 0)
			called := false
			_, err := plugin(t, g).Call(t.Context(), engine.Call{Dispatch: func(context.Context, string, []byte) ([]byte, error) {
				called = true
				return nil, nil
			}})
			if test.text == "" {
				if err != nil || !called {
					t.Errorf("got %v, carried out: %t", err, called)
				}
				return
			}
			refused(t, err, abi.CodePluginFailed, "plugin trapped: "+test.text)
			if called {
				t.Error("the operation was carried out all the same")
			}
		})
	}
	g := newGuest()
	f := g.use(abi.ModuleCall, "response", i32+i32, i64)
	g.onCall(answerWith(i32Const(end)+i32Const(1)+call(f)), 0)
	_, err := plugin(t, g).Call(t.Context(), engine.Call{})
	refused(t, err, abi.CodePluginFailed, "plugin trapped: sallyport:call.response: its room, 1 bytes at 65536")
}

func TestRequestIsTheCalleesToKeep(t *testing.T) {
	g := newGuest()
	f := g.use(abi.ModuleCall, "log", i32+i32+i32+i32, i64)
	// The guest overwrites its request once the operation is over.
	g.onCall(i32Const(arenaAt)+i32Const(4)+i32Const(0)+i32Const(0)+call(f)+drop+i32Const(arenaAt)+i32Const(0)+store32+i64Const(0), 0)
	var kept []byte
	if _, err := plugin(t, g).Call(t.Context(), engine.Call{Request: []byte("keep"), Dispatch: func(_ context.Context, _ string, frame []byte) ([]byte, error) {
		kept = frame
		return nil, nil
	}}); err != nil {
		t.Fatal(err)
	}
	if string(kept) != "keep" {
		t.Errorf("the request became %q", kept)
	}
}

func TestPanicOfDispatchEndsTheCallAlone(t *testing.T) {
	p := probe(t, 0)
	_, _, err := tryAsk(t, t.Context(), p, engine.Call{Dispatch: func(context.Context, string, []byte) ([]byte, error) {
		panic("a secret of the host's")
	}}, step{Op: "log"})
	e := refused(t, err, abi.CodeInternal, "call.log")
	if strings.Contains(e.Message, "secret") {
		t.Errorf("the message gives the panic away: %s", e.Message)
	}
	if cause := errors.Unwrap(e); cause == nil || !strings.Contains(cause.Error(), "a secret of the host's") || !strings.Contains(cause.Error(), "import_test.go") {
		t.Errorf("the cause lacks the panic or its stack: %v", cause)
	}
	if r := ask(t, p, engine.Call{Dispatch: answering("ok", nil)}, step{Op: "log", At: 2}); r[0].Out != `2 "ok"` {
		t.Errorf("the next call gets %+v", r[0])
	}
}

func TestCallReturnsOnlyAfterItsDispatch(t *testing.T) {
	p := probe(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	entered, release := make(chan struct{}), make(chan struct{})
	returned := false
	done := make(chan error)
	go func() {
		_, _, err := tryAsk(t, ctx, p, engine.Call{Dispatch: func(context.Context, string, []byte) ([]byte, error) {
			close(entered)
			<-release // deaf to its context
			returned = true
			return nil, nil
		}}, step{Op: "log"})
		done <- err
	}()
	<-entered
	cancel()
	select {
	case err := <-done:
		t.Fatalf("the call returned with its dispatch under way: %v", err)
	default:
	}
	close(release)
	refused(t, <-done, abi.CodeCanceled)
	if !returned {
		t.Error("the dispatch hadn't returned")
	}
}

func TestWASICallsAreBounded(t *testing.T) {
	g := newGuest()
	poll := g.use(abi.ModuleWASI, "poll_oneoff", i32+i32+i32+i32, i32)
	for _, n := range []int{1025, 0x05555556, -1} {
		g.onCall(answerWith(i32Const(0)+i32Const(0)+i32Const(n)+i32Const(0)+call(poll)+extendU), 0)
		answer, err := plugin(t, g).Call(t.Context(), engine.Call{})
		if err != nil || number(t, answer) != 28 {
			t.Errorf("%d subscriptions give %v, %v, want EINVAL", n, answer.Response, err)
		}
	}
	r := ask(t, probe(t, 0), engine.Call{}, step{Op: "renumber", Flag: 1, At: 1<<31 - 1})
	if r[0].Errno != 8 {
		t.Errorf("a descriptor beyond the bound gives %+v, want EBADF", r[0])
	}
}
