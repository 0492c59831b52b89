package engine_test

import (
	"encoding/binary"
	"slices"

	"github.com/sallyport-dev/sallyport/abi"
)

// A small encoder of modules, for guests that no compiler would write.

// Value types.
const (
	i32 = "\x7f"
	i64 = "\x7e"
)

// A guest is a module to be encoded. newGuest has the parts of a plugin.
type guest struct {
	imports []imported
	funcs   []function
	memory  string // its limits, encoded; none without
	table   string // the same, with its type
	globals []string
	start   int               // a function to start with, -1 for none
	exports map[string]string // beside those of the functions: name → kind and index
	custom  map[string]string
	raw     map[byte]string // sections that replace what would be encoded
}

type imported struct{ module, name, params, results string }

type function struct {
	export, params, results string
	locals                  int // of type i32
	code                    string
}

// arenaAt is where the guests of newGuest have their arena.
const arenaAt = 1024

// newGuest is a plugin with one page of memory that answers with what it was
// asked, and describes itself as the empty frame.
func newGuest() *guest {
	return &guest{
		memory:  "\x00\x01",
		start:   -1,
		exports: map[string]string{abi.ExportMemory: "\x02\x00"},
		funcs: []function{
			{export: abi.ExportArena, params: i32, results: i32, code: i32Const(arenaAt)},
			{export: abi.ExportDescribe, results: i64, code: i32Const(16) + i32Const(2) + store32 +
				i32Const(20) + i32Const('{'|'}'<<8) + store32 + i64Const(16<<32|6)},
			{export: abi.ExportCall, params: i32 + i32, results: i64, code: i64Const(arenaAt<<32) + get(1) + extendU + or64},
		},
	}
}

// function returns the guest's function of that export.
func (g *guest) function(export string) *function {
	i := slices.IndexFunc(g.funcs, func(f function) bool { return f.export == export })
	return &g.funcs[i]
}

// onCall makes the guest run code and answer with the i64 that it leaves on
// the stack.
func (g *guest) onCall(code string, locals int) *guest {
	f := g.function(abi.ExportCall)
	f.code, f.locals = code, locals
	return g
}

// use imports a function and returns its index. It has to come before the code
// that names functions.
func (g *guest) use(module, name, params, results string) int {
	g.imports = append(g.imports, imported{module, name, params, results})
	return len(g.imports) - 1
}

func (g *guest) encode() []byte {
	var types []string
	typeOf := func(params, results string) string {
		t := "\x60" + vec(params) + vec(results)
		i := slices.Index(types, t)
		if i < 0 {
			i = len(types)
			types = append(types, t)
		}
		return leb(i)
	}
	sections := map[byte]string{}
	var imports, declared, exports, code []string
	for _, i := range g.imports {
		imports = append(imports, vec(i.module)+vec(i.name)+"\x00"+typeOf(i.params, i.results))
	}
	for i, f := range g.funcs {
		declared = append(declared, typeOf(f.params, f.results))
		if f.export != "" {
			exports = append(exports, vec(f.export)+"\x00"+leb(len(g.imports)+i))
		}
		locals := "\x00"
		if f.locals > 0 {
			locals = "\x01" + leb(f.locals) + i32
		}
		code = append(code, vec(locals+f.code+"\x0b"))
	}
	for name, what := range g.exports {
		exports = append(exports, vec(name)+what)
	}
	slices.Sort(exports)
	sections[1] = list(types)
	sections[2] = list(imports)
	sections[3] = list(declared)
	if g.table != "" {
		sections[4] = list([]string{g.table})
	}
	if g.memory != "" {
		sections[5] = list([]string{g.memory})
	}
	if g.globals != nil {
		sections[6] = list(g.globals)
	}
	sections[7] = list(exports)
	if g.start >= 0 {
		sections[8] = leb(g.start)
	}
	sections[10] = list(code)
	for id, body := range g.raw {
		sections[id] = body
	}
	out := "\x00asm\x01\x00\x00\x00"
	for _, id := range []byte{1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11} {
		if body, ok := sections[id]; ok {
			out += string(id) + vec(body)
		}
	}
	for name, data := range g.custom {
		out += "\x00" + vec(vec(name)+data)
	}
	return []byte(out)
}

func vec(b string) string { return leb(len(b)) + b }

func list(items []string) string {
	out := leb(len(items))
	for _, i := range items {
		out += i
	}
	return out
}

func leb[T int | uint32](v T) string { return string(binary.AppendUvarint(nil, uint64(v))) }

// sleb is signed LEB128.
func sleb(v int64) string {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return string(append(b, c))
		}
		b = append(b, c|0x80)
	}
}

// Instructions.
const (
	unreachable = "\x00"
	drop        = "\x1a"
	store32     = "\x36\x02\x00" // i32.store
	load32      = "\x28\x02\x00" // i32.load
	store64     = "\x37\x03\x00" // i64.store
	isZero      = "\x45"         // i32.eqz
	add32       = "\x6a"
	divide32    = "\x6d" // i32.div_s
	or64        = "\x84"
	extendU     = "\xad" // i64.extend_i32_u
	extendS     = "\xac" // i64.extend_i32_s
	growMemory  = "\x40\x00"
	endless     = "\x03\x40\x0c\x00\x0b" // loop br 0 end
)

func i32Const(v int) string   { return "\x41" + sleb(int64(int32(uint32(v)))) }
func i64Const(v int64) string { return "\x42" + sleb(v) }
func get(local int) string    { return "\x20" + leb(local) }
func call(f int) string       { return "\x10" + leb(f) }

func ifElse(result, yes, no string) string {
	return "\x04" + result + yes + "\x05" + no + "\x0b"
}

// answerWith is code that stores what the code before it left, an i64, and
// answers with its eight bytes.
func answerWith(value string) string {
	return i32Const(8) + value + store64 + i64Const(8<<32|8)
}
