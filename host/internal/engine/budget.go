package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/abi"
)

// A budget is what a call may still take of the host. What it takes counts
// towards the calls that it is made within, too. It is safe for concurrent
// use, because operations of a call may make calls side by side.
type budget struct {
	limits abi.Limits
	parent *budget // of the call that made this one; nil where an agent did

	fuel, hostCalls, hostBytes atomic.Int64 // taken
}

// limitReached is the panic that ends a guest which took more than a limit.
type limitReached struct{ err *abi.Error }

func (e *limitReached) Error() string { return e.err.Error() }
func (e *limitReached) Unwrap() error { return e.err }

// overLimit is the error of reaching a limit. The message says which and how
// much it is, the hint how to get along with it or to get more.
func overLimit(code abi.Code, name, format string, args ...any) *abi.Error {
	e := abi.Errorf(code, format, args...).WithHint("do less in one call, or raise limits.%s", name)
	e.Limit = name
	return e
}

// take adds n to one counter of the budget and of those around it, and panics
// with limitReached where one is exceeded.
func (b *budget) take(n int64, counter func(*budget) (*atomic.Int64, int64), name, unit string) {
	for at := b; at != nil; at = at.parent {
		taken, limit := counter(at)
		if taken.Add(n) <= limit {
			continue
		}
		whose := "the call"
		if at != b {
			whose = "the call, with those it was made within,"
		}
		panic(&limitReached{overLimit(abi.CodeResourceExhausted, name, "%s took more than its limit of %d %s", whose, limit, unit)})
	}
}

func (b *budget) takeFuel(n int64) {
	b.take(n, func(b *budget) (*atomic.Int64, int64) { return &b.fuel, b.limits.Fuel }, "fuel", "units of fuel")
}

func (b *budget) takeHostCall() {
	b.take(1, func(b *budget) (*atomic.Int64, int64) { return &b.hostCalls, b.limits.HostCalls }, "host_calls", "calls of host functions")
}

func (b *budget) takeHostBytes(n int) {
	b.take(int64(n), func(b *budget) (*atomic.Int64, int64) { return &b.hostBytes, b.limits.HostBytes }, "host_bytes", "bytes through host functions")
}

// fuelLeft is what the call and those around it have left, never less than
// nothing.
func (b *budget) fuelLeft() int64 {
	left := max(b.limits.Fuel-b.fuel.Load(), 0)
	if b.parent != nil {
		left = min(left, b.parent.fuelLeft())
	}
	return left
}

// budgetOf returns the budget of the call whose Dispatch got ctx, nil where
// there is none.
func budgetOf(ctx context.Context) *budget {
	if s, ok := ctx.Value(stateKey{}).(*state); ok {
		return s.budget
	}
	return nil
}

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20) }
