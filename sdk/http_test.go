package sdk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

// web returns a host whose requests a handler answers.
func web(t *testing.T, handler nethttp.HandlerFunc) *sdktest.Host {
	h := sdktest.New(t)
	h.HTTP = handler
	return h
}

func TestARequestReachesItsHandler(t *testing.T) {
	h := web(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("X-Seen", fmt.Sprintf("%s %s%s?%s %v %s", r.Method, r.Host, r.URL.Path, r.URL.RawQuery, r.Header["X-Twice"], body))
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(201)
		fmt.Fprint(w, "made")
	})
	resp, err := http.Do(h.Context(), http.Request{
		Method: "POST", URL: "https://api.example.com/v1?q=1", Body: []byte("payload"),
		Header: http.Header{{Name: "X-Twice", Value: "1"}, {Name: "x-twice", Value: "2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "made" || resp.Status != 201 || resp.URL != "https://api.example.com/v1?q=1" {
		t.Errorf("%+v with %q, %v", resp, body, err)
	}
	if got := resp.Header.Get("x-seen"); got != "POST api.example.com/v1?q=1 [1 2] payload" {
		t.Errorf("the handler saw %s", got)
	}
	if got := resp.Header.Values("SET-COOKIE"); len(got) != 2 || got[1] != "b=2" || resp.Header.Get("none") != "" {
		t.Errorf("the headers are %v", resp.Header)
	}
}

func TestALongBodyStreams(t *testing.T) {
	page := bytes.Repeat([]byte("0123456789"), 500_000)
	h := web(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) { _, _ = w.Write(page) })
	resp, err := http.Get(h.Context(), "https://a.example/")
	if err != nil {
		t.Fatal(err)
	}
	if n := h.OpenBodies(); n != 1 {
		t.Errorf("%d bodies are open", n)
	}
	got, err := io.ReadAll(sips{resp.Body})
	if err != nil || !bytes.Equal(got, page) {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the end a read answers %d, %v", n, err)
	}
	if err := resp.Body.Close(); err != nil || h.OpenBodies() != 0 {
		t.Errorf("close: %v, and %d bodies are open", err, h.OpenBodies())
	}
}

// A sips reads few bytes at a time, as parsers do.
type sips struct{ io.Reader }

func (r sips) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 100)]) }

func TestAClosedBodyIsGone(t *testing.T) {
	h := web(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) { _, _ = w.Write(make([]byte, 3<<20)) })
	resp, err := http.Get(h.Context(), "https://a.example/")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := h.OpenBodies(); n != 0 {
		t.Errorf("%d bodies are open", n)
	}
	if _, err := resp.Body.Read(make([]byte, 1)); abi.CodeOf(err) != abi.CodeFailedPrecondition {
		t.Errorf("a read answers %v", err)
	}
}

func TestRedirects(t *testing.T) {
	h := web(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/old":
			nethttp.Redirect(w, r, "https://b.example/new", nethttp.StatusSeeOther)
		case "/loop":
			nethttp.Redirect(w, r, "/loop", nethttp.StatusFound)
		case "/away":
			nethttp.Redirect(w, r, "https://refused.example/", nethttp.StatusFound)
		default:
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
		}
	})
	h.RefuseHost("refused.example", sdk.Errorf(abi.CodePermissionDenied, "no rule allows it"))
	tests := []struct {
		path, redirect string
		status         int
		body           string
		code           abi.Code
	}{
		{"/old", "", 200, "GET https://b.example/new ", 0},
		{"/old", abi.RedirectManual, 303, "", 0},
		{"/loop", "", 0, "", abi.CodeResourceExhausted},
		{"/away", "", 0, "", abi.CodePermissionDenied},
	}
	for _, tt := range tests {
		resp, err := http.Do(h.Context(), http.Request{Method: "POST", URL: "https://a.example" + tt.path, Body: []byte("x"), Redirect: tt.redirect})
		if abi.CodeOf(err) != tt.code {
			t.Errorf("%s: %v", tt.path, err)
		}
		if err != nil {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != tt.body || resp.Status != tt.status {
			t.Errorf("%s: %d %q, %v", tt.path, resp.Status, body, err)
		}
		if tt.redirect == "" && (len(resp.Redirects) != 1 || resp.Redirects[0] != "https://a.example"+tt.path) {
			t.Errorf("%s: redirected by %v to %s", tt.path, resp.Redirects, resp.URL)
		}
	}
}

func TestWhatEndsARequest(t *testing.T) {
	h := web(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/breaks":
			fmt.Fprint(w, "half")
			panic(nethttp.ErrAbortHandler)
		case "/slow":
			<-r.Context().Done()
		case "/long":
			fmt.Fprint(w, strings.Repeat("x", 100))
		}
	})
	tests := []struct {
		name string
		req  http.Request
		code abi.Code
	}{
		{"breaks off", http.Request{URL: "https://a.example/breaks"}, abi.CodeUnavailable},
		{"too slow", http.Request{URL: "https://a.example/slow", Timeout: time.Microsecond}, abi.CodeDeadlineExceeded},
		{"too long", http.Request{URL: "https://a.example/long", MaxBytes: 99}, abi.CodeResourceExhausted},
		{"no url", http.Request{URL: "a.example"}, abi.CodeInvalidArgument},
	}
	for _, tt := range tests {
		resp, err := http.Do(h.Context(), tt.req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
		}
		if abi.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.code)
		}
	}
	h.HTTP = nil
	_, err := http.Get(h.Context(), "https://a.example/")
	if e, ok := errors.AsType[*abi.Error](err); !ok || e.Code != abi.CodePermissionDenied || e.Grant != "http.allow" {
		t.Errorf("without the capability: %v", err)
	}
}
