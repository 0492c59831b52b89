package bench

import (
	"context"
	"fmt"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// BenchmarkForkRSS holds calls of the python plugin in the middle of running
// code, and gives what each adds to the memory that is resident. A page of the
// snapshot is resident once, however many map it; the process's RSS counts it
// for each, and is reported besides.
func BenchmarkForkRSS(b *testing.B) {
	const most = 64
	p, err := newEngine(b, engine.Config{}).Compile(b.Context(),
		guest(b, "github.com/sallyport-dev/sallyport/plugins/python"),
		engine.Options{Modules: []string{abi.ModuleKernel}, Limits: limits})
	if err != nil {
		b.Fatal(err)
	}
	frame, err := abi.EncodeFrame(abi.CallRequest{Tool: "run", Session: "s", Call: "c", Arguments: []byte(`{"code":"1+1"}`)}, nil)
	if err != nil {
		b.Fatal(err)
	}
	// held runs do while n calls are under way.
	held := func(n int, do func()) {
		within, release := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				_, err := p.Call(context.Background(), engine.Call{Request: frame, Dispatch: func(context.Context, string, []byte) ([]byte, error) {
					within <- struct{}{}
					<-release
					return nil, abi.Errorf(abi.CodeUnavailable, "there is no kernel")
				}})
				if err != nil {
					b.Error(err)
				}
			})
		}
		for range n {
			<-within
		}
		do()
		close(release)
		wg.Wait()
	}
	var rss, pss []float64
	for b.Loop() {
		var few, many memory
		held(1, func() { few = resident(b) })
		held(most, func() { many = resident(b) })
		rss = append(rss, (many.rss-few.rss)/(most-1))
		pss = append(pss, (many.pss-few.pss)/(most-1))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rss), "process-RSS-kB")
	figure("engine/fork-rss-kb", median(pss))
}

// memory is what the process holds, in kB: resident pages, and those with each
// page counted once.
type memory struct{ rss, pss float64 }

func resident(b *testing.B) memory {
	b.Helper()
	debug.FreeOSMemory()
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		b.Fatal(err)
	}
	var m memory
	for line := range strings.Lines(string(rollup)) {
		for name, value := range map[string]*float64{"Rss:": &m.rss, "Pss:": &m.pss} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				if _, err := fmt.Sscan(rest, value); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	return m
}

// BenchmarkStartCached is the admission of a large plugin by a host that was
// started anew and finds in its cache what the one before made.
func BenchmarkStartCached(b *testing.B) {
	wasm := guest(b, "./guests/office")
	dir := path.Join(b.TempDir(), "cache")
	start := func() error {
		e, err := engine.New(engine.Config{CacheDir: dir})
		if err != nil {
			return err
		}
		if _, err := e.Compile(context.Background(), wasm, engine.Options{Limits: limits}); err != nil {
			return err
		}
		return e.Close(context.Background())
	}
	m := compare(b, side{"ours", 1, start})
	b.ReportMetric(float64(len(wasm))/1e6, "MB")
	figure("engine/start-cached-ms", m[0]*1e3)
}
