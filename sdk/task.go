package sdk

import (
	"reflect"
)

// A Task is a function that Go runs. It ends when the function returns or
// panics. Its methods may be called from several goroutines, and any number of
// times.
type Task[T any] struct {
	*function
	value T
}

// A Waitable is a Task, whatever its function returns.
type Waitable interface{ started() *function }

// Go runs fn while the caller and the functions of other Tasks go on. What one
// of them asks of the host it alone waits for: while a Task hasn't ended, the
// host carries out what this call asks for side by side. In a sandbox there is
// one thread, which functions share by turns: they change where one waits, and
// one that computes, or reads a file, holds up the others.
//
// Fn gets a context of its own. It is over when ctx is, when the Task is
// cancelled and when the tool has returned; functions of the host then fail
// with canceled or deadline_exceeded, and fn should return. The call isn't
// answered before it has, and fails with plugin_failed when that takes more
// than five seconds.
//
// Of operations beyond abi.MaxTasks at once the rest wait for their turn.
func Go[T any](ctx Context, fn func(ctx Context) (T, error)) *Task[T] {
	inner, f := newFunction(ctx)
	t := &Task[T]{function: f}
	f.run(inner, func() (err error) {
		t.value, err = fn(inner)
		return err
	})
	return t
}

// Done returns a channel that is closed when the function has ended.
func (t *Task[T]) Done() <-chan struct{} { return t.done }

// Wait waits until the function has ended, and returns what it returned; its
// panic is the error plugin_failed. When the context that the Task was started
// in is over first, it returns that context's error.
func (t *Task[T]) Wait() (T, error) {
	var none T
	if err := Wait(t.ctx, t); err != nil {
		return none, err
	}
	return t.value, nil
}

// Cancel ends the function's context, and with it what the host is doing for
// it. It doesn't wait.
func (t *Task[T]) Cancel() { t.cancel() }

// Wait waits until every task's function has returned without an error, or one
// has returned with one, which Wait returns. The others then go on until they
// are cancelled or the tool returns. When ctx is over first, it returns the
// context's error. Afterwards the Wait of each Task has what its function
// returned.
func Wait(ctx Context, tasks ...Waitable) error {
	group := groupOf(ctx)
	group.park()
	defer group.unpark()
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
	var left []*function
	for _, t := range tasks {
		f := t.started()
		select {
		case <-f.done:
			if f.err != nil {
				return f.err
			}
			continue
		default:
		}
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(f.done)})
		left = append(left, f)
	}
	for len(left) > 0 {
		i, _, _ := reflect.Select(cases)
		if i == 0 {
			return contextError(ctx)
		}
		if err := left[i-1].err; err != nil {
			return err
		}
		cases, left = append(cases[:i], cases[i+1:]...), append(left[:i-1], left[i:]...)
	}
	return nil
}
