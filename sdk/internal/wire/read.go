package wire

import (
	"bytes"
	"encoding/json"
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
		return r.unescape(text)
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
		if text, escaped := r.token(); escaped && !r.failed {
			r.unescape(text)
		}
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
// its quotes and whether that has escapes, which weren't looked at.
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
			i += 2
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

// unescape returns what a string with escapes stands for.
func (r *Reader) unescape(text []byte) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		n := bytes.IndexByte(text[i:], '\\')
		if n < 0 {
			out = append(out, text[i:]...)
			break
		}
		out = append(out, text[i:i+n]...)
		i += n
		c := text[i+1] // there is one: token went over both
		if c == 'u' {
			return r.unescapeAll(text)
		}
		if escapes[c] == 0 {
			r.fail()
			return ""
		}
		out = append(out, escapes[c])
		i += 2
	}
	return string(out)
}

// unescapeAll has encoding/json read what has surrogates and other escapes by
// number.
func (r *Reader) unescapeAll(text []byte) string {
	quoted := make([]byte, 0, len(text)+2)
	quoted = append(append(append(quoted, '"'), text...), '"')
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		r.fail()
	}
	return s
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
	for short := min(len(b), i+16); i < short; i++ {
		if special[b[i]] {
			return i
		}
	}
	for ; len(b)-i >= 8; i += 8 {
		w := *(*uint64)(unsafe.Pointer(&b[i])) // at one go in a sandbox; the bytes' order doesn't matter
		quote, backslash := w^(ones*'"'), w^(ones*'\\')
		if (w|(w-ones*' ')|(quote-ones)|(backslash-ones))&highs != 0 {
			break // there may be one, and the loop below is sure
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
