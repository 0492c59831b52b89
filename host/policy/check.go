package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

// Effective returns what a plugin may do: what its manifest requests, its
// operator granted and, where there is one, the session's profile allows. A nil
// profile takes nothing away. A kernel has no network where nothing is allowed
// over HTTP. The result shares nothing with the arguments, and a capability with
// itself is itself.
func Effective(requested, granted abi.Capabilities, profile *abi.Capabilities) abi.Capabilities {
	out := both(requested, granted)
	if profile != nil {
		out = both(out, *profile)
	}
	return out
}

func both(a, b abi.Capabilities) abi.Capabilities {
	out := abi.Capabilities{HTTP: bothHTTP(a.HTTP, b.HTTP)}
	if a.Kernel != nil && b.Kernel != nil {
		k := abi.KernelScope{
			Languages: bothNames(a.Kernel.Languages, b.Kernel.Languages),
			MaxTime:   lesser(a.Kernel.MaxTime, b.Kernel.MaxTime), Network: a.Kernel.Network && b.Kernel.Network && out.HTTP != nil,
		}
		if len(k.Languages) > 0 {
			out.Kernel = &k
		}
	}
	if a.Files != nil && b.Files != nil {
		var f abi.FilesScope
		for _, zone := range abi.Zones() {
			*f.Zone(zone) = a.Files.Zone(zone).Min(*b.Files.Zone(zone)).Min(abi.ZoneRule(zone))
		}
		if f != (abi.FilesScope{}) {
			out.Files = &f
		}
	}
	if a.Tool != nil && b.Tool != nil {
		if names := bothNames(a.Tool.Names, b.Tool.Names); len(names) > 0 {
			out.Tool = &abi.ToolScope{Names: names}
		}
	}
	return out
}

// bothNames returns the names of a that are in b, each once.
func bothNames(a, b []string) []string {
	var out []string
	for _, name := range a {
		if slices.Contains(b, name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// lesser returns the tighter of two bounds, of which zero is none.
func lesser[N abi.Duration | int64](a, b N) N {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// A Request is one operation that a plugin asks for.
type Request struct {
	Op       string        // such as kernel.execute
	Language string        // of a kernel; "" is python
	Tool     string        // of another plugin, by its full name
	MaxTime  time.Duration // asked for one execution or exchange; zero is as long as is allowed
	MaxBytes int64         // asked for a response over HTTP; zero is as much as is allowed
}

// Check is the second gate, for operations; that of the zones is the mounts. Nil
// means that effective covers r. A refusal has the code permission_denied and
// names the grant that would help in Grant. Operations of call are every
// plugin's; one that this host doesn't have is unimplemented. Where a request
// over HTTP may go is decided beside the connection, not here.
func Check(effective abi.Capabilities, r Request) error {
	if !slices.Contains(abi.Ops(), r.Op) {
		return abi.Errorf(abi.CodeUnimplemented, "this host has no operation %q", r.Op).
			WithHint("the host speaks ABI %d; a newer one may have it", abi.Version)
	}
	capability, _, _ := strings.Cut(r.Op, ".")
	switch capability {
	case "call":
		return nil
	case "kernel":
		return checkKernel(effective.Kernel, r)
	case "http":
		return checkHTTP(effective.HTTP, r)
	case "tool":
		return checkTool(effective.Tool, r)
	}
	// An operation that nobody has written a rule for is nobody's.
	return denied(capability, "%s needs a grant that this host doesn't know", r.Op)
}

func checkKernel(k *abi.KernelScope, r Request) error {
	language := r.Language
	if language == "" {
		language = "python"
	}
	if k == nil || !slices.Contains(k.Languages, language) {
		return denied("kernel.languages: "+language, "%s is not granted to this plugin for %s", r.Op, language)
	}
	if r.Op == abi.OpKernelExecute && k.MaxTime > 0 && r.MaxTime > time.Duration(k.MaxTime) {
		asked := strictyaml.Brief(abi.Duration(r.MaxTime))
		return denied("kernel.max_time: "+asked, "%s for %s: this plugin may run code for %s at most", r.Op, asked, strictyaml.Brief(k.MaxTime))
	}
	return nil
}

func checkTool(t *abi.ToolScope, r Request) error {
	if t == nil || !slices.Contains(t.Names, r.Tool) {
		return denied("tool.names: "+r.Tool, "%s of %s is not granted to this plugin", r.Op, r.Tool)
	}
	return nil
}

// denied makes the refusal that a grant would lift.
func denied(grant, format string, args ...any) *abi.Error {
	e := abi.Errorf(abi.CodePermissionDenied, format, args...).
		WithHint("the operator grants %q in policy.yaml, to a plugin whose manifest asks for it", grant)
	e.Grant = grant
	return e
}
