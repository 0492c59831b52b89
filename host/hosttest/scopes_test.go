package hosttest_test

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/policy"
)

type arguments map[string]any

// A scope is one thing that a grant or a limit can say, and how a plugin that
// needs more of it shows that it is held.
type scope struct {
	tool   string
	args   arguments // of a call that needs what the plugin asks for
	narrow func(*policy.Entry)
	code   abi.Code // of the same call's refusal, once narrowed
	grant  string   // that the refusal names
	says   string   // what it says, or hints at, of a limit
}

var scopes = map[string]scope{
	"kernel.languages": {
		tool: "ungranted_run", args: arguments{"code": "1+1"},
		narrow: func(e *policy.Entry) { e.Grant.Kernel.Languages = []string{"r"} },
		code:   abi.CodePermissionDenied, grant: "kernel.languages: python",
	},
	"kernel.max_time": {
		tool: "ungranted_run", args: arguments{"code": "1+1", "timeout_seconds": 45},
		narrow: func(e *policy.Entry) { e.Grant.Kernel.MaxTime = abi.Duration(44 * time.Second) },
		code:   abi.CodePermissionDenied, grant: "kernel.max_time: 45s",
	},
	"files.upload": {
		tool: "files_list", args: arguments{"path": "upload"},
		narrow: func(e *policy.Entry) { e.Grant.Files.Upload = abi.AccessNone },
		code:   abi.CodePermissionDenied, grant: "files.upload: read",
	},
	"files.output": {
		tool: "files_write", args: arguments{"path": "output/new.txt", "content": "text"},
		narrow: func(e *policy.Entry) { e.Grant.Files.Output = abi.AccessRead },
		code:   abi.CodePermissionDenied, grant: "files.output: append",
	},
	"files.store": {
		tool: "files_write", args: arguments{"path": "store/new.txt", "content": "text", "mode": "append"},
		narrow: func(e *policy.Entry) { e.Grant.Files.Store = abi.AccessRead },
		code:   abi.CodePermissionDenied, grant: "files.store: append",
	},
	"files.deploy": {
		tool: "files_write", args: arguments{"path": "deploy/new.txt", "content": "text"},
		narrow: func(e *policy.Entry) { e.Grant.Files.Deploy = abi.AccessRead },
		code:   abi.CodePermissionDenied, grant: "files.deploy: append",
	},
	"limits.memory_mib": {
		tool: "badboy_eat", args: arguments{"mib": 48},
		narrow: func(e *policy.Entry) { e.Limits.MemoryMiB = 32 },
		code:   abi.CodePluginFailed, says: "limits.memory_mib",
	},
	"limits.deadline": {
		// It starts a Python process, which takes longer than that.
		tool: "ungranted_run", args: arguments{"code": "1+1"},
		narrow: func(e *policy.Entry) { e.Limits.Deadline = abi.Duration(time.Millisecond) },
		code:   abi.CodeDeadlineExceeded, says: "limits.deadline",
	},
}

// leaves lists the scopes that a type can declare, by the names of its fields.
func leaves(t *testing.T, typ reflect.Type, prefix string) []string {
	t.Helper()
	var names []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			t.Fatalf("%s.%s has no name in JSON", typ, field.Name)
		}
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			names = append(names, leaves(t, inner, prefix+name+".")...)
		} else {
			names = append(names, prefix+name)
		}
	}
	return names
}

// TestEveryScopeThatCanBeDeclaredIsEnforced holds that a real host enforces
// whatever a manifest can ask for: each call here goes through where its plugin
// has what it asks for, and is refused, by name, where the operator granted
// less of that one thing.
func TestEveryScopeThatCanBeDeclaredIsEnforced(t *testing.T) {
	declared := append(leaves(t, reflect.TypeFor[abi.Capabilities](), ""), leaves(t, reflect.TypeFor[abi.Limits](), "limits.")...)
	slices.Sort(declared)
	if have := slices.Sorted(maps.Keys(scopes)); !slices.Equal(declared, have) {
		t.Fatalf("what can be declared is\n%q\nand these have a row:\n%q", declared, have)
	}
	stage := func(t *testing.T, edit func(*policy.Entry)) *hosttest.Stage {
		s := hosttest.NewStage(t, hosttest.Options{
			Plugins: []string{"testdata/plugins/ungranted", "testdata/plugins/badboy", "plugins/files"},
			Edit:    edit,
		})
		var list struct{ Plugins []host.PluginStatus }
		s.Operator.JSON(http.MethodGet, "/v1/plugins", "", &list)
		for _, p := range list.Plugins {
			if p.State != host.PluginLoaded {
				t.Fatalf("%s is %s: %v", p.Name, p.State, p.Error)
			}
		}
		return s
	}
	whole := stage(t, nil)
	for _, name := range declared {
		sc := scopes[name]
		t.Run(name, func(t *testing.T) {
			if a := whole.Agent.Try(whole.Agent.Session(), sc.tool, sc.args); a.StatusCode != http.StatusOK {
				t.Fatalf("what was granted came to %d %s", a.StatusCode, a.Body)
			}
			plugin, _ := abi.SplitName(sc.tool)
			narrowed := stage(t, func(e *policy.Entry) {
				if e.Name == plugin {
					sc.narrow(e)
				}
			})
			p := narrowed.Agent.Try(narrowed.Agent.Session(), sc.tool, sc.args).Problem(t)
			if p.Code != sc.code || p.Grant != sc.grant || !strings.Contains(p.Detail+"\n"+p.Hint, sc.says) {
				t.Errorf("granted less, it came to %+v", p)
			}
			if (sc.grant == "") == (sc.says == "") || sc.grant != "" && !strings.HasPrefix(sc.grant, name+": ") || sc.says != "" && sc.says != name {
				t.Errorf("the row is about something else: %q, %q", sc.grant, sc.says)
			}
		})
	}
}
