package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

// left lists what is in a folder of the workspace, "" for an empty one.
func left(t *testing.T, h *sdktest.Host, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(h.Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

// data is a handler that sends so many bytes, their length announced.
func data(n int) (http.HandlerFunc, []byte) {
	b := bytes.Repeat([]byte("sallyport "), n/10+1)[:n]
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-data; v=1")
		w.Header().Set("Content-Length", fmt.Sprint(n))
		_, _ = w.Write(b)
	}, b
}

func TestDownloadSavesAllOfAFile(t *testing.T) {
	handler, want := data(5_000_001)
	digest := sha256.Sum256(want)
	for _, to := range []string{"output/a/b/data.bin", "/deploy/data.bin", "store/a/data.bin"} {
		h := web(t, handler)
		r := result(t, h, "download", args{"url": page, "to": to})
		name := "/" + strings.TrimPrefix(to, "/")
		if !bytes.Equal(h.Read(name), want) {
			t.Errorf("%s has other bytes", to)
		}
		text := fmt.Sprintf("saved %s: 5000001 bytes, sha256 %s, sent as application/x-data", name[1:], hex.EncodeToString(digest[:]))
		link := r.Content[1]
		if r.IsError || r.Content[0].Text != text || link.URI != "workspace:"+name || link.Size != 5_000_001 || link.MIMEType != "application/x-data" {
			t.Errorf("answered %+v", r)
		}
		if got := string(r.Meta["http/sha256"]); got != `"`+hex.EncodeToString(digest[:])+`"` {
			t.Errorf("the digest is %s", got)
		}
		if got := left(t, h, name[:strings.LastIndex(name, "/")]); got != "data.bin" {
			t.Errorf("the folder has %s", got)
		}
		if got := left(t, h, "/tmp"); got != "" {
			t.Errorf("/tmp has %s", got)
		}
	}
}

func TestFetchCanSaveWhatItGets(t *testing.T) {
	h := serve(t, "text/html", "<p>")
	r := result(t, h, "fetch", args{"url": page, "method": "POST", "body": "x", "to": "output/page.html"})
	if string(h.Read("/output/page.html")) != "<p>" || r.Content[1].MIMEType != "text/html" || !strings.HasPrefix(r.Content[0].Text, "saved output/page.html: 3 bytes, ") {
		t.Errorf("answered %+v", r)
	}
}

func TestDownloadTellsHowFarItIs(t *testing.T) {
	handler, _ := data(10 << 20)
	h := web(t, handler)
	result(t, h, "download", args{"url": page, "to": "output/x"})
	reports := h.Progress()
	if n := len(reports); n < 5 || n > 110 {
		t.Fatalf("%d reports", n)
	}
	before := 0.0
	for _, p := range reports {
		if p.Progress <= before || p.Total != 10<<20 {
			t.Errorf("reported %+v after %v", p, before)
		}
		before = p.Progress
	}
	if before != 10<<20 {
		t.Errorf("the last report is %v", before)
	}
}

func TestDownloadTellsTheEndOnce(t *testing.T) {
	for _, size := range []int{0, 10, 3<<20 + 1} {
		handler, _ := data(size)
		h := web(t, handler)
		result(t, h, "download", args{"url": page, "to": "output/x"})
		ends := 0
		for _, p := range h.Progress() {
			if p.Progress == float64(size) {
				ends++
			}
		}
		if ends != 1 {
			t.Errorf("the end of %d bytes was told %d times: %+v", size, ends, h.Progress())
		}
	}
}

func TestDownloadReplacesAWholeFileByAWholeFile(t *testing.T) {
	broken := false
	h := web(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "new")
		if broken {
			panic(http.ErrAbortHandler)
		}
	})
	h.Write("/output/x", []byte("old"))
	if r := result(t, h, "download", args{"url": page, "to": "output/x"}); string(h.Read("/output/x")) != "new" || !strings.HasPrefix(r.Content[0].Text, "replaced output/x: 3 bytes") {
		t.Errorf("answered %+v", r)
	}
	broken = true
	h.Write("/output/x", []byte("old"))
	e := refused(t, h, "download", args{"url": page, "to": "output/x"}, abi.CodeUnavailable)
	if string(h.Read("/output/x")) != "old" || !strings.Contains(e.Message, "after 3 bytes: ") || !strings.Contains(e.Message, "nothing was saved to output/x") || !e.Retryable {
		t.Errorf("error is %+v", e)
	}
}

func TestNothingHalfDoneIsLeft(t *testing.T) {
	h := web(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 3<<20))
		panic(http.ErrAbortHandler)
	})
	for _, to := range []string{"output/a/b/x", "deploy/x", "store/a/x", "store/x"} {
		refused(t, h, "download", args{"url": page, "to": to}, abi.CodeUnavailable)
	}
	for _, dir := range []string{"/output", "/deploy", "/store", "/tmp"} {
		if got := left(t, h, dir); got != "" {
			t.Errorf("%s has %s", dir, got)
		}
	}
}

func TestWhatStandsInTheWayIsSaidBeforeAnythingIsSent(t *testing.T) {
	sent := 0
	h := web(t, func(http.ResponseWriter, *http.Request) { sent++ })
	h.Write("/store/kept.txt", []byte("kept"))
	h.Write("/output/dir/x", nil)
	h.Refuse("/deploy", abi.Errorf(abi.CodePermissionDenied, "deploy wasn't granted"))
	tests := []struct {
		to      string
		code    abi.Code
		message string
	}{
		{"", abi.CodeInvalidArgument, ""},
		{"output", abi.CodeInvalidArgument, "names no file"},
		{"output/", abi.CodeInvalidArgument, "names no file"},
		{"output/new/", abi.CodeInvalidArgument, "names no file"},
		{"output/../store/x", abi.CodeInvalidArgument, `".."`},
		{"output/a\x00", abi.CodeInvalidArgument, "not text"},
		{"upload/x", abi.CodeInvalidArgument, "upload/ is read-only"},
		{"tmp/x", abi.CodeInvalidArgument, `no zone "tmp"`},
		{"/etc/passwd", abi.CodeInvalidArgument, `no zone "etc"`},
		{"x.html", abi.CodeInvalidArgument, `"x.html" names no zone`},
		{"/", abi.CodeInvalidArgument, "names no file"},
		{"output/dir", abi.CodeFailedPrecondition, "output/dir is a folder"},
		{"output/dir/x/y", abi.CodeFailedPrecondition, "output/dir/x/y"},
		{"store/kept.txt", abi.CodeAlreadyExists, "store/ keeps what it has"},
		{"deploy/x", abi.CodePermissionDenied, "deploy wasn't granted"},
	}
	for _, tt := range tests {
		e := refused(t, h, "download", args{"url": page, "to": tt.to}, tt.code)
		if !strings.Contains(e.Message, tt.message) {
			t.Errorf("%q: %+v", tt.to, e)
		}
	}
	if sent > 0 {
		t.Errorf("%d requests were sent", sent)
	}
	if string(h.Read("/store/kept.txt")) != "kept" {
		t.Error("what was kept is changed")
	}
}

func TestADownloadThatTheServerRefusesIsNoFile(t *testing.T) {
	h := web(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(404)
		fmt.Fprint(w, "no such page")
	})
	r := result(t, h, "download", args{"url": page, "to": "output/x"})
	if !r.IsError || !strings.Contains(texts(r), "no such page|[nothing was saved to output/x: the status is 404]") || left(t, h, "/output") != "" {
		t.Errorf("answered %+v", r)
	}
}

func TestAFullWorkspaceIsTheErrorOfADownload(t *testing.T) {
	handler, _ := data(100)
	h := web(t, handler)
	h.Refuse("/output/x", sdk.Errorf(abi.CodeResourceExhausted, "the workspace is full"))
	if e := refused(t, h, "download", args{"url": page, "to": "output/x/y"}, abi.CodeResourceExhausted); !strings.Contains(e.Message, "full") {
		t.Errorf("error is %+v", e)
	}
}
