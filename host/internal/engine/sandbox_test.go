package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// plainEnv has the tests of this package run with instances that are made and
// initialised for each call.
const plainEnv = "SALLYPORT_TEST_PLAIN"

// TestSuiteHoldsWithoutSnapshots runs the tests of this package once more, with
// plain instances: what a guest meets is the same both ways.
func TestSuiteHoldsWithoutSnapshots(t *testing.T) {
	if os.Getenv(plainEnv) != "" {
		return // this is that run
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^Test", "-test.timeout=10m", "-test.v")
	cmd.Env = append(os.Environ(), plainEnv+"=1", scratchEnv+"="+scratch)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	if n := strings.Count(out.String(), "\n--- PASS: "); n < 40 {
		t.Errorf("only %d tests ran", n)
	}
}

// snapshots says whether calls are served from snapshots in this run.
func snapshots() bool { return os.Getenv(plainEnv) == "" }

func TestSandboxIsForkedThenReset(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{}), newGuest().encode(), engine.Options{})
	var got []string
	for range 3 {
		answer, err := p.Call(t.Context(), engine.Call{Request: []byte("ping")})
		if err != nil || string(answer.Response) != "ping" {
			t.Fatalf("it answers %q, %v", answer.Response, err)
		}
		got = append(got, answer.Usage.Sandbox)
	}
	want := []string{engine.SandboxFork, engine.SandboxReset, engine.SandboxReset}
	if !snapshots() {
		want = []string{engine.SandboxPlain, engine.SandboxPlain, engine.SandboxPlain}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestSecretOfTheLastCallIsNowhere has a guest hide a secret and the next call
// look for it, in every byte of its memory, its variables and descriptors.
func TestSecretOfTheLastCallIsNowhere(t *testing.T) { huntSecret(t) }

func TestSecretIsNowhereWhereTheKernelCantTellWhatWasWritten(t *testing.T) {
	defer engine.WithoutPagemap()()
	huntSecret(t)
}

func huntSecret(t *testing.T) {
	r := newRootFS(t)
	r.put(t, "f", "f")
	open := step{Op: "open", Path: "/output/f"}
	for name, steps := range map[string][]step{
		"in memory":                  {{Op: "hide"}},
		"with a descriptor open":     {{Op: "hide"}, open},
		"in memory that grew":        append([]step{{Op: "hide"}}, slicesOf(step{Op: "memory", At: 1 << 20}, 20)...),
		"after reading a file":       {{Op: "hide"}, {Op: "read", Path: "/output/f"}},
		"after closing a mount":      {{Op: "hide"}, {Op: "close", At: 4}},
		"after listing a mount":      {{Op: "hide"}, {Op: "readdir", Path: "/output"}},
		"after a panic":              {{Op: "hide"}, {Op: "panic"}},
		"after an exit":              {{Op: "hide"}, {Op: "exit"}},
		"after the call was stopped": {{Op: "hide"}, {Op: "log", Data: "{}"}, {Op: "loop"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := compile(t, newEngine(t, engine.Config{}), probeWasm(t), engine.Options{Modules: []string{abi.ModuleKernel}})
			_, size, err := tryAsk(t, t.Context(), p, engine.Call{}, step{Op: "keep"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := r.output()
			c.Dispatch = func(context.Context, string, []byte) ([]byte, error) { cancel(); return nil, nil }
			_, _, _ = tryAsk(t, ctx, p, c, steps...)
			for range 2 {
				hunt := step{Op: "hunt", At: size.Usage.MemoryBytes}
				if got := ask(t, p, r.output(), hunt, step{Op: "read", Path: "/output/f"}); got[0].Out != "0 copies, 0 descriptors, 0 kept" || got[1].Out != "f" {
					t.Fatalf("the next call finds %+v", got)
				}
			}
		})
	}
	// The hunt finds what is there.
	p := compile(t, newEngine(t, engine.Config{}), probeWasm(t), engine.Options{Modules: []string{abi.ModuleKernel}})
	got := ask(t, p, r.output(), step{Op: "hide"}, open, step{Op: "hunt", At: 4 << 20})
	if out := got[2].Out; strings.HasPrefix(out, "0 copies") || !strings.Contains(out, "1 descriptors") {
		t.Errorf("within one call the hunt finds %s", out)
	}
}

// TestLargeRequestsFollowOneAnother has requests that the snapshot's arena has
// no room for: the larger one that a call made is gone with it.
func TestLargeRequestsFollowOneAnother(t *testing.T) {
	p := probe(t, 0)
	for i := range 4 {
		data := strings.Repeat(string(rune('a'+i)), 100<<10+i)
		if got := ask(t, p, engine.Call{}, step{Op: "keep", Data: data}); got[0].Out != data {
			t.Fatalf("call %d got %d bytes, want %d of %q", i, len(got[0].Out), len(data), data[:1])
		}
	}
}

// TestLimitsErrorCanBeUnwrapped walks the causes of one to their end.
func TestLimitsErrorCanBeUnwrapped(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{}), newGuest().onCall(endless+i64Const(0), 0).encode(), engine.Options{Limits: abi.Limits{Fuel: 1000}})
	_, err := p.Call(t.Context(), engine.Call{})
	if e := refused(t, err, abi.CodeResourceExhausted, "1000 units of fuel"); e.Limit != "fuel" {
		t.Errorf("the limit is %q", e.Limit)
	}
	for n := 0; err != nil; n++ {
		if err = errors.Unwrap(err); n > 20 {
			t.Fatal("it is its own cause")
		}
	}
}

// TestFolderThatIsGoneStaysOpenUntilItIsClosed lists a folder, removes it, and
// lists it again: what the guest holds open is neither forgotten nor uncounted.
func TestFolderThatIsGoneStaysOpenUntilItIsClosed(t *testing.T) {
	r := newRootFS(t)
	p := compile(t, newEngine(t, engine.Config{OpenFiles: 4}), probeWasm(t), engine.Options{Modules: []string{abi.ModuleKernel}})
	for range 3 {
		got, answer, err := tryAsk(t, t.Context(), p, r.output(), slicesOf(step{Op: "list removed", Path: "/output/d"}, 6)...)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Usage.Sandbox == engine.SandboxReset {
			t.Error("the instance served again, with descriptors of another call's")
		}
		for i, g := range got {
			const tooMany = 33
			if refused := g.Errno == tooMany; refused != (i >= 4) {
				t.Errorf("folder %d: %+v", i, g)
			}
		}
	}
}

func TestPathsAreBoundedBeforeTheyAreCleaned(t *testing.T) {
	for _, lengths := range [][2]int{{4097, 1}, {1, 4097}} {
		g := newGuest()
		rename := g.use(abi.ModuleWASI, "path_rename", i32+i32+i32+i32+i32+i32, i32)
		g.onCall(answerWith(i32Const(3)+i32Const(0)+i32Const(lengths[0])+i32Const(3)+i32Const(0)+i32Const(lengths[1])+call(rename)+extendU), 0)
		answer, err := plugin(t, g).Call(t.Context(), engine.Call{})
		if err != nil || number(t, answer) != 37 {
			t.Errorf("paths of %v bytes give %d, %v", lengths, number(t, answer), err)
		}
	}
}

func TestRefusedMemoryOfOneCallIsNotAnothers(t *testing.T) {
	p := plugin(t, newGuest().onCall(get(0)+ifElse(i64, unreachable, i32Const(1<<15)+growMemory+drop+i64Const(0)), 0))
	if _, err := p.Call(t.Context(), engine.Call{Tool: 0}); err != nil {
		t.Fatal(err)
	}
	_, err := p.Call(t.Context(), engine.Call{Tool: 1})
	if e := refused(t, err, abi.CodePluginFailed, "unreachable"); e.Limit != "" {
		t.Errorf("a call that grew nothing reached the limit %q", e.Limit)
	}
}

func TestGlobalsAreWhatTheyWere(t *testing.T) {
	g := newGuest()
	g.globals = []string{i64 + "\x01" + i64Const(7) + "\x0b"}
	// It answers with the global, after adding one to it.
	g.onCall(i32Const(8)+"\x23\x00"+store64+"\x23\x00"+i64Const(1)+"\x7c\x24\x00"+i64Const(8<<32|8), 0)
	p := plugin(t, g)
	for range 3 {
		answer, err := p.Call(t.Context(), engine.Call{})
		if err != nil || number(t, answer) != 7 {
			t.Fatalf("the global is %d, %v", number(t, answer), err)
		}
	}
}

func TestSessionKeepsItsInstance(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{}), probeWasm(t), engine.Options{Modules: []string{abi.ModuleKernel}, State: abi.StateSession})
	keep := func(session, data string) (string, string) {
		t.Helper()
		results, answer, err := tryAsk(t, t.Context(), p, engine.Call{Session: session}, step{Op: "keep"}, step{Op: "keep", Data: data})
		if err != nil {
			t.Fatal(err)
		}
		return results[0].Out, answer.Usage.Sandbox
	}
	keep("a", "one")
	keep("b", "two")
	if was, how := keep("a", "three"); was != "one" || how != engine.SandboxSession {
		t.Errorf("session a held %q (%s)", was, how)
	}
	if was, _ := keep("b", ""); was != "two" {
		t.Errorf("session b held %q", was)
	}
	// A trap ends an instance, and the next call begins anew.
	_, _, err := tryAsk(t, t.Context(), p, engine.Call{Session: "a"}, step{Op: "panic"})
	refused(t, err, abi.CodePluginFailed)
	if was, how := keep("a", "four"); was != "" || how == engine.SandboxSession {
		t.Errorf("after a trap session a held %q (%s)", was, how)
	}
	p.EndSession(t.Context(), "a")
	if was, _ := keep("a", ""); was != "" {
		t.Errorf("an ended session held %q", was)
	}
	_, err = p.Call(t.Context(), engine.Call{})
	refused(t, err, abi.CodeInvalidArgument, "without a session")
}

func TestCallsOfOneSessionFollowOneAnother(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{}), probeWasm(t), engine.Options{Modules: []string{abi.ModuleKernel}, State: abi.StateSession})
	var inside, most int
	var mu sync.Mutex
	dispatch := func(context.Context, string, []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		inside++
		most = max(most, inside)
		return nil, nil
	}
	leave := func() { mu.Lock(); inside--; mu.Unlock() }
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, _, err := tryAsk(t, t.Context(), p, engine.Call{Session: "s", Dispatch: dispatch}, step{Op: "log", Data: "{}"})
			leave()
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most > 2 { // a call counts until its answer is there, a moment after its turn
		t.Errorf("%d calls were inside at once", most)
	}
	// One that waits in vain says what for.
	entered, release := make(chan struct{}), make(chan struct{})
	group.Go(func() {
		_, _, _ = tryAsk(t, t.Context(), p, engine.Call{Session: "s", Dispatch: func(context.Context, string, []byte) ([]byte, error) {
			close(entered)
			<-release
			return nil, nil
		}}, step{Op: "log", Data: "{}"})
	})
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := p.Call(ctx, engine.Call{Session: "s"})
	refused(t, err, abi.CodeDeadlineExceeded)
	close(release)
	group.Wait()
}

func TestMonotonicClockGoesOnFromTheSnapshot(t *testing.T) {
	p := probe(t, 0)
	var last int64
	for range 3 {
		r := ask(t, p, engine.Call{}, step{Op: "monotonic"})
		var now int64
		if _, err := fmt.Sscan(r[0].Out, &now); err != nil {
			t.Fatal(err)
		}
		if now < 0 || last != 0 && now > last+int64(time.Minute) {
			t.Errorf("the clock went from %d to %d", last, now)
		}
		last = now
	}
}
