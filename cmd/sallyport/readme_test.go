package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/host/hosttest"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// readmeBlocks returns the README's blocks that are marked for a test.
func readmeBlocks(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(hosttest.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)<!-- test: (\\w+) -->\n```(?:sh|yaml)\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		blocks[m[1]] = m[2]
	}
	return blocks
}

// shell runs a block in a folder, with sallyport on the path.
func shell(t *testing.T, dir, block string, env ...string) string {
	t.Helper()
	if block == "" {
		t.Fatal("the README has no such block")
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(env, "PATH="+binDir(t)+":"+os.Getenv("PATH"))...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestREADME follows the first success of each of the three people, to the
// letter.
func TestREADME(t *testing.T) {
	blocks := readmeBlocks(t)

	operator := func(t *testing.T, before string) {
		dir := t.TempDir()
		plugins := filepath.Join(dir, "build", "plugins")
		if err := os.MkdirAll(plugins, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"python", "http"} {
			b, err := os.ReadFile(hosttest.Plugin(t, "plugins/"+name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(plugins, name+".wasm"), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		out := shell(t, dir, before+blocks["operator"], "SALLYPORT_PYTHON="+hosttest.Python(t), "SALLYPORT_LISTEN=127.0.0.1:0")
		for _, want := range []string{"python", "allowed", "spt_", "isolation"} {
			if !strings.Contains(out, want) {
				t.Errorf("the output lacks %q:\n%s", want, out)
			}
		}
		b, err := os.ReadFile(filepath.Join(dir, "policy.yaml"))
		if err != nil || !strings.Contains(string(b), "*.python.org") {
			t.Errorf("the host isn't granted: %s, %v", b, err)
		}
	}
	t.Run("operator", func(t *testing.T) { operator(t, "") })
	t.Run("operator after make serve", func(t *testing.T) {
		operator(t, "for p in python http; do sallyport plugin allow build/plugins/$p.wasm --policy policy.yaml --yes; done\n")
	})
	t.Run("policy", func(t *testing.T) {
		entry := "version: 1\nplugins:\n  - name: http\n    digest: sha256:" + strings.Repeat("0", 64) + "\n"
		for _, block := range []string{"policy", "limits"} {
			entry += "    " + strings.ReplaceAll(strings.TrimSpace(blocks[block]), "\n", "\n    ") + "\n"
		}
		p, err := policy.Parse([]byte(entry))
		if err != nil {
			t.Fatal(err)
		}
		limits := reflect.ValueOf(p.Plugins[0].Limits)
		for i := range limits.NumField() {
			if limits.Field(i).IsZero() {
				t.Errorf("it doesn't show the limit %s", limits.Type().Field(i).Name)
			}
		}
		if http := p.Plugins[0].Grant.HTTP; http == nil || len(http.Allow) != 2 || len(http.Secrets) != 1 {
			t.Errorf("it grants %+v", http)
		}
	})
	t.Run("agent", func(t *testing.T) {
		s := hosttest.NewStage(t, hosttest.Options{})
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "data.csv"), []byte("1,2\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		out := shell(t, dir, blocks["agent"], "HOST="+s.Server.URL, "TOKEN="+s.Agent.Token)
		for _, want := range []string{"python_run", "1,2", "event: result", "entries"} {
			if !strings.Contains(out, want) {
				t.Errorf("the output lacks %q:\n%s", want, out)
			}
		}
		if out := shell(t, dir, blocks["call"], "HOST="+s.Server.URL, "TOKEN="+s.Agent.Token); !strings.Contains(out, "2") {
			t.Errorf("a call says %q", out)
		}
	})
	t.Run("author", func(t *testing.T) {
		// Inside the checkout, as after a clone: the sdk is taken from it.
		parent := filepath.Join(hosttest.Root(), "build", "test")
		if err := os.MkdirAll(parent, 0o755); err != nil {
			t.Fatal(err)
		}
		dir, err := os.MkdirTemp(parent, "author-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		out := shell(t, dir, blocks["author"])
		for _, want := range []string{"ok", "greeter.wasm", "greet"} {
			if !strings.Contains(out, want) {
				t.Errorf("the output lacks %q:\n%s", want, out)
			}
		}
	})
}

// TestCtrlCInMidCall interrupts a serving host while code runs: the caller gets
// an answer, the kernel ends, and the audit log is whole.
func TestCtrlCInMidCall(t *testing.T) {
	dir := t.TempDir()
	plugins := filepath.Join(dir, "plugins")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(hosttest.Plugin(t, "plugins/python"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(plugins, "python.wasm"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	out := shell(t, dir, `
sallyport plugin allow plugins/python.wasm --policy policy.yaml --yes >/dev/null
export SALLYPORT_TOKEN=$(sallyport token create --data-dir data --role agent --name test)
sallyport serve --listen 127.0.0.1:0 --data-dir data --plugin-dir plugins --policy policy.yaml >out 2>log &
host=$!
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
timeout 60 bash -c 'until grep -q "^listening on " out; do sleep .02; done'
url=$(sed -n 's/^listening on //p' out)
sallyport call python_run '{"code": "print(\"looping\", flush=True)\nwhile True: pass"}' --url $url >result 2>live &
call=$!
timeout 60 bash -c 'until grep -q "^looping" live; do sleep .02; done'
kernel=$(sed -n 's/.*started a kernel:.* pid=\([0-9]*\).*/\1/p' log)
kill -INT $host
wait $host && echo "the host ended well" || { echo "the host ended with $?"; cat log; }
wait $call && echo "the call succeeded" || echo "the call failed"
cat live
if test -z "$kernel" || kill -0 $kernel 2>/dev/null; then echo "the kernel is still there"; else echo "the kernel is gone"; fi
sallyport audit --verify --data-dir data
sallyport audit --data-dir data | grep -q host.stop && echo "the log ends well"
`, "SALLYPORT_PYTHON="+hosttest.Python(t))
	for _, want := range []string{"the host ended well", "the call failed", "the host is ending", "the kernel is gone", "the log ends well"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

// TestAPortInUse has a host find its port taken.
func TestAPortInUse(t *testing.T) {
	s := hosttest.NewStage(t, hosttest.Options{Plugins: []string{}})
	address := strings.TrimPrefix(s.Server.URL, "http://")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(binDir(t), "sallyport"),
		"serve", "--isolation=off", "--listen", address, "--data-dir", filepath.Join(t.TempDir(), "data"))
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "can't listen on "+address) || !strings.Contains(string(out), "hint:") {
		t.Errorf("got %v\n%s", err, out)
	}
	for dir, want := range map[string]string{filepath.Join(t.TempDir(), "data"): "missing", s.DataDir: "warning"} {
		cmd := exec.CommandContext(t.Context(), "sallyport", "doctor", "--isolation=off", "--listen", address, "--data-dir", dir)
		out, _ := cmd.CombinedOutput() // it may fail for other reasons
		if !regexp.MustCompile(`(?m)^` + want + ` +address +can't listen on `).Match(out) {
			t.Errorf("doctor doesn't say %s of the address:\n%s", want, out)
		}
	}
}
