package plugin

import (
	"bytes"
	"encoding/json"
	"io/fs"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// Pack puts a manifest, and files where there are any, into a module, in the
// place of those that are in it. The same input gives the same bytes. It fails
// where the result isn't a plugin that Parse accepts; a nil files is none.
func Pack(module []byte, m abi.Manifest, files fs.FS) ([]byte, error) {
	in, err := readModule(module)
	if err != nil {
		return nil, err
	}
	var manifest bytes.Buffer
	enc := json.NewEncoder(&manifest)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, invalid("manifest: %v", err)
	}
	out := in.Without(abi.SectionManifest, abi.SectionFiles)
	out = wasm.AppendCustom(out, abi.SectionManifest, bytes.TrimSpace(manifest.Bytes()))
	if files != nil {
		names, err := filesUnder(files, ".")
		if err != nil {
			return nil, invalid("files: %v", err)
		}
		archive, err := writeArchive(files, names)
		if err != nil {
			return nil, err
		}
		out = wasm.AppendCustom(out, abi.SectionFiles, archive)
	}
	if _, err := Parse(out); err != nil {
		return nil, err
	}
	return out, nil
}
