package plugin

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

// SourceFile is the name of the file that says what a plugin is and asks for.
const SourceFile = "plugin.yaml"

// A Source is a plugin.yaml: all of a manifest that an author writes by hand.
// The tools come from the code.
type Source struct {
	Name         string           `yaml:"name"`
	Version      string           `yaml:"version"`
	Description  string           `yaml:"description"`
	Capabilities abi.Capabilities `yaml:"capabilities"`
	Limits       abi.Limits       `yaml:"limits"`
	State        string           `yaml:"state"`
	// Files are a skill's resources, mounted at /skill: files and folders
	// beside plugin.yaml, as slash-separated paths. Of a folder everything is
	// taken but names that begin with a dot.
	Files []string `yaml:"files"`

	at   *strictyaml.Source
	path string
}

// ReadSource reads a plugin.yaml. Errors are *abi.Error and name the file, and
// the line and column of a mistake in it.
func ReadSource(path string) (Source, error) {
	data, err := readFile(path)
	if err != nil {
		e := *abi.AsError(err)
		if e.Code == abi.CodeNotFound {
			e.Hint = "sallyport plugin new DIR makes a folder to start from"
		}
		return Source{}, inFile(path, &e)
	}
	s := Source{path: path}
	if s.at, err = strictyaml.Decode(data, &s); err == nil {
		err = s.check()
	}
	if err != nil {
		return Source{}, strictyaml.InFile(path, err)
	}
	return s, nil
}

func (s *Source) check() error {
	switch {
	case s.Name == "":
		return s.at.Errorf("name", "name is missing").WithHint("write name: and what its tools' names begin with")
	case !abi.ValidPluginName(s.Name):
		return s.at.Errorf("name", "name is %q: use a lower-case letter and then up to 31 letters and digits", s.Name)
	case s.Version == "":
		return s.at.Errorf("version", "version is missing").WithHint("write version: 0.1.0")
	}
	if err := s.Capabilities.Validate(); err != nil {
		return s.misplaced("capabilities.", err)
	}
	if err := s.Limits.Validate(); err != nil {
		return s.misplaced("", err)
	}
	if s.State != abi.StateCall && s.State != abi.StateSession {
		return s.at.Errorf("state", "state is %q: leave it out, or use %s", s.State, abi.StateSession).
			WithHint("without it every call gets the plugin as it was when it began")
	}
	for i, name := range s.Files {
		if !fs.ValidPath(name) || name == "." {
			return s.at.Errorf(fmt.Sprintf("files[%d]", i), "files: %q is not a path within the folder", name).
				WithHint("write a path such as SKILL.md or templates, without ./ or ..")
		}
	}
	return nil
}

// misplaced gives an error of abi's validation the place of the field that its
// message starts with.
func (s *Source) misplaced(under string, err error) error {
	e := abi.AsError(err)
	field, _, _ := strings.Cut(e.Message, " ")
	return s.at.Errorf(under+field, "%s%s", under, e.Message).WithHint("%s", e.Hint)
}

// Manifest joins what the author wrote and what the code told.
func (s *Source) Manifest(d abi.Description) abi.Manifest {
	return abi.Manifest{
		ABI: d.ABI, Name: s.Name, Version: s.Version, Description: s.Description, Tools: d.Tools,
		Capabilities: s.Capabilities, Limits: s.Limits, State: s.State,
	}
}

// Resources reads the files that the source lists out of its folder; nil where
// it lists none. Symbolic links are refused: what is packed is what is there.
func (s *Source) Resources() (fs.FS, error) {
	if len(s.Files) == 0 {
		return nil, nil
	}
	root, err := os.OpenRoot(filepath.Dir(s.path))
	if err != nil {
		return nil, inFile(s.path, unreadable(err))
	}
	defer root.Close()
	var names []string
	for i, listed := range s.Files {
		found, err := filesUnder(root.FS(), listed)
		if err != nil {
			return nil, strictyaml.InFile(s.path, s.at.Errorf(fmt.Sprintf("files[%d]", i), "files: %v", err))
		}
		names = append(names, found...)
	}
	slices.Sort(names)
	archive, err := writeArchive(root.FS(), slices.Compact(names))
	if err != nil {
		return nil, inFile(s.path, err)
	}
	return readArchive(archive)
}

// filesUnder lists a file, or the files of a folder.
func filesUnder(tree fs.FS, listed string) ([]string, error) {
	if info, err := fs.Lstat(tree, listed); err == nil && info.Mode().Type() == fs.ModeSymlink {
		return nil, fmt.Errorf("%s is a link: put a copy in its place", listed)
	}
	var names []string
	err := fs.WalkDir(tree, listed, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", name, pathless(err))
		case name != listed && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.Type().IsRegular():
			names = append(names, name)
		case !d.IsDir():
			return fmt.Errorf("%s is a link or a device: put a copy in its place", name)
		}
		return nil
	})
	return names, err
}
