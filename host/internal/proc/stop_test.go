package proc_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// family is a script that starts a child in its own group and one in another
// group of its session, prints their pids and waits.
const family = `
sleep 1000 & echo $!
set -m
sleep 1000 & echo $!
set +m
`

func TestStopEndsTheWholeSession(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"waiting", family + "wait"},
		{"deaf", "trap '' TERM\n" + family + "while :; do wait; done"},
	} {
		spec, out := shell(t, c.script)
		spec.Grace = 50 * time.Millisecond
		p := start(t, spec)
		pids := []int{p.PID(), pid(t, out), pid(t, out)}
		stop(t, p)
		for _, n := range pids {
			if s := state(n); s != 0 {
				t.Errorf("%s: process %d is left in the state %q", c.name, n, s)
			}
		}
	}
}

func TestSessionEndsWithItsLeader(t *testing.T) {
	spec, out := shell(t, family+"exit 7")
	p := start(t, spec)
	a, b := pid(t, out), pid(t, out)
	if exit := await(t, p); exit.Code != 7 {
		t.Errorf("%+v", exit)
	}
	if state(a) != 0 || state(b) != 0 {
		t.Errorf("the leader's children are left in the states %q and %q", state(a), state(b))
	}
}

func TestOutputOfAnEscapedProcessHoldsNothingUp(t *testing.T) {
	spec, _ := shell(t, "setsid sh -c 'echo $$ >pid; exec sleep 1000' & while ! [ -s pid ]; do sleep 0.01; done")
	spec.Stdout = nil
	p := start(t, spec)
	await(t, p)
	written, err := os.ReadFile(filepath.Join(spec.Dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	escaped, err := strconv.Atoi(strings.TrimSpace(string(written)))
	if err != nil {
		t.Fatal(err)
	}
	// That it lives on is what Walls says.
	if s := state(escaped); s == 0 || s == 'Z' {
		t.Errorf("the escaped process is in the state %q", s)
	}
	for _, w := range newStarter(t).Walls() {
		if w.Name == "end of a child" && w.Holds {
			t.Error("Walls says that nothing escapes")
		}
	}
	if err := syscall.Kill(escaped, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	// The next end of a child reaps it too.
	wait(t, "the escaped process to be reaped", func() bool {
		spec, _ := shell(t, "exit 0")
		await(t, start(t, spec))
		return state(escaped) == 0
	})
}

func TestStopGoesInSteps(t *testing.T) {
	asked := func(ctx context.Context) error { return nil }
	for _, c := range []struct {
		name, script string
		ask          func(context.Context) error
		code         int
		signal       syscall.Signal
	}{
		{"SIGTERM is obeyed", "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done", nil, 5, 0},
		{"SIGTERM by default", "echo up; exec sleep 1000", nil, -1, syscall.SIGTERM},
		{"SIGKILL", "trap '' TERM; echo up; while :; do sleep 0.01; done", nil, -1, syscall.SIGKILL},
		{"an ask that fails", "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done", func(context.Context) error { return errors.New("no answer") }, 5, 0},
		{"an ask that is ignored", "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done", asked, 5, 0},
	} {
		spec, out := shell(t, c.script)
		spec.Ask, spec.Grace = c.ask, time.Second
		p := start(t, spec)
		line(t, out)
		stop(t, p)
		if exit := p.Exit(); exit.Code != c.code || exit.Signal != c.signal || !exit.Stopped {
			t.Errorf("%s: %+v", c.name, exit)
		}
	}
}

func TestStopAsksFirst(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	spec, out := shell(t, "trap '' TERM; echo up; read word; exit 4")
	spec.Stdin = read
	spec.Ask = func(ctx context.Context) error {
		_, err := write.WriteString("please\n")
		return errors.Join(err, write.Close())
	}
	p := start(t, spec)
	line(t, out)
	stop(t, p)
	if exit := p.Exit(); exit.Code != 4 {
		t.Errorf("%+v", exit)
	}
}

func TestStopKillsAtOnceWhenItsContextEnds(t *testing.T) {
	spec, out := shell(t, "trap '' TERM; echo up; while :; do sleep 0.01; done")
	spec.Grace = time.Hour
	asking := make(chan struct{})
	spec.Ask = func(ctx context.Context) error {
		close(asking)
		<-ctx.Done()
		return ctx.Err()
	}
	p := start(t, spec)
	line(t, out)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- p.Stop(ctx) }()
	<-asking
	cancel()
	if err := <-first; err != nil {
		t.Error(err)
	}
	if exit := p.Exit(); exit.Signal != syscall.SIGKILL {
		t.Errorf("%+v", exit)
	}
	stop(t, p) // again, and it doesn't matter
}

func TestSecondStopCanCutTheFirstShort(t *testing.T) {
	spec, out := shell(t, "trap '' TERM; echo up; while :; do sleep 0.01; done")
	spec.Grace = time.Hour
	p := start(t, spec)
	line(t, out)
	first := make(chan error, 1)
	go func() { first <- p.Stop(context.Background()) }()
	now, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Stop(now); err != nil {
		t.Error(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestSignalReachesTheGroupUntilItsEnd(t *testing.T) {
	spec, out := shell(t, "sh -c 'trap \"echo inner; exit\" USR1; echo up; while :; do sleep 0.01; done' & trap 'wait; exit 0' USR1; wait; wait")
	p := start(t, spec)
	line(t, out)
	if err := p.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if got := line(t, out); got != "inner" {
		t.Error(got)
	}
	await(t, p)
	if err := p.Signal(syscall.SIGUSR1); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("after the end: %v", err)
	}
}

func TestStartFailsInItsTime(t *testing.T) {
	never := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	canceled, cancel := context.WithCancel(t.Context())
	for _, c := range []struct {
		name   string
		ctx    context.Context
		change func(*proc.Spec)
		reason proc.Reason
		words  string
	}{
		{"a child that never gets ready", t.Context(), func(s *proc.Spec) { s.Ready = never }, proc.ReasonNotReady, "not ready within 200ms"},
		{"a child that ends first", t.Context(), func(s *proc.Spec) { s.Ready, s.Args[1] = never, "echo broken >&2; exit 9" }, proc.ReasonEnded, "exit code 9"},
		{"a check that fails", t.Context(), func(s *proc.Spec) { s.Ready = func(context.Context) error { return errors.New("wrong answer") } }, proc.ReasonFailed, "wrong answer"},
		{"a caller that goes away", canceled, func(s *proc.Spec) {
			s.StartTimeout = time.Hour
			s.Ready = func(ctx context.Context) error { cancel(); return never(ctx) }
		}, proc.ReasonCanceled, "context canceled"},
		{"no program", t.Context(), func(s *proc.Spec) { s.Path = "/nowhere/python" }, proc.ReasonUnavailable, "there is no program /nowhere/python"},
		{"a program that can't be run", t.Context(), func(s *proc.Spec) { s.Path = "/etc/passwd" }, proc.ReasonUnavailable, "can't be run"},
		{"a relative program", t.Context(), func(s *proc.Spec) { s.Path = "sh" }, proc.ReasonInvalid, "not absolute"},
		{"no directory", t.Context(), func(s *proc.Spec) { s.Dir = "/nowhere" }, proc.ReasonInvalid, "is not there"},
		{"a bad variable", t.Context(), func(s *proc.Spec) { s.Env["A=B"] = "" }, proc.ReasonInvalid, "environment"},
		{"a NUL in an argument", t.Context(), func(s *proc.Spec) { s.Args[1] = "\x00" }, proc.ReasonInvalid, "NUL"},
		{"a negative limit", t.Context(), func(s *proc.Spec) { s.Limits.FileSize = -1 }, proc.ReasonInvalid, "negative"},
	} {
		spec, _ := shell(t, "exec sleep 1000")
		spec.Stdout, spec.StartTimeout = nil, 200*time.Millisecond
		if c.reason == proc.ReasonEnded {
			spec.StartTimeout = time.Hour
		}
		var child *proc.Process
		c.change(&spec)
		child, err := try(t, c.ctx, spec)
		failure, ok := errors.AsType[*proc.Error](err)
		if child != nil || !ok || failure.Reason != c.reason || !strings.Contains(failure.Message, c.words) {
			t.Errorf("%s: %v, %v", c.name, child, err)
			continue
		}
		if c.reason == proc.ReasonEnded && failure.Output != "broken\n" {
			t.Errorf("%s: the output is %q", c.name, failure.Output)
		}
	}
}
