package abi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

func TestAccessesIncludeTheOnesBefore(t *testing.T) {
	order := []abi.Access{abi.AccessNone, abi.AccessRead, abi.AccessAppend, abi.AccessWrite}
	for i, a := range order {
		for j, b := range order {
			if got := a.Includes(b); got != (i >= j) {
				t.Errorf("%q includes %q: %v", a, b, got)
			}
			if got := a.Min(b); got != order[min(i, j)] {
				t.Errorf("the lesser of %q and %q is %q", a, b, got)
			}
		}
	}
}

func TestAnUnknownAccessAllowsNothing(t *testing.T) {
	const bogus = abi.Access("all")
	for _, a := range []abi.Access{abi.AccessNone, abi.AccessRead, abi.AccessAppend, abi.AccessWrite, bogus} {
		if a.Includes(bogus) || bogus.Includes(a) {
			t.Errorf("%q and %q include one another", a, bogus)
		}
		if a.Min(bogus) != abi.AccessNone || bogus.Min(a) != abi.AccessNone {
			t.Errorf("the lesser of %q and %q is not none", a, bogus)
		}
	}
}

func TestEveryZoneHasAScopeAMountAndARule(t *testing.T) {
	var scope abi.FilesScope
	for i, zone := range abi.Zones() {
		if scope.Zone(zone) == nil {
			t.Errorf("%s has no scope", zone)
		}
		if mount := abi.Mounts()[i]; mount != "/"+zone {
			t.Errorf("mount %d is %s, want /%s", i, mount, zone)
		}
		if abi.ZoneRule(zone) == abi.AccessNone {
			t.Errorf("%s allows nothing", zone)
		}
	}
	if scope.Zone("etc") != nil || abi.ZoneRule("etc") != abi.AccessNone {
		t.Error("a zone that isn't there has a scope or a rule")
	}
}

func TestCapabilitiesValidate(t *testing.T) {
	kernel := func(k abi.KernelScope) abi.Capabilities { return abi.Capabilities{Kernel: &k} }
	files := func(f abi.FilesScope) abi.Capabilities { return abi.Capabilities{Files: &f} }
	tests := []struct {
		name string
		in   abi.Capabilities
		want string // part of the message, "" for none
	}{
		{"nothing", abi.Capabilities{}, ""},
		{"a kernel", kernel(abi.KernelScope{Languages: []string{"python"}}), ""},
		{"no language", kernel(abi.KernelScope{}), "kernel.languages is empty"},
		{"an empty language", kernel(abi.KernelScope{Languages: []string{""}}), "kernel.languages has an empty name"},
		{"negative time", kernel(abi.KernelScope{Languages: []string{"python"}, MaxTime: -1}), "kernel.max_time is negative"},
		{"every zone at its rule", files(abi.FilesScope{Upload: "read", Output: "write", Store: "append", Deploy: "write"}), ""},
		{"writing to upload", files(abi.FilesScope{Upload: "write"}), `files.upload is "write", and that zone allows "read" at most`},
		{"changing the store", files(abi.FilesScope{Store: "write"}), `files.store is "write", and that zone allows "append" at most`},
		{"an unknown access", files(abi.FilesScope{Output: "rw"}), `files.output is "rw"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkInvalid(t, tt.in.Validate(), tt.want)
		})
	}
}

func TestLimitsValidate(t *testing.T) {
	tests := []struct {
		in   abi.Limits
		want string
	}{
		{abi.Limits{}, ""},
		{abi.Limits{MemoryMiB: 4096, Deadline: abi.Duration(time.Minute)}, ""},
		{abi.Limits{MemoryMiB: 4097}, "limits.memory_mib is 4097"},
		{abi.Limits{MemoryMiB: -1}, "limits.memory_mib is -1"},
		{abi.Limits{Deadline: -1}, "limits.deadline is negative"},
	}
	for _, tt := range tests {
		checkInvalid(t, tt.in.Validate(), tt.want)
	}
}

func TestDurationsAreTextInJSON(t *testing.T) {
	in := abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(90 * time.Second)}
	b, err := json.Marshal(in)
	if err != nil || string(b) != `{"languages":["python"],"max_time":"1m30s"}` {
		t.Errorf("written: %s, %v", b, err)
	}
	var back abi.KernelScope
	if err := json.Unmarshal(b, &back); err != nil || back.MaxTime != in.MaxTime {
		t.Errorf("read: %v, %v", back.MaxTime, err)
	}
	err = json.Unmarshal([]byte(`{"max_time":"90"}`), &back)
	if err == nil || !strings.Contains(err.Error(), "use a number with a unit") {
		t.Errorf("a number without a unit: %v", err)
	}
	b, err = json.Marshal(abi.Limits{})
	if err != nil || string(b) != "{}" {
		t.Errorf("limits of the host's: %s, %v", b, err)
	}
}

// checkInvalid checks for invalid_argument with want in its message, or for no
// error where want is empty.
func checkInvalid(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (abi.CodeOf(err) != abi.CodeInvalidArgument || !strings.Contains(err.Error(), want)):
		t.Errorf("error is %v, want invalid_argument with %q", err, want)
	}
}
