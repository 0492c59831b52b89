package hosttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Root is the repository's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Python returns the kernels' interpreter. It fails the test where there is
// none: a suite without a real kernel has shown nothing.
func Python(t testing.TB) string {
	t.Helper()
	python := os.Getenv("SALLYPORT_PYTHON")
	if python == "" {
		python = filepath.Join(Root(), ".venv", "bin", "python")
	}
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("the kernels' Python is missing: %v; run make setup", err)
	}
	return python
}

var (
	builtMu sync.Mutex
	built   = map[string]string{}
)

// Plugin builds the plugin in a folder of the repository, such as
// plugins/python, and returns the path of its .wasm file. It builds each once
// a test binary, so a file is never older than its source; and it does so with
// the command, built without the race detector, under which describing a
// plugin takes many times as long.
func Plugin(t testing.TB, dir string) string {
	t.Helper()
	builtMu.Lock()
	defer builtMu.Unlock()
	if file, ok := built[dir]; ok {
		return file
	}
	// Test binaries run side by side: each builds into a folder of its own and
	// moves the file to the common one.
	out := filepath.Join(Root(), "build", "test")
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	own, err := os.MkdirTemp(out, "plugin-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(own)
	command, file := filepath.Join(own, "sallyport"), filepath.Join(own, filepath.Base(dir)+".wasm")
	run(t, "go", "build", "-o", command, "./cmd/sallyport")
	run(t, command, "plugin", "build", filepath.FromSlash(dir), "-o", file)
	final := filepath.Join(out, filepath.Base(dir)+".wasm")
	if err := os.Rename(file, final); err != nil {
		t.Fatal(err)
	}
	built[dir] = final
	return final
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
