package workspace

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// walkDepth bounds a walk; it is more than names can reach, since a process
// may have made a deeper tree.
const walkDepth = 2 * MaxDepth

// A walk counts trees. It holds one descriptor a level, follows no link and
// waits for nothing.
type walk struct {
	most int // entries after which it ends
	// each is called with every entry and its folder; nil does nothing. Its
	// failure makes the walk partial.
	each func(root *os.Root, info os.FileInfo) error

	count
	height  int // levels under the first tree
	partial bool
	err     error // why it is partial
}

func (w *walk) add(info os.FileInfo) {
	w.files++
	w.bytes += sizeOf(info)
}

func (w *walk) miss(err error) { w.partial, w.err = true, err }

var errTooMuch = errors.New("too deep, or too many entries")

// tree counts what is under root, not root itself.
func (w *walk) tree(root *os.Root, level int) {
	folders, err := w.folder(root, level)
	if err != nil {
		w.miss(err)
	}
	for _, name := range folders {
		if level+1 >= walkDepth || w.files > w.most {
			w.miss(errTooMuch)
			return
		}
		// The dot makes the name itself be opened as a folder, or fail: a pipe
		// that took its place would be waited for.
		sub, err := root.OpenRoot(name + "/.")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			w.miss(err)
			continue
		}
		w.tree(sub, level+1)
		_ = sub.Close() // was only read
	}
}

// folder counts the entries of root and returns those that are folders.
func (w *walk) folder(root *os.Root, level int) ([]string, error) {
	list, err := root.OpenFile(".", os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	var folders []string
	for w.files <= w.most {
		entries, err := list.ReadDir(512)
		for _, entry := range entries {
			info, err := entry.Info() // read together with the entry, as the folder is in a Root
			if err != nil {
				continue
			}
			w.add(info)
			w.height = max(w.height, level+1)
			if w.each != nil {
				if err := w.each(root, info); err != nil && !errors.Is(err, os.ErrNotExist) {
					w.miss(err)
				}
			}
			if info.IsDir() {
				folders = append(folders, entry.Name())
			}
		}
		if err == io.EOF {
			return folders, nil
		}
		if err != nil {
			return folders, err
		}
	}
	return folders, errTooMuch
}
