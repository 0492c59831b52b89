package plugin_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

func TestPackReplacesWhatIsThere(t *testing.T) {
	bare := guest{raw: custom("name", []byte("kept"))}.wasm(t)
	first, err := plugin.Pack(bare, manifest(anyObject), fstest.MapFS{
		"b/z.txt": {Data: []byte("z")}, "SKILL.md": {Data: []byte("# one")}, ".hidden": {Data: []byte("no")},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := parse(t, first)
	if got, err := fs.ReadFile(a.Files, "b/z.txt"); err != nil || string(got) != "z" {
		t.Errorf("b/z.txt: %q, %v", got, err)
	}
	if _, err := fs.Stat(a.Files, ".hidden"); err == nil {
		t.Error("a name that begins with a dot was packed")
	}
	if !bytes.HasPrefix(first, bare) {
		t.Error("the module's own sections changed")
	}
	second, err := plugin.Pack(first, edited(func(m *abi.Manifest) { m.Version = "2.0.0" }), fstest.MapFS{"SKILL.md": {Data: []byte("# two")}})
	if err != nil {
		t.Fatal(err)
	}
	b := parse(t, second)
	if got, err := fs.ReadFile(b.Files, "SKILL.md"); err != nil || string(got) != "# two" || b.Manifest.Version != "2.0.0" {
		t.Errorf("got %q, %v, version %s", got, err, b.Manifest.Version)
	}
	third, err := plugin.Pack(second, manifest(anyObject), nil)
	if err != nil {
		t.Fatal(err)
	}
	if parse(t, third).Files != nil || len(third) >= len(second) {
		t.Error("the files of before are still there")
	}
}

func TestPackIsDeterministic(t *testing.T) {
	bare := guest{}.wasm(t)
	files := func() fs.FS {
		tree := fstest.MapFS{}
		for _, name := range strings.Fields("c a/b a/a b SKILL.md") {
			tree[name] = &fstest.MapFile{Data: []byte(name), Mode: 0o600}
		}
		return tree
	}
	first, err := plugin.Pack(bare, manifest(anyObject), files())
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if again, err := plugin.Pack(bare, manifest(anyObject), files()); err != nil || !bytes.Equal(again, first) {
			t.Fatalf("other bytes, %v", err)
		}
	}
	if again, err := plugin.Pack(first, manifest(anyObject), files()); err != nil || !bytes.Equal(again, first) {
		t.Errorf("packed again: other bytes, %v", err)
	}
}

func TestPackRefusesWhatParseWould(t *testing.T) {
	bare := guest{imports: []plugin.Import{function("sallyport:kernel", "execute")}}.wasm(t)
	for name, err := range map[string]error{
		"imports beyond the manifest": packs(bare, manifest(anyObject), nil),
		"a bad manifest":              packs(bare, edited(func(m *abi.Manifest) { m.Name = "No" }), nil),
		"not a module":                packs([]byte("hello"), manifest(anyObject), nil),
		"a bad file name":             packs(guest{}.wasm(t), manifest(anyObject), fstest.MapFS{`a\b`: {}}),
		"a link":                      packs(guest{}.wasm(t), manifest(anyObject), fstest.MapFS{"a": {Mode: fs.ModeSymlink, Data: []byte("b")}, "b": {}}),
	} {
		if abi.CodeOf(err) != abi.CodeInvalidArgument {
			t.Errorf("%s: got %v, want invalid_argument", name, err)
		}
	}
}

func packs(wasm []byte, m abi.Manifest, files fs.FS) error {
	_, err := plugin.Pack(wasm, m, files)
	return err
}

func TestPackFileTakesToolsFromTheManifestOrTheModule(t *testing.T) {
	dir := tree(t,
		"probe.wasm", string(guest{}.wasm(t)),
		"plugin.yaml", "name: probe\nversion: 1\nfiles: [SKILL.md]\n", "SKILL.md", "# Probe",
		"full.json", `{"abi":1,"name":"probe","version":"1","tools":[{"name":"own","description":"d","inputSchema":{"type":"object"}}]}`,
		"bare.json", `{"name":"probe","version":"1"}`,
		"odd.json", `{"name":"probe","version":"1","tool":[]}`,
		"cut.json", `{"name":`,
	)
	in := func(name string) string { return filepath.Join(dir, name) }
	never := func(context.Context, []byte) ([]byte, error) {
		t.Error("the module was run, and its tools are known")
		return nil, abi.Errorf(abi.CodeInternal, "never")
	}
	for _, tt := range []struct {
		manifest, tool string
		describe       plugin.Describe
		files          bool
	}{
		{"plugin.yaml", "greet", greets, true},
		{"full.json", "own", never, false},
		{"bare.json", "greet", greets, false},
	} {
		out := in(tt.manifest + ".wasm")
		made, err := plugin.PackFile(t.Context(), plugin.PackConfig{Module: in("probe.wasm"), Manifest: in(tt.manifest), Output: out, Describe: tt.describe})
		if err != nil {
			t.Errorf("%s: %v", tt.manifest, err)
			continue
		}
		a, err := plugin.Read(out)
		if err != nil || a.Digest != made.Digest || a.Manifest.Tools[0].Name != tt.tool || (a.Files != nil) != tt.files {
			t.Errorf("%s: got %+v, %v", tt.manifest, a, err)
		}
	}
	for manifest, want := range map[string]struct {
		code    abi.Code
		message string
	}{
		"odd.json":  {abi.CodeInvalidArgument, `odd.json: manifest: unknown field "tool"`},
		"cut.json":  {abi.CodeInvalidArgument, "cut.json: manifest: "},
		"none.json": {abi.CodeNotFound, "none.json: there is no such file"},
		"none.yaml": {abi.CodeNotFound, "none.yaml: there is no such file"},
	} {
		_, err := plugin.PackFile(t.Context(), plugin.PackConfig{Module: in("probe.wasm"), Manifest: in(manifest), Output: in("out.wasm"), Describe: greets})
		if abi.CodeOf(err) != want.code || !strings.Contains(err.Error(), want.message) {
			t.Errorf("%s: got %v, want %v: %s", manifest, err, want.code, want.message)
		}
	}
	if _, err := os.Stat(in("out.wasm")); err == nil {
		t.Error("a file was written all the same")
	}
}
