package main_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	_ "github.com/sallyport-dev/sallyport/plugins/python"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

type args map[string]any

// python returns a host whose kernel answers everything with one execution.
func python(t *testing.T, done abi.KernelExecuteResponse) *sdktest.Host {
	h := sdktest.New(t)
	h.Kernel = func(abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error) { return done, nil }
	return h
}

func run(t *testing.T, done abi.KernelExecuteResponse) sdk.Result {
	t.Helper()
	r, err := python(t, done).Call("run", args{"code": "x"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func stream(name, text string) abi.Output {
	return abi.Output{Type: abi.OutputStream, Name: name, Text: text}
}

func data(typ string, pairs ...string) abi.Output {
	o := abi.Output{Type: typ, Data: map[string]json.RawMessage{}}
	for i := 0; i < len(pairs); i += 2 {
		o.Data[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return o
}

func image(mime string, bytes []byte) abi.Output {
	o := data(abi.OutputDisplay, "text/plain", `"<Figure>"`)
	o.Blobs = []abi.Blob{{MIMEType: mime, Bytes: bytes}}
	return o
}

// shown writes a result's blocks as a person would see them.
func shown(r sdk.Result) []string {
	list := []string{}
	for _, c := range r.Content {
		if c.Type == abi.ContentImage {
			list = append(list, c.MIMEType+" "+string(c.Data))
		} else {
			list = append(list, c.Text)
		}
	}
	return list
}

func TestRunSendsTheCodeAndStreamsItsOutput(t *testing.T) {
	h := sdktest.New(t)
	var got []abi.KernelExecuteRequest
	h.Kernel = func(r abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error) {
		got = append(got, r)
		return abi.KernelExecuteResponse{Outputs: []abi.Output{stream("stdout", "hi\n")}}, nil
	}
	for _, in := range []args{{"code": "1+1"}, {"code": "1+1", "timeout_seconds": 2.5}} {
		if _, err := h.Call("run", in); err != nil {
			t.Fatal(err)
		}
	}
	want := abi.KernelExecuteRequest{Code: "1+1", Language: "python", Stream: abi.StreamAgent}
	limited := want
	limited.TimeoutMS = 2500
	if !reflect.DeepEqual(got, []abi.KernelExecuteRequest{want, limited}) {
		t.Errorf("the kernel got %+v", got)
	}
	if n := len(h.Streamed()); n != 2 {
		t.Errorf("%d outputs were streamed, want 2", n)
	}
}

func TestOutputsComeInTheirOrder(t *testing.T) {
	r := run(t, abi.KernelExecuteResponse{ExecutionCount: 7, DurationMS: 12, Outputs: []abi.Output{
		stream("stdout", "one\n"),
		stream("stderr", "careful\n"),
		image("image/png", []byte("png")),
		stream("stdout", "two\n"),
		data(abi.OutputDisplay, "text/html", `"<b>table</b>"`, "text/plain", `"table"`),
		data(abi.OutputResult, "text/plain", `"42"`),
	}})
	want := []string{"one\n", "[stderr]\ncareful\n", "image/png png", "two\n", "table", "[result]\n42"}
	if got := shown(r); !reflect.DeepEqual(got, want) {
		t.Errorf("shown %q, want %q", got, want)
	}
	meta := map[string]json.RawMessage{
		"python/status": json.RawMessage(`"ok"`), "python/execution_count": json.RawMessage("7"), "python/duration_ms": json.RawMessage("12"),
	}
	if r.IsError || r.StructuredContent != nil || !reflect.DeepEqual(r.Meta, meta) {
		t.Errorf("result is %+v", r)
	}
}

func TestWhatIsShownIsTheMostThatAnAgentCanRead(t *testing.T) {
	large := make([]byte, 5<<20)
	tests := map[string]struct {
		output abi.Output
		want   string
	}{
		"jpeg":     {image("image/jpeg", []byte("jpg")), "image/jpeg jpg"},
		"markdown": {data(abi.OutputDisplay, "text/markdown", `"# Title"`, "text/html", `"<h1>"`), "# Title"},
		"json":     {data(abi.OutputDisplay, "application/json", `{"a":1}`), `{"a":1}`},
		"large":    {image("image/png", large), "[an image of 5242880 bytes, too large to show: save it to output/, or make it smaller]"},
		"nothing":  {data(abi.OutputDisplay, "application/x-b", `""`, "application/x-a", `""`), "[shown as application/x-a, application/x-b, which can't be given here: save it to output/]"},
	}
	for name, tt := range tests {
		if got := shown(run(t, abi.KernelExecuteResponse{Outputs: []abi.Output{tt.output}})); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: shown %.100q, want %q", name, got, tt.want)
		}
	}
}

func TestImagesAreBoundedInNumber(t *testing.T) {
	var done abi.KernelExecuteResponse
	for range 18 {
		done.Outputs = append(done.Outputs, image("image/png", []byte("png")))
	}
	got := shown(run(t, done))
	if len(got) != 18 || got[15] != "image/png png" || !strings.Contains(got[16], "beyond the 16") {
		t.Errorf("shown %q", got)
	}
}

func TestAnExceptionIsAnErrorWithItsTraceback(t *testing.T) {
	r := run(t, abi.KernelExecuteResponse{Status: abi.StatusError, Outputs: []abi.Output{stream("stdout", "before\n")}, Error: &abi.KernelError{
		Name: "ZeroDivisionError", Value: "division by zero",
		Traceback: []string{"Traceback (most recent call last)", "  1/0", "ZeroDivisionError: division by zero"},
	}})
	want := []string{"before\n", "[error]\nTraceback (most recent call last)\n  1/0\nZeroDivisionError: division by zero"}
	if got := shown(r); !r.IsError || !reflect.DeepEqual(got, want) {
		t.Errorf("shown %q, want %q", got, want)
	}
	if got := string(r.Meta["python/status"]); got != `"error"` {
		t.Errorf("status is %s", got)
	}
}

func TestAnExceptionWithoutATracebackHasItsName(t *testing.T) {
	r := run(t, abi.KernelExecuteResponse{Status: abi.StatusError, Error: &abi.KernelError{Name: "SystemExit", Value: "3"}})
	if got := shown(r); len(got) != 1 || got[0] != "[error]\nSystemExit: 3" {
		t.Errorf("shown %q", got)
	}
}

func TestALongTracebackKeepsBothEnds(t *testing.T) {
	trace := []string{"first"}
	for range 2000 {
		trace = append(trace, "  recurse()")
	}
	r := run(t, abi.KernelExecuteResponse{Status: abi.StatusError, Error: &abi.KernelError{
		Name: "RecursionError", Value: "too deep", Traceback: append(trace, "RecursionError: too deep"),
	}})
	got := shown(r)[0]
	if n := utf8.RuneCountInString(got); n > 8200 || !strings.HasPrefix(got, "[error]\nfirst") || !strings.HasSuffix(got, "RecursionError: too deep") || !strings.Contains(got, "characters cut here") {
		t.Errorf("the traceback has %d characters: %.60q", n, got)
	}
}

func TestAnInterruptKeepsWhatWasPrinted(t *testing.T) {
	tests := map[string]string{
		abi.StatusTimeout:     "[interrupted after 5s, when its time was over: what it printed is above, variables are kept]",
		abi.StatusInterrupted: "[interrupted by somebody else after 5s: what it printed is above, variables are kept]",
	}
	for status, note := range tests {
		r := run(t, abi.KernelExecuteResponse{Status: status, DurationMS: 5003, Outputs: []abi.Output{stream("stdout", "tick\n")}})
		if got := shown(r); !r.IsError || !reflect.DeepEqual(got, []string{"tick\n", note}) {
			t.Errorf("%s: shown %q", status, got)
		}
	}
}

func TestLostStateIsSaidFirst(t *testing.T) {
	r := run(t, abi.KernelExecuteResponse{StateLost: "the kernel was killed by signal 9", Outputs: []abi.Output{stream("stdout", "hi\n")}})
	got := shown(r)
	if len(got) != 2 || !strings.Contains(got[0], "killed by signal 9") || !strings.Contains(got[0], "Variables, imports and functions of earlier calls are gone") {
		t.Errorf("shown %q", got)
	}
	if _, ok := r.Meta["python/state_lost"]; !ok || r.IsError {
		t.Errorf("result is %+v", r)
	}
}

func TestSilenceIsSaid(t *testing.T) {
	if got := shown(run(t, abi.KernelExecuteResponse{})); !reflect.DeepEqual(got, []string{"[done, nothing printed]"}) {
		t.Errorf("shown %q", got)
	}
}

func TestDroppedOutputIsSaid(t *testing.T) {
	got := shown(run(t, abi.KernelExecuteResponse{Truncated: 1 << 20, Outputs: []abi.Output{stream("stdout", "x")}}))
	if len(got) != 2 || !strings.Contains(got[1], "1048576 bytes of output") {
		t.Errorf("shown %q", got)
	}
}

func TestLongOutputKeepsBothEnds(t *testing.T) {
	r := run(t, abi.KernelExecuteResponse{Outputs: []abi.Output{
		stream("stdout", "start"+strings.Repeat("é", 30_000)),
		image("image/png", []byte("png")),
		stream("stderr", strings.Repeat("y", 10_000)),
		stream("stdout", strings.Repeat("z", 30_000)),
		data(abi.OutputResult, "text/plain", `"the end"`),
	}})
	got := shown(r)
	all := strings.Join(got, "")
	// Four of five blocks are left: all that stood on stderr was in the middle.
	if len(got) != 4 || got[1] != "image/png png" || !strings.HasPrefix(all, "start") || !strings.HasSuffix(all, "[result]\nthe end") {
		t.Errorf("shown %.60q …, %d blocks", got, len(got))
	}
	if n := strings.Count(all, "cut here"); n != 1 || !strings.Contains(all, "[… 30030 characters cut here") {
		t.Errorf("the cut is marked %d times", n)
	}
	if n := utf8.RuneCountInString(all); n > 40_200 || !utf8.ValidString(all) {
		t.Errorf("%d characters are left", n)
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	h := python(t, abi.KernelExecuteResponse{})
	for raw, field := range map[string]string{
		`{}`:                                  "/code",
		`{"code":""}`:                         "/code",
		`{"code":"1","timeout_seconds":0}`:    "/timeout_seconds",
		`{"code":"1","timeout_seconds":601}`:  "/timeout_seconds",
		`{"code":"1","timeout_seconds":"5s"}`: "/timeout_seconds",
		`{"code":"1","timeout":5}`:            "/timeout",
	} {
		_, err := h.Call("run", json.RawMessage(raw))
		if e, ok := errors.AsType[*abi.Error](err); !ok || e.Code != abi.CodeInvalidArgument || e.Field != field {
			t.Errorf("%s: %+v", raw, err)
		}
	}
}

func TestTheKernelsRefusalsAreTheCalls(t *testing.T) {
	h := sdktest.New(t)
	h.Kernel = func(abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error) {
		return abi.KernelExecuteResponse{}, abi.Errorf(abi.CodeStateLost, "the kernel ended").WithHint("run it again")
	}
	_, err := h.Call("run", args{"code": "1"})
	if e, ok := errors.AsType[*abi.Error](err); !ok || e.Code != abi.CodeStateLost || e.Hint != "run it again" {
		t.Errorf("error is %+v", err)
	}
}

func TestResetAndStatus(t *testing.T) {
	h := python(t, abi.KernelExecuteResponse{})
	h.KernelStatus = abi.KernelStatusResponse{State: abi.KernelBusy, PID: 1, Executions: 3, Queued: 1, Starts: 2, LastExit: "reset"}
	r, err := h.Call("reset", nil)
	if err != nil || h.Resets() != 1 || !strings.Contains(r.Content[0].Text, "starts afresh") {
		t.Errorf("reset answered with %+v, %v", r, err)
	}
	r, err = h.Call("status", nil)
	if want := `{"state":"busy","executions":3,"queued":1,"starts":2,"last_exit":"reset"}`; err != nil || string(r.StructuredContent) != want {
		t.Errorf("status answered with %s, %v", r.StructuredContent, err)
	}
}

func TestRunPromisesNoStructure(t *testing.T) {
	tool := sdktest.New(t).Tool("run")
	want := `{"type":"object","properties":{` +
		`"code":{"type":"string","description":"the Python code, as in a notebook cell; the value of the last expression is shown","minLength":1},` +
		`"timeout_seconds":{"type":"number","description":"interrupt the code after this many seconds; without it, after the longest time that the operator allows","minimum":0.1,"maximum":600}` +
		`},"required":["code"],"additionalProperties":false}`
	if tool.OutputSchema != nil || string(tool.InputSchema) != want {
		t.Errorf("run takes %s and promises %s", tool.InputSchema, tool.OutputSchema)
	}
}
