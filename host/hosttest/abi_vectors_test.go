package hosttest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"golang.org/x/tools/txtar"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/bridge"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// A trace is a vector of testdata/abi: what a guest does, what it gets, and on
// what host.
type trace struct {
	name   string
	setup  setup
	lines  []string
	events *string // nil where the vector doesn't say
}

// A setup is the host of a trace: what is granted to the guest, and how the
// capabilities behave.
type setup struct {
	Capabilities abi.Capabilities
	Config       map[string]string
	Kernel       map[string]execution // by code; nil where the host has none
	HTTP         map[string]exchange  // by URL; nil where the host has none
	Tool         map[string]answer    // by full name; nil where the host has none
	Files        map[string]string    // in the zones
}

// An execution is what the kernel makes of one code.
type execution struct {
	Header json.RawMessage // of the response
	Body   string          // of the response, in hex
	Stream []abi.Output    // on the way
	Error  *abi.Error
	Block  bool // until it is cancelled
}

// An exchange is what a server answers to a request for one URL.
type exchange struct {
	Header abi.HTTPFetchResponse
	Body   string // in hex
	Repeat int    // of Body; zero is once
	Echo   bool   // the body is the request's method, headers and body instead, a line each
	Error  *abi.Error
	Broken *abi.Error // after the body
	Block  bool       // until it is cancelled
}

// An answer is what a tool of another plugin comes to.
type answer struct {
	Header json.RawMessage // of a call response
	Body   string          // of it, in hex
	Events []abi.Event     // on the way
	Echo   bool            // the result is the arguments as text instead
	Error  *abi.Error
	Block  bool // until it is cancelled
}

// traces reads the trace vectors.
func traces(t *testing.T) []trace {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "abi", "trace_*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("there are %d trace vectors", len(files))
	}
	var list []trace
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tr := trace{name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
		for _, f := range archive.Files {
			text := strings.TrimSpace(string(f.Data))
			switch f.Name {
			case "host":
				d := json.NewDecoder(strings.NewReader(text))
				d.DisallowUnknownFields()
				if err := d.Decode(&tr.setup); err != nil {
					t.Fatalf("%s: %v", tr.name, err)
				}
			case "trace":
				tr.lines = strings.Split(text, "\n")
			case "events":
				tr.events = &text
			default:
				t.Fatalf("%s: unknown section %q", tr.name, f.Name)
			}
		}
		list = append(list, tr)
	}
	return list
}

// A traceStep is one thing that a guest is told to do.
type traceStep struct {
	Op      string          `json:"op"`
	Request json.RawMessage `json:"request,omitempty"`
	Frame   *string         `json:"frame,omitempty"` // in the request's place, in hex
	Body    string          `json:"body,omitempty"`
	Cap     int             `json:"cap"`
	At      int64           `json:"at,omitempty"`
	Path    string          `json:"path,omitempty"`
	Text    string          `json:"text,omitempty"`
}

// steps reads the ==> lines.
func (tr trace) steps(t *testing.T) []traceStep {
	t.Helper()
	var list []traceStep
	for _, line := range tr.lines {
		call, ok := strings.CutPrefix(line, "==> ")
		if !ok {
			continue
		}
		var s traceStep
		var rest string
		s.Op, rest, _ = strings.Cut(call, " ")
		if strings.HasPrefix(s.Op, "file.") {
			s.Path, s.Text, _ = strings.Cut(rest, " ")
			list = append(list, s)
			continue
		}
		if strings.HasPrefix(rest, "{") {
			d := json.NewDecoder(strings.NewReader(rest))
			if err := d.Decode(&s.Request); err != nil {
				t.Fatalf("%s: %s: %v", tr.name, line, err)
			}
			rest = rest[d.InputOffset():]
		}
		for _, option := range strings.Fields(rest) {
			key, value, _ := strings.Cut(option, "=")
			var err error
			switch key {
			case "cap":
				s.Cap, err = strconv.Atoi(value)
			case "at":
				s.At, err = strconv.ParseInt(value, 10, 64)
			case "body":
				s.Body = value
			case "frame":
				s.Frame = &value
			default:
				err = fmt.Errorf("unknown option %q", key)
			}
			if err != nil {
				t.Fatalf("%s: %s: %v", tr.name, line, err)
			}
		}
		list = append(list, s)
	}
	return list
}

// compare holds the lines that a guest got against the <== lines.
func (tr trace) compare(t *testing.T, got []string) {
	t.Helper()
	var whole strings.Builder
	i, same := 0, true
	for _, line := range tr.lines {
		if strings.HasPrefix(line, "==> ") {
			whole.WriteString(line + "\n")
			continue
		}
		have := "<== nothing"
		if i < len(got) {
			have = got[i]
		}
		i++
		whole.WriteString(have + "\n")
		same = same && matches(line, have)
	}
	if !same || i != len(got) {
		t.Errorf("trace:\n%s\nwant:\n%s", whole.String(), strings.Join(tr.lines, "\n"))
	}
}

// matches says whether a line is the one expected, in which … is anything.
func matches(want, have string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(have)
}

// scripted is a kernel that does what a trace's host section says.
type scripted map[string]execution

func (k scripted) Execute(ctx context.Context, r abi.KernelExecuteRequest, sink func(abi.Output)) (abi.KernelExecuteResponse, error) {
	e, ok := k[r.Code]
	switch {
	case !ok:
		return abi.KernelExecuteResponse{}, abi.Errorf(abi.CodeInternal, "the vector has no answer to %q", r.Code)
	case e.Block:
		<-ctx.Done()
		return abi.KernelExecuteResponse{}, ctx.Err()
	case e.Error != nil:
		return abi.KernelExecuteResponse{}, e.Error
	}
	body, err := hex.DecodeString(e.Body)
	if err != nil {
		return abi.KernelExecuteResponse{}, err
	}
	for _, o := range e.Stream {
		for i := range o.Blobs {
			o.Blobs[i].Bytes = body[o.Blobs[i].Offset:][:o.Blobs[i].Length]
		}
		sink(o)
	}
	return abi.DecodeKernelExecute(abi.Frame{Header: e.Header, Body: body})
}

func (scripted) Interrupt(context.Context, string) error { return nil }
func (scripted) Reset(context.Context, string) error     { return nil }
func (scripted) Status(language string) abi.KernelStatusResponse {
	return abi.KernelStatusResponse{State: abi.KernelIdle, Language: language, PID: 4711, Executions: 3, Starts: 1}
}

// web is a network that answers as a trace's host section says.
type web map[string]exchange

func (w web) Fetch(ctx context.Context, r abi.HTTPFetchRequest, sent []byte) (abi.HTTPFetchResponse, io.ReadCloser, error) {
	e, ok := w[r.URL]
	switch {
	case !ok:
		return abi.HTTPFetchResponse{}, nil, abi.Errorf(abi.CodeInternal, "the vector has no answer to %q", r.URL)
	case e.Block:
		<-ctx.Done()
		return abi.HTTPFetchResponse{}, nil, ctx.Err()
	case e.Error != nil:
		return abi.HTTPFetchResponse{}, nil, e.Error
	}
	body, err := hex.DecodeString(strings.Repeat(e.Body, max(1, e.Repeat)))
	if err != nil {
		return abi.HTTPFetchResponse{}, nil, err
	}
	if e.Echo {
		var lines strings.Builder
		lines.WriteString(r.Method + "\n")
		for _, h := range r.Header {
			lines.WriteString(h.Name + ": " + h.Value + "\n")
		}
		body = append([]byte(lines.String()), sent...)
	}
	var rest io.Reader = bytes.NewReader(body)
	if e.Broken != nil {
		rest = io.MultiReader(rest, iotest.ErrReader(e.Broken))
	}
	return e.Header, io.NopCloser(rest), nil
}

// others are tools that answer as a trace's host section says.
type others map[string]answer

func (o others) Call(ctx context.Context, tool string, arguments json.RawMessage, sink func(abi.Event)) (*abi.Result, string, error) {
	a, ok := o[tool]
	switch {
	case !ok:
		return nil, "", abi.Errorf(abi.CodeInternal, "the vector has no answer of %q", tool)
	case a.Block:
		<-ctx.Done()
		return nil, "c-2", ctx.Err()
	case a.Error != nil:
		return nil, "c-2", a.Error
	case a.Echo:
		return &abi.Result{Content: []abi.Content{{Type: abi.ContentText, Text: string(arguments)}}}, "c-2", nil
	}
	for _, e := range a.Events {
		sink(e)
	}
	body, err := hex.DecodeString(a.Body)
	if err != nil {
		return nil, "", err
	}
	r, err := abi.DecodeCallResponseFrame(abi.Frame{Header: a.Header, Body: body})
	return r.Result, "c-2", err
}

// zoneFS is a workspace's view as the engine wants it.
type zoneFS struct{ *workspace.FS }

func (z zoneFS) OpenFile(name string, flag int, perm fs.FileMode) (engine.File, error) {
	f, err := z.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// mounts makes a workspace with the setup's files and its views.
func (s setup) mounts(t *testing.T) []engine.Mount {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	w, err := workspace.Open(workspace.Config{Dir: filepath.Join(dir, "zones")})
	must(err)
	t.Cleanup(func() { _ = w.Close() })
	for name, text := range s.Files {
		zone, file, _ := strings.Cut(name, "/")
		must(os.WriteFile(filepath.Join(w.Path(zone), file), []byte(text), 0o644))
	}
	scratch, remove, err := workspace.Scratch(filepath.Join(dir, "tmp"), 1<<20)
	must(err)
	t.Cleanup(func() { _ = remove() })
	list := []engine.Mount{{Path: abi.MountTmp, FS: zoneFS{scratch}}}
	for _, zone := range abi.Zones() {
		m := engine.Mount{Path: "/" + zone}
		if f := s.Capabilities.Files; f != nil && *f.Zone(zone) != abi.AccessNone {
			view, err := w.FS(zone, *f.Zone(zone))
			must(err)
			m.FS = zoneFS{view}
		} else {
			m.Denied = &abi.Error{Code: abi.CodePermissionDenied, Message: zone + " was not granted", Grant: "files." + zone + ": read"}
		}
		list = append(list, m)
	}
	return list
}

// A played is what a call on a setup came to.
type played struct {
	response abi.CallResponse
	err      error
	events   string // a line of JSON each, without their number and time
	records  []bridge.Record
}

// call runs a guest's tool through engine and bridge.
func (s setup) call(t *testing.T, g *guest, tool string, arguments any) played {
	t.Helper()
	raw, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	request, err := abi.EncodeFrame(abi.CallRequest{Tool: tool, Session: "s-1", Call: "c-1", Arguments: raw}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p played
	var mu sync.Mutex // audit is called by tasks as well
	var events []string
	config := bridge.Config{
		Capabilities: s.Capabilities,
		Config:       s.Config,
		Audit: func(r bridge.Record) error {
			mu.Lock()
			defer mu.Unlock()
			p.records = append(p.records, r)
			return nil
		},
		Emit: func(e abi.Event) {
			b, err := json.Marshal(e)
			if err != nil {
				t.Error(err)
			}
			events = append(events, strings.Replace(string(b), `"seq":0,"ts":"",`, "", 1))
		},
	}
	if s.Kernel != nil {
		config.Kernel = scripted(s.Kernel)
	}
	if s.HTTP != nil {
		config.HTTP = web(s.HTTP)
	}
	if s.Tool != nil {
		config.Tool = others(s.Tool)
	}
	b := bridge.New(config)
	answer, err := g.plugin.Call(t.Context(), engine.Call{
		Tool: g.tool(t, tool), Request: request, Mounts: s.mounts(t), Dispatch: b.Dispatch,
	})
	b.Close()
	p.events = strings.Join(events, "\n")
	if err == nil {
		p.response, err = abi.DecodeCallResponse(answer.Response)
	}
	p.err = err
	return p
}

// text returns what a tool answered, which is one block of text.
func (p played) text(t *testing.T) string {
	t.Helper()
	switch {
	case p.err != nil:
		t.Fatal(p.err)
	case p.response.Error != nil:
		t.Fatalf("the tool failed: %v", p.response.Error)
	case len(p.response.Result.Content) != 1 || p.response.Result.Content[0].Type != abi.ContentText:
		t.Fatalf("the tool answered with %+v", p.response.Result.Content)
	}
	return p.response.Result.Content[0].Text
}

// TestTraceVectorsOnTheHost has a guest that isn't Go's do what each trace says,
// on the real engine and the real bridge.
func TestTraceVectorsOnTheHost(t *testing.T) {
	g := cprobe(t)
	for _, tr := range traces(t) {
		t.Run(tr.name, func(t *testing.T) {
			p := tr.setup.call(t, g, "trace", map[string]any{"steps": tr.steps(t)})
			if abi.CodeOf(p.err) == abi.CodePluginFailed {
				tr.compare(t, []string{"<== trap"})
				return
			}
			tr.compare(t, strings.Split(strings.TrimSpace(p.text(t)), "\n"))
			if tr.events != nil && p.events != *tr.events {
				t.Errorf("events:\n%s\nwant:\n%s", p.events, *tr.events)
			}
			p.checkAudit(t)
		})
	}
}

// checkAudit holds that every intent has an outcome by the end of the call, and
// that what has none was refused. A body ends without an intent of its own.
func (p played) checkAudit(t *testing.T) {
	t.Helper()
	var open []bridge.Record
	for _, r := range p.records {
		if r.Phase == bridge.PhaseIntent {
			open = append(open, r)
			continue
		}
		i := slices.IndexFunc(open, func(intent bridge.Record) bool {
			for key, value := range intent.Detail {
				if r.Detail[key] != value {
					return false
				}
			}
			return intent.Op == r.Op
		})
		code := abi.CodeOf(r.Err)
		switch {
		case i >= 0:
			open = slices.Delete(open, i, i+1)
		case code != abi.CodePermissionDenied && code != abi.CodeUnavailable && r.Op != abi.OpHTTPClose:
			t.Errorf("an outcome without an intent: %+v", r)
		}
	}
	if len(open) > 0 {
		t.Errorf("intents without an outcome: %+v", open)
	}
}
