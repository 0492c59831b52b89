package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/wasm"
)

// The cache's folder has an entry for each product, a folder named by its key:
//
//	entry.json   the names, sizes and checksums of the other files
//	recipe.json  what else there is to know of the product
//	module.wasm  the rewritten module
//	birth        the image of its memory before anything has run
//	snapshot     that of it once initialised, where there is one
//	native/      what the runtime's compiler made
//
// An entry is made beside its place and then renamed, so it is there whole or
// not at all; one that is damaged is removed and made again.
const (
	entryFile  = "entry.json"
	recipeFile = "recipe.json"
	moduleFile = "module.wasm"
	birthFile  = "birth"
	snapFile   = "snapshot"
	nativeDir  = "native"
)

// maxEntries is how many entries are kept, of some 30 MB each; those used last
// stay.
const maxEntries = 32

// entry is what entry.json holds, by slash-separated path.
type entry map[string]checksum

// A checksum finds damage. Whoever could forge one could replace the host.
type checksum struct {
	Size  int    `json:"size"`
	CRC32 uint32 `json:"crc32c"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sumOf(b []byte) checksum { return checksum{len(b), crc32.Checksum(b, castagnoli)} }

// files returns what of a product goes into the cache.
func (r recipe) files(module []byte, birth, snapshot *image) (map[string][]byte, error) {
	e, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{recipeFile: e, moduleFile: module, birthFile: birth.encode()}
	if snapshot != nil {
		files[snapFile] = snapshot.encode()
	}
	return files, nil
}

// newNative is the runtime's own cache in dir, or in memory.
func newNative(dir string) (wazero.CompilationCache, error) {
	if dir == "" {
		return wazero.NewCompilationCache(), nil
	}
	return wazero.NewCompilationCacheWithDir(filepath.Join(dir, nativeDir))
}

// keyOf names the product of a module: it changes with everything that the
// product depends on, the way that modules are rewritten included. A plugin's
// manifest and files are not of it, so a version with the same code is ready at
// once.
func (e *Engine) keyOf(m *wasm.Module, o Options) string {
	digest := sha256.Sum256(m.Without(abi.SectionManifest, abi.SectionFiles))
	h := sha256.New()
	fmt.Fprintf(h, "%x %x %d %s %v", digest, e.fingerprint, abi.Version, runtime.GOARCH, o.Unmetered)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// fingerprint rewrites a module that has something of everything that is
// rewritten, so that a change of how it is done changes every key.
func fingerprint() ([]byte, error) {
	const (
		loop     = "\x03\x40\x41\x00\x0d\x00\x0b"                         // loop, i32.const 0, br_if 0, end
		zeros    = "\x41\x00\x41\x00\x41\x00"                             // i32.const 0, three times
		bulk     = zeros + "\xfc\x0b\x00" + zeros + "\xfc\x0a\x00\x00"    // memory.fill, memory.copy
		grow     = "\xd0\x70\x41\x00\xfc\x0f\x00\x1a\x41\x00\x40\x00\x1a" // table.grow, memory.grow
		indirect = "\x41\x00\x11\x00\x00"                                 // call_indirect
		first    = "\x00" + loop + bulk + grow + indirect + "\x10\x01\x0b"
		second   = "\x00\x10\x00\x0b"
		code     = "\x02" + string(rune(len(first))) + first + string(rune(len(second))) + second
		sample   = "\x00asm\x01\x00\x00\x00" +
			"\x01\x04\x01\x60\x00\x00" + "\x03\x03\x02\x00\x00" + "\x04\x04\x01\x70\x00\x01" + "\x05\x03\x01\x00\x01" +
			"\x0a" + string(rune(len(code))) + code
	)
	m, err := wasm.Parse([]byte(sample))
	if err != nil {
		return nil, err
	}
	r, err := m.Rewrite(wasm.Options{})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(r.Wasm)
	return sum[:], nil
}

// load makes a product of its entry. It fails where there is none, with
// fs.ErrNotExist, or where the entry is damaged.
func (p *product) load(ctx context.Context, e *Engine, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, entryFile))
	if err != nil {
		return err
	}
	var entry entry
	if err := json.Unmarshal(b, &entry); err != nil {
		return fmt.Errorf("%s: %w", entryFile, err)
	}
	files := map[string][]byte{}
	for name, want := range entry {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%s names the file %q", entryFile, name)
		}
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return fmt.Errorf("a file of the entry: %w", errors.Join(errDamaged, err))
		}
		if sumOf(b) != want {
			return fmt.Errorf("%s: the checksum doesn't match", name)
		}
		files[name] = b
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(files)), func(name string) bool { return strings.HasPrefix(name, nativeDir+"/") }) {
		return fmt.Errorf("%s names no native code", entryFile)
	}
	var r recipe
	if err := json.Unmarshal(files[recipeFile], &r); err != nil {
		return fmt.Errorf("%s: %w", recipeFile, err)
	}
	if p.birth, err = decodeImage(files[birthFile], len(r.Globals)); err != nil {
		return err
	}
	if r.Plain == "" {
		if p.snapshot, err = decodeImage(files[snapFile], len(r.Globals)); err != nil {
			return err
		}
	}
	p.metered, p.globals, p.tables = r.Metered, r.Globals, r.Tables
	if err := p.compile(ctx, e, files[moduleFile], dir); err != nil {
		return err
	}
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // the order of use; nothing depends on it
	return nil
}

var errDamaged = errors.New("the entry is damaged")

// store writes a product's entry in dir, where the native code lies already.
func store(dir string, files map[string][]byte) error {
	e := entry{}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
		e[name] = sumOf(b)
	}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, nativeDir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, name)
		e[name] = sumOf(b)
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, entryFile), b, 0o600)
}

// openCache makes sure of the cache's folder, and clears away what no start
// needs: entries that were half made, and the oldest beyond maxEntries. What
// lies there is executed, so nobody else may write there.
func openCache(dir string) error {
	if dir == "" {
		return nil
	}
	if err := ownDir(dir); err != nil {
		return abi.Errorf(abi.CodeUnavailable, "compilation cache: %w", err).
			WithHint("give the host a folder of its own for the cache")
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return abi.Errorf(abi.CodeUnavailable, "compilation cache: %w", err)
	}
	used := map[string]time.Time{}
	for _, d := range list {
		info, err := d.Info()
		if err != nil {
			continue // somebody else removed it
		}
		if strings.Contains(d.Name(), ".") && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(filepath.Join(dir, d.Name()))
			continue
		}
		used[d.Name()] = info.ModTime()
	}
	names := slices.SortedFunc(maps.Keys(used), func(a, b string) int { return used[b].Compare(used[a]) })
	for _, name := range names[min(len(names), maxEntries):] {
		_ = os.RemoveAll(filepath.Join(dir, name))
	}
	return nil
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

// obtain makes a product: of its entry in the cache, or anew and into the
// cache. A cache that fails costs time and nothing else.
func (p *product) obtain(ctx context.Context, e *Engine, m *wasm.Module, o Options) error {
	log := e.config.Logger
	place := ""
	if e.config.CacheDir != "" && !e.config.Interpreter {
		place = filepath.Join(e.config.CacheDir, p.key)
		err := p.load(ctx, e, place)
		if err == nil {
			return nil
		}
		_ = p.free(ctx)
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) {
			log.Warn("an entry of the compilation cache is damaged and made again", "entry", place, "error", err)
		}
		if err := os.RemoveAll(place); err != nil {
			log.Warn("an entry of the compilation cache can't be removed", "entry", place, "error", err)
			place = ""
		}
	}
	dir := ""
	var err error
	if place != "" {
		if dir, err = os.MkdirTemp(e.config.CacheDir, p.key+".new-"); err != nil {
			log.Warn("the compilation cache can't be written", "error", err)
			dir = ""
		}
	}
	files, err := p.build(ctx, e, m, o, dir)
	if err != nil && dir != "" && abi.CodeOf(err) == abi.CodeInvalidArgument {
		// It may be the folder's fault and not the module's.
		_ = os.RemoveAll(dir)
		dir = ""
		_ = p.free(ctx)
		files, err = p.build(ctx, e, m, o, "")
	}
	if err != nil {
		_ = p.free(ctx)
	}
	if dir == "" || files == nil {
		_ = os.RemoveAll(dir)
		return err
	}
	err = store(dir, files)
	if err == nil {
		err = os.Rename(dir, place)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		if _, there := os.Stat(place); there != nil { // else another host's was sooner
			log.Warn("the compilation cache can't be written", "error", err)
		}
	}
	return nil
}
