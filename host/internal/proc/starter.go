package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/hashicorp/go-hclog"
)

// Config configures a Starter.
type Config struct {
	// Isolation is how children are started; zero is IsolationRequired.
	Isolation Isolation
	// Logger gets a line for every start and end; nil logs nothing.
	Logger hclog.Logger
}

// A Starter starts children, all with the same isolation. It may be used by
// several goroutines at once.
type Starter struct {
	isolation Isolation
	log       hclog.Logger
}

// New returns a Starter. It fails when the isolation is unknown, or the
// process can't become the reaper of its descendants.
func New(c Config) (*Starter, error) {
	switch c.Isolation {
	case "":
		c.Isolation = IsolationRequired
	case IsolationRequired, IsolationPreferred, IsolationOff:
	default:
		return nil, &Error{
			Reason:  ReasonInvalid,
			Message: fmt.Sprintf("isolation is %q", c.Isolation),
			Hint:    "use required, preferred or off",
		}
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if err := becomeReaper(); err != nil {
		return nil, &Error{Reason: ReasonFailed, Message: "become the reaper of orphaned processes: " + err.Error(), cause: err}
	}
	return &Starter{isolation: c.Isolation, log: c.Logger}, nil
}

// Isolated says whether children have a file system, a network and a process
// table of their own.
func (s *Starter) Isolated() bool { return false }

// Seen returns where a child sees a view: at its target when it is isolated, at
// the source when it isn't.
func (s *Starter) Seen(v View) string {
	if s.Isolated() && v.Target != "" {
		return v.Target
	}
	return v.Source
}

// User returns the account of the n-th tenant's children, n being 0 or more: an
// unprivileged one of its own where the host can give one, the host's otherwise.
func (s *Starter) User(n int) User { return User{} }

// Start starts a child and returns when it is ready. ctx bounds the start, not
// the child's life. On any error nothing of the child is left; the error is an
// *Error. The caller ends the child with Stop.
func (s *Starter) Start(ctx context.Context, spec Spec) (*Process, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if s.isolation != IsolationOff {
		return nil, &Error{
			Reason:  ReasonUnavailable,
			Message: fmt.Sprintf("start %s: isolation is %s, and this host can start children without walls only", spec.Name, s.isolation),
			Hint:    "use --isolation=off, knowing that then no wall stands between child processes and the host's account",
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, &Error{Reason: ReasonCanceled, Message: "start " + spec.Name + ": " + err.Error(), cause: err}
	}
	if err := runnable(spec); err != nil {
		return nil, err
	}
	if err := link(spec, s.Seen); err != nil {
		return nil, err
	}
	p, err := launch(spec, s.log)
	if err != nil {
		return nil, &Error{Reason: ReasonFailed, Message: fmt.Sprintf("start %s: %v", spec.Name, err), cause: err}
	}
	if err := p.awaitReady(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// runnable says whether the program and the directory are there, in better
// words than the system's.
func runnable(spec Spec) error {
	switch info, err := os.Stat(spec.Path); {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Reason: ReasonUnavailable, Message: fmt.Sprintf("start %s: there is no program %s", spec.Name, spec.Path), cause: err}
	case err != nil:
		return &Error{Reason: ReasonUnavailable, Message: fmt.Sprintf("start %s: %v", spec.Name, err), cause: err}
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return &Error{Reason: ReasonUnavailable, Message: fmt.Sprintf("start %s: %s can't be run", spec.Name, spec.Path)}
	}
	if info, err := os.Stat(spec.Dir); err != nil || !info.IsDir() {
		return &Error{Reason: ReasonInvalid, Message: fmt.Sprintf("start %s: the working directory %s is not there", spec.Name, spec.Dir), cause: err}
	}
	return nil
}
