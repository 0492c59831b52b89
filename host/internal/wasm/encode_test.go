package wasm_test

import (
	"encoding/binary"
	"strings"

	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// Value types.
const (
	i32 = "\x7f"
	i64 = "\x7e"
)

// A guest is a module to be encoded, for shapes that no compiler would write.
type guest struct {
	imports []function // module.name is their export
	funcs   []function
	memory  string   // its limits, encoded; none without
	tables  []string // type and limits
	globals []string // type, mutability, constant
	start   string
	raw     map[byte]string // sections that replace what would be encoded, or are added
	custom  map[string]string
}

type function struct {
	export, params, results string
	locals                  string // as it is encoded after the number of groups; "" for none
	groups                  int
	code                    string // without its end
}

func (g *guest) encode() []byte {
	types, imports, declared, exports, code := []string{}, []string{}, []string{}, []string{}, []string{}
	for _, f := range g.imports {
		imports = append(imports, vec("env")+vec(f.export)+"\x00"+leb(len(types)))
		types = append(types, "\x60"+vec(f.params)+vec(f.results))
	}
	for i, f := range g.funcs {
		declared = append(declared, leb(len(types)))
		types = append(types, "\x60"+vec(f.params)+vec(f.results))
		if f.export != "" {
			exports = append(exports, vec(f.export)+"\x00"+leb(len(g.imports)+i))
		}
		code = append(code, vec(leb(f.groups)+f.locals+f.code+"\x0b"))
	}
	if g.memory != "" {
		exports = append(exports, vec("memory")+"\x02\x00")
	}
	sections := map[byte]string{1: list(types), 2: list(imports), 3: list(declared), 7: list(exports), 8: g.start, 10: list(code)}
	if g.memory != "" {
		sections[5] = list([]string{g.memory})
	}
	if g.tables != nil {
		sections[4] = list(g.tables)
	}
	if g.globals != nil {
		sections[6] = list(g.globals)
	}
	for id, body := range g.raw {
		sections[id] = body
	}
	out := "\x00asm\x01\x00\x00\x00"
	for _, id := range []byte{1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11} {
		if body := sections[id]; body != "" {
			out += string(id) + vec(body)
		}
	}
	b := []byte(out)
	for name, payload := range g.custom {
		b = wasm.AppendCustom(b, name, []byte(payload))
	}
	return b
}

func vec(b string) string { return leb(len(b)) + b }

func list(items []string) string { return leb(len(items)) + strings.Join(items, "") }

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

func i32Const(v int) string   { return "\x41" + sleb(int64(int32(uint32(v)))) }
func i64Const(v int64) string { return "\x42" + sleb(v) }
func get(local int) string    { return "\x20" + leb(local) }
func set(local int) string    { return "\x21" + leb(local) }
func tee(local int) string    { return "\x22" + leb(local) }
func call(f int) string       { return "\x10" + leb(f) }

// Instructions.
const (
	drop       = "\x1a"
	isZero     = "\x45"
	add32      = "\x6a"
	sub32      = "\x6b"
	mul32      = "\x6c"
	xor32      = "\x73"
	loop       = "\x03\x40"
	block      = "\x02\x40"
	memoryCopy = "\xfc\x0a\x00\x00"
	memoryFill = "\xfc\x0b\x00"
	end        = "\x0b"
	ifThen     = "\x04\x40"
)

func br(depth int) string   { return "\x0c" + leb(depth) }
func brIf(depth int) string { return "\x0d" + leb(depth) }
