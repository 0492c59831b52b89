package plugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
)

// A finder looks for the innermost place of arguments at which their schema
// refuses them. The validator judges: it is asked about each part by itself,
// and its own text says what is wrong wherever the finder has no better word.
type finder struct {
	*schema
	parts map[*jsonschema.Schema]*jsonschema.Resolved
}

// refuses returns the validator's error about v by the subschema s.
func (f *finder) refuses(s *jsonschema.Schema, v any) error {
	part := f.parts[s]
	if part == nil {
		// The part stands alone, with the definitions it may refer to.
		alone, root := s.CloneSchemas(), f.root.CloneSchemas()
		alone.Defs, alone.Definitions, alone.Schema = root.Defs, root.Definitions, root.Schema
		var err error
		if part, err = alone.Resolve(nil); err != nil {
			return nil // it resolved as a part of the whole; no finer place then
		}
		if f.parts == nil {
			f.parts = map[*jsonschema.Schema]*jsonschema.Resolved{}
		}
		f.parts[s] = part
	}
	return part.Validate(v)
}

// fault returns the JSON pointer of the innermost fault in v, which stands at
// the pointer at and is refused by s with err, and what is wrong there.
func (f *finder) fault(s *jsonschema.Schema, v any, at string, err error) (string, string) {
	// The same value, seen by another schema.
	same := slices.Clone(s.AllOf)
	if s.Ref != "" {
		if target, err := resolve(f.root, s.Ref); err == nil {
			same = append(same, target)
		}
	}
	for _, branches := range [][]*jsonschema.Schema{s.AnyOf, s.OneOf} {
		if fit := slices.DeleteFunc(slices.Clone(branches), func(b *jsonschema.Schema) bool { return !takes(b, v) }); len(fit) == 1 {
			same = append(same, fit[0])
		}
	}
	for _, sub := range same {
		if err := f.refuses(sub, v); err != nil {
			return f.fault(sub, v, at, err)
		}
	}
	if !takes(s, v) {
		return at, fmt.Sprintf("is %s, and must be %s", article(typeOf(v)), oneOf(typesOf(s)))
	}
	switch v := v.(type) {
	case map[string]any:
		if at, what, ok := f.inObject(s, v, at); ok {
			return at, what
		}
	case []any:
		if at, what, ok := f.inList(s, v, at); ok {
			return at, what
		}
	}
	return at, here(s, v, err)
}

func (f *finder) inObject(s *jsonschema.Schema, v map[string]any, at string) (string, string, bool) {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return at + "/" + escape(name), "is required", true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		var subs []*jsonschema.Schema
		if sub := s.Properties[name]; sub != nil {
			subs = append(subs, sub)
		}
		for _, pattern := range slices.Sorted(maps.Keys(s.PatternProperties)) {
			if re, err := regexp.Compile(pattern); err == nil && re.MatchString(name) {
				subs = append(subs, s.PatternProperties[pattern])
			}
		}
		if len(subs) == 0 && s.AdditionalProperties != nil {
			if isFalse(s.AdditionalProperties) {
				known := slices.Sorted(maps.Keys(s.Properties))
				if len(known) == 0 {
					return at + "/" + escape(name), "is unknown: nothing is taken here", true
				}
				return at + "/" + escape(name), "is unknown: what is taken here is " + clip(strings.Join(known, ", ")), true
			}
			subs = append(subs, s.AdditionalProperties)
		}
		for _, sub := range subs {
			if err := f.refuses(sub, v[name]); err != nil {
				at, what := f.fault(sub, v[name], at+"/"+escape(name), err)
				return at, what, true
			}
		}
	}
	return "", "", false
}

func (f *finder) inList(s *jsonschema.Schema, v []any, at string) (string, string, bool) {
	first, rest := s.PrefixItems, s.Items
	if s.ItemsArray != nil {
		first, rest = s.ItemsArray, s.AdditionalItems
	}
	for i, item := range v {
		sub := rest
		if i < len(first) {
			sub = first[i]
		}
		if sub == nil {
			continue
		}
		if err := f.refuses(sub, item); err != nil {
			at, what := f.fault(sub, item, at+"/"+strconv.Itoa(i), err)
			return at, what, true
		}
	}
	return "", "", false
}

// here says what is wrong with v itself, which s refuses with err.
func here(s *jsonschema.Schema, v any, err error) string {
	text := err.Error()
	for strings.HasPrefix(text, "validating ") {
		_, text, _ = strings.Cut(text, ": ")
	}
	keyword, _, _ := strings.Cut(text, ":")
	bound := ""
	switch v := v.(type) {
	case string:
		bound = size(utf8.RuneCountInString(v), "characters", s.MinLength, s.MaxLength)
	case []any:
		bound = size(len(v), "items", s.MinItems, s.MaxItems)
	case map[string]any:
		bound = size(len(v), "fields", s.MinProperties, s.MaxProperties)
	}
	switch {
	case keyword == "enum":
		return fmt.Sprintf("is %s: use one of %s", value(v), values(s.Enum))
	case keyword == "const":
		return fmt.Sprintf("is %s: use %s", value(v), value(*s.Const))
	case keyword == "minimum":
		return fmt.Sprintf("is %s: use %s or more", value(v), value(*s.Minimum))
	case keyword == "maximum":
		return fmt.Sprintf("is %s: use %s or less", value(v), value(*s.Maximum))
	case keyword == "exclusiveMinimum":
		return fmt.Sprintf("is %s: use more than %s", value(v), value(*s.ExclusiveMinimum))
	case keyword == "exclusiveMaximum":
		return fmt.Sprintf("is %s: use less than %s", value(v), value(*s.ExclusiveMaximum))
	case keyword == "multipleOf":
		return fmt.Sprintf("is %s: use a multiple of %s", value(v), value(*s.MultipleOf))
	case keyword == "pattern":
		return fmt.Sprintf("is %s, which doesn't match %s", value(v), clip(s.Pattern))
	case keyword == "uniqueItems":
		return "has the same item twice"
	case bound != "":
		return bound
	}
	return "is refused: " + clip(text)
}

func size(n int, of string, least, most *int) string {
	switch {
	case least != nil && n < *least:
		return fmt.Sprintf("has %d %s: use %d or more", n, of, *least)
	case most != nil && n > *most:
		return fmt.Sprintf("has %d %s: use %d or fewer", n, of, *most)
	}
	return ""
}

// isFalse says whether s is the schema false, which takes nothing.
func isFalse(s *jsonschema.Schema) bool {
	return s.Not != nil && reflect.ValueOf(*s.Not).IsZero()
}

func typesOf(s *jsonschema.Schema) []string {
	if s.Type != "" {
		return []string{s.Type}
	}
	return s.Types
}

// takes says whether the type that s demands, if any, is v's.
func takes(s *jsonschema.Schema, v any) bool {
	types, t := typesOf(s), typeOf(v)
	return len(types) == 0 || slices.Contains(types, t) || t == "integer" && slices.Contains(types, "number")
}

// typeOf names the JSON type of a decoded value.
func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// article writes a type's name as a noun.
func article(t string) string {
	switch t {
	case "null":
		return t
	case "integer", "array", "object":
		return "an " + t
	}
	return "a " + t
}

func oneOf(types []string) string {
	nouns := make([]string, len(types))
	for i, t := range types {
		nouns[i] = article(t)
	}
	return clip(strings.Join(nouns, " or "))
}

// value writes a JSON value, shortened.
func value(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return clip(string(b))
}

func values(list []any) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = value(v)
	}
	return clip(strings.Join(out, ", "))
}

// clip shortens text that a plugin or an agent chose.
func clip(s string) string {
	const most = 200
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// escape writes a key as a token of a JSON pointer.
func escape(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
