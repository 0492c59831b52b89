//go:build linux

package proc

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// left returns the groups there are whose names hold part.
func left(g *groups, part string) []string {
	var names []string
	for _, t := range g.trees {
		for _, name := range t.names() {
			if strings.Contains(name, part) {
				names = append(names, name)
			}
		}
	}
	return names
}

// grouped starts a worker in a group of its own.
func grouped(t *testing.T, g *groups, l Limits) (*worker, *group) {
	t.Helper()
	c, err := g.create(t.Name(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.remove(); err != nil {
			t.Error(err)
		}
		if names := left(g, t.Name()); len(names) > 0 {
			t.Errorf("groups are left: %v", names)
		}
	})
	w := newWorker(t)
	if err := c.add(w.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return w, c
}

// TestControlGroupsAreTheAnswerOrNamed holds for machines that can give control
// groups and for those that can't.
func TestControlGroupsAreTheAnswerOrNamed(t *testing.T) {
	g := openGroups(hclog.NewNullLogger())
	for name, wall := range map[string]func() (bool, string, string){
		"memory": g.memory, "processors": g.processors, "processes": g.processes,
	} {
		holds, detail, hint := wall()
		if detail == "" || holds == (hint != "") {
			t.Errorf("%s: holds %v, %q, hint %q", name, holds, detail, hint)
		}
	}
	if names := left(g, g.host.String()+"-"); len(names) > 0 {
		t.Errorf("trying left groups: %v", names)
	}
}

func TestOrdinaryUserIsToldWhatToDo(t *testing.T) {
	if !asOrdinaryUser(t) {
		return
	}
	g := openGroups(hclog.NewNullLogger())
	holds, detail, hint := g.memory()
	if !holds && (!strings.Contains(detail, "watcher") || !strings.Contains(hint, "Delegate=yes")) {
		t.Errorf("detail %q, hint %q", detail, hint)
	}
	c, err := g.create("child", Limits{Memory: 64 << 20})
	if err != nil || (c != nil) != holds {
		t.Errorf("holds %v, but create gives %v, %v", holds, c, err)
	}
	if err := c.remove(); err != nil {
		t.Error(err)
	}
}

func TestGroupIsMadeOnlyForWhatItBounds(t *testing.T) {
	g := openGroups(hclog.NewNullLogger())
	c, err := g.create("child", Limits{FileSize: 1})
	if c != nil || err != nil {
		t.Fatalf("create gives %v, %v", c, err)
	}
	// All of a nil group does nothing.
	if err := c.add(1); err != nil {
		t.Error(err)
	}
	if why := c.exceeded(); why != "" {
		t.Error(why)
	}
	if err := c.remove(); err != nil {
		t.Error(err)
	}
}

// TestChildOverItsMemoryDies needs nothing where there are no control groups:
// there the watcher's tests are the ones.
func TestChildOverItsMemoryDies(t *testing.T) {
	g := openGroups(hclog.NewNullLogger())
	if holds, _, _ := g.memory(); !holds {
		return
	}
	w, c := grouped(t, g, Limits{Memory: 64 << 20})
	if code, out := w.run("head -c 200M /dev/zero | head -c 1M | wc -c"); code != 0 || out != "1048576" {
		t.Errorf("within its memory a child gives %d %q", code, out)
	}
	if why := c.exceeded(); why != "" {
		t.Errorf("before anything is over, it is said to be %q", why)
	}
	// tail keeps the line whole. In version 2 the whole group dies with it.
	w.tell("head -c 200M /dev/zero | tail | wc -c")
	line, _ := w.answers.ReadString('\n')
	if strings.Contains(line, "209715200") {
		t.Error("a child got 200 MiB where it was to have 64")
	}
	if why := c.exceeded(); why != "over its memory of 64 MiB" {
		t.Errorf("the reason is %q", why)
	}
}

func TestForkBombIsStopped(t *testing.T) {
	g := openGroups(hclog.NewNullLogger())
	if holds, _, _ := g.processes(); !holds {
		return
	}
	w, c := grouped(t, g, Limits{Processes: 16})
	// Bounded by itself too, should the group not hold.
	w.tell("i=0; while [ $i -lt 64 ]; do sleep 60 & i=$((i+1)); done; wait")
	events := filepath.Join(c.dir(), "pids.events")
	eventually(t, "a process was refused", func() bool { return strings.HasPrefix(read(t, events), "max ") && read(t, events) != "max 0" })
	if n := len(w.tree()); n > 16 {
		t.Errorf("there are %d processes where 16 may be", n)
	}
	if err := c.remove(); err != nil {
		t.Error(err)
	}
	eventually(t, "nothing of the child lives", func() bool { return len(w.tree()) == 1 })
}

func TestShareOfProcessorsIsSet(t *testing.T) {
	g := openGroups(hclog.NewNullLogger())
	if holds, _, _ := g.processors(); !holds {
		return
	}
	for share, quota := range map[float64]string{0.5: "50000", 2: "200000", 0.000001: "1000"} {
		c, err := g.create("child", Limits{CPUShare: share})
		if err != nil {
			t.Fatal(err)
		}
		defer c.remove()
		is, err := c.branches[0].limit(controlCPU)
		// More than the host may use itself isn't set; the host's bound holds.
		if err != nil || is != quota && (is != "-1" || share < 1) {
			t.Errorf("a share of %v reads %s, %v", share, is, err)
		}
	}
}

func TestGroupHoldsAllThreadsAndChildren(t *testing.T) {
	g := openGroups(hclog.NewNullLogger())
	if len(g.in) == 0 {
		return
	}
	w, c := grouped(t, g, Limits{Memory: 256 << 20, Processes: 64, CPUShare: 1})
	w.tell("sleep 60 & wait")
	eventually(t, "the worker has children", func() bool { return len(w.tree()) >= 2 })
	for _, b := range c.branches {
		for _, pid := range w.tree() {
			if !slices.Contains(b.pids(), pid) {
				t.Errorf("process %d is not in %v", pid, b)
			}
		}
	}
}

func TestGroupIsGoneOnceRemoved(t *testing.T) {
	g := openGroups(hclog.NewNullLogger())
	if len(g.in) == 0 {
		return
	}
	w, c := grouped(t, g, Limits{Memory: 256 << 20, Processes: 64, CPUShare: 1})
	w.tell("sleep 60 & sleep 60 & wait")
	eventually(t, "the worker has children", func() bool { return len(w.tree()) >= 3 })
	for range 2 { // a second call does nothing
		if err := c.remove(); err != nil {
			t.Error(err)
		}
	}
	if names := left(g, t.Name()); len(names) > 0 {
		t.Errorf("groups are left: %v", names)
	}
	if why := c.exceeded(); why != "" {
		t.Errorf("a group that is gone says %q", why)
	}
}

func TestGroupsOfADeadHostAreRemoved(t *testing.T) {
	g := openGroups(hclog.NewNullLogger())
	if len(g.in) == 0 {
		return
	}
	// A process that has been, as the host that is dead.
	ended := exec.Command("/bin/sh", "-c", "read line")
	in, err := ended.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ended.Start(); err != nil {
		t.Fatal(err)
	}
	dead := hostID{g.host.namespace, ended.Process.Pid, startOf(ended.Process.Pid)}
	host := g.host
	g.host = dead
	w, c := grouped(t, g, Limits{Memory: 256 << 20, Processes: 64, CPUShare: 1})
	g.host = host

	openGroups(hclog.NewNullLogger())
	if len(left(g, t.Name())) == 0 {
		t.Error("the group of a living host was removed")
	}
	in.Close()
	ended.Wait()
	elsewhere := dead
	elsewhere.namespace++
	foreign := filepath.Join(dirs(g)[0], elsewhere.String()+"-1-child")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(foreign)

	openGroups(hclog.NewNullLogger())
	if names := left(g, t.Name()); len(names) > 0 {
		t.Errorf("groups are left: %v", names)
	}
	w.Wait() // its end, or the test's
	if err := c.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a group of a host out of sight: %v", err)
	}
}

// dir returns the folder of a group with one control.
func (c *group) dir() string {
	switch b := c.branches[0].(type) {
	case branch1:
		return b.dir(b.controls[0])
	case branch2:
		return b.dir
	}
	return ""
}

// dirs returns the folders in which groups are made.
func dirs(g *groups) []string {
	var list []string
	for _, t := range g.trees {
		switch t := t.(type) {
		case *tree1:
			for _, c := range t.controls() {
				list = append(list, t.bound("", nil).dir(c))
			}
		case tree2:
			list = append(list, t.dir())
		}
	}
	return list
}

var groupNameSeeds = []string{
	"sallyport-4026531836-17-99-1-kernel",
	"sallyport-4026531836-17-99-1-",
	"sallyport-4026531836-17-99-1",
	"sallyport-4026531836-017-99-1-kernel",
	"sallyport-4026531836--17-99-1-kernel",
	"sallyport-4026531836-+17-99-1-kernel",
	"sallyport-4026531836-0-99-1-kernel",
	"sallyport-0-0-0-0-0",
	"sallyport-host",
	"sallyport",
	"sallyport.service",
	"system.slice",
	"",
}

func TestFuzzGroupNameHasSeeds(t *testing.T) {
	if len(groupNameSeeds) < 10 {
		t.Errorf("there are %d seeds", len(groupNameSeeds))
	}
}

// FuzzGroupName holds that only names that hosts write are taken for theirs.
func FuzzGroupName(f *testing.F) {
	for _, s := range groupNameSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		h, ok := groupHost(name)
		if !ok {
			return
		}
		if !strings.HasPrefix(name, h.String()+"-") || h.pid <= 0 {
			t.Errorf("%q is taken for a group of %v", name, h)
		}
	})
}

func TestGroupNamesAreRecognised(t *testing.T) {
	g := &groups{host: hostID{4026531836, 17, 99}}
	for _, what := range []string{"kernel", "", "../../etc", "Ä b/c", strings.Repeat("long", 100)} {
		name := g.name(what)
		if h, ok := groupHost(name); !ok || h != g.host || strings.ContainsAny(name, "/.") || len(name) > 120 {
			t.Errorf("%q becomes %q, of %v, %v", what, name, h, ok)
		}
	}
	if groupHostOK("sallyport-host") || groupHostOK("sallyport.service") {
		t.Error("another's group is taken for a host's")
	}
}

func groupHostOK(name string) bool { _, ok := groupHost(name); return ok }
