package kernel

import (
	"context"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// A Request is some code to run. Executions of one kernel are queued in order.
type Request struct {
	Code     string
	Language string // "" is python
	// Timeout bounds the run, its time in the queue not counted: the code is
	// then interrupted, the status abi.StatusTimeout, and the variables are
	// kept. Zero is the longest that the grant allows.
	Timeout time.Duration
}

// An Execution is what code did: its status, its outputs in order with the
// bytes of images in their blobs, and the exception if it raised one.
type Execution = abi.KernelExecuteResponse

// A State says how the kernel fares.
type State = abi.KernelStatusResponse

// Execute runs code and waits for its end. Code that raises is an Execution
// with the status abi.StatusError, not an error. The outputs are the plugin's:
// nobody sees them unless it passes them on.
func Execute(ctx context.Context, r Request) (Execution, error) { return execute(ctx, r, "") }

// Stream is Execute, and what the code prints and shows goes to the agent as it
// comes, without the bytes of images.
func Stream(ctx context.Context, r Request) (Execution, error) {
	return execute(ctx, r, abi.StreamAgent)
}

func execute(ctx context.Context, r Request, stream string) (Execution, error) {
	req := abi.KernelExecuteRequest{Code: r.Code, Language: r.Language, Stream: stream}
	if r.Timeout > 0 {
		req.TimeoutMS = max(1, r.Timeout.Milliseconds())
	}
	f, err := sdk.Invoke(ctx, abi.OpKernelExecute, importExecute, req, nil)
	if err != nil {
		return Execution{}, err
	}
	return abi.DecodeKernelExecute(f)
}

// Interrupt ends what runs and keeps the variables. With nothing running it
// does nothing. Language "" is python, here and below.
func Interrupt(ctx context.Context, language string) error {
	_, err := sdk.Invoke(ctx, abi.OpKernelInterrupt, importInterrupt, abi.KernelRequest{Language: language}, nil)
	return err
}

// Reset ends the kernel and its variables; the next execution starts afresh.
func Reset(ctx context.Context, language string) error {
	_, err := sdk.Invoke(ctx, abi.OpKernelReset, importReset, abi.KernelRequest{Language: language}, nil)
	return err
}

// Status says how the kernel fares. It starts none.
func Status(ctx context.Context, language string) (State, error) {
	f, err := sdk.Invoke(ctx, abi.OpKernelStatus, importStatus, abi.KernelRequest{Language: language}, nil)
	if err != nil {
		return State{}, err
	}
	var s State
	err = f.Decode(&s)
	return s, err
}
