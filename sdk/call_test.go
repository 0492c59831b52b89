package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

type args map[string]any

// texts joins the text blocks of a result.
func texts(r sdk.Result) string {
	var list []string
	for _, c := range r.Content {
		if c.Type == abi.ContentText {
			list = append(list, c.Text)
		}
	}
	return strings.Join(list, "\n")
}

func call(t *testing.T, h *sdktest.Host, tool string, in any) sdk.Result {
	t.Helper()
	r, err := h.Call(tool, in)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return r
}

func refused(t *testing.T, h *sdktest.Host, tool string, in any, code abi.Code) *abi.Error {
	t.Helper()
	_, err := h.Call(tool, in)
	e, ok := errors.AsType[*abi.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("%s answered with %v, want %v", tool, err, code)
	}
	return e
}

func TestAStringIsTheText(t *testing.T) {
	h := sdktest.New(t)
	r := call(t, h, "greet", args{"name": "Ada", "loud": true})
	if want := sdk.ResultOf(sdk.Text("HELLO, ADA!")); !reflect.DeepEqual(r, want) {
		t.Errorf("result is %+v, want %+v", r, want)
	}
	if tool := h.Tool("greet"); !tool.ReadOnly || tool.OutputSchema != nil {
		t.Errorf("greet is described as %+v", tool)
	}
}

func TestAStructIsStructuredContentAndTheSameText(t *testing.T) {
	h := sdktest.New(t)
	r := call(t, h, "sum", args{"numbers": []int{1, 2, 39}})
	want := `{"total":42,"seen":[1,2,39]}`
	if texts(r) != want || string(r.StructuredContent) != want {
		t.Errorf("text is %s and structured content %s, want %s", texts(r), r.StructuredContent, want)
	}
	schema := `{"type":"object","properties":{"total":{"type":"integer","description":"of all numbers"},` +
		`"seen":{"type":["array","null"],"items":{"type":"integer"}}},"required":["total","seen"],"additionalProperties":false}`
	if got := string(h.Tool("sum").OutputSchema); got != schema {
		t.Errorf("output schema is %s", got)
	}
}

func TestImagesTravelAsBytes(t *testing.T) {
	r := call(t, sdktest.New(t), "show", nil)
	want := sdk.ResultOf(sdk.Text("before"), sdk.Image("image/png", []byte{0x89, 'P', 'N', 'G'}), sdk.Text("after"))
	want.Meta = map[string]json.RawMessage{"sallyport/status": json.RawMessage(`"ok"`)}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("result is %+v, want %+v", r, want)
	}
}

func TestAnyObjectPassesThroughUntouched(t *testing.T) {
	r := call(t, sdktest.New(t), "echo", json.RawMessage(`{"b":1.50,"a":[null]}`))
	if got := string(r.StructuredContent); got != `{"b":1.50,"a":[null]}` {
		t.Errorf("echo answered with %s", got)
	}
}

func TestBadArgumentsDoNotReachTheTool(t *testing.T) {
	h := sdktest.New(t)
	for field, in := range map[string]string{
		"/name": `{}`,
		"/nam":  `{"name":"a","nam":1}`,
		"/loud": `{"name":"a","loud":1}`,
	} {
		if e := refused(t, h, "greet", json.RawMessage(in), abi.CodeInvalidArgument); e.Field != field {
			t.Errorf("%s: field is %q, want %q", in, e.Field, field)
		}
	}
}

func TestAPlainErrorIsForTheAgentToRead(t *testing.T) {
	r := call(t, sdktest.New(t), "fail", args{"how": "plain"})
	if !r.IsError || texts(r) != "the sheet has no column B" {
		t.Errorf("result is %+v", r)
	}
}

func TestATypedErrorRefusesTheCall(t *testing.T) {
	h := sdktest.New(t)
	e := refused(t, h, "fail", args{"how": "typed"}, abi.CodeNotFound)
	if e.Message != "there is no sheet 3" || e.Hint != "the file has 2" {
		t.Errorf("error is %+v", e)
	}
	if e := refused(t, h, "fail", args{"how": "argument"}, abi.CodeInvalidArgument); e.Field != "/how" {
		t.Errorf("error is %+v", e)
	}
}

func TestANilErrorOfAnyTypeIsNone(t *testing.T) {
	if r := call(t, sdktest.New(t), "fail", args{"how": "none"}); r.IsError || texts(r) != "done" {
		t.Errorf("result is %+v", r)
	}
}

func TestAPanicIsPluginFailed(t *testing.T) {
	h := sdktest.New(t)
	e := refused(t, h, "fail", args{"how": "panic"}, abi.CodePluginFailed)
	if !strings.Contains(e.Message, "tool fail panicked: index out of range") || len(e.Message) > 600 || e.Hint == "" {
		t.Errorf("error is %+v", e)
	}
	e = refused(t, h, "fail", args{"how": "nil"}, abi.CodePluginFailed)
	if !strings.Contains(e.Message, "nil pointer") {
		t.Errorf("error is %+v", e)
	}
	refused(t, h, "fail", args{"how": "unprintable"}, abi.CodePluginFailed)
	call(t, h, "greet", args{"name": "Ada"}) // and the plugin lives on
}

func TestTheEndOfTheCallsTimeIsDeadlineExceeded(t *testing.T) {
	h := sdktest.New(t)
	h.Deadline = time.Millisecond
	refused(t, h, "fail", args{"how": "deadline"}, abi.CodeDeadlineExceeded)
	refused(t, h, "fail", args{"how": "poll"}, abi.CodeDeadlineExceeded)
}

func TestAContextEndsWithItsCall(t *testing.T) {
	call(t, sdktest.New(t), "fail", args{"how": "keep"})
	ctx := <-kept
	derived, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := ctx.Err(); err != context.Canceled {
		t.Errorf("the context of a call that is over has %v", err)
	}
	<-ctx.Done()
	<-derived.Done()
	if _, err := ctx.Config("colour"); abi.CodeOf(err) != abi.CodeCanceled {
		t.Errorf("Config failed with %v", err)
	}
}

func TestADeadlineOfTheToolsOwnIsForTheAgentToRead(t *testing.T) {
	if r := call(t, sdktest.New(t), "fail", args{"how": "other deadline"}); !r.IsError {
		t.Errorf("result is %+v", r)
	}
}

func TestAnswersThatCannotBeWrittenAreErrors(t *testing.T) {
	h := sdktest.New(t)
	if r := call(t, h, "null", nil); !r.IsError || texts(r) != "the result is null" {
		t.Errorf("null gave %+v", r)
	}
	if e := refused(t, h, "huge", nil, abi.CodeResourceExhausted); !strings.Contains(e.Hint, "file") {
		t.Errorf("huge gave %+v", e)
	}
	refused(t, h, "garbled", nil, abi.CodePluginFailed)
}

func TestLongTextsArriveAsTheyAre(t *testing.T) {
	h := sdktest.New(t)
	if got, want := texts(call(t, h, "greet", args{"name": longText})), "Hello, "+longText+"!"; got != want {
		t.Errorf("a string came back as %q", got)
	}
	r := call(t, h, "echo", args{"text": longText})
	if got := texts(r); got != string(r.StructuredContent) || !strings.Contains(got, "line") {
		t.Errorf("a value came back as %q and %q", got, r.StructuredContent)
	}
	want := sdk.ResultOf(sdk.Text(longText), sdk.Text("short"), sdk.Text(longText+"\ufffd\ufffd"), sdk.Text(strings.ToUpper(longText)))
	if r := call(t, h, "pages", nil); !reflect.DeepEqual(r, want) {
		t.Errorf("blocks came back as %q", texts(r))
	}
}

func TestLongTextsAreNotEscaped(t *testing.T) {
	answer := sdk.Serve(t.Context(), 0, request(t, "greet", `{"name":"`+strings.Repeat(`\n`, abi.LongText)+`"}`))
	f, err := abi.DecodeFrame(answer)
	if err != nil {
		t.Fatal(err)
	}
	if want := "Hello, " + strings.Repeat("\n", abi.LongText) + "!"; string(f.Body) != want {
		t.Errorf("header is %s, body %q", f.Header, f.Body)
	}
}

func TestServeAnswersBadFramesWithErrors(t *testing.T) {
	frame := func(r abi.CallRequest) []byte {
		b, err := abi.EncodeFrame(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tests := map[string]struct {
		tool  uint32
		frame []byte
		code  abi.Code
	}{
		"empty":          {0, nil, abi.CodeInvalidArgument},
		"truncated":      {0, []byte{9, 0, 0, 0, '{'}, abi.CodeInvalidArgument},
		"wrong header":   {0, []byte("\x0a\x00\x00\x00{\"tool\":1}"), abi.CodeInvalidArgument},
		"unknown number": {1 << 31, frame(abi.CallRequest{}), abi.CodeNotFound},
		"another's name": {0, frame(abi.CallRequest{Tool: "sum"}), abi.CodeInvalidArgument},
	}
	for name, tt := range tests {
		resp, err := abi.DecodeCallResponse(sdk.Serve(context.Background(), tt.tool, tt.frame))
		if err != nil || resp.Error == nil || resp.Error.Code != tt.code {
			t.Errorf("%s: answered with %+v, %v", name, resp.Error, err)
		}
	}
}

func FuzzServeAlwaysAnswers(f *testing.F) {
	f.Add(uint32(0), []byte("\x02\x00\x00\x00{}"))
	f.Add(uint32(1), []byte("\x20\x00\x00\x00{\"arguments\":{\"numbers\":[1,2]}}  "))
	f.Add(uint32(3), []byte("\x1c\x00\x00\x00{\"arguments\":{\"a\":{\"b\":1}}}"))
	f.Fuzz(func(t *testing.T, tool uint32, frame []byte) {
		if tool > 3 { // the first tools depend on their arguments alone
			tool = 1 << 20
		}
		answer := sdk.Serve(context.Background(), tool, frame)
		resp, err := abi.DecodeCallResponse(answer)
		if err != nil {
			t.Fatal(err)
		}
		if r := resp.Result; r != nil && len(r.StructuredContent) > 0 && texts(*r) != string(r.StructuredContent) {
			t.Fatalf("answered with %q", answer)
		}
	})
}

func TestWithoutAHostFunctionsAreUnavailable(t *testing.T) {
	ctx := sdk.Context{Context: t.Context()}
	ctx.Log(sdk.LevelInfo, "nobody listens")
	if _, err := ctx.Config("colour"); abi.CodeOf(err) != abi.CodeUnavailable {
		t.Errorf("Config failed with %v", err)
	}
	if got := ctx.Path("/output/a"); got != "/output/a" {
		t.Errorf("Path is %q", got)
	}
	if err := ctx.Reason(fs.ErrNotExist); err != fs.ErrNotExist {
		t.Errorf("Reason is %v", err)
	}
}

func TestFunctionsOfACancelledContextFail(t *testing.T) {
	ctx := sdktest.New(t).Context()
	var cancel context.CancelFunc
	ctx.Context, cancel = context.WithCancel(ctx.Context)
	cancel()
	if _, err := ctx.Config("colour"); abi.CodeOf(err) != abi.CodeCanceled {
		t.Errorf("Config failed with %v", err)
	}
}

func TestMisusesOfToolPanicWithTheReason(t *testing.T) {
	ok := func(sdk.Context, struct{}) (string, error) { return "", nil }
	tests := map[string]func(){
		`tool name is "Greet"`:                   func() { sdk.Tool("Greet", "d", ok) },
		`two tools are named "greet"`:            func() { sdk.Tool("greet", "d", ok) },
		`tool "x" has no description`:            func() { sdk.Tool("x", "", ok) },
		`tool "x": arguments: string is not`:     func() { sdk.Tool("x", "d", func(sdk.Context, string) (string, error) { return "", nil }) },
		`tool "x": result: int is not`:           func() { sdk.Tool("x", "d", func(sdk.Context, struct{}) (int, error) { return 0, nil }) },
		`tool "x": result: struct { B []uint8 }`: func() { sdk.Tool("x", "d", func(sdk.Context, struct{}) (struct{ B []byte }, error) { panic(0) }) },
	}
	for want, misuse := range tests {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, want) {
					t.Errorf("panicked with %q, want %q", got, want)
				}
			}()
			misuse()
		}()
	}
}
