package fetch_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/fetch"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

func TestARequestIsSentAsItWasAsked(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.WriteHeader(418)
		fmt.Fprint(w, "short and stout")
	})
	for _, raw := range []string{"http://a.test/p%20q?x=1&y=%2F#part", "https://a.test/p%20q?x=1&y=%2F#part"} {
		head, body, err := s.fetch(abi.HTTPFetchRequest{
			Method: "PATCH", URL: s.at(raw),
			Header: []abi.HTTPHeader{{Name: "x-mine", Value: "1"}, {Name: "X-Mine", Value: "zwei ü"}, {Name: "User-Agent", Value: "me"}},
		}, "payload")
		if err != nil {
			t.Fatal(err)
		}
		r, sent := s.last()
		if got := fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Header["X-Mine"], " ", r.UserAgent(), " ", sent); got != "PATCH /p%20q?x=1&y=%2F [1 zwei ü] me payload" {
			t.Errorf("sent %s", got)
		}
		if want := strings.TrimSuffix(s.at(raw), "#part"); head.Status != 418 || body != "short and stout" || head.URL != want || head.Length != 15 || head.Redirects != nil {
			t.Errorf("got %+v with %q", head, body)
		}
		if n := len(head.Header); n < 3 || value(head, "X-Two") != "1" {
			t.Errorf("the headers are %v", head.Header)
		}
	}
}

func TestRequestsSayWhoSendsThem(t *testing.T) {
	s := newStage(t, hello)
	s.get("https://a.test/")
	if r, _ := s.last(); r.UserAgent() != "sallyport" || r.Method != "GET" {
		t.Errorf("sent %s as %q", r.Method, r.UserAgent())
	}
	s.agent = "sallyport/1.2"
	s.get("https://a.test/")
	if r, _ := s.last(); r.UserAgent() != "sallyport/1.2" {
		t.Errorf("sent as %q", r.UserAgent())
	}
}

func TestRequestsThatCannotBeSent(t *testing.T) {
	s := newStage(t, hello)
	header := func(name, value string) abi.HTTPFetchRequest {
		return abi.HTTPFetchRequest{URL: "https://a.test/", Header: []abi.HTTPHeader{{Name: "Accept", Value: "*/*"}, {Name: name, Value: value}}}
	}
	tests := []struct {
		name  string
		req   abi.HTTPFetchRequest
		field string
	}{
		{"no url", abi.HTTPFetchRequest{}, "/url"},
		{"no host", abi.HTTPFetchRequest{URL: "https:///x"}, "/url"},
		{"relative", abi.HTTPFetchRequest{URL: "/x"}, "/url"},
		{"a file", abi.HTTPFetchRequest{URL: "file:///etc/passwd"}, "/url"},
		{"a WebSocket", abi.HTTPFetchRequest{URL: "wss://a.test/"}, "/url"},
		{"user information", abi.HTTPFetchRequest{URL: "https://a.test@b.test/"}, "/url"},
		{"a line break", abi.HTTPFetchRequest{URL: "https://a.test/\r\nX: y"}, "/url"},
		{"a backslash", abi.HTTPFetchRequest{URL: `https://a.test\@b.test/`}, "/url"},
		{"too long", abi.HTTPFetchRequest{URL: "https://a.test/" + strings.Repeat("x", abi.MaxURLBytes)}, "/url"},
		{"Host", header("hOST", "b.test"), "/header/1/name"},
		{"Content-Length", header("Content-Length", "3"), "/header/1/name"},
		{"Transfer-Encoding", header("transfer-encoding", "chunked"), "/header/1/name"},
		{"Connection", header("Connection", "X-Secret"), "/header/1/name"},
		{"Keep-Alive", header("Keep-Alive", "1"), "/header/1/name"},
		{"TE", header("TE", "trailers"), "/header/1/name"},
		{"Trailer", header("Trailer", "X"), "/header/1/name"},
		{"Upgrade", header("Upgrade", "websocket"), "/header/1/name"},
		{"Expect", header("Expect", "100-continue"), "/header/1/name"},
		{"Accept-Encoding", header("Accept-Encoding", "br"), "/header/1/name"},
		{"Proxy-Authorization", header("Proxy-Authorization", "x"), "/header/1/name"},
		{"no name", header("", "x"), "/header/1/name"},
		{"a name with a space", header("X Y", "x"), "/header/1/name"},
		{"a name with a colon", header("Host:", "x"), "/header/1/name"},
		{"a name with a break", header("X\r\nHost", "x"), "/header/1/name"},
		{"a value with a break", header("X", "a\r\nHost: b.test"), "/header/1/value"},
		{"a value with a line feed", header("X", "a\nb"), "/header/1/value"},
		{"a value with NUL", header("X", "a\x00b"), "/header/1/value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if e := s.refused(tt.req, abi.CodeInvalidArgument); e.Field != tt.field {
				t.Errorf("%v is at %s, want %s", e, e.Field, tt.field)
			}
		})
	}
	if n := s.came(); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestTheGateDecides(t *testing.T) {
	s := newStage(t, hello)
	s.scope.Allow = s.rules()
	s.scope.Allow[0].Hosts = []string{"a.test"}
	s.scope.Allow[0].Methods = []string{"GET"}
	s.get("https://a.test/")
	e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://b.test/")}, abi.CodePermissionDenied)
	if want := "http.allow: https://b.test:" + s.tls + " GET"; e.Grant != want {
		t.Errorf("the grant is %q, want %q", e.Grant, want)
	}
	e = s.refused(abi.HTTPFetchRequest{Method: "DELETE", URL: s.at("https://a.test/")}, abi.CodePermissionDenied)
	if !strings.HasSuffix(e.Grant, " DELETE") {
		t.Errorf("the grant is %q", e.Grant)
	}
	s.scope.Allow[0].Addresses = nil
	e = s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test/")}, abi.CodePermissionDenied)
	if e.Grant != "http.allow.addresses: 127.0.0.1/32" {
		t.Errorf("the grant is %q", e.Grant)
	}
	if n := s.came(); n != 1 {
		t.Errorf("%d requests came, want 1", n)
	}
}

func TestCompressedBodiesComePlain(t *testing.T) {
	long := strings.Repeat("hello ", 10_000)
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "this isn't gzip")
		case "/brotli":
			w.Header().Set("Content-Encoding", "br")
			fmt.Fprint(w, "as it is")
		case "/empty":
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(204)
		default:
			if r.Header.Get("Accept-Encoding") != "gzip" {
				fmt.Fprint(w, long)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			_, _ = io.WriteString(zip, long)
			_ = zip.Close()
		}
	})
	head, body := s.get("https://a.test/")
	if body != long || head.Length != -1 || value(head, "Content-Encoding") != "" || value(head, "Content-Length") != "" {
		t.Errorf("%d bytes came with %+v", len(body), head)
	}
	if head, body = s.get("https://a.test/brotli"); body != "as it is" || value(head, "Content-Encoding") != "br" {
		t.Errorf("%q came with %+v", body, head)
	}
	if _, body = s.get("https://a.test/empty"); body != "" {
		t.Errorf("%q came", body)
	}
	if _, body = s.get("https://a.test/", abi.HTTPHeader{Name: "Range", Value: "bytes=0-"}); body != long {
		t.Errorf("%d bytes came of a range", len(body))
	}
	if e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test/broken")}, abi.CodeUnavailable); e.Retryable || !strings.Contains(e.Message, "compressed") {
		t.Errorf("error is %+v", e)
	}
	// What is small on the wire isn't small in the end.
	if e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test/"), MaxBytes: 50_000}, abi.CodeResourceExhausted); !strings.Contains(e.Message, "50000") {
		t.Errorf("error is %+v", e)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99999999999") })
	head, body, err := s.fetch(abi.HTTPFetchRequest{Method: "HEAD", URL: s.at("https://a.test/")}, "")
	if err != nil || body != "" || head.Length != 99999999999 {
		t.Errorf("%+v with %q, %v", head, body, err)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		part := []byte(strings.Repeat("x", 500))
		if r.URL.Path == "/announced" {
			w.Header().Set("Content-Length", "1000")
		}
		for range 2 {
			_, _ = w.Write(part)
			w.(http.Flusher).Flush()
		}
	})
	for _, path := range []string{"/announced", "/streamed"} {
		at := s.at("https://a.test" + path)
		s.scope.MaxBytes = 1000
		if _, body, err := s.fetch(abi.HTTPFetchRequest{URL: at}, ""); err != nil || len(body) != 1000 {
			t.Errorf("%s: %d bytes, %v", path, len(body), err)
		}
		if e := s.refused(abi.HTTPFetchRequest{URL: at, MaxBytes: 999}, abi.CodeResourceExhausted); !strings.Contains(e.Message, "999 are the most") || e.Hint != "ask for more with max_bytes" {
			t.Errorf("%s: %+v", path, e)
		}
		s.scope.MaxBytes = 700
		if e := s.refused(abi.HTTPFetchRequest{URL: at}, abi.CodeResourceExhausted); !strings.Contains(e.Message, "700 are the most") || !strings.Contains(e.Hint, "http.max_bytes") {
			t.Errorf("%s: %+v", path, e)
		}
		if e := s.refused(abi.HTTPFetchRequest{URL: at, MaxBytes: 701}, abi.CodePermissionDenied); e.Grant != "http.max_bytes: 701" {
			t.Errorf("%s: %+v", path, e)
		}
	}
	s.scope.MaxBytes = 0
	if e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test/"), MaxBytes: fetch.DefaultMaxBytes + 1}, abi.CodePermissionDenied); e.Grant != "http.max_bytes: 33554433" {
		t.Errorf("%+v", e)
	}
}

func TestWhatCameBeforeTheBoundIsThere(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			fmt.Fprint(w, "0123456789")
			w.(http.Flusher).Flush()
		}
	})
	_, body, err := s.fetch(abi.HTTPFetchRequest{URL: s.at("https://a.test/"), MaxBytes: 95}, "")
	if abi.CodeOf(err) != abi.CodeResourceExhausted || len(body) != 95 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
}

func TestExchangesAreBoundedInTime(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			fmt.Fprint(w, "some")
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	})
	for _, path := range []string{"/head", "/body"} {
		at := s.at("https://a.test" + path)
		s.scope.MaxTime = 0
		if e := s.refused(abi.HTTPFetchRequest{URL: at, TimeoutMS: 100}, abi.CodeDeadlineExceeded); !strings.Contains(e.Message, "100ms") || e.Hint != "give it a longer time" {
			t.Errorf("%s: %+v", path, e)
		}
		s.scope.MaxTime = abi.Duration(150 * time.Millisecond)
		if e := s.refused(abi.HTTPFetchRequest{URL: at}, abi.CodeDeadlineExceeded); !strings.Contains(e.Message, "150ms") || !strings.Contains(e.Hint, "http.max_time") {
			t.Errorf("%s: %+v", path, e)
		}
		if e := s.refused(abi.HTTPFetchRequest{URL: at, TimeoutMS: 151}, abi.CodePermissionDenied); e.Grant != "http.max_time: 151ms" {
			t.Errorf("%s: %+v", path, e)
		}
	}
	s.scope.MaxTime = 0
	if e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test/"), TimeoutMS: 60_001}, abi.CodePermissionDenied); e.Grant != "http.max_time: 1m0.001s" {
		t.Errorf("%+v", e)
	}
}

func TestTheCallersContextEndsTheBody(t *testing.T) {
	ended := make(chan struct{})
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "some")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	head, body, err := s.client().Fetch(ctx, abi.HTTPFetchRequest{URL: s.at("https://a.test/")}, nil)
	if err != nil || head.Status != 200 {
		t.Fatal(head, err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := body.Read(make([]byte, 1)); abi.CodeOf(err) != abi.CodeCanceled {
		t.Errorf("a read answers %v", err)
	}
	wait(t, ended)
}

func TestAClosedBodyEndsTheExchange(t *testing.T) {
	ended := make(chan struct{})
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(ended)
	})
	_, body, err := s.client().Fetch(t.Context(), abi.HTTPFetchRequest{URL: s.at("https://a.test/")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	wait(t, ended)
}

func wait(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("it goes on")
	}
}

func TestWhatFailsOnTheWaySaysWhetherToTryAgain(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	s.scope.Allow = append(s.rules(), abi.HTTPRule{Hosts: []string{"nowhere.invalid"}, Methods: []string{"POST"}})
	tests := []struct {
		name, method, url string
		again             bool
		message           string
	}{
		{"no such name", "POST", "https://nowhere.invalid/", true, "nowhere.invalid couldn't be resolved"},
		{"nobody listens", "POST", "http://" + nobody + "/", true, "can't be reached"},
		{"broke off before the head", "GET", s.at("https://a.test/"), true, "a.test"},
		{"broke off before the head of a POST", "POST", s.at("https://a.test/"), false, "a.test"},
		{"broke off in the body", "GET", s.at("https://a.test/half"), true, "the response of a.test broke off: unexpected EOF"},
		{"no TLS there", "GET", "https://a.test:" + s.plain + "/", false, "a.test speaks no TLS on port " + s.plain},
		{"another's certificate", "GET", "https://127.0.0.1:" + s.tls + "/", false, "the certificate of 127.0.0.1 isn't trusted: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := s.refused(abi.HTTPFetchRequest{Method: tt.method, URL: tt.url}, abi.CodeUnavailable)
			if e.Retryable != tt.again || !strings.Contains(e.Message, tt.message) {
				t.Errorf("error is %+v, want retryable %v and %q", e, tt.again, tt.message)
			}
		})
	}
	s.roots = nil
	if e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test/")}, abi.CodeUnavailable); e.Retryable || !strings.Contains(e.Message, "isn't trusted") {
		t.Errorf("error is %+v", e)
	}
}

func TestResponseHeadersAreBounded(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/many" {
			for range 200 {
				w.Header().Add("X", "y")
			}
			return
		}
		w.Header().Set("X", strings.Repeat("y", abi.MaxHTTPHeaderBytes))
	})
	for _, path := range []string{"/many", "/long"} {
		s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test" + path)}, abi.CodeResourceExhausted)
	}
}

func TestNewRefusesWhatIsLeftOpen(t *testing.T) {
	if _, err := fetch.New(fetch.Config{}); abi.CodeOf(err) != abi.CodeInvalidArgument {
		t.Errorf("without a gate: %v", err)
	}
	gate, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	for _, secret := range []abi.HTTPSecret{
		{Name: abi.AnySecret, Header: "Authorization", Hosts: []string{"a.test"}},
		{Name: "token", Header: abi.AnySecret, Hosts: []string{"a.test"}},
	} {
		if _, err := fetch.New(fetch.Config{Gate: gate, Scope: abi.HTTPScope{Secrets: []abi.HTTPSecret{secret}}}); abi.CodeOf(err) != abi.CodeInvalidArgument {
			t.Errorf("with %+v: %v", secret, err)
		}
	}
}
