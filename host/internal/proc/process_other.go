//go:build !linux

package proc

import (
	"errors"

	"github.com/hashicorp/go-hclog"
)

// Hosts run on Linux; elsewhere the package compiles, for the commands that
// start nothing.

func becomeReaper() error { return nil }

func launch(Spec, hclog.Logger) (*Process, error) {
	return nil, errors.New("child processes can be started on Linux only")
}
