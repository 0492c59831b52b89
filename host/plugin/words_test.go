package plugin_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

var everything = abi.Capabilities{
	Kernel: &abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(10 * time.Minute)},
	Files:  &abi.FilesScope{Upload: "read", Output: "write", Store: "append", Deploy: "read"},
}

func TestWordsSayWhatIsAskedFor(t *testing.T) {
	want := []string{
		"runs python code in a kernel of its own, at most 10m an execution",
		"reads upload",
		"reads, writes, changes and deletes in output",
		"reads and adds to store",
		"reads deploy",
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
			case *[]string:
				*x = []string{"cobol"}
			case *abi.Duration:
				*x = abi.Duration(time.Second)
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

func TestDiffSaysWhatAnOperatorDecidesOn(t *testing.T) {
	old := edited(func(m *abi.Manifest) {
		m.Capabilities = abi.Capabilities{
			Kernel: &abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(5 * time.Minute)},
			Files:  &abi.FilesScope{Upload: "read", Output: "read", Deploy: "write"},
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
		"now asked: runs python code in a kernel of its own, at most 10m an execution (before: runs python code in a kernel of its own, at most 5m an execution)",
		"now asked: reads, writes, changes and deletes in output (before: reads output)",
		"no longer asked: reads, writes, changes and deletes in deploy",
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
