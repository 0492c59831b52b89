package kernel

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// failureLasts is how long a failed list of fonts isn't tried for again.
const failureLasts = time.Hour

// errFailedBefore is why plotCache didn't try.
var errFailedBefore = errors.New("it failed before")

// fontsScript lists the fonts that matplotlib sees, which makes it write its
// own list of them on the way.
//
//go:embed fonts.py
var fontsScript string

// cjkFonts are families for Chinese, Japanese and Korean, best first. The first
// one there is used where matplotlib's own font has no glyph. One that isn't
// there must not be named: matplotlib would complain at every plot.
var cjkFonts = []string{
	"Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK TC", "Noto Sans CJK KR",
	"Source Han Sans SC", "Source Han Sans CN", "Noto Sans SC", "WenQuanYi Micro Hei",
	"WenQuanYi Zen Hei", "Droid Sans Fallback",
}

// configurePlots gives a kernel its copy of what matplotlib needs: its list of
// fonts and a matplotlibrc. A kernel can do without, so a failure is logged.
func configurePlots(ctx context.Context, c *Config, root *os.Root, python program) error {
	cache, err := plotCache(ctx, c, python)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errFailedBefore) {
			return nil // and was logged then
		}
		c.Logger.Warn("matplotlib's fonts could not be listed", "python", python.path, "error", err)
		return nil
	}
	entries, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(cache, e.Name()))
		if err != nil {
			return err
		}
		if err := c.writeFile(root, filepath.Join("matplotlib", e.Name()), data); err != nil {
			return err
		}
	}
	return nil
}

// plotCache returns the folder with those files, making it if need be. It is
// made aside and renamed, so that it is there whole or not at all; of two
// hosts that make it at once one wins, and both have the same. A failure is
// remembered beside it, for an hour: trying takes up to StartTimeout, and every
// start of every kernel would wait for it.
func plotCache(ctx context.Context, c *Config, python program) (string, error) {
	dir := filepath.Join(c.CacheDir, "matplotlib-"+plotKey(python.path))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	failed := filepath.Join(c.CacheDir, "failed-"+filepath.Base(dir))
	if info, err := os.Stat(failed); err == nil && time.Since(info.ModTime()) < failureLasts {
		return "", errFailedBefore
	}
	if err := os.MkdirAll(c.CacheDir, 0o700); err != nil {
		return "", err
	}
	made, err := os.MkdirTemp(c.CacheDir, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(made)
	if err := listFonts(ctx, c, python, made); err != nil {
		if ctx.Err() == nil { // else it was the caller who went away
			err = errors.Join(err, os.WriteFile(failed, []byte(err.Error()+"\n"), 0o600))
		}
		return "", err
	}
	if err := os.Rename(made, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}

// plotKey changes when another matplotlib or other fonts are installed.
func plotKey(python string) string {
	hash := sha256.New()
	note := func(path string) {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintln(hash, path, info.ModTime().UnixNano())
		}
	}
	fmt.Fprintln(hash, python)
	packages, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python)), "lib*", "python3*", "*-packages"))
	for _, path := range packages {
		note(path)
	}
	for _, fonts := range []string{"/usr/share/fonts", "/usr/local/share/fonts"} {
		filepath.WalkDir(fonts, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				note(path)
			}
			return nil // a folder that can't be read holds no fonts for anybody
		})
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:8])
}

// listFonts fills dir with matplotlib's list of fonts and a matplotlibrc; with
// nothing, when there is no matplotlib.
func listFonts(ctx context.Context, c *Config, python program, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	work := proc.View{Source: filepath.Join(dir, "work"), Target: "/work"}
	if err := os.Mkdir(work.Source, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(work.Source)
	root, err := os.OpenRoot(work.Source)
	if err != nil {
		return err
	}
	defer root.Close()
	at := c.Starter.Seen(work)
	child, err := c.Starter.Start(ctx, proc.Spec{
		Name: "list of fonts", Path: python.path, Args: []string{"-c", fontsScript},
		Env:   map[string]string{"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": at, "MPLCONFIGDIR": at},
		Dir:   work.Source,
		Views: append(slices.Clone(python.views), work),
		User:  c.User,
	})
	if err != nil {
		return err
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		return errors.Join(ctx.Err(), child.Stop(ctx))
	}
	if exit := child.Exit(); exit.Code != 0 {
		return fmt.Errorf("%s: %s", exit.Reason, lastLine(child.Output()))
	}
	data, err := takeFile(root, "families.json")
	if err != nil {
		return err
	}
	var families []string
	if err := json.Unmarshal(data, &families); err != nil {
		return err
	}
	// Only what is known by name goes on to the kernels.
	lists, err := fs.Glob(root.FS(), "fontlist-*.json")
	if err != nil {
		return err
	}
	for _, name := range lists {
		data, err := takeFile(root, name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	for _, family := range cjkFonts {
		if slices.Contains(families, family) {
			rc := "font.family: sans-serif, " + family + "\n"
			return os.WriteFile(filepath.Join(dir, "matplotlibrc"), []byte(rc), 0o600)
		}
	}
	return nil
}

// maxList bounds a list of fonts, in bytes.
const maxList = 16 << 20

// takeFile reads what a child has written.
func takeFile(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxList {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", name, maxList)
	}
	return io.ReadAll(io.LimitReader(f, maxList))
}
