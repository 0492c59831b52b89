package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// A Tool is the tools of other plugins, for the calling session and plugin.
type Tool interface {
	// Call runs the tool of a full name. Arguments are a JSON object, or nil
	// for the empty one. The sink gets what the tool reports, from one goroutine
	// at a time and not after Call has returned. The string is the id of the
	// call that it made, "" where it made none; an error is the tool's, or says
	// why it wasn't run.
	Call(ctx context.Context, tool string, arguments json.RawMessage, sink func(abi.Event)) (*abi.Result, string, error)
}

func (c *Call) toolCall(ctx context.Context, op string, frame []byte) ([]byte, error) {
	var req abi.ToolCallRequest
	if err := decode(op, frame, &req); err != nil {
		return nil, err
	}
	switch {
	case !abi.ValidFullName(req.Tool):
		return nil, invalid(op, "/tool", "tool is %q: use a tool's full name, such as files_read", cut(req.Tool, abi.MaxToolName))
	case len(req.Arguments) > 0 && req.Arguments[0] != '{':
		return nil, invalid(op, "/arguments", "arguments is not a JSON object")
	}
	if err := checkStream(op, req.Stream); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(req.Arguments)
	return c.do(ctx, operation{
		ask:     policy.Request{Op: op, Tool: req.Tool},
		offered: c.config.Tool != nil,
		async:   req.Async,
		detail: map[string]string{
			"tool":             req.Tool,
			"arguments_bytes":  number(len(req.Arguments)),
			"arguments_sha256": hex.EncodeToString(digest[:]),
		},
		run: func(ctx context.Context) ([]byte, map[string]string, error) {
			emit, stop := c.sink(req.Stream)
			defer stop()
			result, call, err := c.config.Tool.Call(ctx, req.Tool, req.Arguments, func(e abi.Event) {
				if e.Type == abi.EventOutput || e.Type == abi.EventProgress {
					emit(abi.Event{Type: e.Type, Output: e.Output, Progress: e.Progress})
				}
			})
			detail := map[string]string{}
			if call != "" {
				detail["call"] = call
			}
			if err != nil {
				return nil, detail, ofTool(req.Tool, err)
			}
			if result.IsError {
				detail["is_error"] = "true"
			}
			frame, err := encodeResult(op, req.Tool, result)
			return frame, detail, err
		},
	})
}

// ofTool returns the error of a tool as that of the operation that called it:
// it says whose it is, and the field at fault is one of the request's.
func ofTool(tool string, err error) error {
	e, ok := errors.AsType[*abi.Error](err)
	if !ok {
		return err
	}
	own := *e
	own.Message = tool + ": " + e.Message
	if e.Field != "" {
		own.Field = "/arguments" + e.Field
	}
	return &own
}

// checkStream refuses a stream that leads nowhere.
func checkStream(op, stream string) error {
	if stream != "" && stream != abi.StreamAgent {
		return invalid(op, "/stream", "stream is %q: use %q, or leave it out", stream, abi.StreamAgent)
	}
	return nil
}
