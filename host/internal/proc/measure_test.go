package proc_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// write makes a file of n bytes that are on the disk.
func write(t *testing.T, file string, n int) {
	t.Helper()
	if err := os.WriteFile(file, []byte(strings.Repeat("x", n)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func measured(t *testing.T, dirs ...string) (int64, int) {
	t.Helper()
	bytes, files, err := proc.Measure(dirs...)
	if err != nil {
		t.Fatal(err)
	}
	return bytes, files
}

func TestMeasureCountsEveryEntryOfAllFolders(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(one, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(one, "a", "b", "file"), 1<<20)
	write(t, filepath.Join(two, "empty"), 0)
	bytes, files := measured(t, one, two)
	if files != 4 {
		t.Errorf("there are %d entries, want 4", files)
	}
	if bytes < 1<<20 || bytes > 1<<20+1<<16 {
		t.Errorf("they take %d bytes, want about %d", bytes, 1<<20)
	}
}

func TestMeasureCountsWhatTheDiskLoses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sparse"), 1)
	if err := os.Truncate(filepath.Join(dir, "sparse"), 1<<30); err != nil {
		t.Fatal(err)
	}
	if bytes, _ := measured(t, dir); bytes <= 0 || bytes > 1<<20 {
		t.Errorf("a sparse file of a gigabyte takes %d bytes", bytes)
	}
}

func TestMeasureCountsAFileWithTwoNamesOnce(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	write(t, filepath.Join(one, "file"), 1<<20)
	if err := os.Link(filepath.Join(one, "file"), filepath.Join(two, "file")); err != nil {
		t.Fatal(err)
	}
	if bytes, files := measured(t, one, two); files != 1 || bytes >= 2<<20 {
		t.Errorf("there are %d bytes in %d files", bytes, files)
	}
}

func TestMeasureFollowsNoLink(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "file"), 1<<20)
	for name, to := range map[string]string{"folder": outside, "file": filepath.Join(outside, "file"), "round": dir} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if bytes, files := measured(t, dir); files != 3 || bytes > 1<<16 {
		t.Errorf("there are %d bytes in %d files", bytes, files)
	}
}

func TestMeasureToleratesWhatVanishes(t *testing.T) {
	dir := t.TempDir()
	over := make(chan struct{})
	churned := make(chan struct{})
	go func() {
		defer close(churned)
		for i := 0; ; i++ {
			select {
			case <-over:
				return
			default:
			}
			sub := filepath.Join(dir, fmt.Sprint("folder", i%8))
			os.Mkdir(sub, 0o700)
			os.WriteFile(filepath.Join(sub, "file"), nil, 0o600)
			os.RemoveAll(sub)
			os.Symlink("/", sub)
			os.Remove(sub)
		}
	}()
	for range 500 {
		if _, files, err := proc.Measure(dir); err != nil || files > 16 {
			t.Errorf("there are %d files, and the error %v", files, err)
			break
		}
	}
	close(over)
	<-churned
}

func TestMeasureGivesUpOnWhatIsTooDeep(t *testing.T) {
	dir := t.TempDir()
	for _, depth := range []int{100, 200} {
		if err := os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", depth)), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, _, err := proc.Measure(dir); errors.Is(err, proc.ErrUnmeasurable) != (depth == 200) {
			t.Errorf("at a depth of %d the error is %v", depth, err)
		}
	}
}

func TestMeasureFailsWithoutTheFolder(t *testing.T) {
	if _, _, err := proc.Measure(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}
