package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// FuzzCompile holds admission and the compiler behind it against damaged
// modules: each is refused in words or can be called, and the host lives.
func FuzzCompile(f *testing.F) {
	seeds := 0
	add := func(g *guest) {
		seeds++
		f.Add(g.encode())
	}
	add(newGuest())
	rich := newGuest()
	rich.use(abi.ModuleKernel, "execute", i32+i32+i32+i32, i64)
	rich.use(abi.ModuleWASI, "fd_write", i32+i32+i32+i32, i32)
	rich.table = "\x70\x00\x02"
	rich.globals = []string{i32 + "\x01" + i32Const(7) + "\x0b", i64 + "\x00" + i64Const(-7) + "\x0b"}
	rich.raw = map[byte]string{
		9:  "\x01\x00" + i32Const(0) + "\x0b\x02\x02\x03",
		11: "\x02\x00" + i32Const(100) + "\x0b" + vec("data") + "\x01" + vec("passive"),
		12: "\x02",
	}
	rich.custom = map[string]string{"name": "\x01" + vec("\x01\x02"+vec("arena")), abi.SectionManifest: "{}"}
	add(rich)
	add(endlessInitialize())
	add(newGuest().onCall(i32Const(1)+growMemory+drop+unreachable, 3))
	if seeds == 0 {
		f.Fatal("there is nothing to begin with")
	}
	e, err := engine.New(engine.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, wasm []byte) {
		p, err := e.Compile(t.Context(), wasm, engine.Options{Modules: []string{abi.ModuleKernel}, Limits: abi.Limits{MemoryMiB: 1}})
		if err != nil {
			if code := abi.CodeOf(err); code == abi.CodeInternal {
				t.Fatalf("refused without words: %v", err)
			}
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := p.Call(ctx, engine.Call{Request: []byte("{}")}); err != nil && abi.CodeOf(err) == abi.CodeInternal {
			t.Errorf("a call came to %v", err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
