package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/bridge"
)

// A fakeKernel answers as its functions say; those that are nil answer with
// nothing. It notes what reached it.
type fakeKernel struct {
	execute   func(context.Context, abi.KernelExecuteRequest, func(abi.Output)) (abi.KernelExecuteResponse, error)
	interrupt func(context.Context, string) error

	mu      sync.Mutex
	reached []string
}

func (k *fakeKernel) note(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reached = append(k.reached, fmt.Sprintf(format, args...))
}

func (k *fakeKernel) Execute(ctx context.Context, r abi.KernelExecuteRequest, sink func(abi.Output)) (abi.KernelExecuteResponse, error) {
	k.note("execute %s %q timeout_ms=%d async=%v", r.Language, r.Code[:min(len(r.Code), 20)], r.TimeoutMS, r.Async.Async)
	if k.execute == nil {
		return abi.KernelExecuteResponse{Status: abi.StatusOK}, nil
	}
	return k.execute(ctx, r, sink)
}

func (k *fakeKernel) Interrupt(ctx context.Context, language string) error {
	k.note("interrupt %s", language)
	if k.interrupt == nil {
		return nil
	}
	return k.interrupt(ctx, language)
}

func (k *fakeKernel) Reset(_ context.Context, language string) error {
	k.note("reset %s", language)
	return nil
}

func (k *fakeKernel) Status(language string) abi.KernelStatusResponse {
	k.note("status %s", language)
	return abi.KernelStatusResponse{State: abi.KernelIdle, Language: language, Starts: 1}
}

// log returns what reached the kernel, a line each.
func (k *fakeKernel) log() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.reached, "\n")
}

// A recorder keeps what was audited and emitted, as text.
type recorder struct {
	mu      sync.Mutex
	records []string
	events  []string
	refuse  func(bridge.Record) error // nil accepts all
}

func (r *recorder) audit(rec bridge.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		if err := r.refuse(rec); err != nil {
			return err
		}
	}
	line := rec.Phase + " " + rec.Op
	for _, k := range slices.Sorted(maps.Keys(rec.Detail)) {
		v := rec.Detail[k]
		if strings.HasSuffix(k, "_sha256") {
			v = v[:8]
		}
		line += " " + k + "=" + v
	}
	if rec.Err != nil {
		line += " → " + abi.CodeOf(rec.Err).String()
	}
	r.records = append(r.records, line)
	return nil
}

func (r *recorder) emit(e abi.Event) {
	b, err := json.Marshal(e)
	if err != nil {
		b = []byte(err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, strings.Replace(string(b), `"seq":0,"ts":"",`, "", 1))
}

func (r *recorder) audited() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.records, "\n")
}

func (r *recorder) emitted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.events, "\n")
}

// python is a grant of Python kernels.
func python(maxTime time.Duration) abi.Capabilities {
	return abi.Capabilities{Kernel: &abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(maxTime)}}
}

// newCall returns a Call with a Python grant, all parts of it fakes; edit
// changes its config. It is closed when the test ends.
func newCall(t *testing.T, k *fakeKernel, edit func(*bridge.Config)) (*bridge.Call, *recorder) {
	t.Helper()
	r := &recorder{}
	config := bridge.Config{Capabilities: python(0), Kernel: k, Audit: r.audit, Emit: r.emit}
	if edit != nil {
		edit(&config)
	}
	c := bridge.New(config)
	t.Cleanup(c.Close)
	return c, r
}

// request returns the frame of a header.
func request(t *testing.T, header string) []byte {
	t.Helper()
	b, err := abi.EncodeFrame(json.RawMessage(header), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dispatch carries out an operation and shows the answer as a line: the header
// and the body, or the code and the message.
func dispatch(ctx context.Context, t *testing.T, c *bridge.Call, op, header string) string {
	t.Helper()
	b, err := c.Dispatch(ctx, op, request(t, header))
	if err != nil {
		if _, ok := errors.AsType[*abi.Error](err); !ok {
			t.Errorf("%s: the error has no code: %v", op, err)
		}
		return err.Error()
	}
	f, err := abi.DecodeFrame(b)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	if len(f.Body) > 0 {
		return fmt.Sprintf("%s body=%x", f.Header, f.Body)
	}
	return string(f.Header)
}

// trace plays the ==> lines of a golden trace and compares the whole.
func trace(t *testing.T, c *bridge.Call, golden string) {
	t.Helper()
	var got strings.Builder
	for line := range strings.Lines(strings.TrimSpace(golden) + "\n") {
		call, ok := strings.CutPrefix(strings.TrimSpace(line), "==> ")
		if !ok {
			continue
		}
		op, header, _ := strings.Cut(call, " ")
		fmt.Fprintf(&got, "==> %s\n<== %s\n", call, dispatch(t.Context(), t, c, op, header))
	}
	same(t, "trace", got.String(), golden)
}

// same compares texts, leaving out indentation.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	clean := func(s string) string {
		var lines []string
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n")
	}
	if clean(got) != clean(want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, clean(got), clean(want))
	}
}

func TestOperationsOfTheCallNeedNoGrant(t *testing.T) {
	c, r := newCall(t, nil, func(config *bridge.Config) {
		*config = bridge.Config{Config: map[string]string{"units": "metric"}, Emit: config.Emit}
	})
	trace(t, c, `
		==> call.config {}
		<== {"config":{"units":"metric"}}
		==> call.log {"level":"info","message":"hello"}
		<== {}
		==> call.progress {"progress":1,"total":3,"message":"page 1"}
		<== {}
		==> call.wait {"tasks":[1]}
		<== not_found: call.wait: there is no task 1, or its response was fetched
	`)
	same(t, "events", r.emitted(), `{"type":"progress","progress":{"progress":1,"total":3,"message":"page 1"}}`)
	same(t, "audit", r.audited(), "")
}

func TestConfigIsAnObjectWhereNothingIsSet(t *testing.T) {
	c, _ := newCall(t, nil, nil)
	trace(t, c, `
		==> call.config {}
		<== {"config":{}}
	`)
}

func TestOperationsReachTheKernelAndTheAudit(t *testing.T) {
	k := &fakeKernel{execute: func(context.Context, abi.KernelExecuteRequest, func(abi.Output)) (abi.KernelExecuteResponse, error) {
		return abi.KernelExecuteResponse{
			Status:     abi.StatusOK,
			Outputs:    []abi.Output{{Type: abi.OutputDisplay, Blobs: []abi.Blob{{MIMEType: "image/png", Bytes: []byte{0x89, 0x50}}}}},
			StateLost:  "killed",
			DurationMS: 4,
		}, nil
	}}
	c, r := newCall(t, k, nil)
	trace(t, c, `
		==> kernel.execute {"code":"1+1"}
		<== {"status":"ok","outputs":[{"type":"display","blobs":[{"mimeType":"image/png","offset":0,"length":2}]}],"state_lost":"killed","duration_ms":4} body=8950
		==> kernel.execute {"code":"1","language":"python","timeout_ms":50}
		<== {"status":"ok","outputs":[{"type":"display","blobs":[{"mimeType":"image/png","offset":0,"length":2}]}],"state_lost":"killed","duration_ms":4} body=8950
		==> kernel.interrupt {}
		<== {}
		==> kernel.reset {"language":"python"}
		<== {}
		==> kernel.status {}
		<== {"state":"idle","language":"python","executions":0,"queued":0,"starts":1}
	`)
	same(t, "kernel", k.log(), `
		execute python "1+1" timeout_ms=0 async=false
		execute python "1" timeout_ms=50 async=false
		interrupt python
		reset python
		status python
	`)
	same(t, "audit", r.audited(), `
		intent kernel.execute code_bytes=3 code_sha256=4a1b21d8 language=python
		outcome kernel.execute code_bytes=3 code_sha256=4a1b21d8 duration_ms=4 language=python state_lost=killed status=ok
		intent kernel.execute code_bytes=1 code_sha256=6b86b273 language=python timeout_ms=50
		outcome kernel.execute code_bytes=1 code_sha256=6b86b273 duration_ms=4 language=python state_lost=killed status=ok timeout_ms=50
		intent kernel.interrupt language=python
		outcome kernel.interrupt language=python
		intent kernel.reset language=python
		outcome kernel.reset language=python
		intent kernel.status language=python
		outcome kernel.status language=python
	`)
}

func TestMalformedRequestsReachNothing(t *testing.T) {
	tests := []struct {
		op, header string
		field      string
		message    string
	}{
		{"kernel.execute", `{"code":1}`, "/code", "kernel.execute: frame header: /code cannot be a number"},
		{"kernel.execute", `{"code":"1","async":"yes"}`, "/async", "/async cannot be a string"},
		{"kernel.execute", `{"code":"1","timeout_ms":1e30}`, "/timeout_ms", "/timeout_ms cannot be a number 1e30"},
		{"kernel.execute", `{}`, "/code", "code is empty"},
		{"kernel.execute", `{"code":"` + strings.Repeat("x", abi.MaxCodeBytes+1) + `"}`, "/code", "code has 1048577 bytes, the bound is 1048576"},
		{"kernel.execute", `{"code":"1","stream":"me"}`, "/stream", `stream is "me"`},
		{"kernel.execute", `{"code":"1","timeout_ms":-1}`, "/timeout_ms", "timeout_ms is -1"},
		{"kernel.execute", `{"code":"1","timeout_ms":86400001}`, "/timeout_ms", "timeout_ms is 86400001"},
		{"kernel.execute", `{"code":"1","language":"` + strings.Repeat("x", 65) + `"}`, "/language", "language has 65 bytes"},
		{"kernel.interrupt", `{"language":["python"]}`, "/language", "/language cannot be a array"},
		{"kernel.reset", `{"language":7}`, "/language", "/language cannot be a number"},
		{"kernel.status", `{"language":"` + strings.Repeat("x", 65) + `"}`, "/language", "language has 65 bytes"},
		{"call.log", `{"level":"loud","message":"x"}`, "/level", `level is "loud"`},
		{"call.log", `{"message":"x"}`, "/level", `level is ""`},
		{"call.log", `{"level":"info","fields":[]}`, "/fields", "/fields cannot be a array"},
		{"call.progress", `{"progress":-1}`, "/progress", "progress is negative"},
		{"call.progress", `{"progress":1,"total":-1}`, "/total", "total is negative"},
		{"call.progress", `{"progress":"1"}`, "/progress", "/progress cannot be a string"},
		{"call.wait", `{"tasks":[]}`, "/tasks", "tasks has 0 numbers"},
		{"call.wait", `{"tasks":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}`, "/tasks", "tasks has 17 numbers"},
		{"call.wait", `{"tasks":[1],"timeout_ms":-5}`, "/timeout_ms", "timeout_ms is -5"},
		{"call.wait", `{"tasks":[-1]}`, "/tasks", "/tasks cannot be a number -1"},
		{"call.cancel", `{"task":"1"}`, "/task", "/task cannot be a string"},
	}
	k := &fakeKernel{}
	c, r := newCall(t, k, nil)
	for _, tt := range tests {
		t.Run(tt.op+" "+tt.header[:min(len(tt.header), 40)], func(t *testing.T) {
			_, err := c.Dispatch(t.Context(), tt.op, request(t, tt.header))
			e := abi.AsError(err)
			if e == nil || e.Code != abi.CodeInvalidArgument || e.Field != tt.field || !strings.Contains(e.Message, tt.message) {
				t.Errorf("error is %+v, want invalid_argument at %s with %q", e, tt.field, tt.message)
			}
		})
	}
	same(t, "kernel", k.log(), "")
	same(t, "audit", r.audited(), "")
	same(t, "events", r.emitted(), "")
}

func TestFramesThatAreNoneReachNothing(t *testing.T) {
	body, err := abi.EncodeFrame(abi.KernelExecuteRequest{Code: "1"}, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	c, r := newCall(t, &fakeKernel{}, nil)
	for name, frame := range map[string][]byte{
		"nothing":        nil,
		"three bytes":    {1, 0, 0},
		"truncated":      []byte("\xff\x00\x00\x00{}"),
		"a list":         []byte("\x02\x00\x00\x00[]"),
		"an unread body": body,
	} {
		for _, op := range abi.Ops() {
			if _, err := c.Dispatch(t.Context(), op, frame); abi.CodeOf(err) != abi.CodeInvalidArgument || !strings.Contains(err.Error(), op) {
				t.Errorf("%s as %s: %v", name, op, err)
			}
		}
	}
	same(t, "audit", r.audited(), "")
}

func TestUnknownOperationsAreUnimplemented(t *testing.T) {
	c, _ := newCall(t, &fakeKernel{}, nil)
	trace(t, c, `
		==> kernel.debug {}
		<== unimplemented: kernel.debug: this host has no such operation
		==> call.response {}
		<== unimplemented: call.response: this host has no such operation
	`)
}

func TestEveryOperationIsKnown(t *testing.T) {
	c, _ := newCall(t, &fakeKernel{}, nil)
	for _, op := range abi.Ops() {
		if _, err := c.Dispatch(t.Context(), op, request(t, "{}")); abi.CodeOf(err) == abi.CodeUnimplemented {
			t.Errorf("%s: %v", op, err)
		}
	}
}
