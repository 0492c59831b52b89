package host

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/internal/proc"
	"github.com/sallyport-dev/sallyport/host/kernel"
	"github.com/sallyport-dev/sallyport/host/session"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// newStarter tries the walls of child processes. It fails where they are
// required and can't be had.
func newStarter(cfg Config) (*proc.Starter, error) {
	s, err := proc.New(proc.Config{Isolation: proc.Isolation(cfg.Isolation), Bubblewrap: cfg.Bubblewrap, Logger: cfg.Logger.Named("proc")})
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return s, nil
}

// unavailable is the error of walls that can't be had.
func unavailable(err error) error {
	e := abi.Errorf(abi.CodeUnavailable, "%w", err)
	if failure, ok := errors.AsType[*proc.Error](err); ok {
		e.Hint = failure.Hint
		if failure.Reason == proc.ReasonUnavailable {
			e.Hint += "; or use --isolation=preferred for the walls that can be had, --isolation=off for none, knowing that kernels can then do whatever this account can"
		}
	}
	return e
}

// account is that of the n-th session's processes.
func (h *Host) account(n int) workspace.Owner { return workspace.Owner(h.starter.User(n)) }

// newKernel makes the kernel of a session and a plugin. It sees the zones in
// the plugin's file scope, at the paths that plugins see them at, and of the
// network what the plugin may reach, if its kernels may.
func (h *Host) newKernel(o session.KernelOwner) (*kernel.Kernel, error) {
	if o.Language != "python" {
		return nil, abi.Errorf(abi.CodeUnavailable, "this host has no kernel for %q", o.Language).WithHint("use python")
	}
	var views []proc.View
	if files := o.Granted.Files; files != nil {
		for _, zone := range abi.Zones() {
			if access := *files.Zone(zone); access != abi.AccessNone {
				views = append(views, proc.View{
					Source: o.Workspace.Path(zone), Target: "/" + zone, Link: zone,
					// Appends can't be had through a folder view.
					ReadOnly: !access.Includes(abi.AccessWrite),
				})
			}
		}
	}
	quota, fileSize, err := workspaceQuota(o.Workspace)
	if err != nil {
		return nil, err
	}
	return kernel.New(kernel.Config{
		Logger:  h.log.Named("kernel").With("session", o.Session, "plugin", o.Plugin),
		Starter: h.starter, User: proc.User(o.User), Language: o.Language, Python: h.cfg.Python,
		Dir: o.Dir, Views: views, Lost: o.Lost, CacheDir: filepath.Join(h.cfg.CacheDir, "kernel"),
		Quotas: []proc.Quota{quota},
		Limits: proc.Limits{
			Memory: int64(h.cfg.KernelMemoryMiB) << 20, Processes: h.cfg.KernelProcesses,
			CPUShare: float64(h.cfg.KernelProcessors), OpenFiles: 4096, FileSize: fileSize,
		},
		Gate: h.kernelGate(o.Granted, audit.Entry{Principal: o.Principal, Session: o.Session, Plugin: o.Plugin}),
		// The grant is the bound; the policy and the bridge keep it.
		MaxTime: abi.MaxTimeoutMS * time.Millisecond,
	})
}

// workspaceQuota is what a session's processes may fill of its zones, and the
// most that one file may have. It goes by what the disk loses, where the
// workspace's own count goes by the files' lengths: processes can make either
// without the other.
func workspaceQuota(w *workspace.Workspace) (quota proc.Quota, fileSize int64, err error) {
	usage, err := w.Usage()
	if err != nil {
		return quota, 0, err
	}
	var zones []string
	for _, zone := range abi.Zones() {
		zones = append(zones, w.Path(zone))
	}
	quota = proc.Quota{
		Name: "the workspace", Bytes: usage.MaxBytes, Files: usage.MaxFiles,
		Used: func() (int64, int, error) { return proc.Measure(zones...) },
	}
	return quota, usage.MaxFileBytes, nil
}
