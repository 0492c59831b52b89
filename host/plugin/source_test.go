package plugin_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

// tree writes files into a new folder and returns its path.
func tree(t *testing.T, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		path := filepath.Join(dir, filepath.FromSlash(pairs[i]))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(pairs[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSourceIsRead(t *testing.T) {
	dir := tree(t, "plugin.yaml", `
name: weather
version: 1.10
description: Tells the weather.
capabilities: {kernel: {languages: [python], max_time: 5m}, files: {upload: read}, tool: {names: [files_read, python_run]}}
limits: {memory_mib: 64, deadline: 1m, fuel: 5000000, queue: 3}
state: session
files: [SKILL.md, data]
`, "SKILL.md", "# Weather", "data/b/c.txt", "c", "data/.git/x", "no", "data/.x", "no", "main.go", "package main")
	s, err := plugin.ReadSource(filepath.Join(dir, "plugin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tools := []abi.Tool{{Name: "tell"}}
	got := s.Manifest(abi.Description{ABI: 1, Tools: tools})
	want := abi.Manifest{
		ABI: 1, Name: "weather", Version: "1.10", Description: "Tells the weather.", Tools: tools,
		Capabilities: abi.Capabilities{
			Kernel: &abi.KernelScope{Languages: []string{"python"}, MaxTime: abi.Duration(5 * time.Minute)},
			Files:  &abi.FilesScope{Upload: abi.AccessRead},
			Tool:   &abi.ToolScope{Names: []string{"files_read", "python_run"}},
		},
		Limits: abi.Limits{MemoryMiB: 64, Deadline: abi.Duration(time.Minute), Fuel: 5_000_000, Queue: 3},
		State:  abi.StateSession,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	files, err := s.Resources()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if want := []string{"SKILL.md", "data/b/c.txt"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("files: got %q, %v; want %q", names, err, want)
	}
}

func TestSourceNamesThePlaceOfAMistake(t *testing.T) {
	tests := []struct{ name, text, message, hint string }{
		{"unknown field", "name: a\nversion: 1\ntools: []\n", `:3:1: unknown field "tools"`, "name, version, description, capabilities, limits, state, files"},
		{"unknown capability", "name: a\nversion: 1\ncapabilities:\n  kernl: {}\n", `:4:3: unknown field "kernl" in capabilities`, "kernel, files, http"},
		{"no name", "version: 1\n", `:1:1: name is missing`, "write name:"},
		{"bad name", "name: My-Plugin\nversion: 1\n", `:1:7: name is "My-Plugin"`, ""},
		{"no version", "name: a\n", `:1:1: version is missing`, "version: 0.1.0"},
		{"bad access", "name: a\nversion: 1\ncapabilities: {files: {store: write}}\n", `:3:31: capabilities.files.store is "write", and that zone allows "append" at most`, ""},
		{"bad host", "name: a\nversion: 1\ncapabilities: {http: {allow: [{hosts: [a.example, B.example]}]}}\n", `:3:51: capabilities.http.allow[0].hosts[1] is "B.example": use lower case`, ""},
		{"bad port", "name: a\nversion: 1\ncapabilities: {http: {allow: [{hosts: [a.example], ports: [0]}]}}\n", `:3:60: capabilities.http.allow[0].ports[0]: port "0": use a port from 1 to 65535`, ""},
		{"bad tool", "name: a\nversion: 1\ncapabilities: {tool: {names: [files.read]}}\n", `:3:31: capabilities.tool.names[0] is "files.read": use a tool's full name, such as files_read`, ""},
		{"unknown field of a scope", "name: a\nversion: 1\ncapabilities: {tool: {name: [files_read]}}\n", `:3:23: unknown field "name" in capabilities.tool`, "names"},
		{"bad limit", "name: a\nversion: 1\nlimits: {memory_mib: -1}\n", `:3:22: limits.memory_mib is -1`, ""},
		{"limit beyond its bound", "name: a\nversion: 1\nlimits: {deadline: 1m, stack_kib: 99999}\n", `:3:35: limits.stack_kib is 99999: use 1 to 32768`, ""},
		{"unknown limit", "name: a\nversion: 1\nlimits: {sockets: 3}\n", `:3:10: unknown field "sockets" in limits`, "host_calls"},
		{"unknown state", "name: a\nversion: 1\nstate: global\n", `:3:8: state is "global": leave it out, or use session`, "as it was when it began"},
		{"path outside", "name: a\nversion: 1\nfiles: [SKILL.md, ../secret]\n", `:3:19: files: "../secret" is not a path within the folder`, "without ./ or .."},
		{"the folder itself", "name: a\nversion: 1\nfiles: [.]\n", `:3:9: files: "." is not a path`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(tree(t, "plugin.yaml", tt.text), "plugin.yaml")
			_, err := plugin.ReadSource(path)
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Fatalf("got %v, want invalid_argument", err)
			}
			e := abi.AsError(err)
			if !strings.HasPrefix(e.Message, path+tt.message) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got  %q, hint %q\nwant %q, hint %q", e.Message, e.Hint, path+tt.message, tt.hint)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "plugin.yaml")
	if _, err := plugin.ReadSource(path); abi.CodeOf(err) != abi.CodeNotFound || !strings.Contains(abi.AsError(err).Hint, "plugin new") {
		t.Errorf("no plugin.yaml: %v", err)
	}
}

func TestResourcesAreWhatIsThere(t *testing.T) {
	outside := tree(t, "secret", "s")
	tests := []struct{ name, listed, message string }{
		{"missing", "none.md", "files: none.md: no such file or directory"},
		{"link", "link", "files: link is a link: put a copy in its place"},
		{"link in a folder", "dir", "files: dir/link is a link or a device"},
		{"through a link", "way/secret", "path escapes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, "plugin.yaml", "name: a\nversion: 1\nfiles: ["+tt.listed+"]\n", "dir/a", "a")
			for name, target := range map[string]string{"link": "plugin.yaml", "dir/link": "../plugin.yaml", "way": outside} {
				if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			s, err := plugin.ReadSource(filepath.Join(dir, "plugin.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Resources(); err == nil || !strings.Contains(err.Error(), "plugin.yaml:3:9: ") || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("got %v, want %s", err, tt.message)
			}
		})
	}
}
