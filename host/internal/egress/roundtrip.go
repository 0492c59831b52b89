package egress

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// RoundTripper returns a way for the host's own requests. Each is decided by
// itself, so a client that follows redirects has each of them decided. Errors
// are *abi.Error, those of bodies too: what Decide returns, unavailable,
// deadline_exceeded, resource_exhausted, canceled, and invalid_argument for a
// request whose Host isn't its URL's. Bodies aren't decompressed. The response's
// body has to be read to its end or closed.
func (g *Gate) RoundTripper() http.RoundTripper { return roundTripper{g} }

type roundTripper struct{ gate *Gate }

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	f := r.gate.flow(req.Context())
	resp, err := f.RoundTrip(req)
	if err != nil {
		f.end()
		return nil, err
	}
	switch b := resp.Body.(type) {
	case *upgraded:
		b.ends = true
	case *body:
		b.ends = true
		if b.ReadCloser == http.NoBody {
			f.end()
		}
	}
	return resp, nil
}

// RoundTrip decides on a request and sends it. The caller ends the flow, after
// the response's body.
func (f *flow) RoundTrip(req *http.Request) (*http.Response, error) {
	out, rule, err := f.outgoing(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	resp, err := f.gate.transports[rule].RoundTrip(out)
	if err != nil {
		return nil, f.failure(out.URL.Host+" gave no answer", err)
	}
	f.progress()
	resp.Request = req
	switched := resp.StatusCode == http.StatusSwitchingProtocols
	if switched && out.Header.Get("Upgrade") == "" {
		_ = resp.Body.Close()
		return nil, abi.Errorf(abi.CodeUnavailable, "%s changed the protocol without being asked to", out.URL.Host)
	}
	limit := f.gate.config.MaxBytes
	if resp.ContentLength > limit && req.Method != http.MethodHead {
		_ = resp.Body.Close()
		return nil, f.gate.tooMuch()
	}
	in := f.body(resp.Body, out.URL.Hostname())
	if w, ok := resp.Body.(io.Writer); ok && switched {
		resp.Body = &upgraded{body: in, out: w, outLeft: limit}
	} else {
		resp.Body = &in
	}
	return resp, nil
}

// outgoing returns what is sent of a request, and the rule that allows it.
func (f *flow) outgoing(req *http.Request) (*http.Request, int, error) {
	g, method := f.gate, cmp.Or(req.Method, http.MethodGet)
	d, err := g.decideURL(f.ctx, method, req.URL)
	if err != nil {
		return nil, 0, err
	}
	if req.Host != "" {
		host, port, err := splitAuthority(req.Host, abi.SchemePort(d.Scheme))
		if err != nil || host != d.Host || port != d.Port {
			return nil, 0, invalid("the Host is %q, and the url's is %s", brief(req.Host), d.authority())
		}
	}
	if strings.Contains(req.URL.RequestURI(), " ") {
		return nil, 0, invalid("the url has a space").WithHint("percent-encode it")
	}
	if req.ContentLength > g.config.MaxBytes {
		return nil, 0, g.tooMuch()
	}
	out := req.Clone(context.WithValue(f.ctx, decisionKey{}, d))
	out.URL.Scheme, out.URL.Host, out.Host = d.Scheme, d.authority(), ""
	out.Method = method
	cleanHeader(out.Header)
	if out.Body != nil && out.Body != http.NoBody {
		out.Body = f.requestBody(out.Body)
		if again := req.GetBody; again != nil {
			out.GetBody = func() (io.ReadCloser, error) {
				b, err := again()
				if err != nil {
					return nil, err
				}
				return f.requestBody(b), nil
			}
		}
	}
	return out, d.Rule, nil
}

func (f *flow) requestBody(b io.ReadCloser) io.ReadCloser {
	in := f.body(b, "")
	return &in
}

// cleanHeader removes what is between a client and its proxy: hop-by-hop fields
// and all of Proxy-*. Of upgrades, WebSockets alone stay: in another protocol
// requests would pass that nobody decides on.
func cleanHeader(h http.Header) {
	webSocket := hasToken(h["Connection"], "upgrade") && len(h["Upgrade"]) == 1 && strings.EqualFold(h.Get("Upgrade"), "websocket")
	trailers := hasToken(h["Te"], "trailers")
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for name := range h {
		switch canonical := http.CanonicalHeaderKey(name); canonical {
		case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Host":
			delete(h, name)
		default:
			if strings.HasPrefix(canonical, "Proxy-") {
				delete(h, name)
			}
		}
	}
	if webSocket {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", "websocket")
	}
	if trailers {
		h.Set("Te", "trailers")
	}
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
