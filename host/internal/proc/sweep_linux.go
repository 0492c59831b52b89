package proc

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// children are the processes that this package started and has not reaped.
// They are the process's, not a Starter's: so is the table of the system's.
// The lock is held while one is started or reaped, so that a sweep can tell
// them from adopted orphans.
var children = struct {
	sync.Mutex
	leaders map[int]bool
}{leaders: map[int]bool{}}

// becomeReaper makes the system hand orphaned descendants to this process.
// Without it they go to process 1, which in a container often reaps nothing.
func becomeReaper() error {
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// sweep kills and reaps everything in a session but its leader, which the
// caller still holds as a zombie. It also reaps orphans that left for a
// session of their own and have ended since.
func sweep(session int) {
	own := os.Getpid()
	ownSession, _ := unix.Getsid(0)
	deadline := time.Now().Add(sweepBound)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		left := false
		for _, s := range processes() {
			switch {
			case s.pid == session:
			case s.session == session:
				if s.state != 'Z' {
					left = true
					syscall.Kill(s.pid, syscall.SIGKILL)
				} else if s.parent == own {
					left = !reap(s.pid) || left
				}
			case s.parent == own && s.state == 'Z' && s.session != ownSession:
				reap(s.pid)
			}
		}
		if !left || time.Now().After(deadline) {
			return
		}
		time.Sleep(pause) // there is no event for the end of another's child
	}
}

// reap collects an adopted orphan, and says whether it is gone. It never
// takes the end of a child from the goroutine that waits for it.
func reap(pid int) bool {
	children.Lock()
	defer children.Unlock()
	if children.leaders[pid] {
		return true
	}
	_, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return err == nil
}

// A stat is one line of the system's process table.
type stat struct {
	pid, parent, session int
	state                byte
}

// processes reads the process table.
func processes() []stat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var list []stat
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		line, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it ended in between
		}
		// pid (name) state parent group session …; the name may hold anything.
		fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
		if len(fields) < 4 {
			continue
		}
		list = append(list, stat{
			pid:     number(name),
			state:   fields[0][0],
			parent:  number(string(fields[1])),
			session: number(string(fields[3])),
		})
	}
	return list
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
