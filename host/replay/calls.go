package replay

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// What starts a line of the section "calls".
const (
	callAsked   = "==> "
	callSent    = "~~> "
	callGot     = "<== "
	callWrote   = "+++ "
	callRemoved = "--- "
	callError   = "error "
)

// What starts a line of a frame's body.
const (
	bodyLine   = "  | "
	bodyLast   = `  \ `
	bodyBase64 = "  = "
	bodyDigest = "  # "
)

func (c Call) write(b *bytes.Buffer) {
	c.Request.write(b, callAsked+c.Op+" ")
	for _, e := range c.Events {
		writeJSON(b, callSent, mustJSON(e))
	}
	if c.Error != nil {
		writeJSON(b, callGot+callError, mustJSON(c.Error))
	} else {
		c.Response.write(b, callGot)
	}
	for _, ch := range c.Changes {
		if ch.Removed {
			b.WriteString(callRemoved + quoteName(ch.Path) + "\n")
			continue
		}
		b.WriteString(callWrote + quoteName(ch.Path) + "\n")
		writeBody(b, ch.Data)
	}
}

func (p Part) write(b *bytes.Buffer, before string) {
	if p.Header == nil {
		b.WriteString(strings.TrimRight(before, " ") + "\n")
	} else {
		writeJSON(b, before, p.Header)
	}
	if p.Digest != "" {
		b.WriteString(bodyDigest + p.Digest + "\n")
		return
	}
	writeBody(b, p.Body)
}

func writeBody(b *bytes.Buffer, body []byte) {
	if !isText(body) {
		writeBase64(b, bodyBase64, body)
		return
	}
	for line := range bytes.Lines(body) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		before := bodyLine
		if !ended {
			before = bodyLast
		}
		if len(text) == 0 {
			before = strings.TrimRight(before, " ") // as an editor would
		}
		b.WriteString(before)
		b.Write(text)
		b.WriteByte('\n')
	}
}

// A reader goes through the lines of the section "calls".
type reader struct {
	lines []string
	first int // the number of lines[0] in the file
	next  int
}

func readCalls(s section) ([]Call, error) {
	r := &reader{lines: strings.Split(strings.TrimSuffix(string(s.text), "\n"), "\n"), first: s.line + 1}
	var calls []Call
	for r.next < len(r.lines) {
		if r.lines[r.next] == "" {
			r.next++
			continue
		}
		c, err := r.call()
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	return calls, nil
}

func (r *reader) wrong(format string, args ...any) error {
	return wrong(r.first+min(r.next, len(r.lines)-1), format, args...).WithHint("record the case again")
}

// take takes what follows a word at the start of the next line, if it is there.
func (r *reader) take(start string) (rest string, ok bool) {
	if r.next < len(r.lines) {
		// An editor may have cut the space at the end of the line.
		if rest, ok = strings.CutPrefix(r.lines[r.next]+" ", start); ok {
			r.next++
			return strings.TrimSuffix(rest, " "), true
		}
	}
	return "", false
}

func (r *reader) call() (c Call, err error) {
	rest, ok := r.take(callAsked)
	if !ok {
		return c, r.wrong("%s is no line of a call: it starts with %q", brief(r.lines[r.next]), callAsked)
	}
	var text string
	c.Op, text, _ = strings.Cut(rest, " ")
	if !slices.Contains(abi.Ops(), c.Op) {
		r.next--
		return c, r.wrong("there is no operation %s", brief(c.Op))
	}
	if c.Request, err = r.part(text); err != nil {
		return c, err
	}
	for {
		text, ok := r.take(callSent)
		if !ok {
			break
		}
		raw, err := r.json(text)
		if err != nil {
			return c, err
		}
		var e Event
		if err := json.Unmarshal(raw, &e); err != nil || (e.Output == nil) == (e.Progress == nil) {
			return c, r.wrong("%s is neither an output nor a progress report", brief(string(raw)))
		}
		c.Events = append(c.Events, e)
	}
	text, ok = r.take(callGot)
	if !ok {
		return c, r.wrong("%s has no answer, a line that starts with %q", c.Op, callGot)
	}
	if text, failed := strings.CutPrefix(text, callError); failed {
		raw, err := r.json(text)
		if err != nil {
			return c, err
		}
		c.Error = &abi.Error{}
		if err := json.Unmarshal(raw, c.Error); err != nil || c.Error.Code >= 0 {
			return c, r.wrong("%s is no error", brief(string(raw)))
		}
	} else if c.Response, err = r.part(text); err != nil {
		return c, err
	} else if c.Response.Digest != "" {
		return c, r.wrong("the body of a response has to be there")
	}
	c.Changes, err = r.changes()
	return c, err
}

func (r *reader) changes() ([]Change, error) {
	var list []Change
	for {
		name, wrote := r.take(callWrote)
		removed := false
		if !wrote {
			if name, removed = r.take(callRemoved); !removed {
				return list, nil
			}
		}
		ch := Change{Path: name, Removed: removed}
		if !plainName.MatchString(name) {
			unquoted, err := strconv.Unquote(name)
			if err != nil {
				return nil, r.wrong("the name %s is not in quotes", brief(name))
			}
			ch.Path = unquoted
		}
		body, digest, err := r.body()
		switch {
		case err != nil:
			return nil, err
		case digest != "":
			return nil, r.wrong("the content of a file has to be there")
		}
		folder := strings.HasSuffix(ch.Path, "/")
		if (removed || folder) && len(body) > 0 {
			return nil, r.wrong("%s can't have content", brief(ch.Path))
		}
		if !removed && !folder {
			ch.Data = append([]byte{}, body...)
		}
		if !ch.valid() {
			return nil, r.wrong("%s is not a file in a zone", brief(ch.Path))
		}
		list = append(list, ch)
	}
}

// part reads a header, which may go on over the next lines, and its body.
func (r *reader) part(text string) (p Part, err error) {
	if text != "" {
		if p.Header, err = r.json(text); err != nil {
			return p, err
		}
		if p.Header[0] != '{' {
			return p, r.wrong("%s is not a JSON object", brief(string(p.Header)))
		}
	}
	p.Body, p.Digest, err = r.body()
	return p, err
}

// json reads a value that starts with text and goes on over the next lines.
func (r *reader) json(text string) (json.RawMessage, error) {
	var b strings.Builder
	b.WriteString(text)
	for ; r.next < len(r.lines); r.next++ {
		line := r.lines[r.next]
		if line == "" || !strings.ContainsRune(" }]", rune(line[0])) || isBody(line) {
			break
		}
		b.WriteString("\n" + line)
	}
	raw := json.RawMessage(b.String())
	if err := checkJSON(raw); err != nil {
		r.next--
		return nil, r.wrong("%s: %v", brief(text), err)
	}
	return compact(raw), nil
}

func isBody(line string) bool {
	for _, start := range []string{bodyLine, bodyLast, bodyBase64, bodyDigest} {
		if strings.HasPrefix(line+" ", start) {
			return true
		}
	}
	return false
}

func (r *reader) body() (body []byte, digest string, err error) {
	var text, base64 strings.Builder
	for {
		if line, ok := r.take(bodyLine); ok {
			text.WriteString(line + "\n")
			continue
		}
		if line, ok := r.take(bodyLast); ok {
			text.WriteString(line)
			break
		}
		line, ok := r.take(bodyBase64)
		if !ok {
			break
		}
		base64.WriteString(line)
	}
	if digest, ok := r.take(bodyDigest); ok {
		if text.Len()+base64.Len() > 0 || digest == "" {
			return nil, "", r.wrong("a body is told by its digest or by what is in it")
		}
		return nil, digest, nil
	}
	switch {
	case base64.Len() == 0 && text.Len() == 0:
		return nil, "", nil
	case base64.Len() == 0:
		return []byte(text.String()), "", nil
	case text.Len() > 0:
		return nil, "", r.wrong("a body is text or base64")
	}
	if body, err = readBase64(base64.String()); err != nil {
		return nil, "", r.wrong("a body is not base64: %v", err)
	}
	return body, "", nil
}
