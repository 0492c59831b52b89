package schema

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/sdk/internal/wire"
)

// Read is the short cut of Decode: one pass over what is ordinary and right. It
// is false for anything else; v is then whatever it is, and Explain knows.
func (s *Shape) Read(raw json.RawMessage, v reflect.Value) bool {
	r := wire.NewReader(raw)
	return r.Peek() == '{' && s.read(&r, v) && r.Ended()
}

func (s *Shape) read(r *wire.Reader, v reflect.Value) bool {
	switch s.kind {
	case kindAny:
		raw := r.Skip()
		if s.typ == typeRaw && !r.Failed() {
			v.SetBytes(slices.Clone(raw))
			return true
		}
		return !r.Failed() && json.Unmarshal(raw, v.Addr().Interface()) == nil
	case kindText:
		if r.Peek() != '"' {
			return false
		}
		raw := r.Skip()
		return !r.Failed() && json.Unmarshal(raw, v.Addr().Interface()) == nil
	case kindString:
		text := r.String()
		v.SetString(text)
		return !r.Failed() && s.fits(text) && s.chooses(v)
	case kindBool:
		v.SetBool(r.Bool())
		return !r.Failed()
	case kindInteger:
		return s.readInteger(r, v)
	case kindNumber:
		n, err := strconv.ParseFloat(string(r.Number()), 64)
		if r.Failed() || err != nil || v.OverflowFloat(n) {
			return false
		}
		v.SetFloat(n)
		return s.within(n) && s.chooses(v)
	case kindArray:
		return s.readArray(r, v)
	case kindMapping:
		return s.readMapping(r, v)
	default:
		return s.readObject(r, v)
	}
}

func (s *Shape) fits(text string) bool {
	if s.minLength == nil && s.maxLen == nil {
		return true
	}
	n := utf8.RuneCountInString(text)
	return (s.minLength == nil || n >= *s.minLength) && (s.maxLen == nil || n <= *s.maxLen)
}

func (s *Shape) within(n float64) bool {
	return (s.minimum == nil || n >= s.minimum.value) && (s.maximum == nil || n <= s.maximum.value)
}

func (s *Shape) chooses(v reflect.Value) bool { return s.enum == nil || s.chosen(v) }

func (s *Shape) readInteger(r *wire.Reader, v reflect.Value) bool {
	n := r.Int()
	if r.Failed() {
		return false
	}
	if v.CanUint() {
		if n < 0 || v.OverflowUint(uint64(n)) {
			return false
		}
		v.SetUint(uint64(n))
	} else {
		if v.OverflowInt(n) {
			return false
		}
		v.SetInt(n)
	}
	return s.within(float64(n)) && s.chooses(v)
}

func (s *Shape) readArray(r *wire.Reader, v reflect.Value) bool {
	if !r.Open('[') {
		return false
	}
	v.Set(reflect.MakeSlice(s.typ, 0, 0))
	n := 0
	for first := true; r.Element(first); first = false {
		if n == v.Cap() {
			v.Grow(1)
		}
		n++
		v.SetLen(n)
		if !s.elem.read(r, v.Index(n-1)) {
			return false
		}
	}
	return !r.Failed() && (s.minItems == nil || n >= *s.minItems) && (s.maxItems == nil || n <= *s.maxItems)
}

func (s *Shape) readMapping(r *wire.Reader, v reflect.Value) bool {
	if !r.Open('{') {
		return false
	}
	v.Set(reflect.MakeMap(s.typ))
	for first := true; ; first = false {
		name, ok := r.Member(first)
		if !ok {
			return !r.Failed()
		}
		value := reflect.New(s.elem.typ).Elem()
		if !s.elem.read(r, value) {
			return false
		}
		v.SetMapIndex(reflect.ValueOf(string(name)).Convert(s.typ.Key()), value)
	}
}

func (s *Shape) readObject(r *wire.Reader, v reflect.Value) bool {
	if !r.Open('{') || len(s.fields) > 64 {
		return false
	}
	var given uint64 // a bit for each field
	next := 0        // most often they are in order
	for first := true; ; first = false {
		name, ok := r.Member(first)
		if !ok {
			break
		}
		if next >= len(s.fields) || s.fields[next].name != string(name) {
			next = slices.IndexFunc(s.fields, func(f field) bool { return f.name == string(name) })
		}
		if next < 0 || given&(1<<next) != 0 {
			return false
		}
		given |= 1 << next
		if !s.fields[next].read(r, v) {
			return false
		}
		next++
	}
	if r.Failed() {
		return false
	}
	if given == 1<<len(s.fields)-1 {
		return true
	}
	for i := range s.fields {
		f := &s.fields[i]
		if given&(1<<i) != 0 {
			continue
		}
		value, ok := f.absent()
		if !ok {
			return false
		}
		if value == nil {
			continue
		}
		def := wire.NewReader(value)
		if !f.read(&def, v) {
			return false
		}
	}
	return true
}

func (f *field) read(r *wire.Reader, v reflect.Value) bool {
	to := v.FieldByIndex(f.index)
	if f.pointer {
		to.Set(reflect.New(f.shape.typ))
		to = to.Elem()
	}
	return f.shape.read(r, to)
}
