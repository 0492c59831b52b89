//go:build linux

package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asOrdinaryUser runs the rest of a test as a user who isn't root, in a process
// of its own if need be. It says whether the caller is that user.
func asOrdinaryUser(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		return true
	}
	again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	again.Dir = "/"
	again.Env = []string{"PATH=/usr/bin:/bin", "TMPDIR=/tmp"}
	again.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := again.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
	return false
}

// A worker is a shell that runs a command when it is told to.
type worker struct {
	*exec.Cmd
	t       *testing.T
	in      io.WriteCloser
	answers *bufio.Reader
}

// newWorker starts a worker in a new folder. SIGXFSZ doesn't kill it.
func newWorker(t *testing.T) *worker {
	t.Helper()
	w := &worker{t: t, Cmd: exec.Command("/bin/sh", "-c",
		`trap '' XFSZ; while read -r line; do out=$(eval "$line" 2>&1); echo "$?" $out; done`)}
	w.Dir = t.TempDir()
	w.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	w.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := w.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.in, w.answers = in, bufio.NewReader(out)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-w.Process.Pid, syscall.SIGKILL)
		w.Wait()
	})
	return w
}

// tell tells the worker to run a command.
func (w *worker) tell(command string) {
	w.t.Helper()
	if _, err := io.WriteString(w.in, command+"\n"); err != nil {
		w.t.Fatal(err)
	}
}

// python tells the worker to run a script.
func (w *worker) python(script string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "script.py")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.tell("python3 " + file)
}

// run runs a command and returns its exit code and what it printed, in one
// line. It fails the test when the worker is gone.
func (w *worker) run(command string) (code int, out string) {
	w.t.Helper()
	w.tell(command)
	line, err := w.answers.ReadString('\n')
	if err != nil {
		w.t.Fatalf("%s: %v", command, err)
	}
	first, out, _ := strings.Cut(strings.TrimSpace(line), " ")
	if code, err = strconv.Atoi(first); err != nil {
		w.t.Fatalf("%s: %q", command, line)
	}
	return code, out
}

// tree returns the worker and all it started.
func (w *worker) tree() []int { return descendants(w.Process.Pid) }

func descendants(pid int) []int {
	list := []int{pid}
	for i := 0; i < len(list); i++ {
		children, _ := words(fmt.Sprintf("/proc/%d/task/%d/children", list[i], list[i]))
		for _, c := range children {
			list = append(list, number(c))
		}
	}
	return list
}

// kill ends the worker and all it started.
func (w *worker) kill() {
	for _, pid := range slices.Backward(w.tree()) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	syscall.Kill(-w.Process.Pid, syscall.SIGKILL)
}

// deadline is how long a test waits for what must come.
const deadline = 30 * time.Second

// eventually polls, within a bound, for what has no event.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	began := time.Now()
	for !is() {
		if time.Since(began) > deadline {
			t.Fatalf("after %v it is not so that %s", deadline, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
