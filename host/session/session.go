package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/kernel"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// A Session is one agent's place to work. Its methods are safe for concurrent
// use.
type Session struct {
	ID      string
	Owner   string // the principal that made it
	Created time.Time
	User    workspace.Owner // the account of its processes; zero is the host's

	number    int
	dir       string
	workspace *workspace.Workspace
	newKernel NewKernel

	ctx  context.Context // ends with the session
	end  context.CancelCauseFunc
	runs sync.WaitGroup

	mu      sync.Mutex
	ended   bool
	kernels map[KernelKey]*kernel.Kernel
	lost    map[string]string // by kernel folder: why its last kernel is gone
}

// A KernelKey says whose kernel one is within its session. Approval numbers
// what the operator approved: a plugin whose file or grant changed never meets
// the kernel of what it was before.
type KernelKey struct {
	Plugin   string
	Approval uint64
	Language string
}

// A KernelOwner says whose kernel is to be made, and where.
type KernelOwner struct {
	KernelKey
	Session   string
	Principal string               // whose session it is
	User      workspace.Owner      // the account of its processes
	Dir       string               // the kernel's own folder
	Workspace *workspace.Workspace // the session's
	Granted   abi.Capabilities     // what the plugin may do, and so its kernel
	Lost      string               // why the state of an earlier kernel is gone; "" where there was none
}

// NewKernel makes a kernel, without starting it.
type NewKernel func(KernelOwner) (*kernel.Kernel, error)

// Workspace returns the session's files.
func (s *Session) Workspace() *workspace.Workspace { return s.workspace }

// Enter starts a run in the session: the returned context ends with ctx or
// with the session, whichever is first, and leave must be called when the run
// is over. An ended session is not_found.
func (s *Session) Enter(ctx context.Context) (run context.Context, leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, nil, notFound(s.ID)
	}
	s.runs.Add(1)
	run, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return run, func() {
		stop()
		cancel(nil)
		s.runs.Done()
	}, nil
}

// Kernel returns the kernel of key, making it if there is none. granted is what
// the plugin may do.
func (s *Session) Kernel(key KernelKey, granted abi.Capabilities) (*kernel.Kernel, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, notFound(s.ID)
	}
	if k := s.kernels[key]; k != nil {
		return k, nil
	}
	folder := kernelFolder(key)
	lost := s.lost[folder]
	if s.replaces(key) {
		lost = Replaced
	}
	k, err := s.newKernel(KernelOwner{
		KernelKey: key, Session: s.ID, Principal: s.Owner, User: s.User, Dir: filepath.Join(s.dir, kernelsDir, folder),
		Workspace: s.workspace, Granted: granted, Lost: lost,
	})
	if err != nil {
		return nil, err
	}
	delete(s.lost, folder)
	s.kernels[key] = k
	return k, nil
}

// Replaced says why a kernel's state is lost when its plugin isn't any more
// what was approved then.
const Replaced = "the plugin's file or its grant was changed"

// replaces says whether a kernel of another approval than key's was started,
// and is still there for the calls that it serves. It needs the lock.
func (s *Session) replaces(key KernelKey) bool {
	for other, k := range s.kernels {
		if other.Approval != key.Approval && kernelFolder(other) == kernelFolder(key) && k.Status().Starts > 0 {
			return true
		}
	}
	return false
}

// succeeded says whether there is a kernel of the same folder as key's, of a
// later approval. It needs the lock.
func (s *Session) succeeded(key KernelKey) bool {
	for other := range s.kernels {
		if other.Approval > key.Approval && kernelFolder(other) == kernelFolder(key) {
			return true
		}
	}
	return false
}

// Running returns the kernel of key, nil if none was made.
func (s *Session) Running(key KernelKey) *kernel.Kernel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kernels[key]
}

// A KernelStatus is a kernel of the session and how it fares.
type KernelStatus struct {
	Plugin string `json:"plugin"`
	abi.KernelStatusResponse

	Kernel *kernel.Kernel `json:"-"`
}

// Kernels lists the session's kernels by plugin and language.
func (s *Session) Kernels() []KernelStatus {
	s.mu.Lock()
	list := make([]KernelStatus, 0, len(s.kernels))
	for key, k := range s.kernels {
		list = append(list, KernelStatus{Plugin: key.Plugin, Kernel: k})
	}
	s.mu.Unlock()
	for i := range list {
		list[i].KernelStatusResponse = list[i].Kernel.Status()
	}
	slices.SortFunc(list, func(a, b KernelStatus) int {
		return cmp.Or(strings.Compare(a.Plugin, b.Plugin), strings.Compare(a.Language, b.Language))
	})
	return list
}

// EndKernels ends the kernels whose key ends says so, all at once. One that
// doesn't end by itself before ctx does is killed. The next kernel of the same
// plugin and language says why the state is lost.
func (s *Session) EndKernels(ctx context.Context, why string, ends func(KernelKey) bool) error {
	s.mu.Lock()
	var (
		ending []*kernel.Kernel
		gone   []KernelKey
	)
	for key, k := range s.kernels {
		if ends(key) {
			ending = append(ending, k)
			delete(s.kernels, key)
			if k.Status().Starts > 0 {
				gone = append(gone, key)
			}
		}
	}
	for _, key := range gone {
		if !s.succeeded(key) { // else that one said so when it was made
			s.lost[kernelFolder(key)] = why
		}
	}
	s.mu.Unlock()
	errs := make([]error, len(ending))
	var wg sync.WaitGroup
	for i, k := range ending {
		wg.Go(func() { errs[i] = k.Close(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// close ends what runs in the session and its kernels, and waits for both
// until ctx is over. The files stay.
func (s *Session) close(ctx context.Context, cause error) error {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.end(cause)
	err := s.EndKernels(ctx, "the session ended", func(KernelKey) bool { return true })
	left := make(chan struct{})
	go func() {
		s.runs.Wait()
		close(left)
	}()
	select {
	case <-left:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("session %s: a call is still running: %w", s.ID, ctx.Err()))
	}
	return errors.Join(err, s.workspace.Close())
}

func notFound(id string) error {
	return abi.Errorf(abi.CodeNotFound, "there is no session %q", id).
		WithHint("make one with POST /v1/sessions, or list yours with GET /v1/sessions")
}
