package proc

// Reasons of an Error.
const (
	ReasonInvalid     Reason = "invalid"     // the Spec is wrong
	ReasonUnavailable Reason = "unavailable" // the program, or the isolation asked for, can't be had
	ReasonFailed      Reason = "failed"      // the system refused, or Ready failed
	ReasonEnded       Reason = "ended"       // the child ended before it was ready
	ReasonNotReady    Reason = "not ready"   // the child wasn't ready within StartTimeout
	ReasonCanceled    Reason = "canceled"    // the caller's context ended first
)

// A Reason classes an Error.
type Reason string

// An Error is a start, or a stop, that failed. Nothing of the child is left
// when Start returns one.
type Error struct {
	Reason  Reason
	Message string // what happened, and to which child
	Hint    string // what to do next; may be empty
	Output  string // the end of what the child wrote, if it ran

	cause error
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause, if any.
func (e *Error) Unwrap() error { return e.cause }
