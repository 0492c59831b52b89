package httpapi_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/hosttest"
)

func TestFilesOverHTTP(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	base := "/v1/sessions/" + s.Agent.Session() + "/files/"
	do := func(method, path, body string, status int) hosttest.Answer {
		t.Helper()
		a := s.Agent.Do(method, base+path, body)
		if a.StatusCode != status {
			t.Errorf("%s %s: %d, want %d: %s", method, path, a.StatusCode, status, a.Body)
		}
		return a
	}
	do(http.MethodPut, "upload/in/a b.csv", "1,2\n", http.StatusCreated)
	do(http.MethodPut, "upload/in/a%20b.csv", "3,4\n", http.StatusOK)
	if a := do(http.MethodGet, "upload/in/a%20b.csv", "", http.StatusOK); string(a.Body) != "3,4\n" {
		t.Errorf("got %q", a.Body)
	} else if got := a.Header.Get("Content-Security-Policy"); !strings.Contains(got, "sandbox") {
		t.Errorf("a stored page could run: Content-Security-Policy is %q", got)
	}
	var list struct {
		Path    string
		Entries []struct {
			Name, Kind string
			Size       int64
		}
	}
	for path, want := range map[string]string{"upload": "in dir", "upload/in": "a b.csv file"} {
		if err := json.Unmarshal(do(http.MethodGet, path, "", http.StatusOK).Body, &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Entries) != 1 || list.Entries[0].Name+" "+list.Entries[0].Kind != want {
			t.Errorf("%s lists %+v, want %s", path, list.Entries, want)
		}
	}
	do(http.MethodPut, "store/log", "once", http.StatusCreated)
	wants(t, do(http.MethodPut, "store/log", "twice", http.StatusForbidden), http.StatusForbidden, abi.CodePermissionDenied, "store is append-only")
	wants(t, do(http.MethodDelete, "store/log", "", http.StatusForbidden), http.StatusForbidden, abi.CodePermissionDenied, "store is append-only")
	if a := do(http.MethodGet, "store/log", "", http.StatusOK); string(a.Body) != "once" {
		t.Errorf("store was changed: %q", a.Body)
	}
	do(http.MethodPut, "output/x/y", "z", http.StatusCreated)
	do(http.MethodDelete, "output/x", "", http.StatusNoContent)
	do(http.MethodGet, "output/x/y", "", http.StatusNotFound)

	req := s.Agent.Request(http.MethodPut, base+"upload/in/a%20b.csv", strings.NewReader("new"))
	req.Header.Set("If-None-Match", "*")
	wants(t, s.Agent.Send(req), http.StatusConflict, abi.CodeAlreadyExists)
}

func TestFilesTools(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	upload := "/v1/sessions/" + session + "/files/upload/in.txt"
	s.Agent.JSON(http.MethodPut, upload, "one\ntwo\nthree\n", nil)

	call := func(tool string, a args, want string) {
		t.Helper()
		if r := s.Agent.Call(session, tool, a); r.IsError || !strings.Contains(text(r), want) {
			t.Errorf("%s %v: %v %q, want %q", tool, a, r.IsError, text(r), want)
		}
	}
	call("files_read", args{"path": "upload/in.txt"}, "three")
	call("files_write", args{"path": "output/deep/report.md", "content": "a b a"}, "")
	call("files_edit", args{"path": "output/deep/report.md", "old": "b", "new": "c"}, "")
	call("files_read", args{"path": "output/deep/report.md"}, "a c a")
	call("files_list", args{"path": "output/deep"}, "report.md")
	call("files_write", args{"path": "store/log.txt", "content": "first\n"}, "")

	rule := func(tool string, a args, words ...string) {
		t.Helper()
		wants(t, s.Agent.Try(session, tool, a), http.StatusForbidden, abi.CodePermissionDenied, words...)
	}
	rule("files_write", args{"path": "upload/in.txt", "content": "x"}, "upload is read-only")
	rule("files_edit", args{"path": "upload/in.txt", "old": "one", "new": "1"}, "upload is read-only")
	rule("files_write", args{"path": "store/log.txt", "content": "x"}, "store is append-only")
	rule("files_edit", args{"path": "store/log.txt", "old": "first", "new": "second"}, "store is append-only")
	for path, want := range map[string]string{"upload/in.txt": "one\ntwo\nthree\n", "store/log.txt": "first\n"} {
		if a := s.Agent.Do(http.MethodGet, "/v1/sessions/"+session+"/files/"+path, ""); string(a.Body) != want {
			t.Errorf("%s was changed: %q", path, a.Body)
		}
	}
}

// TestLinksThatAKernelPlantsLeadNowhere has code make links in output/, out of
// the zone and into another, and tries them at the agent's and a plugin's door.
func TestLinksThatAKernelPlantsLeadNowhere(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("swordfish"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(s, session, "import os\nos.symlink('"+secret+"', 'output/out')\nos.symlink('"+filepath.Dir(secret)+"', 'output/dir')\nos.symlink('../store', 'output/zone')\nos.mkfifo('output/pipe')")
	for _, path := range []string{"output/out", "output/dir/secret", "output/zone/new", "output/pipe"} {
		a := s.Agent.Do(http.MethodGet, "/v1/sessions/"+session+"/files/"+path, "")
		if a.StatusCode < 400 || strings.Contains(string(a.Body), "swordfish") {
			t.Errorf("GET %s: %d %s", path, a.StatusCode, a.Body)
		}
		if r := s.Agent.Try(session, "files_read", args{"path": path}); strings.Contains(string(r.Body), "swordfish") || r.StatusCode == http.StatusOK && !strings.Contains(string(r.Body), `"isError":true`) {
			t.Errorf("files_read %s: %d %s", path, r.StatusCode, r.Body)
		}
		if path != "output/pipe" {
			s.Agent.Do(http.MethodPut, "/v1/sessions/"+session+"/files/"+path+"x/y", "overwritten")
		}
	}
	s.Agent.Try(session, "files_write", args{"path": "output/dir/secret", "content": "overwritten"})
	if b, err := os.ReadFile(secret); err != nil || string(b) != "swordfish" {
		t.Errorf("the target was touched: %q %v", b, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(secret)); err != nil || len(entries) != 1 {
		t.Errorf("the target's folder was touched: %v %v", entries, err)
	}
}

// TestTheAuditLogTellsTheStory runs a session and reads its entries back.
func TestTheAuditLogTellsTheStory(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{})
	session := s.Agent.Session()
	run(s, session, "1+1")
	s.Agent.Try(session, "files_write", args{"path": "upload/a", "content": "x"})
	var log struct{ Entries []audit.Entry }
	s.Operator.JSON(http.MethodGet, "/v1/audit?limit=1000", "", &log)
	var kinds []string
	var prev string
	for _, e := range log.Entries {
		if prev != "" && e.Prev != prev {
			t.Errorf("entry %d doesn't follow the one before it", e.Seq)
		}
		prev = e.Hash
		if e.Session == session {
			kinds = append(kinds, e.Kind+" "+e.Tool+" "+e.Op+" "+e.Code)
		}
		if e.Kind == audit.KindCallStart && (e.Principal != s.Agent.Principal || !strings.HasPrefix(e.Digest, "sha256:") || e.Call == "" || e.Request == "") {
			t.Errorf("the call's start doesn't say who and what: %+v", e)
		}
	}
	got := strings.Join(kinds, "\n")
	want := strings.Join([]string{
		"session.create   ",
		"call.start python_run  ", "op.intent python_run kernel.execute ", "op.outcome python_run kernel.execute ", "call.end python_run  ",
		"call.start files_write  ",
	}, "\n")
	if !strings.HasPrefix(got, want) || !strings.Contains(got, "permission_denied") {
		t.Errorf("the log says\n%s\nwant\n%s\nand a refusal", got, want)
	}
}
