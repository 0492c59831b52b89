package main_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	_ "github.com/sallyport-dev/sallyport/plugins/files"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

type args map[string]any

// call runs a tool and returns its text blocks, joined by a bar.
func call(t *testing.T, h *sdktest.Host, tool string, in args) string {
	t.Helper()
	return texts(result(t, h, tool, in))
}

func result(t *testing.T, h *sdktest.Host, tool string, in args) sdk.Result {
	t.Helper()
	r, err := h.Call(tool, in)
	if err != nil {
		t.Fatalf("%s %v: %v", tool, in, err)
	}
	return r
}

func texts(r sdk.Result) string {
	var list []string
	for _, c := range r.Content {
		if c.Type == abi.ContentText {
			list = append(list, c.Text)
		}
	}
	return strings.Join(list, "|")
}

func refused(t *testing.T, h *sdktest.Host, tool string, in args, code abi.Code) *abi.Error {
	t.Helper()
	_, err := h.Call(tool, in)
	e, ok := errors.AsType[*abi.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("%s %v answered with %v, want %v", tool, in, err, code)
	}
	return e
}

func TestPathsNameAFileInAZone(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/output/a/b.txt", []byte("here"))
	for _, path := range []string{"output/a/b.txt", "/output/a/b.txt", "./output/a/b.txt", "//output//a/./b.txt"} {
		if got := call(t, h, "read", args{"path": path}); got != "here" {
			t.Errorf("%s: read %q", path, got)
		}
	}
}

func TestOtherPathsAreRefused(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/output/a.txt", []byte("a"))
	tests := []struct {
		path string
		code abi.Code
		want string
	}{
		{"output/../../etc/passwd", abi.CodeInvalidArgument, `has ".."`},
		{"../output/a.txt", abi.CodeInvalidArgument, `has ".."`},
		{"output/..", abi.CodeInvalidArgument, `has ".."`},
		{"output/a\x00.txt", abi.CodeInvalidArgument, "NUL"},
		{"/", abi.CodeInvalidArgument, "names no file"},
		{".", abi.CodeInvalidArgument, "names no file"},
		{"output", abi.CodeInvalidArgument, "names a zone, not a file"},
		{"output/", abi.CodeInvalidArgument, "names a zone, not a file"},
		{"/etc/passwd", abi.CodeNotFound, `no zone "etc"`},
		{"a.txt", abi.CodeNotFound, `no zone "a.txt"`},
		{"Output/a.txt", abi.CodeNotFound, `no zone "Output"`},
		{"tmp/a.txt", abi.CodeNotFound, `no zone "tmp"`},
	}
	for _, tt := range tests {
		for tool, more := range map[string]args{"read": {}, "write": {"content": ""}, "edit": {"old": "a", "new": "b"}} {
			in := args{"path": tt.path}
			for k, v := range more {
				in[k] = v
			}
			e := refused(t, h, tool, in, tt.code)
			if !strings.Contains(e.Message, tt.want) || e.Field != "/path" {
				t.Errorf("%s %q: %+v", tool, tt.path, e)
			}
		}
	}
	if e := refused(t, h, "list", args{"path": "output/../upload"}, abi.CodeInvalidArgument); e.Field != "/path" {
		t.Errorf("list: %+v", e)
	}
}

func TestAFolderIsNotAFile(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/output/dir/a.txt", []byte("a"))
	for tool, more := range map[string]args{"read": {}, "write": {"content": "x"}, "edit": {"old": "a", "new": "b"}} {
		more["path"] = "output/dir"
		if e := refused(t, h, tool, more, abi.CodeFailedPrecondition); !strings.Contains(e.Message, "output/dir is a folder") {
			t.Errorf("%s: %+v", tool, e)
		}
	}
	refused(t, h, "write", args{"path": "output/dir/a.txt/b.txt", "content": ""}, abi.CodeFailedPrecondition)
	refused(t, h, "list", args{"path": "output/dir/a.txt"}, abi.CodeFailedPrecondition)
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	h := sdktest.New(t)
	for tool, more := range map[string]args{"read": {}, "edit": {"old": "a", "new": "b"}, "list": {}} {
		more["path"] = "output/none"
		if e := refused(t, h, tool, more, abi.CodeNotFound); !strings.HasPrefix(e.Message, "output/none: ") {
			t.Errorf("%s: %+v", tool, e)
		}
	}
}

func TestRefusalsAreTheHosts(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/store/notes.md", []byte("old"))
	reason := sdk.Errorf(abi.CodePermissionDenied, "store is append-only").WithHint("add at the end")
	h.Refuse("/store", reason)
	for tool, more := range map[string]args{
		"read": {}, "write": {"content": "x"}, "edit": {"old": "old", "new": "new"},
	} {
		more["path"] = "store/notes.md"
		if e := refused(t, h, tool, more, abi.CodePermissionDenied); e.Message != "store is append-only" || e.Hint != "add at the end" {
			t.Errorf("%s: %+v", tool, e)
		}
	}
	if got := string(h.Read("/store/notes.md")); got != "old" {
		t.Errorf("the file has %q", got)
	}
}

func TestArgumentsAreBounded(t *testing.T) {
	h := sdktest.New(t)
	for _, tt := range []struct{ tool, raw, field string }{
		{"read", `{}`, "/path"},
		{"read", `{"path":""}`, "/path"},
		{"read", `{"path":"output/a","offset":0}`, "/offset"},
		{"read", `{"path":"output/a","limit":10001}`, "/limit"},
		{"read", `{"path":"output/a","encoding":"ebcdic"}`, "/encoding"},
		{"write", `{"path":"output/a"}`, "/content"},
		{"write", `{"path":"output/a","content":"","mode":"patch"}`, "/mode"},
		{"edit", `{"path":"output/a","old":"","new":""}`, "/old"},
		{"edit", `{"path":"output/a","old":"x","new":"x"}`, "/new"},
		{"edit", `{"path":"output/a","old":"x","new":"y","count":0}`, "/count"},
		{"list", `{"depth":11}`, "/depth"},
		{"list", `{"glob":"[a"}`, "/glob"},
	} {
		_, err := h.Call(tt.tool, json.RawMessage(tt.raw))
		if e, ok := errors.AsType[*abi.Error](err); !ok || e.Code != abi.CodeInvalidArgument || e.Field != tt.field {
			t.Errorf("%s %s: %+v", tt.tool, tt.raw, err)
		}
	}
}

func TestReadingToolsSaySo(t *testing.T) {
	for _, tool := range sdktest.New(t).Tools() {
		if want := tool.Name == "read" || tool.Name == "list"; tool.ReadOnly != want {
			t.Errorf("%s: read-only is %v", tool.Name, tool.ReadOnly)
		}
	}
}
