package proc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// RemoveTree removes a folder and what children left in it, however deep it is
// and whatever they shut: it follows no link, opens what belongs to the host's
// account, and needs no more than a few descriptors. What isn't there is
// removed. Nothing may write there meanwhile.
func RemoveTree(path string) error {
	r := removal{prefix: ".removed-" + rand.Text() + "-"}
	if err := r.tree(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// A removal moves folders that aren't empty up to the top, each once, so that
// none is deep any more.
type removal struct {
	prefix string
	moved  int
}

func (r *removal) tree(path string) error {
	parent, err := unix.Open(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	name := filepath.Base(path)
	if gone, err := remove(parent, name); gone || err != nil {
		return err
	}
	top, err := openFolder(parent, name)
	if err != nil {
		return err
	}
	defer top.Close()
	err = r.empty(top, func(name string) error {
		folder, err := openFolder(int(top.Fd()), name)
		if err != nil {
			return err
		}
		defer folder.Close()
		err = r.empty(folder, func(inner string) error { return r.lift(folder, inner, top) })
		if err != nil {
			return err
		}
		_, err = remove(int(top.Fd()), name)
		return err
	})
	if err != nil {
		return err
	}
	return unix.Unlinkat(parent, name, unix.AT_REMOVEDIR)
}

// empty removes what is in a folder; full handles its folders that aren't empty.
func (r *removal) empty(folder *os.File, full func(name string) error) error {
	for {
		if _, err := folder.Seek(0, io.SeekStart); err != nil {
			return err
		}
		names, err := folder.Readdirnames(512)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			gone, err := remove(int(folder.Fd()), name)
			if err == nil && !gone {
				err = full(name)
			}
			if err != nil {
				return fmt.Errorf("%.100q: %w", name, err)
			}
		}
	}
}

// lift moves a folder to the top.
func (r *removal) lift(from *os.File, name string, top *os.File) error {
	r.moved++
	to := r.prefix + strconv.Itoa(r.moved)
	err := unix.Renameat(int(from.Fd()), name, int(top.Fd()), to)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) { // it has to be written to, for its parent is in it
		if err = unlock(int(from.Fd()), name); err == nil {
			err = unix.Renameat(int(from.Fd()), name, int(top.Fd()), to)
		}
	}
	return err
}

// remove removes a file or an empty folder, and says whether it is gone: a
// folder that isn't empty, or can't be looked into, is not.
func remove(dir int, name string) (gone bool, err error) {
	err = unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	}
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return true, nil
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return false, nil
	}
	return false, err
}

// openFolder opens a folder to be emptied, and follows no link.
func openFolder(dir int, name string) (*os.File, error) {
	open := func() (int, error) {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			if err = unix.Faccessat(fd, ".", unix.W_OK|unix.X_OK, 0); err != nil {
				unix.Close(fd)
			}
		}
		return fd, err
	}
	fd, err := open()
	if errors.Is(err, fs.ErrPermission) {
		if err = unlock(dir, name); err == nil {
			fd, err = open()
		}
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
