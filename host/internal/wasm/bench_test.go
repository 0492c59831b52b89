package wasm_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

var unmetered, metered = wasm.Options{Unmetered: true}, wasm.Options{}

// depth gives an instance a stack, if it is metered.
func depth(m api.Module) {
	if g, ok := m.ExportedGlobal(wasm.ExportDepth).(api.MutableGlobal); ok {
		g.Set(8 << 20)
	}
}

// quantum is the fuel that the benchmarks' checkpoint gives out at a time.
const quantum = 100_000

// instantiate makes an instance of what is rewritten.
func instantiate(tb testing.TB, original []byte, o wasm.Options) api.Module {
	tb.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	tb.Cleanup(func() { _ = rt.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	if _, err := rt.NewHostModuleBuilder(wasm.CheckpointModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = quantum }),
			[]api.ValueType{api.ValueTypeI64, api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).
		Export(wasm.CheckpointName).Instantiate(ctx); err != nil {
		tb.Fatal(err)
	}
	o.Keep = func(wasm.Export) bool { return true }
	r, err := rewrite(original, o)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := rt.InstantiateWithConfig(ctx, r.Wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		tb.Fatal(err)
	}
	for _, d := range r.Data {
		if !m.Memory().Write(d.Offset, d.Bytes) {
			tb.Fatalf("the data at %d doesn't fit", d.Offset)
		}
	}
	depth(m)
	if f := m.ExportedFunction("_initialize"); f != nil {
		if _, err := f.Call(ctx); err != nil {
			tb.Fatal(err)
		}
	}
	return m
}

// goGuest builds the guest in a folder of testdata.
func goGuest(tb testing.TB, name string) []byte {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), name+".wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// spinner is a guest whose export turns a tight loop n times.
func spinner() []byte {
	g := &guest{funcs: []function{{export: "spin", params: i32, results: i32, groups: 1, locals: "\x01" + i32, code: loop +
		get(1) + i32Const(31) + mul32 + get(0) + xor32 + set(1) +
		get(0) + i32Const(1) + sub32 + "\x22\x00" + brIf(0) + end + get(1)}}}
	return g.encode()
}

// BenchmarkMetering runs code as it is and metered in turn. Its figure is the
// ratio of the best times of both, which says the same on a busy machine.
func BenchmarkMetering(b *testing.B) {
	for _, guest := range []struct {
		name, export string
		turns        uint64 // an operation
		wasm         []byte
	}{
		{"loop", "spin", 100_000, spinner()},
		{"json", "roundTrip", 2, goGuest(b, "json")},
	} {
		b.Run(guest.name, func(b *testing.B) {
			plain, counted := instantiate(b, guest.wasm, unmetered), instantiate(b, guest.wasm, metered)
			measure := func(m api.Module) time.Duration {
				depth(m)
				f := m.ExportedFunction(guest.export)
				began := time.Now()
				if _, err := f.Call(b.Context(), guest.turns); err != nil {
					b.Fatal(err)
				}
				return time.Since(began)
			}
			var best [2]time.Duration
			for b.Loop() {
				for i, m := range []api.Module{plain, counted} {
					if d := measure(m); best[i] == 0 || d < best[i] {
						best[i] = d
					}
				}
			}
			b.ReportMetric(float64(best[1])/float64(best[0]), "metered/plain")
		})
	}
}

// BenchmarkRewrite is what a start of a plugin that isn't cached pays before
// its code is compiled.
func BenchmarkRewrite(b *testing.B) {
	guest := goGuest(b, "json")
	var plain, counted *wasm.Rewritten
	for b.Loop() {
		var err error
		if counted, err = rewrite(guest, metered); err != nil {
			b.Fatal(err)
		}
	}
	plain, err := rewrite(guest, unmetered)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(guest)))
	b.ReportMetric(float64(len(counted.Wasm))/float64(len(plain.Wasm)), "size/plain")
}
