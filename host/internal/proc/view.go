package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// maxLinks bounds the file that remembers links, in bytes.
const maxLinks = 64 << 10

// link makes the links to views in a child's directory; seen says where they
// lead. The directory may have belonged to an earlier child, so it is trusted
// with nothing: no link in it is followed, and what stands in the way is moved
// aside, not lost.
func link(spec Spec, seen func(View) string) error {
	root, err := os.OpenRoot(spec.Dir)
	if err != nil {
		return &Error{Reason: ReasonInvalid, Message: fmt.Sprintf("start %s: %v", spec.Name, err), cause: err}
	}
	defer root.Close()
	links := map[string]string{} // where each leads, by its name
	for _, v := range spec.Views {
		if v.Link != "" {
			links[filepath.Clean(v.Link)] = seen(v)
		}
	}
	if spec.Links != "" {
		if err := unlink(root, spec.Links, links); err != nil {
			return &Error{Reason: ReasonFailed, Message: fmt.Sprintf("start %s: take away the views of an earlier start: %v", spec.Name, err), cause: err}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(links)) {
		if err := linkOne(root, links[name], name); err != nil {
			return &Error{Reason: ReasonFailed, Message: fmt.Sprintf("start %s: show %s as %s: %v", spec.Name, links[name], name, err), cause: err}
		}
	}
	return nil
}

// unlink takes away the links that an earlier start remembered and this one
// doesn't make, and remembers those that it is about to make. A link that leads
// elsewhere by now is the child's own, and stays.
func unlink(root *os.Root, file string, links map[string]string) error {
	for target, source := range remembered(file) {
		if links[target] == source {
			continue
		}
		// What can't be read, or is out of root, isn't a link of the host's.
		if at, err := root.Readlink(target); err != nil || at != source {
			continue
		}
		if err := root.Remove(target); err != nil {
			return err
		}
	}
	return remember(file, links)
}

// remembered reads what remember wrote. Children without isolation can reach
// the file, so one that isn't as it was written is as good as none: what it
// could have hidden, a child could have made.
func remembered(file string) map[string]string {
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxLinks {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var links map[string]string
	if err := json.Unmarshal(data, &links); err != nil {
		return nil
	}
	return links
}

// remember replaces the file, whatever it is, and follows no link there.
func remember(file string, links map[string]string) error {
	data, err := json.Marshal(links)
	if err != nil {
		return err
	}
	made, err := os.CreateTemp(filepath.Dir(file), ".links-")
	if err != nil {
		return err
	}
	_, err = made.Write(data)
	if err = errors.Join(err, made.Close()); err == nil {
		if info, statErr := os.Lstat(file); statErr == nil && info.IsDir() {
			err = os.RemoveAll(file)
		}
	}
	if err == nil {
		err = os.Rename(made.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(made.Name()))
	}
	return nil
}

func linkOne(root *os.Root, source, target string) error {
	if dir := filepath.Dir(target); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
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
