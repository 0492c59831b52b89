//go:build linux

package proc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// lookalike makes files as a group of version 2 has them, in a folder: what is
// written there can be read back, which is all of the system that it shows.
func lookalike(t *testing.T, own string, files map[string]string) tree2 {
	t.Helper()
	mount := t.TempDir()
	if err := os.MkdirAll(filepath.Join(mount, own), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(mount, own, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newTree2(mount, own)
}

func TestVersion2WritesEveryBound(t *testing.T) {
	tree := lookalike(t, "/app.service", map[string]string{
		"cgroup.controllers": "cpuset cpu memory pids", "cgroup.subtree_control": "cpu memory pids",
	})
	for _, c := range []control{controlMemory, controlCPU, controlPids} {
		if err := tree.offers(c); err != nil {
			t.Error(err)
		}
	}
	b, err := tree.make("child", []control{controlMemory, controlCPU, controlPids}, Limits{Memory: 64 << 20, CPUShare: 1.5, Processes: 32})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"memory.max": "67108864", "memory.oom.group": "1", "cpu.max": "150000 100000", "pids.max": "32",
	} {
		name := filepath.Join(tree.dir("child"), file)
		os.Chmod(name, 0o600) // the library makes files of no mode, where the system has them already
		if is := read(t, name); is != want {
			t.Errorf("%s reads %q, want %q", file, is, want)
		}
	}
	if err := os.WriteFile(tree.dir("child", "memory.events"), []byte("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &group{limits: Limits{Memory: 64 << 20}, bounds: map[control]bool{controlMemory: true}, branches: []branch{b}}
	if why := c.exceeded(); why != "over its memory of 64 MiB" {
		t.Errorf("the reason is %q", why)
	}
	if err := os.WriteFile(tree.dir("child", "memory.events"), []byte("oom 0\noom_kill 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if why := c.exceeded(); !strings.Contains(why, "within its own bound") {
		t.Errorf("when others took the memory, the reason is %q", why)
	}
}

func TestVersion2TakesSwapAwayWhereThereIsSome(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "memory.swap.max"), []byte("max\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := branch2{dir: dir}.resources([]control{controlMemory}, Limits{Memory: 1 << 20})
	if r.Memory.Swap == nil || *r.Memory.Swap != 0 {
		t.Error("swap is not bounded")
	}
}

func TestVersion2NamesTheControlThatIsNotDelegated(t *testing.T) {
	tree := lookalike(t, "/app.service", map[string]string{"cgroup.controllers": "io hugetlb", "cgroup.subtree_control": ""})
	g := newGroups(hclog.NewNullLogger(), tree)
	holds, detail, hint := g.memory()
	if holds || !strings.Contains(detail, "is not given the control memory") || !strings.Contains(hint, "Delegate=yes") {
		t.Errorf("holds %v, %q, %q", holds, detail, hint)
	}
}

func TestVersion2LeavesAHostThatSharesItsGroup(t *testing.T) {
	tree := lookalike(t, "/user.slice/session.scope", map[string]string{"cgroup.procs": strconv.Itoa(os.Getppid()) + "\n" + strconv.Itoa(os.Getpid())})
	if err := tree.moveAway(); !errors.Is(err, errShared) {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(tree.dir(hostLeaf)); err == nil {
		t.Error("a leaf was made")
	}
	g := &groups{lacks: map[control]error{controlMemory: errShared}}
	if _, _, hint := g.memory(); !strings.Contains(hint, "alone in its control group") {
		t.Errorf("the hint is %q", hint)
	}
}

func TestVersion2MovesAHostThatIsAloneIntoALeaf(t *testing.T) {
	tree := lookalike(t, "/app.service", map[string]string{"cgroup.procs": strconv.Itoa(os.Getpid())})
	if err := tree.moveAway(); err != nil {
		t.Fatal(err)
	}
	procs := tree.dir(hostLeaf, "cgroup.procs")
	os.Chmod(procs, 0o600)
	if is := read(t, procs); is != strconv.Itoa(os.Getpid()) {
		t.Errorf("in the leaf is %q", is)
	}
	if again := newTree2(tree.mount, "/app.service/"+hostLeaf); again != tree {
		t.Errorf("from the leaf, groups are made in %v", again)
	}
}

// TestVersion2HoldsAndEndsProcesses needs a tree that can be written, with or
// without controls.
func TestVersion2HoldsAndEndsProcesses(t *testing.T) {
	for _, tree := range findTrees() {
		second, ok := tree.(tree2)
		if !ok {
			continue
		}
		g := newGroups(hclog.NewNullLogger(), second)
		name := g.name(t.Name())
		b, err := second.make(name, nil, Limits{})
		if errors.Is(err, os.ErrPermission) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		c := &group{branches: []branch{b}}
		defer c.remove()
		w := newWorker(t)
		if err := c.add(w.Process.Pid); err != nil {
			t.Fatal(err)
		}
		w.tell("sleep 60 & sleep 60 & wait")
		eventually(t, "all are in the group", func() bool { return len(b.pids()) == 4 })
		if err := c.remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(second.dir(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the group: %v", err)
		}
		var signaled *exec.ExitError
		if err := w.Wait(); !errors.As(err, &signaled) || signaled.ExitCode() != -1 {
			t.Errorf("the worker ended with %v", err)
		}
	}
}

func TestTreesAreFoundInEveryLayout(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"memory", "pids", "cpu,cpuacct", "cpu", "unified"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	line := func(from, point, kind, options string) string {
		return "30 24 0:26 " + from + " " + root + point + " rw,nosuid shared:9 - " + kind + " cgroup rw," + options + "\n"
	}
	slash := map[string]string{"memory": "/", "cpu": "/", "pids": "/"}
	for name, c := range map[string]struct {
		mounts  string
		own     map[string]string
		unified string
		places  map[control]place
		second  tree2
	}{
		"none": {mounts: "22 1 8:1 / / rw - ext4 /dev/sda rw\nnonsense\n"},
		"unified": {
			mounts: line("/", "", "cgroup2", "nsdelegate"), unified: "/system.slice/app.service",
			second: tree2{root, "/system.slice/app.service"},
		},
		"unified, in a leaf": {
			mounts: line("/", "", "cgroup2", "nsdelegate"), unified: "/system.slice/app.service/" + hostLeaf,
			second: tree2{root, "/system.slice/app.service"},
		},
		"hybrid, with controls mounted together": {
			mounts:  line("/", "/cpu,cpuacct", "cgroup", "cpu,cpuacct") + line("/", "/memory", "cgroup", "memory") + line("/", "/unified", "cgroup2", "x"),
			own:     map[string]string{"memory": "/a/b", "cpu": "/c", "cpuacct": "/c", "pids": "/"},
			unified: "/d",
			places:  map[control]place{controlMemory: {root, "/a/b"}, controlCPU: {root, "/c"}},
			second:  tree2{root + "/unified", "/d"},
		},
		"a container that sees its own groups alone": {
			mounts: line("/docker/1", "/memory", "cgroup", "memory") + line("/docker/1", "/pids", "cgroup", "pids"),
			own:    map[string]string{"memory": "/docker/1", "pids": "/docker/1/x"},
			places: map[control]place{controlMemory: {root, "/"}, controlPids: {root, "/x"}},
		},
		"a group that is out of sight": {
			mounts: line("/docker/1", "/memory", "cgroup", "memory") + line("/../..", "/pids", "cgroup", "pids") + line("/", "", "cgroup2", "x"),
			own:    slash, unified: "/../other",
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := new(tree1), tree2{}
			for _, tree := range treesIn(c.mounts, c.own, c.unified) {
				switch tree := tree.(type) {
				case *tree1:
					first = tree
				case tree2:
					second = tree
				}
			}
			if second != c.second {
				t.Errorf("version 2 is %v, want %v", second, c.second)
			}
			if len(first.places) != len(c.places) {
				t.Errorf("version 1 is %v, want %v", first.places, c.places)
			}
			for control, want := range c.places {
				if is := first.places[control]; is != want {
					t.Errorf("%s is at %v, want %v", control, is, want)
				}
			}
		})
	}
}
