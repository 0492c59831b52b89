package tool

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// Call runs the tool of a full name, such as "files_read", and waits for its
// result. Args are what encoding/json makes an object of, a json.RawMessage as
// it is; nil is no arguments. What the tool reports while it runs is dropped.
func Call(ctx context.Context, name string, args any) (sdk.Result, error) {
	return call(ctx, abi.ToolCallRequest{Tool: name}, args)
}

// Stream is Call, and what the tool prints and reports while it runs goes to
// the agent, as if the calling tool had.
func Stream(ctx context.Context, name string, args any) (sdk.Result, error) {
	return call(ctx, abi.ToolCallRequest{Tool: name, Stream: abi.StreamAgent}, args)
}

func call(ctx context.Context, req abi.ToolCallRequest, args any) (sdk.Result, error) {
	if args != nil {
		raw, err := json.Marshal(args)
		if err != nil {
			return sdk.Result{}, sdk.Errorf(abi.CodeInvalidArgument, "the arguments of %s can't be written as JSON: %w", req.Tool, err)
		}
		req.Arguments = raw
	}
	f, err := sdk.Invoke(ctx, abi.OpToolCall, importCall, req, nil)
	if err != nil {
		return sdk.Result{}, err
	}
	resp, err := abi.DecodeCallResponseFrame(f)
	if err != nil {
		return sdk.Result{}, err
	}
	if resp.Error != nil {
		return sdk.Result{}, resp.Error
	}
	return *resp.Result, nil
}

// Text returns the text of a result, its blocks joined, and takes what Call and
// Stream return. A result with IsError becomes an error that says what it says:
// returned by a tool, that is a result with IsError again.
func Text(r sdk.Result, err error) (string, error) {
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, c := range r.Content {
		if c.Type == abi.ContentText {
			b.WriteString(c.Text)
		}
	}
	if r.IsError {
		return "", errors.New(b.String())
	}
	return b.String(), nil
}

// As decodes the structured content of a result, and takes what Call and Stream
// return:
//
//	list, err := tool.As[listing](tool.Call(ctx, "files_list", nil))
//
// A result with IsError becomes an error as with Text; one without structured
// content, or with some that doesn't fit Out, is plugin_failed.
func As[Out any](r sdk.Result, err error) (Out, error) {
	var out Out
	if _, err := Text(r, err); err != nil {
		return out, err
	}
	if len(r.StructuredContent) == 0 {
		return out, sdk.Errorf(abi.CodePluginFailed, "the tool's result has no structured content")
	}
	if err := json.Unmarshal(r.StructuredContent, &out); err != nil {
		return out, sdk.Errorf(abi.CodePluginFailed, "the tool's result isn't what was expected: %w", err)
	}
	return out, nil
}
