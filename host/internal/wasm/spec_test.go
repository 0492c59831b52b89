package wasm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// TestRewrittenModulesBehaveAsTheOriginals runs the specification's tests that
// come with the runtime, each command in the original and in the rewritten
// module, and compares what they come to.
func TestRewrittenModulesBehaveAsTheOriginals(t *testing.T) {
	var total tally
	for _, version := range []string{"v1", "v2"} {
		dir := specDir(t, version)
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("there are no tests in %s: %v", dir, err)
		}
		for _, file := range files {
			t.Run(version+"/"+strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
				total.add(runSpec(t, file))
			})
		}
	}
	t.Logf("%+v", total)
	if total.modules < 2000 || total.calls < 60_000 || total.refused < 4000 {
		t.Errorf("too little was compared: %+v", total)
	}
}

// specDir is where the specification's tests are: they come with the runtime.
func specDir(tb testing.TB, version string) string {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest", version, "testdata")
}

// A tally counts what was compared, and what wasn't.
type tally struct {
	modules int // that were instantiated both ways
	calls   int // whose results were compared
	refused int // modules that aren't valid either way
	beyond  int // valid modules that a plugin can't be, such as those that import a memory
	left    int // calls of those
}

func (a *tally) add(b tally) {
	a.modules, a.calls, a.refused, a.beyond, a.left = a.modules+b.modules, a.calls+b.calls, a.refused+b.refused, a.beyond+b.beyond, a.left+b.left
}

type command struct {
	Type     string
	Line     int
	Name     string
	As       string
	Filename string
	Action   struct {
		Type, Module, Field string
		Args                []value
	}
	ModuleType string `json:"module_type"`
}

type value struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    any
}

// A world is a runtime with the modules of one file.
type world struct {
	rt      wazero.Runtime
	current api.Module
	named   map[string]api.Module
	all     []api.Module
}

func newWorld(t *testing.T, checkpoint func(fuel, depth int64) int64) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{rt: wazero.NewRuntime(ctx), named: map[string]api.Module{}}
	t.Cleanup(func() { _ = w.rt.Close(ctx) })
	print := w.rt.NewHostModuleBuilder("spectest")
	for name, fn := range map[string]any{
		"print": func() {}, "print_i32": func(uint32) {}, "print_i64": func(uint64) {}, "print_f32": func(float32) {},
		"print_f64": func(float64) {}, "print_i32_f32": func(uint32, float32) {}, "print_f64_f64": func(float64, float64) {},
	} {
		print.NewFunctionBuilder().WithFunc(fn).Export(name)
	}
	if _, err := print.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.rt.NewHostModuleBuilder(wasm.CheckpointModule).NewFunctionBuilder().WithFunc(checkpoint).
		Export(wasm.CheckpointName).Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) module(name string) api.Module {
	if name == "" {
		return w.current
	}
	return w.named[name]
}

func (w *world) add(name string, m api.Module) {
	w.current = m
	if m != nil {
		w.all = append(w.all, m)
	}
	if name != "" {
		w.named[name] = m
	}
}

func runSpec(t *testing.T, file string) (n tally) {
	ctx := context.Background()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var script struct{ Commands []command }
	if err := json.Unmarshal(b, &script); err != nil {
		t.Fatal(err)
	}
	starting := false
	plain := newWorld(t, func(int64, int64) int64 { return 0 })
	metered := newWorld(t, func(fuel, depth int64) int64 {
		if depth < 0 && !starting {
			panic("stack overflow")
		}
		return 1_000
	})
	for i, c := range script.Commands {
		at := fmt.Sprintf("line %d", c.Line)
		switch c.Type {
		case "module", "assert_invalid", "assert_malformed", "assert_uninstantiable", "assert_unlinkable":
			if filepath.Ext(c.Filename) != ".wasm" {
				continue
			}
			original, err := os.ReadFile(filepath.Join(filepath.Dir(file), c.Filename))
			if err != nil {
				t.Fatal(err)
			}
			rewritten, rewriteErr := rewrite(original, wasm.Options{Keep: func(wasm.Export) bool { return true }})
			_, plainErr := plain.rt.CompileModule(ctx, original)
			if plainErr != nil {
				n.refused++
				if rewriteErr == nil {
					if _, err := metered.rt.CompileModule(ctx, rewritten.Wasm); err == nil {
						t.Errorf("%s: %s is accepted, though it isn't valid: %v", at, c.Filename, plainErr)
					}
				}
				continue
			}
			started := rewriteErr == nil && strings.Contains(file, "start") && len(rewritten.Data) > 0
			if rewriteErr != nil || started { // what starts finds no data: it is written when there is an instance
				if !started && !beyond(rewriteErr) && !strings.HasPrefix(c.Type, "assert_un") {
					t.Errorf("%s: %s: %v", at, c.Filename, rewriteErr)
				}
				n.beyond++
				plain.add(c.Name, nil)
				metered.add(c.Name, nil)
				continue
			}
			name := ""
			for _, next := range script.Commands[i+1:] {
				if next.Type == "register" && (next.Name == c.Name || next.Name == "") {
					name = next.As
				}
				if next.Type == "module" || name != "" {
					break
				}
			}
			config := wazero.NewModuleConfig().WithName(name).WithStartFunctions()
			one, plainErr := plain.rt.InstantiateWithConfig(ctx, original, config)
			starting = true
			two, err := metered.rt.InstantiateWithConfig(ctx, rewritten.Wasm, config)
			starting = false
			if text(plainErr) != text(err) {
				t.Errorf("%s: %s: %v, rewritten: %v", at, c.Filename, plainErr, err)
				continue
			}
			if err != nil {
				continue
			}
			n.modules++
			for _, d := range rewritten.Data {
				if !two.Memory().Write(d.Offset, d.Bytes) {
					t.Fatalf("%s: the data at %d doesn't fit", at, d.Offset)
				}
			}
			two.ExportedGlobal(wasm.ExportTables).(api.MutableGlobal).Set(abi.MaxTableElements)
			plain.add(c.Name, one)
			metered.add(c.Name, two)
		case "action", "assert_return", "assert_trap", "assert_exhaustion":
			one, two := plain.module(c.Action.Module), metered.module(c.Action.Module)
			if one == nil || two == nil {
				n.left++
				continue
			}
			n.calls++
			if c.Action.Type == "get" {
				if a, b := one.ExportedGlobal(c.Action.Field).Get(), two.ExportedGlobal(c.Action.Field).Get(); a != b {
					t.Errorf("%s: the global %s is %#x, rewritten %#x", at, c.Action.Field, a, b)
				}
				continue
			}
			for _, m := range metered.all {
				m.ExportedGlobal(wasm.ExportDepth).(api.MutableGlobal).Set(4 << 20)
			}
			args := argsOf(t, c.Action.Args)
			wantResults, wantErr := one.ExportedFunction(c.Action.Field).Call(ctx, args...)
			gotResults, gotErr := two.ExportedFunction(c.Action.Field).Call(ctx, args...)
			if text(wantErr) != text(gotErr) || !slices.Equal(wantResults, gotResults) {
				t.Errorf("%s: %s%v came to %#x, %v; rewritten to %#x, %v", at, c.Action.Field, args, wantResults, text(wantErr), gotResults, text(gotErr))
			}
		}
	}
	for i, m := range plain.all {
		for name := range m.ExportedMemoryDefinitions() {
			a, b := m.ExportedMemory(name), metered.all[i].ExportedMemory(name)
			one, _ := a.Read(0, a.Size())
			two, _ := b.Read(0, b.Size())
			if !slices.Equal(one, two) {
				t.Errorf("the memories of module %d differ in the end", i)
			}
		}
	}
	return n
}

// rewrite parses and rewrites.
func rewrite(b []byte, o wasm.Options) (*wasm.Rewritten, error) {
	m, err := wasm.Parse(b)
	if err != nil {
		return nil, err
	}
	return m.Rewrite(o)
}

// beyond tells that a module is refused for what no plugin may have.
func beyond(err error) bool {
	return strings.Contains(err.Error(), "plugins import functions alone") || abi.CodeOf(err) == abi.CodeResourceExhausted
}

// text is an error's first line.
func text(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	line, _, _ = strings.Cut(line, " (recovered by wazero)")
	if _, trap, ok := strings.Cut(line, "wasm error: "); ok {
		return trap
	}
	return line
}

func argsOf(t *testing.T, list []value) (args []uint64) {
	t.Helper()
	for _, v := range list {
		if v.Type != "v128" {
			args = append(args, bits(t, v.Value))
			continue
		}
		lanes := v.Value.([]any)
		width := 128 / len(lanes)
		var halves [2]uint64
		for i, lane := range lanes {
			halves[i*width/64] |= bits(t, lane) & (^uint64(0) >> (64 - width)) << (i * width % 64)
		}
		args = append(args, halves[0], halves[1])
	}
	return args
}

func bits(t *testing.T, v any) uint64 {
	t.Helper()
	s, ok := v.(string)
	if !ok {
		t.Fatalf("the argument %v", v)
	}
	switch s {
	case "null":
		return 0
	case "nan:canonical", "nan:arithmetic":
		return 0x7fc00000
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(n)
}
