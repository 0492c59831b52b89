package proc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What an isolated child sees of itself.
const (
	insideID   = 1000
	insideName = "sandbox"
	insideTmp  = 64 << 20  // bytes of a /tmp that is no view
	insideShm  = 256 << 20 // bytes of /dev/shm
)

// startBound bounds what the walls take to stand.
const startBound = 20 * time.Second

// SystemFolders are those of the machine's that an isolated child sees in any
// case, besides parts of /etc.
func SystemFolders() []string { return slices.Clone(systemFolders) }

// systemFolders are bound read-only where they are folders, and linked where
// they are links, as /bin is to usr/bin.
var systemFolders = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

// systemFiles are what programs read of /etc. Nothing in them is a secret, and
// what tells of the machine's people and networks isn't among them.
var systemFiles = []string{
	"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
	"/etc/fonts", "/etc/localtime", "/etc/mime.types", "/etc/magic", "/etc/papersize",
	"/etc/protocols", "/etc/services", "/etc/python3", "/etc/texmf", "/etc/chromium",
	"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/ca-trust/extracted", "/etc/pki/tls/certs",
}

// accountFiles are the rest of /etc, in the child's own words.
var accountFiles = map[string]string{
	"/etc/passwd": "root:x:0:0:root:/:/usr/sbin/nologin\n" +
		insideName + ":x:1000:1000::/home/" + insideName + ":/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
	"/etc/group":         "root:x:0:\n" + insideName + ":x:1000:\nnogroup:x:65534:\n",
	"/etc/hosts":         "127.0.0.1 localhost " + insideName + "\n::1 localhost\n",
	"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

// namespaces are bubblewrap's options for the walls that a namespace is.
var namespaces = []struct{ wall, option string }{
	{WallProcesses, "--unshare-pid"},
	{WallIPC, "--unshare-ipc"},
	{WallHostName, "--unshare-uts"},
	{WallControlGroups, "--unshare-cgroup"},
	{WallNetwork, "--unshare-net"},
}

// A wrapping is the command line of bubblewrap for one child, and the
// descriptors that belong to it.
type wrapping struct {
	args  []string
	files []*os.File // what the program gets, from 0 up
	own   []*os.File // those of them that are the host's to close
}

func (w *wrapping) add(args ...string) { w.args = append(w.args, args...) }

// pass hands a descriptor on and returns its number there.
func (w *wrapping) pass(f *os.File) string {
	w.files, w.own = append(w.files, f), append(w.own, f)
	return strconv.Itoa(len(w.files) - 1)
}

// data hands on bytes to be read.
func (w *wrapping) data(b []byte) (string, error) {
	fd, err := unix.MemfdCreate("sallyport", unix.MFD_CLOEXEC)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), "memfd")
	number := w.pass(f)
	if _, err := f.Write(b); err != nil {
		return "", err
	}
	_, err = f.Seek(0, io.SeekStart)
	return number, err
}

func (w *wrapping) close() {
	for _, f := range w.own {
		f.Close()
	}
}

// line describes what the child sees and may. sources are where the views are
// for bubblewrap.
func (w *wrapping) line(walls walls, spec Spec, sources []string, seen func(View) string) error {
	w.add("--unshare-user", "--uid", strconv.Itoa(insideID), "--gid", strconv.Itoa(insideID))
	for _, n := range namespaces {
		if walls.stand(n.wall) {
			w.add(n.option)
		}
	}
	if walls.stand(WallHostName) {
		w.add("--hostname", insideName)
	}
	w.add("--new-session", "--die-with-parent", "--clearenv")
	for _, entry := range spec.environ() {
		name, value, _ := strings.Cut(entry, "=")
		w.add("--setenv", name, value)
	}
	if err := w.system(); err != nil {
		return err
	}
	w.add("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", strconv.Itoa(insideShm), "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
	views := make([]int, len(spec.Views)) // by where they are, those above first
	for i := range views {
		views[i] = i
	}
	slices.SortStableFunc(views, func(a, b int) int { return strings.Compare(seen(spec.Views[a]), seen(spec.Views[b])) })
	if !slices.ContainsFunc(spec.Views, func(v View) bool { return seen(v) == "/tmp" }) {
		w.add("--perms", "1777", "--size", strconv.Itoa(insideTmp), "--tmpfs", "/tmp")
	}
	for _, i := range views {
		bind := "--bind"
		if spec.Views[i].ReadOnly {
			bind = "--ro-bind"
		}
		w.add(bind, sources[i], seen(spec.Views[i]))
	}
	dir, ok := seenDir(spec, seen)
	if !ok {
		return fmt.Errorf("the working directory %s is in none of the views", spec.Dir)
	}
	w.add("--remount-ro", "/", "--chdir", dir)
	if walls.stand(WallSystemCalls) {
		programs, err := filters(spec.Nests)
		if err != nil {
			return err
		}
		for _, program := range programs {
			number, err := w.data(program)
			if err != nil {
				return err
			}
			w.add("--add-seccomp-fd", number)
		}
	}
	return nil
}

// system shows the machine's programs.
func (w *wrapping) system() error {
	for _, dir := range systemFolders {
		info, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(dir)
			if err != nil {
				return err
			}
			w.add("--symlink", target, dir)
		default:
			w.add("--ro-bind", dir, dir)
		}
	}
	w.add("--perms", "0755", "--dir", "/etc")
	for _, file := range systemFiles {
		w.add("--ro-bind-try", file, file)
	}
	for file, text := range accountFiles {
		number, err := w.data([]byte(text))
		if err != nil {
			return err
		}
		w.add("--perms", "0444", "--file", number, file)
	}
	return nil
}

// seenDir returns where the child sees its working directory.
func seenDir(spec Spec, seen func(View) string) (string, bool) {
	for _, v := range spec.Views {
		if rel, err := filepath.Rel(v.Source, spec.Dir); err == nil && filepath.IsLocal(rel) {
			return filepath.Join(seen(v), rel), true
		}
	}
	return "", false
}

// forkWrapped starts the child behind its walls, from the calling thread, and
// returns when it runs, or is just about to. On an error nothing is left.
func (p *Process) forkWrapped(descriptors []*os.File) (err error) {
	spec, s := p.spec, p.starter
	w := &wrapping{files: slices.Clone(descriptors)}
	defer w.close()
	sources := make([]string, len(spec.Views))
	if spec.User != (User{}) {
		if sources, err = exhibit(spec.Views, spec.User); err != nil {
			return err
		}
	} else {
		fds, err := openSources(spec.Views)
		if err != nil {
			return err
		}
		err = reopen(spec.Views, fds)
		closeAll(fds)
		if err != nil {
			return err
		}
		for i, v := range spec.Views {
			sources[i] = v.Source
		}
	}
	if err := w.line(s.walls, spec, sources, s.Seen); err != nil {
		return err
	}
	info, infoInside, err := os.Pipe()
	if err != nil {
		return err
	}
	defer info.Close()
	w.add("--info-fd", w.pass(infoInside))
	goInside, goAhead, err := os.Pipe()
	if err != nil {
		return err
	}
	defer goAhead.Close()
	w.add("--block-fd", w.pass(goInside))
	command := append([]string{spec.Path}, spec.Args...)
	var handed *os.File
	if verb, args := spec.stage(); verb != "" {
		program, err := os.Open("/proc/self/exe")
		if err != nil {
			return err
		}
		ours, theirs, err := socketPair()
		if err != nil {
			program.Close()
			return err
		}
		defer ours.Close()
		handed = ours
		command = append([]string{"/proc/self/fd/" + w.pass(program), stageArg, verb, w.pass(theirs)}, args...)
	}
	line, err := w.data([]byte(strings.Join(w.args, "\x00") + "\x00"))
	if err != nil {
		return err
	}
	attr := &syscall.ProcAttr{Dir: "/", Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}}
	if u := spec.User; u != (User{}) {
		attr.Sys.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID}
	}
	if err := p.forkExec(s.bubblewrap, append([]string{"bwrap", "--args", line, "--"}, command...), attr, w.files); err != nil {
		return err
	}
	w.close() // so that the pipes end with the child
	if err := p.letRun(info, goAhead, handed); err != nil {
		syscall.Kill(-p.pid, syscall.SIGKILL)
		p.wait()
		for _, l := range p.listeners {
			l.Close()
		}
		if p.over != "" {
			return fmt.Errorf("it was killed before it ran: %s", p.over)
		}
		return err
	}
	return nil
}

// letRun waits until the walls stand, puts the child's limits round it, and
// lets it run.
func (p *Process) letRun(info, goAhead, handed *os.File) error {
	if err := info.SetReadDeadline(time.Now().Add(startBound)); err != nil {
		return err
	}
	var about struct {
		Child int `json:"child-pid"`
	}
	if err := json.NewDecoder(info).Decode(&about); err != nil || about.Child <= 0 {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("bubblewrap did not put the walls up within %v", startBound)
		}
		return errWalls
	}
	fd, err := unix.PidfdOpen(about.Child, 0)
	if err != nil {
		return errWalls // it has ended already
	}
	p.first = os.NewFile(uintptr(fd), "pidfd")
	children.Lock()
	children.leaders[about.Child] = true
	children.Unlock()
	p.group = about.Child
	if err := p.bound(p.pid, about.Child); err != nil {
		return fmt.Errorf("put its limits round it: %w", err)
	}
	if _, err := goAhead.Write([]byte{1}); err != nil {
		return errWalls
	}
	if n := len(p.spec.Listen); handed != nil && n > 0 {
		if p.listeners, err = receiveListeners(handed, n); err != nil {
			return err
		}
	}
	if p.spec.trial != nil {
		if p.report, err = readAll(handed); err != nil {
			return err
		}
	}
	return p.awaitSession()
}

// errWalls means that bubblewrap ended early. What it printed says why.
var errWalls = errors.New("bubblewrap could not put the walls up")

// awaitSession waits for the child to lead its session, so that a signal finds
// its group: the last thing that bubblewrap does.
func (p *Process) awaitSession() error {
	deadline := time.Now().Add(startBound)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		group, err := unix.Getpgid(p.group)
		if err != nil || group == p.group {
			return nil // it may have ended by itself
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the child did not start within %v", startBound)
		}
		time.Sleep(pause) // nothing tells of it
	}
}

// endFirst kills what is left of the child's process table, which ends with its
// first process, and returns when that is gone.
func (p *Process) endFirst() {
	if p.first == nil {
		return
	}
	defer p.first.Close()
	fd := int(p.first.Fd())
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err == nil {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		deadline := time.Now().Add(sweepBound)
		for {
			_, err := unix.Poll(poll, int(max(0, time.Until(deadline)).Milliseconds()))
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
	children.Lock()
	delete(children.leaders, p.group)
	children.Unlock()
	reap(p.group)
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetNonblock(fds[1], false); err != nil {
		closeAll(fds[:])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "stage"), os.NewFile(uintptr(fds[1]), "stage"), nil
}

// readAll reads one message of the stage's.
func readAll(from *os.File) ([]byte, error) {
	if err := from.SetReadDeadline(time.Now().Add(startBound)); err != nil {
		return nil, err
	}
	b := make([]byte, 64<<10)
	n, err := from.Read(b)
	return bytes.Clone(b[:n]), err
}

// stage returns what the stage has to do before, or in place of, the program.
func (s *Spec) stage() (verb string, args []string) {
	switch {
	case s.trial != nil:
		b, err := json.Marshal(s.trial)
		if err != nil { // strings and numbers always marshal
			panic(err)
		}
		return stageTry, []string{string(b)}
	case len(s.Listen) > 0:
		for _, l := range s.Listen {
			args = append(args, l.Address)
		}
		return stageListen, append(append(args, "--", s.Path), s.Args...)
	}
	return "", nil
}
