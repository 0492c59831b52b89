package workspace

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
)

// Config is what a Workspace is made of.
type Config struct {
	// Dir holds the zones' folders; it is made if it isn't there. Required.
	Dir string
	// MaxBytes bounds the files of all zones together; zero is 2 GiB.
	MaxBytes int64
	// MaxFiles bounds the files and folders of all zones; zero is 50 000.
	MaxFiles int
	// MaxFileBytes bounds one file; zero is 512 MiB, or MaxBytes if that is less.
	MaxFileBytes int64
	// MaxOpen bounds the files and folders that are open at once; zero is 512.
	MaxOpen int
	// RemeasureAfter is how old a measurement of the folders may be when
	// something is written; zero is two seconds.
	RemeasureAfter time.Duration
	// Owner is the account that processes work under: what is made here, zones
	// included, is given to it. Zero is the host's. Only a host that runs as
	// root can have another.
	Owner Owner
	// Logger gets what was tidied up and what can't be measured; nil is none.
	Logger hclog.Logger
}

func (c *Config) setDefaults() error {
	if c.Dir == "" {
		return errors.New("workspace: Dir is required")
	}
	if c.MaxBytes < 0 || c.MaxFiles < 0 || c.MaxFileBytes < 0 || c.MaxOpen < 0 || c.RemeasureAfter < 0 {
		return errors.New("workspace: a bound is negative")
	}
	c.MaxBytes = cmp.Or(c.MaxBytes, 2<<30)
	c.MaxFiles = cmp.Or(c.MaxFiles, 50_000)
	c.MaxFileBytes = min(cmp.Or(c.MaxFileBytes, 512<<20), c.MaxBytes)
	c.MaxOpen = cmp.Or(c.MaxOpen, 512)
	c.RemeasureAfter = cmp.Or(c.RemeasureAfter, 2*time.Second)
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return nil
}

// A Workspace is the four zones of one session. It is safe for concurrent use,
// and so are its views.
type Workspace struct {
	dir    string
	zones  map[string]*os.Root
	ledger *ledger
}

// Open makes the zones' folders where they aren't there, removes what uploads
// left half-done when the host last ended, gives to Config.Owner what isn't its
// own, and measures what is used. A zone's folder that is something else is an
// error.
func Open(cfg Config) (*Workspace, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	w := &Workspace{dir: dir, zones: map[string]*os.Root{}, ledger: newLedger(cfg)}
	for _, zone := range abi.Zones() {
		root, err := openZone(filepath.Join(dir, zone))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("workspace: zone %s: %w", zone, err), w.Close())
		}
		w.zones[zone] = root
		w.ledger.roots = append(w.ledger.roots, root)
		log := cfg.Logger.With("zone", zone)
		err = tidy(root, log)
		if err == nil {
			err = w.ledger.claim(root, log)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("workspace: zone %s: %w", zone, err), w.Close())
		}
	}
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	w.ledger.measure()
	return w, nil
}

// openZone opens dir itself: a link in its place is refused, not followed.
func openZone(dir string) (*os.Root, error) {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	seen, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if !seen.IsDir() {
		return nil, fmt.Errorf("%s is a %s, not a folder", dir, kindOf(seen.Mode()))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err == nil && !os.SameFile(seen, opened) {
		err = fmt.Errorf("%s was replaced while it was opened", dir)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// tidy removes the temporary files that Put left when the host was killed.
func tidy(root *os.Root, log hclog.Logger) error {
	folder, err := root.Open(".")
	if err != nil {
		return err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, tempPrefix) {
			continue
		}
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		log.Info("removed an upload that was never finished", "file", name)
	}
	return nil
}

// FS returns a view of a zone under an access. The view allows what access
// says even where the zone's rule for plugins is stricter: agents upload.
// An unknown zone is not_found.
func (w *Workspace) FS(zone string, access abi.Access) (*FS, error) {
	root := w.zones[zone]
	if root == nil {
		return nil, abi.Errorf(abi.CodeNotFound, "there is no zone %q", brief(zone)).
			WithHint("the zones are %s", strings.Join(abi.Zones(), ", "))
	}
	if !access.Valid() {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "zone %s: the access is %q: use read, append or write", zone, access)
	}
	return &FS{root: root, ledger: w.ledger, zone: zone, access: access}, nil
}

// Path returns the absolute path of a zone's folder, for the views of
// processes; "" for an unknown zone.
func (w *Workspace) Path(zone string) string {
	if w.zones[zone] == nil {
		return ""
	}
	return filepath.Join(w.dir, zone)
}

// Changed says that a process may have written to the folders: the next write
// or question for the usage measures them.
func (w *Workspace) Changed() {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	w.ledger.stale = true
}

// Usage is what a workspace holds, and its bounds.
type Usage struct {
	Bytes        int64     `json:"bytes"`
	Files        int       `json:"files"` // files and folders
	MaxBytes     int64     `json:"max_bytes"`
	MaxFiles     int       `json:"max_files"`
	MaxFileBytes int64     `json:"max_file_bytes"`
	Open         int       `json:"open"`              // handles
	Measured     time.Time `json:"measured"`          // when the folders were walked
	Partial      bool      `json:"partial,omitempty"` // some folder couldn't be walked: there is more than this
}

// Usage returns what is used, measuring when the last measurement is old.
func (w *Workspace) Usage() (Usage, error) {
	l := w.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Usage{}, errClosed(fs.ErrClosed)
	}
	if l.old() {
		l.measure()
	}
	return Usage{
		Bytes: l.used.bytes, Files: l.used.files,
		MaxBytes: l.cfg.MaxBytes, MaxFiles: l.cfg.MaxFiles, MaxFileBytes: l.cfg.MaxFileBytes,
		Open: len(l.open), Measured: l.at, Partial: l.partial,
	}, nil
}

// Close ends the views: their operations fail from then on. Files that are
// open stay so until they are closed. The folders are left as they are.
func (w *Workspace) Close() error {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	w.ledger.closed = true
	var errs []error
	for _, root := range w.zones {
		errs = append(errs, root.Close())
	}
	return errors.Join(errs...)
}
