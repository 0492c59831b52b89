package http

import (
	"unsafe"

	"github.com/sallyport-dev/sallyport/sdk"
)

//go:wasmimport sallyport:http fetch
func wasmFetch(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:http read
func wasmRead(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:http close
func wasmClose(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

var (
	importFetch sdk.Import = wasmFetch
	importRead  sdk.Import = wasmRead
	importClose sdk.Import = wasmClose
)
