package sdk_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
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

// A wire is a host that notes the request and answers with a frame.
type wire struct {
	op       string
	request  []byte
	response []byte
}

func (w *wire) Invoke(_ context.Context, op string, frame []byte) ([]byte, error) {
	w.op, w.request = op, frame
	return w.response, nil
}

func (w *wire) Path(guest string) string { return guest }

func (w *wire) Reason(err error) error { return err }

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
		name, op, request, response string
		call                        func(sdk.Context) error
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
		{"wait", abi.OpCallWait, "message_wait_request", "message_wait_response", func(ctx sdk.Context) error {
			n, f, err := sdk.Wait(ctx, time.Second, 1, 2)
			if err != nil || n != 2 {
				return errors.Join(err, errors.New("another task ended"))
			}
			done, err := abi.DecodeKernelExecute(f)
			return errors.Join(err, image(done))
		}},
		{"wait for a task that failed", abi.OpCallWait, "message_wait_request", "message_wait_response_error", func(ctx sdk.Context) error {
			if n, _, err := sdk.Wait(ctx, time.Second, 1, 2); n != 1 || abi.CodeOf(err) != abi.CodeCanceled {
				return errors.Join(err, errors.New("the task wasn't cancelled"))
			}
			return nil
		}},
		{"cancel", abi.OpCallCancel, "message_cancel_request", "", func(ctx sdk.Context) error { return sdk.Cancel(ctx, 1) }},
		{"execute", abi.OpKernelExecute, "message_kernel_execute_request", "message_kernel_execute_response", func(ctx sdk.Context) error {
			done, err := kernel.Execute(ctx, kernel.Request{Code: "1+1"})
			return errors.Join(err, image(done))
		}},
		{"execute as a task", abi.OpKernelExecute, "message_kernel_execute_request_full", "message_task", func(ctx sdk.Context) error {
			_, err := sdk.Invoke(ctx, abi.OpKernelExecute, nil, abi.KernelExecuteRequest{
				Code: "print('标题')", Language: "python", Stream: abi.StreamAgent, TimeoutMS: 5000, Async: abi.Async{Async: true},
			}, nil)
			return err
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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &wire{response: vectorFrame(t, tt.response)}
			if err := tt.call(sdk.Context{Context: sdk.WithHost(t.Context(), w)}); err != nil {
				t.Error(err)
			}
			if want := vectorFrame(t, tt.request); w.op != tt.op || !bytes.Equal(w.request, want) {
				t.Errorf("%s was asked with\n%q, want %s with\n%q", w.op, w.request, tt.op, want)
			}
		})
	}
}
