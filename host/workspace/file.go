package workspace

import (
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"

	"github.com/sallyport-dev/sallyport/abi"
)

// A File is an open file or folder of a view. It holds to the view's access for
// as long as it is open, and never gives out its descriptor. Its methods may be
// used by several goroutines, as those of os.File.
type File struct {
	fs      *FS
	name    string
	file    *os.File
	info    fs.FileInfo // when it was opened: tells files apart
	writes  bool        // opened for writing
	asked   bool        // the caller asked for O_APPEND
	appends bool        // opened with O_APPEND, asked for or not
}

// systemFlag is what is really opened with: never waiting, never truncating.
func (f *File) systemFlag(flag int) int {
	flag &= flagAccess | os.O_SYNC | syscall.O_DSYNC | syscall.O_DIRECTORY
	if f.appends {
		flag |= os.O_APPEND
	}
	return flag | syscall.O_NONBLOCK | syscall.O_NOCTTY
}

// attach takes what was opened, once its descriptor shows a file or a folder,
// and puts it on the ledger's list, whose lock it needs.
func (f *File) attach(file *os.File, err error) error {
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !openable(info) {
		err = errSpecial
	}
	if err != nil {
		return also(err, file.Close())
	}
	f.file, f.info = file, info
	f.fs.ledger.open = append(f.fs.ledger.open, f)
	return nil
}

func (f *File) fail(err error) error { return f.fs.fail(f.name, err) }

// Read reads from the file's offset.
func (f *File) Read(b []byte) (int, error) {
	n, err := f.file.Read(b)
	return n, f.fail(err)
}

// ReadAt reads from off.
func (f *File) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, f.fail(syscall.EINVAL)
	}
	n, err := f.file.ReadAt(b, off)
	return n, f.fail(err)
}

// Seek sets the offset of the next Read or Write.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	n, err := f.file.Seek(offset, whence)
	return n, f.fail(err)
}

// Write writes at the file's offset, or at its end where it was opened with
// O_APPEND. Under append access a file that was opened without O_APPEND is
// written only when its offset is at the end: what was meant to replace bytes
// isn't added in silence. A write that doesn't fit into the quota writes
// nothing.
func (f *File) Write(b []byte) (int, error) {
	if !f.writes {
		return 0, f.fail(syscall.EBADF)
	}
	if len(b) == 0 {
		return 0, nil
	}
	f.fs.ledger.mu.Lock()
	defer f.fs.ledger.mu.Unlock()
	size, err := f.size()
	if err != nil {
		return 0, f.fail(err)
	}
	at := size
	if !f.asked {
		if at, err = f.file.Seek(0, io.SeekCurrent); err != nil {
			return 0, f.fail(err)
		}
		if f.appends && at != size {
			return 0, f.overwrite()
		}
	}
	return f.write(b, at, size, f.file.Write)
}

// WriteAt writes at off. A file that was opened with O_APPEND, or under append
// access, is written at its end only.
func (f *File) WriteAt(b []byte, off int64) (int, error) {
	if !f.writes {
		return 0, f.fail(syscall.EBADF)
	}
	if off < 0 {
		return 0, f.fail(syscall.EINVAL)
	}
	if len(b) == 0 {
		return 0, nil
	}
	f.fs.ledger.mu.Lock()
	defer f.fs.ledger.mu.Unlock()
	size, err := f.size()
	if err != nil {
		return 0, f.fail(err)
	}
	if !f.appends {
		return f.write(b, off, size, func(b []byte) (int, error) { return f.file.WriteAt(b, off) })
	}
	if off != size {
		if f.fs.access.Includes(abi.AccessWrite) {
			return 0, f.fail(syscall.EINVAL)
		}
		return 0, f.overwrite()
	}
	return f.write(b, off, size, f.writeEnd)
}

// writeEnd writes at the end and leaves the offset as it was.
func (f *File) writeEnd(b []byte) (int, error) {
	offset, err := f.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	n, err := f.file.Write(b)
	_, seekErr := f.file.Seek(offset, io.SeekStart)
	return n, also(err, seekErr)
}

// write counts what b at off adds to a file of size bytes, and then does it. It
// needs the ledger's lock.
func (f *File) write(b []byte, off, size int64, do func([]byte) (int, error)) (int, error) {
	l, at := f.fs.ledger, f.fs.at(f.name)
	end := off + int64(len(b))
	if end < off {
		return 0, l.tooLarge(at, math.MaxInt64)
	}
	growth := max(0, end-size)
	if growth > 0 {
		if err := l.tooLarge(at, end); err != nil {
			return 0, err
		}
	}
	if err := l.reserve(at, growth, 0); err != nil {
		return 0, err
	}
	n, err := do(b)
	if err != nil {
		if now, statErr := f.size(); statErr == nil {
			l.settle(now-size-growth, 0)
		}
	}
	return n, f.fail(err)
}

func (f *File) overwrite() error {
	return f.fs.denied(f.name, abi.AccessWrite, "written elsewhere than at its end", syscall.EACCES)
}

// Truncate sets the file's length. It needs write access.
func (f *File) Truncate(size int64) error {
	if !f.writes {
		return f.fail(syscall.EBADF)
	}
	if err := f.fs.allow(f.name, abi.AccessWrite, "truncated"); err != nil {
		return err
	}
	if size < 0 {
		return f.fail(syscall.EINVAL)
	}
	f.fs.ledger.mu.Lock()
	defer f.fs.ledger.mu.Unlock()
	return f.fail(f.truncate(size))
}

// truncate needs the ledger's lock.
func (f *File) truncate(size int64) error {
	l, at := f.fs.ledger, f.fs.at(f.name)
	old, err := f.size()
	if err != nil {
		return err
	}
	growth := max(0, size-old)
	if growth > 0 {
		if err := l.tooLarge(at, size); err != nil {
			return err
		}
	}
	if err := l.reserve(at, growth, 0); err != nil {
		return err
	}
	if err := f.file.Truncate(size); err != nil {
		l.settle(-growth, 0)
		return err
	}
	l.settle(size-old-growth, 0)
	return nil
}

func (f *File) size() (int64, error) {
	info, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Stat describes the open file.
func (f *File) Stat() (fs.FileInfo, error) {
	info, err := f.file.Stat()
	return info, f.fail(err)
}

// maxListing bounds what one ReadDir or List returns.
const maxListing = 100_000

// ReadDir reads the folder's next n entries, as os.File.ReadDir does, without
// the host's own and those whose names aren't UTF-8. With n ≤ 0 it reads all
// the rest, up to 100 000.
func (f *File) ReadDir(n int) ([]fs.DirEntry, error) {
	var list []fs.DirEntry
	for {
		chunk := n
		if n <= 0 {
			chunk = 512
		}
		entries, err := f.file.ReadDir(chunk)
		for _, entry := range entries {
			if listed(entry.Name()) {
				list = append(list, entry)
			}
		}
		switch {
		case err == io.EOF && (n <= 0 || len(list) > 0):
			return list, nil
		case err != nil:
			return list, f.fail(err)
		case n > 0 && len(list) > 0:
			return list, nil
		case len(list) > maxListing:
			return list[:maxListing], abi.Errorf(abi.CodeResourceExhausted, "%s has more than %d entries", f.fs.at(f.name), maxListing).
				WithHint("read it in parts")
		}
	}
}

// Sync asks the disk to keep what was written.
func (f *File) Sync() error { return f.fail(f.file.Sync()) }

// Close closes the file. A second one fails.
func (f *File) Close() error {
	f.fs.ledger.mu.Lock()
	defer f.fs.ledger.mu.Unlock()
	f.fs.ledger.detach(f)
	return f.fail(f.file.Close())
}
