package egress_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

// A record keeps decisions, or fails to.
type record struct {
	mu   sync.Mutex
	list []egress.Decision
	err  error
}

func (r *record) add(d egress.Decision) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, d)
	return r.err
}

// String lists the decisions so far: "allowed https://a:443, refused ...".
func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, d := range r.list {
		word := "refused "
		if d.Allowed {
			word = "allowed "
		}
		list = append(list, word+d.Target.String())
	}
	return strings.Join(list, ", ")
}

// names is a resolver that knows some names. Several answers of one name are
// given one after the other, the last for ever.
type names struct {
	mu      sync.Mutex
	answers map[string][][]netip.Addr
	asked   int
}

// resolve makes names of "host=addr,addr;addr" lines.
func resolve(lines ...string) *names {
	n := &names{answers: map[string][][]netip.Addr{}}
	for _, line := range lines {
		host, all, _ := strings.Cut(line, "=")
		for answer := range strings.SplitSeq(all, ";") {
			var list []netip.Addr
			for a := range strings.SplitSeq(answer, ",") {
				list = append(list, netip.MustParseAddr(a))
			}
			n.answers[host] = append(n.answers[host], list)
		}
	}
	return n
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	answers := n.answers[host]
	if len(answers) == 0 {
		return nil, errors.New("no such host")
	}
	if len(answers) > 1 {
		n.answers[host] = answers[1:]
	}
	return answers[0], nil
}

// loopback is the grant of this machine.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// anyPort is the grant of all ports.
var anyPort = []abi.PortRange{{First: 1, Last: 65535}}

// local is a rule for servers of this machine under some hosts.
func local(hosts ...string) abi.HTTPRule {
	return abi.HTTPRule{
		Hosts: hosts, Schemes: []string{"http", "https"}, Methods: []string{abi.AnyMethod},
		Ports: anyPort, Addresses: loopback,
	}
}

// openGates counts the gates of a test.
var openGates atomic.Int32

// newGate makes a gate that ends with the test, and leaves nothing.
func newGate(t testing.TB, c egress.Config) (*egress.Gate, *record) {
	t.Helper()
	r := &record{}
	if c.Record == nil {
		c.Record = r.add
	}
	g, err := egress.New(c)
	if err != nil {
		t.Fatal(err)
	}
	openGates.Add(1)
	t.Cleanup(func() {
		g.Close()
		if openGates.Add(-1) == 0 {
			waitFor(t, "the gate's goroutines to end", func() bool { return !strings.Contains(stacks(), "/internal/egress.(") })
		}
	})
	return g, r
}

func stacks() string {
	b := make([]byte, 4<<20)
	return string(b[:runtime.Stack(b, true)])
}

// waitFor polls, where there is no event to wait for.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	over := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("waited in vain for %s\n%s", what, stacks())
		}
	}
}

// origin starts a server on loopback, which ends with the test, and returns its
// port.
func origin(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return portOf(s.Listener.Addr())
}

func portOf(a net.Addr) string { return strconv.Itoa(a.(*net.TCPAddr).Port) }

// serve starts g's proxy and returns its address.
func serve(t testing.TB, g *egress.Gate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Serve(l)
	}()
	t.Cleanup(func() {
		g.Close()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("Serve didn't return after Close")
		}
	})
	return l.Addr().String()
}

// through returns a client that uses a proxy, and closes what it keeps.
func through(t testing.TB, proxy string) *http.Client {
	t.Helper()
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func sameAddrs(a, b []netip.Addr) bool { return slices.Equal(a, b) }

// quiet is where servers complain of clients that are meant to be odd.
var quiet = log.New(io.Discard, "", 0)
