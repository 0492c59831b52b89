package workspace

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/sallyport-dev/sallyport/abi"
)

// fail turns what the operating system said about a name into an *abi.Error
// whose text has no path of the host's, and whose cause is err. An *abi.Error
// and io.EOF stay what they are.
func (f *FS) fail(name string, err error) error {
	var known *abi.Error
	if err == nil || err == io.EOF || errors.As(err, &known) {
		return err
	}
	at := f.at(name)
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	var e *abi.Error
	switch {
	case is(fs.ErrClosed):
		return errClosed(err)
	case escapes(err):
		e = abi.Errorf(abi.CodePermissionDenied, "%s leads out of its zone through a link", at).
			WithHint("links are followed inside one zone only: copy the file into it")
	case is(syscall.ENOTEMPTY):
		e = abi.Errorf(abi.CodeFailedPrecondition, "%s is a folder that isn't empty", at)
	case is(fs.ErrNotExist):
		e = abi.Errorf(abi.CodeNotFound, "%s doesn't exist", at)
	case is(fs.ErrExist):
		e = abi.Errorf(abi.CodeAlreadyExists, "%s is there already", at)
	case is(syscall.EISDIR):
		e = abi.Errorf(abi.CodeFailedPrecondition, "%s is a folder, not a file", at)
	case is(syscall.ENOTDIR):
		e = abi.Errorf(abi.CodeFailedPrecondition, "%s, or a part of that name, is a file, not a folder", at)
	case is(syscall.ENXIO, syscall.ENODEV, errSpecial):
		e = abi.Errorf(abi.CodePermissionDenied, "%s is neither a file nor a folder, and can't be opened", at).
			WithHint("pipes, sockets and devices stay with the process that made them")
	case is(syscall.ELOOP):
		e = abi.Errorf(abi.CodeInvalidArgument, "%s is a link, or goes through too many of them", at)
	case is(syscall.ENAMETOOLONG):
		e = abi.Errorf(abi.CodeInvalidArgument, "%s is too long a name", at)
	case is(syscall.ENOSPC, syscall.EDQUOT):
		e = abi.Errorf(abi.CodeResourceExhausted, "%s can't be written: the host's disk is full", at).
			WithHint("the operator has to make room on the disk of the data directory")
	case is(syscall.EFBIG):
		e = abi.Errorf(abi.CodeResourceExhausted, "%s is larger than the host's file system or limits allow", at)
	case is(syscall.EMFILE, syscall.ENFILE):
		e = abi.Errorf(abi.CodeResourceExhausted, "%s can't be opened: the host has too many files open", at)
		e.Retryable = true
	case is(fs.ErrPermission):
		e = abi.Errorf(abi.CodePermissionDenied, "%s can't be reached with the permissions it has on the disk", at).
			WithHint("a process of the session made it so: change its mode there")
	case is(syscall.EINVAL, os.ErrInvalid):
		e = abi.Errorf(abi.CodeInvalidArgument, "%s doesn't allow that", at)
	case is(syscall.EBADF):
		e = abi.Errorf(abi.CodeFailedPrecondition, "%s isn't open for that", at)
	case is(syscall.EAGAIN):
		e = abi.Errorf(abi.CodeUnavailable, "%s is held by a process", at)
		e.Retryable = true
	default:
		e = abi.Errorf(abi.CodeInternal, "%s can't be used: the host's file system failed", at)
	}
	return e.WithCause(err)
}

// errSpecial is the cause of refusing what is neither a file nor a folder.
var errSpecial = errors.New("not a regular file or directory")

func errClosed(cause error) error {
	return abi.Errorf(abi.CodeFailedPrecondition, "the workspace, or the file, is closed").WithCause(cause)
}

// also joins what failed with what failed while cleaning up after it.
func also(err, cleanup error) error {
	if cleanup == nil {
		return err
	}
	return errors.Join(err, cleanup)
}

// escapes says whether os.Root refused a path that left it. The error has no
// name in package os, so its text has to do.
func escapes(err error) bool {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		err = pathErr.Err
	case errors.As(err, &linkErr):
		err = linkErr.Err
	}
	return err.Error() == "path escapes from parent"
}

// allow says whether the view's access includes need. what completes "… can't
// be": "written", "deleted".
func (f *FS) allow(name string, need abi.Access, what string) error {
	if f.access.Includes(need) {
		return nil
	}
	return f.denied(name, need, what, syscall.EACCES)
}

// denied is the refusal of what needs more access than the view has.
func (f *FS) denied(name string, need abi.Access, what string, cause error) error {
	at := f.at(name)
	if rule := abi.ZoneRule(f.zone); !rule.Includes(need) {
		if rule == abi.AccessAppend {
			return abi.Errorf(abi.CodePermissionDenied, "%s is append-only: what is in it can't be changed or deleted once written, so %s can't be %s", f.zone, at, what).
				WithHint("write a new file there, add at the end of an old one, or work on a copy in output").WithCause(cause)
		}
		return abi.Errorf(abi.CodePermissionDenied, "%s is read-only to plugins, so %s can't be %s", f.zone, at, what).
			WithHint("write to output instead").WithCause(cause)
	}
	grant := "files." + f.zone + ": " + string(need)
	e := abi.Errorf(abi.CodePermissionDenied, "%s can't be %s: it needs the grant %q", at, what, grant).
		WithHint("the operator grants it in policy.yaml").WithCause(cause)
	e.Grant = grant
	return e
}
