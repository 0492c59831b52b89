package sdk

import (
	"context"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// Wait returns the first of some async tasks to end, and the frame of its
// response or its error. A zero timeout is as long as the call may take; when
// it is over the error is deadline_exceeded, the task 0, and the tasks go on.
// While it waits the whole plugin does: its goroutines don't run.
func Wait(ctx context.Context, timeout time.Duration, tasks ...uint32) (uint32, abi.Frame, error) {
	f, err := Invoke(ctx, abi.OpCallWait, importWait, abi.WaitRequest{Tasks: tasks, TimeoutMS: timeout.Milliseconds()}, nil)
	if err != nil {
		return 0, abi.Frame{}, err
	}
	var resp abi.WaitResponse
	if err := f.Decode(&resp); err != nil {
		return 0, abi.Frame{}, err
	}
	if resp.Error != nil {
		return resp.Task, abi.Frame{}, resp.Error
	}
	return resp.Task, abi.Frame{Header: resp.Response, Body: f.Body}, nil
}

// Cancel ends a task; Wait then has its error canceled, unless it ended before.
func Cancel(ctx context.Context, task uint32) error {
	_, err := Invoke(ctx, abi.OpCallCancel, importCancel, abi.CancelRequest{Task: task}, nil)
	return err
}
