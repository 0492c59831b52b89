package egress_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// A tunnel is a client's end of one, opened.
type tunnel struct {
	net.Conn
	r *bufio.Reader
}

func (c tunnel) Read(b []byte) (int, error) { return c.r.Read(b) }

// open opens a tunnel through a proxy.
func open(t testing.TB, proxy, target string) tunnel {
	t.Helper()
	c := dialTest(t, proxy)
	r, err := openTunnel(c, target)
	if err != nil {
		t.Fatal(err)
	}
	return tunnel{c, r}
}

// A witness is a server that says what it was told first, and counts.
func witness(t testing.TB) (port string, told *atomic.Int32) {
	t.Helper()
	told = &atomic.Int32{}
	return greeter(t, func(c net.Conn) {
		told.Add(1)
		_, _ = io.WriteString(c, "told")
	}), told
}

func TestATunnelsServerNameIsItsHost(t *testing.T) {
	port, told := witness(t)
	g, kept := newGate(t, egress.Config{
		Rules:    []abi.HTTPRule{local("*")},
		Resolver: resolve("a.example=127.0.0.1", "b.example=127.0.0.1", "xn--bcher-kva.example=127.0.0.1"),
	})
	proxy := serve(t, g)
	for _, c := range []struct {
		host, name string
		passes     bool
	}{
		{"a.example", "a.example", true},
		{"A.example.", "a.example", true},
		{"a.example", "A.EXAMPLE", true},
		{"b\u00fccher.example", "xn--bcher-kva.example", true},
		{"a.example", "b.example", false},
		{"a.example", "\u0430.example", false},
		{"a.example", "", false},
		{"a.example", "x.a.example", false},
		{"a.example", "localhost", false},
		{"127.0.0.1", "", true},
		{"127.0.0.1", "a.example", false},
		{"[::ffff:127.0.0.1]", "", true},
		{"[::ffff:127.0.0.1]", "b.example", false},
	} {
		before, decided := told.Load(), len(kept.String())
		tu := open(t, proxy, c.host+":"+port)
		_, _ = tu.Write(clientHello(t, c.name))
		got, err := io.ReadAll(tu)
		want := "told"
		if !c.passes {
			want = "\x15\x03\x03\x00\x02\x02\x31" // the alert access_denied
		}
		if string(got) != want || (told.Load() > before) != c.passes {
			t.Errorf("tunnel to %s, name %q: %q, %v", c.host, c.name, got, err)
		}
		if recorded := kept.String()[decided:]; strings.Contains(recorded, "refused") == c.passes || !strings.Contains(recorded, "allowed") {
			t.Errorf("tunnel to %s, name %q: recorded %q", c.host, c.name, recorded)
		}
	}
}

func TestTLSPassesThroughATunnelWhole(t *testing.T) {
	port, roots := secure(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, r.TLS.ServerName, " ", n)
		_, _ = w.Write(make([]byte, 1<<20))
	}, nil)
	only := abi.HTTPRule{Hosts: []string{"example.com"}, Ports: anyPort, Addresses: loopback}
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{only}, Resolver: resolve("example.com=127.0.0.1", "b.example=127.0.0.1")})
	client := through(t, serve(t, g))
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	// A method inside TLS can't be seen.
	resp, err := client.Post("https://example.com:"+port, "text/plain", bytes.NewReader(make([]byte, 3<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if head := fmt.Sprint("example.com ", 3<<20); err != nil || len(b) != len(head)+1<<20 || !strings.HasPrefix(string(b), head) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := client.Get("https://b.example:" + port); err == nil || !strings.Contains(err.Error(), "http.allow: https://b.example:"+port) {
		t.Errorf("another host: %v", err)
	}
}

func TestAClientHelloMayComeInPieces(t *testing.T) {
	port, told := witness(t)
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}, Resolver: resolve("a.example=127.0.0.1")})
	proxy := serve(t, g)
	hello := clientHello(t, "a.example")
	records := func(size int) []byte { // the same message in records of a few bytes
		var b []byte
		for rest := hello[5:]; len(rest) > 0; {
			n := min(size, len(rest))
			b = append(b, 22, 3, 1, byte(n>>8), byte(n))
			b, rest = append(b, rest[:n]...), rest[n:]
		}
		return b
	}
	for what, pieces := range map[string][][]byte{
		"bytes":   bytes.SplitAfter(hello, nil),
		"records": {records(50)},
		"both":    bytes.SplitAfter(records(100), nil),
	} {
		before := told.Load()
		tu := open(t, proxy, "a.example:"+port)
		_ = tu.Conn.(*net.TCPConn).SetNoDelay(true)
		for _, p := range pieces {
			_, _ = tu.Write(p)
		}
		if got, err := io.ReadAll(tu); string(got) != "told" && told.Load() == before {
			t.Errorf("in %s: %q, %v", what, got, err)
		}
	}
}

func TestWhatIsNeitherTLSNorHTTPDoesNotPass(t *testing.T) {
	port, told := witness(t)
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("a.example")}, Resolver: resolve("a.example=127.0.0.1")})
	proxy := serve(t, g)
	hello := clientHello(t, "a.example")
	for what, said := range map[string][]byte{
		"ssh":                 []byte("SSH-2.0-OpenSSH_9.2\r\n"),
		"smtp":                []byte("EHLO a.example\r\n"),
		"http/2":              []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
		"nulls":               make([]byte, 100),
		"an old hello":        {0x80, 0x2e, 0x01, 0x03, 0x01, 0, 0, 0, 0, 0, 0},
		"an alert":            {21, 3, 3, 0, 2, 2, 0},
		"another handshake":   {22, 3, 1, 0, 4, 2, 0, 0, 0},
		"a broken hello":      append(append([]byte{}, hello[:40]...), make([]byte, len(hello)-40)...),
		"a hello of no bytes": {22, 3, 1, 0, 0, 22, 3, 1, 0, 0},
		"too long a hello":    append([]byte{22, 3, 1, 0xff, 0xff}, make([]byte, 65535)...),
		"too long a message":  append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 16380)...),
	} {
		tu := open(t, proxy, "a.example:"+port)
		_, _ = tu.Write(said)
		_ = tu.Conn.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(tu)
		if told.Load() != 0 || bytes.Contains(got, []byte("told")) {
			t.Errorf("%s: %q", what, got)
		}
	}
	tu := open(t, proxy, "a.example:"+port)
	_, _ = tu.Write(hello)
	if got, err := io.ReadAll(tu); string(got) != "told" || told.Load() != 1 {
		t.Errorf("the control: %q, %v", got, err)
	}
}

func TestPlainHTTPInATunnelIsDecidedByRequest(t *testing.T) {
	var asked atomic.Int32
	port := origin(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = fmt.Fprint(w, r.Host, r.RequestURI)
	})
	read := local("a.example")
	read.Methods = []string{"GET"}
	g, kept := newGate(t, egress.Config{Rules: []abi.HTTPRule{read, {Hosts: []string{"tls.example"}, Ports: anyPort, Addresses: loopback}},
		Resolver: resolve("a.example=127.0.0.1", "b.example=127.0.0.1", "tls.example=127.0.0.1")})
	proxy := serve(t, g)
	host := "a.example:" + port
	tu := open(t, proxy, host)
	for _, c := range []struct {
		line, host string
		status     int
		words      string
	}{
		{"GET /x?y", host, 200, host + "/x?y"},
		{"GET //b.example/x", host, 200, host + "//b.example/x"},
		{"GET http://" + host + "/x", "b.example", 200, host + "/x"}, // the line is what counts
		{"GET /", "A.EXAMPLE.:" + port, 200, host + "/"},
		{"POST /", host, 403, "http.allow: http://" + host + " POST"},
		{"GET /", "b.example:" + port, 403, "the Host in it"},
		{"GET /", "a.example", 403, "the Host in it"},
		{"GET /", "127.1:" + port, 400, "ambiguous"},
		{"GET http://b.example:" + port + "/", host, 403, "the Host in it"},
		{"GET https://" + host + "/", host, 400, "isn't one of http"},
		{"GET http://u@" + host + "/", host, 400, "isn't one of http"},
		{"OPTIONS *", host, 403, "OPTIONS"},
		{"GET /", host, 200, host + "/"},
		{"CONNECT " + host, host, 400, "a tunnel in a tunnel"},
	} {
		before := asked.Load()
		_, _ = fmt.Fprintf(tu, "%s HTTP/1.1\r\nHost: %s\r\n\r\n", c.line, c.host)
		status, body := answer(t, tu.r)
		if status != c.status || !strings.Contains(body, c.words) || (asked.Load() > before) != (status == 200) {
			t.Errorf("%s, Host %s: %d %s", c.line, c.host, status, body)
		}
	}
	if status, body := exchange2(t, open(t, proxy, host), "GET / HTTP/1.0\r\n\r\n"); status != 400 {
		t.Errorf("without a Host: %d %s", status, body)
	}
	tu = open(t, proxy, "tls.example:"+port)
	if status, body := exchange2(t, tu, "GET / HTTP/1.1\r\nHost: tls.example:"+port+"\r\n\r\n"); status != 403 || !strings.Contains(body, "http.allow: http://tls.example") {
		t.Errorf("where https alone is allowed: %d %s", status, body)
	}
	if !strings.HasPrefix(kept.String(), "allowed https://"+host+", allowed http://"+host+" GET, ") {
		t.Errorf("recorded %q", kept)
	}
}

func exchange2(t *testing.T, tu tunnel, raw string) (int, string) {
	t.Helper()
	_, _ = io.WriteString(tu, raw)
	return answer(t, tu.r)
}

func TestTLSWhereHTTPAloneIsAllowedDoesNotPass(t *testing.T) {
	port, told := witness(t)
	plain := local("a.example")
	plain.Schemes = []string{"http"}
	g, kept := newGate(t, egress.Config{Rules: []abi.HTTPRule{plain}, Resolver: resolve("a.example=127.0.0.1")})
	tu := open(t, serve(t, g), "a.example:"+port)
	_, _ = tu.Write(clientHello(t, "a.example"))
	got, _ := io.ReadAll(tu)
	if !bytes.HasPrefix(got, []byte{21, 3, 3}) || told.Load() != 0 {
		t.Errorf("%q", got)
	}
	if want := "allowed http://a.example:" + port + ", refused https://a.example:" + port; kept.String() != want {
		t.Errorf("recorded %q", kept)
	}
}

// echo is an origin that takes any WebSocket and repeats what it hears.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Sec-Websocket-Key") != "key" {
		w.WriteHeader(http.StatusUpgradeRequired)
		return
	}
	c, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(c, brw)
}

func TestWebSocketsPassBothWays(t *testing.T) {
	port := origin(t, echo)
	tlsPort, roots := secure(t, echo, &tls.Config{NextProtos: []string{"http/1.1"}})
	read := local("*")
	read.Methods = []string{"GET"}
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{read}, Resolver: resolve("example.com=127.0.0.1")})
	proxy := serve(t, g)
	for way, dial := range map[string]func(t *testing.T) (net.Conn, string){
		"absolute": func(t *testing.T) (net.Conn, string) {
			return dialTest(t, proxy), "http://example.com:" + port + "/"
		},
		"tunnel": func(t *testing.T) (net.Conn, string) { return open(t, proxy, "example.com:"+port), "/" },
		"tls": func(t *testing.T) (net.Conn, string) {
			return tls.Client(open(t, proxy, "example.com:"+tlsPort), &tls.Config{ServerName: "example.com", RootCAs: roots}), "/"
		},
	} {
		t.Run(way, func(t *testing.T) {
			c, uri := dial(t)
			host := "example.com:" + port
			if way == "tls" {
				host = "example.com:" + tlsPort
			}
			_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: key\r\n\r\n", uri, host)
			if way == "tls" { // what the proxy spells for others is the client's there
				c, uri = dial(t)
				_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: key\r\n\r\n", uri, host)
			}
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%v, %v", resp, err)
			}
			for _, text := range []string{"hello", strings.Repeat("a long message", 10000)} {
				go func() { _, _ = io.WriteString(c, text) }()
				got := make([]byte, len(text))
				if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
					t.Errorf("%d bytes: %v", len(got), err)
				}
			}
			if way == "tls" {
				return
			}
			c, uri = dial(t)
			_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", uri, host)
			if status, _ := answer(t, bufio.NewReader(c)); status != 403 {
				t.Errorf("a method that isn't allowed: %d", status)
			}
		})
	}
}

func TestAnUpgradeThatNobodyAskedForFails(t *testing.T) {
	port := origin(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nopen")
	})
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}})
	status, body := exchange(t, serve(t, g), "GET http://127.0.0.1:"+port+"/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	if status != 502 || strings.Contains(body, "open") {
		t.Errorf("%d %s", status, body)
	}
}

func TestATunnelIsBounded(t *testing.T) {
	source := greeter(t, func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	})
	sink := greeter(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	hello := clientHello(t, "")
	c := egress.Config{Rules: []abi.HTTPRule{local("*")}, MaxBytes: 100000}
	g, _ := newGate(t, c)
	proxy := serve(t, g)
	tu := open(t, proxy, "127.0.0.1:"+source)
	_, _ = tu.Write(hello)
	if n, _ := io.Copy(io.Discard, tu); n > 100000 {
		t.Errorf("%d bytes came", n)
	}
	tu = open(t, proxy, "127.0.0.1:"+sink)
	_, _ = tu.Write(hello)
	sent := 0
	for {
		n, err := tu.Write(make([]byte, 1000))
		sent += n
		if err != nil {
			break // a deadline would be the test's failure, and its own
		}
	}
	if _, err := tu.Read(make([]byte, 1)); errors.Is(err, net.ErrClosed) || sent < 90000 {
		t.Errorf("after %d bytes: %v", sent, err)
	}
	for what, change := range map[string]func(*egress.Config){
		"silence": func(c *egress.Config) { c.Idle = 200 * time.Millisecond },
		"time":    func(c *egress.Config) { c.MaxTime = 200 * time.Millisecond },
	} {
		short := c
		change(&short)
		g, _ := newGate(t, short)
		tu := open(t, serve(t, g), "127.0.0.1:"+sink)
		_, _ = tu.Write(hello)
		if _, err := tu.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func TestHalfOfATunnelMayEndFirst(t *testing.T) {
	port := greeter(t, func(c net.Conn) {
		n, _ := io.Copy(io.Discard, c)
		_, _ = fmt.Fprint(c, "after ", n)
	})
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}})
	tu := open(t, serve(t, g), "127.0.0.1:"+port)
	_, _ = tu.Write(clientHello(t, ""))
	_ = tu.Conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(tu); err != nil || !strings.HasPrefix(string(got), "after ") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTunnelsAreBoundedInNumber(t *testing.T) {
	sink := greeter(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}, MaxConns: 1})
	proxy := serve(t, g)
	first := open(t, proxy, "127.0.0.1:"+sink)
	if status, body := exchange(t, proxy, "CONNECT 127.0.0.1:"+sink+" HTTP/1.1\r\nHost: x\r\n\r\n"); status != 503 {
		t.Errorf("%d %s", status, body)
	}
	_ = first.Close()
	waitFor(t, "the place to be free", func() bool {
		c := dialTest(t, proxy)
		defer c.Close()
		_, err := openTunnel(c, "127.0.0.1:"+sink)
		return err == nil
	})
}

func TestCloseEndsTunnels(t *testing.T) {
	sink := greeter(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	web := origin(t, echo)
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}})
	proxy := serve(t, g)
	silent := open(t, proxy, "127.0.0.1:"+sink)
	busy := open(t, proxy, "127.0.0.1:"+sink)
	_, _ = busy.Write(clientHello(t, ""))
	plain := open(t, proxy, "127.0.0.1:"+web)
	if status, _ := exchange2(t, plain, "GET / HTTP/1.1\r\nHost: 127.0.0.1:"+web+"\r\n\r\n"); status != http.StatusUpgradeRequired {
		t.Errorf("status %d", status)
	}
	socket := open(t, proxy, "127.0.0.1:"+web)
	if status, _ := exchange2(t, socket, "GET / HTTP/1.1\r\nHost: 127.0.0.1:"+web+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: key\r\n\r\n"); status != http.StatusSwitchingProtocols {
		t.Errorf("status %d", status)
	}
	g.Close()
	for what, tu := range map[string]tunnel{"silent": silent, "busy": busy, "plain": plain, "socket": socket} {
		if _, err := tu.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
