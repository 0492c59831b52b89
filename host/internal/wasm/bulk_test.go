package wasm_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// mover is a guest of so many pages that copies and fills as it is told.
func mover(pages int) []byte {
	three := get(0) + get(1) + get(2)
	return (&guest{memory: "\x01" + leb(pages) + leb(pages), funcs: []function{
		{export: "copy", params: i32 + i32 + i32, code: three + memoryCopy},
		{export: "fill", params: i32 + i32 + i32, code: three + memoryFill},
	}}).encode()
}

func TestBulkOperationsDoWhatTheyDid(t *testing.T) {
	const pages = 80
	const size, mib = pages << 16, 1 << 20
	original, rewritten := stageOriginal(t, mover(pages)), stage(t, mover(pages))
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, size)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	type operation struct{ a, b, n uint64 }
	operations := []operation{
		{0, 0, 0}, {0, 1, 1}, {5, 5, 3 * mib}, {0, 1, 3 * mib}, {1, 0, 3 * mib}, {100, mib, 3*mib + 7}, {mib, 100, 3*mib + 7},
		{mib - 1, 0, mib}, {0, mib - 1, mib + 1}, {0, 3, size - 3}, {3, 0, size - 3}, {size, 0, 0}, {0, size, 0},
		{size + 1, 0, 0}, {0, size + 1, 0}, {1, 0, size}, {0, 1, size}, {size - 10, 0, 11}, {0, 0, 1 << 31}, {1<<32 - 1, 1<<32 - 1, 1<<32 - 1},
		{0, 1<<32 - 1, 2 * mib}, {1<<32 - 1, 0, 2 * mib}, {0, 0, 1<<32 - 1},
	}
	for range 30 {
		operations = append(operations, operation{random.Uint64N(size), random.Uint64N(size), random.Uint64N(size)})
	}
	for _, export := range []string{"copy", "fill"} {
		for _, o := range operations {
			original.Memory().Write(0, noise)
			rewritten.Memory().Write(0, noise)
			_, wantErr := original.ExportedFunction(export).Call(t.Context(), o.a, o.b, o.n)
			_, gotErr := rewritten.try(1<<20, export, o.a, o.b, o.n)
			if text(wantErr) != text(gotErr) {
				t.Fatalf("%s(%d, %d, %d) came to %v, want %v", export, o.a, o.b, o.n, gotErr, wantErr)
			}
			want, _ := original.Memory().Read(0, size)
			got, _ := rewritten.Memory().Read(0, size)
			if !bytes.Equal(want, got) {
				t.Fatalf("%s(%d, %d, %d) left something else", export, o.a, o.b, o.n)
			}
		}
	}
}

func TestBulkOperationsAreChargedByTheirLength(t *testing.T) {
	s := stage(t, mover(80))
	for _, export := range []string{"copy", "fill"} {
		for _, n := range []uint64{0, 100, 1 << 20, 3<<20 + 5} {
			used, checks := s.meter.used, s.meter.checks
			s.call(export, 8, 0, n)
			if got, want := s.meter.used-used, int64(n)/wasm.BulkUnit; got < want || got > want+20 {
				t.Errorf("%s of %d bytes costs %d units, want %d", export, n, got, want)
			}
			if got, want := s.meter.checks-checks, int(n/wasm.Chunk); got < want {
				t.Errorf("%s of %d bytes is checked %d times, want %d", export, n, got, want)
			}
		}
	}
}

func TestWhatTakesALengthIsChargedForIt(t *testing.T) {
	zeros := i32Const(0) + i32Const(0)
	g := guest{memory: "\x00\x10", tables: []string{"\x70\x00" + leb(100_000), "\x70\x00" + leb(100_000)},
		funcs: []function{
			{export: "memory.init", params: i32, code: zeros + get(0) + "\xfc\x08\x00\x00"},
			{export: "memory.grow", params: i32, code: get(0) + "\x40\x00" + drop},
			{export: "table.init", params: i32, code: zeros + get(0) + "\xfc\x0c\x00\x00"},
			{export: "table.copy", params: i32, code: zeros + get(0) + "\xfc\x0e\x01\x00"},
			{export: "table.fill", params: i32, code: i32Const(0) + "\xd0\x70" + get(0) + "\xfc\x11\x00"},
			{export: "table.grow", params: i32, code: "\xd0\x70" + get(0) + "\xfc\x0f\x00" + drop},
		},
		raw: map[byte]string{
			9:  "\x01\x01\x00" + leb(50_000) + strings.Repeat("\x00", 50_000),
			11: "\x01\x01" + vec(strings.Repeat("x", 400_000)),
			12: "\x01",
		}}
	s := stage(t, g.encode())
	for export, want := range map[string]int64{
		"memory.init": 400_000 / wasm.BulkUnit, "memory.grow": 1_000,
		"table.init": 50_000, "table.copy": 50_000, "table.fill": 50_000, "table.grow": 50_000,
	} {
		n := map[string]uint64{"memory.init": 400_000, "memory.grow": 1_000}[export]
		if n == 0 {
			n = 50_000
		}
		used := s.meter.used
		s.call(export, n)
		if got := s.meter.used - used; got < want || got > want+20 {
			t.Errorf("%s of %d costs %d units, want %d", export, n, got, want)
		}
	}
	if _, err := s.try(1<<20, "memory.init", 400_001); err == nil || !strings.Contains(err.Error(), "out of bounds memory access") {
		t.Errorf("memory.init beyond its segment came to %v", err)
	}
}

func TestTablesGrowNoFurtherThanAllTogetherMay(t *testing.T) {
	grow := func(table int) function {
		return function{export: fmt.Sprint(table), params: i32, results: i32, code: "\xd0\x70" + get(0) + "\xfc\x0f" + leb(table)}
	}
	s := stage(t, (&guest{tables: []string{"\x70\x00\x0a", "\x70\x01\x00\x64"}, funcs: []function{grow(0), grow(1)}}).encode())
	s.set(wasm.ExportTables, 150)
	for i, step := range []struct {
		table string
		n     uint64
		want  int32
		left  int64
	}{
		{"0", 151, -1, 150},
		{"0", 1<<32 - 1, -1, 150},
		{"1", 101, -1, 150}, // its own maximum
		{"1", 100, 0, 50},
		{"0", 51, -1, 50},
		{"0", 50, 10, 0},
		{"0", 0, 60, 0},
		{"0", 1, -1, 0},
	} {
		if got := int32(s.call(step.table, step.n)); got != step.want || s.get(wasm.ExportTables) != step.left {
			t.Errorf("step %d: table %s grown by %d is %d, want %d; %d are left, want %d", i, step.table, step.n, got, step.want, s.get(wasm.ExportTables), step.left)
		}
	}
}

func TestWhatHasNoMaximumGetsOne(t *testing.T) {
	s := stage(t, (&guest{memory: "\x00\x01", tables: []string{"\x70\x00\x01", "\x70\x01\x01\x05"}, funcs: []function{
		{export: "table", params: i32, results: i32, code: "\xd0\x70" + get(0) + "\xfc\x0f\x00"},
		{export: "bounded", params: i32, results: i32, code: "\xd0\x70" + get(0) + "\xfc\x0f\x01"},
	}}).encode())
	s.set(wasm.ExportTables, 1<<40)
	if got := int32(s.call("table", abi.MaxTableElements)); got != -1 {
		t.Errorf("a table goes beyond %d elements", abi.MaxTableElements)
	}
	if got := int32(s.call("bounded", 5)); got != -1 {
		t.Error("a table goes beyond its maximum")
	}
	if most, ok := s.ExportedMemoryDefinitions()["memory"].Max(); !ok || most != 65_535 {
		t.Errorf("the memory's maximum is %d, %v", most, ok)
	}
}

// stageOriginal makes an instance of a guest as it is.
func stageOriginal(t testing.TB, original []byte) api.Module {
	t.Helper()
	rt := newRuntime(t)
	m, err := rt.Instantiate(t.Context(), original)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
