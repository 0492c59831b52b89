package egress_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// exchange sends raw bytes to an address and returns the answer to them as a
// request, with its body.
func exchange(t *testing.T, address, raw string) (status int, body string) {
	t.Helper()
	c := dialTest(t, address)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return answer(t, bufio.NewReader(c))
}

func dialTest(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// answer reads one answer.
func answer(t testing.TB, r *bufio.Reader) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestTheProxyForwardsAsItWasAsked(t *testing.T) {
	type seen struct {
		method, uri, host, body string
		header                  http.Header
	}
	var got seen
	port := origin(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, r.Host, string(b), r.Header}
		w.Header().Set("X-Answer", "yes")
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "no")
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})
	g, kept := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("a.example")}, Resolver: resolve("a.example=127.0.0.1")})
	proxy := serve(t, g)
	c := dialTest(t, proxy)
	_, _ = fmt.Fprintf(c, "PUT http://A.example:%s//x%%2fy?a;b=%%zz&c HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Length: 4\r\n"+
		"Proxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\nConnection: X-Mine\r\nX-Mine: 1\r\n"+
		"X-Forwarded-For: mine\r\nAccept: */*\r\n\r\nbody", port)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusTeapot || string(body) != "short and stout" || resp.Header.Get("X-Answer") != "yes" ||
		resp.Header.Get("X-Hop") != "" || resp.Header.Get("Proxy-Authenticate") != "" {
		t.Errorf("the answer is %v, %q", resp, body)
	}
	if got.method != "PUT" || got.uri != "//x%2fy?a;b=%zz&c" || got.host != "a.example:"+port || got.body != "body" {
		t.Errorf("the origin got %+v", got)
	}
	if len(got.header) != 3 || got.header.Get("Content-Length") != "4" || got.header.Get("X-Forwarded-For") != "mine" || got.header.Get("Accept") != "*/*" {
		t.Errorf("the origin got the header %v", got.header)
	}
	if want := "allowed http://a.example:" + port + " PUT"; kept.String() != want {
		t.Errorf("recorded %q", kept)
	}
}

func TestTheProxyRefusesInWords(t *testing.T) {
	var asked sync.Map
	port := origin(t, func(_ http.ResponseWriter, r *http.Request) { asked.Store(r.RequestURI, true) })
	read := local("a.example", "127.0.0.1")
	read.Methods = []string{"GET"}
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{read}, Resolver: resolve("a.example=127.0.0.1", "b.example=127.0.0.1")})
	proxy := serve(t, g)
	request := func(line, header string) string {
		return strings.ReplaceAll(line, "PORT", port) + " HTTP/1.1\r\nHost: a.example\r\n" + header + "\r\n"
	}
	for _, c := range []struct {
		line, header string
		status       int
		words        string
	}{
		{"GET http://a.example:PORT/ok", "", 200, ""},
		{"GET ws://a.example:PORT/ok", "", 200, ""},
		{"GET http://[::ffff:127.0.0.1]:PORT/ok", "", 200, ""},
		{"POST http://a.example:PORT/bad", "Content-Length: 0\r\n", 403, "http.allow: http://a.example:" + port + " POST"},
		{"get http://a.example:PORT/bad", "", 403, "http.allow: http://a.example:" + port + " get"},
		{"GET http://b.example:PORT/bad", "", 403, "http.allow: http://b.example:" + port + " GET"},
		{"GET http://\u0430.example:PORT/bad", "", 403, "xn--80a.example"},
		{"GET http://127.0.0.2:PORT/bad", "", 403, "http.allow: http://127.0.0.2"},
		{"GET http://user@a.example:PORT/bad", "", 400, "user information"},
		{"GET http://b.example@a.example:PORT/bad", "", 400, "user information"},
		{"GET http://127.1:PORT/bad", "", 400, "ambiguous"},
		{"GET http://2130706433:PORT/bad", "", 400, "ambiguous"},
		{"GET http://a.example:0PORT/bad", "", 400, "is no port"},
		{"GET http://a.example:/bad", "", 400, "is no port"},
		{"GET http://%C3%A9.example/bad", "", 400, "percent-encoded"},
		{"GET http:///bad", "", 400, ""},
		{"GET https://a.example:PORT/bad", "", 400, "CONNECT"},
		{"GET ftp://a.example:PORT/bad", "", 400, "scheme"},
		{"GET /bad", "", 400, "this is a proxy"},
		{"OPTIONS *", "", 400, "this is a proxy"},
		{"GET http://a.example:PORT/bad\thttp://b.example", "", 400, ""},
		{"CONNECT b.example:PORT", "", 403, "http.allow: https://b.example:" + port},
		{"CONNECT a.example", "", 400, "no port"},
		{"CONNECT a.example:0", "", 400, "no port"},
		{"CONNECT user@a.example:PORT", "", 400, ""},
		{"CONNECT http://a.example:PORT", "", 400, ""},
		{"CONNECT /bad", "", 400, ""},
		{"CONNECT 127.1:PORT", "", 400, "ambiguous"},
		{"CONNECT a.example:PORT", "Content-Length: 5\r\n", 400, "body"},
		{"CONNECT a.example:PORT", "Transfer-Encoding: chunked\r\n", 400, "body"},
	} {
		status, body := exchange(t, proxy, request(c.line, c.header))
		if status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("%q: %d, %q; want %d, %q", c.line, status, body, c.status, c.words)
		}
	}
	if _, ok := asked.Load("/bad"); ok {
		t.Error("something that was refused reached the origin")
	}
}

// Of an answer to CONNECT most clients show the first line alone.
func TestARefusedTunnelSaysWhyInItsFirstLine(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := portOf(closed.Addr())
	_ = closed.Close()
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("127.0.0.1", "nowhere.example")}, Resolver: resolve()})
	proxy := serve(t, g)
	for target, want := range map[string]string{
		"b.example:443":                       "403 no rule allows https://b.example:443: ask the operator for the grant \"http.allow: https://b.example:443\"",
		"nowhere.example:443":                 "502 the name nowhere.example couldn't be resolved",
		"127.0.0.1:" + gone:                   "502 127.0.0.1 can't be reached: ",
		"127.0.0.1":                           "400 \"127.0.0.1\" has no port",
		"\xff\u0430\u0001:443":                "400 ",
		strings.Repeat("a.", 120) + "com:443": "403 no rule allows https://a.a.",
	} {
		c := dialTest(t, proxy)
		_, _ = fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n')
		got, ok := strings.CutPrefix(line, "HTTP/1.1 ")
		if !ok || err != nil || !strings.HasPrefix(got, want) || len(line) > 300 ||
			strings.ContainsFunc(strings.TrimSuffix(line, "\r\n"), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q: %q, %v; want %q", target, line, err, want)
		}
		if rest, err := io.ReadAll(r); err != nil || got[0] == '4' && got[:3] != "400" && !strings.Contains(string(rest), "\r\n\r\npermission_denied: ") {
			t.Errorf("%q: then came %q, %v", target, rest, err)
		}
	}
}

func TestNothingIsSmuggledPastTheProxy(t *testing.T) {
	type seen struct{ line, host, body, number string }
	var mu sync.Mutex
	var list []seen
	port := origin(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		list = append(list, seen{r.Method + " " + r.URL.Path, r.Host, string(b), r.URL.RawQuery})
		mu.Unlock()
		_, _ = io.WriteString(w, strings.Join(r.Header["X-Line"], "|"))
	})
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("a.example", "b.example")}, Resolver: resolve("a.example=127.0.0.1", "b.example=127.0.0.1")})
	proxy := serve(t, g)
	number := 0
	const inner = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"
	for what, c := range map[string]struct {
		header, body string
		status       int
		want         string // the body that the origin gets
		echo         string // of X-Line
	}{
		"the control":              {"Content-Length: 3\r\n", "abc", 200, "abc", ""},
		"length and chunks":        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n", 200, "abc", ""},
		"chunks and length":        {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + inner, 200, "", ""},
		"two lengths":              {"Content-Length: 3\r\nContent-Length: 60\r\n", "abc" + inner, 400, "", ""},
		"a signed length":          {"Content-Length: +3\r\n", "abc", 400, "", ""},
		"a length of lengths":      {"Content-Length: 3, 3\r\n", "abc", 400, "", ""},
		"two codings":              {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" + inner, 501, "", ""},
		"an odd coding":            {"Transfer-Encoding: xchunked\r\n", "0\r\n\r\n" + inner, 501, "", ""},
		"a spaced coding":          {"Transfer-Encoding : chunked\r\nContent-Length: 3\r\n", "abc", 400, "", ""},
		"a coding with a tab":      {"Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n", 400, "", ""},
		"a wrong chunk":            {"Transfer-Encoding: chunked\r\n", "3 x\r\nabc\r\n0\r\n\r\n", 502, "", ""},
		"two hosts":                {"Host: b.example\r\nContent-Length: 0\r\n", "", 400, "", ""},
		"a host on the next line":  {"X-Line: 1\r\n Host: b.example\r\nContent-Length: 0\r\n", "", 200, "", "1 Host: b.example"},
		"a bare carriage return":   {"X-Line: 1\rHost: b.example\r\nContent-Length: 0\r\n", "", 400, "", ""},
		"a null":                   {"X-Line: 1\x00Host: b.example\r\nContent-Length: 0\r\n", "", 400, "", ""},
		"a name with a space":      {"X Line: 1\r\nContent-Length: 0\r\n", "", 400, "", ""},
		"a line without a name":    {": b.example\r\nContent-Length: 0\r\n", "", 400, "", ""},
		"a length hop by hop":      {"Connection: content-length, host\r\nContent-Length: 3\r\n", "abc", 200, "abc", ""},
		"another protocol":         {"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n", "", 200, "", ""},
		"protocols of many":        {"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\nContent-Length: 0\r\n", "", 200, "", ""},
		"protocols on many lines":  {"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\nContent-Length: 0\r\n", "", 200, "", ""},
		"a head that is too large": {"X-Line: " + strings.Repeat("a", 128<<10) + "\r\n", "", 431, "", ""},
	} {
		t.Run(what, func(t *testing.T) {
			number++
			this := fmt.Sprint(number)
			status, body := exchange(t, proxy, "POST http://a.example:"+port+"/outer?"+this+" HTTP/1.1\r\nHost: a.example\r\n"+c.header+"\r\n"+c.body)
			mu.Lock()
			defer mu.Unlock()
			if status != c.status {
				t.Errorf("status %d: %s", status, body)
			}
			mine := 0
			for _, got := range list {
				if got.number == this {
					mine++
				} else if got.number != "" {
					continue // an earlier one, that was answered before it ended
				}
				if got.line != "POST /outer" || got.host != "a.example:"+port || status == 200 && got.body != c.want {
					t.Errorf("the origin got %+v", got)
				}
			}
			if status == 200 && (mine != 1 || body != c.echo) {
				t.Errorf("the origin got %d requests; the answer is %q", mine, body)
			}
		})
	}
}

// A request that follows another on the connection is decided by itself.
func TestARequestThatFollowsAnotherIsDecided(t *testing.T) {
	port := origin(t, say("here"))
	g, kept := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("a.example")}, Resolver: resolve("a.example=127.0.0.1", "b.example=127.0.0.1")})
	c := dialTest(t, serve(t, g))
	for _, host := range []string{"a.example", "b.example", "a.example"} {
		_, _ = fmt.Fprintf(c, "GET http://%s:%s/ HTTP/1.1\r\nHost: x\r\n\r\n", host, port)
	}
	r := bufio.NewReader(c)
	for i, want := range []int{200, 403, 200} {
		if status, body := answer(t, r); status != want {
			t.Errorf("request %d: %d %s", i, status, body)
		}
	}
	if n := strings.Count(kept.String(), ","); n != 2 {
		t.Errorf("recorded %q", kept)
	}
}

func TestTheProxyFollowsNoRedirect(t *testing.T) {
	port, inner := pair(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.2:"+strings.Split(r.Host, ":")[1], http.StatusFound)
	})
	narrow, wide := local("127.0.0.1"), local("*")
	wide.Addresses = prefixes("127.0.0.0/8")
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{narrow}})
	resp, err := through(t, serve(t, g)).Get("http://127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden || inner.Load() != 0 {
		t.Errorf("status %d", resp.StatusCode)
	}
	g, _ = newGate(t, egress.Config{Rules: []abi.HTTPRule{wide}})
	if resp, err = through(t, serve(t, g)).Get("http://127.0.0.1:" + port); err != nil || resp.StatusCode != http.StatusOK || inner.Load() != 1 {
		t.Errorf("granted: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
}

func TestAFailureIsAnsweredInWords(t *testing.T) {
	slow := origin(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := portOf(closed.Addr())
	_ = closed.Close()
	c := egress.Config{Rules: []abi.HTTPRule{local("*")}, Idle: 200 * time.Millisecond, Resolver: resolve()}
	g, _ := newGate(t, c)
	proxy := serve(t, g)
	for line, want := range map[string]int{
		"GET http://nowhere.example/":     502,
		"GET http://127.0.0.1:" + gone:    502,
		"CONNECT 127.0.0.1:" + gone:       502,
		"CONNECT nowhere.example:443":     502,
		"GET http://127.0.0.1:" + slow:    504,
		"DELETE http://127.0.0.1:" + slow: 504,
	} {
		if status, body := exchange(t, proxy, line+" HTTP/1.1\r\nHost: x\r\n\r\n"); status != want || body == "" {
			t.Errorf("%s: %d %s", line, status, body)
		}
	}
	asked := false
	port := origin(t, func(http.ResponseWriter, *http.Request) { asked = true })
	c.Record = func(egress.Decision) error { return errors.New("the disk is full") }
	g, _ = newGate(t, c)
	proxy = serve(t, g)
	for _, line := range []string{"GET http://127.0.0.1:" + port, "CONNECT 127.0.0.1:" + port} {
		if status, body := exchange(t, proxy, line+" HTTP/1.1\r\nHost: x\r\n\r\n"); status != 502 || strings.Contains(body, "disk") || asked {
			t.Errorf("%s, not recorded: %d %s", line, status, body)
		}
	}
}

func TestWhatComesThroughTheProxyIsBounded(t *testing.T) {
	port := origin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/endless":
			endless(w, r)
		case "/stops":
			drip(10, nil)(w, r)
		case "/upload":
			_, _ = io.Copy(io.Discard, r.Body)
		case "/fits":
			_, _ = w.Write(make([]byte, 10000))
		}
	})
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}, MaxBytes: 10000, Idle: 300 * time.Millisecond})
	proxy := serve(t, g)
	client := through(t, proxy)
	fetched := func(path string) (int, error) {
		resp, err := client.Get("http://127.0.0.1:" + port + path)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return len(b), err
	}
	if n, err := fetched("/fits"); n != 10000 || err != nil {
		t.Errorf("what fits: %d bytes, %v", n, err)
	}
	if n, err := fetched("/endless"); n > 10000 || err == nil {
		t.Errorf("endless: %d bytes, %v", n, err)
	}
	if n, err := fetched("/stops"); n != 10 || err == nil {
		t.Errorf("what stops: %d bytes, %v", n, err)
	}
	if status, body := exchange(t, proxy, "POST http://127.0.0.1:"+port+"/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10001\r\n\r\n"); status != 503 {
		t.Errorf("an upload that is announced: %d %s", status, body)
	}
	if status, body := exchange(t, proxy, "POST http://127.0.0.1:"+port+"/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"); status != 504 {
		t.Errorf("an upload that stops: %d %s", status, body)
	}
}

func TestAnAnswerDoesNotWaitForTheRequestsBody(t *testing.T) {
	port := origin(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // else it would wait itself
		w.WriteHeader(http.StatusUnauthorized)
	})
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("127.0.0.1")}})
	proxy := serve(t, g)
	for host, want := range map[string]int{"127.0.0.1": 401, "b.example": 403} {
		status, body := exchange(t, proxy, "POST http://"+host+":"+port+"/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\nabc")
		if status != want {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
}

func TestAClientThatDoesNotReadIsLeft(t *testing.T) {
	ended := make(chan struct{})
	port := origin(t, func(w http.ResponseWriter, r *http.Request) {
		endless(w, r)
		close(ended)
	})
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}, Idle: 300 * time.Millisecond})
	c := dialTest(t, serve(t, g))
	_, _ = fmt.Fprintf(c, "GET http://127.0.0.1:%s/ HTTP/1.1\r\nHost: x\r\n\r\n", port)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the origin still sends")
	}
}

func TestTheRequestEndsWithItsClient(t *testing.T) {
	asked, ended := make(chan struct{}), make(chan struct{})
	port := origin(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(ended)
	})
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}})
	c := dialTest(t, serve(t, g))
	_, _ = fmt.Fprintf(c, "GET http://127.0.0.1:%s/ HTTP/1.1\r\nHost: x\r\n\r\n", port)
	<-asked
	_ = c.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the request goes on")
	}
}

func TestAClosedGateServesNobody(t *testing.T) {
	g, _ := newGate(t, egress.Config{})
	g.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.Serve(l)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener: %v", err)
	}
}

func TestClientsOfTheProxyAreBounded(t *testing.T) {
	g, _ := newGate(t, egress.Config{MaxConns: 1})
	proxy := serve(t, g)
	const request = "GET http://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n"
	var open []net.Conn
	for range 2 {
		c := dialTest(t, proxy)
		_, _ = io.WriteString(c, request)
		if status, _ := answer(t, bufio.NewReader(c)); status != 403 {
			t.Errorf("status %d", status)
		}
		open = append(open, c)
	}
	if status, body := exchange(t, proxy, request); status != 503 || !strings.Contains(body, "2 connections are open") {
		t.Errorf("a third: %d %s", status, body)
	}
	_ = open[0].Close()
	waitFor(t, "the place to be free", func() bool {
		status, _ := exchange(t, proxy, request)
		return status == 403
	})
}

func TestManyClientsAtOnceEachGetTheirOwn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }))
	defer server.Close()
	g, _ := newGate(t, egress.Config{Rules: []abi.HTTPRule{local("*")}})
	client := through(t, serve(t, g))
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for j := range 8 {
				path := fmt.Sprintf("/%d/%d", i, j)
				resp, err := client.Get(server.URL + path)
				if err != nil {
					t.Error(err)
					return
				}
				b, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if string(b) != path {
					t.Errorf("%s: %s", path, b)
				}
			}
		})
	}
	all.Wait()
}
