package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A bound is a number as the tag wrote it, so that the schema says the same.
type bound struct {
	text  string
	value float64
}

// tags reads a field's tags into s. Bounds on a slice or a map are bounds on
// its elements, save minItems and maxItems.
func (s *Shape) tags(tag reflect.StructTag) error {
	s.doc = tag.Get("doc")
	value := s
	for value.elem != nil {
		value = value.elem
	}
	if text, ok := tag.Lookup("enum"); ok {
		if err := value.setEnum(text); err != nil {
			return err
		}
	}
	numeric := value.kind == kindInteger || value.kind == kindNumber
	for name, to := range map[string]**bound{"minimum": &value.minimum, "maximum": &value.maximum} {
		text, ok := tag.Lookup(name)
		if !ok {
			continue
		}
		if !numeric {
			return fmt.Errorf("%s is for numbers", name)
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !json.Valid([]byte(text)) {
			return fmt.Errorf("%s is %q, which is not a number", name, text)
		}
		*to = &bound{text: text, value: n}
	}
	if value.minimum != nil && value.maximum != nil && value.minimum.value > value.maximum.value {
		return fmt.Errorf("minimum %s is over maximum %s", value.minimum.text, value.maximum.text)
	}
	counts := []struct {
		name string
		to   **int
		ok   bool
		what string
	}{
		{"minLength", &value.minLength, value.kind == kindString, "strings"},
		{"maxLength", &value.maxLen, value.kind == kindString, "strings"},
		{"minItems", &s.minItems, s.kind == kindArray, "slices"},
		{"maxItems", &s.maxItems, s.kind == kindArray, "slices"},
	}
	for _, c := range counts {
		text, ok := tag.Lookup(c.name)
		if !ok {
			continue
		}
		if !c.ok {
			return fmt.Errorf("%s is for %s", c.name, c.what)
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return fmt.Errorf("%s is %q, which is not a count", c.name, text)
		}
		*c.to = &n
	}
	if over(value.minLength, value.maxLen) || over(s.minItems, s.maxItems) {
		return fmt.Errorf("the least length is over the greatest")
	}
	if text, ok := tag.Lookup("default"); ok {
		return s.setDefault(text)
	}
	return nil
}

func over(least, greatest *int) bool {
	return least != nil && greatest != nil && *least > *greatest
}

func (s *Shape) setEnum(text string) error {
	if s.kind != kindString && s.kind != kindInteger && s.kind != kindNumber {
		return fmt.Errorf("enum is for strings and numbers")
	}
	for choice := range strings.SplitSeq(text, ",") {
		raw, err := s.literal(choice)
		if err != nil {
			return fmt.Errorf("enum: %w", err)
		}
		value := reflect.New(s.typ)
		if err := json.Unmarshal(raw, value.Interface()); err != nil {
			return fmt.Errorf("enum: %s doesn't fit %v", raw, s.typ)
		}
		s.enum, s.choices = append(s.enum, raw), append(s.choices, value.Elem())
	}
	return nil
}

// setDefault takes the tag's text: a string as it is, everything else as JSON.
// The default has to satisfy the field's own bounds.
func (s *Shape) setDefault(text string) error {
	raw, err := s.literal(text)
	if err != nil {
		return fmt.Errorf("default: %w", err)
	}
	if err := s.decode(raw, reflect.New(s.typ).Elem(), ""); err != nil {
		return fmt.Errorf("default %s doesn't fit the field: %w", text, err)
	}
	s.def = raw
	return nil
}

func (s *Shape) literal(text string) (json.RawMessage, error) {
	if s.kind == kindString || s.kind == kindText {
		return encode(text), nil
	}
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("%q is not JSON", text)
	}
	return json.RawMessage(text), nil
}
