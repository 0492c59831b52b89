package main

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
)

type fetchArgs struct {
	URL       string            `json:"url" doc:"where to, such as https://example.com/page" minLength:"1"`
	Method    string            `json:"method" doc:"GET, POST, PUT, PATCH, DELETE, HEAD or another" default:"GET" minLength:"1" maxLength:"32"`
	Headers   map[string]string `json:"headers,omitempty" doc:"headers to send, such as {\"Accept\": \"application/json\"}; Host, Content-Length, Accept-Encoding and those of the connection are the host's to write"`
	Body      string            `json:"body,omitempty" doc:"what to send, such as JSON; without a Content-Type in headers it is sent as application/json where it is JSON, else as text"`
	Redirects string            `json:"redirects" doc:"follow them, or leave them to you (manual): then the answer is the redirect with its location" enum:"follow,manual" default:"follow"`
	Timeout   float64           `json:"timeout_seconds,omitempty" doc:"give up after this many seconds; without it, after the longest time that the operator allows" minimum:"0.1" maximum:"600"`
	To        string            `json:"to,omitempty" doc:"save the answer to this file of the workspace, such as output/page.html, rather than show it"`
}

type downloadArgs struct {
	URL     string            `json:"url" doc:"where the file is, such as https://example.com/data.csv" minLength:"1"`
	To      string            `json:"to" doc:"the file to save it to, such as output/data.csv; folders are made as needed" minLength:"1"`
	Headers map[string]string `json:"headers,omitempty" doc:"headers to send, as in http_fetch"`
	Timeout float64           `json:"timeout_seconds,omitempty" doc:"give up after this many seconds; without it, after the longest time that the operator allows" minimum:"0.1" maximum:"600"`
}

// request returns what is sent.
func (in fetchArgs) request() http.Request {
	r := http.Request{
		Method:   strings.ToUpper(strings.TrimSpace(in.Method)),
		URL:      strings.TrimSpace(in.URL),
		Body:     []byte(in.Body),
		Redirect: in.Redirects,
		Timeout:  time.Duration(in.Timeout * float64(time.Second)),
	}
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		r.Header = append(r.Header, abi.HTTPHeader{Name: name, Value: in.Headers[name]})
	}
	if in.Body != "" && r.Header.Get("Content-Type") == "" {
		typ := "text/plain; charset=utf-8"
		if json.Valid(r.Body) {
			typ = "application/json"
		}
		r.Header = append(r.Header, abi.HTTPHeader{Name: "Content-Type", Value: typ})
	}
	return r
}

// send sends a request. What is wrong with it is told of the tool's argument.
func send(ctx sdk.Context, r http.Request) (*http.Response, error) {
	resp, err := http.Do(ctx, r)
	e, ok := errors.AsType[*abi.Error](err)
	if !ok || e.Field == "" {
		return resp, err
	}
	told := *e
	switch field, _, _ := strings.Cut(strings.TrimPrefix(e.Field, "/"), "/"); field {
	case "header":
		told.Field = "/headers"
	case "timeout_ms":
		told.Field = "/timeout_seconds"
	case "redirect":
		told.Field = "/redirects"
	}
	return nil, &told
}

// succeeded says whether a status is that of a file, not of a page about it.
func succeeded(status int) bool { return 200 <= status && status < 300 }
