package fetch_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/fetch"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

// A stage is two servers on loopback, one with TLS, that answer for every name
// below .test, and a gate that lets a client reach them.
type stage struct {
	t     *testing.T
	plain string // "port" of the server without TLS
	tls   string // and with
	roots *x509.CertPool

	mu       sync.Mutex
	sent     []*http.Request // with their bodies read
	bodies   []string
	decided  []string
	scope    abi.HTTPScope
	secrets  map[string]string
	noSecret error // of those that aren't there
	agent    string
	resolver egress.Resolver
}

// newStage has a handler answer. It notes the requests.
func newStage(t *testing.T, handler http.HandlerFunc) *stage {
	t.Helper()
	s := &stage{t: t, resolver: loopback{}}
	certificate, roots := certify(t)
	s.roots = roots
	noting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.sent, s.bodies = append(s.sent, r), append(s.bodies, string(b))
		s.mu.Unlock()
		handler(w, r)
	})
	server := func(start func(*httptest.Server)) string {
		srv := httptest.NewUnstartedServer(noting)
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		start(srv)
		t.Cleanup(srv.Close)
		u, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		return u.Port()
	}
	s.plain = server((*httptest.Server).Start)
	s.tls = server((*httptest.Server).StartTLS)
	return s
}

// certify makes a certificate for the names that tests use.
func certify(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"*.test", "*.a.test"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// loopback resolves names below .test.
type loopback struct{}

func (loopback) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if !strings.HasSuffix(host, ".test") {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// rules let the servers be reached, with every method.
func (s *stage) rules() []abi.HTTPRule {
	return []abi.HTTPRule{{
		Hosts: []string{"*.test", "127.0.0.1"}, Schemes: []string{"http", "https"}, Methods: []string{abi.AnyMethod},
		Ports: []abi.PortRange{{First: 1, Last: 65535}}, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	}}
}

// client returns a client through a real gate.
func (s *stage) client() *fetch.Client {
	s.t.Helper()
	if s.scope.Allow == nil {
		s.scope.Allow = s.rules()
	}
	gate, err := egress.New(egress.Config{
		Rules: s.scope.Allow, Resolver: s.resolver, RootCAs: s.roots,
		Record: func(d egress.Decision) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.decided = append(s.decided, fmt.Sprint(d.Allowed, " ", d.Target))
			return nil
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(gate.Close)
	client, err := fetch.New(fetch.Config{
		Gate: gate, Scope: s.scope, UserAgent: s.agent,
		Secret: func(name string) (string, error) {
			if v, ok := s.secrets[name]; ok {
				return v, nil
			}
			return "", s.noSecret
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

// at returns the URL of a path at a host, "https://a.test/x" with the server's
// port put in.
func (s *stage) at(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		s.t.Fatal(err)
	}
	port := s.tls
	if u.Scheme == "http" {
		port = s.plain
	}
	u.Host = u.Hostname() + ":" + port
	return u.String()
}

// fetch sends a request and reads the whole body.
func (s *stage) fetch(req abi.HTTPFetchRequest, payload string) (abi.HTTPFetchResponse, string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	return fetchAll(ctx, s.client(), req, payload)
}

func fetchAll(ctx context.Context, c *fetch.Client, req abi.HTTPFetchRequest, payload string) (abi.HTTPFetchResponse, string, error) {
	head, body, err := c.Fetch(ctx, req, []byte(payload))
	if err != nil {
		return head, "", err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	return head, string(b), err
}

// get fetches a URL and fails the test where that fails.
func (s *stage) get(raw string, header ...abi.HTTPHeader) (abi.HTTPFetchResponse, string) {
	s.t.Helper()
	head, body, err := s.fetch(abi.HTTPFetchRequest{URL: s.at(raw), Header: header}, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return head, body
}

// refused wants a fetch to fail, and returns why.
func (s *stage) refused(req abi.HTTPFetchRequest, code abi.Code) *abi.Error {
	s.t.Helper()
	_, _, err := s.fetch(req, "")
	e, ok := errors.AsType[*abi.Error](err)
	if !ok || e.Code != code {
		s.t.Fatalf("%s %.80s: %v, want %v", req.Method, req.URL, err, code)
	}
	return e
}

// last is the last request that came.
func (s *stage) last() (*http.Request, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) == 0 {
		s.t.Fatal("no request came")
	}
	return s.sent[len(s.sent)-1], s.bodies[len(s.bodies)-1]
}

func (s *stage) came() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sent)
}

// value returns a header of a response.
func value(h abi.HTTPFetchResponse, name string) string {
	for _, line := range h.Header {
		if line.Name == name {
			return line.Value
		}
	}
	return ""
}
