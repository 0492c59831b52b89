package sdk_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sallyport-dev/sallyport/abi"
)

// buildGuest compiles a plugin as plugin build does, and returns the module.
func buildGuest(t testing.TB, dir string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "plugin.wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, dir)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", dir, err, text)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// A sandbox is one instance of a module over the simplest host there can be:
// operations are answered by a function, files lie in a folder.
type sandbox struct {
	t       testing.TB
	mod     api.Module
	stderr  *bytes.Buffer
	operate func(op string, f abi.Frame) ([]byte, error)

	pending []byte
	calls   []string // the operations and fetched responses, in order

	begin func(ctx context.Context, op string, f abi.Frame) ([]byte, error) // answers async operations
	tasks hostTasks
}

func newSandbox(t testing.TB, module []byte) *sandbox {
	t.Helper()
	s := &sandbox{t: t, stderr: &bytes.Buffer{}}
	ctx := t.Context()
	// Compiling takes longer than all calls together, so it is kept.
	cache, err := wazero.NewCompilationCacheWithDir(filepath.Join("..", "build", "test", "cache"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close(context.Background()) })
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	t.Cleanup(func() { rt.Close(context.Background()) })
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	modules := map[string]wazero.HostModuleBuilder{}
	for _, op := range abi.Ops() {
		name, fn := abi.SplitOp(op)
		if modules[name] == nil {
			modules[name] = rt.NewHostModuleBuilder(name)
		}
		modules[name].NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, req, reqLen, resp, respCap uint32) int64 {
			return s.call(op, m, req, reqLen, resp, respCap)
		}).Export(fn)
	}
	modules[abi.ModuleCall].NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, ptr, capacity uint32) int64 {
		s.calls = append(s.calls, "response")
		if s.pending == nil {
			return int64(abi.CodeNotFound)
		}
		return s.give(m, ptr, capacity)
	}).Export(abi.FuncResponse)
	for _, b := range modules {
		if _, err := b.Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
	}
	upload := t.TempDir()
	files := wazero.NewFSConfig().WithReadOnlyDirMount(upload, abi.MountUpload)
	for _, mount := range abi.Mounts()[1:] {
		files = files.WithDirMount(t.TempDir(), mount)
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions(abi.ExportInitialize).
		WithStderr(s.stderr).WithRandSource(rand.Reader).WithFSConfig(files).WithSysNanotime().WithSysWalltime()
	if s.mod, err = rt.InstantiateWithConfig(ctx, module, config); err != nil {
		t.Fatal(err)
	}
	return s
}

// with has the operations of a part of the test answered by a function.
func (s *sandbox) with(t testing.TB, operate func(string, abi.Frame) ([]byte, error)) *sandbox {
	s.tasks.end()
	s.t, s.operate, s.calls, s.pending, s.begin, s.tasks = t, operate, nil, nil, nil, hostTasks{}
	s.stderr.Reset()
	return s
}

// call is a host function: it answers, or leaves what it has to say pending.
func (s *sandbox) call(op string, m api.Module, req, reqLen, resp, respCap uint32) int64 {
	raw, ok := m.Memory().Read(req, reqLen)
	if !ok {
		s.t.Errorf("%s: the request is outside the memory", op)
	}
	s.calls = append(s.calls, op)
	f, err := abi.DecodeFrame(bytes.Clone(raw))
	if err != nil {
		s.t.Errorf("%s: %v", op, err)
	}
	answer, err := s.answer(op, f)
	if err != nil {
		s.refuse(err)
		return int64(abi.CodeOf(err))
	}
	s.pending = answer
	return s.give(m, resp, respCap)
}

// answer begins tasks and waits for them, and has the rest answered.
func (s *sandbox) answer(op string, f abi.Frame) ([]byte, error) {
	var async abi.Async
	if err := f.Decode(&async); err != nil {
		return nil, err
	}
	switch {
	case async.Async:
		return s.tasks.start(s.t, f, func(ctx context.Context) ([]byte, error) { return s.begin(ctx, op, f) })
	case op == abi.OpCallWait:
		return s.tasks.wait(f)
	case op == abi.OpCallCancel:
		return s.tasks.stop(f)
	}
	return s.operate(op, f)
}

// refuse leaves an error as the pending response.
func (s *sandbox) refuse(err error) {
	frame, encodeErr := abi.EncodeFrame(abi.AsError(err), nil)
	if encodeErr != nil {
		s.t.Error(encodeErr)
	}
	s.pending = frame
}

func (s *sandbox) give(m api.Module, ptr, capacity uint32) int64 {
	n := len(s.pending)
	if n > int(capacity) {
		return int64(n)
	}
	if !m.Memory().Write(ptr, s.pending) {
		s.t.Error("the response is outside the memory")
	}
	s.pending = nil
	return int64(n)
}

// enter calls an export and returns the frame that it answers with.
func (s *sandbox) enter(export string, params ...uint64) []byte {
	s.t.Helper()
	got, err := s.mod.ExportedFunction(export).Call(s.t.Context(), params...)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", export, err, s.stderr)
	}
	ptr, n := abi.Unpack(got[0])
	frame, ok := s.mod.Memory().Read(ptr, n)
	if !ok {
		s.t.Fatalf("%s answered with %d bytes at %d, outside the memory", export, n, ptr)
	}
	return bytes.Clone(frame)
}

func (s *sandbox) describe() abi.Description {
	s.t.Helper()
	f, err := abi.DecodeFrame(s.enter(abi.ExportDescribe))
	if err != nil {
		s.t.Fatal(err)
	}
	var d abi.Description
	if err := f.Decode(&d); err != nil {
		s.t.Fatal(err)
	}
	return d
}

// prepare writes a request, and returns what the call export takes.
func (s *sandbox) prepare(tool, arguments string) []uint64 {
	s.t.Helper()
	number := -1
	for i, t := range s.describe().Tools {
		if t.Name == tool {
			number = i
		}
	}
	req := request(s.t, tool, arguments)
	got, err := s.mod.ExportedFunction(abi.ExportArena).Call(s.t.Context(), uint64(len(req)))
	if err != nil {
		s.t.Fatal(err)
	}
	if !s.mod.Memory().Write(uint32(got[0]), req) {
		s.t.Fatal("the arena is outside the memory")
	}
	return []uint64{uint64(number), uint64(len(req))}
}

// run calls a tool by its name.
func (s *sandbox) run(tool, arguments string) abi.CallResponse {
	s.t.Helper()
	resp, err := abi.DecodeCallResponse(s.enter(abi.ExportCall, s.prepare(tool, arguments)...))
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// trap calls a tool that ends the sandbox, and returns what the runtime says.
func (s *sandbox) trap(tool, arguments string) error {
	s.t.Helper()
	_, err := s.mod.ExportedFunction(abi.ExportCall).Call(s.t.Context(), s.prepare(tool, arguments)...)
	if err == nil {
		s.t.Errorf("%s returned", tool)
	}
	return err
}

// text runs a tool and returns its text, or its error's.
func (s *sandbox) text(tool, arguments string) string {
	s.t.Helper()
	r := s.run(tool, arguments)
	if r.Error != nil {
		return r.Error.Error()
	}
	return texts(*r.Result)
}

// importsOf reads a module's import section: "module.name", in order.
func importsOf(t *testing.T, module []byte) []string {
	t.Helper()
	number := func(b *[]byte) int {
		n, width := binary.Uvarint(*b) // LEB128 of an u32 is the same
		if width <= 0 {
			t.Fatal("the module is truncated")
		}
		*b = (*b)[width:]
		return int(n)
	}
	name := func(b *[]byte) string {
		n := number(b)
		s := string((*b)[:n])
		*b = (*b)[n:]
		return s
	}
	if !bytes.HasPrefix(module, []byte("\x00asm\x01\x00\x00\x00")) {
		t.Fatal("not a module")
	}
	for b := module[8:]; len(b) > 0; {
		id := b[0]
		b = b[1:]
		size := number(&b)
		section := b[:size]
		b = b[size:]
		if id != 2 {
			continue
		}
		var list []string
		for range number(&section) {
			from, what := name(&section), name(&section)
			if section[0] != 0 {
				t.Fatalf("%s.%s is not a function", from, what)
			}
			section = section[1:]
			number(&section) // its type
			list = append(list, from+"."+what)
		}
		return list
	}
	return nil
}

// modulesOf returns the import modules, each with its functions.
func modulesOf(t *testing.T, module []byte) map[string][]string {
	m := map[string][]string{}
	for _, name := range importsOf(t, module) {
		from, what, _ := strings.Cut(name, ".")
		m[from] = append(m[from], what)
	}
	return m
}
