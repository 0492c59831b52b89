package engine_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// BenchmarkCallNoop is a call that does nothing: of a guest with nothing to
// start, and of one that Go made.
func BenchmarkCallNoop(b *testing.B) {
	request, err := abi.EncodeFrame(map[string]any{"steps": []step{}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, wasm := range map[string][]byte{"small": newGuest().encode(), "go": probeWasm(b)} {
		b.Run(name, func(b *testing.B) {
			p := compile(b, newEngine(b, engine.Config{}), wasm, engine.Options{Modules: []string{abi.ModuleKernel}})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Call(b.Context(), engine.Call{Request: request}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompileCached is the admission of a Go plugin whose code is in the
// cache's folder, by an engine that is new each time.
func BenchmarkCompileCached(b *testing.B) {
	wasm := probeWasm(b)
	dir := b.TempDir()
	once := func() {
		e, err := engine.New(engine.Config{CacheDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		compile(b, e, wasm, engine.Options{Modules: []string{abi.ModuleKernel}})
		if err := e.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	once()
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}
