package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Bounds of one measurement.
const (
	measureEntries = 1_000_000
	measureDepth   = 128 // each level takes a descriptor
)

// ErrUnmeasurable says that a folder holds what can't be measured: too much,
// too deep, or shut to the host's account. A child that made it so may be
// hiding something, so its watcher ends it.
var ErrUnmeasurable = errors.New("can't be measured")

// Measure returns what is in some folders, none inside another, that a child
// may change meanwhile: the bytes that they take from the disk, which for a
// sparse file is less than its size and for a small one more, and the number of
// entries. A file with several names in them is counted once, no link is
// followed, and what vanishes under way doesn't count. It stops at a million
// entries. An ErrUnmeasurable is about what a folder holds, any other error
// about measuring.
func Measure(dirs ...string) (bytes int64, files int, err error) {
	m := measurement{seen: map[inode]bool{}}
	for _, dir := range dirs {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = m.folder(fd, dir, 1)
		} else if errors.Is(err, fs.ErrPermission) { // the child can have shut it
			err = fmt.Errorf("it %w: %w", ErrUnmeasurable, err)
		}
		if err != nil {
			return m.bytes, m.files, fmt.Errorf("measure %s: %w", dir, err)
		}
	}
	return m.bytes, m.files, nil
}

// An inode is a file, whatever its names.
type inode struct{ device, number uint64 }

type measurement struct {
	bytes int64
	files int
	seen  map[inode]bool // those that have several names
}

// folder adds what is in a folder, and closes its descriptor.
func (m *measurement) folder(fd int, name string, depth int) error {
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	if depth > measureDepth {
		return fmt.Errorf("%s is too deep and %w", name, ErrUnmeasurable)
	}
	for {
		names, err := dir.Readdirnames(512)
		for _, entry := range names {
			if err := m.entry(fd, name, entry, depth); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, unix.ENOENT): // at the end, or deleted
			return nil
		case err != nil:
			return err
		}
	}
}

func (m *measurement) entry(fd int, dir, name string, depth int) error {
	var st unix.Stat_t
	err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s %w: %w", filepath.Join(dir, name), ErrUnmeasurable, err)
	}
	if m.files++; m.files > measureEntries {
		return fmt.Errorf("there are over %d entries, which %w", measureEntries, ErrUnmeasurable)
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if !isDir && st.Nlink > 1 {
		id := inode{uint64(st.Dev), st.Ino}
		if m.seen[id] {
			m.files--
			return nil
		}
		m.seen[id] = true
	}
	m.bytes += int64(st.Blocks) * 512
	if !isDir {
		return nil
	}
	sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP): // no folder any more
		return nil
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%s %w: %w", filepath.Join(dir, name), ErrUnmeasurable, err)
	case err != nil:
		return err
	}
	return m.folder(sub, filepath.Join(dir, name), depth+1)
}
