package plugin_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

// A guest is a module put together by hand: enough of one for what is read
// without running it. The zero value has the exports of a plugin and nothing
// else.
type guest struct {
	imports  []plugin.Import
	exports  map[string]byte // kind by name; nil is a plugin's
	manifest any             // JSON is made of it; a []byte is taken as it is
	files    []byte
	raw      []byte // sections that follow
}

var pluginExports = map[string]byte{abi.ExportMemory: 2, abi.ExportArena: 0, abi.ExportDescribe: 0, abi.ExportCall: 0}

func (g guest) wasm(t testing.TB) []byte {
	t.Helper()
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, sectionOf(1, []byte{1, 0x60, 0, 0})...) // one type: () → ()
	if g.imports != nil {
		body := leb(len(g.imports))
		for _, imp := range g.imports {
			body = append(append(body, text(imp.Module)...), text(imp.Name)...)
			switch imp.Kind {
			case plugin.KindFunction:
				body = append(body, 0, 0)
			case plugin.KindTable:
				body = append(body, 1, 0x70, 1, 0, 5)
			case plugin.KindMemory:
				body = append(body, 2, 0, 1)
			case plugin.KindGlobal:
				body = append(body, 3, 0x7f, 0)
			case plugin.KindTag:
				body = append(body, 4, 0, 0)
			}
		}
		b = append(b, sectionOf(2, body)...)
	}
	exports := g.exports
	if exports == nil {
		exports = pluginExports
	}
	body := leb(len(exports))
	for name, kind := range exports {
		body = append(append(body, text(name)...), kind, 0)
	}
	b = append(b, sectionOf(7, body)...)
	switch m := g.manifest.(type) {
	case nil:
	case []byte:
		b = append(b, custom(abi.SectionManifest, m)...)
	default:
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, custom(abi.SectionManifest, raw)...)
	}
	if g.files != nil {
		b = append(b, custom(abi.SectionFiles, g.files)...)
	}
	return append(b, g.raw...)
}

func leb(n int) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func text(s string) []byte { return append(leb(len(s)), s...) }

func sectionOf(id byte, body []byte) []byte {
	return append(append([]byte{id}, leb(len(body))...), body...)
}

func custom(name string, payload []byte) []byte {
	return sectionOf(0, append(text(name), payload...))
}

// manifest returns one that is valid, with a tool of this schema.
func manifest(schema string) abi.Manifest {
	return abi.Manifest{
		ABI: 1, Name: "weather", Version: "1.0.0", Description: "Tells the weather.",
		Tools: []abi.Tool{{Name: "tell", Description: "Tells it.", InputSchema: json.RawMessage(schema)}},
	}
}

const anyObject = `{"type":"object"}`

// edited returns a valid manifest after a change.
func edited(change func(*abi.Manifest)) abi.Manifest {
	m := manifest(anyObject)
	change(&m)
	return m
}

// archive makes a zip of names and texts, in this order.
func archive(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		w, err := z.Create(pairs[i])
		if err == nil {
			_, err = w.Write([]byte(pairs[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// archiveOf makes a zip of one entry with this header and no content.
func archiveOf(t testing.TB, h zip.FileHeader, mode fs.FileMode) []byte {
	t.Helper()
	h.SetMode(mode)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	if _, err := z.CreateRaw(&h); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parse(t testing.TB, wasm []byte) *plugin.Artifact {
	t.Helper()
	a, err := plugin.Parse(wasm)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
