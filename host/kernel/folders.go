package kernel

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// A folder is one of a kernel's own, inside Config.Dir, which no kernel sees.
type folder struct {
	name   string
	target string // where an isolated kernel sees it
	lasts  bool   // it stays from one process to the next; the others are made anew for each
}

var folders = []folder{
	{"work", "/work", true},
	{"home", "/home/sandbox", true},
	{"tmp", "/tmp", false},
	{"ipython", privateTarget + "/ipython", false},
	{"matplotlib", privateTarget + "/matplotlib", false},
}

// privateTarget is where an isolated kernel sees what has no other place.
const privateTarget = "/run/kernel"

// folderViews returns the views of the kernel's own folders by their names. One
// in whose usual place others are seen has another: their mount points would be
// made in it, and code could move those away for the next process.
func (c *Config) folderViews(others []proc.View) map[string]proc.View {
	views := map[string]proc.View{}
	for _, f := range folders {
		v := proc.View{Source: filepath.Join(c.Dir, f.name), Target: f.target}
		if slices.ContainsFunc(others, func(o proc.View) bool { return within(c.Starter.Seen(o), f.target) }) {
			v.Target = filepath.Join(privateTarget, f.name)
		}
		views[f.name] = v
	}
	return views
}

// makeFolders makes the folders of a kernel. Code that ran there before may
// have left anything in their place, links to elsewhere included: none is
// followed.
func (c *Config) makeFolders() (*os.Root, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		info, err := root.Lstat(f.name)
		if err == nil && (!info.IsDir() || !f.lasts) {
			err = proc.RemoveTree(filepath.Join(c.Dir, f.name))
			info = nil
		}
		switch {
		case info == nil && (err == nil || errors.Is(err, fs.ErrNotExist)):
			if err = root.Mkdir(f.name, 0o700); err == nil {
				err = c.own(root, f.name)
			}
		case err == nil:
			err = c.claim(root, f.name, info)
		}
		if err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	return root, nil
}

// own makes what the host has made for the kernel the kernel's.
func (c *Config) own(root *os.Root, name string) error {
	if c.User == (proc.User{}) {
		return nil // who makes a file owns it
	}
	return root.Lchown(name, int(c.User.UID), int(c.User.GID))
}

// writeFile writes a file for the kernel, which nobody else can read.
func (c *Config) writeFile(root *os.Root, name string, data []byte) error {
	if err := root.WriteFile(name, data, 0o600); err != nil {
		return err
	}
	return c.own(root, name)
}

// uid is the account that the kernel runs under.
func (c *Config) uid() int {
	if c.User == (proc.User{}) {
		return os.Getuid()
	}
	return int(c.User.UID)
}

// Bounds of a claim. Beyond them things stay whose they are.
const (
	claimDepth   = 128
	claimEntries = 1 << 20
)

// claim makes a folder and what is in it the kernel's, when it was last used
// under another account. The folder comes last, so that a claim that was broken
// off is made again.
func (c *Config) claim(root *os.Root, name string, info os.FileInfo) error {
	if os.Getuid() != 0 || ownerOf(info) == c.uid() {
		return nil // an ordinary user can't give anything away
	}
	gid := os.Getgid()
	if c.User != (proc.User{}) {
		gid = int(c.User.GID)
	}
	sub, err := root.OpenRoot(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	left := claimEntries
	if err := claimTree(sub, c.uid(), gid, claimDepth, &left); err != nil {
		c.Logger.Warn("a part of a kernel's folder couldn't be given to it", "dir", filepath.Join(c.Dir, name), "error", err)
	}
	return sub.Lchown(".", c.uid(), gid)
}

var errTooMuch = errors.New("too deep, or too many files")

// claimTree follows no link. A file with several names stays whose it is, since
// one of them may be elsewhere, and so does what is neither a file, a folder
// nor a link. It returns the last thing that went wrong.
func claimTree(root *os.Root, uid, gid, depth int, left *int) (failure error) {
	list, err := root.OpenFile(".", os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer list.Close()
	for {
		entries, err := list.ReadDir(512)
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				continue // gone meanwhile
			}
			if *left--; *left < 0 || depth == 0 {
				return errTooMuch
			}
			if mode := info.Mode(); mode.IsDir() || mode&fs.ModeSymlink != 0 || mode.IsRegular() && linksOf(info) == 1 {
				err = root.Lchown(e.Name(), uid, gid)
			}
			if err == nil && info.IsDir() {
				err = claimFolder(root, e.Name(), uid, gid, depth-1, left)
			}
			if err != nil {
				failure = err
			}
		}
		if err == io.EOF {
			return failure
		}
		if err != nil {
			return err
		}
	}
}

func claimFolder(root *os.Root, name string, uid, gid, depth int, left *int) error {
	// The dot makes the name be opened as a folder, or fail.
	sub, err := root.OpenRoot(name + "/.")
	if err != nil {
		return err
	}
	defer sub.Close()
	return claimTree(sub, uid, gid, depth, left)
}

// ownerOf returns the account that a file belongs to, -1 if that isn't known.
func ownerOf(info os.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// linksOf counts the names of a file.
func linksOf(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink)
	}
	return 0
}

// quota bounds the kernel's own folders, that of its sockets among them.
func (c *Config) quota(sockets string) proc.Quota {
	dirs := []string{sockets}
	for _, f := range folders {
		dirs = append(dirs, filepath.Join(c.Dir, f.name))
	}
	return proc.Quota{
		Name: "the kernel's own folders", Bytes: c.MaxBytes, Files: c.MaxFiles,
		Used: func() (int64, int, error) { return proc.Measure(dirs...) },
	}
}
