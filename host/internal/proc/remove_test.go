package proc_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// TestRemoveTreeRemovesWhatAChildLeft has a tree that is deeper than there are
// descriptors, folders that are shut, and links to what has to stay. As root
// nothing is shut.
func TestRemoveTreeRemovesWhatAChildLeft(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "kept")
	if err := os.Mkdir(outside, 0o500); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "left")
	if err := os.MkdirAll(filepath.Join(dir, "shut", "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": outside, "shut/inner/link": outside, "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2000 {
		if err := os.WriteFile(filepath.Join(dir, "file"+strconv.Itoa(i)), nil, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if err := unix.Mkdirat(at, "d", 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
	for _, name := range []string{"shut/inner", "shut"} {
		if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	var usual unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &usual); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 256, Max: usual.Max}); err != nil {
		t.Fatal(err)
	}
	err = proc.RemoveTree(dir)
	if restored := unix.Setrlimit(unix.RLIMIT_NOFILE, &usual); err != nil || restored != nil {
		t.Fatal(err, restored)
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Error("it is still there")
	}
	if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o500 {
		t.Errorf("what a link led to: %v, %v", info, err)
	}
	if err := proc.RemoveTree(dir); err != nil {
		t.Errorf("what isn't there: %v", err)
	}
}
