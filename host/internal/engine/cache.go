package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/tetratelabs/wazero"
)

// openCache opens the cache of compiled modules in dir, or one in memory when
// dir is empty. What lies in dir is executed, so nobody else may write there.
func openCache(dir string) (wazero.CompilationCache, error) {
	if dir == "" {
		return wazero.NewCompilationCache(), nil
	}
	if err := ownDir(dir); err != nil {
		return nil, abi.Errorf(abi.CodeUnavailable, "compilation cache: %w", err).
			WithHint("give the host a folder of its own for the cache")
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, abi.Errorf(abi.CodeUnavailable, "compilation cache: %w", err)
	}
	return cache, nil
}

// ownDir makes dir, or takes one that is there, with mode 0700.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return &fs.PathError{Op: "open", Path: dir, Err: errors.New("it belongs to another user")}
	}
	if info.Mode().Perm() != 0o700 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// cacheFault says whether a compilation failed because of the cache and not
// because of the module: a damaged entry, a full disk, a missing folder.
func cacheFault(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	return errors.As(err, &path) || errors.As(err, &link) || strings.HasPrefix(err.Error(), "compilationcache:")
}

// purgeCache removes every entry. The names are hashes of what only the
// runtime knows, so the damaged one can't be told from the others.
func purgeCache(dir string) error {
	entries, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range entries {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
