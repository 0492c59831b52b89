package plugin

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
)

// Bounds of a skill's resources.
const (
	maxFiles     = 4096
	maxFileBytes = 128 << 20 // of all together, unpacked
)

// readArchive opens the zip archive of a files section. It unpacks nothing;
// what a reader gets is checked against the archive's sums.
func readArchive(b []byte) (fs.FS, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, invalid("section %s is not a zip archive: %v", abi.SectionFiles, err)
	}
	if len(z.File) > maxFiles {
		return nil, abi.Errorf(abi.CodeResourceExhausted, "section %s has %d files, the bound is %d", abi.SectionFiles, len(z.File), maxFiles)
	}
	var total uint64
	seen := map[string]bool{}
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, "/")
		switch {
		case !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00"):
			return nil, invalid("section %s: %q is not a path within it", abi.SectionFiles, f.Name)
		case seen[name]:
			return nil, invalid("section %s: %q is there twice", abi.SectionFiles, f.Name)
		case !f.Mode().IsRegular() && !f.Mode().IsDir():
			return nil, invalid("section %s: %q is neither a file nor a folder", abi.SectionFiles, f.Name)
		case f.Method != zip.Store && f.Method != zip.Deflate:
			return nil, invalid("section %s: %q is compressed in a way that isn't known here", abi.SectionFiles, f.Name)
		}
		seen[name] = true
		if total += min(f.UncompressedSize64, maxFileBytes+1); total > maxFileBytes {
			return nil, abi.Errorf(abi.CodeResourceExhausted, "section %s holds more than %d MiB", abi.SectionFiles, maxFileBytes>>20)
		}
	}
	return z, nil
}

// writeArchive packs the named files of a tree, in that order, without times or
// owners. It doesn't compress: the plugin's digest depends on these bytes, so
// they must not depend on the version of a compressor.
func writeArchive(tree fs.FS, names []string) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range names {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			err = copyFile(w, tree, name)
		}
		if err != nil {
			return nil, invalid("%s: %v", name, pathless(err))
		}
		if out.Len() > MaxBytes {
			return nil, oversize(int64(out.Len()))
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// copyFile copies a file, or so much of it that it is too large in any case.
func copyFile(w io.Writer, tree fs.FS, name string) error {
	f, err := tree.Open(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, io.LimitReader(f, MaxBytes+1))
	return errors.Join(err, f.Close())
}
