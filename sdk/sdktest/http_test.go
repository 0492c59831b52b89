package sdktest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	web "github.com/sallyport-dev/sallyport/sdk/http"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

func TestMain(m *testing.M) {
	sdk.Tool("nothing", "Does nothing.", func(sdk.Context, struct{}) (string, error) { return "", nil })
	m.Run()
}

func TestARedirectCarriesWhatTheRealOneDoes(t *testing.T) {
	var got http.Header
	h := sdktest.New(t)
	h.HTTP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Location", to)
			w.WriteHeader(map[string]int{"/303": 303, "/307": 307}[r.URL.Path])
			return
		}
		got = r.Header
	})
	for _, tt := range []struct{ path, to, want string }{
		{"/303", "/x", "Authorization Cookie X-Mine"},
		{"/303", "https://a.example:443/x", "Authorization Cookie X-Mine"},
		{"/303", "https://b.example/x", "X-Mine"},
		{"/307", "/x", "Authorization Content-Type Cookie X-Mine"},
		{"/307", "http://a.example/x", "Content-Type X-Mine"},
		{"/307", "https://a.example:8443/x", "Content-Type X-Mine"},
	} {
		r := web.Request{Method: "POST", URL: "https://A.example" + tt.path + "?to=" + tt.to, Body: []byte("x")}
		for _, name := range []string{"authorization", "Cookie", "Content-Type", "X-Mine"} {
			r.Header = append(r.Header, abi.HTTPHeader{Name: name, Value: "y"})
		}
		resp, err := web.Do(h.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		var names []string
		for _, name := range []string{"Authorization", "Content-Type", "Cookie", "X-Mine"} {
			if got.Get(name) != "" {
				names = append(names, name)
			}
		}
		if sent := strings.Join(names, " "); sent != tt.want {
			t.Errorf("%s to %s: sent %s, want %s", tt.path, tt.to, sent, tt.want)
		}
	}
}

func TestOpenBodiesAreBounded(t *testing.T) {
	h := sdktest.New(t)
	asked := 0
	h.HTTP = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write(make([]byte, abi.MaxHTTPFirst+1))
	})
	ctx := h.Context()
	var last *web.Response
	for range abi.MaxHTTPBodies {
		resp, err := web.Get(ctx, "https://a.example/")
		if err != nil {
			t.Fatal(err)
		}
		last = resp
	}
	if _, err := web.Get(ctx, "https://a.example/"); abi.CodeOf(err) != abi.CodeResourceExhausted || asked != abi.MaxHTTPBodies {
		t.Errorf("one more: %v, after %d requests", err, asked)
	}
	_ = last.Body.Close()
	if _, err := web.Get(ctx, "https://a.example/"); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
}
