package bridge

import (
	"github.com/sallyport-dev/sallyport/abi"
)

// decode reads the request of op into v, of an operation whose requests have
// no body.
func decode(op string, frame []byte, v any) error {
	body, err := decodeWithBody(op, frame, v)
	if err == nil && len(body) > 0 {
		return invalid(op, "", "the request has a body of %d bytes: it takes none", len(body))
	}
	return err
}

// decodeWithBody reads the request of op into v and returns its body, a view of
// the frame.
func decodeWithBody(op string, frame []byte, v any) ([]byte, error) {
	f, err := abi.DecodeFrame(frame)
	if err == nil {
		err = f.Decode(v)
	}
	if err != nil {
		e := *abi.AsError(err)
		e.Message = op + ": " + e.Message
		return nil, &e
	}
	return f.Body, nil
}

// invalid is invalid_argument at a field, a JSON pointer.
func invalid(op, field, format string, args ...any) *abi.Error {
	e := abi.Errorf(abi.CodeInvalidArgument, op+": "+format, args...)
	e.Field = field
	return e
}

// checkTimeout refuses a timeout_ms that is negative or over the bound.
func checkTimeout(op string, ms int64) error {
	if ms < 0 || ms > abi.MaxTimeoutMS {
		return invalid(op, "/timeout_ms", "timeout_ms is %d: use 0 to %d", ms, abi.MaxTimeoutMS)
	}
	return nil
}
