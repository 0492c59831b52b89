package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// artifact is a plugin as far as an approval looks at it.
func artifact(n int, c abi.Capabilities) *plugin.Artifact {
	return &plugin.Artifact{
		Digest:   fmt.Sprintf("sha256:%064x", n),
		Manifest: abi.Manifest{ABI: abi.Version, Name: fmt.Sprint("p", n), Version: "1.0.0", Capabilities: c},
	}
}

func allow(t *testing.T, file string, a *plugin.Artifact) {
	t.Helper()
	approval, err := host.Prepare(file, a, host.Terms{})
	if err == nil {
		err = approval.Write()
	}
	if err != nil {
		t.Error(err)
	}
}

func readPolicy(t *testing.T, file string) *policy.Policy {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestApprovalsAtTheSameTimeAllStay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	const n = 32
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { allow(t, file, artifact(i, abi.Capabilities{})) })
	}
	wg.Wait()
	if got := len(readPolicy(t, file).Plugins); got != n {
		t.Errorf("the policy has %d entries, want %d", got, n)
	}
}

func TestAPolicyThatIsALinkStaysOne(t *testing.T) {
	for name, prepare := range map[string]func(file string) error{
		"to a file":                      func(file string) error { return os.WriteFile(file, []byte("version: 1\nplugins: []\n"), 0o644) },
		"to a file that isn't there yet": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "kept"), 0o755); err != nil {
				t.Fatal(err)
			}
			target, link := filepath.Join(dir, "kept", "policy.yaml"), filepath.Join(dir, "policy.yaml")
			if err := prepare(target); err != nil {
				t.Fatal(err)
			}
			for newname, oldname := range map[string]string{"policy.yaml": "middle", "middle": "kept/policy.yaml"} {
				if err := os.Symlink(oldname, filepath.Join(dir, newname)); err != nil {
					t.Fatal(err)
				}
			}
			allow(t, link, artifact(1, abi.Capabilities{}))
			if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
				t.Errorf("the link is a link no more: %v, %v", info, err)
			}
			if got := len(readPolicy(t, target).Plugins); got != 1 {
				t.Errorf("the policy that it leads to has %d entries", got)
			}
		})
	}
}

func TestALinkThatLeadsNowhereIsRefused(t *testing.T) {
	link := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.Symlink("policy.yaml", link); err != nil {
		t.Fatal(err)
	}
	if _, err := host.Prepare(link, artifact(1, abi.Capabilities{}), host.Terms{}); err == nil {
		t.Error("a link to itself was read")
	}
}

func TestPluginsAreListedInADirectoryOfAnyName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins [old]*")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "text.wasm"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := host.List(dir, filepath.Join(dir, "policy.yaml"))
	if err != nil || len(list) != 1 || list[0].Name != "text" {
		t.Errorf("listed %+v, %v", list, err)
	}
	findings := host.Doctor(t.Context(), host.Config{
		DataDir: filepath.Join(dir, "data"), PluginDir: dir, PolicyFile: filepath.Join(dir, "policy.yaml"), Isolation: "off",
	})
	for _, f := range findings {
		if f.Name == "plugins" && !strings.Contains(f.Detail, "1 plugin") {
			t.Errorf("doctor says %q", f.Detail)
		}
	}
}
