package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
)

// printJSON writes v over several lines.
func printJSON(w io.Writer, v any) error { return writeJSON(w, v, "  ") }

// printJSONLine writes v on a line of its own.
func printJSONLine(w io.Writer, v any) error { return writeJSON(w, v, "") }

// writeJSON escapes also what JSON lets through and a terminal may obey.
func writeJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", indent)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range b.String() {
		switch {
		case r == '\n' || prints(r):
			out.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// printable makes one line of text that somebody else chose: control characters
// and those that change the direction of writing could make a terminal show
// something else than what is there.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if prints(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// prints says whether r is something to see, or a space.
func prints(r rune) bool { return unicode.IsPrint(r) || unicode.Is(unicode.Zs, r) }
