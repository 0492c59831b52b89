package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// Describe returns the frame that the describe export answers with. It is for
// hosts, sdktest among them; authors don't call it.
func Describe() []byte {
	d := abi.Description{ABI: abi.Version, Tools: make([]abi.Tool, len(tools))}
	for i, t := range tools {
		d.Tools[i] = t.Tool
	}
	frame, err := abi.EncodeFrame(d, nil)
	if err != nil {
		panic(err) // tool descriptions of more than 4 MiB
	}
	return frame
}

// Serve carries out one call as the call export does: it takes the frame of an
// abi.CallRequest and returns that of an abi.CallResponse, whatever happens. It
// is for hosts, sdktest among them; authors don't call it.
func Serve(ctx context.Context, number uint32, frame []byte) []byte {
	return appendAnswer(nil, ctx, number, frame)
}

// appendAnswer appends what Serve returns.
func appendAnswer(dst []byte, ctx context.Context, number uint32, frame []byte) []byte {
	b, err := serve(dst, ctx, number, frame)
	if err == nil {
		return b
	}
	if b, err = appendError(dst, err); err != nil {
		b, err = appendError(dst, err)
	}
	if err != nil {
		panic(err) // unreachable: a short error of plain text
	}
	return b
}

// An invocation is what a call has of its own.
type invocation struct {
	deadlined
	group
}

func serve(dst []byte, ctx context.Context, number uint32, frame []byte) ([]byte, error) {
	req, err := readRequest(frame)
	if err != nil {
		return nil, err
	}
	if uint64(number) >= uint64(len(tools)) {
		return nil, Errorf(abi.CodeNotFound, "there is no tool %d: the plugin has %d", number, len(tools))
	}
	t := &tools[number]
	if req.tool != "" && req.tool != t.Name {
		return nil, Errorf(abi.CodeInvalidArgument, "tool %d is %q, not %q", number, t.Name, req.tool).
			WithHint("the manifest isn't this module's: build the plugin again")
	}
	inv := &invocation{}
	if req.deadline > 0 {
		inv.deadlined = deadlined{Context: ctx, end: time.Now().Add(req.deadline)}
		defer inv.stop()
		ctx = &inv.deadlined
	}
	b, err := guarded(dst, t, Context{Context: ctx, Session: req.session, Call: req.call, group: &inv.group}, req.arguments)
	if stray := inv.group.end(); stray != nil {
		abandon(stray)
		return nil, stray
	}
	return b, err
}

// guarded appends the frame of the tool's result. Its error, which a panic is
// as well, is an *abi.Error.
func guarded(dst []byte, t *tool, ctx Context, args json.RawMessage) (b []byte, err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		fmt.Fprintf(os.Stderr, "panic in tool %s: %v\n\n%s", t.Name, v, debug.Stack())
		b, err = nil, Errorf(abi.CodePluginFailed, "tool %s panicked: %s", t.Name, bounded(fmt.Sprint(v))).
			WithHint("the plugin's stderr has the stack")
	}()
	b, err = t.call(dst, ctx, args)
	if err == nil {
		return b, nil
	}
	if typed, ok := errors.AsType[*abi.Error](err); ok {
		return nil, typed
	}
	if over := contextError(ctx); over != nil && errors.Is(err, ctx.Err()) {
		return nil, over
	}
	return appendText(dst, err.Error(), true)
}

// bounded keeps the start of a text that nobody bounded.
func bounded(text string) string {
	const most = 500
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
