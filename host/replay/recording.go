package replay

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Recording is what came of a call.
type Recording struct {
	// Case is the digest of the case as it was when it was recorded.
	Case string
	// Calls are the host's operations, in the order in which the plugin asked.
	Calls []Call
	// Printed is what the plugin wrote to stdout and stderr.
	Printed []byte
	// Result is what the plugin answered with, an abi.Result whose bytes are
	// told by digest and length; or Error, an abi.Error. One of the two is set.
	Result, Error json.RawMessage
	// Changes are what is different in the workspace, by path.
	Changes []Change
}

// A Call is one operation of the host's.
type Call struct {
	Op      string
	Request Part
	// Events are what the agent was sent while the operation went on, or
	// before it for those of tasks.
	Events []Event
	// Response is what the host answered with, where Error is nil.
	Response Part
	Error    *abi.Error
	// Changes are what the operation did in the workspace.
	Changes []Change
}

// A Part is a frame. What isn't one has no header, and is all body.
type Part struct {
	Header json.RawMessage
	Body   []byte
	// Digest stands for a request's body that is too long to be kept.
	Digest string
}

// An Event is something that the agent was sent.
type Event struct {
	Output   *abi.Output          `json:"output,omitempty"`
	Progress *abi.ProgressRequest `json:"progress,omitempty"`
}

// A Change is a file or folder of the workspace that is different than before.
type Change struct {
	Path    string // a folder's ends in a slash
	Removed bool
	Data    []byte // of a file that is there
}

// maxRequestBody is how much of a request's body is kept, in bytes.
const maxRequestBody = 16 << 10

// digestOf is how a body that isn't kept is told.
func digestOf(body []byte) string {
	return fmt.Sprintf("sha256:%x %d bytes", sha256.Sum256(body), len(body))
}

// partOf reads a frame, and keeps its bytes.
func partOf(frame []byte) Part {
	f, err := abi.DecodeFrame(frame)
	if err != nil {
		return Part{Body: bytes.Clone(frame)}
	}
	return Part{Header: bytes.Clone(compact(f.Header)), Body: bytes.Clone(f.Body)}
}

// frame is the reverse.
func (p Part) frame() ([]byte, error) {
	if p.Header == nil {
		return slices.Clone(p.Body), nil
	}
	return abi.EncodeFrame(p.Header, p.Body)
}

// ResponseOf returns what a plugin answered with as Recording has it.
func ResponseOf(r abi.CallResponse) (result, failure json.RawMessage) {
	if r.Error != nil {
		return nil, mustJSON(r.Error)
	}
	res := r.Result
	content := make([]json.RawMessage, len(res.Content))
	for i, c := range res.Content {
		data := c.Data
		c.Data = nil
		raw := mustJSON(c)
		if len(data) > 0 {
			raw = fmt.Appendf(raw[:len(raw)-1], `,"data":%q}`, digestOf(data))
		}
		content[i] = raw
	}
	return mustJSON(struct {
		Content           []json.RawMessage          `json:"content"`
		StructuredContent json.RawMessage            `json:"structuredContent,omitempty"`
		IsError           bool                       `json:"isError,omitempty"`
		Meta              map[string]json.RawMessage `json:"_meta,omitempty"`
	}{content, res.StructuredContent, res.IsError, res.Meta}), nil
}

func (r *Recording) write(b *bytes.Buffer) {
	writeHeader(b, sectionRecorded, "")
	fmt.Fprintf(b, "case: %s\n", r.Case)
	if len(r.Calls) > 0 {
		writeHeader(b, sectionCalls, "")
		for _, c := range r.Calls {
			c.write(b)
		}
	}
	if len(r.Printed) > 0 {
		writeSection(b, sectionPrinted, r.Printed)
	}
	name, answer := sectionResult, r.Result
	if r.Error != nil {
		name, answer = sectionError, r.Error
	}
	writeHeader(b, name, "")
	writeJSON(b, "", answer)
	for _, c := range r.Changes {
		path, folder := strings.CutSuffix(c.Path, "/")
		switch {
		case c.Removed:
			writeHeader(b, c.Path, markRemoved)
		case folder:
			writeHeader(b, path, markFolder)
		default:
			writeSection(b, c.Path, c.Data)
		}
	}
}

func readRecording(sections []section) (*Recording, error) {
	r := &Recording{}
	seen := map[string]bool{}
	for _, s := range sections {
		if seen[s.name] {
			return nil, wrong(s.line, "a second section %s", s.name)
		}
		seen[s.name] = true
		if err := r.readSection(s); err != nil {
			return nil, err
		}
	}
	if (r.Result == nil) == (r.Error == nil) {
		return nil, wrong(sections[0].line, "a recording has one section %s, or one %s", sectionResult, sectionError).WithHint("record the case again")
	}
	slices.SortFunc(r.Changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return r, nil
}

func (r *Recording) readSection(s section) (err error) {
	switch s.name {
	case sectionRecorded:
		digest, ok := strings.CutPrefix(strings.TrimSpace(string(s.text)), "case: ")
		if !ok || strings.ContainsAny(digest, " \t\n") || s.mark != "" {
			return wrong(s.line, "%s has no line case: with the digest of what was recorded", s.name).WithHint("record the case again")
		}
		r.Case = digest
		return nil
	case sectionCalls:
		if s.mark != "" {
			return wrong(s.line, "%s can't be (%s)", s.name, s.mark)
		}
		r.Calls, err = readCalls(s)
		return err
	case sectionPrinted:
		r.Printed, err = s.content()
		return err
	case sectionResult:
		return readAnswer(s, &r.Result)
	case sectionError:
		return readAnswer(s, &r.Error)
	}
	c := Change{Path: s.name}
	switch s.mark {
	case markRemoved:
		c.Removed = true
	case markFolder:
		c.Path += "/"
	default:
		if c.Data, err = s.content(); err != nil {
			return err
		}
		c.Data = bytes.Clone(c.Data)
	}
	if (c.Removed || s.mark == markFolder) && len(bytes.TrimSpace(s.text)) > 0 {
		return wrong(s.line, "%s is (%s), and has content", s.name, s.mark)
	}
	if !c.valid() {
		return wrong(s.line, "%s is neither a section nor a file in a zone", brief(s.name)).WithHint("record the case again")
	}
	r.Changes = append(r.Changes, c)
	return nil
}

// readAnswer reads a result or an error.
func readAnswer(s section, raw *json.RawMessage) error {
	if err := readObject(s, raw); err != nil {
		return err
	}
	if *raw == nil {
		return wrong(s.line, "%s is empty", s.name).WithHint("record the case again")
	}
	*raw = compact(*raw)
	return nil
}

// valid says whether c is a change that can be made.
func (c Change) valid() bool {
	path, folder := strings.CutSuffix(c.Path, "/")
	return validPath(path) && (c.Data == nil || !c.Removed && !folder)
}

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
