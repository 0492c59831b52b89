package plugin_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

var wasiWrite = plugin.Import{Module: abi.ModuleWASI, Name: "fd_write", Kind: plugin.KindFunction}

func function(module, name string) plugin.Import {
	return plugin.Import{Module: module, Name: name, Kind: plugin.KindFunction}
}

func TestParseReadsAPluginWithoutRunningIt(t *testing.T) {
	m := edited(func(m *abi.Manifest) {
		m.Capabilities.Kernel = &abi.KernelScope{Languages: []string{"python"}}
		m.Capabilities.HTTP = &abi.HTTPScope{Allow: []abi.HTTPRule{{
			Hosts: []string{"*.example.com"}, Ports: []abi.PortRange{{First: 443, Last: 443}, {First: 8000, Last: 8099}}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		}}}
		m.Capabilities.Tool = &abi.ToolScope{Names: []string{"files_read"}}
		m.Limits.MemoryMiB = 64
	})
	imports := []plugin.Import{wasiWrite, function("sallyport:kernel", "execute"), function("sallyport:http", "fetch"), function("sallyport:tool", "call"), function("sallyport:call", "response"), function("sallyport:call", "log")}
	wasm := guest{imports: imports, manifest: m, files: archive(t, "SKILL.md", "# Weather", "data/a.txt", "a")}.wasm(t)
	a := parse(t, wasm)
	sum := sha256.Sum256(wasm)
	if want := "sha256:" + hex.EncodeToString(sum[:]); a.Digest != want {
		t.Errorf("digest: got %s, want %s", a.Digest, want)
	}
	if !reflect.DeepEqual(a.Manifest, m) {
		t.Errorf("manifest: got %+v, want %+v", a.Manifest, m)
	}
	if !slices.Equal(a.Imports, imports) {
		t.Errorf("imports: got %+v, want %+v", a.Imports, imports)
	}
	if got := a.Modules(); !slices.Equal(got, []string{"sallyport:kernel", "sallyport:http", "sallyport:tool"}) {
		t.Errorf("modules: got %q", got)
	}
	for name, want := range map[string]string{"SKILL.md": "# Weather", "data/a.txt": "a"} {
		if got, err := fs.ReadFile(a.Files, name); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	if plain := parse(t, guest{manifest: manifest(anyObject)}.wasm(t)); plain.Files != nil || len(plain.Modules()) != 0 {
		t.Errorf("a plugin that asks for nothing: files %v, modules %q", plain.Files, plain.Modules())
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	zipped := func(h zip.FileHeader, mode fs.FileMode) []byte {
		return guest{manifest: manifest(anyObject), files: archiveOf(t, h, mode)}.wasm(t)
	}
	importing := func(imp plugin.Import) []byte {
		return guest{imports: []plugin.Import{wasiWrite, imp}, manifest: manifest(anyObject)}.wasm(t)
	}
	whole := guest{manifest: manifest(anyObject)}.wasm(t)
	raw := func(m string) []byte { return guest{manifest: []byte(m)}.wasm(t) }
	with := func(field, value string) []byte {
		b, err := json.Marshal(manifest(anyObject))
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		m[field] = json.RawMessage(value)
		return guest{manifest: m}.wasm(t)
	}
	tests := []struct {
		name          string
		wasm          []byte
		code          abi.Code
		message, hint string
	}{
		{"empty", nil, abi.CodeInvalidArgument, "the file is empty", "sallyport plugin build"},
		{"text", []byte("#!/bin/sh\necho hello\n"), abi.CodeInvalidArgument, "not a WebAssembly module", "sallyport plugin build"},
		{"three bytes", whole[:3], abi.CodeInvalidArgument, "truncated", "again"},
		{"half a version", whole[:6], abi.CodeInvalidArgument, "truncated", "again"},
		{"half a section", whole[:len(whole)-5], abi.CodeInvalidArgument, "truncated: section 0 at byte", "again"},
		{"half a section's head", append(slices.Clone(whole), 0, 0x80), abi.CodeInvalidArgument, "truncated", "again"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), abi.CodeInvalidArgument, "component", "wasip1"},
		{"another version", []byte("\x00asm\x02\x00\x00\x00"), abi.CodeInvalidArgument, "unknown version", ""},
		{"unknown section", guest{manifest: manifest(anyObject), raw: sectionOf(77, nil)}.wasm(t), abi.CodeInvalidArgument, "unknown section 77", ""},
		{"overlong number", append([]byte("\x00asm\x01\x00\x00\x00\x00"), 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0), abi.CodeInvalidArgument, "more than 32 bits", ""},
		{"name past its section", guest{raw: sectionOf(0, []byte{9, 'a'})}.wasm(t), abi.CodeInvalidArgument, "9 bytes are announced and 1 are left", ""},
		{"name not UTF-8", guest{raw: custom("\xff", nil)}.wasm(t), abi.CodeInvalidArgument, "not UTF-8", ""},
		{"endless imports", guest{raw: sectionOf(2, []byte{0xff, 0xff, 0xff, 0xff, 0x0f})}.wasm(t), abi.CodeInvalidArgument, "malformed module", ""},
		{"not a plugin", guest{}.wasm(t), abi.CodeInvalidArgument, "not a plugin: the module has no section sallyport.manifest", "sallyport plugin pack"},
		{"another program", guest{exports: map[string]byte{"_start": 0}}.wasm(t), abi.CodeInvalidArgument, "not a plugin: the module has no section", "sallyport plugin pack"},
		{"two manifests", guest{manifest: manifest(anyObject), raw: custom(abi.SectionManifest, []byte("{}"))}.wasm(t), abi.CodeInvalidArgument, "two sections sallyport.manifest", ""},
		{"manifest for no plugin", guest{exports: map[string]byte{"memory": 2}, manifest: manifest(anyObject)}.wasm(t), abi.CodeInvalidArgument, "doesn't export the function sallyport_v1_arena", "abi/README.md"},
		{"memory that isn't", guest{exports: map[string]byte{"memory": 0}, manifest: manifest(anyObject)}.wasm(t), abi.CodeInvalidArgument, "doesn't export the memory memory", ""},
		{"newer ABI", with("abi", "2"), abi.CodeUnimplemented, "speaks ABI 2, this host speaks 1", "update the host"},
		{"newer ABI with other fields", raw(`{"abi":2,"name":5,"capabilities":[]}`), abi.CodeUnimplemented, "speaks ABI 2", "update the host"},
		{"newer ABI by its exports", guest{exports: map[string]byte{"memory": 2, "sallyport_v3_call": 0}}.wasm(t), abi.CodeUnimplemented, "speaks ABI 3", "update the host"},
		{"no ABI", with("abi", "0"), abi.CodeInvalidArgument, "manifest: abi is 0", ""},
		{"manifest not JSON", raw(`{"abi":`), abi.CodeInvalidArgument, "manifest: not JSON", ""},
		{"manifest of another shape", with("name", "5"), abi.CodeInvalidArgument, "manifest: name is a JSON number", ""},
		{"bad name", with("name", `"Weather"`), abi.CodeInvalidArgument, `manifest: name is "Weather"`, ""},
		{"no version", with("version", `""`), abi.CodeInvalidArgument, "manifest: version is empty", ""},
		{"no tools", with("tools", "[]"), abi.CodeInvalidArgument, "manifest: the plugin has no tools", ""},
		{"unknown capability", with("capabilities", `{"browser":{}}`), abi.CodeInvalidArgument, `manifest: capabilities: unknown field "browser"`, "update the host"},
		{"unknown scope", with("capabilities", `{"kernel":{"languages":["python"],"root":true}}`), abi.CodeInvalidArgument, `unknown field "root"`, ""},
		{"unknown part of a rule", with("capabilities", `{"http":{"allow":[{"hosts":["*"],"paths":["/"]}]}}`), abi.CodeInvalidArgument, `unknown field "paths"`, ""},
		{"bad port", with("capabilities", `{"http":{"allow":[{"hosts":["*"],"ports":["https"]}]}}`), abi.CodeInvalidArgument, `port "https": use a port`, ""},
		{"bad host", with("capabilities", `{"http":{"allow":[{"hosts":["Example.com"]}]}}`), abi.CodeInvalidArgument, `manifest: http.allow[0].hosts[0] is "Example.com": use lower case`, ""},
		{"unknown limit", with("limits", `{"sockets":5}`), abi.CodeInvalidArgument, `manifest: limits: unknown field "sockets"`, ""},
		{"limit beyond its bound", with("limits", `{"table_elements":1048577}`), abi.CodeInvalidArgument, "manifest: limits.table_elements is 1048577: use 1 to 1048576", ""},
		{"unknown state", with("state", `"global"`), abi.CodeInvalidArgument, `manifest: state is "global"`, ""},
		{"access beyond the zone's rule", with("capabilities", `{"files":{"upload":"write"}}`), abi.CodeInvalidArgument, "manifest: files.upload", ""},
		{"import beyond the manifest", importing(function("sallyport:kernel", "execute")), abi.CodeInvalidArgument, "imports sallyport:kernel.execute, and its manifest doesn't ask for kernel", "capabilities"},
		{"import of http without asking", importing(function("sallyport:http", "fetch")), abi.CodeInvalidArgument, "imports sallyport:http.fetch, and its manifest doesn't ask for http", "capabilities"},
		{"import of tools without asking", importing(function("sallyport:tool", "call")), abi.CodeInvalidArgument, "imports sallyport:tool.call, and its manifest doesn't ask for tool", "capabilities"},
		{"a tool by its short name", with("capabilities", `{"tool":{"names":["read"]}}`), abi.CodeInvalidArgument, `manifest: tool.names[0] is "read": use a tool's full name`, ""},
		{"import of an unknown capability", importing(function("sallyport:moon", "land")), abi.CodeInvalidArgument, "doesn't ask for moon", ""},
		{"foreign import", importing(function("env", "system")), abi.CodeInvalidArgument, "imports env.system, which no host has", ""},
		{"import of a newer function", importing(function("sallyport:call", "shout")), abi.CodeUnimplemented, "sallyport:call.shout, which ABI 1 doesn't have", "update the host"},
		{"imported memory", importing(plugin.Import{Module: "env", Name: "memory", Kind: plugin.KindMemory}), abi.CodeInvalidArgument, "imports the memory env.memory", ""},
		{"imported table", importing(plugin.Import{Module: "env", Name: "t", Kind: plugin.KindTable}), abi.CodeInvalidArgument, "imports the table", ""},
		{"imported global", importing(plugin.Import{Module: abi.ModuleWASI, Name: "g", Kind: plugin.KindGlobal}), abi.CodeInvalidArgument, "imports the global", ""},
		{"imported tag", importing(plugin.Import{Module: "env", Name: "t", Kind: plugin.KindTag}), abi.CodeInvalidArgument, "imports the tag", ""},
		{"schema that is none", guest{manifest: manifest(`{"type":"object","properties":5}`)}.wasm(t), abi.CodeInvalidArgument, `tool "tell": inputSchema:`, ""},
		{"schema not of an object", guest{manifest: manifest(`{"type":"string"}`)}.wasm(t), abi.CodeInvalidArgument, `tool "tell": inputSchema is not a JSON Schema of type object`, ""},
		{"schema with a bad pattern", guest{manifest: manifest(`{"type":"object","properties":{"a":{"pattern":"("}}}`)}.wasm(t), abi.CodeInvalidArgument, `pattern`, ""},
		{"schema with a null", guest{manifest: manifest(`{"type":"object","properties":{"a":null}}`)}.wasm(t), abi.CodeInvalidArgument, `inputSchema`, ""},
		{"remote schema", guest{manifest: manifest(`{"type":"object","$ref":"https://example.com/a.json"}`)}.wasm(t), abi.CodeInvalidArgument, `outside the schema: nothing is fetched`, ""},
		{"schema beside it", guest{manifest: manifest(`{"type":"object","properties":{"a":{"$ref":"other.json#/x"}}}`)}.wasm(t), abi.CodeInvalidArgument, `outside the schema`, ""},
		{"schema of itself", guest{manifest: manifest(`{"type":"object","$ref":"#"}`)}.wasm(t), abi.CodeInvalidArgument, `a reference is to #/$defs/NAME`, ""},
		{"recursive schema", guest{manifest: manifest(`{"type":"object","$ref":"#/$defs/a","$defs":{"a":{"properties":{"b":{"$ref":"#/$defs/a"}}}}}`)}.wasm(t), abi.CodeInvalidArgument, `refers to itself`, ""},
		{"dangling reference", guest{manifest: manifest(`{"type":"object","$ref":"#/$defs/a"}`)}.wasm(t), abi.CodeInvalidArgument, `of a name that is there`, ""},
		{"dynamic schema", guest{manifest: manifest(`{"type":"object","$dynamicRef":"#a"}`)}.wasm(t), abi.CodeInvalidArgument, `anchors and dynamic references`, ""},
		{"schema of another draft", guest{manifest: manifest(`{"type":"object","$schema":"http://json-schema.org/draft-04/schema#"}`)}.wasm(t), abi.CodeInvalidArgument, `use draft 2020-12`, ""},
		{"schema whose draft the validator doesn't know", guest{manifest: manifest(`{"type":"object","$schema":"https://json-schema.org/draft/2020-12/schema#"}`)}.wasm(t), abi.CodeInvalidArgument, `use draft 2020-12`, ""},
		{"schema that explodes", guest{manifest: manifest(exploding())}.wasm(t), abi.CodeInvalidArgument, `more than 4096 subschemas`, ""},
		{"bad output schema", guest{manifest: edited(func(m *abi.Manifest) { m.Tools[0].OutputSchema = json.RawMessage(`{"$ref":"x.json"}`) })}.wasm(t), abi.CodeInvalidArgument, `tool "tell": outputSchema`, ""},
		{"files not a zip", guest{manifest: manifest(anyObject), files: []byte("hello")}.wasm(t), abi.CodeInvalidArgument, "sallyport.files is not a zip archive", ""},
		{"two files sections", guest{manifest: manifest(anyObject), files: archive(t), raw: custom(abi.SectionFiles, archive(t))}.wasm(t), abi.CodeInvalidArgument, "two sections sallyport.files", ""},
		{"file outside", guest{manifest: manifest(anyObject), files: archive(t, "../x", "")}.wasm(t), abi.CodeInvalidArgument, `"../x" is not a path within it`, ""},
		{"absolute file", guest{manifest: manifest(anyObject), files: archive(t, "/etc/passwd", "")}.wasm(t), abi.CodeInvalidArgument, "is not a path within it", ""},
		{"backslashes", guest{manifest: manifest(anyObject), files: archive(t, `a\..\b`, "")}.wasm(t), abi.CodeInvalidArgument, "is not a path within it", ""},
		{"same file twice", guest{manifest: manifest(anyObject), files: archive(t, "a", "1", "a", "2")}.wasm(t), abi.CodeInvalidArgument, `"a" is there twice`, ""},
		{"link", zipped(zip.FileHeader{Name: "a"}, fs.ModeSymlink|0o777), abi.CodeInvalidArgument, "neither a file nor a folder", ""},
		{"unknown compression", zipped(zip.FileHeader{Name: "a", Method: 99}, 0o644), abi.CodeInvalidArgument, "isn't known here", ""},
		{"zip bomb", zipped(zip.FileHeader{Name: "a", UncompressedSize64: 1 << 62}, 0o644), abi.CodeResourceExhausted, "holds more than", ""},
		{"oversize", make([]byte, plugin.MaxBytes+1), abi.CodeResourceExhausted, "a plugin has at most 64", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := plugin.Parse(tt.wasm)
			if abi.CodeOf(err) != tt.code || a != nil {
				t.Fatalf("got %v, %v; want %v", a, err, tt.code)
			}
			e := abi.AsError(err)
			if !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("got  %q, hint %q\nwant %q, hint %q", e.Message, e.Hint, tt.message, tt.hint)
			}
		})
	}
}

// exploding is a small schema that comes to 2^20 with its references written
// out.
func exploding() string {
	var b strings.Builder
	b.WriteString(`{"type":"object","$ref":"#/$defs/a","$defs":{`)
	for c := 'a'; c < 'u'; c++ {
		next := string(c + 1)
		b.WriteString(`"` + string(c) + `":{"allOf":[{"$ref":"#/$defs/` + next + `"},{"$ref":"#/$defs/` + next + `"}]},`)
	}
	b.WriteString(`"u":{}}}`)
	return b.String()
}

func TestNoPrefixOfAPluginIsOne(t *testing.T) {
	whole := guest{imports: []plugin.Import{wasiWrite}, manifest: manifest(anyObject)}.wasm(t)
	for n := range whole {
		if a, err := plugin.Parse(whole[:n:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for %+v", n, len(whole), a.Manifest)
		}
	}
}

func TestUnknownFieldsOfAManifestAreNewer(t *testing.T) {
	b := []byte(`{"abi":1,"name":"a","version":"1","tools":[{"name":"t","description":"d","inputSchema":{"type":"object"},"icon":"x"}],"license":"MIT"}`)
	if a := parse(t, guest{manifest: b}.wasm(t)); a.Manifest.Name != "a" {
		t.Errorf("got %+v", a.Manifest)
	}
}

func TestReadNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "weather.wasm")
	wasm := guest{manifest: manifest(anyObject)}.wasm(t)
	if err := os.WriteFile(good, wasm, 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := plugin.Read(good)
	if err != nil || a.Path != good || !bytes.Equal(a.Wasm, wasm) {
		t.Fatalf("got %+v, %v", a, err)
	}
	big := filepath.Join(dir, "big.wasm")
	if err := os.WriteFile(big, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, plugin.MaxBytes+1); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.wasm")
	if err := os.WriteFile(bad, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		code    abi.Code
		message string
	}{
		filepath.Join(dir, "none.wasm"): {abi.CodeNotFound, "there is no such file"},
		dir:                             {abi.CodeInvalidArgument, "not a file"},
		big:                             {abi.CodeResourceExhausted, "at most 64"},
		bad:                             {abi.CodeInvalidArgument, "not a WebAssembly module"},
	} {
		_, err := plugin.Read(path)
		if abi.CodeOf(err) != want.code || !strings.HasPrefix(abi.AsError(err).Message, path+": ") || !strings.Contains(err.Error(), want.message) {
			t.Errorf("%s: got %v, want %v: %s", path, err, want.code, want.message)
		}
	}
}

func TestWriteIsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	a := parse(t, guest{manifest: manifest(anyObject)}.wasm(t))
	path := filepath.Join(dir, "weather.wasm")
	for range 2 { // the second replaces the first
		if err := a.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, a.Wasm) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if err := a.Write(filepath.Join(dir, "none", "weather.wasm")); abi.CodeOf(err) != abi.CodeUnavailable {
		t.Errorf("into a folder that isn't there: %v", err)
	}
	// A folder in the way: nothing is left beside it.
	if err := os.Mkdir(filepath.Join(dir, "taken.wasm"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := a.Write(filepath.Join(dir, "taken.wasm")); abi.CodeOf(err) != abi.CodeUnavailable {
		t.Errorf("over a folder: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func FuzzParse(f *testing.F) {
	whole := guest{
		imports:  []plugin.Import{wasiWrite, function("sallyport:call", "log")},
		manifest: manifest(`{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"type":"string"}}}`),
		files:    archive(f, "SKILL.md", "# Weather"),
	}.wasm(f)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(guest{imports: []plugin.Import{
		{Module: "env", Name: "m", Kind: plugin.KindMemory}, {Module: "env", Name: "t", Kind: plugin.KindTable},
		{Module: "env", Name: "g", Kind: plugin.KindGlobal}, {Module: "env", Name: "x", Kind: plugin.KindTag},
	}, manifest: manifest(anyObject)}.wasm(f))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		a, err := plugin.Parse(wasm)
		if err != nil {
			if code := abi.CodeOf(err); code == abi.CodeInternal || a != nil {
				t.Fatalf("got %v, %v", a, err)
			}
			return
		}
		packed, err := plugin.Pack(wasm, a.Manifest, nil)
		if err != nil {
			t.Fatalf("a plugin can't be packed again: %v", err)
		}
		if again := parse(t, packed); !sameManifest(t, again.Manifest, a.Manifest) || again.Files != nil {
			t.Fatalf("got  %+v\nwant %+v", again.Manifest, a.Manifest)
		}
	})
}

func sameManifest(t *testing.T, a, b abi.Manifest) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}
