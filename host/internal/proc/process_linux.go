package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	sweepBound = 2 * time.Second        // for killed processes to be gone
	drainBound = 200 * time.Millisecond // for the rest of the output, when an escaped process holds on to it
)

// launch starts the child of spec, and the goroutine that watches it to its end.
//
// That goroutine keeps its thread for itself, and the thread ends with it, for
// two reasons. The system kills a child when the thread that started it ends
// (Pdeathsig), not the process, so the thread has to last as long as the
// child. And no_new_privs, which is the thread's and inherited, must not stay
// with a thread that goes on to other work.
func (s *Starter) launch(spec Spec) (*Process, error) {
	failed := func(err error) *Error {
		return &Error{Reason: ReasonFailed, Message: fmt.Sprintf("start %s: %v", spec.Name, err), cause: err}
	}
	descriptors, pipe, err := stdio(spec)
	if err != nil {
		return nil, failed(err)
	}
	p := &Process{spec: spec, starter: s, log: s.log, output: &tail{bound: spec.Limits.Output}}
	p.ctx, p.end = context.WithCancel(context.Background())
	started := make(chan error, 1)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		if pipe != nil {
			io.Copy(p.output, pipe) // ends with the last writer, or at the deadline below
			pipe.Close()
		}
	}()
	drain := func() {
		if pipe != nil {
			pipe.SetReadDeadline(time.Now().Add(drainBound))
		}
		<-copied
	}
	go onOwnThread(func() {
		err := p.fork(descriptors)
		closeOwn(descriptors, spec)
		if err != nil {
			drain()
			started <- err
			return
		}
		p.serve()
		started <- nil
		exit := p.wait()
		drain()
		p.finish(exit)
	})
	if err := <-started; err != nil {
		p.end()
		e := failed(err)
		if said := strings.TrimSpace(p.output.String()); said != "" {
			e.Output = said
			e.Message += ": " + said[strings.LastIndexByte(said, '\n')+1:]
		}
		return nil, e
	}
	s.log.Debug("started a child", "child", spec.Name, "pid", p.group)
	return p, nil
}

// serve starts what lasts as long as the child: those who serve its network,
// and the watcher of its limits.
func (p *Process) serve() {
	for i, l := range p.listeners {
		p.background.Go(func() { p.spec.Listen[i].Serve(l) })
	}
	p.background.Go(p.watch)
}

// onOwnThread runs f on a thread that ends with it. The main thread never ends,
// so it is not used.
func onOwnThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	locked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(locked)
		f()
	}()
	<-locked // as long as this goroutine holds the main thread, that one can't get it
	runtime.UnlockOSThread()
}

// stdio returns the child's descriptors from 0 up, and the end from which the
// host reads what it keeps, nil if nothing.
func stdio(spec Spec) (descriptors []*os.File, pipe *os.File, err error) {
	descriptors = []*os.File{spec.Stdin, spec.Stdout, spec.Stderr}
	if spec.Stdin == nil {
		if descriptors[0], err = os.Open(os.DevNull); err != nil {
			return nil, nil, err
		}
	}
	if spec.Stdout == nil || spec.Stderr == nil {
		read, write, err := os.Pipe()
		if err != nil {
			closeOwn(descriptors, spec)
			return nil, nil, err
		}
		pipe = read
		for i := 1; i <= 2; i++ {
			if descriptors[i] == nil {
				descriptors[i] = write
			}
		}
	}
	return append(descriptors, spec.Files...), pipe, nil
}

// closeOwn closes the host's copies of the descriptors that stdio made.
func closeOwn(descriptors []*os.File, spec Spec) {
	for i, given := range []*os.File{spec.Stdin, spec.Stdout, spec.Stderr} {
		if given == nil && descriptors[i] != nil {
			descriptors[i].Close() // the pipe may be there twice; a second close does nothing
		}
	}
}

// fork starts the child from the calling thread, within its limits.
func (p *Process) fork(descriptors []*os.File) (err error) {
	if p.bounds, err = p.starter.groups.create(p.spec.Name, p.spec.Limits); err != nil {
		return err
	}
	if p.starter.Isolated() {
		err = p.forkWrapped(descriptors)
	} else {
		err = p.forkPlain(descriptors)
	}
	if err != nil && p.bounds != nil {
		err = errors.Join(err, p.bounds.remove())
	}
	return err
}

func (p *Process) forkPlain(descriptors []*os.File) error {
	attr := &syscall.ProcAttr{
		Dir: p.spec.Dir, Env: p.spec.environ(),
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	if u := p.spec.User; u != (User{}) {
		attr.Sys.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID}
	}
	if err := p.forkExec(p.spec.Path, append([]string{p.spec.Path}, p.spec.Args...), attr, descriptors); err != nil {
		return err
	}
	if err := p.bound(p.pid); err != nil {
		syscall.Kill(-p.pid, syscall.SIGKILL)
		p.wait()
		return err
	}
	return nil
}

// forkExec starts a program with these descriptors and no other.
func (p *Process) forkExec(path string, args []string, attr *syscall.ProcAttr, descriptors []*os.File) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := keepDescriptors(); err != nil {
		return err
	}
	for _, f := range descriptors {
		attr.Files = append(attr.Files, f.Fd())
	}
	children.Lock()
	pid, err := syscall.ForkExec(path, args, attr)
	if err == nil {
		children.leaders[pid] = true
	}
	children.Unlock()
	runtime.KeepAlive(descriptors)
	if err != nil {
		return err
	}
	p.pid, p.group = pid, pid
	return nil
}

// bound puts the child's limits round its first processes, from outside.
func (p *Process) bound(pids ...int) error {
	for _, pid := range pids {
		if p.bounds != nil {
			if err := p.bounds.add(pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return asUser(p.spec.User, func() error {
		return limit(pids[len(pids)-1], p.spec.Limits, p.starter.Isolated())
	})
}

// asUser calls f on a thread with the rights of an account, u's where it isn't
// the host's own. A process may change the limits of those of its own account; a
// root that is less than almighty, as in many containers, can't change others'.
func asUser(u User, f func() error) error {
	if u == (User{}) {
		return f()
	}
	result := make(chan error, 1)
	go onOwnThread(func() {
		// Not the standard library's, which would change every thread.
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(u.GID), uintptr(u.GID), uintptr(u.GID)); e != 0 {
			result <- fmt.Errorf("take on group %d: %w", u.GID, e)
			return
		}
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(u.UID), uintptr(u.UID), uintptr(u.UID)); e != 0 {
			result <- fmt.Errorf("take on account %d: %w", u.UID, e)
			return
		}
		result <- f()
	})
	return <-result
}

// keepDescriptors makes sure that the child gets none of the host's
// descriptors but those passed on purpose, even ones that the host itself
// inherited open.
func keepDescriptors() error {
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if err == nil || !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd := number(e.Name()); fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// limit applies the limits that the system holds for each process, and hands on
// to those it starts. ownUsers says that the process has a user namespace of its
// own, in which its processes are counted.
func limit(pid int, l Limits, ownUsers bool) error {
	set := func(resource int, n uint64) error {
		return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: n, Max: n}, nil)
	}
	err := set(unix.RLIMIT_CORE, 0)
	if l.FileSize > 0 {
		err = errors.Join(err, set(unix.RLIMIT_FSIZE, uint64(l.FileSize)))
	}
	if l.OpenFiles > 0 {
		err = errors.Join(err, set(unix.RLIMIT_NOFILE, uint64(l.OpenFiles)))
	}
	if l.Processes > 0 && ownUsers {
		err = errors.Join(err, set(unix.RLIMIT_NPROC, uint64(l.Processes)))
	}
	if l.CPUTime > 0 {
		err = errors.Join(err, set(unix.RLIMIT_CPU, uint64(math.Ceil(l.CPUTime.Seconds()))))
	}
	if errors.Is(err, unix.ESRCH) {
		return nil // it has ended by itself
	}
	return err
}

// wait returns when the child has ended and its session is swept. Until then
// the child stays a zombie, so that its number can belong to nobody else.
func (p *Process) wait() Exit {
	for {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	ended := time.Now()
	syscall.Kill(-p.pid, syscall.SIGKILL)
	p.endFirst()
	sweep(p.pid)

	p.mu.Lock()
	p.reaped = true
	stopped, fault := p.stopping != nil, p.fault
	p.mu.Unlock()

	var status syscall.WaitStatus
	var usage syscall.Rusage
	children.Lock()
	for {
		if _, err := syscall.Wait4(p.pid, &status, 0, &usage); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	delete(children.leaders, p.pid)
	children.Unlock()
	exit := newExit(status, usage, ended, stopped, p.starter.Isolated())
	if p.bounds != nil {
		p.over = p.bounds.exceeded()
		if p.over != "" && fault == "" && exit.Signal == syscall.SIGKILL && !stopped {
			fault = p.over
		}
		if err := p.bounds.remove(); err != nil {
			p.log.Warn("a child's control group could not be removed", "child", p.spec.Name, "error", err)
		}
	}
	if fault != "" {
		exit.Reason = "killed by the host: " + fault
	}
	return exit
}

// finish ends what lasted as long as the child, says that it is over, and waits
// for the rest: neither a measurement under way nor those who served the child
// hold up whoever waits for its end.
func (p *Process) finish(exit Exit) {
	for _, l := range p.listeners {
		l.Close()
	}
	p.mu.Lock()
	p.exit = exit
	p.mu.Unlock()
	p.log.Debug("a child ended", "child", p.spec.Name, "pid", p.group, "reason", exit.Reason, "cpu", exit.CPU)
	p.end()
	p.background.Wait()
}

func newExit(status syscall.WaitStatus, usage syscall.Rusage, ended time.Time, stopped, wrapped bool) Exit {
	e := Exit{
		Code:    status.ExitStatus(),
		Stopped: stopped,
		Time:    ended,
		CPU:     time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		Memory:  usage.Maxrss << 10,
	}
	// Bubblewrap passes on how the child ended as a shell does.
	if status.Signaled() {
		e.Signal = status.Signal()
	} else if wrapped && e.Code > 128 && e.Code < 128+65 {
		e.Signal, e.Code = syscall.Signal(e.Code-128), -1
	}
	switch {
	case e.Signal == 0:
		e.Reason = "exit code " + strconv.Itoa(e.Code)
	case e.Signal == syscall.SIGXCPU:
		e.Reason = "killed by SIGXCPU: over its processor time"
	case e.Signal == syscall.SIGXFSZ:
		e.Reason = "killed by SIGXFSZ: over its file size"
	case e.Signal == syscall.SIGKILL && !stopped:
		e.Reason = "killed by SIGKILL, not by the host: perhaps out of memory"
	default:
		e.Reason = "killed by " + unix.SignalName(e.Signal)
	}
	return e
}
