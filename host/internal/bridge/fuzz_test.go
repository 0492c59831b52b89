package bridge_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/bridge"
)

// seeds returns the frames of the requests among the wire vectors, and of what
// is no frame.
func seeds(tb testing.TB) [][]byte {
	tb.Helper()
	var list [][]byte
	for _, pattern := range []string{"message_*request*.txtar", "frame_*.txtar"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "..", "testdata", "abi", pattern))
		if err != nil {
			tb.Fatal(err)
		}
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				tb.Fatal(err)
			}
			for _, f := range archive.Files {
				if f.Name != "frame.hex" {
					continue
				}
				var digits strings.Builder
				for line := range strings.Lines(string(f.Data)) {
					line, _, _ = strings.Cut(line, "|")
					digits.WriteString(strings.Join(strings.Fields(line), ""))
				}
				b, err := hex.DecodeString(digits.String())
				if err != nil {
					tb.Fatal(err)
				}
				list = append(list, b)
			}
		}
	}
	for _, header := range []any{
		abi.HTTPFetchRequest{URL: "https://api.example.com:8443/v1?q=1", Header: []abi.HTTPHeader{{Name: "Accept", Value: "*/*"}}, Redirect: abi.RedirectManual, TimeoutMS: 5, MaxBytes: 6},
		abi.HTTPFetchRequest{Method: "POST", URL: "http://[2001:db8::1]/"},
		abi.HTTPReadRequest{Body: 1, MaxBytes: 10},
		abi.HTTPCloseRequest{Body: 1},
		abi.ToolCallRequest{Tool: "files_read", Arguments: json.RawMessage(`{"path":"output/a"}`), Stream: abi.StreamAgent, Async: true},
	} {
		for _, body := range []string{"", "body"} {
			b, err := abi.EncodeFrame(header, []byte(body))
			if err != nil {
				tb.Fatal(err)
			}
			list = append(list, b)
		}
	}
	return list
}

func TestFuzzTargetHasSeeds(t *testing.T) {
	if n := len(seeds(t)); n < 20 {
		t.Errorf("there are %d seeds", n)
	}
}

// FuzzDispatch holds that whatever a guest sends gets a frame or a code, and
// that nothing reaches a capability beyond its bounds.
func FuzzDispatch(f *testing.F) {
	for _, b := range seeds(f) {
		for op := range abi.Ops() {
			f.Add(uint8(op), b)
		}
	}
	f.Fuzz(func(t *testing.T, op uint8, frame []byte) {
		k := &fakeKernel{}
		r := &recorder{}
		granted := anywhere()
		granted.Kernel = python(0).Kernel
		granted.Tool = &abi.ToolScope{Names: []string{"files_read"}}
		tools := &fakeTool{}
		h := &fakeHTTP{fetch: func(_ context.Context, r abi.HTTPFetchRequest, body []byte) (abi.HTTPFetchResponse, io.ReadCloser, error) {
			if r.URL == "" || len(r.URL) > abi.MaxURLBytes || len(r.Header) > abi.MaxHTTPHeaders || r.Method == "" ||
				r.MaxBytes < 0 || r.MaxBytes > granted.HTTP.MaxBytes || r.TimeoutMS < 0 || r.TimeoutMS > time.Duration(granted.HTTP.MaxTime).Milliseconds() {
				t.Errorf("the capability got %+v", r)
			}
			return abi.HTTPFetchResponse{Status: 200, URL: r.URL}, io.NopCloser(bytes.NewReader(body)), nil
		}}
		c := bridge.New(bridge.Config{Capabilities: granted, Kernel: k, HTTP: h, Tool: tools, Audit: r.audit, Emit: r.emit})
		b, err := c.Dispatch(t.Context(), abi.Ops()[int(op)%len(abi.Ops())], frame)
		c.Close()
		if err != nil {
			if e, ok := errors.AsType[*abi.Error](err); !ok || e.Code >= 0 || e.Code == abi.CodeInternal {
				t.Fatalf("the error is %#v", err)
			}
		} else if _, err := abi.DecodeFrame(b); err != nil {
			t.Fatal(err)
		}
		intents, outcomes := strings.Count(r.audited(), "intent "), strings.Count(r.audited(), "outcome ")
		if refused := strings.Count(r.audited(), "permission_denied"); outcomes != intents+refused {
			t.Fatalf("audited:\n%s", r.audited())
		}
		if reached := k.log(); reached != "" && !strings.Contains(reached, "python") {
			t.Fatalf("the kernel got %s", reached)
		}
		if reached := tools.log(); reached != "" && reached != "files_read" && !strings.HasPrefix(reached, "files_read {") {
			t.Fatalf("the tools got %s", reached)
		}
	})
}
