package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/sallyport-dev/sallyport/abi"
	_ "github.com/sallyport-dev/sallyport/plugins/http"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

type args map[string]any

// web returns a host whose requests a handler answers.
func web(t *testing.T, handler http.HandlerFunc) *sdktest.Host {
	h := sdktest.New(t)
	h.HTTP = handler
	t.Cleanup(func() {
		if n := h.OpenBodies(); n > 0 {
			t.Errorf("%d bodies were left open", n)
		}
	})
	return h
}

// serve returns a host that answers everything with a type and a body.
func serve(t *testing.T, kind, body string) *sdktest.Host {
	return web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{kind}
		_, _ = io.WriteString(w, body)
	})
}

func result(t *testing.T, h *sdktest.Host, tool string, in args) sdk.Result {
	t.Helper()
	r, err := h.Call(tool, in)
	if err != nil {
		t.Fatalf("%s %v: %v", tool, in, err)
	}
	return r
}

func refused(t *testing.T, h *sdktest.Host, tool string, in args, code abi.Code) *abi.Error {
	t.Helper()
	_, err := h.Call(tool, in)
	e, ok := errors.AsType[*abi.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("%s %v answered with %v, want %v", tool, in, err, code)
	}
	return e
}

// texts returns a result's text blocks but the first, joined by a bar.
func texts(r sdk.Result) string {
	var list []string
	for _, c := range r.Content[1:] {
		if c.Type == abi.ContentText {
			list = append(list, c.Text)
		}
	}
	return strings.Join(list, "|")
}

const page = "https://a.example/page"

func TestFetchSendsWhatItIsTold(t *testing.T) {
	var got []string
	h := web(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, fmt.Sprintf("%s %s accept=%s type=%s %s", r.Method, r.URL, r.Header.Get("Accept"), r.Header.Get("Content-Type"), b))
	})
	for _, in := range []args{
		{"url": page},
		{"url": " " + page + "?q=1 ", "method": "post", "body": `{"a":1}`, "headers": args{"Accept": "text/x"}},
		{"url": page, "method": "PUT", "body": "plain"},
		{"url": page, "method": "PUT", "body": "[1]", "headers": args{"content-type": "text/mine"}},
	} {
		result(t, h, "fetch", in)
	}
	want := []string{
		"GET " + page + " accept= type= ",
		"POST " + page + `?q=1 accept=text/x type=application/json {"a":1}`,
		"PUT " + page + " accept= type=text/plain; charset=utf-8 plain",
		"PUT " + page + " accept= type=text/mine [1]",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("sent\n%s", strings.Join(got, "\n"))
	}
}

func TestFetchShowsTheHeadAndTheText(t *testing.T) {
	h := web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/page", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("X-Noise", "none")
		w.Header().Set("Link", strings.Repeat("l", 1000))
		fmt.Fprint(w, "<p>hello</p>")
	})
	r := result(t, h, "fetch", args{"url": "https://a.example/old"})
	want := "status: 200\nurl: https://a.example/page, redirected from https://a.example/old\ncontent-type: text/html; charset=utf-8\nlink: " + strings.Repeat("l", 500) + "…\netag: \"1\"\n"
	if r.IsError || r.Content[0].Text != want || texts(r) != "<p>hello</p>" || string(r.Meta["http/status"]) != "200" || r.StructuredContent != nil {
		t.Errorf("answered %+v", r)
	}
}

func TestFetchLeavesRedirectsToTheAgentWhereItAsks(t *testing.T) {
	h := web(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://b.example/", http.StatusFound)
	})
	h.RefuseHost("b.example", sdk.Errorf(abi.CodePermissionDenied, "no rule allows it"))
	r := result(t, h, "fetch", args{"url": page, "redirects": "manual"})
	if !strings.Contains(r.Content[0].Text, "status: 302\n") || !strings.Contains(r.Content[0].Text, "location: https://b.example/\n") {
		t.Errorf("answered %+v", r)
	}
	refused(t, h, "fetch", args{"url": page}, abi.CodePermissionDenied)
}

func TestARefusalNamesTheGrant(t *testing.T) {
	h := serve(t, "text/plain", "")
	reason := sdk.Errorf(abi.CodePermissionDenied, "no rule allows it").WithHint("ask the operator")
	reason.Grant = "http.allow: https://evil.example:443 GET"
	h.RefuseHost("evil.example", reason)
	for _, in := range []args{{"url": "https://evil.example/"}, {"url": "https://evil.example/", "to": "output/x"}} {
		if e := refused(t, h, "fetch", in, abi.CodePermissionDenied); e.Grant != reason.Grant || e.Hint != reason.Hint {
			t.Errorf("error is %+v", e)
		}
	}
	if h.Exists("/output/x") {
		t.Error("a file was made")
	}
}

func TestBadArgumentsAreNamedAsTheAgentKnowsThem(t *testing.T) {
	h := serve(t, "text/plain", "")
	tests := []struct {
		in    args
		field string
	}{
		{args{"url": "a.example"}, "/url"},
		{args{"url": ""}, "/url"},
		{args{"url": page, "timeout_seconds": 601}, "/timeout_seconds"},
		{args{"url": page, "redirects": "never"}, "/redirects"},
		{args{"url": page, "headers": []string{"a"}}, "/headers"},
	}
	for _, tt := range tests {
		if e := refused(t, h, "fetch", tt.in, abi.CodeInvalidArgument); e.Field != tt.field {
			t.Errorf("%v: %+v", tt.in, e)
		}
	}
	for hosts, agents := range map[string]string{"/header/3/name": "/headers", "/timeout_ms": "/timeout_seconds", "/redirect": "/redirects", "/method": "/method"} {
		reason := sdk.Errorf(abi.CodeInvalidArgument, "bad")
		reason.Field = hosts
		h.RefuseHost("bad.example", reason)
		if e := refused(t, h, "fetch", args{"url": "https://bad.example/"}, abi.CodeInvalidArgument); e.Field != agents {
			t.Errorf("%s: %+v", hosts, e)
		}
	}
}

func TestJSONIsStructured(t *testing.T) {
	tests := []struct {
		kind, body, structured string
	}{
		{"application/json", "{\"a\": [1]}\n", `{"a":[1]}`},
		{"application/problem+json; charset=utf-8", `{}`, `{}`},
		{"application/json", `[1]`, ""}, // not an object
		{"application/json", `{"a":`, ""},
		{"text/plain", `{}`, ""},
		{"application/json", `{"a":"` + strings.Repeat("x", 60_000) + `"}`, ""}, // cut
	}
	for _, tt := range tests {
		r := result(t, serve(t, tt.kind, tt.body), "fetch", args{"url": page})
		if string(r.StructuredContent) != tt.structured || !strings.HasPrefix(texts(r), tt.body[:min(len(tt.body), 100)]) {
			t.Errorf("%s %.50s: %.200q, structured %s", tt.kind, tt.body, texts(r), r.StructuredContent)
		}
	}
}

func TestTextComesInManyEncodings(t *testing.T) {
	wide := func(order string) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune("\ufeff图 ok")) {
			pair := []byte{byte(u >> 8), byte(u)}
			if order == "little" {
				pair[0], pair[1] = pair[1], pair[0]
			}
			b.Write(pair)
		}
		return b.String()
	}
	tests := []struct {
		name, kind, body, want string
	}{
		{"none said", "", "图", "图"},
		{"a mark", "text/plain", "\xef\xbb\xbf图", "图"},
		{"Windows", "text/html; charset=ISO-8859-1", "caf\xe9 \x93x\x94", "café “x”"},
		{"quoted", `text/html; boundary=x; Charset="Windows-1252"`, "\x80", "€"},
		{"a false claim", "text/html; charset=iso-8859-1", "café", "café"},
		{"not quite", "text/html; charset=utf-8", "a\xffb", "a\ufffdb"},
		{"wide", "text/plain", wide("little"), "图 ok"},
		{"wide, big end first", "text/plain", wide("big"), "图 ok"},
		{"wide as said", "text/plain; charset=utf-16be", "\x00a\x00b", "ab"},
		{"empty", "text/plain", "", "[the body is empty]"},
	}
	for _, tt := range tests {
		if got := texts(result(t, serve(t, tt.kind, tt.body), "fetch", args{"url": page})); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestLongTextIsCutAndSaysHowToGetTheRest(t *testing.T) {
	for _, body := range []string{strings.Repeat("x", 49_999) + "图" + strings.Repeat("y", 50_000), strings.Repeat("z", 3<<20)} {
		h := serve(t, "text/plain", body)
		r := result(t, h, "fetch", args{"url": page})
		text, note, _ := strings.Cut(texts(r), "|")
		if len(text) > 50_000 || len(text) < 49_999 || !strings.HasPrefix(body, text) {
			t.Errorf("%d bytes are shown", len(text))
		}
		if !strings.Contains(note, "cut here, after 50000 bytes") || !strings.Contains(note, "give to") || r.IsError {
			t.Errorf("the note is %q", note)
		}
	}
	h := web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "70000")

		fmt.Fprint(w, strings.Repeat("x", 70_000))
	})
	if got := texts(result(t, h, "fetch", args{"url": page})); !strings.Contains(got, "after 50000 of 70000 bytes") {
		t.Errorf("the note is %q", got[50_000:])
	}
	exact := strings.Repeat("x", 50_000)
	if got := texts(result(t, serve(t, "text/plain", exact), "fetch", args{"url": page})); got != exact {
		t.Errorf("%d bytes are shown of what just fits", len(got))
	}
}

func TestImagesAreShown(t *testing.T) {
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("\x00", 100_000)
	r := result(t, serve(t, "application/octet-stream", png), "fetch", args{"url": page})
	if len(r.Content) != 2 || r.Content[1].MIMEType != "image/png" || string(r.Content[1].Data) != png {
		t.Errorf("answered %.300v", r)
	}
	h := serve(t, "image/png", png+strings.Repeat("\x00", 4<<20))
	if got := texts(result(t, h, "fetch", args{"url": page})); !strings.Contains(got, "too large an image") || !strings.Contains(got, "http_download") {
		t.Errorf("answered %q", got)
	}
}

func TestWhatIsNotTextIsDescribed(t *testing.T) {
	tests := []struct {
		kind, body, want string
	}{
		{"application/pdf", "%PDF-1.7\x00", "[application/pdf: not text. Save it: give to"},
		{"", "\x00\x01", "[no type given: not text."},
		{"text/html; charset=gbk", "\xc4\xe3\xba\xc3", "[text/html: not text that can be shown here."},
		{"application/zip", strings.Repeat("\x00", 3<<20), "[application/zip: not text."},
	}
	for _, tt := range tests {
		if got := texts(result(t, serve(t, tt.kind, tt.body), "fetch", args{"url": page})); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.kind, got, tt.want)
		}
	}
}

func TestABadStatusIsAnErrorWithWhatTheServerSaid(t *testing.T) {
	h := web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(429)
		fmt.Fprint(w, `{"error":"slow down"}`)
	})
	r := result(t, h, "fetch", args{"url": page, "to": "output/x.json"})
	if !r.IsError || !strings.Contains(r.Content[0].Text, "retry-after: 30") || texts(r) != `{"error":"slow down"}|[nothing was saved to output/x.json: the status is 429]` {
		t.Errorf("answered %+v", r)
	}
	if h.Exists("/output/x.json") {
		t.Error("a file was made")
	}
}

func TestWhatBrokeOffIsShownAsFarAsItCame(t *testing.T) {
	h := web(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/nothing" {
			fmt.Fprint(w, "half")
		}
		panic(http.ErrAbortHandler)
	})
	r := result(t, h, "fetch", args{"url": page})
	if !r.IsError || !strings.HasPrefix(texts(r), "half|[the answer broke off here, after 4 bytes: unavailable: ") {
		t.Errorf("answered %q", texts(r))
	}
	if e := refused(t, h, "fetch", args{"url": "https://a.example/nothing"}, abi.CodeUnavailable); !e.Retryable {
		t.Errorf("error is %+v", e)
	}
}

func TestTheToolsTellAnAgentWhatIsRefused(t *testing.T) {
	h := sdktest.New(t)
	for tool, words := range map[string][]string{
		"fetch":    {"operator", "redirect is decided", "private addresses", "grant", "never ask for them", "http_download"},
		"download": {"SHA-256", "redirects", "nothing is saved"},
	} {
		for _, word := range words {
			if d := h.Tool(tool).Description; !strings.Contains(d, word) {
				t.Errorf("the description of %s doesn't say %q", tool, word)
			}
		}
		if !json.Valid(h.Tool(tool).InputSchema) || h.Tool(tool).ReadOnly {
			t.Errorf("%s is described as %+v", tool, h.Tool(tool))
		}
	}
}
