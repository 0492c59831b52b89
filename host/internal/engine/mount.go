package engine

import (
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// maxPath bounds a path below a mount.
const maxPath = 4096

// mount is an FS as wazero wants it. It stands in an instance's table for as
// long as the instance lives, and belongs to one run at a time. What its methods return is
// EIO wherever they fail: the number that the guest gets is in the state, and
// the wrapper of the WASI functions puts it in place, because wazero has no
// word for a full disk.
type mount struct {
	state  *state
	path   string
	fs     FS
	denied error
}

var _ experimentalsys.FS = (*mount)(nil)

// fail notes what a file call failed with, and its reason as the pending
// response.
func (m *mount) fail(doing, name string, err error) experimentalsys.Errno {
	s := m.state
	var reason *abi.Error
	s.errno, reason = fileErrno(doing, path.Join(m.path, name), err)
	if reason.Code == abi.CodeInternal {
		s.log.Error("a file call failed", "doing", doing, "path", path.Join(m.path, name), "error", err)
	}
	s.pending = &pending{err: reason}
	return experimentalsys.EIO
}

// failed is fail where err may be nil.
func (m *mount) failed(doing, name string, err error) experimentalsys.Errno {
	if err == nil {
		return 0
	}
	return m.fail(doing, name, err)
}

// shut is why the mount is closed at present, nil when it is open.
func (m *mount) shut() error {
	switch {
	case m.state.shut != nil:
		return m.state.shut
	case m.fs == nil:
		return m.denied
	case m.state.ctx.Err() != nil:
		return syscall.EINTR
	}
	return nil
}

// enter checks that the mount is open, and cleans a name that wazero gives: it
// joins names of open folders and of files in them by hand. folder says that
// the name ended in a slash, so that it has to be a folder's.
func (m *mount) enter(doing, name string) (clean string, folder bool, errno experimentalsys.Errno) {
	if err := m.shut(); err != nil {
		return "", false, m.fail(doing, name, err)
	}
	clean = path.Clean(strings.TrimLeft(name, "/"))
	switch {
	case len(name) > maxPath:
		return "", false, m.fail(doing, name[:64]+"…", syscall.ENAMETOOLONG)
	case !fs.ValidPath(clean):
		return "", false, m.fail(doing, clean, syscall.EINVAL)
	}
	return clean, strings.HasSuffix(name, "/"), 0
}

// OpenFile opens what the guest names. Opened as wazero does it for itself,
// with no permissions to create anything, the root is the mount's own handle,
// which is there even when nothing behind it may be used.
func (m *mount) OpenFile(name string, flag experimentalsys.Oflag, perm fs.FileMode) (experimentalsys.File, experimentalsys.Errno) {
	const doing = "open"
	if name == "." && flag == experimentalsys.O_RDONLY && perm == 0 {
		return &folder{mount: m, name: "."}, 0
	}
	name, slash, errno := m.enter(doing, name)
	if errno != 0 {
		return nil, errno
	}
	if len(m.state.open) >= m.state.maxOpen {
		return nil, m.fail(doing, name, abi.Errorf(abi.CodeResourceExhausted, "%d files are open, which is the bound", m.state.maxOpen).
			WithCause(syscall.EMFILE).WithHint("close some first"))
	}
	flags := openFlags(flag)
	if flags&os.O_TRUNC != 0 && flags&(os.O_WRONLY|os.O_RDWR) == 0 {
		return nil, m.fail(doing, name, syscall.EINVAL)
	}
	if slash && flags&os.O_CREATE != 0 {
		return nil, m.fail(doing, name, syscall.EISDIR)
	}
	if flag&experimentalsys.O_NOFOLLOW != 0 {
		if info, err := m.fs.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, m.fail(doing, name, syscall.ELOOP)
		}
	}
	f, err := m.fs.OpenFile(name, flags, perm)
	if err != nil {
		return nil, m.fail(doing, name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.IsDir() && (slash || flag&experimentalsys.O_DIRECTORY != 0) {
		err = syscall.ENOTDIR
	}
	if err != nil {
		_ = f.Close()
		return nil, m.fail(doing, name, err)
	}
	if info.IsDir() {
		d := &folder{mount: m, name: name, file: f}
		m.state.opened(d)
		return d, 0
	}
	file := &file{mount: m, name: name, file: f, flags: flags, inode: m.stat(name, info).Ino}
	m.state.opened(file)
	return file, 0
}

// openFlags turns wazero's flags into those of package os. What concerns
// syncing, blocking and symbolic links is not the FS's.
func openFlags(flag experimentalsys.Oflag) int {
	flags := os.O_RDONLY
	switch {
	case flag&experimentalsys.O_RDWR != 0:
		flags = os.O_RDWR
	case flag&experimentalsys.O_WRONLY != 0:
		flags = os.O_WRONLY
	}
	for _, f := range openFlagPairs {
		if flag&f.from != 0 {
			flags |= f.to
		}
	}
	return flags
}

var openFlagPairs = []struct {
	from experimentalsys.Oflag
	to   int
}{
	{experimentalsys.O_APPEND, os.O_APPEND},
	{experimentalsys.O_CREAT, os.O_CREATE},
	{experimentalsys.O_EXCL, os.O_EXCL},
	{experimentalsys.O_TRUNC, os.O_TRUNC},
}

func (m *mount) Stat(name string) (sys.Stat_t, experimentalsys.Errno) {
	return m.statWith("stat", name, FS.Stat)
}

func (m *mount) Lstat(name string) (sys.Stat_t, experimentalsys.Errno) {
	return m.statWith("lstat", name, FS.Lstat)
}

func (m *mount) statWith(doing, name string, stat func(FS, string) (fs.FileInfo, error)) (sys.Stat_t, experimentalsys.Errno) {
	name, slash, errno := m.enter(doing, name)
	if errno != 0 {
		return sys.Stat_t{}, errno
	}
	info, err := stat(m.fs, name)
	if err == nil && slash && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return sys.Stat_t{}, m.fail(doing, name, err)
	}
	return m.stat(name, info), 0
}

// stat describes a file. Where its system gives it no number it gets one of
// its path, for guests compare the numbers to find out whether two files are
// the same.
func (m *mount) stat(name string, info fs.FileInfo) sys.Stat_t {
	st := sys.NewStat_t(info)
	if st.Ino == 0 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(m.path + "/" + name))
		st.Ino = max(h.Sum64(), 1)
	}
	return st
}

func (m *mount) Mkdir(name string, perm fs.FileMode) experimentalsys.Errno {
	const doing = "make the folder"
	name, _, errno := m.enter(doing, name)
	if errno != 0 {
		return errno
	}
	return m.failed(doing, name, m.fs.Mkdir(name, perm))
}

func (m *mount) Rename(from, to string) experimentalsys.Errno {
	const doing = "rename"
	from, slash, errno := m.enter(doing, from)
	if errno != 0 {
		return errno
	}
	to, slashTo, errno := m.enter(doing, to)
	if errno != 0 {
		return errno
	}
	if slash || slashTo {
		if info, err := m.fs.Lstat(from); err == nil && !info.IsDir() {
			return m.fail(doing, from, syscall.ENOTDIR)
		}
	}
	return m.failed(doing, from, m.fs.Rename(from, to))
}

func (m *mount) Rmdir(name string) experimentalsys.Errno {
	const doing = "remove the folder"
	name, _, errno := m.enter(doing, name)
	if errno != 0 {
		return errno
	}
	return m.failed(doing, name, m.fs.RemoveDir(name))
}

func (m *mount) Unlink(name string) experimentalsys.Errno {
	const doing = "remove"
	name, slash, errno := m.enter(doing, name)
	if errno != 0 {
		return errno
	}
	if slash {
		if info, err := m.fs.Lstat(name); err == nil && !info.IsDir() {
			return m.fail(doing, name, syscall.ENOTDIR)
		}
	}
	return m.failed(doing, name, m.fs.Remove(name))
}

func (m *mount) Utimens(name string, atim, mtim int64) experimentalsys.Errno {
	const doing = "set the times of"
	name, _, errno := m.enter(doing, name)
	if errno != 0 {
		return errno
	}
	return m.failed(doing, name, m.fs.Chtimes(name, timeOf(atim), timeOf(mtim)))
}

// timeOf turns a time of WASI's into Go's, and one to be left into the zero
// Time.
func timeOf(ns int64) time.Time {
	if ns == experimentalsys.UTIME_OMIT {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// refuse is for what no mount does.
func (m *mount) refuse(doing, name string) experimentalsys.Errno {
	if err := m.shut(); err != nil {
		return m.fail(doing, name, err)
	}
	return m.fail(doing, name[:min(len(name), maxPath)],
		abi.Errorf(abi.CodePermissionDenied, "mounts have neither links nor permissions of files"))
}

func (m *mount) Link(_, name string) experimentalsys.Errno    { return m.refuse("link", name) }
func (m *mount) Symlink(_, name string) experimentalsys.Errno { return m.refuse("link", name) }
func (m *mount) Chmod(name string, _ fs.FileMode) experimentalsys.Errno {
	return m.refuse("change the mode of", name)
}

func (m *mount) Readlink(name string) (string, experimentalsys.Errno) {
	return "", m.refuse("read the link", name)
}
