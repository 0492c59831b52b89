package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/tetratelabs/wazero/sys"
)

// inExport says in which export a guest failed.
type inExport struct {
	name string
	err  error
}

func (e inExport) Error() string { return e.name + ": " + e.err.Error() }
func (e inExport) Unwrap() error { return e.err }

// badPointer traps a guest that gave an import a place outside its memory.
type badPointer struct{ message string }

func (e *badPointer) Error() string { return e.message }

// hostPanic carries a panic of the host's own code through the runtime, which
// would take it for a trap of the guest's.
type hostPanic struct {
	doing string
	value any
	stack []byte
}

func (e *hostPanic) Error() string {
	return fmt.Sprintf("%s: panic: %v\n%s", e.doing, e.value, e.stack)
}

// errTimeOver ends a guest in an import; what it is reported as depends on the
// context.
var errTimeOver = errors.New("the call's time is over")

// errGarbage is the cause of a failure that is the guest's answer, not a trap.
type errGarbage struct{ message string }

func (e *errGarbage) Error() string { return e.message }

func garbage(format string, args ...any) error {
	return &errGarbage{fmt.Sprintf(format, args...)}
}

// failure says what a run that ended with err came to. The cause keeps the
// stack. The instance is nil where none was made.
func (s *state) failure(err error, i *instance) error {
	if e, ok := errors.AsType[*hostPanic](err); ok {
		s.log.Error("the host panicked in a plugin's call", "doing", e.doing, "panic", e.value, "stack", string(e.stack))
		return abi.Errorf(abi.CodeInternal, "the host failed in %s; its log has the cause", e.doing).WithCause(err)
	}
	if s.ctx.Err() != nil {
		return s.interrupted(err)
	}
	if e, ok := errors.AsType[*limitReached](err); ok {
		own := *e.err // which err leads to, and which can't be its own cause
		return own.WithCause(err)
	}
	if e, ok := errors.AsType[*errGarbage](err); ok {
		return abi.Errorf(abi.CodePluginFailed, "%s", e.message).WithCause(err)
	}
	if e, ok := errors.AsType[*abi.Error](err); ok {
		return e
	}
	message := "plugin trapped"
	if e, ok := errors.AsType[inExport](err); ok && e.name != abi.ExportCall {
		message += " in " + e.name
	}
	reason := trapReason(err)
	failure := abi.Errorf(abi.CodePluginFailed, "%s: %s", message, reason).WithCause(err)
	limits := s.budget.limits
	switch {
	case reason == "stack overflow": // the machine's stack, which grows with the guest's
		failure = overLimit(abi.CodeResourceExhausted, "stack_kib", "the call's stack took more than its limit of %d KiB", limits.StackKiB).WithCause(err)
	case i != nil && i.memory.refused:
		failure.Limit = "memory_mib"
		failure.Message += fmt.Sprintf("; it had asked for more memory than its limit of %d MiB", limits.MemoryMiB)
		failure.Hint = "give it less at once, or raise limits.memory_mib"
	case i != nil && i.refused != nil && i.refused.Get() != 0:
		failure.Limit = "table_elements"
		failure.Message += fmt.Sprintf("; it had asked for more table elements than its limit of %d", limits.TableElements)
		failure.Hint = "give it less at once, or raise limits.table_elements"
	}
	return failure
}

// interrupted is the failure of a call whose context ended. A cause that is an
// *abi.Error, such as a revoked grant, is passed on.
func (s *state) interrupted(err error) error {
	if e, ok := errors.AsType[*abi.Error](context.Cause(s.ctx)); ok {
		return e
	}
	if !errors.Is(s.ctx.Err(), context.DeadlineExceeded) {
		return abi.Errorf(abi.CodeCanceled, "the call was cancelled").WithCause(err)
	}
	return overLimit(abi.CodeDeadlineExceeded, "deadline", "the call took longer than its limit of %v", s.deadline.Round(time.Millisecond)).
		WithCause(err)
}

// trapReason says in a few words why a guest ended.
func trapReason(err error) string {
	if e, ok := errors.AsType[*badPointer](err); ok {
		return e.message
	}
	if e, ok := errors.AsType[*sys.ExitError](err); ok {
		return fmt.Sprintf("exit code %d", e.ExitCode())
	}
	if e, ok := errors.AsType[inExport](err); ok {
		err = e.err
	}
	reason, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(reason, "wasm error: ")
}
