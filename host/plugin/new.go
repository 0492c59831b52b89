package plugin

import (
	"bufio"
	"bytes"
	"cmp"
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"text/template"

	"github.com/sallyport-dev/sallyport/abi"
)

//go:embed template
var templates embed.FS

// sdkModule is the Go module that has the sdk.
const sdkModule = "github.com/sallyport-dev/sallyport"

// A NewConfig says where to start a plugin.
type NewConfig struct {
	// Dir is the folder to make; one that is there has to be empty.
	Dir string
	// Name is the plugin's; "" is the folder's.
	Name string
	// SDK is a checkout of Sallyport to take the sdk from; "" is the published
	// module.
	SDK string
}

// places are where files of the template go that can't have their own name or
// folder there.
var places = map[string]string{
	"gitignore":   ".gitignore",
	"greet.txtar": "testdata/calls/greet.txtar",
}

// New writes a plugin to start from: a Go tool, its test, a recorded call,
// plugin.yaml, go.mod and a README. With SDK set it builds and tests as it is.
func New(cfg NewConfig) error {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil || cfg.Dir == "" {
		return invalid("a plugin needs a folder").WithHint("sallyport plugin new greeter")
	}
	if cfg.Name == "" {
		cfg.Name = filepath.Base(dir)
	}
	if !abi.ValidPluginName(cfg.Name) {
		return invalid("%q can't be a plugin's name: use a lower-case letter and then up to 31 letters and digits", cfg.Name).
			WithHint("sallyport plugin new %s --name NAME", cfg.Dir)
	}
	values := struct{ Name, Go, Require, SDK string }{
		Name: cfg.Name, Go: toolchain(), Require: published(),
	}
	if cfg.SDK != "" {
		sdk, err := filepath.Abs(cfg.SDK)
		if err != nil {
			return invalid("%s: %v", cfg.SDK, err)
		}
		goVersion, ok := checkout(sdk)
		if !ok {
			return invalid("%s is not a checkout of %s", cfg.SDK, sdkModule).WithHint("--sdk is the folder that has Sallyport's go.mod")
		}
		values.Go, values.Require, values.SDK = goVersion, "v0.0.0", sdk
		if strings.ContainsAny(sdk, " \t\"'`") {
			values.SDK = strconv.Quote(sdk)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return abi.Errorf(abi.CodeUnavailable, "%s: %w", cfg.Dir, pathless(err))
	}
	if len(entries) > 0 {
		return abi.Errorf(abi.CodeAlreadyExists, "%s is not empty", cfg.Dir).WithHint("name a folder that isn't there yet")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return abi.Errorf(abi.CodeUnavailable, "%s can't be made: %w", cfg.Dir, pathless(err))
	}
	all, err := template.ParseFS(templates, "template/*.tmpl")
	if err != nil {
		return err
	}
	for _, t := range all.Templates() {
		name := strings.TrimSuffix(t.Name(), ".tmpl")
		name = filepath.FromSlash(cmp.Or(places[name], name))
		var out bytes.Buffer
		if err := t.Execute(&out, values); err != nil {
			return err
		}
		err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), out.Bytes(), 0o644)
		}
		if err != nil {
			return abi.Errorf(abi.CodeUnavailable, "%s can't be written: %w", filepath.Join(cfg.Dir, name), pathless(err))
		}
	}
	return nil
}

// toolchain returns the Go version that built this program, as go.mod has it.
func toolchain() string {
	version, _, _ := strings.Cut(strings.TrimPrefix(runtime.Version(), "go"), " ")
	if strings.HasPrefix(version, "1.") {
		return version
	}
	return "1.26" // what the sdk needs, where a toolchain has no number
}

// published returns the version of the sdk that belongs to this program, ""
// where the program wasn't built from a published one.
func published() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Path != sdkModule || !strings.HasPrefix(info.Main.Version, "v") || strings.Contains(info.Main.Version, "+") {
		return ""
	}
	return info.Main.Version
}

// FindSDK returns the checkout of Sallyport that dir is in, "" where it is in
// none.
func FindSDK(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for {
		if _, ok := checkout(dir); ok {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// checkout says whether dir is the root of Sallyport's module, and which Go
// version that asks for.
func checkout(dir string) (goVersion string, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", false
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		switch fields := strings.Fields(lines.Text()); {
		case len(fields) != 2:
		case fields[0] == "module":
			ok = fields[1] == sdkModule
		case fields[0] == "go":
			goVersion = fields[1]
		}
	}
	return goVersion, ok
}
