package engine

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/sallyport-dev/sallyport/abi"
)

// Error numbers of WASI preview 1, those that file calls answer with.
const (
	errnoSuccess     = 0
	errnoAcces       = 2
	errnoBadf        = 8
	errnoBusy        = 10
	errnoDquot       = 19
	errnoExist       = 20
	errnoFbig        = 22
	errnoIntr        = 27
	errnoInval       = 28
	errnoIo          = 29
	errnoIsdir       = 31
	errnoLoop        = 32
	errnoMfile       = 33
	errnoNametoolong = 37
	errnoNoent       = 44
	errnoNospc       = 51
	errnoNosys       = 52
	errnoNotdir      = 54
	errnoNotempty    = 55
	errnoNotsup      = 58
	errnoPerm        = 63
	errnoRofs        = 69
	errnoXdev        = 75
)

// systemErrnos are the system's error numbers that say something to a guest,
// and the code of the reason that is made of each.
var systemErrnos = map[syscall.Errno]struct {
	wasi uint32
	code abi.Code
}{
	syscall.EACCES:       {errnoAcces, abi.CodePermissionDenied},
	syscall.EPERM:        {errnoPerm, abi.CodePermissionDenied},
	syscall.EROFS:        {errnoRofs, abi.CodePermissionDenied},
	syscall.EBADF:        {errnoBadf, abi.CodeInvalidArgument},
	syscall.EBUSY:        {errnoBusy, abi.CodeFailedPrecondition},
	syscall.EDQUOT:       {errnoDquot, abi.CodeResourceExhausted},
	syscall.EEXIST:       {errnoExist, abi.CodeAlreadyExists},
	syscall.EFBIG:        {errnoFbig, abi.CodeResourceExhausted},
	syscall.EINTR:        {errnoIntr, abi.CodeCanceled},
	syscall.EINVAL:       {errnoInval, abi.CodeInvalidArgument},
	syscall.EISDIR:       {errnoIsdir, abi.CodeFailedPrecondition},
	syscall.ELOOP:        {errnoLoop, abi.CodePermissionDenied},
	syscall.EMFILE:       {errnoMfile, abi.CodeResourceExhausted},
	syscall.ENAMETOOLONG: {errnoNametoolong, abi.CodeInvalidArgument},
	syscall.ENOENT:       {errnoNoent, abi.CodeNotFound},
	syscall.ENOSPC:       {errnoNospc, abi.CodeResourceExhausted},
	syscall.ENOTDIR:      {errnoNotdir, abi.CodeFailedPrecondition},
	syscall.ENOTEMPTY:    {errnoNotempty, abi.CodeFailedPrecondition},
	syscall.ENOTSUP:      {errnoNotsup, abi.CodeUnimplemented},
	syscall.EXDEV:        {errnoXdev, abi.CodeInvalidArgument},
}

// fileErrors are the errors of io/fs, as the system would say them.
var fileErrors = []struct {
	is error
	as syscall.Errno
}{
	{fs.ErrNotExist, syscall.ENOENT},
	{fs.ErrExist, syscall.EEXIST},
	{fs.ErrPermission, syscall.EACCES},
	{fs.ErrInvalid, syscall.EINVAL},
	{fs.ErrClosed, syscall.EBADF},
	{errors.ErrUnsupported, syscall.ENOTSUP},
}

// systemErrno finds the system's error number in err, 0 if there is none that
// says something to a guest.
func systemErrno(err error) syscall.Errno {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		if _, known := systemErrnos[e]; known {
			return e
		}
	}
	for _, f := range fileErrors {
		if errors.Is(err, f.is) {
			return f.as
		}
	}
	return 0
}

// fileErrno returns what a guest gets for err, which a file system answered
// with while doing something to a path, and the typed reason behind it.
func fileErrno(doing, path string, err error) (uint32, *abi.Error) {
	system := systemErrno(err)
	typed, ok := errors.AsType[*abi.Error](err)
	if !ok {
		known, ok := systemErrnos[system]
		if !ok {
			return errnoIo, abi.Errorf(abi.CodeInternal, "%s %s: the host failed; its log has the cause", doing, path).WithCause(err)
		}
		return known.wasi, abi.Errorf(known.code, "%s %s: %s", doing, path, system.Error()).WithCause(err)
	}
	switch typed.Code {
	case abi.CodePermissionDenied:
		return errnoAcces, typed
	case abi.CodeNotFound:
		return errnoNoent, typed
	case abi.CodeAlreadyExists:
		return errnoExist, typed
	case abi.CodeCanceled, abi.CodeDeadlineExceeded:
		return errnoIntr, typed
	case abi.CodeUnimplemented:
		return errnoNotsup, typed
	}
	// What is left says less than the number that caused it, where there is one.
	if known, ok := systemErrnos[system]; ok {
		return known.wasi, typed
	}
	switch typed.Code {
	case abi.CodeInvalidArgument:
		return errnoInval, typed
	case abi.CodeResourceExhausted:
		return errnoNospc, typed
	}
	return errnoIo, typed
}
