package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
	"github.com/sallyport-dev/sallyport/host/strictyaml"
)

// A sight is what the folder and the policy were at one moment.
type sight struct {
	stamp       string // "" where there was no such moment
	policyStamp string
	policy      *policy.Policy
	paths       []string
}

// look reads the policy and the files. It does so again when something changed
// meanwhile, so that a file and its entry that came together are seen together.
func (c *catalog) look(stamp string, paths []string) (sight, error) {
	var last sight
	for range 10 {
		last = sight{policyStamp: stampOf(c.policyFile), paths: paths}
		var err error
		if last.policy, err = readPolicy(c.policyFile); err != nil {
			return last, err
		}
		files := map[string]cachedFile{}
		for _, path := range paths {
			cached, ok := c.files[path]
			if s := stampOf(path); !ok || cached.stamp != s {
				cached = cachedFile{stamp: s}
				cached.artifact, cached.err = plugin.Read(path)
			}
			files[path] = cached
		}
		c.files = files
		again, now, err := c.stampAll()
		if err != nil {
			break
		}
		if again == stamp {
			last.stamp = stamp
			break
		}
		stamp, paths = again, now
	}
	return last, nil
}

// A cachedFile spares reading and hashing a file that hasn't changed.
type cachedFile struct {
	stamp    string
	artifact *plugin.Artifact
	err      error
}

// stampOf changes whenever the file may have.
func stampOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path + " absent"
	}
	return fmt.Sprintf("%s %d %d %v", path, info.Size(), info.ModTime().UnixNano(), inode(info))
}

func (c *catalog) stampAll() (string, []string, error) {
	var paths []string
	entries, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, abi.Errorf(abi.CodeUnavailable, "the plugin directory can't be read: %w", err).
			WithHint("mend the folder, or have the operator name another with --plugin-dir")
	}
	var b strings.Builder
	b.WriteString(stampOf(c.policyFile))
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".wasm" {
			continue
		}
		path := filepath.Join(c.dir, e.Name())
		paths = append(paths, path)
		b.WriteString("\n" + stampOf(path))
	}
	return b.String(), paths, nil
}

// readPolicy reads the whitelist. A file that isn't there is an empty list.
func readPolicy(file string) (*policy.Policy, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &policy.Policy{Version: 1}, nil
	}
	var pol *policy.Policy
	if err == nil {
		if pol, err = policy.Parse(b); err == nil {
			return pol, nil
		}
		err = strictyaml.InFile(file, err)
	}
	e := abi.Errorf(abi.CodeUnavailable, "the policy can't be used, so every plugin is refused: %s", err).WithCause(err)
	if cause, ok := errors.AsType[*abi.Error](err); ok {
		e.Message = "the policy can't be used, so every plugin is refused: " + cause.Message
		e.Hint = cause.Hint
	}
	return nil, e
}
