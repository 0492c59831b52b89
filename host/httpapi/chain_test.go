package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// newRelay starts a host with the plugin that calls others' tools, and some of
// those.
func newRelay(t *testing.T, edit func(*policy.Entry)) *hosttest.Stage {
	t.Helper()
	return hosttest.NewStage(t, hosttest.Options{
		Plugins: []string{"testdata/plugins/relay", "testdata/plugins/badboy", "plugins/files", "plugins/python"},
		Others:  []string{"testdata/plugins/hello"},
		Edit:    edit,
	})
}

// try has relay call a tool, and returns what that came to.
func try(t *testing.T, s *hosttest.Stage, session, tool string, arguments args) (abi.Result, *abi.Error) {
	t.Helper()
	r := s.Agent.Call(session, "relay_try", args{"tool": tool, "arguments": arguments})
	var outcome struct {
		Result abi.Result
		Error  *abi.Error
	}
	if err := json.Unmarshal(r.StructuredContent, &outcome); err != nil {
		t.Fatalf("%v: %s", err, r.StructuredContent)
	}
	return outcome.Result, outcome.Error
}

// revoke takes a plugin off the list.
func revoke(t *testing.T, s *hosttest.Stage, name string) {
	t.Helper()
	b, err := os.ReadFile(s.PolicyFile)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	p.Plugins = slices.DeleteFunc(p.Plugins, func(e policy.Entry) bool { return e.Name == name })
	s.WritePolicy(p)
}

// audited returns a session's entries of a kind.
func audited(t *testing.T, s *hosttest.Stage, session, kind string) []audit.Entry {
	t.Helper()
	var list struct{ Entries []audit.Entry }
	s.Operator.JSON(http.MethodGet, "/v1/audit?session="+session, "", &list)
	return slices.DeleteFunc(list.Entries, func(e audit.Entry) bool { return e.Kind != kind })
}

// TestAPluginAnswersWithWhatAnothersToolDid passes every kind of content
// through a plugin that calls tools of others.
func TestAPluginAnswersWithWhatAnothersToolDid(t *testing.T) {
	s := newRelay(t, nil)
	session := s.Agent.Session()
	relay := func(tool string, arguments args) abi.Result {
		t.Helper()
		return s.Agent.Call(session, "relay_call", args{"tool": tool, "arguments": arguments})
	}
	wrote := relay("files_write", args{"path": "output/a.txt", "content": "hello"})
	if len(wrote.Content) != 2 || wrote.Content[1].URI != "/v1/sessions/"+session+"/files/output/a.txt" {
		t.Errorf("the link is %+v", wrote.Content)
	}
	if a := s.Agent.Do(http.MethodGet, wrote.Content[1].URI, ""); string(a.Body) != "hello" {
		t.Errorf("the link leads to %q", a.Body)
	}
	if got := text(relay("files_read", args{"path": "output/a.txt"})); got != "hello" {
		t.Errorf("the text is %q", got)
	}
	if got := relay("files_list", args{"path": "output"}); !strings.Contains(string(got.StructuredContent), `"output/a.txt"`) {
		t.Errorf("the structure is %s", got.StructuredContent)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	s.Agent.Do(http.MethodPut, "/v1/sessions/"+session+"/files/upload/a.png", picture.String())
	shown := relay("files_read", args{"path": "upload/a.png"})
	if len(shown.Content) != 3 || !bytes.Equal(shown.Content[1].Data, picture.Bytes()) {
		t.Errorf("the picture is %+v", shown.Content)
	}
	if got := relay("python_run", args{"code": "1/0"}); !got.IsError || !strings.Contains(text(got), "ZeroDivisionError") {
		t.Errorf("an exception is %+v", got)
	}
	// It is the session's one kernel of python.
	relay("python_run", args{"code": "kept = 42"})
	if got := text(run(s, session, "kept")); !strings.Contains(got, "42") {
		t.Errorf("the variable is %q", got)
	}
}

// TestWhatACalledToolFailsWith shows a caller the error of the tool that it
// called, or why that wasn't run.
func TestWhatACalledToolFailsWith(t *testing.T) {
	s := newRelay(t, func(e *policy.Entry) {
		if e.Name == "files" {
			e.Grant.Files.Store = abi.AccessNone
		}
		if e.Name == "relay" {
			e.Grant.Tool.Names = slices.DeleteFunc(slices.Clone(e.Grant.Tool.Names), func(n string) bool { return n == "files_list" })
		}
	})
	session := s.Agent.Session()
	for _, c := range []struct {
		name, tool   string
		arguments    args
		code         abi.Code
		message      string
		grant, field string
	}{
		{"a tool that isn't there", "nobody_home", nil, abi.CodeNotFound, `nobody_home: there is no tool "nobody_home"`, "", ""},
		{"a tool that wasn't asked for", "files_edit", nil, abi.CodePermissionDenied, "tool.call of files_edit is not granted", "tool.names: files_edit", ""},
		{"a tool that wasn't granted", "files_list", nil, abi.CodePermissionDenied, "tool.call of files_list is not granted", "tool.names: files_list", ""},
		{"a plugin that isn't on the whitelist", "hello_greet", args{"name": "world"}, abi.CodePermissionDenied, "hello_greet: plugin hello is not on the whitelist", "", ""},
		{"itself", "relay_call", args{"tool": "files_list"}, abi.CodeFailedPrecondition, "relay → relay", "", ""},
		{"arguments that the schema refuses", "files_read", args{"path": 7}, abi.CodeInvalidArgument, "files_read: ", "", "/arguments/path"},
		{"arguments that the tool refuses", "files_read", args{"path": "output/../x"}, abi.CodeInvalidArgument, "files_read: ", "", "/arguments/path"},
		{"a file that isn't there", "files_read", args{"path": "output/none"}, abi.CodeNotFound, "files_read: ", "", ""},
		{"a grant that the tool lacks", "files_write", args{"path": "store/a", "content": "x"}, abi.CodePermissionDenied, "files_write: ", "files.store: ", ""},
		{"a trap", "badboy_trap", nil, abi.CodePluginFailed, "badboy_trap: ", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.arguments == nil {
				c.arguments = args{}
			}
			_, e := try(t, s, session, c.tool, c.arguments)
			if e == nil || e.Code != c.code || !strings.Contains(e.Message, c.message) || !strings.HasPrefix(e.Grant, c.grant) || (c.grant == "") != (e.Grant == "") || c.field != "" && e.Field != c.field {
				t.Errorf("it came to %+v", e)
			}
		})
	}
	a := s.Agent.Try(session, "relay_call", args{"tool": "files_write", "arguments": args{"path": "store/a", "content": "x"}})
	wants(t, a, http.StatusForbidden, abi.CodePermissionDenied, "files_write: ", "files.store")
	refused := audited(t, s, session, audit.KindPluginRefuse)
	if len(refused) != 1 || refused[0].Tool != "hello_greet" || refused[0].Caller == "" {
		t.Errorf("refused: %+v", refused)
	}
}

func TestWhatACalledToolPrintsGoesToTheAgentWhereThatIsAsked(t *testing.T) {
	s := newRelay(t, nil)
	session := s.Agent.Session()
	for _, asked := range []bool{false, true} {
		printed := ""
		var last abi.Event
		var seq int64
		stream(t, t.Context(), s.Agent, session, "relay_call", args{"tool": "python_run", "arguments": args{"code": "print('hello')"}, "stream": asked}, func(e abi.Event) bool {
			if e.Type == abi.EventOutput {
				printed += e.Output.Text
			}
			if e.Type == abi.EventStarted && last.Type != "" {
				t.Errorf("it started twice: %+v", e)
			}
			if seq++; e.Seq != seq {
				t.Errorf("event %d has the number %d", seq, e.Seq)
			}
			last = e
			return true
		})
		if strings.Contains(printed, "hello") != asked {
			t.Errorf("asked for: %v, and the agent sees %q", asked, printed)
		}
		if last.Result == nil || !strings.Contains(text(*last.Result), "hello") {
			t.Errorf("the last event is %+v", last)
		}
	}
}

// TestRevokingACalledPluginEndsThatCallAlone takes the called plugin off the
// list: its caller gets to know, and goes on.
func TestRevokingACalledPluginEndsThatCallAlone(t *testing.T) {
	s := newRelay(t, nil)
	session := s.Agent.Session()
	var last abi.Event
	revoked := false
	stream(t, t.Context(), s.Agent, session, "relay_try", args{"tool": "python_run", "stream": true, "arguments": args{"code": "print('in', flush=True)\nwhile True: pass"}}, func(e abi.Event) bool {
		if e.Type == abi.EventOutput && !revoked {
			revoked = true
			revoke(t, s, "python")
		}
		last = e
		return true
	})
	if last.Result == nil {
		t.Fatalf("the caller ended with %+v %v", last, last.Error)
	}
	if got := string(last.Result.StructuredContent); !strings.Contains(got, `"permission_denied"`) || !strings.Contains(got, "python_run: plugin python was revoked") {
		t.Errorf("the called tool came to %s", got)
	}
}

// TestRevokingACallerEndsTheChain takes the calling plugin off the list while
// the tool that it called runs.
func TestRevokingACallerEndsTheChain(t *testing.T) {
	s := newRelay(t, nil)
	session := s.Agent.Session()
	var last abi.Event
	var at time.Time
	stream(t, t.Context(), s.Agent, session, "relay_try", args{"tool": "python_run", "stream": true, "arguments": args{"code": "print('in', flush=True)\nwhile True: pass"}}, func(e abi.Event) bool {
		if e.Type == abi.EventOutput && at.IsZero() {
			at = time.Now()
			revoke(t, s, "relay")
		}
		last = e
		return true
	})
	if last.Type != abi.EventError || last.Error.Code != abi.CodePermissionDenied || !strings.Contains(last.Error.Message, "plugin relay was revoked") {
		t.Errorf("the call ended with %+v %v", last, last.Error)
	}
	if took := time.Since(at); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	ends := audited(t, s, session, audit.KindCallEnd)
	if len(ends) != 2 || ends[0].Tool != "python_run" || ends[0].Code != "permission_denied" || ends[1].Tool != "relay_try" || ends[0].Caller != ends[1].Call {
		t.Errorf("what ended is %+v", ends)
	}
	if got := text(run(s, session, "6*7")); !strings.Contains(got, "42") {
		t.Errorf("the called plugin suffered: %q", got)
	}
}

func TestACalledToolMeetsItsOwnDeadlineOrItsCallers(t *testing.T) {
	s := newRelay(t, func(e *policy.Entry) {
		switch e.Name {
		case "badboy":
			e.Limits.Deadline = abi.Duration(time.Second)
		case "relay":
			e.Limits.Deadline = abi.Duration(30 * time.Second)
		}
	})
	_, e := try(t, s, s.Agent.Session(), "badboy_loop", args{})
	if e == nil || e.Code != abi.CodeDeadlineExceeded || e.Message != "badboy_loop: the call took longer than its limit of 1s" || e.Limit != "deadline" {
		t.Errorf("at its own it came to %+v", e)
	}
	s = newRelay(t, func(e *policy.Entry) {
		if e.Name == "relay" {
			e.Limits.Deadline = abi.Duration(2 * time.Second)
		}
	})
	session := s.Agent.Session()
	wants(t, s.Agent.Try(session, "relay_try", args{"tool": "badboy_loop"}), http.StatusGatewayTimeout, abi.CodeDeadlineExceeded, "limit of 2s")
	for _, e := range audited(t, s, session, audit.KindCallEnd) {
		if e.Code != "deadline_exceeded" || !strings.Contains(e.Message, "limit of 2s") {
			t.Errorf("%s ended with %s: %s", e.Tool, e.Code, e.Message)
		}
	}
}

// TestACalledToolSpendsOfItsCallersLimits lets a tool take all that its caller
// has left, of which it has plenty itself.
func TestACalledToolSpendsOfItsCallersLimits(t *testing.T) {
	for _, c := range []struct {
		limit, tool string
		set         func(*abi.Limits)
	}{
		{"fuel", "badboy_loop", func(l *abi.Limits) { l.Fuel = 100_000_000 }},
		{"host_calls", "badboy_shout", func(l *abi.Limits) { l.HostCalls = 1000 }},
	} {
		t.Run(c.limit, func(t *testing.T) {
			s := newRelay(t, func(e *policy.Entry) {
				if e.Name == "relay" {
					c.set(&e.Limits)
				}
			})
			session := s.Agent.Session()
			s.Agent.Call(session, "relay_try", args{"tool": "files_list"}) // there is enough for a while
			p := s.Agent.Try(session, "relay_try", args{"tool": c.tool}).Problem(t)
			if p.Code != abi.CodeResourceExhausted || p.Limit != c.limit {
				t.Errorf("it came to %+v", p)
			}
			ends := audited(t, s, session, audit.KindCallEnd)
			if called := ends[len(ends)-2]; called.Tool != c.tool || called.Code != "resource_exhausted" {
				t.Errorf("the called tool ended with %+v", called)
			}
		})
	}
}

// TestACalledToolDoesNotWaitForAPlace has its plugin busy with an agent's call.
func TestACalledToolDoesNotWaitForAPlace(t *testing.T) {
	s := newRelay(t, func(e *policy.Entry) {
		if e.Name == "badboy" {
			e.Limits.Concurrent = 1
		}
	})
	session := s.Agent.Session()
	stream(t, t.Context(), s.Agent, session, "badboy_sleep", args{}, func(e abi.Event) bool {
		_, refusal := try(t, s, session, "badboy_trap", args{})
		if refusal == nil || refusal.Code != abi.CodeResourceExhausted || !refusal.Retryable || refusal.Limit != "concurrent" {
			t.Errorf("%s: it came to %+v", e.Type, refusal)
		}
		return false
	})
}

// newChain starts a host with plugins that each do what they are told, and may
// call one another.
func newChain(t *testing.T, names ...string) *hosttest.Stage {
	t.Helper()
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{"plugins/python"}})
	b, err := os.ReadFile(s.PolicyFile)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	tools := []string{"python_run"}
	for _, name := range names {
		tools = append(tools, name+"_trace")
	}
	for _, name := range names {
		p.Allow(s.Put(hosttest.CProbe(t, func(m *abi.Manifest) {
			m.Name, m.Capabilities.Tool = name, &abi.ToolScope{Names: tools}
		})))
	}
	s.WritePolicy(p)
	return s
}

// through returns the arguments with which each plugin calls the next.
func through(names ...string) args {
	steps := []args{}
	if len(names) > 0 {
		steps = []args{
			{"op": "tool.call", "cap": 1 << 20, "request": args{"tool": names[0] + "_trace", "arguments": through(names[1:]...)}},
			{"op": "call.response", "cap": 1 << 20}, // why it failed, if it did
		}
	}
	return args{"steps": steps}
}

func TestAChainOfCallsIsBoundedAndNeverMeetsItself(t *testing.T) {
	s := newChain(t, "a", "b", "c", "d", "e", "f")
	session := s.Agent.Session()
	for _, c := range []struct {
		chain []string
		want  string // in the result; "" is that nothing failed
	}{
		{[]string{"a", "b", "c", "d", "e"}, ""},
		{[]string{"a", "b", "c", "d", "e", "f"}, "go 4 deep at most: a → b → c → d → e → f"},
		{[]string{"a", "a"}, "plugin a is under way in this chain of calls already: a → a"},
		{[]string{"a", "b", "a"}, "already: a → b → a"},
		{[]string{"a", "b", "c", "d", "b"}, "already: a → b → c → d → b"},
	} {
		before, err := s.Host.AuditLog(audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		got := text(s.Agent.Call(session, c.chain[0]+"_trace", through(c.chain[1:]...)))
		after, err := s.Host.AuditLog(audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		// Far down the chain the answer is in a body, which the probe doesn't show.
		for _, e := range after[min(len(before), len(after)):] {
			got += "\n" + e.Code + " " + e.Message
		}
		if !strings.Contains(got, c.want) || strings.Contains(got, "failed_precondition") != (c.want != "") {
			t.Errorf("%v came to %s", c.chain, got)
		}
	}
}

// TestTheAuditLogFollowsAChain reads who called whom out of the log.
func TestTheAuditLogFollowsAChain(t *testing.T) {
	s := newChain(t, "a", "b", "c")
	session := s.Agent.Session()
	s.Agent.Call(session, "a_trace", through("b", "c"))
	starts := audited(t, s, session, audit.KindCallStart)
	if len(starts) != 3 {
		t.Fatalf("%d calls started", len(starts))
	}
	var caller string
	for i, e := range starts {
		if want := string("abc"[i]); e.Plugin != want || e.Caller != caller || e.Request != starts[0].Request || e.Principal != s.Agent.Principal {
			t.Errorf("call %d is %+v", i, e)
		}
		caller = e.Call
	}
	// An operation names the call that it made, and whatever was done in a
	// call tells who asked for it.
	outcomes := audited(t, s, session, audit.KindOpOutcome)
	if len(outcomes) != 2 {
		t.Fatalf("%d operations ended", len(outcomes))
	}
	for i, e := range outcomes { // the innermost first
		called := starts[2-i]
		if e.Op != abi.OpToolCall || e.Call != called.Caller || e.Detail["call"] != called.Call || e.Detail["tool"] != called.Tool || e.Caller != starts[1-i].Caller {
			t.Errorf("operation %d is %+v", i, e)
		}
	}
}

// TestAToolRunsBesideAKernel has a plugin call a tool that waits for what the
// plugin's own kernel does meanwhile.
func TestAToolRunsBesideAKernel(t *testing.T) {
	s := newChain(t, "a")
	const wait = "import os, time\nwhile not os.path.exists('output/go'): time.sleep(0.01)\nprint('it came')"
	got := text(s.Agent.Call(s.Agent.Session(), "a_trace", args{"steps": []args{
		{"op": "tool.call", "cap": 1 << 10, "request": args{"tool": "python_run", "arguments": args{"code": wait}, "async": true}},
		{"op": "kernel.execute", "cap": 1 << 10, "request": args{"code": "open('output/go', 'w').close()"}},
		{"op": "call.wait", "cap": 1 << 12, "request": args{"tasks": []int{1}}},
	}}))
	if lines := strings.Split(strings.TrimSpace(got), "\n"); len(lines) != 3 || !strings.Contains(lines[0], `{"task":1}`) || !strings.Contains(lines[1], `"status":"ok"`) || !strings.Contains(lines[2], "it came") {
		t.Errorf("it came to %s", got)
	}
}

// TestATaskThatIsCancelledEndsTheCallThatItMade ends a call from within.
func TestATaskThatIsCancelledEndsTheCallThatItMade(t *testing.T) {
	s := newChain(t, "a")
	session := s.Agent.Session()
	got := text(s.Agent.Call(session, "a_trace", args{"steps": []args{
		{"op": "tool.call", "cap": 1 << 10, "request": args{"tool": "python_run", "arguments": args{"code": "while True: pass"}, "async": true}},
		{"op": "call.cancel", "cap": 1 << 10, "request": args{"task": 1}},
		{"op": "call.wait", "cap": 1 << 12, "request": args{"tasks": []int{1}}},
	}}))
	if !strings.Contains(got, fmt.Sprintf("%q", "canceled")) {
		t.Errorf("it came to %s", got)
	}
	if got := text(run(s, session, "6*7")); !strings.Contains(got, "42") {
		t.Errorf("its kernel still runs: %q", got)
	}
}
