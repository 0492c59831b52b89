package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A Shape is the schema of a type, and of one place where the type is used:
// bounds and documentation come from the field's tags.
type Shape struct {
	kind     kind
	typ      reflect.Type
	doc      string
	format   string
	nullable bool // outputs only: the value may be null
	foreign  bool // outputs only: it isn't Append's to write

	fields []field // object
	elem   *Shape  // array, mapping

	enum               []json.RawMessage
	choices            []reflect.Value // the same, read
	minimum, maximum   *bound
	minLength, maxLen  *int
	minItems, maxItems *int
	def                json.RawMessage
}

// A field is a property of an object. Its index leads to it through embedded
// structs.
type field struct {
	name     string
	index    []int
	pointer  bool
	required bool
	shape    *Shape

	label               []byte // outputs only: the name, as it is written
	omitEmpty, omitZero bool
}

type kind int

const (
	kindAny  kind = iota // any JSON: json.RawMessage, any, a json.Unmarshaler
	kindText             // a string read by encoding.TextUnmarshaler
	kindString
	kindBool
	kindInteger
	kindNumber
	kindArray
	kindMapping // map[string]T
	kindObject
)

var kindTypes = map[kind]string{
	kindText: "string", kindString: "string", kindBool: "boolean", kindInteger: "integer",
	kindNumber: "number", kindArray: "array", kindMapping: "object", kindObject: "object",
}

var (
	typeTime            = reflect.TypeFor[time.Time]()
	typeDuration        = reflect.TypeFor[time.Duration]()
	typeRaw             = reflect.TypeFor[json.RawMessage]()
	typeAny             = reflect.TypeFor[any]()
	typeJSONUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	typeTextUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	typeJSONMarshaler   = reflect.TypeFor[json.Marshaler]()
	typeTextMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	typeZeroer          = reflect.TypeFor[interface{ IsZero() bool }]()
)

// Input returns the shape of a tool's arguments: a struct, a map with string
// keys, or json.RawMessage for any object. It fails on a type that JSON or an
// agent can't fill, naming the field.
func Input(t reflect.Type) (*Shape, error) { return (&deriver{}).root(t) }

// Output returns the shape of a tool's structured result, of the same types as
// Input takes. It describes what encoding/json writes.
func Output(t reflect.Type) (*Shape, error) { return (&deriver{output: true}).root(t) }

type deriver struct {
	output bool
	within []reflect.Type // the structs around, outermost first
}

func (d *deriver) root(t reflect.Type) (*Shape, error) {
	if t == typeRaw {
		return &Shape{kind: kindAny, typ: t}, nil
	}
	if t.Kind() != reflect.Struct && t.Kind() != reflect.Map {
		return nil, fmt.Errorf("%v is not a struct: arguments and results are JSON objects", t)
	}
	s, err := d.derive(t, t.String())
	if err != nil {
		return nil, err
	}
	if s.kind != kindObject && s.kind != kindMapping {
		return nil, fmt.Errorf("%v is not read or written as a JSON object", t)
	}
	s.nullable = false
	return s, nil
}

// derive returns the shape of t; at names the place for errors.
func (d *deriver) derive(t reflect.Type, at string) (*Shape, error) {
	s := &Shape{typ: t, foreign: d.output && writesItself(t)}
	switch {
	case t == typeTime:
		s.kind, s.format = kindText, "date-time"
		return s, nil
	case t == typeDuration:
		return nil, fmt.Errorf("%s is a time.Duration, which JSON gives in nanoseconds: use a number of seconds", at)
	case t == typeRaw || t == typeAny:
		return s, nil
	case d.implements(t, typeJSONUnmarshaler, typeJSONMarshaler):
		return s, nil
	case d.implements(t, typeTextUnmarshaler, typeTextMarshaler):
		s.kind = kindText
		return s, nil
	}
	switch t.Kind() {
	case reflect.String:
		s.kind = kindString
	case reflect.Bool:
		s.kind = kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.kind = kindInteger
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.kind, s.minimum = kindInteger, &bound{text: "0"}
	case reflect.Float32, reflect.Float64:
		s.kind = kindNumber
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return nil, fmt.Errorf("%s is bytes, which JSON can't carry well: use the path of a file in the workspace", at)
		}
		s.kind, s.nullable = kindArray, d.output
		var err error
		if s.elem, err = d.derive(t.Elem(), at+"[]"); err != nil {
			return nil, err
		}
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("%s is a map with keys of %v: JSON has strings alone", at, t.Key())
		}
		s.kind, s.nullable = kindMapping, d.output
		var err error
		if s.elem, err = d.derive(t.Elem(), at+"[]"); err != nil {
			return nil, err
		}
	case reflect.Struct:
		s.kind = kindObject
		if slices.Contains(d.within, t) {
			return nil, fmt.Errorf("%s is of type %v again: a schema can't be recursive", at, t)
		}
		d.within = append(d.within, t)
		err := d.structFields(s, t, nil, at)
		d.within = d.within[:len(d.within)-1]
		if err != nil {
			return nil, err
		}
	case reflect.Pointer:
		return nil, fmt.Errorf("%s is a pointer: only a field may be one", at)
	default:
		return nil, fmt.Errorf("%s is of type %v, which JSON doesn't have", at, t)
	}
	return s, nil
}

func (d *deriver) implements(t reflect.Type, in, out reflect.Type) bool {
	if d.output {
		return t.Implements(out)
	}
	return reflect.PointerTo(t).Implements(in)
}

// structFields adds the fields of t to s, those of embedded structs as if they
// were t's own.
func (d *deriver) structFields(s *Shape, t reflect.Type, index []int, at string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		place := at + "." + f.Name
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if f.Anonymous && name == "" && tag != "-" {
			if f.Type.Kind() != reflect.Struct {
				return fmt.Errorf("%s is embedded and not a struct: give it a name", place)
			}
			if slices.Contains(d.within, f.Type) {
				return fmt.Errorf("%s is of type %v again: a schema can't be recursive", place, f.Type)
			}
			d.within = append(d.within, f.Type)
			err := d.structFields(s, f.Type, append(slices.Clone(index), i), place)
			d.within = d.within[:len(d.within)-1]
			if err != nil {
				return err
			}
			continue
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fl := field{name: name, index: append(slices.Clone(index), i)}
		if slices.ContainsFunc(s.fields, func(g field) bool { return g.name == name }) {
			return fmt.Errorf("%s has the name %q, which another field has", place, name)
		}
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "omitempty":
				fl.omitEmpty = true
			case "omitzero":
				fl.omitZero = true
			case "string":
				return fmt.Errorf("%s: the json option string isn't supported", place)
			}
		}
		typ := f.Type
		if typ.Kind() == reflect.Pointer {
			fl.pointer, typ = true, typ.Elem()
		}
		var err error
		if fl.shape, err = d.derive(typ, place); err != nil {
			return err
		}
		if err := fl.shape.tags(f.Tag); err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
		optional := fl.omitEmpty || fl.omitZero
		if d.output {
			fl.label = append(encode(name), ':')
			fl.shape.foreign = fl.shape.foreign || !writable(name) || fl.omitZero && reflect.PointerTo(typ).Implements(typeZeroer)
			fl.required = !optional
			fl.shape.nullable = (fl.shape.nullable || fl.pointer) && !optional
		} else {
			fl.required = !optional && !fl.pointer && fl.shape.def == nil
		}
		s.fields = append(s.fields, fl)
	}
	return nil
}
