package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/cgroups/v3/cgroup2"
	"golang.org/x/sys/unix"
)

// hostLeaf is the group into which a host moves itself, because in version 2 a
// group with processes of its own can't bound groups below it.
const hostLeaf = groupName + "-host"

// errShared says that the host can't move out of its group's way.
var errShared = errors.New("other processes are in the host's control group, so that it can't be divided")

// tree2 makes groups of version 2, where all controls share one hierarchy.
type tree2 struct {
	mount string // where it is mounted
	base  string // the group in which groups are made, from there
}

// newTree2 returns the tree for a host whose own group is own.
func newTree2(mount, own string) tree2 {
	if filepath.Base(own) == hostLeaf { // a host is there already
		own = filepath.Dir(own)
	}
	return tree2{mount: mount, base: own}
}

func (t tree2) dir(elem ...string) string {
	return filepath.Join(append([]string{t.mount, t.base}, elem...)...)
}

func (t tree2) offers(c control) error {
	has, err := words(t.dir("cgroup.controllers"))
	if err == nil && !slices.Contains(has, string(c)) {
		err = fmt.Errorf("the host's control group is not given the control %s", c)
	}
	return err
}

// enable passes controls on to the groups below.
func (t tree2) enable(controls []control) error {
	file := t.dir("cgroup.subtree_control")
	passed, err := words(file)
	if err != nil {
		return err
	}
	for _, c := range controls {
		if slices.Contains(passed, string(c)) {
			continue
		}
		err := os.WriteFile(file, []byte("+"+c), 0)
		if errors.Is(err, unix.EBUSY) {
			if err = t.moveAway(); err == nil {
				err = os.WriteFile(file, []byte("+"+c), 0)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moveAway moves the host into a leaf, when there is nothing else in its group.
func (t tree2) moveAway() error {
	inside, err := words(t.dir("cgroup.procs"))
	if err != nil {
		return err
	}
	if !slices.Equal(inside, []string{strconv.Itoa(os.Getpid())}) {
		return errShared
	}
	own, err := t.load("")
	if err != nil {
		return err
	}
	leaf, err := own.NewChild(hostLeaf, nil)
	if err != nil {
		return err
	}
	return leaf.AddProc(uint64(os.Getpid()))
}

func (t tree2) load(name string) (*cgroup2.Manager, error) {
	return cgroup2.Load(filepath.Join("/", t.base, name), cgroup2.WithMountpoint(t.mount))
}

func (t tree2) make(name string, controls []control, l Limits) (branch, error) {
	if err := t.enable(controls); err != nil {
		return nil, err
	}
	own, err := t.load("")
	if err != nil {
		return nil, err
	}
	b := branch2{dir: t.dir(name)}
	if b.Manager, err = own.NewChild(name, nil); err != nil {
		return nil, err
	}
	if err := b.Update(b.resources(controls, l)); err != nil {
		return nil, errors.Join(err, b.Delete())
	}
	return b, nil
}

func (t tree2) names() []string { return groupNames(t.dir()) }

func (t tree2) open(name string) (branch, error) {
	m, err := t.load(name)
	return branch2{Manager: m, dir: t.dir(name)}, err
}

type branch2 struct {
	*cgroup2.Manager
	dir string
}

func (b branch2) resources(controls []control, l Limits) *cgroup2.Resources {
	r := new(cgroup2.Resources)
	for _, c := range controls {
		switch c {
		case controlMemory:
			together := true // a child that lost a part of itself is no use
			r.Memory = &cgroup2.Memory{Max: &l.Memory, OOMGroup: &together}
			if _, err := os.Stat(filepath.Join(b.dir, "memory.swap.max")); err == nil {
				r.Memory.Swap = new(int64)
			}
		case controlCPU:
			quota, period := cpuQuota(l.CPUShare), uint64(cpuPeriod)
			r.CPU = &cgroup2.CPU{Max: cgroup2.NewCPUMax(&quota, &period)}
		case controlPids:
			r.Pids = &cgroup2.Pids{Max: int64(l.Processes)}
		}
	}
	return r
}

func (b branch2) add(pid int) error { return b.AddProc(uint64(pid)) }

func (b branch2) limit(c control) (string, error) {
	return firstWord(filepath.Join(b.dir, string(c)+".max"))
}

func (b branch2) out() (kills uint64, met bool) {
	s, err := b.StatFiltered(cgroup2.StatMemoryEvents)
	if err != nil || s.MemoryEvents == nil {
		return 0, false
	}
	return s.MemoryEvents.OomKill, s.MemoryEvents.Oom > 0
}

// halt also kills what is in the group, at once, on systems that can.
func (b branch2) halt() {
	for name, value := range map[string]string{"pids.max": "0", "cgroup.kill": "1"} {
		if f, err := os.OpenFile(filepath.Join(b.dir, name), os.O_WRONLY, 0); err == nil {
			f.WriteString(value)
			f.Close()
		}
	}
}

func (b branch2) pids() []int {
	list, _ := b.Procs(true) // none once it is removed
	return others(list)
}

func (b branch2) remove() error {
	if _, err := os.Stat(b.dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return b.Delete()
}

// words returns the words of a file of the system's.
func words(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	return strings.Fields(string(data)), err
}
