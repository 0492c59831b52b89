package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// A product is what admission makes of one module, whatever the limits are: the
// rewritten module compiled in a runtime of its own, as modules that don't
// trust each other should be, and the images that its instances begin as. It is
// shared by the plugins made of the module, and immutable once it is ready.
type product struct {
	key   string
	users int // plugins; guarded by the engine

	ready chan struct{} // closed when the rest is there, or err
	err   error

	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	native   wazero.CompilationCache

	metered  bool
	globals  []string // the exports of the module's own mutable globals
	tables   int64    // elements that its tables begin with
	birth    *image   // what an instance is before anything runs
	snapshot *image   // what it is once initialised; nil where that can't be kept
}

// recipe is what compiling leaves behind besides native code, for the cache.
type recipe struct {
	Metered bool     `json:"metered"`
	Globals []string `json:"globals"`
	Tables  int64    `json:"tables"`
	Plain   string   `json:"plain,omitempty"` // why there is no snapshot
}

// build makes the product of a module, without the cache.
func (p *product) build(ctx context.Context, e *Engine, m *wasm.Module, o Options, dir string) (files map[string][]byte, err error) {
	rewritten, err := m.Rewrite(wasm.Options{Keep: isPluginExport, Unmetered: o.Unmetered})
	if err != nil {
		return nil, err
	}
	r := recipe{Metered: !o.Unmetered, Plain: rewritten.Fixed}
	for _, g := range rewritten.Globals {
		r.Globals = append(r.Globals, g.Name)
	}
	for _, t := range m.Tables {
		r.Tables += int64(t.Min)
	}
	if e.config.Interpreter {
		r.Plain = "it is interpreted"
	}
	if err := p.compile(ctx, e, rewritten.Wasm, dir); err != nil {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "not a valid module: %w", err).WithHint("build the plugin again")
	}
	p.metered, p.globals, p.tables = r.Metered, r.Globals, r.Tables
	if p.birth, err = birth(uint64(m.Memories[0].Min)*wasmPage, rewritten); err != nil {
		return nil, err
	}
	if r.Plain == "" {
		if r.Plain, err = p.takeSnapshot(e); err != nil {
			return nil, err
		}
	}
	if r.Plain != "" {
		e.config.Logger.Debug("a plugin is initialised anew for each call", "why", r.Plain)
	}
	if r.Plain == outOfTime {
		return nil, nil // what is kept would be kept for good
	}
	return r.files(rewritten.Wasm, p.birth, p.snapshot)
}

// compile makes the runtime and compiles code in it, with native code in dir
// unless that is empty. Compilation takes one goroutine, this one: a fault of
// the compiler's in any other couldn't be recovered.
func (p *product) compile(ctx context.Context, e *Engine, code []byte, dir string) (err error) {
	config := wazero.NewRuntimeConfig()
	if e.config.Interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	if p.native, err = newNative(dir); err != nil {
		return err
	}
	// A guest's deadline is the meter's affair: the runtime's own way costs
	// several times as much, and doesn't see all that a guest can do.
	config = config.
		WithCoreFeatures(api.CoreFeaturesV2).
		WithCloseOnContextDone(false).
		WithDebugInfoEnabled(false).
		WithCompilationCache(p.native)
	// What is compiled outlives the caller's context.
	ctx = context.WithoutCancel(ctx)
	p.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the compiler failed: %v\n%s", r, debug.Stack())
		}
		if err != nil {
			_ = p.free(ctx)
		}
	}()
	if err := instantiateHost(ctx, p.runtime, e.wasi); err != nil {
		return err
	}
	p.compiled, err = p.runtime.CompileModule(ctx, code)
	return err
}

// free ends everything the product holds. It can be used on one that is half
// made.
func (p *product) free(ctx context.Context) error {
	var errs []error
	if p.compiled != nil {
		errs = append(errs, p.compiled.Close(ctx))
	}
	if p.runtime != nil {
		errs = append(errs, p.runtime.Close(ctx))
	}
	if p.native != nil {
		errs = append(errs, p.native.Close(ctx))
	}
	for _, i := range []*image{p.birth, p.snapshot} {
		if i != nil {
			i.drop()
		}
	}
	p.compiled, p.runtime, p.native, p.birth, p.snapshot = nil, nil, nil, nil, nil
	return errors.Join(errs...)
}

// snapshotArena is how large an arena the plugin makes before its snapshot is
// taken: requests up to it take one entry of the guest instead of two.
const snapshotArena = 64 << 10

// outOfTime is why there is no snapshot of a plugin that reaches a limit: what
// the limits are, and how fast the machine is, may change.
const outOfTime = "it takes too much to initialise or to describe itself"

func isLimit(err error) bool {
	_, ok := errors.AsType[*limitReached](err)
	return ok
}

// takeSnapshot initialises an instance, as metered and as shut off as a call
// is, and keeps what it has become: of the whole of its memory, and with its
// describe export run once, for that touches what every call does. Where it
// can't be kept the reason is returned, and instances are initialised anew for
// each call; what is wrong with one that fails shows there.
func (p *product) takeSnapshot(e *Engine) (why string, err error) {
	// Whoever is the first to need the plugin pays for nothing of this.
	ctx, cancel := context.WithTimeout(context.Background(), e.config.DescribeTimeout)
	defer cancel()
	limits := e.config.Limits // not one plugin's: the snapshot is for all of this module
	plugin := &Plugin{engine: e, product: p, limits: limits}
	s := plugin.newState(ctx, Call{}, errDescribed)
	ctx = s.ctx
	i, err := p.instantiate(ctx, p.birth, limits)
	if err != nil {
		return "it can't be instantiated: " + err.Error(), nil
	}
	i.bind(s)
	defer i.discard()
	switch err := i.initialize(ctx); {
	case ctx.Err() != nil, isLimit(err):
		return outOfTime, nil
	case err != nil:
		return "it fails to initialise: " + trapReason(err), nil
	}
	switch _, err := i.ask(ctx, exportDescribe); {
	case ctx.Err() != nil, isLimit(err):
		return outOfTime, nil
	case err != nil:
		return "it fails to describe itself: " + trapReason(err), nil
	}
	arena, err := i.enter(ctx, exportArena, snapshotArena)
	if err != nil {
		return "it fails to make an arena: " + trapReason(err), nil
	}
	switch {
	case len(s.open) > 0:
		return "it leaves a descriptor open when it is initialised", nil
	case s.altered:
		return "it changes its descriptors when it is initialised", nil
	case i.tableElements() != p.tables:
		return "its tables grow when it is initialised", nil
	}
	var globals []uint64
	for _, g := range i.globals {
		globals = append(globals, g.Get())
	}
	bytes, ok := i.module.Memory().Read(0, uint32(i.memory.size))
	if !ok {
		return "its memory can't be read", nil
	}
	snapshot, err := newImage(bytes, globals)
	if err != nil {
		return "", err
	}
	snapshot.clock = i.nanotime()
	snapshot.arenaSize, snapshot.arena = snapshotArena, uint32(arena)
	if uint64(snapshot.arena)+snapshotArena > snapshot.size {
		snapshot.arena, snapshot.arenaSize = 0, 0 // what is wrong with it shows when it is called
	}
	p.snapshot = snapshot
	e.config.Logger.Debug("took a snapshot", "bytes", snapshot.size, "took", time.Since(s.started))
	return "", nil
}

// isPluginExport says which exports are kept.
func isPluginExport(e wasm.Export) bool {
	return slices.Contains(exportNames[:], e.Name) || e.Name == abi.ExportMemory || e.Name == abi.ExportInitialize
}
