package engine

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// Sections of a module, in the order in which they stand.
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
)

var sectionOrder = []byte{
	sectionType, sectionImport, sectionFunction, sectionTable, sectionMemory, sectionGlobal,
	sectionExport, sectionStart, sectionElement, sectionDataCount, sectionCode, sectionData,
}

var sectionNames = map[byte]string{
	sectionCustom: "custom section", sectionType: "type section", sectionImport: "import section",
	sectionFunction: "function section", sectionTable: "table section", sectionMemory: "memory section",
	sectionGlobal: "global section", sectionExport: "export section", sectionStart: "start section",
	sectionElement: "element section", sectionCode: "code section", sectionData: "data section",
	sectionDataCount: "data count section",
}

// Bounds on the parts of a module. Most are those that browsers keep, so that
// what runs there runs here; they hold the memory that decoding takes, which
// is the host's and counted by nobody.
const (
	maxTypes         = 1_000_000
	maxTypeValues    = 1_000 // parameters, and results
	maxImports       = 1_000
	maxFunctions     = 1_000_000
	maxTables        = 8
	maxTableElements = 1 << 20
	maxGlobals       = 1_000_000
	maxExports       = 100_000
	maxSegments      = 1_000_000 // of data, and of elements
	maxFunctionBytes = 7_654_321
	maxLocals        = 50_000
)

const (
	wasmMagic   = "\x00asm"
	wasmVersion = "\x01\x00\x00\x00"
	wasmPage    = 64 << 10
)

// A signature is a function's type: a byte a parameter and a byte a result.
type signature struct{ params, results string }

func (s signature) String() string {
	names := map[byte]string{typeI32: "i32", typeI64: "i64", typeF32: "f32", typeF64: "f64",
		typeV128: "v128", typeFuncref: "funcref", typeExternref: "externref"}
	list := func(types string) string {
		words := make([]string, len(types))
		for i := range types {
			words[i] = names[types[i]]
		}
		return strings.Join(words, ", ")
	}
	if len(s.results) == 1 {
		return "(" + list(s.params) + ") → " + list(s.results)
	}
	return "(" + list(s.params) + ") → (" + list(s.results) + ")"
}

// A functionImport is one entry of the import section.
type functionImport struct {
	module, name string
	signature    signature
}

// An export is one entry of the export section.
type export struct {
	name  string
	kind  byte
	index uint32
}

// Kinds of imports and exports.
const (
	kindFunction = 0
	kindMemory   = 2
)

var kindNames = []string{"function", "table", "memory", "global", "tag"}

func kindName(kind byte) string {
	if int(kind) < len(kindNames) {
		return kindNames[kind]
	}
	return "thing of an unknown kind"
}

// A module is what admission has to know of a binary, and its sections.
type module struct {
	types     []signature
	imports   []functionImport
	functions []uint32 // the type of each, those imported first
	exports   []export
	memories  uint32
	memoryMin uint32 // pages
	hasStart  bool

	table    []byte // the section, with a maximum for each table
	code     []byte // the section, with a checkpoint in each function that calls
	names    []byte // the names of the functions, if they are in order
	sections map[byte][]byte
}

// parseModule takes wasm apart and checks every length and count in it but
// those inside of function bodies: what it returns can be decoded without
// allocating more than a small multiple of its size.
func parseModule(wasm []byte) (*module, error) {
	switch {
	case !bytes.HasPrefix(wasm, []byte(wasmMagic)):
		return nil, abi.Errorf(abi.CodeInvalidArgument, "not a WebAssembly module: it doesn't begin with \\0asm").
			WithHint("give the .wasm file that plugin build made")
	case len(wasm) < 8 || string(wasm[4:8]) != wasmVersion:
		return nil, abi.Errorf(abi.CodeInvalidArgument, "not a core WebAssembly module of version 1").
			WithHint("components are not supported: build for wasip1, as a reactor")
	}
	m := &module{sections: map[byte][]byte{}}
	all := &reader{b: wasm[8:], off: 8, what: "a section"}
	at := -1
	for len(all.b) > 0 && all.err == nil {
		id := all.byte()
		body := &reader{off: all.off, b: all.take(all.u32())}
		name, known := sectionNames[id]
		if !known {
			all.fail("its kind %d is not one that this host runs", id)
		}
		if all.err != nil {
			break
		}
		body.what = name
		if id != sectionCustom {
			place := slices.Index(sectionOrder, id)
			if place <= at {
				all.fail("the %s is out of place", name)
				break
			}
			at = place
			m.sections[id] = body.b
		}
		m.section(id, body)
		if body.err != nil {
			return nil, body.err
		}
	}
	if all.err != nil {
		return nil, all.err
	}
	return m, nil
}

func (m *module) section(id byte, r *reader) {
	switch id {
	case sectionCustom:
		if r.name() == "name" && r.err == nil {
			m.functionNames(r.b)
		}
		return
	case sectionType:
		m.readTypes(r)
	case sectionImport:
		m.readImports(r)
	case sectionFunction:
		for range r.count("functions", maxFunctions) {
			m.functions = append(m.functions, r.u32())
		}
	case sectionTable:
		m.readTables(r)
	case sectionMemory:
		if m.memories = r.count("memories", 1); m.memories == 1 {
			m.memoryMin, _ = r.limits()
		}
	case sectionGlobal:
		for range r.count("globals", maxGlobals) {
			r.valueType()
			if mutable := r.byte(); mutable > 1 {
				r.fail("a global's mutability is %#x", mutable)
			}
			r.constant()
		}
	case sectionExport:
		for range r.count("exports", maxExports) {
			m.exports = append(m.exports, export{name: r.name(), kind: r.byte(), index: r.u32()})
		}
	case sectionStart:
		m.hasStart = true
		r.u32()
	case sectionElement:
		readElements(r)
	case sectionDataCount:
		if n := r.u32(); n > maxSegments {
			r.fail("%d data segments are announced", n)
		}
	case sectionCode:
		m.readCode(r)
	case sectionData:
		readData(r)
	}
	r.end()
}

func (m *module) readTypes(r *reader) {
	for range r.count("types", maxTypes) {
		if form := r.byte(); form != 0x60 {
			r.fail("a type of form %#x is not one that this host runs", form)
			return
		}
		values := func(of string) string {
			list := make([]byte, r.count(of, maxTypeValues))
			for i := range list {
				list[i] = r.valueType()
			}
			return string(list)
		}
		s := signature{params: values("parameters of a function")}
		s.results = values("results of a function")
		m.types = append(m.types, s)
	}
}

func (m *module) readImports(r *reader) {
	for i := range r.count("imports", maxImports) {
		module, name, kind := r.name(), r.name(), r.byte()
		if r.err != nil {
			return
		}
		if kind != kindFunction {
			r.err = abi.Errorf(abi.CodeInvalidArgument, "import %d, %s.%s, is a %s: plugins import functions alone",
				i, module, name, kindName(kind))
			return
		}
		index := r.u32()
		if r.err == nil && uint64(index) >= uint64(len(m.types)) {
			r.fail("import %d has the unknown type %d", i, index)
			return
		}
		m.functions = append(m.functions, index)
		if r.err == nil {
			m.imports = append(m.imports, functionImport{module: module, name: name, signature: m.types[index]})
		}
	}
}

// readTables gives every table a maximum, because table.grow takes memory that
// no other bound covers and toolchains write tables without one.
func (m *module) readTables(r *reader) {
	n := r.count("tables", maxTables)
	m.table = appendLEB(nil, n)
	for range n {
		kind := r.byte()
		if kind != typeFuncref && kind != typeExternref {
			r.fail("a table of the type %#x is not one that this host runs", kind)
			return
		}
		first, most := r.limits()
		if first > maxTableElements {
			r.err = abi.Errorf(abi.CodeResourceExhausted, "a table has %d elements, the bound is %d", first, maxTableElements)
			return
		}
		limit := uint32(maxTableElements)
		if most != nil {
			limit = min(limit, *most)
		}
		m.table = append(m.table, kind, 1)
		m.table = appendLEB(appendLEB(m.table, first), limit)
	}
}

func readElements(r *reader) {
	for range r.count("element segments", maxSegments) {
		kind := r.u32()
		if kind > 7 {
			r.fail("an element segment of kind %d", kind)
			return
		}
		passive, indexed, expressions := kind&1 != 0, kind&2 != 0, kind&4 != 0
		if !passive {
			if indexed {
				r.u32()
			}
			r.constant()
		}
		if passive || indexed {
			if t := r.byte(); t != 0 && t != typeFuncref && t != typeExternref {
				r.fail("an element segment of the type %#x", t)
				return
			}
		}
		for range r.count("elements of a segment", maxTableElements) {
			if expressions {
				r.constant()
			} else {
				r.u32()
			}
		}
		if r.err != nil {
			return
		}
	}
}

// checkpoint is a loop without a turn. The runtime looks at the deadline where
// a loop begins and nowhere else, so with one at its beginning a function that
// recurses can be stopped as well.
const checkpoint = "\x03\x40\x0b"

// readCode gives every function that may call another a checkpoint.
func (m *module) readCode(r *reader) {
	n := r.count("functions", maxFunctions)
	m.code = appendLEB(make([]byte, 0, len(r.b)+len(r.b)/16), n)
	for i := range n {
		size := r.u32()
		if size > maxFunctionBytes {
			r.err = abi.Errorf(abi.CodeResourceExhausted, "function %d of the module has %d bytes, the bound is %d", i, size, maxFunctionBytes)
			return
		}
		whole := r.take(size)
		body := &reader{off: r.off - len(whole), b: whole, what: r.what}
		if r.err != nil {
			return
		}
		var locals uint64
		for range body.count("groups of locals", maxLocals) {
			locals += uint64(body.u32())
			body.valueType()
		}
		if body.err == nil && locals > maxLocals {
			body.err = abi.Errorf(abi.CodeResourceExhausted, "function %d of the module has %d locals, the bound is %d", i, locals, maxLocals)
		}
		if r.err = body.err; r.err != nil {
			return
		}
		// A byte of a call's may be part of something else; then there is a
		// checkpoint too many.
		if bytes.IndexByte(body.b, opCall) < 0 && bytes.IndexByte(body.b, opCallIndirect) < 0 {
			m.code = appendBytes(m.code, whole)
			continue
		}
		m.code = appendLEB(m.code, size+uint32(len(checkpoint)))
		m.code = append(m.code, whole[:len(whole)-len(body.b)]...)
		m.code = append(m.code, checkpoint...)
		m.code = append(m.code, body.b...)
	}
}

// Instructions that call.
const (
	opCall         = 0x10
	opCallIndirect = 0x11
)

func readData(r *reader) {
	for range r.count("data segments", maxSegments) {
		switch kind := r.u32(); kind {
		case 0:
			r.constant()
		case 1:
		case 2:
			r.u32()
			r.constant()
		default:
			r.fail("a data segment of kind %d", kind)
			return
		}
		r.take(r.u32())
		if r.err != nil {
			return
		}
	}
}

// functionNames keeps the names of functions for the stacks of traps. Like any
// custom section it may be damaged without making the module so: then there
// are no names.
func (m *module) functionNames(b []byte) {
	r := &reader{b: b, what: "names"}
	for len(r.b) > 0 && r.err == nil {
		id := r.byte()
		body := r.take(r.u32())
		if r.err != nil || id != 1 {
			continue
		}
		names := &reader{b: body, what: "names"}
		for range names.count("names", maxFunctions) {
			names.u32()
			names.name()
		}
		names.end()
		if names.err == nil {
			m.names = append([]byte{1}, appendBytes(nil, body)...)
		}
		return
	}
}

// encode writes the module anew: its tables bounded, its exports those that
// keep says, and of its custom sections the functions' names alone. So what
// nobody uses costs nothing, and a module with another manifest and the same
// code is the same to the cache.
func (m *module) encode(keep func(export) bool) []byte {
	size := 64 + len(m.names)
	for _, body := range m.sections {
		size += len(body) + 8
	}
	out := make([]byte, 0, size)
	out = append(out, wasmMagic+wasmVersion...)
	for _, id := range sectionOrder {
		body, ok := m.sections[id]
		if !ok {
			continue
		}
		switch id {
		case sectionTable:
			body = m.table
		case sectionCode:
			body = m.code
		case sectionExport:
			var n uint32
			var list []byte
			for _, e := range m.exports {
				if keep(e) {
					n++
					list = append(appendBytes(list, []byte(e.name)), e.kind)
					list = appendLEB(list, e.index)
				}
			}
			body = append(appendLEB(nil, n), list...)
		}
		out = appendBytes(append(out, id), body)
	}
	if m.names != nil {
		out = appendBytes(append(out, sectionCustom), append([]byte("\x04name"), m.names...))
	}
	return out
}
