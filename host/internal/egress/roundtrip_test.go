package egress_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// get asks for a url and reads the body.
func get(t *testing.T, rt http.RoundTripper, url string) (string, error) {
	t.Helper()
	resp, err := (&http.Client{Transport: rt, Timeout: patience}).Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// pair starts an inner server on 127.0.0.2 and an outer one on 127.0.0.1, with
// the same port, and counts what the inner one is asked.
func pair(t *testing.T, outer http.HandlerFunc) (port string, inner *atomic.Int32) {
	t.Helper()
	inner = &atomic.Int32{}
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port = portOf(l.Addr())
		secret, err := net.Listen("tcp", "127.0.0.2:"+port)
		if err != nil {
			_ = l.Close()
			continue
		}
		for l, h := range map[net.Listener]http.HandlerFunc{l: outer, secret: func(w http.ResponseWriter, _ *http.Request) {
			inner.Add(1)
			_, _ = io.WriteString(w, "inner")
		}} {
			s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
			s.Start()
			t.Cleanup(s.Close)
		}
		return port, inner
	}
	t.Fatal("no port is free on both addresses")
	return "", nil
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestANameThatChangesItsMindReachesOnlyWhatWasChecked(t *testing.T) {
	port, inner := pair(t, say("outer"))
	url := "http://a.example:" + port
	rebinding := func() *names { return resolve("a.example=127.0.0.1;127.0.0.2") }
	n := rebinding()
	g, kept := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("a.example")}, Resolver: n})
	if got, err := get(t, g.RoundTripper(), url); got != "outer" || n.asked != 1 {
		t.Errorf("%q, %v, asked %d times", got, err, n.asked)
	}
	_, err := get(t, g.RoundTripper(), url)
	if abi.CodeOf(err) != abi.CodePermissionDenied || inner.Load() != 0 {
		t.Errorf("after the change: %v", err)
	}
	target := "http://a.example:" + port + " GET"
	if want := "allowed " + target + ", refused " + target; kept.String() != want {
		t.Errorf("recorded %q", kept)
	}
	// Mixed answers gain nothing either.
	g, _ = newGate(t, egress.Config{Rules: []abi.HTTPRule{local("a.example")}, Resolver: resolve("a.example=127.0.0.1,127.0.0.2")})
	if _, err := get(t, g.RoundTripper(), url); abi.CodeOf(err) != abi.CodePermissionDenied || inner.Load() != 0 {
		t.Errorf("mixed: %v", err)
	}
	// The control: with both granted the new answer is followed.
	both := local("a.example")
	both.Addresses = prefixes("127.0.0.0/30")
	n = rebinding()
	_, _ = n.LookupNetIP(t.Context(), "ip", "a.example")
	g, _ = newGate(t, egress.Config{Rules: []abi.HTTPRule{both}, Resolver: n})
	if got, err := get(t, g.RoundTripper(), url); got != "inner" {
		t.Errorf("granted: %q, %v", got, err)
	}
}

func TestEachRedirectIsDecided(t *testing.T) {
	var to string
	port, inner := pair(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	n := resolve("a.example=127.0.0.1", "b.example=127.0.0.2", "c.example=127.0.0.2,127.0.0.1")
	lifted := local("*")
	lifted.Addresses = prefixes("127.0.0.0/8")
	for host, code := range map[string]abi.Code{
		"127.0.0.2":          abi.CodePermissionDenied,
		"127.0.0.2.":         abi.CodePermissionDenied,
		"[::ffff:127.0.0.2]": abi.CodePermissionDenied,
		"b.example":          abi.CodePermissionDenied,
		"B.EXAMPLE.":         abi.CodePermissionDenied,
		"c.example":          abi.CodePermissionDenied,
		"2130706434":         abi.CodeInvalidArgument,
		"127.2":              abi.CodeInvalidArgument,
		"0x7f.2":             abi.CodeInvalidArgument,
		"0177.0.0.2":         abi.CodeInvalidArgument,
		"a.example@b.test":   abi.CodeInvalidArgument,
	} {
		to = "http://" + host + ":" + port + "/inner"
		g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}, Resolver: n})
		if _, err := get(t, g.RoundTripper(), "http://a.example:"+port); abi.CodeOf(err) != code || inner.Load() != 0 {
			t.Errorf("to %s: %v", host, err)
		}
		g, _ = newGate(t, egress.Config{Rules: []abi.HTTPRule{lifted}, Resolver: n})
		got, err := get(t, g.RoundTripper(), "http://a.example:"+port)
		if code == abi.CodePermissionDenied && got != "inner" {
			t.Errorf("to %s, granted: %q, %v", host, got, err)
		}
		if code != abi.CodePermissionDenied && abi.CodeOf(err) != code { // no grant makes sense of it
			t.Errorf("to %s, granted: %q, %v", host, got, err)
		}
		inner.Store(0)
	}
}

func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	var asked atomic.Int32
	other := origin(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:"+other)
	port := origin(t, say("here"))
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("a.example")}, Resolver: resolve("a.example=127.0.0.1")})
	if got, err := get(t, g.RoundTripper(), "http://a.example:"+port); got != "here" || asked.Load() != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsBetweenClientAndProxyDoesNotGoOut(t *testing.T) {
	var seen http.Header
	var host string
	port := origin(t, func(_ http.ResponseWriter, r *http.Request) { seen, host = r.Header.Clone(), r.Host })
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("a.example")}, Resolver: resolve("a.example=127.0.0.1")})
	req, _ := http.NewRequest("GET", "http://A.example.:"+port, nil)
	for _, name := range []string{"Proxy-Authorization", "Proxy-Connection", "proxy-anything", "Keep-Alive", "X-Named", "Te", "Host", "X-Kept"} {
		req.Header[name] = []string{"secret"}
	}
	req.Header.Set("Connection", "keep-alive, X-Named, Upgrade, HTTP2-Settings")
	req.Header.Set("Upgrade", "h2c")
	req.Header.Set("HTTP2-Settings", "AAMAAABkAAQAAP__")
	resp, err := g.RoundTripper().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if host != "a.example:"+port {
		t.Errorf("the Host is %q", host)
	}
	if len(seen) != 2 || seen.Get("X-Kept") != "secret" || seen.Get("User-Agent") == "" {
		t.Errorf("seen: %v", seen)
	}
	if req.Header.Get("X-Named") == "" || req.URL.Host != "A.example.:"+port {
		t.Error("the request was changed")
	}
}

func TestARequestWhoseHostIsNotItsURLsIsRefused(t *testing.T) {
	port := origin(t, say("here"))
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}, Resolver: resolve("a.example=127.0.0.1")})
	for host, want := range map[string]bool{
		"a.example:" + port: true, "": true, "A.EXAMPLE.:" + port: true,
		"b.example": false, "a.example": false, "a.example:1": false, "x@a.example:" + port: false, "a.example:" + port + "\r\nX: y": false,
	} {
		req, _ := http.NewRequest("GET", "http://a.example:"+port, nil)
		req.Host = host
		resp, err := g.RoundTripper().RoundTrip(req)
		if (err == nil) != want {
			t.Errorf("%q: %v", host, err)
		}
		if err == nil {
			_ = resp.Body.Close()
		} else if abi.CodeOf(err) != abi.CodeInvalidArgument {
			t.Errorf("%q: %v", host, err)
		}
	}
	for _, target := range []string{"http://a.example:" + port + "/?a b", "http://a.example:" + port + "/#a b"} {
		req, _ := http.NewRequest("GET", target, nil)
		_, err := g.RoundTripper().RoundTrip(req)
		if strings.Contains(target, "?") != (abi.CodeOf(err) == abi.CodeInvalidArgument) {
			t.Errorf("%q: %v", target, err)
		}
	}
}

// secure starts an https server for a.example on loopback.
func secure(t testing.TB, h http.HandlerFunc, c *tls.Config) (port string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = c
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return portOf(s.Listener.Addr()), roots
}

func TestTheRoundTripperSpeaksTLSToTheHostItself(t *testing.T) {
	port, roots := secure(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.TLS.ServerName, " ", r.Host, " ", r.Proto)
	}, nil)
	c := egress.Config{Rules: []abi.HTTPRule{local("*")}, RootCAs: roots, Resolver: resolve("example.com=127.0.0.1", "other.example=127.0.0.1")}
	g, _ := newGate(t, c)
	if got, err := get(t, g.RoundTripper(), "https://example.com:"+port); got != "example.com example.com:"+port+" HTTP/2.0" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := get(t, g.RoundTripper(), "https://other.example:"+port); abi.CodeOf(err) != abi.CodeUnavailable {
		t.Errorf("another name: %v", err)
	}
	c.RootCAs = nil
	g, _ = newGate(t, c)
	if _, err := get(t, g.RoundTripper(), "https://example.com:"+port); abi.CodeOf(err) != abi.CodeUnavailable {
		t.Errorf("an unknown root: %v", err)
	}
	old, roots := secure(t, say("old"), &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	c.RootCAs = roots
	g, _ = newGate(t, c)
	if _, err := get(t, g.RoundTripper(), "https://example.com:"+old); abi.CodeOf(err) != abi.CodeUnavailable {
		t.Errorf("TLS 1.1: %v", err)
	}
}

func TestAConnectionIsKeptForItsRuleAlone(t *testing.T) {
	port := origin(t, say("here"))
	read, write := local("a.example"), local("a.example")
	read.Methods, write.Methods = []string{"GET"}, []string{"POST"}
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{read, write}, Resolver: resolve("a.example=127.0.0.1")})
	for i, c := range []struct {
		method string
		reused bool
	}{{"GET", false}, {"GET", true}, {"POST", false}, {"GET", true}, {"POST", true}} {
		var reused bool
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }})
		req, _ := http.NewRequestWithContext(ctx, c.method, "http://a.example:"+port, nil)
		resp, err := g.RoundTripper().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		_ = resp.Body.Close()
		if reused != c.reused {
			t.Errorf("request %d: reused is %v", i, reused)
		}
	}
}

func TestAddressesAreDialledInTheirOrder(t *testing.T) {
	port := origin(t, say("second"))
	r := local("a.example")
	r.Addresses = prefixes("127.0.0.0/8")
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{r}, Resolver: resolve("a.example=127.0.0.9,127.0.0.1", "b.example=127.0.0.9")})
	if got, err := get(t, g.RoundTripper(), "http://a.example:"+port); got != "second" {
		t.Errorf("%q, %v", got, err)
	}
	g, _ = newGate(t, egress.Config{Rules: []abi.HTTPRule{with(r, func(r *abi.HTTPRule) { r.Hosts = []string{"*"} })}, Resolver: resolve("b.example=127.0.0.9")})
	_, err := get(t, g.RoundTripper(), "http://b.example:"+port)
	if abi.CodeOf(err) != abi.CodeUnavailable || !abi.AsError(err).Retryable {
		t.Errorf("none answers: %v", err)
	}
}

// A drip is a handler that sends the given number of bytes, then, for ever,
// one whenever it is told to.
func drip(size int, more <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, size))
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case <-more:
				_, _ = w.Write([]byte{0})
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 4<<10)); err != nil {
			return
		}
	}
}

func TestAnExchangeIsBounded(t *testing.T) {
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	trickle := make(chan struct{})
	go func() {
		for {
			select {
			case <-ticks.C:
				select {
				case trickle <- struct{}{}:
				case <-t.Context().Done():
					return
				}
			case <-t.Context().Done():
				return
			}
		}
	}()
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	announced := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10001")
		_, _ = w.Write(make([]byte, 10001))
	}
	for what, c := range map[string]struct {
		config  egress.Config
		handler http.HandlerFunc
		code    abi.Code
	}{
		"an endless response":   {egress.Config{MaxBytes: 10000}, endless, abi.CodeResourceExhausted},
		"an announced one":      {egress.Config{MaxBytes: 10000}, announced, abi.CodeResourceExhausted},
		"one byte too many":     {egress.Config{MaxBytes: 10000}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10001)) }, abi.CodeResourceExhausted},
		"as many as may be":     {egress.Config{MaxBytes: 10000}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10000)) }, 0},
		"no response":           {egress.Config{Idle: 200 * time.Millisecond}, silent, abi.CodeDeadlineExceeded},
		"a response that stops": {egress.Config{Idle: 200 * time.Millisecond}, drip(100, nil), abi.CodeDeadlineExceeded},
		"a trickle":             {egress.Config{MaxTime: 300 * time.Millisecond}, drip(100, trickle), abi.CodeDeadlineExceeded},
	} {
		t.Run(what, func(t *testing.T) {
			c.config.Rules, c.config.Resolver = []abi.HTTPRule{local("*")}, resolve("a.example=127.0.0.1")
			port := origin(t, c.handler)
			g, _ := newGate(t, c.config)
			if _, err := get(t, g.RoundTripper(), "http://a.example:"+port); abi.CodeOf(err) != c.code {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestARequestsBodyIsBounded(t *testing.T) {
	port := origin(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	})
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}, MaxBytes: 10000})
	for size, want := range map[int]abi.Code{10000: 0, 10001: abi.CodeResourceExhausted} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(strings.Repeat("a", size))
			if chunked {
				body = struct{ io.Reader }{body}
			}
			req, _ := http.NewRequest("POST", "http://127.0.0.1:"+port, body)
			resp, err := g.RoundTripper().RoundTrip(req)
			if abi.CodeOf(err) != want {
				t.Errorf("%d bytes, chunked %v: %v", size, chunked, err)
			}
			if err == nil {
				_ = resp.Body.Close()
			}
		}
	}
}

func TestConnectionsToOriginsAreBounded(t *testing.T) {
	port := origin(t, drip(10, nil))
	quick := origin(t, say("quick"))
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}, MaxConns: 1})
	// What is only kept makes room.
	if got, err := get(t, g.RoundTripper(), "http://127.0.0.1:"+quick); got != "quick" {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("GET", "http://127.0.0.1:"+port, nil)
	resp, err := g.RoundTripper().RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_, err = get(t, g.RoundTripper(), "http://127.0.0.1:"+quick)
	if abi.CodeOf(err) != abi.CodeResourceExhausted || !abi.AsError(err).Retryable {
		t.Errorf("while one is open: %v", err)
	}
	_ = resp.Body.Close()
	waitFor(t, "the place to be free", func() bool {
		got, _ := get(t, g.RoundTripper(), "http://127.0.0.1:"+quick)
		return got == "quick"
	})
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	asked := make(chan struct{}, 2)
	port := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/started" {
			_ = http.NewResponseController(w).Flush()
		}
		asked <- struct{}{}
		<-r.Context().Done()
	})
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}})
	ended := make(chan error, 2)
	for _, path := range []string{"/", "/started"} {
		go func() {
			_, err := get(t, g.RoundTripper(), "http://127.0.0.1:"+port+path)
			ended <- err
		}()
	}
	<-asked
	<-asked
	g.Close()
	for range 2 {
		select {
		case err := <-ended:
			if abi.CodeOf(err) != abi.CodeUnavailable {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("it goes on")
		}
	}
}

func TestARequestEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	port := origin(t, func(_ http.ResponseWriter, r *http.Request) { close(asked); <-r.Context().Done() })
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:"+port, nil)
	if _, err := g.RoundTripper().RoundTrip(req); abi.CodeOf(err) != abi.CodeCanceled {
		t.Error(err)
	}
}
