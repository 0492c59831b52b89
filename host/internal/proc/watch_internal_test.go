//go:build linux

package proc

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// watch watches a worker until the test ends. The reason for which it is killed
// comes through the channel.
func watch(t *testing.T, w *worker, spec Spec, shm string) (killed <-chan string) {
	t.Helper()
	reasons := make(chan string, 9)
	watching := &watched{
		spec: spec, tree: w.tree, shm: shm, log: hclog.NewNullLogger(),
		kill: func(reason string) { w.kill(); reasons <- reason },
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { watching.run(ctx) })
	t.Cleanup(func() {
		cancel()
		run.Wait()
		if len(reasons) > 0 {
			t.Errorf("the child was killed, %s", <-reasons)
		}
	})
	return reasons
}

// wantKill waits for the child to be killed for a reason.
func wantKill(t *testing.T, killed <-chan string, want string) {
	t.Helper()
	select {
	case reason := <-killed:
		if reason != want {
			t.Errorf("it was killed: %q, want %q", reason, want)
		}
	case <-time.After(deadline):
		t.Errorf("it was not killed: %s", want)
	}
}

// filled is a quota of the worker's folder.
func filled(w *worker, bytes int64, files int) Spec {
	return Spec{Quotas: []Quota{{
		Name: "the workspace", Bytes: bytes, Files: files,
		Used: func() (int64, int, error) { return Measure(w.Dir) },
	}}}
}

// hold200MiB makes a process hold so much memory until it is killed.
const hold200MiB = "{ head -c 200M /dev/zero; sleep 60; } | tail"

func TestWatcherEndsAChildOverItsMemory(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	w := newWorker(t)
	killed := watch(t, w, Spec{Limits: Limits{Memory: 100 << 20}}, "")
	w.tell(hold200MiB)
	wantKill(t, killed, "over its memory of 100 MiB")
}

func TestWatcherEndsAChildThatKeepsItsMemoryInNamelessFiles(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	w := newWorker(t)
	killed := watch(t, w, Spec{Limits: Limits{Memory: 50 << 20}}, "")
	w.python(`
import os, time
f = os.memfd_create("x")
for i in range(100): os.write(f, bytes(1<<20))
time.sleep(60)`)
	wantKill(t, killed, "over its memory of 50 MiB")
}

func TestMemoryThatProcessesShareCountsOnce(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	w := newWorker(t)
	w.python(`
import os, time
x = os.urandom(1<<20) * 50
for i in range(3):
  if os.fork() == 0: break
time.sleep(60)`)
	const bound = 100 << 20
	eventually(t, "all have their memory", func() bool {
		used, _ := roughly(w.tree())
		return used > 2*bound
	})
	watching := &watched{spec: Spec{Limits: Limits{Memory: bound}}, tree: w.tree}
	if reason := watching.over(true, false); reason != "" {
		t.Errorf("a child of 50 MiB in four processes is %s", reason)
	}
}

func TestWatcherCountsFilesInMemory(t *testing.T) {
	shm, err := os.MkdirTemp("/dev/shm", "proc-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(shm)
	memory, files, device := filesIn(shm)
	if err := os.WriteFile(filepath.Join(shm, "file"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	more, moreFiles, _ := filesIn(shm)
	if device == 0 || more < memory || moreFiles <= files {
		t.Errorf("%d bytes in %d files have become %d in %d", memory, files, more, moreFiles)
	}
	if bytes, n, device := filesIn("/proc"); bytes != 0 || n != 0 || device != 0 {
		t.Errorf("/proc holds %d bytes in %d files", bytes, n)
	}
}

// TestWatcherEndsAChildWithTooManyFilesInMemory sees the child's file system as
// a host does, through the child.
func TestWatcherEndsAChildWithTooManyFilesInMemory(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	w := newWorker(t)
	w.tell(`unshare -rm sh -c 'mount -t tmpfs none /mnt && : > /mnt/ready && until [ -e /mnt/go ]; do sleep 0.01; done && python3 -c "import time; [open(\"/mnt/\" + str(i), \"w\").close() for i in range(100001)]; time.sleep(60)"'`)
	shm := ""
	eventually(t, "the file system is there", func() bool {
		for _, pid := range w.tree() {
			shm = filepath.Join("/proc", strconv.Itoa(pid), "root", "mnt")
			if _, err := os.Stat(filepath.Join(shm, "ready")); err == nil {
				return true
			}
		}
		return false
	})
	killed := watch(t, w, Spec{}, shm)
	if err := os.WriteFile(filepath.Join(shm, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantKill(t, killed, "over 100000 files in memory")
}

func TestWatcherEndsAForkBomb(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	w := newWorker(t)
	killed := watch(t, w, Spec{Limits: Limits{Processes: 8}}, "")
	w.tell("i=0; while [ $i -lt 150 ]; do sleep 60 & i=$((i+1)); done; wait")
	wantKill(t, killed, "far over its bound of 8 processes and threads")
}

func TestChildOverItsQuotaCanNotWriteUntilThereIsRoom(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	w := newWorker(t)
	spec := filled(w, 1<<20, 0)
	spec.Limits.FileSize = 1 << 30
	killed := watch(t, w, spec, "")
	if code, out := w.run("head -c 2M /dev/zero > large; echo x > small"); code != 0 {
		t.Fatalf("below its quota a child can't write: %s", out)
	}
	eventually(t, "writes fail", func() bool {
		code, out := w.run("head -c 1 /dev/zero >> small")
		return code != 0 && strings.Contains(out, "File too large")
	})
	if code, out := w.run("wc -c < small && mkdir empty"); code != 0 {
		t.Errorf("over its quota a child can't read: %s", out)
	}
	if code, out := w.run("rm large"); code != 0 {
		t.Errorf("over its quota a child can't delete: %s", out)
	}
	eventually(t, "writes work", func() bool {
		code, _ := w.run("head -c 1 /dev/zero >> small")
		return code == 0
	})
	var is unix.Rlimit
	eventually(t, "the limit is what it was", func() bool {
		return unix.Prlimit(w.Process.Pid, unix.RLIMIT_FSIZE, nil, &is) == nil && is.Cur == is.Max
	})
	if len(killed) > 0 {
		t.Errorf("it was killed, %s", <-killed)
	}
}

func TestCurbLetsGoOfWhatInheritedIt(t *testing.T) {
	w := newWorker(t)
	pids := w.tree()
	var c curb
	c.set(false, pids, 0)
	if c != nil {
		t.Error("what isn't curbed is remembered")
	}
	c.set(true, pids, 0)
	w.tell("sleep 60 & wait")
	eventually(t, "the worker has children", func() bool { return len(w.tree()) == 3 })
	const bound = 1 << 20
	c.set(true, pids, bound)
	c.set(false, w.tree(), bound)
	for _, pid := range w.tree() {
		var is unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &is); err != nil {
			t.Fatal(err)
		}
		want := is.Max // what the worker had before
		if pid != w.Process.Pid {
			want = min(bound, is.Max)
		}
		if is.Cur != want {
			t.Errorf("process %d of %v has %d, want %d", pid, w.tree(), is.Cur, want)
		}
	}
}

// Ways to take 80 MiB from the disk, where 65 are the end. All but
// the first two work against a curb too.
var fills = map[string]func(*worker){
	"by writing": func(w *worker) {
		w.tell("head -c 80M /dev/zero > file; sleep 60")
	},
	"in a deleted file": func(w *worker) {
		w.tell("exec 3> file; rm file; head -c 80M /dev/zero >&3; sleep 60")
	},
	"beyond the end of files": func(w *worker) {
		w.tell("i=0; while [ $i -lt 80 ]; do : > file$i; fallocate -n -l 1M file$i; i=$((i+1)); done; sleep 60")
	},
	"into holes that are mapped": func(w *worker) {
		w.python(`
import mmap, time
f = open("file", "w+b")
f.truncate(80<<20)
m = mmap.mmap(f.fileno(), 0)
for i in range(0, 80<<20, 4096): m[i] = 1
m.flush()
time.sleep(60)`)
	},
	"against the curb": func(w *worker) {
		w.python(`
import resource, time
f = open("file", "wb", 0)
for i in range(80):
  for again in range(1000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    try:
      f.write(bytes(1<<20))
      break
    except OSError: pass
time.sleep(60)`)
	},
}

func TestChildFarOverItsQuotaIsKilled(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	for name, fill := range fills {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t)
			killed := watch(t, w, filled(w, 1<<20, 0), "")
			fill(w)
			wantKill(t, killed, "over its quota of 1 MiB in the workspace")
		})
	}
}

func TestChildWithFarTooManyFilesIsKilled(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	w := newWorker(t)
	killed := watch(t, w, filled(w, 0, 100), "")
	w.tell("i=0; while [ $i -lt 2000 ]; do mkdir d$i; i=$((i+1)); done; sleep 60")
	wantKill(t, killed, "over its quota of 100 files in the workspace")
}

// TestChildThatShutsItsFoldersIsKilled holds for a host that isn't root: that
// one sees everything.
func TestChildThatShutsItsFoldersIsKilled(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	w := newWorker(t)
	t.Cleanup(func() { os.Chmod(filepath.Join(w.Dir, "shut"), 0o700) })
	killed := watch(t, w, filled(w, 1<<20, 0), "")
	w.tell("mkdir shut; exec 3> shut/file; chmod 0 shut; sleep 60")
	wantKill(t, killed, "what it holds in the workspace can't be measured")
}

func TestWatcherKeepsWhatItKnowsWhenAMeasurementFails(t *testing.T) {
	f := &filling{Quota: Quota{Name: "the workspace", Bytes: 10}}
	used := int64(20)
	var failure error
	f.Used = func() (int64, int, error) { return used, 1, failure }
	step := func(wantOver bool) {
		t.Helper()
		if reason := f.measure(hclog.NewNullLogger()); reason != "" {
			t.Errorf("it is to be killed: %s", reason)
		}
		if over, reason := f.state(0); over != wantOver || reason != "" {
			t.Errorf("over: %v, %q", over, reason)
		}
	}
	step(true)
	used, failure = 0, errors.New("out of order")
	step(true)
	failure = nil
	step(false)
}

func TestWatcherReturnsWithItsContextAndKillsOnce(t *testing.T) {
	w := newWorker(t)
	var kills atomic.Int64
	watching := &watched{
		tree: w.tree, log: hclog.NewNullLogger(), kill: func(string) { kills.Add(1) },
		spec: Spec{Limits: Limits{Memory: 1, Processes: 1}, Quotas: []Quota{
			{Name: "one", Bytes: 1, Used: func() (int64, int, error) { return 1 << 40, 1, nil }},
			{Name: "two", Files: 1, Used: func() (int64, int, error) { return 0, 1 << 40, nil }},
		}},
	}
	watching.run(t.Context()) // returns by itself
	if n := kills.Load(); n != 1 {
		t.Errorf("it was killed %d times", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	watching.run(ended)
	if n := kills.Load(); n != 1 {
		t.Error("it was killed after its watch")
	}
}

func TestSizesInWords(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1 << 10: "1 KiB", 512 << 20: "512 MiB", 1536 << 20: "1.5 GiB"} {
		if is := size(n); is != want {
			t.Errorf("%d is %q, want %q", n, is, want)
		}
	}
}
