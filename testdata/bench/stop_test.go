package bench

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// BenchmarkStopLag cancels calls of the hostile modules that go on until their
// deadline, at moments that they don't choose, and gives how long the worst of
// them went on, in nine cases of ten: the tenth tells what else the machine did.
func BenchmarkStopLag(b *testing.B) {
	plugins := endless(b)
	lags := map[string][]float64{}
	for b.Loop() {
		for turn := range 20 {
			for name, p := range plugins {
				lag, cancelled := stopLag(b, p, time.Duration(1+(turn+len(name))%7)*time.Millisecond)
				if cancelled {
					lags[name] = append(lags[name], lag)
				}
			}
		}
	}
	if len(lags) < 20 {
		b.Fatalf("only %d of the modules went on until they were cancelled", len(lags))
	}
	var all []float64
	worst, which := 0.0, ""
	for name, of := range lags {
		all = append(all, of...)
		if lag := quantile(of, 0.9); lag > worst {
			worst, which = lag, name
		}
	}
	b.Logf("the worst of %d modules is %s", len(lags), which)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(all), "median-ms")
	b.ReportMetric(slices.Max(all), "longest-ms")
	figure("engine/stop-lag-ms", worst)
}

// endless compiles the modules of the hostile corpus that nothing but time ends.
func endless(b *testing.B) map[string]*engine.Plugin {
	b.Helper()
	sources, err := filepath.Glob("../hostile/*.wat")
	if err != nil {
		b.Fatal(err)
	}
	e := newEngine(b, engine.Config{})
	plugins := map[string]*engine.Plugin{}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			b.Fatal(err)
		}
		if !bytes.Contains(text, []byte("gets: deadline_exceeded limit=deadline")) {
			continue
		}
		name := strings.TrimSuffix(source, ".wat")
		wasm, err := os.ReadFile(name + ".wasm")
		if err != nil {
			b.Fatal(err)
		}
		p, err := e.Compile(b.Context(), wasm, engine.Options{Modules: []string{abi.ModuleKernel}, Limits: limits})
		if err != nil {
			b.Fatalf("%s: %v", name, err)
		}
		plugins[filepath.Base(name)] = p
	}
	return plugins
}

// stopLag cancels a call that has gone on for a while, and returns the
// milliseconds until it ended. A module may meet another limit before that.
func stopLag(b *testing.B, p *engine.Plugin, after time.Duration) (ms float64, cancelled bool) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Call(ctx, engine.Call{Dispatch: func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		ended <- err
	}()
	select {
	case <-ended:
		return 0, false
	case <-time.After(after):
	}
	start := time.Now()
	cancel()
	err := <-ended
	return time.Since(start).Seconds() * 1e3, abi.CodeOf(err) == abi.CodeCanceled
}

// BenchmarkGCPause collects garbage while eight guests compute without end, and
// gives the longest that the world was stopped, and being stopped, for one
// collection: every goroutine has to stop, and a guest does so only where it
// leaves for the host.
func BenchmarkGCPause(b *testing.B) {
	p := ours(b, engine.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := p.call(ctx, toolSpin, `{"turns":1000000000000000}`); abi.CodeOf(err) != abi.CodeCanceled {
				b.Errorf("a guest ended with %v", err)
			}
		})
	}
	var pauses, marked []float64
	for b.Loop() {
		start := time.Now()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		pauses = append(pauses, float64(m.PauseNs[(m.NumGC+255)%256])/1e6)
		marked = append(marked, time.Unix(0, int64(m.LastGC)).Sub(start).Seconds()*1e3)
	}
	cancel()
	wg.Wait()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(pauses), "median-ms")
	b.ReportMetric(median(marked), "marked-ms") // while the world goes on
	figure("engine/gc-pause-ms", slices.Max(pauses))
}
