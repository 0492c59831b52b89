package policy_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// A scope's row shows that it is enforced: with allows the request passes;
// with denies it is refused, naming the grant; and whichever of manifest,
// operator and profile has only denies, the effective capabilities refuse it.
type row struct {
	request policy.Request
	allows  abi.Capabilities
	denies  abi.Capabilities
	grant   string
}

func kernel(maxTime time.Duration, languages ...string) abi.Capabilities {
	return abi.Capabilities{Kernel: &abi.KernelScope{Languages: languages, MaxTime: abi.Duration(maxTime)}}
}

func tools(names ...string) abi.Capabilities {
	return abi.Capabilities{Tool: &abi.ToolScope{Names: names}}
}

var rows = map[string]row{
	"kernel.languages": {
		request: policy.Request{Op: abi.OpKernelExecute, Language: "r"},
		allows:  kernel(0, "python", "r"),
		denies:  kernel(0, "python"),
		grant:   "kernel.languages: r",
	},
	"kernel.max_time": {
		request: policy.Request{Op: abi.OpKernelExecute, MaxTime: 5 * time.Minute},
		allows:  kernel(5*time.Minute, "python"),
		denies:  kernel(5*time.Minute-1, "python"),
		grant:   "kernel.max_time: 5m",
	},
	"tool.names": {
		request: policy.Request{Op: abi.OpToolCall, Tool: "files_read"},
		allows:  tools("files_list", "files_read"),
		denies:  tools("files_list", "python_run"),
		grant:   "tool.names: files_read",
	},
	"http.max_time": {
		request: policy.Request{Op: abi.OpHTTPFetch, MaxTime: 30 * time.Second},
		allows:  http(func(s *abi.HTTPScope) { s.MaxTime = abi.Duration(30 * time.Second) }),
		denies:  http(func(s *abi.HTTPScope) { s.MaxTime = abi.Duration(30*time.Second - 1) }),
		grant:   "http.max_time: 30s",
	},
	"http.max_bytes": {
		request: policy.Request{Op: abi.OpHTTPFetch, MaxBytes: 1024},
		allows:  http(func(s *abi.HTTPScope) { s.MaxBytes = 1024 }),
		denies:  http(func(s *abi.HTTPScope) { s.MaxBytes = 1023 }),
		grant:   "http.max_bytes: 1024",
	},
}

func TestScopesNeedEverybodysConsent(t *testing.T) {
	for scope, r := range rows {
		t.Run(scope, func(t *testing.T) {
			if !strings.HasPrefix(r.grant, scope+": ") {
				t.Errorf("the row is about another scope: %s", r.grant)
			}
			for _, c := range []abi.Capabilities{r.allows, r.denies} {
				if err := c.Validate(); err != nil {
					t.Errorf("the row declares what can't be: %v", err)
				}
			}
			if err := policy.Check(r.allows, r.request); err != nil {
				t.Errorf("what was granted is refused: %v", err)
			}
			effective := map[string]abi.Capabilities{
				"not in effect":             r.denies,
				"nothing in effect":         {},
				"not requested":             policy.Effective(r.denies, r.allows, nil),
				"not granted":               policy.Effective(r.allows, r.denies, nil),
				"not in the profile":        policy.Effective(r.allows, r.allows, &r.denies),
				"granted and not requested": policy.Effective(abi.Capabilities{}, r.allows, nil),
				"requested and not granted": policy.Effective(r.allows, abi.Capabilities{}, nil),
				"an empty profile":          policy.Effective(r.allows, r.allows, &abi.Capabilities{}),
			}
			for name, c := range effective {
				err := policy.Check(c, r.request)
				if abi.CodeOf(err) != abi.CodePermissionDenied {
					t.Errorf("%s: got %v, want permission_denied", name, err)
					continue
				}
				e := abi.AsError(err)
				whole := c.Kernel == nil && c.HTTP == nil && c.Tool == nil
				if e.Grant != r.grant && !whole {
					t.Errorf("%s: names the grant %q, want %q", name, e.Grant, r.grant)
				}
				if e.Grant == "" || !strings.Contains(e.Hint, e.Grant) {
					t.Errorf("%s: the hint %q doesn't name the grant %q", name, e.Hint, e.Grant)
				}
			}
			if err := policy.Check(policy.Effective(r.allows, r.allows, &r.allows), r.request); err != nil {
				t.Errorf("what all three allow is refused: %v", err)
			}
		})
	}
}

func TestEveryOperationNeedsAGrantButThoseOfCall(t *testing.T) {
	for _, op := range abi.Ops() {
		err := policy.Check(abi.Capabilities{}, policy.Request{Op: op})
		if strings.HasPrefix(op, "call.") {
			if err != nil {
				t.Errorf("%s: %v", op, err)
			}
		} else if abi.CodeOf(err) != abi.CodePermissionDenied {
			t.Errorf("%s without any grant: got %v, want permission_denied", op, err)
		}
	}
}

func TestKernelGrantsCoverEveryKernelOperation(t *testing.T) {
	granted := kernel(time.Minute, "python")
	for _, op := range []string{abi.OpKernelExecute, abi.OpKernelInterrupt, abi.OpKernelReset, abi.OpKernelStatus} {
		if err := policy.Check(granted, policy.Request{Op: op}); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		if err := policy.Check(granted, policy.Request{Op: op, Language: "julia"}); abi.AsError(err) == nil || abi.AsError(err).Grant != "kernel.languages: julia" {
			t.Errorf("%s of another language: %v", op, err)
		}
	}
}

func TestWhatNoGrantCouldAllowSaysWhy(t *testing.T) {
	all := kernel(0, "python")
	tests := []struct {
		name    string
		request policy.Request
		code    abi.Code
		message string
	}{
		{"unknown operation", policy.Request{Op: "kernel.destroy"}, abi.CodeUnimplemented, "kernel.destroy"},
		{"no operation", policy.Request{}, abi.CodeUnimplemented, "no operation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := policy.Check(all, tt.request)
			if abi.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.message) {
				t.Fatalf("got %v, want %v: %s", err, tt.code, tt.message)
			}
			if e := abi.AsError(err); e.Grant != "" || e.Hint == "" {
				t.Errorf("grant %q, hint %q", e.Grant, e.Hint)
			}
		})
	}
}

func TestEffectiveIsTheIntersection(t *testing.T) {
	requested := abi.Capabilities{
		Kernel: &abi.KernelScope{Languages: []string{"r", "python", "python"}, MaxTime: abi.Duration(10 * time.Minute)},
		Files:  &abi.FilesScope{Upload: "read", Output: "write", Store: "append"},
		Tool:   &abi.ToolScope{Names: []string{"files_read", "files_list", "files_read", "a_b"}},
	}
	granted := abi.Capabilities{
		Kernel: &abi.KernelScope{Languages: []string{"python", "julia", "r"}},
		Files:  &abi.FilesScope{Output: "read", Store: "append", Deploy: "write"},
		Tool:   &abi.ToolScope{Names: []string{"files_list", "files_read", "files_write"}},
	}
	profile := abi.Capabilities{
		Kernel: &abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(time.Minute)},
		Files:  &abi.FilesScope{Output: "write", Deploy: "write"},
		Tool:   &abi.ToolScope{Names: []string{"files_write", "files_list"}},
	}
	want := abi.Capabilities{
		Kernel: &abi.KernelScope{Languages: []string{"r", "python"}, MaxTime: abi.Duration(10 * time.Minute)},
		Files:  &abi.FilesScope{Output: "read", Store: "append"},
		Tool:   &abi.ToolScope{Names: []string{"files_read", "files_list"}},
	}
	if got := policy.Effective(requested, granted, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("without a profile: got %+v %+v %+v", got.Kernel, got.Files, got.Tool)
	}
	want = abi.Capabilities{
		Kernel: &abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(time.Minute)},
		Files:  &abi.FilesScope{Output: "read"},
		Tool:   &abi.ToolScope{Names: []string{"files_list"}},
	}
	if got := policy.Effective(requested, granted, &profile); !reflect.DeepEqual(got, want) {
		t.Errorf("with a profile: got %+v %+v %+v", got.Kernel, got.Files, got.Tool)
	}
	none := policy.Effective(requested, abi.Capabilities{
		Kernel: &abi.KernelScope{Languages: []string{"julia"}}, Files: &abi.FilesScope{Deploy: "write"},
		Tool: &abi.ToolScope{Names: []string{"files_write"}},
	}, nil)
	if !reflect.DeepEqual(none, abi.Capabilities{}) {
		t.Errorf("nothing in common: got %+v", none)
	}
	if got := policy.Effective(abi.Capabilities{Files: &abi.FilesScope{Upload: "write"}}, abi.Capabilities{Files: &abi.FilesScope{Upload: "write"}}, nil); got.Files.Upload != abi.AccessRead {
		t.Errorf("beyond the zone's rule: got %q", got.Files.Upload)
	}
}
