package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// figure prints a line for machines to read.
func figure(name string, value float64) { fmt.Printf("FIGURE %s %.3f\n", name, value) }

var (
	built   = map[string][]byte{}
	builtMu sync.Mutex
)

// guest builds one of the module's guests, or any package by its path, and
// returns the module. Every guest is built the same way.
func guest(b *testing.B, pkg string) []byte {
	b.Helper()
	builtMu.Lock()
	defer builtMu.Unlock()
	if wasm, ok := built[pkg]; ok {
		return wasm
	}
	_, here, _, _ := runtime.Caller(0)
	out := filepath.Join(filepath.Dir(here), "..", "..", "build", "bench", filepath.Base(pkg)+".wasm")
	cmd := exec.CommandContext(b.Context(), "go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("building %s: %v\n%s", pkg, err, said)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		b.Fatal(err)
	}
	built[pkg] = wasm
	return wasm
}

// A side is one of the things that are compared.
type side struct {
	name string
	row  int // how many follow one another: enough for the processor's caches to be the side's own
	do   func() error
}

// compare runs the sides in turns for as long as the benchmark lasts, reports
// what each takes, and returns the medians in seconds. On a busy machine that is
// what a side takes where nobody interrupts it.
func compare(b *testing.B, sides ...side) []float64 {
	b.Helper()
	times := make([][]float64, len(sides))
	first := 0
	turn := func() {
		first++ // nobody always follows the same
		for i := range sides {
			i = (i + first) % len(sides)
			for range sides[i].row {
				start := time.Now()
				err := sides[i].do()
				times[i] = append(times[i], time.Since(start).Seconds())
				if err != nil {
					b.Fatalf("%s: %v", sides[i].name, err)
				}
			}
		}
	}
	for range 3 { // what the first turns meet, none later does
		turn()
	}
	for i := range times {
		times[i] = nil
	}
	for b.Loop() {
		turn()
	}
	medians := make([]float64, len(sides))
	for i, s := range sides {
		medians[i] = median(times[i])
		b.ReportMetric(medians[i]*1e6, s.name+"-µs")
	}
	b.ReportMetric(0, "ns/op") // of a turn: it says nothing
	return medians
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile returns the value that a share of the values is below.
func quantile(values []float64, share float64) float64 {
	slices.Sort(values)
	return values[int(share*float64(len(values)))]
}
