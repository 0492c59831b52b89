package engine

import (
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
)

// A reader takes a module's binary apart. The first failure sticks: every
// later read returns zero, so that callers check once a section.
type reader struct {
	b    []byte
	off  int // of b in the module, for messages
	err  *abi.Error
	what string // the part being read, for messages
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = abi.Errorf(abi.CodeInvalidArgument, "not a well-formed module: "+r.what+" at byte %d: "+format,
			append([]any{r.off}, args...)...).WithHint("build the plugin again")
		r.b = nil
	}
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("it ends too early")
		return 0
	}
	c := r.b[0]
	r.b, r.off = r.b[1:], r.off+1
	return c
}

// take returns the next n bytes, a view.
func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)) {
		r.fail("%d bytes are announced and %d are there", n, len(r.b))
		return nil
	}
	b := r.b[:n:n]
	r.b, r.off = r.b[n:], r.off+int(n)
	return b
}

// leb reads a LEB128 number of at most the given bits; of a signed one only
// the length matters here.
func (r *reader) leb(bits uint) uint64 {
	var v uint64
	for shift := uint(0); shift < bits; shift += 7 {
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.fail("a number has too many bytes")
	return 0
}

func (r *reader) u32() uint32 {
	v := r.leb(32)
	if v > 1<<32-1 {
		r.fail("a number is too large")
		return 0
	}
	return uint32(v)
}

// count reads the length of a vector whose elements have at least one byte
// each. Wazero allocates by this number, so it is held against what is there
// and against limit.
func (r *reader) count(of string, limit uint32) uint32 {
	n := r.u32()
	if r.err == nil && n > limit {
		r.err = abi.Errorf(abi.CodeResourceExhausted, "the module has %d %s, the bound is %d", n, of, limit)
		r.b = nil
		return 0
	}
	if uint64(n) > uint64(len(r.b)) {
		r.fail("%d %s are announced in %d bytes", n, of, len(r.b))
		return 0
	}
	return n
}

func (r *reader) name() string {
	b := r.take(r.u32())
	if !utf8.Valid(b) {
		r.fail("a name is not UTF-8")
		return ""
	}
	return string(b)
}

// end checks that nothing is left.
func (r *reader) end() {
	if len(r.b) != 0 {
		r.fail("%d bytes are left over", len(r.b))
	}
}

// Value types, as the binary format writes them.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
)

func (r *reader) valueType() byte {
	switch t := r.byte(); t {
	case typeI32, typeI64, typeF32, typeF64, typeV128, typeFuncref, typeExternref:
		return t
	default:
		r.fail("the value type %#x is not one that this host runs", t)
		return 0
	}
}

// limits reads the bounds of a table or a memory.
func (r *reader) limits() (first uint32, most *uint32) {
	flag := r.byte()
	if flag > 1 {
		r.fail("limits of kind %#x, such as shared or 64-bit memory, are not ones that this host runs", flag)
		return 0, nil
	}
	first = r.u32()
	if flag == 1 {
		m := r.u32()
		most = &m
		if m < first {
			r.fail("a maximum of %d is below the minimum of %d", m, first)
		}
	}
	return first, most
}

// constant passes over a constant expression.
func (r *reader) constant() {
	switch op := r.byte(); op {
	case 0x41: // i32.const
		r.leb(32)
	case 0x42: // i64.const
		r.leb(64)
	case 0x43: // f32.const
		r.take(4)
	case 0x44: // f64.const
		r.take(8)
	case 0x23, 0xd2: // global.get, ref.func
		r.u32()
	case 0xd0: // ref.null
		if t := r.byte(); t != typeFuncref && t != typeExternref {
			r.fail("ref.null of the type %#x", t)
		}
	case 0xfd: // v128.const
		if sub := r.u32(); sub != 0x0c {
			r.fail("the instruction 0xfd %#x in a constant", sub)
		}
		r.take(16)
	default:
		r.fail("the instruction %#x in a constant", op)
	}
	if op := r.byte(); r.err == nil && op != 0x0b {
		r.fail("a constant of more than one instruction")
	}
}

// appendLEB appends v as LEB128.
func appendLEB(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// appendBytes appends v with its length before it, as names and sections are
// written.
func appendBytes(b, v []byte) []byte { return append(appendLEB(b, uint32(len(v))), v...) }
