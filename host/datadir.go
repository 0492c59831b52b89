package host

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport-dev/sallyport/abi"
)

// dataVersion is the layout of the data directory. A host refuses a newer one.
const dataVersion = 1

// A dataDir is the host's own folder, locked for one host at a time:
//
//	VERSION      the layout's version
//	LOCK         locked while a host uses the folder
//	audit.jsonl  the audit log
//	tokens.json  hashes of the tokens, and a lock beside it
//	secrets/     a file each
//	cache/       native code of plugins, kernels' fonts; may be deleted
//	tmp/         calls' /tmp; emptied at the start
//	sessions/    a folder each
type dataDir struct {
	path string
	lock *os.File
}

func openDataDir(path string) (*dataDir, error) {
	fail := func(err error) error {
		return abi.Errorf(abi.CodeUnavailable, "the data directory %s can't be used: %w", path, err).
			WithHint("choose a folder that this account can write, with --data-dir or data_dir in sallyport.yaml")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fail(err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fail(err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fail(err)
	}
	d := &dataDir{path: path, lock: lock}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			owner, _ := os.ReadFile(lock.Name()) // the number only helps
			err = abi.Errorf(abi.CodeUnavailable, "the data directory %s is in use by another host (process %s)", path, strings.TrimSpace(string(owner))).
				WithHint("end that host, or choose another folder with --data-dir")
		} else {
			err = fail(err)
		}
		return nil, errors.Join(err, lock.Close())
	}
	if err := d.checkVersion(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := lock.Truncate(0); err != nil {
		return nil, errors.Join(fail(err), lock.Close())
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(fail(err), lock.Close())
	}
	return d, nil
}

func (d *dataDir) checkVersion() error {
	file := d.join("VERSION")
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(file, []byte(strconv.Itoa(dataVersion)+"\n"), 0o600); err != nil {
			return abi.Errorf(abi.CodeUnavailable, "the data directory %s can't be written: %w", d.path, err).
				WithHint("choose a folder that this account can write, with --data-dir or data_dir in sallyport.yaml")
		}
		return nil
	}
	if err != nil {
		return abi.Errorf(abi.CodeUnavailable, "the data directory's version can't be read: %w", err)
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return abi.Errorf(abi.CodeFailedPrecondition, "%s is %q, not a number", file, strings.TrimSpace(string(b))).
			WithHint("is %s a Sallyport data directory? choose another with --data-dir", d.path)
	}
	if v != dataVersion {
		return abi.Errorf(abi.CodeFailedPrecondition, "the data directory %s has layout %d, this host knows %d", d.path, v, dataVersion).
			WithHint("use the host that wrote it, or another folder with --data-dir")
	}
	return nil
}

func (d *dataDir) join(name string) string { return filepath.Join(d.path, name) }

// close gives the folder back.
func (d *dataDir) close() error { return d.lock.Close() }
