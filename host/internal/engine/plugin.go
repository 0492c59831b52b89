package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/sysfs"
)

// A Plugin is a module that was admitted and compiled. It is safe for use from
// several goroutines; every call has an instance of its own.
type Plugin struct {
	engine    *Engine
	runtime   wazero.Runtime
	compiled  wazero.CompiledModule
	memoryMiB int
	gate      gate
}

// newPlugin compiles an admitted module in a runtime of its own, as modules
// that don't trust each other should be.
func newPlugin(ctx context.Context, e *Engine, wasm []byte, memoryMiB int) (*Plugin, error) {
	p := &Plugin{engine: e, memoryMiB: memoryMiB}
	e.mu.Lock()
	cache := e.cache
	e.mu.Unlock()
	err := p.compile(ctx, wasm, cache)
	if err != nil && e.config.CacheDir != "" && cacheFault(err) {
		log := e.config.Logger
		log.Warn("the compilation cache failed; its entries are removed", "dir", e.config.CacheDir, "error", err)
		if err := purgeCache(e.config.CacheDir); err != nil {
			log.Warn("the compilation cache cannot be emptied", "dir", e.config.CacheDir, "error", err)
		}
		if err = p.compile(ctx, wasm, cache); err != nil && cacheFault(err) {
			err = p.compile(ctx, wasm, nil)
		}
	}
	if err != nil {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "not a valid module: %w", err).WithHint("build the plugin again")
	}
	return p, nil
}

// compile makes the runtime and compiles wasm in it. Compilation takes one
// goroutine, this one: a fault of the compiler's in any other couldn't be
// recovered.
func (p *Plugin) compile(ctx context.Context, wasm []byte, cache wazero.CompilationCache) (err error) {
	config := wazero.NewRuntimeConfig()
	if p.engine.config.Interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	config = config.
		WithCoreFeatures(api.CoreFeaturesV2).
		WithCloseOnContextDone(true).
		WithDebugInfoEnabled(false)
	if cache != nil {
		config = config.WithCompilationCache(cache)
	}
	// What is compiled outlives the caller's context.
	ctx = context.WithoutCancel(ctx)
	runtime := wazero.NewRuntimeWithConfig(ctx, config)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the compiler failed: %v\n%s", r, debug.Stack())
		}
		if err != nil {
			_ = runtime.Close(ctx)
		}
	}()
	if err := instantiateHost(ctx, runtime, p.engine.wasi); err != nil {
		return err
	}
	compiled, err := runtime.CompileModule(ctx, wasm)
	if err != nil {
		return err
	}
	p.runtime, p.compiled = runtime, compiled
	return nil
}

// Describe runs the plugin's describe export and returns the frame it answers
// with. The plugin has no operation and no mount while it runs.
func (p *Plugin) Describe(ctx context.Context) ([]byte, error) {
	timeout := p.engine.config.DescribeTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, timeout,
		abi.Errorf(abi.CodeDeadlineExceeded, "the plugin takes longer than %v to describe itself", timeout).
			WithHint("make the describe export, and _initialize, do less"))
	defer cancel()
	shut := abi.Errorf(abi.CodePermissionDenied, "nothing is granted while the plugin is described").
		WithHint("make the describe export depend on nothing outside of the plugin")
	answer, err := p.run(ctx, Call{}, shut, func(ctx context.Context, i *instance) ([]byte, error) {
		return i.enter(ctx, abi.ExportDescribe)
	})
	if err != nil {
		failure := *abi.AsError(err) // a copy, for it may be the cause of the context's end
		if printed := strings.TrimSpace(answer.Stderr); printed != "" && failure.Hint == "" {
			failure.Hint = "the plugin printed: " + printed[:min(len(printed), 2000)]
		}
		return nil, &failure
	}
	return answer.Response, nil
}

// Call runs one tool in a fresh instance. The deadline of ctx is the call's;
// when it passes or ctx is cancelled, the guest is stopped, and Call returns
// once the Dispatch under way has. It fails with
//
//   - plugin_failed when the plugin traps, exits or answers garbage;
//   - deadline_exceeded and canceled when ctx ends, or with the *abi.Error that
//     is the cause of ctx's end;
//   - invalid_argument when the request is over abi.MaxFrameBytes or the mounts
//     are not those of the table;
//   - internal when a Dispatch or a file system panics;
//   - unavailable when the plugin was closed.
func (p *Plugin) Call(ctx context.Context, c Call) (Answer, error) {
	if len(c.Request) > abi.MaxFrameBytes {
		return Answer{}, abi.Errorf(abi.CodeInvalidArgument, "the request has %d bytes, the bound is %d", len(c.Request), abi.MaxFrameBytes)
	}
	return p.run(ctx, c, nil, func(ctx context.Context, i *instance) ([]byte, error) {
		return i.call(ctx, c.Tool, c.Request)
	})
}

// Close waits for running calls and frees the plugin. Calls that come later
// fail with unavailable. When ctx ends first, Close can be called again.
func (p *Plugin) Close(ctx context.Context) error {
	if err := p.gate.close(ctx, "calls"); err != nil {
		return err
	}
	e := p.engine
	e.mu.Lock()
	_, open := e.plugins[p]
	delete(e.plugins, p)
	e.mu.Unlock()
	if !open {
		return nil
	}
	if err := p.compiled.Close(ctx); err != nil {
		return fmt.Errorf("close the compiled module: %w", err)
	}
	if err := p.runtime.Close(ctx); err != nil {
		return fmt.Errorf("close the runtime: %w", err)
	}
	return nil
}

// run makes an instance, lets enter use it, and discards it. Operations and
// mounts are closed for as long as shut says, and always during _initialize.
func (p *Plugin) run(ctx context.Context, c Call, shut *abi.Error, enter func(context.Context, *instance) ([]byte, error)) (answer Answer, err error) {
	if !p.gate.enter() {
		return Answer{}, abi.Errorf(abi.CodeUnavailable, "the plugin is closed")
	}
	defer p.gate.leave()

	start := time.Now()
	config := p.engine.config
	s := &state{
		log:      config.Logger,
		dispatch: c.Dispatch,
		memory:   &memory{limit: memoryLimit(p.memoryMiB)},
		open:     map[closer]struct{}{},
		maxOpen:  config.OpenFiles,
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.deadline = time.Until(deadline)
	}
	ctx = context.WithValue(ctx, stateKey{}, s)
	s.ctx = ctx
	s.out = newOutput(ctx, config.OutputBytes)
	if s.mounts, err = mountTable(s, c.Mounts); err != nil {
		return Answer{}, err
	}
	i := &instance{plugin: p, state: s}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v (panic in the runtime)\n%s", r, debug.Stack())
		}
		i.discard()
		answer.Stderr = s.out.String()
		answer.MemoryBytes = int64(s.memory.size)
		answer.Wall = time.Since(start)
		if err != nil {
			answer.Response = nil
			err = s.failure(err, p.memoryMiB)
		}
	}()
	if err := i.initialize(ctx); err != nil {
		return answer, err
	}
	s.shut = shut
	if answer.Response, err = enter(ctx, i); err == nil && ctx.Err() != nil {
		err = errTimeOver // an answer that came too late, or that nobody waits for
	}
	return answer, err
}

// An instance is a module in its sandbox.
type instance struct {
	plugin *Plugin
	state  *state
	module api.Module
}

func (i *instance) initialize(ctx context.Context) error {
	s := i.state
	s.shut = abi.Errorf(abi.CodeFailedPrecondition, "nothing of the host's can be used in %s", abi.ExportInitialize).
		WithHint("do it when a tool is called")
	files := wazero.NewFSConfig()
	for _, m := range s.mounts {
		files = files.(sysfs.FSConfig).WithSysFSMount(m, m.path)
	}
	config := wazero.NewModuleConfig().
		WithName("").
		WithStartFunctions().
		WithFSConfig(files).
		WithStdout(s.out).
		WithStderr(s.out).
		WithRandSource(random{ctx}).
		WithSysWalltime().
		WithSysNanotime().
		WithNanosleep(s.sleep)
	module, err := i.plugin.runtime.InstantiateModule(
		experimental.WithMemoryAllocator(ctx, s.memory), i.plugin.compiled, config)
	if err != nil {
		return fmt.Errorf("instantiate: %w", err)
	}
	i.module = module
	if start := module.ExportedFunction(abi.ExportInitialize); start != nil {
		if err := start.CallWithStack(ctx, nil); err != nil {
			return inExport{abi.ExportInitialize, err}
		}
	}
	return nil
}

// call puts the request into the arena and enters the guest once.
func (i *instance) call(ctx context.Context, tool uint32, request []byte) ([]byte, error) {
	stack := []uint64{uint64(uint32(len(request)))}
	if err := i.module.ExportedFunction(abi.ExportArena).CallWithStack(ctx, stack); err != nil {
		return nil, inExport{abi.ExportArena, err}
	}
	arena := uint32(stack[0])
	if !i.module.Memory().Write(arena, request) {
		return nil, garbage("the plugin gave an arena of %d bytes at %d, outside its memory of %d", len(request), arena, i.state.memory.size)
	}
	return i.enter(ctx, abi.ExportCall, uint64(tool), uint64(uint32(len(request))))
}

// enter calls an export that answers with a place in memory, and copies what
// is there.
func (i *instance) enter(ctx context.Context, name string, params ...uint64) ([]byte, error) {
	results, err := i.module.ExportedFunction(name).Call(ctx, params...)
	if err != nil {
		return nil, inExport{name, err}
	}
	ptr, n := abi.Unpack(results[0])
	if n > abi.MaxFrameBytes {
		return nil, garbage("the plugin answered with %d bytes, the bound is %d", n, abi.MaxFrameBytes)
	}
	view, ok := i.module.Memory().Read(ptr, n)
	if !ok {
		return nil, garbage("the plugin answered with %d bytes at %d, outside its memory of %d", n, ptr, i.state.memory.size)
	}
	return slices.Clone(view), nil
}

// discard ends the instance and everything it holds, in whatever state it is.
func (i *instance) discard() {
	if i.module != nil {
		_ = i.module.Close(context.WithoutCancel(i.state.ctx))
	}
	i.state.closeFiles()
}

// mountTable orders a call's mounts as the guest always sees them.
func mountTable(s *state, mounts []Mount) ([]*mount, error) {
	given := make(map[string]Mount, len(mounts))
	for _, m := range mounts {
		if !slices.Contains(abi.Mounts(), m.Path) {
			return nil, abi.Errorf(abi.CodeInvalidArgument, "%q is not a mount point: use one of %s", m.Path, strings.Join(abi.Mounts(), " "))
		}
		if _, twice := given[m.Path]; twice {
			return nil, abi.Errorf(abi.CodeInvalidArgument, "two mounts at %s", m.Path)
		}
		given[m.Path] = m
	}
	table := make([]*mount, 0, len(abi.Mounts()))
	for _, path := range abi.Mounts() {
		m := given[path]
		if m.FS == nil && m.Denied == nil {
			m.Denied = abi.Errorf(abi.CodePermissionDenied, "there is no access to %s", path)
		}
		table = append(table, &mount{state: s, path: path, fs: m.FS, denied: m.Denied})
	}
	return table, nil
}
