package engine

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

const maxMemoryMiB = 4096 // all that wasm32 can address

// The shapes of the ABI's functions.
var (
	i32, i64 = string([]byte{typeI32}), string([]byte{typeI64})

	operationSignature = signature{i32 + i32 + i32 + i32, i64}
	responseSignature  = signature{i32 + i32, i64}

	exportSignatures = map[string]signature{
		abi.ExportArena:    {i32, i32},
		abi.ExportDescribe: {"", i64},
		abi.ExportCall:     {i32 + i32, i64},
	}
)

// admission is what a module is held against.
type admission struct {
	modules   []string
	memoryMiB int
	wasi      []wasiFunction
}

// admit checks that wasm is a plugin that may run here and returns what is to
// be compiled in its place. It runs nothing.
func admit(wasm []byte, a admission) ([]byte, error) {
	m, err := parseModule(wasm)
	if err != nil {
		return nil, err
	}
	if err := m.checkExports(); err != nil {
		return nil, err
	}
	for i, imp := range m.imports {
		if err := a.checkImport(i, imp); err != nil {
			return nil, err
		}
	}
	if m.hasStart {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "the module has a start function: a plugin runs nothing before _initialize").
			WithHint("build it as a reactor, with Go -buildmode=c-shared, with clang -mexec-model=reactor")
	}
	if uint64(m.memoryMin)*wasmPage > memoryLimit(a.memoryMiB) {
		return nil, abi.Errorf(abi.CodeResourceExhausted, "the plugin begins with %d MiB of memory, the limit is %d MiB",
			(uint64(m.memoryMin)*wasmPage+1<<20-1)>>20, a.memoryMiB).
			WithHint("raise limits.memory_mib in the manifest, or the grant's")
	}
	return m.encode(func(e export) bool {
		_, ok := exportSignatures[e.name]
		return ok || e.name == abi.ExportMemory || e.name == abi.ExportInitialize
	}), nil
}

// checkExports finds out whether m is a plugin, and of which version.
func (m *module) checkExports() error {
	byName := make(map[string]export, len(m.exports))
	other := 0 // another version of the ABI that it speaks
	for _, e := range m.exports {
		if _, twice := byName[e.name]; twice {
			return abi.Errorf(abi.CodeInvalidArgument, "not a well-formed module: it exports %q twice", e.name)
		}
		byName[e.name] = e
		if rest, ok := strings.CutPrefix(e.name, abi.ExportPrefix); ok {
			digits, _, _ := strings.Cut(rest, "_")
			if n, err := strconv.Atoi(digits); err == nil && n != abi.Version {
				other = max(other, n)
			}
		}
	}
	for _, name := range []string{abi.ExportArena, abi.ExportDescribe, abi.ExportCall} {
		e, ok := byName[name]
		if !ok {
			return m.notAPlugin(name, other, byName)
		}
		if err := m.checkExport(e, exportSignatures[name]); err != nil {
			return err
		}
	}
	memory, ok := byName[abi.ExportMemory]
	if !ok || memory.kind != kindMemory || m.memories == 0 {
		return abi.Errorf(abi.CodeInvalidArgument, "the module exports no memory under the name %s", abi.ExportMemory)
	}
	if e, ok := byName[abi.ExportInitialize]; ok {
		return m.checkExport(e, signature{})
	}
	return nil
}

func (m *module) notAPlugin(missing string, other int, exports map[string]export) error {
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

func (m *module) checkExport(e export, want signature) error {
	if e.kind != kindFunction {
		return abi.Errorf(abi.CodeInvalidArgument, "the export %s is a %s, the ABI asks for a function", e.name, kindName(e.kind))
	}
	if uint64(e.index) >= uint64(len(m.functions)) || uint64(m.functions[e.index]) >= uint64(len(m.types)) {
		return abi.Errorf(abi.CodeInvalidArgument, "not a well-formed module: the export %s names an unknown function", e.name)
	}
	if got := m.types[m.functions[e.index]]; got != want {
		return abi.Errorf(abi.CodeInvalidArgument, "the export %s is %v, the ABI asks for %v", e.name, got, want)
	}
	return nil
}

// checkImport holds the i-th import against what this host has and what the
// manifest allows.
func (a admission) checkImport(i int, imp functionImport) error {
	full := imp.module + "." + imp.name
	var want signature
	switch {
	case imp.module == abi.ModuleWASI:
		k := slices.IndexFunc(a.wasi, func(f wasiFunction) bool { return f.name == imp.name })
		if k < 0 {
			return abi.Errorf(abi.CodeUnimplemented, "import %d, %s: this host has no such function", i, full)
		}
		want = a.wasi[k].signature
	case !strings.HasPrefix(imp.module, abi.ModulePrefix):
		return abi.Errorf(abi.CodeInvalidArgument, "import %d, %s: a plugin imports sallyport modules and %s alone", i, full, abi.ModuleWASI)
	case imp.module != abi.ModuleCall && !slices.Contains(a.modules, imp.module):
		return abi.Errorf(abi.CodeInvalidArgument, "the plugin imports %s beyond its manifest: import %d, %s", imp.module, i, full).
			WithHint("request the capability in plugin.yaml and build the plugin again")
	case imp.module == abi.ModuleCall && imp.name == abi.FuncResponse:
		want = responseSignature
	default:
		op := strings.TrimPrefix(imp.module, abi.ModulePrefix) + "." + imp.name
		if !slices.Contains(abi.Ops(), op) {
			return abi.Errorf(abi.CodeUnimplemented, "import %d, %s: this host has no such function", i, full).
				WithHint("build the plugin with an older SDK, or update the host")
		}
		want = operationSignature
	}
	if imp.signature != want {
		return abi.Errorf(abi.CodeInvalidArgument, "import %d, %s, is %v, this host has %v", i, full, imp.signature, want)
	}
	return nil
}
