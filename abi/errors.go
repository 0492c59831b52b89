package abi

import (
	"errors"
	"fmt"
)

// A Code classes a failure. On the wire of a host function it is the negative
// result; in JSON it is its name. The zero Code is not an error.
type Code int32

// Codes. What each means is the same on the ABI, over HTTP and in the audit log.
const (
	CodeInternal           Code = -1  // a fault of the host's; the log has the cause
	CodeInvalidArgument    Code = -2  // the request is malformed or out of bounds
	CodePermissionDenied   Code = -3  // no grant for it, or the zone's rule forbids it
	CodeNotFound           Code = -4  // there is no such thing, or not for this caller
	CodeAlreadyExists      Code = -5  // it is there already
	CodeFailedPrecondition Code = -6  // not in the present state
	CodeResourceExhausted  Code = -7  // a quota, bound or queue is full
	CodeDeadlineExceeded   Code = -8  // out of time
	CodeCanceled           Code = -9  // the caller went away or cancelled
	CodeUnavailable        Code = -10 // a part is missing or not ready; the hint says which
	CodeUnimplemented      Code = -11 // this host has no such operation
	CodeStateLost          Code = -12 // a kernel ended, and its state with it
	CodeUnauthenticated    Code = -13 // no token, or an unknown one
	CodePluginFailed       Code = -14 // the plugin trapped or answered garbage
)

var codeNames = map[Code]string{
	CodeInternal:           "internal",
	CodeInvalidArgument:    "invalid_argument",
	CodePermissionDenied:   "permission_denied",
	CodeNotFound:           "not_found",
	CodeAlreadyExists:      "already_exists",
	CodeFailedPrecondition: "failed_precondition",
	CodeResourceExhausted:  "resource_exhausted",
	CodeDeadlineExceeded:   "deadline_exceeded",
	CodeCanceled:           "canceled",
	CodeUnavailable:        "unavailable",
	CodeUnimplemented:      "unimplemented",
	CodeStateLost:          "state_lost",
	CodeUnauthenticated:    "unauthenticated",
	CodePluginFailed:       "plugin_failed",
}

// Codes lists every code, from -1 downwards.
func Codes() []Code {
	list := make([]Code, 0, len(codeNames))
	for c := CodeInternal; c >= CodePluginFailed; c-- {
		list = append(list, c)
	}
	return list
}

// String returns the code's name, such as "permission_denied".
func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("code(%d)", int32(c))
}

// MarshalText writes the name.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a name. An unknown one is internal, so that a newer peer
// can add codes.
func (c *Code) UnmarshalText(b []byte) error {
	*c = CodeInternal
	for code, name := range codeNames {
		if name == string(b) {
			*c = code
		}
	}
	return nil
}

// An Error is a failure that a caller can handle. Message and Hint are public;
// the cause is for the log alone and never travels. What a host function's
// negative result stands for is fetched as a frame with an Error as its header.
type Error struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`             // what happened, and where
	Hint      string `json:"hint,omitempty"`      // what to do next
	Grant     string `json:"grant,omitempty"`     // the grant that is lacking, such as "files.output: write"
	Field     string `json:"field,omitempty"`     // the argument at fault, as a JSON pointer
	Limit     string `json:"limit,omitempty"`     // the limit that was reached, such as "host_calls"
	Retryable bool   `json:"retryable,omitempty"` // the same request may succeed later
	// RetryAfterMS is, of one that is retryable, how long it will take at a
	// guess, in milliseconds; zero is unknown.
	RetryAfterMS int64 `json:"retry_after_ms,omitempty"`

	cause error
}

// Errorf makes an Error. A %w operand is kept as its cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

func (e *Error) Error() string { return e.Code.String() + ": " + e.Message }

// Unwrap returns the private cause, if any.
func (e *Error) Unwrap() error { return e.cause }

// WithHint sets the hint and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// WithCause sets the private cause and returns e.
func (e *Error) WithCause(err error) *Error {
	e.cause = err
	return e
}

// AsError returns err's *Error. Where there is none it makes one of code
// internal whose public message doesn't repeat the cause. Nil stays nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: "the host failed; its log has the cause", cause: err}
}

// CodeOf returns the code of err's *Error, internal for any other error, and 0
// for nil.
func CodeOf(err error) Code {
	if err == nil {
		return 0
	}
	return AsError(err).Code
}
