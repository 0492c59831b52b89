package wasm

import (
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
)

const hintBuild = "sallyport plugin build makes one from a folder with a plugin.yaml"

// A reader takes bytes of a module apart. The first failure sticks: every
// later read returns zero, so that callers check once a section.
type reader struct {
	b    []byte
	at   int    // of b, what comes next
	base int    // of b in the module, for messages
	what string // the part being read, for messages
	err  *abi.Error
}

func (r *reader) fail(format string, args ...any) {
	r.failAs(abi.CodeInvalidArgument, "malformed module: "+r.what+" at byte %d: "+format, append([]any{r.base + r.at}, args...)...)
	if r.err.Hint == "" {
		r.err.Hint = "build the plugin again"
	}
}

// lacks refuses something well-formed of a proposal that isn't run here.
func (r *reader) lacks(format string, args ...any) {
	r.failAs(abi.CodeUnimplemented, r.what+" at byte %d: "+format+", which this host doesn't run", append([]any{r.base + r.at}, args...)...)
	if r.err.Hint == "" {
		r.err.Hint = "build for WebAssembly 2.0 without threads, tail calls, exceptions and garbage collection"
	}
}

// exceeds refuses something well-formed that is beyond a bound.
func (r *reader) exceeds(format string, args ...any) {
	r.failAs(abi.CodeResourceExhausted, r.what+": "+format, args...)
}

func (r *reader) failAs(code abi.Code, format string, args ...any) {
	if r.err == nil {
		r.err = abi.Errorf(code, format, args...)
		r.b, r.base, r.at = nil, r.base+r.at, 0
	}
}

func (r *reader) left() int { return len(r.b) - r.at }

func (r *reader) byte() byte {
	if r.at >= len(r.b) {
		r.fail("it ends too early")
		return 0
	}
	c := r.b[r.at]
	r.at++
	return c
}

// take returns the next n bytes, a view.
func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(r.left()) {
		r.fail("%d bytes are announced and %d are left", n, r.left())
		return nil
	}
	start := r.at
	r.at += int(n)
	return r.b[start:r.at:r.at]
}

// rest takes what is left.
func (r *reader) rest() []byte { return r.take(uint32(r.left())) }

// within returns a reader of the next n bytes.
func (r *reader) within(n uint32) reader {
	b := r.take(n)
	return reader{b: b, base: r.base + r.at - len(b), what: r.what, err: r.err}
}

func (r *reader) u32() uint32 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint32(r.b[r.at-1])
	}
	var v uint32
	for shift := 0; shift < 32; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			break
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.fail("a number has more than 32 bits")
	return 0
}

// signed reads a number of at most so many bits.
func (r *reader) signed(bits int) int64 {
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		c := r.byte()
		v |= int64(c&0x7f) << shift
		if left := bits - shift; left < 7 {
			// The bits beyond the number's repeat its sign.
			if sign := int8(c<<1) >> left; sign != 0 && sign != -1 {
				break
			}
		}
		if c < 0x80 {
			if c&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.fail("a number has more than %d bits", bits)
	return 0
}

// count reads the length of a vector whose elements have at least one byte
// each. A decoder allocates by this number, so it is held against what is
// there and against limit.
func (r *reader) count(of string, limit uint32) uint32 {
	n := r.u32()
	if n > limit {
		r.exceeds("the module has %d %s, the bound is %d", n, of, limit)
		return 0
	}
	if uint64(n) > uint64(r.left()) {
		r.fail("%d %s are announced in %d bytes", n, of, r.left())
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
	if r.err == nil && r.left() != 0 {
		r.fail("%d bytes are left over", r.left())
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

// appendSigned appends v as signed LEB128.
func appendSigned(b []byte, v int64) []byte {
	for v < -0x40 || v > 0x3f {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}

// appendBytes appends v with its length before it, as names and sections are
// written.
func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(appendLEB(b, uint32(len(v))), v...)
}
