package sdk

import (
	"context"
	"errors"

	"github.com/sallyport-dev/sallyport/abi"
)

// Errorf makes the error of a call that can't be carried out as asked. A %w
// operand is kept as its cause, which doesn't travel; WithHint adds what to do
// next.
func Errorf(code abi.Code, format string, args ...any) *abi.Error {
	return abi.Errorf(code, format, args...)
}

// BadArgument makes the error invalid_argument for one argument, named by its
// JSON pointer, such as "/path".
func BadArgument(pointer, format string, args ...any) *abi.Error {
	e := abi.Errorf(abi.CodeInvalidArgument, format, args...)
	e.Field = pointer
	return e
}

// contextError returns the typed error of a context that is over, nil for one
// that isn't.
func contextError(ctx context.Context) *abi.Error {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(abi.CodeDeadlineExceeded, "out of time: %w", err)
	default:
		return Errorf(abi.CodeCanceled, "cancelled: %w", err)
	}
}

// failure returns what an author's function failed with: a nil *abi.Error is
// no error.
func failure(err error) error {
	if e, ok := err.(*abi.Error); ok && e == nil {
		return nil
	}
	return err
}
