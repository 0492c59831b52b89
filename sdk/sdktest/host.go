package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// A Host runs tools for one test. Its fields are set before the first call.
// Its methods may be called from several goroutines.
type Host struct {
	// Kernel answers executions, one at a time of each language; nil refuses
	// them with permission_denied, as for a plugin without the capability.
	Kernel func(abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error)
	// KernelStatus is what a kernel's status is; zero is one that hasn't
	// started. Kernel has to be set.
	KernelStatus abi.KernelStatusResponse
	// HTTP answers requests over HTTP, for any host, and each redirect; nil
	// refuses them with permission_denied. Where it panics with
	// http.ErrAbortHandler the response breaks off after what it wrote.
	HTTP http.Handler
	// Config holds the operator's settings.
	Config map[string]string
	// Session is the session's id; "" is "session".
	Session string
	// Deadline bounds a call; zero is one minute.
	Deadline time.Duration

	t       testing.TB
	dir     string
	tools   []abi.Tool
	refused map[string]*abi.Error
	fakes   map[string]Fake // of other plugins' tools

	mu         sync.Mutex
	logs       []abi.LogRequest
	progress   []abi.ProgressRequest
	streamed   []abi.Output
	interrupts int
	resets     int
	turns      map[string]chan struct{} // of kernels, by language
	operations sync.WaitGroup

	unreachable map[string]*abi.Error
	bodies      map[uint32]*body // of responses, not yet read or closed
	numbered    uint32
}

// New returns a host for the tools that the test's binary registered, with
// empty zones. It fails the test when the plugin couldn't be built: a tool
// without a description, none at all.
func New(t testing.TB) *Host {
	t.Helper()
	h := &Host{t: t, dir: t.TempDir(), refused: map[string]*abi.Error{}, turns: map[string]chan struct{}{}}
	t.Cleanup(h.operations.Wait)
	frame, err := abi.DecodeFrame(sdk.Describe())
	if err != nil {
		t.Fatalf("describe: %v", err)
	}
	var d abi.Description
	if err := frame.Decode(&d); err != nil {
		t.Fatalf("describe: %v", err)
	}
	manifest := abi.Manifest{ABI: d.ABI, Name: "plugin", Version: "0", Tools: d.Tools}
	if err := manifest.Validate(); err != nil {
		t.Fatalf("the plugin can't be built: %v", err)
	}
	h.tools = d.Tools
	for _, mount := range abi.Mounts() {
		if err := os.Mkdir(h.Path(mount), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// Tools returns the descriptions of the plugin's tools, in their order.
func (h *Host) Tools() []abi.Tool { return slices.Clone(h.tools) }

// Tool returns the description of one tool, and fails the test without it.
func (h *Host) Tool(name string) abi.Tool {
	h.t.Helper()
	for _, t := range h.tools {
		if t.Name == name {
			return t
		}
	}
	h.t.Fatalf("the plugin has no tool %q", name)
	return abi.Tool{}
}

// Context returns a context in which functions that take one of a call can be
// tested by themselves.
func (h *Host) Context() sdk.Context {
	return sdk.Context{Context: sdk.WithHost(h.t.Context(), guest{h}), Session: h.session(), Call: "call"}
}

// Call runs a tool. Args are what encoding/json makes an object of, a
// json.RawMessage as it is; nil is no arguments. The error is the *abi.Error
// that a caller of the tool would get.
func (h *Host) Call(tool string, args any) (sdk.Result, error) {
	h.t.Helper()
	if args == nil {
		args = struct{}{}
	}
	raw, err := json.Marshal(args)
	if err != nil {
		h.t.Fatalf("arguments of %s: %v", tool, err)
	}
	number := slices.IndexFunc(h.tools, func(t abi.Tool) bool { return t.Name == tool })
	if number < 0 {
		return sdk.Result{}, abi.Errorf(abi.CodeNotFound, "the plugin has no tool %q", tool)
	}
	deadline := h.Deadline
	if deadline == 0 {
		deadline = time.Minute
	}
	req, err := abi.EncodeFrame(abi.CallRequest{
		Tool: tool, Session: h.session(), Call: "call", Arguments: raw, DeadlineMS: max(1, deadline.Milliseconds()),
	}, nil)
	if err != nil {
		h.t.Fatalf("arguments of %s: %v", tool, err)
	}
	answer := sdk.Serve(sdk.WithHost(h.t.Context(), guest{h}), uint32(number), req)
	resp, err := abi.DecodeCallResponse(answer)
	if err != nil {
		h.t.Fatalf("%s answered with a bad frame: %v", tool, err)
	}
	if resp.Error != nil {
		return sdk.Result{}, resp.Error
	}
	return *resp.Result, nil
}

func (h *Host) session() string {
	if h.Session == "" {
		return "session"
	}
	return h.Session
}

// Path returns the native path of a guest's, such as /output/chart.png.
func (h *Host) Path(name string) string {
	return filepath.Join(h.dir, filepath.FromSlash(path.Clean("/"+name)))
}

// Write puts a file into the workspace, with its folders.
func (h *Host) Write(name string, data []byte) {
	h.t.Helper()
	p := h.Path(name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// Read returns a file of the workspace, and fails the test without it.
func (h *Host) Read(name string) []byte {
	h.t.Helper()
	data, err := os.ReadFile(h.Path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return data
}

// Exists says whether there is such a file or folder in the workspace.
func (h *Host) Exists(name string) bool {
	_, err := os.Lstat(h.Path(name))
	return !errors.Is(err, fs.ErrNotExist)
}

// Refuse makes every file call fail on a path and on what is below it, with
// reason as what Context.Reason then returns. It lasts for the test.
func (h *Host) Refuse(name string, reason *abi.Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused[path.Clean("/"+name)] = reason
}

// refusal returns the refused path that covers name, and the reason; "" and nil
// where there is none.
func (h *Host) refusal(name string) (string, *abi.Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name = path.Clean("/" + name); ; name = path.Dir(name) {
		if e := h.refused[name]; e != nil {
			return name, e
		}
		if name == "/" {
			return "", nil
		}
	}
}

// refusedDir returns the folder that stands for a refused path in native ones.
// It is never there, and can't be made: no system takes a name of its length.
func refusedDir(name string) string {
	return "refused" + strings.ReplaceAll(name, "/", "-") + strings.Repeat("=", 300)
}

// guest is the host as the SDK sees it.
type guest struct{ h *Host }

func (g guest) Path(name string) string {
	if at, reason := g.h.refusal(name); reason != nil {
		return filepath.Join(g.h.dir, refusedDir(at), filepath.FromSlash(path.Clean("/"+name)))
	}
	return g.h.Path(name)
}

func (g guest) Reason(err error) error {
	var failed string
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		failed = e.Path
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		failed = e.New
	}
	rel, relErr := filepath.Rel(g.h.dir, failed)
	if relErr != nil {
		return err
	}
	dir, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	g.h.mu.Lock()
	defer g.h.mu.Unlock()
	for name, reason := range g.h.refused {
		if dir == refusedDir(name) {
			e := *reason
			return e.WithCause(err)
		}
	}
	return err
}

func (g guest) Invoke(ctx context.Context, op string, frame []byte) ([]byte, error) {
	return g.h.invoke(ctx, op, frame)
}
