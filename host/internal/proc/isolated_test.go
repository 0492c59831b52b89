package proc_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// TestIsolatedChildrenBehaveAsOthersDo holds that what a caller may rely on is
// the same with walls and without.
func TestIsolatedChildrenBehaveAsOthersDo(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"exit":              TestExitSaysHowTheChildEnded,
		"descriptors":       TestDescriptorsAreThoseOnTheList,
		"privileges":        TestPrivilegesCannotBeGained,
		"output":            TestOutputKeepsTheEnd,
		"limits":            TestLimitsOfEachProcessHold,
		"processor time":    TestOverItsProcessorTimeAChildIsKilled,
		"links":             TestViewsAreLinksInTheDirectory,
		"links move aside":  TestViewsMoveAsideWhatAnEarlierChildLeft,
		"links stay inside": TestViewsNeverLeaveTheDirectory,
		"links taken away":  TestViewsThatAreNoLongerShownAreTakenAway,
		"links of others":   TestOnlyTheHostsOwnLinksAreTakenAway,
		"record of links":   TestARecordOfLinksIsTrustedWithNothing,
		"threads":           TestChildOutlivesTheThreadsOfItsTime,
		"stdin":             TestReadOfStdinIsAtItsEnd,
		"goroutines":        TestGoroutinesEndWithTheChild,
		"steps":             TestStopGoesInSteps,
		"ask":               TestStopAsksFirst,
		"context":           TestStopKillsAtOnceWhenItsContextEnds,
		"second stop":       TestSecondStopCanCutTheFirstShort,
		"signal":            TestSignalReachesTheGroupUntilItsEnd,
		"start that fails":  TestStartFailsInItsTime,
	} {
		t.Run(name, test)
	}
}

func TestIsolatedEnvironmentIsTheSpecsAndThePlace(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "hunter2")
	spec, _ := shell(t, "")
	spec.Path, spec.Args, spec.Stdout = "/usr/bin/env", nil, nil
	spec.Env = map[string]string{"B": "2", "A": "1 = one"}
	spec.Views = []proc.View{{Source: spec.Dir, Target: "/work"}}
	p := start(t, spec)
	await(t, p)
	got := strings.Split(strings.TrimSpace(p.Output()), "\n")
	slices.Sort(got)
	if want := []string{"A=1 = one", "B=2", "PWD=/work"}; !slices.Equal(got, want) {
		t.Errorf("the child's environment is %q", got)
	}
}

func TestIsolatedViewsAreSeenAtTheirTargets(t *testing.T) {
	s := isolating(t)
	upload := t.TempDir()
	if err := os.WriteFile(filepath.Join(upload, "file"), []byte("kept\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec, _ := shell(t, `cat upload/file /zones/upload/file; readlink upload; pwd; echo own >/work/made
		for dir in /zones/upload upload / /usr /etc /dev /proc; do (: >$dir/made) 2>&1 || echo refused; done | grep -c refused; id -u`)
	spec.Stdout = nil
	view := proc.View{Source: upload, Target: "/zones/upload", Link: "upload", ReadOnly: true}
	spec.Views = []proc.View{{Source: spec.Dir, Target: "/work"}, view}
	if got := s.Seen(view); got != "/zones/upload" {
		t.Errorf("the view is seen at %s", got)
	}
	p := start(t, spec)
	await(t, p)
	if got := p.Output(); got != "kept\nkept\n/zones/upload\n/work\n7\n1000\n" {
		t.Errorf("the child says %q", got)
	}
	info, err := os.Stat(filepath.Join(spec.Dir, "made"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; (uid == 0) != (s.User(0).UID == 0 && os.Geteuid() == 0) {
		t.Errorf("what the child made is account %d's", uid)
	}
}

func TestIsolatedChildWithoutItsDirectoryInViewIsRefused(t *testing.T) {
	spec, _ := shell(t, "true")
	if _, err := isolating(t).Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "in none of the views") {
		t.Errorf("it came to %v", err)
	}
	spec.Views = []proc.View{{Source: spec.Dir}, {Source: filepath.Join(spec.Dir, "gone"), Target: "/gone"}}
	if _, err := isolating(t).Start(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a view of what isn't there came to %v", err)
	}
}

// hermits is a script that starts processes in sessions of their own, below
// which others are, and prints a line when they are there. Each has the word on
// its command line.
const hermits = `
setsid sh -c 'sleep 1000' $0 &
(setsid sh -c 'trap "" TERM HUP; setsid sh -c "sleep 1000" '$0'; wait' $0 &)
sh -c 'while :; do sleep 1000; done' $0 &
until [ "$(grep -lz "$0" /proc/[0-9]*/cmdline | wc -l)" -ge 5 ]; do :; done
echo up
`

func TestIsolatedTreeIsGoneWhateverEndsIt(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *proc.Process){
		"stop": stop,
		"its own end": func(t *testing.T, p *proc.Process) {
			if err := p.Signal(syscall.SIGUSR1); err != nil {
				t.Error(err)
			}
		},
		"the death of its first process": func(t *testing.T, p *proc.Process) {
			if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		},
		"the death of bubblewrap": func(t *testing.T, p *proc.Process) {
			if err := syscall.Kill(parent(p.PID()), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := holdings(t)
			word := "hermit-" + random()
			spec, out := shell(t, "trap 'exit 3' USR1;"+hermits+"while :; do wait; done")
			spec.Args = append(spec.Args, word)
			p := start(t, spec)
			line(t, out)
			if n := len(withArgument(word)); n < 5 {
				t.Errorf("there are %d processes", n)
			}
			end(t, p)
			await(t, p)
			if left := withArgument(word); len(left) > 0 {
				t.Errorf("%d processes are left", len(left))
			}
			spec.Stdout.Close()
			settle(t, before, 1) // the other end
		})
	}
}

func TestEverythingEndsWithAHostThatIsKilled(t *testing.T) {
	newStarter(t) // orphans come to this process, whatever process 1 is
	word := "hermit-" + random()
	host, out := host(t, "isolated host", "sh -c '"+strings.ReplaceAll(strings.ReplaceAll(hermits, "'", `'\''`), "$0", word)+" sleep 1000' "+word)
	line(t, out)
	if n := len(withArgument(word)); n < 5 {
		t.Errorf("there are %d processes", n)
	}
	host.Process.Kill()
	host.Wait()
	wait(t, "the end of all that the child started", func() bool { return len(withArgument(word)) == 0 })
}

// parent returns the number of a process's parent.
func parent(pid int) int {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))[1])
	return n
}

func TestIsolatedChildReachesItsListenersAndNothingElse(t *testing.T) {
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	const client = `
import socket, sys
for port in sys.argv[1:]:
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as c:
            print(c.makefile().readline().strip())
    except OSError as e:
        print("refused")
`
	_, port, err := net.SplitHostPort(outside.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var children sync.WaitGroup
	var serving atomic.Int64
	for _, name := range []string{"one", "two"} { // with the same address, each on a network of its own
		spec, _ := shell(t, "")
		spec.Path, spec.Args, spec.Stdout = "/usr/bin/python3", []string{"-I", "-c", client, "3128", "3129", "3130", port}, nil
		serve := func(says string) func(net.Listener) {
			serving.Add(1)
			return func(l net.Listener) {
				defer serving.Add(-1)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					io.WriteString(c, says+"\n")
					c.Close()
				}
			}
		}
		spec.Listen = []proc.Listen{{Address: "127.0.0.1:3128", Serve: serve("first of " + name)}, {Address: "127.0.0.1:3129", Serve: serve("second of " + name)}}
		p := start(t, spec)
		children.Go(func() {
			await(t, p)
			if got, want := p.Output(), "first of "+name+"\nsecond of "+name+"\nrefused\nrefused\n"; got != want {
				t.Errorf("child %s got %q", name, got)
			}
		})
	}
	children.Wait()
	if n := serving.Load(); n != 0 {
		t.Errorf("%d servers are still at work", n)
	}
}

func TestIsolatedChildDoesNotKeepTheStage(t *testing.T) {
	spec, _ := shell(t, "ls -l /proc/self/fd /proc/$$/exe")
	spec.Stdout = nil
	spec.Listen = []proc.Listen{{Address: "127.0.0.1:3128", Serve: func(l net.Listener) { l.Accept() }}}
	p := start(t, spec)
	await(t, p)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Output(); strings.Contains(got, filepath.Base(self)) || strings.Contains(got, "socket:") || strings.Contains(got, "memfd") {
		t.Errorf("the child has of its stage:\n%s", got)
	}
}

func TestIsolatedChildThatUsesTooMuchIsKilledWithTheReason(t *testing.T) {
	for _, c := range []struct {
		name, script, reason string
		change               func(*proc.Spec)
	}{
		{"memory", "exec python3 -c 'x = bytes(1) + b\"x\" * (1 << 30)'", "over its memory of 64 MiB", func(s *proc.Spec) { s.Limits.Memory = 64 << 20 }},
		{"files", "i=0; while :; do i=$((i+1)); : >$i; done", "over its quota of 10 files in the zone", func(s *proc.Spec) {
			dir := s.Dir
			s.Quotas = []proc.Quota{{Name: "the zone", Files: 10, Used: func() (int64, int, error) { return proc.Measure(dir) }}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, _ := shell(t, c.script)
			c.change(&spec)
			p := start(t, spec)
			if exit := await(t, p); !strings.Contains(exit.Reason, c.reason) {
				t.Errorf("%+v", exit)
			}
		})
	}
}

// bubblewrap writes a script in bubblewrap's place, and returns its path.
func bubblewrap(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(openTempDir(t), "bwrap")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestBubblewrapThatFailsIsQuoted(t *testing.T) {
	for name, script := range map[string]string{
		"says why":     "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1",
		"dies":         "echo 'about to die' >&2; kill -SEGV $$",
		"says nothing": "exit 1",
	} {
		before := holdings(t)
		path := bubblewrap(t, script)
		s, err := proc.New(proc.Config{Bubblewrap: path})
		if err != nil {
			t.Fatal(err)
		}
		said, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(script, "echo '"), "exit 1"), "'")
		err = s.Check()
		if err == nil || !strings.Contains(err.Error(), said) || !strings.Contains(err.Error(), "isolation is required") || err.(*proc.Error).Hint == "" {
			t.Errorf("%s: it came to %v", name, err)
		}
		spec, _ := shell(t, "true")
		if _, err := s.Start(t.Context(), spec); err == nil {
			t.Errorf("%s: a child started all the same", name)
		}
		if s.Isolated() {
			t.Errorf("%s: children are said to be isolated", name)
		}
		spec.Stdout.Close()
		settle(t, before, 1) // the other end
	}
}

func TestPreferredChildStartsWithoutWallsThatCannotBeHadAndSaysSo(t *testing.T) {
	path := bubblewrap(t, "echo 'bwrap: no' >&2; exit 1")
	s, err := proc.New(proc.Config{Isolation: proc.IsolationPreferred, Bubblewrap: path})
	if err != nil {
		t.Fatal(err)
	}
	spec, out := shell(t, "echo started")
	p, err := s.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if got := line(t, out); got != "started" {
		t.Error(got)
	}
	await(t, p)
	for _, w := range s.Walls() {
		if slices.Contains([]string{proc.WallFiles, proc.WallNetwork, proc.WallProcesses, proc.WallSystemCalls, proc.WallEnd}, w.Name) && w.Holds {
			t.Errorf("it says that %s holds", w.Name)
		}
	}
}

// TestPreferredChildStartsBehindTheOtherWalls breaks one wall, as systems do.
func TestPreferredChildStartsBehindTheOtherWalls(t *testing.T) {
	real, err := filepath.EvalSymlinks("/usr/bin/bwrap")
	if err != nil {
		t.Fatal(err)
	}
	for option, wall := range map[string]string{
		"--unshare-net":    proc.WallNetwork,
		"--unshare-ipc":    proc.WallIPC,
		"--unshare-cgroup": proc.WallControlGroups,
		"--unshare-uts":    proc.WallHostName,
		"--add-seccomp-fd": proc.WallSystemCalls,
	} {
		t.Run(wall, func(t *testing.T) {
			t.Parallel()
			path := bubblewrap(t, `grep -qze `+option+` /proc/self/fd/$2 && { echo "bwrap: no `+option+`" >&2; exit 1; }; exec `+real+` "$@"`)
			required, err := proc.New(proc.Config{Bubblewrap: path})
			if err != nil {
				t.Fatal(err)
			}
			if err := required.Check(); err == nil || !strings.Contains(err.Error(), "no "+option) {
				t.Errorf("where it is required it comes to %v", err)
			}
			s, err := proc.New(proc.Config{Isolation: proc.IsolationPreferred, Bubblewrap: path})
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range s.Walls() {
				lost := w.Name == wall
				if (lost || slices.Contains([]string{proc.WallFiles, proc.WallNetwork, proc.WallProcesses, proc.WallIPC, proc.WallSystemCalls, proc.WallHostName, proc.WallControlGroups}, w.Name)) && w.Holds == lost {
					t.Errorf("%+v", w)
				}
				if lost && !strings.Contains(w.Detail, option) {
					t.Errorf("the reason is %q", w.Detail)
				}
			}
			spec, out := shell(t, "ls /proc | grep -c '^[0-9]'")
			spec.Views, spec.User = []proc.View{{Source: spec.Dir}}, s.User(int(sessions.Add(1)))
			p, err := s.Start(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			if n := pid(t, out); n > 10 {
				t.Errorf("it sees %d processes", n)
			}
			await(t, p)
		})
	}
}

// TestBubblewrapThatHangsIsEnded has a machine on which the walls stand when
// they are tried, and later don't.
func TestBubblewrapThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	real, err := filepath.EvalSymlinks("/usr/bin/bwrap")
	if err != nil {
		t.Fatal(err)
	}
	word := "hang-" + random()
	flag := filepath.Join(openTempDir(t), "hang")
	s, err := proc.New(proc.Config{Bubblewrap: bubblewrap(t, "[ -e "+flag+" ] && exec sh -c 'sleep 1000; :' "+word+"; exec "+real+` "$@"`)})
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flag, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	spec, _ := shell(t, "true")
	spec.Views, spec.User = []proc.View{{Source: spec.Dir}}, s.User(int(sessions.Add(1)))
	began := time.Now()
	_, err = s.Start(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "did not put the walls up") {
		t.Errorf("after %v it came to %v", time.Since(began), err)
	}
	if left := withArgument(word); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
}
