package proc

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Isolations.
const (
	// IsolationRequired starts a child behind every wall, or not at all.
	IsolationRequired Isolation = "required"
	// IsolationPreferred starts a child behind the walls that can be had.
	IsolationPreferred Isolation = "preferred"
	// IsolationOff starts a child with the rights of the host's account.
	IsolationOff Isolation = "off"
)

// An Isolation says how much must stand between a child and the host.
type Isolation string

// maxListen bounds the addresses of one child.
const maxListen = 64

// Defaults of a Spec.
const (
	DefaultStartTimeout = 30 * time.Second
	DefaultGrace        = 2 * time.Second
	DefaultOutput       = 64 << 10
)

// A Spec describes one child.
type Spec struct {
	// Name is what logs and errors call the child; "" is the program's.
	Name string
	// Path is the program, absolute, and Args its arguments without argument 0.
	Path string
	Args []string
	// Env is the whole environment; nil is an empty one.
	Env map[string]string
	// Dir is the working directory, absolute. An isolated child has it in Views.
	Dir string
	// Views are the host's folders that the child sees.
	Views []View
	// Links is a file of the host's, absolute and outside all Views, that
	// remembers which links a start made in Dir, so that the next one takes
	// those away that it doesn't make. "" leaves them.
	Links string
	// Listen are addresses at which the host serves the child, and all that is
	// on the child's network. Empty is a network with nothing on it.
	Listen []Listen
	// Nests lets the child build a sandbox of its own, as Chromium does.
	Nests bool
	// Quotas are what the child may fill.
	Quotas []Quota
	// Limits bound the child; zero fields are documented there.
	Limits Limits
	// User is the account the child runs under; zero is the host's.
	User User
	// Stdin, Stdout and Stderr are the child's descriptors 0 to 2. A nil Stdin
	// is empty; what goes to a nil Stdout or Stderr is kept, up to
	// Limits.Output, for [Process.Output]. The caller keeps ownership.
	Stdin, Stdout, Stderr *os.File
	// Files become the child's descriptors 3, 4 and so on. It gets no others. Pass
	// pipes, sockets and sealed memory: a child with the host's own account can
	// open a regular file again for writing.
	// The caller keeps ownership and may close its own once Start is back.
	Files []*os.File
	// Ready returns when the child can be used; nil means at once. Its context
	// ends when the child does, or StartTimeout is over.
	Ready func(ctx context.Context) error
	// StartTimeout bounds Ready; zero is DefaultStartTimeout.
	StartTimeout time.Duration
	// Ask asks the child to end by itself, the first step of Stop; nil skips
	// it. Its context ends when the child does, or Grace is over.
	Ask func(ctx context.Context) error
	// Grace is how long Stop waits after Ask, and again after SIGTERM; zero is
	// DefaultGrace.
	Grace time.Duration

	trial *trial // in the program's place
}

// A View is one of the host's folders, as the child sees it.
type View struct {
	// Source is the folder on the host, absolute.
	Source string
	// Target is where an isolated child sees it, absolute; "" is the path it
	// has on the host. [Starter.Seen] says where a child sees it in the end.
	Target string
	// Link also shows the folder under this name in Dir, by a symbolic link;
	// "" makes none.
	Link string
	// ReadOnly forbids writing. Without isolation it can't be held. A folder
	// that may be written to is given to the child's User.
	ReadOnly bool
}

// A Listen is an address in the child's own network, such as 127.0.0.1:3128, at
// which the host serves it. Serve gets the listener in a goroutine of its own
// once the child has started. When the child has ended the listener is closed,
// and Serve has to return soon, with all its connections ended. A child without a network of its own has the
// machine's, and Serve isn't called.
type Listen struct {
	Address string
	Serve   func(net.Listener)
}

// A Quota bounds what some folders hold. It is kept by a watcher: over it, the
// child's writes to files fail with EFBIG until there is room again; a child
// that gets far over it all the same is killed. Starter.Walls says how far.
type Quota struct {
	Name  string // in words, such as "the workspace"
	Bytes int64
	Files int
	// Used measures. It is called by one goroutine at a time.
	Used func() (bytes int64, files int, err error)
}

// A User is an account, by its numbers. The zero User is the host's.
type User struct{ UID, GID uint32 }

// Limits bound a child. In each field zero means no limit, unless it says
// otherwise. Starter.Walls says which of them hold on this machine.
type Limits struct {
	Memory    int64         // resident bytes, of the child and all it starts
	CPUShare  float64       // processors' worth of time
	CPUTime   time.Duration // processor time of each process, rounded up to seconds
	Processes int           // processes and threads at a time
	OpenFiles int           // descriptors of each process
	FileSize  int64         // bytes of each file that is written
	Output    int           // bytes kept of stdout and stderr; zero is DefaultOutput
}

// check says what is wrong with s, before anything is touched, and fills in
// the defaults.
func (s *Spec) check() error {
	invalid := func(message string) error { return &Error{Reason: ReasonInvalid, Message: message} }
	if s.Name == "" {
		s.Name = filepath.Base(s.Path)
	}
	if !filepath.IsAbs(s.Path) {
		return invalid("start " + s.Name + ": the program's path is not absolute: " + s.Path)
	}
	if !filepath.IsAbs(s.Dir) {
		return invalid("start " + s.Name + ": the working directory is not absolute: " + s.Dir)
	}
	if s.Links != "" && !filepath.IsAbs(s.Links) {
		return invalid("start " + s.Name + ": the file that remembers links is not absolute: " + s.Links)
	}
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return invalid("start " + s.Name + ": the environment has a bad entry: " + name)
		}
	}
	for _, arg := range s.Args {
		if strings.Contains(arg, "\x00") {
			return invalid("start " + s.Name + ": an argument holds a NUL")
		}
	}
	if slices.Contains(s.Files, nil) {
		return invalid("start " + s.Name + ": a file to pass on is nil")
	}
	for _, l := range s.Listen {
		at, err := netip.ParseAddrPort(l.Address)
		if err != nil || !at.Addr().Is4() || !at.Addr().IsLoopback() || at.Port() == 0 || l.Serve == nil {
			return invalid("start " + s.Name + ": there is no listening on " + l.Address + ": use 127.0.0.1 with a port, and say who serves")
		}
	}
	if len(s.Listen) > maxListen {
		return invalid("start " + s.Name + ": there are too many addresses to listen on")
	}
	for _, v := range s.Views {
		if !filepath.IsAbs(v.Source) {
			return invalid("start " + s.Name + ": the source of a view is not absolute: " + v.Source)
		}
		if v.Target != "" && !filepath.IsAbs(v.Target) {
			return invalid("start " + s.Name + ": the target of a view is not absolute: " + v.Target)
		}
		if v.Link != "" && (!filepath.IsLocal(v.Link) || filepath.Clean(v.Link) == ".") {
			return invalid("start " + s.Name + ": the link to a view is not inside the working directory: " + v.Link)
		}
	}
	l := &s.Limits
	if l.Memory < 0 || l.CPUShare < 0 || l.CPUTime < 0 || l.Processes < 0 || l.OpenFiles < 0 || l.FileSize < 0 || l.Output < 0 {
		return invalid("start " + s.Name + ": a limit is negative")
	}
	if s.StartTimeout < 0 || s.Grace < 0 {
		return invalid("start " + s.Name + ": a time is negative")
	}
	if l.Output == 0 {
		l.Output = DefaultOutput
	}
	if s.StartTimeout == 0 {
		s.StartTimeout = DefaultStartTimeout
	}
	if s.Grace == 0 {
		s.Grace = DefaultGrace
	}
	return nil
}

// environ returns the environment as the system wants it, sorted.
func (s *Spec) environ() []string {
	list := make([]string, 0, len(s.Env))
	for name, value := range s.Env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
