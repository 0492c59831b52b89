package proc_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// roleVariable makes the test binary play another part than the tests.
const roleVariable = "PROC_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "host":
		beHost(proc.IsolationOff)
	case "isolated host":
		beHost(proc.IsolationRequired)
	case "terminal":
		beOnTerminal(false)
	case "bare terminal":
		beOnTerminal(true)
	}
	code := m.Run()
	for _, clean := range cleanups {
		clean()
	}
	os.Exit(code)
}

// cleanups run after all tests.
var cleanups []func()

// beHost starts a child that prints its own pid, and waits to be killed.
func beHost(isolation proc.Isolation) {
	starter, err := proc.New(proc.Config{Isolation: isolation})
	if err == nil {
		_, err = starter.Start(context.Background(), proc.Spec{
			Path: "/bin/sh", Args: []string{"-c", os.Getenv("PROC_TEST_SCRIPT")},
			Env: map[string]string{"PATH": os.Getenv("PATH")}, Dir: os.TempDir(), Stdout: os.Stdout,
			User: starter.User(0), Views: []proc.View{{Source: os.TempDir(), Target: "/dir"}},
		})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	select {}
}

// host starts a process that starts a child, which runs a script, and returns
// what the child prints.
func host(t *testing.T, role, script string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := exec.Command(self)
	h.Env = append(os.Environ(), roleVariable+"="+role, "PROC_TEST_SCRIPT="+script, "TMPDIR="+openTempDir(t))
	stdout, err := h.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Process.Kill(); h.Wait() })
	return h, bufio.NewReader(stdout)
}

// newStarter returns a Starter without walls, or, in the tests whose name starts
// so, one that requires them.
func newStarter(t *testing.T) *proc.Starter {
	t.Helper()
	if strings.HasPrefix(t.Name(), "TestIsolated") {
		return isolating(t)
	}
	s, err := proc.New(proc.Config{Isolation: proc.IsolationOff})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shell returns the spec of a shell script. What it prints goes to the lines
// that are returned.
func shell(t *testing.T, script string) (proc.Spec, *bufio.Reader) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	if err := read.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return proc.Spec{
		Name: "script", Path: "/bin/sh", Args: []string{"-c", script},
		Env: map[string]string{"PATH": "/usr/bin:/bin"}, Dir: t.TempDir(),
		Stdout: write, Grace: 10 * time.Second,
	}, bufio.NewReader(read)
}

func start(t *testing.T, spec proc.Spec) *proc.Process {
	t.Helper()
	p, err := try(t, t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, p) })
	return p
}

// try starts a child that may fail to. An isolated one sees its directory, and
// has an account of its own where there is one.
func try(t *testing.T, ctx context.Context, spec proc.Spec) (*proc.Process, error) {
	t.Helper()
	s := newStarter(t)
	if s.Isolated() {
		spec.User = s.User(int(sessions.Add(1)))
		if !slices.ContainsFunc(spec.Views, func(v proc.View) bool { return v.Source == spec.Dir }) {
			spec.Views = append(slices.Clone(spec.Views), proc.View{Source: spec.Dir})
		}
	}
	return s.Start(ctx, spec)
}

func stop(t *testing.T, p *proc.Process) {
	t.Helper()
	if err := p.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	text, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

func pid(t *testing.T, r *bufio.Reader) int {
	t.Helper()
	text := line(t, r)
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("want a pid, got %q", text)
	}
	return n
}

// state returns the state letter of a process, 0 when there is none.
func state(pid int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))[0][0]
}

// wait polls for what has no event, and fails the test after ten seconds.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func await(t *testing.T, p *proc.Process) proc.Exit {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the child doesn't end")
	}
	return p.Exit()
}

func TestExitSaysHowTheChildEnded(t *testing.T) {
	for _, c := range []struct {
		script, reason string
		code           int
		signal         syscall.Signal
	}{
		{"exit 0", "exit code 0", 0, 0},
		{"exit 3", "exit code 3", 3, 0},
		{"kill -SEGV $$", "killed by SIGSEGV", -1, syscall.SIGSEGV},
		{"kill -KILL $$", "killed by SIGKILL, not by the host: perhaps out of memory", -1, syscall.SIGKILL},
	} {
		spec, _ := shell(t, c.script)
		exit := await(t, start(t, spec))
		if exit.Code != c.code || exit.Signal != c.signal || exit.Reason != c.reason || exit.Stopped || exit.Time.IsZero() {
			t.Errorf("%s: %+v", c.script, exit)
		}
	}
}

func TestChildLeadsItsOwnSession(t *testing.T) {
	spec, out := shell(t, "cut -d' ' -f5,6 /proc/$$/stat; sleep 1000")
	p := start(t, spec)
	if got, want := line(t, out), fmt.Sprintf("%d %[1]d", p.PID()); got != want {
		t.Errorf("group and session %s, want %s", got, want)
	}
}

func TestEnvironmentIsTheSpecs(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "hunter2")
	spec, _ := shell(t, "")
	spec.Path, spec.Args, spec.Stdout = "/usr/bin/env", nil, nil
	spec.Env = map[string]string{"B": "2", "A": "1 = one"}
	p := start(t, spec)
	await(t, p)
	if got := p.Output(); got != "A=1 = one\nB=2\n" {
		t.Errorf("the child's environment is %q", got)
	}
}

func TestDescriptorsAreThoseOnTheList(t *testing.T) {
	// One that the host inherited open, as it were: without close-on-exec.
	leak, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leak)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	spec, _ := shell(t, "echo /proc/self/fd/*; echo passed >&3")
	spec.Stdout = nil
	spec.Files = []*os.File{file}
	p := start(t, spec)
	await(t, p)
	// The shell opens the directory for itself, as the next number.
	want := "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3"
	if got := strings.TrimSuffix(strings.TrimSpace(p.Output()), " /proc/self/fd/4"); got != want {
		t.Errorf("the child has %s, want %s", got, want)
	}
	if got, _ := os.ReadFile(file.Name()); string(got) != "passed\n" {
		t.Errorf("descriptor 3 got %q", got)
	}
}

func TestPrivilegesCannotBeGained(t *testing.T) {
	spec, out := shell(t, "grep NoNewPrivs /proc/self/status")
	start(t, spec)
	if got := strings.Fields(line(t, out)); !slices.Equal(got, []string{"NoNewPrivs:", "1"}) {
		t.Errorf("got %s", got)
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil || strings.Contains(string(own), "NoNewPrivs:\t1") {
		t.Errorf("the host can't gain privileges any more: %v", err)
	}
}

func TestOutputKeepsTheEnd(t *testing.T) {
	spec, _ := shell(t, "seq 100000; echo last words >&2")
	spec.Stdout, spec.Limits.Output = nil, 1000
	p := start(t, spec)
	await(t, p)
	if got := p.Output(); len(got) != 1000 || !strings.HasSuffix(got, "\n100000\nlast words\n") {
		t.Errorf("%d bytes, ending in %q", len(got), got[max(0, len(got)-40):])
	}
}

func TestLimitsOfEachProcessHold(t *testing.T) {
	for _, c := range []struct {
		name, script, reason string
		limits               proc.Limits
	}{
		{"file size", "head -c 100000 /dev/zero >big; stat -c %s big", "8192", proc.Limits{FileSize: 8192}},
		{"open files", "ulimit -n", "32", proc.Limits{OpenFiles: 32}},
		{"processor time", "ulimit -t", "2", proc.Limits{CPUTime: 1500 * time.Millisecond}},
		{"core dumps", "ulimit -c", "0", proc.Limits{}},
	} {
		// The limits come a moment after the start, so the script waits for a word.
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		spec, out := shell(t, "read go; "+c.script)
		spec.Stdin, spec.Limits = read, c.limits
		p := start(t, spec)
		fmt.Fprintln(write, "go")
		if got := line(t, out); got != c.reason {
			t.Errorf("%s: %s, want %s", c.name, got, c.reason)
		}
		await(t, p)
		read.Close()
		write.Close()
	}
}

func TestOverItsProcessorTimeAChildIsKilled(t *testing.T) {
	spec, _ := shell(t, "while :; do :; done")
	spec.Limits.CPUTime = time.Second
	if exit := await(t, start(t, spec)); exit.Signal != syscall.SIGKILL && exit.Signal != syscall.SIGXCPU {
		t.Errorf("%+v", exit)
	}
}

func TestViewsAreLinksInTheDirectory(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "file"), []byte("seen\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec, out := shell(t, "cat zone/file deep/er/zone/file")
	spec.Views = []proc.View{{Source: source, Link: "zone"}, {Source: source, Link: "deep/er/zone", ReadOnly: true}, {Source: source}}
	for range 2 { // the links of an earlier start don't matter
		await(t, start(t, spec))
		if a, b := line(t, out), line(t, out); a != "seen" || b != "seen" {
			t.Errorf("got %q, %q", a, b)
		}
	}
}

func TestViewsMoveAsideWhatAnEarlierChildLeft(t *testing.T) {
	source, outside := t.TempDir(), t.TempDir()
	spec, _ := shell(t, "true")
	spec.Views = []proc.View{{Source: source, Link: "zone"}, {Source: source, Link: "link"}}
	if err := os.Mkdir(filepath.Join(spec.Dir, "zone"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(spec.Dir, "zone", "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(spec.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	await(t, start(t, spec))
	for _, name := range []string{"zone", "link"} {
		if got, err := os.Readlink(filepath.Join(spec.Dir, name)); got != source {
			t.Errorf("%s leads to %q: %v", name, got, err)
		}
	}
	if _, err := os.Stat(filepath.Join(spec.Dir, "zone~1", "kept")); err != nil {
		t.Error(err)
	}
}

func TestViewsNeverLeaveTheDirectory(t *testing.T) {
	source, outside := t.TempDir(), t.TempDir()
	spec, _ := shell(t, "true")
	if err := os.Symlink(outside, filepath.Join(spec.Dir, "trap")); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"../zone", "trap/zone", ".", "/elsewhere"} {
		spec.Views = []proc.View{{Source: source, Link: target}}
		if _, err := try(t, t.Context(), spec); err == nil {
			t.Errorf("the target %s was accepted", target)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
		t.Errorf("outside the directory there is %v, %v", left, err)
	}
}

func TestChildOutlivesTheThreadsOfItsTime(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	spec, out := shell(t, "cat")
	spec.Stdin = read
	p := start(t, spec)
	ended := make(chan struct{})
	for range 100 {
		go func() {
			defer func() { ended <- struct{}{} }()
			runtime.LockOSThread() // and end the thread
		}()
	}
	for range 100 {
		<-ended
	}
	fmt.Fprintln(write, "still here")
	if got := line(t, out); got != "still here" {
		t.Error(got)
	}
	write.Close()
	if exit := await(t, p); exit.Code != 0 {
		t.Errorf("%+v", exit)
	}
}

func TestChildDiesWithTheHost(t *testing.T) {
	newStarter(t) // the orphan comes to this process, whatever process 1 is
	host, out := host(t, "host", "echo $$; exec sleep 1000")
	child := pid(t, out)
	if s := state(child); s == 0 || s == 'Z' {
		t.Fatalf("the child doesn't live: %q", s)
	}
	host.Process.Kill()
	host.Wait()
	wait(t, "the child's end", func() bool { s := state(child); return s == 0 || s == 'Z' })
}

func TestReadOfStdinIsAtItsEnd(t *testing.T) {
	spec, out := shell(t, "cat; echo end")
	start(t, spec)
	if got := line(t, out); got != "end" {
		t.Error(got)
	}
}

func TestGoroutinesEndWithTheChild(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		spec, _ := shell(t, "sleep 1000")
		spec.Stdout = nil
		stop(t, start(t, spec))
	}
	wait(t, "the goroutines' end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestWallsSayWhatDoesNotHold(t *testing.T) {
	walls := newStarter(t).Walls()
	holds := map[string]bool{}
	for _, w := range walls {
		if w.Name == "" || w.Detail == "" {
			t.Errorf("a wall says nothing: %+v", w)
		}
		holds[w.Name] = w.Holds
	}
	for _, name := range []string{proc.WallFiles, proc.WallNetwork, proc.WallProcesses, proc.WallSystemCalls, proc.WallEnd, proc.WallHostEnd} {
		if got, ok := holds[name]; got || !ok {
			t.Errorf("%s: holds %v, listed %v", name, got, ok)
		}
	}
}

func TestWallsThatAreRequiredHoldWhenTried(t *testing.T) {
	s, err := proc.New(proc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatalf("%v; %s", err, err.(*proc.Error).Hint)
	}
	for _, w := range s.Walls() {
		if !w.Holds && (os.Geteuid() == 0 || w.Name != proc.WallMemory && w.Name != proc.WallProcessors && w.Name != proc.WallProcessCount) {
			t.Errorf("%+v", w) // an ordinary user can seldom write control groups
		}
	}
}

func TestIsolationThatCannotBeHadIsRefused(t *testing.T) {
	for _, isolation := range []proc.Isolation{"", proc.IsolationRequired} {
		s, err := proc.New(proc.Config{Isolation: isolation, Bubblewrap: "no-such-bwrap"})
		if err != nil {
			t.Fatal(err)
		}
		spec, _ := shell(t, "true")
		_, err = s.Start(t.Context(), spec)
		failure, ok := errors.AsType[*proc.Error](err)
		if !ok || failure.Reason != proc.ReasonUnavailable || !strings.Contains(failure.Hint, "bubblewrap") {
			t.Errorf("isolation %q: %v", isolation, err)
		}
		for _, w := range s.Walls() {
			if w.Name == proc.WallFiles && (w.Holds || !strings.Contains(w.Hint, "bubblewrap")) {
				t.Errorf("isolation %q: %+v", isolation, w)
			}
		}
	}
	if _, err := proc.New(proc.Config{Isolation: "some"}); err == nil {
		t.Error("an unknown isolation was accepted")
	}
}

// TestAServerThatLingersHoldsNobodyUp has one that goes on after its listener
// was closed: the child is gone all the same, and its end is known.
func TestAServerThatLingersHoldsNobodyUp(t *testing.T) {
	s, err := proc.New(proc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	spec, _ := shell(t, "sleep 1000")
	linger := make(chan struct{})
	defer close(linger)
	spec.Views = []proc.View{{Source: spec.Dir, Target: "/work"}}
	spec.User = s.User(0)
	spec.Listen = []proc.Listen{{Address: "127.0.0.1:3128", Serve: func(net.Listener) { <-linger }}}
	p, err := s.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, p)
}

func TestTheSameWallsAreListedInEveryIsolation(t *testing.T) {
	names := func(c proc.Config) string {
		s, err := proc.New(c)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, w := range s.Walls() {
			list = append(list, w.Name)
		}
		slices.Sort(list)
		return strings.Join(list, ", ")
	}
	want := names(proc.Config{})
	for _, c := range []proc.Config{
		{Isolation: proc.IsolationOff}, {Isolation: proc.IsolationPreferred},
		{Bubblewrap: "no-such-bwrap"}, {Isolation: proc.IsolationPreferred, Bubblewrap: "no-such-bwrap"},
	} {
		if got := names(c); got != want {
			t.Errorf("%+v lists\n%s\nnot\n%s", c, got, want)
		}
	}
}
