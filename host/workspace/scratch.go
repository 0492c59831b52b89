package workspace

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/sallyport-dev/sallyport/abi"
)

// Scratch makes an empty folder inside dir, which is made if it isn't there,
// and returns a view of it for writing, bounded by maxBytes (zero is 64 MiB)
// and 10 000 entries. remove ends the view and deletes the folder; files that
// are open stay so until they are closed. A second call of it returns what the
// first did.
func Scratch(dir string, maxBytes int64) (view *FS, remove func() error, err error) {
	cfg := Config{Dir: dir, MaxBytes: cmp.Or(maxBytes, 64<<20), MaxFiles: 10_000}
	cfg.MaxFileBytes = cfg.MaxBytes
	if err := cfg.setDefaults(); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("scratch: %w", err)
	}
	path, err := os.MkdirTemp(dir, "scratch-")
	if err != nil {
		return nil, nil, fmt.Errorf("scratch: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("scratch: %w", err), os.RemoveAll(path))
	}
	l := newLedger(cfg)
	l.roots = []*os.Root{root}
	l.measure()
	remove = sync.OnceValue(func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closed = true
		return errors.Join(root.Close(), os.RemoveAll(path))
	})
	return &FS{root: root, ledger: l, zone: "tmp", access: abi.AccessWrite}, remove, nil
}
