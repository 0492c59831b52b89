package engine_test

import (
	"context"
	"fmt"
	"io"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// traced returns a Dispatch that does what next does and writes two lines to w
// for each operation, what went in and what came out:
//
//	==> kernel.execute({"code":"1+1"})
//	<== 12 bytes
//
// A body is told by its length, an error by its text.
func traced(w io.Writer, next engine.Dispatch) engine.Dispatch {
	return func(ctx context.Context, op string, frame []byte) ([]byte, error) {
		if f, err := abi.DecodeFrame(frame); err != nil {
			fmt.Fprintf(w, "==> %s(%d bytes, no frame)\n", op, len(frame))
		} else if len(f.Body) > 0 {
			fmt.Fprintf(w, "==> %s(%s, %d bytes)\n", op, f.Header, len(f.Body))
		} else {
			fmt.Fprintf(w, "==> %s(%s)\n", op, f.Header)
		}
		response, err := next(ctx, op, frame)
		if err != nil {
			fmt.Fprintf(w, "<== %v\n", err)
		} else {
			fmt.Fprintf(w, "<== %d bytes\n", len(response))
		}
		return response, err
	}
}
