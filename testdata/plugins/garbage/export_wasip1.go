package main

import (
	"unsafe"

	"github.com/sallyport-dev/sallyport/abi"
)

// given keeps what the host reads after an export has returned.
var given []byte

//go:wasmexport sallyport_v1_arena
func arena(n uint32) unsafe.Pointer {
	given = make([]byte, n+1)
	return unsafe.Pointer(&given[0])
}

//go:wasmexport sallyport_v1_describe
func describe() uint64 { return give(description()) }

//go:wasmexport sallyport_v1_call
func call(tool, _ uint32) uint64 {
	a := answers[tool]
	if a.bytes == nil {
		return a.place
	}
	return give(a.bytes)
}

func give(b []byte) uint64 {
	given = b
	return abi.Pack(uint32(uintptr(unsafe.Pointer(&given[0]))), uint32(len(given)))
}
