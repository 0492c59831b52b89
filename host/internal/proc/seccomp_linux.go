package proc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// refused are the system calls that no kernel, TeX or shell needs, and that
// have led out of sandboxes before. They fail with EPERM.
var refused = []string{
	// Other processes' memory and descriptors.
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
	// Mounts and roots.
	"mount", "umount", "umount2", "pivot_root", "move_mount", "open_tree", "open_tree_attr",
	"fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "listmount",
	"swapon", "swapoff", "quotactl", "quotactl_fd", "open_by_handle_at", "name_to_handle_at",
	"fanotify_init", "fanotify_mark",
	// Code in the system's kernel.
	"bpf", "perf_event_open", "userfaultfd", "kexec_load", "kexec_file_load", "reboot",
	"init_module", "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms",
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	// Keys, which belong to an account and not to a namespace.
	"keyctl", "add_key", "request_key",
	// The machine.
	"iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "personality", "syslog", "acct", "vhangup",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime",
	"sethostname", "setdomainname", "lookup_dcookie", "nfsservctl", "uselib", "sysfs", "_sysctl",
	"move_pages", "migrate_pages", "setns",
}

// refusedUnlessNesting are those that a sandbox of the child's own is built of.
var refusedUnlessNesting = []string{"unshare", "chroot"}

// Namespaces in the flags of clone.
const cloneNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// noSystemCall is what calls get that the filter doesn't know: those of another
// architecture, of a system younger than the library's table, and clone3, whose
// flags a filter can't see. C libraries then use what was there before.
const noSystemCall = seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)

// filters returns the children's seccomp filters, each an array of struct
// sock_filter; a call has to pass both. The first looks at arguments, the second
// at numbers alone. They are two because the library's code for a condition that
// isn't met goes on with the argument in the place of the call's number: where
// that is the last word of its filter, it does no harm.
func filters(nests bool) ([][]byte, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	conditions := append(sockets(), hiding()...)
	names := slices.Clone(refused)
	if !nests {
		names = append(names, refusedUnlessNesting...)
		conditions = append(conditions, seccomp.NameWithConditions{
			Name:       "clone",
			Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: cloneNamespaces}},
		})
	}
	known := maps.Clone(machine.SyscallNames)
	delete(known, "clone3")
	names = slices.DeleteFunc(names, func(name string) bool {
		_, ok := known[name]
		delete(known, name)
		return !ok // not on this architecture
	})
	byArgument, err := assemble(seccomp.ActionAllow,
		seccomp.SyscallGroup{Action: seccomp.ActionErrno, NamesWithCondtions: conditions})
	if err != nil {
		return nil, err
	}
	byNumber, err := assemble(noSystemCall,
		seccomp.SyscallGroup{Action: seccomp.ActionErrno, Names: names},
		seccomp.SyscallGroup{Action: seccomp.ActionAllow, Names: slices.Sorted(maps.Keys(known))})
	if err != nil {
		return nil, err
	}
	return [][]byte{byArgument, byNumber}, nil
}

// assemble returns the filter of groups; what is in none of them gets otherwise.
func assemble(otherwise seccomp.Action, groups ...seccomp.SyscallGroup) ([]byte, error) {
	policy := seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: groups}
	program, err := policy.Assemble()
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	// The default is the last instruction. The library takes no errno for it.
	program[len(program)-1] = bpf.RetConstant{Val: uint32(otherwise)}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	var out bytes.Buffer
	for _, i := range raw { // the layout of struct sock_filter
		if err := binary.Write(&out, binary.NativeEndian, struct {
			Op     uint16
			JT, JF uint8
			K      uint32
		}{i.Op, i.Jt, i.Jf, i.K}); err != nil {
			return nil, fmt.Errorf("seccomp: %w", err)
		}
	}
	return out.Bytes(), nil
}

// hiding refuses prctl(PR_SET_DUMPABLE, 0), with which a process shuts what it
// has open from a host of its own account. The system takes the lower half of
// the option, so one with anything in the upper half is refused as well.
func hiding() []seccomp.NameWithConditions {
	return []seccomp.NameWithConditions{
		{Name: "prctl", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.GreaterThan, Value: math.MaxUint32}}},
		{Name: "prctl", Conditions: seccomp.ArgumentConditions{
			{Argument: 0, Operation: seccomp.Equal, Value: unix.PR_SET_DUMPABLE},
			{Argument: 1, Operation: seccomp.Equal, Value: 0},
		}},
	}
}

// sockets refuses all sockets but Unix, TCP, UDP and netlink ones, which glibc
// asks for the interfaces. Some, such as vsock, belong to no network namespace.
func sockets() []seccomp.NameWithConditions {
	condition := func(argument uint32, operation seccomp.Operation, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: argument, Operation: operation, Value: value}
	}
	var families seccomp.ArgumentConditions
	for _, family := range []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK} {
		families = append(families, condition(0, seccomp.NotEqual, family))
	}
	list := []seccomp.NameWithConditions{{Name: "socket", Conditions: families}}
	for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
		list = append(list,
			// SOCK_STREAM is 1 and SOCK_DGRAM 2; SOCK_RAW is 3, and the others are more.
			seccomp.NameWithConditions{Name: "socket", Conditions: seccomp.ArgumentConditions{
				condition(0, seccomp.Equal, family), condition(1, seccomp.BitsSet, 1), condition(1, seccomp.BitsSet, 2),
			}},
			seccomp.NameWithConditions{Name: "socket", Conditions: seccomp.ArgumentConditions{
				condition(0, seccomp.Equal, family), condition(1, seccomp.BitsSet, 0xc),
			}},
		)
	}
	return list
}
