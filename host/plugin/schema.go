package plugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/sallyport-dev/sallyport/abi"
)

// Bounds of what checking arguments may cost, since a schema is the plugin's
// and arguments are the agent's: how many subschemas a schema has with its
// references written out, and that number times the arguments' bytes.
const (
	maxSubschemas = 4096
	maxWork       = 1 << 28
)

// A schema holds one tool's arguments against its input schema.
type schema struct {
	tool     string // the full name
	root     *jsonschema.Schema
	resolved *jsonschema.Resolved
	size     int // subschemas, references written out
}

// schemasOf resolves the tools' schemas, once. It refuses what would need the
// network to resolve, and what could make checking a call endless.
func schemasOf(plugin string, tools []abi.Tool) (map[string]*schema, error) {
	out := make(map[string]*schema, len(tools))
	for _, t := range tools {
		s, err := newSchema(t.InputSchema)
		if err != nil {
			return nil, invalid("manifest: tool %q: inputSchema: %v", t.Name, err)
		}
		s.tool = abi.FullName(plugin, t.Name)
		out[t.Name] = s
		if len(t.OutputSchema) > 0 {
			if _, err := newSchema(t.OutputSchema); err != nil {
				return nil, invalid("manifest: tool %q: outputSchema: %v", t.Name, err)
			}
		}
	}
	return out, nil
}

func newSchema(raw json.RawMessage) (*schema, error) {
	s := &schema{root: &jsonschema.Schema{}}
	if err := json.Unmarshal(raw, s.root); err != nil {
		return nil, fmt.Errorf("%s", jsonMessage(err))
	}
	m := measure{root: s.root, sizes: map[*jsonschema.Schema]int{}}
	var err error
	if s.size, err = m.size(s.root); err != nil {
		return nil, err
	}
	if s.resolved, err = s.root.Resolve(nil); err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "jsonschema: "))
	}
	return s, nil
}

// A measure counts what a schema comes to.
type measure struct {
	root  *jsonschema.Schema
	sizes map[*jsonschema.Schema]int // zero while it is being counted
}

func (m *measure) size(s *jsonschema.Schema) (int, error) {
	if s == nil {
		return 0, fmt.Errorf("null stands where a schema belongs")
	}
	if n, met := m.sizes[s]; met {
		if n == 0 {
			return 0, fmt.Errorf("it refers to itself, and a schema of arguments may not be recursive")
		}
		return n, nil
	}
	m.sizes[s] = 0
	if err := m.supported(s); err != nil {
		return 0, err
	}
	parts := slices.Collect(maps.Values(children(s)))
	if s.Ref != "" {
		target, err := resolve(m.root, s.Ref)
		if err != nil {
			return 0, err
		}
		parts = append(parts, target)
	}
	total := 1
	for _, part := range parts {
		n, err := m.size(part)
		if err != nil {
			return 0, err
		}
		if total += n; total > maxSubschemas {
			return 0, fmt.Errorf("it comes to more than %d subschemas", maxSubschemas)
		}
	}
	m.sizes[s] = total
	return total, nil
}

func (m *measure) supported(s *jsonschema.Schema) error {
	switch {
	case s.DynamicRef != "" || s.DynamicAnchor != "" || s.Anchor != "":
		return fmt.Errorf("anchors and dynamic references aren't supported")
	case s.ID != "" && s != m.root:
		return fmt.Errorf("$id is supported at the root alone")
	}
	switch s.Schema {
	case "", "https://json-schema.org/draft/2020-12/schema",
		"http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft-07/schema#":
		return nil // those that the validator takes
	}
	return fmt.Errorf("$schema is %q: use draft 2020-12 or draft-07", clip(s.Schema))
}

// resolve returns what a reference within the schema names.
func resolve(root *jsonschema.Schema, ref string) (*jsonschema.Schema, error) {
	for prefix, defs := range map[string]map[string]*jsonschema.Schema{"#/$defs/": root.Defs, "#/definitions/": root.Definitions} {
		if name, ok := strings.CutPrefix(ref, prefix); ok && defs[name] != nil && !strings.ContainsAny(name, "/~%") {
			return defs[name], nil
		}
	}
	if strings.HasPrefix(ref, "#") {
		return nil, fmt.Errorf("$ref %q: a reference is to #/$defs/NAME, of a name that is there", clip(ref))
	}
	return nil, fmt.Errorf("$ref %q is outside the schema: nothing is fetched", clip(ref))
}

// children returns the direct subschemas of s by where in it they stand, such
// as /properties/code.
func children(s *jsonschema.Schema) map[string]*jsonschema.Schema {
	out := map[string]*jsonschema.Schema{}
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		name := "/" + v.Type().Field(i).Name
		switch x := v.Field(i).Interface().(type) {
		case *jsonschema.Schema:
			if x != nil {
				out[name] = x
			}
		case []*jsonschema.Schema:
			for j, sub := range x {
				out[fmt.Sprintf("%s/%d", name, j)] = sub
			}
		case map[string]*jsonschema.Schema:
			for key, sub := range x {
				out[name+"/"+key] = sub
			}
		}
	}
	return out
}

// Validate holds a call's arguments against the tool's input schema; empty
// arguments are the empty object. It fails with not_found for an unknown tool,
// and with invalid_argument, and the JSON pointer of the place in Field, for
// arguments that the schema refuses.
func (a *Artifact) Validate(tool string, args json.RawMessage) error {
	s := a.schemas[tool]
	if s == nil {
		return abi.Errorf(abi.CodeNotFound, "plugin %s has no tool %q", a.Manifest.Name, clip(tool)).
			WithHint("its tools are %s", strings.Join(slices.Sorted(maps.Keys(a.schemas)), ", "))
	}
	return s.validate(args)
}

func (s *schema) validate(args json.RawMessage) error {
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	if len(args)*s.size > maxWork {
		return abi.Errorf(abi.CodeResourceExhausted, "the arguments of %s have %d bytes, the bound is %d", s.tool, len(args), maxWork/s.size).
			WithHint("put large data into a file of the workspace, and pass its path")
	}
	var v any
	if err := json.Unmarshal(args, &v); err != nil {
		return invalid("the arguments of %s are %s", s.tool, jsonMessage(err)).WithHint("%s", s.usage())
	}
	err := s.resolved.Validate(v)
	if err == nil {
		return nil
	}
	f := finder{schema: s}
	at, what := f.fault(s.root, v, "", err)
	name := at
	if at == "" {
		name = "what was passed"
	}
	e := invalid("%s: %s %s", s.tool, name, what).WithHint("%s", s.usage())
	e.Field = at
	return e
}

// usage lists a tool's arguments, for the hint of a refusal.
func (s *schema) usage() string {
	args := arguments(s.root)
	if len(args) == 0 {
		return s.tool + " takes no arguments: pass {}"
	}
	return s.tool + " takes " + strings.Join(args, ", ")
}

// arguments lists the properties of a schema in words, the required first.
func arguments(s *jsonschema.Schema) []string {
	names := slices.Sorted(maps.Keys(s.Properties))
	slices.SortStableFunc(names, func(a, b string) int {
		return boolInt(slices.Contains(s.Required, b)) - boolInt(slices.Contains(s.Required, a))
	})
	out := make([]string, len(names))
	for i, name := range names {
		words := []string{}
		if t := typeWords(s.Properties[name]); t != "" {
			words = append(words, t)
		}
		if slices.Contains(s.Required, name) {
			words = append(words, "required")
		}
		out[i] = clip(name)
		if len(words) > 0 {
			out[i] += " (" + strings.Join(words, ", ") + ")"
		}
	}
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// typeWords says what a schema takes: "string", `one of "a", "b"`.
func typeWords(s *jsonschema.Schema) string {
	if len(s.Enum) > 0 {
		return "one of " + values(s.Enum)
	}
	types := s.Types
	if s.Type != "" {
		types = []string{s.Type}
	}
	return clip(strings.Join(types, " or "))
}
