package hosttest_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

// goprobe builds the plugin that plays traces through the Go SDK.
func goprobe(t *testing.T) *guest {
	t.Helper()
	e := newEngine(t)
	out := filepath.Join(t.TempDir(), "goprobe.wasm")
	_, err := plugin.Build(t.Context(), plugin.BuildConfig{
		Dir:    filepath.Join("..", "..", "testdata", "plugins", "goprobe"),
		Output: out,
		Stderr: os.Stderr,
		Describe: func(ctx context.Context, wasm []byte) ([]byte, error) {
			p, err := e.Compile(ctx, wasm, engine.Options{Modules: []string{abi.ModuleKernel, abi.ModuleHTTP, abi.ModuleTool}})
			if err != nil {
				return nil, err
			}
			defer p.Close(ctx)
			return p.Describe(ctx)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return loadGuest(t, wasm)
}

// settled returns a trace as an SDK's caller sees it: how a response was
// fetched is the SDK's affair, so an operation is followed by what it came to
// in the end. It is false for a trace of what an SDK doesn't do: frames that
// are none, bad pointers, responses that are left, and the C library's files.
func (tr trace) settled() (trace, bool) {
	settled := trace{name: tr.name, setup: tr.setup, events: tr.events}
	waiting := false // for the response to the operation of the last line but one
	for i, line := range tr.lines {
		answer, isAnswer := strings.CutPrefix(line, "<== ")
		op, _, _ := strings.Cut(strings.TrimPrefix(line, "==> "), " ")
		switch {
		case strings.HasPrefix(op, "file.") || strings.Contains(line, " frame=") || strings.Contains(line, " at="):
			return trace{}, false
		case !isAnswer && op == "call.response":
			if i == 0 {
				return trace{}, false
			}
		case !isAnswer:
			if waiting {
				return trace{}, false // its response was left
			}
			settled.lines = append(settled.lines, line)
		default:
			number, rest, _ := strings.Cut(answer, " ")
			last := len(settled.lines) - 1
			switch {
			case rest == "(pending)":
				waiting = true
			case strings.HasPrefix(number, "-") && strings.HasPrefix(tr.lines[i-1], "==> call.response"):
			case strings.HasPrefix(number, "-"):
				settled.lines = append(settled.lines, "<== "+strings.Trim(rest, "()")+" …")
			case strings.HasPrefix(settled.lines[last], "<== "): // an error's detail
				settled.lines[last] = strings.TrimSuffix(settled.lines[last], "…") + rest
			default:
				settled.lines = append(settled.lines, "<== "+rest)
				waiting = false
			}
		}
	}
	return settled, true
}

// TestTraceVectorsThroughTheSDK has a guest that uses the Go SDK do what the
// same traces say.
func TestTraceVectorsThroughTheSDK(t *testing.T) {
	g := goprobe(t)
	played := 0
	for _, tr := range traces(t) {
		tr, ok := tr.settled()
		if !ok {
			continue
		}
		played++
		t.Run(tr.name, func(t *testing.T) {
			type asked struct {
				Op      string          `json:"op"`
				Request json.RawMessage `json:"request"`
				Body    string          `json:"body,omitempty"`
			}
			var steps []asked
			for _, s := range tr.steps(t) {
				steps = append(steps, asked{s.Op, s.Request, s.Body})
			}
			p := tr.setup.call(t, g, "trace", map[string]any{"steps": steps})
			tr.compare(t, strings.Split(strings.TrimSpace(p.text(t)), "\n"))
			if tr.events != nil && p.events != *tr.events {
				t.Errorf("events:\n%s\nwant:\n%s", p.events, *tr.events)
			}
			p.checkAudit(t)
		})
	}
	if played < 15 {
		t.Errorf("%d traces were played, want 15 at least", played)
	}
}
