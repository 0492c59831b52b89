package sdk

import (
	"context"
	"unsafe"

	"github.com/sallyport-dev/sallyport/abi"
)

// What the host reads after an export has returned has to stay where it is.
var (
	arena  []byte // the host writes requests here
	answer []byte // the frame the last export answered with
)

//go:wasmexport sallyport_v1_arena
func exportArena(n uint32) unsafe.Pointer {
	if n > abi.MaxFrameBytes {
		return nil
	}
	if int(n) > len(arena) {
		arena = make([]byte, n)
	}
	if len(arena) == 0 {
		arena = make([]byte, 1) // a pointer of our own, even for nothing
	}
	return unsafe.Pointer(&arena[0])
}

//go:wasmexport sallyport_v1_describe
func exportDescribe() uint64 {
	warm()
	return reply(append(answer[:0], Describe()...))
}

//go:wasmexport sallyport_v1_call
func exportCall(tool, n uint32) uint64 {
	reseed()
	if cap(answer) > keptBytes {
		answer = nil
	}
	// A length beyond the arena is the host's mistake; what is there answers
	// for it as a truncated frame.
	frame := arena[:min(int(n), len(arena))]
	return reply(appendAnswer(answer[:0], context.Background(), tool, frame))
}

func reply(frame []byte) uint64 {
	answer = frame
	return abi.Pack(uint32(uintptr(unsafe.Pointer(&answer[0]))), uint32(len(answer)))
}

// abandon traps: functions that don't end would go on in the next call.
func abandon(err error) { panic(err) }
