package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
)

// Decode reads raw into v, which has the shape's type and is settable. Absent
// fields get their defaults. It fails with an *abi.Error invalid_argument whose
// Field is the JSON pointer of what is wrong: an unknown or a lacking name, a
// wrong type, a value outside its bounds. Names are matched exactly, and null
// is no value. Raw of null or of no bytes is the empty object.
func (s *Shape) Decode(raw json.RawMessage, v reflect.Value) error {
	if s.Read(raw, v) {
		return nil
	}
	v.SetZero()
	return s.Explain(raw, v)
}

// Explain is Decode without its short cut: it takes its time, and says what is
// wrong.
func (s *Shape) Explain(raw json.RawMessage, v reflect.Value) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		raw = json.RawMessage("{}")
	}
	if raw[0] != '{' || !json.Valid(raw) {
		return fault("", "are not a JSON object")
	}
	return s.decode(raw, v, "")
}

func (s *Shape) decode(raw json.RawMessage, v reflect.Value, at string) error {
	if s.kind == kindAny {
		if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
			return fault(at, "can't be read: %v", err)
		}
		return nil
	}
	if got := typeOf(raw); !s.takes(got) {
		return fault(at, "is %s, not %s", got, article(kindTypes[s.kind]))
	}
	var err error
	switch s.kind {
	case kindString, kindText:
		err = s.decodeString(raw, v, at)
	case kindBool:
		v.SetBool(raw[0] == 't')
	case kindInteger:
		err = s.decodeInteger(raw, v, at)
	case kindNumber:
		err = s.decodeNumber(raw, v, at)
	case kindArray:
		err = s.decodeArray(raw, v, at)
	case kindMapping:
		err = s.decodeMapping(raw, v, at)
	case kindObject:
		err = s.decodeObject(raw, v, at)
	}
	if err != nil {
		return err
	}
	return s.checkEnum(raw, v, at)
}

func (s *Shape) decodeString(raw json.RawMessage, v reflect.Value, at string) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fault(at, "is not a string: %v", err)
	}
	if s.kind == kindText {
		if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
			return fault(at, "is %s: %v", clip(raw), err)
		}
		return nil
	}
	n := utf8.RuneCountInString(text)
	if s.minLength != nil && n < *s.minLength {
		return fault(at, "has %d characters, fewer than %d", n, *s.minLength)
	}
	if s.maxLen != nil && n > *s.maxLen {
		return fault(at, "has %d characters, more than %d", n, *s.maxLen)
	}
	v.SetString(text)
	return nil
}

// decodeInteger takes 5 and 5.0 alike, as JSON Schema does.
func (s *Shape) decodeInteger(raw json.RawMessage, v reflect.Value, at string) error {
	text := string(raw)
	if f, err := strconv.ParseFloat(text, 64); strings.ContainsAny(text, ".eE") && err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		text = strconv.FormatInt(int64(f), 10)
	}
	if v.CanUint() {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || v.OverflowUint(n) {
			return fault(at, "is %s, not an integer of 0 to %d", clip(raw), uint64(math.MaxUint64)>>(64-v.Type().Bits()))
		}
		v.SetUint(n)
		return s.checkBounds(raw, float64(n), at)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v.OverflowInt(n) {
		return fault(at, "is %s, not an integer of %d bits", clip(raw), v.Type().Bits())
	}
	v.SetInt(n)
	return s.checkBounds(raw, float64(n), at)
}

func (s *Shape) decodeNumber(raw json.RawMessage, v reflect.Value, at string) error {
	n, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || v.OverflowFloat(n) {
		return fault(at, "is %s, which is too large", clip(raw))
	}
	v.SetFloat(n)
	return s.checkBounds(raw, n, at)
}

func (s *Shape) checkBounds(raw json.RawMessage, n float64, at string) error {
	if s.minimum != nil && n < s.minimum.value {
		return fault(at, "is %s, less than the minimum %s", clip(raw), s.minimum.text)
	}
	if s.maximum != nil && n > s.maximum.value {
		return fault(at, "is %s, more than the maximum %s", clip(raw), s.maximum.text)
	}
	return nil
}

func (s *Shape) decodeArray(raw json.RawMessage, v reflect.Value, at string) error {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return fault(at, "is not an array: %v", err)
	}
	if s.minItems != nil && len(items) < *s.minItems {
		return fault(at, "has %d elements, fewer than %d", len(items), *s.minItems)
	}
	if s.maxItems != nil && len(items) > *s.maxItems {
		return fault(at, "has %d elements, more than %d", len(items), *s.maxItems)
	}
	list := reflect.MakeSlice(s.typ, len(items), len(items))
	for i, item := range items {
		if err := s.elem.decode(item, list.Index(i), at+"/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func (s *Shape) decodeMapping(raw json.RawMessage, v reflect.Value, at string) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return fault(at, "is not an object: %v", err)
	}
	m := reflect.MakeMapWithSize(s.typ, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value := reflect.New(s.elem.typ).Elem()
		if err := s.elem.decode(members[name], value, pointer(at, name)); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(name).Convert(s.typ.Key()), value)
	}
	v.Set(m)
	return nil
}

func (s *Shape) decodeObject(raw json.RawMessage, v reflect.Value, at string) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return fault(at, "is not an object: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.ContainsFunc(s.fields, func(f field) bool { return f.name == name }) {
			return fault(pointer(at, name), "is unknown").WithHint("%s", s.names())
		}
	}
	for _, f := range s.fields {
		value, ok := members[f.name]
		if !ok {
			if value, ok = f.absent(); !ok {
				return fault(pointer(at, f.name), "is required").WithHint("%s", s.names())
			}
			if value == nil {
				continue
			}
		}
		to := v.FieldByIndex(f.index)
		if f.pointer {
			to.Set(reflect.New(f.shape.typ))
			to = to.Elem()
		}
		if err := f.shape.decode(value, to, pointer(at, f.name)); err != nil {
			return err
		}
	}
	return nil
}

// absent returns what is read for a field that isn't given: nil where it stays
// as it is. It is false where the field has to be given.
func (f *field) absent() (json.RawMessage, bool) {
	switch {
	case f.shape.def != nil:
		return f.shape.def, true
	case f.required:
		return nil, false
	case f.pointer || f.shape.kind != kindObject || !f.shape.optional():
		return nil, true
	}
	return json.RawMessage("{}"), true // for the defaults inside
}

// optional says whether the object may be empty.
func (s *Shape) optional() bool {
	return !slices.ContainsFunc(s.fields, func(f field) bool { return f.required })
}

func (s *Shape) names() string {
	if len(s.fields) == 0 {
		return "it takes none"
	}
	list := make([]string, len(s.fields))
	for i, f := range s.fields {
		list[i] = f.name
		if f.required {
			list[i] += " (required)"
		}
	}
	return "it takes " + strings.Join(list, ", ")
}

func (s *Shape) checkEnum(raw json.RawMessage, v reflect.Value, at string) error {
	if s.enum == nil {
		return nil
	}
	if s.chosen(v) {
		return nil
	}
	choices := make([]string, len(s.enum))
	for i, choice := range s.enum {
		choices[i] = string(choice)
	}
	return fault(at, "is %s, not one of %s", clip(raw), strings.Join(choices, ", "))
}

// chosen says whether v is one of the enum's values.
func (s *Shape) chosen(v reflect.Value) bool { return slices.ContainsFunc(s.choices, v.Equal) }

// takes says whether a value of the JSON type got can be read.
func (s *Shape) takes(got string) bool {
	want := kindTypes[s.kind]
	return got == want || got == "number" && want == "integer"
}

func typeOf(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	case '[':
		return "array"
	case '{':
		return "object"
	}
	return "number"
}

func article(typ string) string {
	if strings.ContainsAny(typ[:1], "aio") {
		return "an " + typ
	}
	return "a " + typ
}

// fault makes the error for what stands at a JSON pointer.
func fault(at, format string, args ...any) *abi.Error {
	name := "argument " + at
	if at == "" {
		name = "the arguments"
	}
	e := abi.Errorf(abi.CodeInvalidArgument, "%s %s", name, fmt.Sprintf(format, args...))
	e.Field = at
	return e
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func pointer(at, name string) string { return at + "/" + pointerEscapes.Replace(name) }

// clip bounds a value that an error quotes.
func clip(raw json.RawMessage) string {
	const most = 60
	if text := []rune(string(raw)); len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(raw)
}
