package workspace

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// An FS is a view of one zone under one access. Names go through [Clean].
// Errors are *abi.Error, and what the operating system said is their cause, so
// errors.Is(err, fs.ErrNotExist) holds where it should:
//
//	invalid_argument     the name, the flags or an offset
//	permission_denied    the zone's rule, the grant, a link out of the zone, a pipe or device
//	not_found            there is no such file
//	already_exists       there is one, and it was to be made
//	failed_precondition  a folder where a file was meant or the other way round; not empty; closed
//	resource_exhausted   a quota, or the disk, or too many open files
type FS struct {
	root   *os.Root
	ledger *ledger
	zone   string // the name in messages
	access abi.Access
}

const (
	fileMode = 0o644
	dirMode  = 0o755
)

// Flags that OpenFile knows. O_NONBLOCK is accepted and always on.
const (
	flagAccess = os.O_RDONLY | os.O_WRONLY | os.O_RDWR
	flagKnown  = flagAccess | os.O_APPEND | os.O_CREATE | os.O_EXCL | os.O_TRUNC | os.O_SYNC |
		syscall.O_DSYNC | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_CLOEXEC
)

// at is where a name is, for messages.
func (f *FS) at(name string) string { return path.Join(f.zone, brief(name)) }

// clean checks a name and what the view allows with it.
func (f *FS) clean(name string, need abi.Access, what string) (string, error) {
	clean, err := Clean(name)
	if err != nil {
		return "", err
	}
	return clean, f.allow(clean, need, what)
}

// Open opens a file or folder for reading.
func (f *FS) Open(name string) (*File, error) { return f.OpenFile(name, os.O_RDONLY, 0) }

// OpenFile opens a file, or a folder for reading, with os.O_* flags. The modes
// of what it makes are the zone's, whatever perm says. Flags that it doesn't
// know are refused. Under append access O_TRUNC goes with making a new file
// only, and whatever is written goes to the end.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	access := flag & flagAccess
	need, what := abi.AccessRead, "opened"
	if access != os.O_RDONLY || flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		need, what = abi.AccessAppend, "written"
	}
	clean, err := f.clean(name, need, what)
	if err != nil {
		return nil, err
	}
	switch {
	case flag&^flagKnown != 0 || access == os.O_WRONLY|os.O_RDWR:
		return nil, abi.Errorf(abi.CodeInvalidArgument, "%s: the flags %#x aren't offered", f.at(clean), flag)
	case flag&os.O_TRUNC != 0 && access == os.O_RDONLY:
		return nil, abi.Errorf(abi.CodeInvalidArgument, "%s: truncating needs the file to be opened for writing", f.at(clean))
	case flag&os.O_CREATE != 0 && (flag&syscall.O_DIRECTORY != 0 || clean[len(clean)-1] == '/'):
		return nil, abi.Errorf(abi.CodeInvalidArgument, "%s: a folder isn't made by opening it", f.at(clean))
	}
	file := &File{fs: f, name: clean, writes: access != os.O_RDONLY}
	if file.writes {
		file.asked = flag&os.O_APPEND != 0
		file.appends = file.asked || f.access == abi.AccessAppend
	}
	if err := f.open(file, flag); err != nil {
		return nil, f.fail(clean, err)
	}
	return file, nil
}

// open opens what is there, or makes it. It never makes a file through a link
// that leads nowhere.
func (f *FS) open(file *File, flag int) error {
	create, exclusive := flag&os.O_CREATE != 0, flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL
	for range 3 {
		if !exclusive {
			err := f.openOld(file, flag)
			if err == nil || !create || !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		err := f.openNew(file, file.name, flag)
		if err == nil || exclusive || !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return abi.Errorf(abi.CodeNotFound, "%s is a link that leads nowhere", f.at(file.name)).WithCause(fs.ErrNotExist)
}

func (f *FS) openOld(file *File, flag int) error {
	stat := f.root.Stat
	if flag&syscall.O_NOFOLLOW != 0 {
		stat = f.root.Lstat
	}
	info, err := stat(file.name)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return syscall.ELOOP
	}
	// Looking before opening spares a device the opening; looking again after
	// it is what counts.
	if !openable(info) {
		return errSpecial
	}
	if info.IsDir() && file.writes {
		return syscall.EISDIR
	}
	if flag&os.O_TRUNC != 0 {
		if err := f.allow(file.name, abi.AccessWrite, "truncated"); err != nil {
			return err
		}
	}
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	if err := f.ledger.room(f.at(file.name)); err != nil {
		return err
	}
	if err := file.attach(f.root.OpenFile(file.name, file.systemFlag(flag), 0)); err != nil {
		return err
	}
	if flag&os.O_TRUNC != 0 {
		if err := file.truncate(0); err != nil {
			f.ledger.detach(file)
			return also(err, file.file.Close())
		}
	}
	return nil
}

// openNew makes a file under a name, which is the file's own but for Put.
func (f *FS) openNew(file *File, name string, flag int) error {
	at := f.at(file.name)
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	if err := f.ledger.room(at); err != nil {
		return err
	}
	if err := f.ledger.reserve(at, 0, 1); err != nil {
		return err
	}
	made, err := f.root.OpenFile(name, file.systemFlag(flag)|os.O_CREATE|os.O_EXCL, fileMode)
	if err == nil {
		if err = f.ledger.cfg.Owner.own(made); err != nil {
			err = also(also(err, made.Close()), f.root.Remove(name))
		}
	}
	if err := file.attach(made, err); err != nil {
		f.ledger.settle(0, -1)
		return err
	}
	return nil
}

// openable says whether something is a file or a folder.
func openable(info fs.FileInfo) bool { return info.Mode().IsRegular() || info.IsDir() }

// Stat describes a file, following links inside the zone.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.stat(name, f.root.Stat) }

// Lstat describes a file, and a link as the link it is.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.stat(name, f.root.Lstat) }

func (f *FS) stat(name string, stat func(string) (fs.FileInfo, error)) (fs.FileInfo, error) {
	clean, err := f.clean(name, abi.AccessRead, "looked at")
	if err != nil {
		return nil, err
	}
	info, err := stat(clean)
	return info, f.fail(clean, err)
}

// Mkdir makes a folder. Its mode is the zone's, whatever perm says.
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	clean, err := f.clean(name, abi.AccessAppend, "made")
	if err != nil {
		return err
	}
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	return f.fail(clean, f.mkdir(clean))
}

// mkdir needs the ledger's lock.
func (f *FS) mkdir(clean string) error {
	if err := f.ledger.reserve(f.at(clean), 0, 1); err != nil {
		return err
	}
	err := f.root.Mkdir(clean, dirMode)
	if err == nil {
		folder := strings.TrimSuffix(clean, "/")
		if err = f.ledger.cfg.Owner.ownName(f.root, folder); err != nil {
			err = also(err, f.root.Remove(folder))
		}
	}
	if err != nil {
		f.ledger.settle(0, -1)
	}
	return err
}

// Remove removes a file, or a link, or another thing that isn't a folder.
func (f *FS) Remove(name string) error { return f.remove(name, false) }

// RemoveDir removes an empty folder.
func (f *FS) RemoveDir(name string) error { return f.remove(name, true) }

func (f *FS) remove(name string, folder bool) error {
	clean, err := f.clean(name, abi.AccessWrite, "deleted")
	if err != nil {
		return err
	}
	if clean == "." {
		return abi.Errorf(abi.CodeInvalidArgument, "%s is a zone, and can't be deleted", f.zone)
	}
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	info, err := f.root.Lstat(clean)
	if err != nil {
		return f.fail(clean, err)
	}
	switch {
	case folder && !info.IsDir():
		return f.fail(clean, syscall.ENOTDIR)
	case !folder && info.IsDir():
		return f.fail(clean, syscall.EISDIR)
	}
	return f.fail(clean, f.unlink(clean, info))
}

// unlink removes a name and gives back what it took. It needs the ledger's
// lock.
func (f *FS) unlink(clean string, info fs.FileInfo) error {
	if err := f.root.Remove(clean); err != nil {
		return err
	}
	f.ledger.gone(info)
	return nil
}

// Rename moves a file or folder inside the zone, replacing a file that is
// there. A folder isn't moved to where its files would be too deep for a name.
func (f *FS) Rename(from, to string) error {
	from, err := f.clean(from, abi.AccessWrite, "renamed")
	if err != nil {
		return err
	}
	if to, err = f.clean(to, abi.AccessWrite, "written"); err != nil {
		return err
	}
	if from == "." || to == "." {
		return abi.Errorf(abi.CodeInvalidArgument, "%s is a zone, and can't be renamed or replaced", f.zone)
	}
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	info, err := f.root.Lstat(from)
	if err != nil {
		return f.fail(from, err)
	}
	if info.IsDir() {
		if err := f.shallow(from, to); err != nil {
			return f.fail(from, err)
		}
	}
	replaced, err := f.root.Lstat(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f.fail(to, err)
	}
	if err := f.root.Rename(from, to); err != nil {
		return f.fail(to, err)
	}
	if replaced != nil && !os.SameFile(info, replaced) {
		f.ledger.gone(replaced)
	}
	return nil
}

// shallow refuses to move a folder to where a name couldn't reach all of it.
func (f *FS) shallow(from, to string) error {
	root, err := f.root.OpenRoot(path.Join(from, ".") + "/.")
	if err != nil {
		return err
	}
	defer root.Close()
	w := f.ledger.newWalk()
	w.tree(root, 0)
	if w.partial || depth(to)+w.height > MaxDepth {
		return abi.Errorf(abi.CodeInvalidArgument, "%s can't be moved to %s: its files would be more than %d folders deep", f.at(from), f.at(to), MaxDepth).
			WithCause(syscall.ENAMETOOLONG)
	}
	return nil
}

// Chtimes sets a file's times; the zero time leaves one as it is.
func (f *FS) Chtimes(name string, atime, mtime time.Time) error {
	clean, err := f.clean(name, abi.AccessWrite, "changed")
	if err != nil {
		return err
	}
	return f.fail(clean, f.root.Chtimes(clean, atime, mtime))
}
