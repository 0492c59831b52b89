package proc

import (
	"cmp"
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
	// Bubblewrap is the program that puts walls up: a path, or a name to look
	// up in PATH; "" is bwrap.
	Bubblewrap string
	// Logger gets a line for every start and end; nil logs nothing.
	Logger hclog.Logger
}

// A Starter starts children, all with the same isolation. It may be used by
// several goroutines at once.
type Starter struct {
	isolation  Isolation
	log        hclog.Logger
	bubblewrap string   // absolute; "" when there is none
	walls      walls    // that stand round isolated children; nil when none can be had
	found      finding  // by the trial of the walls
	accounts   accounts // of the children
	groups     *groups  // that bound what children use
}

// accounts are those that a host which is root gives to its children.
type accounts struct {
	own     bool   // it can
	first   uint32 // the number of tenant 0's account and group
	problem string // why a host that is root can't
}

// maxAccounts bounds the tenants with an account of their own.
const maxAccounts = 30_000

// New returns a Starter. It tries each wall, which takes some tens of
// milliseconds: what it found is in Walls, and a wall that is required and
// doesn't hold fails each Start, not New. New fails when the isolation is
// unknown, or the process can't become the reaper of its descendants.
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
	s := &Starter{isolation: c.Isolation, log: c.Logger, groups: openGroups(c.Logger)}
	if c.Isolation != IsolationOff {
		s.tryWalls(cmp.Or(c.Bubblewrap, "bwrap"))
	}
	return s, nil
}

// Isolated says whether children have a file system, a network and a process
// table of their own.
func (s *Starter) Isolated() bool { return s.walls != nil }

// Listens says whether children have a network of their own, on which the host
// can serve them: without one, Spec.Listen is left out.
func (s *Starter) Listens() bool { return s.walls.stand(WallNetwork) }

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
// Those from the 30 000th on share one.
func (s *Starter) User(n int) User {
	if !s.accounts.own {
		return User{}
	}
	id := s.accounts.first + uint32(min(max(n, 0), maxAccounts-1))
	return User{UID: id, GID: id}
}

// Check says why children can't be started: an *Error when the isolation is
// required and a wall that belongs to it doesn't hold, nil otherwise.
func (s *Starter) Check() error {
	if s.isolation != IsolationRequired {
		return nil
	}
	if s.found.failure != "" {
		return &Error{Reason: ReasonUnavailable, Message: "isolation is required, and can't be had: " + s.found.failure, Hint: s.found.hint}
	}
	for _, w := range required {
		if problem := s.found.problems[w.name]; problem != "" {
			return &Error{Reason: ReasonUnavailable, Message: fmt.Sprintf("isolation is required, and the wall %q doesn't hold: %s", w.name, problem), Hint: s.found.hint}
		}
	}
	return nil
}

// Start starts a child and returns when it is ready. ctx bounds the start, not
// the child's life. On any error nothing of the child is left; the error is an
// *Error. The caller ends the child with Stop.
func (s *Starter) Start(ctx context.Context, spec Spec) (*Process, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		e := *err.(*Error)
		e.Message = "start " + spec.Name + ": " + e.Message
		return nil, &e
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
	if !s.Listens() {
		spec.Listen = nil
	}
	p, err := s.launch(spec)
	if err != nil {
		return nil, err
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
