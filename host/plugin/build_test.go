package plugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

// repository is the checkout that these tests run in.
func repository(t *testing.T) string {
	t.Helper()
	root := plugin.FindSDK(".")
	if root == "" {
		t.Fatal("the tests run outside a checkout")
	}
	return root
}

// newPlugin makes a plugin of this name from the template.
func newPlugin(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := plugin.New(plugin.NewConfig{Dir: dir, SDK: repository(t)}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// greets is what the template's module would answer to describe. Running it is
// the engine's, and is tested where both are at hand.
func greets(context.Context, []byte) ([]byte, error) {
	return abi.EncodeFrame(abi.Description{ABI: 1, Tools: []abi.Tool{
		{Name: "greet", Description: "Greets somebody.", InputSchema: json.RawMessage(`{"type":"object"}`)},
	}}, nil)
}

func TestBuildGivesTheSameBytesFromAnotherFolder(t *testing.T) {
	first := newPlugin(t, "greeter")
	appendTo(t, filepath.Join(first, "plugin.yaml"), "files: [README.md]\n")
	second := filepath.Join(t.TempDir(), "elsewhere", "copy")
	if err := os.CopyFS(second, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	a, err := plugin.Build(t.Context(), plugin.BuildConfig{Dir: first, Describe: greets})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "b.wasm")
	b, err := plugin.Build(t.Context(), plugin.BuildConfig{Dir: second, Output: out, Describe: greets})
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest != b.Digest {
		t.Errorf("the digests differ: %s and %s", a.Digest, b.Digest)
	}
	if want := filepath.Join(first, "greeter.wasm"); a.Path != want || b.Path != out {
		t.Errorf("paths %s and %s, want %s and %s", a.Path, b.Path, want, out)
	}
	read, err := plugin.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	if read.Digest != b.Digest || read.Manifest.Name != "greeter" || read.Manifest.Tools[0].Name != "greet" {
		t.Errorf("read back: %+v", read.Manifest)
	}
	if _, err := fs.Stat(read.Files, "README.md"); err != nil {
		t.Errorf("its files: %v", err)
	}
	if bytes.Contains(b.Wasm, []byte(second)) || bytes.Contains(a.Wasm, []byte(first)) {
		t.Error("the folder's path is in the plugin")
	}
	for _, imp := range read.Imports {
		if imp.Module != abi.ModuleWASI && imp.Module != abi.ModuleCall {
			t.Errorf("a plugin that uses no capability imports %s.%s", imp.Module, imp.Name)
		}
	}
}

func TestBuildSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name          string
		change        func(dir string)
		describe      plugin.Describe
		code          abi.Code
		message, hint string
	}{
		{
			name:   "code that doesn't compile",
			change: func(dir string) { appendTo(t, filepath.Join(dir, "main.go"), "func broken() { return 1 }\n") },
			code:   abi.CodeInvalidArgument, message: "too many return values", hint: "GOOS=wasip1",
		},
		{
			name: "a dependency that isn't required",
			change: func(dir string) {
				appendTo(t, filepath.Join(dir, "extra.go"), "package main\nimport _ \"example.com/none\"\n")
			},
			code: abi.CodeInvalidArgument, message: "example.com/none", hint: "go mod tidy",
		},
		{
			name:   "no plugin.yaml",
			change: func(dir string) { remove(t, filepath.Join(dir, "plugin.yaml")) },
			code:   abi.CodeNotFound, message: "plugin.yaml: there is no such file", hint: "sallyport plugin new",
		},
		{
			name: "a describe that fails",
			describe: func(context.Context, []byte) ([]byte, error) {
				return nil, abi.Errorf(abi.CodePluginFailed, "it trapped")
			},
			code: abi.CodePluginFailed, message: "it trapped",
		},
		{
			name:     "a describe that answers garbage",
			describe: func(context.Context, []byte) ([]byte, error) { return []byte("hello"), nil },
			code:     abi.CodePluginFailed, message: "sallyport_v1_describe answers with what isn't a description",
		},
		{
			name: "code of a newer ABI",
			describe: func(context.Context, []byte) ([]byte, error) {
				return abi.EncodeFrame(abi.Description{ABI: 2}, nil)
			},
			code: abi.CodeUnimplemented, message: "speaks ABI 2", hint: "update the host",
		},
		{
			name: "no tools",
			describe: func(context.Context, []byte) ([]byte, error) {
				return abi.EncodeFrame(abi.Description{ABI: 1}, nil)
			},
			code: abi.CodeInvalidArgument, message: "the plugin has no tools",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newPlugin(t, "greeter")
			if tt.change != nil {
				tt.change(dir)
			}
			describe := tt.describe
			if describe == nil {
				describe = greets
			}
			_, err := plugin.Build(t.Context(), plugin.BuildConfig{Dir: dir, Describe: describe})
			if abi.CodeOf(err) != tt.code {
				t.Fatalf("got %v, want %v", err, tt.code)
			}
			e := abi.AsError(err)
			if !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Message, dir) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got  %q, hint %q\nwant %q, hint %q", e.Message, e.Hint, tt.message, tt.hint)
			}
			if _, err := os.Stat(filepath.Join(dir, "greeter.wasm")); err == nil {
				t.Error("a file was written all the same")
			}
		})
	}
}

func TestBuildHandsOnWhatTheCompilerSays(t *testing.T) {
	dir := newPlugin(t, "greeter")
	appendTo(t, filepath.Join(dir, "main.go"), "func broken() { return 1 }\n")
	var said strings.Builder
	_, err := plugin.Build(t.Context(), plugin.BuildConfig{Dir: dir, Describe: greets, Stderr: &said})
	if err == nil || !strings.Contains(said.String(), "main.go:") || strings.Contains(err.Error(), "main.go:") {
		t.Errorf("error %v, and said %q", err, said.String())
	}
}

func TestBuildEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := plugin.Build(ctx, plugin.BuildConfig{Dir: newPlugin(t, "greeter"), Describe: greets})
	if abi.CodeOf(err) != abi.CodeCanceled {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestBuildWithoutGoSaysHowToGetIt(t *testing.T) {
	dir := newPlugin(t, "greeter")
	t.Setenv("PATH", t.TempDir())
	_, err := plugin.Build(t.Context(), plugin.BuildConfig{Dir: dir, Describe: greets})
	if abi.CodeOf(err) != abi.CodeUnavailable || !strings.Contains(abi.AsError(err).Hint, "go.dev/dl") {
		t.Errorf("got %v", err)
	}
}

func TestNewPluginPassesItsOwnTests(t *testing.T) {
	dir := newPlugin(t, "greeter")
	for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got, want := strings.Join(names, " "), ".gitignore README.md go.mod main.go main_test.go plugin.yaml testdata"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	out, err := exec.CommandContext(t.Context(), "gofmt", "-l", dir).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v\n%s", err, out)
	}
}

func TestNewRefusesWhatItWouldSpoil(t *testing.T) {
	full := tree(t, "main.go", "package main")
	tests := []struct {
		name          string
		cfg           plugin.NewConfig
		code          abi.Code
		message, hint string
	}{
		{"no folder", plugin.NewConfig{}, abi.CodeInvalidArgument, "needs a folder", "sallyport plugin new greeter"},
		{"a folder that isn't empty", plugin.NewConfig{Dir: full, Name: "a"}, abi.CodeAlreadyExists, "is not empty", ""},
		{"a folder that can't be a name", plugin.NewConfig{Dir: filepath.Join(full, "My-Plugin")}, abi.CodeInvalidArgument, `"My-Plugin" can't be a plugin's name`, "--name"},
		{"a bad name", plugin.NewConfig{Dir: filepath.Join(full, "a"), Name: "a_b"}, abi.CodeInvalidArgument, `"a_b" can't be`, ""},
		{"an sdk that is none", plugin.NewConfig{Dir: filepath.Join(full, "a"), SDK: full}, abi.CodeInvalidArgument, "is not a checkout", "--sdk"},
		{"a file in the way", plugin.NewConfig{Dir: filepath.Join(full, "main.go", "a")}, abi.CodeUnavailable, "not a directory", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := plugin.New(tt.cfg)
			if abi.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.message) || !strings.Contains(abi.AsError(err).Hint, tt.hint) {
				t.Errorf("got %v, hint %q", err, abi.AsError(err).Hint)
			}
		})
	}
	if entries, err := os.ReadDir(full); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestNewWithoutACheckoutNamesThePublishedModule(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "greeter")
	if err := plugin.New(plugin.NewConfig{Dir: dir, Name: "hello"}); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !strings.HasPrefix(string(mod), "module hello\n\ngo 1.") || strings.Contains(string(mod), "replace") {
		t.Errorf("go.mod: %v\n%s", err, mod)
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil || !strings.Contains(string(readme), "go get github.com/sallyport-dev/sallyport@latest") {
		t.Errorf("README.md: %v\n%s", err, readme)
	}
}

func TestFindSDK(t *testing.T) {
	root := repository(t)
	if got := plugin.FindSDK(filepath.Join(root, "host", "plugin", "none")); got != root {
		t.Errorf("within the checkout: got %q, want %q", got, root)
	}
	if got := plugin.FindSDK(t.TempDir()); got != "" {
		t.Errorf("outside: got %q", got)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
