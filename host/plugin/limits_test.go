package plugin_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

// Every limit that can be declared changes what an operator reads, by itself
// and beside the version before.
func TestEveryLimitIsPutIntoWords(t *testing.T) {
	for i := range reflect.TypeFor[abi.Limits]().NumField() {
		var m abi.Manifest
		field := reflect.ValueOf(&m.Limits).Elem().Field(i)
		name := reflect.TypeFor[abi.Limits]().Field(i).Name
		field.SetInt(77)
		if plugin.LimitWords(m.Limits) == plugin.LimitWords(abi.Limits{}) {
			t.Errorf("%s changes no word", name)
		}
		diff := plugin.Diff(abi.Manifest{}, m)
		if len(diff) != 1 || !strings.Contains(diff[0], "77") || !strings.HasSuffix(diff[0], "(before: the host's default)") {
			t.Errorf("%s: the difference is %q", name, diff)
		}
	}
}

func TestLimitsThatAreSetAreSaid(t *testing.T) {
	got := plugin.LimitWords(abi.Limits{Fuel: 5_000_000, Concurrent: 2, StackKiB: 64})
	want := "memory: the host's default; deadline of a call: the host's default; stack: 64 KiB; work: 5000000 instructions; calls at once: 2"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDiffSaysThatAnInstanceIsKept(t *testing.T) {
	kept := abi.Manifest{State: abi.StateSession}
	want := "state: kept for as long as its session: one call can leave something for the next (before: fresh for every call)"
	if got := plugin.Diff(abi.Manifest{}, kept); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := plugin.Diff(kept, kept); len(got) != 0 {
		t.Errorf("nothing changed: %q", got)
	}
}
