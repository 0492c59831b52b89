package tool

import (
	"unsafe"

	"github.com/sallyport-dev/sallyport/sdk"
)

//go:wasmimport sallyport:tool call
func wasmCall(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

var importCall sdk.Import = wasmCall
