package strictyaml

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
)

// Encode writes v, a struct that Decode can read, under a comment of one or
// several lines. The same value gives the same bytes, whatever the order of
// its maps, and Decode reads the value back. Fields tagged omitempty are left
// out where they are zero; invalid UTF-8 becomes U+FFFD. It fails only for a
// type that Decode can't read.
func Encode(comment string, v any) ([]byte, error) {
	var e encoder
	for line := range strings.Lines(comment) {
		e.WriteString("# " + strings.TrimSuffix(line, "\n") + "\n")
	}
	err := e.fields(reflect.ValueOf(v), 0, false)
	return []byte(e.String()), err
}

type encoder struct{ strings.Builder }

// value writes what follows a key or a dash, up to the end of the line or of
// the nested block.
func (e *encoder) value(v reflect.Value, indent int) error {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if text, ok, err := plain(v); ok || err != nil {
		e.WriteString(" " + text + "\n")
		return err
	}
	switch v.Kind() {
	case reflect.Struct:
		return e.fields(v, indent+1, true)
	case reflect.Map:
		if v.Len() == 0 {
			e.WriteString(" {}\n")
			return nil
		}
		e.WriteByte('\n')
		byKey := map[string]reflect.Value{}
		for _, k := range v.MapKeys() {
			byKey[k.String()] = v.MapIndex(k)
		}
		for _, k := range slices.Sorted(maps.Keys(byKey)) {
			e.key(quote(k), indent+1)
			if err := e.value(byKey[k], indent+1); err != nil {
				return err
			}
		}
		return nil
	case reflect.Slice:
		return e.items(v, indent)
	}
	return abi.Errorf(abi.CodeInternal, "strictyaml can't write %s", v.Type())
}

func (e *encoder) key(k string, indent int) {
	e.WriteString(strings.Repeat("  ", indent) + k + ":")
}

// fields writes a struct's; nested is whether a key stands before them.
func (e *encoder) fields(v reflect.Value, indent int, nested bool) error {
	empty := true
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if f.omitEmpty && (fv.IsZero() || (fv.Kind() == reflect.Slice || fv.Kind() == reflect.Map) && fv.Len() == 0) {
			continue
		}
		if empty && nested {
			e.WriteByte('\n')
		}
		empty = false
		e.key(f.name, indent)
		if err := e.value(fv, indent); err != nil {
			return err
		}
	}
	if empty && nested {
		e.WriteString(" {}\n")
	}
	return nil
}

// items writes a list: of plain values on one line, of others one below the
// other.
func (e *encoder) items(v reflect.Value, indent int) error {
	var texts []string
	for i := range v.Len() {
		text, ok, err := plain(v.Index(i))
		if err != nil {
			return err
		}
		if ok {
			texts = append(texts, text)
		}
	}
	if len(texts) == v.Len() {
		e.WriteString(" [" + strings.Join(texts, ", ") + "]\n")
		return nil
	}
	e.WriteByte('\n')
	for i := range v.Len() {
		// The item's block is written on its own, and its first key takes the
		// place after the dash.
		var item encoder
		if err := item.fields(v.Index(i), indent+2, false); err != nil {
			return err
		}
		block := item.String()
		if block == "" {
			block = strings.Repeat("  ", indent+2) + "{}\n"
		}
		e.WriteString(strings.Repeat("  ", indent+1) + "- " + block[2*(indent+2):])
	}
	return nil
}

// plain returns the text of a value that fits on a line.
func plain(v reflect.Value) (string, bool, error) {
	if v.Kind() == reflect.Pointer {
		return "", false, nil
	}
	switch x := v.Interface().(type) {
	case abi.Duration:
		return Brief(x), true, nil
	case abi.PortRange:
		if x.First == x.Last {
			return x.String(), true, nil // a number, as people write it
		}
		return quote(x.String()), true, nil
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		return quote(string(b)), true, err
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String()), true, nil
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), true, nil
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), true, nil
	}
	return "", false, nil
}

var (
	bare     = regexp.MustCompile(`^[A-Za-z./][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)?$`)
	reserved = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|y|n|null|\.+|[-+.]?(inf|nan)|\.[0-9].*)$`)
)

// quote writes s bare where no reader takes it for anything else, in double
// quotes otherwise.
func quote(s string) string {
	if bare.MatchString(s) && !reserved.MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == utf8.RuneError || r >= ' ' && strconv.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Brief writes a duration without its empty units: 5m rather than 5m0s.
func Brief(d abi.Duration) string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
