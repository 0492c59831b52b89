package main_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport-dev/sallyport/host/hosttest"
)

// binDir is the folder of the sallyport command that the tests run.
func binDir(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("sallyport")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}

// TestScripts runs the scripts of testdata, one behaviour each. In a script
// $ROOT is the repository, $HELLO, $FILES, $PYTHON and $UNGRANTED are the files
// of built plugins, and $INTERPRETER is the kernels' Python.
func TestScripts(t *testing.T) {
	vars := []string{"ROOT=" + hosttest.Root(), "INTERPRETER=" + hosttest.Python(t)}
	built := t.TempDir()
	vars = append(vars, "SALLYPORT_CACHE_DIR="+filepath.Join(built, "cache")) // a plugin is compiled once
	for name, dir := range map[string]string{
		"HELLO": "testdata/plugins/hello", "UNGRANTED": "testdata/plugins/ungranted", "FILES": "plugins/files", "PYTHON": "plugins/python",
	} {
		out := filepath.Join(built, filepath.Base(dir)+".wasm")
		cmd := exec.CommandContext(t.Context(), "sallyport", "plugin", "build", filepath.Join(hosttest.Root(), dir), "-o", out)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, said)
		}
		vars = append(vars, name+"="+out)
	}
	// Scripts have a home of their own, and the go command its usual caches.
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOTOOLCHAIN"} {
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		vars = append(vars, name+"="+strings.TrimSpace(string(out)))
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, vars...)
			return nil
		},
	})
}
