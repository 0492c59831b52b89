package kernel

import (
	"unsafe"

	"github.com/sallyport-dev/sallyport/sdk"
)

//go:wasmimport sallyport:kernel execute
func wasmExecute(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:kernel interrupt
func wasmInterrupt(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:kernel reset
func wasmReset(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:kernel status
func wasmStatus(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

var (
	importExecute   sdk.Import = wasmExecute
	importInterrupt sdk.Import = wasmInterrupt
	importReset     sdk.Import = wasmReset
	importStatus    sdk.Import = wasmStatus
)
