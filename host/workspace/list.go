package workspace

import (
	"cmp"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// Kinds of an entry.
const (
	KindFile  = "file"
	KindDir   = "dir"
	KindLink  = "link"  // followed inside its zone only
	KindOther = "other" // a pipe, socket or device, which can't be opened
)

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return KindFile
	case mode.IsDir():
		return KindDir
	case mode&fs.ModeSymlink != 0:
		return KindLink
	}
	return KindOther
}

// An Entry is one thing in a folder.
type Entry struct {
	Name     string    `json:"name"` // without its folder
	Kind     string    `json:"kind"`
	Size     int64     `json:"size"` // bytes, of a file
	Modified time.Time `json:"modified"`
}

func entryOf(name string, info fs.FileInfo) Entry {
	return Entry{Name: name, Kind: kindOf(info.Mode()), Size: sizeOf(info), Modified: info.ModTime().UTC()}
}

// List returns a folder's entries by name, and whether there are more than
// limit; zero, or more, is 100 000. The host's own files and those whose names
// aren't UTF-8 aren't listed. Of a folder with more entries than limit, which
// of them are returned isn't defined.
func (f *FS) List(name string, limit int) (entries []Entry, more bool, err error) {
	if limit <= 0 {
		limit = maxListing
	}
	limit = min(limit, maxListing)
	folder, err := f.OpenFile(name, syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, false, err
	}
	defer folder.Close()
	entries = []Entry{}
	for !more {
		chunk, err := folder.ReadDir(512)
		if err != nil && err != io.EOF {
			return nil, false, err
		}
		for _, e := range chunk {
			info, err := e.Info()
			if err != nil {
				continue // gone meanwhile
			}
			entries = append(entries, entryOf(e.Name(), info))
		}
		more = len(entries) > limit
		if err == io.EOF {
			break
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries[:min(limit, len(entries))], more, nil
}

// Delete removes a file, or a folder with all that is in it. Links in it are
// removed, not followed. It needs write access.
func (f *FS) Delete(name string) error {
	clean, err := f.clean(name, abi.AccessWrite, "deleted")
	if err != nil {
		return err
	}
	if clean == "." {
		return abi.Errorf(abi.CodeInvalidArgument, "%s is a zone, and can't be deleted", f.zone).
			WithHint("delete what is in it")
	}
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	info, err := f.root.Lstat(clean)
	if err != nil {
		return f.fail(clean, err)
	}
	if !info.IsDir() {
		return f.fail(clean, f.unlink(clean, info))
	}
	err = f.root.RemoveAll(strings.TrimSuffix(clean, "/"))
	f.ledger.measure() // also after a failure, which may have come midway
	return f.fail(clean, err)
}
