package hosttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/replay"
)

// A player plays calls of a plugin of the tree.
type player struct {
	*host.Replayer
	t testing.TB
}

func newPlayer(t testing.TB, dir string) player {
	t.Helper()
	a, err := plugin.Read(hosttest.Plugin(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	r, err := host.NewReplayer(t.Context(), host.ReplayConfig{Plugin: a, CacheDir: cache()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(t, r) })
	return player{r, t}
}

// cache is that of the hosts of other tests.
func cache() string { return filepath.Join(hosttest.Root(), "build", "test", "cache") }

func closeAll(t testing.TB, c interface{ Close(context.Context) error }) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Errorf("it ended with: %v", err)
	}
}

// play plays a case, and returns the trace of what differs from its recording.
func (p player) play(c *replay.Case) string {
	p.t.Helper()
	err := p.Replay(p.t.Context(), c)
	if err == nil {
		return ""
	}
	var m *replay.Mismatch
	if !errors.As(err, &m) {
		p.t.Fatal(err)
	}
	return m.Trace()
}

func caseOf(t testing.TB, file string) *replay.Case {
	t.Helper()
	c, err := replay.Parse([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recordedAs completes a case with a recording, as if it was made of it.
func recordedAs(t testing.TB, authored, recording string) *replay.Case {
	t.Helper()
	return caseOf(t, authored+"-- recorded --\ncase: "+caseOf(t, authored).Digest()+"\n"+recording)
}

// TestEveryRecordedCallComesOutAsRecorded plays the cases of every plugin of the
// tree. It needs neither Python nor a network.
func TestEveryRecordedCallComesOutAsRecorded(t *testing.T) {
	all := t
	played := map[string]int{}
	for _, parent := range []string{"plugins", "testdata/plugins"} {
		files, err := filepath.Glob(filepath.Join(hosttest.Root(), filepath.FromSlash(parent), "*", "testdata", "calls", "*"+replay.Suffix))
		if err != nil {
			t.Fatal(err)
		}
		players := map[string]player{}
		for _, file := range files {
			name := filepath.Base(filepath.Join(file, "..", "..", ".."))
			dir := path.Join(parent, name)
			played[dir]++
			t.Run(name+"/"+strings.TrimSuffix(filepath.Base(file), replay.Suffix), func(t *testing.T) {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				c := caseOf(t, string(b))
				if !bytes.Equal(c.Format(), b) {
					t.Error("the recording was changed by hand")
				}
				if players[dir].Replayer == nil {
					players[dir] = newPlayer(all, dir)
				}
				if trace := (player{players[dir].Replayer, t}).play(c); trace != "" {
					t.Errorf("it is different now:\n%s", trace)
				}
			})
		}
	}
	for _, dir := range []string{"plugins/python", "plugins/files", "plugins/http", "testdata/plugins/goprobe"} {
		if played[dir] == 0 {
			t.Errorf("%s has no recorded calls", dir)
		}
	}
}

// A call is recorded in a real host and comes out the same without one: the
// kernel's files included, what the plugin itself wrote told apart, and what
// another plugin's tool answered.
func TestACallIsPlayedWithoutTheHostItWasRecordedIn(t *testing.T) {
	read := func(dir string) *plugin.Artifact {
		a, err := plugin.Read(hosttest.Plugin(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, tt := range []struct {
		plugin, authored string
		want             []string // in the file
	}{
		{"plugins/python", `-- case --
tool: run
fix: kernel.execute /duration_ms 0
-- arguments --
{"code": "import os\nos.makedirs('output/deep/er')\nopen('output/deep/er/x', 'w').write('made')\nos.makedirs('output/empty')\nos.remove('output/old')\nprint(open('upload/a').read())"}
-- upload/a --
what was uploaded
-- output/old --
old
`, []string{
			"~~> {\"output\":{\"type\":\"stream\",\"name\":\"stdout\",\"text\":\"what was uploaded\\n\\n\"}}\n",
			"+++ output/deep/er/x\n  \\ made\n+++ output/empty/\n--- output/old\n",
			"-- output/deep/er/x (no newline) --\nmade\n-- output/empty (folder) --\n-- output/old (removed) --\n",
		}},
		{"testdata/plugins/goprobe", `-- case --
tool: trace
fix: tool.call /result/_meta/sallyport~1usage {}
-- arguments --
{"steps": [{"op": "tool.call", "request": {"tool": "files_read", "arguments": {"path": "upload/a"}}}, {"op": "call.config", "request": {}}]}
-- config --
{"units": "metric"}
-- upload/a --
what was uploaded
`, []string{
			`==> tool.call {"tool":"files_read","arguments":{"path":"upload/a"}}` + "\n",
			`<== {"config":{"units":"metric"}}` + "\n",
		}},
		{"plugins/files", `-- case --
tool: write
-- arguments --
{"path": "output/new/x", "content": "text"}
`, []string{"-- output/new/x (no newline) --\ntext\n"}},
		{"testdata/plugins/chance", `-- case --
tool: draw
seed: 42
time: 2026-03-01T12:00:00Z
-- arguments --
{"sleep": "36h"}
-- upload/old --
old
`, []string{
			`\nclock: 2026-03-01T12:00:00.000`, `\nslept: 36h0m0s\n`, `\ncall: c-replay replay\n`,
			`\nfile: /output 0 2026-03-01T12:00:00Z\n`, "-- printed --\ndrawn: ",
		}},
	} {
		t.Run(path.Base(tt.plugin), func(t *testing.T) {
			cfg := host.RecordConfig{Plugin: read(tt.plugin), Host: host.Config{
				Python: hosttest.Python(t), CacheDir: cache(),
			}}
			if tt.plugin == "testdata/plugins/goprobe" {
				cfg.Others = []*plugin.Artifact{read("plugins/files")}
			}
			r, err := host.NewRecorder(context.WithoutCancel(t.Context()), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { closeAll(t, r) })
			c := caseOf(t, tt.authored)
			var files []string
			for range 2 {
				if c.Recording, err = r.Record(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				files = append(files, string(c.Format()))
			}
			if files[0] != files[1] {
				t.Errorf("recorded twice it is\n%s\nand\n%s", files[0], files[1])
			}
			for _, want := range tt.want {
				if !strings.Contains(files[0], want) {
					t.Errorf("%q is not in\n%s", want, files[0])
				}
			}
			if trace := newPlayer(t, tt.plugin).play(caseOf(t, files[0])); trace != "" {
				t.Errorf("played it is different:\n%s", trace)
			}
		})
	}
}

// The seed is what random numbers come of, in all places where a plugin has some.
func TestAnotherSeedIsAnotherCall(t *testing.T) {
	p := newPlayer(t, "testdata/plugins/chance")
	draw := func(seed string) string {
		// Nothing was recorded, so what it answers is told.
		trace := p.play(recordedAs(t, "-- case --\ntool: draw\nseed: "+seed+"\n-- upload/old --\nold\n", "-- result --\n{}\n"))
		if !strings.Contains(trace, "began: 2026-01-01") {
			t.Fatalf("it is told\n%s", trace)
		}
		return trace
	}
	if one, again := draw("1"), draw("1"); one != again {
		t.Errorf("the same seed:\n%s\n%s", one, again)
	}
	if one, two := draw("1"), draw("2"); one == two {
		t.Errorf("seeds 1 and 2:\n%s", one)
	}
}

// Whatever a plugin does instead of what was recorded ends the call, and is
// told.
func TestWhateverAPluginDoesInsteadIsTold(t *testing.T) {
	for _, tt := range []struct {
		name, plugin, authored, recording string
		want                              string
	}{
		{"another operation", "plugins/python", "-- case --\ntool: reset\n", "-- calls --\n==> kernel.status {\"language\":\"python\"}\n<== {}\n-- result --\n{\"content\":[]}\n",
			"the plugin asks for another operation"},
		{"an operation too many", "plugins/python", "-- case --\ntool: reset\n", "-- result --\n{\"content\":[]}\n",
			"==> kernel.reset(language=\"python\")\nthe plugin asks for an operation more than was recorded"},
		{"an operation too few", "plugins/files", "-- case --\ntool: list\n", "-- calls --\n==> kernel.status {}\n<== {}\n-- result --\n{\"content\":[]}\n",
			"the plugin ends, and a recorded operation was not asked for"},
		{"another error", "plugins/files", "-- case --\ntool: read\n-- arguments --\n{\"path\":\"output/x\"}\n", "-- error --\n{\"code\":\"not_found\",\"message\":\"gone\"}\n",
			"the error is another, at /message\n  recorded: \"gone\"\n  now:      \"output/x doesn't exist\""},
		{"another file", "plugins/files", "-- case --\ntool: write\n-- arguments --\n{\"path\":\"output/x\",\"content\":\"1\"}\n", "-- result --\n" + wrote("output/x", 1) + "\n-- output/x --\n2\n",
			"the file output/x differs"},
		{"a trap", "testdata/plugins/badboy", "-- case --\ntool: trap\n", "-- result --\n{\"content\":[]}\n",
			"the call fails\n  recorded: result {\"content\":[]}\n  now:      plugin_failed: "},
		{"a panic", "testdata/plugins/badboy", "-- case --\ntool: panicking\n", "-- result --\n{\"content\":[]}\n",
			"badboy's goroutine panicked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := newPlayer(t, tt.plugin).play(recordedAs(t, tt.authored, tt.recording)); !strings.Contains(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// wrote is what files_write answers.
func wrote(path string, size int) string {
	b, _ := json.Marshal(map[string]any{"content": []map[string]any{
		{"type": "text", "text": "wrote " + path + ": 1 byte, 1 line"},
		{"type": "resource_link", "mimeType": "application/octet-stream", "uri": "workspace:/" + path, "name": "x", "size": size},
	}})
	return string(b)
}

func TestACaseThatCantBePlayedSaysWhy(t *testing.T) {
	p := newPlayer(t, "plugins/files")
	const result = "-- result --\n{\"content\":[]}\n"
	stale := recordedAs(t, "-- case --\ntool: list\n", result)
	stale.Seed++
	for want, c := range map[string]*replay.Case{
		"not_found: files has no tool run":                                recordedAs(t, "-- case --\ntool: run\n", result),
		"failed_precondition: it was not recorded yet":                    caseOf(t, "-- case --\ntool: list\n"),
		"failed_precondition: the case was changed after it was recorded": stale,
		"invalid_argument: files_read: /path is required":                 recordedAs(t, "-- case --\ntool: read\n", result),
	} {
		if err := p.Replay(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A recording is of what a plugin answered: a trap isn't one.
func TestATrapIsNotRecorded(t *testing.T) {
	a, err := plugin.Read(hosttest.Plugin(t, "testdata/plugins/badboy"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := host.NewRecorder(context.WithoutCancel(t.Context()), host.RecordConfig{Plugin: a, Host: host.Config{
		Python: hosttest.Python(t), CacheDir: cache(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(t, r) })
	if _, err := r.Record(t.Context(), caseOf(t, "-- case --\ntool: trap\n")); abi.CodeOf(err) != abi.CodePluginFailed {
		t.Errorf("got %v", err)
	}
}

// Hosts are reached where they were named, whoever asks for any.
func TestNobodyIsReachedUnnamedWhileACallIsRecorded(t *testing.T) {
	a, err := plugin.Read(hosttest.Plugin(t, "plugins/http"))
	if err != nil {
		t.Fatal(err)
	}
	for _, hosts := range [][]string{nil, {"example.com"}} {
		r, err := host.NewRecorder(context.WithoutCancel(t.Context()), host.RecordConfig{Plugin: a, Hosts: hosts, Host: host.Config{
			Python: hosttest.Python(t), CacheDir: cache(),
		}})
		if err != nil {
			t.Fatal(err)
		}
		rec, err := r.Record(t.Context(), caseOf(t, "-- case --\ntool: fetch\n-- arguments --\n{\"url\":\"http://127.0.0.1:1/\"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		if len(rec.Calls) != 1 || rec.Calls[0].Error == nil || rec.Calls[0].Error.Code != abi.CodePermissionDenied {
			t.Errorf("with the hosts %q: %+v", hosts, rec.Calls)
		}
		closeAll(t, r)
	}
}
