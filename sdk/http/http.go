package http

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// A Header is header lines in their order; names may come more than once.
type Header []abi.HTTPHeader

// Get returns the first value of a header, "" where there is none. Case doesn't
// matter.
func (h Header) Get(name string) string {
	for _, line := range h {
		if strings.EqualFold(line.Name, name) {
			return line.Value
		}
	}
	return ""
}

// Values returns all values of a header.
func (h Header) Values(name string) []string {
	var list []string
	for _, line := range h {
		if strings.EqualFold(line.Name, name) {
			list = append(list, line.Value)
		}
	}
	return list
}

// A Request is what is sent.
type Request struct {
	Method string // upper case; "" is GET
	URL    string
	Header Header
	Body   []byte
	// Redirect is abi.RedirectFollow or abi.RedirectManual; "" is follow.
	Redirect string
	// Timeout bounds the exchange, the response's body included. Zero is the
	// longest that the grant allows.
	Timeout time.Duration
	// MaxBytes bounds the response's body. Zero is the most that the grant
	// allows.
	MaxBytes int64
}

// A Response is what came back.
type Response struct {
	Status int // such as 200
	Header Header
	URL    string // after redirects
	// Redirects are the URLs that led there, in order.
	Redirects []string
	// Length is what the server announced of the body, -1 where it didn't.
	Length int64
	// Body is the body as it comes, never nil. It ends with the call of the
	// tool; one that isn't read to its end is better closed. It serves one
	// goroutine.
	Body io.ReadCloser
}

// Do sends a request and returns once the response's head and the first of its
// body are there.
func Do(ctx context.Context, r Request) (*Response, error) {
	req := abi.HTTPFetchRequest{Method: r.Method, URL: r.URL, Header: r.Header, Redirect: r.Redirect, MaxBytes: r.MaxBytes}
	if r.Timeout > 0 {
		req.TimeoutMS = max(1, r.Timeout.Milliseconds())
	}
	f, err := sdk.Invoke(ctx, abi.OpHTTPFetch, importFetch, req, r.Body)
	if err != nil {
		return nil, err
	}
	var resp abi.HTTPFetchResponse
	if err := f.Decode(&resp); err != nil {
		return nil, err
	}
	return &Response{
		Status:    resp.Status,
		Header:    resp.Header,
		URL:       resp.URL,
		Redirects: resp.Redirects,
		Length:    resp.Length,
		Body:      &body{ctx: ctx, number: resp.Body, held: f.Body},
	}, nil
}

// Get is Do for a GET of a URL.
func Get(ctx context.Context, url string) (*Response, error) {
	return Do(ctx, Request{URL: url})
}

// part is how much a read asks the host for at least: one crossing for many
// small reads.
const part = 256 << 10

// A body is a response's, some of which is held here.
type body struct {
	ctx    context.Context
	number uint32 // of what the host has more of; zero is nothing
	held   []byte
	err    error // of reads once nothing is held
}

func (b *body) Read(p []byte) (int, error) {
	for len(b.held) == 0 && len(p) > 0 {
		if b.err == nil && b.number == 0 {
			b.err = io.EOF
		}
		if b.err != nil {
			return 0, b.err
		}
		b.more(len(p))
	}
	n := copy(p, b.held)
	b.held = b.held[n:]
	return n, nil
}

// more gets what comes next from the host.
func (b *body) more(want int) {
	req := abi.HTTPReadRequest{Body: b.number, MaxBytes: min(max(want, part), abi.MaxHTTPRead)}
	f, err := sdk.Invoke(b.ctx, abi.OpHTTPRead, importRead, req, nil)
	var resp abi.HTTPReadResponse
	if err == nil {
		err = f.Decode(&resp)
	}
	if err != nil {
		b.err = err
		return
	}
	b.held = f.Body
	if resp.Ended {
		b.number = 0
	}
}

// Close drops what wasn't read.
func (b *body) Close() error {
	number := b.number
	b.number, b.held = 0, nil
	if b.err == nil {
		b.err = sdk.Errorf(abi.CodeFailedPrecondition, "the response's body is closed")
	}
	if number == 0 {
		return nil
	}
	_, err := sdk.Invoke(b.ctx, abi.OpHTTPClose, importClose, abi.HTTPCloseRequest{Body: number}, nil)
	if abi.CodeOf(err) == abi.CodeNotFound {
		return nil // it ended by itself
	}
	return err
}
