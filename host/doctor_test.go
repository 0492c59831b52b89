package host_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
)

// diagnose returns what Doctor finds of one part.
func diagnose(t *testing.T, part string, cfg host.Config) host.Finding {
	t.Helper()
	findings := host.Doctor(t.Context(), cfg)
	i := slices.IndexFunc(findings, func(f host.Finding) bool { return f.Name == part })
	if i < 0 {
		t.Fatalf("there is no %s among %+v", part, findings)
	}
	return findings[i]
}

func TestDoctorFindsMissingWhatAHostRefuses(t *testing.T) {
	write := func(name, content string) func(dir string) error {
		return func(dir string) error {
			return errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		}
	}
	for _, test := range []struct {
		name, part, want string
		prepare          func(dir string) error
	}{
		{"a newer layout", host.DataFinding, "has layout 2", write("VERSION", "2\n")},
		{"another program's folder", host.DataFinding, "not a number", write("VERSION", "one\n")},
		{"a folder below a file", host.DataFinding, "is not a folder", func(dir string) error {
			return os.WriteFile(filepath.Dir(dir), nil, 0o600)
		}},
		{"a lock that is none", host.DataFinding, "LOCK", func(dir string) error { return os.MkdirAll(filepath.Join(dir, "LOCK"), 0o700) }},
		{"an audit log that was changed", "audit log", "is not whole", write(host.AuditFile, "{}\n")},
		{"an audit log that is none", "audit log", "can't be opened", func(dir string) error {
			return os.MkdirAll(filepath.Join(dir, host.AuditFile), 0o700)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "folder", "data")
			if err := test.prepare(dir); err != nil {
				t.Fatal(err)
			}
			f := diagnose(t, test.part, host.Config{DataDir: dir, Isolation: "off"})
			if f.State != host.FindingMissing || !strings.Contains(f.Detail, test.want) || f.Hint == "" {
				t.Errorf("found %+v, want %q", f, test.want)
			}
			if _, err := start(t, dir); err == nil {
				t.Error("a host starts all the same")
			}
		})
	}
}

func TestDoctorReadsTheAuthorities(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.pem")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(nil)
	server.Close()
	good := filepath.Join(t.TempDir(), "good.pem")
	if err := os.WriteFile(good, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{filepath.Join(t.TempDir(), "none.pem"): "can't be read", text: "holds no certificate", good: ""} {
		cfg := host.Config{DataDir: filepath.Join(t.TempDir(), "data"), Isolation: "off", CAFile: file}
		f := diagnose(t, "authorities", cfg)
		if (f.State == host.FindingOK) != (want == "") || !strings.Contains(f.Detail, want) || want != "" && !strings.Contains(f.Hint, "--ca-file") {
			t.Errorf("of %s it finds %+v", file, f)
		}
	}
}

func TestDoctorTriesTheWalls(t *testing.T) {
	for _, c := range []struct{ isolation, bubblewrap, want string }{
		{"", "", host.FindingOK},
		{"required", "", host.FindingOK},
		{"preferred", "", host.FindingOK},
		{"off", "", host.FindingWarning},
		{"required", "no-such-bwrap", host.FindingMissing},
		{"preferred", "no-such-bwrap", host.FindingWarning},
	} {
		f := diagnose(t, "isolation", host.Config{
			DataDir: filepath.Join(t.TempDir(), "data"), Isolation: c.isolation, Bubblewrap: c.bubblewrap,
		})
		if f.State != c.want || c.want == host.FindingMissing && !strings.Contains(f.Hint, "apt install bubblewrap") {
			t.Errorf("of isolation %q and bubblewrap %q it finds %+v", c.isolation, c.bubblewrap, f)
		}
	}
}

func TestAHostWithoutItsWallsDoesNotStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, err := host.New(t.Context(), host.Config{DataDir: dir, Bubblewrap: "no-such-bwrap"})
	if e := abi.AsError(err); e == nil || e.Code != abi.CodeUnavailable || !strings.Contains(e.Hint, "apt install bubblewrap") || !strings.Contains(e.Hint, "--isolation=off") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("it made a data directory all the same")
	}
}

func TestDoctorWarnsOfARunningHost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := start(t, dir); err != nil {
		t.Fatal(err)
	}
	f := diagnose(t, host.DataFinding, host.Config{DataDir: dir, Isolation: "off"})
	if want := fmt.Sprintf("a host is running on it (process %d)", os.Getpid()); f.State != host.FindingWarning || !strings.Contains(f.Detail, want) {
		t.Errorf("found %+v", f)
	}
}

func TestDoctorChangesNothing(t *testing.T) {
	parent := t.TempDir()
	cfg := host.Config{
		DataDir: filepath.Join(parent, "data"), PluginDir: filepath.Join(parent, "plugins"),
		PolicyFile: filepath.Join(parent, "policy.yaml"), Isolation: "off",
	}
	tree := func() string {
		var b strings.Builder
		err := filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, content := range []string{"", "{torn"} {
		if content != "" {
			if err := errors.Join(os.Mkdir(cfg.DataDir, 0o700), os.WriteFile(filepath.Join(cfg.DataDir, host.AuditFile), []byte(content), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		before := tree()
		for _, f := range host.Doctor(t.Context(), cfg) {
			if (f.Name == host.DataFinding || f.Name == "audit log") && f.State != host.FindingOK {
				t.Errorf("found %+v", f)
			}
		}
		if after := tree(); after != before {
			t.Errorf("before there was\n%s\nand after\n%s", before, after)
		}
	}
}
