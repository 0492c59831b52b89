package hosttest

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/plugin"
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
// a test binary, so a file is never older than its source.
func Plugin(t testing.TB, dir string) string {
	t.Helper()
	builtMu.Lock()
	defer builtMu.Unlock()
	if file, ok := built[dir]; ok {
		return file
	}
	// Test binaries run side by side: each builds into a name of its own and
	// moves it to the common one.
	out := filepath.Join(Root(), "build", "test")
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	own, err := os.MkdirTemp(out, "plugin-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(own)
	file := filepath.Join(own, filepath.Base(dir)+".wasm")
	_, err = plugin.Build(t.Context(), plugin.BuildConfig{
		Dir: filepath.Join(Root(), filepath.FromSlash(dir)), Output: file, Describe: host.Describe, Stderr: os.Stderr,
	})
	if err != nil {
		t.Fatalf("plugin %s: %v", dir, err)
	}
	final := filepath.Join(out, filepath.Base(dir)+".wasm")
	if err := os.Rename(file, final); err != nil {
		t.Fatal(err)
	}
	built[dir] = final
	return final
}
