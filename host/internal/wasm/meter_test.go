package wasm_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// between is how much work may lie between two checks within a function.
const between = 40_000

// countdown is code that runs body n times, n being the local 0.
func countdown(body string) string {
	return loop + body + get(0) + i32Const(1) + sub32 + tee(0) + brIf(0) + end
}

// work is code of n units that leaves nothing.
func work(n int) string { return strings.Repeat(i32Const(1)+drop, n/2) }

// recursion is a function that calls itself n times, n being its parameter,
// between before and after.
func recursion(before, after string) function {
	return function{export: "run", params: i32, code: get(0) + isZero + ifThen + "\x0f" + end + before +
		get(0) + i32Const(1) + sub32 + call(0) + after}
}

func TestWorkIsCounted(t *testing.T) {
	leaf := function{code: work(50)}
	for _, test := range []struct {
		name        string
		guest       guest
		n           uint64
		least, most int64 // units
	}{
		{"a line", guest{funcs: []function{{export: "run", params: i32, code: work(1000)}}}, 0, 990, 1000},
		{"a loop", guest{funcs: []function{{export: "run", params: i32, code: countdown(work(20))}}}, 10_000, 250_000, 260_000},
		{"a loop of calls", guest{funcs: []function{{export: "run", params: i32, code: countdown(call(1))}, leaf}}, 10_000, 550_000, 650_000},
		{"recursion", guest{funcs: []function{recursion(work(20), work(20))}}, 10_000, 450_000, 600_000},
		{"the longer half of an if", guest{funcs: []function{{export: "run", params: i32,
			code: countdown(get(0) + ifThen + work(100) + "\x05" + work(10) + end)}}}, 10_000, 1_000_000, 1_300_000},
		{"the shorter half of an if", guest{funcs: []function{{export: "run", params: i32,
			code: countdown(get(0) + isZero + ifThen + work(100) + "\x05" + work(10) + end)}}}, 10_000, 150_000, 350_000},
		{"what a branch skips", guest{funcs: []function{{export: "run", params: i32,
			code: countdown(block + get(0) + brIf(0) + work(1000) + end)}}}, 10_000, 50_000, 250_000},
		{"a switch", guest{funcs: []function{{export: "run", params: i32,
			code: countdown(block + block + block + get(0) + i32Const(1) + "\x71" + "\x0e\x01\x00\x01" + end + work(100) + br(1) + end + work(300) + end)}}}, 10_000, 2_000_000, 2_400_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := stage(t, test.guest.encode())
			s.call("run", test.n)
			if s.meter.used < test.least || s.meter.used > test.most {
				t.Errorf("%d units are charged, want %d to %d", s.meter.used, test.least, test.most)
			}
		})
	}
}

func TestChecksAreNeverFarApart(t *testing.T) {
	indirect := i32Const(0) + "\x11\x00\x00"
	leaf := function{code: work(200)}
	for _, test := range []struct {
		name  string
		guest guest
		n     uint64
		stack bool // the work of returns is bounded by the stack
	}{
		{name: "a long line", guest: guest{funcs: []function{{export: "run", params: i32, code: work(1_000_000)}}}},
		{name: "a loop around a long line", guest: guest{funcs: []function{{export: "run", params: i32, code: countdown(work(100_000))}}}, n: 10},
		{name: "a line of calls", guest: guest{funcs: []function{{export: "run", params: i32, code: strings.Repeat(call(1), 10_000)}, leaf}}},
		{name: "a line of calls through a table", guest: guest{
			tables: []string{"\x70\x00\x01"}, raw: map[byte]string{9: "\x01\x00" + i32Const(0) + end + "\x01\x00"},
			funcs: []function{leaf, {export: "run", params: i32, code: strings.Repeat(indirect, 10_000)}}}},
		{name: "a line of loops", guest: guest{funcs: []function{{export: "run", params: i32, code: strings.Repeat(loop+end+work(10), 2_000)}}}},
		{name: "branches over branches", guest: guest{funcs: []function{{export: "run", params: i32,
			code: strings.Repeat(block+get(0)+brIf(0)+work(50)+end, 3_000)}}}},
		{name: "calls", guest: guest{funcs: []function{recursion(work(100), "")}}, n: 20_000},
		{name: "returns", guest: guest{funcs: []function{recursion("", get(0)+ifThen+work(5_000)+end)}}, n: 20_000, stack: true},
		{name: "returns that do little", guest: guest{funcs: []function{recursion("", get(0)+ifThen+work(40)+end)}}, n: 20_000, stack: true},
		{name: "fills", guest: guest{memory: "\x00\x20", funcs: []function{{export: "run", params: i32,
			code: strings.Repeat(i32Const(0)+i32Const(1)+i32Const(2<<20)+"\xfc\x0b\x00", 50)}}}},
		{name: "copies", guest: guest{memory: "\x00\x30", funcs: []function{{export: "run", params: i32,
			code: strings.Repeat(i32Const(0)+i32Const(100)+i32Const(2<<20)+"\xfc\x0a\x00\x00"+
				i32Const(100)+i32Const(0)+i32Const(2<<20)+"\xfc\x0a\x00\x00", 25)}}}},
		{name: "copies of a table", guest: guest{tables: []string{"\x70\x00" + leb(100_000)}, funcs: []function{{export: "run", params: i32,
			code: strings.Repeat(i32Const(0)+i32Const(1)+i32Const(90_000)+"\xfc\x0e\x00\x00", 50)}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := stage(t, test.guest.encode())
			s.call("run", test.n)
			bound := int64(between + wasm.Chunk/wasm.BulkUnit)
			if test.stack {
				bound += 8<<20 - s.meter.lowest
			}
			if s.meter.most > bound {
				t.Errorf("%d units lie between two checks, the bound is %d", s.meter.most, bound)
			}
		})
	}
}

func TestWhatNeverEndsIsEnded(t *testing.T) {
	through := func(n int) string { return i32Const(n) + "\x11\x00\x00" }
	table := func(fs ...function) guest {
		g := guest{tables: []string{"\x70\x00\x08"}, funcs: fs}
		all := ""
		for i := range fs {
			all += leb(i)
		}
		g.raw = map[byte]string{9: "\x01\x00" + i32Const(0) + end + leb(len(fs)) + all}
		return g
	}
	for name, g := range map[string]guest{
		"a loop":                     {funcs: []function{{export: "run", code: loop + br(0) + end}}},
		"a loop within a loop":       {funcs: []function{{export: "run", code: loop + loop + br(1) + end + end}}},
		"a loop by its switch":       {funcs: []function{{export: "run", code: loop + block + i32Const(0) + "\x0e\x01\x01\x00" + end + end + "\x00"}}},
		"a loop by a jump forward":   {funcs: []function{{export: "run", groups: 1, locals: "\x01" + i32, code: goJumps}}},
		"a loop that takes operands": {raw: map[byte]string{1: "\x02\x60\x00\x00\x60\x01" + i32 + "\x01" + i32, 3: "\x01\x00"}, funcs: []function{{export: "run", code: i32Const(1) + "\x03\x01" + br(0) + end + drop}}},
		"a loop around all":          {funcs: []function{{export: "run", code: loop + i32Const(1) + brIf(0) + end}}},
		"calls that double":          {funcs: []function{recursion(get(0)+i32Const(1)+sub32+call(0), "")}},
		"calls through a table":      table(function{export: "run", params: "", code: through(0) + through(0)}),
	} {
		t.Run(name, func(t *testing.T) {
			s := stage(t, g.encode())
			s.meter.left = 10_000_000
			var args []uint64
			if len(s.ExportedFunction("run").Definition().ParamTypes()) > 0 {
				args = []uint64{40}
			}
			if _, err := s.try(8<<20, "run", args...); !errors.Is(err, errNoFuel) && !errors.Is(err, errNoStack) {
				t.Errorf("it came to %v", err)
			}
		})
	}
}

// goJumps is a function as Go compiles one: a loop that begins with a switch,
// in which a block jumps forward and the next one back.
var goJumps = loop + block + block + get(0) + "\x0e\x01\x00\x01" + end +
	i32Const(1) + set(0) + br(1) + end +
	i32Const(0) + set(0) + br(0) + end

func TestRecursionEndsWhereTheStackDoes(t *testing.T) {
	var values strings.Builder // many values that live across calls
	for i := range 200 {
		values.WriteString(get(0) + i32Const(i) + add32)
	}
	many := values.String() + get(0) + call(0) + strings.Repeat(add32, 199) + drop
	redefined := strings.Repeat(get(1)+get(0)+add32+set(1)+get(0)+call(1), 500)
	empty := function{params: i32}
	for name, g := range map[string]guest{
		"a plain one":            {funcs: []function{{export: "run", params: i32, code: get(0) + call(0)}}},
		"one with many operands": {funcs: []function{{export: "run", params: i32, code: many}}},
		"one with many locals": {funcs: []function{{export: "run", params: i32, groups: 1, locals: leb(1000) + i64,
			code: get(0) + call(0)}}},
		"one that sets a local between calls": {funcs: []function{{export: "run", params: i32, groups: 1, locals: "\x01" + i32,
			code: redefined + get(1) + call(0)}, empty}},
		"through a table": {tables: []string{"\x70\x00\x01"}, raw: map[byte]string{9: "\x01\x00" + i32Const(0) + end + "\x01\x00"},
			funcs: []function{{export: "run", params: i32, code: get(0) + i32Const(0) + "\x11\x00\x00"}}},
		"of two": {funcs: []function{{export: "run", params: i32, code: get(0) + call(1)}, {params: i32, code: get(0) + call(0)}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := stage(t, g.encode())
			// The runtime's own bound is beyond this, and would be another error.
			if _, err := s.try(32<<20, "run", 7); !errors.Is(err, errNoStack) {
				t.Errorf("it came to %v", err)
			}
		})
	}
}

func TestStackIsGivenBack(t *testing.T) {
	g := guest{funcs: []function{
		{export: "run", params: i32, code: countdown(call(1) + i32Const(0) + "\x11\x01\x00")},
		{code: call(2)},
		{code: call(3)},
		{},
	}, tables: []string{"\x70\x00\x01"}, raw: map[byte]string{9: "\x01\x00" + i32Const(0) + end + "\x01\x01"}}
	s := stage(t, g.encode())
	if _, err := s.try(4<<10, "run", 10_000); err != nil {
		t.Errorf("ten thousand calls of a few deep came to %v", err)
	}
}

func TestALeafNeedsNoStackAfterADeepCall(t *testing.T) {
	wide := function{params: i32, code: strings.Repeat(get(0), 250) + "\x0f"}
	g := guest{funcs: []function{recursion("", ""), {export: "both", params: i32, code: get(0) + call(0) + get(0) + call(2)}, wide}}
	s := stage(t, g.encode())
	n := uint64(1)
	for ; ; n++ { // as deep as it goes
		if _, err := s.try(20<<10, "both", n); err != nil {
			break
		}
	}
	s.meter.lowest = 0
	if _, err := s.try(20<<10, "both", n-1); err != nil || s.meter.lowest > 1<<10 {
		t.Errorf("with %d bytes left it came to %v", s.meter.lowest, err)
	}
	if _, err := s.try(20<<10, "run", n-1); err != nil {
		t.Errorf("alone it goes less deep: %v", err)
	}
	if _, err := s.try(20<<10, "run", n+10); err == nil {
		t.Error("it was the leaf that took what is left of the stack")
	}
}

func TestADeeperStackIsADeeperRecursion(t *testing.T) {
	s := stage(t, (&guest{funcs: []function{recursion("", "")}}).encode())
	reach := func(stack int64) (n uint64) {
		for n = 1; ; n *= 2 {
			if _, err := s.try(stack, "run", n); err != nil {
				if !errors.Is(err, errNoStack) {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	if small, large := reach(64<<10), reach(1<<20); large < 8*small {
		t.Errorf("with 64 KiB it goes %d deep, with 1 MiB %d", small, large)
	}
}

func TestTheRuntimeSeesTheSameFromGo(t *testing.T) {
	wasm := goGuest(t, "json")
	s := instantiate(t, wasm, unmetered)
	m := instantiate(t, wasm, metered)
	depth(m)
	a, err := s.ExportedFunction("roundTrip").Call(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.ExportedFunction("roundTrip").Call(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if a[0] == 0 || int32(a[0]) < 0 || a[0] != b[0] {
		t.Errorf("a Go program comes to %d, metered to %d", a[0], b[0])
	}
}
