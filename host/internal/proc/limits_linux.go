package proc

import (
	"fmt"
	"syscall"
)

// resourceWalls say what bounds what a child uses.
func (s *Starter) resourceWalls() []Wall {
	wall := func(name string, of func() (holds bool, detail, hint string)) Wall {
		holds, detail, hint := of()
		return Wall{Name: name, Holds: holds, Detail: detail, Hint: hint}
	}
	return []Wall{
		wall(WallMemory, s.groups.memory),
		wall(WallProcessors, s.groups.processors),
		wall(WallProcessCount, s.groups.processes),
		{Name: WallDisk, Holds: true, Detail: quotaDetail()},
	}
}

// watch keeps the child within what nothing else bounds, until it ends.
func (p *Process) watch() {
	w := &watched{spec: p.spec, group: p.bounds, tree: p.tree, kill: p.killFor, log: p.log}
	if p.first != nil {
		w.shm = fmt.Sprintf("/proc/%d/root/dev/shm", p.group)
	}
	w.run(p.ctx)
}

// killFor ends the child at once, and notes why.
func (p *Process) killFor(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	if p.fault == "" {
		p.fault = reason
	}
	syscall.Kill(-p.group, syscall.SIGKILL)
	syscall.Kill(-p.pid, syscall.SIGKILL)
}

// tree returns the child and what it started: everything below its first
// process, or, of one without a process table of its own, in its session.
func (p *Process) tree() []int {
	table := processes()
	in := map[int]bool{p.group: true}
	for more := true; more; {
		more = false
		for _, s := range table {
			if !in[s.pid] && s.state != 'Z' && (in[s.parent] || s.session == p.group) {
				in[s.pid], more = true, true
			}
		}
	}
	list := make([]int, 0, len(in))
	for _, s := range table {
		if in[s.pid] {
			list = append(list, s.pid)
		}
	}
	return list
}
