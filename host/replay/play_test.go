package replay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/replay"
)

// frame makes a request or a response.
func frame(t testing.TB, header string, body string) []byte {
	t.Helper()
	b, err := abi.EncodeFrame(json.RawMessage(header), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func text(s string) abi.CallResponse {
	return abi.CallResponse{Result: &abi.Result{Content: []abi.Content{{Type: abi.ContentText, Text: s}}}}
}

// A desk is a host and a workspace in memory.
type desk struct {
	t     testing.TB
	files fstest.MapFS
	// answers are responses' headers by operation, or errors.
	answers map[string]any
	// during is done while an operation is carried out.
	during func(op string)
}

func newDesk(t testing.TB, answers map[string]any) *desk {
	return &desk{t: t, files: fstest.MapFS{"output": {Mode: fs.ModeDir}}, answers: answers, during: func(string) {}}
}

func (d *desk) dispatch(_ context.Context, op string, _ []byte) ([]byte, error) {
	d.during(op)
	switch answer := d.answers[op].(type) {
	case string:
		header, body, _ := strings.Cut(answer, "|")
		return frame(d.t, header, body), nil
	case error:
		return nil, answer
	}
	return frame(d.t, "{}", ""), nil
}

func (d *desk) write(path, data string) { d.files[path] = &fstest.MapFile{Data: []byte(data)} }

func (d *desk) tree() (replay.Tree, error) { return replay.ReadTree(d.files) }

// record calls plugin with a Recorder and returns the case as it is read back
// from its file.
func (d *desk) record(c *replay.Case, plugin func(*replay.Recorder, replay.Dispatch) abi.CallResponse) *replay.Case {
	d.t.Helper()
	r, err := replay.NewRecorder(replay.RecorderConfig{Case: c, Next: d.dispatch, Files: d.tree})
	if err != nil {
		d.t.Fatal(err)
	}
	response := plugin(r, r.Dispatch)
	if c.Recording, err = r.Recording(response, "printed\n"); err != nil {
		d.t.Fatal(err)
	}
	return parse(d.t, string(c.Format()))
}

// ask has a dispatch carry out an operation, whatever comes of it.
func ask(t testing.TB, dispatch replay.Dispatch, op, header string) string {
	t.Helper()
	b, err := dispatch(t.Context(), op, frame(t, header, ""))
	if err != nil {
		return err.Error()
	}
	f, err := abi.DecodeFrame(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(f.Header) + "|" + string(f.Body)
}

func TestAPlayerAnswersAsTheHostDid(t *testing.T) {
	d := newDesk(t, map[string]any{
		abi.OpKernelExecute: `{"status":"ok","outputs":[],"duration_ms":17}`,
		abi.OpHTTPFetch:     "{\"status\":200}|\x00\xff",
		abi.OpKernelReset:   abi.Errorf(abi.CodePermissionDenied, "not granted").WithHint("ask"),
		abi.OpCallWait:      errors.New("a secret cause"),
	})
	var said []string
	plugin := func(dispatch replay.Dispatch) abi.CallResponse {
		said = nil
		for _, call := range [][2]string{
			{abi.OpCallConfig, `{}`},
			{abi.OpKernelExecute, `{"code":"1"}`},
			{abi.OpHTTPFetch, `{"url":"https://example.com/"}`},
			{abi.OpKernelReset, `{}`},
			{abi.OpCallWait, `{"tasks":[1]}`},
		} {
			said = append(said, ask(t, dispatch, call[0], call[1]))
		}
		_, err := dispatch(t.Context(), abi.OpCallLog, []byte{1})
		said = append(said, fmt.Sprint(err))
		return text("done")
	}
	c := d.record(&replay.Case{
		Tool: "run", Config: map[string]string{"units": "metric"},
		Fixes: []replay.Fix{{Op: abi.OpKernelExecute, Pointer: "/duration_ms", Value: json.RawMessage("0")}},
	}, func(_ *replay.Recorder, dispatch replay.Dispatch) abi.CallResponse { return plugin(dispatch) })
	recorded := said
	if want := []string{
		`{"config":{"units":"metric"}}|`,
		`{"status":"ok","outputs":[],"duration_ms":0}|`,
		"{\"status\":200}|\x00\xff",
		"permission_denied: not granted",
		"internal: the host failed; its log has the cause",
		"<nil>",
	}; fmt.Sprintf("%q", recorded) != fmt.Sprintf("%q", want) {
		t.Errorf("the plugin was told\n%q, want\n%q", recorded, want)
	}

	p := replay.NewPlayer(c.Recording, nil)
	response := plugin(p.Dispatch)
	if fmt.Sprintf("%q", said) != fmt.Sprintf("%q", recorded) {
		t.Errorf("the player says\n%q, and it was\n%q", said, recorded)
	}
	if m := p.Finish(response, "printed\n", nil); m != nil {
		t.Errorf("a mismatch:\n%s", m.Trace())
	}
	if c.Stale() {
		t.Error("it is stale")
	}
}

// What an operation did to files is done again, and what the plugin did is left
// to it.
func TestAnOperationsFilesAreToldFromThePlugins(t *testing.T) {
	d := newDesk(t, map[string]any{abi.OpKernelExecute: `{"status":"ok"}`})
	d.write("output/old", "old")
	d.during = func(op string) {
		switch op {
		case abi.OpKernelExecute:
			d.write("output/folder/chart", "a chart")
			delete(d.files, "output/old")
		case abi.OpCallLog:
			d.write("output/task", "of a task that goes on")
		}
	}
	c := d.record(&replay.Case{Tool: "run", Files: []replay.File{{Path: "output/old", Data: []byte("old")}}}, func(r *replay.Recorder, dispatch replay.Dispatch) abi.CallResponse {
		r.Touch("output/mine")
		d.write("output/mine", "the plugin's")
		ask(t, dispatch, abi.OpKernelExecute, `{"code":"1"}`)
		r.Touch("output/mine")
		d.write("output/mine", "the plugin's again")
		ask(t, dispatch, abi.OpCallLog, `{}`)
		ask(t, dispatch, abi.OpCallWait, `{"tasks":[1]}`)
		return text("done")
	})
	var got []string
	for _, call := range c.Recording.Calls {
		for _, ch := range call.Changes {
			got = append(got, fmt.Sprintf("%s %s %q %v", call.Op, ch.Path, ch.Data, ch.Removed))
		}
	}
	if want := []string{
		`kernel.execute output/folder/chart "a chart" false`,
		`kernel.execute output/old "" true`,
		`call.wait output/task "of a task that goes on" false`,
	}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the changes are %q", got)
	}
	if n := len(c.Recording.Changes); n != 4 { // mine, the chart, old, the task's
		t.Errorf("different in the end: %+v", c.Recording.Changes)
	}
	var applied []string
	p := replay.NewPlayer(c.Recording, func(list []replay.Change) error {
		for _, ch := range list {
			applied = append(applied, ch.Path)
		}
		return nil
	})
	ask(t, p.Dispatch, abi.OpKernelExecute, `{"code":"1"}`)
	if fmt.Sprint(applied) != "[output/folder/chart output/old]" {
		t.Errorf("the player did %q", applied)
	}
}

// A task's output comes when it comes: it is kept with the call that waits.
func TestWhatTheAgentIsSentIsKeptWhereItIsStable(t *testing.T) {
	d := newDesk(t, map[string]any{abi.OpKernelExecute: `{"task":1}`, abi.OpCallWait: `{"task":1,"response":{}}`})
	print := func(r *replay.Recorder, s string) {
		r.Emit(abi.Event{Type: abi.EventOutput, Output: &abi.Output{Type: abi.OutputStream, Name: "stdout", Text: s}})
	}
	c := d.record(&replay.Case{Tool: "run"}, func(r *replay.Recorder, dispatch replay.Dispatch) abi.CallResponse {
		ask(t, dispatch, abi.OpKernelExecute, `{"code":"1","async":true}`)
		print(r, "a")
		ask(t, dispatch, abi.OpCallLog, `{"level":"info","message":"x"}`)
		print(r, "b\n")
		ask(t, dispatch, abi.OpCallWait, `{"tasks":[1]}`)
		r.Emit(abi.Event{Type: abi.EventProgress, Progress: &abi.ProgressRequest{Progress: 1}})
		ask(t, dispatch, abi.OpCallProgress, `{"progress":1}`)
		return text("done")
	})
	calls := c.Recording.Calls
	if len(calls[0].Events)+len(calls[1].Events) != 0 {
		t.Errorf("events that came by chance are kept with %+v", calls[:2])
	}
	if e := calls[2].Events; len(e) != 1 || e[0].Output.Text != "ab\n" {
		t.Errorf("the output is %+v", e)
	}
	if e := calls[3].Events; len(e) != 1 || e[0].Progress.Progress != 1 {
		t.Errorf("the progress is %+v", e)
	}
}

func TestAFixThatFixesNothingIsAMistake(t *testing.T) {
	d := newDesk(t, map[string]any{abi.OpKernelExecute: `{"status":"ok"}`})
	r, err := replay.NewRecorder(replay.RecorderConfig{Next: d.dispatch, Case: &replay.Case{
		Tool: "run", Fixes: []replay.Fix{{Op: abi.OpKernelExecute, Pointer: "/duration", Value: json.RawMessage("0")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, r.Dispatch, abi.OpKernelExecute, `{}`)
	if _, err := r.Recording(text(""), ""); abi.CodeOf(err) != abi.CodeInvalidArgument || !strings.Contains(err.Error(), "no response of kernel.execute has a /duration to fix") {
		t.Errorf("got %v", err)
	}
}

func TestAFixReachesInsideAResponse(t *testing.T) {
	d := newDesk(t, map[string]any{abi.OpHTTPFetch: `{"header":[{"name":"A","value":"1"},{"name":"Date","value":"now"}],"a/b":{"~":[1,2,[3]]}}`})
	fix := func(pointer, value string) replay.Fix {
		return replay.Fix{Op: abi.OpHTTPFetch, Pointer: pointer, Value: json.RawMessage(value)}
	}
	c := d.record(&replay.Case{Tool: "run", Fixes: []replay.Fix{fix("/header/1/value", `"then"`), fix("/a~1b/~0/2/0", "4"), fix("/a~1b/~0/0", "{}")}},
		func(_ *replay.Recorder, dispatch replay.Dispatch) abi.CallResponse {
			ask(t, dispatch, abi.OpHTTPFetch, `{}`)
			return text("")
		})
	want := `{"header":[{"name":"A","value":"1"},{"name":"Date","value":"then"}],"a/b":{"~":[{},2,[4]]}}`
	if got := string(c.Recording.Calls[0].Response.Header); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLinksAndTooMuchAreNotRecorded(t *testing.T) {
	d := newDesk(t, nil)
	d.files["output/link"] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("elsewhere")}
	if _, err := d.tree(); abi.CodeOf(err) != abi.CodeFailedPrecondition || !strings.Contains(err.Error(), "output/link is neither a file nor a folder") {
		t.Errorf("a link: %v", err)
	}
	delete(d.files, "output/link")
	d.write("output/large", strings.Repeat("x", 65<<20))
	if _, err := d.tree(); abi.CodeOf(err) != abi.CodeResourceExhausted {
		t.Errorf("65 MiB: %v", err)
	}
}

func TestTheClockGoesOnWhenItIsReadAndWhenThePluginSleeps(t *testing.T) {
	c := parse(t, "-- case --\ntool: run\n")
	clock := replay.NewClock(c.Start())
	if got := clock.Now(); !got.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("it starts at %v", got)
	}
	a := clock.Now()
	clock.Sleep(time.Hour)
	if b := clock.Now(); !b.After(a.Add(time.Hour)) {
		t.Errorf("after an hour of sleep %v is %v", a, b)
	}
}

func TestRandomBytesAreTheSeeds(t *testing.T) {
	draw := func(seed uint64) string {
		b := make([]byte, 16)
		if _, err := io.ReadFull((&replay.Case{Tool: "run", Seed: seed}).Random(), b); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := draw(1)
	if draw(1) != first || draw(2) == first || draw(0) == first {
		t.Error("a seed is not what random bytes are drawn from")
	}
}
