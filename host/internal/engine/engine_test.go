package engine_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// scratch is a folder for what all tests share, and scratchEnv the variable
// that hands it to another run of them.
var scratch string

const scratchEnv = "SALLYPORT_TEST_SCRATCH"

func TestMain(m *testing.M) {
	if scratch = os.Getenv(scratchEnv); scratch != "" {
		os.Exit(m.Run()) // the folder is that of who started this run
	}
	var err error
	if scratch, err = os.MkdirTemp("", "engine"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := probes.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.RemoveAll(scratch)
	os.Exit(code)
}

// buildProbe builds the guest in testdata/probe, once.
var buildProbe = sync.OnceValues(func() ([]byte, error) {
	out := filepath.Join(scratch, "probe.wasm")
	if b, err := os.ReadFile(out); err == nil {
		return b, nil
	}
	cmd := exec.Command("go", "build", "-C", "testdata/probe", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if printed, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the probe: %w\n%s", err, printed)
	}
	return os.ReadFile(out)
})

func probeWasm(t testing.TB) []byte {
	t.Helper()
	wasm, err := buildProbe()
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// newEngine makes an engine that is closed with the test. Unless config says
// otherwise, compiled modules are shared by all tests.
func newEngine(t testing.TB, config engine.Config) *engine.Engine {
	t.Helper()
	if config.CacheDir == "" {
		config.CacheDir = filepath.Join(scratch, "cache")
	}
	e, err := engine.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Errorf("close the engine: %v", err)
		}
	})
	return e
}

func compile(t testing.TB, e *engine.Engine, wasm []byte, options engine.Options) *engine.Plugin {
	t.Helper()
	options.Plain = options.Plain || !snapshots()
	p, err := e.Compile(t.Context(), wasm, options)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plugin compiles one guest in an engine of its own, with all modules allowed.
func plugin(t testing.TB, g *guest) *engine.Plugin {
	t.Helper()
	return compile(t, newEngine(t, engine.Config{}), g.encode(), engine.Options{Modules: []string{abi.ModuleKernel}, Limits: abi.Limits{MemoryMiB: 1}})
}

// probe is the Go guest under a memory limit in MiB, the same for all tests:
// it takes long to compile.
func probe(t testing.TB, memoryMiB int) *engine.Plugin {
	t.Helper()
	probes.mu.Lock()
	defer probes.mu.Unlock()
	if p := probes.plugins[memoryMiB]; p != nil {
		return p
	}
	if probes.engine == nil {
		var err error
		if probes.engine, err = engine.New(engine.Config{CacheDir: filepath.Join(scratch, "cache")}); err != nil {
			t.Fatal(err)
		}
	}
	probes.plugins[memoryMiB] = compile(t, probes.engine, probeWasm(t), engine.Options{Modules: []string{abi.ModuleKernel}, Limits: abi.Limits{MemoryMiB: memoryMiB}})
	return probes.plugins[memoryMiB]
}

var probes = sharedProbes{plugins: map[int]*engine.Plugin{}}

type sharedProbes struct {
	mu      sync.Mutex
	engine  *engine.Engine
	plugins map[int]*engine.Plugin
}

func (s *sharedProbes) close() error {
	if s.engine == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return s.engine.Close(ctx)
}

// step and result are the probe's; see there.
type step struct {
	Op, Path, To, Data string
	Flag               int
	At                 int64
}

type result struct {
	Out    string
	Error  string
	Errno  int
	Reason *abi.Error
}

// ask has the probe do steps. It fails the test when the call does.
func ask(t testing.TB, p *engine.Plugin, c engine.Call, steps ...step) []result {
	t.Helper()
	results, _, err := tryAsk(t, t.Context(), p, c, steps...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func tryAsk(t testing.TB, ctx context.Context, p *engine.Plugin, c engine.Call, steps ...step) ([]result, engine.Answer, error) {
	t.Helper()
	var err error
	if c.Request, err = abi.EncodeFrame(map[string]any{"steps": steps}, nil); err != nil {
		t.Fatal(err)
	}
	answer, err := p.Call(ctx, c)
	if err != nil {
		return nil, answer, err
	}
	return results(t, answer.Response), answer, nil
}

func results(t testing.TB, frame []byte) []result {
	t.Helper()
	f, err := abi.DecodeFrame(frame)
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Results []result }
	if err := json.Unmarshal(f.Header, &r); err != nil {
		t.Fatal(err)
	}
	return r.Results
}

// refused checks an error's code and that its message holds every one of
// texts, and returns it.
func refused(t testing.TB, err error, code abi.Code, texts ...string) *abi.Error {
	t.Helper()
	e, ok := errors.AsType[*abi.Error](err)
	if !ok {
		t.Fatalf("got the error %v, want %v", err, code)
	}
	if e.Code != code {
		t.Fatalf("got %v (cause: %v), want %v", e, errors.Unwrap(e), code)
	}
	for _, text := range texts {
		if !strings.Contains(e.Message, text) {
			t.Errorf("got the message %q, want %q in it", e.Message, text)
		}
	}
	return e
}

// number reads the answer of a guest made with answerWith.
func number(t testing.TB, a engine.Answer) int64 {
	t.Helper()
	if len(a.Response) != 8 {
		t.Fatalf("got an answer of %d bytes, want a number", len(a.Response))
	}
	return int64(binary.LittleEndian.Uint64(a.Response))
}

// eventually waits for a condition that comes about without an event.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still waiting: %s", what)
		}
	}
}
