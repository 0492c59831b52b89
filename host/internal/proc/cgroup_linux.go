package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Controls of the system's that bound a group of processes.
const (
	controlMemory control = "memory"
	controlCPU    control = "cpu"
	controlPids   control = "pids"
)

type control string

const (
	// groupName starts the names of all groups that a host makes.
	groupName = "sallyport"
	// groupBound is how long a group is tried to be removed. What was in it is
	// dead by then, but the system counts a process for a moment longer.
	groupBound = 2 * time.Second
	// cpuPeriod is what a share of the processors is measured by, and cpuLeast
	// the least of it that the system takes, both in microseconds.
	cpuPeriod = 100_000
	cpuLeast  = 1_000
)

// groups makes the control groups of children, below the host's own, so that
// what bounds the host bounds them too. It may be used by several goroutines.
type groups struct {
	log   hclog.Logger
	host  hostID
	made  atomic.Int64
	trees []tree
	in    map[control]tree  // where a control can be had
	lacks map[control]error // why it can't
}

// A tree is where groups are made, of one version of the system's interface.
type tree interface {
	// offers fails when a control isn't there.
	offers(control) error
	// make makes a group with some controls, bounded as limits say. Nothing of
	// it is left when it fails.
	make(name string, controls []control, l Limits) (branch, error)
	// names lists what groups there are, and open returns one of them.
	names() []string
	open(name string) (branch, error)
}

// A branch is a group in one tree.
type branch interface {
	add(pid int) error
	// limit reads a bound back.
	limit(control) (string, error)
	// out says how often a process was killed for want of memory, and whether
	// the group's own bound was ever met.
	out() (kills uint64, met bool)
	// halt keeps new processes from being made, where it can.
	halt()
	pids() []int
	remove() error
}

// openGroups finds out, by trying, which controls can be had, and removes the
// groups that a killed host left.
func openGroups(log hclog.Logger) *groups {
	return newGroups(log, findTrees()...)
}

func newGroups(log hclog.Logger, trees ...tree) *groups {
	g := &groups{log: log, host: thisHost(), trees: trees, in: map[control]tree{}, lacks: map[control]error{}}
	g.sweep()
	for _, c := range []control{controlMemory, controlCPU, controlPids} {
		g.lacks[c] = errors.New("there is no such control group on this machine")
		for _, t := range trees {
			err := t.offers(c)
			if err == nil {
				err = g.try(t, c)
			}
			if err == nil {
				g.in[c] = t
				delete(g.lacks, c)
				break
			}
			g.lacks[c] = err
		}
	}
	return g
}

// try makes a group with one control, reads its bound back, and puts a process
// into it.
func (g *groups) try(t tree, c control) (err error) {
	limits := Limits{Memory: 64 << 20, CPUShare: 0.01, Processes: 64}
	wants := map[control]string{controlMemory: "67108864", controlCPU: "1000", controlPids: "64"}
	b, err := t.make(g.name("try"), []control{c}, limits)
	if err != nil {
		return err
	}
	made := &group{branches: []branch{b}}
	defer func() { err = errors.Join(err, made.remove()) }()
	is, err := b.limit(c)
	if err != nil {
		return err
	}
	if is != wants[c] {
		return fmt.Errorf("a bound on %s reads %s where %s was written", c, is, wants[c])
	}
	inside := exec.Command("/bin/sh", "-c", "read line")
	end, err := inside.StdinPipe()
	if err != nil {
		return err
	}
	if err := inside.Start(); err != nil {
		return err
	}
	err = b.add(inside.Process.Pid)
	if err == nil && !slices.Contains(b.pids(), inside.Process.Pid) {
		err = errors.New("a process that was put into a control group is not in it")
	}
	end.Close()
	inside.Wait() // its exit code is that of a read without input
	return err
}

// memory, processors and processes say what of a child is bounded, for Walls.
func (g *groups) memory() (holds bool, detail, hint string) {
	return g.wall(controlMemory,
		"bounded for a child and all it starts together; what it keeps on file systems in memory counts, and it gets no swap",
		fmt.Sprintf("kept by a watcher, which looks every %v and ends a child that is over; until then it can be over", watchInterval))
}

func (g *groups) processors() (holds bool, detail, hint string) {
	return g.wall(controlCPU, "the share of a child and all it starts together is bounded", "their share is not bounded")
}

func (g *groups) processes() (holds bool, detail, hint string) {
	return g.wall(controlPids,
		"the number of a child's processes and threads is bounded",
		fmt.Sprintf("kept by a watcher, which looks every %v and ends a child that has far too many processes and threads", watchInterval))
}

func (g *groups) wall(c control, held, lost string) (holds bool, detail, hint string) {
	err, lacking := g.lacks[c]
	if !lacking {
		return true, held, ""
	}
	hint = "run the host as root, or give it control groups that it may write to, as Delegate=yes in a systemd unit does"
	if errors.Is(err, errShared) {
		hint = "start the host alone in its control group, as a systemd unit with Delegate=yes does"
	}
	return false, lost + "; no control group can be had: " + err.Error(), hint
}

// name returns the name of a new group.
func (g *groups) name(what string) string {
	what = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, what)
	return fmt.Sprintf("%s-%d-%s", g.host, g.made.Add(1), what[:min(len(what), 40)])
}

// create makes a group for a child. It returns nil when there is nothing to
// bound, or no control for what there is. The caller removes it.
func (g *groups) create(name string, l Limits) (*group, error) {
	wanted := map[control]bool{controlMemory: l.Memory > 0, controlCPU: l.CPUShare > 0, controlPids: l.Processes > 0}
	made := &group{limits: l, bounds: map[control]bool{}}
	name = g.name(name)
	for _, t := range g.trees {
		var controls []control
		for _, c := range []control{controlMemory, controlCPU, controlPids} {
			if wanted[c] && g.in[c] == t {
				controls = append(controls, c)
				made.bounds[c] = true
			}
		}
		if len(controls) == 0 {
			continue
		}
		b, err := t.make(name, controls, l)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make a control group: %w", err), made.remove())
		}
		made.branches = append(made.branches, b)
	}
	if len(made.branches) == 0 {
		return nil, nil
	}
	return made, nil
}

// sweep removes the groups of hosts that are gone, with what is in them.
func (g *groups) sweep() {
	for _, t := range g.trees {
		for _, name := range t.names() {
			host, ok := groupHost(name)
			if !ok || !host.gone() {
				continue
			}
			b, err := t.open(name)
			if err == nil {
				err = (&group{branches: []branch{b}}).remove()
			}
			if err != nil {
				g.log.Warn("a control group of an earlier host could not be removed", "group", name, "error", err)
			} else {
				g.log.Debug("removed a control group of an earlier host", "group", name)
			}
		}
	}
}

// A group bounds a child and all it starts. A nil group bounds nothing.
type group struct {
	limits   Limits
	bounds   map[control]bool
	branches []branch
}

// holds says whether the group bounds what c controls.
func (c *group) holds(what control) bool { return c != nil && c.bounds[what] }

// add puts a process into the group, with all its threads. What it starts from
// then on is in the group too, what it started before is not.
func (c *group) add(pid int) error {
	if c == nil {
		return nil
	}
	for _, b := range c.branches {
		if err := b.add(pid); err != nil {
			return fmt.Errorf("put process %d into its control group: %w", pid, err)
		}
	}
	return nil
}

// exceeded says of which bound something in the group died, "" if of none. It
// has no answer once the group is removed.
func (c *group) exceeded() string {
	if !c.holds(controlMemory) {
		return ""
	}
	for _, b := range c.branches {
		switch kills, met := b.out(); {
		case kills > 0 && met:
			return overMemory(c.limits.Memory)
		case kills > 0:
			return "out of memory, though within its own bound"
		}
	}
	return ""
}

// remove kills what is in the group and removes it. A second call does nothing.
func (c *group) remove() error {
	if c == nil {
		return nil
	}
	deadline := time.Now().Add(groupBound)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		var errs []error
		for _, b := range c.branches {
			pids := b.pids()
			if len(pids) > 0 {
				b.halt()
			}
			for _, pid := range pids {
				unix.Kill(pid, unix.SIGKILL)
			}
			errs = append(errs, b.remove())
		}
		err := errors.Join(errs...)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause) // there is no event for the end of another's child
	}
}

// A hostID tells hosts apart for as long as the machine runs. Numbers of
// processes mean something only within their namespace.
type hostID struct {
	namespace uint64
	pid       int
	start     uint64 // in ticks since the machine started
}

func thisHost() hostID {
	return hostID{namespace: pidNamespace(), pid: os.Getpid(), start: startOf(os.Getpid())}
}

func (h hostID) String() string {
	return fmt.Sprintf("%s-%d-%d-%d", groupName, h.namespace, h.pid, h.start)
}

// gone says whether the host has ended, as far as this process can tell.
func (h hostID) gone() bool {
	return h.namespace != 0 && h.namespace == pidNamespace() && startOf(h.pid) != h.start
}

// groupHost returns the host that made the group of a name. It accepts only
// names as a host writes them, so that no other's group is ever taken for one.
func groupHost(name string) (h hostID, ok bool) {
	parts := strings.SplitN(name, "-", 6)
	if len(parts) < 6 || parts[0] != groupName {
		return hostID{}, false
	}
	var errs [4]error
	h.namespace, errs[0] = strconv.ParseUint(parts[1], 10, 64)
	h.pid, errs[1] = strconv.Atoi(parts[2])
	h.start, errs[2] = strconv.ParseUint(parts[3], 10, 64)
	_, errs[3] = strconv.ParseUint(parts[4], 10, 64)
	if errors.Join(errs[:]...) != nil || h.pid <= 0 || h.start == 0 || !strings.HasPrefix(name, h.String()+"-") {
		return hostID{}, false
	}
	return h, true
}

func pidNamespace() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0
	}
	return st.Ino
}

// startOf returns when a process started, 0 when there is none.
func startOf(pid int) uint64 {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// pid (name) state …; the name may hold anything, and the start is the 22nd.
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) < 20 {
		return 0
	}
	start, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return start
}

// groupNames lists the folders of a group that a host made.
func groupNames(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if _, ok := groupHost(e.Name()); ok && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// others drops from pids what must never be killed: what is not in sight
// here, which is listed as 0, and the host itself.
func others[T int | uint64](pids []T) []int {
	var list []int
	for _, pid := range pids {
		if pid > 1 && int(pid) != os.Getpid() {
			list = append(list, int(pid))
		}
	}
	return list
}

// firstWord returns the first word of a file of the system's.
func firstWord(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	words := strings.Fields(string(data))
	if len(words) == 0 {
		return "", &fs.PathError{Op: "read", Path: file, Err: errors.New("empty")}
	}
	return words[0], nil
}

func cpuQuota(share float64) int64 { return max(cpuLeast, int64(share*cpuPeriod)) }
