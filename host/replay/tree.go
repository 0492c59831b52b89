package replay

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// maxTree bounds the files of a workspace, in bytes together.
const maxTree = 64 << 20

// A Tree is the files and folders of a workspace: the content by path. A
// folder's path ends in a slash, and has none. It is never changed.
type Tree map[string][]byte

// ReadTree reads the zones, each a folder of fsys. It fails on what a recording
// can't hold: links and devices, and more than 64 MiB.
func ReadTree(fsys fs.FS) (Tree, error) {
	t, size := Tree{}, 0
	for _, zone := range abi.Zones() {
		err := fs.WalkDir(fsys, zone, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil && errors.Is(err, fs.ErrNotExist):
				return nil // it was removed meanwhile, or the zone isn't there
			case err != nil:
				return err
			case path == zone:
				return nil
			case d.IsDir():
				t[path+"/"] = nil
				return nil
			case !d.Type().IsRegular():
				return abi.Errorf(abi.CodeFailedPrecondition, "%s is neither a file nor a folder: a recording can't hold it", path)
			}
			data, err := fs.ReadFile(fsys, path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if size += len(data); size > maxTree {
				return abi.Errorf(abi.CodeResourceExhausted, "the workspace has more than %d MiB: a recording can't hold it", maxTree>>20)
			}
			t[path] = data
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Changes returns what makes t into to, by path. A folder with something in it
// isn't mentioned.
func (t Tree) Changes(to Tree) []Change {
	var list []Change
	for path, data := range to {
		old, had := t[path]
		if strings.HasSuffix(path, "/") {
			if !had && to.empty(path) {
				list = append(list, Change{Path: path})
			}
		} else if !had || !bytes.Equal(old, data) {
			list = append(list, Change{Path: path, Data: append([]byte{}, data...)})
		}
	}
	for path := range t {
		if _, has := to[path]; !has {
			list = append(list, Change{Path: path, Removed: true})
		}
	}
	slices.SortFunc(list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// empty says whether nothing is in a folder.
func (t Tree) empty(folder string) bool {
	for path := range t {
		if len(path) > len(folder) && strings.HasPrefix(path, folder) {
			return false
		}
	}
	return true
}
