package host_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
)

// start makes a host on a data directory; it ends with the test.
func start(t *testing.T, dir string) (*host.Host, error) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	h, err := host.New(ctx, host.Config{DataDir: dir, Isolation: "off"})
	if err == nil {
		t.Cleanup(func() {
			if err := h.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	return h, err
}

func TestTheDataDirectoryServesOneHost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := start(t, dir); err != nil {
		t.Fatal(err)
	}
	_, err := start(t, dir)
	if abi.CodeOf(err) != abi.CodeUnavailable || !strings.Contains(err.Error(), "in use by another host") {
		t.Errorf("a second host got %v", err)
	}
}

func TestTheDataDirectoryCanBeUsedAgain(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		h, err := host.New(t.Context(), host.Config{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadDataDirectories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	version := func(v string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte(v), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, c := range []struct{ name, dir, want string }{
		{"none", "", "no data directory"},
		{"a file", file, "can't be used"},
		{"below a file", filepath.Join(file, "data"), "can't be used"},
		{"one that nobody can write", "/proc/sallyport", "can't be used"},
		{"a newer layout", version("99\n"), "layout 99"},
		{"a layout that is no number", version("x\n"), "not a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := start(t, c.dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || abi.AsError(err).Hint == "" {
				t.Errorf("got %v (hint: %s), want %q and a hint", err, abi.AsError(err).Hint, c.want)
			}
		})
	}
}
