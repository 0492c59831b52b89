package fetch_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

// redirecting answers /to/<status>?<url> with a redirect, and everything else
// with "here".
func redirecting(w http.ResponseWriter, r *http.Request) {
	status, ok := strings.CutPrefix(r.URL.Path, "/to/")
	if !ok {
		fmt.Fprint(w, "here")
		return
	}
	n, _ := strconv.Atoi(status)
	w.Header().Set("Location", strings.Replace(r.URL.RawQuery, "LONG", strings.Repeat("x", abi.MaxURLBytes), 1))
	w.WriteHeader(n)
}

func TestRedirectsAreFollowed(t *testing.T) {
	s := newStage(t, redirecting)
	second := s.at("https://a.test/to/301?/x")
	first := s.at("https://a.test/to/302") + "?" + second
	head, body, err := s.fetch(abi.HTTPFetchRequest{URL: first}, "")
	if err != nil {
		t.Fatal(err)
	}
	if head.URL != s.at("https://a.test/x") || body != "here" || fmt.Sprint(head.Redirects) != fmt.Sprint([]string{first, second}) {
		t.Errorf("%+v with %q", head, body)
	}
	if n := len(s.decided); n != 3 {
		t.Errorf("the gate decided %d times: %v", n, s.decided)
	}
}

func TestRedirectsCanBeLeftToThePlugin(t *testing.T) {
	s := newStage(t, redirecting)
	head, _, err := s.fetch(abi.HTTPFetchRequest{URL: s.at("https://a.test/to/307?https://refused.example/"), Redirect: abi.RedirectManual}, "")
	if err != nil || head.Status != 307 || value(head, "Location") != "https://refused.example/" || head.Redirects != nil {
		t.Errorf("%+v, %v", head, err)
	}
}

func TestARedirectChangesTheMethodAsBrowsersDo(t *testing.T) {
	s := newStage(t, redirecting)
	tests := []struct {
		status      int
		method      string
		wantMethod  string
		wantPayload bool
	}{
		{301, "POST", "GET", false},
		{302, "POST", "GET", false},
		{303, "POST", "GET", false},
		{303, "DELETE", "GET", false},
		{303, "HEAD", "HEAD", true},
		{307, "POST", "POST", true},
		{308, "PUT", "PUT", true},
		{301, "GET", "GET", true},
	}
	for _, tt := range tests {
		payload := ""
		if tt.method != "HEAD" && tt.method != "GET" {
			payload = "payload"
		}
		_, _, err := s.fetch(abi.HTTPFetchRequest{
			Method: tt.method, URL: s.at(fmt.Sprintf("https://a.test/to/%d?/x", tt.status)),
			Header: []abi.HTTPHeader{{Name: "Content-Type", Value: "text/x"}, {Name: "X-Mine", Value: "1"}},
		}, payload)
		if err != nil {
			t.Errorf("%d %s: %v", tt.status, tt.method, err)
			continue
		}
		r, sent := s.last()
		if r.Method != tt.wantMethod || (sent == payload) != (tt.wantPayload || payload == "") || (r.Header.Get("Content-Type") != "") != tt.wantPayload || r.Header.Get("X-Mine") != "1" {
			t.Errorf("%d %s: sent %s %q %v", tt.status, tt.method, r.Method, sent, r.Header)
		}
	}
}

func TestARedirectIsDecidedLikeARequest(t *testing.T) {
	s := newStage(t, redirecting)
	s.scope.Allow = s.rules()
	s.scope.Allow[0].Hosts = []string{"a.test"}
	tests := []struct {
		to    string
		code  abi.Code
		grant string
	}{
		{"https://b.test/", abi.CodePermissionDenied, "http.allow: https://b.test:443 GET"},
		{"http://169.254.169.254/latest/meta-data", abi.CodePermissionDenied, "http.allow: http://169.254.169.254:80 GET"},
		{"http://127.0.0.1:1/", abi.CodePermissionDenied, "http.allow: http://127.0.0.1:1 GET"},
		{"file:///etc/passwd", abi.CodeUnavailable, ""},
		{"http://2130706433/", abi.CodeUnavailable, ""},
		{"https://a.test@b.test/", abi.CodeUnavailable, ""},
		{"https://%zz/", abi.CodeUnavailable, ""},
		{"/LONG", abi.CodeUnavailable, ""},
	}
	for _, tt := range tests {
		e := s.refused(abi.HTTPFetchRequest{URL: s.at("https://a.test/to/302") + "?" + tt.to}, tt.code)
		if e.Grant != tt.grant || !strings.Contains(e.Message, "redirect") {
			t.Errorf("%.80s: %+v", tt.to, e)
		}
	}
	if r, _ := s.last(); r.URL.Path != "/to/302" {
		t.Errorf("the last request was for %s", r.URL)
	}
}

func TestRedirectsAreBounded(t *testing.T) {
	s := newStage(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.RawQuery)
		if n == 0 {
			fmt.Fprint(w, "here")
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/?%d", n-1), http.StatusFound)
	})
	if head, body := s.get(fmt.Sprintf("https://a.test/?%d", abi.MaxRedirects)); body != "here" || len(head.Redirects) != abi.MaxRedirects {
		t.Errorf("%+v", head)
	}
	before := s.came()
	s.refused(abi.HTTPFetchRequest{URL: s.at(fmt.Sprintf("https://a.test/?%d", abi.MaxRedirects+1))}, abi.CodeResourceExhausted)
	if n := s.came() - before; n != abi.MaxRedirects+1 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestCredentialsStayAtTheirOrigin(t *testing.T) {
	s := newStage(t, redirecting)
	s.scope.Secrets = []abi.HTTPSecret{{Name: "key", Header: "X-Api-Key", Hosts: []string{"elsewhere.test"}}}
	tests := []struct {
		from, to string
		kept     bool
	}{
		{"https://a.test", "https://a.test", true},
		{"https://a.test", "https://b.test", false},
		{"https://a.test", "https://sub.a.test", false},
		{"https://a.test", "http://a.test", false},
		{"http://a.test", "https://a.test", false},
	}
	for _, tt := range tests {
		_, _, err := s.fetch(abi.HTTPFetchRequest{URL: s.at(tt.from+"/to/302") + "?" + s.at(tt.to+"/x"), Header: []abi.HTTPHeader{
			{Name: "Authorization", Value: "mine"}, {Name: "Cookie", Value: "a=b"}, {Name: "X-Api-Key", Value: "my own"}, {Name: "Accept", Value: "text/x"},
		}}, "")
		if err != nil {
			t.Errorf("%s to %s: %v", tt.from, tt.to, err)
			continue
		}
		r, _ := s.last()
		for _, name := range []string{"Authorization", "Cookie", "X-Api-Key"} {
			if got := r.Header.Get(name) != ""; got != tt.kept {
				t.Errorf("%s to %s: %s was sent: %v", tt.from, tt.to, name, got)
			}
		}
		if r.Header.Get("Accept") != "text/x" || r.Header.Get("Referer") != "" {
			t.Errorf("%s to %s: sent %v", tt.from, tt.to, r.Header)
		}
	}
}
