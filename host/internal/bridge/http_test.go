package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/bridge"
)

// A fakeHTTP answers as its function says; nil answers 200 without a body. It
// notes what reached it.
type fakeHTTP struct {
	fetch func(context.Context, abi.HTTPFetchRequest, []byte) (abi.HTTPFetchResponse, io.ReadCloser, error)

	mu      sync.Mutex
	reached []string
}

func (h *fakeHTTP) Fetch(ctx context.Context, r abi.HTTPFetchRequest, body []byte) (abi.HTTPFetchResponse, io.ReadCloser, error) {
	h.mu.Lock()
	h.reached = append(h.reached, fmt.Sprintf("%s %s %q redirect=%s timeout_ms=%d max_bytes=%d headers=%d async=%v",
		r.Method, r.URL, body, r.Redirect, r.TimeoutMS, r.MaxBytes, len(r.Header), r.Async.Async))
	h.mu.Unlock()
	if h.fetch == nil {
		return abi.HTTPFetchResponse{Status: 200, URL: r.URL}, io.NopCloser(strings.NewReader("")), nil
	}
	return h.fetch(ctx, r, body)
}

func (h *fakeHTTP) log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.reached, "\n")
}

// serve answers every fetch with a body.
func serve(src func(context.Context) io.ReadCloser) *fakeHTTP {
	return &fakeHTTP{fetch: func(ctx context.Context, r abi.HTTPFetchRequest, _ []byte) (abi.HTTPFetchResponse, io.ReadCloser, error) {
		return abi.HTTPFetchResponse{Status: 200, Header: []abi.HTTPHeader{{Name: "Content-Type", Value: "text/plain"}}, URL: r.URL, Length: -1}, src(ctx), nil
	}}
}

// of is a body of that many bytes.
func of(n int) func(context.Context) io.ReadCloser {
	return func(context.Context) io.ReadCloser { return io.NopCloser(bytes.NewReader(make([]byte, n))) }
}

// A live is a body whose bytes come when the test says so, until it is closed
// or its exchange ends.
type live struct {
	ctx    context.Context
	bytes  chan []byte // closed at the end
	closed chan struct{}
	rest   []byte
}

func newLive(ctx context.Context) *live {
	return &live{ctx: ctx, bytes: make(chan []byte, 100), closed: make(chan struct{})}
}

func (l *live) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		select {
		case b, ok := <-l.bytes:
			if !ok {
				return 0, io.EOF
			}
			l.rest = b
		case <-l.ctx.Done():
			return 0, context.Cause(l.ctx)
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *live) Close() error {
	close(l.closed)
	return nil
}

func (l *live) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// anywhere is a grant of all hosts.
func anywhere() abi.Capabilities {
	return abi.Capabilities{HTTP: &abi.HTTPScope{
		Allow:   []abi.HTTPRule{{Hosts: []string{abi.AnyHost}, Schemes: []string{"http", "https"}, Methods: []string{abi.AnyMethod}}},
		MaxTime: abi.Duration(time.Minute), MaxBytes: 10 << 20,
	}}
}

// newHTTPCall returns a Call with a grant of all hosts. It is closed when the
// test ends.
func newHTTPCall(t *testing.T, h *fakeHTTP, edit func(*bridge.Config)) (*bridge.Call, *recorder) {
	t.Helper()
	return newCall(t, nil, func(config *bridge.Config) {
		config.Kernel, config.HTTP, config.Capabilities = nil, h, anywhere()
		if edit != nil {
			edit(config)
		}
	})
}

// readAll reads a body to its end, and says in how many reads.
func readAll(ctx context.Context, t *testing.T, c *bridge.Call, number int) (total, reads int) {
	t.Helper()
	for {
		b, err := c.Dispatch(ctx, abi.OpHTTPRead, request(t, fmt.Sprintf(`{"body":%d}`, number)))
		if err != nil {
			t.Fatal(err)
		}
		f, err := abi.DecodeFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		reads++
		total += len(f.Body)
		if string(f.Header) == `{"ended":true}` {
			return total, reads
		}
		if len(f.Body) == 0 || len(f.Body) > abi.MaxHTTPRead {
			t.Fatalf("a read answered with %d bytes", len(f.Body))
		}
	}
}

func TestAFetchReachesTheCapabilityAndTheAudit(t *testing.T) {
	h := &fakeHTTP{fetch: func(_ context.Context, r abi.HTTPFetchRequest, _ []byte) (abi.HTTPFetchResponse, io.ReadCloser, error) {
		return abi.HTTPFetchResponse{Status: 404, URL: r.URL, Redirects: []string{r.URL}, Length: 2}, io.NopCloser(strings.NewReader("no")), nil
	}}
	c, r := newHTTPCall(t, h, nil)
	trace(t, c, `
		==> http.fetch {"url":"https://API.example.com/a%20b?token=secret","header":[{"name":"Authorization","value":"Bearer hidden"}]}
		<== {"status":404,"header":[],"url":"https://API.example.com/a%20b?token=secret","redirects":["https://API.example.com/a%20b?token=secret"],"length":2} body=6e6f
		==> http.fetch {"url":"http://[2001:db8::1]:8080","method":"POST","redirect":"manual","timeout_ms":50,"max_bytes":7}
		<== {"status":404,"header":[],"url":"http://[2001:db8::1]:8080","redirects":["http://[2001:db8::1]:8080"],"length":2} body=6e6f
	`)
	same(t, "capability", h.log(), `
		GET https://API.example.com/a%20b?token=secret "" redirect=follow timeout_ms=0 max_bytes=0 headers=1 async=false
		POST http://[2001:db8::1]:8080 "" redirect=manual timeout_ms=50 max_bytes=7 headers=0 async=false
	`)
	got := r.audited()
	if strings.Contains(got, "secret") || strings.Contains(got, "hidden") {
		t.Errorf("the audit shows what may be private:\n%s", got)
	}
	for _, want := range []string{
		"intent http.fetch host=api.example.com method=GET path=/a%20b port=443 query_sha256=",
		"outcome http.fetch bytes=2 host=api.example.com method=GET path=/a%20b port=443 query_sha256=",
		" redirects=1 scheme=https status=404",
		"intent http.fetch host=2001:db8::1 max_bytes=7 method=POST path= port=8080 redirect=manual scheme=http timeout_ms=50",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("audited:\n%s\nwant %q in it", got, want)
		}
	}
}

func TestAFetchSendsItsFramesBody(t *testing.T) {
	h := &fakeHTTP{}
	c, r := newHTTPCall(t, h, nil)
	frame, err := abi.EncodeFrame(abi.HTTPFetchRequest{Method: "PUT", URL: "https://a.example/x"}, []byte("some bytes"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dispatch(t.Context(), abi.OpHTTPFetch, frame); err != nil {
		t.Fatal(err)
	}
	clear(frame) // it is the caller's again
	same(t, "capability", h.log(), `PUT https://a.example/x "some bytes" redirect=follow timeout_ms=0 max_bytes=0 headers=0 async=false`)
	if !strings.Contains(r.audited(), "body_bytes=10") {
		t.Errorf("audited:\n%s", r.audited())
	}
}

func TestMalformedFetchesReachNothing(t *testing.T) {
	long := strings.Repeat("x", abi.MaxURLBytes)
	line := `{"name":"a","value":"b"}`
	tests := []struct {
		op, header, field, message string
	}{
		{"http.fetch", `{}`, "/url", "url is empty"},
		{"http.fetch", `{"url":1}`, "/url", "/url cannot be a number"},
		{"http.fetch", `{"url":"https://a.example/` + long + `"}`, "/url", "the bound is 8192"},
		{"http.fetch", `{"url":"https://a b/"}`, "/url", "url can't be read"},
		{"http.fetch", `{"url":"/relative"}`, "/url", "url can't be read"},
		{"http.fetch", `{"url":"https://a.example","method":"get"}`, "/method", `method is "get"`},
		{"http.fetch", `{"url":"https://a.example","method":"GET /\r\nX:"}`, "/method", "in upper case"},
		{"http.fetch", `{"url":"https://a.example","method":"` + strings.Repeat("A", 33) + `"}`, "/method", "in upper case"},
		{"http.fetch", `{"url":"https://a.example","method":"CONNECT"}`, "/method", `method is "CONNECT"`},
		{"http.fetch", `{"url":"https://a.example","timeout_ms":4611686018427387904}`, "/timeout_ms", "timeout_ms is 46"},
		{"http.fetch", `{"url":"https://a.example","redirect":"always"}`, "/redirect", "use follow or manual"},
		{"http.fetch", `{"url":"https://a.example","timeout_ms":-1}`, "/timeout_ms", "timeout_ms is -1"},
		{"http.fetch", `{"url":"https://a.example","timeout_ms":86400001}`, "/timeout_ms", "timeout_ms is 86400001"},
		{"http.fetch", `{"url":"https://a.example","max_bytes":-1}`, "/max_bytes", "max_bytes is negative"},
		{"http.fetch", `{"url":"https://a.example","header":[` + strings.Repeat(line+",", abi.MaxHTTPHeaders) + line + `]}`, "/header", "header has 129 lines"},
		{"http.fetch", `{"url":"https://a.example","header":[{"name":"a","value":"` + strings.Repeat("x", abi.MaxHTTPHeaderBytes) + `"}]}`, "/header", "header has 65537 bytes"},
		{"http.fetch", `{"url":"https://a.example","header":{"a":"b"}}`, "/header", "/header cannot be a object"},
		{"http.read", `{"body":-1}`, "/body", "/body cannot be a number"},
		{"http.read", `{"body":1,"max_bytes":-1}`, "/max_bytes", "max_bytes is -1"},
		{"http.read", `{"body":1,"max_bytes":4194305}`, "/max_bytes", "max_bytes is 4194305"},
		{"http.close", `{"body":"1"}`, "/body", "/body cannot be a string"},
	}
	h := &fakeHTTP{}
	c, r := newHTTPCall(t, h, nil)
	for _, tt := range tests {
		t.Run(tt.op+" "+tt.header[:min(len(tt.header), 40)], func(t *testing.T) {
			_, err := c.Dispatch(t.Context(), tt.op, request(t, tt.header))
			e := abi.AsError(err)
			if e == nil || e.Code != abi.CodeInvalidArgument || e.Field != tt.field || !strings.Contains(e.Message, tt.message) || !strings.HasPrefix(e.Message, tt.op) {
				t.Errorf("error is %+v, want invalid_argument at %s with %q", e, tt.field, tt.message)
			}
		})
	}
	same(t, "capability", h.log(), "")
	same(t, "audit", r.audited(), "")
}

func TestHTTPThatWasNotGrantedIsDeniedAndAudited(t *testing.T) {
	url := `{"url":"https://a.example/"`
	tests := []struct {
		name, op, header string
		granted          abi.Capabilities
		grant            string
		audit            string
	}{
		{"none", "http.fetch", url + `}`, abi.Capabilities{}, "http.allow", "outcome http.fetch host=a.example method=GET path=/ port=443 scheme=https → permission_denied"},
		{"a task", "http.fetch", url + `,"async":true}`, abi.Capabilities{}, "http.allow", "outcome http.fetch host=a.example method=GET path=/ port=443 scheme=https → permission_denied"},
		{"a longer time", "http.fetch", url + `,"timeout_ms":60001}`, anywhere(), "http.max_time", "outcome http.fetch host=a.example method=GET path=/ port=443 scheme=https timeout_ms=60001 → permission_denied"},
		{"more bytes", "http.fetch", url + `,"max_bytes":10485761}`, anywhere(), "http.max_bytes", "outcome http.fetch host=a.example max_bytes=10485761 method=GET path=/ port=443 scheme=https → permission_denied"},
		{"read", "http.read", `{"body":1}`, abi.Capabilities{}, "http.allow", "outcome http.read body=1 → permission_denied"},
		{"close", "http.close", `{"body":1}`, abi.Capabilities{}, "http.allow", "outcome http.close body=1 → permission_denied"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &fakeHTTP{}
			c, r := newHTTPCall(t, h, func(config *bridge.Config) { config.Capabilities = tt.granted })
			_, err := c.Dispatch(t.Context(), tt.op, request(t, tt.header))
			e := abi.AsError(err)
			if e == nil || e.Code != abi.CodePermissionDenied || !strings.HasPrefix(e.Grant, tt.grant) {
				t.Errorf("error is %+v, want permission_denied for %s", e, tt.grant)
			}
			same(t, "audit", r.audited(), tt.audit)
			same(t, "capability", h.log(), "")
		})
	}
}

func TestAHostWithoutHTTPSaysSo(t *testing.T) {
	c, _ := newHTTPCall(t, nil, func(config *bridge.Config) { config.HTTP = nil })
	trace(t, c, `
		==> http.fetch {"url":"https://a.example"}
		<== unavailable: http.fetch: this host does not offer the capability
		==> http.read {"body":1}
		<== unavailable: http.read: this host does not offer the capability
	`)
}

func TestALongBodyIsReadInParts(t *testing.T) {
	const size = 3*abi.MaxHTTPFirst + 17
	c, r := newHTTPCall(t, serve(of(size)), nil)
	b, err := c.Dispatch(t.Context(), abi.OpHTTPFetch, request(t, `{"url":"https://a.example/"}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := abi.DecodeFrame(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Body) != abi.MaxHTTPFirst || !strings.Contains(string(f.Header), `"body":1`) {
		t.Fatalf("the fetch answered with %d bytes and %s", len(f.Body), f.Header)
	}
	if total, _ := readAll(t.Context(), t, c, 1); len(f.Body)+total != size {
		t.Errorf("%d bytes came, want %d", len(f.Body)+total, size)
	}
	trace(t, c, `
		==> http.read {"body":1}
		<== not_found: http.read: there is no body 1, or it ended or was closed
		==> http.close {"body":1}
		<== not_found: http.close: there is no body 1, or it ended or was closed
	`)
	same(t, "audit", r.audited(), fmt.Sprintf(`
		intent http.fetch host=a.example method=GET path=/ port=443 scheme=https
		outcome http.fetch body=1 bytes=%d host=a.example method=GET path=/ port=443 scheme=https status=200
		outcome http.close body=1 bytes=%d ended=end host=a.example port=443 scheme=https
	`, abi.MaxHTTPFirst, size))
}

func TestAReadReturnsNoMoreThanItAsksFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body *live
		c, _ := newHTTPCall(t, serve(func(ctx context.Context) io.ReadCloser { body = newLive(ctx); return body }), nil)
		trace(t, c, `
			==> http.fetch {"url":"https://a.example/"}
			<== {"status":200,"header":[{"name":"Content-Type","value":"text/plain"}],"url":"https://a.example/","length":-1,"body":1}
		`)
		body.bytes <- []byte("abcdefg")
		trace(t, c, `
			==> http.read {"body":1,"max_bytes":3}
			<== {} body=616263
			==> http.read {"body":1}
			<== {} body=64656667
		`)
		close(body.bytes)
		trace(t, c, `
			==> http.read {"body":1}
			<== {"ended":true}
		`)
	})
}

func TestASlowBodyIsReadAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body *live
		c, _ := newHTTPCall(t, serve(func(ctx context.Context) io.ReadCloser {
			body = newLive(ctx)
			body.bytes <- []byte("one")
			return body
		}), nil)
		start := time.Now()
		got := dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`)
		if !strings.HasSuffix(got, `"body":1} body=6f6e65`) || time.Since(start) > time.Second {
			t.Errorf("after %v the fetch answered %s", time.Since(start), got)
		}
		time.AfterFunc(20*time.Second, func() { body.bytes <- []byte("two") })
		trace(t, c, `
			==> http.read {"body":1}
			<== {} body=74776f
		`)
		if waited := time.Since(start); waited < 20*time.Second {
			t.Errorf("the read waited %v", waited)
		}
	})
}

func TestHTTPOperationsCanBeTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body *live
		c, r := newHTTPCall(t, serve(func(ctx context.Context) io.ReadCloser { body = newLive(ctx); return body }), nil)
		trace(t, c, `
			==> http.fetch {"url":"https://a.example/","async":true}
			<== {"task":1}
			==> call.wait {"tasks":[1]}
			<== {"task":1,"response":{"status":200,"header":[{"name":"Content-Type","value":"text/plain"}],"url":"https://a.example/","length":-1,"body":1}}
			==> http.read {"body":1,"async":true}
			<== {"task":2}
			==> http.read {"body":1}
			<== invalid_argument: http.read: body 1 is being read: one read at a time
			==> http.read {"body":1,"async":true}
			<== invalid_argument: http.read: body 1 is being read: one read at a time
			==> call.cancel {"task":2}
			<== {}
			==> call.wait {"tasks":[2]}
			<== {"task":2,"error":{"code":"canceled","message":"http.read: cancelled"}}
			==> http.read {"body":2,"async":true}
			<== not_found: http.read: there is no body 2, or it ended or was closed
		`)
		body.bytes <- []byte("late") // nothing was lost
		trace(t, c, `
			==> http.read {"body":1,"async":true}
			<== {"task":3}
			==> call.wait {"tasks":[3]}
			<== {"task":3,"response":{}} body=6c617465
			==> http.close {"body":1}
			<== {}
		`)
		synctest.Wait()
		if !body.isClosed() {
			t.Error("the body is open after http.close")
		}
		same(t, "audit", r.audited(), `
			intent http.fetch host=a.example method=GET path=/ port=443 scheme=https task=1
			outcome http.fetch body=1 bytes=0 host=a.example method=GET path=/ port=443 scheme=https status=200 task=1
			outcome http.close body=1 bytes=4 ended=closed host=a.example port=443 scheme=https
		`)
	})
}

func TestACancelledFetchEndsItsExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended bool
		h := &fakeHTTP{fetch: func(ctx context.Context, _ abi.HTTPFetchRequest, _ []byte) (abi.HTTPFetchResponse, io.ReadCloser, error) {
			<-ctx.Done()
			ended = true
			return abi.HTTPFetchResponse{}, nil, ctx.Err()
		}}
		c, _ := newHTTPCall(t, h, nil)
		trace(t, c, `
			==> http.fetch {"url":"https://a.example/","async":true}
			<== {"task":1}
			==> call.cancel {"task":1}
			<== {}
			==> call.wait {"tasks":[1]}
			<== {"task":1,"error":{"code":"canceled","message":"http.fetch: cancelled"}}
		`)
		if !ended {
			t.Error("the fetch went on")
		}
	})
}

func TestACloseWakesAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newHTTPCall(t, serve(func(ctx context.Context) io.ReadCloser { return newLive(ctx) }), nil)
		dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`)
		trace(t, c, `
			==> http.read {"body":1,"async":true}
			<== {"task":1}
			==> http.close {"body":1}
			<== {}
			==> call.wait {"tasks":[1]}
			<== {"task":1,"error":{"code":"canceled","message":"http.read: cancelled"}}
		`)
	})
}

func TestABodyThatBreaksOffSaysSoAfterWhatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reset := abi.Errorf(abi.CodeUnavailable, "the connection was reset")
		c, r := newHTTPCall(t, serve(func(context.Context) io.ReadCloser {
			return io.NopCloser(io.MultiReader(strings.NewReader("half"), brokenReader{reset}))
		}), nil)
		trace(t, c, `
			==> http.fetch {"url":"https://a.example/"}
			<== {"status":200,"header":[{"name":"Content-Type","value":"text/plain"}],"url":"https://a.example/","length":-1,"body":1} body=68616c66
			==> http.read {"body":1}
			<== unavailable: the connection was reset
			==> http.read {"body":1}
			<== not_found: http.read: there is no body 1, or it ended or was closed
		`)
		if !strings.HasSuffix(r.audited(), "outcome http.close body=1 bytes=4 ended=error host=a.example port=443 scheme=https → unavailable") {
			t.Errorf("audited:\n%s", r.audited())
		}
	})
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

type panickingReader struct{}

func (panickingReader) Read([]byte) (int, error) { panic("boom") }

func TestAPanicOfABodyIsItsError(t *testing.T) {
	c, _ := newHTTPCall(t, serve(func(context.Context) io.ReadCloser { return io.NopCloser(panickingReader{}) }), nil)
	dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`)
	trace(t, c, `
		==> http.read {"body":1}
		<== internal: http.fetch: the host failed; its log has the cause
	`)
}

func TestOpenBodiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(func(ctx context.Context) io.ReadCloser { return newLive(ctx) })
		c, _ := newHTTPCall(t, h, nil)
		for range abi.MaxHTTPBodies {
			dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`)
		}
		before := h.log()
		trace(t, c, `
			==> http.fetch {"url":"https://a.example/"}
			<== resource_exhausted: http.fetch: 16 bodies are open, the bound of a call
			==> http.close {"body":3}
			<== {}
			==> http.fetch {"url":"https://a.example/"}
			<== {"status":200,"header":[{"name":"Content-Type","value":"text/plain"}],"url":"https://a.example/","length":-1,"body":17}
		`)
		if got := strings.Count(h.log(), "\n") - strings.Count(before, "\n"); got != 1 {
			t.Errorf("%d fetches more reached the capability, want 1", got)
		}
	})
}

func TestFetchesThatLeaveNoBodyTakeNoPlace(t *testing.T) {
	h := &fakeHTTP{}
	c, _ := newHTTPCall(t, h, nil)
	for range 2 * abi.MaxHTTPBodies {
		if got := dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`); !strings.Contains(got, `"status":200`) {
			t.Fatal(got)
		}
		dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/","timeout_ms":3600000}`) // refused
	}
	h.fetch = func(context.Context, abi.HTTPFetchRequest, []byte) (abi.HTTPFetchResponse, io.ReadCloser, error) {
		return abi.HTTPFetchResponse{}, nil, errors.New("no route")
	}
	for range 2 * abi.MaxHTTPBodies {
		same(t, "answer", dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`), "internal: http.fetch: the host failed; its log has the cause")
	}
}

func TestReadingAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body *live
		c, _ := newHTTPCall(t, serve(func(ctx context.Context) io.ReadCloser {
			body = newLive(ctx)
			for range cap(body.bytes) {
				body.bytes <- make([]byte, 100_000)
			}
			return body
		}), nil)
		dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`)
		synctest.Wait()
		if taken := (cap(body.bytes) - len(body.bytes)) * 100_000; taken > 2*abi.MaxHTTPFirst+200_000 {
			t.Errorf("%d bytes were read ahead", taken)
		}
	})
}

func TestBodiesEndWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []*live
		c, r := newHTTPCall(t, serve(func(ctx context.Context) io.ReadCloser {
			b := newLive(ctx)
			b.bytes <- []byte("abc")
			bodies = append(bodies, b)
			return b
		}), nil)
		for range 3 {
			dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`)
		}
		c.Close()
		for i, b := range bodies {
			if !b.isClosed() {
				t.Errorf("body %d is open after Close", i+1)
			}
		}
		if n := strings.Count(r.audited(), "bytes=3 ended=call"); n != 3 {
			t.Errorf("audited:\n%s", r.audited())
		}
		same(t, "afterwards", dispatch(t.Context(), t, c, abi.OpHTTPRead, `{"body":1}`), "canceled: http.read: the call has ended")
	})
}

func TestAnExchangeLeavesTheCallTimeToEnd(t *testing.T) {
	tests := []struct {
		left, most time.Duration
	}{
		{time.Minute, 57 * time.Second},
		{8 * time.Second, 6 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			c, _ := newHTTPCall(t, serve(func(ctx context.Context) io.ReadCloser { return newLive(ctx) }), nil)
			ctx, cancel := context.WithTimeout(t.Context(), tt.left)
			defer cancel()
			start := time.Now()
			dispatch(ctx, t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`)
			same(t, "read", dispatch(ctx, t, c, abi.OpHTTPRead, `{"body":1}`), "deadline_exceeded: the call's time is nearly over")
			if took := time.Since(start); took != tt.most {
				t.Errorf("of %v the body took %v, want %v", tt.left, took, tt.most)
			}
		})
	}
}

func TestReadsAreNotCountedAsOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body *live
		c, _ := newHTTPCall(t, serve(func(ctx context.Context) io.ReadCloser { body = newLive(ctx); return body }), nil)
		dispatch(t.Context(), t, c, abi.OpHTTPFetch, `{"url":"https://a.example/"}`)
		read := request(t, `{"body":1,"max_bytes":1}`)
		for range abi.MaxOperations / 100 {
			body.bytes <- make([]byte, 200)
			for range 200 {
				if _, err := c.Dispatch(t.Context(), abi.OpHTTPRead, read); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestAnUnauditedFetchIsNotCarriedOut(t *testing.T) {
	h := &fakeHTTP{}
	c, _ := newHTTPCall(t, h, func(config *bridge.Config) { config.Audit = nil })
	trace(t, c, `
		==> http.fetch {"url":"https://a.example/"}
		<== unavailable: http.fetch: it can't be audited, so it wasn't done
		==> http.fetch {"url":"https://a.example/","async":true}
		<== unavailable: http.fetch: it can't be audited, so it wasn't done
	`)
	same(t, "capability", h.log(), "")
}
