package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

// States of a Finding.
const (
	FindingOK      = "ok"
	FindingWarning = "warning" // the host works, with less
	FindingMissing = "missing" // a host doesn't start, or its calls fail
)

// DataFinding is the name of the finding of the data directory. It is a warning
// when a host is running on it.
const DataFinding = "data directory"

// A Finding is what Doctor has to say of one part.
type Finding struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"` // what to do about it
}

// Doctor tries what a host of this configuration needs, and changes nothing.
// It tries each part for real: Python is run, files are read.
func Doctor(ctx context.Context, cfg Config) []Finding {
	findings := []Finding{
		dataFinding(cfg.DataDir),
		auditFinding(filepath.Join(cfg.DataDir, AuditFile)),
		pythonFinding(ctx, cmp.Or(cfg.Python, "python3")),
		fontFinding(),
		policyFinding(cfg.PolicyFile),
		pluginFinding(cfg.PluginDir, cfg.PolicyFile),
	}
	if cfg.CAFile != "" {
		findings = append(findings, authoritiesFinding(cfg.CAFile))
	}
	return append(findings, wallFindings(cfg)...)
}

// failing is the finding of an error.
func failing(name string, err error) Finding {
	f := Finding{Name: name, State: FindingMissing, Detail: err.Error()}
	if e := (*abi.Error)(nil); errors.As(err, &e) {
		f.Detail, f.Hint = e.Message, e.Hint
	}
	return f
}

func dataFinding(dir string) Finding {
	path, err := filepath.Abs(dir)
	if err != nil {
		return failing(DataFinding, err)
	}
	if err := writable(path); err != nil {
		return failing(DataFinding, err)
	}
	// Where it isn't there, the check of its version would write one.
	if _, err := os.Stat(filepath.Join(path, "VERSION")); err == nil {
		if err := (&dataDir{path: path}).checkVersion(); err != nil {
			return failing(DataFinding, err)
		}
	}
	owner, err := lockOwner(filepath.Join(path, "LOCK"))
	if err != nil {
		return failing(DataFinding, err)
	}
	if owner != "" {
		return Finding{
			Name: DataFinding, State: FindingWarning, Detail: fmt.Sprintf("%s: a host is running on it (process %s)", dir, owner),
			Hint: "end that host before you start another, or choose another folder with --data-dir",
		}
	}
	return Finding{Name: DataFinding, State: FindingOK, Detail: dir}
}

// writable says why a folder can't be used, or made: the nearest one that is
// there has to be writable.
func writable(path string) error {
	const hint = "choose another with --data-dir"
	for {
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.IsDir():
			return abi.Errorf(abi.CodeUnavailable, "%s is not a folder", path).WithHint(hint)
		case err == nil:
			if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil {
				return abi.Errorf(abi.CodeUnavailable, "%s can't be written: %w", path, err).WithHint(hint)
			}
			return nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR), path == filepath.Dir(path):
			return abi.Errorf(abi.CodeUnavailable, "%s can't be looked at: %w", path, err).WithHint(hint)
		}
		path = filepath.Dir(path)
	}
}

// lockOwner returns who holds the lock of a data directory, "" for nobody. It
// holds the lock for a moment itself, shared with others that ask.
func lockOwner(file string) (string, error) {
	lock, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", abi.Errorf(abi.CodeUnavailable, "%s can't be opened: %w", file, err).WithHint("choose another folder with --data-dir")
	}
	defer lock.Close()
	if info, err := lock.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", abi.Errorf(abi.CodeUnavailable, "%s is not a regular file", file).WithHint("choose another folder with --data-dir")
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_SH|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		return "", err
	}
	owner := make([]byte, 32)
	n, _ := lock.ReadAt(owner, 0) // the number only helps
	return cmp.Or(strings.TrimSpace(string(owner[:n])), "unknown"), nil
}

func auditFinding(file string) Finding {
	const name = "audit log"
	if err := audit.Check(file); err != nil {
		return failing(name, err)
	}
	return Finding{Name: name, State: FindingOK, Detail: file}
}

func pythonFinding(ctx context.Context, python string) Finding {
	if err := kernel.Check(ctx, python); err != nil {
		return failing("python", err)
	}
	return Finding{Name: "python", State: FindingOK, Detail: python + " with ipykernel"}
}

// fontFinding looks for the fonts that make setup installs.
func fontFinding() Finding {
	const name = "CJK fonts"
	for _, pattern := range []string{
		"/usr/share/fonts/opentype/noto/NotoSansCJK*", "/usr/share/fonts/*/*NotoSansCJK*",
		"/usr/local/share/fonts/*NotoSansCJK*",
	} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return Finding{Name: name, State: FindingOK, Detail: found[0]}
		}
	}
	return Finding{
		Name: name, State: FindingWarning, Detail: "Chinese, Japanese and Korean text in charts will be boxes",
		Hint: "apt install fonts-noto-cjk, or make setup",
	}
}

func policyFinding(file string) Finding {
	p, err := readPolicy(file)
	if err != nil {
		return failing("policy", err)
	}
	f := Finding{Name: "policy", State: FindingOK, Detail: fmt.Sprintf("%s allows %d plugins", file, len(p.Plugins))}
	if len(p.Plugins) == 0 {
		f.State, f.Hint = FindingWarning, "allow a plugin with: sallyport plugin allow FILE.wasm"
	}
	return f
}

func pluginFinding(dir, policyFile string) Finding {
	const name = "plugins"
	p, err := readPolicy(policyFile)
	if err != nil {
		return Finding{Name: name, State: FindingWarning, Detail: "none is admitted: the policy can't be used"}
	}
	files, err := pluginFiles(dir)
	if err != nil {
		return failing(name, err)
	}
	admitted := 0
	var refused error
	for _, file := range files {
		a, err := plugin.Read(file)
		if err == nil {
			_, err = p.Admit(a.Manifest.Name, a.Digest, file)
		}
		if err != nil {
			refused = err
			continue
		}
		admitted++
	}
	f := Finding{Name: name, State: FindingOK, Detail: fmt.Sprintf("%s has %d plugins, %d of them admitted", dir, len(files), admitted)}
	if admitted == 0 {
		f.State, f.Hint = FindingWarning, "build plugins with make build, and allow them with sallyport plugin allow"
	}
	if refused != nil {
		f.State, f.Hint = FindingWarning, abi.AsError(refused).Message+"; see sallyport plugin list"
	}
	return f
}

func authoritiesFinding(file string) Finding {
	const name = "authorities"
	if _, err := authorities(file); err != nil {
		return failing(name, err)
	}
	return Finding{Name: name, State: FindingOK, Detail: file + ", besides the system's, in what plugins fetch"}
}

// wallFindings tries the walls round child processes.
func wallFindings(cfg Config) []Finding {
	const name = "isolation"
	isolation := proc.Isolation(cmp.Or(cfg.Isolation, string(proc.IsolationRequired)))
	starter, err := proc.New(proc.Config{Isolation: isolation, Bubblewrap: cfg.Bubblewrap})
	if err != nil {
		return []Finding{failing(name, unavailable(err))}
	}
	f := Finding{Name: name, State: FindingOK, Detail: string(isolation) + ": each kernel stands behind these walls"}
	if err := starter.Check(); err != nil {
		f = failing(name, unavailable(err))
	} else if !starter.Isolated() {
		f = Finding{Name: name, State: FindingWarning, Detail: string(isolation) + ": what a kernel runs is an ordinary process of this account"}
	}
	list := []Finding{f}
	for _, w := range starter.Walls() {
		wall := Finding{Name: w.Name, State: FindingOK, Detail: w.Detail, Hint: w.Hint}
		if !w.Holds {
			wall.State = FindingWarning
		}
		list = append(list, wall)
	}
	return list
}
