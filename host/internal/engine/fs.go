package engine

import (
	"io"
	"io/fs"
	"time"
)

// An FS is what stands behind a mount. Names are relative and separated by
// slashes, "." is the root, and none holds "..". An error that is an
// *abi.Error is the reason the guest can ask for; in any other, the errors of
// io/fs and of package syscall are told apart. One FS may serve several calls
// at once; each of them uses it from one goroutine.
type FS interface {
	// OpenFile opens a file or a folder. flag is of the os.O_ flags
	// O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREATE, O_EXCL, O_TRUNC.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Stat follows symbolic links, where there can be some.
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	Mkdir(name string, perm fs.FileMode) error
	// Remove removes a file, and fails on a folder with EISDIR.
	Remove(name string) error
	// RemoveDir removes an empty folder, and fails on a file with ENOTDIR.
	RemoveDir(name string) error
	// Rename replaces a file that is at to.
	Rename(from, to string) error
	// Chtimes leaves a time as it is where it is given the zero Time.
	Chtimes(name string, atime, mtime time.Time) error
}

// A File is one open file or folder of an FS; one goroutine uses it at a time.
// The slices handed to it are the guest's memory and mustn't be kept.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	io.Closer
	Stat() (fs.FileInfo, error)
	ReadDir(n int) ([]fs.DirEntry, error)
	Truncate(size int64) error
	Sync() error
}

// A Mount is what a call finds at one of abi.Mounts.
type Mount struct {
	// Path is the mount point, such as /output.
	Path string
	// FS is what is there. With nil the mount is there all the same, and every
	// file call answers EACCES.
	FS FS
	// Denied is why FS is nil, for the guest to ask. Nil says that there is no
	// access.
	Denied error
}
