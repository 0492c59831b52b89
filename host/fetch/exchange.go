package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
)

// An exchange is one request with its redirects and the response's body.
type exchange struct {
	client   *Client
	asked    abi.HTTPFetchRequest
	manual   bool
	maxTime  time.Duration
	maxBytes int64

	ctx    context.Context
	cancel context.CancelFunc

	// Of the hop under way.
	method  string
	url     *url.URL
	at      egress.Target
	header  http.Header // the plugin's
	payload []byte

	redirects []string // the URLs that redirected
	secrets   []string // values that were sent
}

// send sends the request, and again wherever it is redirected to.
func (x *exchange) send() (*http.Response, error) {
	for {
		req, err := x.request()
		if err != nil {
			return nil, err
		}
		resp, err := x.client.transport.RoundTrip(req)
		if err != nil && len(x.redirects) > 0 {
			e := *x.classed(err)
			e.Message = "redirected to " + x.at.Host + ": " + e.Message
			return nil, &e
		}
		if err != nil {
			return nil, err
		}
		where := resp.Header.Get("Location")
		if x.manual || where == "" || !redirects(resp.StatusCode) {
			return resp, nil
		}
		if 0 <= resp.ContentLength && resp.ContentLength <= 2<<10 {
			_, _ = io.Copy(io.Discard, resp.Body) // the connection can be used again
		}
		_ = resp.Body.Close()
		if err := x.redirect(resp.StatusCode, where); err != nil {
			return nil, err
		}
	}
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// request returns the hop's request, with what the host adds to it.
func (x *exchange) request() (*http.Request, error) {
	req, err := http.NewRequestWithContext(x.ctx, x.method, x.url.String(), bytes.NewReader(x.payload))
	if err != nil {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "the request can't be written").WithCause(err)
	}
	req.Header = x.header.Clone()
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header.Set("User-Agent", x.client.config.UserAgent)
	}
	if x.method != http.MethodHead && req.Header.Get("Range") == "" {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	return req, x.addSecrets(req.Header)
}

// redirect prepares the next hop.
func (x *exchange) redirect(status int, where string) error {
	if len(x.redirects) == abi.MaxRedirects {
		return abi.Errorf(abi.CodeResourceExhausted, "%s redirects for the %dth time, and %d are followed", x.at.Host, abi.MaxRedirects+1, abi.MaxRedirects).
			WithHint("is it a loop? redirect %q shows one after the other", abi.RedirectManual)
	}
	if x.shows(where) {
		return abi.Errorf(abi.CodePermissionDenied, "%s redirects to a url that holds a secret, and that isn't followed", x.at.Host)
	}
	var at egress.Target
	to, err := x.url.Parse(where)
	if err == nil {
		to, at, err = readURL(to.String())
	}
	if err != nil {
		why := "it can't be read"
		if e, ok := errors.AsType[*abi.Error](err); ok {
			why = e.Message
		}
		return abi.Errorf(abi.CodeUnavailable, "%s redirects to a place that can't be followed: %s", x.at.Host, why)
	}
	if status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect &&
		x.method != http.MethodGet && x.method != http.MethodHead {
		x.method, x.payload = http.MethodGet, nil
		x.forget(func(name string) bool { return strings.HasPrefix(name, "Content-") })
	}
	if at != x.at {
		x.forget(func(name string) bool {
			return slices.Contains([]string{"Authorization", "Cookie", "Cookie2", "Www-Authenticate"}, name) ||
				slices.ContainsFunc(x.client.config.Scope.Secrets, func(s abi.HTTPSecret) bool { return strings.EqualFold(s.Header, name) })
		})
	}
	x.redirects = append(x.redirects, x.url.String())
	x.url, x.at = to, at
	return nil
}

// forget drops headers of the plugin's.
func (x *exchange) forget(which func(canonical string) bool) {
	for name := range x.header {
		if which(name) {
			delete(x.header, name)
		}
	}
}

// outOfTime is what ends an exchange when its time is over.
func (x *exchange) outOfTime() *abi.Error {
	e := abi.Errorf(abi.CodeDeadlineExceeded, "the exchange with %s took %v, and that is the most", x.at.Host, x.maxTime)
	if x.asked.TimeoutMS > 0 {
		return e.WithHint("give it a longer time")
	}
	return e.WithHint("the operator grants a longer time with http.max_time")
}

// tooMuch is the failure of a body over its bound; size is -1 where the server
// didn't say.
func (x *exchange) tooMuch(size int64) *abi.Error {
	has := fmt.Sprint(size)
	if size < 0 {
		has = "more"
	}
	e := abi.Errorf(abi.CodeResourceExhausted, "the response of %s has %s bytes, and %d are the most", x.at.Host, has, x.maxBytes)
	if x.asked.MaxBytes > 0 {
		return e.WithHint("ask for more with max_bytes")
	}
	if size < 0 {
		return e.WithHint("the operator grants more with http.max_bytes")
	}
	return e.WithHint("the operator grants more with \"http.max_bytes: %d\"", size)
}

// failure returns the public error for what ended the exchange. It shows no
// secret.
func (x *exchange) failure(err error) *abi.Error {
	e := *x.classed(err)
	if len(x.secrets) > 0 {
		// A server's words may repeat one.
		e.Message, e.Hint, e.Grant = x.mask(e.Message), x.mask(e.Hint), x.mask(e.Grant)
		return e.WithCause(nil)
	}
	return &e
}

func (x *exchange) classed(err error) *abi.Error {
	if e, ok := errors.AsType[*abi.Error](context.Cause(x.ctx)); ok {
		return e
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return abi.Errorf(abi.CodeUnavailable, "the certificate of %s isn't trusted: %w", x.at.Host, cert.Err).
			WithHint("is that the right host? its owner has to mend the certificate")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return abi.Errorf(abi.CodeUnavailable, "%s speaks no TLS on port %d", x.at.Host, x.at.Port).
			WithCause(err).WithHint("is it http, or another port?")
	}
	e, ok := errors.AsType[*abi.Error](err)
	if !ok {
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return abi.Errorf(abi.CodeDeadlineExceeded, "the exchange with %s is out of time", x.at.Host)
		case errors.Is(err, context.Canceled):
			return abi.Errorf(abi.CodeCanceled, "the exchange with %s was cancelled", x.at.Host)
		}
		e = abi.Errorf(abi.CodeUnavailable, "the exchange with %s failed: %w", x.at.Host, err)
	}
	if e.Code == abi.CodeUnavailable && x.again() && brokeOff(e) {
		again := *e
		again.Retryable = true
		return &again
	}
	return e
}

// again says whether sending the request once more does no more than once.
func (x *exchange) again() bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete}, x.method)
}

// brokeOff says whether a connection ended before its time.
func brokeOff(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
