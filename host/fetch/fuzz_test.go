package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

// A seed is a request: its method, URL path, one header, and what the server
// answers it with, in parts of some bytes.
type seed struct {
	method, path, name, value string
	answer                    []byte
	part                      uint8
}

func seeds() []seed {
	return []seed{
		{"GET", "/", "Accept", "text/html", []byte("hello"), 1},
		{"POST", "/a?b=c#d", "X-Twice", "1, 2", []byte("Bearer " + token + token), 7},
		{"GET", "//", "Host", "b.test", []byte(token[:10] + token), 3},
		{"PUT", "/%00", "content-length", "5", nil, 0},
		{"GET", "/\r\nHost: b.test", "X", "y\r\nHost: b.test", []byte(token[5:]), 2},
		{"GET /", "/%2e%2e/", "Proxy-X", "y", []byte{0xff, 0}, 255},
		{"get", "/../x", "Authorization", "Basic x", bytes.Repeat([]byte("t"), 5000), 9},
		{"DELETE", "/ü", "X:Y", "ü", []byte(strings.Repeat(token, 3)), 31},
	}
}

func TestFuzzTargetHasSeeds(t *testing.T) {
	if n := len(seeds()); n < 5 {
		t.Errorf("there are %d seeds", n)
	}
}

// FuzzFetch holds that whatever a plugin asks for gets a response or a code,
// that its headers stay one each and the host's own the host's, and that a
// secret which a server repeats is never seen.
func FuzzFetch(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s.method, s.path, s.name, s.value, s.answer, s.part)
	}
	f.Fuzz(func(t *testing.T, method, path, name, value string, answer []byte, part uint8) {
		s := newStage(t, func(w http.ResponseWriter, _ *http.Request) {
			for chunk := range slices.Chunk(answer, int(part)+1) {
				_, _ = w.Write(chunk)
				w.(http.Flusher).Flush()
			}
		})
		vault(s, "a.test")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		head, body, err := s.client().Fetch(ctx, abi.HTTPFetchRequest{
			Method: method, URL: s.at("https://a.test/") + strings.TrimPrefix(path, "/"),
			Header: []abi.HTTPHeader{{Name: name, Value: value}},
		}, nil)
		if err != nil {
			if e, ok := errors.AsType[*abi.Error](err); !ok || e.Code >= 0 || e.Code == abi.CodeInternal {
				t.Fatalf("the error is %#v", err)
			}
			return
		}
		defer body.Close()
		got, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if head.Status != http.StatusOK {
			return // the server's own opinion of the request
		}
		if r, _ := s.last(); r.Host != "a.test:"+s.tls || r.ContentLength > 0 || len(r.Header) > 5 || r.Header.Get("Authorization") != "Bearer "+token {
			t.Fatalf("sent %s %s with %v", r.Method, r.Host, r.Header)
		}
		want := bytes.ReplaceAll(answer, []byte(token), bytes.Repeat([]byte("*"), len(token)))
		if method == http.MethodHead {
			want = nil
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		s.clean(string(got))
	})
}
