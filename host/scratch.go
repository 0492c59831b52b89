package host

import (
	"io/fs"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// A lazyScratch is a call's /tmp. Most calls never look at theirs, so the
// folder is made at the first use.
type lazyScratch struct {
	dir string

	mu    sync.Mutex
	view  engine.FS
	gone  bool
	clear func() error
}

func (l *lazyScratch) fs() (engine.FS, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return nil, fs.ErrClosed
	}
	if l.view == nil {
		v, clear, err := workspace.Scratch(l.dir, maxTmp)
		if err != nil {
			return nil, err
		}
		l.view, l.clear = viewFS{v}, clear
	}
	return l.view, nil
}

// remove deletes the folder, if there is one.
func (l *lazyScratch) remove() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	if l.clear == nil {
		return nil
	}
	return l.clear()
}

func (l *lazyScratch) OpenFile(name string, flag int, perm fs.FileMode) (engine.File, error) {
	v, err := l.fs()
	if err != nil {
		return nil, err
	}
	return v.OpenFile(name, flag, perm)
}

func (l *lazyScratch) Stat(name string) (fs.FileInfo, error) {
	v, err := l.fs()
	if err != nil {
		return nil, err
	}
	return v.Stat(name)
}

func (l *lazyScratch) Lstat(name string) (fs.FileInfo, error) {
	v, err := l.fs()
	if err != nil {
		return nil, err
	}
	return v.Lstat(name)
}

func (l *lazyScratch) Mkdir(name string, perm fs.FileMode) error {
	return l.do(func(v engine.FS) error { return v.Mkdir(name, perm) })
}

func (l *lazyScratch) Remove(name string) error {
	return l.do(func(v engine.FS) error { return v.Remove(name) })
}

func (l *lazyScratch) RemoveDir(name string) error {
	return l.do(func(v engine.FS) error { return v.RemoveDir(name) })
}

func (l *lazyScratch) Rename(from, to string) error {
	return l.do(func(v engine.FS) error { return v.Rename(from, to) })
}

func (l *lazyScratch) Chtimes(name string, atime, mtime time.Time) error {
	return l.do(func(v engine.FS) error { return v.Chtimes(name, atime, mtime) })
}

func (l *lazyScratch) do(f func(engine.FS) error) error {
	v, err := l.fs()
	if err != nil {
		return err
	}
	return f(v)
}
