package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// count writes "1 line" and "2 lines".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// failed is the host's reason for a file call that failed, else an error that
// names the file. An error that has its code already stays what it is. The
// reason is there once, so each failure comes here once.
func failed(ctx sdk.Context, err error, n name) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*abi.Error](err); ok {
		return err
	}
	if reason, ok := errors.AsType[*abi.Error](ctx.Reason(err)); ok {
		return reason
	}
	code := abi.CodeInternal
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		code = abi.CodeFailedPrecondition
	case errors.Is(err, fs.ErrNotExist):
		code = abi.CodeNotFound
	case errors.Is(err, fs.ErrExist):
		code = abi.CodeAlreadyExists
	case errors.Is(err, fs.ErrPermission):
		code = abi.CodePermissionDenied
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // the agent knows the path by another name
	}
	return sdk.Errorf(code, "%s: %w", n, err)
}

func folder(n name) error {
	return sdk.Errorf(abi.CodeFailedPrecondition, "%s is a folder", n).WithHint("files_list shows what is in it")
}
