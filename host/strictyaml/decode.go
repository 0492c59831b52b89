package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/sallyport-dev/sallyport/abi"
)

// MaxBytes bounds a file. The parser's time grows with the square of the depth
// of what it reads, so the bound is far above what a person writes and no more.
const MaxBytes = 256 << 10

// maxDepth bounds how deep lists and mappings are nested, maxBrackets how many
// brackets the parser may meet unclosed.
const (
	maxDepth    = 32
	maxBrackets = 1000
)

// Decode reads the one document in data into v, a pointer to a struct whose
// fields are named by their yaml or json tags. Strings, booleans, integers,
// types that read text, lists, string-keyed maps, structs and pointers to them
// can be read. A list, a map or a struct with no value is empty; nothing else
// may lack one. An empty document is the empty struct.
//
// The source says where the values stood. Errors are *abi.Error of code
// invalid_argument whose message starts with line:column.
func Decode(data []byte, v any) (*Source, error) {
	src := &Source{at: map[string]position{"": {1, 1}}}
	if len(data) > MaxBytes {
		return src, src.Errorf("", "the file has %d bytes, the bound is %d", len(data), MaxBytes)
	}
	if line, col, ok := tooDeep(data); ok {
		return src, fail(position{line, col}, "more than %d brackets are open", maxBrackets)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return src, syntax(err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return src, fail(where(doc.Body), "a second document: one is read").WithHint("remove the line --- and what follows")
		}
		body = doc.Body
	}
	if body == nil {
		return src, nil
	}
	d := decoder{src: src}
	return src, d.value(body, reflect.ValueOf(v).Elem(), "")
}

// tooDeep finds the first place where brackets are nested deeper than
// maxBrackets. It looks at bytes alone, so that the parser never meets them;
// those within a quoted string count too.
func tooDeep(data []byte) (line, col int, found bool) {
	depth, line, col := 0, 1, 0
	for _, b := range data {
		col++
		switch b {
		case '\n':
			line, col = line+1, 0
		case '[', '{':
			if depth++; depth > maxBrackets {
				return line, col, true
			}
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	return 0, 0, false
}

// syntax turns the parser's error into ours.
func syntax(err error) error {
	var at yaml.Error
	if !errors.As(err, &at) {
		return abi.Errorf(abi.CodeInvalidArgument, "1:1: %v", err)
	}
	p := position{1, 1}
	if tok := at.GetToken(); tok != nil {
		p = of(tok)
	}
	out := fail(p, "%s", at.GetMessage())
	if strings.Contains(at.GetMessage(), "'\t'") {
		out.Message = fmt.Sprintf("%d:%d: a tab", p.line, p.column)
		return out.WithHint("indent with spaces")
	}
	return out
}

type decoder struct {
	src   *Source
	depth int // of the value being read
}

var textReader = reflect.TypeFor[encoding.TextUnmarshaler]()

// value reads n into v. Path names v for the source.
func (d decoder) value(n ast.Node, v reflect.Value, path string) error {
	d.src.at[path] = where(n)
	if d.depth++; d.depth > maxDepth {
		return fail(where(n), "nested more than %d deep", maxDepth)
	}
	switch n.Type() {
	case ast.AnchorType, ast.AliasType, ast.MergeKeyType:
		return fail(where(n), "anchors and aliases aren't read here").WithHint("write the value out")
	case ast.TagType:
		return fail(where(n), "tags aren't read here").WithHint("leave the tag out; put text in quotes where it looks like a number")
	}
	if v.Kind() == reflect.Pointer {
		if n.Type() == ast.NullType {
			return fail(where(n), "%s has no value", named(path)).WithHint("write its fields, or remove the line")
		}
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(n, v.Elem(), path)
	}
	if v.CanAddr() && v.Addr().Type().Implements(textReader) {
		text, err := d.scalar(n, path, "text")
		if err != nil {
			return err
		}
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			if v.Type() == reflect.TypeFor[netip.Prefix]() {
				return fail(where(n), "%s is %q: write a prefix such as 10.1.0.0/16", named(path), clip(text))
			}
			return fail(where(n), "%s: %v", named(path), err)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.fields(n, v, path)
	case reflect.Map:
		return d.entries(n, v, path)
	case reflect.Slice:
		return d.items(n, v, path)
	case reflect.String:
		text, err := d.scalar(n, path, "text")
		if err != nil {
			return err
		}
		v.SetString(text)
	case reflect.Bool:
		text, err := d.scalar(n, path, "true or false")
		if err != nil {
			return err
		}
		if n.Type() != ast.BoolType {
			return fail(where(n), "%s is %q: write true or false", named(path), clip(text))
		}
		v.SetBool(n.(*ast.BoolNode).Value)
	case reflect.Int, reflect.Int64:
		text, err := d.scalar(n, path, "a whole number")
		if err != nil {
			return err
		}
		i, err := strconv.ParseInt(text, 10, 64)
		if n.Type() != ast.IntegerType || err != nil || v.OverflowInt(i) {
			return fail(where(n), "%s is %q: write a whole number", named(path), clip(text))
		}
		v.SetInt(i)
	default:
		return abi.Errorf(abi.CodeInternal, "strictyaml can't read into %s", v.Type())
	}
	return nil
}

// scalar returns the text of a plain or quoted value, as it is written.
func (d decoder) scalar(n ast.Node, path, want string) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", fail(where(n), "%s has no value: write %s", named(path), want).WithHint(`write "" for an empty text`)
	}
	return "", fail(where(n), "%s is %s: write %s", named(path), shape(n), want)
}

// pairs calls do for each key and value of a mapping, in order.
func (d decoder) pairs(n ast.Node, path, want string, do func(key string, at position, value ast.Node) error) error {
	if n.Type() == ast.NullType {
		return nil
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		return fail(where(n), "%s is %s: write %s", named(path), shape(n), want)
	}
	seen := map[string]bool{}
	for it := m.MapRange(); it.Next(); {
		var key string
		switch k := it.Key().(type) {
		case *ast.StringNode:
			key = k.Value
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			key = k.GetToken().Value
		default:
			return fail(where(it.Key()), "a key of this kind isn't read here").WithHint("write the key as a plain word")
		}
		at := where(it.Key())
		if seen[key] {
			return fail(at, "%s is there twice", named(join(path, key))).WithHint("keep one of the two")
		}
		seen[key] = true
		if err := do(key, at, it.Value()); err != nil {
			return err
		}
	}
	return nil
}

func (d decoder) fields(n ast.Node, v reflect.Value, path string) error {
	known := fieldsOf(v.Type())
	return d.pairs(n, path, "a mapping of "+list(known), func(key string, at position, value ast.Node) error {
		for _, f := range known {
			if f.name != key {
				continue
			}
			return d.value(value, v.FieldByIndex(f.index), join(path, key))
		}
		err := fail(at, "unknown field %q", clip(key))
		if path != "" {
			err = fail(at, "unknown field %q in %s", clip(key), path)
		}
		return err.WithHint("the fields here are %s", list(known))
	})
}

func (d decoder) entries(n ast.Node, v reflect.Value, path string) error {
	m := reflect.MakeMap(v.Type())
	err := d.pairs(n, path, "a mapping", func(key string, _ position, value ast.Node) error {
		elem := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(value, elem, join(path, key)); err != nil {
			return err
		}
		m.SetMapIndex(reflect.ValueOf(key), elem)
		return nil
	})
	if err == nil && m.Len() > 0 {
		v.Set(m)
	}
	return err
}

func (d decoder) items(n ast.Node, v reflect.Value, path string) error {
	if n.Type() == ast.NullType {
		return nil
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return fail(where(n), "%s is %s: write a list", named(path), shape(n)).
			WithHint("put it in brackets, or each item on a line of its own after a dash")
	}
	list := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, item := range seq.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.Type() == ast.NullType {
			return fail(where(item), "%s has no value", at).WithHint("remove the dash, or write the item after it")
		}
		if err := d.value(item, list.Index(i), at); err != nil {
			return err
		}
	}
	if len(seq.Values) > 0 {
		v.Set(list)
	}
	return nil
}

type field struct {
	name      string
	index     []int
	omitEmpty bool
}

// fieldsOf lists the fields of a struct that have a name in YAML, in order.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for _, f := range reflect.VisibleFields(t) {
		tag, ok := f.Tag.Lookup("yaml")
		if !ok {
			tag = f.Tag.Get("json")
		}
		name, options, _ := strings.Cut(tag, ",")
		if name != "" && name != "-" && f.IsExported() {
			out = append(out, field{name, f.Index, options == "omitempty"})
		}
	}
	return out
}

func list(fields []field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// named is how a message calls the value at path.
func named(path string) string {
	if path == "" {
		return "the document"
	}
	return clip(path)
}

// shape is how a message calls what stands where something else is wanted.
func shape(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.NullType:
		return "empty"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	}
	return "text"
}

func clip(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func where(n ast.Node) position {
	// A block mapping's own token is the colon of its first pair.
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return where(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return where(m.Key)
	}
	if tok := n.GetToken(); tok != nil {
		return of(tok)
	}
	return position{1, 1}
}

func of(tok *token.Token) position {
	if tok.Position == nil {
		return position{1, 1}
	}
	return position{tok.Position.Line, tok.Position.Column}
}
