package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport-dev/sallyport/abi"
)

// extensions are those of the pictures that are known. A picture's type is the
// plugin's to choose, so nothing of it goes into a file's name.
var extensions = map[string]string{
	"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp", "image/svg+xml": "svg",
}

// pictures are a folder that results' pictures are saved in, under numbers.
type pictures struct {
	dir  string
	last int // number used
}

// save writes a picture to a new file of the folder, which it makes if it isn't
// there, and returns its path.
func (p *pictures) save(b abi.Content) (path string, err error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return "", cannotSave(err)
	}
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return "", cannotSave(err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for range 10_000 {
		p.last++
		name := fmt.Sprintf("picture-%d.%s", p.last, cmp.Or(extensions[b.MIMEType], "bin"))
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", cannotSave(err)
		}
		_, err = f.Write(b.Data)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", cannotSave(err)
		}
		return filepath.Join(p.dir, name), nil
	}
	return "", cannotSave(fmt.Errorf("%s is full of pictures", p.dir))
}

func cannotSave(err error) error {
	return abi.Errorf(abi.CodeUnavailable, "a picture can't be saved: %w", err).WithHint("name another folder with --save")
}
