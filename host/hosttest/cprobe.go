package hosttest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

// CProbe builds the plugin in C as its README says, and returns its file. Edit,
// if it isn't nil, changes the manifest: under other names the same module,
// which is compiled in no time, is as many plugins as a test needs.
func CProbe(t testing.TB, edit func(*abi.Manifest)) []byte {
	t.Helper()
	source := filepath.Join(Root(), "testdata", "plugins", "cprobe")
	readme, err := os.ReadFile(filepath.Join(source, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?m)^    (clang .*)$`).FindStringSubmatch(string(readme))
	if command == nil {
		t.Fatal("cprobe's README has no clang command")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	argv := strings.Fields(command[1])
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Fatalf("%v: run make setup", err)
	}
	build := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command[1], err, out)
	}
	wasm, err := os.ReadFile(filepath.Join(dir, "cprobe.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(source, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m abi.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(&m)
	}
	packed, err := plugin.Pack(wasm, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}
