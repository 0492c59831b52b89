//go:build wasip1

// Command probe is a guest that does what the engine's tests ask it to: a list
// of steps comes in the request, a list of what each came to goes back. It
// speaks the ABI by raw imports and exports, as the specification has them.
package main

import (
	"encoding/json"
	"errors"
	"syscall"
	"unsafe"

	"github.com/sallyport-dev/sallyport/abi"
)

func main() {}

//go:wasmimport sallyport:call response
func callResponse(ptr unsafe.Pointer, size uint32) int64

//go:wasmimport sallyport:call log
func callLog(req unsafe.Pointer, n uint32, resp unsafe.Pointer, size uint32) int64

//go:wasmimport sallyport:kernel execute
func kernelExecute(req unsafe.Pointer, n uint32, resp unsafe.Pointer, size uint32) int64

// Where the host writes requests, and the frame that it is to find.
var request, response []byte

//go:wasmexport sallyport_v1_arena
func arena(n uint32) unsafe.Pointer {
	request = make([]byte, max(n, 1))
	return unsafe.Pointer(&request[0])
}

//go:wasmexport sallyport_v1_describe
func describe() uint64 {
	return answer([]result{do(step{Op: "execute"}), do(step{Op: "stat", Path: "/upload"}), {Out: opening.Out, Reason: opening.Reason}})
}

//go:wasmexport sallyport_v1_call
func call(_, n uint32) uint64 {
	f, err := abi.DecodeFrame(request[:n])
	if err != nil {
		panic(err)
	}
	var asked struct{ Steps []step }
	if err := f.Decode(&asked); err != nil {
		panic(err)
	}
	results := make([]result, len(asked.Steps))
	for i, s := range asked.Steps {
		results[i] = do(s)
	}
	return answer(results)
}

func answer(results []result) uint64 {
	frame, err := abi.EncodeFrame(map[string]any{"results": results}, nil)
	if err != nil {
		panic(err)
	}
	response = frame
	return abi.Pack(uint32(uintptr(unsafe.Pointer(&frame[0]))), uint32(len(frame)))
}

// A step is one thing to do; which fields matter depends on Op.
type step struct {
	Op, Path, To, Data string
	Flag               int
	At                 int64
}

// A result is what a step came to.
type result struct {
	Out    string
	Error  string
	Errno  int
	Reason *abi.Error // what sallyport:call.response says after a failure
}

// opening is what an operation and a file came to in _initialize.
var opening result

func init() {
	r, f := do(step{Op: "execute"}), do(step{Op: "read", Path: "/output/f"})
	opening = result{Out: r.Out + " " + f.Error, Reason: f.Reason}
}

func do(s step) (r result) {
	act, ok := actions[s.Op]
	if !ok {
		panic("no such step: " + s.Op)
	}
	out, err := act(s)
	r.Out = out
	if err != nil {
		r.Error = err.Error()
		if no, ok := errors.AsType[syscall.Errno](err); ok {
			r.Errno = int(no)
		}
		r.Reason = reason()
	}
	return r
}

// reason fetches the pending response, where it is an error.
func reason() *abi.Error {
	n := callResponse(nil, 0)
	if n <= 0 {
		return nil
	}
	b := make([]byte, n)
	if callResponse(unsafe.Pointer(&b[0]), uint32(n)) != n {
		panic("a pending response changed its length")
	}
	f, err := abi.DecodeFrame(b)
	if err != nil {
		panic(err)
	}
	e := new(abi.Error)
	if json.Unmarshal(f.Header, e) != nil || e.Code == 0 {
		return nil
	}
	return e
}
