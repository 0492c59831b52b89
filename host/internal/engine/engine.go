package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// Config says how an Engine works.
type Config struct {
	// Logger gets what compilations cost and what the cache and the mounts
	// failed at. Nil logs nothing.
	Logger hclog.Logger
	// CacheDir keeps compiled modules from one start to the next. It holds
	// native code, so it is made with mode 0700 and refused when it belongs to
	// somebody else. Empty keeps them in memory alone.
	CacheDir string
	// Interpreter runs modules without compiling them: ready six times sooner,
	// for a module that runs once. CacheDir isn't used.
	Interpreter bool
	// MaxModuleBytes bounds a module. Zero is 64 MiB.
	MaxModuleBytes int
	// Limits are those of a plugin's calls where its Options say nothing else.
	// Zero fields are those of DefaultLimits. Deadline, Concurrent and Queue
	// aren't the engine's to enforce.
	Limits abi.Limits
	// DescribeTimeout bounds Plugin.Describe, and what a plugin does before its
	// snapshot is taken. Zero is ten seconds.
	DescribeTimeout time.Duration
	// OpenFiles bounds the files and folders that a call holds open at once.
	// Zero is 128.
	OpenFiles int
	// OutputBytes bounds what is kept of a call's stdout and stderr, its
	// beginning and its end. Zero is 64 KiB.
	OutputBytes int
}

func (c Config) withDefaults() (Config, error) {
	for name, v := range map[string]int{
		"MaxModuleBytes": c.MaxModuleBytes, "DescribeTimeout": int(c.DescribeTimeout), "OpenFiles": c.OpenFiles, "OutputBytes": c.OutputBytes,
	} {
		if v < 0 {
			return c, abi.Errorf(abi.CodeInvalidArgument, "engine: %s is negative", name)
		}
	}
	if err := c.Limits.Validate(); err != nil {
		return c, abi.Errorf(abi.CodeInvalidArgument, "engine: %w", err)
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	c.MaxModuleBytes = cmp.Or(c.MaxModuleBytes, 64<<20)
	c.Limits = limitsOr(c.Limits, DefaultLimits())
	c.DescribeTimeout = cmp.Or(c.DescribeTimeout, 10*time.Second)
	c.OpenFiles = cmp.Or(c.OpenFiles, 128)
	c.OutputBytes = cmp.Or(c.OutputBytes, 64<<10)
	return c, nil
}

// DefaultLimits are a call's where nobody says anything else: far more than an
// ordinary tool takes, and little enough that a hostile one harms nobody.
func DefaultLimits() abi.Limits {
	return abi.Limits{
		MemoryMiB:     512,
		TableElements: 128 << 10,
		StackKiB:      8 << 10,
		Fuel:          1_000_000_000_000,
		HostCalls:     1_000_000,
		HostBytes:     4 << 30,
		OutputBytes:   16 << 20,
	}
}

// limitsOr returns a with its zero fields those of b.
func limitsOr(a, b abi.Limits) abi.Limits {
	return abi.Limits{
		MemoryMiB:     cmp.Or(a.MemoryMiB, b.MemoryMiB),
		TableElements: cmp.Or(a.TableElements, b.TableElements),
		StackKiB:      cmp.Or(a.StackKiB, b.StackKiB),
		Deadline:      cmp.Or(a.Deadline, b.Deadline),
		Fuel:          cmp.Or(a.Fuel, b.Fuel),
		HostCalls:     cmp.Or(a.HostCalls, b.HostCalls),
		HostBytes:     cmp.Or(a.HostBytes, b.HostBytes),
		OutputBytes:   cmp.Or(a.OutputBytes, b.OutputBytes),
		Concurrent:    cmp.Or(a.Concurrent, b.Concurrent),
		Queue:         cmp.Or(a.Queue, b.Queue),
	}
}

// An Engine compiles plugins and keeps what they share. It is safe for use
// from several goroutines.
type Engine struct {
	config      Config
	wasi        []wasiFunction
	fingerprint []byte
	gate        gate // Compile enters it

	mu       sync.Mutex
	plugins  map[*Plugin]struct{}
	products map[string]*product // by key, those that are ready or being made
}

// New makes an Engine. It fails when a setting is out of bounds and when the
// cache's folder cannot be made or isn't the host's own.
func New(config Config) (*Engine, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	wasi, err := wasiFunctions()
	if err != nil {
		return nil, err
	}
	if err := openCache(config.CacheDir); err != nil {
		return nil, err
	}
	print, err := fingerprint()
	if err != nil {
		return nil, err
	}
	return &Engine{
		config:      config,
		wasi:        wasi,
		fingerprint: print,
		plugins:     map[*Plugin]struct{}{},
		products:    map[string]*product{},
	}, nil
}

// Options are what one plugin's admission depends on.
type Options struct {
	// Modules are the import modules that the manifest's capabilities allow,
	// such as sallyport:kernel. sallyport:call and WASI need no mention.
	Modules []string
	// Limits are those of each call. Zero fields are the Config's.
	Limits abi.Limits
	// State is how long an instance lives: abi.StateCall or abi.StateSession.
	State string
	// Plain takes no snapshot: an instance is made and initialised for each
	// call.
	Plain bool
	// Unmetered leaves the code as it is: nothing but its end stops a call. It
	// is for measuring what metering costs.
	Unmetered bool
}

// Compile admits a module and compiles it, or takes it from the cache. The
// module is refused with
//
//   - invalid_argument when it isn't well-formed, isn't a plugin, or has a part
//     that plugins may not have (a start function, a foreign import, one of a
//     sallyport module beyond options.Modules);
//   - unimplemented when it speaks another version of the ABI, imports a
//     function that this host hasn't, or needs a feature that isn't run here;
//   - resource_exhausted when it, a part of it or its first memory is too large.
//
// The wasm isn't kept. Of several admissions of one module at once, one does
// the work.
func (e *Engine) Compile(ctx context.Context, code []byte, options Options) (*Plugin, error) {
	if !e.gate.enter() {
		return nil, abi.Errorf(abi.CodeUnavailable, "the engine is closed")
	}
	defer e.gate.leave()

	if err := options.Limits.Validate(); err != nil {
		return nil, err
	}
	options.Limits = limitsOr(options.Limits, e.config.Limits)
	if len(code) > e.config.MaxModuleBytes {
		return nil, abi.Errorf(abi.CodeResourceExhausted, "the module has %d bytes, the bound is %d", len(code), e.config.MaxModuleBytes)
	}
	m, err := wasm.Parse(code)
	if err != nil {
		return nil, err
	}
	if err := (admission{modules: options.Modules, limits: options.Limits, wasi: e.wasi}).check(m); err != nil {
		return nil, err
	}
	product, err := e.product(ctx, m, options)
	if err != nil {
		return nil, err
	}
	p := &Plugin{engine: e, product: product, limits: options.Limits, state: options.State, plain: options.Plain}
	e.mu.Lock()
	e.plugins[p] = struct{}{}
	e.mu.Unlock()
	return p, nil
}

// product returns the product of a module, with one more user. The first to
// ask makes it, the others wait for that.
func (e *Engine) product(ctx context.Context, m *wasm.Module, o Options) (*product, error) {
	key := e.keyOf(m, o)
	e.mu.Lock()
	p := e.products[key]
	first := p == nil
	if first {
		p = &product{key: key, ready: make(chan struct{})}
		e.products[key] = p
	}
	p.users++
	e.mu.Unlock()
	if first {
		start := time.Now()
		p.err = p.obtain(ctx, e, m, o)
		close(p.ready)
		e.config.Logger.Debug("admitted a module", "took", time.Since(start))
	}
	select {
	case <-p.ready:
		if p.err != nil {
			return nil, errors.Join(p.err, e.leave(ctx, p))
		}
		return p, nil
	case <-ctx.Done():
		return nil, errors.Join(waitEnded(ctx, "waiting for another compilation of the same module"), e.leave(ctx, p))
	}
}

// leave takes one user from a product, and frees it after the last.
func (e *Engine) leave(ctx context.Context, p *product) error {
	e.mu.Lock()
	p.users--
	last := p.users == 0
	if last && e.products[p.key] == p {
		delete(e.products, p.key)
	}
	e.mu.Unlock()
	if !last {
		return nil
	}
	return p.free(context.WithoutCancel(ctx))
}

// release forgets a plugin that was closed.
func (e *Engine) release(ctx context.Context, p *Plugin) error {
	e.mu.Lock()
	delete(e.plugins, p)
	e.mu.Unlock()
	if err := e.leave(ctx, p.product); err != nil {
		return fmt.Errorf("free a plugin: %w", err)
	}
	return nil
}

// Close closes every plugin, as Plugin.Close does. When ctx ends first it can
// be called again.
func (e *Engine) Close(ctx context.Context) error {
	if err := e.gate.close(ctx, "compilations"); err != nil {
		return err
	}
	e.mu.Lock()
	plugins := slices.Collect(maps.Keys(e.plugins))
	e.mu.Unlock()
	for _, p := range plugins {
		if err := p.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// waitEnded is the error of a wait that ctx cut short.
func waitEnded(ctx context.Context, doing string) *abi.Error {
	code, what := abi.CodeCanceled, "cancelled"
	if ctx.Err() == context.DeadlineExceeded {
		code, what = abi.CodeDeadlineExceeded, "out of time"
	}
	return abi.Errorf(code, "%s while %s", what, doing).WithCause(context.Cause(ctx))
}
