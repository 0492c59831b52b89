package replay

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// Suffix ends the name of a case's file.
const Suffix = ".txtar"

// A Case is one call of a tool and, where it was recorded, what came of it.
type Case struct {
	// Name is the file's, without its folder and Suffix. It isn't in the file.
	Name string

	Tool      string
	Seed      uint64
	Time      time.Time // what the clock says at first; the zero Time is the format's default
	Arguments json.RawMessage
	Config    map[string]string
	Fixes     []Fix
	// Files are in the workspace before the call, by path.
	Files []File

	// Recording is what came of the call. Nil is a case that wasn't recorded.
	Recording *Recording

	source []byte // the author's part of the file; nil of a case that wasn't read from one
}

// A Fix gives a part of an operation's response a value that is always the
// same. It is made before the plugin sees the response.
type Fix struct {
	Op      string
	Pointer string          // a JSON pointer into the response's header
	Value   json.RawMessage // what stands there in its place
}

// A File is one in the workspace. Path starts with its zone: output/report.md.
type File struct {
	Path string
	Data []byte
}

// defaultTime is what the clock says at first.
var defaultTime = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// Start returns the time at which the call is made, in UTC.
func (c *Case) Start() time.Time {
	if c.Time.IsZero() {
		return defaultTime
	}
	return c.Time.UTC()
}

// Random returns the source of the call's random bytes, anew from its start.
func (c *Case) Random() *rand.ChaCha8 {
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(c.Seed >> (8 * i))
	}
	return rand.NewChaCha8(seed)
}

// Stale says whether the case was changed after it was recorded.
func (c *Case) Stale() bool { return c.Recording != nil && c.Recording.Case != c.Digest() }

// Digest names everything about the case that the recording depends on, and so
// not its comment.
func (c *Case) Digest() string {
	h := sha256.New()
	put := func(parts ...string) {
		for _, p := range parts {
			fmt.Fprintf(h, "%d:%s", len(p), p)
		}
	}
	put("1", c.Tool, strconv.FormatUint(c.Seed, 10), c.Start().Format(time.RFC3339Nano), canonical(orEmpty(c.Arguments)))
	for _, f := range c.Fixes {
		put("fix", f.Op, f.Pointer, canonical(f.Value))
	}
	for _, name := range sortedKeys(c.Config) {
		put("config", name, c.Config[name])
	}
	for _, f := range c.Files {
		put("file", f.Path, string(f.Data))
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

func orEmpty(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

// Names of sections.
const (
	sectionCase      = "case"
	sectionArguments = "arguments"
	sectionConfig    = "config"
	sectionRecorded  = "recorded"
	sectionCalls     = "calls"
	sectionPrinted   = "printed"
	sectionResult    = "result"
	sectionError     = "error"
)

// Parse reads a file. Errors are *abi.Error of code invalid_argument whose
// message starts with the line.
func Parse(file []byte) (*Case, error) {
	if n := len(file); n > 0 && file[n-1] != '\n' {
		file = append(bytes.Clone(file), '\n') // else what is added below would change the last section
	}
	_, sections, err := split(file)
	if err != nil {
		return nil, err
	}
	author, recorded, end := sections, []section(nil), len(file)
	if i := slices.IndexFunc(sections, func(s section) bool { return s.name == sectionRecorded }); i >= 0 {
		author, recorded, end = sections[:i], sections[i:], sections[i].at
	}
	c := &Case{source: bytes.Clone(file[:end])}
	seen := map[string]bool{}
	for _, s := range author {
		if seen[s.name] {
			return nil, wrong(s.line, "a second section %s", s.name)
		}
		seen[s.name] = true
		if err := c.readSection(s); err != nil {
			return nil, err
		}
	}
	if !seen[sectionCase] {
		return nil, wrong(1, "there is no section -- %s --", sectionCase).WithHint("begin with it, and with a line below it that says tool: and the tool's name")
	}
	slices.SortFunc(c.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for i := 1; i < len(c.Files); i++ {
		if strings.HasPrefix(c.Files[i].Path, c.Files[i-1].Path+"/") {
			return nil, wrong(1, "%s is a file and a folder", c.Files[i-1].Path)
		}
	}
	if len(recorded) > 0 {
		if c.Recording, err = readRecording(recorded); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Case) readSection(s section) error {
	switch s.name {
	case sectionCase:
		return c.readSettings(s)
	case sectionArguments:
		return readObject(s, &c.Arguments)
	case sectionConfig:
		var raw json.RawMessage
		if err := readObject(s, &raw); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &c.Config); err != nil {
			return wrong(s.line, "config is not an object of texts").WithHint(`write {"name": "value"}`)
		}
		return nil
	}
	if !validPath(s.name) {
		return wrong(s.line, "%s is neither a section nor a file in a zone", brief(s.name)).
			WithHint("the sections are %s, %s, %s and, below, %s; a file's name starts with %s", sectionCase, sectionArguments, sectionConfig, sectionRecorded, zones())
	}
	data, err := s.content()
	if err != nil {
		return err
	}
	c.Files = append(c.Files, File{s.name, bytes.Clone(data)})
	return nil
}

func zones() string { return strings.Join(abi.Zones(), "/, ") + "/" }

// validPath says whether path is that of a file in a zone.
func validPath(path string) bool {
	zone, rest, ok := strings.Cut(path, "/")
	return ok && fs.ValidPath(path) && rest != "" && slices.Contains(abi.Zones(), zone) && !strings.ContainsAny(path, "\x00\n\r")
}

// readObject reads a section that is one JSON object.
func readObject(s section, raw *json.RawMessage) error {
	if s.mark != "" {
		return wrong(s.line, "%s can't be (%s)", s.name, s.mark)
	}
	text := bytes.TrimSpace(s.text)
	if len(text) == 0 {
		return nil
	}
	if err := checkJSON(text); err != nil {
		return wrong(s.line, "%s: %v", s.name, err)
	}
	if text[0] != '{' {
		return wrong(s.line, "%s is not a JSON object", s.name)
	}
	*raw = bytes.Clone(text)
	return nil
}

// toolName is what a tool's name may look like.
var toolName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (c *Case) readSettings(s section) error {
	if s.mark != "" {
		return wrong(s.line, "%s can't be (%s)", s.name, s.mark)
	}
	line := s.line
	seen := map[string]bool{}
	for text := range strings.Lines(string(s.text)) {
		line++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(text, ":")
		if !ok {
			return wrong(line, "%s is no setting", brief(text)).WithHint("write name: value")
		}
		if seen[key] && key != "fix" {
			return wrong(line, "%s is there twice", brief(key))
		}
		seen[key] = true
		if err := c.set(key, strings.TrimSpace(value)); err != nil {
			return wrong(line, "%v", err)
		}
	}
	if c.Tool == "" {
		return wrong(s.line, "the case names no tool").WithHint("write tool: and the tool's name, without the plugin's")
	}
	return nil
}

func (c *Case) set(key, value string) (err error) {
	switch key {
	case "tool":
		if !toolName.MatchString(value) {
			return fmt.Errorf("tool is %s: write a tool's name, without the plugin's", brief(value))
		}
		c.Tool = value
	case "seed":
		if c.Seed, err = strconv.ParseUint(value, 10, 64); err != nil {
			return fmt.Errorf("seed is %s: write a whole number", brief(value))
		}
	case "time":
		t, err := time.Parse(time.RFC3339, value)
		if err != nil || t.Year() < 1970 || t.Year() > 2200 {
			return fmt.Errorf("time is %s: write a time after 1970 such as %s", brief(value), defaultTime.Format(time.RFC3339))
		}
		c.Time = t.UTC()
	case "fix":
		f, err := parseFix(value)
		if err != nil {
			return err
		}
		c.Fixes = append(c.Fixes, f)
	default:
		return fmt.Errorf("%s is no setting: use tool, seed, time or fix", brief(key))
	}
	return nil
}

func parseFix(text string) (Fix, error) {
	op, rest, _ := strings.Cut(text, " ")
	pointer, value, _ := strings.Cut(strings.TrimSpace(rest), " ")
	value = strings.TrimSpace(value)
	if !slices.Contains(abi.Ops(), op) || len(pointer) < 2 || pointer[0] != '/' || checkJSON([]byte(value)) != nil {
		return Fix{}, fmt.Errorf("fix is %s: write an operation, a JSON pointer and a value, such as kernel.execute /duration_ms 0", brief(text))
	}
	return Fix{op, pointer, json.RawMessage(value)}, nil
}

// Format returns the file. What an author wrote is left as it is.
func (c *Case) Format() []byte {
	var b bytes.Buffer
	if c.source != nil {
		b.Write(c.source)
	} else {
		c.writeAuthored(&b)
	}
	if c.Recording != nil {
		c.Recording.write(&b)
	}
	return b.Bytes()
}

func (c *Case) writeAuthored(b *bytes.Buffer) {
	writeHeader(b, sectionCase, "")
	fmt.Fprintf(b, "tool: %s\n", c.Tool)
	if c.Seed != 0 {
		fmt.Fprintf(b, "seed: %d\n", c.Seed)
	}
	if !c.Time.IsZero() {
		fmt.Fprintf(b, "time: %s\n", c.Start().Format(time.RFC3339Nano))
	}
	for _, f := range c.Fixes {
		fmt.Fprintf(b, "fix: %s %s %s\n", f.Op, f.Pointer, compact(f.Value))
	}
	writeHeader(b, sectionArguments, "")
	writeJSON(b, "", orEmpty(c.Arguments))
	if len(c.Config) > 0 {
		writeHeader(b, sectionConfig, "")
		writeJSON(b, "", mustJSON(c.Config))
	}
	for _, f := range c.Files {
		writeSection(b, f.Path, f.Data)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare[string])
	return keys
}
