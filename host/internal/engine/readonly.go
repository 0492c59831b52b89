package engine

import (
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// ReadOnly makes an FS of fsys that can be read and nothing else. Files of
// fsys that can seek and be read at a place are used as they are; one that
// cannot is read from its beginning again for every step back, so give files
// that can where that matters.
func ReadOnly(fsys fs.FS) FS { return readOnly{fsys} }

type readOnly struct{ fsys fs.FS }

func refuseWrite(name string) error {
	return abi.Errorf(abi.CodePermissionDenied, "%s is read-only", name)
}

func (r readOnly) OpenFile(name string, flag int, _ fs.FileMode) (File, error) {
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_APPEND|os.O_TRUNC) != 0 {
		return nil, refuseWrite(name)
	}
	f, err := r.fsys.Open(name)
	switch {
	case err != nil && flag&os.O_CREATE != 0:
		return nil, refuseWrite(name)
	case err != nil:
		return nil, err
	case flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		_ = f.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	}
	return &readOnlyFile{fsys: r.fsys, name: name, f: f}, nil
}

func (r readOnly) Stat(name string) (fs.FileInfo, error)     { return fs.Stat(r.fsys, name) }
func (r readOnly) Lstat(name string) (fs.FileInfo, error)    { return fs.Lstat(r.fsys, name) }
func (r readOnly) Mkdir(name string, _ fs.FileMode) error    { return refuseWrite(name) }
func (r readOnly) Remove(name string) error                  { return refuseWrite(name) }
func (r readOnly) RemoveDir(name string) error               { return refuseWrite(name) }
func (r readOnly) Rename(from, _ string) error               { return refuseWrite(from) }
func (r readOnly) Chtimes(name string, _, _ time.Time) error { return refuseWrite(name) }

// readOnlyFile is a file of an fs.FS that can be read at any place, if need be
// by beginning again.
type readOnlyFile struct {
	fsys fs.FS
	name string
	f    fs.File
	at   int64 // where f is, if it can neither seek nor be read at a place
	next int64 // where the next Read begins
	list []fs.DirEntry
	read bool // list holds the folder's entries
}

func (f *readOnlyFile) Stat() (fs.FileInfo, error) { return f.f.Stat() }
func (f *readOnlyFile) Close() error               { return f.f.Close() }

func (f *readOnlyFile) Read(p []byte) (int, error) {
	n, err := f.readFrom(p, f.next)
	f.next += int64(n)
	return n, err
}

func (f *readOnlyFile) ReadAt(p []byte, off int64) (int, error) {
	var n int
	for n < len(p) {
		k, err := f.readFrom(p[n:], off+int64(n))
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// readFrom reads once from off.
func (f *readOnlyFile) readFrom(p []byte, off int64) (int, error) {
	info, err := f.f.Stat()
	switch {
	case err != nil:
		return 0, err
	case info.IsDir():
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: syscall.EISDIR}
	case off >= info.Size(): // some say invalid here
		return 0, io.EOF
	}
	switch r := f.f.(type) {
	case io.ReaderAt:
		return r.ReadAt(p, off)
	case io.Seeker:
		if _, err := r.Seek(off, io.SeekStart); err != nil {
			return 0, err
		}
		return f.f.Read(p)
	}
	if off < f.at {
		fresh, err := f.fsys.Open(f.name)
		if err != nil {
			return 0, err
		}
		_ = f.f.Close()
		f.f, f.at = fresh, 0
	}
	skipped, err := io.CopyN(io.Discard, f.f, off-f.at)
	f.at += skipped
	if err != nil {
		return 0, err
	}
	n, err := f.f.Read(p)
	f.at += int64(n)
	return n, err
}

func (f *readOnlyFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.next
	case io.SeekEnd:
		info, err := f.f.Stat()
		if err != nil {
			return 0, err
		}
		offset += info.Size()
	}
	if offset < 0 {
		return 0, &fs.PathError{Op: "seek", Path: f.name, Err: syscall.EINVAL}
	}
	f.next = offset
	return offset, nil
}

func (f *readOnlyFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.read {
		list, err := fs.ReadDir(f.fsys, f.name)
		if err != nil {
			return nil, err
		}
		f.list, f.read = list, true
	}
	if n <= 0 {
		n = len(f.list)
	} else if len(f.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.list))
	next := f.list[:n]
	f.list = f.list[n:]
	return next, nil
}

func (f *readOnlyFile) Write([]byte) (int, error)          { return 0, refuseWrite(f.name) }
func (f *readOnlyFile) WriteAt([]byte, int64) (int, error) { return 0, refuseWrite(f.name) }
func (f *readOnlyFile) Truncate(int64) error               { return refuseWrite(f.name) }
func (f *readOnlyFile) Sync() error                        { return nil }
