package engine

import (
	"context"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// fuelSlice is the work, in units of fuel, that a guest does between two looks
// at its time: a fraction of a millisecond, in which Go's collector waits for
// it.
const fuelSlice = 100_000

// yieldEvery is how long a guest computes before it gives way to others.
const yieldEvery = time.Millisecond

var checkpointSignature = wasm.Signature{Params: i64 + i64, Results: i64}

// checkpoint is the function that a metered guest calls when it has used up
// its slice:
//
//	(fuel i64, depth i64) → fuel i64
//
// It gets what is left of the slice, which is below zero, and of the stack, and
// gives the next slice. Being a function of Go's, it is a place where the
// scheduler and the collector can have the thread.
func checkpoint(ctx context.Context, _ api.Module, stack []uint64) {
	s := stateOf(ctx)
	s.settle(int64(stack[0]))
	s.sawDepth(int64(stack[1]))
	s.checkTime()
	if time.Since(s.yielded) > yieldEvery {
		// Or else each sweep of the collector's, and every other goroutine,
		// waits for the scheduler to take the thread by force.
		runtime.Gosched()
		s.yielded = time.Now()
	}
	stack[0] = uint64(s.refill())
}

// settle takes what was used of the slice from the budget.
func (s *state) settle(left int64) {
	used := s.slice - left
	s.slice = left
	s.budget.takeFuel(used)
}

// refill gives the next slice, never more than the fuel that is left.
func (s *state) refill() int64 {
	s.slice = min(fuelSlice, s.budget.fuelLeft())
	return s.slice
}

// sawDepth notes how much of the stack is left, and ends a guest that has none.
func (s *state) sawDepth(left int64) {
	s.stackLeft = min(s.stackLeft, left)
	if left < 0 {
		panic(&limitReached{overLimit(abi.CodeResourceExhausted, "stack_kib",
			"the call's stack took more than its limit of %d KiB", s.budget.limits.StackKiB)})
	}
}
