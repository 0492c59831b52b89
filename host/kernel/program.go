package kernel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// A program is what a kernel's process runs, and what it needs to see for that
// besides the system.
type program struct {
	path  string
	args  []string
	views []proc.View // of an isolated process
}

// program returns the kernel's own, connection being where it sees the
// connection file.
func (c *Config) program(ctx context.Context, connection string) (program, error) {
	path, args, err := c.command(connection)
	if err != nil || !c.Starter.Isolated() {
		return program{path: path, args: args}, err
	}
	places := []string{filepath.Dir(path)}
	if c.Argv == nil {
		in, err := interpreters.describe(ctx, path)
		if err != nil {
			return program{}, err
		}
		// What was named may be a script that finds the interpreter.
		path = in.Executable
		places = append(in.Folders, filepath.Dir(path))
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		places = append(places, filepath.Dir(real))
	}
	views, err := c.programViews(path, places)
	return program{path, args, views}, err
}

// programViews returns read-only views of the places that aren't the system's.
// Each is seen under the name it was given by, and under its real one.
func (c *Config) programViews(path string, places []string) ([]proc.View, error) {
	var views []proc.View
	shown := proc.SystemFolders()
	for _, place := range places {
		real, err := filepath.EvalSymlinks(place)
		if err != nil {
			continue // what isn't there isn't needed
		}
		for _, name := range []string{filepath.Clean(place), real} {
			if slices.ContainsFunc(shown, func(dir string) bool { return within(name, dir) }) {
				continue
			}
			if private, holds := c.private(real); holds {
				return nil, abi.Errorf(abi.CodeUnavailable, "%s needs the folder %s, which holds %s too, and a kernel may not see that", path, real, private).
					WithHint("use an environment in a folder that holds nothing else: make setup makes one")
			}
			views = append(views, proc.View{Source: real, Target: name, ReadOnly: true})
			shown = append(shown, name)
		}
	}
	return views, nil
}

// private returns what no kernel may see and a folder holds.
func (c *Config) private(dir string) (what string, holds bool) {
	private := []string{c.Dir, c.CacheDir}
	if home, err := os.UserHomeDir(); err == nil {
		private = append(private, home)
	}
	for _, v := range c.Views {
		private = append(private, v.Source)
	}
	for _, what := range private {
		real, err := filepath.EvalSymlinks(what)
		if err != nil {
			real = what
		}
		if within(real, dir) {
			return what, true
		}
	}
	return "", false
}

// within says whether a path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// An interpreter is a Python, as it describes itself.
type interpreter struct {
	Executable string   `json:"executable"`
	Folders    []string `json:"folders"` // its own, and those of the Python that its environment was made with
}

const describeScript = `
import json, sys
print(json.dumps({
    "executable": sys.executable,
    "folders": [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix],
}))`

const maxInterpreters = 64 // that are remembered

// interpreters remembers what interpreters said of themselves.
var interpreters = descriptions{turn: make(chan struct{}, 1), known: map[string]interpreter{}}

type descriptions struct {
	turn  chan struct{} // held by whoever asks: one at a time
	known map[string]interpreter
}

// describe asks an interpreter, once for each that path leads to. It obeys ctx,
// and fails with unavailable, canceled or deadline_exceeded.
func (d *descriptions) describe(ctx context.Context, path string) (interpreter, error) {
	const during = "while Python was asked where its files are"
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return interpreter{}, contextError(context.Cause(ctx), during)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return interpreter{}, abi.Errorf(abi.CodeUnavailable, "there is no Python %s: %w", path, err).WithHint(setupHint)
	}
	key := path + "\x00" + real
	if in, ok := d.known[key]; ok {
		return in, nil
	}
	bounded, cancel := context.WithTimeout(ctx, checkBound)
	defer cancel()
	stdout, stderr, err := askPython(bounded, path, "-I", "-c", describeScript)
	var in interpreter
	switch {
	case ctx.Err() != nil:
		return in, contextError(context.Cause(ctx), during)
	case bounded.Err() != nil:
		err = fmt.Errorf("it did not answer within %v", checkBound)
	case err != nil:
		if complaint := lastLine(stderr); complaint != "" {
			err = errors.New(complaint)
		}
	default:
		stdout = strings.TrimSpace(stdout) // its last line; what starts with it may print, too
		err = json.Unmarshal([]byte(stdout[strings.LastIndexByte(stdout, '\n')+1:]), &in)
	}
	if err == nil && !filepath.IsAbs(in.Executable) {
		err = fmt.Errorf("it calls itself %q", in.Executable)
	}
	if err != nil {
		return in, abi.Errorf(abi.CodeUnavailable, "%s can't say where its files are: %w", path, err).WithHint(setupHint)
	}
	in.Folders = slices.DeleteFunc(in.Folders, func(dir string) bool { return !filepath.IsAbs(dir) })
	if len(d.known) >= maxInterpreters {
		clear(d.known)
	}
	d.known[key] = in
	return in, nil
}

// askPython runs an interpreter of the operator's, outside of all walls.
func askPython(ctx context.Context, path string, args ...string) (stdout, stderr string, err error) {
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	return out.String(), complaints.String(), err
}

// command returns the program and its arguments.
func (c *Config) command(connection string) (path string, args []string, err error) {
	if c.Argv == nil {
		path, err = lookPython(c.Python)
		return path, []string{"-m", "ipykernel_launcher", "-f", connection}, err
	}
	for _, arg := range c.Argv[1:] {
		args = append(args, strings.ReplaceAll(arg, connectionFile, connection))
	}
	path, err = look(c.Argv[0])
	return path, args, err
}

// setupHint says how to get what kernels need.
const setupHint = "run make setup, or pip install 'ipykernel>=7.2' and name that Python"

// lookPython returns the absolute path of an interpreter, "" being python3. It
// follows no link: an environment is known by the link's place.
func lookPython(python string) (string, error) {
	if python == "" {
		python = "python3"
	}
	path, err := look(python)
	if err != nil {
		return "", abi.Errorf(abi.CodeUnavailable, "there is no Python %s: %w", python, err).WithHint(setupHint)
	}
	return path, nil
}

func look(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", abi.Errorf(abi.CodeUnavailable, "there is no program %s: %w", name, err)
	}
	return filepath.Abs(path)
}
