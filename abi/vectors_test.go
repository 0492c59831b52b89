package abi_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sallyport-dev/sallyport/abi"
)

// A vector is one file of testdata/abi: a frame, and what it has to mean.
type vector struct {
	name    string
	message string // what kind of message it is, "" for a bare frame
	header  []byte // nil where the frame cannot be decoded
	body    []byte
	frame   []byte
	decoded string // the message once its bytes are joined to it, "" where the header says all
	err     string // code: text
}

// vectors reads the files whose names match.
func vectors(tb testing.TB, pattern string) []vector {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("..", "testdata", "abi", pattern))
	if err != nil {
		tb.Fatal(err)
	}
	if len(files) == 0 {
		tb.Fatalf("no vectors match %s", pattern)
	}
	var list []vector
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		v := vector{name: strings.TrimSuffix(filepath.Base(file), ".txtar")}
		for _, f := range archive.Files {
			text := strings.TrimSuffix(string(f.Data), "\n")
			switch f.Name {
			case "message":
				v.message = text
			case "header.json":
				v.header = []byte(text)
			case "body.hex":
				v.body = unhex(tb, text)
			case "frame.hex":
				v.frame = unhex(tb, text)
			case "decoded":
				v.decoded = text
			case "error":
				v.err = text
			default:
				tb.Fatalf("%s: unknown section %q", v.name, f.Name)
			}
		}
		list = append(list, v)
	}
	return list
}

// unhex reads a dump: bytes in hex, and after a bar their text.
func unhex(tb testing.TB, dump string) []byte {
	tb.Helper()
	var digits strings.Builder
	for line := range strings.Lines(dump) {
		line, _, _ = strings.Cut(line, "|")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		tb.Fatalf("hex %q: %v", dump, err)
	}
	return b
}

// wantError checks an error against "code: text"; without a text any will do.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	code, text, _ := strings.Cut(want, ": ")
	if err == nil || abi.CodeOf(err).String() != code || !strings.Contains(err.Error(), text) {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestFrameVectorsDecodeAndEncode(t *testing.T) {
	for _, v := range vectors(t, "frame_*.txtar") {
		t.Run(v.name, func(t *testing.T) {
			f, err := abi.DecodeFrame(v.frame)
			if v.err != "" {
				wantError(t, err, v.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(f.Header) != string(v.header) {
				t.Errorf("header is %s, want %s", f.Header, v.header)
			}
			if !bytes.Equal(f.Body, v.body) {
				t.Errorf("body is %x, want %x", f.Body, v.body)
			}
			again, err := abi.EncodeFrame(f.Header, f.Body)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again, v.frame) {
				t.Errorf("encoded again: %x, want %x", again, v.frame)
			}
		})
	}
}

func TestMessageVectorsDecodeAndEncode(t *testing.T) {
	for _, v := range vectors(t, "message_*.txtar") {
		t.Run(v.name, func(t *testing.T) {
			decode, ok := messages[v.message]
			if !ok {
				t.Fatalf("no message is called %q", v.message)
			}
			again, decoded, err := decode(v.frame)
			if v.err != "" {
				wantError(t, err, v.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v.decoded != "" && decoded != v.decoded {
				t.Errorf("decoded:\n%s\nwant\n%s", decoded, v.decoded)
			}
			if v.name == "message_call_response_unknown_code" {
				return // it is not written as it was read
			}
			if !bytes.Equal(again, v.frame) {
				t.Errorf("encoded again:\n%q\nwant\n%q", again, v.frame)
			}
		})
	}
}

// TestVectorsCoverEveryMessage fails when a message is added without a vector.
func TestVectorsCoverEveryMessage(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range vectors(t, "message_*.txtar") {
		seen[v.message] = true
	}
	for name := range messages {
		if !seen[name] {
			t.Errorf("%q has no vector", name)
		}
	}
}

// messages has a function for each kind of message: it decodes a frame,
// encodes the message again, and shows what joined the bytes to it.
var messages = map[string]func([]byte) (frame []byte, decoded string, err error){
	"describe response":       plain[abi.Description],
	"call request":            plain[abi.CallRequest],
	"call response":           callResponse,
	"error":                   plain[abi.Error],
	"empty":                   plain[struct{}],
	"task":                    plain[abi.Task],
	"kernel.execute request":  plain[abi.KernelExecuteRequest],
	"kernel.execute response": kernelExecute,
	"kernel request":          plain[abi.KernelRequest],
	"kernel.status response":  plain[abi.KernelStatusResponse],
	"http.fetch request":      plain[abi.HTTPFetchRequest],
	"http.fetch response":     plain[abi.HTTPFetchResponse],
	"http.read request":       plain[abi.HTTPReadRequest],
	"http.read response":      plain[abi.HTTPReadResponse],
	"http.close request":      plain[abi.HTTPCloseRequest],
	"tool.call request":       plain[abi.ToolCallRequest],
	"call.log request":        plain[abi.LogRequest],
	"call.progress request":   plain[abi.ProgressRequest],
	"call.config response":    plain[abi.ConfigResponse],
	"call.wait request":       plain[abi.WaitRequest],
	"call.wait response":      plain[abi.WaitResponse],
	"call.cancel request":     plain[abi.CancelRequest],
}

// plain is for a message whose header says nothing of its body.
func plain[T any](frame []byte) ([]byte, string, error) {
	f, err := abi.DecodeFrame(frame)
	if err != nil {
		return nil, "", err
	}
	var v T
	if err := f.Decode(&v); err != nil {
		return nil, "", err
	}
	again, err := abi.EncodeFrame(v, f.Body)
	return again, "", err
}

func callResponse(frame []byte) ([]byte, string, error) {
	r, err := abi.DecodeCallResponse(frame)
	if err != nil {
		return nil, "", err
	}
	decoded, err := json.Marshal(r)
	if err != nil {
		return nil, "", err
	}
	again, err := abi.EncodeCallResponse(r)
	return again, string(decoded), err
}

func kernelExecute(frame []byte) ([]byte, string, error) {
	f, err := abi.DecodeFrame(frame)
	if err != nil {
		return nil, "", err
	}
	r, err := abi.DecodeKernelExecute(f)
	if err != nil {
		return nil, "", err
	}
	var blobs []string
	for i, o := range r.Outputs {
		for j, b := range o.Blobs {
			blobs = append(blobs, fmt.Sprintf("outputs[%d].blobs[%d] %s %x", i, j, b.MIMEType, b.Bytes))
		}
	}
	again, err := abi.EncodeKernelExecute(r)
	return again, strings.Join(blobs, "\n"), err
}
