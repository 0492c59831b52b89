package sdktest

import (
	"encoding/json"
	"errors"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// A Fake stands for a tool of another plugin. It gets the arguments, a JSON
// object, and answers as that tool's function would: an error that is no
// *abi.Error is a result with IsError.
type Fake func(args json.RawMessage) (sdk.Result, error)

// FakeTool has a fake answer calls of another plugin's tool, by its full name
// such as "files_read". It lasts for the test. A tool without one is refused
// with permission_denied, as for a plugin that wasn't granted it.
func (h *Host) FakeTool(name string, answer Fake) {
	h.t.Helper()
	if !abi.ValidFullName(name) {
		h.t.Fatalf("%q is not a tool's full name, such as files_read", name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fakes == nil {
		h.fakes = map[string]Fake{}
	}
	h.fakes[name] = answer
}

func (h *Host) callTool(f abi.Frame) ([]byte, error) {
	var req abi.ToolCallRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	if !abi.ValidFullName(req.Tool) {
		return nil, sdk.BadArgument("/tool", "tool.call: tool is %q: use a tool's full name, such as files_read", req.Tool)
	}
	if len(req.Arguments) == 0 {
		req.Arguments = json.RawMessage("{}")
	}
	if req.Arguments[0] != '{' {
		return nil, sdk.BadArgument("/arguments", "tool.call: arguments is not a JSON object")
	}
	h.mu.Lock()
	answer := h.fakes[req.Tool]
	h.mu.Unlock()
	if answer == nil {
		e := abi.Errorf(abi.CodePermissionDenied, "tool.call of %s is not granted to this plugin", req.Tool).
			WithHint("fake it with Host.FakeTool")
		e.Grant = "tool.names: " + req.Tool
		return nil, e
	}
	result, err := answer(req.Arguments)
	if e, ok := errors.AsType[*abi.Error](err); ok {
		// As a host tells it: whose it is, and where in the request.
		own := *e
		own.Message = req.Tool + ": " + e.Message
		if e.Field != "" {
			own.Field = "/arguments" + e.Field
		}
		return nil, &own
	}
	if err != nil {
		result = sdk.ResultOf(sdk.Text(err.Error()))
		result.IsError = true
	}
	return abi.EncodeCallResponse(abi.CallResponse{Result: &result})
}
