package kernel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

// cacheDir is shared by all kernels here, as by those of a host.
var cacheDir string

// roleVariable makes the test binary play another part than the tests.
const roleVariable = "KERNEL_TEST_ROLE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(roleVariable); dir != "" {
		beHost(dir)
	}
	os.Exit(func() int {
		var err error
		if cacheDir, err = os.MkdirTemp("", "kernel-test-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(cacheDir)
		code := m.Run()
		if sharedKernel != nil {
			if err := sharedKernel.Close(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		return code
	}())
}

// python returns the interpreter that make setup prepares.
var python = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("SALLYPORT_PYTHON"); path != "" {
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, ".venv", "bin", "python")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("there is no Python environment: run make setup")
		}
		dir = parent
	}
})

// configuration returns the Config of a kernel in the folder dir.
func configuration(t testing.TB, dir string) kernel.Config {
	t.Helper()
	path, err := python()
	if err != nil {
		t.Fatal(err)
	}
	starter, err := walled()
	if err != nil {
		t.Fatal(err)
	}
	return kernel.Config{Starter: starter, User: starter.User(1), Dir: dir, CacheDir: cacheDir, Python: path}
}

// walled starts processes behind every wall, as all tests do that don't say
// otherwise.
var walled = sync.OnceValues(func() (*proc.Starter, error) {
	return proc.New(proc.Config{Isolation: proc.IsolationRequired})
})

// unwalled starts them with the rights of the host's account.
var unwalled = sync.OnceValues(func() (*proc.Starter, error) {
	return proc.New(proc.Config{Isolation: proc.IsolationOff})
})

// liftWalls makes a kernel one of the host's account.
func liftWalls(t testing.TB, c *kernel.Config) {
	t.Helper()
	starter, err := unwalled()
	if err != nil {
		t.Fatal(err)
	}
	c.Starter, c.User = starter, proc.User{}
}

// zone makes a folder as a session's, seen as /name and through a link in the
// working directory, and returns its view.
func zone(t testing.TB, name string) proc.View {
	t.Helper()
	v := proc.View{Source: filepath.Join(t.TempDir(), name), Target: "/" + name, Link: name}
	if err := os.Mkdir(v.Source, 0o755); err != nil {
		t.Fatal(err)
	}
	give(t, v.Source)
	return v
}

// give makes a file the kernels'.
func give(t testing.TB, path string) {
	t.Helper()
	starter, err := walled()
	if err != nil {
		t.Fatal(err)
	}
	if u := starter.User(1); u != (proc.User{}) {
		if err := os.Lchown(path, int(u.UID), int(u.GID)); err != nil {
			t.Fatal(err)
		}
	}
}

// newKernel returns a kernel of the test's own. Change may be nil.
func newKernel(t testing.TB, change func(*kernel.Config)) *kernel.Kernel {
	t.Helper()
	c := configuration(t, t.TempDir())
	if change != nil {
		change(&c)
	}
	k, err := kernel.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k
}

var (
	sharedKernel *kernel.Kernel
	sharedDir    string
	sharedOnce   sync.Once
)

// shared returns the kernel of those tests that leave it as it was, and the
// folder it works in.
func shared(t testing.TB) (*kernel.Kernel, string) {
	t.Helper()
	sharedOnce.Do(func() {
		sharedDir = filepath.Join(cacheDir, "shared")
		c := configuration(t, sharedDir)
		var err error
		if sharedKernel, err = kernel.New(c); err != nil {
			t.Fatal(err)
		}
	})
	if sharedKernel == nil {
		t.Fatal("there is no shared kernel")
	}
	return sharedKernel, filepath.Join(sharedDir, "work")
}

// run executes code that should get a response.
func run(t testing.TB, k *kernel.Kernel, code string) abi.KernelExecuteResponse {
	t.Helper()
	r, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: code}, nil)
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	return r
}

// expect executes code that should print the given text and nothing else.
func expect(t testing.TB, k *kernel.Kernel, code, want string) {
	t.Helper()
	r := run(t, k, code)
	if got := printed(r, "stdout"); r.Status != abi.StatusOK || got != want {
		t.Errorf("%s: status %s, printed %q, want %q; error %+v", code, r.Status, got, want, r.Error)
	}
}

// printed joins what a response has of a stream.
func printed(r abi.KernelExecuteResponse, stream string) string {
	var b strings.Builder
	for _, o := range r.Outputs {
		if o.Type == abi.OutputStream && o.Name == stream {
			b.WriteString(o.Text)
		}
	}
	return b.String()
}

// plain returns an output's plain text.
func plain(t testing.TB, o abi.Output) string {
	t.Helper()
	var s string
	if raw, ok := o.Data["text/plain"]; ok {
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// code checks an error's code and returns the error.
func code(t testing.TB, err error, want abi.Code) *abi.Error {
	t.Helper()
	if got := abi.CodeOf(err); err == nil || got != want {
		t.Fatalf("the error is %v, want the code %v", err, want)
	}
	return abi.AsError(err)
}

// background runs code in a goroutine. The first channel is closed at its first
// output, and the result comes on the second.
func background(ctx context.Context, k *kernel.Kernel, req abi.KernelExecuteRequest) (printing <-chan struct{}, done <-chan result) {
	first, end := make(chan struct{}), make(chan result, 1)
	var once sync.Once
	go func() {
		r, err := k.Execute(ctx, req, func(abi.Output) { once.Do(func() { close(first) }) })
		end <- result{r, err}
	}()
	return first, end
}

type result struct {
	response abi.KernelExecuteResponse
	err      error
}

// within returns what comes from c, and fails the test after half a minute.
func within[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("waited in vain for %s", what)
		panic("not reached")
	}
}

// poll waits for what has no event.
func poll(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("waited in vain for %s; goroutines:\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// exists says whether the shared kernel's code has made a file.
func exists(t testing.TB, name string) bool {
	_, work := shared(t)
	_, err := os.Stat(filepath.Join(work, name))
	return err == nil
}

// lives says whether a process is there and not a zombie.
func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// runs says whether there is a process with the argument mark.
func runs(t testing.TB, mark string) bool {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(lines, func(path string) bool {
		line, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(line), mark)
	})
}

func ownerOf(t testing.TB, path string) uint32 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}
