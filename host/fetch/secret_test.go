package fetch_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/fetch"
)

const token = "tok/en+with=odd chars&0123456789"

// vault grants one secret, for hosts.
func vault(s *stage, hosts ...string) {
	s.scope.Secrets = []abi.HTTPSecret{{Name: "token", Header: "authorization", Prefix: "Bearer ", Hosts: hosts}}
	s.secrets = map[string]string{"token": token}
}

// clean fails the test when a plugin could see the secret, or a decision has it.
func (s *stage) clean(seen ...any) {
	s.t.Helper()
	for _, v := range append(seen, strings.Join(s.decided, " ")) {
		text := fmt.Sprintf("%+v", v)
		if b, err := json.Marshal(v); err == nil {
			text += string(b)
		}
		for _, form := range []string{token, url.QueryEscape(token), url.PathEscape(token)} {
			if strings.Contains(text, form) {
				s.t.Errorf("the secret is in %s", text)
			}
		}
	}
}

func TestASecretIsAddedForItsHosts(t *testing.T) {
	s := newStage(t, hello)
	vault(s, "a.test", "*.a.test")
	tests := []struct {
		url, want string
	}{
		{"https://a.test/", "Bearer " + token},
		{"https://A.TEST/", "Bearer " + token},
		{"https://sub.a.test/", "Bearer " + token},
		{"https://b.test/", "my own"},
		{"http://a.test/", "my own"}, // nobody else on the way may read it
		{"http://sub.a.test/", "my own"},
	}
	for _, tt := range tests {
		head, body := s.get(tt.url, abi.HTTPHeader{Name: "AUTHORIZATION", Value: "my own"})
		r, _ := s.last()
		if got := r.Header["Authorization"]; len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: sent %q, want %q", tt.url, got, tt.want)
		}
		s.clean(head, body)
	}
}

func TestOfTwoSecretsForAHeaderTheFirstCounts(t *testing.T) {
	s := newStage(t, hello)
	s.secrets = map[string]string{"one": "11111111", "two": "22222222", "three": "33333333"}
	s.scope.Secrets = []abi.HTTPSecret{
		{Name: "one", Header: "X-Key", Hosts: []string{"b.test"}},
		{Name: "two", Header: "X-Key", Hosts: []string{abi.AnyHost}},
		{Name: "three", Header: "x-key", Hosts: []string{"a.test"}},
		{Name: "three", Header: "X-Other", Hosts: []string{"a.test"}},
	}
	s.get("https://a.test/")
	if r, _ := s.last(); r.Header.Get("X-Key") != "22222222" || r.Header.Get("X-Other") != "33333333" {
		t.Errorf("sent %v", r.Header)
	}
}

func TestARedirectNeverCarriesASecretElsewhere(t *testing.T) {
	tests := []struct {
		from, to string
		want     string
	}{
		{"https://a.test", "https://a.test", "Bearer " + token},
		{"https://a.test", "https://b.test", ""},
		{"https://a.test", "https://sub.a.test", ""},
		{"https://a.test", "http://a.test", ""},
		{"https://b.test", "https://a.test", "Bearer " + token}, // it is that hop's
		{"http://a.test", "https://a.test", "Bearer " + token},
	}
	for _, status := range []int{301, 307} {
		for _, tt := range tests {
			s := newStage(t, redirecting)
			vault(s, "a.test")
			head, body, err := s.fetch(abi.HTTPFetchRequest{Method: "POST", URL: s.at(fmt.Sprintf("%s/to/%d", tt.from, status)) + "?" + s.at(tt.to+"/x")}, "p")
			if err != nil {
				t.Fatal(err)
			}
			r, _ := s.last()
			if got := r.Header.Get("Authorization"); r.URL.Path != "/x" || got != tt.want {
				t.Errorf("%d from %s to %s: sent %q, want %q", status, tt.from, tt.to, got, tt.want)
			}
			s.clean(head, body)
		}
	}
}

func TestASecretThatIsRepeatedIsStars(t *testing.T) {
	stars := strings.Repeat("*", len(token))
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		got := r.Header.Get("Authorization")
		w.Header().Set("X-Echo", got)
		w.Header().Set("X-"+strings.Repeat("x", 3), "none")
		w.Header().Set("X-Url", "https://b.test/?t="+url.QueryEscape(strings.TrimPrefix(got, "Bearer ")))
		switch r.URL.Path {
		case "/split": // each byte comes by itself
			w.WriteHeader(200)
			for i := range len(got) {
				fmt.Fprint(w, got[i:i+1])
				w.(http.Flusher).Flush()
			}
			fmt.Fprint(w, " and tok/en and ", token[:20])
		case "/json":
			fmt.Fprintf(w, `{"t":"%s"}`, strings.ReplaceAll(strings.TrimPrefix(got, "Bearer "), "&", `\u0026`))
		case "/html":
			fmt.Fprint(w, "<i>", html.EscapeString(strings.TrimPrefix(got, "Bearer ")), "</i>")
		case "/long":
			fmt.Fprint(w, strings.Repeat(got+", ", 50_000))
		case "/zip":
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			_, _ = io.WriteString(zip, got)
			_ = zip.Close()
		case "/announced":
			w.Header().Set("Content-Length", fmt.Sprint(len(got)))
			fmt.Fprint(w, got)
		}
	})
	vault(s, "a.test")
	tests := map[string]string{
		"/split":     "Bearer " + stars + " and tok/en and " + strings.Repeat("*", 20), // it may be the beginning of one that was cut
		"/json":      `{"t":"` + strings.Repeat("*", len(token)+5) + `"}`,
		"/html":      "<i>" + strings.Repeat("*", len(token)+4) + "</i>",
		"/long":      strings.Repeat("Bearer "+stars+", ", 50_000),
		"/zip":       "Bearer " + stars,
		"/announced": "Bearer " + stars,
		"/nothing":   "",
	}
	for path, want := range tests {
		head, body := s.get("https://a.test" + path)
		if body != want {
			t.Errorf("%s: the body is %.200q, want %.200q", path, body, want)
		}
		if value(head, "X-Echo") != "Bearer "+stars {
			t.Errorf("%s: the header is %q", path, value(head, "X-Echo"))
		}
		s.clean(head, body)
	}
	// What nobody was sent is anybody's to say.
	if head, _ := s.get("https://b.test/announced", abi.HTTPHeader{Name: "Authorization", Value: "abc"}); value(head, "X-Echo") != "abc" {
		t.Errorf("%+v", head)
	}
}

func TestAPartOfAResponseIsNotAskedForWithASecret(t *testing.T) {
	s := newStage(t, hello)
	vault(s, "a.test")
	for _, name := range []string{"Range", "if-range"} {
		s.refused(abi.HTTPFetchRequest{URL: "https://a.test/", Header: []abi.HTTPHeader{{Name: name, Value: "bytes=1-"}}}, abi.CodeInvalidArgument)
	}
	if s.came() != 0 {
		t.Error("a request was sent")
	}
	s.get("https://b.test/", abi.HTTPHeader{Name: "Range", Value: "bytes=1-"}) // nothing is added there
}

func TestAnAnswerIsNotMaskedByChance(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Forwarded", r.Header.Get("Authorization"))
		fmt.Fprint(w, "a bad banana")
	})
	vault(s, "a.test")
	s.secrets["token"] = "X-Forwarded" // the name stays
	head, body := s.get("https://a.test/")
	if body != "a bad banana" || value(head, "X-Forwarded") != "Bearer ***********" {
		t.Errorf("the body is %q, the headers %+v", body, head.Header)
	}
	s.secrets["token"] = strings.Repeat("*", fetch.MinSecretBytes) // what it is masked with
	if _, body := s.get("https://a.test/"); body != "a bad banana" {
		t.Errorf("the body is %q", body)
	}
}

func TestARedirectThatHoldsASecretIsNotFollowed(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		value := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		to := map[string]string{
			"/query": "https://b.test/?t=" + url.QueryEscape(value),
			"/path":  "https://b.test/" + url.PathEscape(value) + "/x",
			"/raw":   "https://b.test/#" + value,
			"/every": "https://b.test/?t=" + everyByte(value),
		}[r.URL.Path]
		w.Header().Set("Location", to)
		w.WriteHeader(302)
	})
	vault(s, "a.test")
	for _, path := range []string{"/query", "/path", "/raw", "/every"} {
		e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test" + path)}, abi.CodePermissionDenied)
		if !strings.Contains(e.Message, "secret") {
			t.Errorf("%s: %v", path, e)
		}
		s.clean(e, e.Error())
	}
	if r, _ := s.last(); r.Host != "a.test:"+s.tls {
		t.Errorf("a request went to %s", r.Host)
	}
	head, _, err := s.fetch(abi.HTTPFetchRequest{URL: s.at("https://a.test/query"), Redirect: abi.RedirectManual}, "")
	if err != nil {
		t.Fatal(err)
	}
	s.clean(head)
}

// everyByte percent-encodes all of s.
func everyByte(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

func TestASecretThatCannotBeReadStopsTheRequest(t *testing.T) {
	s := newStage(t, hello)
	ours := abi.Errorf(abi.CodeUnavailable, "the secret token is shut away").WithHint("open the vault for token").WithCause(errors.New("/etc/vault"))
	tests := []struct {
		name          string
		values        map[string]string
		err           error
		message, hint string
	}{
		{"unknown", nil, errors.New("the vault is shut"), "the secret token can't be read, so", "set the secret token"},
		{"unknown, with a reason", nil, ours, "the secret token is shut away, so", "open the vault for token"},
		{"empty", map[string]string{"token": ""}, nil, "the secret token is empty, so", "set the secret token"},
		{"too short", map[string]string{"token": "1234567"}, nil, "the secret token has 7 bytes, and 8 are the least, so", "set the secret token"},
		{"two lines", map[string]string{"token": "abcdef\r\nX: y"}, nil, "the secret token has characters", "set the secret token"},
		{"an end of line", map[string]string{"token": "abcdefgh\n"}, nil, "the secret token has characters", "set the secret token"},
	}
	for _, tt := range tests {
		vault(s, "a.test")
		s.secrets, s.noSecret = tt.values, tt.err
		e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test/")}, abi.CodeUnavailable)
		if !strings.HasPrefix(e.Message, tt.message) || !strings.HasSuffix(e.Message, "so the request wasn't sent") || !strings.Contains(e.Hint, tt.hint) ||
			strings.Contains(e.Message, "vault") || e.Retryable || tt.err != nil && !errors.Is(e, tt.err) {
			t.Errorf("%s: %+v", tt.name, e)
		}
	}
	if n := s.came(); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
	s.get("https://b.test/") // needs none
}

func TestWhatAServerSaysWithASecretIsNotInErrors(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		conn, out, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(out, "%s\r\n\r\n", r.Header.Get("Authorization")) // no response
		_ = out.Flush()
	})
	vault(s, "a.test")
	s.secrets["token"] = "0123456789abcdef"
	e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test/")}, abi.CodeUnavailable)
	if text := fmt.Sprintf("%+v %v %v", e, e, e.Unwrap()); strings.Contains(text, s.secrets["token"]) || !strings.Contains(text, "********") {
		t.Errorf("error is %s", text)
	}
}
