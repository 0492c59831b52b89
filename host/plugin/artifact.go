package plugin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// MaxBytes bounds a plugin's file.
const MaxBytes = 64 << 20

// maxManifestBytes bounds the manifest's JSON.
const maxManifestBytes = 4 << 20

// An Artifact is a plugin's file, read and found consistent; nothing of it was
// run. It is immutable and may be used from several goroutines.
type Artifact struct {
	Path     string // "" where it didn't come from a file
	Wasm     []byte
	Digest   string // sha256:<hex>, of the whole file
	Manifest abi.Manifest
	Files    fs.FS    // the skill's resources; nil where there are none
	Imports  []Import // as the module lists them

	schemas map[string]*schema // of the tools' arguments, by the tools' names
}

// Read reads a plugin's file. Errors are *abi.Error and name the file.
func Read(path string) (*Artifact, error) {
	wasm, err := readFile(path)
	if err == nil {
		var a *Artifact
		if a, err = Parse(wasm); err == nil {
			a.Path = path
			return a, nil
		}
	}
	return nil, inFile(path, err)
}

// readFile reads a file of at most MaxBytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, abi.Errorf(abi.CodeNotFound, "there is no such file")
	}
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, unreadable(err)
	case !info.Mode().IsRegular():
		return nil, invalid("not a file")
	case info.Size() > MaxBytes:
		return nil, oversize(info.Size())
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return b, nil
}

// unreadable makes an error of the system's about a file.
func unreadable(err error) *abi.Error {
	return abi.Errorf(abi.CodeUnavailable, "can't be read: %w", pathless(err))
}

// pathless returns an error of the system's without its path, for a message
// that names the file already.
func pathless(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

func oversize(n int64) *abi.Error {
	return abi.Errorf(abi.CodeResourceExhausted, "the file has %d MiB, a plugin has at most %d", (n+1<<20-1)>>20, MaxBytes>>20).
		WithHint("leave resources out, or read them from the workspace")
}

// inFile names the file in an error.
func inFile(path string, err error) error {
	e := *abi.AsError(err)
	e.Message = path + ": " + e.Message
	return &e
}

// Write puts the artifact into a file, which is there whole or as it was.
func (a *Artifact) Write(path string) (err error) {
	defer func() {
		if err != nil {
			err = abi.Errorf(abi.CodeUnavailable, "%s: can't be written: %w", path, pathless(err))
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(a.Wasm)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Parse reads a plugin from memory, which it keeps. It fails with
// invalid_argument where wasm is truncated, not a module, not a plugin, or
// asks for more than its manifest says; with unimplemented where it speaks a
// newer ABI; with resource_exhausted where it is too large.
func Parse(wasm []byte) (*Artifact, error) {
	if len(wasm) > MaxBytes {
		return nil, oversize(int64(len(wasm)))
	}
	m, err := readModule(wasm)
	if err != nil {
		return nil, err
	}
	a := &Artifact{Wasm: wasm, Digest: Digest(wasm), Imports: m.imports}
	if err := m.checkVersion(); err != nil {
		return nil, err
	}
	manifest, err := m.custom(abi.SectionManifest)
	if err != nil {
		return nil, err
	}
	if manifest == nil {
		return nil, invalid("not a plugin: the module has no section %s", abi.SectionManifest).
			WithHint("sallyport plugin build makes a plugin from Go, and sallyport plugin pack one of a module that another toolchain built")
	}
	if a.Manifest, err = decodeManifest(manifest); err != nil {
		return nil, err
	}
	if a.schemas, err = schemasOf(a.Manifest.Name, a.Manifest.Tools); err != nil {
		return nil, err
	}
	if err := m.checkExports(); err != nil {
		return nil, err
	}
	if err := checkImports(m.imports, a.Modules()); err != nil {
		return nil, err
	}
	files, err := m.custom(abi.SectionFiles)
	if err != nil {
		return nil, err
	}
	if files != nil {
		if a.Files, err = readArchive(files); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Digest names a file by what is in it: sha256:<hex>.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// decodeManifest is lenient about fields that this version doesn't know, save
// in what is asked for: nothing may be asked for in a way that isn't shown.
func decodeManifest(b []byte) (abi.Manifest, error) {
	var m abi.Manifest
	if len(b) > maxManifestBytes {
		return m, abi.Errorf(abi.CodeResourceExhausted, "manifest: it has %d bytes, the bound is %d", len(b), maxManifestBytes)
	}
	var version struct {
		ABI int `json:"abi"`
	}
	if err := json.Unmarshal(b, &version); err == nil && version.ABI > abi.Version {
		m.ABI = version.ABI
		return m, m.Validate()
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, invalidManifest(err)
	}
	var asked struct {
		Capabilities json.RawMessage `json:"capabilities"`
		Limits       json.RawMessage `json:"limits"`
	}
	if err := json.Unmarshal(b, &asked); err != nil {
		return m, invalidManifest(err)
	}
	for _, part := range []struct {
		name string
		raw  json.RawMessage
		into any
	}{
		{"capabilities", asked.Capabilities, new(abi.Capabilities)},
		{"limits", asked.Limits, new(abi.Limits)},
	} {
		if part.raw == nil {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(part.raw))
		d.DisallowUnknownFields()
		if err := d.Decode(part.into); err != nil {
			return m, invalid("manifest: %s: %s", part.name, jsonMessage(err)).
				WithHint("this host doesn't know it: update the host, or leave it out of the manifest")
		}
	}
	if err := m.Validate(); err != nil {
		e := *abi.AsError(err)
		if e.Code == abi.CodeInvalidArgument {
			e.Message = "manifest: " + e.Message
		}
		return m, &e
	}
	return m, nil
}

func invalidManifest(err error) *abi.Error {
	if at, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && at.Field != "" {
		return invalid("manifest: %s is a JSON %s, which isn't what belongs there", at.Field, at.Value)
	}
	return invalid("manifest: %s", jsonMessage(err))
}

// jsonMessage is err's text without the decoder's name.
func jsonMessage(err error) string {
	if at, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("not JSON: %v, at byte %d", at, at.Offset)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// checkVersion finds a module whose exports are of a newer ABI, whether or not
// its manifest says so.
func (m *module) checkVersion() error {
	newest := 0
	for name := range m.exports {
		if rest, ok := strings.CutPrefix(name, abi.ExportPrefix); ok {
			digits, _, _ := strings.Cut(rest, "_")
			if v, err := strconv.Atoi(digits); err == nil {
				newest = max(newest, v)
			}
		}
	}
	if _, ours := m.exports[abi.ExportCall]; !ours && newest > abi.Version {
		return (&abi.Manifest{ABI: newest}).Validate()
	}
	return nil
}

func (m *module) checkExports() error {
	for _, want := range []struct{ name, kind string }{
		{abi.ExportMemory, KindMemory}, {abi.ExportArena, KindFunction},
		{abi.ExportDescribe, KindFunction}, {abi.ExportCall, KindFunction},
	} {
		if m.exports[want.name] != want.kind {
			return invalid("not a plugin: the module doesn't export the %s %s", want.kind, want.name).
				WithHint("a Go plugin imports the sdk and is built with sallyport plugin build; other toolchains follow abi/README.md")
		}
	}
	return nil
}

// moduleOf names the import module of each capability that c asks for.
func moduleOf(c abi.Capabilities) []string {
	var out []string
	if c.Kernel != nil {
		out = append(out, abi.ModuleKernel)
	}
	if c.HTTP != nil {
		out = append(out, abi.ModuleHTTP)
	}
	if c.Tool != nil {
		out = append(out, abi.ModuleTool)
	}
	return out
}

// Modules returns the import modules that the manifest's capabilities allow,
// besides those that every plugin may use.
func (a *Artifact) Modules() []string { return moduleOf(a.Manifest.Capabilities) }

// checkImports holds what the module imports against what its manifest asks
// for. Whether WASI has a function of that name is the engine's to say.
func checkImports(imports []Import, modules []string) error {
	known := map[string]bool{abi.ModuleCall + "." + abi.FuncResponse: true}
	for _, op := range abi.Ops() {
		module, function := abi.SplitOp(op)
		known[module+"."+function] = true
	}
	for _, imp := range imports {
		full := imp.Module + "." + imp.Name
		capability, ours := strings.CutPrefix(imp.Module, abi.ModulePrefix)
		switch {
		case imp.Kind != KindFunction:
			return invalid("the module imports the %s %s, and a plugin imports functions alone", imp.Kind, full).
				WithHint("build it so that its memory and tables are its own")
		case imp.Module == abi.ModuleWASI:
		case !ours:
			return invalid("the module imports %s, which no host has", full).
				WithHint("a plugin imports %s and modules that begin with %s", abi.ModuleWASI, abi.ModulePrefix)
		case imp.Module != abi.ModuleCall && !slices.Contains(modules, imp.Module):
			return invalid("the module imports %s, and its manifest doesn't ask for %s", full, capability).
				WithHint("ask for it under capabilities in plugin.yaml, or don't use it")
		case !known[full]:
			return abi.Errorf(abi.CodeUnimplemented, "the module imports %s, which ABI %d doesn't have", full, abi.Version).
				WithHint("update the host, or build the plugin against an older sdk")
		}
	}
	return nil
}
