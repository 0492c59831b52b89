package host

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// A pinnedFS shows a folder as it looks in every run of a call that is recorded
// or played: everything in it has one time, what it shows of files is no more
// than their names, sizes and kinds, and folders are listed in order.
type pinnedFS struct {
	engine.FS
	time  time.Time
	touch func(name string) // is told what the plugin is about to change
}

// pinned returns mounts whose folders are pinned. touch is told the path of what
// the plugin is about to change, such as output/report.md.
func pinned(mounts []engine.Mount, at time.Time, touch func(path string)) []engine.Mount {
	out := slices.Clone(mounts)
	for i, m := range out {
		if m.FS == nil {
			continue
		}
		below := strings.TrimPrefix(m.Path, "/") + "/"
		out[i].FS = pinnedFS{m.FS, at, func(name string) { touch(below + name) }}
	}
	return out
}

func (p pinnedFS) OpenFile(name string, flag int, perm fs.FileMode) (engine.File, error) {
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC) != 0 {
		p.touch(name)
	}
	f, err := p.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &pinnedFile{File: f, time: p.time}, nil
}

func (p pinnedFS) Stat(name string) (fs.FileInfo, error) {
	info, err := p.FS.Stat(name)
	return pin(info, p.time), err
}

func (p pinnedFS) Lstat(name string) (fs.FileInfo, error) {
	info, err := p.FS.Lstat(name)
	return pin(info, p.time), err
}

func (p pinnedFS) Mkdir(name string, perm fs.FileMode) error {
	p.touch(name)
	return p.FS.Mkdir(name, perm)
}

func (p pinnedFS) Remove(name string) error {
	p.touch(name)
	return p.FS.Remove(name)
}

func (p pinnedFS) RemoveDir(name string) error {
	p.touch(name)
	return p.FS.RemoveDir(name)
}

func (p pinnedFS) Rename(from, to string) error {
	p.touch(from)
	p.touch(to)
	return p.FS.Rename(from, to)
}

type pinnedFile struct {
	engine.File
	time time.Time
	list []fs.DirEntry // what ReadDir hasn't returned yet
	read bool
}

func (f *pinnedFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return pin(info, f.time), err
}

func (f *pinnedFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.read {
		list, err := f.File.ReadDir(-1)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		f.list, f.read = list, true
	}
	if n <= 0 {
		n = len(f.list)
	} else if len(f.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.list))
	next := f.list[:n:n]
	f.list = f.list[n:]
	return next, nil
}

type pinnedInfo struct {
	fs.FileInfo
	time time.Time
}

// pin returns what info may show; nil stays nil.
func pin(info fs.FileInfo, at time.Time) fs.FileInfo {
	if info == nil {
		return nil
	}
	return pinnedInfo{info, at}
}

func (i pinnedInfo) ModTime() time.Time { return i.time }
func (i pinnedInfo) Sys() any           { return nil }

// Size of a folder is the file system's affair.
func (i pinnedInfo) Size() int64 {
	if i.IsDir() {
		return 0
	}
	return i.FileInfo.Size()
}
