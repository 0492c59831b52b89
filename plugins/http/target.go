package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// A target is the file that a body goes to.
type target struct {
	zone, rest string // the path is zone/rest
	replaces   bool   // a file is there
	// addOnly says that files can be made and added to there, never renamed
	// and never removed.
	addOnly bool
}

// String is how agents are told the file: "output/a.md".
func (t *target) String() string { return path.Join(t.zone, t.rest) }

// prepare reads a path, and says what stands in its way before anything is
// sent.
func prepare(ctx sdk.Context, given string) (*target, error) {
	t, err := parse(given)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(ctx.Path(t.String()))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, failed(ctx, err, t.String())
	case info.IsDir():
		return nil, onTo(sdk.Errorf(abi.CodeFailedPrecondition, "%s is a folder", t).WithHint("name a file in it"))
	default:
		t.replaces = true
	}
	// Setting no time changes nothing and needs the same access as a rename.
	t.addOnly = abi.ZoneRule(t.zone) != abi.AccessWrite || os.Chtimes(ctx.Path(t.zone), time.Time{}, time.Time{}) != nil
	if t.addOnly && t.replaces {
		return nil, onTo(sdk.Errorf(abi.CodeAlreadyExists, "%s is there already, and %s/ keeps what it has", t, t.zone).WithHint("choose another name"))
	}
	return t, nil
}

// parse reads what an agent gives: "output/a.md", "/output/a.md". A path is
// never cleaned into another place: one with ".." is refused.
func parse(given string) (*target, error) {
	zone, rest, _ := strings.Cut(path.Clean("/" + given)[1:], "/")
	var problem string
	switch {
	case !utf8.ValidString(given) || strings.ContainsRune(given, 0):
		problem = "the path is not text"
	case slices.Contains(strings.Split(given, "/"), ".."):
		problem = `the path has ".."`
	case zone != "" && rest == "" && !slices.Contains(abi.Zones(), zone):
		problem = fmt.Sprintf("the path %.40q names no zone", given)
	case strings.HasSuffix(given, "/"), rest == "":
		problem = "the path names no file"
	case !slices.Contains(abi.Zones(), zone):
		problem = fmt.Sprintf("there is no zone %.40q in the workspace", zone)
	case !abi.ZoneRule(zone).Includes(abi.AccessAppend):
		problem = zone + "/ is read-only"
	default:
		return &target{zone: zone, rest: rest}, nil
	}
	return nil, sdk.BadArgument("/to", "%s", problem).WithHint("give a file in output/, store/ or deploy/, such as output/data.csv")
}

func onTo(e *abi.Error) *abi.Error {
	e.Field = "/to"
	return e
}

// failed is the host's reason for a file call that failed, else an error that
// names the file. The reason is there once: ask before the next file call.
func failed(ctx sdk.Context, err error, name string) error {
	if reason, ok := errors.AsType[*abi.Error](ctx.Reason(err)); ok {
		return reason
	}
	code := abi.CodeInternal
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		code = abi.CodeFailedPrecondition
	case errors.Is(err, syscall.ENOSPC):
		code = abi.CodeResourceExhausted
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
	return sdk.Errorf(code, "%s: %w", name, err)
}
