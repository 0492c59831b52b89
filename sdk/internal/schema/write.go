package schema

import (
	"bytes"
	"encoding/json"
)

// JSON returns the JSON Schema. Properties are in the order of the fields, and
// the same type always gives the same bytes.
func (s *Shape) JSON() json.RawMessage {
	if s.typ == typeRaw {
		return json.RawMessage(`{"type":"object"}`)
	}
	return s.write()
}

func (s *Shape) write() json.RawMessage {
	var o object
	if name := kindTypes[s.kind]; name != "" && s.nullable {
		o.add("type", []string{name, "null"})
	} else if name != "" {
		o.add("type", name)
	}
	if s.doc != "" {
		o.add("description", s.doc)
	}
	if s.format != "" {
		o.add("format", s.format)
	}
	if s.enum != nil {
		o.add("enum", s.enum)
	}
	if s.minimum != nil {
		o.add("minimum", json.RawMessage(s.minimum.text))
	}
	if s.maximum != nil {
		o.add("maximum", json.RawMessage(s.maximum.text))
	}
	o.count("minLength", s.minLength)
	o.count("maxLength", s.maxLen)
	o.count("minItems", s.minItems)
	o.count("maxItems", s.maxItems)
	switch s.kind {
	case kindArray:
		o.add("items", s.elem.write())
	case kindMapping:
		o.add("additionalProperties", s.elem.write())
	case kindObject:
		var properties object
		required := []string{}
		for _, f := range s.fields {
			properties.add(f.name, f.shape.write())
			if f.required {
				required = append(required, f.name)
			}
		}
		o.add("properties", properties.bytes())
		if len(required) > 0 {
			o.add("required", required)
		}
		o.add("additionalProperties", false)
	}
	if s.def != nil {
		o.add("default", s.def)
	}
	return o.bytes()
}

// An object is a JSON object that keeps the order of its members.
type object struct{ buf bytes.Buffer }

func (o *object) add(key string, value any) {
	if o.buf.Len() > 0 {
		o.buf.WriteByte(',')
	}
	o.buf.Write(encode(key))
	o.buf.WriteByte(':')
	o.buf.Write(encode(value))
}

func (o *object) count(key string, n *int) {
	if n != nil {
		o.add(key, *n)
	}
}

func (o *object) bytes() json.RawMessage {
	return json.RawMessage("{" + o.buf.String() + "}")
}

// encode marshals strings, numbers, booleans and JSON, which can't fail, and
// leaves <, > and & readable.
func encode(v any) json.RawMessage {
	if raw, ok := v.(json.RawMessage); ok {
		return raw
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("schema: " + err.Error()) // unreachable for the values above
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
