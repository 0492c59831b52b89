package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A client speaks to the host with one token.
type client struct{ base, token string }

// A problem is an error as the host words it (RFC 9457).
type problem struct {
	Status int
	Code   string
	Detail string
	Hint   string
	Grant  string
	Limit  string
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// do sends a request and returns the answer's body; a status of 400 and over
// is a *problem.
func (c *client) do(ctx context.Context, method, path, accept string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	p := &problem{}
	if err := json.NewDecoder(resp.Body).Decode(p); err != nil {
		return nil, fmt.Errorf("%s %s: status %d, and no problem document: %w", method, path, resp.StatusCode, err)
	}
	return nil, p
}

// bytes sends a request and reads the whole answer.
func (c *client) bytes(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	resp, err := c.do(ctx, method, path, "*/*", body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// json sends a request and decodes the answer into v, if it isn't nil.
func (c *client) json(ctx context.Context, method, path string, body, v any) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return err
		}
	}
	got, err := c.bytes(ctx, method, path, sent)
	if err != nil || v == nil {
		return err
	}
	return json.Unmarshal(got, v)
}

// A result is a tool's, in MCP's shape.
type result struct {
	Content []struct {
		Type, Text, URI, MIMEType string
		Data                      []byte
	}
	IsError bool
	Meta    map[string]json.RawMessage `json:"_meta"`
}

// text joins the result's text blocks.
func (r *result) text() string {
	var b strings.Builder
	for _, c := range r.Content {
		b.WriteString(c.Text)
	}
	return b.String()
}

type args map[string]any

// call runs a tool and waits for its result.
func (c *client) call(ctx context.Context, session, tool string, a args) (*result, error) {
	var r result
	err := c.json(ctx, http.MethodPost, "/v1/sessions/"+session+"/tools/"+tool, a, &r)
	return &r, err
}

// An event is one of a streamed call's.
type event struct {
	Seq    int
	Type   string
	Output *struct{ Type, Name, Text string }
	Result *result
	Error  *problem
}

// stream runs a tool and hands each event to see as it comes; it returns the
// result, which is the last event.
func (c *client) stream(ctx context.Context, session, tool string, a args, see func(event) error) (*result, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/sessions/"+session+"/tools/"+tool, "text/event-stream", body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return nil, err
		}
		switch {
		case e.Result != nil:
			return e.Result, nil
		case e.Error != nil:
			return nil, e.Error
		}
		if err := see(e); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the stream ended without a result: %w", lines.Err())
}
