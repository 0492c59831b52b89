package sdk_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

func TestAPluginImportsOnlyTheCapabilitiesItUses(t *testing.T) {
	tests := []struct {
		dir     string
		modules []string
	}{
		{"./testdata/kernelonly", []string{abi.ModuleCall, abi.ModuleKernel, abi.ModuleWASI}},
		{"./testdata/httponly", []string{abi.ModuleCall, abi.ModuleHTTP, abi.ModuleWASI}},
		{"./testdata/probe", []string{abi.ModuleCall, abi.ModuleWASI}},
		{"./testdata/tasks", []string{abi.ModuleCall, abi.ModuleHTTP, abi.ModuleKernel, abi.ModuleWASI}},
	}
	for _, tt := range tests {
		modules := modulesOf(t, buildGuest(t, tt.dir))
		if got := slices.Sorted(maps.Keys(modules)); !slices.Equal(got, tt.modules) {
			t.Errorf("%s imports %v, want %v", tt.dir, got, tt.modules)
		}
		tasks := tt.dir == "./testdata/tasks"
		if got := modules[abi.ModuleKernel]; len(got) > 0 && !tasks && !slices.Equal(got, []string{"execute"}) {
			t.Errorf("%s uses execute alone and imports %v of the kernel", tt.dir, got)
		}
		if got := modules[abi.ModuleCall]; slices.Contains(got, "wait") != tasks || slices.Contains(got, "cancel") != tasks {
			t.Errorf("%s imports %v", tt.dir, got)
		}
	}
}

func TestPluginsVetForTheSandbox(t *testing.T) {
	args := []string{"vet", ".", "./kernel", "./http", "../plugins/..."}
	sources, err := filepath.Glob("../testdata/plugins/*/main.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("there are no plugins for tests: %v", err)
	}
	for _, main := range append(sources, "testdata/kernelonly/main.go", "testdata/httponly/main.go", "testdata/probe/main.go", "testdata/tasks/main.go", "testdata/adder/main.go") {
		args = append(args, "./"+filepath.ToSlash(filepath.Dir(main)))
	}
	vet := exec.CommandContext(t.Context(), "go", args...)
	vet.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := vet.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, text)
	}
}

// settings answers config with one value for each key that a test asks for.
func settings(values map[string]string) func(string, abi.Frame) ([]byte, error) {
	return func(op string, _ abi.Frame) ([]byte, error) {
		if op == abi.OpCallConfig {
			return abi.EncodeFrame(abi.ConfigResponse{Config: values}, nil)
		}
		return abi.EncodeFrame(nil, nil)
	}
}

func TestTheSandboxEndOfTheABI(t *testing.T) {
	box := newSandbox(t, buildGuest(t, "./testdata/probe"))

	t.Run("describes itself", func(t *testing.T) {
		s := box.with(t, settings(nil))
		first, second := s.describe(), s.describe()
		if first.ABI != abi.Version || len(first.Tools) != 8 || first.Tools[0].Name != "echo" {
			t.Errorf("described as %+v", first)
		}
		if fmt.Sprint(first) != fmt.Sprint(second) {
			t.Error("two descriptions differ")
		}
		if len(s.calls) != 0 {
			t.Errorf("describe called %v", s.calls)
		}
	})

	t.Run("takes arguments of any size", func(t *testing.T) {
		s := box.with(t, settings(nil))
		for _, n := range []int{0, 10, 3 << 19, 10} {
			in := `{"s":"` + strings.Repeat("x", n) + `"}`
			if got := s.text("echo", in); got != in {
				t.Errorf("%d bytes came back as %d", len(in), len(got))
			}
		}
	})

	t.Run("refuses an arena over the bound", func(t *testing.T) {
		s := box.with(t, settings(nil))
		got, err := s.mod.ExportedFunction(abi.ExportArena).Call(t.Context(), abi.MaxFrameBytes+1)
		if err != nil || got[0] != 0 {
			t.Errorf("arena answered with %v, %v", got, err)
		}
	})

	t.Run("fetches responses beyond its buffer once", func(t *testing.T) {
		long := strings.Repeat("y", 1<<20)
		s := box.with(t, settings(map[string]string{"long": long, "short": "z"}))
		if got := s.text("config", `{"key":"long"}`); got != long {
			t.Errorf("%d bytes came back as %d", len(long), len(got))
		}
		if want := []string{abi.OpCallConfig, "response"}; !slices.Equal(s.calls, want) {
			t.Errorf("called %v, want %v", s.calls, want)
		}
	})

	t.Run("gets short responses without a second call", func(t *testing.T) {
		s := box.with(t, settings(map[string]string{"short": "z"}))
		if got := s.text("config", `{"key":"short"}`); got != "z" {
			t.Errorf("config is %q", got)
		}
		if want := []string{abi.OpCallConfig}; !slices.Equal(s.calls, want) {
			t.Errorf("called %v, want %v", s.calls, want)
		}
	})

	t.Run("gets the detail of an error, of any size", func(t *testing.T) {
		for _, n := range []int{1, 100_000} {
			s := box.with(t, func(string, abi.Frame) ([]byte, error) {
				e := abi.Errorf(abi.CodePermissionDenied, "no %s", strings.Repeat("way", n)).WithHint("ask")
				e.Grant = "config"
				return nil, e
			})
			e := s.run("config", `{"key":"k"}`).Error
			if e == nil || e.Code != abi.CodePermissionDenied || len(e.Message) != 3+3*n || e.Hint != "ask" || e.Grant != "config" {
				t.Errorf("error is %.200v", e)
			}
		}
	})

	t.Run("makes do without a detail", func(t *testing.T) {
		s := box.with(t, func(string, abi.Frame) ([]byte, error) {
			return nil, &abi.Error{Code: abi.CodeUnavailable} // no message: not a detail
		})
		if got := s.text("config", `{"key":"k"}`); got != "unavailable: call.config failed, and the host gave no detail" {
			t.Errorf("error is %q", got)
		}
	})

	t.Run("survives a host that answers with garbage", func(t *testing.T) {
		s := box.with(t, func(string, abi.Frame) ([]byte, error) { return []byte("garbage"), nil })
		if e := s.run("config", `{"key":"k"}`).Error; e == nil || e.Code != abi.CodeInvalidArgument {
			t.Errorf("error is %v", e)
		}
	})

	t.Run("recovers from a panic with the stack on stderr", func(t *testing.T) {
		s := box.with(t, settings(nil))
		e := s.run("panic", `{}`).Error
		if e == nil || e.Code != abi.CodePluginFailed || !strings.Contains(e.Message, "on purpose") {
			t.Errorf("error is %v", e)
		}
		if text := s.stderr.String(); !strings.Contains(text, "panic in tool panic: on purpose") || !strings.Contains(text, "main.go") {
			t.Errorf("stderr has %q", text)
		}
		if got := s.text("echo", `{}`); got != "{}" {
			t.Errorf("the next call answered with %q", got)
		}
	})

	t.Run("logs and reports progress", func(t *testing.T) {
		var log abi.LogRequest
		s := box.with(t, func(op string, f abi.Frame) ([]byte, error) {
			if op == abi.OpCallLog {
				return []byte("\x02\x00\x00\x00{}"), f.Decode(&log)
			}
			return abi.EncodeFrame(nil, nil)
		})
		s.text("log", `{}`)
		if log.Level != "warn" || log.Message != "watch out" || !slices.Equal(s.calls, []string{abi.OpCallLog, abi.OpCallProgress}) {
			t.Errorf("called %v with %+v", s.calls, log)
		}
	})

	t.Run("keeps requests and responses together", func(t *testing.T) {
		values := map[string]string{}
		for i := range 50 {
			values[fmt.Sprint(i)] = fmt.Sprint("value ", i)
		}
		if got := box.with(t, settings(values)).text("crowd", `{}`); got != "[]" {
			t.Errorf("mixed up: %s", got)
		}
	})
}

func TestFilesInASandbox(t *testing.T) {
	box := newSandbox(t, buildGuest(t, "./testdata/probe"))
	readOnly := sdk.Errorf(abi.CodePermissionDenied, "upload is read-only")

	t.Run("are the operating system's", func(t *testing.T) {
		s := box.with(t, settings(nil))
		if got := s.text("write", `{"path":"/output/a b.txt"}`); got != "workspace:/output/a%20b.txt 4" {
			t.Errorf("write answered with %q", got)
		}
	})
	t.Run("are refused with the host's reason", func(t *testing.T) {
		s := box.with(t, settings(nil))
		s.refuse(readOnly)
		if got := s.text("write", `{"path":"/upload/a.txt"}`); got != "permission_denied: upload is read-only" {
			t.Errorf("write answered with %q", got)
		}
	})
	t.Run("are refused with their own error where there is no reason", func(t *testing.T) {
		s := box.with(t, settings(nil))
		if got := s.text("write", `{"path":"/upload/a.txt"}`); !strings.HasPrefix(got, "open /upload/a.txt: ") {
			t.Errorf("write answered with %q", got)
		}
	})
	t.Run("are not refused with an earlier function's error", func(t *testing.T) {
		s := box.with(t, func(string, abi.Frame) ([]byte, error) { return nil, readOnly })
		if got := s.text("stale", `{}`); got != "no reason" {
			t.Errorf("stale answered with %q", got)
		}
	})
}
