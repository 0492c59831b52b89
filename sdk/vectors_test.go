package sdk_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
	"github.com/sallyport-dev/sallyport/sdk/kernel"
)

// vectorFrame returns the frame of a wire vector; without a name, the empty
// object's.
func vectorFrame(t *testing.T, name string) []byte {
	t.Helper()
	if name == "" {
		name = "message_empty"
	}
	archive, err := txtar.ParseFile(filepath.Join("..", "testdata", "abi", name+".txtar"))
	if err != nil {
		t.Fatal(err)
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
		frame, err := hex.DecodeString(digits.String())
		if err != nil {
			t.Fatal(err)
		}
		return frame
	}
	t.Fatalf("%s has no frame", name)
	return nil
}

// A wire is a host that answers with one frame after the other, and notes the
// last request.
type wire struct {
	op        string
	request   []byte
	responses [][]byte
}

func (w *wire) Invoke(_ context.Context, op string, frame []byte) ([]byte, error) {
	if len(w.responses) == 0 {
		return nil, errors.New("the host was asked too often")
	}
	w.op, w.request = op, frame
	response := w.responses[0]
	w.responses = w.responses[1:]
	return response, nil
}

func (w *wire) Path(guest string) string { return guest }

func (w *wire) Reason(err error) error { return err }

// rest returns a body whose first 8 bytes were read, and of which the host has
// more.
func rest(ctx sdk.Context) (io.ReadCloser, error) {
	r, err := http.Get(ctx, "https://example.com/feed")
	if err != nil {
		return nil, err
	}
	if r.Length != -1 {
		return nil, fmt.Errorf("its length is %d", r.Length)
	}
	_, err = io.ReadFull(r.Body, make([]byte, 8))
	return r.Body, err
}

func TestFunctionsSpeakTheWireVectors(t *testing.T) {
	png := []byte("\x89PNG\r\n\x1a\n")
	image := func(done kernel.Execution) error {
		for _, o := range done.Outputs {
			for _, b := range o.Blobs {
				if bytes.Equal(b.Bytes, png) {
					return nil
				}
			}
		}
		return errors.New("the image isn't there")
	}
	tests := []struct {
		name, op, request string
		response          string // or several, the request being the last one's
		call              func(sdk.Context) error
	}{
		{"log", abi.OpCallLog, "message_log_request", "", func(ctx sdk.Context) error {
			ctx.Log(sdk.LevelInfo, "read 12 rows", "file", "a.csv", "rows", 12)
			return nil
		}},
		{"progress", abi.OpCallProgress, "message_progress_request", "", func(ctx sdk.Context) error {
			ctx.Progress(3, 12, "page 3")
			return nil
		}},
		{"config", abi.OpCallConfig, "", "message_config_response", func(ctx sdk.Context) error {
			if got, err := ctx.Config("units"); got != "metric" {
				return errors.Join(err, errors.New("units are "+got))
			}
			return nil
		}},
		{"config without settings", abi.OpCallConfig, "", "message_config_response_empty", func(ctx sdk.Context) error {
			if got, err := ctx.Config("units"); got != "" {
				return errors.Join(err, errors.New("units are "+got))
			}
			return nil
		}},
		{"execute", abi.OpKernelExecute, "message_kernel_execute_request", "message_kernel_execute_response", func(ctx sdk.Context) error {
			done, err := kernel.Execute(ctx, kernel.Request{Code: "1+1"})
			return errors.Join(err, image(done))
		}},
		{"execute what raises", abi.OpKernelExecute, "message_kernel_execute_request", "message_kernel_execute_response_error", func(ctx sdk.Context) error {
			done, err := kernel.Execute(ctx, kernel.Request{Code: "1+1"})
			if err == nil && (done.Status != abi.StatusError || done.Error.Name != "ZeroDivisionError") {
				return errors.New("it didn't raise")
			}
			return err
		}},
		{"interrupt", abi.OpKernelInterrupt, "message_kernel_request", "", func(ctx sdk.Context) error { return kernel.Interrupt(ctx, "python") }},
		{"reset", abi.OpKernelReset, "message_kernel_request", "", func(ctx sdk.Context) error { return kernel.Reset(ctx, "python") }},
		{"status", abi.OpKernelStatus, "message_kernel_request", "message_kernel_status_response", func(ctx sdk.Context) error {
			s, err := kernel.Status(ctx, "python")
			if err == nil && (s.State != abi.KernelIdle || s.PID != 4711) {
				return errors.New("the kernel isn't idle")
			}
			return err
		}},
		{"fetch", abi.OpHTTPFetch, "message_http_fetch_request", "message_http_fetch_response", func(ctx sdk.Context) error {
			r, err := http.Get(ctx, "https://example.com/")
			if err != nil {
				return err
			}
			b, err := io.ReadAll(r.Body)
			if string(b) != "hello" || r.Status != 200 || r.Header.Get("content-type") != "text/plain" || r.URL != "https://www.example.com/" || len(r.Redirects) != 1 {
				return errors.Join(err, fmt.Errorf("it is %+v with %q", r, b))
			}
			return err
		}},
		{"read", abi.OpHTTPRead, "message_http_read_request", "message_http_fetch_response_part message_http_read_response", func(ctx sdk.Context) error {
			body, err := rest(ctx)
			if err != nil {
				return err
			}
			b := make([]byte, 100)
			n, err := body.Read(b)
			if string(b[:n]) != "world" {
				return errors.Join(err, fmt.Errorf("it has %q", b[:n]))
			}
			return err
		}},
		{"read to the end", abi.OpHTTPRead, "message_http_read_request", "message_http_fetch_response_part message_http_read_response_ended", func(ctx sdk.Context) error {
			body, err := rest(ctx)
			if err != nil {
				return err
			}
			if n, err := body.Read(make([]byte, 100)); n != 0 || err != io.EOF {
				return fmt.Errorf("it read %d bytes, %w", n, err)
			}
			return body.Close() // which asks the host for nothing
		}},
		{"close", abi.OpHTTPClose, "message_http_close_request", "message_http_fetch_response_part message_empty", func(ctx sdk.Context) error {
			body, err := rest(ctx)
			if err != nil {
				return err
			}
			return body.Close()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &wire{}
			for _, name := range strings.Split(tt.response, " ") {
				w.responses = append(w.responses, vectorFrame(t, name))
			}
			if err := tt.call(sdk.Context{Context: sdk.WithHost(t.Context(), w)}); err != nil {
				t.Error(err)
			}
			if want := vectorFrame(t, tt.request); w.op != tt.op || !bytes.Equal(w.request, want) {
				t.Errorf("%s was asked with\n%q, want %s with\n%q", w.op, w.request, tt.op, want)
			}
		})
	}
}
