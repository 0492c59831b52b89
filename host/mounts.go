package host

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

const (
	tmpDir = "tmp"    // of the data directory: holds the calls' /tmp
	maxTmp = 64 << 20 // what one call keeps there, in bytes
)

// mounts returns the call's mount table: for each zone the view that the
// plugin's effective grant allows, the plugin's own files, and a /tmp that
// unmount removes.
func (r *run) mounts() (mounts []engine.Mount, unmount func(), err error) {
	unmount = func() {}
	for _, at := range abi.Mounts() {
		m := engine.Mount{Path: at}
		switch at {
		case abi.MountSkill:
			if files := r.plugin.artifact.Files; files != nil {
				m.FS = engine.ReadOnly(files)
			} else {
				m.Denied = noFiles(r.plugin.name())
			}
		case abi.MountTmp:
			tmp := &lazyScratch{dir: r.host.data.join(tmpDir)}
			m.FS = tmp
			unmount = func() {
				if err := tmp.remove(); err != nil {
					r.host.log.Error("a call's /tmp could not be removed", "call", r.id, "error", err)
				}
			}
		default:
			if m.FS, m.Denied, err = r.zone(strings.TrimPrefix(at, "/")); err != nil {
				return nil, unmount, err
			}
		}
		mounts = append(mounts, m)
	}
	return mounts, unmount, nil
}

// zone returns the plugin's view of a zone, or why it has none.
func (r *run) zone(zone string) (view engine.FS, denied, err error) {
	access := abi.AccessNone
	if f := r.plugin.effective.Files; f != nil {
		access = *f.Zone(zone)
	}
	if access == abi.AccessNone {
		return nil, noZone(r.plugin.name(), zone), nil
	}
	v, err := r.Session.Workspace().FS(zone, access)
	if err != nil {
		return nil, nil, err
	}
	return auditedFS{viewFS{v}, "/" + zone, r.auditFile}, nil, nil
}

func noZone(plugin, zone string) error {
	e := abi.Errorf(abi.CodePermissionDenied, "plugin %s was not granted the zone %s", plugin, zone).
		WithHint("the operator grants it in the policy, under files: read, append or write")
	e.Grant = "files." + zone + ": read"
	return e
}

func noFiles(plugin string) error {
	return abi.Errorf(abi.CodePermissionDenied, "plugin %s has no files of its own", plugin)
}

// viewFS is a workspace's view as engine wants it.
type viewFS struct{ *workspace.FS }

func (v viewFS) OpenFile(name string, flag int, perm fs.FileMode) (engine.File, error) {
	f, err := v.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not f: a nil *File in an interface isn't nil
	}
	return f, nil
}

// auditedFS records every attempt to change a zone before it is made, and what
// can't be recorded isn't done. An attempt that fails is recorded once more,
// with its error. Reading isn't recorded.
type auditedFS struct {
	engine.FS
	at     string // the mount point
	record func(op, path string, err error) error
}

func (a auditedFS) change(op, name string, do func() error) error {
	path := a.at + "/" + name
	if err := a.record(op, path, nil); err != nil {
		return err
	}
	err := do()
	if err != nil {
		return errors.Join(err, a.record(op, path, err))
	}
	return nil
}

func (a auditedFS) OpenFile(name string, flag int, perm fs.FileMode) (f engine.File, err error) {
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC) == 0 {
		return a.FS.OpenFile(name, flag, perm)
	}
	err = a.change("open", name, func() error {
		f, err = a.FS.OpenFile(name, flag, perm)
		return err
	})
	return f, err
}

func (a auditedFS) Mkdir(name string, perm fs.FileMode) error {
	return a.change("mkdir", name, func() error { return a.FS.Mkdir(name, perm) })
}

func (a auditedFS) Remove(name string) error {
	return a.change("remove", name, func() error { return a.FS.Remove(name) })
}

func (a auditedFS) RemoveDir(name string) error {
	return a.change("rmdir", name, func() error { return a.FS.RemoveDir(name) })
}

func (a auditedFS) Rename(from, to string) error {
	return a.change("rename", from+" to "+to, func() error { return a.FS.Rename(from, to) })
}

func (a auditedFS) Chtimes(name string, atime, mtime time.Time) error {
	return a.change("chtimes", name, func() error { return a.FS.Chtimes(name, atime, mtime) })
}
