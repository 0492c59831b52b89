package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
	"github.com/sallyport-dev/sallyport/host/plugin"
)

// States of a Finding.
const (
	FindingOK      = "ok"
	FindingWarning = "warning" // the host works, with less
	FindingMissing = "missing" // the host, or its kernels, can't work
)

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
	return append([]Finding{
		dataFinding(cfg.DataDir),
		pythonFinding(ctx, cmp.Or(cfg.Python, "python3")),
		fontFinding(),
		policyFinding(cfg.PolicyFile),
		pluginFinding(cfg.PluginDir, cfg.PolicyFile),
	}, wallFindings(cmp.Or(cfg.Isolation, string(proc.IsolationRequired)))...)
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
	const name = "data directory"
	// The nearest folder that is there has to be writable.
	at, err := filepath.Abs(dir)
	if err != nil {
		return failing(name, err)
	}
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return failing(name, abi.Errorf(abi.CodeUnavailable, "%s is not a folder", at).WithHint("choose another with --data-dir"))
		}
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			return failing(name, err)
		}
		at = filepath.Dir(at)
	}
	if err := unix.Access(at, unix.W_OK); err != nil {
		return failing(name, abi.Errorf(abi.CodeUnavailable, "%s can't be written: %w", at, err).WithHint("choose another with --data-dir"))
	}
	return Finding{Name: name, State: FindingOK, Detail: dir}
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

func wallFindings(isolation string) []Finding {
	starter, err := proc.New(proc.Config{Isolation: proc.Isolation(isolation)})
	if err != nil {
		return []Finding{failing("isolation", err)}
	}
	list := []Finding{{Name: "isolation", State: FindingWarning, Detail: "off: what a kernel runs is an ordinary process of this account"}}
	if isolation != string(proc.IsolationOff) {
		list = nil
	}
	for _, w := range starter.Walls() {
		f := Finding{Name: w.Name, State: FindingOK, Detail: w.Detail, Hint: w.Hint}
		if !w.Holds {
			f.State = FindingWarning
			if isolation == string(proc.IsolationRequired) {
				f.State = FindingMissing
			}
		}
		list = append(list, f)
	}
	return list
}
