package kernel_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
)

// script writes an executable that stands in for an interpreter.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStartThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, message, hint string
		change              func(*kernel.Config)
	}{
		{"no Python", "/nowhere/python", "make setup", func(c *kernel.Config) { c.Python = "/nowhere/python" }},
		{"no program", "no-such-kernel", "", func(c *kernel.Config) { c.Argv = []string{"no-such-kernel", "{connection_file}"} }},
		{"no ipykernel", "no ipykernel", "make setup", func(c *kernel.Config) {
			liftWalls(t, c)
			c.Python = script(t, "echo /usr/bin/python: No module named ipykernel_launcher >&2; exit 1")
		}},
		{"one that breaks", "Illegal something", "", func(c *kernel.Config) {
			liftWalls(t, c)
			c.Python = script(t, "echo Illegal something >&2; exit 132")
		}},
		{"one that says nothing", "not ready within 300ms", "busy", func(c *kernel.Config) {
			liftWalls(t, c)
			c.Python, c.StartTimeout = script(t, "exec sleep 1000"), 300*time.Millisecond
		}},
		{"one that breaks behind walls", "Illegal something", "", func(c *kernel.Config) {
			c.Argv = []string{"/bin/sh", "-c", "echo Illegal something >&2; exit 132", "{connection_file}"}
		}},
		{"one that says nothing behind walls", "not ready within 300ms", "busy", func(c *kernel.Config) {
			c.Argv, c.StartTimeout = []string{"/bin/sh", "-c", "exec sleep 1000", "{connection_file}"}, 300*time.Millisecond
		}},
		{"one that can't say where it is", "where its files are: Illegal something", "make setup", func(c *kernel.Config) {
			c.Python = script(t, "echo Illegal something >&2; exit 132")
		}},
		{"one that talks nonsense", "where its files are", "make setup", func(c *kernel.Config) { c.Python = script(t, "echo 3.11") }},
		{"one that isn't anywhere", `it calls itself ""`, "make setup", func(c *kernel.Config) { c.Python = script(t, `echo '{}'`) }},
		{"one that would show the kernel's folders", "which holds " + os.TempDir(), "a folder that holds nothing else", func(c *kernel.Config) {
			c.Python = script(t, `echo '{"executable": "/usr/bin/python3", "folders": ["`+filepath.Dir(c.Dir)+`"]}'`)
		}},
		{"one that would show everything", "the folder /, which holds", "", func(c *kernel.Config) {
			c.Python = script(t, `echo '{"executable": "/usr/bin/python3", "folders": ["/"]}'`)
		}},
		{"no walls to be had", "isolation is required", "bubblewrap", func(c *kernel.Config) {
			var err error
			if c.Starter, err = proc.New(proc.Config{Bubblewrap: "/nowhere/bwrap"}); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		k := newKernel(t, c.change)
		for range 2 { // a start that failed can be tried again
			_, err := k.Execute(t.Context(), abi.KernelExecuteRequest{Code: "1"}, nil)
			e := code(t, err, abi.CodeUnavailable)
			if !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("%s: %q, hint %q", c.name, e.Message, e.Hint)
			}
		}
		if s := k.Status(); s.State != abi.KernelNone || s.Starts != 0 {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestStartIsGivenUpWithItsCaller(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*kernel.Config){
		func(c *kernel.Config) { c.Argv = []string{"/bin/sh", "-c", "exec sleep 1000", "{connection_file}"} },
		func(c *kernel.Config) { c.Python = script(t, "exec sleep 1000") }, // asked where it is
		func(c *kernel.Config) { liftWalls(t, c); c.Python = script(t, "exec sleep 1000") },
	} {
		k := newKernel(t, change)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := k.Execute(ctx, abi.KernelExecuteRequest{Code: "1"}, nil)
		cancel()
		code(t, err, abi.CodeDeadlineExceeded)
	}
}

func TestStartWritesNowhereElse(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	k := newKernel(t, func(c *kernel.Config) {
		c.CacheDir = ""
		// Links that code of an earlier process could have left.
		for _, name := range []string{"ipython", "matplotlib", "work", "tmp"} {
			if err := os.Symlink(outside, filepath.Join(c.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	})
	run(t, k, "open('here', 'w').close()")
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestCheckFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	path, err := python()
	if err != nil {
		t.Fatal(err)
	}
	if err := kernel.Check(t.Context(), path); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ name, python, message string }{
		{"no Python", "/nowhere/python", "there is no Python /nowhere/python"},
		{"no ipykernel", script(t, "echo \"ModuleNotFoundError: No module named 'ipykernel'\" >&2; exit 1"), "has no ipykernel"},
		{"an old ipykernel", script(t, "echo 6.29.5"), "has ipykernel 6.29.5, and 7.2 is needed"},
		{"a younger one", script(t, "echo 7.1.0"), "7.1.0"},
		{"one that breaks", script(t, "echo ImportError: wrong ELF class >&2; exit 1"), "wrong ELF class"},
	} {
		e := code(t, kernel.Check(t.Context(), c.python), abi.CodeUnavailable)
		if !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, "make setup") {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
	for _, version := range []string{"7.2", "7.2.0", "7.10.1", "8.0.0a1", "10.0"} {
		if err := kernel.Check(t.Context(), script(t, "echo "+version)); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code(t, kernel.Check(ctx, path), abi.CodeCanceled)
}

func BenchmarkExecute1Plus1(b *testing.B) {
	k, _ := shared(b)
	run(b, k, "1+1")
	for b.Loop() {
		run(b, k, "1+1")
	}
}

func TestFontsThatCannotBeListedAreTriedForOnce(t *testing.T) {
	t.Parallel()
	path, err := python()
	if err != nil {
		t.Fatal(err)
	}
	cache, tried := t.TempDir(), filepath.Join(t.TempDir(), "tried")
	broken := script(t, "if [ \"$1\" = -c ]; then echo x >>"+tried+"; echo no fonts today >&2; exit 1; fi\nexec "+path+" \"$@\"")
	withBroken := func(c *kernel.Config) {
		liftWalls(t, c)
		c.Python, c.CacheDir = broken, cache
	}
	for range 2 {
		k := newKernel(t, withBroken)
		expect(t, k, "print('up')", "up\n")
	}
	if got, err := os.ReadFile(tried); string(got) != "x\n" {
		t.Errorf("two kernels that share a cache tried %q, %v", got, err)
	}
	old := time.Now().Add(-2 * time.Hour)
	marks, err := filepath.Glob(filepath.Join(cache, "failed-*"))
	if err != nil || len(marks) != 1 {
		t.Fatalf("the failure is remembered in %v, %v", marks, err)
	}
	if err := os.Chtimes(marks[0], old, old); err != nil {
		t.Fatal(err)
	}
	k := newKernel(t, withBroken)
	expect(t, k, "print('up')", "up\n")
	if got, err := os.ReadFile(tried); string(got) != "x\nx\n" {
		t.Errorf("hours later %q was tried, %v", got, err)
	}
}
