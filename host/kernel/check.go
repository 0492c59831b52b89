package kernel

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

const (
	checkBound    = 30 * time.Second
	oldestVersion = "7.2" // ipykernel's: the first to say when its output can be heard
)

// Check says whether python has an ipykernel that works, running it to find
// out. "" is python3. An error has the code unavailable, and its hint says what
// to install; canceled or deadline_exceeded when ctx ended first.
func Check(ctx context.Context, python string) error {
	path, err := lookPython(python)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, checkBound)
	defer cancel()
	stdout, stderr, err := askPython(bounded, path, "-c", "import ipykernel.kernelapp, ipykernel; print(ipykernel.__version__)")
	switch {
	case ctx.Err() != nil:
		return contextError(ctx.Err(), "while Python was being checked")
	case bounded.Err() != nil:
		return abi.Errorf(abi.CodeUnavailable, "%s did not import ipykernel within %v", path, checkBound)
	case strings.Contains(stderr, "No module named"):
		return abi.Errorf(abi.CodeUnavailable, "%s has no ipykernel: %s", path, lastLine(stderr)).WithHint(setupHint)
	case err != nil:
		complaint := lastLine(stderr)
		if _, exited := errors.AsType[*exec.ExitError](err); !exited {
			complaint = "it can't be run"
		}
		return abi.Errorf(abi.CodeUnavailable, "%s can't use ipykernel: %s", path, complaint).WithHint(setupHint).WithCause(err)
	}
	version := strings.TrimSpace(stdout)
	if older(version, oldestVersion) {
		return abi.Errorf(abi.CodeUnavailable, "%s has ipykernel %s, and %s is needed", path, version, oldestVersion).WithHint(setupHint)
	}
	return nil
}

// older compares the leading numbers of two versions.
func older(version, than string) bool {
	a, b := strings.Split(version, "."), strings.Split(than, ".")
	for i := range b {
		if i >= len(a) {
			return true
		}
		x, errX := strconv.Atoi(a[i])
		y, errY := strconv.Atoi(b[i])
		if errX != nil || errY != nil || x > y {
			return false
		}
		if x < y {
			return true
		}
	}
	return false
}
