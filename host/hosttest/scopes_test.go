package hosttest_test

import (
	"cmp"
	"context"
	"encoding"
	"encoding/pem"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/policy"
)

type arguments map[string]any

// A scope is one thing that a grant or a limit can say, and how a plugin that
// needs more of it shows that it is held.
type scope struct {
	tool   string
	args   arguments // of a call that needs what the plugin asks for; PLAIN and SAFE in it are the sites' addresses
	narrow func(*policy.Entry)
	code   abi.Code // of the same call's refusal, once narrowed
	grant  string   // that the refusal names
	says   string   // what it says, or hints at, of a limit
	shows  string   // of a scope that refuses nothing: what the result has, and once narrowed has no more

	// Of limits: base changes the entry before and after it is narrowed, busy is
	// how many calls are under way when the call is made, and limit is the one
	// that the refusal names where it isn't the row's own.
	base  func(*policy.Entry)
	busy  int
	limit string
}

// The secrets of the host, by their names. The safe site asks for the first.
var secrets = map[string]string{"token": "the-right-one", "other": "the-wrong-one"}

// httpRule returns the one rule for http of an entry.
func httpRule(e *policy.Entry) *abi.HTTPRule { return &e.Grant.HTTP.Allow[0] }

// httpSecret returns its one secret.
func httpSecret(e *policy.Entry) *abi.HTTPSecret { return &e.Grant.HTTP.Secrets[0] }

// asks is a request for what takes the secret.
var asks = arguments{"url": "SAFE/secret"}

var scopes = map[string]scope{
	"kernel.languages": {
		tool: "ungranted_run", args: arguments{"code": "1+1"},
		narrow: func(e *policy.Entry) { e.Grant.Kernel.Languages = []string{"r"} },
		code:   abi.CodePermissionDenied, grant: "kernel.languages: python",
	},
	"kernel.max_time": {
		tool: "ungranted_run", args: arguments{"code": "1+1", "timeout_seconds": 45},
		narrow: func(e *policy.Entry) { e.Grant.Kernel.MaxTime = abi.Duration(44 * time.Second) },
		code:   abi.CodePermissionDenied, grant: "kernel.max_time: 45s",
	},
	"kernel.network": {
		tool:   "python_run",
		args:   arguments{"code": "import urllib.request\nprint(urllib.request.urlopen('PLAIN/').read().decode())"},
		narrow: func(e *policy.Entry) { e.Grant.Kernel.Network = false },
		shows:  "welcome",
	},
	"http.allow.hosts": {
		tool: "http_fetch", args: arguments{"url": "PLAIN/"},
		narrow: func(e *policy.Entry) { httpRule(e).Hosts = []string{"example.com"} },
		code:   abi.CodePermissionDenied, grant: "http.allow: http://127.0.0.1:",
	},
	"http.allow.schemes": {
		tool: "http_fetch", args: arguments{"url": "PLAIN/"},
		narrow: func(e *policy.Entry) { httpRule(e).Schemes = []string{"https"} },
		code:   abi.CodePermissionDenied, grant: "http.allow: http://127.0.0.1:",
	},
	"http.allow.ports": {
		tool: "http_fetch", args: arguments{"url": "PLAIN/"},
		narrow: func(e *policy.Entry) { httpRule(e).Ports = []abi.PortRange{{First: 1, Last: 1}} },
		code:   abi.CodePermissionDenied, grant: "http.allow: http://127.0.0.1:",
	},
	"http.allow.methods": {
		tool: "http_fetch", args: arguments{"url": "PLAIN/", "method": "POST", "body": "x"},
		narrow: func(e *policy.Entry) { httpRule(e).Methods = []string{"GET"} },
		code:   abi.CodePermissionDenied, grant: "http.allow: ",
	},
	"http.allow.addresses": {
		tool: "http_fetch", args: arguments{"url": "PLAIN/"},
		narrow: func(e *policy.Entry) { httpRule(e).Addresses = nil },
		code:   abi.CodePermissionDenied, grant: "http.allow.addresses: 127.0.0.1/32",
	},
	"http.secrets.name": {
		tool: "http_fetch", args: asks, shows: "the secret came",
		narrow: func(e *policy.Entry) { httpSecret(e).Name = "other" },
	},
	"http.secrets.header": {
		tool: "http_fetch", args: asks, shows: "the secret came",
		narrow: func(e *policy.Entry) { httpSecret(e).Header = "X-Other" },
	},
	"http.secrets.prefix": {
		tool: "http_fetch", args: asks, shows: "the secret came",
		narrow: func(e *policy.Entry) { httpSecret(e).Prefix = "" },
	},
	"http.secrets.hosts": {
		tool: "http_fetch", args: asks, shows: "the secret came",
		narrow: func(e *policy.Entry) { httpSecret(e).Hosts = []string{"example.com"} },
	},
	"http.max_time": {
		tool: "http_fetch", args: arguments{"url": "PLAIN/", "timeout_seconds": 9},
		narrow: func(e *policy.Entry) { e.Grant.HTTP.MaxTime = abi.Duration(8 * time.Second) },
		code:   abi.CodePermissionDenied, grant: "http.max_time: 9s",
	},
	"http.max_bytes": {
		tool: "http_fetch", args: arguments{"url": "PLAIN/"},
		narrow: func(e *policy.Entry) { e.Grant.HTTP.MaxBytes = 3 },
		code:   abi.CodeResourceExhausted, says: "http.max_bytes",
	},
	"tool.names": {
		tool: "relay_call", args: arguments{"tool": "files_list"},
		narrow: func(e *policy.Entry) { e.Grant.Tool.Names = []string{"files_read"} },
		code:   abi.CodePermissionDenied, grant: "tool.names: files_list",
	},
	"files.upload": {
		tool: "files_list", args: arguments{"path": "upload"},
		narrow: func(e *policy.Entry) { e.Grant.Files.Upload = abi.AccessNone },
		code:   abi.CodePermissionDenied, grant: "files.upload: read",
	},
	"files.output": {
		tool: "files_write", args: arguments{"path": "output/new.txt", "content": "text"},
		narrow: func(e *policy.Entry) { e.Grant.Files.Output = abi.AccessRead },
		code:   abi.CodePermissionDenied, grant: "files.output: append",
	},
	"files.store": {
		tool: "files_write", args: arguments{"path": "store/new.txt", "content": "text", "mode": "append"},
		narrow: func(e *policy.Entry) { e.Grant.Files.Store = abi.AccessRead },
		code:   abi.CodePermissionDenied, grant: "files.store: append",
	},
	"files.deploy": {
		tool: "files_write", args: arguments{"path": "deploy/new.txt", "content": "text"},
		narrow: func(e *policy.Entry) { e.Grant.Files.Deploy = abi.AccessRead },
		code:   abi.CodePermissionDenied, grant: "files.deploy: append",
	},
	"limits.memory_mib": {
		tool: "badboy_eat", args: arguments{"mib": 48},
		narrow: func(e *policy.Entry) { e.Limits.MemoryMiB = 32 },
		code:   abi.CodePluginFailed, says: "limits.memory_mib",
	},
	"limits.deadline": {
		// It starts a Python process, which takes longer than that.
		tool: "ungranted_run", args: arguments{"code": "1+1"},
		narrow: func(e *policy.Entry) { e.Limits.Deadline = abi.Duration(time.Millisecond) },
		code:   abi.CodeDeadlineExceeded, says: "limits.deadline",
	},
	"limits.table_elements": {
		// A Go program has a table of its functions from the start.
		tool: "badboy_remember", args: arguments{},
		narrow: func(e *policy.Entry) { e.Limits.TableElements = 16 },
		code:   abi.CodeResourceExhausted, says: "limits.table_elements",
	},
	"limits.stack_kib": {
		tool: "badboy_recurse", args: arguments{"depth": 20_000},
		narrow: func(e *policy.Entry) { e.Limits.StackKiB = 128 },
		code:   abi.CodeResourceExhausted, says: "limits.stack_kib",
	},
	"limits.fuel": {
		tool: "badboy_work", args: arguments{"turns": 50_000_000},
		narrow: func(e *policy.Entry) { e.Limits.Fuel = 20_000_000 },
		code:   abi.CodeResourceExhausted, says: "limits.fuel",
	},
	"limits.host_calls": {
		tool: "badboy_ask", args: arguments{"times": 5000},
		narrow: func(e *policy.Entry) { e.Limits.HostCalls = 1000 },
		code:   abi.CodeResourceExhausted, says: "limits.host_calls",
	},
	"limits.host_bytes": {
		tool: "badboy_draw", args: arguments{"kib": 4096},
		narrow: func(e *policy.Entry) { e.Limits.HostBytes = 1 << 20 },
		code:   abi.CodeResourceExhausted, says: "limits.host_bytes",
	},
	"limits.output_bytes": {
		tool: "badboy_talk", args: arguments{"bytes": 100_000},
		narrow: func(e *policy.Entry) { e.Limits.OutputBytes = 99_999 },
		code:   abi.CodeResourceExhausted, says: "limits.output_bytes",
	},
	"limits.concurrent": {
		// One of the calls under way would wait, and there is one place for it.
		tool: "badboy_remember", args: arguments{}, busy: 2,
		base:   func(e *policy.Entry) { e.Limits.Queue = 1 },
		narrow: func(e *policy.Entry) { e.Limits.Concurrent = 1 },
		code:   abi.CodeResourceExhausted, says: "limits.concurrent", limit: "queue",
	},
	"limits.queue": {
		tool: "badboy_remember", args: arguments{}, busy: 2,
		base:   func(e *policy.Entry) { e.Limits.Concurrent = 1 },
		narrow: func(e *policy.Entry) { e.Limits.Queue = 1 },
		code:   abi.CodeResourceExhausted, says: "limits.queue",
	},
}

// attempt makes the row's call, while as many others are under way as the row
// says. They end once it was answered or waits for its turn.
func (sc scope) attempt(t *testing.T, s *hosttest.Stage, args arguments) hosttest.Answer {
	t.Helper()
	session := s.Agent.Session()
	if sc.busy == 0 {
		return s.Agent.Try(session, sc.tool, args)
	}
	plugin, _ := abi.SplitName(sc.tool)
	busy := func() int {
		var list struct{ Plugins []host.PluginStatus }
		s.Operator.JSON(http.MethodGet, "/v1/plugins", "", &list)
		i := slices.IndexFunc(list.Plugins, func(p host.PluginStatus) bool { return p.Name == plugin })
		return list.Plugins[i].Running + list.Plugins[i].Waiting
	}
	until := func(what string, happened func() bool) {
		for deadline := time.Now().Add(20 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("it didn't happen: %s", what)
			}
		}
	}
	ctx, end := context.WithCancel(t.Context())
	var others sync.WaitGroup
	defer others.Wait()
	defer end()
	for range sc.busy {
		req := s.Agent.Request(http.MethodPost, "/v1/sessions/"+session+"/tools/"+plugin+"_sleep", strings.NewReader("{}")).WithContext(ctx)
		others.Go(func() {
			if resp, err := http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
			}
		})
	}
	until("the other calls are under way", func() bool { return busy() == sc.busy })
	answer := make(chan hosttest.Answer, 1)
	go func() { answer <- s.Agent.Try(session, sc.tool, args) }()
	until("the call waits or was answered", func() bool { return len(answer) > 0 || busy() > sc.busy })
	end()
	return <-answer
}

// leaves lists the scopes that a type can declare, by the names of its fields.
func leaves(t *testing.T, typ reflect.Type, prefix string) []string {
	t.Helper()
	var names []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			t.Fatalf("%s.%s has no name in JSON", typ, field.Name)
		}
		inner := field.Type
		if inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			names = append(names, prefix+name) // written as one word
			continue
		}
		if inner.Kind() == reflect.Struct {
			names = append(names, leaves(t, inner, prefix+name+".")...)
		} else {
			names = append(names, prefix+name)
		}
	}
	return names
}

// TestEveryScopeThatCanBeDeclaredIsEnforced holds that a real host enforces
// whatever a manifest can ask for: each call here goes through where its plugin
// has what it asks for, and is refused, by name, where the operator granted
// less of that one thing.
func TestEveryScopeThatCanBeDeclaredIsEnforced(t *testing.T) {
	declared := append(leaves(t, reflect.TypeFor[abi.Capabilities](), ""), leaves(t, reflect.TypeFor[abi.Limits](), "limits.")...)
	slices.Sort(declared)
	if have := slices.Sorted(maps.Keys(scopes)); !slices.Equal(declared, have) {
		t.Fatalf("what can be declared is\n%q\nand these have a row:\n%q", declared, have)
	}
	web := newSites(t)
	folders := map[string]string{
		"ungranted": "testdata/plugins/ungranted", "badboy": "testdata/plugins/badboy", "relay": "testdata/plugins/relay",
		"files": "plugins/files", "http": "plugins/http", "python": "plugins/python",
	}
	stage := func(t *testing.T, edit func(*policy.Entry), plugins ...string) *hosttest.Stage {
		s := hosttest.NewStage(t, hosttest.Options{
			Plugins: plugins,
			Edit: func(e *policy.Entry) {
				web.grant(e)
				if edit != nil {
					edit(e)
				}
			},
			Config: func(c *host.Config) { c.CAFile = web.authority },
		})
		for name, value := range secrets {
			if err := host.SetSecret(s.DataDir, name, []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	whole := stage(t, nil, slices.Sorted(maps.Values(folders))...)
	for _, name := range declared {
		sc := scopes[name]
		t.Run(name, func(t *testing.T) {
			args := web.fill(sc.args)
			plugin, _ := abi.SplitName(sc.tool)
			whole, narrow := whole, sc.narrow
			if sc.base != nil {
				whole = stage(t, sc.base, folders[plugin])
				narrow = func(e *policy.Entry) {
					sc.base(e)
					sc.narrow(e)
				}
			}
			a := sc.attempt(t, whole, args)
			if a.StatusCode != http.StatusOK || !strings.Contains(string(a.Body), sc.shows) {
				t.Fatalf("what was granted came to %d %s", a.StatusCode, a.Body)
			}
			narrowed := stage(t, narrow, folders[plugin])
			a = sc.attempt(t, narrowed, args)
			if sc.shows != "" {
				if a.StatusCode != http.StatusOK || strings.Contains(string(a.Body), sc.shows) {
					t.Errorf("granted less, it came to %d %s", a.StatusCode, a.Body)
				}
				return
			}
			p := a.Problem(t)
			if p.Code != sc.code || !strings.HasPrefix(p.Grant, sc.grant) || !strings.Contains(p.Detail+"\n"+p.Hint, sc.says) {
				t.Errorf("granted less, it came to %+v", p)
			}
			if limit, ok := strings.CutPrefix(name, "limits."); ok && p.Limit != cmp.Or(sc.limit, limit) {
				t.Errorf("the refusal names the limit %q", p.Limit)
			}
			parent, _, _ := strings.Cut(sc.grant, ":")
			if (sc.grant == "") == (sc.says == "") || sc.grant != "" && !strings.HasPrefix(name, parent) || sc.says != "" && sc.says != name {
				t.Errorf("the row is about something else: %q, %q", sc.grant, sc.says)
			}
		})
	}
}

// sites are what the plugins of the scopes' test reach for.
type sites struct {
	plain, safe *httptest.Server
	authority   string // the file with the safe one's
}

func newSites(t *testing.T) *sites {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/secret" {
			if r.Header.Get("X-Token") == "Bearer "+secrets["token"] {
				io.WriteString(w, "the secret came")
			} else {
				io.WriteString(w, "no secret, or another one")
			}
			return
		}
		io.WriteString(w, "welcome")
	})
	s := &sites{plain: httptest.NewServer(handler), safe: httptest.NewTLSServer(handler), authority: filepath.Join(t.TempDir(), "authority.pem")}
	t.Cleanup(s.plain.Close)
	t.Cleanup(s.safe.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.safe.Certificate().Raw})
	if err := os.WriteFile(s.authority, certificate, 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// grant grants the sites to the plugins that ask for the network.
func (s *sites) grant(e *policy.Entry) {
	if e.Name != "http" && e.Name != "python" {
		return
	}
	var ports []abi.PortRange
	for _, server := range []*httptest.Server{s.plain, s.safe} {
		port := uint16(server.Listener.Addr().(*net.TCPAddr).Port)
		ports = append(ports, abi.PortRange{First: port, Last: port})
	}
	e.Grant.HTTP = &abi.HTTPScope{
		Allow: []abi.HTTPRule{{
			Hosts: []string{"127.0.0.1"}, Schemes: []string{"http", "https"}, Ports: ports, Methods: []string{"GET", "POST"},
			Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		}},
		MaxTime: abi.Duration(20 * time.Second), MaxBytes: 1 << 20,
	}
	if e.Name == "python" {
		e.Grant.Kernel.Network = true
		return
	}
	e.Grant.HTTP.Secrets = []abi.HTTPSecret{{Name: "token", Header: "X-Token", Prefix: "Bearer ", Hosts: []string{"127.0.0.1"}}}
}

// fill puts the sites' addresses into arguments.
func (s *sites) fill(args arguments) arguments {
	out := arguments{}
	for k, v := range args {
		if text, ok := v.(string); ok {
			v = strings.NewReplacer("PLAIN", s.plain.URL, "SAFE", s.safe.URL).Replace(text)
		}
		out[k] = v
	}
	return out
}
