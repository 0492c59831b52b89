package sdk

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// A function is what a Task runs.
type function struct {
	ctx    Context // that it was started in
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once it is done
}

func (f *function) started() *function { return f }

// newFunction returns a function and the context to run it in.
func newFunction(ctx Context) (Context, *function) {
	f := &function{ctx: ctx, done: make(chan struct{})}
	inner := ctx
	inner.Context, f.cancel = context.WithCancel(ctx)
	return inner, f
}

// run starts fn in a goroutine, which ends by itself or with the call.
func (f *function) run(ctx Context, fn func() error) {
	group := groupOf(ctx)
	if !group.add(f) {
		f.end(Errorf(abi.CodeCanceled, "the call has ended"))
		return
	}
	go func() {
		defer group.remove(f)
		err := error(Errorf(abi.CodePluginFailed, "a function that the tool started ended its goroutine"))
		defer func() {
			if v := recover(); v != nil {
				fmt.Fprintf(os.Stderr, "panic in a function that a tool started: %v\n\n%s", v, debug.Stack())
				err = Errorf(abi.CodePluginFailed, "a function that the tool started panicked: %s", bounded(fmt.Sprint(v))).
					WithHint("the plugin's stderr has the stack")
			}
			f.end(err)
		}()
		err = failure(fn())
	}()
}

func (f *function) end(err error) {
	f.err = err
	f.cancel()
	close(f.done)
}

// A group is the functions of one call.
type group struct {
	mu      sync.Mutex
	closed  bool
	running map[*function]bool
	ended   chan struct{} // of a closed group that had running ones: closed with the last
	parked  int           // how many goroutines wait for functions or for the host
	overlap operator      // nil until there was a function, and natively
}

// An operator carries out operations side by side.
type operator interface {
	invoke(ctx context.Context, op string, fn Import, req []byte) (abi.Frame, error)
}

type groupKey struct{}

// groupOf returns the group of a call's context, and one for a single use where
// there is no call, as in tests of a function by itself.
func groupOf(ctx context.Context) *group {
	if g, ok := ctx.Value(groupKey{}).(*group); ok && g != nil {
		return g
	}
	return &group{}
}

// add takes a function in, unless the call has ended.
func (g *group) add(f *function) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	if g.running == nil {
		g.running = map[*function]bool{}
	}
	g.running[f] = true
	if g.overlap == nil {
		g.overlap = newOperator(g)
	}
	return true
}

func (g *group) remove(f *function) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.running, f)
	if g.ended != nil && len(g.running) == 0 {
		close(g.ended)
	}
}

func (g *group) park() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parked++
}

func (g *group) unpark() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parked--
}

// endGrace is how long functions have to return once their contexts are over.
const endGrace = 5 * time.Second

// end cancels what is running, waits for it, and fails when it goes on.
func (g *group) end() error {
	g.mu.Lock()
	g.closed = true
	if len(g.running) == 0 {
		g.mu.Unlock()
		return nil
	}
	g.ended = make(chan struct{})
	for f := range g.running {
		f.cancel()
	}
	g.mu.Unlock()
	grace := time.NewTimer(endGrace)
	defer grace.Stop()
	select {
	case <-g.ended:
		return nil
	case <-grace.C:
		return Errorf(abi.CodePluginFailed, "functions that the tool started went on for %v after they were cancelled", endGrace).
			WithHint("a function that sdk.Go runs has to return when its context is over")
	}
}
