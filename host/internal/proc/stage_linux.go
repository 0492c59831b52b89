package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The stage is this very program, run inside the walls before or in place of a
// child's: it does there what can only be done from the inside. It listens on
// the child's own network and hands the sockets to the host, or it tries the
// walls. stageArg tells it from a run of the program by its user.
const (
	stageArg    = "sallyport-proc-stage"
	stageListen = "listen"
	stageTry    = "try"
)

// Any program with this package in it can be its stage, tests included.
func init() {
	if len(os.Args) > 3 && os.Args[1] == stageArg {
		if err := runStage(os.Args[2], os.Args[3], os.Args[4:]); err != nil {
			fmt.Fprintln(os.Stderr, "start:", err)
		}
		os.Exit(126) // that of a program that can't be run
	}
}

// runStage carries out one verb. at is the number of the descriptor that leads
// to the host.
func runStage(verb, at string, args []string) error {
	host, err := strconv.Atoi(at)
	if err != nil {
		return err
	}
	program, err := strconv.Atoi(filepath.Base(os.Args[0])) // it was started as /proc/self/fd/N
	if err != nil {
		return err
	}
	unix.CloseOnExec(host)
	unix.CloseOnExec(program)
	switch verb {
	case stageListen:
		return listenAndExec(host, args)
	case stageTry:
		if len(args) != 1 {
			return errors.New("the stage was given no trial")
		}
		var t trial
		if err := json.Unmarshal([]byte(args[0]), &t); err != nil {
			return err
		}
		report, err := json.Marshal(t.attempt())
		if err != nil {
			return err
		}
		if _, err := unix.Write(host, report); err != nil {
			return err
		}
		os.Exit(0)
	}
	return fmt.Errorf("the stage knows no %q", verb)
}

// listenAndExec listens on the addresses before "--", hands the sockets over,
// and becomes the program after it.
func listenAndExec(host int, args []string) error {
	var sockets []int
	for len(args) > 0 && args[0] != "--" {
		fd, err := listen(args[0])
		if err != nil {
			return fmt.Errorf("listen on %s: %w", args[0], err)
		}
		sockets, args = append(sockets, fd), args[1:]
	}
	if len(args) < 2 {
		return errors.New("the stage was given no program")
	}
	if err := unix.Sendmsg(host, []byte{byte(len(sockets))}, unix.UnixRights(sockets...), nil, 0); err != nil {
		return fmt.Errorf("hand the sockets over: %w", err)
	}
	if err := syscall.Exec(args[1], args[1:], os.Environ()); err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	return nil
}

func listen(address string) (int, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return 0, err
	}
	return fd, unix.Listen(fd, unix.SOMAXCONN)
}

// receiveListeners returns the n sockets that the stage hands over.
func receiveListeners(from *os.File, n int) (listeners []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
		}
	}()
	if err := from.SetReadDeadline(time.Now().Add(startBound)); err != nil {
		return nil, err
	}
	raw, err := from.SyscallConn()
	if err != nil {
		return nil, err
	}
	data, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4*n))
	var size, control int
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		size, control, _, _, failure = unix.Recvmsg(int(fd), data, rights, unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(failure, unix.EAGAIN)
	})
	if err = errors.Join(err, failure); err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, errors.New("the child ended before it listened")
	}
	messages, err := unix.ParseSocketControlMessage(rights[:control])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(errors.New("the child handed nothing over"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "listener")
		l, listenErr := net.FileListener(f)
		err = errors.Join(err, listenErr, f.Close())
		if listenErr == nil {
			listeners = append(listeners, l)
		}
	}
	if err == nil && len(listeners) != n {
		err = fmt.Errorf("the child handed over %d sockets, not %d", len(listeners), n)
	}
	return listeners, err
}
