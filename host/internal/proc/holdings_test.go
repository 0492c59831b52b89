package proc_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// A holding is what a host has of the system's: after the end of its children
// none of it is theirs.
type holding struct {
	Descriptors, Goroutines int
	Children                int // zombies too
	Mounts                  int
	Strays                  int // threads that see other mounts
	Groups                  int // control groups that this process made
}

func holdings(t testing.TB) holding {
	t.Helper()
	count := func(pattern string) int {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	h := holding{Descriptors: count("/proc/self/fd/*"), Goroutines: runtime.NumGoroutine()}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	h.Mounts = strings.Count(string(mounts), "\n")
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	threads, _ := filepath.Glob("/proc/self/task/*/ns/mnt")
	for _, thread := range threads {
		if at, err := os.Readlink(thread); err == nil && at != own {
			h.Strays++
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && parent(pid) == os.Getpid() {
			h.Children++
		}
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "sallyport-") && strings.Contains(d.Name(), fmt.Sprintf("-%d-", os.Getpid())) {
			h.Groups++
		}
		return nil
	})
	return h
}

// settle waits until the process holds no more than before, and fails the test
// when it doesn't come to that. spare are descriptors that the test itself has
// come to hold.
func settle(t *testing.T, before holding, spare ...int) {
	t.Helper()
	for _, n := range spare {
		before.Descriptors += n
	}
	var now holding
	defer func() {
		if t.Failed() {
			t.Logf("before it held %+v, and now %+v", before, now)
		}
	}()
	wait(t, "what the children held", func() bool {
		now = holdings(t)
		return now.Descriptors <= before.Descriptors && now.Goroutines <= before.Goroutines && now.Children <= before.Children &&
			now.Mounts <= before.Mounts && now.Strays <= before.Strays && now.Groups <= before.Groups
	})
}
