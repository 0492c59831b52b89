package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/sallyport-dev/sallyport/abi"
	"github.com/tetratelabs/wazero"
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
	// MemoryMiB bounds a plugin's linear memory where its Options don't. Zero
	// is 256.
	MemoryMiB int
	// DescribeTimeout bounds Plugin.Describe. Zero is ten seconds.
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
		"MaxModuleBytes": c.MaxModuleBytes, "MemoryMiB": c.MemoryMiB,
		"DescribeTimeout": int(c.DescribeTimeout), "OpenFiles": c.OpenFiles, "OutputBytes": c.OutputBytes,
	} {
		if v < 0 {
			return c, abi.Errorf(abi.CodeInvalidArgument, "engine: %s is negative", name)
		}
	}
	if c.MemoryMiB > maxMemoryMiB {
		return c, abi.Errorf(abi.CodeInvalidArgument, "engine: MemoryMiB is %d: use 1 to %d", c.MemoryMiB, maxMemoryMiB)
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	c.MaxModuleBytes = cmp.Or(c.MaxModuleBytes, 64<<20)
	c.MemoryMiB = cmp.Or(c.MemoryMiB, 256)
	c.DescribeTimeout = cmp.Or(c.DescribeTimeout, 10*time.Second)
	c.OpenFiles = cmp.Or(c.OpenFiles, 128)
	c.OutputBytes = cmp.Or(c.OutputBytes, 64<<10)
	return c, nil
}

// An Engine compiles plugins and keeps what they share. It is safe for use
// from several goroutines.
type Engine struct {
	config Config
	wasi   []wasiFunction
	gate   gate // Compile enters it

	mu        sync.Mutex
	cache     wazero.CompilationCache // nil once closed
	plugins   map[*Plugin]struct{}
	compiling map[[sha256.Size]byte]chan struct{}
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
	cache, err := openCache(config.CacheDir)
	if err != nil {
		return nil, err
	}
	return &Engine{
		config:    config,
		wasi:      wasi,
		cache:     cache,
		plugins:   map[*Plugin]struct{}{},
		compiling: map[[sha256.Size]byte]chan struct{}{},
	}, nil
}

// Options are what one plugin's admission depends on.
type Options struct {
	// Modules are the import modules that the manifest's capabilities allow,
	// such as sallyport:kernel. sallyport:call and WASI need no mention.
	Modules []string
	// MemoryMiB bounds the linear memory. Zero is the Config's.
	MemoryMiB int
}

// Compile admits a module and compiles it, or takes it from the cache. The
// module is refused with
//
//   - invalid_argument when it isn't well-formed, isn't a plugin, or has a part
//     that plugins may not have (a start function, a foreign import, one of a
//     sallyport module beyond options.Modules);
//   - unimplemented when it speaks another version of the ABI or imports a
//     function that this host hasn't;
//   - resource_exhausted when it, a part of it or its first memory is too large.
//
// The wasm isn't kept. Of several compilations of one module at once, one does
// the work.
func (e *Engine) Compile(ctx context.Context, wasm []byte, options Options) (*Plugin, error) {
	if !e.gate.enter() {
		return nil, abi.Errorf(abi.CodeUnavailable, "the engine is closed")
	}
	defer e.gate.leave()

	memory := options.MemoryMiB
	if memory == 0 {
		memory = e.config.MemoryMiB
	}
	if memory < 1 || memory > maxMemoryMiB {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "memory limit is %d MiB: use 1 to %d", memory, maxMemoryMiB)
	}
	if len(wasm) > e.config.MaxModuleBytes {
		return nil, abi.Errorf(abi.CodeResourceExhausted, "the module has %d bytes, the bound is %d", len(wasm), e.config.MaxModuleBytes)
	}
	admitted, err := admit(wasm, admission{modules: options.Modules, memoryMiB: memory, wasi: e.wasi})
	if err != nil {
		return nil, err
	}
	done, err := e.compileAlone(ctx, sha256.Sum256(admitted))
	if err != nil {
		return nil, err
	}
	defer done()

	start := time.Now()
	p, err := newPlugin(ctx, e, admitted, memory)
	if err != nil {
		return nil, err
	}
	e.config.Logger.Debug("compiled a module", "bytes", len(wasm), "took", time.Since(start))
	e.mu.Lock()
	e.plugins[p] = struct{}{}
	e.mu.Unlock()
	return p, nil
}

// compileAlone waits until nobody else compiles the module of that digest, so
// that the second finds in the cache what the first put there.
func (e *Engine) compileAlone(ctx context.Context, digest [sha256.Size]byte) (done func(), err error) {
	for {
		e.mu.Lock()
		other, busy := e.compiling[digest]
		if !busy {
			mine := make(chan struct{})
			e.compiling[digest] = mine
			e.mu.Unlock()
			return func() {
				e.mu.Lock()
				delete(e.compiling, digest)
				e.mu.Unlock()
				close(mine)
			}, nil
		}
		e.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, waitEnded(ctx, "waiting for another compilation of the same module")
		}
	}
}

// Close closes every plugin, as Plugin.Close does, and then the engine. When
// ctx ends first it can be called again.
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
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cache == nil {
		return nil
	}
	if err := e.cache.Close(ctx); err != nil {
		return fmt.Errorf("close the compilation cache: %w", err)
	}
	e.cache = nil
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
