package wasm

import "github.com/sallyport-dev/sallyport/abi"

// Bounds on the code. What compiling takes of time and memory is the host's and
// counted by nobody, and of some shapes it grows with their square. A program
// of 20 MB that a compiler wrote comes to about an eighth of each.
const (
	maxFunctionBytes = 7_654_321
	maxLocals        = 50_000
	maxAllLocals     = 1 << 24 // of all functions together
	maxNesting       = 10_000
	maxHeight        = 50_000  // operands at a time
	maxTargets       = 100_000 // of one br_table

	maxWeight    = 4 << 20 // about 1 GiB that compiling one function takes
	maxAllWeight = 192 << 20
	maxTangle    = 1 << 33 // about ten seconds of compiling
	maxAllTangle = 1 << 35
)

// What some instructions weigh for the compiler besides the one of each: a unit
// is about 250 bytes that it takes, and a quarter of a microsecond.
const (
	weightMemory   = 18 // a load or a store
	weightTrap     = 28 // what may trap and is neither
	weightBlock    = 36 // what divides the code
	weightLoop     = 100
	weightCall     = 10
	weightIndirect = 46
	weightValue    = 2 // that goes along with a call or a branch
	weightBulk     = 120
)

// judge holds the function against what compiling it may take. Its blocks
// count by their square, and by that of the locals that may be different in
// each; loops by the square of the locals that vary in them.
func (w *walk) judge() {
	vars := w.uses.wandering + w.mutable
	tangle := w.blocks*(16*w.blocks+vars*vars) + 3*w.uses.varying*w.uses.varying
	w.allWeight += w.weight
	w.allTangle += tangle
	switch {
	case w.err != nil:
	case w.weight > maxWeight:
		w.exceeds("its code is more than can be compiled at once")
	case tangle > maxTangle:
		w.exceeds("it is too tangled to be compiled: it has %d blocks and %d locals that go from one to another", w.blocks, w.uses.wandering)
	case w.allWeight > maxAllWeight:
		w.exceeds("with it the module has more code than can be compiled")
	case w.allTangle > maxAllTangle:
		w.exceeds("with it the module is too tangled to be compiled: its functions have too many blocks and locals")
	}
	if w.err != nil && w.err.Code == abi.CodeResourceExhausted && w.err.Hint == "" {
		w.err.Hint = "divide the function, or build with optimization"
	}
}
