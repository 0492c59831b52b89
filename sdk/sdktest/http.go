package sdktest

import (
	"bytes"
	"context"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// RefuseHost makes requests to a host fail, and redirects to it, with reason as
// a host's decision would. It lasts for the test.
func (h *Host) RefuseHost(host string, reason *abi.Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unreachable == nil {
		h.unreachable = map[string]*abi.Error{}
	}
	h.unreachable[strings.ToLower(host)] = reason
}

// OpenBodies returns how many responses' bodies were neither read to their end
// nor closed.
func (h *Host) OpenBodies() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.bodies)
}

// A body is the rest of a response, and what it ends with: nil at its end.
type body struct {
	rest []byte
	err  *abi.Error
}

func (h *Host) operateHTTP(ctx context.Context, op string, f abi.Frame) ([]byte, error) {
	if h.HTTP == nil {
		e := abi.Errorf(abi.CodePermissionDenied, "the test's host has no http").WithHint("set Host.HTTP")
		e.Grant = "http.allow"
		return nil, e
	}
	switch op {
	case abi.OpHTTPFetch:
		return h.fetch(ctx, f)
	case abi.OpHTTPRead:
		return h.readBody(f)
	}
	var req abi.HTTPCloseRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bodies[req.Body] == nil {
		return nil, noBody(req.Body)
	}
	delete(h.bodies, req.Body)
	return empty(), nil
}

func (h *Host) fetch(ctx context.Context, f abi.Frame) ([]byte, error) {
	var req abi.HTTPFetchRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	if h.OpenBodies() >= abi.MaxHTTPBodies {
		return nil, abi.Errorf(abi.CodeResourceExhausted, "%d bodies are open, the bound of a call", abi.MaxHTTPBodies).
			WithHint("read one to its end, or close it")
	}
	if req.TimeoutMS > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(req.TimeoutMS)*time.Millisecond)
		defer cancel()
	}
	out, err := http.NewRequestWithContext(ctx, req.Method, req.URL, bytes.NewReader(f.Body))
	if err != nil || out.URL.Host == "" {
		e := abi.Errorf(abi.CodeInvalidArgument, "url can't be read: write it as https://host/path")
		e.Field = "/url"
		return nil, e
	}
	for _, line := range req.Header {
		out.Header.Add(line.Name, line.Value)
	}
	var redirects []string
	for {
		resp, all, err := h.serve(out)
		if err != nil {
			return nil, err
		}
		next, ok := redirected(out, resp, f.Body)
		if !ok || req.Redirect == abi.RedirectManual {
			return h.respond(resp, all, out.URL, redirects, req.MaxBytes)
		}
		if redirects = append(redirects, out.URL.String()); len(redirects) > abi.MaxRedirects {
			return nil, abi.Errorf(abi.CodeResourceExhausted, "more than %d redirects", abi.MaxRedirects)
		}
		out = next
	}
}

// serve has the test's handler answer, and returns the head and the body.
func (h *Host) serve(req *http.Request) (resp *http.Response, all body, err error) {
	h.mu.Lock()
	reason := h.unreachable[strings.ToLower(req.URL.Hostname())]
	h.mu.Unlock()
	if reason != nil {
		e := *reason
		return nil, body{}, &e
	}
	req.RequestURI, req.RemoteAddr = req.URL.RequestURI(), "192.0.2.1:1234"
	recorder := httptest.NewRecorder()
	func() {
		defer func() {
			if v := recover(); v == http.ErrAbortHandler {
				all.err = abi.Errorf(abi.CodeUnavailable, "the server broke off")
				all.err.Retryable = true
			} else if v != nil {
				panic(v)
			}
		}()
		h.HTTP.ServeHTTP(recorder, req)
	}()
	if req.Context().Err() != nil {
		return nil, body{}, abi.Errorf(abi.CodeDeadlineExceeded, "the server took too long")
	}
	all.rest = recorder.Body.Bytes()
	if req.Method == http.MethodHead {
		all.rest = nil
	}
	return recorder.Result(), all, nil
}

// redirected returns the request that a redirect asks for.
func redirected(req *http.Request, resp *http.Response, payload []byte) (*http.Request, bool) {
	where := resp.Header.Get("Location")
	if where == "" || !slices.Contains([]int{301, 302, 303, 307, 308}, resp.StatusCode) {
		return nil, false
	}
	to, err := req.URL.Parse(where)
	if err != nil {
		return nil, false
	}
	method := req.Method
	if resp.StatusCode <= 303 && method != http.MethodGet && method != http.MethodHead {
		method, payload = http.MethodGet, nil
	}
	next, err := http.NewRequestWithContext(req.Context(), method, to.String(), bytes.NewReader(payload))
	if err != nil {
		return nil, false
	}
	next.Header = req.Header.Clone()
	for name := range next.Header {
		if method != req.Method && strings.HasPrefix(name, "Content-") || origin(to) != origin(req.URL) && slices.Contains(credentials, name) {
			next.Header.Del(name)
		}
	}
	return next, true
}

// credentials are the headers that stay behind when a redirect leads to another
// origin.
var credentials = []string{"Authorization", "Cookie", "Cookie2", "Www-Authenticate"}

// origin is what two URLs of one server have in common.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(int(abi.SchemePort(u.Scheme)))
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// respond answers with the first part of a body, and keeps the rest.
func (h *Host) respond(resp *http.Response, all body, at *url.URL, redirects []string, most int64) ([]byte, error) {
	if most > 0 && int64(len(all.rest)) > most {
		all.rest, all.err = all.rest[:most], abi.Errorf(abi.CodeResourceExhausted, "the response has more than %d bytes", most)
	}
	head := abi.HTTPFetchResponse{Status: resp.StatusCode, Header: []abi.HTTPHeader{}, URL: at.String(), Redirects: redirects, Length: resp.ContentLength}
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		for _, value := range resp.Header[name] {
			head.Header = append(head.Header, abi.HTTPHeader{Name: name, Value: value})
		}
	}
	first := all.rest[:min(len(all.rest), abi.MaxHTTPFirst)]
	if all.rest = all.rest[len(first):]; len(all.rest) > 0 || all.err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.bodies == nil {
			h.bodies = map[uint32]*body{}
		}
		h.numbered++
		head.Body = h.numbered
		h.bodies[head.Body] = &all
	}
	return abi.EncodeFrame(head, first)
}

func (h *Host) readBody(f abi.Frame) ([]byte, error) {
	var req abi.HTTPReadRequest
	if err := f.Decode(&req); err != nil {
		return nil, err
	}
	if req.MaxBytes == 0 {
		req.MaxBytes = abi.MaxHTTPRead
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.bodies[req.Body]
	if b == nil {
		return nil, noBody(req.Body)
	}
	if n := min(len(b.rest), req.MaxBytes); n > 0 {
		part := b.rest[:n]
		b.rest = b.rest[n:]
		return abi.EncodeFrame(abi.HTTPReadResponse{}, part)
	}
	delete(h.bodies, req.Body)
	if b.err != nil {
		return nil, b.err
	}
	return abi.EncodeFrame(abi.HTTPReadResponse{Ended: true}, nil)
}

func noBody(n uint32) error {
	return abi.Errorf(abi.CodeNotFound, "there is no body %d, or it ended or was closed", n)
}
