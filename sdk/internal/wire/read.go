package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// maxDepth is how deep values may be nested.
const maxDepth = 100

// A Reader goes over JSON from the beginning to the end. Once it has failed
// every method fails.
type Reader struct {
	b      []byte
	at     int
	failed bool
	spaced bool
}

// NewReader returns a Reader of b, which must stay as it is while it is read.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Failed says whether something wasn't ordinary.
func (r *Reader) Failed() bool { return r.failed }

// Ended says whether nothing is left but white space, and nothing failed.
func (r *Reader) Ended() bool { return r.Peek() == 0 && !r.failed && r.at == len(r.b) }

// Peek returns the first byte of what comes next, which tells its type; 0 at
// the end.
func (r *Reader) Peek() byte {
	if r.at < len(r.b) && r.b[r.at] > ' ' {
		return r.b[r.at]
	}
	return r.space()
}

// space goes over white space, and returns what Peek does.
func (r *Reader) space() byte {
	for r.at < len(r.b) {
		switch c := r.b[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
			r.spaced = true
		default:
			return c
		}
	}
	return 0
}

// Open enters an object or an array: c is its bracket.
func (r *Reader) Open(c byte) bool {
	if r.failed || r.Peek() != c {
		return r.fail()
	}
	r.at++
	return true
}

// Member goes to an object's next value and returns the name before it, a view.
// It is false at the object's end. First is true for the first member. Names
// with escapes aren't ordinary.
func (r *Reader) Member(first bool) ([]byte, bool) {
	if !r.next('}', first) {
		return nil, false
	}
	if r.Peek() != '"' {
		return nil, r.fail()
	}
	name, escaped := r.token()
	if r.failed || escaped || r.Peek() != ':' {
		return nil, r.fail()
	}
	r.at++
	return name, true
}

// Element goes to an array's next value. It is false at the array's end.
func (r *Reader) Element(first bool) bool { return r.next(']', first) }

// next goes over what separates a value from the one before it.
func (r *Reader) next(end byte, first bool) bool {
	if r.failed {
		return false
	}
	c := r.Peek()
	if c == end {
		r.at++
		return false
	}
	if first {
		return true
	}
	if c != ',' {
		return r.fail()
	}
	r.at++
	if r.Peek() == end {
		return r.fail()
	}
	return true
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	c := r.Peek()
	if c == 't' {
		r.word("true")
	} else {
		r.word("false")
	}
	return c == 't' && !r.failed
}

// String reads a string.
func (r *Reader) String() string {
	if r.failed || r.Peek() != '"' {
		r.fail()
		return ""
	}
	text, escaped := r.token()
	if r.failed {
		return ""
	}
	if escaped {
		return unescape(text)
	}
	return string(text)
}

// Bytes reads a string and returns a view of it. One with escapes isn't
// ordinary.
func (r *Reader) Bytes() []byte {
	if r.failed || r.Peek() != '"' {
		r.fail()
		return nil
	}
	text, escaped := r.token()
	if escaped {
		r.fail()
	}
	return text
}

// Int reads an integer of at most 18 digits, written as such. -0 isn't ordinary.
func (r *Reader) Int() int64 {
	c := r.Peek()
	start := r.at
	r.number()
	digits := r.b[start:r.at]
	if c == '-' && len(digits) > 0 {
		digits = digits[1:]
	}
	if r.failed || len(digits) > 18 {
		r.fail()
		return 0
	}
	var n int64
	for _, d := range digits {
		if d < '0' || d > '9' {
			r.fail()
			return 0
		}
		n = n*10 + int64(d-'0')
	}
	if c == '-' {
		if n == 0 {
			r.fail()
		}
		return -n
	}
	return n
}

// Number reads a number and returns a view of its text.
func (r *Reader) Number() []byte {
	r.Peek()
	start := r.at
	r.number()
	if r.failed {
		return nil
	}
	return r.b[start:r.at]
}

// Skip goes over a value and returns a view of it.
func (r *Reader) Skip() []byte {
	r.Peek()
	start := r.at
	r.skip(0)
	if r.failed {
		return nil
	}
	return r.b[start:r.at:r.at]
}

func (r *Reader) skip(depth int) {
	if r.failed || depth > maxDepth {
		r.fail()
		return
	}
	switch r.Peek() {
	case '{':
		r.at++
		for first := true; ; first = false {
			if _, ok := r.Member(first); !ok {
				return
			}
			r.skip(depth + 1)
		}
	case '[':
		r.at++
		for first := true; r.Element(first); first = false {
			r.skip(depth + 1)
		}
	case '"':
		r.token()
	case 't':
		r.word("true")
	case 'f':
		r.word("false")
	case 'n':
		r.word("null")
	default:
		r.number()
	}
}

func (r *Reader) fail() bool {
	r.failed = true
	return false
}

func (r *Reader) word(w string) {
	end := r.at + len(w)
	if r.failed || end > len(r.b) || string(r.b[r.at:end]) != w {
		r.fail()
		return
	}
	r.at = end
}

// number goes over a number.
func (r *Reader) number() {
	if r.failed {
		return
	}
	b := r.b
	i := r.at
	if i < len(b) && b[i] == '-' {
		i++
	}
	whole := digits(b, i)
	if whole == i || whole > i+1 && b[i] == '0' {
		r.fail()
		return
	}
	i = whole
	if i < len(b) && b[i] == '.' {
		end := digits(b, i+1)
		if end == i+1 {
			r.fail()
			return
		}
		i = end
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		end := digits(b, i)
		if end == i {
			r.fail()
			return
		}
		i = end
	}
	r.at = i
}

// digits returns where the digits end that begin at i.
func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' < 10 {
		i++
	}
	return i
}

// token goes over the string that stands there, and returns what is between
// its quotes and whether that has escapes.
func (r *Reader) token() (text []byte, escaped bool) {
	b, start := r.b, r.at+1
	wide := false
	for i := plain(b, start); i < len(b); i = plain(b, i) {
		switch c := b[i]; {
		case c == '"':
			text = b[start:i:i]
			if wide && !utf8.Valid(text) {
				r.failed = true
			}
			r.at = i + 1
			return text, escaped
		case c == '\\':
			escaped = true
			n := escapeLength(b[i:])
			if n == 0 {
				r.failed = true
				return nil, false
			}
			i += n
		case c >= utf8.RuneSelf:
			wide = true
			for i++; i < len(b) && b[i] >= utf8.RuneSelf; i++ {
			}
		default: // a control character
			r.failed = true
			return nil, false
		}
	}
	r.failed = true
	return nil, false
}

// escapes are what a backslash and a letter stand for; 0 is no such escape.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escapeLength returns how many bytes the escape has that b begins with; 0 is no
// such escape.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if escapes[b[1]] != 0 {
		return 2
	}
	if b[1] == 'u' && unit(b) >= 0 {
		return 6
	}
	return 0
}

// unit returns the UTF-16 code unit that an escape by number stands for, such as
// \u00e9 at the beginning of b, and -1 where there is none.
func unit(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var n rune
	for _, c := range b[2:6] {
		switch letter := c | 0x20; {
		case c-'0' < 10:
			n = n<<4 | rune(c-'0')
		case letter-'a' < 6:
			n = n<<4 | rune(letter-'a'+10)
		default:
			return -1
		}
	}
	return n
}

// unescape returns what a string with escapes stands for; token found them
// right. Half a surrogate pair stands for U+FFFD.
func unescape(text []byte) string {
	out := make([]byte, 0, len(text)) // nothing is longer than its escape
	for {
		n := bytes.IndexByte(text, '\\')
		if n < 0 {
			out = append(out, text...)
			return unsafe.String(unsafe.SliceData(out), len(out))
		}
		out = append(out, text[:n]...)
		text = text[n:]
		if c := escapes[text[1]]; c != 0 {
			out = append(out, c)
			text = text[2:]
			continue
		}
		char := unit(text)
		text = text[6:]
		if utf16.IsSurrogate(char) {
			if char = utf16.DecodeRune(char, unit(text)); char != utf8.RuneError {
				text = text[6:]
			}
		}
		out = utf8.AppendRune(out, char)
	}
}

// special are the bytes that don't stand for themselves in a JSON string: what
// isn't ASCII among them, which does where it is UTF-8.
var special = func() (set [256]bool) {
	for c := range set {
		set[c] = c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf
	}
	return set
}()

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain returns where the bytes end that aren't special, from i on.
func plain(b []byte, i int) int {
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := w^(ones*'"'), w^(ones*'\\')
		// A special byte sets its high bit, and may do so to those above it.
		if found := (w | (w - ones*' ') | (quote - ones) | (backslash - ones)) & highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && !special[b[i]] {
		i++
	}
	return i
}

// Compact says whether b is one JSON value without white space around what it
// is made of.
func Compact(b []byte) bool {
	r := NewReader(b)
	r.Skip()
	return r.Ended() && !r.spaced
}
