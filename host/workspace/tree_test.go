package workspace_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// open makes a workspace in a folder of its own and returns both. Whatever it
// could escape to lies beside the workspace, in the same folder.
func open(t testing.TB, cfg workspace.Config) (*workspace.Workspace, string) {
	t.Helper()
	top := t.TempDir()
	cfg.Dir = filepath.Join(top, "ws")
	w, err := workspace.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w, top
}

func view(t testing.TB, w *workspace.Workspace, zone string, access abi.Access) *workspace.FS {
	t.Helper()
	v, err := w.FS(zone, access)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// plant makes what a process could, described one a line:
//
//	path = content     a file
//	path/              a folder
//	path -> target     a symbolic link; $TOP is top
//	path == other      a hard link to another path
//	path |             a named pipe
//	path (socket)      a socket
//	path (device)      a device that nobody answers
func plant(t testing.TB, top, tree string) {
	t.Helper()
	for line := range strings.Lines(tree) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name, what, _ := strings.Cut(line, " ")
		path := filepath.Join(top, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(path, 0o755))
		case strings.HasPrefix(what, "= "):
			must(t, os.WriteFile(path, []byte(what[2:]), 0o644))
		case strings.HasPrefix(what, "-> "):
			must(t, os.Symlink(strings.ReplaceAll(what[3:], "$TOP", top), path))
		case strings.HasPrefix(what, "== "):
			must(t, os.Link(filepath.Join(top, what[3:]), path))
		case what == "|":
			must(t, syscall.Mkfifo(path, 0o644))
		case what == "(socket)":
			l, err := net.Listen("unix", path)
			must(t, err)
			t.Cleanup(func() { l.Close() })
		case what == "(device)":
			must(t, syscall.Mknod(path, syscall.S_IFCHR|0o644, 0))
		default:
			t.Fatalf("tree: %q", line)
		}
	}
}

// picture describes all that is under dir, in plant's words, modes and times
// left out.
func picture(t testing.TB, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case e.IsDir():
			name += "/"
		case e.Type().IsRegular():
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name += " = " + string(b)
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			name += " -> " + target
		default:
			name += " " + e.Type().String()
		}
		lines = append(lines, name)
		return nil
	})
	must(t, err)
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks an error's code, and that its message and hint keep the
// host's paths to themselves.
func refused(t testing.TB, err error, code abi.Code, says ...string) *abi.Error {
	t.Helper()
	var e *abi.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want an *abi.Error of code %v", err, code)
	}
	if e.Code != code {
		t.Fatalf("error is %v, want the code %v", err, code)
	}
	for _, s := range says {
		if !strings.Contains(e.Message, s) {
			t.Errorf("message is %q, want %q in it", e.Message, s)
		}
	}
	if strings.Contains(e.Message+e.Hint, os.TempDir()) {
		t.Errorf("message %q or hint %q shows a path of the host's", e.Message, e.Hint)
	}
	return e
}

func write(t testing.TB, v *workspace.FS, name, content string) {
	t.Helper()
	f, err := v.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	must(t, err)
	_, err = f.Write([]byte(content))
	must(t, errors.Join(err, f.Close()))
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}
