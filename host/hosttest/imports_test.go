package hosttest_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sallyport-dev/sallyport/"

// rule is what the packages of a folder may import besides the standard
// library. ours names packages of this module, others the third-party modules.
type rule struct {
	ours   string
	others string
	why    string
}

// rules is the layout's law. A folder that isn't here may not exist.
var rules = map[string]rule{
	"abi":                  {"", "", "both sides import the contract, so it drags nothing along"},
	"sdk":                  {"abi sdk/internal", "", "every import grows every plugin"},
	"sdk/internal":         {"abi", "", "part of sdk"},
	"sdk/kernel":           {"abi sdk", "", "one package a capability, so that a plugin imports only what it uses"},
	"sdk/http":             {"abi sdk", "", "as sdk/kernel"},
	"sdk/tool":             {"abi sdk", "", "as sdk/kernel"},
	"sdk/sdktest":          {"abi sdk sdk/internal", "", "authors test without a host"},
	"plugins":              {"abi sdk", "", "a plugin sees the host through the SDK alone"},
	"host":                 {"abi host/audit host/fetch host/kernel host/plugin host/policy host/replay host/session host/strictyaml host/workspace host/internal/bridge host/internal/egress host/internal/engine host/internal/proc", "github.com/hashicorp/go-hclog golang.org/x/sys", "the only place that wires"},
	"host/policy":          {"abi host/strictyaml", "", "pure: the decision can be tested without a host"},
	"host/plugin":          {"abi host/strictyaml host/internal/wasm", "github.com/google/jsonschema-go", "an artifact is read and built without a host"},
	"host/strictyaml":      {"abi", "github.com/goccy/go-yaml", "what people write by hand is read one way, with line and column"},
	"host/workspace":       {"abi", "github.com/hashicorp/go-hclog golang.org/x/sys", "plain Go: it has never heard of WebAssembly or HTTP"},
	"host/kernel":          {"abi host/internal/proc", "github.com/go-zeromq/zmq4 github.com/hashicorp/go-hclog", "plain Go; the only one to know ZeroMQ"},
	"host/fetch":           {"abi host/internal/egress", "golang.org/x/net", "plain Go; whatever it sends goes through the gate"},
	"host/session":         {"abi host/kernel host/workspace", "github.com/hashicorp/go-hclog", "ties capabilities to one owner"},
	"host/replay":          {"abi", "", "recordings are read, made and played without a host or an engine"},
	"host/audit":           {"abi", "github.com/hashicorp/go-hclog golang.org/x/sys", "everybody's witness, nobody's dependent"},
	"host/httpapi":         {"abi host host/audit host/kernel host/session host/workspace", "github.com/labstack/echo/v4 github.com/hashicorp/go-hclog golang.org/x/sys", "a door; the only one to know echo"},
	"host/internal/engine": {"abi host/internal/wasm", "github.com/tetratelabs/wazero github.com/hashicorp/go-hclog golang.org/x/sys", "runs modules; the only one to know wazero"},
	"host/internal/wasm":   {"abi", "", "reads and rewrites modules; it has never heard of what runs them"},
	"host/internal/bridge": {"abi host/policy", "github.com/hashicorp/go-hclog", "translates; it doesn't know who runs the module"},
	"host/internal/egress": {"abi", "github.com/hashicorp/go-hclog golang.org/x/net", "the one decision on outbound addresses knows nothing of who asks"},
	"host/internal/proc":   {"", "github.com/containerd/cgroups/v3 github.com/opencontainers/runtime-spec github.com/elastic/go-seccomp-bpf golang.org/x/net github.com/hashicorp/go-hclog golang.org/x/sys", "knows processes and nothing of what they are for"},
	"host/hosttest":        {"abi host host/httpapi host/plugin host/policy", "github.com/hashicorp/go-hclog", "tests only"},
	"cmd/sallyport":        {"abi host host/audit host/httpapi host/plugin host/replay host/strictyaml", "github.com/spf13/cobra github.com/hashicorp/go-hclog", "flags, signals, exit codes"},
	"cmd/demo":             {"", "", "an outsider: it knows the command line and the routes"},
}

// TestImportsKeepTheLayout reads every file of the tree, whatever its build
// tags. Tests may import what they like, except that nothing but tests imports
// hosttest, and that host and sdk never meet.
func TestImportsKeepTheLayout(t *testing.T) {
	root := filepath.Join("..", "..")
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(file, root+string(filepath.Separator)))
		if d.IsDir() {
			if rel != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || rel == "build" || rel == "host/plugin/template") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		dir := folder(path.Dir(rel))
		r, ok := rules[dir]
		if !ok {
			t.Errorf("%s: the layout has no folder %s", rel, dir)
			return nil
		}
		used[dir] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if strings.HasSuffix(rel, "_test.go") {
				checkTest(t, rel, dir, name)
			} else {
				check(t, rel, dir, name, r)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Sorted(maps.Keys(rules)) {
		if !used[dir] {
			t.Errorf("the table has a row for %s, and the tree has no such folder", dir)
		}
	}
}

// folder returns the row of a package: that of its own folder, or of the
// plugins' for each plugin, or of sdk/internal's for its parts.
func folder(dir string) string {
	for _, parent := range []string{"plugins", "sdk/internal"} {
		if strings.HasPrefix(dir, parent+"/") {
			return parent
		}
	}
	return dir
}

func check(t *testing.T, file, dir, name string, r rule) {
	t.Helper()
	if ours, ok := strings.CutPrefix(name, module); ok {
		ours = folder(ours)
		if ours == dir || slices.Contains(strings.Fields(r.ours), ours) || (dir == "plugins" && strings.HasPrefix(ours, "sdk/") && ours != "sdk/internal") {
			return
		}
		t.Errorf("%s imports %s; %s may import %q of ours: %s", file, ours, dir, r.ours, r.why)
		return
	}
	first, _, _ := strings.Cut(name, "/")
	if !strings.Contains(first, ".") { // the standard library
		return
	}
	if !slices.ContainsFunc(strings.Fields(r.others), func(m string) bool { return name == m || strings.HasPrefix(name, m+"/") }) {
		t.Errorf("%s imports %s; %s may import %q of others: %s", file, name, dir, r.others, r.why)
	}
}

func checkTest(t *testing.T, file, dir, name string) {
	t.Helper()
	ours, _ := strings.CutPrefix(name, module)
	side := func(dir, side string) bool { return dir == side || strings.HasPrefix(dir, side+"/") }
	guest := side(dir, "sdk") || side(dir, "plugins")
	if guest && side(ours, "host") || side(dir, "host") && side(ours, "sdk") {
		t.Errorf("%s imports %s: host and guests meet in abi alone", file, ours)
	}
}
