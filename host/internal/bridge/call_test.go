package bridge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/bridge"
)

// logging returns a Call whose log is written as JSON, and what reads one line
// of it after the other.
func logging(t *testing.T) (*bridge.Call, func() map[string]any) {
	t.Helper()
	var out bytes.Buffer
	c, _ := newCall(t, nil, func(config *bridge.Config) {
		config.Logger = hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Debug, JSONFormat: true}).
			With("session", "s-1", "call", "c-7")
	})
	lines := json.NewDecoder(&out)
	return c, func() map[string]any {
		t.Helper()
		line := map[string]any{}
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("no line in the log: %v", err)
		}
		return line
	}
}

func TestLogLinesCarryTheirCallAndTheirFields(t *testing.T) {
	c, next := logging(t)
	for _, level := range []string{"debug", "info", "warn", "error"} {
		dispatch(t.Context(), t, c, abi.OpCallLog, `{"level":"`+level+`","message":"read 12 rows","fields":{"file":"a.csv","rows":12,"ok":true,"list":[1,"x"],"none":null}}`)
		line := next()
		for k, want := range map[string]any{
			"@level": level, "@message": "read 12 rows", "@module": "log", "session": "s-1", "call": "c-7",
			"plugin.file": "a.csv", "plugin.rows": 12.0, "plugin.ok": true, "plugin.list": `[1,"x"]`, "plugin.none": "null",
		} {
			if line[k] != want {
				t.Errorf("%s is %v, want %v", k, line[k], want)
			}
		}
	}
}

func TestLogLinesCannotPassForAnothers(t *testing.T) {
	c, next := logging(t)
	dispatch(t.Context(), t, c, abi.OpCallLog,
		`{"level":"info","message":"x\n2026-01-01 [ERROR] host: hacked\u001b[2J","fields":{"session":"s-9","a=\"b\" c\n":"one\ntwo","标题":"标题"}}`)
	line := next()
	for k, want := range map[string]any{
		"@message": `x\n2026-01-01 [ERROR] host: hacked\x1b[2J`, "session": "s-1",
		"plugin.session": "s-9", "plugin.a__b__c_": `one\ntwo`, "plugin.__": "标题",
	} {
		if line[k] != want {
			t.Errorf("%s is %q, want %q", k, line[k], want)
		}
	}
}

func TestLogLinesAreCutToTheirBounds(t *testing.T) {
	c, next := logging(t)
	fields := map[string]any{}
	for i := range abi.MaxLogFields + 8 {
		fields[fmt.Sprintf("f%02d", i)] = strings.Repeat("é", abi.MaxLogFieldBytes)
	}
	header, err := json.Marshal(abi.LogRequest{Level: "info", Message: strings.Repeat("標", abi.MaxLogMessageBytes), Fields: fields})
	if err != nil {
		t.Fatal(err)
	}
	dispatch(t.Context(), t, c, abi.OpCallLog, string(header))
	line := next()
	message, value := line["@message"].(string), line["plugin.f00"].(string)
	if len(message) > abi.MaxLogMessageBytes+len("…") || !strings.HasSuffix(message, "標…") {
		t.Errorf("message has %d bytes and ends with %q", len(message), message[len(message)-9:])
	}
	if len(value) > abi.MaxLogFieldBytes+len("…") || !strings.HasSuffix(value, "é…") {
		t.Errorf("field has %d bytes", len(value))
	}
	if line["plugin.f31"] == nil || line["plugin.f32"] != nil {
		t.Errorf("fields beyond the bound were logged, or some within it were not")
	}
	if next()["dropped"] != 8.0 {
		t.Error("the log doesn't say that fields were dropped")
	}
}

func TestLogLinesAndReportsAreCounted(t *testing.T) {
	tests := []struct {
		op, header string
		bound      int
		what       string
	}{
		{abi.OpCallLog, `{"level":"info","message":"x"}`, abi.MaxLogLines, "log lines"},
		{abi.OpCallProgress, `{"progress":1}`, abi.MaxProgress, "progress reports"},
	}
	for _, tt := range tests {
		t.Run(tt.op, func(t *testing.T) {
			c, r := newCall(t, nil, nil)
			for range tt.bound {
				same(t, "answer", dispatch(t.Context(), t, c, tt.op, tt.header), "{}")
			}
			got := dispatch(t.Context(), t, c, tt.op, tt.header)
			same(t, "answer", got, fmt.Sprintf("resource_exhausted: %s: a call has at most %d %s", tt.op, tt.bound, tt.what))
			if n := strings.Count(r.emitted(), "progress\":{"); n > tt.bound {
				t.Errorf("%d reports were emitted", n)
			}
		})
	}
}

func TestProgressMessagesAreCut(t *testing.T) {
	var got abi.Event
	c, _ := newCall(t, nil, func(config *bridge.Config) { config.Emit = func(e abi.Event) { got = e } })
	dispatch(t.Context(), t, c, abi.OpCallProgress, `{"progress":1,"message":"`+strings.Repeat("x", 2*abi.MaxLogMessageBytes)+`"}`)
	if got.Progress == nil || len(got.Progress.Message) != abi.MaxLogMessageBytes+len("…") {
		t.Errorf("event is %+v", got.Progress)
	}
}
