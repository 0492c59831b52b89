package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// link shows the views of a child that is started without isolation: a
// relative target becomes a symbolic link in its directory. The directory may
// have belonged to an earlier child, so it is trusted with nothing: no link in
// it is followed, and what stands in the way is moved aside, not lost.
func link(spec Spec) error {
	root, err := os.OpenRoot(spec.Dir)
	if err != nil {
		return &Error{Reason: ReasonInvalid, Message: fmt.Sprintf("start %s: %v", spec.Name, err), cause: err}
	}
	defer root.Close()
	for _, v := range spec.Views {
		switch {
		case v.Target == "" || v.Target == v.Source:
		case filepath.IsAbs(v.Target):
			return &Error{
				Reason:  ReasonInvalid,
				Message: fmt.Sprintf("start %s: %s can't be shown as %s without isolation", spec.Name, v.Source, v.Target),
				Hint:    "use a target inside the working directory",
			}
		default:
			if err := linkOne(root, v.Source, filepath.Clean(v.Target)); err != nil {
				return &Error{Reason: ReasonFailed, Message: fmt.Sprintf("start %s: show %s as %s: %v", spec.Name, v.Source, v.Target, err), cause: err}
			}
		}
	}
	return nil
}

func linkOne(root *os.Root, source, target string) error {
	if dir := filepath.Dir(target); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if old, err := root.Readlink(target); err == nil {
		if old == source {
			return nil
		}
		if err := root.Remove(target); err != nil {
			return err
		}
	} else if _, err := root.Lstat(target); err == nil {
		if err := moveAside(root, target); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Symlink(source, target)
}

// moveAside renames name to name~1, or the next number that is free.
func moveAside(root *os.Root, name string) error {
	for n := 1; n <= 1000; n++ {
		aside := fmt.Sprintf("%s~%d", name, n)
		if _, err := root.Lstat(aside); err != nil {
			return root.Rename(name, aside)
		}
	}
	return errors.New("something is in its place, and there is no free name to move it to")
}
