package httpapi_test

import (
	"encoding/binary"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// wants checks a problem document: its status, its code, and that detail,
// hint, grant and field together have every word.
func wants(t *testing.T, a hosttest.Answer, status int, code abi.Code, words ...string) {
	t.Helper()
	p := a.Problem(t)
	if a.StatusCode != status || p.Code != code {
		t.Errorf("got %d %v: %s, want %d %v", a.StatusCode, p.Code, p.Detail, status, code)
	}
	if p.Detail == "" || p.TraceID == "" || p.TraceID != a.Header.Get("X-Request-Id") {
		t.Errorf("the problem document is incomplete: %+v", p)
	}
	text := strings.Join([]string{p.Detail, p.Hint, p.Grant, p.Field}, " | ")
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q doesn't say %q", text, w)
		}
	}
}

func TestAPluginThatIsNotOnTheWhitelistIsRefused(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Others: []string{"testdata/plugins/hello"}})
	a := s.Agent.Try(s.Agent.Session(), "hello_greet", args{"name": "world"})
	wants(t, a, http.StatusForbidden, abi.CodePermissionDenied, "hello", "sallyport plugin allow "+filepath.Join(s.PluginDir, "hello.wasm")+" --policy "+s.PolicyFile)
}

func TestAPluginThatChangedAfterApprovalIsRefused(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{"testdata/plugins/hello"}})
	session := s.Agent.Session()
	s.Agent.Call(session, "hello_greet", args{"name": "world"})
	f, err := os.OpenFile(filepath.Join(s.PluginDir, "hello.wasm"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{0, 2, 1, 'x'}); err != nil { // an empty custom section
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	a := s.Agent.Try(session, "hello_greet", args{"name": "world"})
	wants(t, a, http.StatusForbidden, abi.CodePermissionDenied, "hello")
	if p := a.Problem(t); strings.Count(p.Detail, "sha256:") != 2 {
		t.Errorf("it doesn't name both digests: %s", p.Detail)
	}
}

func TestACapabilityThatWasNotGrantedIsRefused(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{
		Plugins: []string{"testdata/plugins/ungranted"},
		Edit:    func(e *policy.Entry) { e.Grant.Kernel = nil },
	})
	a := s.Agent.Try(s.Agent.Session(), "ungranted_run", args{"code": "1+1"})
	wants(t, a, http.StatusForbidden, abi.CodePermissionDenied, "kernel.languages: python")
}

func TestAZoneThatWasNotGrantedIsRefused(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{
		Plugins: []string{"plugins/files"},
		Edit:    func(e *policy.Entry) { e.Grant.Files = &abi.FilesScope{Upload: abi.AccessRead, Output: abi.AccessRead} },
	})
	session := s.Agent.Session()
	wants(t, s.Agent.Try(session, "files_list", args{"path": "store"}), http.StatusForbidden, abi.CodePermissionDenied, "files.store: read")
	wants(t, s.Agent.Try(session, "files_write", args{"path": "output/a", "content": "x"}), http.StatusForbidden, abi.CodePermissionDenied, "files.output")
}

// TestThePolicyIsFollowedWhileTheHostRuns allows a plugin, then breaks the file.
func TestThePolicyIsFollowedWhileTheHostRuns(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Others: []string{"testdata/plugins/hello"}})
	session := s.Agent.Session()
	wants(t, s.Agent.Try(session, "hello_greet", args{"name": "world"}), http.StatusForbidden, abi.CodePermissionDenied)
	pol := &policy.Policy{Version: 1}
	pol.Allow(s.Install("testdata/plugins/hello"))
	s.WritePolicy(pol)
	if got := text(s.Agent.Call(session, "hello_greet", args{"name": "world"})); !strings.Contains(got, "world") {
		t.Errorf("got %q", got)
	}
	if err := os.WriteFile(s.PolicyFile, []byte("plugins: [nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	wants(t, s.Agent.Try(session, "hello_greet", args{"name": "world"}), http.StatusServiceUnavailable, abi.CodeUnavailable, s.PolicyFile)
}

// TestRevokingEndsWhatRuns takes a plugin off the list while its call runs.
func TestRevokingEndsWhatRuns(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	var last abi.Event
	revoked := false
	stream(t, t.Context(), s.Agent, session, "python_run", args{"code": "print('in', flush=True)\nwhile True: pass"}, func(e abi.Event) bool {
		if e.Type == abi.EventOutput && !revoked {
			revoked = true
			s.WritePolicy(&policy.Policy{Version: 1})
		}
		last = e
		return true
	})
	if last.Type != abi.EventError || last.Error.Code != abi.CodePermissionDenied || !strings.Contains(last.Error.Message, "revoked") {
		t.Errorf("the call ended with %+v %v", last, last.Error)
	}
	wants(t, s.Agent.Try(session, "python_run", args{"code": "1"}), http.StatusForbidden, abi.CodePermissionDenied)
}

func TestPluginsThatFail(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{
		Plugins: []string{"testdata/plugins/badboy", "testdata/plugins/garbage", "testdata/plugins/hello"},
		Config:  func(c *host.Config) { c.Limits.MemoryMiB = 64 },
	})
	session := s.Agent.Session()
	for _, c := range []struct {
		tool   string
		status int
		code   abi.Code
		words  []string
	}{
		{"badboy_trap", http.StatusBadGateway, abi.CodePluginFailed, nil},
		{"badboy_panic", http.StatusBadGateway, abi.CodePluginFailed, []string{"panic"}},
		{"badboy_eat", http.StatusBadGateway, abi.CodePluginFailed, []string{"64 MiB"}},
		{"garbage_answer", http.StatusBadGateway, abi.CodePluginFailed, nil},
	} {
		t.Run(c.tool, func(t *testing.T) {
			wants(t, s.Agent.Try(session, c.tool, args{}), c.status, c.code, c.words...)
			if got := text(s.Agent.Call(session, "hello_greet", args{"name": "world"})); !strings.Contains(got, "world") {
				t.Errorf("another plugin suffered: %q", got)
			}
		})
	}
}

func TestAPluginThatLoopsMeetsItsDeadline(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{
		Plugins: []string{"testdata/plugins/badboy"},
		Config:  func(c *host.Config) { c.Limits.Deadline = abi.Duration(2 * time.Second) },
	})
	wants(t, s.Agent.Try(s.Agent.Session(), "badboy_loop", args{}), http.StatusGatewayTimeout, abi.CodeDeadlineExceeded, "2s")
}

// withManifest returns a module with another manifest in place of its own,
// whatever that says: plugin.Pack would refuse to.
func withManifest(t *testing.T, wasm []byte, manifest string) []byte {
	t.Helper()
	out := append([]byte{}, wasm[:8]...)
	for rest := wasm[8:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:]) // LEB128 is the same encoding
		whole := rest[:1+n+int(size)]
		if !strings.Contains(string(whole[:min(len(whole), 40)]), abi.SectionManifest) {
			out = append(out, whole...)
		}
		rest = rest[len(whole):]
	}
	section := append([]byte{byte(len(abi.SectionManifest))}, abi.SectionManifest+manifest...)
	return append(binary.AppendUvarint(append(out, 0), uint64(len(section))), section...)
}

// TestFilesThatAreNoPlugins puts bad files into the plugin directory: each is
// named with its fault, and the good one beside them works.
func TestFilesThatAreNoPlugins(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{"testdata/plugins/hello"}})
	good, err := os.ReadFile(filepath.Join(s.PluginDir, "hello.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	python, err := os.ReadFile(hosttest.Plugin(t, "plugins/python"))
	if err != nil {
		t.Fatal(err)
	}
	const tools = `"version": "1", "tools": [{"name": "run", "description": "x", "inputSchema": {"type": "object"}}]`
	bad := map[string]struct {
		content []byte
		code    abi.Code
		words   string
	}{
		"truncated": {good[:len(good)/2], abi.CodeInvalidArgument, ""},
		"text":      {[]byte("#!/bin/sh\n"), abi.CodeInvalidArgument, "WebAssembly"},
		"empty":     {nil, abi.CodeInvalidArgument, ""},
		"bare":      {[]byte("\x00asm\x01\x00\x00\x00"), abi.CodeInvalidArgument, "sallyport.manifest"},
		"newer":     {withManifest(t, python, `{"abi": 2, "name": "newer", `+tools+`}`), abi.CodeUnimplemented, "ABI 2"},
		"beyond":    {withManifest(t, python, `{"abi": 1, "name": "beyond", `+tools+`}`), abi.CodeInvalidArgument, "sallyport:kernel"},
	}
	for name, c := range bad {
		if err := os.WriteFile(filepath.Join(s.PluginDir, name+".wasm"), c.content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var list struct{ Plugins []host.PluginStatus }
	s.Operator.JSON(http.MethodGet, "/v1/plugins", "", &list)
	if len(list.Plugins) != len(bad)+1 {
		t.Fatalf("%d plugins are listed, not %d", len(list.Plugins), len(bad)+1)
	}
	for _, p := range list.Plugins {
		if p.Name == "hello" {
			if p.State != host.PluginLoaded {
				t.Errorf("hello is %s: %v", p.State, p.Error)
			}
		} else if c := bad[p.Name]; p.State != host.PluginRefused || p.Error == nil || p.Error.Code != c.code || !strings.Contains(p.Error.Message, c.words) {
			t.Errorf("%s is %s: %v, want %v and %q", p.Name, p.State, p.Error, c.code, c.words)
		}
	}
	session := s.Agent.Session()
	s.Agent.Call(session, "hello_greet", args{"name": "world"})
	wants(t, s.Agent.Try(session, "bare_tool", args{}), http.StatusBadRequest, abi.CodeInvalidArgument, "plugin")
}

func TestBadRequests(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	tool := func(name string) string { return "/v1/sessions/" + session + "/tools/" + name }
	file := func(path string) string { return "/v1/sessions/" + session + "/files/" + path }
	long := strings.Repeat("x", 300)
	const post, get, put = http.MethodPost, http.MethodGet, http.MethodPut
	const invalid, notFound, denied = abi.CodeInvalidArgument, abi.CodeNotFound, abi.CodePermissionDenied

	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code                     abi.Code
		words                    []string
	}{
		{"malformed JSON", post, tool("python_run"), `{"code": `, 400, invalid, []string{"JSON"}},
		{"JSON that is no object", post, tool("python_run"), `[1]`, 400, invalid, []string{"object"}},
		{"JSON with something after it", post, tool("python_run"), `{"code":"1"} x`, 400, invalid, []string{"byte"}},
		{"null", post, tool("python_run"), `null`, 400, invalid, []string{"object"}},
		{"a missing argument", post, tool("python_run"), `{}`, 400, invalid, []string{"/code"}},
		{"an argument of the wrong type", post, tool("python_run"), `{"code": 1}`, 400, invalid, []string{"/code"}},
		{"an unknown argument", post, tool("python_run"), `{"code": "1", "cod": "2"}`, 400, invalid, []string{"cod"}},
		{"an argument out of bounds", post, tool("python_run"), `{"code": "1", "timeout_seconds": -1}`, 400, invalid, []string{"/timeout_seconds"}},
		{"an unknown tool", post, tool("python_fly"), `{}`, 404, notFound, []string{"python_fly", "/v1/tools"}},
		{"an unknown plugin", post, tool("nothing_here"), `{}`, 404, notFound, []string{"nothing_here"}},
		{"a tool without an underscore", post, tool("python"), `{}`, 404, notFound, nil},
		{"an unknown session", post, "/v1/sessions/nope/tools/python_run", `{}`, 404, notFound, []string{"nope"}},
		{"an unknown route", get, "/v2/tools", "", 404, notFound, []string{"/v2/tools"}},
		{"a method that isn't offered", put, "/v1/tools", "", 405, abi.CodeUnimplemented, []string{"PUT"}},
		{"an unknown zone", get, file("attic/a"), "", 404, notFound, []string{"attic"}},
		{"a file that isn't there", get, file("output/none.txt"), "", 404, notFound, []string{"none.txt"}},
		{"a way up", get, file("output/../../session.json"), "", 400, invalid, nil},
		{"an escaped way up", get, file("output/..%2f..%2fsession.json"), "", 400, invalid, nil},
		{"an absolute path", get, file("output//etc/passwd"), "", 400, invalid, nil},
		{"NUL", put, file("output/a%00b"), "x", 400, invalid, nil},
		{"not UTF-8", put, file("output/a%ff"), "x", 400, invalid, nil},
		{"a name that is too long", put, file("output/" + long), "x", 400, invalid, []string{"255"}},
		{"a path that is too deep", put, file("output/" + strings.Repeat("d/", 100) + "f"), "x", 400, invalid, nil},
		{"the zone as a file", put, file("output/."), "x", 400, invalid, nil},
		{"a plugin's way up", post, tool("files_read"), `{"path": "output/../../session.json"}`, 400, invalid, nil},
		{"a plugin's unknown zone", post, tool("files_read"), `{"path": "attic/a"}`, 404, notFound, []string{"attic"}},
		{"upload by a plugin", post, tool("files_write"), `{"path": "upload/a", "content": "x"}`, 403, denied, []string{"upload is read-only"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			wants(t, s.Agent.Do(c.method, c.path, c.body), c.status, c.code, c.words...)
		})
	}
	if got := text(run(s, session, "1+1")); !strings.Contains(got, "2") {
		t.Errorf("the session suffered: %q", got)
	}
}
