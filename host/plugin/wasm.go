package plugin

import (
	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// Kinds of imports and exports.
const (
	KindFunction = "function"
	KindTable    = "table"
	KindMemory   = "memory"
	KindGlobal   = "global"
	KindTag      = "tag"
)

// An Import is what a module takes from outside.
type Import struct {
	Module string `json:"module"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
}

// A module is what can be read off a plugin's without its code. Whether the
// code is any good is the engine's to judge.
type module struct {
	*wasm.Module
	imports []Import
	exports map[string]string // kind by name
}

func readModule(b []byte) (*module, error) {
	parsed, err := wasm.Parse(b)
	if err != nil {
		return nil, err
	}
	m := &module{Module: parsed, exports: make(map[string]string, len(parsed.Exports))}
	for _, imp := range parsed.Imports {
		m.imports = append(m.imports, Import{Module: imp.Module, Name: imp.Name, Kind: imp.Kind.String()})
	}
	for _, e := range parsed.Exports {
		m.exports[e.Name] = e.Kind.String()
	}
	return m, nil
}

// custom returns the payload of the one custom section of this name, nil
// where there is none.
func (m *module) custom(name string) ([]byte, error) {
	var found []byte
	for _, c := range m.Custom {
		if c.Name != name {
			continue
		}
		if found != nil {
			return nil, invalid("the module has two sections %s", name)
		}
		found = c.Payload
	}
	return found, nil
}

func invalid(format string, args ...any) *abi.Error {
	return abi.Errorf(abi.CodeInvalidArgument, format, args...)
}
