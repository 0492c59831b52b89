package engine

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/sallyport-dev/sallyport/abi"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
)

// file is an open file as wazero wants it. How it was opened is held here too,
// whatever the FS holds.
type file struct {
	mount *mount
	name  string
	file  File // nil once closed
	flags int
	inode sys.Inode
	atEnd bool // appending was switched on after it was opened
}

// A folder is an open folder, or a mount's own handle. It opens what is behind
// it when the first entry is asked for, for wazero opens every mount of every
// instance.
type folder struct {
	experimentalsys.DirFile
	mount *mount
	name  string
	file  File // nil when not open at present
}

var (
	_ experimentalsys.File = (*file)(nil)
	_ experimentalsys.File = (*folder)(nil)
)

// fileOffset is int64 by another name: vet holds every Seek of an int64 to
// io.Seeker's signature, and wazero's has another.
type fileOffset = int64

// may checks that an operation is open to the guest: that the call goes on,
// that the file is open, and that it was opened for this.
func (f *file) may(doing string, write bool) experimentalsys.Errno {
	access := f.flags & (os.O_WRONLY | os.O_RDWR)
	switch {
	case f.file == nil, write && access == os.O_RDONLY, !write && access == os.O_WRONLY:
		return f.mount.fail(doing, f.name, syscall.EBADF)
	}
	if err := f.mount.shut(); err != nil {
		return f.mount.fail(doing, f.name, err)
	}
	return 0
}

func (f *file) Read(p []byte) (int, experimentalsys.Errno) {
	if errno := f.may("read", false); errno != 0 {
		return 0, errno
	}
	n, err := f.pieces(p, f.file.Read)
	return f.got(n, err)
}

func (f *file) Pread(p []byte, off int64) (int, experimentalsys.Errno) {
	if errno := f.may("read", false); errno != 0 {
		return 0, errno
	}
	if off < 0 {
		return 0, f.mount.fail("read", f.name, syscall.EINVAL)
	}
	n, err := f.pieces(p, func(p []byte) (n int, err error) {
		n, err = f.file.ReadAt(p, off)
		off += int64(n)
		return n, err
	})
	return f.got(n, err)
}

// filePiece is how much is read or written between two looks at the time.
const filePiece = 1 << 20

// pieces has do read or write all of p, piece by piece, until the end of the
// file, of the call's time or of its bytes.
func (f *file) pieces(p []byte, do func([]byte) (int, error)) (n int, err error) {
	for n < len(p) || n == 0 {
		piece := p[n:min(len(p), n+filePiece)]
		f.mount.state.budget.takeHostBytes(len(piece))
		k, err := do(piece)
		n += k
		if err != nil || k < len(piece) || len(p) == 0 {
			return n, err
		}
		if f.mount.state.ctx.Err() != nil {
			return n, syscall.EINTR
		}
	}
	return n, nil
}

// got is the result of a read. The end of a file is no error, and what was
// read before one counts.
func (f *file) got(n int, err error) (int, experimentalsys.Errno) {
	if n > 0 || err == nil || errors.Is(err, io.EOF) {
		return n, 0
	}
	return 0, f.mount.fail("read", f.name, err)
}

func (f *file) Write(p []byte) (int, experimentalsys.Errno) {
	const doing = "write"
	if errno := f.may(doing, true); errno != 0 {
		return 0, errno
	}
	if f.atEnd {
		if _, err := f.file.Seek(0, io.SeekEnd); err != nil {
			return 0, f.mount.fail(doing, f.name, err)
		}
	}
	n, err := f.pieces(p, f.file.Write)
	return n, f.mount.failed(doing, f.name, err)
}

func (f *file) Pwrite(p []byte, off int64) (int, experimentalsys.Errno) {
	const doing = "write"
	if errno := f.may(doing, true); errno != 0 {
		return 0, errno
	}
	switch {
	case off < 0:
		return 0, f.mount.fail(doing, f.name, syscall.EINVAL)
	case f.IsAppend():
		return 0, f.mount.fail(doing, f.name, abi.Errorf(abi.CodeInvalidArgument, "the file was opened to be appended to, so nothing is written at a place in it").
			WithCause(syscall.ENOTSUP))
	}
	n, err := f.pieces(p, func(p []byte) (n int, err error) {
		n, err = f.file.WriteAt(p, off)
		off += int64(n)
		return n, err
	})
	return n, f.mount.failed(doing, f.name, err)
}

func (f *file) Seek(offset fileOffset, whence int) (int64, experimentalsys.Errno) {
	const doing = "seek in"
	if f.file == nil {
		return 0, f.mount.fail(doing, f.name, syscall.EBADF)
	}
	if whence < io.SeekStart || whence > io.SeekEnd {
		return 0, f.mount.fail(doing, f.name, syscall.EINVAL)
	}
	n, err := f.file.Seek(offset, whence)
	return n, f.mount.failed(doing, f.name, err)
}

func (f *file) Truncate(size int64) experimentalsys.Errno {
	const doing = "truncate"
	if errno := f.may(doing, true); errno != 0 {
		return errno
	}
	if size < 0 {
		return f.mount.fail(doing, f.name, syscall.EINVAL)
	}
	return f.mount.failed(doing, f.name, f.file.Truncate(size))
}

func (f *file) Sync() experimentalsys.Errno {
	const doing = "sync"
	if f.file == nil {
		return f.mount.fail(doing, f.name, syscall.EBADF)
	}
	return f.mount.failed(doing, f.name, f.file.Sync())
}

func (f *file) Datasync() experimentalsys.Errno { return f.Sync() }

func (f *file) Stat() (sys.Stat_t, experimentalsys.Errno) {
	const doing = "stat"
	if f.file == nil {
		return sys.Stat_t{}, f.mount.fail(doing, f.name, syscall.EBADF)
	}
	info, err := f.file.Stat()
	if err != nil {
		return sys.Stat_t{}, f.mount.fail(doing, f.name, err)
	}
	return f.mount.stat(f.name, info), 0
}

func (f *file) IsAppend() bool { return f.atEnd || f.flags&os.O_APPEND != 0 }

// SetAppend switches appending on and off, but not off where the file was
// opened for nothing else: a zone may allow only that.
func (f *file) SetAppend(on bool) experimentalsys.Errno {
	if f.flags&os.O_APPEND == 0 {
		f.atEnd = on
		return 0
	}
	if on {
		return 0
	}
	return f.mount.fail("stop appending to", f.name, syscall.ENOTSUP)
}

func (f *file) Utimens(atim, mtim int64) experimentalsys.Errno {
	return f.mount.Utimens(f.name, atim, mtim)
}

func (f *file) IsDir() (bool, experimentalsys.Errno)    { return false, 0 }
func (f *file) Ino() (sys.Inode, experimentalsys.Errno) { return f.inode, 0 }

func (f *file) Dev() (uint64, experimentalsys.Errno) {
	st, errno := f.Stat()
	return st.Dev, errno
}

func (f *file) Readdir(int) ([]experimentalsys.Dirent, experimentalsys.Errno) {
	return nil, f.mount.fail("list", f.name, syscall.ENOTDIR)
}

func (f *file) Close() experimentalsys.Errno {
	open := f.file
	f.file = nil
	return f.mount.close(f, open, f.name)
}

func (f *file) closeNow() { _ = f.Close() }

// Readdir returns the next n entries, all of them when n isn't positive, and
// fewer only at the end.
func (d *folder) Readdir(n int) ([]experimentalsys.Dirent, experimentalsys.Errno) {
	const doing = "list"
	if err := d.mount.shut(); err != nil {
		return nil, d.mount.fail(doing, d.name, err)
	}
	if d.file == nil {
		f, err := d.mount.fs.OpenFile(d.name, os.O_RDONLY, 0)
		if err != nil {
			return nil, d.mount.fail(doing, d.name, err)
		}
		d.file = f
		d.mount.state.opened(d)
	}
	var list []experimentalsys.Dirent
	for n <= 0 || len(list) < n {
		entries, err := d.file.ReadDir(max(n-len(list), 0))
		for _, e := range entries {
			list = append(list, experimentalsys.Dirent{Name: e.Name(), Type: e.Type() & fs.ModeType})
		}
		if errors.Is(err, io.EOF) || err == nil && (n <= 0 || len(entries) == 0) {
			break
		}
		if err != nil {
			return nil, d.mount.fail(doing, d.name, err)
		}
	}
	return list, 0
}

// Seek can do no more than begin again. The folder stays open for all that the
// guest can tell, whether or not it can be listed again.
func (d *folder) Seek(offset fileOffset, whence int) (int64, experimentalsys.Errno) {
	if offset != 0 || whence != io.SeekStart {
		return 0, d.mount.fail("seek in", d.name, syscall.EINVAL)
	}
	open := d.file
	d.file = nil
	return 0, d.mount.closeFile(open, d.name)
}

// Stat describes the folder. Of a closed mount it says that it is one, and no
// more.
func (d *folder) Stat() (sys.Stat_t, experimentalsys.Errno) {
	if d.mount.shut() != nil {
		return sys.Stat_t{Mode: fs.ModeDir, Nlink: 1, Ino: 1}, 0
	}
	return d.mount.Stat(d.name)
}

func (d *folder) Utimens(atim, mtim int64) experimentalsys.Errno {
	return d.mount.Utimens(d.name, atim, mtim)
}

func (d *folder) Dev() (uint64, experimentalsys.Errno) {
	st, errno := d.Stat()
	return st.Dev, errno
}

func (d *folder) Ino() (sys.Inode, experimentalsys.Errno) {
	st, errno := d.Stat()
	return st.Ino, errno
}

func (d *folder) Sync() experimentalsys.Errno     { return 0 }
func (d *folder) Datasync() experimentalsys.Errno { return 0 }

// Close closes what is open. Used again, the folder opens again.
func (d *folder) Close() experimentalsys.Errno {
	open := d.file
	d.file = nil
	return d.mount.close(d, open, d.name)
}

func (d *folder) closeNow() { _ = d.Close() }

// close closes f, the handle's, if it is open, and forgets the handle.
func (m *mount) close(handle closer, f File, name string) experimentalsys.Errno {
	delete(m.state.open, handle)
	return m.closeFile(f, name)
}

// closeFile closes f, if it is open. It runs when a call is ending, too, so a
// panic in it ends here.
func (m *mount) closeFile(f File, name string) (errno experimentalsys.Errno) {
	if f == nil {
		return 0
	}
	defer func() {
		if r := recover(); r != nil {
			m.state.log.Error("closing a file panicked", "path", m.path+"/"+name, "panic", r)
			errno = experimentalsys.EIO
		}
	}()
	return m.failed("close", name, f.Close())
}
