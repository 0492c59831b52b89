package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Kinds of entries.
const (
	KindHostStart     = "host.start"
	KindHostStop      = "host.stop"
	KindSessionCreate = "session.create"
	KindSessionEnd    = "session.end"
	KindCallStart     = "call.start"
	KindCallEnd       = "call.end"
	KindOpIntent      = "op.intent"    // a capability is about to be used
	KindOpOutcome     = "op.outcome"   // what came of it
	KindFile          = "file"         // a change of a zone, or its refusal
	KindEgress        = "egress"       // a decision on what goes out
	KindPluginAdmit   = "plugin.admit" // the whitelist let it in
	KindPluginRefuse  = "plugin.refuse"
	KindPluginReplace = "plugin.replace" // another took its place; what it has under way goes on
	KindPluginRevoke  = "plugin.revoke"  // it, or something that it was granted, was taken away; what ran was ended
	KindRepair        = "log.repair"     // Open moved a torn last line away
)

// An Entry is one line of the log. Seq, Time, Prev and Hash are Append's to
// set. Strings that are too long are cut, and end with a mark that says by how
// much.
type Entry struct {
	Seq       int64             `json:"seq"`  // from 1
	Time      time.Time         `json:"time"` // UTC
	Kind      string            `json:"kind"`
	Principal string            `json:"principal,omitempty"` // who asked
	Request   string            `json:"request,omitempty"`
	Session   string            `json:"session,omitempty"`
	Call      string            `json:"call,omitempty"`
	Caller    string            `json:"caller,omitempty"` // the call that made this one, where a plugin did
	Plugin    string            `json:"plugin,omitempty"`
	Digest    string            `json:"digest,omitempty"` // the plugin's
	Tool      string            `json:"tool,omitempty"`
	Op        string            `json:"op,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
	Code      string            `json:"code,omitempty"` // an abi.Code's name; "" is success
	Message   string            `json:"message,omitempty"`
	Prev      string            `json:"prev"` // the hash of the line before
	Hash      string            `json:"hash,omitempty"`
}

// Bounds of an entry, in bytes unless said otherwise.
const (
	MaxLine    = 128 << 10 // a line as it is written, its line feed included
	MaxName    = 256       // each string but the ones below
	MaxMessage = 2048
	MaxDetail  = 8 << 10 // keys and values of Detail together
	MaxKeys    = 32      // members of Detail
	MaxKey     = 64      // one of its keys
	MaxValue   = 1024    // one of its values
)

// keyRest is the key that says how many members of Detail were left out.
const keyRest = "…"

// bounded returns e with everything cut to its bounds.
func bounded(e Entry) Entry {
	for _, s := range []*string{&e.Kind, &e.Principal, &e.Request, &e.Session, &e.Call, &e.Caller, &e.Plugin, &e.Digest, &e.Tool, &e.Op, &e.Code} {
		*s = cut(*s, MaxName)
	}
	e.Message = cut(e.Message, MaxMessage)
	if len(e.Detail) == 0 {
		e.Detail = nil
		return e
	}
	detail, total := map[string]string{}, 0
	keys := slices.Sorted(maps.Keys(e.Detail))
	for i, key := range keys {
		k, v := cut(key, MaxKey), cut(e.Detail[key], MaxValue)
		if total += len(k) + len(v); len(detail) == MaxKeys-1 && i < len(keys)-1 || total > MaxDetail {
			detail[keyRest] = fmt.Sprintf("(+%d)", len(keys)-i)
			break
		}
		detail[k] = v
	}
	e.Detail = detail
	return e
}

// cut makes s valid UTF-8 of at most n bytes; what was cut is replaced by a
// mark with its length.
func cut(s string, n int) string {
	if len(s) <= n {
		if s = strings.ToValidUTF8(s, "\uFFFD"); len(s) <= n {
			return s
		}
	}
	mark := func(kept int) string { return "…(+" + strconv.Itoa(len(s)-kept) + " bytes)" }
	room := n - len(mark(0))
	head := strings.ToValidUTF8(s[:room], "\uFFFD")
	for len(head) > room || strings.HasSuffix(head, "\uFFFD") {
		_, size := utf8.DecodeLastRuneInString(head)
		head = head[:len(head)-size]
	}
	return head + mark(len(head))
}

const (
	hashMember = `,"hash":"`
	hashHex    = 2 * sha256.Size
	lineEnd    = len(hashMember) + hashHex + len(`"}`) // without the line feed
)

// zeroHash is the prev of the first entry.
var zeroHash = strings.Repeat("0", hashHex)

// encode sets e.Hash and returns e's line.
func (e *Entry) encode() ([]byte, error) {
	e.Hash = ""
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	body := plain(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
	sum := sha256.Sum256(body)
	e.Hash = hex.EncodeToString(sum[:])
	line := append(body[:len(body)-1:len(body)-1], hashMember...)
	line = append(line, e.Hash...)
	return append(line, "\"}\n"...), nil
}

// plain escapes the control and formatting characters that JSON lets through,
// such as the terminal's CSI and the marks that turn text round. They can
// stand in strings only, so bytes of JSON stay JSON.
func plain(b []byte) []byte {
	if !bytes.ContainsFunc(b, odd) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case !odd(r):
			out = append(out, b[:n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out
}

func odd(r rune) bool { return r >= 0x7f && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }

// decode reads a line without its line feed.
func decode(line []byte) (Entry, error) {
	var e Entry
	err := json.Unmarshal(line, &e)
	return e, err
}

// hashed returns the hash that a line should have and the one it has. It is
// false where the line doesn't end as lines do.
func hashed(line []byte) (want, has string, ok bool) {
	at := len(line) - lineEnd
	if at < 0 || !bytes.HasPrefix(line[at:], []byte(hashMember)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return "", "", false
	}
	h := sha256.New()
	h.Write(line[:at])
	h.Write([]byte("}"))
	return hex.EncodeToString(h.Sum(nil)), string(line[at+len(hashMember) : at+len(hashMember)+hashHex]), true
}
