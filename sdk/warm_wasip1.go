package sdk

import (
	"context"
	"runtime"
	"unsafe"

	"github.com/sallyport-dev/sallyport/abi"
)

// Every call may start from a copy of the memory as it was after describe. So
// describe leaves there what calls would otherwise all do for the first time.

const (
	warmArena  = 64 << 10 // most requests fit
	warmAnswer = 64 << 10
)

// warm does what a call does, as far as nobody outside can tell.
func warm() {
	if len(arena) == 0 { // else it is the host's
		exportArena(warmArena)
	}
	if cap(answer) < warmAnswer {
		answer = make([]byte, 0, warmAnswer)
	}
	pending.Lock()
	pending.ready()
	pending.Unlock()
	warmCalls()
	// What is garbage now is no call's to collect, and the next collection is
	// as far away as it can be. It takes the allocator's free places with it,
	// and a part of the stack: hence once more.
	runtime.GC()
	warmCalls()
	if runtimes == nil {
		runtimes = findGenerator(unsafe.Pointer(&arena[0]))
	}
	reseed()
}

func warmCalls() {
	type object struct {
		Text string   `json:"text"`
		N    int      `json:"n"`
		List []string `json:"list,omitempty"`
	}
	registered := tools
	defer func() { tools = registered }()
	tools = nil
	Tool("warm", "Is called once, and by nobody.", func(_ Context, in object) (object, error) { return in, nil })
	tools = append(tools, registered...)
	frame, err := abi.EncodeFrame(abi.CallRequest{
		Tool: "warm", Session: "session", Call: "call", DeadlineMS: 60_000, Arguments: []byte(`{"text":"text","n":1,"list":["a","b"]}`),
	}, nil)
	if err != nil {
		panic(err)
	}
	for range 3 {
		n := copy(arena, frame)
		answer = appendAnswer(answer[:0], context.Background(), 0, arena[:n])
		for _, t := range registered {
			t.warm()
		}
	}
}
