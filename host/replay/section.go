package replay

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
)

// Words in brackets after a section's name.
const (
	markBase64    = "base64"
	markNoNewline = "no newline"
	markRemoved   = "removed"
	markFolder    = "folder"
)

// A section is a line "-- name --" and what stands below it.
type section struct {
	name string
	mark string // what stands in brackets after the name
	text []byte // as it stands in the file
	line int    // of the name; the text begins at the next
	at   int    // where that line begins, in bytes
}

// split cuts a file into its comment and its sections.
func split(file []byte) (comment []byte, sections []section, err error) {
	start, line := 0, 0
	for at := 0; at < len(file); {
		end := at + lineEnd(file[at:])
		line++
		if name, ok := header(file[at:end]); ok {
			if len(sections) == 0 {
				comment = file[:at]
			} else {
				sections[len(sections)-1].text = file[start:at]
			}
			s := section{line: line, at: at}
			if s.name, s.mark, err = splitName(name); err != nil {
				return nil, nil, wrong(line, "%v", err)
			}
			sections = append(sections, s)
			start = end
		}
		at = end
	}
	if len(sections) == 0 {
		return file, nil, nil
	}
	sections[len(sections)-1].text = file[start:]
	return comment, sections, nil
}

// lineEnd returns the length of b's first line, its line feed included.
func lineEnd(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// header returns what is between the dashes of a section's first line.
func header(line []byte) (string, bool) {
	s := strings.TrimRight(string(line), " \t\n")
	inner, ok := strings.CutPrefix(s, "-- ")
	if !ok {
		return "", false
	}
	inner, ok = strings.CutSuffix(inner, " --")
	inner = strings.TrimSpace(inner)
	return inner, ok && inner != ""
}

// plainName is a name that needs no quotes.
var plainName = regexp.MustCompile(`^[\pL\pN_./@+=,~-]+( [\pL\pN_./@+=,~-]+)*$`)

// splitName takes the mark off a name, and its quotes.
func splitName(s string) (name, mark string, err error) {
	name = s
	if rest, ok := strings.CutSuffix(s, ")"); ok {
		if i := strings.LastIndex(rest, " ("); i > 0 {
			name, mark = rest[:i], rest[i+2:]
			switch mark {
			case markBase64, markNoNewline, markRemoved, markFolder:
			default:
				return "", "", fmt.Errorf("a section's name is followed by (%s): use (%s) or (%s)", brief(mark), markBase64, markNoNewline)
			}
		}
	}
	if plainName.MatchString(name) {
		return name, mark, nil
	}
	unquoted, err := strconv.Unquote(name)
	if err != nil || name[0] != '"' {
		return "", "", fmt.Errorf("a section's name is %s: put it in double quotes", brief(name))
	}
	return unquoted, mark, nil
}

// quoteName is the reverse of splitName's last step.
func quoteName(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return strconv.Quote(name)
}

func writeHeader(b *bytes.Buffer, name, mark string) {
	b.WriteString("-- " + quoteName(name))
	if mark != "" {
		b.WriteString(" (" + mark + ")")
	}
	b.WriteString(" --\n")
}

// writeSection writes content as it can be read back, whatever it is.
func writeSection(b *bytes.Buffer, name string, content []byte) {
	switch {
	case !isText(content) || holdsHeader(content):
		writeHeader(b, name, markBase64)
		writeBase64(b, "", content)
	case len(content) > 0 && content[len(content)-1] != '\n':
		writeHeader(b, name, markNoNewline)
		b.Write(content)
		b.WriteByte('\n')
	default:
		writeHeader(b, name, "")
		b.Write(content)
	}
}

// content returns what a section stands for.
func (s section) content() ([]byte, error) {
	switch s.mark {
	case "":
		return s.text, nil
	case markNoNewline:
		return bytes.TrimSuffix(s.text, []byte("\n")), nil
	case markBase64:
		b, err := readBase64(string(s.text))
		if err != nil {
			return nil, wrong(s.line, "%s is not base64: %v", s.name, err)
		}
		return b, nil
	}
	return nil, wrong(s.line, "%s can't be (%s) here", s.name, s.mark)
}

// isText says whether b can stand in a file for people to read.
func isText(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

func holdsHeader(b []byte) bool {
	for line := range bytes.Lines(b) {
		if _, ok := header(line); ok {
			return true
		}
	}
	return false
}

// base64Width is how many characters of base64 stand on a line.
const base64Width = 76

func writeBase64(b *bytes.Buffer, before string, content []byte) {
	text := base64.StdEncoding.EncodeToString(content)
	for len(text) > 0 {
		n := min(len(text), base64Width)
		b.WriteString(before + text[:n] + "\n")
		text = text[n:]
	}
}

func readBase64(text string) ([]byte, error) {
	return base64.StdEncoding.Strict().DecodeString(strings.Join(strings.Fields(text), ""))
}

// wrong is an error of a file, at a line.
func wrong(line int, format string, args ...any) *abi.Error {
	return abi.Errorf(abi.CodeInvalidArgument, "%d: %v", line, fmt.Errorf(format, args...))
}

// brief quotes what a file says, cut to what a message can hold.
func brief(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strconv.Quote(s)
}
