package bench

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// deadline is that of every call, ours and theirs.
const deadline = 10 * time.Minute

// limits are all that the engine enforces, on; they are what a host has where
// nobody says anything else.
var limits = engine.DefaultLimits()

// The tools of our guest, in the order of their registration.
const (
	toolAdd = iota
	toolEcho
	toolNothing
	toolSpin
)

var toolNames = []string{"add", "echo", "nothing", "spin"}

func newEngine(b *testing.B, config engine.Config) *engine.Engine {
	b.Helper()
	e, err := engine.New(config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return e
}

// A plugin is one of ours, and how it is called.
type plugin struct {
	*engine.Plugin
	session string // whose instance it is, under abi.StateSession
}

// ours compiles our guest, under all limits.
func ours(b *testing.B, options engine.Options) plugin {
	b.Helper()
	options.Limits = limits
	p, err := newEngine(b, engine.Config{}).Compile(b.Context(), guest(b, "./guests/sallyport"), options)
	if err != nil {
		b.Fatal(err)
	}
	if options.State == abi.StateSession {
		return plugin{p, "s-0123456789"}
	}
	return plugin{p, ""}
}

func frameOf(tool int, arguments string) ([]byte, error) {
	return abi.EncodeCallRequest(abi.CallRequest{
		Tool: toolNames[tool], Session: "s-0123456789", Call: "c-0123456789abcdef",
		Arguments: json.RawMessage(arguments), DeadlineMS: deadline.Milliseconds(),
	})
}

// call runs a tool: from arguments to a result, as the host does it.
func (p plugin) call(ctx context.Context, tool int, arguments string) (*abi.Result, error) {
	ctx, stop := context.WithTimeout(ctx, deadline)
	defer stop()
	frame, err := frameOf(tool, arguments)
	if err != nil {
		return nil, err
	}
	answer, err := p.Call(ctx, engine.Call{Tool: uint32(tool), Request: frame, Session: p.session})
	if err != nil {
		return nil, err
	}
	response, err := abi.DecodeCallResponse(answer.Response)
	if err != nil {
		return nil, err
	}
	if response.Error != nil {
		return nil, response.Error
	}
	return response.Result, nil
}

// add calls the tool that all guests have.
func (p plugin) add() error {
	r, err := p.call(context.Background(), toolAdd, object)
	if err != nil {
		return err
	}
	return same(string(r.StructuredContent), incremented)
}
