package engine

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// The shapes of the ABI's functions.
var (
	i32, i64 = string([]byte{wasm.I32}), string([]byte{wasm.I64})

	operationSignature = wasm.Signature{Params: i32 + i32 + i32 + i32, Results: i64}
	responseSignature  = wasm.Signature{Params: i32 + i32, Results: i64}

	exportSignatures = map[string]wasm.Signature{
		abi.ExportArena:    {Params: i32, Results: i32},
		abi.ExportDescribe: {Results: i64},
		abi.ExportCall:     {Params: i32 + i32, Results: i64},
	}
)

// admission is what a module is held against.
type admission struct {
	modules []string
	limits  abi.Limits
	wasi    []wasiFunction
}

// check says why a module may not run here; nil when it may. What its code
// holds is the rewriter's to judge.
func (a admission) check(m *wasm.Module) error {
	if err := checkExports(m); err != nil {
		return err
	}
	for i, imp := range m.Imports {
		if err := a.checkImport(m, i, imp); err != nil {
			return err
		}
	}
	if m.HasStart {
		return abi.Errorf(abi.CodeInvalidArgument, "the module has a start function: a plugin runs nothing before _initialize").
			WithHint("build it as a reactor, with Go -buildmode=c-shared, with clang -mexec-model=reactor")
	}
	if size := uint64(m.Memories[0].Min) * wasmPage; size > memoryLimit(a.limits.MemoryMiB) {
		return overLimit(abi.CodeResourceExhausted, "memory_mib", "the plugin begins with %s of memory, the limit is %d MiB",
			mebibytes(size), a.limits.MemoryMiB).WithHint("raise limits.memory_mib in the manifest, or the grant's")
	}
	var elements uint64
	for _, t := range m.Tables {
		elements += uint64(t.Min)
	}
	if elements > uint64(a.limits.TableElements) {
		return overLimit(abi.CodeResourceExhausted, "table_elements", "the plugin begins with %d table elements, the limit is %d",
			elements, a.limits.TableElements).WithHint("raise limits.table_elements in the manifest, or the grant's")
	}
	return nil
}

// checkExports finds out whether m is a plugin, and of which version.
func checkExports(m *wasm.Module) error {
	byName := make(map[string]wasm.Export, len(m.Exports))
	other := 0 // another version of the ABI that it speaks
	for _, e := range m.Exports {
		if _, twice := byName[e.Name]; twice {
			return abi.Errorf(abi.CodeInvalidArgument, "not a well-formed module: it exports %q twice", e.Name)
		}
		byName[e.Name] = e
		if rest, ok := strings.CutPrefix(e.Name, abi.ExportPrefix); ok {
			digits, _, _ := strings.Cut(rest, "_")
			if n, err := strconv.Atoi(digits); err == nil && n != abi.Version {
				other = max(other, n)
			}
		}
	}
	for _, name := range []string{abi.ExportArena, abi.ExportDescribe, abi.ExportCall} {
		e, ok := byName[name]
		if !ok {
			return notAPlugin(name, other, byName)
		}
		if err := checkExport(m, e, exportSignatures[name]); err != nil {
			return err
		}
	}
	memory, ok := byName[abi.ExportMemory]
	if !ok || memory.Kind != wasm.KindMemory || len(m.Memories) != 1 {
		return abi.Errorf(abi.CodeInvalidArgument, "the module exports no memory under the name %s", abi.ExportMemory)
	}
	if e, ok := byName[abi.ExportInitialize]; ok {
		return checkExport(m, e, wasm.Signature{})
	}
	return nil
}

func notAPlugin(missing string, other int, exports map[string]wasm.Export) error {
	if other != 0 {
		return abi.Errorf(abi.CodeUnimplemented, "the plugin speaks ABI %d, this host speaks %d", other, abi.Version).
			WithHint("build the plugin for ABI %d, or update the host", abi.Version)
	}
	err := abi.Errorf(abi.CodeInvalidArgument, "not a plugin: it exports no %s", missing)
	if _, ok := exports["_start"]; ok {
		return err.WithHint("this is a program: build it as a reactor, with Go -buildmode=c-shared, with clang -mexec-model=reactor")
	}
	return err.WithHint("build it with sallyport plugin build, or export what the ABI asks for")
}

func checkExport(m *wasm.Module, e wasm.Export, want wasm.Signature) error {
	if e.Kind != wasm.KindFunction {
		return abi.Errorf(abi.CodeInvalidArgument, "the export %s is a %v, the ABI asks for a function", e.Name, e.Kind)
	}
	if uint64(e.Index) >= uint64(len(m.Functions)) || uint64(m.Functions[e.Index]) >= uint64(len(m.Types)) {
		return abi.Errorf(abi.CodeInvalidArgument, "not a well-formed module: the export %s names an unknown function", e.Name)
	}
	if got := m.Types[m.Functions[e.Index]]; got != want {
		return abi.Errorf(abi.CodeInvalidArgument, "the export %s is %v, the ABI asks for %v", e.Name, got, want)
	}
	return nil
}

// checkImport holds the i-th import against what this host has and what the
// manifest allows.
func (a admission) checkImport(m *wasm.Module, i int, imp wasm.Import) error {
	full := imp.Module + "." + imp.Name
	if imp.Kind != wasm.KindFunction {
		return abi.Errorf(abi.CodeInvalidArgument, "import %d, %s, is a %v: plugins import functions alone", i, full, imp.Kind)
	}
	var want wasm.Signature
	switch {
	case imp.Module == abi.ModuleWASI:
		k := slices.IndexFunc(a.wasi, func(f wasiFunction) bool { return f.name == imp.Name })
		if k < 0 {
			return abi.Errorf(abi.CodeUnimplemented, "import %d, %s: this host has no such function", i, full)
		}
		want = a.wasi[k].signature
	case !strings.HasPrefix(imp.Module, abi.ModulePrefix):
		return abi.Errorf(abi.CodeInvalidArgument, "import %d, %s: a plugin imports sallyport modules and %s alone", i, full, abi.ModuleWASI)
	case imp.Module != abi.ModuleCall && !slices.Contains(a.modules, imp.Module):
		return abi.Errorf(abi.CodeInvalidArgument, "the plugin imports %s beyond its manifest: import %d, %s", imp.Module, i, full).
			WithHint("request the capability in plugin.yaml and build the plugin again")
	case imp.Module == abi.ModuleCall && imp.Name == abi.FuncResponse:
		want = responseSignature
	default:
		op := strings.TrimPrefix(imp.Module, abi.ModulePrefix) + "." + imp.Name
		if !slices.Contains(abi.Ops(), op) {
			return abi.Errorf(abi.CodeUnimplemented, "import %d, %s: this host has no such function", i, full).
				WithHint("build the plugin with an older SDK, or update the host")
		}
		want = operationSignature
	}
	if got := m.Types[imp.Type]; got != want {
		return abi.Errorf(abi.CodeInvalidArgument, "import %d, %s, is %v, this host has %v", i, full, got, want)
	}
	return nil
}
