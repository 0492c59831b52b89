package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
)

// attempts are what code of the agent's own tries in its kernel, and what each
// one says when it got through.
const attempts = `
import json, os, socket
def attempt(f):
    try:
        return "GOT THROUGH: %%s" %% (f(),)
    except Exception as e:
        return "stopped: %%s" %% e
def connect():
    with socket.create_connection((%q, %d), 5) as s:
        return s.getpeername()
def write():
    with open("/upload/planted", "w") as f:
        return f.write("x")
print(json.dumps({
    "read a file of the host's": attempt(lambda: open(%q).read()),
    "call the host's API": attempt(connect),
    "write to the read-only zone": attempt(write),
    "signal the host": attempt(lambda: os.kill(%d, 0)),
    "become root": attempt(lambda: os.setuid(0)),
}))
`

func (p *play) tryWalls(ctx context.Context) error {
	var status struct {
		PID   int
		Walls []struct {
			Name  string
			Holds bool
		}
	}
	if err := p.operator.json(ctx, http.MethodGet, "/v1/status", nil, &status); err != nil {
		return err
	}
	var standing, missing []string
	for _, w := range status.Walls {
		if w.Holds {
			standing = append(standing, w.Name)
		} else {
			missing = append(missing, w.Name)
		}
	}
	say("the host tried its walls, and these stand: %s", strings.Join(standing, ", "))
	if len(missing) > 0 {
		say("these don't on this machine: %s", strings.Join(missing, ", "))
	}
	if _, err := os.ReadFile(p.secret); err != nil { // from outside it can be read
		return err
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(p.agent.base, "http://"))
	if err != nil {
		return err
	}
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		return err
	}
	r, err := p.agent.call(ctx, p.session, "python_run", args{"code": fmt.Sprintf(attempts, host, number, p.secret, status.PID)})
	if err != nil {
		return err
	}
	text := r.text()
	var outcome map[string]string
	start := strings.IndexByte(text, '{')
	if start < 0 {
		return fmt.Errorf("python_run answered: %s", text)
	}
	if err := json.NewDecoder(strings.NewReader(text[start:])).Decode(&outcome); err != nil || len(outcome) != 5 {
		return fmt.Errorf("python_run answered: %s", text)
	}
	for what, came := range outcome {
		if !strings.HasPrefix(came, "stopped: ") {
			return fmt.Errorf("code in the kernel could %s: %s", what, came)
		}
		say("to %s: %s", what, came)
	}
	return nil
}

// siteHost is where the demo's own site is. Its address isn't public, so the
// grant has to name that too.
const siteHost = "127.0.0.1"

// A site is what the demo reaches for: a server that was granted, and one beside
// it that wasn't.
type site struct {
	granted, other *httptest.Server
	visits         atomic.Int32 // of the other
}

func openSite() *site {
	s := &site{}
	s.other = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.visits.Add(1)
		fmt.Fprintln(w, "what nobody was granted")
	}))
	s.granted = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/leave" {
			http.Redirect(w, r, s.other.URL, http.StatusFound)
			return
		}
		fmt.Fprintln(w, "the weather is fine")
	}))
	return s
}

func (s *site) close() {
	s.granted.Close()
	s.other.Close()
}

// grant narrows what python and http were granted to the one server, as an
// operator would by hand.
func (s *site) grant(policy string) error {
	b, err := os.ReadFile(policy)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.granted.Listener.Addr().String())
	if err != nil {
		return err
	}
	var out strings.Builder
	found := 0
	for line := range strings.Lines(string(b)) {
		indent, isRule := strings.CutSuffix(strings.TrimRight(line, "\n"), "allow:")
		out.WriteString(line)
		if isRule {
			found++
			out.WriteString(indent + "  - hosts: [" + siteHost + "]\n" +
				indent + "    schemes: [http]\n" +
				indent + "    ports: [" + port + "]\n" +
				indent + "    addresses: [" + siteHost + "/32]\n")
		}
	}
	if found != 2 {
		return errors.New("the policy doesn't grant two plugins http:\n" + string(b))
	}
	return os.WriteFile(policy, []byte(out.String()), 0o600)
}

func (p *play) useNetwork(ctx context.Context) error {
	r, err := p.agent.call(ctx, p.session, "http_fetch", args{"url": p.site.granted.URL + "/weather"})
	if err != nil {
		return err
	}
	if r.IsError || !strings.Contains(r.text(), "the weather is fine") {
		return fmt.Errorf("http_fetch answered: %s", r.text())
	}
	say("http_fetch reaches the server that was granted")
	_, err = p.agent.call(ctx, p.session, "http_fetch", args{"url": p.site.other.URL})
	if err := expect(err, "permission_denied", "http.allow"); err != nil {
		return err
	}
	_, err = p.agent.call(ctx, p.session, "http_fetch", args{"url": p.site.granted.URL + "/leave"})
	if err := expect(err, "permission_denied", "http.allow"); err != nil {
		return fmt.Errorf("a redirect: %w", err)
	}
	r, err = p.agent.call(ctx, p.session, "python_run", args{"code": fmt.Sprintf(`
import urllib.request, urllib.error
print(urllib.request.urlopen(%q).read().decode())
try:
    print(urllib.request.urlopen(%q).read().decode())
except urllib.error.HTTPError as e:
    print("the gate says", e.code)
`, p.site.granted.URL, p.site.other.URL)})
	if err != nil {
		return err
	}
	if !strings.Contains(r.text(), "the weather is fine") || !strings.Contains(r.text(), "the gate says 403") {
		return fmt.Errorf("python_run answered: %s", r.text())
	}
	say("so does code in the kernel, through the gate, and no further")
	if n := p.site.visits.Load(); n != 0 {
		return fmt.Errorf("the server that wasn't granted was visited %d times", n)
	}
	return nil
}
