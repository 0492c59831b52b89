package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A trial is what the stage attempts, inside the walls, to find out which of
// them stand. Each target is real: from outside it can be reached.
type trial struct {
	Canary     string            // a file of the host's that no view shows
	ReadOnly   string            // a folder that may not be written to, as it is seen
	Writable   string            // one that may
	Address    string            // where the host listens, on the machine's loopback
	Abstract   string            // where it listens, on an abstract Unix socket
	Namespaces map[string]uint64 // the host's, by their names in /proc/self/ns
}

// namespaceFiles are the names of namespaces in /proc/self/ns, by their walls.
var namespaceFiles = map[string]string{
	WallFiles: "mnt", WallNetwork: "net", WallProcesses: "pid", WallIPC: "ipc",
	WallHostName: "uts", WallControlGroups: "cgroup", WallPrivileges: "user",
}

func ownNamespaces() map[string]uint64 {
	list := map[string]uint64{}
	for _, name := range namespaceFiles {
		if info, err := os.Stat("/proc/self/ns/" + name); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				list[name] = st.Ino
			}
		}
	}
	return list
}

// attempt tries each wall and returns what gave way: by the wall's name, how.
func (t *trial) attempt() map[string]string {
	open := map[string]string{}
	gave := func(wall, how string, args ...any) {
		if open[wall] == "" {
			open[wall] = fmt.Sprintf(how, args...)
		}
	}
	own := ownNamespaces()
	for wall, name := range namespaceFiles {
		if theirs, ok := t.Namespaces[name]; ok && own[name] == theirs {
			gave(wall, "the child is in the host's %s namespace", name)
		}
	}
	t.tryFiles(gave)
	t.tryNetwork(gave)
	if entries, err := os.ReadDir("/proc"); err != nil {
		gave(WallProcesses, "/proc can't be read: %v", err)
	} else if n := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return number(e.Name()) > 100 }); n >= 0 {
		gave(WallProcesses, "the child sees process %s", entries[n].Name())
	}
	trySystemCalls(gave)
	if status, err := os.ReadFile("/proc/self/status"); err != nil {
		gave(WallPrivileges, "/proc/self/status can't be read: %v", err)
	} else {
		for _, line := range []string{"NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"} {
			if !bytes.Contains(status, []byte("\n"+line+"\n")) {
				name, _, _ := strings.Cut(line, ":")
				gave(WallPrivileges, "the child's %s isn't what it should be", name)
			}
		}
	}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); name != "PWD" { // bubblewrap's own
			gave(WallEnvironment, "the child has the variable %s", name)
		}
	}
	for fd := range 64 {
		if at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && filepath.Base(at) == filepath.Base(t.Canary) {
			gave(WallDescriptors, "the child has descriptor %d of the host's", fd)
		}
	}
	return open
}

func (t *trial) tryFiles(gave func(wall, how string, args ...any)) {
	if _, err := os.Lstat(t.Canary); !errors.Is(err, fs.ErrNotExist) {
		gave(WallFiles, "a file of the host's isn't out of sight")
	}
	for _, dir := range []string{t.ReadOnly, "/usr", "/etc", "/dev", "/"} {
		f, err := os.CreateTemp(dir, "sallyport-")
		if err == nil {
			f.Close()
			os.Remove(f.Name())
		}
		if !errors.Is(err, unix.EROFS) {
			gave(WallFiles, "%s isn't read-only: %v", dir, err)
		}
	}
	if err := os.WriteFile(filepath.Join(t.Writable, "made"), nil, 0o600); err != nil {
		gave(WallFiles, "a folder of the child's own can't be written to: %v", err)
	}
}

func (t *trial) tryNetwork(gave func(wall, how string, args ...any)) {
	if c, err := net.DialTimeout("tcp", t.Address, time.Second); err == nil {
		c.Close()
		gave(WallNetwork, "the machine's loopback can be reached")
	}
	if c, err := net.Dial("unix", t.Abstract); err == nil {
		c.Close()
		gave(WallNetwork, "an abstract socket of the host's can be reached")
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		gave(WallNetwork, "the interfaces can't be listed: %v", err)
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			gave(WallNetwork, "there is an interface %s", i.Name)
		}
	}
}

// trySystemCalls makes calls that an unprivileged process may make where no
// filter stands in the way.
func trySystemCalls(gave func(wall, how string, args ...any)) {
	if err := unix.Unshare(unix.CLONE_NEWUSER); !errors.Is(err, unix.EPERM) {
		gave(WallSystemCalls, "unshare isn't refused: %v", err)
	}
	if fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0); !errors.Is(err, unix.EPERM) {
		unix.Close(fd)
		gave(WallSystemCalls, "a vsock socket isn't refused: %v", err)
	}
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_PROCESS_KEYRING, false); !errors.Is(err, unix.EPERM) {
		gave(WallSystemCalls, "keyctl isn't refused: %v", err)
	}
	if status, err := os.ReadFile("/proc/self/status"); err != nil || !bytes.Contains(status, []byte("\nSeccomp:\t2\n")) {
		gave(WallSystemCalls, "no filter is in force")
	}
}

// try starts the stage behind the walls of s and returns those that gave way.
// An error means that it could not be started.
func (s *Starter) try(ctx context.Context, user User) (open map[string]string, err error) {
	dir, err := os.MkdirTemp("", "sallyport-trial-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	canary, err := os.Create(filepath.Join(dir, "canary-"+filepath.Base(dir)))
	if err != nil {
		return nil, err
	}
	defer canary.Close()
	if err := os.Chmod(dir, 0o755); err != nil { // nothing but the wall stands between
		return nil, err
	}
	for _, name := range []string{"kept", "own"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	abstract, err := net.Listen("unix", "@"+filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	defer abstract.Close()
	spec := Spec{
		Name: "trial of the walls", Path: "/bin/true", Dir: filepath.Join(dir, "own"), User: user,
		Views: []View{
			{Source: filepath.Join(dir, "kept"), Target: "/trial/kept", ReadOnly: true},
			{Source: filepath.Join(dir, "own"), Target: "/trial/own"},
		},
		trial: &trial{
			Canary: canary.Name(), ReadOnly: "/trial/kept", Writable: "/trial/own",
			Address: listener.Addr().String(), Abstract: abstract.Addr().String(),
			Namespaces: ownNamespaces(),
		},
	}
	if err := spec.check(); err != nil {
		return nil, err
	}
	p, err := s.launch(spec)
	if err != nil {
		return nil, err
	}
	defer func() {
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		err = errors.Join(err, p.Stop(stopped))
	}()
	if err := json.Unmarshal(p.report, &open); err != nil {
		return nil, fmt.Errorf("the trial of the walls gave no report: %s", p.Output())
	}
	if user != (User{}) {
		made, err := os.Stat(filepath.Join(dir, "own", "made"))
		if err != nil {
			return nil, err
		}
		if st, ok := made.Sys().(*syscall.Stat_t); !ok || st.Uid != user.UID || st.Gid != user.GID {
			open[WallAccount] = "a file that the child made isn't its account's"
		}
	}
	return open, nil
}

// trialBound bounds the trials of one Starter together.
const trialBound = 2 * time.Minute

// tryWalls finds out what stands, and settles how children are started.
func (s *Starter) tryWalls(bubblewrap string) {
	path, err := exec.LookPath(bubblewrap)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		s.found = finding{failure: "there is no bubblewrap: " + err.Error(), hint: "install it: apt install bubblewrap, or your distribution's package of that name"}
		return
	}
	s.bubblewrap = path
	ctx, cancel := context.WithTimeout(context.Background(), trialBound)
	defer cancel()

	s.walls = allWalls()
	failure := s.tryAccounts(ctx)
	if failure == nil && len(s.found.problems) == 0 {
		return
	}
	if failure != nil {
		s.found.failure = failure.Error()
	}
	s.found.hint = wallHint()
	if s.isolation != IsolationPreferred {
		s.walls = nil // and Check refuses
		return
	}
	s.tryFewer(ctx)
}

// tryAccounts tries the walls for children with accounts of their own, where
// the host is root, and else, or where that fails, for those with its own.
func (s *Starter) tryAccounts(ctx context.Context) (err error) {
	if os.Geteuid() == 0 {
		first, err := firstAccount()
		if err == nil {
			last := first + maxAccounts // nobody's: tenants have those before
			if s.found.problems, err = s.try(ctx, User{last, last}); err == nil {
				s.accounts = accounts{own: true, first: first}
				return nil
			}
		}
		s.accounts = accounts{problem: "children run as root inside their walls, since this host can't give them accounts of their own: " + err.Error()}
	}
	s.found.problems, err = s.try(ctx, User{})
	return err
}

// tryFewer finds the walls that can be had, where not all can: those that stand
// when they are put up, one after the other, beside the least that is worth
// having.
func (s *Starter) tryFewer(ctx context.Context) {
	optional := []string{WallSystemCalls, WallControlGroups, WallIPC, WallHostName, WallNetwork}
	failure := s.found.failure
	s.walls = allWalls().without(optional...)
	if s.tryAccounts(ctx) != nil {
		s.walls = nil
		return
	}
	s.found.failure = ""
	reasons := map[string]string{}
	for _, name := range optional {
		fewer := s.walls
		s.walls = maps.Clone(fewer)
		s.walls[name] = true
		open, err := s.try(ctx, s.User(0))
		if err == nil {
			reasons[name] = open[name]
			s.found.problems = open
		} else {
			reasons[name] = err.Error()
		}
		if reasons[name] != "" {
			s.walls = fewer
		}
	}
	for _, name := range optional {
		if !s.walls.stand(name) {
			s.found.problems[name] = reasons[name]
		}
	}
	if len(s.found.problems) == 0 { // it failed once, and now it doesn't
		s.log.Warn("the walls stood at the second attempt", "first", failure)
	}
}

// firstAccount returns the first of maxAccounts numbers that are nobody's and
// that this system can give. The first choice is beyond what distributions,
// systemd and container tools hand out; the second is for a host in a container
// that has the usual 65536.
func firstAccount() (uint32, error) {
	var err error
	for _, first := range []uint32{0x7000_0000, 30_000} {
		if err = errors.Join(mapped("uid", first), mapped("gid", first)); err == nil {
			return first, nil
		}
	}
	return 0, err
}

// mapped says whether the numbers from first on exist here.
func mapped(kind string, first uint32) error {
	b, err := os.ReadFile("/proc/self/" + kind + "_map")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		var inside, outside, length uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &length); err != nil {
			return fmt.Errorf("%s_map: %w", kind, err)
		}
		if inside <= uint64(first) && uint64(first)+maxAccounts < inside+length {
			return nil
		}
	}
	return fmt.Errorf("there are no %s numbers from %d on", kind, first)
}

// wallHint says what usually keeps walls from standing on a machine like this.
func wallHint() string {
	setting := func(file string) string {
		b, _ := os.ReadFile("/proc/sys/" + file)
		return strings.TrimSpace(string(b))
	}
	switch {
	case setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "this system lets only programs with an AppArmor profile make user namespaces, as Ubuntu does: write a profile for bwrap that allows userns, or set kernel.apparmor_restrict_unprivileged_userns=0 with sysctl"
	case setting("kernel/unprivileged_userns_clone") == "0":
		return "user namespaces are switched off: set kernel.unprivileged_userns_clone=1 with sysctl"
	case setting("user/max_user_namespaces") == "0":
		return "user namespaces are switched off: set user.max_user_namespaces=10000 with sysctl"
	}
	return "in a container, allow its processes to make user namespaces and to mount proc (docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined); elsewhere, look for what the system log says about bwrap"
}
