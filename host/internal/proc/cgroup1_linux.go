package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A place is where the host's own group is, for one control of version 1.
type place struct {
	root string // the folder that holds a folder for each control
	own  string // the host's group, from the control's folder
}

// tree1 makes groups of version 1, where each control has a hierarchy of its
// own.
type tree1 struct{ places map[control]place }

func (t *tree1) offers(c control) error {
	if _, ok := t.places[c]; !ok {
		return fmt.Errorf("the control %s is not mounted", c)
	}
	return nil
}

// bound returns an open group's handle with some controls, of those that are
// there.
func (t *tree1) bound(name string, controls []control) branch1 {
	return branch1{
		path: func(of cgroup1.Name) (string, error) {
			return filepath.Join(t.places[control(of)].own, name), nil
		},
		dir: func(c control) string {
			p := t.places[c]
			return filepath.Join(p.root, string(c), p.own, name)
		},
		controls: controls,
		hierarchy: cgroup1.WithHierarchy(func() ([]cgroup1.Subsystem, error) {
			var list []cgroup1.Subsystem
			for _, c := range controls {
				switch root := t.places[c].root; c {
				case controlMemory:
					list = append(list, cgroup1.NewMemory(root, cgroup1.IgnoreModules("kmem", "kmem.tcp"), cgroup1.OptionalSwap()))
				case controlCPU:
					list = append(list, cgroup1.NewCpu(root))
				case controlPids:
					list = append(list, cgroup1.NewPids(root))
				}
			}
			return list, nil
		}),
	}
}

func (t *tree1) make(name string, controls []control, l Limits) (branch, error) {
	b := t.bound(name, controls)
	var err error
	if b.Cgroup, err = cgroup1.New(b.path, &specs.LinuxResources{}, b.hierarchy); err == nil {
		if err = b.set(l); err == nil {
			return b, nil
		}
	}
	// What of it there is may not be all of it.
	if made, loadErr := cgroup1.Load(b.path, b.hierarchy); loadErr == nil {
		err = errors.Join(err, made.Delete())
	}
	return nil, err
}

func (t *tree1) names() []string {
	var names []string
	for _, p := range t.controls() {
		names = append(names, groupNames(filepath.Join(t.places[p].root, string(p), t.places[p].own))...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (t *tree1) open(name string) (branch, error) {
	var there []control
	for _, c := range t.controls() {
		if _, err := os.Stat(t.bound(name, nil).dir(c)); err == nil {
			there = append(there, c)
		}
	}
	b := t.bound(name, there)
	var err error
	b.Cgroup, err = cgroup1.Load(b.path, b.hierarchy)
	return b, err
}

func (t *tree1) controls() []control {
	var list []control
	for c := range t.places {
		list = append(list, c)
	}
	slices.Sort(list)
	return list
}

type branch1 struct {
	cgroup1.Cgroup
	path      cgroup1.Path
	hierarchy cgroup1.InitOpts
	controls  []control
	dir       func(control) string
}

func (b branch1) has(c control) bool { return slices.Contains(b.controls, c) }

func (b branch1) set(l Limits) error {
	var r specs.LinuxResources
	if b.has(controlMemory) {
		r.Memory = &specs.LinuxMemory{Limit: &l.Memory}
		if _, err := os.Stat(filepath.Join(b.dir(controlMemory), "memory.memsw.limit_in_bytes")); err == nil {
			r.Memory.Swap = &l.Memory // of memory and swap together
		} else {
			r.Memory.Swappiness = new(uint64)
		}
	}
	if b.has(controlPids) {
		n := int64(l.Processes)
		r.Pids = &specs.LinuxPids{Limit: &n}
	}
	if err := b.Update(&r); err != nil {
		return err
	}
	if !b.has(controlCPU) {
		return nil
	}
	quota, period := cpuQuota(l.CPUShare), uint64(cpuPeriod)
	err := b.Update(&specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}})
	if errors.Is(err, unix.EINVAL) {
		return nil // more than the host itself may use; then what holds for the host is the bound
	}
	return err
}

func (b branch1) add(pid int) error { return b.AddProc(uint64(pid)) }

func (b branch1) limit(c control) (string, error) {
	file := map[control]string{
		controlMemory: "memory.limit_in_bytes",
		controlCPU:    "cpu.cfs_quota_us",
		controlPids:   "pids.max",
	}[c]
	return firstWord(filepath.Join(b.dir(c), file))
}

func (b branch1) out() (kills uint64, met bool) {
	if !b.has(controlMemory) {
		return 0, false
	}
	s, err := b.Stat(cgroup1.IgnoreNotExist)
	if err != nil || s.MemoryOomControl == nil || s.Memory == nil {
		return 0, false
	}
	// Not every system counts how often the bound was met, but all remember how
	// near it was, to some pages. Swap is counted with memory.
	const near = 64 << 10
	is := s.Memory
	return s.MemoryOomControl.OomKill, max(is.Usage.Max, is.Swap.Max)+near >= is.Usage.Limit
}

func (b branch1) halt() {
	if b.has(controlPids) {
		os.WriteFile(filepath.Join(b.dir(controlPids), "pids.max"), []byte(strconv.Itoa(0)), 0)
	}
}

func (b branch1) pids() []int {
	var list []int
	for _, c := range b.controls {
		inside, err := b.Processes(cgroup1.Name(c), true)
		if err != nil {
			continue // it is removed
		}
		for _, p := range inside {
			list = append(list, p.Pid)
		}
	}
	slices.Sort(list)
	return others(slices.Compact(list))
}

func (b branch1) remove() error {
	if err := b.Delete(); !errors.Is(err, cgroup1.ErrCgroupDeleted) {
		return err
	}
	return nil
}
