package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/bridge"
)

// A fakeTool answers as its function says; where that is nil, with a word. It
// notes what reached it.
type fakeTool struct {
	call func(context.Context, func(abi.Event)) (*abi.Result, string, error)

	mu      sync.Mutex
	reached []string
}

func (f *fakeTool) Call(ctx context.Context, tool string, arguments json.RawMessage, sink func(abi.Event)) (*abi.Result, string, error) {
	f.mu.Lock()
	f.reached = append(f.reached, strings.TrimSpace(fmt.Sprintf("%s %s", tool, arguments)))
	f.mu.Unlock()
	if f.call == nil {
		return said("done"), "c-2", nil
	}
	return f.call(ctx, sink)
}

func (f *fakeTool) log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.reached, "\n")
}

// said is a result of one block of text.
func said(text string) *abi.Result {
	return &abi.Result{Content: []abi.Content{{Type: abi.ContentText, Text: text}}}
}

// newCaller returns a Call that may call files_read and sheet_sum.
func newCaller(t *testing.T, f *fakeTool) (*bridge.Call, *recorder) {
	t.Helper()
	return newCall(t, nil, func(config *bridge.Config) {
		config.Capabilities = abi.Capabilities{Tool: &abi.ToolScope{Names: []string{"files_read", "sheet_sum"}}}
		config.Kernel, config.Tool = nil, f
	})
}

func TestAToolIsCalledAndAudited(t *testing.T) {
	f := &fakeTool{}
	c, r := newCaller(t, f)
	trace(t, c, `
		==> tool.call {"tool":"files_read","arguments":{"path":"output/a"}}
		<== {"result":{"content":[{"type":"text","text":"done"}]}}
		==> tool.call {"tool":"sheet_sum"}
		<== {"result":{"content":[{"type":"text","text":"done"}]}}
	`)
	same(t, "tools", f.log(), `
		files_read {"path":"output/a"}
		sheet_sum
	`)
	same(t, "audit", r.audited(), `
		intent tool.call arguments_bytes=19 arguments_sha256=04faa75c tool=files_read
		outcome tool.call arguments_bytes=19 arguments_sha256=04faa75c call=c-2 tool=files_read
		intent tool.call arguments_bytes=0 arguments_sha256=e3b0c442 tool=sheet_sum
		outcome tool.call arguments_bytes=0 arguments_sha256=e3b0c442 call=c-2 tool=sheet_sum
	`)
}

func TestBytesAndStructureOfAResultArePassedOn(t *testing.T) {
	f := &fakeTool{call: func(context.Context, func(abi.Event)) (*abi.Result, string, error) {
		return &abi.Result{
			Content: []abi.Content{
				{Type: abi.ContentImage, MIMEType: "image/png", Data: []byte{1, 2, 3}},
				{Type: abi.ContentLink, URI: "workspace:/output/a.png", Size: 3},
			},
			StructuredContent: json.RawMessage(`{"rows":2}`), IsError: true,
			Meta: map[string]json.RawMessage{"sallyport/usage": json.RawMessage(`{"call":"c-2"}`)},
		}, "c-2", nil
	}}
	c, r := newCaller(t, f)
	trace(t, c, `
		==> tool.call {"tool":"files_read"}
		<== {"result":{"content":[{"type":"image","mimeType":"image/png","body":{"offset":0,"length":3}},{"type":"resource_link","uri":"workspace:/output/a.png","size":3}],"structuredContent":{"rows":2},"isError":true,"_meta":{"sallyport/usage":{"call":"c-2"}}}} body=010203
	`)
	if !strings.Contains(r.audited(), "is_error=true") {
		t.Errorf("audited:\n%s", r.audited())
	}
}

func TestToolCallsThatCantBeMadeReachNobody(t *testing.T) {
	f := &fakeTool{}
	c, r := newCaller(t, f)
	trace(t, c, `
		==> tool.call {}
		<== invalid_argument: tool.call: tool is "": use a tool's full name, such as files_read
		==> tool.call {"tool":"files.read"}
		<== invalid_argument: tool.call: tool is "files.read": use a tool's full name, such as files_read
		==> tool.call {"tool":"files_read","arguments":null}
		<== invalid_argument: tool.call: arguments is not a JSON object
		==> tool.call {"tool":"files_read","arguments":["output/a"]}
		<== invalid_argument: tool.call: arguments is not a JSON object
		==> tool.call {"tool":"files_read","stream":"me"}
		<== invalid_argument: tool.call: stream is "me": use "agent", or leave it out
		==> tool.call {"tool":"files_write","async":true}
		<== permission_denied: tool.call of files_write is not granted to this plugin
	`)
	same(t, "tools", f.log(), "")
	same(t, "audit", r.audited(), "outcome tool.call arguments_bytes=0 arguments_sha256=e3b0c442 tool=files_write → permission_denied")
	_, err := c.Dispatch(t.Context(), abi.OpToolCall, request(t, `{"tool":"files_write"}`))
	if e := abi.AsError(err); e.Grant != "tool.names: files_write" {
		t.Errorf("the grant is %q", e.Grant)
	}
}

func TestAHostWithoutToolsSaysSo(t *testing.T) {
	c, _ := newCall(t, nil, func(config *bridge.Config) {
		config.Capabilities = abi.Capabilities{Tool: &abi.ToolScope{Names: []string{"files_read"}}}
	})
	trace(t, c, `
		==> tool.call {"tool":"files_read"}
		<== unavailable: tool.call: this host does not offer the capability
	`)
}

// TestAnErrorOfAToolSaysWhoseItIs has a tool fail: its code and its grant stay,
// and the field at fault is one of the request's.
func TestAnErrorOfAToolSaysWhoseItIs(t *testing.T) {
	failure := error(&abi.Error{
		Code: abi.CodePermissionDenied, Message: "store is append-only", Hint: "use another", Grant: "files.store: write", Field: "/path", Limit: "fuel", Retryable: true,
	})
	f := &fakeTool{call: func(context.Context, func(abi.Event)) (*abi.Result, string, error) { return nil, "c-2", failure }}
	c, r := newCaller(t, f)
	_, err := c.Dispatch(t.Context(), abi.OpToolCall, request(t, `{"tool":"files_read"}`))
	want := abi.Error{
		Code: abi.CodePermissionDenied, Message: "files_read: store is append-only", Hint: "use another", Grant: "files.store: write", Field: "/arguments/path", Limit: "fuel", Retryable: true,
	}
	if e, ok := errors.AsType[*abi.Error](err); !ok || *e != want {
		t.Errorf("the error is %+v", err)
	}
	if abi.AsError(failure).Field != "/path" {
		t.Error("the tool's own error was changed")
	}
	if !strings.Contains(r.audited(), "call=c-2 tool=files_read → permission_denied") {
		t.Errorf("audited:\n%s", r.audited())
	}
	failure = errors.New("dial /run/secret.sock")
	trace(t, c, `
		==> tool.call {"tool":"files_read"}
		<== internal: tool.call: the host failed; its log has the cause
	`)
}

func TestAToolsReportsGoToTheAgentWhereThatIsAsked(t *testing.T) {
	var late func(abi.Event)
	f := &fakeTool{call: func(_ context.Context, sink func(abi.Event)) (*abi.Result, string, error) {
		late = sink
		sink(abi.Event{Seq: 1, TS: "now", Type: abi.EventStarted, Call: "c-2"})
		sink(abi.Event{Seq: 2, TS: "now", Type: abi.EventOutput, Output: &abi.Output{Type: abi.OutputStream, Name: "stdout", Text: "hi"}})
		sink(abi.Event{Seq: 3, TS: "now", Type: abi.EventProgress, Progress: &abi.ProgressRequest{Progress: 1}})
		return said("done"), "c-2", nil
	}}
	c, r := newCaller(t, f)
	dispatch(t.Context(), t, c, abi.OpToolCall, `{"tool":"files_read"}`)
	same(t, "events", r.emitted(), "")
	dispatch(t.Context(), t, c, abi.OpToolCall, `{"tool":"files_read","stream":"agent"}`)
	late(abi.Event{Type: abi.EventProgress, Progress: &abi.ProgressRequest{Progress: 2}})
	same(t, "events", r.emitted(), `
		{"type":"output","output":{"type":"stream","name":"stdout","text":"hi"}}
		{"type":"progress","progress":{"progress":1}}
	`)
}

func TestAToolCallCanBeATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTool{call: func(ctx context.Context, _ func(abi.Event)) (*abi.Result, string, error) {
			<-ctx.Done()
			return nil, "c-2", ctx.Err()
		}}
		c, _ := newCaller(t, f)
		trace(t, c, `
			==> tool.call {"tool":"files_read","async":true}
			<== {"task":1}
			==> call.cancel {"task":1}
			<== {}
			==> call.wait {"tasks":[1]}
			<== {"task":1,"error":{"code":"canceled","message":"tool.call: cancelled"}}
		`)
	})
}

// TestAResultThatDoesNotFitIsExhaustion has one fit that fits into the response
// of wait as well, and none that is larger.
func TestAResultThatDoesNotFitIsExhaustion(t *testing.T) {
	frame := len(`{"result":{"content":[],"structuredContent":""}}`)
	for n, want := range map[int]string{
		abi.MaxHeaderBytes - 1<<10 - frame:     `{"task":`,
		abi.MaxHeaderBytes - 1<<10 - frame + 1: `{"task":1,"error":{"code":"resource_exhausted","message":"tool.call: files_read ran, and its result does not fit`,
		abi.MaxHeaderBytes:                     `{"task":1,"error":{"code":"resource_exhausted","message":"tool.call: files_read ran, and its result does not fit`,
	} {
		f := &fakeTool{call: func(context.Context, func(abi.Event)) (*abi.Result, string, error) {
			return &abi.Result{Content: []abi.Content{}, StructuredContent: json.RawMessage(`"` + strings.Repeat("x", n) + `"`)}, "c-2", nil
		}}
		c, _ := newCaller(t, f)
		dispatch(t.Context(), t, c, abi.OpToolCall, `{"tool":"files_read","async":true}`)
		if got := dispatch(t.Context(), t, c, abi.OpCallWait, `{"tasks":[1]}`); !strings.HasPrefix(got, want) {
			t.Errorf("%d bytes come to %.200s", n, got)
		}
	}
}
