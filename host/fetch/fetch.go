package fetch

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// What a scope's zero bounds stand for.
const (
	DefaultMaxTime  = time.Minute
	DefaultMaxBytes = 32 << 20
)

// DefaultUserAgent is what an empty Config.UserAgent stands for.
const DefaultUserAgent = "sallyport"

// A Config says for whom a Client sends requests, and through what.
type Config struct {
	// Gate decides on requests and carries them. Its own bounds should be no
	// tighter than the scope's. Required.
	Gate *egress.Gate
	// Scope is the effective one. Of it the bounds and the secrets count here,
	// the rules in the gate. Zero bounds are DefaultMaxTime and DefaultMaxBytes.
	Scope abi.HTTPScope
	// Secret returns the value of a secret by its name, or an *abi.Error for the
	// plugin to read. It is called for each request that needs one, by several
	// goroutines. Nil has none.
	Secret func(name string) (string, error)
	// UserAgent is what requests are sent as that don't say. "" is
	// DefaultUserAgent.
	UserAgent string
}

// A Client sends requests. It may be used by several goroutines at once.
type Client struct {
	config    Config // with its defaults
	transport http.RoundTripper
}

// New returns a Client. It fails with invalid_argument without a gate, and for
// a secret whose name or header was left open.
func New(c Config) (*Client, error) {
	if c.Gate == nil {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "there is no gate to send requests through")
	}
	for _, s := range c.Scope.Secrets {
		if s.Name == abi.AnySecret || s.Header == abi.AnySecret {
			return nil, abi.Errorf(abi.CodeInvalidArgument, "the secret %s for the header %s is left open", s.Name, s.Header)
		}
	}
	if c.Scope.MaxTime <= 0 {
		c.Scope.MaxTime = abi.Duration(DefaultMaxTime)
	}
	if c.Scope.MaxBytes <= 0 {
		c.Scope.MaxBytes = DefaultMaxBytes
	}
	if c.UserAgent == "" {
		c.UserAgent = DefaultUserAgent
	}
	return &Client{config: c, transport: c.Gate.RoundTripper()}, nil
}

// Fetch sends a request, which the bridge has checked, and returns the response's head and its whole body,
// which the caller reads to its end or closes; ctx ends both. Every error, those
// of the body too, is an *abi.Error:
//
//   - invalid_argument for a request that can't be sent, with the field;
//   - permission_denied from the gate, for more time or bytes than the scope
//     has, and for a redirect that would show a secret;
//   - unavailable when a host can't be reached, breaks off or isn't trusted,
//     retryable where another try may help, and when a secret can't be read;
//   - resource_exhausted over a bound, deadline_exceeded, canceled.
func (c *Client) Fetch(ctx context.Context, req abi.HTTPFetchRequest, payload []byte) (abi.HTTPFetchResponse, io.ReadCloser, error) {
	x, err := c.exchange(req, payload)
	if err != nil {
		return abi.HTTPFetchResponse{}, nil, err
	}
	ctx, x.cancel = context.WithTimeoutCause(ctx, x.maxTime, x.outOfTime())
	x.ctx = ctx
	resp, err := x.send()
	if err == nil {
		var head abi.HTTPFetchResponse
		var b io.ReadCloser
		if head, b, err = x.answer(resp); err == nil {
			return head, b, nil
		}
		_ = resp.Body.Close()
	}
	err = x.failure(err)
	x.cancel()
	return abi.HTTPFetchResponse{}, nil, err
}

// answer returns what the plugin gets of a response.
func (x *exchange) answer(resp *http.Response) (abi.HTTPFetchResponse, io.ReadCloser, error) {
	head := abi.HTTPFetchResponse{Status: resp.StatusCode, URL: x.url.String(), Redirects: x.redirects, Length: resp.ContentLength}
	b := x.body(resp)
	if b.decoded {
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		head.Length = -1
	}
	if head.Length > x.maxBytes && x.method != http.MethodHead {
		return head, nil, x.tooMuch(head.Length)
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		for _, value := range resp.Header[name] {
			total += len(name) + len(value)
			head.Header = append(head.Header, abi.HTTPHeader{Name: name, Value: x.mask(value)})
		}
	}
	if total > abi.MaxHTTPHeaderBytes || len(head.Header) > abi.MaxHTTPHeaders {
		return head, nil, abi.Errorf(abi.CodeResourceExhausted, "the response has %d headers of %d bytes: at most %d of %d are taken",
			len(head.Header), total, abi.MaxHTTPHeaders, abi.MaxHTTPHeaderBytes)
	}
	return head, b, nil
}
