//go:build !linux

package proc

import (
	"errors"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Hosts run on Linux; elsewhere the package compiles, for the commands that
// start nothing.

var errLinux = errors.New("child processes can be started on Linux only")

type (
	trial  struct{}
	group  struct{}
	groups struct{}
)

func becomeReaper() error { return nil }

// SystemFolders are none where nothing is isolated.
func SystemFolders() []string { return nil }

func openGroups(hclog.Logger) *groups { return nil }

func (s *Starter) tryWalls(string) { s.found = finding{failure: errLinux.Error()} }

func (s *Starter) resourceWalls() []Wall { return nil }

func (s *Starter) launch(Spec) (*Process, error) {
	return nil, &Error{Reason: ReasonUnavailable, Message: errLinux.Error(), cause: errLinux}
}

func unlock(dir int, name string) error { return unix.Fchmodat(dir, name, 0o700, 0) }
