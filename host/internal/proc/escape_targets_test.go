package proc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// targets are what one run of an attempt is after: a host's folders, sockets
// and processes in small, all real, and open to every account, so that nothing
// but the wall in question stands between. Each run has its own.
type targets struct {
	attempt attempt
	dir     string
	tools   string
	nonce   string
	user    proc.User // the child's account
	other   proc.User // another session's
	secrets map[string]string
	env     map[string]string
	follow  bool // the host follows links

	tree     string // of the folders that nobody may touch, before the attempt
	reached  map[string]*atomic.Int64
	victim   *exec.Cmd
	pipe     *os.File // the host's end of a debugging pipe
	terminal *os.File // the host's end
	signals  chan os.Signal
	hostName string
}

// sessions numbers the accounts of the attempts, each of which has its own.
var sessions atomic.Int64

func newTargets(t *testing.T, a attempt) *targets {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	starter := isolating(t)
	programs, err := tools()
	must(err)
	n := int(sessions.Add(2))
	s := &targets{
		attempt: a, dir: openTempDir(t), tools: programs, nonce: random(),
		user: starter.User(n), other: starter.User(n + 1),
		secrets: map[string]string{}, reached: map[string]*atomic.Int64{},
	}
	for _, name := range []string{"outside", "private", "other", "tokens", "argument", "environment", "api", "bus", "abstract", "kernel", "shm", "sysv", "queue", "key"} {
		s.secrets[name] = "secret-" + random()
	}
	for _, dir := range []string{"outside", "data", "other/run", "own/upload", "own/output", "run", "folder"} {
		must(os.MkdirAll(s.folder(dir), 0o755))
	}
	for _, dir := range []string{"data", "outside", "folder"} {
		must(os.Chmod(s.folder(dir), 0o777))
	}
	write := func(name, text string, perm fs.FileMode, owner proc.User) {
		t.Helper()
		must(os.WriteFile(s.folder(name), []byte(text), 0o600))
		must(os.Chmod(s.folder(name), perm))
		s.chown(t, name, owner)
	}
	host := proc.User{}
	write("outside/secret", s.secrets["outside"], 0o666, host)
	write("outside/private", s.secrets["private"], 0o600, host)
	write("outside/program", "#!/bin/sh\n", 0o777, s.user)
	write("data/policy.yaml", "version: 1\n", 0o666, host)
	write("data/tokens.json", s.secrets["tokens"], 0o666, host)
	write("data/audit.jsonl", "{}\n", 0o666, host)
	write("other/report.txt", s.secrets["other"], 0o666, s.other)
	write("other/private", s.secrets["other"], 0o600, s.other)
	write("own/upload/report.txt", "report\n", 0o600, s.user)
	for _, dir := range []string{"own", "own/upload", "own/output"} {
		s.chown(t, dir, s.user)
	}
	if os.Geteuid() == 0 {
		device := s.folder("own/output/left-device")
		must(unix.Mknod(device, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))))
		must(os.Chmod(device, 0o666))
	}
	s.listen(t)
	s.share(t)
	s.startVictim(t)
	s.hostName, err = os.Hostname()
	must(err)
	if a.has("watch", "signals") {
		s.signals = make(chan os.Signal, 1)
		signal.Notify(s.signals, syscall.SIGUSR1)
		t.Cleanup(func() { signal.Stop(s.signals) })
	}
	for name, value := range map[string]string{
		"OUTSIDE": s.folder("outside/secret"), "OUTSIDE_FOLDER": s.folder("outside"), "DATA": s.folder("data"), "OTHER": s.folder("other"),
		"HOST_PID": strconv.Itoa(os.Getpid()), "VICTIM_PID": strconv.Itoa(s.victim.Process.Pid), "HOST_NAME": s.hostName, "NONCE": s.nonce,
	} {
		s.env[name] = value
	}
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, s.folder("outside/secret"), 0)
	must(err)
	s.env["HANDLE"], s.env["HANDLE_TYPE"] = hex.EncodeToString(handle.Bytes()), strconv.Itoa(int(handle.Type()))
	for name, value := range s.env {
		for of, secret := range s.secrets {
			if strings.Contains(value, secret) {
				t.Fatalf("%s gives the secret of %s away", name, of)
			}
		}
	}
	s.tree = s.look(t)
	return s
}

func random() string { return strings.ToLower(rand.Text()[:16]) }

// folder is the path of one of the targets' folders, or of the machine's.
func (s *targets) folder(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.dir, filepath.FromSlash(name))
}

func (s *targets) chown(t *testing.T, name string, u proc.User) {
	t.Helper()
	if u != (proc.User{}) {
		if err := os.Chown(s.folder(name), int(u.UID), int(u.GID)); err != nil {
			t.Fatal(err)
		}
	}
}

// listen starts the servers of the machine: whoever reaches one is counted.
func (s *targets) listen(t *testing.T) {
	t.Helper()
	s.env = map[string]string{}
	serve := func(name, network, address, says string) net.Listener {
		t.Helper()
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		count := &atomic.Int64{}
		s.reached[name] = count
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				count.Add(1)
				io.WriteString(c, says)
				c.Close()
			}
		}()
		return l
	}
	port := func(a net.Addr) string { _, p, _ := net.SplitHostPort(a.String()); return p }
	s.env["TCP"] = port(serve("tcp", "tcp", "127.0.0.1:0", "x").Addr())
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
		s.env["TCP6"] = port(serve("tcp6", "tcp", "[::]:0", "x").Addr())
	} else {
		s.env["TCP6"] = "1"
	}
	s.env["ABSTRACT"] = "proc-test-" + s.nonce
	serve("abstract", "unix", "@"+s.env["ABSTRACT"], s.secrets["abstract"])
	s.env["BUS"] = s.folder("run/bus")
	serve("bus", "unix", s.env["BUS"], s.secrets["bus"])
	serve("kernel", "unix", s.folder("other/run/kernel-"+s.secrets["kernel"]), "")
	for _, path := range []string{s.env["BUS"], s.folder("other/run/kernel-" + s.secrets["kernel"])} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}

	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	s.env["UDP"] = port(udp.LocalAddr())
	heard := &atomic.Int64{}
	s.reached["udp"] = heard
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			heard.Add(1)
			udp.WriteTo(b[:n], from)
		}
	}()

	asked := &atomic.Int64{}
	s.reached["api"] = asked
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.env["API"] = port(l.Addr())
	api := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		io.WriteString(w, s.secrets["api"])
	})}
	go api.Serve(l)
	t.Cleanup(func() { api.Close() })
}

// share makes what processes can share beside files and sockets.
func (s *targets) share(t *testing.T) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.env["SHM"] = "proc-test-" + s.nonce
	file := "/dev/shm/" + s.env["SHM"]
	must(os.WriteFile(file, []byte(s.secrets["shm"]), 0o644))
	t.Cleanup(func() { os.Remove(file) })

	key := int(s.nonce[0])<<16 | int(s.nonce[1])<<8 | int(s.nonce[2]) | (int(sessions.Load())&0x7f)<<24
	id, err := unix.SysvShmGet(key, 4096, unix.IPC_CREAT|unix.IPC_EXCL|0o666)
	must(err)
	t.Cleanup(func() { unix.SysvShmCtl(id, unix.IPC_RMID, nil) })
	at, err := unix.SysvShmAttach(id, 0, 0)
	must(err)
	copy(at, s.secrets["sysv"])
	must(unix.SysvShmDetach(at))
	s.env["SHM_KEY"] = strconv.Itoa(key)

	s.env["QUEUE"] = "/proc-test-" + s.nonce
	must(makeQueue(s.env["QUEUE"], s.secrets["queue"]))
	t.Cleanup(func() { removeQueue(s.env["QUEUE"]) })

	if s.attempt.has("watch", "keys") {
		s.env["KEY"] = strconv.Itoa(s.makeKey(t))
	}
}

// makeKey makes a key that every process may read, whoever holds it.
func (s *targets) makeKey(t *testing.T) int {
	t.Helper()
	runtime.LockOSThread() // the keyring is the thread's
	defer runtime.UnlockOSThread()
	number, err := unix.AddKey("user", "proc-test-"+s.nonce, []byte(s.secrets["key"]), unix.KEY_SPEC_PROCESS_KEYRING)
	if err == nil {
		err = unix.KeyctlSetperm(number, 0x3f3f_3f3f)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.KeyctlInt(unix.KEYCTL_INVALIDATE, number, 0, 0, 0) })
	return number
}

// startVictim starts a process of the child's account. It has secrets on its
// command line and in its environment, and the end of a pipe.
func (s *targets) startVictim(t *testing.T) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.pipe = read
	t.Cleanup(func() { read.Close() })
	if s.user != (proc.User{}) {
		if err := write.Chown(int(s.user.UID), int(s.user.GID)); err != nil {
			t.Fatal(err)
		}
	}
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(write.Fd())))
	if err != nil {
		t.Fatal(err)
	}
	s.env["PIPE"] = name
	s.victim = &exec.Cmd{
		Path: "/bin/sleep", Args: []string{"sleep-" + s.secrets["argument"], "1000"}, ExtraFiles: []*os.File{write},
		Env: []string{"HOST_SECRET=" + s.secrets["environment"]}, Dir: "/",
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if s.user != (proc.User{}) {
		s.victim.SysProcAttr.Credential = &syscall.Credential{Uid: s.user.UID, Gid: s.user.GID}
	}
	if err := s.victim.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	t.Cleanup(func() { s.victim.Process.Kill(); s.victim.Wait() })
}

// look describes everything below the folders that nobody may touch.
func (s *targets) look(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range []string{"outside", "data", "other", "run", "own/upload"} {
		err := filepath.WalkDir(s.folder(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			var text []byte
			if info.Mode().IsRegular() {
				if text, err = os.ReadFile(path); err != nil {
					return err
				}
			}
			fmt.Fprintf(&all, "%s %v %x\n", path, info.Mode(), sha256.Sum256(text))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// touched lists the targets that aren't as they were.
func (s *targets) touched(t *testing.T) []string {
	t.Helper()
	var list []string
	if s.look(t) != s.tree {
		list = append(list, "files")
	}
	for name, count := range s.reached {
		if count.Load() > 0 {
			list = append(list, name)
		}
	}
	if st := state(s.victim.Process.Pid); st == 0 || st == 'Z' {
		list = append(list, "victim")
	}
	if n, err := unix.IoctlGetInt(int(s.pipe.Fd()), unix.TIOCINQ); err != nil || n > 0 {
		list = append(list, "pipe")
	}
	if got, err := os.ReadFile("/dev/shm/" + s.env["SHM"]); err != nil || string(got) != s.secrets["shm"] {
		list = append(list, "shared memory")
	}
	if name, err := os.Hostname(); err != nil || name != s.hostName {
		list = append(list, "host name")
	}
	if s.signals != nil {
		select {
		case <-s.signals:
			list = append(list, "signals")
		default:
		}
	}
	if s.terminal != nil {
		if n, err := unix.IoctlGetInt(int(s.terminal.Fd()), unix.TIOCINQ); err != nil || n > 0 {
			list = append(list, "terminal")
		}
	}
	for _, pid := range withArgument("left-" + s.nonce) {
		list = append(list, "left process "+strconv.Itoa(pid))
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return list
}

// withArgument returns the living processes that have a word on their command
// line.
func withArgument(word string) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var pids []int
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(word)) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// spec is the child that makes the attempt, behind all walls.
func (s *targets) spec(t *testing.T, starter *proc.Starter) proc.Spec {
	t.Helper()
	spec := proc.Spec{
		Name: s.attempt.name, Dir: s.folder("own/output"), User: s.user,
		Env: map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ZONE": "/output", "UPLOAD": "/upload", "TOOLS": "/tools"},
		Views: []proc.View{
			{Source: s.folder("own/output"), Target: "/output"},
			{Source: s.folder("own/upload"), Target: "/upload", ReadOnly: true},
			{Source: s.tools, Target: "/tools", ReadOnly: true},
		},
		Limits: proc.Limits{FileSize: 1 << 30},
	}
	for name, value := range s.env {
		spec.Env[name] = value
	}
	program := "/tools/" + s.attempt.name
	switch filepath.Ext(s.attempt.name) {
	case ".c":
		spec.Path = filepath.Join(s.tools, strings.TrimSuffix(s.attempt.name, ".c"))
	case ".py":
		spec.Path, spec.Args = "/usr/bin/python3", []string{"-I", program}
	case ".sh":
		spec.Path, spec.Args = "/bin/sh", []string{program}
	}
	if strings.HasSuffix(s.attempt.name, ".c") {
		spec.Path, spec.Args = "/usr/bin/env", []string{strings.TrimSuffix(program, ".c")}
	}
	if sees := s.attempt.header["sees"]; sees != "" {
		spec.Views = append(spec.Views, proc.View{Source: s.folder(sees), ReadOnly: true})
	}
	if passes := s.attempt.header["passes"]; passes != "" {
		spec.Files = []*os.File{s.file(t, strings.TrimPrefix(passes, "file "))}
	}
	if s.attempt.has("listens", "yes") {
		spec.Listen = []proc.Listen{{Address: "127.0.0.1:3128", Serve: func(l net.Listener) {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}}}
	}
	if limit := s.attempt.header["limit"]; limit != "" {
		s.bound(t, &spec, limit, false)
	}
	return spec
}

// file opens what is passed on.
func (s *targets) file(t *testing.T, which string) *os.File {
	t.Helper()
	name, flag := "outside/secret", os.O_RDONLY
	switch which {
	case "directory":
		name = "/"
	case "read-only":
	case "writable":
		flag = os.O_RDWR
	case "program":
		name = "outside/program"
	case "of the host's read-only":
		name = "outside/private"
	default:
		t.Fatalf("there is no file %q", which)
	}
	f, err := os.OpenFile(s.folder(name), flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// bound sets one limit, tight, or raised above what the attempt is after.
func (s *targets) bound(t *testing.T, spec *proc.Spec, limit string, raised bool) {
	t.Helper()
	choose := func(tight, loose int64) int64 {
		if raised {
			return loose
		}
		return tight
	}
	switch limit {
	case "processes":
		spec.Limits.Processes = int(choose(24, 400))
	case "memory":
		spec.Limits.Memory = choose(64<<20, 1<<30)
	case "disk":
		spec.Quotas = []proc.Quota{{
			Name: "the zone", Bytes: choose(1<<20, 1<<30), Files: int(choose(200, 100_000)),
			Used: func() (int64, int, error) { return proc.Measure(s.folder("own/output")) },
		}}
	case "open files":
		spec.Limits.OpenFiles = int(choose(32, 1024))
	case "processor time":
		spec.Limits.CPUTime = time.Duration(choose(1, 30)) * time.Second
	case "file size":
		spec.Limits.FileSize = choose(1<<20, 1<<30)
	case "output":
		spec.Limits.Output = int(choose(64<<10, 1<<20))
	default:
		t.Fatalf("there is no limit %q", limit)
	}
}

// then does what a host does with what the child left, and returns what came
// to light.
func (s *targets) then(t *testing.T, starter *proc.Starter, what string) string {
	t.Helper()
	zone := s.folder("own/output")
	look := func(text []byte, err error) string { return fmt.Sprintf("the host: %s %v\n", text, err) }
	switch what {
	case "read report.txt":
		if s.follow {
			return look(os.ReadFile(filepath.Join(zone, "report.txt")))
		}
		return look(s.read(t, "report.txt"))
	case "list and read race/secret":
		if s.follow {
			return look(os.ReadFile(filepath.Join(zone, "race", "secret")))
		}
		view := s.view(t)
		entries, _, err := view.List("race", 0)
		for _, e := range entries {
			if e.Name == "secret" || e.Name == "program" {
				t.Errorf("the host listed the folder behind the link: %v", entries)
			}
		}
		return look(nil, err) + look(s.read(t, "race/secret"))
	case "write out/report.txt", "write race/report.txt":
		name := strings.TrimPrefix(what, "write ")
		if s.follow {
			return look(nil, os.WriteFile(filepath.Join(zone, name), []byte("report"), 0o600))
		}
		_, _, err := s.view(t).Put(name, strings.NewReader("report"), workspace.PutOptions{})
		return look(nil, err)
	case "start with a link at data/upload":
		if s.follow {
			return look(nil, os.Symlink("/upload", filepath.Join(zone, "data", "upload")))
		}
		spec := s.spec(t, starter)
		spec.Path, spec.Args = "/bin/true", nil
		spec.Views[1].Link = "data/upload"
		return look(s.finish(t, starter, spec))
	case "start with a view of shown":
		source := filepath.Join(zone, "shown")
		if s.follow {
			var err error
			if source, err = filepath.EvalSymlinks(source); err != nil {
				t.Fatal(err)
			}
		}
		spec := s.spec(t, starter)
		spec.Path, spec.Args = "/bin/cat", []string{"/shown/secret"}
		spec.Views = append(spec.Views, proc.View{Source: source, Target: "/shown", ReadOnly: true})
		return look(s.finish(t, starter, spec))
	}
	t.Fatalf("there is nothing like %q", what)
	return ""
}

func (s *targets) finish(t *testing.T, starter *proc.Starter, spec proc.Spec) ([]byte, error) {
	t.Helper()
	p, err := starter.Start(t.Context(), spec)
	if err != nil {
		return nil, err
	}
	await(t, p)
	return []byte(p.Output()), nil
}

var workspaces sync.Map // by *targets

// view is the host's own way into the child's zone.
func (s *targets) view(t *testing.T) *workspace.FS {
	t.Helper()
	if v, ok := workspaces.Load(s); ok {
		return v.(*workspace.FS)
	}
	w, err := workspace.Open(workspace.Config{Dir: s.folder("own"), Owner: workspace.Owner(s.user)})
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.FS("output", abi.AccessWrite)
	if err != nil {
		t.Fatal(err)
	}
	workspaces.Store(s, v)
	t.Cleanup(func() { workspaces.Delete(s); w.Close() })
	return v
}

func (s *targets) read(t *testing.T, name string) ([]byte, error) {
	t.Helper()
	f, err := s.view(t).Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// makeQueue makes a POSIX message queue that anybody may read, with one message.
func makeQueue(name, message string) error {
	attr := [8]int64{0, 1, 256} // flags, messages, bytes of each
	path, err := unix.BytePtrFromString(strings.TrimPrefix(name, "/"))
	if err != nil {
		return err
	}
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(path)), unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o644, uintptr(unsafe.Pointer(&attr)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("mq_open: %w", errno)
	}
	defer unix.Close(int(fd))
	text := []byte(message)
	_, _, errno = unix.Syscall6(unix.SYS_MQ_TIMEDSEND, fd, uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("mq_timedsend: %w", errno)
	}
	return nil
}

func removeQueue(name string) {
	if path, err := unix.BytePtrFromString(strings.TrimPrefix(name, "/")); err == nil {
		unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(path)), 0, 0)
	}
}

// A staged is a child that a host on a terminal starts.
type staged struct {
	Path, Dir string
	Args      []string
	Env       map[string]string
	Views     []proc.View
	User      proc.User
}

// runOnTerminal has a host that runs on a terminal make the attempt, behind its
// walls or without them.
func (s *targets) runOnTerminal(t *testing.T, spec proc.Spec, role string) string {
	t.Helper()
	host, child, err := terminal()
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	s.terminal = host
	t.Cleanup(func() { host.Close() })
	b, err := json.Marshal(staged{spec.Path, spec.Dir, spec.Args, spec.Env, spec.Views, spec.User})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(ctx, self)
	command.Env = append(os.Environ(), roleVariable+"="+role, "PROC_TEST_STAGED="+string(b))
	command.Stdin = child
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	out, err := command.CombinedOutput()
	return fmt.Sprintf("%s%v\n", out, err)
}

// beOnTerminal plays the host of runOnTerminal.
func beOnTerminal(bare bool) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	var c staged
	if err := json.Unmarshal([]byte(os.Getenv("PROC_TEST_STAGED")), &c); err != nil {
		fail(err)
	}
	spec := proc.Spec{Path: c.Path, Dir: c.Dir, Args: c.Args, Env: c.Env, Views: c.Views, User: c.User}
	if f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err != nil {
		fail(errors.Join(errors.New("the host itself has no terminal"), err))
	} else {
		f.Close()
	}
	if bare {
		out, err := bareCommand(context.Background(), spec).CombinedOutput()
		fmt.Printf("%s%v\n", out, err)
		os.Exit(0)
	}
	starter, err := proc.New(proc.Config{})
	if err != nil {
		fail(err)
	}
	p, err := starter.Start(context.Background(), spec)
	if err != nil {
		fail(err)
	}
	<-p.Done()
	fmt.Println(p.Output(), p.Exit().Reason)
	os.Exit(0)
}

// terminal returns both ends of a terminal.
func terminal() (host, child *os.File, err error) {
	host, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(host.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(host.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		child, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		host.Close()
		return nil, nil, err
	}
	return host, child, nil
}
