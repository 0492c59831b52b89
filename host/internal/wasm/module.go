package wasm

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// Value types, as the binary format writes them.
const (
	I32       = 0x7f
	I64       = 0x7e
	F32       = 0x7d
	F64       = 0x7c
	V128      = 0x7b
	Funcref   = 0x70
	Externref = 0x6f
)

// PageBytes is the unit of a memory's size.
const PageBytes = 64 << 10

// A Kind is what an import or an export is.
type Kind byte

// Kinds of imports and exports.
const (
	KindFunction Kind = iota
	KindTable
	KindMemory
	KindGlobal
	KindTag
)

var kindNames = []string{"function", "table", "memory", "global", "tag"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "thing of an unknown kind"
}

// A Signature is a function's type: a byte a parameter and a byte a result,
// each a value type.
type Signature struct{ Params, Results string }

var typeNames = map[byte]string{I32: "i32", I64: "i64", F32: "f32", F64: "f64",
	V128: "v128", Funcref: "funcref", Externref: "externref"}

func (s Signature) String() string {
	list := func(types string) string {
		words := make([]string, len(types))
		for i := range types {
			words[i] = typeNames[types[i]]
		}
		return strings.Join(words, ", ")
	}
	if len(s.Results) == 1 {
		return "(" + list(s.Params) + ") → " + list(s.Results)
	}
	return "(" + list(s.Params) + ") → (" + list(s.Results) + ")"
}

// An Import is one entry of the import section.
type Import struct {
	Module, Name string
	Kind         Kind
	Type         uint32 // of a function: the index of its signature, which is there
}

// A Table holds references. Max counts where Bounded.
type Table struct {
	Element  byte
	Min, Max uint32
	Bounded  bool
}

// A Memory's sizes are in pages. Max counts where Bounded.
type Memory struct {
	Min, Max uint32
	Bounded  bool
}

// A Global is a variable of a module's.
type Global struct {
	Type    byte
	Mutable bool
}

// An Export is one entry of the export section. Whether the index is one of
// the module's is checked by Rewrite.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32
}

// A Custom is a section that a module carries for others than the runtime.
type Custom struct {
	Name    string
	Payload []byte // a view of the module
}

// A Module is what Parse read. Where a list counts the imported things, they
// come first. It is immutable, keeps the bytes that it was read from, and may
// be used from several goroutines.
type Module struct {
	Types     []Signature
	Imports   []Import
	Functions []uint32 // the type of each, imported ones included; may be unknown
	Tables    []Table  // imported ones included
	Memories  []Memory // the same; at most one
	Globals   []Global // the same
	Exports   []Export
	HasStart  bool
	Custom    []Custom

	whole    []byte
	start    uint32
	inits    []constant // of the module's own globals
	sections [sectionTag + 1]section
	customs  []span // of each Custom, its whole section in whole

	importedFunctions, importedGlobals int
}

// A section is one that Parse leaves to Rewrite.
type section struct {
	body  []byte
	at    int // of body in the module
	there bool
}

type span struct{ from, to int }

// Sections of a module.
const (
	sectionCustom    = 0
	sectionType      = 1
	sectionImport    = 2
	sectionFunction  = 3
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionStart     = 8
	sectionElement   = 9
	sectionCode      = 10
	sectionData      = 11
	sectionDataCount = 12
	sectionTag       = 13
)

// sectionOrder is that in which sections stand.
var sectionOrder = []byte{
	sectionType, sectionImport, sectionFunction, sectionTable, sectionMemory, sectionGlobal,
	sectionExport, sectionStart, sectionElement, sectionDataCount, sectionCode, sectionData,
}

var sectionNames = []string{"custom section", "type section", "import section", "function section",
	"table section", "memory section", "global section", "export section", "start section",
	"element section", "code section", "data section", "data count section", "tag section"}

// Bounds on the parts of a module. Most are those that browsers keep, so that
// what runs there runs here; they hold the memory that decoding takes, which
// is the host's and counted by nobody.
const (
	maxTypes         = 10_000
	maxTypeValues    = 1_000 // parameters, and results
	maxImports       = 1_000
	maxFunctions     = 1_000_000
	maxTables        = 8
	maxTableElements = abi.MaxTableElements
	maxMemoryPages   = 65_535
	maxGlobals       = 20_000
	maxExports       = 100_000
	maxSegments      = 1_000_000 // of data, and of elements
)

const (
	magic   = "\x00asm"
	version = "\x01\x00\x00\x00"
)

// Parse reads a module's binary, which it keeps. It allocates no more than a
// small multiple of the bytes. It fails with invalid_argument where they are
// truncated or malformed, unimplemented where they need a proposal that isn't
// run here, and resource_exhausted where a part is beyond its bound.
func Parse(b []byte) (*Module, error) {
	switch {
	case len(b) == 0:
		return nil, abi.Errorf(abi.CodeInvalidArgument, "the file is empty").WithHint(hintBuild)
	case len(b) < 8 && strings.HasPrefix(magic, string(b[:min(4, len(b))])):
		return nil, truncated("it ends within its first 8 bytes")
	case !bytes.HasPrefix(b, []byte(magic)):
		return nil, abi.Errorf(abi.CodeInvalidArgument, "not a WebAssembly module: it doesn't begin with \\0asm").WithHint(hintBuild)
	case string(b[4:8]) == "\x0d\x00\x01\x00":
		return nil, abi.Errorf(abi.CodeInvalidArgument, "a WebAssembly component, and plugins are core modules").
			WithHint("build for wasip1 rather than wasip2")
	case string(b[4:8]) != version:
		return nil, abi.Errorf(abi.CodeInvalidArgument, "a WebAssembly module of an unknown version: % x", b[4:8]).WithHint(hintBuild)
	}
	m := &Module{whole: b}
	all := reader{b: b, at: 8, what: "a section"}
	place := -1
	for all.at < len(b) {
		start := all.at
		id := all.byte()
		size := all.u32()
		if all.err != nil {
			if b[len(b)-1] >= 0x80 && len(b)-start <= 5 {
				return nil, truncated("it ends within the head of a section, at byte %d", start)
			}
			return nil, all.err
		}
		if uint64(size) > uint64(all.left()) {
			return nil, truncated("section %d at byte %d announces %d bytes and %d are left", id, start, size, all.left())
		}
		if id > sectionTag {
			return nil, abi.Errorf(abi.CodeInvalidArgument, "malformed module: unknown section %d at byte %d", id, start)
		}
		body := all.within(size)
		body.what = sectionNames[id]
		if id != sectionCustom && id != sectionTag {
			next := slices.Index(sectionOrder, id)
			if next <= place {
				body.fail("it is out of place")
			}
			place = next
		}
		m.section(id, &body)
		if id == sectionCustom {
			m.customs = append(m.customs, span{start, all.at})
		}
		if body.err != nil {
			return nil, body.err
		}
	}
	return m, nil
}

func truncated(format string, args ...any) *abi.Error {
	return abi.Errorf(abi.CodeInvalidArgument, "the file is truncated: "+format, args...).WithHint("copy or download it again")
}

// AppendCustom appends a custom section to a module's bytes.
func AppendCustom(wasm []byte, name string, payload []byte) []byte {
	head := appendBytes(nil, name)
	wasm = append(wasm, sectionCustom)
	wasm = appendLEB(wasm, uint32(len(head)+len(payload)))
	return append(append(wasm, head...), payload...)
}

// Without returns a copy of the module's bytes that lacks the custom sections
// of these names.
func (m *Module) Without(names ...string) []byte {
	out := make([]byte, 0, len(m.whole))
	from := 0
	for i, c := range m.Custom {
		if slices.Contains(names, c.Name) {
			out = append(out, m.whole[from:m.customs[i].from]...)
			from = m.customs[i].to
		}
	}
	return append(out, m.whole[from:]...)
}
