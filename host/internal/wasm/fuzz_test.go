package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// fuzzPages bounds the memories of both runtimes alike.
const fuzzPages = 64

// FuzzRewrite holds the rewriting against damaged and strange modules: what is
// refused is refused in words, what is accepted compiles if the original does,
// and does the same.
func FuzzRewrite(f *testing.F) {
	seeds := fuzzSeeds(f)
	if len(seeds) < 100 {
		f.Fatalf("there are %d modules to begin with", len(seeds))
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, original []byte) {
		plain, plainErr := rewrite(original, wasm.Options{Keep: all, Unmetered: true})
		rewritten, err := rewrite(original, wasm.Options{Keep: all})
		if abi.CodeOf(err) != abi.CodeOf(plainErr) || abi.CodeOf(err) == abi.CodeInternal {
			t.Fatalf("it is refused with %v, unmetered with %v", err, plainErr)
		}
		if err != nil {
			return
		}
		if most := 40*len(original) + 4<<10; len(rewritten.Wasm) > most {
			t.Errorf("of %d bytes %d were made", len(original), len(rewritten.Wasm))
		}
		m := &meter{left: 200_000}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		one, two := fuzzRuntime(t, m), fuzzRuntime(t, m)
		parsed, err := wasm.Parse(original)
		if err != nil {
			t.Fatal(err)
		}
		// The runtime believes in counts of names that aren't there.
		original = parsed.Without("name")
		if _, err := one.CompileModule(ctx, original); err != nil {
			return
		}
		if _, err := one.CompileModule(ctx, plain.Wasm); err != nil {
			t.Fatalf("unmetered, it isn't accepted: %v", err)
		}
		if _, err := two.CompileModule(ctx, rewritten.Wasm); err != nil {
			t.Fatalf("rewritten, it isn't accepted: %v", err)
		}
		if !parsed.HasStart { // which would run before there is data
			compare(ctx, t, original, rewritten, one, two, m)
		}
	})
}

func fuzzRuntime(t *testing.T, m *meter) wazero.Runtime {
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().
		WithMemoryLimitPages(fuzzPages).WithCloseOnContextDone(true))
	t.Cleanup(func() { _ = rt.Close(ctx) })
	wide := []api.ValueType{api.ValueTypeI64}
	if _, err := rt.NewHostModuleBuilder(wasm.CheckpointModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(m.checkpoint), []api.ValueType{wide[0], wide[0]}, wide).
		Export(wasm.CheckpointName).Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("nothing").Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	return rt
}

// compare calls the exports of both, until one runs out of fuel: whether the
// original would ever end isn't known then.
func compare(ctx context.Context, t *testing.T, original []byte, rewritten *wasm.Rewritten, one, two wazero.Runtime, m *meter) {
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	a, wantErr := one.InstantiateWithConfig(ctx, original, config)
	b, gotErr := two.InstantiateWithConfig(ctx, rewritten.Wasm, config)
	if text(wantErr) != text(gotErr) {
		t.Fatalf("an instance of it comes to %v, of the original to %v", gotErr, wantErr)
	}
	if wantErr != nil {
		return
	}
	for _, d := range rewritten.Data {
		if !b.Memory().Write(d.Offset, d.Bytes) {
			t.Fatalf("the data at %d doesn't fit", d.Offset)
		}
	}
	set := func(name string, v uint64) { b.ExportedGlobal(name).(api.MutableGlobal).Set(v) }
	set(wasm.ExportTables, abi.MaxTableElements)
	names := slices.Sorted(maps.Keys(a.ExportedFunctionDefinitions()))
	for _, name := range names[:min(8, len(names))] {
		args := make([]uint64, 2*len(a.ExportedFunction(name).Definition().ParamTypes()))
		for i := range args {
			args[i] = uint64(i + 3)
		}
		if len(args) > 16 || slices.Contains(a.ExportedFunction(name).Definition().ParamTypes(), 0x70) {
			continue // a number is no function's reference
		}
		args = args[:words(a.ExportedFunction(name).Definition().ParamTypes())]
		set(wasm.ExportFuel, 0)
		set(wasm.ExportDepth, 64<<10)
		got, gotErr := b.ExportedFunction(name).Call(ctx, args...)
		if errors.Is(gotErr, errNoFuel) || errors.Is(gotErr, errNoStack) {
			return
		}
		want, wantErr := a.ExportedFunction(name).Call(ctx, args...)
		if ctx.Err() != nil {
			t.Fatalf("%s%v came to %v, and in the original to no end", name, args, gotErr)
		}
		if slices.Contains(a.ExportedFunction(name).Definition().ResultTypes(), 0x70) {
			want, got = nil, nil // references of different instances
		}
		if text(wantErr) != text(gotErr) || !slices.Equal(want, got) {
			t.Fatalf("%s%v came to %#x, %v, in the original to %#x, %v", name, args, got, gotErr, want, wantErr)
		}
	}
	for name := range a.ExportedMemoryDefinitions() {
		x, y := a.ExportedMemory(name), b.ExportedMemory(name)
		want, _ := x.Read(0, x.Size())
		got, _ := y.Read(0, y.Size())
		if !bytes.Equal(want, got) {
			t.Fatal("the memory isn't the same")
		}
	}
}

// words counts the numbers of 64 bits that values of these types take.
func words(types []api.ValueType) (n int) {
	for _, t := range types {
		if n++; t == 0x7b {
			n++
		}
	}
	return n
}

// fuzzSeeds are guests of this package's tests and small ones of the
// specification's.
func fuzzSeeds(tb testing.TB) (seeds [][]byte) {
	for _, g := range []guest{
		{funcs: []function{recursion(work(10), get(0)+ifThen+work(40)+end)}},
		{funcs: []function{{export: "run", params: i32, code: countdown(call(1))}, {code: work(50)}}},
		{funcs: []function{{export: "run", groups: 1, locals: "\x01" + i32, code: goJumps}}},
		{imports: []function{{export: "nothing"}}, funcs: []function{{export: "run", params: i32, code: call(0) + countdown(call(0))}}},
		{memory: "\x00\x01", raw: map[byte]string{11: "\x01\x00" + i32Const(5) + end + vec("data")}, custom: map[string]string{"name": "\x01" + vec("\x00")}},
	} {
		seeds = append(seeds, g.encode())
	}
	seeds = append(seeds, spinner(), mover(2))
	for _, version := range []string{"v1", "v2"} {
		files, err := filepath.Glob(filepath.Join(specDir(tb, version), "*.wasm"))
		if err != nil {
			tb.Fatal(err)
		}
		for i, file := range files {
			info, err := os.Stat(file)
			if err != nil {
				tb.Fatal(err)
			}
			if i%12 != 0 || info.Size() > 2<<10 {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				tb.Fatal(err)
			}
			if _, err := rewrite(b, metered); err == nil || strings.Contains(err.Error(), "byte") {
				seeds = append(seeds, b)
			}
		}
	}
	return seeds
}
