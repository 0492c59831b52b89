package hosttest_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

// A guest is a plugin, compiled and ready to be called.
type guest struct {
	manifest abi.Manifest
	plugin   *engine.Plugin
}

// tool returns the number of a tool.
func (g *guest) tool(t *testing.T, name string) uint32 {
	t.Helper()
	for i, tool := range g.manifest.Tools {
		if tool.Name == name {
			return uint32(i)
		}
	}
	t.Fatalf("%s has no tool %q", g.manifest.Name, name)
	return 0
}

// newEngine returns an engine that finds what earlier ones compiled.
func newEngine(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Config{CacheDir: filepath.Join("..", "..", "build", "test", "cache")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.WithoutCancel(t.Context())) })
	return e
}

// loadGuest compiles a plugin's file.
func loadGuest(t *testing.T, wasm []byte) *guest {
	t.Helper()
	a, err := plugin.Parse(wasm)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newEngine(t).Compile(t.Context(), a.Wasm, engine.Options{Modules: a.Modules(), Limits: a.Manifest.Limits})
	if err != nil {
		t.Fatal(err)
	}
	return &guest{manifest: a.Manifest, plugin: p}
}

// cprobe returns the plugin in C, ready to be called.
func cprobe(t *testing.T) *guest {
	t.Helper()
	return loadGuest(t, hosttest.CProbe(t, nil))
}

func TestAPluginInC(t *testing.T) {
	g := cprobe(t)
	python := abi.Capabilities{Kernel: &abi.KernelScope{Languages: []string{"python"}}}

	t.Run("describes the tools of its manifest", func(t *testing.T) {
		b, err := g.plugin.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f, err := abi.DecodeFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		var d abi.Description
		if err := f.Decode(&d); err != nil {
			t.Fatal(err)
		}
		if d.ABI != abi.Version || !reflect.DeepEqual(asJSON(t, d.Tools), asJSON(t, g.manifest.Tools)) {
			t.Errorf("describe says %+v, the manifest %+v", d.Tools, g.manifest.Tools)
		}
	})
	t.Run("returns its arguments", func(t *testing.T) {
		got := setup{}.call(t, g, "echo", map[string]string{"text": "标题 \"q\" <b>\n"}).text(t)
		if got != `{"text":"标题 \"q\" <b>\n"}` && got != `{"text":"标题 \"q\" \u003cb\u003e\n"}` {
			t.Errorf("it returned %s", got)
		}
	})
	t.Run("takes a large request", func(t *testing.T) {
		long := strings.Repeat("x", 1<<20)
		got := setup{}.call(t, g, "echo", map[string]string{"text": long}).text(t)
		if got != `{"text":"`+long+`"}` {
			t.Errorf("it returned %d bytes", len(got))
		}
	})
	t.Run("runs code and returns text and images", func(t *testing.T) {
		s := setup{Capabilities: python, Kernel: map[string]execution{"plot()\n": {
			Header: json.RawMessage(`{"status":"ok","outputs":[{"type":"stream","name":"stdout","text":"é 😀\n"},{"type":"display","blobs":[{"mimeType":"image/png","offset":0,"length":8}]}],"duration_ms":1}`),
			Body:   "89504e470d0a1a0a",
		}}}
		p := s.call(t, g, "execute", map[string]string{"code": "plot()\n"})
		if p.err != nil || p.response.Error != nil {
			t.Fatal(p.err, p.response.Error)
		}
		want := []abi.Content{
			{Type: abi.ContentText, Text: "é 😀\n"},
			{Type: abi.ContentImage, MIMEType: "image/png", Data: []byte("\x89PNG\r\n\x1a\n")},
		}
		if got := p.response.Result.Content; !reflect.DeepEqual(got, want) {
			t.Errorf("it returned %+v", got)
		}
	})
	t.Run("passes a denial on", func(t *testing.T) {
		p := setup{}.call(t, g, "execute", map[string]string{"code": "1"})
		if e := p.response.Error; e == nil || e.Code != abi.CodePermissionDenied || e.Grant != "kernel.languages: python" {
			t.Errorf("it answered %+v, %v", p.response, p.err)
		}
	})
	t.Run("writes a file", func(t *testing.T) {
		s := setup{Capabilities: abi.Capabilities{Files: &abi.FilesScope{Output: abi.AccessWrite}}}
		if got := s.call(t, g, "file", map[string]string{"text": "hello"}).text(t); got != "5 bytes" {
			t.Errorf("it returned %s", got)
		}
	})
	t.Run("says why it can't write a file", func(t *testing.T) {
		p := setup{}.call(t, g, "file", map[string]string{"text": "hello"})
		if e := p.response.Error; e == nil || e.Code != abi.CodePermissionDenied || !strings.HasPrefix(e.Grant, "files.output: ") {
			t.Errorf("it answered %+v, %v", p.response, p.err)
		}
	})
	t.Run("logs and reports", func(t *testing.T) {
		p := setup{Config: map[string]string{"units": "metric"}}.call(t, g, "report", struct{}{})
		if got := p.text(t); got != `{"config":{"units":"metric"}}` {
			t.Errorf("it returned %s", got)
		}
		if want := `{"type":"progress","progress":{"progress":1,"total":2,"message":"half"}}`; p.events != want {
			t.Errorf("events are %s", p.events)
		}
	})
}

// asJSON returns v as JSON decodes it, so that white space makes no difference.
func asJSON(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
