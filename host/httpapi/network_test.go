package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// A neighbourhood is two servers on loopback, of which one is granted.
type neighbourhood struct {
	granted, other *httptest.Server
	visits         atomic.Int32 // of the other
}

func newNeighbourhood(t *testing.T) *neighbourhood {
	n := &neighbourhood{}
	n.other = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n.visits.Add(1) }))
	n.granted = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/leave" {
			http.Redirect(w, r, n.other.URL, http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%s was asked for", r.URL.Path)
	}))
	t.Cleanup(n.granted.Close)
	t.Cleanup(n.other.Close)
	return n
}

// edit grants the one server to the plugins http and python.
func (n *neighbourhood) edit(e *policy.Entry) {
	if e.Name != "http" && e.Name != "python" {
		return
	}
	at, err := url.Parse(n.granted.URL)
	if err != nil {
		panic(err)
	}
	port, err := strconv.ParseUint(at.Port(), 10, 16)
	if err != nil {
		panic(err)
	}
	e.Grant.HTTP = &abi.HTTPScope{Allow: []abi.HTTPRule{{
		Hosts: []string{"127.0.0.1"}, Schemes: []string{"http"}, Ports: []abi.PortRange{{First: uint16(port), Last: uint16(port)}},
		Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}}}
	if e.Grant.Kernel != nil {
		e.Grant.Kernel.Network = true
	}
}

func TestPluginsReachWhatWasGrantedAndEveryDecisionIsAudited(t *testing.T) {
	n := newNeighbourhood(t)
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{"plugins/http"}, Edit: n.edit})
	session := s.Agent.Session()
	if a := s.Agent.Try(session, "http_fetch", args{"url": n.granted.URL + "/page"}); a.StatusCode != http.StatusOK || !strings.Contains(string(a.Body), "/page was asked for") {
		t.Errorf("what was granted: %d %s", a.StatusCode, a.Body)
	}
	for _, at := range []string{n.other.URL, n.granted.URL + "/leave", "http://localhost" + strings.TrimPrefix(n.granted.URL, "http://127.0.0.1")} {
		a := s.Agent.Try(session, "http_fetch", args{"url": at})
		if p := a.Problem(t); p.Code != abi.CodePermissionDenied || !strings.HasPrefix(p.Grant, "http.allow: http://") {
			t.Errorf("%s: %+v", at, p)
		}
	}
	if n.visits.Load() != 0 {
		t.Error("the server that wasn't granted was visited")
	}
	log, err := s.Host.AuditLog(audit.Filter{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	decisions := map[string]int{}
	for _, e := range log {
		if e.Kind == audit.KindEgress {
			decisions[e.Code]++
			if e.Call == "" || e.Plugin != "http" || e.Detail["host"] == "" {
				t.Errorf("a decision says too little: %+v", e)
			}
		}
	}
	if decisions[""] != 2 || decisions["permission_denied"] != 3 {
		t.Errorf("the decisions that were audited: %v", decisions)
	}
}

func TestKernelsReachWhatWasGrantedThroughTheirGate(t *testing.T) {
	n := newNeighbourhood(t)
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{"plugins/python"}, Edit: n.edit})
	session := s.Agent.Session()
	got := text(run(s, session, fmt.Sprintf(`
import socket, urllib.error, urllib.request
print(urllib.request.urlopen("%s/page").read().decode())
try:
    urllib.request.urlopen("%s/")
except urllib.error.HTTPError as e:
    print("refused", e.code, e.read().decode())
try:
    socket.create_connection(("127.0.0.1", %s), 5)
except OSError as e:
    print("no way round:", e)
`, n.granted.URL, n.other.URL, n.granted.URL[strings.LastIndexByte(n.granted.URL, ':')+1:])))
	for _, want := range []string{"/page was asked for", "refused 403", "no way round"} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
	if n.visits.Load() != 0 {
		t.Error("the server that wasn't granted was visited")
	}
	log, err := s.Host.AuditLog(audit.Filter{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	decisions := 0
	for _, e := range log {
		if e.Kind == audit.KindEgress && e.Plugin == "python" && e.Principal == s.Agent.Principal {
			decisions++
		}
	}
	if decisions != 2 {
		t.Errorf("%d decisions were audited", decisions)
	}
}

func TestKernelsWithoutTheGrantReachNothing(t *testing.T) {
	n := newNeighbourhood(t)
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{"plugins/python"}})
	got := text(run(s, s.Agent.Session(), fmt.Sprintf(`
import os, socket
print({k: v for k, v in os.environ.items() if "proxy" in k.lower()})
for port in (%s, 3128):
    try:
        socket.create_connection(("127.0.0.1", port), 5)
        print("reached", port)
    except OSError as e:
        print(e)
print([name for _, name in socket.if_nameindex()])
`, n.granted.URL[strings.LastIndexByte(n.granted.URL, ':')+1:])))
	if strings.Contains(got, "reached") || !strings.Contains(got, "{}") || !strings.Contains(got, "['lo']") {
		t.Errorf("got %s", got)
	}
}

// TestSessionsHaveAccountsOfTheirOwn looks at whose the files of two sessions
// are on the host.
func TestSessionsHaveAccountsOfTheirOwn(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{"plugins/python"}})
	owners := map[uint32]bool{}
	for range 2 {
		session := s.Agent.Session()
		if got := text(run(s, session, "import os\nopen('output/made', 'w').close()\nprint(os.getuid(), os.path.exists('/upload/planted'))")); !strings.Contains(got, "1000 False") {
			t.Errorf("inside it is %s", got)
		}
		ws, err := s.Host.Sessions().Any(session)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(ws.Workspace().Path("output") + "/made")
		if err != nil {
			t.Fatal(err)
		}
		owners[ownerOf(info)] = true
	}
	if os.Geteuid() == 0 && (len(owners) != 2 || owners[0]) {
		t.Errorf("the sessions of a host that is root have the accounts %v", owners)
	}
	if os.Geteuid() != 0 && (len(owners) != 1 || !owners[uint32(os.Geteuid())]) {
		t.Errorf("the sessions of an ordinary user's host have the accounts %v", owners)
	}
}

// TestKernelsHaveTheBoundsThatStatusTellsOf reads them from inside.
func TestKernelsHaveTheBoundsThatStatusTellsOf(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{"plugins/python"}, Config: func(c *host.Config) {
		c.KernelProcesses, c.KernelMemoryMiB, c.Workspace.MaxFileBytes = 200, 1024, 64<<20
	}})
	got := text(run(s, s.Agent.Session(), `
import resource
for name in ("RLIMIT_FSIZE", "RLIMIT_NPROC", "RLIMIT_CORE", "RLIMIT_NOFILE"):
    print(name, *resource.getrlimit(getattr(resource, name)))
x = None
try:
    with open("output/large", "wb") as f:
        f.truncate(65 << 20)
except OSError as e:
    print(e)
`))
	for _, want := range []string{"RLIMIT_FSIZE 67108864 67108864", "RLIMIT_NPROC 200 200", "RLIMIT_CORE 0 0", "RLIMIT_NOFILE 4096 4096", "File too large"} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
}
