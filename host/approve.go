package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/plugin"
	"github.com/sallyport-dev/sallyport/host/policy"
)

// An Approval is a policy entry that an operator is about to make.
type Approval struct {
	Entry   policy.Entry
	Changes []string // against the entry there is, in words; nil where there is none
	// Withheld says in words what the plugin asks for and isn't granted, and
	// which of the Terms took it away or would grant it.
	Withheld []string
	// HostsUnnamed says that the plugin asks for any host and wasn't granted
	// that, since none was named.
	HostsUnnamed bool

	file string
}

// Prepare makes the Approval of a plugin. What an operator took out of an
// earlier entry stays out, unless terms widen it; its limits and settings are
// kept, and so are secrets that the operator wrote for it. Nothing is written.
func Prepare(policyFile string, a *plugin.Artifact, terms Terms) (*Approval, error) {
	pol, err := readPolicy(policyFile)
	if err != nil {
		return nil, err
	}
	asked := a.Manifest.Capabilities
	ap := &Approval{file: policyFile, Entry: policy.Entry{Name: a.Manifest.Name, Digest: a.Digest}}
	var had *abi.Capabilities
	old, known := pol.Lookup(a.Manifest.Name)
	if known {
		ap.Entry.Limits, ap.Entry.Config = old.Limits, old.Config
		had = &old.Grant
	}
	if ap.Entry.Grant, ap.Withheld, err = terms.grant(asked, had); err != nil {
		return nil, err
	}
	if known {
		ap.Changes = grantChanges(old.Grant, ap.Entry.Grant)
	}
	ap.HostsUnnamed = len(terms.Hosts) == 0 && !slices.Contains(terms.Without, "http") &&
		anyHost(asked.HTTP) && !anyHost(ap.Entry.Grant.HTTP)
	return ap, nil
}

// grantChanges says in words how a grant differs from the one before it.
func grantChanges(old, new abi.Capabilities) []string {
	changes := plugin.Diff(abi.Manifest{Capabilities: old}, abi.Manifest{Capabilities: new})
	if len(changes) == 0 {
		return []string{"the grant stays as it was"}
	}
	for i, c := range changes {
		changes[i] = strings.Replace(c, "asked", "granted", 1) // it is how each line begins
	}
	return changes
}

// Write puts the entry into the policy file, in one step; where that is a link,
// into the file it leads to. What others wrote there since Prepare is kept, save
// in this plugin's entry. Several processes may do it at once.
func (ap *Approval) Write() (err error) {
	fail := func(err error) error {
		return abi.Errorf(abi.CodeUnavailable, "the policy %s can't be written: %w", ap.file, err).WithHint("name another file with --policy")
	}
	file, err := followLinks(ap.file)
	if err != nil {
		return fail(err)
	}
	lock, err := os.OpenFile(file+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fail(err)
	}
	pol, err := readPolicy(file)
	if err != nil {
		return err
	}
	pol.Allow(ap.Entry)
	b, err := pol.Encode()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".policy-*")
	if err != nil {
		return fail(err)
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errors.Join(fail(err), os.Remove(tmp.Name()))
	}
	return nil
}

// followLinks returns the file that a path stands for, which needn't be there.
func followLinks(path string) (string, error) {
	for range 40 { // as many as Linux follows
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link: a file, or nothing yet
		}
		if !filepath.IsAbs(to) {
			// Not cleaned: in dir/../to, dir may be a link as well.
			to = filepath.Dir(path) + string(filepath.Separator) + to
		}
		path = to
	}
	return "", unix.ELOOP
}

// Verdict says in words what the policy says of a plugin.
func Verdict(policyFile string, a *plugin.Artifact) (string, error) {
	pol, err := readPolicy(policyFile)
	if err != nil {
		return "", err
	}
	_, state := verdict(pol, a)
	return state, nil
}

// States of a Listed plugin.
const (
	ListedAllowed = "allowed"
	ListedRefused = "not allowed"
	ListedChanged = "changed"
	ListedAbsent  = "absent" // in the policy, and no file has that name
	ListedBad     = "not a plugin"
)

func verdict(pol *policy.Policy, a *plugin.Artifact) (state, words string) {
	if _, err := pol.Admit(a.Manifest.Name, a.Digest, a.Path); err == nil {
		return ListedAllowed, "allowed"
	} else if _, known := pol.Lookup(a.Manifest.Name); known {
		return ListedChanged, abi.AsError(err).Message
	}
	words = "not on the whitelist; allow it with: sallyport plugin allow " + a.Path
	if anyHost(a.Manifest.Capabilities.HTTP) {
		words += " --host PATTERN, for each host that it may reach"
	}
	return ListedRefused, words
}

// A Listed is a plugin file, or a policy entry without one.
type Listed struct {
	State   string `json:"state"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"`
	Detail  string `json:"detail"` // the file, or what is wrong
}

// List joins the files of a plugin directory with a policy.
func List(pluginDir, policyFile string) ([]Listed, error) {
	pol, err := readPolicy(policyFile)
	if err != nil {
		return nil, err
	}
	files, err := pluginFiles(pluginDir)
	if err != nil {
		return nil, err
	}
	list := []Listed{}
	var paths []string // of the files in it
	for _, file := range files {
		a, err := plugin.Read(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		paths = append(paths, file)
		if err != nil {
			list = append(list, Listed{State: ListedBad, Name: strings.TrimSuffix(filepath.Base(file), ".wasm"), Detail: abi.AsError(err).Message})
			continue
		}
		l := Listed{Name: a.Manifest.Name, Version: a.Manifest.Version, Digest: a.Digest, Detail: file}
		var words string
		if l.State, words = verdict(pol, a); l.State == ListedChanged {
			l.Detail = words
		}
		list = append(list, l)
	}
	for _, e := range pol.Plugins {
		if !slices.ContainsFunc(list, func(l Listed) bool { return l.Name == e.Name }) {
			list = append(list, Listed{State: ListedAbsent, Name: e.Name, Digest: e.Digest, Detail: fmt.Sprintf("%s allows it, and %s doesn't have it", policyFile, pluginDir)})
		}
	}
	for i, l := range list { // of several with one name, which is which
		same := func(o Listed) bool { return o.Name == l.Name }
		if l.State == ListedChanged && slices.ContainsFunc(slices.Delete(slices.Clone(list), i, i+1), same) {
			list[i].Detail += ": " + paths[i]
		}
	}
	slices.SortFunc(list, func(a, b Listed) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// pluginFiles returns the files of a plugin directory. One that isn't there has
// none.
func pluginFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, abi.Errorf(abi.CodeUnavailable, "the plugin directory can't be read: %w", err).WithHint("name another with --plugin-dir")
	}
	var files []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".wasm" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}
