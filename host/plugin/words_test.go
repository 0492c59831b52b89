package plugin_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/fetch"
	"github.com/sallyport-dev/sallyport/host/internal/egress"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

var everything = abi.Capabilities{
	Kernel: &abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(10 * time.Minute), Network: true},
	Files:  &abi.FilesScope{Upload: "read", Output: "write", Store: "append", Deploy: "read"},
	HTTP: &abi.HTTPScope{
		Allow: []abi.HTTPRule{{
			Hosts: []string{"api.example.com", "127.0.0.1"}, Schemes: []string{"http"}, Ports: []abi.PortRange{{First: 8080, Last: 8080}, {First: 9000, Last: 9010}},
			Methods: []string{"GET", "PUT", "POST"}, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		}},
		Secrets: []abi.HTTPSecret{{Name: "token", Header: "Authorization", Prefix: "Bearer ", Hosts: []string{"api.example.com"}}},
		MaxTime: abi.Duration(30 * time.Second), MaxBytes: 1000,
	},
	Tool: &abi.ToolScope{Names: []string{"files_read", "sheet_sum_up"}},
}

func TestWordsSayWhatIsAskedFor(t *testing.T) {
	want := []string{
		"runs python code in a kernel of its own, at most 10m an execution",
		"code in the kernel reaches the network through the host's proxy, as far as http is allowed; inside https with any method",
		"sends GET, PUT and POST over http to api.example.com and 127.0.0.1, ports 8080 and 9000-9010, also where that leads to addresses of 127.0.0.1/32 that aren't public",
		"a request over http or https takes 30s at most, and its response has 1000 bytes at most",
		`has the host put the secret token into the header Authorization of requests over https to api.example.com, after "Bearer "`,
		"reads upload",
		"reads, writes, changes and deletes in output",
		"reads and adds to store",
		"reads deploy",
		"calls the tool files_read, and by that borrows what plugin files was granted",
		"calls the tool sheet_sum_up, and by that borrows what plugin sheet was granted",
	}
	if got := plugin.Words(everything); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	open := abi.Capabilities{Kernel: &abi.KernelScope{Languages: []string{"python", "r"}}}
	want = []string{
		"runs python code in a kernel of its own, as long an execution as the host allows",
		"runs r code in a kernel of its own, as long an execution as the host allows",
	}
	if got := plugin.Words(open); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := plugin.Words(abi.Capabilities{}); len(got) != 0 {
		t.Errorf("nothing asked for: got %q", got)
	}
}

// Every scope that can be declared changes what an operator reads: a scope that
// is asked for in silence would be granted in ignorance.
func TestEveryScopeIsPutIntoWords(t *testing.T) {
	var change func(v reflect.Value, path string)
	change = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			field, name := v.Field(i), path+"."+v.Type().Field(i).Name
			if field.Kind() == reflect.Pointer {
				change(field.Elem(), name)
				continue
			}
			was := reflect.New(field.Type()).Elem()
			was.Set(field)
			before := plugin.Words(everything)
			switch x := field.Addr().Interface().(type) {
			case *abi.Access:
				*x = abi.AccessNone
			case *string:
				*x = "cobol"
			case *[]string:
				*x = []string{"cobol"}
			case *bool:
				*x = !*x
			case *int64:
				*x = 1
			case *abi.Duration:
				*x = abi.Duration(time.Second)
			case *[]abi.PortRange:
				*x = []abi.PortRange{{First: 1, Last: 1}}
			case *[]netip.Prefix:
				*x = nil
			case *[]abi.HTTPRule:
				change(field.Index(0), name+"[0]")
				*x = append(slices.Clone(*x), (*x)...)
			case *[]abi.HTTPSecret:
				change(field.Index(0), name+"[0]")
				*x = nil
			default:
				t.Fatalf("%s has the type %s: say here how to change it", name, field.Type())
			}
			if slices.Equal(before, plugin.Words(everything)) {
				t.Errorf("a change of %s changes no word", name)
			}
			field.Set(was)
		}
	}
	change(reflect.ValueOf(&everything).Elem(), "Capabilities")
}

func TestHTTPInWords(t *testing.T) {
	if fetch.DefaultMaxTime != time.Minute || fetch.DefaultMaxBytes != 32<<20 || egress.DefaultMaxTime != time.Hour || egress.DefaultMaxBytes != 4<<30 {
		t.Error("the words name other bounds than the host has")
	}
	tests := []struct {
		rule abi.HTTPRule
		want string
	}{
		{abi.HTTPRule{Hosts: []string{"api.example.com"}}, "sends GET and HEAD over https to api.example.com, port 443"},
		{abi.HTTPRule{Hosts: []string{"a.example", "*", "b.example"}, Methods: []string{"*"}}, "sends requests of any method over https to any host, port 443"},
		{abi.HTTPRule{Hosts: []string{"*.example.org"}, Schemes: []string{"http", "https"}}, "sends GET and HEAD over http and https to *.example.org, each at its usual port"},
		{abi.HTTPRule{Hosts: []string{"a.example"}, Schemes: []string{"http"}, Ports: []abi.PortRange{{First: 1, Last: 65535}}}, "sends GET and HEAD over http to a.example, at any port"},
	}
	for _, tt := range tests {
		got := plugin.Words(abi.Capabilities{HTTP: &abi.HTTPScope{Allow: []abi.HTTPRule{tt.rule}}})
		if want := []string{tt.want, "a request over http or https takes as long as the host allows (a minute; from a kernel an hour), and its response has as many bytes as the host allows (32 MiB; in a kernel 4 GiB)"}; !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	open := plugin.Words(abi.Capabilities{HTTP: &abi.HTTPScope{Secrets: []abi.HTTPSecret{{Name: "*", Header: "*", Hosts: []string{"*"}}}}})
	if want := "has the host put a secret of your choice into a header of your choice of requests over https to any host: which one, you write in the policy by hand"; open[1] != want {
		t.Errorf("a secret that is left open: %q", open[1])
	}
}

func TestDiffSaysWhatChangedOfHTTP(t *testing.T) {
	manifest := func(rules ...abi.HTTPRule) abi.Manifest {
		return abi.Manifest{Capabilities: abi.Capabilities{HTTP: &abi.HTTPScope{Allow: rules}}}
	}
	a, b := abi.HTTPRule{Hosts: []string{"a.example"}}, abi.HTTPRule{Hosts: []string{"b.example"}}
	posts, puts := a, a
	posts.Methods, puts.Methods = []string{"POST"}, []string{"PUT"}
	tests := []struct {
		name     string
		old, new abi.Manifest
		want     []string
	}{
		{"a rule in front", manifest(a), manifest(b, a), []string{"newly asked: sends GET and HEAD over https to b.example, port 443"}},
		{"another method", manifest(b, a), manifest(b, posts), []string{"now asked: sends POST over https to a.example, port 443 (before: sends GET and HEAD over https to a.example, port 443)"}},
		{"a second rule for the host", manifest(a), manifest(a, posts), []string{"newly asked: sends POST over https to a.example, port 443"}},
		{"a second and a third", manifest(a), manifest(a, posts, puts), []string{"newly asked: sends POST over https to a.example, port 443", "newly asked: sends PUT over https to a.example, port 443"}},
		{"a rule less", manifest(a, b), manifest(b), []string{"no longer asked: sends GET and HEAD over https to a.example, port 443"}},
	}
	for _, tt := range tests {
		if got := plugin.Diff(tt.old, tt.new); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q", tt.name, got)
		}
	}
}

func TestDiffSaysWhatAnOperatorDecidesOn(t *testing.T) {
	old := edited(func(m *abi.Manifest) {
		m.Capabilities = abi.Capabilities{
			Kernel: &abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(5 * time.Minute)},
			Files:  &abi.FilesScope{Upload: "read", Output: "read", Deploy: "write"},
			Tool:   &abi.ToolScope{Names: []string{"files_list", "files_read"}},
		}
		m.Limits = abi.Limits{MemoryMiB: 64}
		m.Tools = append(m.Tools, abi.Tool{Name: "gone", Description: "Goes.", InputSchema: json.RawMessage(anyObject)},
			abi.Tool{Name: "same", Description: "Stays.", InputSchema: json.RawMessage(anyObject)})
	})
	next := edited(func(m *abi.Manifest) {
		m.Version = "2.0.0"
		m.Capabilities = abi.Capabilities{
			Kernel: &abi.KernelScope{Languages: []string{"python", "r"}, MaxTime: abi.Duration(10 * time.Minute)},
			Files:  &abi.FilesScope{Upload: "read", Output: "write", Store: "append"},
			Tool:   &abi.ToolScope{Names: []string{"files_read", "files_write"}},
		}
		m.Limits = abi.Limits{MemoryMiB: 128, Deadline: abi.Duration(time.Minute)}
		m.Tools[0].InputSchema = json.RawMessage(`{"type":"object","required":["place"]}`)
		m.Tools[0].Description = "Tells it well."
		m.Tools = append(m.Tools, abi.Tool{Name: "added", Description: "Comes.", InputSchema: json.RawMessage(anyObject)},
			abi.Tool{Name: "same", Description: "Stays.", InputSchema: json.RawMessage(`{ "type": "object" }`)})
	})
	want := []string{
		"newly asked: runs r code in a kernel of its own, at most 10m an execution",
		"newly asked: reads and adds to store",
		"newly asked: calls the tool files_write, and by that borrows what plugin files was granted",
		"now asked: runs python code in a kernel of its own, at most 10m an execution (before: runs python code in a kernel of its own, at most 5m an execution)",
		"now asked: reads, writes, changes and deletes in output (before: reads output)",
		"no longer asked: reads, writes, changes and deletes in deploy",
		"no longer asked: calls the tool files_list, and by that borrows what plugin files was granted",
		"memory: 128 MiB (before: 64 MiB)",
		"deadline: 1m (before: the host's default)",
		"new tool: weather_added",
		"changed tool: weather_tell (arguments, description)",
		"removed tool: weather_gone",
	}
	if got := plugin.Diff(old, next); !slices.Equal(got, want) {
		t.Errorf("got:\n%q\nwant:\n%q", got, want)
	}
	if got := plugin.Diff(old, old); len(got) != 0 {
		t.Errorf("nothing changed: got %q", got)
	}
}

func TestLimitsInWords(t *testing.T) {
	if got, want := plugin.LimitWords(abi.Limits{MemoryMiB: 64}), "memory: 64 MiB; deadline of a call: the host's default"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
