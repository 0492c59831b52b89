package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"path/filepath"

	"github.com/sallyport-dev/sallyport/abi"
)

// A PackConfig says which module gets which manifest.
type PackConfig struct {
	// Module is a .wasm file that another toolchain built. Required.
	Module string
	// Manifest is a plugin.yaml, or a manifest in JSON. Required.
	Manifest string
	// Output is the file to write; it may be Module. Required.
	Output string
	// Describe learns the tools where the manifest doesn't have them. Required
	// for a plugin.yaml.
	Describe Describe
}

// PackFile makes a plugin of a module that another toolchain built. Tools that
// a JSON manifest has are taken from there, and then nothing is run; otherwise
// the module's describe export tells them.
func PackFile(ctx context.Context, cfg PackConfig) (*Artifact, error) {
	wasm, err := readFile(cfg.Module)
	if err != nil {
		return nil, inFile(cfg.Module, err)
	}
	m, files, err := readManifest(cfg.Manifest)
	if err != nil {
		return nil, err
	}
	if len(m.Tools) == 0 {
		d, err := ReadDescription(ctx, cfg.Describe, wasm)
		if err != nil {
			return nil, inFile(cfg.Module, err)
		}
		m.ABI, m.Tools = d.ABI, d.Tools
	}
	packed, err := Pack(wasm, m, files)
	if err != nil {
		return nil, inFile(cfg.Module, err)
	}
	a, err := Parse(packed)
	if err != nil {
		return nil, inFile(cfg.Module, err)
	}
	a.Path = cfg.Output
	return a, a.Write(a.Path)
}

// readManifest reads what an author wrote: plugin.yaml, or JSON.
func readManifest(path string) (abi.Manifest, fs.FS, error) {
	if filepath.Ext(path) != ".json" {
		s, err := ReadSource(path)
		if err != nil {
			return abi.Manifest{}, nil, err
		}
		files, err := s.Resources()
		return s.Manifest(abi.Description{}), files, err
	}
	b, err := readFile(path)
	if err != nil {
		return abi.Manifest{}, nil, inFile(path, err)
	}
	var m abi.Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, nil, inFile(path, invalidManifest(err))
	}
	return m, nil, nil
}
