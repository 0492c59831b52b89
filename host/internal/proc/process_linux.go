package proc

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
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
func launch(spec Spec, log hclog.Logger) (*Process, error) {
	descriptors, pipe, err := stdio(spec)
	if err != nil {
		return nil, err
	}
	p := &Process{spec: spec, log: log, output: &tail{bound: spec.Limits.Output}}
	p.ctx, p.end = context.WithCancel(context.Background())
	started := make(chan error, 1)
	go onOwnThread(func() {
		err := p.fork(descriptors)
		closeOwn(descriptors, spec)
		started <- err
		if err != nil {
			if pipe != nil {
				pipe.Close()
			}
			return
		}
		copied := make(chan struct{})
		go func() {
			defer close(copied)
			if pipe != nil {
				io.Copy(p.output, pipe) // ends with the last writer, or at the deadline below
				pipe.Close()
			}
		}()
		exit := p.wait()
		if pipe != nil {
			pipe.SetReadDeadline(time.Now().Add(drainBound))
		}
		<-copied
		p.finish(exit)
	})
	if err := <-started; err != nil {
		p.end()
		return nil, err
	}
	log.Debug("started a child", "child", spec.Name, "pid", p.pid)
	return p, nil
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

// fork starts the child from the calling thread and sets its limits.
func (p *Process) fork(descriptors []*os.File) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := keepDescriptors(); err != nil {
		return err
	}
	attr := &syscall.ProcAttr{
		Dir: p.spec.Dir,
		Env: p.spec.environ(),
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	if u := p.spec.User; u != (User{}) {
		attr.Sys.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID}
	}
	for _, f := range descriptors {
		attr.Files = append(attr.Files, f.Fd())
	}
	children.Lock()
	pid, err := syscall.ForkExec(p.spec.Path, append([]string{p.spec.Path}, p.spec.Args...), attr)
	if err == nil {
		children.leaders[pid] = true
	}
	children.Unlock()
	runtime.KeepAlive(descriptors)
	if err != nil {
		return err
	}
	p.pid = pid
	if err := limit(pid, p.spec.Limits); err != nil {
		syscall.Kill(-pid, syscall.SIGKILL)
		p.wait()
		return err
	}
	return nil
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

// limit applies the limits that the system can hold for each process. It acts
// from outside, a moment after the start.
func limit(pid int, l Limits) error {
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
	sweep(p.pid)

	p.mu.Lock()
	p.reaped = true
	stopped := p.stopping != nil
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
	return newExit(status, usage, ended, stopped)
}

func (p *Process) finish(exit Exit) {
	p.mu.Lock()
	p.exit = exit
	p.mu.Unlock()
	p.log.Debug("a child ended", "child", p.spec.Name, "pid", p.pid, "reason", exit.Reason, "cpu", exit.CPU)
	p.end()
}

func newExit(status syscall.WaitStatus, usage syscall.Rusage, ended time.Time, stopped bool) Exit {
	e := Exit{
		Code:    status.ExitStatus(),
		Stopped: stopped,
		Time:    ended,
		CPU:     time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		Memory:  usage.Maxrss << 10,
	}
	if status.Signaled() {
		e.Signal = status.Signal()
	}
	switch {
	case !status.Signaled():
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
