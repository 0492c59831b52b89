package sdk

import (
	"context"
	"unsafe"

	"github.com/sallyport-dev/sallyport/abi"
)

// An Import is a function of the host's as a capability's package declares it
// with go:wasmimport. It is nil natively. An Import that a plugin can't reach
// is dropped by the linker, and the module doesn't ask for it: keep each in a
// package variable of its own, never in a table.
type Import func(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

// Invoke calls a function of the host's and returns the frame of its response,
// which is the caller's. It is for the packages of capabilities; authors use
// those. A nil header is the empty object. It fails with the host's *abi.Error,
// or with deadline_exceeded or canceled when ctx is over, and is safe to call
// from several goroutines.
//
// A header that says async is answered with an abi.Task, and Wait has the
// response.
func Invoke(ctx context.Context, op string, fn Import, header any, body []byte) (abi.Frame, error) {
	if err := contextError(ctx); err != nil {
		return abi.Frame{}, err
	}
	req, err := abi.EncodeFrame(header, body)
	if err != nil {
		return abi.Frame{}, err
	}
	return exchange(ctx, op, fn, req)
}
