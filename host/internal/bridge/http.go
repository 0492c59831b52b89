package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// HTTP is the way out of the calling session and plugin. The body that Fetch
// returns is the whole of the response's, never nil without an error. It fails
// with an *abi.Error, and ends, with what it needs, when it is closed or the
// context is done: that context lives as long as the body may be read.
type HTTP interface {
	Fetch(ctx context.Context, req abi.HTTPFetchRequest, body []byte) (abi.HTTPFetchResponse, io.ReadCloser, error)
}

const maxMethodBytes = 32

// closeTime is kept of the call's time for a plugin to put in order what it was
// fetching for, or a quarter where little is left.
const closeTime = 3 * time.Second

func (c *Call) httpFetch(ctx context.Context, op string, frame []byte) ([]byte, error) {
	var req abi.HTTPFetchRequest
	payload, err := decodeWithBody(op, frame, &req)
	if err != nil {
		return nil, err
	}
	u, err := checkFetch(op, &req)
	if err != nil {
		return nil, err
	}
	release, err := c.reserveBody(op)
	if err != nil {
		return nil, err
	}
	payload = bytes.Clone(payload) // a request may be on its way for longer than the frame is ours
	o := operation{
		ask:     policy.Request{Op: op, MaxTime: time.Duration(req.TimeoutMS) * time.Millisecond, MaxBytes: req.MaxBytes},
		offered: c.config.HTTP != nil,
		async:   req.Async.Async,
		detail:  fetchDetail(req, u, len(payload)),
	}
	req.Async = abi.Async{}
	o.run = func(task context.Context) ([]byte, map[string]string, error) {
		defer release()
		return c.fetchFirst(ctx, task, o, req, payload)
	}
	answer, err := c.do(ctx, o)
	if err != nil {
		release() // it may not have come to run
	}
	return answer, err
}

// checkFetch says whether a request is within its bounds, and sets what its
// empty fields stand for. What its URL and its headers may hold is the
// capability's to say.
func checkFetch(op string, req *abi.HTTPFetchRequest) (*url.URL, error) {
	if req.Method == "" {
		req.Method = "GET"
	}
	if req.Redirect == "" {
		req.Redirect = abi.RedirectFollow
	}
	total := 0
	for _, h := range req.Header {
		total += len(h.Name) + len(h.Value)
	}
	switch {
	case len(req.Method) > maxMethodBytes || req.Method == "CONNECT" || strings.Trim(req.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "":
		return nil, invalid(op, "/method", "method is %.40q: use one in upper case, such as GET", req.Method)
	case req.URL == "":
		return nil, invalid(op, "/url", "url is empty")
	case len(req.URL) > abi.MaxURLBytes:
		return nil, invalid(op, "/url", "url has %d bytes, the bound is %d", len(req.URL), abi.MaxURLBytes)
	case len(req.Header) > abi.MaxHTTPHeaders:
		return nil, invalid(op, "/header", "header has %d lines, the bound is %d", len(req.Header), abi.MaxHTTPHeaders)
	case total > abi.MaxHTTPHeaderBytes:
		return nil, invalid(op, "/header", "header has %d bytes, the bound is %d", total, abi.MaxHTTPHeaderBytes)
	case req.Redirect != abi.RedirectFollow && req.Redirect != abi.RedirectManual:
		return nil, invalid(op, "/redirect", "redirect is %.40q: use %s or %s", req.Redirect, abi.RedirectFollow, abi.RedirectManual)
	case req.MaxBytes < 0:
		return nil, invalid(op, "/max_bytes", "max_bytes is negative: %d", req.MaxBytes)
	}
	if err := checkTimeout(op, req.TimeoutMS); err != nil {
		return nil, err
	}
	u, err := url.Parse(req.URL)
	if err != nil || u.Host == "" {
		return nil, invalid(op, "/url", "url can't be read: write it as https://host/path")
	}
	return u, nil
}

// fetchDetail is what the audit gets of a request: where it goes, and digests
// of what may be private. Headers aren't in it.
func fetchDetail(req abi.HTTPFetchRequest, u *url.URL, payload int) map[string]string {
	port := u.Port()
	if port == "" {
		port = number(abi.SchemePort(u.Scheme))
	}
	detail := map[string]string{
		"method": req.Method,
		"scheme": u.Scheme,
		"host":   strings.ToLower(u.Hostname()),
		"port":   port,
		"path":   u.EscapedPath(),
	}
	if u.RawQuery != "" {
		digest := sha256.Sum256([]byte(u.RawQuery))
		detail["query_sha256"] = hex.EncodeToString(digest[:])
	}
	if payload > 0 {
		detail["body_bytes"] = number(payload)
	}
	if req.Redirect != abi.RedirectFollow {
		detail["redirect"] = req.Redirect
	}
	if req.TimeoutMS > 0 {
		detail["timeout_ms"] = number(req.TimeoutMS)
	}
	if req.MaxBytes > 0 {
		detail["max_bytes"] = number(req.MaxBytes)
	}
	return detail
}

// fetchFirst fetches, and answers with the first part of the body. The rest
// stays open under a number, as long as the call's context, which outlives the
// task's.
func (c *Call) fetchFirst(call, task context.Context, o operation, req abi.HTTPFetchRequest, payload []byte) ([]byte, map[string]string, error) {
	ctx, cancel := outlast(call)
	stop := context.AfterFunc(task, cancel)
	defer stop()
	res, src, err := c.config.HTTP.Fetch(ctx, req, payload)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	b := &body{
		of:      map[string]string{"scheme": o.detail["scheme"], "host": o.detail["host"], "port": o.detail["port"]},
		cancel:  cancel,
		changed: make(chan struct{}),
	}
	if err := c.fill(ctx, o.ask.Op, b, src); err != nil {
		return nil, nil, err
	}
	first, all, err := b.first(task)
	if err == nil && !stop() {
		err = task.Err() // cancelled, and the body with it
	}
	if err == nil && !all {
		res.Body, err = c.keep(o.ask.Op, b)
	}
	if err != nil || all {
		cancel()
	}
	if err != nil {
		return nil, nil, err
	}
	if res.Header == nil {
		res.Header = []abi.HTTPHeader{}
	}
	detail := map[string]string{"status": number(res.Status), "bytes": number(len(first))}
	if n := len(res.Redirects); n > 0 {
		detail["redirects"] = number(n)
	}
	if res.Body > 0 {
		detail["body"] = number(res.Body)
	}
	frame, err := abi.EncodeFrame(res, first)
	if err != nil && res.Body > 0 {
		c.drop(res.Body, b, bodyFailed, err)
	}
	return frame, detail, err
}

// outlast returns the context of an exchange: the call's, less the time that a
// plugin needs to end in order.
func outlast(call context.Context) (context.Context, context.CancelFunc) {
	end, ok := call.Deadline()
	if !ok {
		return context.WithCancel(call)
	}
	left := time.Until(end)
	return context.WithDeadlineCause(call, end.Add(-min(closeTime, left/4)),
		abi.Errorf(abi.CodeDeadlineExceeded, "the call's time is nearly over").WithHint("fetch less in one call"))
}

// reserveBody takes the place of the body that a fetch may leave open, until
// the function it returns is called.
func (c *Call) reserveBody(op string) (func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bodies)+c.fetching >= abi.MaxHTTPBodies {
		return nil, abi.Errorf(abi.CodeResourceExhausted, "%s: %d bodies are open, the bound of a call", op, abi.MaxHTTPBodies).
			WithHint("read one to its end, or close it")
	}
	c.fetching++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.fetching--
	}), nil
}

func (c *Call) httpRead(ctx context.Context, op string, frame []byte) ([]byte, error) {
	var req abi.HTTPReadRequest
	if err := decode(op, frame, &req); err != nil {
		return nil, err
	}
	if req.MaxBytes < 0 || req.MaxBytes > abi.MaxHTTPRead {
		return nil, invalid(op, "/max_bytes", "max_bytes is %d: use 0 to %d", req.MaxBytes, abi.MaxHTTPRead)
	}
	if req.MaxBytes == 0 {
		req.MaxBytes = abi.MaxHTTPRead
	}
	o := c.ofBody(op, req.Body)
	b, release, err := c.claim(op, req.Body)
	if err != nil {
		o.run = func(context.Context) ([]byte, map[string]string, error) { return nil, nil, err }
		return c.do(ctx, o) // the policy's refusal goes before
	}
	o.async = req.Async.Async
	o.run = func(ctx context.Context) ([]byte, map[string]string, error) {
		defer release()
		part, err := b.read(ctx, req.MaxBytes)
		switch {
		case err == io.EOF:
			c.drop(req.Body, b, bodyEnded, nil)
			frame, err := abi.EncodeFrame(abi.HTTPReadResponse{Ended: true}, nil)
			return frame, nil, err
		case err != nil && ctx.Err() != nil:
			return nil, nil, ctx.Err() // the wait for the body is over, not the body
		case err != nil:
			err = c.public(op, err)
			c.drop(req.Body, b, bodyFailed, err)
			return nil, nil, err
		}
		frame, err := abi.EncodeFrame(abi.HTTPReadResponse{}, part)
		return frame, nil, err
	}
	answer, err := c.do(ctx, o)
	if err != nil {
		release() // it may not have come to run
	}
	return answer, err
}

func (c *Call) httpClose(ctx context.Context, op string, frame []byte) ([]byte, error) {
	var req abi.HTTPCloseRequest
	if err := decode(op, frame, &req); err != nil {
		return nil, err
	}
	o := c.ofBody(op, req.Body)
	o.run = func(context.Context) ([]byte, map[string]string, error) {
		c.mu.Lock()
		b := c.bodies[req.Body]
		c.mu.Unlock()
		if b == nil {
			return nil, nil, noBody(op, req.Body)
		}
		c.drop(req.Body, b, bodyClosed, nil)
		frame, err := abi.EncodeFrame(nil, nil)
		return frame, nil, err
	}
	return c.do(ctx, o)
}

// ofBody is an operation on an open body, whose fetch was audited, and whose
// end is.
func (c *Call) ofBody(op string, n uint32) operation {
	return operation{
		ask:     policy.Request{Op: op},
		offered: c.config.HTTP != nil,
		quiet:   true,
		detail:  map[string]string{"body": number(n)},
	}
}

// claim returns an open body for one reader, who gives it back by the function.
func (c *Call) claim(op string, n uint32) (*body, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.bodies[n]
	switch {
	case b == nil:
		return nil, nil, noBody(op, n)
	case b.claimed:
		return nil, nil, invalid(op, "/body", "body %d is being read: one read at a time", n)
	}
	b.claimed = true
	return b, sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		b.claimed = false
	}), nil
}

func noBody(op string, n uint32) *abi.Error {
	return abi.Errorf(abi.CodeNotFound, "%s: there is no body %d, or it ended or was closed", op, n)
}

// How a body came to its end, for the audit.
const (
	bodyEnded  = "end"    // it was read to its end
	bodyFailed = "error"  // it broke off
	bodyClosed = "closed" // the plugin had enough
	bodyOfCall = "call"   // it was open when the call ended
)

// keep numbers a body that fill has started.
func (c *Call) keep(op string, b *body) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, errEnded(op)
	}
	c.numbered++
	c.bodies[c.numbered] = b
	return c.numbered, nil
}

// drop ends a numbered body and audits its end, once, with an *abi.Error where
// it broke off.
func (c *Call) drop(n uint32, b *body, how string, err error) {
	c.mu.Lock()
	_, open := c.bodies[n]
	delete(c.bodies, n)
	c.mu.Unlock()
	if !open {
		return
	}
	b.cancel()
	detail := maps.Clone(b.of)
	detail["body"], detail["bytes"], detail["ended"] = number(n), number(b.length()), how
	c.record(Record{Op: abi.OpHTTPClose, Detail: detail, Err: err, Phase: PhaseOutcome})
}
