package wasm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

var (
	errNoFuel  = errors.New("out of fuel")
	errNoStack = errors.New("out of stack")
)

// A meter is a checkpoint that gives out nothing: so code gets to it at each
// check behind which there was work, and what it then says of its fuel is how
// much work that was.
type meter struct {
	left   int64 // units, until it ends the guest
	checks int
	most   int64 // units from one check to the next
	used   int64
	lowest int64 // of the depth
}

func (m *meter) checkpoint(_ context.Context, stack []uint64) {
	fuel, depth := int64(stack[0]), int64(stack[1])
	if depth < 0 {
		panic(errNoStack)
	}
	m.checks++
	m.lowest = min(m.lowest, depth)
	m.used -= fuel
	m.most = max(m.most, -fuel)
	if m.used > m.left {
		panic(errNoFuel)
	}
	stack[0] = 0
}

// A staged guest is an instance of a rewritten module.
type staged struct {
	api.Module
	meter     *meter
	rewritten *wasm.Rewritten
	t         testing.TB
}

func newRuntime(t testing.TB) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	t.Cleanup(func() {
		if err := rt.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return rt
}

// stage rewrites a guest and makes an instance of it, with plenty of
// everything. Whatever a guest imports from env returns at once.
func stage(t testing.TB, original []byte) *staged {
	t.Helper()
	ctx := context.Background()
	r, err := rewrite(original, wasm.Options{Keep: func(wasm.Export) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	s := &staged{meter: &meter{left: 1 << 40}, rewritten: r, t: t}
	rt := newRuntime(t)
	wide := []api.ValueType{api.ValueTypeI64}
	if _, err := rt.NewHostModuleBuilder(wasm.CheckpointModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(s.meter.checkpoint), []api.ValueType{wide[0], wide[0]}, wide).
		Export(wasm.CheckpointName).Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("nothing").Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	if s.Module, err = rt.InstantiateWithConfig(ctx, r.Wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions()); err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Data {
		if !s.Memory().Write(d.Offset, d.Bytes) {
			t.Fatalf("the data at %d doesn't fit", d.Offset)
		}
	}
	s.set(wasm.ExportTables, abi.MaxTableElements)
	return s
}

func (s *staged) set(global string, v int64) {
	s.ExportedGlobal(global).(api.MutableGlobal).Set(uint64(v))
}

func (s *staged) get(global string) int64 { return int64(s.ExportedGlobal(global).Get()) }

// try calls an export with a stack of so many bytes, and no fuel.
func (s *staged) try(stack int64, export string, args ...uint64) ([]uint64, error) {
	s.t.Helper()
	s.set(wasm.ExportFuel, 0)
	s.set(wasm.ExportDepth, stack)
	s.meter.lowest = stack
	out, err := s.ExportedFunction(export).Call(context.Background(), args...)
	s.meter.used -= s.get(wasm.ExportFuel) // what the last check didn't see
	s.meter.most = max(s.meter.most, -s.get(wasm.ExportFuel))
	return out, err
}

// call is a call that has to succeed, of a function with at most one result.
func (s *staged) call(export string, args ...uint64) uint64 {
	s.t.Helper()
	out, err := s.try(8<<20, export, args...)
	if err != nil {
		s.t.Fatalf("%s%v: %v", export, args, err)
	}
	if len(out) == 0 {
		return 0
	}
	return out[0]
}
