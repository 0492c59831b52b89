package schema

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/sdk/internal/wire"
)

// Append appends v, a value of the shape's type, as encoding/json writes it with
// <, > and & left readable. It is false where that is encoding/json's to do:
// there is a type that writes itself, or what JSON has no words for.
func (s *Shape) Append(dst []byte, v reflect.Value) ([]byte, bool) {
	if s.foreign {
		return nil, false
	}
	switch s.kind {
	case kindString:
		return wire.AppendString(dst, v.String()), true
	case kindBool:
		return strconv.AppendBool(dst, v.Bool()), true
	case kindInteger:
		if v.CanUint() {
			return strconv.AppendUint(dst, v.Uint(), 10), true
		}
		return strconv.AppendInt(dst, v.Int(), 10), true
	case kindNumber:
		return appendFloat(dst, v.Float(), v.Type().Bits())
	case kindArray:
		return s.appendArray(dst, v)
	case kindMapping:
		return s.appendMapping(dst, v)
	case kindObject:
		return s.appendObject(dst, v)
	}
	return nil, false
}

// appendFloat writes what JavaScript would.
func appendFloat(dst []byte, f float64, bits int) ([]byte, bool) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, false
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (bits == 64 && (a < 1e-6 || a >= 1e21) || bits == 32 && (float32(a) < 1e-6 || float32(a) >= 1e21)) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if n := len(dst); format == 'e' && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst = append(dst[:n-2], dst[n-1]) // e-09 is e-9
	}
	return dst, true
}

func (s *Shape) appendArray(dst []byte, v reflect.Value) ([]byte, bool) {
	if v.IsNil() {
		return append(dst, "null"...), true
	}
	ok := true
	dst = append(dst, '[')
	for i := range v.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, ok = s.elem.Append(dst, v.Index(i)); !ok {
			return nil, false
		}
	}
	return append(dst, ']'), true
}

func (s *Shape) appendMapping(dst []byte, v reflect.Value) ([]byte, bool) {
	if v.IsNil() {
		return append(dst, "null"...), true
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
	ok := true
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(wire.AppendString(dst, key.String()), ':')
		if dst, ok = s.elem.Append(dst, v.MapIndex(key)); !ok {
			return nil, false
		}
	}
	return append(dst, '}'), true
}

func (s *Shape) appendObject(dst []byte, v reflect.Value) ([]byte, bool) {
	dst = append(dst, '{')
	start := len(dst)
	for i := range s.fields {
		f := &s.fields[i]
		if f.shape.foreign {
			return nil, false
		}
		value := v.FieldByIndex(f.index)
		if f.omitEmpty && empty(value) || f.omitZero && value.IsZero() {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, f.label...)
		if f.pointer {
			if value.IsNil() {
				dst = append(dst, "null"...)
				continue
			}
			value = value.Elem()
		}
		ok := true
		if dst, ok = f.shape.Append(dst, value); !ok {
			return nil, false
		}
	}
	return append(dst, '}'), true
}

// empty is what omitempty leaves out.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// writable says whether a field's name is written as it is.
func writable(name string) bool {
	return strings.Trim(name, "_-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == ""
}

// writesItself says whether encoding/json may find that values of t, or fields
// that hold some, have a method that writes them.
func writesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(typeJSONMarshaler) || p.Implements(typeTextMarshaler)
}
