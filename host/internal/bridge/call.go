package bridge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
)

var levels = map[string]hclog.Level{
	"debug": hclog.Debug,
	"info":  hclog.Info,
	"warn":  hclog.Warn,
	"error": hclog.Error,
}

// callLog writes a line of the plugin's. What it says is a stranger's text: it
// is cut to its bounds, stays on its line, and its fields can't pass for ours.
func (c *Call) callLog(op string, frame []byte) ([]byte, error) {
	var req abi.LogRequest
	if err := decode(op, frame, &req); err != nil {
		return nil, err
	}
	level, ok := levels[req.Level]
	if !ok {
		return nil, invalid(op, "/level", "level is %q: use debug, info, warn or error", req.Level)
	}
	if err := c.count(op, &c.lines, abi.MaxLogLines, "log lines"); err != nil {
		return nil, err
	}
	keys := slices.Sorted(maps.Keys(req.Fields))
	if n := len(keys) - abi.MaxLogFields; n > 0 {
		keys = keys[:abi.MaxLogFields]
		defer c.plugin.Debug("log line has too many fields", "dropped", n)
	}
	args := make([]any, 0, 2*len(keys))
	for _, k := range keys {
		args = append(args, fieldName(k), fieldValue(req.Fields[k]))
	}
	c.plugin.Log(level, oneLine(cut(req.Message, abi.MaxLogMessageBytes)), args...)
	return abi.EncodeFrame(nil, nil)
}

// callProgress tells the agent how far the call has come.
func (c *Call) callProgress(op string, frame []byte) ([]byte, error) {
	var req abi.ProgressRequest
	if err := decode(op, frame, &req); err != nil {
		return nil, err
	}
	switch {
	case req.Progress < 0:
		return nil, invalid(op, "/progress", "progress is negative: %v", req.Progress)
	case req.Total < 0:
		return nil, invalid(op, "/total", "total is negative: %v", req.Total)
	}
	if err := c.count(op, &c.reports, abi.MaxProgress, "progress reports"); err != nil {
		return nil, err
	}
	req.Message = cut(req.Message, abi.MaxLogMessageBytes)
	c.emit(abi.Event{Type: abi.EventProgress, Progress: &req})
	return abi.EncodeFrame(nil, nil)
}

// callConfig answers with what the operator set.
func (c *Call) callConfig(op string, frame []byte) ([]byte, error) {
	if err := decode(op, frame, &struct{}{}); err != nil {
		return nil, err
	}
	config := c.config.Config
	if config == nil {
		config = map[string]string{}
	}
	return abi.EncodeFrame(abi.ConfigResponse{Config: config}, nil)
}

// count adds one to n, up to a bound.
func (c *Call) count(op string, n *int, bound int, what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *n >= bound {
		return abi.Errorf(abi.CodeResourceExhausted, "%s: a call has at most %d %s", op, bound, what)
	}
	*n++
	return nil
}

// fieldName returns the name of a plugin's log field: marked as the plugin's,
// and of characters that every log format takes as they are.
func fieldName(name string) string {
	return "plugin." + strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '.' || r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '_'
	}, cut(name, 64))
}

// fieldValue returns the value of a plugin's log field: numbers and booleans as
// they are, anything else as one line of text.
func fieldValue(v any) any {
	switch v := v.(type) {
	case float64, bool:
		return v
	case string:
		return oneLine(cut(v, abi.MaxLogFieldBytes))
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	return oneLine(cut(string(b), abi.MaxLogFieldBytes))
}

// cut returns the first n bytes of s, at the border of a character, and marks
// that there was more.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// oneLine escapes what could end a line of the log or move a terminal's cursor.
func oneLine(s string) string {
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func hidden(r rune) bool { return !unicode.IsPrint(r) }
