package proc

// A Wall is one thing that may stand between a child and the host.
type Wall struct {
	Name   string // such as "network"
	Holds  bool
	Detail string // what that means for an operator
	Hint   string // what to do about one that doesn't hold; may be empty
}

// Walls says what holds for the children of this Starter, in a fixed order.
// A wall that stands only in part doesn't hold, and Detail says how far it goes.
func (s *Starter) Walls() []Wall {
	if s.isolation != IsolationOff {
		return []Wall{{
			Name:   "isolation",
			Detail: "this host can start children without walls only, and refuses to while isolation is " + string(s.isolation),
			Hint:   "use --isolation=off, knowing that then no wall stands between child processes and the host's account",
		}}
	}
	const (
		account = "run the host as an account of its own, on a machine that holds nothing else"
		outside = "bound the host as a whole, with a container or a systemd slice"
	)
	return []Wall{
		{Name: "files", Detail: "a child reads and writes whatever the host's account can; read-only views are not held", Hint: account},
		{Name: "network", Detail: "a child reaches whatever the machine can", Hint: "put a firewall round the machine"},
		{Name: "other processes", Detail: "a child sees the machine's processes and can signal those of the host's account", Hint: account},
		{Name: "environment", Holds: true, Detail: "a child gets the variables it needs and none of the host's"},
		{Name: "descriptors", Holds: true, Detail: "a child gets the files passed on purpose and no other"},
		{Name: "privileges", Holds: true, Detail: "a child can't gain rights from set-user-id programs"},
		{Name: "end of a child", Detail: "a child's session is killed and reaped with it, but a process that opened a session of its own lives on", Hint: outside},
		{Name: "end of the host", Detail: "a child is killed when the host dies, but the processes it started itself are not", Hint: outside},
		{Name: "memory", Detail: "not bounded", Hint: outside},
		{Name: "processors", Detail: "their share is not bounded", Hint: outside},
		{Name: "processes", Detail: "their number is not bounded", Hint: outside},
		{Name: "processor time", Holds: true, Detail: "bounded for each process, from a moment after its start"},
		{Name: "open files", Holds: true, Detail: "bounded for each process, from a moment after its start"},
		{Name: "file size", Holds: true, Detail: "bounded for each file, from a moment after its start"},
		{Name: "core dumps", Holds: true, Detail: "none are written, from a moment after a child's start"},
	}
}
