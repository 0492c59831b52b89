package proc

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/cgroups/v3"
)

// findTrees returns where groups may be made below the host's own: in version 1
// for the controls that are there, in version 2 for the others. A machine may
// have both.
func findTrees() []tree {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	own, unified, err := cgroups.ParseCgroupFileUnified("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	return treesIn(string(mounts), own, unified)
}

// treesIn reads a table of mounts. own is the host's group for each control of
// version 1, unified the one in version 2.
func treesIn(mounts string, own map[string]string, unified string) []tree {
	first, second := &tree1{places: map[control]place{}}, tree2{}
	for line := range strings.Lines(mounts) {
		// number parent device root point options … - type source options
		before, after, _ := strings.Cut(line, " - ")
		at, kind := strings.Fields(before), strings.Fields(after)
		if len(at) < 6 || len(kind) < 3 {
			continue
		}
		root, point := at[3], at[4]
		switch kind[0] {
		case "cgroup":
			for option := range strings.SplitSeq(kind[2], ",") {
				c := control(option)
				if c != controlMemory && c != controlCPU && c != controlPids {
					continue
				}
				path, ok := within(root, own[option])
				// Several controls may be mounted together; each has its name there too.
				parent := filepath.Dir(point)
				if _, err := os.Stat(filepath.Join(parent, option)); ok && err == nil {
					first.places[c] = place{root: parent, own: path}
				}
			}
		case "cgroup2":
			if path, ok := within(root, unified); ok && second.mount == "" {
				second = newTree2(point, path)
			}
		}
	}
	var trees []tree
	if len(first.places) > 0 {
		trees = append(trees, first)
	}
	if second.mount != "" {
		trees = append(trees, second)
	}
	return trees
}

// within returns where a group is below the one that is mounted, root.
func within(root, group string) (string, bool) {
	if !filepath.IsAbs(root) || !filepath.IsAbs(group) || strings.Contains(root, "/..") || strings.Contains(group, "/..") {
		return "", false
	}
	path, err := filepath.Rel(root, group)
	if err != nil || path != "." && !filepath.IsLocal(path) {
		return "", false
	}
	return filepath.Join("/", path), true
}
