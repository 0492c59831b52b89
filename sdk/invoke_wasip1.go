package sdk

import (
	"context"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/sallyport-dev/sallyport/abi"
)

//go:wasmimport sallyport:call log
func wasmLog(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:call progress
func wasmProgress(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:call config
func wasmConfig(req unsafe.Pointer, reqLen uint32, resp unsafe.Pointer, respCap uint32) int64

//go:wasmimport sallyport:call response
func wasmResponse(resp unsafe.Pointer, respCap uint32) int64

var (
	importLog      Import = wasmLog
	importProgress Import = wasmProgress
	importConfig   Import = wasmConfig
)

// pending guards the host's one pending response: a call and the fetching of
// what it answered are a pair that nothing may come between. Fetched, it is no
// longer pending, so what a file call finds is never an earlier function's.
var pending pendingResponse

type pendingResponse struct {
	sync.Mutex
	buf []byte // for responses of up to its length; larger ones get their own
}

// ready makes the buffer; the lock is held.
func (p *pendingResponse) ready() {
	if p.buf == nil {
		p.buf = make([]byte, responseBuffer)
	}
}

const responseBuffer = 64 << 10

func exchange(ctx context.Context, op string, fn Import, req []byte) (abi.Frame, error) {
	if canOverlap(op) {
		if o := groupOf(ctx).beside(); o != nil {
			return o.invoke(ctx, op, fn, req)
		}
	}
	return exchangeAlone(op, fn, req)
}

// canOverlap says whether an operation can be a task.
func canOverlap(op string) bool {
	return !strings.HasPrefix(op, "call.") && op != abi.OpHTTPClose
}

// exchangeAlone carries out an operation while the whole sandbox waits.
func exchangeAlone(op string, fn Import, req []byte) (abi.Frame, error) {
	resp, err := exchangeBytes(op, fn, req)
	if err != nil {
		return abi.Frame{}, err
	}
	return abi.DecodeFrame(resp)
}

func exchangeBytes(op string, fn Import, req []byte) ([]byte, error) {
	pending.Lock()
	defer pending.Unlock()
	pending.ready()
	n := fn(unsafe.Pointer(&req[0]), uint32(len(req)), unsafe.Pointer(&pending.buf[0]), uint32(len(pending.buf)))
	switch {
	case n < 0:
		return nil, fetchError(op, abi.Code(n))
	case n <= int64(len(pending.buf)):
		return slices.Clone(pending.buf[:n]), nil
	}
	return fetch(op, n)
}

// fetch gets the pending response of n bytes; the lock is held.
func fetch(op string, n int64) ([]byte, error) {
	if n > abi.MaxFrameBytes {
		return nil, Errorf(abi.CodeInternal, "%s: the host answered with %d bytes, the bound is %d", op, n, abi.MaxFrameBytes)
	}
	resp := make([]byte, n)
	if got := wasmResponse(unsafe.Pointer(&resp[0]), uint32(n)); got != n {
		return nil, Errorf(abi.CodeInternal, "%s: the host announced %d bytes and has %d", op, n, got)
	}
	return resp, nil
}

// fetchError gets the detail behind a negative result; the lock is held.
func fetchError(op string, code abi.Code) error {
	if e := pendingError(op); e != nil && e.Code == code {
		return e
	}
	return Errorf(code, "%s failed, and the host gave no detail", op)
}

// pendingError returns the error that is the pending response, nil when it
// isn't one; the lock is held.
func pendingError(op string) *abi.Error {
	n := wasmResponse(unsafe.Pointer(&pending.buf[0]), uint32(len(pending.buf)))
	if n <= 0 {
		return nil
	}
	resp := pending.buf[:min(n, int64(len(pending.buf)))]
	if n > int64(len(pending.buf)) {
		var err error
		if resp, err = fetch(op, n); err != nil {
			return nil
		}
	}
	f, err := abi.DecodeFrame(resp)
	if err != nil {
		return nil
	}
	var e abi.Error
	if err := f.Decode(&e); err != nil || e.Code == 0 || e.Message == "" {
		return nil
	}
	return &e
}

// reason fetches what the host has to say about a file call.
func reason(_ context.Context, err error) error {
	pending.Lock()
	defer pending.Unlock()
	pending.ready()
	if e := pendingError("response"); e != nil {
		return e.WithCause(err)
	}
	return err
}

func nativePath(_ context.Context, guest string) string { return guest }
