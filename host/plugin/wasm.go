package plugin

import (
	"bytes"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
)

// Kinds of imports and exports.
const (
	KindFunction = "function"
	KindTable    = "table"
	KindMemory   = "memory"
	KindGlobal   = "global"
	KindTag      = "tag"
)

var kinds = []string{KindFunction, KindTable, KindMemory, KindGlobal, KindTag}

// An Import is what a module takes from outside.
type Import struct {
	Module string `json:"module"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
}

// Sections of a module that are looked into. What the others hold is the
// engine's to judge.
const (
	sectionCustom = 0
	sectionImport = 2
	sectionExport = 7
	sectionLast   = 13
)

var wasmMagic, wasmVersion = []byte("\x00asm"), []byte{1, 0, 0, 0}

// A section is one of a module's. Its bytes are views of the module.
type section struct {
	id      byte
	name    string // of a custom section
	whole   []byte // with its id and size
	payload []byte // of a custom section, after its name
}

// A module is what can be read off a module's sections.
type module struct {
	sections []section
	imports  []Import
	exports  map[string]string // kind by name
}

// custom returns the payload of the one custom section of this name, nil
// where there is none.
func (m *module) custom(name string) ([]byte, error) {
	var found []byte
	for _, s := range m.sections {
		if s.id != sectionCustom || s.name != name {
			continue
		}
		if found != nil {
			return nil, invalid("the module has two sections %s", name)
		}
		found = s.payload
	}
	return found, nil
}

// readModule splits a module into its sections. It allocates in proportion to
// the bytes, and fails with invalid_argument for anything malformed.
func readModule(wasm []byte) (*module, error) {
	switch {
	case len(wasm) == 0:
		return nil, invalid("the file is empty").WithHint("%s", hintBuild)
	case len(wasm) < 8 && bytes.HasPrefix(wasmMagic, wasm[:min(4, len(wasm))]):
		return nil, truncated("it ends within its first 8 bytes")
	case !bytes.HasPrefix(wasm, wasmMagic):
		return nil, invalid("not a WebAssembly module: it doesn't begin with \\0asm").WithHint("%s", hintBuild)
	case bytes.Equal(wasm[4:8], []byte{13, 0, 1, 0}):
		return nil, invalid("a WebAssembly component, and plugins are core modules").
			WithHint("build for wasip1 rather than wasip2")
	case !bytes.Equal(wasm[4:8], wasmVersion):
		return nil, invalid("a WebAssembly module of an unknown version: % x", wasm[4:8]).WithHint("%s", hintBuild)
	}
	m := &module{exports: map[string]string{}}
	r := reader{b: wasm, at: 8}
	for r.at < len(wasm) {
		start := r.at
		id := r.byte()
		size := r.u32()
		if r.err != nil && r.at == len(wasm) {
			return nil, truncated("it ends within the head of a section, at byte %d", start)
		}
		if r.err == nil && uint64(size) > uint64(len(wasm)-r.at) {
			return nil, truncated("section %d at byte %d announces %d bytes and %d are left", id, start, size, len(wasm)-r.at)
		}
		body := r.take(size)
		if r.err != nil {
			return nil, r.err
		}
		s := section{id: id, whole: wasm[start:r.at:r.at]}
		in := reader{b: body, base: r.at - len(body)}
		switch id {
		case sectionCustom:
			s.name = in.name()
			s.payload = in.rest()
		case sectionImport:
			m.imports = append(m.imports, in.imports()...)
		case sectionExport:
			in.exports(m.exports)
		}
		if in.err != nil {
			return nil, in.err
		}
		if id > sectionLast {
			return nil, invalid("malformed module: unknown section %d at byte %d", id, start)
		}
		m.sections = append(m.sections, s)
	}
	return m, nil
}

// A reader reads a section's bytes. The first failure sticks, and everything
// after it reads as zero.
type reader struct {
	b    []byte
	at   int
	base int // of b in the file
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = invalid("malformed module at byte %d: "+format, append([]any{r.base + r.at}, args...)...)
	}
}

func (r *reader) byte() byte {
	if r.err != nil || r.at >= len(r.b) {
		r.fail("something is missing")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

// leb reads an unsigned LEB128 number of so many bits.
func (r *reader) leb(bits int) uint64 {
	var v uint64
	for shift := 0; shift < bits; shift += 7 {
		b := r.byte()
		if left := bits - shift; left < 7 && b>>left != 0 {
			r.fail("a number has more than %d bits", bits)
			return 0
		}
		v |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			return v
		}
	}
	r.fail("a number has more than %d bits", bits)
	return 0
}

func (r *reader) u32() uint32 { return uint32(r.leb(32)) }

func (r *reader) take(n uint32) []byte {
	if r.err != nil || uint64(n) > uint64(len(r.b)-r.at) {
		r.fail("%d bytes are announced and %d are left", n, len(r.b)-r.at)
		return nil
	}
	start := r.at
	r.at += int(n)
	return r.b[start:r.at:r.at]
}

// rest takes what is left. It is not nil unless an error came before.
func (r *reader) rest() []byte { return r.take(uint32(len(r.b) - r.at)) }

func (r *reader) name() string {
	b := r.take(r.u32())
	if !utf8.Valid(b) {
		r.fail("a name is not UTF-8")
		return ""
	}
	return string(b)
}

func (r *reader) kind() string {
	k := r.byte()
	if int(k) >= len(kinds) {
		r.fail("unknown kind %d", k)
		return ""
	}
	return kinds[k]
}

// limits reads past the bounds of a table or a memory.
func (r *reader) limits() {
	flags := r.byte()
	if flags > 7 {
		r.fail("unknown limits %#x", flags)
	}
	r.leb(64)
	if flags&1 != 0 {
		r.leb(64)
	}
}

func (r *reader) imports() []Import {
	var out []Import
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		imp := Import{Module: r.name(), Name: r.name(), Kind: r.kind()}
		switch imp.Kind {
		case KindFunction:
			r.u32() // its type
		case KindTable:
			r.byte() // its elements' type
			r.limits()
		case KindMemory:
			r.limits()
		case KindGlobal:
			r.byte() // its type
			r.byte() // whether it is mutable
		case KindTag:
			r.byte()
			r.u32()
		}
		if r.err == nil {
			out = append(out, imp)
		}
	}
	return out
}

func (r *reader) exports(into map[string]string) {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		name, kind := r.name(), r.kind()
		r.u32() // its index
		if r.err == nil {
			into[name] = kind
		}
	}
}

// appendCustom appends a custom section to a module.
func appendCustom(wasm []byte, name string, payload []byte) []byte {
	var head []byte
	head = appendLEB(head, uint32(len(name)))
	head = append(head, name...)
	wasm = append(wasm, sectionCustom)
	wasm = appendLEB(wasm, uint32(len(head)+len(payload)))
	return append(append(wasm, head...), payload...)
}

func appendLEB(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

const hintBuild = "sallyport plugin build makes one from a folder with a plugin.yaml"

func invalid(format string, args ...any) *abi.Error {
	return abi.Errorf(abi.CodeInvalidArgument, format, args...)
}

func truncated(format string, args ...any) *abi.Error {
	return invalid("the file is truncated: "+format, args...).WithHint("copy or download it again")
}
