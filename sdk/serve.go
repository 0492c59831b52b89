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
	res, err := serve(ctx, number, frame)
	var b []byte
	if err == nil {
		b, err = appendResult(dst, &res)
	} else {
		b, err = appendError(dst, abi.AsError(err))
	}
	if err == nil {
		return b
	}
	refusal := Errorf(abi.CodePluginFailed, "the tool's answer can't be written: %v", err)
	if abi.CodeOf(err) == abi.CodeResourceExhausted {
		refusal = Errorf(abi.CodeResourceExhausted, "the tool's answer is too large: %v", err).
			WithHint("the plugin should write large results to a file and link it")
	}
	if b, err = appendError(dst, refusal); err != nil {
		panic(err) // unreachable: a short error of plain text
	}
	return b
}

func serve(ctx context.Context, number uint32, frame []byte) (Result, error) {
	req, err := readRequest(frame)
	if err != nil {
		return Result{}, err
	}
	if uint64(number) >= uint64(len(tools)) {
		return Result{}, Errorf(abi.CodeNotFound, "there is no tool %d: the plugin has %d", number, len(tools))
	}
	t := &tools[number]
	if req.Tool != "" && req.Tool != t.Name {
		return Result{}, Errorf(abi.CodeInvalidArgument, "tool %d is %q, not %q", number, t.Name, req.Tool).
			WithHint("the manifest isn't this module's: build the plugin again")
	}
	if req.DeadlineMS > 0 {
		d := &deadlined{Context: ctx, end: time.Now().Add(time.Duration(req.DeadlineMS) * time.Millisecond)}
		defer d.stop()
		ctx = d
	}
	group := &group{}
	res, err := guarded(t, Context{Context: ctx, Session: req.Session, Call: req.Call, group: group}, req.Arguments)
	if stray := group.end(); stray != nil {
		abandon(stray)
		return Result{}, stray
	}
	return res, err
}

// guarded calls the tool, and turns a panic into plugin_failed. Its error is an
// *abi.Error.
func guarded(t *tool, ctx Context, args json.RawMessage) (res Result, err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		fmt.Fprintf(os.Stderr, "panic in tool %s: %v\n\n%s", t.Name, v, debug.Stack())
		res, err = Result{}, Errorf(abi.CodePluginFailed, "tool %s panicked: %s", t.Name, bounded(fmt.Sprint(v))).
			WithHint("the plugin's stderr has the stack")
	}()
	res, err = t.call(ctx, args)
	if err == nil {
		return res, nil
	}
	if typed, ok := errors.AsType[*abi.Error](err); ok {
		return Result{}, typed
	}
	if over := contextError(ctx); over != nil && errors.Is(err, ctx.Err()) {
		return Result{}, over
	}
	res = ResultOf(Text(err.Error()))
	res.IsError = true
	return res, nil
}

// bounded keeps the start of a text that nobody bounded.
func bounded(text string) string {
	const most = 500
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
