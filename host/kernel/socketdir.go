package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

const (
	maxSocketPath = 107    // of a Unix socket, in bytes
	maxListed     = 10_000 // names that a sweep looks at, in each place
	maxSwept      = 256    // folders that a sweep removes, in each place
)

// socketDirForm is the form of a socketDir's name. MkdirTemp adds the digits.
var socketDirForm = regexp.MustCompile(`^sallyport-k[0-9]+$`)

// Names in a socketDir. The sockets' own are k-1 and so on.
const (
	innerName      = "s"
	connectionName = "connection.json"
)

// A socketDir is a private folder of the host's. Inside it is the folder for
// the sockets of one process, which is that process's to write, with a path
// that is short enough for them. The host holds a lock on its own as long as it
// uses it, and the system lets go of it when the host dies: so the next one can
// tell what nobody needs, and remove it with the key that is in it.
type socketDir struct {
	path  string
	lock  *os.File
	inner *os.Root // what the process can write; nil in a sweep
}

// view is what the process sees of it.
func (d *socketDir) view() proc.View {
	return proc.View{Source: filepath.Join(d.path, innerName), Target: privateTarget + "/sockets"}
}

// writeConnection writes the connection file.
func (d *socketDir) writeConnection(c *Config, connection []byte) error {
	return c.writeFile(d.inner, connectionName, connection)
}

// socketPlaces are where a socketDir can be, the best first.
func socketPlaces() []string {
	var places []string
	for _, place := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if filepath.IsAbs(place) && !strings.Contains(place, "://") && !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	return places
}

func newSocketDir() (*socketDir, error) {
	var failures error
	for _, place := range socketPlaces() {
		d, err := newSocketDirIn(place)
		if err == nil {
			return d, nil
		}
		failures = errors.Join(failures, err)
	}
	return nil, failures
}

func newSocketDirIn(place string) (*socketDir, error) {
	for range 10 {
		path, err := os.MkdirTemp(place, "sallyport-k")
		if err != nil {
			return nil, err
		}
		if len(path)+len("/"+innerName+"/k-9") > maxSocketPath {
			return nil, errors.Join(fmt.Errorf("%s is too long for a socket's path", path), os.Remove(path))
		}
		lock, err := lockOwn(path)
		if err == nil && lock != nil {
			d := &socketDir{path: path, lock: lock}
			inner := filepath.Join(path, innerName)
			if err := os.Mkdir(inner, 0o700); err != nil {
				return nil, errors.Join(err, d.remove())
			}
			if d.inner, err = os.OpenRoot(inner); err != nil {
				return nil, errors.Join(err, d.remove())
			}
			return d, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, os.Remove(path))
		}
		// Another host swept it up before it was locked.
	}
	return nil, fmt.Errorf("no folder in %s lasts long enough to be locked", place)
}

// remove removes the folder. Of a nil socketDir nothing is there.
func (d *socketDir) remove() error {
	if d == nil {
		return nil
	}
	err := errors.Join(proc.RemoveTree(d.path), d.lock.Close())
	if d.inner != nil {
		err = errors.Join(err, d.inner.Close())
	}
	return err
}

// lockOwn locks a folder that belongs to this account alone, until the file is
// closed. It returns nil where somebody else holds the lock or the folder isn't
// such a one, and an error when it isn't there any more.
func lockOwn(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	stat, ok := opened.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Getuid() || opened.Mode().Perm() != 0o700 {
		return nil, f.Close()
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return nil, errors.Join(err, f.Close())
	}
	// Whoever held the lock before may have removed the folder.
	now, err := os.Lstat(path)
	if err == nil && !os.SameFile(opened, now) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweepSocketDirs removes what hosts left behind that were killed. A failure is
// logged: no start depends on it.
func sweepSocketDirs(log hclog.Logger) {
	for _, place := range socketPlaces() {
		dir, err := os.Open(place)
		if err != nil {
			continue // and so there is nothing of ours
		}
		names, _ := dir.Readdirnames(maxListed)
		dir.Close()
		swept := 0
		for _, name := range names {
			if swept == maxSwept || !socketDirForm.MatchString(name) {
				continue
			}
			path := filepath.Join(place, name)
			lock, err := lockOwn(path)
			if err != nil || lock == nil {
				continue // not a folder, in use, or gone
			}
			swept++
			if err := (&socketDir{path: path, lock: lock}).remove(); err != nil {
				log.Warn("the sockets of a host that was killed could not be removed", "dir", path, "error", err)
				continue
			}
			log.Info("removed the sockets of a host that was killed", "dir", path)
		}
	}
}
