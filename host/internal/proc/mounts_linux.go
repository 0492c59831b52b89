package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// places are folders that a host can cover for itself; one of them is there.
var places = []string{"/mnt", "/media", "/srv", "/tmp"}

// openSources opens the folders of views. A link in the place of one is
// refused: a child may have put it there.
func openSources(views []View) (fds []int, err error) {
	for _, v := range views {
		fd, err := unix.Open(v.Source, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			closeAll(fds)
			return nil, fmt.Errorf("the folder %s can't be shown: %w", v.Source, err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// give makes the folders that a child may write to its user's. What is in them
// is theirs who made it.
func give(views []View, fds []int, u User) error {
	for i, v := range views {
		if v.ReadOnly {
			continue
		}
		var now unix.Stat_t
		if err := unix.Fstat(fds[i], &now); err != nil {
			return err
		}
		if now.Uid == u.UID && now.Gid == u.GID {
			continue
		}
		if err := unix.Fchownat(fds[i], "", int(u.UID), int(u.GID), unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("give %s to the child: %w", v.Source, err)
		}
	}
	return nil
}

// reopen gives the host's account its rights to folders of its own that an
// earlier child has shut: else nobody could measure them.
func reopen(views []View, fds []int) error {
	for i, v := range views {
		var now unix.Stat_t
		if err := unix.Fstat(fds[i], &now); err != nil {
			return err
		}
		if v.ReadOnly || now.Mode&0o700 == 0o700 || int(now.Uid) != os.Geteuid() {
			continue
		}
		if err := os.Chmod("/proc/self/fd/"+strconv.Itoa(fds[i]), fs.FileMode(now.Mode&0o777|0o700)); err != nil {
			return fmt.Errorf("open %s for its owner: %w", v.Source, err)
		}
	}
	return nil
}

// exhibit makes the views' folders reachable for an account that may not walk
// to where they are, such as below a private data directory. It gives the
// calling thread, which must not go on to other work, a mount namespace of its
// own, and returns where the folders are in it.
func exhibit(views []View, u User) (paths []string, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("keep mounts private: %w", err)
	}
	fds, err := openSources(views) // here: a mount belongs to a namespace
	if err != nil {
		return nil, err
	}
	defer closeAll(fds)
	if err := give(views, fds, u); err != nil {
		return nil, err
	}
	var at string
	for _, at = range places {
		if err = unix.Mount("views", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755,size=64k"); !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make a place for folders: %w", err)
	}
	for i := range views {
		path := filepath.Join(at, strconv.Itoa(i))
		if err := unix.Mkdir(path, 0o755); err != nil {
			return nil, err
		}
		if err := unix.Mount("/proc/thread-self/fd/"+strconv.Itoa(fds[i]), path, "", unix.MS_BIND, ""); err != nil {
			return nil, fmt.Errorf("show %s: %w", views[i].Source, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}
