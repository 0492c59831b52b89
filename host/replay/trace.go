package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Mismatch is the first thing in which a call differs from its recording.
type Mismatch struct {
	Calls     []Call // the operations that were as recorded
	Asked     *Call  // the one that wasn't; nil where it is about something else
	What      string
	Want, Got string // what was recorded and what came instead
}

// Error says what differs, without the trace.
func (m *Mismatch) Error() string { return m.What }

// Trace returns the operations up to the difference, a line for what was asked
// and one for the answer, and then the difference.
func (m *Mismatch) Trace() string {
	var b strings.Builder
	b.WriteString(Trace(m.Calls))
	if m.Asked != nil {
		b.WriteString(m.Asked.asked() + "\n")
	}
	want, got := around(m.Want, m.Got)
	fmt.Fprintf(&b, "%s\n  recorded: %s\n  now:      %s\n", printable(m.What), want, got)
	return b.String()
}

// Trace tells operations for people to read:
//
//	==> kernel.execute(code="1+1")
//	<== 12 bytes
func Trace(calls []Call) string {
	var b strings.Builder
	for _, c := range calls {
		b.WriteString(c.asked() + "\n" + c.answered() + "\n")
	}
	return b.String()
}

// asked tells a request.
func (c Call) asked() string {
	var b strings.Builder
	b.WriteString(callAsked + c.Op + "(")
	if c.Request.Header == nil {
		fmt.Fprintf(&b, "%d bytes, no frame)", len(c.Request.Body))
		return b.String()
	}
	parts := arguments(c.Request.Header)
	if c.Request.Digest != "" || len(c.Request.Body) > 0 {
		parts = append(parts, bodyWords(c.Request))
	}
	b.WriteString(strings.Join(parts, ", ") + ")")
	return printable(b.String())
}

// arguments tells the fields of a header in their order.
func arguments(header json.RawMessage) []string {
	d := json.NewDecoder(bytes.NewReader(header))
	if _, err := d.Token(); err != nil {
		return nil
	}
	var list []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			break
		}
		var v json.RawMessage
		if d.Decode(&v) != nil {
			break
		}
		list = append(list, fmt.Sprintf("%v=%s", key, clip(string(v))))
	}
	return list
}

// answered tells a response.
func (c Call) answered() string {
	if c.Error != nil {
		return callGot + printable(clip(c.Error.Error()))
	}
	n := len(c.Response.Body)
	if c.Response.Header != nil {
		n += 4 + len(c.Response.Header)
	}
	return callGot + plural(n, "1 byte", "%d bytes")
}

func bodyWords(p Part) string {
	if p.Digest != "" {
		return p.Digest
	}
	if len(p.Body) <= maxShown && isText(p.Body) && p.Body != nil {
		return fmt.Sprintf("body=%q", p.Body)
	}
	return digestOf(p.Body)
}

// words tells a change.
func (c *Change) words() string {
	switch {
	case c == nil:
		return "it is as it was"
	case c.Removed:
		return "it is removed"
	case strings.HasSuffix(c.Path, "/"):
		return "it is made"
	}
	return plural(len(c.Data), "it has 1 byte", "it has %d bytes")
}

func at(what, pointer string) string {
	if pointer == "" {
		return what
	}
	return what + ", at " + pointer
}

// plural chooses between words for one and for several.
func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	if !strings.Contains(many, "%d") {
		return many
	}
	return fmt.Sprintf(many, n)
}

// compareText tells the first line in which two texts differ, or their digests
// where they are none.
func compareText(what string, want, got []byte) (text, wanted, gotten string) {
	if !isText(want) || !isText(got) {
		return what, digestOf(want), digestOf(got)
	}
	w, g := bytes.SplitAfter(want, []byte("\n")), bytes.SplitAfter(got, []byte("\n"))
	for i := range max(len(w), len(g)) {
		line := func(lines [][]byte) string {
			if i >= len(lines) || len(lines[i]) == 0 {
				return "the end"
			}
			return fmt.Sprintf("%q", lines[i])
		}
		if line(w) != line(g) {
			return fmt.Sprintf("%s, in line %d", what, i+1), line(w), line(g)
		}
	}
	return what, digestOf(want), digestOf(got)
}

// maxShown is how much of a value a trace shows, in bytes.
const maxShown = 200

// clip cuts what is too long to show, at its end.
func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	n := maxShown
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// around cuts two texts to where they part.
func around(a, b string) (string, string) {
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	from := same - maxShown/4
	cut := func(s string) string {
		if from <= 0 {
			return printable(clip(s))
		}
		at := min(from, len(s))
		for at < len(s) && !utf8.RuneStart(s[at]) {
			at++
		}
		return printable("…" + clip(s[at:]))
	}
	return cut(a), cut(b)
}

// printable keeps what a plugin chose from moving a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
