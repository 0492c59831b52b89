package plugin

import (
	"bytes"
	"encoding/json"
	"io/fs"

	"github.com/sallyport-dev/sallyport/abi"
)

// Pack puts a manifest, and files where there are any, into a module, in the
// place of those that are in it. The same input gives the same bytes. It fails
// where the result isn't a plugin that Parse accepts; a nil files is none.
func Pack(wasm []byte, m abi.Manifest, files fs.FS) ([]byte, error) {
	in, err := readModule(wasm)
	if err != nil {
		return nil, err
	}
	var manifest bytes.Buffer
	enc := json.NewEncoder(&manifest)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, invalid("manifest: %v", err)
	}
	out := make([]byte, 0, len(wasm)+manifest.Len()+64)
	out = append(out, wasm[:8]...)
	for _, s := range in.sections {
		if s.id != sectionCustom || s.name != abi.SectionManifest && s.name != abi.SectionFiles {
			out = append(out, s.whole...)
		}
	}
	out = appendCustom(out, abi.SectionManifest, bytes.TrimSpace(manifest.Bytes()))
	if files != nil {
		names, err := filesUnder(files, ".")
		if err != nil {
			return nil, invalid("files: %v", err)
		}
		archive, err := writeArchive(files, names)
		if err != nil {
			return nil, err
		}
		out = appendCustom(out, abi.SectionFiles, archive)
	}
	if _, err := Parse(out); err != nil {
		return nil, err
	}
	return out, nil
}
