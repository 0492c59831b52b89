package sdk_test

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

func TestAToolTellsTheHostAndLearnsFromIt(t *testing.T) {
	h := sdktest.New(t)
	h.Session, h.Config = "s-1", map[string]string{"colour": "blue"}
	if got := texts(call(t, h, "tell", nil)); got != "s-1 call blue true" {
		t.Errorf("the tool learnt %q", got)
	}
	logs := []abi.LogRequest{
		{Level: "info", Message: "started", Fields: map[string]any{"rows": 3.0, "err": "file does not exist", "took": "2s", "!badkey": "odd"}},
		{Level: "debug", Message: "plain"},
	}
	if got := h.Logs(); !reflect.DeepEqual(got, logs) {
		t.Errorf("logged %+v, want %+v", got, logs)
	}
	if got, want := h.Progress(), []abi.ProgressRequest{{Progress: 1, Total: 2, Message: "half"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("reported %+v, want %+v", got, want)
	}
}

func TestFilesAreInTheZonesOfTheTest(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/upload/a b/图.csv", []byte("x,y\n"))
	r := call(t, h, "copy", args{"from": "/upload/a b/图.csv", "to": "/output/图 1.csv"})
	if got := string(h.Read("/output/图 1.csv")); got != "x,y\n" {
		t.Errorf("the copy has %q", got)
	}
	want := sdk.ResultOf(sdk.Content{
		Type: abi.ContentLink, URI: "workspace:/output/%E5%9B%BE%201.csv", Name: "图 1.csv", MIMEType: "text/csv", Size: 4,
	})
	if !reflect.DeepEqual(r, want) {
		t.Errorf("the link is %+v, want %+v", r, want)
	}
}

func TestARelativePathStartsAtTheRoot(t *testing.T) {
	h := sdktest.New(t)
	for _, name := range []string{"output/a.txt", "/output/a.txt", "/output//x/../a.txt"} {
		if got, want := h.Context().Path(name), h.Path("/output/a.txt"); got != want {
			t.Errorf("Path(%q) is %q, want %q", name, got, want)
		}
	}
}

func TestARefusedFileCallHasTheHostsReason(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/upload/a.txt", []byte("text"))
	reason := sdk.Errorf(abi.CodePermissionDenied, "upload is read-only").WithHint("write to output/")
	h.Refuse("/upload/new", reason)
	e := refused(t, h, "copy", args{"from": "/upload/a.txt", "to": "/upload/new/b.txt"}, abi.CodePermissionDenied)
	if e.Message != "upload is read-only" || e.Hint != "write to output/" {
		t.Errorf("error is %+v", e)
	}
	if h.Exists("/upload/new/b.txt") {
		t.Error("the file was written")
	}
	call(t, h, "copy", args{"from": "/upload/a.txt", "to": "/output/a.txt"})
}

func TestReasonKeepsTheCauseAndOrdinaryErrors(t *testing.T) {
	h := sdktest.New(t)
	ctx := h.Context()
	if ctx.Reason(nil) != nil {
		t.Error("no error has a reason")
	}
	_, err := ctx.Link("/output/nothing")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to nothing failed with %v", err)
	}
	h.Refuse("/deploy", sdk.Errorf(abi.CodePermissionDenied, "deploy wasn't granted"))
	_, err = ctx.Link("/deploy/index.html")
	if pathErr, ok := errors.AsType[*fs.PathError](err); !ok || abi.CodeOf(err) != abi.CodePermissionDenied {
		t.Errorf("a refused link failed with %v, caused by %v", err, pathErr)
	}
}

func TestAReasonThatContradictsTheErrorIsDropped(t *testing.T) {
	denied := sdk.Errorf(abi.CodePermissionDenied, "upload is read-only")
	missing := sdk.Errorf(abi.CodeNotFound, "upload/a doesn't exist")
	full := sdk.Errorf(abi.CodeResourceExhausted, "the disk is full")
	tests := []struct {
		err    error
		reason *abi.Error
		kept   bool
	}{
		{fs.ErrPermission, denied, true},
		{fs.ErrPermission, missing, false},
		{fs.ErrNotExist, missing, true},
		{fs.ErrNotExist, denied, false},
		{errors.New("no space left"), full, true},
	}
	for _, tt := range tests {
		ctx := sdk.Context{Context: sdk.WithHost(t.Context(), reasoner{tt.reason})}
		want := tt.err
		if tt.kept {
			want = tt.reason
		}
		if got := ctx.Reason(tt.err); got != want {
			t.Errorf("for %v with %v the reason is %v", tt.err, tt.reason, got)
		}
	}
}

// A reasoner is a host with one reason for everything.
type reasoner struct{ reason *abi.Error }

func (r reasoner) Invoke(context.Context, string, []byte) ([]byte, error) { return nil, r.reason }

func (r reasoner) Path(guest string) string { return guest }

func (r reasoner) Reason(error) error { return r.reason }

func TestAPathCannotLeaveTheWorkspace(t *testing.T) {
	h := sdktest.New(t)
	if got, want := h.Context().Path("/output/../../../etc/passwd"), h.Path("/etc/passwd"); got != want {
		t.Errorf("Path is %q, want %q", got, want)
	}
}

func TestTheKernelGetsTheRequestAndTheToolItsBytes(t *testing.T) {
	h := sdktest.New(t)
	var got abi.KernelExecuteRequest
	h.Kernel = func(r abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error) {
		got = r
		return abi.KernelExecuteResponse{Outputs: []abi.Output{
			{Type: abi.OutputStream, Name: "stdout", Text: "hi\n"},
			{Type: abi.OutputDisplay, Blobs: []abi.Blob{{MIMEType: "image/png", Bytes: []byte("png")}}},
		}}, nil
	}
	r := call(t, h, "run", args{"code": "plot()"})
	if want := (abi.KernelExecuteRequest{Code: "plot()", Stream: abi.StreamAgent, TimeoutMS: 1500}); got != want {
		t.Errorf("the kernel got %+v, want %+v", got, want)
	}
	if want := sdk.ResultOf(sdk.Text("hi\n"), sdk.Image("image/png", []byte("png"))); !reflect.DeepEqual(r, want) {
		t.Errorf("result is %+v, want %+v", r, want)
	}
	if n := len(h.Streamed()); n != 2 {
		t.Errorf("%d outputs were streamed, want 2", n)
	}
}

func TestTheKernelsErrorsReachTheCaller(t *testing.T) {
	h := sdktest.New(t)
	if e := refused(t, h, "run", args{"code": "1"}, abi.CodePermissionDenied); e.Grant != "kernel" {
		t.Errorf("without a kernel: %+v", e)
	}
	h.Kernel = func(abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error) {
		return abi.KernelExecuteResponse{}, abi.Errorf(abi.CodeStateLost, "the kernel ended")
	}
	refused(t, h, "run", args{"code": "1"}, abi.CodeStateLost)
}

func TestTheKernelsOtherVerbs(t *testing.T) {
	h := sdktest.New(t)
	h.Kernel = func(abi.KernelExecuteRequest) (abi.KernelExecuteResponse, error) { panic("not called") }
	h.KernelStatus = abi.KernelStatusResponse{State: abi.KernelIdle, Executions: 7}
	r := call(t, h, "verbs", nil)
	if want := `{"state":"idle","language":"python","executions":7,"queued":0,"starts":0}`; string(r.StructuredContent) != want {
		t.Errorf("status is %s, want %s", r.StructuredContent, want)
	}
	if h.Interrupts() != 1 || h.Resets() != 1 {
		t.Errorf("%d interrupts and %d resets", h.Interrupts(), h.Resets())
	}
}
