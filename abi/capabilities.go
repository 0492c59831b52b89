package abi

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Capabilities are what a manifest requests and what an operator grants; both
// have the same shape, and what is effective is their intersection. A nil
// member is nothing. Every scope here is enforced: a test of the host holds a
// row for each and fails when one is added without.
type Capabilities struct {
	Kernel *KernelScope `json:"kernel,omitempty"`
	Files  *FilesScope  `json:"files,omitempty"`
	HTTP   *HTTPScope   `json:"http,omitempty"`
	Tool   *ToolScope   `json:"tool,omitempty"`
}

// A ToolScope allows tools of other plugins to be called. Whoever may call a
// tool borrows what its plugin was granted.
type ToolScope struct {
	// Names are the tools' full names, such as "files_read".
	Names []string `json:"names"`
}

// A KernelScope allows code to be run in Jupyter kernels.
type KernelScope struct {
	// Languages are the kernels' names, such as "python".
	Languages []string `json:"languages"`
	// MaxTime bounds one execution; zero leaves the host's default.
	MaxTime Duration `json:"max_time,omitempty"`
	// Network lets code that runs in the kernel reach what the plugin's http
	// scope allows, through the host's proxy. Secrets aren't added there.
	Network bool `json:"network,omitempty"`
}

// A FilesScope allows access to the workspace's zones.
type FilesScope struct {
	Upload Access `json:"upload,omitempty"`
	Output Access `json:"output,omitempty"`
	Store  Access `json:"store,omitempty"`
	Deploy Access `json:"deploy,omitempty"`
}

// Zones lists the workspace's zones in the order of their mounts.
func Zones() []string { return []string{"upload", "output", "store", "deploy"} }

// Zone returns a pointer to the access of a zone, nil for an unknown one.
func (f *FilesScope) Zone(zone string) *Access {
	switch zone {
	case "upload":
		return &f.Upload
	case "output":
		return &f.Output
	case "store":
		return &f.Store
	case "deploy":
		return &f.Deploy
	}
	return nil
}

// Access says what may be done in a zone; each includes the ones before it.
type Access string

// Accesses. The zero value is none.
const (
	AccessNone   Access = ""
	AccessRead   Access = "read"   // list and read
	AccessAppend Access = "append" // create new files, add to the end of old ones
	AccessWrite  Access = "write"  // change, rename and delete
)

var accessOrder = []Access{AccessNone, AccessRead, AccessAppend, AccessWrite}

// Valid says whether a is one of the constants.
func (a Access) Valid() bool { return slices.Contains(accessOrder, a) }

// Includes says whether a allows what b allows. An access that isn't Valid
// allows nothing, and nothing allows it.
func (a Access) Includes(b Access) bool {
	return a.Valid() && b.Valid() && slices.Index(accessOrder, a) >= slices.Index(accessOrder, b)
}

// Min returns the lesser of a and b, none when one of them isn't Valid.
func (a Access) Min(b Access) Access {
	switch {
	case a.Includes(b):
		return b
	case b.Includes(a):
		return a
	}
	return AccessNone
}

// ZoneRule returns the most that a zone allows to plugins: upload is read-only,
// store append-only, output and deploy read-write.
func ZoneRule(zone string) Access {
	switch zone {
	case "upload":
		return AccessRead
	case "store":
		return AccessAppend
	case "output", "deploy":
		return AccessWrite
	}
	return AccessNone
}

// Validate says what is wrong with c, in an error of code invalid_argument whose
// message starts with the path of the field, such as http.allow[0].hosts[1].
func (c Capabilities) Validate() error {
	if k := c.Kernel; k != nil {
		if len(k.Languages) == 0 {
			return Errorf(CodeInvalidArgument, "kernel.languages is empty: name at least one, such as python")
		}
		if slices.Contains(k.Languages, "") {
			return Errorf(CodeInvalidArgument, "kernel.languages has an empty name")
		}
		if k.MaxTime < 0 {
			return Errorf(CodeInvalidArgument, "kernel.max_time is negative: %v", k.MaxTime)
		}
	}
	if f := c.Files; f != nil {
		for _, zone := range Zones() {
			a := *f.Zone(zone)
			if !a.Valid() {
				return Errorf(CodeInvalidArgument, "files.%s is %q: use read, append or write", zone, a)
			}
			if !ZoneRule(zone).Includes(a) {
				return Errorf(CodeInvalidArgument, "files.%s is %q, and that zone allows %q at most", zone, a, ZoneRule(zone))
			}
		}
	}
	if c.HTTP != nil {
		if err := c.HTTP.validate(); err != nil {
			return err
		}
	}
	if c.Tool != nil {
		return c.Tool.validate()
	}
	return nil
}

func (s *ToolScope) validate() error {
	if len(s.Names) == 0 {
		return Errorf(CodeInvalidArgument, "tool.names is empty: name at least one tool, such as files_read")
	}
	for i, name := range s.Names {
		if !ValidFullName(name) {
			return Errorf(CodeInvalidArgument, "tool.names[%d] is %q: use a tool's full name, such as files_read", i, name)
		}
	}
	return nil
}

// Limits bound one call of a plugin, save the last two, which bound how many
// there are. Zero leaves the host's default. Each is enforced, and what a call
// took of it is in its result's metadata.
type Limits struct {
	// MemoryMiB bounds the linear memory, in MiB.
	MemoryMiB int `json:"memory_mib,omitempty"`
	// TableElements bounds the elements of all tables together.
	TableElements int `json:"table_elements,omitempty"`
	// StackKiB bounds the call stack, in KiB of parameters, locals and operands
	// of the functions under way; what the machine takes for them differs.
	StackKiB int `json:"stack_kib,omitempty"`
	// Deadline bounds a call's wall time, host functions included.
	Deadline Duration `json:"deadline,omitempty"`
	// Fuel bounds the work: one unit an instruction, and one for every eight
	// bytes that a bulk operation goes over.
	Fuel int64 `json:"fuel,omitempty"`
	// HostCalls bounds the calls of imports, WASI's included.
	HostCalls int64 `json:"host_calls,omitempty"`
	// HostBytes bounds what goes through them, in bytes and both ways.
	HostBytes int64 `json:"host_bytes,omitempty"`
	// OutputBytes bounds the frame that a call answers with.
	OutputBytes int64 `json:"output_bytes,omitempty"`
	// Concurrent bounds the calls of the plugin under way at once.
	Concurrent int `json:"concurrent,omitempty"`
	// Queue bounds the calls that wait for one of those to end. One more is
	// told to come again later.
	Queue int `json:"queue,omitempty"`
}

// Validate refuses negative limits and memories over wasm32's 4 GiB.
func (l Limits) Validate() error {
	if l.MemoryMiB < 0 || l.MemoryMiB > 4096 {
		return Errorf(CodeInvalidArgument, "limits.memory_mib is %d: use 1 to 4096", l.MemoryMiB)
	}
	if l.Deadline < 0 {
		return Errorf(CodeInvalidArgument, "limits.deadline is negative: %v", l.Deadline)
	}
	for _, limit := range []struct {
		name  string
		value int64
		most  int64
	}{
		{"table_elements", int64(l.TableElements), MaxTableElements},
		{"stack_kib", int64(l.StackKiB), MaxStackKiB},
		{"fuel", l.Fuel, math.MaxInt64},
		{"host_calls", l.HostCalls, math.MaxInt64},
		{"host_bytes", l.HostBytes, math.MaxInt64},
		{"output_bytes", l.OutputBytes, MaxFrameBytes},
		{"concurrent", int64(l.Concurrent), 10_000},
		{"queue", int64(l.Queue), 100_000},
	} {
		if limit.value < 0 || limit.value > limit.most {
			return Errorf(CodeInvalidArgument, "limits.%s is %d: use 1 to %d", limit.name, limit.value, limit.most)
		}
	}
	return nil
}

// A Duration is written as Go writes it: "90s", "5m".
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes d as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("duration %q: use a number with a unit, such as 90s or 5m", b)
	}
	*d = Duration(v)
	return nil
}
