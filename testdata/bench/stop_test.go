package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// endless runs a hostile loop until ctx ends. It closes within when the loop
// has begun.
func endless(ctx context.Context, p plugin, loop string, within chan<- struct{}) error {
	_, err := p.call(ctx, toolHostile, fmt.Sprintf(`{"loop":%q}`, loop), func(context.Context, string, []byte) ([]byte, error) {
		close(within)
		return abi.EncodeFrame(struct{}{}, nil)
	})
	return err
}

// BenchmarkStopLag cancels calls that never end by themselves, at moments that
// they don't choose, and gives how long those of the worst loop went on, in nine
// cases of ten: the tenth tells what else the machine did.
func BenchmarkStopLag(b *testing.B) {
	p := ours(b, engine.Options{})
	worst := 0.0
	for _, loop := range []string{"spin", "fill", "copy", "recurse", "random", "sleep", "poll"} {
		b.Run(loop, func(b *testing.B) {
			var lags []float64
			for b.Loop() {
				lags = append(lags, stopLag(b, p, loop, time.Duration(1+len(lags)%17)*time.Millisecond))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(lags), "median-ms")
			b.ReportMetric(slices.Max(lags), "worst-ms")
			worst = max(worst, quantile(lags, 0.9))
		})
	}
	figure("engine/stop-lag-ms", worst)
}

// stopLag cancels a call when its loop has gone on for a while, and returns the
// milliseconds until it ended.
func stopLag(b *testing.B, p plugin, loop string, after time.Duration) float64 {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	within, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- endless(ctx, p, loop, within) }()
	select {
	case <-within:
	case err := <-ended:
		b.Fatalf("%s ended before it began: %v", loop, err)
	}
	<-time.After(after)
	start := time.Now()
	cancel()
	err := <-ended
	lag := time.Since(start)
	if abi.CodeOf(err) != abi.CodeCanceled {
		b.Fatalf("%s ended with %v", loop, err)
	}
	return lag.Seconds() * 1e3
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
		within := make(chan struct{})
		wg.Go(func() {
			if err := endless(ctx, p, "spin", within); abi.CodeOf(err) != abi.CodeCanceled {
				b.Errorf("a guest ended with %v", err)
			}
		})
		<-within
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
