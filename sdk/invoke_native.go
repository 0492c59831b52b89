//go:build !wasip1

package sdk

import (
	"context"

	"github.com/sallyport-dev/sallyport/abi"
)

// Natively there are no imports: the Host of the context answers.
var importLog, importProgress, importConfig Import

// newOperator returns none: goroutines are beside each other by themselves.
func newOperator(*group) operator { return nil }

// abandon leaves it to the error.
func abandon(error) {}

func exchange(ctx context.Context, op string, _ Import, frame []byte) (abi.Frame, error) {
	h, err := hostOf(ctx)
	if err != nil {
		return abi.Frame{}, err
	}
	resp, err := h.Invoke(ctx, op, frame)
	if err != nil {
		return abi.Frame{}, abi.AsError(err)
	}
	return abi.DecodeFrame(resp)
}

func nativePath(ctx context.Context, guest string) string {
	if h, err := hostOf(ctx); err == nil {
		return h.Path(guest)
	}
	return guest
}

func reason(ctx context.Context, err error) error {
	if h, noHost := hostOf(ctx); noHost == nil {
		return h.Reason(err)
	}
	return err
}

func hostOf(ctx context.Context) (Host, error) {
	if h, ok := ctx.Value(hostKey{}).(Host); ok {
		return h, nil
	}
	return nil, Errorf(abi.CodeUnavailable, "there is no host").
		WithHint("outside a sandbox a tool runs through sdktest, or in a context from WithHost")
}
