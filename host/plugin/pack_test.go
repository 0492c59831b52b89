package plugin_test

import (
	"bytes"
	"io/fs"
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
