package proc

import "maps"

// A Wall is one thing that may stand between a child and the host.
type Wall struct {
	Name   string // such as WallNetwork
	Holds  bool
	Detail string // what that means for an operator
	Hint   string // what to do about one that doesn't hold; may be empty
}

// Names of walls. Those of the first group are tried when a Starter is made,
// and IsolationRequired requires each of them.
const (
	WallFiles         = "files"
	WallNetwork       = "network"
	WallProcesses     = "other processes"
	WallIPC           = "ipc"
	WallHostName      = "host name"
	WallControlGroups = "control groups"
	WallPrivileges    = "privileges"
	WallSystemCalls   = "system calls"
	WallEnvironment   = "environment"
	WallDescriptors   = "descriptors"

	WallAccount       = "account"
	WallMemory        = "memory"
	WallProcessors    = "processors"
	WallProcessCount  = "processes"
	WallProcessorTime = "processor time"
	WallOpenFiles     = "open files"
	WallFileSize      = "file size"
	WallDisk          = "disk"
	WallCoreDumps     = "core dumps"
	WallEnd           = "end of a child"
	WallHostEnd       = "end of the host"
)

// required are the walls of IsolationRequired, and what an isolated child finds
// at each.
var required = []struct{ name, detail string }{
	{WallFiles, "a child sees a read-only system and the folders it was given, those read-only that its plugin may not write to"},
	{WallNetwork, "a child has a network of its own, with nothing on it but the host's gate where that was granted"},
	{WallProcesses, "a child sees its own processes and no other"},
	{WallIPC, "a child shares no memory, semaphores or queues with others"},
	{WallHostName, "a child has a host name of its own"},
	{WallControlGroups, "a child sees no control group but its own"},
	{WallPrivileges, "a child has no privileges, and can't gain any"},
	{WallSystemCalls, "system calls that such programs never need are refused"},
	{WallEnvironment, "a child gets the variables it needs and none of the host's"},
	{WallDescriptors, "a child gets the files passed on purpose and no other"},
}

// walls are those that stand round isolated children.
type walls map[string]bool

// allWalls returns all that can be had or not had one by one.
func allWalls() walls {
	all := walls{}
	for _, w := range required {
		all[w.name] = true
	}
	return all
}

func (w walls) stand(name string) bool { return w[name] }

func (w walls) without(names ...string) walls {
	left := maps.Clone(w)
	for _, name := range names {
		delete(left, name)
	}
	return left
}

// A finding is what a Starter learned of its walls when it tried them.
type finding struct {
	problems map[string]string // by the wall: why it doesn't hold
	failure  string            // why children can't be isolated at all; "" when they can
	hint     string            // what to do about either
}

// Walls says what holds for the children of this Starter: always the same
// walls, in a fixed order. Detail says how far each goes.
func (s *Starter) Walls() []Wall {
	list := s.openWalls()
	if s.walls != nil || s.isolation == IsolationRequired {
		list = s.triedWalls()
	}
	return append(list, s.limitWalls()...)
}

// triedWalls are those of isolated children.
func (s *Starter) triedWalls() []Wall {
	var list []Wall
	for _, w := range required {
		wall := Wall{Name: w.name, Holds: true, Detail: w.detail}
		if s.found.failure != "" {
			wall = Wall{Name: w.name, Detail: s.found.failure, Hint: s.found.hint}
		} else if problem := s.found.problems[w.name]; problem != "" {
			wall = Wall{Name: w.name, Detail: problem, Hint: s.found.hint}
		}
		list = append(list, wall)
	}
	account := Wall{Name: WallAccount, Holds: true, Detail: "each session's children have an unprivileged account of their own"}
	switch {
	case s.found.failure != "":
		account = Wall{Name: WallAccount, Detail: s.found.failure, Hint: s.found.hint}
	case s.accounts.problem != "":
		account = Wall{Name: WallAccount, Detail: s.accounts.problem, Hint: "run the host as an ordinary user, or as root with the capabilities SETUID, SETGID, CHOWN and SYS_ADMIN"}
	case !s.accounts.own:
		account.Detail = "children have the host's account, which is an ordinary one, and none of its rights outside of their walls"
	}
	return append(list, account)
}

// openWalls are those of children without isolation.
func (s *Starter) openWalls() []Wall {
	account, why := "run the host as an account of its own, on a machine that holds nothing else", ""
	if s.found.failure != "" {
		account, why = s.found.hint, " ("+s.found.failure+")"
	}
	return []Wall{
		{Name: WallFiles, Detail: "a child reads and writes whatever the host's account can; read-only views are not held" + why, Hint: account},
		{Name: WallNetwork, Detail: "a child reaches whatever the machine can" + why, Hint: account},
		{Name: WallProcesses, Detail: "a child sees the machine's processes and can signal those of the host's account" + why, Hint: account},
		{Name: WallIPC, Detail: "a child shares memory, semaphores and queues with the machine" + why, Hint: account},
		{Name: WallHostName, Detail: "a child sees the machine's name" + why, Hint: account},
		{Name: WallControlGroups, Detail: "a child sees the machine's control groups" + why, Hint: account},
		{Name: WallPrivileges, Holds: true, Detail: "a child can't gain rights from set-user-id programs"},
		{Name: WallSystemCalls, Detail: "every system call is open to a child" + why, Hint: account},
		{Name: WallEnvironment, Holds: true, Detail: "a child gets the variables it needs and none of the host's"},
		{Name: WallDescriptors, Holds: true, Detail: "a child gets the files passed on purpose and no other"},
		{Name: WallAccount, Detail: "a child has the host's account, with all its rights" + why, Hint: account},
	}
}

// limitWalls are those that bound what a child uses.
func (s *Starter) limitWalls() []Wall {
	const outside = "bound the host as a whole, with a container or a systemd slice"
	end := Wall{Name: WallEnd, Holds: true, Detail: "everything that a child started ends with it"}
	hostEnd := Wall{Name: WallHostEnd, Holds: true, Detail: "everything that a child started ends when the host does, even when that is killed"}
	if !s.Isolated() || !s.walls.stand(WallProcesses) {
		end = Wall{Name: WallEnd, Detail: "a child's session is killed and reaped with it, but a process that opened a session of its own lives on", Hint: outside}
		hostEnd = Wall{Name: WallHostEnd, Detail: "a child is killed when the host dies, but the processes it started itself are not", Hint: outside}
	}
	list := []Wall{end, hostEnd}
	list = append(list, s.resourceWalls()...)
	return append(list,
		Wall{Name: WallProcessorTime, Holds: true, Detail: "held for each process, where a bound is set"},
		Wall{Name: WallOpenFiles, Holds: true, Detail: "held for each process, where a bound is set"},
		Wall{Name: WallFileSize, Holds: true, Detail: "held for each file, where a bound is set"},
		Wall{Name: WallCoreDumps, Holds: true, Detail: "none are written"},
	)
}
