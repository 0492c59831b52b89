package tool_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
	"github.com/sallyport-dev/sallyport/sdk/tool"
)

type none struct{}

func init() {
	sdk.Tool("pass", "Calls another tool.", func(ctx sdk.Context, _ none) (sdk.Result, error) {
		return tool.Call(ctx, "files_read", map[string]string{"path": "output/a"})
	})
}

// A wire is a host that answers with one frame, and notes the request.
type wire struct {
	op                string
	request, response []byte
}

func (w *wire) Invoke(_ context.Context, op string, frame []byte) ([]byte, error) {
	w.op, w.request = op, frame
	return w.response, nil
}

func (w *wire) Path(guest string) string { return guest }

func (w *wire) Reason(err error) error { return err }

// vector returns the frame of a wire vector.
func vector(t *testing.T, name string) []byte {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("..", "..", "testdata", "abi", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for _, f := range archive.Files {
		if f.Name != "frame.hex" {
			continue
		}
		for line := range strings.Lines(string(f.Data)) {
			line, _, _ = strings.Cut(line, "|")
			digits.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	frame, err := hex.DecodeString(digits.String())
	if err != nil || len(frame) == 0 {
		t.Fatalf("%s has no frame: %v", name, err)
	}
	return frame
}

func TestFunctionsSpeakTheWireVectors(t *testing.T) {
	tests := []struct {
		name, request string
		call          func(context.Context) (sdk.Result, error)
	}{
		{"call", "message_tool_call_request_bare", func(ctx context.Context) (sdk.Result, error) {
			return tool.Call(ctx, "files_list", nil)
		}},
		{"call with arguments", "message_tool_call_request", func(ctx context.Context) (sdk.Result, error) {
			return tool.Call(ctx, "files_read", map[string]string{"path": "upload/data.csv"})
		}},
		{"stream", "message_tool_call_request_stream", func(ctx context.Context) (sdk.Result, error) {
			return tool.Stream(ctx, "python_run", json.RawMessage(`{"code":"1+1"}`))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &wire{response: vector(t, "message_call_response_image")}
			r, err := tt.call(sdk.WithHost(t.Context(), w))
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Content) != 4 || string(r.Content[2].Data) != "GIF89a" || r.Content[3].URI != "workspace:/output/chart.png" || string(r.StructuredContent) != `{"mean":4.5}` {
				t.Errorf("the result is %+v", r)
			}
			if want := vector(t, tt.request); w.op != abi.OpToolCall || !bytes.Equal(w.request, want) {
				t.Errorf("%s was asked with\n%q, want\n%q", w.op, w.request, want)
			}
		})
	}
}

func TestArgumentsThatAreNoJSONAreRefused(t *testing.T) {
	_, err := tool.Call(sdktest.New(t).Context(), "files_read", func() {})
	if abi.CodeOf(err) != abi.CodeInvalidArgument || !strings.Contains(err.Error(), "files_read") {
		t.Errorf("the error is %v", err)
	}
}

func TestTextJoinsBlocks(t *testing.T) {
	r := sdk.ResultOf(sdk.Text("one "), sdk.Image("image/png", []byte{1}), sdk.Text("two"))
	if got, err := tool.Text(r, nil); got != "one two" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	r.IsError = true
	if got, err := tool.Text(r, nil); got != "" || err == nil || err.Error() != "one two" {
		t.Errorf("of a failed tool: %q, %v", got, err)
	}
	broken := errors.New("broken")
	if _, err := tool.Text(r, broken); err != broken {
		t.Errorf("an error becomes %v", err)
	}
}

func TestAsDecodesStructuredContent(t *testing.T) {
	type sum struct{ Total int }
	r := sdk.ResultOf(sdk.Text("42"))
	if _, err := tool.As[sum](r, nil); abi.CodeOf(err) != abi.CodePluginFailed {
		t.Errorf("without any: %v", err)
	}
	r.StructuredContent = json.RawMessage(`{"total":42}`)
	if got, err := tool.As[sum](r, nil); got.Total != 42 || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := tool.As[[]string](r, nil); abi.CodeOf(err) != abi.CodePluginFailed {
		t.Errorf("of another shape: %v", err)
	}
	r.IsError = true
	if _, err := tool.As[sum](r, nil); err == nil || err.Error() != "42" {
		t.Errorf("of a failed tool: %v", err)
	}
}

func TestAFakeAnswersInATest(t *testing.T) {
	h := sdktest.New(t)
	_, err := h.Call("pass", nil)
	if e := abi.AsError(err); e == nil || e.Code != abi.CodePermissionDenied || e.Grant != "tool.names: files_read" {
		t.Errorf("without a fake: %v", err)
	}
	var got string
	var fail error
	h.FakeTool("files_read", func(args json.RawMessage) (sdk.Result, error) {
		got = string(args)
		return sdk.ResultOf(sdk.Image("image/png", []byte{1, 2})), fail
	})
	r, err := h.Call("pass", nil)
	if err != nil || len(r.Content) != 1 || len(r.Content[0].Data) != 2 || got != `{"path":"output/a"}` {
		t.Errorf("it answered %+v, %v to %s", r, err, got)
	}
	fail = errors.New("nothing there")
	if r, err := h.Call("pass", nil); err != nil || !r.IsError || r.Content[0].Text != "nothing there" {
		t.Errorf("a failed tool came to %+v, %v", r, err)
	}
	fail = sdk.BadArgument("/path", "path is no file")
	_, err = h.Call("pass", nil)
	if e := abi.AsError(err); e == nil || e.Code != abi.CodeInvalidArgument || e.Message != "files_read: path is no file" || e.Field != "/arguments/path" {
		t.Errorf("an error came to %+v", err)
	}
}
