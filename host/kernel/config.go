package kernel

import (
	"cmp"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// Defaults of a Config.
const (
	DefaultLanguage       = "python"
	DefaultMaxTime        = 5 * time.Minute
	DefaultStartTimeout   = 30 * time.Second
	DefaultInterruptGrace = 5 * time.Second
	DefaultHeartbeat      = 30 * time.Second
	DefaultMaxOutput      = 1 << 20
	DefaultMaxBlobs       = 16 << 20
	DefaultMaxQueue       = 32
	DefaultMaxBytes       = 1 << 30
	DefaultMaxFiles       = 50_000
)

// proxyAddress is where an isolated kernel finds the gate.
const proxyAddress = "127.0.0.1:3128"

// The most that fits an answer's frame, beside the rest of it.
const (
	mostOutput = 3 << 20
	mostBlobs  = 48 << 20
)

// InterruptModes, as kernel specs name them.
const (
	InterruptSignal  InterruptMode = "signal"
	InterruptMessage InterruptMode = "message"
)

// An InterruptMode says how a kernel wants to be interrupted.
type InterruptMode string

// connectionFile stands in Argv for the path of the connection file.
const connectionFile = "{connection_file}"

// Config configures a Kernel.
type Config struct {
	// Starter starts the kernel's processes. Required.
	Starter *proc.Starter
	// Dir holds the kernel's private folders, absolute; it is made if it isn't
	// there, and never removed. Processes work in Dir/work, which an isolated
	// one sees as /work (as /run/kernel/work where Python or another view is
	// below /work), and isolated ones don't see Dir itself. Required.
	Dir string
	// User is the account that processes run under; zero is the host's. Only a
	// host that runs as root can have another.
	User proc.User
	// Language is what the kernel runs; "" is DefaultLanguage.
	Language string
	// Python is the interpreter that has ipykernel: a path, or a name to look
	// up in PATH; "" is python3. Its environment is left as it is, and an
	// isolated kernel sees it, read-only, where it is.
	Python string
	// Argv is the kernel's command, with {connection_file} where its path
	// goes; nil runs ipykernel with Python. Of what it needs beside the system,
	// an isolated kernel sees the folder of its program; the rest is Views'.
	Argv []string
	// InterruptMode is how the kernel is interrupted; "" is InterruptSignal.
	InterruptMode InterruptMode
	// Lost is what the first response says in StateLost, where this kernel
	// replaces another one of the caller's; "" is nothing.
	Lost string
	// Views are folders that the kernel sees besides its own.
	Views []proc.View
	// Quotas bound what Views hold. MaxBytes and MaxFiles bound the kernel's
	// own folders; zero is DefaultMaxBytes and DefaultMaxFiles.
	Quotas   []proc.Quota
	MaxBytes int64
	MaxFiles int
	// Gate serves the forward proxy that is all of an isolated kernel's
	// network; nil is no network. It is called with a listener for each process
	// and returns when that is closed.
	Gate func(net.Listener)
	// Env is added to the few variables a kernel gets, and replaces them.
	Env map[string]string
	// Limits bound each process; see there for what zero means.
	Limits proc.Limits
	// CacheDir keeps what all kernels can share: matplotlib's list of fonts,
	// which takes it seconds to make. Kernels get copies. "" is Dir/cache.
	CacheDir string
	// MaxTime bounds one execution; zero is DefaultMaxTime.
	MaxTime time.Duration
	// StartTimeout bounds the start of a process; zero is DefaultStartTimeout.
	StartTimeout time.Duration
	// InterruptGrace is how long an interrupted execution may take to end,
	// before its process is killed; at half of it the interrupt is repeated.
	// Zero is DefaultInterruptGrace.
	InterruptGrace time.Duration
	// Heartbeat is how long a process may fail to answer its heartbeat before
	// it counts as dead; zero is DefaultHeartbeat.
	Heartbeat time.Duration
	// MaxOutput bounds the text of one execution's outputs, in bytes of JSON;
	// zero is DefaultMaxOutput, and the most is 3 MiB.
	MaxOutput int64
	// MaxBlobs bounds the binary data of one execution's outputs, in bytes;
	// zero is DefaultMaxBlobs, and the most is 48 MiB.
	MaxBlobs int64
	// MaxQueue is how many executions may wait for their turn; zero is
	// DefaultMaxQueue.
	MaxQueue int
	// Logger gets starts, ends and faults; nil logs nothing.
	Logger hclog.Logger
}

// complete says what is wrong with c, and fills in the defaults.
func (c *Config) complete() error {
	invalid := func(format string, args ...any) error {
		return abi.Errorf(abi.CodeInvalidArgument, "kernel: "+format, args...)
	}
	if c.Starter == nil {
		return invalid("there is no starter")
	}
	if !filepath.IsAbs(c.Dir) {
		return invalid("the folder is not absolute: %q", c.Dir)
	}
	if c.CacheDir != "" && !filepath.IsAbs(c.CacheDir) {
		return invalid("the cache folder is not absolute: %q", c.CacheDir)
	}
	if c.MaxTime < 0 || c.StartTimeout < 0 || c.InterruptGrace < 0 || c.Heartbeat < 0 {
		return invalid("a time is negative")
	}
	if c.MaxOutput < 0 || c.MaxOutput > mostOutput {
		return invalid("the bound of the output is %d bytes: use 1 to %d", c.MaxOutput, mostOutput)
	}
	if c.MaxBlobs < 0 || c.MaxBlobs > mostBlobs {
		return invalid("the bound of the binary output is %d bytes: use 1 to %d", c.MaxBlobs, mostBlobs)
	}
	if c.MaxQueue < 0 {
		return invalid("the queue's length is negative")
	}
	if c.MaxBytes < 0 || c.MaxFiles < 0 {
		return invalid("the bound of its folders is negative")
	}
	switch c.InterruptMode {
	case "":
		c.InterruptMode = InterruptSignal
	case InterruptSignal, InterruptMessage:
	default:
		return invalid("the interrupt mode is %q: use signal or message", c.InterruptMode)
	}
	if c.Argv != nil && !strings.Contains(strings.Join(c.Argv, "\n"), connectionFile) {
		return invalid("the command has no %s: %q", connectionFile, c.Argv)
	}
	c.Language = cmp.Or(c.Language, DefaultLanguage)
	c.CacheDir = cmp.Or(c.CacheDir, filepath.Join(c.Dir, "cache"))
	c.MaxTime = cmp.Or(c.MaxTime, DefaultMaxTime)
	c.StartTimeout = cmp.Or(c.StartTimeout, DefaultStartTimeout)
	c.InterruptGrace = cmp.Or(c.InterruptGrace, DefaultInterruptGrace)
	c.Heartbeat = cmp.Or(c.Heartbeat, DefaultHeartbeat)
	c.MaxOutput = cmp.Or(c.MaxOutput, DefaultMaxOutput)
	c.MaxBlobs = cmp.Or(c.MaxBlobs, DefaultMaxBlobs)
	c.MaxQueue = cmp.Or(c.MaxQueue, DefaultMaxQueue)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.MaxFiles = cmp.Or(c.MaxFiles, DefaultMaxFiles)
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return nil
}

// environ returns the whole environment of a process: what a kernel needs to
// find its programs and its private folders, and nothing of the host's. Folders
// are named as the kernel sees them.
func (c *Config) environ(program, runtime string, own map[string]proc.View) map[string]string {
	at := func(folder string) string { return c.Starter.Seen(own[folder]) }
	env := map[string]string{
		"PATH":                filepath.Dir(program) + string(os.PathListSeparator) + "/usr/local/bin:/usr/bin:/bin",
		"HOME":                at("home"),
		"TMPDIR":              at("tmp"),
		"LANG":                "C.UTF-8",
		"IPYTHONDIR":          at("ipython"),
		"MPLCONFIGDIR":        at("matplotlib"),
		"JUPYTER_RUNTIME_DIR": runtime,
		// Else the debugger that ipykernel loads warns on stderr.
		"PYDEVD_DISABLE_FILE_VALIDATION": "1",
	}
	// Numeric libraries start a thread for each processor they see, which is
	// more than a kernel may use when its share is bounded.
	if share := c.Limits.CPUShare; share > 0 {
		threads := strconv.Itoa(max(1, int(share+0.5)))
		for _, name := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS"} {
			env[name] = threads
		}
	}
	if c.Gate != nil && c.Starter.Listens() {
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
			env[name] = "http://" + proxyAddress
			env[strings.ToLower(name)] = env[name]
		}
		env["NO_PROXY"], env["no_proxy"] = "", ""
	}
	maps.Copy(env, c.Env)
	return env
}
