package abi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

// manifest returns a valid one, changed by edit.
func manifest(edit func(*abi.Manifest)) *abi.Manifest {
	m := &abi.Manifest{
		ABI: abi.Version, Name: "python", Version: "1.0.0",
		Tools: []abi.Tool{{Name: "run", Description: "run code", InputSchema: json.RawMessage(`{"type":"object"}`)}},
	}
	edit(m)
	return m
}

func TestManifestValidate(t *testing.T) {
	tests := []struct {
		name string
		edit func(*abi.Manifest)
		want string
	}{
		{"a good one", func(*abi.Manifest) {}, ""},
		{"no ABI", func(m *abi.Manifest) { m.ABI = 0 }, "abi is 0"},
		{"no name", func(m *abi.Manifest) { m.Name = "" }, `name is ""`},
		{"an underscore in the name", func(m *abi.Manifest) { m.Name = "py_thon" }, `name is "py_thon"`},
		{"a capital in the name", func(m *abi.Manifest) { m.Name = "Python" }, `name is "Python"`},
		{"a line feed after the name", func(m *abi.Manifest) { m.Name = "python\n" }, `name is "python\n"`},
		{"no version", func(m *abi.Manifest) { m.Version = "" }, "version is empty"},
		{"no tools", func(m *abi.Manifest) { m.Tools = nil }, "no tools"},
		{"a dot in a tool's name", func(m *abi.Manifest) { m.Tools[0].Name = "a.b" }, `tool name is "a.b"`},
		{"a name too long together", func(m *abi.Manifest) {
			m.Name, m.Tools[0].Name = strings.Repeat("p", 32), strings.Repeat("t", 32)
		}, "has 65 characters"},
		{"the longest name", func(m *abi.Manifest) {
			m.Name, m.Tools[0].Name = strings.Repeat("p", 32), strings.Repeat("t", 31)
		}, ""},
		{"one name twice", func(m *abi.Manifest) { m.Tools = append(m.Tools, m.Tools[0]) }, `two tools are named "run"`},
		{"no description", func(m *abi.Manifest) { m.Tools[0].Description = "" }, `tool "run" has no description`},
		{"no schema", func(m *abi.Manifest) { m.Tools[0].InputSchema = nil }, "not a JSON Schema of type object"},
		{"a schema of a list", func(m *abi.Manifest) { m.Tools[0].InputSchema = json.RawMessage(`{"type":"array"}`) }, "not a JSON Schema of type object"},
		{"a bad capability", func(m *abi.Manifest) { m.Capabilities.Kernel = &abi.KernelScope{} }, "kernel.languages is empty"},
		{"a bad limit", func(m *abi.Manifest) { m.Limits.MemoryMiB = -5 }, "limits.memory_mib is -5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkInvalid(t, manifest(tt.edit).Validate(), tt.want)
		})
	}
}

func TestManifestOfANewerABISaysWhatToDo(t *testing.T) {
	err := manifest(func(m *abi.Manifest) { m.ABI = 2 }).Validate()
	e := abi.AsError(err)
	if e == nil || e.Code != abi.CodeUnimplemented || e.Message != "the plugin speaks ABI 2, this host speaks 1" || e.Hint == "" {
		t.Errorf("error is %+v", e)
	}
}

func TestFullNamesSplitWhereTheyWereJoined(t *testing.T) {
	for _, pair := range [][2]string{{"python", "run"}, {"files", "read_lines"}, {"x", "_"}, {"python", ""}} {
		plugin, tool := abi.SplitName(abi.FullName(pair[0], pair[1]))
		if plugin != pair[0] || tool != pair[1] {
			t.Errorf("%v split into %q and %q", pair, plugin, tool)
		}
	}
	if plugin, tool := abi.SplitName("python"); plugin != "python" || tool != "" {
		t.Errorf("a name without a tool split into %q and %q", plugin, tool)
	}
}

func TestOperationsBelongToTheirModules(t *testing.T) {
	known := map[string]bool{abi.ModuleCall: true, abi.ModuleKernel: true, abi.ModuleHTTP: true, abi.ModuleTool: true}
	seen := map[string]bool{}
	for _, op := range abi.Ops() {
		module, function := abi.SplitOp(op)
		if !known[module] || function == "" || seen[op] {
			t.Errorf("%s is %s of %s", op, function, module)
		}
		seen[op] = true
	}
	if module, function := abi.SplitOp(abi.OpKernelExecute); module != "sallyport:kernel" || function != "execute" {
		t.Errorf("kernel.execute is %s of %s", function, module)
	}
}
