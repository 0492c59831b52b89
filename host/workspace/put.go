package workspace

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/sallyport-dev/sallyport/abi"
)

// PutOptions say how Put treats what is there.
type PutOptions struct {
	// CreateOnly makes a file that is there already_exists.
	CreateOnly bool
	// Size is the length that was announced, so that what can't fit is refused
	// before it is read, and what is shorter or longer isn't kept; zero is
	// unknown.
	Size int64
}

// Put writes a whole file from r, making its folders, and says whether it is
// new. Nobody sees a part of it: it is collected under a hidden name in its
// zone, and takes its place in one step when r has ended; when r fails, nothing
// is left. It needs append access; to replace a file it needs write access.
// The file is safe from the host being killed, not from a loss of power.
func (f *FS) Put(name string, r io.Reader, o PutOptions) (Entry, bool, error) {
	clean, err := f.clean(name, abi.AccessAppend, "written")
	if err != nil {
		return Entry{}, false, err
	}
	if clean[len(clean)-1] == '/' || clean == "." {
		return Entry{}, false, abi.Errorf(abi.CodeInvalidArgument, "%s is a folder's name: a file's has no slash at the end", f.at(clean))
	}
	// What is sure to fail fails before r is read. It is checked again when
	// the file takes its place.
	if err := f.putable(clean, o); err != nil {
		return Entry{}, false, f.fail(clean, err)
	}
	temp, err := f.collect(clean, r, o.Size)
	if err != nil {
		return Entry{}, false, f.fail(clean, err)
	}
	entry, created, err := f.publish(temp, clean, o)
	return entry, created, f.fail(clean, err)
}

// putable says why Put can't be carried out, as far as it can be told now.
func (f *FS) putable(clean string, o PutOptions) error {
	info, err := f.root.Lstat(clean)
	switch {
	case err == nil && info.IsDir():
		return syscall.EISDIR
	case err == nil:
		if err := f.replaceable(clean, o); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if o.Size <= 0 {
		return nil
	}
	if err := f.ledger.tooLarge(f.at(clean), o.Size); err != nil {
		return err
	}
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	if err := f.ledger.reserve(f.at(clean), o.Size, 1); err != nil {
		return err
	}
	f.ledger.settle(-o.Size, -1)
	return nil
}

// replaceable says why a file that is there can't be replaced.
func (f *FS) replaceable(clean string, o PutOptions) error {
	if !f.access.Includes(abi.AccessWrite) {
		return f.denied(clean, abi.AccessWrite, "replaced", fs.ErrExist)
	}
	if o.CreateOnly {
		return syscall.EEXIST
	}
	return nil
}

// collect writes r to a hidden file and returns its name.
func (f *FS) collect(clean string, r io.Reader, size int64) (temp string, err error) {
	file := &File{fs: f, name: clean, writes: true}
	temp = tempPrefix + strings.ToLower(rand.Text())
	if err := f.openNew(file, temp, os.O_WRONLY); err != nil {
		return "", err
	}
	defer func() {
		if err = also(err, file.Close()); err != nil {
			err = also(err, f.discard(temp))
		}
	}()
	source := &reader{from: r}
	n, err := io.Copy(file, source)
	switch {
	case source.err != nil:
		var known *abi.Error
		if errors.As(source.err, &known) {
			return temp, source.err
		}
		return temp, abi.Errorf(abi.CodeCanceled, "%s was not written: its content broke off after %d bytes", f.at(clean), n).WithCause(source.err)
	case err != nil:
		return temp, err
	case size > 0 && n != size:
		return temp, abi.Errorf(abi.CodeInvalidArgument, "%s was not written: %d bytes were announced and %d came", f.at(clean), size, n)
	}
	return temp, nil
}

// reader keeps the error of what is read apart from those of writing.
type reader struct {
	from io.Reader
	err  error
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// discard removes a hidden file.
func (f *FS) discard(temp string) error {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	info, err := f.root.Lstat(temp)
	if err != nil {
		return err
	}
	return f.unlink(temp, info)
}

// publish moves a hidden file to its place, or discards it.
func (f *FS) publish(temp, clean string, o PutOptions) (entry Entry, created bool, err error) {
	defer func() {
		if err != nil {
			err = also(err, f.discard(temp))
		}
	}()
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	made, err := f.parents(clean)
	defer func() {
		for _, folder := range made {
			if err == nil {
				return
			}
			if info, statErr := f.root.Lstat(folder); statErr == nil {
				_ = f.unlink(folder, info) // somebody else may use it by now
			}
		}
	}()
	if err != nil {
		return Entry{}, false, err
	}
	info, err := f.root.Lstat(temp)
	if err != nil {
		return Entry{}, false, err
	}
	replaced, err := f.root.Lstat(clean)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = f.place(temp, clean)
	case err == nil && replaced.IsDir():
		err = syscall.EISDIR
	case err == nil:
		if err = f.replaceable(clean, o); err != nil {
			break
		}
		if err = f.root.Rename(temp, clean); err == nil {
			f.ledger.gone(replaced)
		}
	}
	if err != nil {
		return Entry{}, false, err
	}
	return entryOf(path.Base(clean), info), replaced == nil, nil
}

// place gives a hidden file a name that nobody has. Linking, unlike renaming,
// fails when a process was quicker; where the file system has no hard links,
// the lock that keeps everybody else out has to do.
func (f *FS) place(temp, clean string) error {
	err := f.root.Link(temp, clean)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS) {
		return f.root.Rename(temp, clean)
	}
	if err == nil {
		_ = f.root.Remove(temp) // what stays of it is removed by the next Open
	}
	return err
}

// parents makes the folders above a name that aren't there, and returns those
// it made, the deepest first. It needs the ledger's lock.
func (f *FS) parents(clean string) (made []string, err error) {
	for i := range clean {
		if clean[i] != '/' {
			continue
		}
		folder := clean[:i]
		info, err := f.root.Stat(folder)
		if errors.Is(err, fs.ErrNotExist) {
			if err = f.mkdir(folder); err == nil {
				made = append([]string{folder}, made...)
				continue
			}
		}
		if err != nil {
			return made, err
		}
		if !info.IsDir() {
			return made, syscall.ENOTDIR
		}
	}
	return made, nil
}
