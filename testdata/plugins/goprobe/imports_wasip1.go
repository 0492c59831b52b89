package main

import (
	"unsafe"

	"github.com/sallyport-dev/sallyport/sdk"
)

//go:wasmimport sallyport:call log
func callLog(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:call progress
func callProgress(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:call config
func callConfig(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:call wait
func callWait(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:call cancel
func callCancel(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:kernel execute
func kernelExecute(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:kernel interrupt
func kernelInterrupt(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:kernel reset
func kernelReset(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:kernel status
func kernelStatus(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:http fetch
func httpFetch(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:http read
func httpRead(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:http close
func httpClose(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:tool call
func toolCall(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

// imports has every operation: this plugin may ask for anything.
var imports = map[string]sdk.Import{
	"call.log":         callLog,
	"call.progress":    callProgress,
	"call.config":      callConfig,
	"call.wait":        callWait,
	"call.cancel":      callCancel,
	"kernel.execute":   kernelExecute,
	"kernel.interrupt": kernelInterrupt,
	"kernel.reset":     kernelReset,
	"kernel.status":    kernelStatus,
	"http.fetch":       httpFetch,
	"http.read":        httpRead,
	"http.close":       httpClose,
	"tool.call":        toolCall,
}
