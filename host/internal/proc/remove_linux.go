package proc

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// unlock gives the host's account all rights to a folder of its own.
func unlock(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), 0o700) // a descriptor of this kind can't be used itself
}
