package hosttest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/httpapi"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// A Stage is a real host behind its HTTP door, with its folders in t's
// temporary directory.
type Stage struct {
	T          testing.TB
	Dir        string // holds the three below
	DataDir    string
	PluginDir  string
	PolicyFile string
	Host       *host.Host
	Server     *httptest.Server
	Agent      *Client // an agent's token
	Operator   *Client // an operator's token

	config host.Config
}

// Options are how a Stage differs from the usual one. The zero value is a
// host with the python and files plugins, granted what they ask for, save the
// network.
type Options struct {
	// Plugins are folders of plugins that are there and allowed; nil is
	// plugins/python and plugins/files.
	Plugins []string
	// Others are folders of plugins that are there and not allowed.
	Others []string
	// Edit changes the policy's entries before the host starts.
	Edit func(*policy.Entry)
	// Config changes the host's configuration before it starts.
	Config func(*host.Config)
}

// NewStage starts a host. It ends with the test.
func NewStage(t testing.TB, o Options) *Stage {
	t.Helper()
	dir := t.TempDir()
	s := &Stage{
		T: t, Dir: dir, DataDir: filepath.Join(dir, "data"), PluginDir: filepath.Join(dir, "plugins"),
		PolicyFile: filepath.Join(dir, "policy.yaml"),
	}
	s.must(os.Mkdir(s.PluginDir, 0o755))
	if o.Plugins == nil {
		o.Plugins = []string{"plugins/python", "plugins/files"}
	}
	pol := &policy.Policy{Version: 1}
	for _, p := range o.Plugins {
		entry := s.Install(p)
		if o.Edit != nil {
			o.Edit(&entry)
		}
		pol.Allow(entry)
	}
	for _, p := range o.Others {
		s.Install(p)
	}
	s.WritePolicy(pol)
	cfg := host.Config{
		DataDir: s.DataDir, PluginDir: s.PluginDir, PolicyFile: s.PolicyFile,
		Python: Python(t), CacheDir: filepath.Join(Root(), "build", "test", "cache"),
		Logger: testLog(t),
	}
	if o.Config != nil {
		o.Config(&cfg)
	}
	s.config = cfg
	t.Cleanup(s.Close)
	s.start()
	s.Agent = s.Client(httpapi.RoleAgent)
	s.Operator = s.Client(httpapi.RoleOperator)
	return s
}

func (s *Stage) start() {
	s.T.Helper()
	// The test's own context ends before its cleanup, in which the host is
	// still to end well.
	var err error
	s.Host, err = host.New(context.WithoutCancel(s.T.Context()), s.config)
	s.must(err)
	api, err := httpapi.New(httpapi.Config{Host: s.Host, Logger: s.config.Logger.Named("http")})
	s.must(err)
	s.Server = httptest.NewServer(api)
}

// Restart ends the host and starts another on the same folders. Tokens and
// clients stay good.
func (s *Stage) Restart() {
	s.T.Helper()
	s.Close()
	s.start()
	s.Agent.URL, s.Operator.URL = s.Server.URL, s.Server.URL
}

// Close ends the host, as the end of the test does.
func (s *Stage) Close() {
	s.T.Helper()
	if s.Host == nil {
		return
	}
	s.Server.CloseClientConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Host.Close(ctx); err != nil {
		s.T.Errorf("the host ended with: %v", err)
	}
	s.Server.Close()
	s.Host = nil
}

// Install builds a plugin, copies it to the plugin directory and returns the
// entry that grants what it asks for, save the network.
func (s *Stage) Install(dir string) policy.Entry {
	s.T.Helper()
	b, err := os.ReadFile(Plugin(s.T, dir))
	s.must(err)
	return s.Put(b)
}

// Put is Install of a plugin's file that is there already.
func (s *Stage) Put(wasm []byte) policy.Entry {
	s.T.Helper()
	a, err := plugin.Parse(wasm)
	s.must(err)
	s.must(os.WriteFile(filepath.Join(s.PluginDir, a.Manifest.Name+".wasm"), wasm, 0o644))
	grant := a.Manifest.Capabilities
	grant.HTTP = nil // as sallyport plugin allow does: hosts are granted by name
	if grant.Kernel != nil {
		kernel := *grant.Kernel
		kernel.Network = false
		grant.Kernel = &kernel
	}
	return policy.Entry{Name: a.Manifest.Name, Digest: a.Digest, Grant: grant}
}

// WritePolicy replaces the policy file.
func (s *Stage) WritePolicy(p *policy.Policy) {
	s.T.Helper()
	b, err := p.Encode()
	s.must(err)
	s.must(os.WriteFile(s.PolicyFile+".new", b, 0o644))
	s.must(os.Rename(s.PolicyFile+".new", s.PolicyFile))
}

// Client makes a token of a role and a client that sends it.
func (s *Stage) Client(role httpapi.Role) *Client {
	s.T.Helper()
	secret, token, err := httpapi.CreateToken(s.Host.DataFile(httpapi.TokensFile), role, "test")
	s.must(err)
	return &Client{t: s.T, URL: s.Server.URL, Token: secret, Principal: token.Principal()}
}

func (s *Stage) must(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

func testLog(t testing.TB) hclog.Logger {
	level := hclog.Warn
	if testing.Verbose() {
		level = hclog.Debug
	}
	return hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: level})
}

// A Client is somebody at the HTTP door.
type Client struct {
	t         testing.TB
	URL       string
	Token     string
	Principal string
}

// An Answer is a response whose body was read.
type Answer struct {
	*http.Response
	Body []byte
}

// Problem decodes the answer's problem document.
func (a Answer) Problem(t testing.TB) httpapi.Problem {
	t.Helper()
	var p httpapi.Problem
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("the answer %d is %q, not a problem document: %s", a.StatusCode, got, a.Body)
	}
	if err := json.Unmarshal(a.Body, &p); err != nil {
		t.Fatalf("problem document: %v: %s", err, a.Body)
	}
	if p.Status != a.StatusCode {
		t.Errorf("the problem document says %d, the status line %d", p.Status, a.StatusCode)
	}
	return p
}

// Request makes a request with the client's token.
func (c *Client) Request(method, path string, body io.Reader) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.URL+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return req
}

// Do sends a request and reads the answer.
func (c *Client) Do(method, path, body string) Answer {
	c.t.Helper()
	return c.Send(c.Request(method, path, bytes.NewReader([]byte(body))))
}

// Send sends a request made by Request and reads the answer.
func (c *Client) Send(req *http.Request) Answer {
	c.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return Answer{resp, b}
}

// JSON sends a request that must succeed, and decodes the answer into v.
func (c *Client) JSON(method, path, body string, v any) {
	c.t.Helper()
	a := c.Do(method, path, body)
	if a.StatusCode >= 400 {
		c.t.Fatalf("%s %s: %d %s", method, path, a.StatusCode, a.Body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		c.t.Fatalf("%s %s: %v: %s", method, path, err, a.Body)
	}
}

// Session makes a session and returns its id.
func (c *Client) Session() string {
	c.t.Helper()
	var s struct{ ID string }
	c.JSON(http.MethodPost, "/v1/sessions", "", &s)
	return s.ID
}

// Call runs a tool that must answer with a result.
func (c *Client) Call(session, tool string, args any) abi.Result {
	c.t.Helper()
	b, err := json.Marshal(args)
	if err != nil {
		c.t.Fatal(err)
	}
	var r abi.Result
	c.JSON(http.MethodPost, "/v1/sessions/"+session+"/tools/"+tool, string(b), &r)
	return r
}

// Try runs a tool and returns the answer, whatever it is.
func (c *Client) Try(session, tool string, args any) Answer {
	c.t.Helper()
	b, err := json.Marshal(args)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Do(http.MethodPost, "/v1/sessions/"+session+"/tools/"+tool, string(b))
}
