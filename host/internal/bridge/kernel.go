package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// A Kernel is the kernels that belong to the calling session and plugin, by
// language. It calls the sink of Execute from one goroutine at a time, and not
// after Execute has returned.
type Kernel interface {
	Execute(context.Context, abi.KernelExecuteRequest, func(abi.Output)) (abi.KernelExecuteResponse, error)
	Interrupt(ctx context.Context, language string) error
	Reset(ctx context.Context, language string) error
	Status(language string) abi.KernelStatusResponse
}

const (
	defaultLanguage  = "python"
	maxLanguageBytes = 64
)

func (c *Call) kernelExecute(ctx context.Context, op string, frame []byte) ([]byte, error) {
	var req abi.KernelExecuteRequest
	if err := decode(op, frame, &req); err != nil {
		return nil, err
	}
	switch {
	case req.Code == "":
		return nil, invalid(op, "/code", "code is empty")
	case len(req.Code) > abi.MaxCodeBytes:
		return nil, invalid(op, "/code", "code has %d bytes, the bound is %d", len(req.Code), abi.MaxCodeBytes)
	}
	if err := checkStream(op, req.Stream); err != nil {
		return nil, err
	}
	if err := checkTimeout(op, req.TimeoutMS); err != nil {
		return nil, err
	}
	language, err := checkLanguage(op, req.Language)
	if err != nil {
		return nil, err
	}
	asked := time.Duration(req.TimeoutMS) * time.Millisecond
	req.TimeoutMS = c.bounded(ctx, asked)
	req.Language = language
	digest := sha256.Sum256([]byte(req.Code))
	o := operation{
		ask:     policy.Request{Op: op, Language: language, MaxTime: asked},
		offered: c.config.Kernel != nil,
		async:   req.Async.Async,
		detail: map[string]string{
			"language":    language,
			"code_bytes":  number(len(req.Code)),
			"code_sha256": hex.EncodeToString(digest[:]),
		},
	}
	if req.TimeoutMS > 0 {
		o.detail["timeout_ms"] = number(req.TimeoutMS)
	}
	req.Async = abi.Async{}
	o.run = func(ctx context.Context) ([]byte, map[string]string, error) {
		emit, stop := c.sink(req.Stream)
		defer stop()
		res, err := c.config.Kernel.Execute(ctx, req, func(o abi.Output) {
			emit(abi.Event{Type: abi.EventOutput, Output: withoutBytes(o)})
		})
		if err != nil {
			return nil, nil, err
		}
		detail := map[string]string{"status": res.Status, "duration_ms": number(res.DurationMS)}
		if res.StateLost != "" {
			detail["state_lost"] = res.StateLost
		}
		frame, err := encodeExecute(op, res)
		return frame, detail, err
	}
	return c.do(ctx, o)
}

// answerTime is kept of the call's time for interrupting code and writing down
// what it printed.
const answerTime = 3 * time.Second

// bounded is how long a run may take that asked for so much, in whole
// milliseconds: no longer than what is left of the call, less answerTime. None
// asked is the longest granted, and zero leaves it to the kernel. An asked time
// over the grant is the policy's to refuse; one over the call's would only end
// it without what the code had printed, so it is cut.
func (c *Call) bounded(ctx context.Context, asked time.Duration) int64 {
	bound := asked
	if k := c.config.Capabilities.Kernel; bound == 0 && k != nil {
		bound = time.Duration(k.MaxTime)
	}
	if end, ok := ctx.Deadline(); ok {
		left := max(time.Until(end)-answerTime, time.Millisecond)
		if bound == 0 || left < bound {
			bound = left
		}
	}
	return int64((bound + time.Millisecond - 1) / time.Millisecond)
}

// sink returns where the events of an operation go as they come, and what ends
// that.
func (c *Call) sink(stream string) (func(abi.Event), func()) {
	if stream != abi.StreamAgent {
		return func(abi.Event) {}, func() {}
	}
	var over atomic.Bool
	return func(e abi.Event) {
		if !over.Load() {
			c.emit(e)
		}
	}, func() { over.Store(true) }
}

// withoutBytes returns o as an event shows it: of its blobs the type and the
// length are left.
func withoutBytes(o abi.Output) *abi.Output {
	blobs := o.Blobs
	o.Blobs = nil
	for _, b := range blobs {
		o.Blobs = append(o.Blobs, abi.Blob{
			MIMEType: b.MIMEType,
			Range:    abi.Range{Length: uint32(len(b.Bytes))},
		})
	}
	return &o
}

func (c *Call) kernelInterrupt(ctx context.Context, op string, frame []byte) ([]byte, error) {
	return c.kernelVerb(ctx, op, frame, func(ctx context.Context, language string) (any, error) {
		return nil, c.config.Kernel.Interrupt(ctx, language)
	})
}

func (c *Call) kernelReset(ctx context.Context, op string, frame []byte) ([]byte, error) {
	return c.kernelVerb(ctx, op, frame, func(ctx context.Context, language string) (any, error) {
		return nil, c.config.Kernel.Reset(ctx, language)
	})
}

func (c *Call) kernelStatus(ctx context.Context, op string, frame []byte) ([]byte, error) {
	return c.kernelVerb(ctx, op, frame, func(_ context.Context, language string) (any, error) {
		return c.config.Kernel.Status(language), nil
	})
}

// kernelVerb is an operation that takes a language and no more.
func (c *Call) kernelVerb(ctx context.Context, op string, frame []byte, verb func(context.Context, string) (any, error)) ([]byte, error) {
	var req abi.KernelRequest
	if err := decode(op, frame, &req); err != nil {
		return nil, err
	}
	language, err := checkLanguage(op, req.Language)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, operation{
		ask:     policy.Request{Op: op, Language: language},
		offered: c.config.Kernel != nil,
		async:   req.Async.Async,
		detail:  map[string]string{"language": language},
		run: func(ctx context.Context) ([]byte, map[string]string, error) {
			header, err := verb(ctx, language)
			if err != nil {
				return nil, nil, err
			}
			frame, err := abi.EncodeFrame(header, nil)
			return frame, nil, err
		},
	})
}

// checkLanguage returns the language that a request means.
func checkLanguage(op, language string) (string, error) {
	if language == "" {
		return defaultLanguage, nil
	}
	if len(language) > maxLanguageBytes {
		return "", invalid(op, "/language", "language has %d bytes, the bound is %d", len(language), maxLanguageBytes)
	}
	return language, nil
}
