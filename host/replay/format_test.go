package replay_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/replay"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+replay.Suffix))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, file string) *replay.Case {
	t.Helper()
	c, err := replay.Parse([]byte(file))
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	return c
}

func TestAFileIsWrittenAsItWasRead(t *testing.T) {
	for _, name := range []string{"everything", "refused", "new"} {
		file := read(t, name)
		if got := parse(t, string(file)).Format(); !bytes.Equal(got, file) {
			t.Errorf("%s comes back as\n%s", name, got)
		}
	}
}

func TestAFileHoldsACaseAndItsRecording(t *testing.T) {
	c := parse(t, string(read(t, "everything")))
	if c.Tool != "run" || c.Seed != 7 || !c.Start().Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) || c.Config["units"] != "metric" {
		t.Errorf("the settings are %+v", c)
	}
	if len(c.Fixes) != 2 || c.Fixes[1].Op != abi.OpCallWait || c.Fixes[1].Pointer != "/response/duration_ms" || string(c.Fixes[1].Value) != "0" {
		t.Errorf("the fixes are %+v", c.Fixes)
	}
	files := map[string]string{}
	for _, f := range c.Files {
		files[f.Path] = string(f.Data)
	}
	if want := (map[string]string{
		"upload/data.csv": "a,b\n1,2\n", "upload/logo.png": "\x89PNG\r\n\x1a\n", "upload/note": "no line feed here", "upload/odd (name)": "x\n",
	}); !reflect.DeepEqual(files, want) {
		t.Errorf("the files are %q", files)
	}
	rec := c.Recording
	if rec == nil || len(rec.Calls) != 9 {
		t.Fatalf("the recording is %+v", rec)
	}
	if !c.Stale() {
		t.Error("a recording of another case isn't stale")
	}
	execute := rec.Calls[2]
	if got := string(execute.Response.Body); got != "\x89PNG\r\n\x1a\n" {
		t.Errorf("the response's body is %q", got)
	}
	var req abi.KernelExecuteRequest
	if err := json.Unmarshal(execute.Request.Header, &req); err != nil || !strings.Contains(req.Code, "\nframe.to_csv") {
		t.Errorf("the request is %+v, %v", req, err)
	}
	if len(execute.Events) != 1 || execute.Events[0].Output.Text != "标题\n" {
		t.Errorf("the events are %+v", execute.Events)
	}
	if want := []replay.Change{
		{Path: "output/charts/"}, {Path: "output/table.csv", Data: []byte("a,b\n1,2\n3,4")}, {Path: "output/old.txt", Removed: true},
	}; !reflect.DeepEqual(execute.Changes, want) {
		t.Errorf("the changes of execute are %+v", execute.Changes)
	}
	if e := rec.Calls[5].Error; e == nil || e.Code != abi.CodePermissionDenied || e.Grant != "kernel.languages: r" {
		t.Errorf("the error is %+v", e)
	}
	if got := string(rec.Calls[6].Request.Body); got != "a body\n\nof text\n" {
		t.Errorf("the body is %q", got)
	}
	if got := rec.Calls[7].Request; got.Body != nil || !strings.HasSuffix(got.Digest, " 40000 bytes") {
		t.Errorf("the long body is %+v", got)
	}
	if got := rec.Calls[8].Request; got.Header != nil || !bytes.Equal(got.Body, []byte{1, 0, 0, 0}) {
		t.Errorf("what is no frame is %+v", got)
	}
}

// What people change by hand stays as they wrote it, and makes the recording
// stale where it matters.
func TestAnAuthorsPartIsKeptAndCompared(t *testing.T) {
	c := parse(t, "A comment.\n\n-- case --\n# of the author's\ntool:   run\n-- arguments --\n{\"a\": 1,\n\n \"b\": 2}\n-- upload/x --\nno line feed")
	c.Recording = &replay.Recording{Case: c.Digest(), Result: json.RawMessage(`{"content":[]}`)}
	file := string(c.Format())
	if !strings.HasPrefix(file, "A comment.\n\n-- case --\n# of the author's\ntool:   run\n-- arguments --\n{\"a\": 1,\n\n \"b\": 2}\n-- upload/x --\nno line feed\n-- recorded --\n") {
		t.Errorf("the file is\n%s", file)
	}
	for change, stale := range map[[2]string]bool{
		{"A comment.", "Another."}:                               false,
		{`"a": 1,`, `"a":1,`}:                                    false,
		{"tool:   run", "tool: run"}:                             false,
		{"tool:   run", "tool: walk"}:                            true,
		{`"a": 1,`, `"a": 2,`}:                                   true,
		{"tool: ", "seed: 1\ntool: "}:                            true,
		{"no line feed", "a line feed"}:                          true,
		{"upload/x", "upload/y"}:                                 true,
		{"tool: ", "time: 2026-01-01T00:00:01Z\ntool: "}:         true,
		{"tool: ", "fix: kernel.execute /duration_ms 0\ntool: "}: true,
		{"-- upload", "-- config --\n{\"a\":\"b\"}\n-- upload"}:  true,
	} {
		if got := parse(t, strings.Replace(file, change[0], change[1], 1)).Stale(); got != stale {
			t.Errorf("with %q for %q it is stale: %v", change[1], change[0], got)
		}
	}
}

func TestAMistakeIsNamedWithItsLine(t *testing.T) {
	const recorded = "-- case --\ntool: run\n-- recorded --\ncase: sha256:1\n"
	for file, want := range map[string]string{
		"":                                                          "1: there is no section -- case --",
		"-- arguments --\n{}\n":                                     "1: there is no section -- case --",
		"-- case --\n":                                              "1: the case names no tool",
		"-- case --\ntool: Run\n":                                   `2: tool is "Run"`,
		"-- case --\ntool: run\nfoo: 1\n":                           `3: "foo" is no setting`,
		"-- case --\ntool: run\ntool: run\n":                        `3: "tool" is there twice`,
		"-- case --\ntool: run\nseed: x\n":                          `3: seed is "x"`,
		"-- case --\ntool: run\ntime: now\n":                        `3: time is "now"`,
		"-- case --\ntool: run\nfix: x /y 1\n":                      `3: fix is "x /y 1"`,
		"-- case --\ntool: run\n-- arguments --\n[]\n":              "3: arguments is not a JSON object",
		"-- case --\ntool: run\n-- arguments --\n{\n":               "3: arguments: it is not JSON",
		"-- case --\ntool: run\n-- config --\n{\"a\":1}\n":          "3: config is not an object of texts",
		"-- case --\ntool: run\n-- tmp/x --\n":                      `3: "tmp/x" is neither a section nor a file in a zone`,
		"-- case --\ntool: run\n-- output/../x --\n":                `3: "output/../x" is neither`,
		"-- case --\ntool: run\n-- output/x --\n-- output/x --\n":   "4: a second section output/x",
		"-- case --\ntool: run\n-- output/x --\n-- output/x/y --\n": "1: output/x is a file and a folder",
		"-- case --\ntool: run\n-- output/x (removed) --\n":         "3: output/x can't be (removed) here",
		"-- case --\ntool: run\n-- output/x (gone) --\n":            `3: a section's name is followed by ("gone")`,
		"-- case --\ntool: run\n-- output/x (base64) --\n!\n":       "3: output/x is not base64",
		recorded:                                                                    "3: a recording has one section result, or one error",
		recorded + "-- calls --\nx\n":                                               `6: "x" is no line of a call`,
		recorded + "-- calls --\n==> x.y {}\n":                                      `6: there is no operation "x.y"`,
		recorded + "-- calls --\n==> call.log {}\n":                                 "6: call.log has no answer",
		recorded + "-- calls --\n==> call.log {\n<== {}\n":                          `6: "{": it is not JSON`,
		recorded + "-- calls --\n==> call.log {}\n<== error {}\n":                   `7: "{}" is no error`,
		recorded + "-- calls --\n==> call.log {}\n<== {}\n  # sha256:1 1 bytes\n":   "8: the body of a response has to be there",
		recorded + "-- calls --\n==> call.log {}\n<== {}\n+++ tmp/x\n":              `8: "tmp/x" is not a file in a zone`,
		recorded + "-- calls --\n==> call.log {}\n<== {}\n--- output/x\n  | text\n": `9: "output/x" can't have content`,
		recorded + "-- result --\n{}\n-- output/x (removed) --\ntext\n":             "7: output/x is (removed), and has content",
	} {
		_, err := replay.Parse([]byte(file))
		if abi.CodeOf(err) != abi.CodeInvalidArgument || !strings.HasPrefix(abi.AsError(err).Message, want) {
			t.Errorf("got %v, want %s, of\n%s", err, want, file)
		}
	}
}

// Every content can be held, whatever it is.
func TestAnyFileAndAnyBodyCanBeHeld(t *testing.T) {
	contents := []string{"", "\n", "text", "text\n", "\n\ntext", "-- case --\n", "x\n-- recorded --\n", "\x00\xff", "a\r\nb\r\n", "  | a\n==> b\n", "\u202ebidi\n", strings.Repeat("long", 100)}
	var changes []replay.Change
	var calls []replay.Call
	c := &replay.Case{Tool: "run"}
	for i, content := range contents {
		name := "output/" + string(rune('a'+i))
		c.Files = append(c.Files, replay.File{Path: name, Data: []byte(content)})
		changes = append(changes, replay.Change{Path: name, Data: []byte(content)})
		var body []byte
		if content != "" {
			body = []byte(content)
		}
		calls = append(calls, replay.Call{
			Op: abi.OpHTTPFetch, Request: replay.Part{Header: json.RawMessage(`{"url":"https://example.com/"}`), Body: body},
			Response: replay.Part{Header: json.RawMessage(`{}`), Body: body}, Changes: changes[i:],
		})
	}
	c.Recording = &replay.Recording{Case: c.Digest(), Calls: calls, Result: json.RawMessage(`{"content":[]}`), Changes: changes}
	got := parse(t, string(c.Format()))
	if !reflect.DeepEqual(got.Files, c.Files) {
		t.Errorf("the files come back as %q", got.Files)
	}
	if !reflect.DeepEqual(got.Recording, c.Recording) {
		t.Errorf("the recording comes back as\n%+v\nnot\n%+v", got.Recording, c.Recording)
	}
	if got.Stale() {
		t.Error("it is stale at once")
	}
}
