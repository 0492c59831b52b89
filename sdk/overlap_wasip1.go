package sdk

import (
	"bytes"
	"context"
	"encoding/binary"
	"maps"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"github.com/sallyport-dev/sallyport/abi"
)

// They are here and not with the other imports, so that a plugin that never
// calls Go doesn't ask for them.

//go:wasmimport sallyport:call wait
func wasmWait(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:call cancel
func wasmCancel(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

var (
	importWait   Import = wasmWait
	importCancel Import = wasmCancel
)

// An overlap carries out operations of a call side by side: each is a task of
// the host's, and its goroutine waits. A sandbox has one thread, which stands
// still inside the host's wait, so one of the goroutines that wait enters it
// for all of them, after the others had their turn.
type overlap struct {
	group  *group
	places chan struct{} // one for each task that may be started
	turn   chan struct{} // taken by who enters the host's wait
	tasks  map[uint32]*task
	pauses int // waits since something began or ended
}

// A task is an operation under way. When nobody waits for it any more it keeps
// its place until the host has ended it.
type task struct {
	done  chan struct{}
	frame abi.Frame
	err   error
}

func newOperator(g *group) operator {
	o := &overlap{group: g, places: make(chan struct{}, abi.MaxTasks), turn: make(chan struct{}, 1), tasks: map[uint32]*task{}}
	for range abi.MaxTasks {
		o.places <- struct{}{}
	}
	return o
}

func (o *overlap) invoke(ctx context.Context, op string, fn Import, req []byte) (abi.Frame, error) {
	o.group.park()
	defer o.group.unpark()
	if err := o.until(ctx, o.places); err != nil {
		return abi.Frame{}, err
	}
	n, err := startTask(op, fn, req)
	if err != nil {
		o.places <- struct{}{}
		return abi.Frame{}, err
	}
	t := &task{done: make(chan struct{})}
	o.tasks[n] = t
	o.pauses = 0
	if err := o.until(ctx, t.done); err != nil {
		_, _ = call(abi.OpCallCancel, importCancel, abi.CancelRequest{Task: n}) // it ends, or has ended
		return abi.Frame{}, err
	}
	return t.frame, t.err
}

// startTask asks the host for an operation and doesn't wait for its end.
func startTask(op string, fn Import, req []byte) (uint32, error) {
	f, err := exchangeAlone(op, fn, async(req))
	if err != nil {
		return 0, err
	}
	var t abi.Task
	if err := f.Decode(&t); err != nil {
		return 0, err
	}
	if t.Task == 0 {
		return 0, Errorf(abi.CodeInternal, "%s: the host didn't begin a task", op)
	}
	return t.Task, nil
}

// async returns a request with "async": true at the end of its header.
func async(req []byte) []byte {
	end := 4 + binary.LittleEndian.Uint32(req)
	header := bytes.TrimRight(req[4:end], " \t\r\n")
	header = header[:len(header)-1]
	frame := append(make([]byte, 4, len(req)+16), header...)
	if len(bytes.TrimRight(header, " \t\r\n")) > 1 {
		frame = append(frame, ',')
	}
	frame = append(frame, `"async":true}`...)
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-4))
	return append(frame, req[end:]...)
}

// until waits until it can receive from ready. It fails with the context's
// error.
func (o *overlap) until(ctx context.Context, ready <-chan struct{}) error {
	for {
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return contextError(ctx)
		case o.turn <- struct{}{}:
		}
		runtime.Gosched() // the others' turn, of which one may have been waited for
		select {
		case <-ready:
			<-o.turn
			return nil
		default:
		}
		if ctx.Err() == nil {
			o.collect()
		}
		<-o.turn
	}
}

// collect enters the host's wait for all tasks, and passes on what the first to
// end has ended with.
func (o *overlap) collect() {
	req := abi.WaitRequest{Tasks: slices.Sorted(maps.Keys(o.tasks)), TimeoutMS: o.pause().Milliseconds()}
	f, err := call(abi.OpCallWait, importWait, req)
	if abi.CodeOf(err) == abi.CodeDeadlineExceeded {
		o.pauses++
		return
	}
	o.pauses = 0
	var resp abi.WaitResponse
	if err == nil {
		err = f.Decode(&resp)
	}
	if err == nil && o.tasks[resp.Task] == nil {
		err = Errorf(abi.CodeInternal, "%s: the host answered for task %d, which wasn't asked for", abi.OpCallWait, resp.Task)
	}
	if err != nil {
		for n := range o.tasks {
			o.ended(n, abi.Frame{}, err)
		}
		return
	}
	if resp.Error != nil {
		err = resp.Error
	}
	o.ended(resp.Task, abi.Frame{Header: resp.Response, Body: f.Body}, err)
}

func (o *overlap) ended(n uint32, f abi.Frame, err error) {
	t := o.tasks[n]
	delete(o.tasks, n)
	t.frame, t.err = f, err
	close(t.done)
	o.places <- struct{}{}
}

// pause is how long to stay in the host's wait. Somebody else may have
// something to do by then: soon where a function is neither waiting here nor
// ended, as when it sleeps; else when a timer cancels something.
func (o *overlap) pause() time.Duration {
	if o.group.busy() {
		return time.Millisecond << min(o.pauses, 3)
	}
	return 50 * time.Millisecond << min(o.pauses, 2)
}

// busy says whether some goroutine may have something to do while others wait.
func (g *group) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.parked < 1+len(g.running)
}

// beside returns what carries out operations while functions are running, nil
// while none is.
func (g *group) beside() operator {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.running) == 0 {
		return nil
	}
	return g.overlap
}

// call calls one of the call's own functions, which are never tasks.
func call(op string, fn Import, header any) (abi.Frame, error) {
	req, err := abi.EncodeFrame(header, nil)
	if err != nil {
		return abi.Frame{}, err
	}
	return exchangeAlone(op, fn, req)
}
