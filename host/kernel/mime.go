package kernel

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
)

const textPlain = "text/plain"

// isBinary says whether a MIME type's data travels as base64.
func isBinary(mime string) bool {
	class, kind, _ := strings.Cut(mime, "/")
	switch class {
	case "image":
		return kind != "svg+xml"
	case "audio", "video", "font":
		return true
	case "application":
		return kind == "pdf" || kind == "octet-stream" || kind == "zip"
	}
	return false
}

// bundle splits a kernel's MIME bundle into the textual representations and
// the bytes of the binary ones.
func bundle(data map[string]json.RawMessage) (map[string]json.RawMessage, []abi.Blob) {
	text := make(map[string]json.RawMessage, len(data))
	var blobs []abi.Blob
	for _, mime := range slices.Sorted(maps.Keys(data)) {
		raw := data[mime]
		var s string
		if json.Unmarshal(raw, &s) != nil {
			text[mime] = bytes.ToValidUTF8(raw, []byte("�"))
			continue
		}
		if isBinary(mime) {
			if b, err := base64.StdEncoding.DecodeString(s); err == nil { // line breaks don't matter to it
				blobs = append(blobs, abi.Blob{MIMEType: mime, Bytes: b})
				continue
			}
		}
		text[mime] = quote(s)
	}
	return text, blobs
}

// quote returns s as JSON. Bytes that are not UTF-8 become U+FFFD.
func quote(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return json.RawMessage(`""`)
	}
	return b
}

// mimeOrder lists the types of a bundle, plain text first: it is kept when the
// others don't fit.
func mimeOrder(data map[string]json.RawMessage) []string {
	list := slices.Sorted(maps.Keys(data))
	slices.SortStableFunc(list, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == textPlain:
			return -1
		case b == textPlain:
			return 1
		}
		return 0
	})
	return list
}

// shorten returns plain text with its middle left out, so that it takes no more
// than bound bytes as JSON, and how many bytes are gone. Other types can't be
// cut: they are gone whole, and kept is nil.
func shorten(mime string, raw json.RawMessage, bound int64) (kept json.RawMessage, lost int64) {
	var s string
	if mime != textPlain || json.Unmarshal(raw, &s) != nil {
		return nil, int64(len(raw))
	}
	s, lost = middleOut(s, bound-int64(len(mime))-8)
	return quote(s), lost
}

// middleOut cuts the middle of s, so that it takes no more than about bound
// bytes as JSON, and returns how many bytes it left out.
func middleOut(s string, bound int64) (string, int64) {
	if jsonLen([]byte(s)) <= bound {
		return s, 0
	}
	half := max(0, bound-itemCost) / 2
	head := s[:fitting([]byte(s), half)]
	rest := []byte(s[len(head):])
	tail := string(rest[costing(rest, jsonLen(rest)-half):])
	lost := len(s) - len(head) - len(tail)
	return fmt.Sprintf("%s[… %d bytes left out …]%s", head, lost, tail), int64(lost)
}

// jsonLen returns an upper bound of the bytes that b takes inside a JSON string.
func jsonLen(b []byte) (n int64) {
	for _, c := range b {
		n += int64(jsonCost[c])
	}
	return n
}

// jsonCost is what each byte becomes when the standard library writes it.
var jsonCost = func() (cost [256]uint8) {
	for c := range cost {
		switch {
		case c == '\n', c == '\r', c == '\t', c == '\b', c == '\f', c == '"', c == '\\':
			cost[c] = 2
		case c < 0x20, c == '<', c == '>', c == '&':
			cost[c] = 6
		case c == 0xe2: // perhaps U+2028, six bytes in place of three
			cost[c] = 4
		default:
			cost[c] = 1
		}
	}
	return cost
}()

// fitting returns the length of the longest start of b, in whole characters,
// that takes no more than bound bytes as JSON.
func fitting(b []byte, bound int64) int {
	n, cost := 0, int64(0)
	for n < len(b) {
		if cost += int64(jsonCost[b[n]]); cost > bound {
			break
		}
		n++
	}
	for n > 0 && n < len(b) && !utf8.RuneStart(b[n]) {
		n--
	}
	return n
}

// costing returns the length of the shortest start of b, in whole characters,
// that takes at least cost bytes as JSON.
func costing(b []byte, cost int64) int {
	n := 0
	for n < len(b) && (cost > 0 || !utf8.RuneStart(b[n])) {
		cost -= int64(jsonCost[b[n]])
		n++
	}
	return n
}

func dataBytes(data map[string]json.RawMessage) (n int64) {
	for _, raw := range data {
		n += int64(len(raw))
	}
	return n
}

func dataCost(data map[string]json.RawMessage) (n int64) {
	for mime, raw := range data {
		n += jsonLen(raw) + int64(len(mime)) + 4
	}
	return n
}

func blobBytes(blobs []abi.Blob) (n int64) {
	for _, b := range blobs {
		n += int64(len(b.Bytes))
	}
	return n
}

// colours are the escape sequences of terminals.
var colours = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-Z\\\\^_])")

// Bounds of an exception, bytes as JSON.
const (
	maxErrorValue = 16 << 10
	maxTraceback  = 128 << 10
)

// exception makes an error of what a kernel says of one, in plain text and
// within bounds, and returns how many bytes it left out.
func exception(name, value string, traceback []string) (*abi.KernelError, int64) {
	name, _ = middleOut(colours.ReplaceAllString(name, ""), 1<<10)
	value, lost := middleOut(colours.ReplaceAllString(value, ""), maxErrorValue)
	text, more := middleOut(colours.ReplaceAllString(strings.Join(traceback, "\n"), ""), maxTraceback)
	e := &abi.KernelError{Name: name, Value: value}
	if text != "" {
		e.Traceback = strings.Split(text, "\n")
	}
	return e, lost + more
}
