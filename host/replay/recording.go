package replay

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
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
