package hosttest_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

const escape = "testdata/escape/wasm"

// An escaping is what a plugin tries to get out of its sandbox. Words in capitals
// are the targets, which are real.
type escaping struct {
	wall    string // that is to stop it
	attempt string // of the plugin
	path    string
	to      string
	// granted says that the attempt succeeds where the operator granted the
	// plugin what it asks for: the control of what a grant is the wall of.
	granted bool
	// host is what the attempt does, done by the host itself, and returns what
	// it gets: the control of what no grant opens, which shows that the target
	// can be had.
	host func(*prey) (string, error)
	none string // why there is no control
}

// prey is what the attempts are after: secrets that the host and another
// session keep, what is in zones, and a server on the machine.
type prey struct {
	dir     string // of the host's
	secrets map[string]string
	words   *strings.Replacer
	zones   map[string]string
	asked   *atomic.Int64
	before  map[string]string
}

var escapes = map[string]escaping{
	"a zone that was not granted": {wall: "grant", attempt: "read", path: "/upload/secret.txt", granted: true},
	"changing what may be read":   {wall: "grant", attempt: "write", path: "/deploy/kept.txt", granted: true},
	"emptying what may be appended to": {wall: "grant", attempt: "truncate", path: "/store/kept.txt", host: func(p *prey) (string, error) {
		return "", os.Truncate(p.words.Replace("STORE/kept.txt"), 0)
	}},
	"a kernel without the grant":       {wall: "grant", attempt: "kernel", path: "print('sec' + 'ret', 'KERNEL'[::-1])", granted: true},
	"http without the grant":           {wall: "grant", attempt: "fetch", to: "SERVER", granted: true},
	"a file of the host's by its path": {wall: "mounts", attempt: "read", path: "DIR/secret", host: read("DIR/secret")},
	"climbing by the calls below":      {wall: "mounts", attempt: "climb", path: "DIR/secret", host: read("/" + strings.Repeat("../", 30) + "DIR/secret")},
	"another session by its name":      {wall: "mounts", attempt: "climb", path: "../../OTHER", host: read("OUTPUT/../../OTHER")},
	"the host's environment":           {wall: "mounts", attempt: "read", path: "/proc/self/environ", none: "a process doesn't see there what was set since it started"},
	"the variables of a program":       {wall: "sandbox", attempt: "environment", none: "no grant gives variables to a plugin"},
	"descriptors that the host has":    {wall: "sandbox", attempt: "descriptors", none: "a plugin's descriptors are numbers of its own"},
	"a connection of its own":          {wall: "sandbox", attempt: "dial", to: "SERVER", none: "WASI preview 1 has no call to connect"},
	"a link of its own": {wall: "workspace", attempt: "symlink", path: "DIR/secret", to: "/output/own", host: func(p *prey) (string, error) {
		link := p.words.Replace("OUTPUT/own")
		if err := os.Symlink(p.words.Replace("DIR/secret"), link); err != nil {
			return "", err
		}
		return read("OUTPUT/own")(p)
	}},
	"a link that a kernel made": {wall: "workspace", attempt: "read", path: "/output/lure", host: read("OUTPUT/lure")},
	"writing through such a link": {wall: "workspace", attempt: "write", path: "/output/lure", host: func(p *prey) (string, error) {
		return "", os.WriteFile(p.words.Replace("OUTPUT/lure"), []byte("escaped"), 0o644)
	}},
	"a folder that is such a link": {wall: "workspace", attempt: "read", path: "/output/folder/secret", host: read("OUTPUT/folder/secret")},
	"making a file in such a folder": {wall: "workspace", attempt: "write", path: "/output/folder/new", host: func(p *prey) (string, error) {
		return "", os.WriteFile(p.words.Replace("OUTPUT/folder/new"), nil, 0o644)
	}},
	"a link that leads to a zone": {wall: "workspace", attempt: "read", path: "/output/across", host: read("OUTPUT/across")},
	"a second name for a kept file": {wall: "workspace", attempt: "link", path: "/store/kept.txt", to: "/output/name", host: func(p *prey) (string, error) {
		name := p.words.Replace("OUTPUT/name")
		if err := os.Link(p.words.Replace("STORE/kept.txt"), name); err != nil {
			return "", err
		}
		return "", os.WriteFile(name, []byte("escaped"), 0o644)
	}},
	"moving a kept file to where it may be changed": {wall: "grant", attempt: "rename", path: "/store/kept.txt", to: "/output/moved", host: func(p *prey) (string, error) {
		return "", os.Rename(p.words.Replace("STORE/kept.txt"), p.words.Replace("OUTPUT/moved"))
	}},
}

// read has the host read a file as a path says, whatever it leads through.
func read(path string) func(*prey) (string, error) {
	return func(p *prey) (string, error) {
		b, err := os.ReadFile(p.words.Replace(path))
		return string(b), err
	}
}

// TestNoPluginEscapes makes each attempt on a host that granted the plugin
// little, and looks at its target; and then once more with what is to stop it
// lifted.
func TestNoPluginEscapes(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "secret-environment")
	little := hosttest.NewStage(t, hosttest.Options{Plugins: []string{escape}, Edit: func(e *policy.Entry) {
		e.Grant = abi.Capabilities{Files: &abi.FilesScope{Output: abi.AccessWrite, Store: abi.AccessAppend, Deploy: abi.AccessRead}}
	}})
	whole := hosttest.NewStage(t, hosttest.Options{Plugins: []string{escape}, Edit: func(e *policy.Entry) {
		e.Grant.HTTP = &abi.HTTPScope{Allow: []abi.HTTPRule{{
			Hosts: []string{"127.0.0.1"}, Schemes: []string{"http"}, Ports: []abi.PortRange{{First: 1, Last: 65535}},
			Methods: []string{"GET"}, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		}}}
	}})
	for name, e := range escapes {
		t.Run(name, func(t *testing.T) {
			p, session := newPrey(t, little)
			answer := e.make(p, little, session)
			if got := p.caught(t, answer); len(got) > 0 {
				t.Errorf("it got %q: %s", got, answer)
			}
			if strings.Contains(answer, "there is no attempt") {
				t.Fatalf("the attempt itself is broken: %s", answer)
			}
			p, session = newPrey(t, whole)
			switch {
			case e.granted:
				answer = e.make(p, whole, session)
			case e.host != nil:
				text, err := e.host(p)
				if err != nil {
					t.Fatal(err)
				}
				answer = text
			default:
				t.Logf("there is no control: %s", e.none)
				return
			}
			if len(p.caught(t, answer)) == 0 {
				t.Errorf("with %s lifted it gets nothing: %s", e.wall, answer)
			}
		})
	}
}

func (e escaping) make(p *prey, s *hosttest.Stage, session string) string {
	a := s.Agent.Try(session, "escape_try", map[string]string{"attempt": e.attempt, "path": p.words.Replace(e.path), "to": p.words.Replace(e.to)})
	return string(a.Body)
}

// newPrey makes targets for a new session of the agent's.
func newPrey(t *testing.T, s *hosttest.Stage) (*prey, string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p := &prey{dir: t.TempDir(), secrets: map[string]string{"environment": "secret-environment"}, zones: map[string]string{}, asked: &atomic.Int64{}}
	for _, name := range []string{"host", "other", "upload", "server"} {
		p.secrets[name] = "secret-" + strings.ToLower(rand.Text())
	}
	backwards := []rune(strings.ToLower(rand.Text()))
	p.secrets["kernel"] = "secret " + string(backwards)
	for i, j := 0, len(backwards)-1; i < j; i, j = i+1, j-1 {
		backwards[i], backwards[j] = backwards[j], backwards[i]
	}
	session, another := s.Agent.Session(), s.Agent.Session()
	t.Cleanup(func() {
		for _, id := range []string{session, another} {
			s.Agent.Do(http.MethodDelete, "/v1/sessions/"+id, "")
		}
	})
	zone := func(session, name string) string {
		t.Helper()
		one, err := s.Host.Sessions().Any(session)
		must(err)
		return one.Workspace().Path(name)
	}
	for _, name := range abi.Zones() {
		p.zones[name] = zone(session, name)
	}
	write := func(file, text string) {
		t.Helper()
		must(os.WriteFile(file, []byte(text), 0o644))
	}
	write(filepath.Join(p.dir, "secret"), p.secrets["host"])
	write(filepath.Join(p.zones["upload"], "secret.txt"), p.secrets["upload"])
	write(filepath.Join(p.zones["store"], "kept.txt"), "kept")
	write(filepath.Join(p.zones["deploy"], "kept.txt"), "kept")
	theirs := filepath.Join(zone(another, "output"), "secret")
	write(theirs, p.secrets["other"])
	rel, err := filepath.Rel(filepath.Join(p.zones["output"], "../.."), theirs)
	must(err)
	must(os.Symlink(filepath.Join(p.dir, "secret"), filepath.Join(p.zones["output"], "lure")))
	must(os.Symlink(p.dir, filepath.Join(p.zones["output"], "folder")))
	must(os.Symlink("../upload/secret.txt", filepath.Join(p.zones["output"], "across")))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(p.secrets["server"])) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.asked.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	open, err := os.Open(filepath.Join(p.dir, "secret")) // a descriptor to be found
	must(err)
	t.Cleanup(func() { open.Close() })
	p.words = strings.NewReplacer("DIR", p.dir, "OTHER", rel, "OUTPUT", p.zones["output"], "STORE", p.zones["store"],
		"SERVER", strings.TrimPrefix(server.URL, "http://"), "KERNEL", string(backwards))
	p.before = p.look(t)
	return p, session
}

// look returns what is in the files that nobody may change.
func (p *prey) look(t *testing.T) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, dir := range []string{p.dir, p.zones["upload"], p.zones["store"], p.zones["deploy"]} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			seen[filepath.Join(dir, e.Name())] = string(b)
		}
	}
	return seen
}

// caught lists the secrets that are in an answer, and the targets that aren't
// as they were.
func (p *prey) caught(t *testing.T, answer string) []string {
	t.Helper()
	var list []string
	for name, secret := range p.secrets {
		if strings.Contains(answer, secret) {
			list = append(list, "the secret of "+name)
		}
	}
	now := p.look(t)
	for file, text := range p.before {
		if now[file] != text {
			list = append(list, "a change of "+file)
		}
	}
	if len(now) > len(p.before) {
		list = append(list, "a new file")
	}
	if p.asked.Load() > 0 {
		list = append(list, "the server")
	}
	return list
}

// TestNoPluginImportsBeyondItsManifest has a plugin that says less of itself
// than it is: its module imports what its manifest doesn't ask for.
func TestNoPluginImportsBeyondItsManifest(t *testing.T) {
	b, err := os.ReadFile(hosttest.Plugin(t, escape))
	if err != nil {
		t.Fatal(err)
	}
	a, err := plugin.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	less := a.Manifest
	less.Capabilities = abi.Capabilities{Files: a.Manifest.Capabilities.Files}
	for name, c := range map[string]struct {
		manifest abi.Manifest
		loads    bool
	}{"less than it imports": {less, false}, "all that it imports": {a.Manifest, true}} {
		t.Run(name, func(t *testing.T) {
			forged := withManifest(t, b, c.manifest)
			s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{"testdata/plugins/hello"}})
			s.Close()
			if err := os.WriteFile(filepath.Join(s.PluginDir, "escape.wasm"), forged, 0o644); err != nil {
				t.Fatal(err)
			}
			pol := &policy.Policy{Version: 1}
			pol.Allow(policy.Entry{Name: "escape", Digest: plugin.Digest(forged), Grant: a.Manifest.Capabilities})
			s.WritePolicy(pol)
			s.Restart()
			var list struct{ Plugins []host.PluginStatus }
			s.Operator.JSON(http.MethodGet, "/v1/plugins", "", &list)
			loaded := false
			for _, p := range list.Plugins {
				loaded = loaded || p.Name == "escape" && p.State == host.PluginLoaded
			}
			if loaded != c.loads {
				t.Errorf("the plugins are %+v", list.Plugins)
			}
		})
	}
}

// withManifest puts a manifest into a module, without asking whether it is true.
func withManifest(t *testing.T, wasm []byte, m abi.Manifest) []byte {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.Clone(wasm[:8])
	for rest := wasm[8:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		section := rest[1+n:][:size]
		if length, n := binary.Uvarint(section); rest[0] == 0 && string(section[n:][:length]) == abi.SectionManifest {
			section = append(bytes.Clone(section[:n+int(length)]), text...)
		}
		out = append(out, rest[0])
		out = append(binary.AppendUvarint(out, uint64(len(section))), section...)
		rest = rest[1+n+int(size):]
	}
	return out
}
