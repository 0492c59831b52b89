package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// checkJSON says whether b is one JSON value in UTF-8.
func checkJSON(b []byte) error {
	switch {
	case !json.Valid(b):
		return errors.New("it is not JSON")
	case !utf8.Valid(b):
		return errors.New("it is not UTF-8")
	}
	return nil
}

// compact returns raw without white space between its parts.
func compact(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// mustJSON marshals a value of a type that can't fail to be.
func mustJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// decode reads one JSON value, numbers as they are written.
func decode(raw json.RawMessage) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more than one value")
	}
	return v, nil
}

// canonical writes JSON with the keys in order: two texts of the same value
// give the same.
func canonical(raw json.RawMessage) string {
	v, err := decode(raw)
	if err != nil {
		return string(raw)
	}
	return string(mustJSON(v))
}

// jsonWidth is how many characters of JSON stand on one line.
const jsonWidth = 100

// writeJSON writes before and raw, on one line where that isn't long. Where it
// is, its parts have lines of their own, each in its turn.
func writeJSON(b *bytes.Buffer, before string, raw json.RawMessage) {
	b.WriteString(before)
	writeValue(b, compact(raw), len(before), "")
	b.WriteByte('\n')
}

// writeValue writes a compact value behind used characters of a line that is
// indented so far.
func writeValue(b *bytes.Buffer, raw json.RawMessage, used int, indent string) {
	if used+len(raw) <= jsonWidth || raw[0] != '{' && raw[0] != '[' || len(raw) == 2 {
		b.Write(raw)
		return
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		b.Write(raw)
		return
	}
	b.WriteByte(raw[0])
	for first := true; d.More(); first = false {
		if !first {
			b.WriteByte(',')
		}
		b.WriteString("\n" + indent + "  ")
		used := len(indent) + 2
		if raw[0] == '{' {
			start := int(d.InputOffset())
			if _, err := d.Token(); err != nil {
				return // raw is JSON
			}
			key := bytes.TrimLeft(raw[start:d.InputOffset()], ",")
			b.Write(key)
			b.WriteString(": ")
			used += len(key) + 2
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return
		}
		writeValue(b, v, used, indent+"  ")
	}
	b.WriteString("\n" + indent)
	b.WriteByte(raw[len(raw)-1])
}

// A difference is where two JSON values part.
type difference struct {
	pointer   string
	want, got string // JSON, or "nothing"
}

const nothing = "nothing"

// compareJSON returns the first difference in the order of want's keys, sorted;
// nil where the two values are the same.
func compareJSON(want, got json.RawMessage) *difference {
	w, errW := decode(want)
	g, errG := decode(got)
	if errW != nil || errG != nil {
		if bytes.Equal(want, got) {
			return nil
		}
		return &difference{"", string(want), string(got)}
	}
	return compareValues("", w, g)
}

func compareValues(at string, want, got any) *difference {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, k := range sortedKeys(w) {
			below := at + "/" + escapePointer(k)
			v, ok := g[k]
			if !ok {
				return &difference{below, string(mustJSON(w[k])), nothing}
			}
			if d := compareValues(below, w[k], v); d != nil {
				return d
			}
		}
		for _, k := range sortedKeys(g) {
			if _, ok := w[k]; !ok {
				return &difference{at + "/" + escapePointer(k), nothing, string(mustJSON(g[k]))}
			}
		}
		return nil
	case []any:
		g, ok := got.([]any)
		if !ok {
			break
		}
		for i := range max(len(w), len(g)) {
			below := at + "/" + strconv.Itoa(i)
			switch {
			case i >= len(g):
				return &difference{below, string(mustJSON(w[i])), nothing}
			case i >= len(w):
				return &difference{below, nothing, string(mustJSON(g[i]))}
			}
			if d := compareValues(below, w[i], g[i]); d != nil {
				return d
			}
		}
		return nil
	default:
		switch got.(type) {
		case map[string]any, []any:
		default:
			if want == got {
				return nil
			}
		}
	}
	return &difference{at, string(mustJSON(want)), string(mustJSON(got))}
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func escapePointer(name string) string { return pointerEscapes.Replace(name) }

// replaceAt returns raw with another value at a JSON pointer, everything else
// as it was, and whether there was one.
func replaceAt(raw json.RawMessage, pointer string, value json.RawMessage) (json.RawMessage, bool) {
	start, end, ok := locate(raw, pointer)
	if !ok {
		return raw, false
	}
	return json.RawMessage(fmt.Sprintf("%s%s%s", raw[:start], value, raw[end:])), true
}

// locate returns where the value of a JSON pointer stands.
func locate(raw []byte, pointer string) (start, end int, ok bool) {
	names := strings.Split(pointer, "/")[1:]
	base := 0
	for _, name := range names {
		d := json.NewDecoder(bytes.NewReader(raw))
		opening, err := d.Token()
		if err != nil {
			return 0, 0, false
		}
		found := false
		for i := 0; d.More(); i++ {
			key := strconv.Itoa(i)
			if opening == json.Delim('{') {
				t, err := d.Token()
				if err != nil {
					return 0, 0, false
				}
				key = escapePointer(t.(string))
			}
			var v json.RawMessage
			if err := d.Decode(&v); err != nil {
				return 0, 0, false
			}
			if key == name {
				base += int(d.InputOffset()) - len(v)
				raw, found = v, true
				break
			}
		}
		if !found {
			return 0, 0, false
		}
	}
	return base, base + len(raw), true
}
