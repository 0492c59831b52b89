package httpapi_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// putSlow puts a plugin into the plugin directory that takes ten seconds to be
// made ready, and whose calls end at its deadline of a second, and returns the
// entry that allows it.
func putSlow(s *hosttest.Stage, name string) policy.Entry {
	s.T.Helper()
	module, err := os.ReadFile(filepath.Join(hosttest.Root(), "testdata", "hostile", "initialize_endless.wasm"))
	if err != nil {
		s.T.Fatal(err)
	}
	wasm, err := plugin.Pack(module, abi.Manifest{ABI: abi.Version, Name: name, Version: "1.0.0", Tools: []abi.Tool{
		{Name: "go", Description: "goes nowhere", InputSchema: []byte(`{"type":"object"}`)},
	}}, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	entry := s.Put(wasm)
	entry.Limits.Deadline = abi.Duration(time.Second)
	return entry
}

// TestARevokedPluginEndsAndOthersAnswerWhileOneIsCompiled tells what waits for
// a compilation from what doesn't by the call that has to wait for it.
func TestARevokedPluginEndsAndOthersAnswerWhileOneIsCompiled(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
	session := s.Agent.Session()
	files, first := s.Install("plugins/files"), s.Install(edition)
	allow(s, files, first)
	running := underWay(s, session, "edition_wait", args{})

	slow := putSlow(s, "slow")
	allow(s, files, first, slow)
	compiled := make(chan hosttest.Answer, 1)
	go func() { compiled <- s.Agent.Try(session, "slow_go", args{}) }()
	s.Agent.Call(session, "files_list", args{}) // the host has seen the policy

	changed := first
	changed.Config = map[string]string{"a": "b"}
	allow(s, files, changed, slow) // its code is there: a change of the rest needs no compilation
	if got := text(s.Agent.Call(session, "edition_tell", args{})); got != "one one" {
		t.Errorf("the changed plugin says %q", got)
	}
	allow(s, files, slow)
	wants(t, <-running, http.StatusForbidden, abi.CodePermissionDenied, "revoked")
	wants(t, s.Agent.Try(session, "edition_tell", args{}), http.StatusForbidden, abi.CodePermissionDenied, "edition")
	s.Agent.Call(session, "files_list", args{})
	select {
	case a := <-compiled:
		t.Fatalf("the compilation was waited for: %d %s", a.StatusCode, a.Body)
	default:
	}
	allow(s, files)
	wants(t, <-compiled, http.StatusForbidden, abi.CodePermissionDenied, "slow")
}

func TestACallWaitsForItsOwnPluginsCompilation(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
	session := s.Agent.Session()
	entry := putVersion(s, edition, "1")
	allow(s, entry)
	running := underWay(s, session, "edition_wait", args{})
	slow := putSlow(s, "edition") // in a file of its own
	allow(s, slow)
	a := s.Agent.Try(session, "edition_go", args{})
	wants(t, a, http.StatusGatewayTimeout, abi.CodeDeadlineExceeded)
	wants(t, <-running, http.StatusForbidden, abi.CodePermissionDenied, "revoked")
}
