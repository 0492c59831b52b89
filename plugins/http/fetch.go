package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
)

// Bounds of one answer.
const (
	maxText  = 50_000  // bytes of text
	maxShow  = 4 << 20 // bytes of an image that is shown
	maxValue = 500     // bytes of one header
)

func fetch(ctx sdk.Context, in fetchArgs) (sdk.Result, error) {
	var t *target
	if in.To != "" {
		var err error
		if t, err = prepare(ctx, in.To); err != nil {
			return sdk.Result{}, err
		}
	}
	resp, err := send(ctx, in.request())
	if err != nil {
		return sdk.Result{}, err
	}
	defer resp.Body.Close()
	if t != nil && succeeded(resp.Status) {
		return t.save(ctx, resp)
	}
	r, err := show(resp)
	if t != nil && err == nil {
		r.Content = append(r.Content, sdk.Text(fmt.Sprintf("[nothing was saved to %s: the status is %d]", t, resp.Status)))
	}
	return r, err
}

func download(ctx sdk.Context, in downloadArgs) (sdk.Result, error) {
	return fetch(ctx, fetchArgs{URL: in.URL, Method: "GET", Headers: in.Headers, Redirects: "follow", Timeout: in.Timeout, To: in.To})
}

// show makes an answer readable: its head, then as much of its body as an agent
// can take.
func show(resp *http.Response) (sdk.Result, error) {
	r := sdk.ResultOf(sdk.Text(head(resp)))
	r.IsError = resp.Status >= 400
	r.Meta = map[string]json.RawMessage{"http/status": meta(resp.Status), "http/url": meta(resp.URL)}
	part, err := readUpTo(resp.Body, maxText)
	if err != nil && len(part) == 0 {
		return sdk.Result{}, err
	}
	kind, charset := mediaType(resp.Header.Get("Content-Type"))
	if image := imageType(part); image != "" {
		rest, restErr := readUpTo(resp.Body, maxShow-maxText)
		if err == nil {
			err = restErr
		}
		if err != nil {
			return sdk.Result{}, err
		}
		if part = append(part, rest...); len(part) <= maxShow {
			r.Content = append(r.Content, sdk.Image(image, part))
			return r, nil
		}
		kind = image
	} else if text, ok := decode(part[:min(len(part), maxText)], charset); ok {
		return withText(r, resp, kind, text, part, err), nil
	}
	if kind == "" {
		kind = "no type given"
	}
	size := ""
	if resp.Length >= 0 {
		size = fmt.Sprintf(", %d bytes", resp.Length)
	}
	why := "not text"
	if charset != "" {
		why = "not text that can be shown here"
	} else if imageType(part) != "" {
		why = "too large an image to be shown"
	}
	r.Content = append(r.Content, sdk.Text(fmt.Sprintf(
		"[%s%s: %s. Save it: give to, such as output/answer, or use http_download; then read it with Python]", kind, size, why)))
	return r, nil
}

// withText adds the text of a body, of which part was read, and a note where
// that isn't all.
func withText(r sdk.Result, resp *http.Response, kind, text string, part []byte, broken error) sdk.Result {
	if len(part) == 0 {
		r.Content = append(r.Content, sdk.Text("[the body is empty]"))
		return r
	}
	r.Content = append(r.Content, sdk.Text(text))
	switch {
	case broken != nil:
		r.IsError = true
		r.Content = append(r.Content, sdk.Text(fmt.Sprintf("[the answer broke off here, after %d bytes: %v]", len(part), broken)))
	case len(part) > maxText:
		of := ""
		if resp.Length >= 0 {
			of = fmt.Sprintf(" of %d", resp.Length)
		}
		r.Content = append(r.Content, sdk.Text(fmt.Sprintf(
			"[cut here, after %d%s bytes: to get all of it give to, such as output/answer.txt, and read that file in pieces]", maxText, of)))
	case strings.HasSuffix(kind, "json"):
		if raw := bytes.TrimSpace([]byte(text)); bytes.HasPrefix(raw, []byte("{")) && json.Valid(raw) {
			r.StructuredContent = raw
		}
	}
	return r
}

// readUpTo reads at most most bytes and one more, which tells that there is
// more.
func readUpTo(r io.Reader, most int) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, int64(most)+1))
}

// told are the headers that an agent may act on.
var told = []string{
	"Content-Type", "Content-Length", "Content-Range", "Content-Disposition", "Location", "Link", "Last-Modified", "ETag",
	"Retry-After", "WWW-Authenticate", "Allow", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Remaining", "X-RateLimit-Reset",
}

// head returns what comes before the body.
func head(resp *http.Response) string {
	var b strings.Builder
	fmt.Fprintf(&b, "status: %d\n", resp.Status)
	if len(resp.Redirects) > 0 {
		fmt.Fprintf(&b, "url: %s, redirected from %s\n", resp.URL, strings.Join(resp.Redirects, " and "))
	}
	for _, name := range told {
		for _, value := range resp.Header.Values(name) {
			if len(value) > maxValue {
				value = strings.ToValidUTF8(value[:maxValue], "") + "…"
			}
			fmt.Fprintf(&b, "%s: %s\n", strings.ToLower(name), value)
		}
	}
	return b.String()
}

// meta writes a string or a number.
func meta[T string | int | int64](v T) json.RawMessage {
	b, _ := json.Marshal(v) // can't fail
	return b
}
