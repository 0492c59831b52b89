package hosttest_test

import (
	"net/http"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/hosttest"
)

// TestEveryPluginLoads builds every plugin of the tree that is written in Go
// and loads it in a host that grants what it asks for. It also fills the cache
// of native code, which make test relies on: compiling under the race detector
// takes minutes.
func TestEveryPluginLoads(t *testing.T) {
	var dirs []string
	for _, parent := range []string{"plugins", "testdata/plugins"} {
		sources, err := filepath.Glob(filepath.Join(hosttest.Root(), filepath.FromSlash(parent), "*", "plugin.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sources {
			dir := filepath.Dir(s)
			if _, err := os.Stat(filepath.Join(dir, "main.go")); err == nil {
				dirs = append(dirs, path.Join(parent, filepath.Base(dir)))
			}
		}
	}
	if len(dirs) < 5 {
		t.Fatalf("only %v are there", dirs)
	}
	s := hosttest.NewStage(t, hosttest.Options{Plugins: dirs})
	var list struct{ Plugins []host.PluginStatus }
	s.Operator.JSON(http.MethodGet, "/v1/plugins", "", &list)
	if len(list.Plugins) != len(dirs) {
		t.Errorf("%d plugins are listed, not %d", len(list.Plugins), len(dirs))
	}
	for _, p := range list.Plugins {
		if p.State != host.PluginLoaded {
			t.Errorf("%s is %s: %v", p.Name, p.State, p.Error)
		}
	}
}
