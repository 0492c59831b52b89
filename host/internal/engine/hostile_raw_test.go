package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// What shows the harm that a hostile module does is the runtime alone, with
// every import there and no limit. It runs in a process of its own, because
// nothing else ends such a module.

// rawRun is what that process is to do.
type rawRun struct {
	Module   string // its path
	Enter    string // as control.enter
	Tool     uint32
	Twice    bool
	Dispatch string
	Files    string // the folder mounted in the place of /output
}

// A rawReport is a line that it prints: when it begins to compile, when it
// begins to run, and when it has ended.
type rawReport struct {
	Stage     string
	Error     string   // what the module was refused with, or trapped with
	Exit      *uint32  // what it exited with
	Result    uint64   // what the export returned
	Answer    []byte   // what that says
	Calls     []string // imports that it called
	Allocated uint64
}

const (
	rawCompiling = "compiling"
	rawRunning   = "running"
	rawRefused   = "refused"
	rawEnded     = "ended"

	rawVariable = "SALLYPORT_TEST_RAW"
)

// TestHostileModuleInItsOwnProcess is that process; in any other it has
// nothing to do.
func TestHostileModuleInItsOwnProcess(t *testing.T) {
	setting := os.Getenv(rawVariable)
	if setting == "" {
		return
	}
	var run rawRun
	if err := json.Unmarshal([]byte(setting), &run); err != nil {
		t.Fatal(err)
	}
	r := &raw{run: run, calls: map[string]bool{}}
	runtime.ReadMemStats(&r.before)
	defer func() {
		if p := recover(); p != nil {
			r.report(rawReport{Stage: rawEnded, Error: fmt.Sprint(p)})
		}
	}()
	r.report(r.all(context.Background()))
}

type raw struct {
	run    rawRun
	calls  map[string]bool
	before runtime.MemStats
}

func (r *raw) report(report rawReport) {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	report.Allocated = now.TotalAlloc - r.before.TotalAlloc
	report.Calls = slices.Collect(maps.Keys(r.calls))
	line, _ := json.Marshal(report)
	fmt.Printf("%s\n", line)
}

func (r *raw) all(ctx context.Context) rawReport {
	wasm, err := os.ReadFile(r.run.Module)
	if err != nil {
		return rawReport{Stage: rawRefused, Error: err.Error()}
	}
	r.report(rawReport{Stage: rawCompiling})
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithCoreFeatures(
		api.CoreFeaturesV2|experimental.CoreFeaturesThreads|experimental.CoreFeaturesTailCall|
			experimental.CoreFeaturesExtendedConst|experimental.CoreFeaturesExceptionHandling))
	compiled, err := rt.CompileModule(ctx, wasm)
	if err != nil {
		return rawReport{Stage: rawRefused, Error: err.Error()}
	}
	if err := r.imports(ctx, rt, compiled); err != nil {
		return rawReport{Stage: rawRefused, Error: err.Error()}
	}
	r.report(rawReport{Stage: rawRunning})
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime().WithSysNanosleep()
	if r.run.Files != "" {
		// As /upload and /output stand in the host's table.
		config = config.WithFSConfig(wazero.NewFSConfig().WithDirMount(os.TempDir(), "/upload").WithDirMount(r.run.Files, "/output"))
	}
	module, err := rt.InstantiateModule(ctx, compiled, config)
	if err != nil {
		return failed(err)
	}
	if start := module.ExportedFunction(abi.ExportInitialize); start != nil {
		if _, err := start.Call(ctx); err != nil {
			return failed(err)
		}
	}
	switch r.run.Enter {
	case "instance":
		return rawReport{Stage: rawEnded}
	case "arena":
		return enter(ctx, module, abi.ExportArena, 4)
	case "describe":
		return enter(ctx, module, abi.ExportDescribe)
	}
	report := enter(ctx, module, abi.ExportArena, 4)
	if report.Error != "" {
		return report
	}
	module.Memory().Write(uint32(report.Result), []byte("ping"))
	report = enter(ctx, module, abi.ExportCall, uint64(r.run.Tool), 4)
	if r.run.Twice {
		report = enter(ctx, module, abi.ExportCall, 1, 4)
	}
	return report
}

func enter(ctx context.Context, module api.Module, export string, params ...uint64) rawReport {
	f := module.ExportedFunction(export)
	if f == nil {
		return rawReport{Stage: rawEnded, Error: "no function " + export}
	}
	results, err := f.Call(ctx, params...)
	if err != nil {
		return failed(err)
	}
	report := rawReport{Stage: rawEnded, Result: results[0]}
	if ptr, n := abi.Unpack(results[0]); n < 1<<20 {
		view, _ := module.Memory().Read(ptr, n)
		report.Answer = bytes.Clone(view)
	}
	return report
}

func failed(err error) rawReport {
	report := rawReport{Stage: rawEnded, Error: err.Error()}
	if e, ok := errors.AsType[*sys.ExitError](err); ok {
		code := e.ExitCode()
		report.Exit = &code
	}
	return report
}

// somebodyElse is a module with what a plugin may not import: a memory with
// "secret" at 1024, a table of a function that returns it, and a global.
const somebodyElse = "\x00asm\x01\x00\x00\x00" +
	"\x01\x05\x01\x60\x00\x01\x7e" + "\x03\x02\x01\x00" + "\x04\x04\x01\x70\x00\x01" + "\x05\x03\x01\x00\x01" +
	"\x06\x0c\x01\x7e\x00\x42\xf3\xca\x8d\x93\xd7\x8c\x1d\x0b" +
	"\x07\x1b\x03\x06memory\x02\x00\x05table\x01\x00\x06global\x03\x00" +
	"\x09\x07\x01\x00\x41\x00\x0b\x01\x00" + "\x0a\x0c\x01\x0a\x00\x42\xf3\xca\x8d\x93\xd7\x8c\x1d\x0b" +
	"\x0b\x0d\x01\x00\x41\x80\x08\x0b\x06secret"

// imports gives the module whatever it asks for.
func (r *raw) imports(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule) error {
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, rt); err != nil {
		return err
	}
	builders := map[string]wazero.HostModuleBuilder{}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == abi.ModuleWASI {
			continue
		}
		if builders[module] == nil {
			builders[module] = rt.NewHostModuleBuilder(module)
		}
		builders[module].NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
			r.calls[module+"."+name] = true
			if r.run.Dispatch == "blocks" {
				select {}
			}
			if len(f.ResultTypes()) > 0 {
				n, _ := strconv.ParseUint(r.run.Dispatch, 10, 64)
				stack[0] = n
			}
		}), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	if builders["env"] != nil {
		return nil
	}
	_, err := rt.InstantiateWithConfig(ctx, []byte(somebodyElse), wazero.NewModuleConfig().WithName("env"))
	return err
}

// rawly does a control's run in a process of its own, and says what came of
// it. What doesn't end is ended.
func rawly(t *testing.T, h *hostile, c control) []rawReport {
	t.Helper()
	wasm, err := apply(h.module(t), c.edits)
	if err != nil {
		t.Fatal(err)
	}
	run := rawRun{Module: t.TempDir() + "/module.wasm", Enter: c.enter, Tool: c.tool, Twice: c.twice, Dispatch: c.dispatch}
	if err := os.WriteFile(run.Module, wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	if c.files {
		run.Files = t.TempDir()
		if err := os.WriteFile(run.Files+"/secret", []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	setting, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	patience := map[string]time.Duration{"runs on": 400 * time.Millisecond, "compiles on": time.Second}[c.gets]
	if patience == 0 {
		patience = time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestHostileModuleInItsOwnProcess$", "-test.count=1")
	cmd.Env = append(os.Environ(), rawVariable+"="+string(setting))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() // of a process that ended or was ended
	defer cmd.Process.Kill()
	lines := make(chan rawReport)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(out)
		s.Buffer(nil, 4<<20)
		for s.Scan() {
			var report rawReport
			if strings.HasPrefix(s.Text(), `{"Stage"`) && json.Unmarshal(s.Bytes(), &report) == nil {
				select {
				case lines <- report:
				case <-ctx.Done():
				}
			}
		}
	}()
	var reports []rawReport
	var late <-chan time.Time // once the stage is reached that may go on
	for {
		select {
		case report, ok := <-lines:
			if !ok {
				return reports
			}
			reports = append(reports, report)
			if report.Stage == rawRefused || report.Stage == rawEnded {
				return reports
			}
			if report.Stage == rawRunning || report.Stage == rawCompiling && c.gets == "compiles on" {
				late = time.After(patience)
			}
		case <-late:
			return reports
		case <-ctx.Done():
			return reports
		}
	}
}

// shows checks the harm.
func (c control) shows(reports []rawReport) error {
	if len(reports) == 0 {
		return fmt.Errorf("there is no report")
	}
	last := reports[len(reports)-1]
	word, rest, _ := strings.Cut(c.gets, " ")
	number, numeric := strconv.ParseUint(strings.TrimPrefix(rest, "-"), 0, 64)
	if strings.HasPrefix(rest, "-") {
		number = -number
	}
	ok := false
	switch word {
	case "runs":
		ok = last.Stage == rawRunning
	case "compiles":
		ok = last.Stage == rawCompiling
	case "traps":
		ok = last.Stage == rawEnded && last.Error != "" && strings.Contains(last.Error, rest)
	case "calls":
		ok = slices.Contains(last.Calls, rest)
	case "exits":
		ok = last.Exit != nil && numeric == nil && uint64(*last.Exit) == number
	case "returns":
		ok = last.Stage == rawEnded && last.Error == "" && numeric == nil && last.Result == number
	case "answers":
		ok = last.Stage == rawEnded && last.Error == "" && answered(last.Answer) == rest
	case "allocates":
		mebibytes, _ := strconv.ParseUint(strings.TrimSuffix(rest, " MiB"), 10, 64)
		ok = mebibytes > 0 && last.Allocated >= mebibytes<<20
	}
	if !ok {
		return fmt.Errorf("in the runtime alone it %s; got %+v", c.gets, reports)
	}
	return nil
}

// answered writes an answer as comments of modules do: a number where it has
// the length of one.
func answered(b []byte) string {
	if len(b) != 8 {
		return fmt.Sprintf("%d bytes", len(b))
	}
	var n int64
	for i := range b {
		n |= int64(b[i]) << (8 * i)
	}
	return strconv.FormatInt(n, 10)
}
