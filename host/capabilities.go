package host

import (
	"context"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/kernel"
	"github.com/sallyport-dev/sallyport/host/session"
)

// kernels is what the bridge calls a kernel capability: those of the call's
// session and plugin.
type kernels struct{ *run }

func (k kernels) key(language string) session.KernelKey {
	return session.KernelKey{Plugin: k.plugin.name(), Approval: k.plugin.approval, Language: language}
}

func (k kernels) Execute(ctx context.Context, req abi.KernelExecuteRequest, sink func(abi.Output)) (abi.KernelExecuteResponse, error) {
	kern, err := k.Session.Kernel(k.key(req.Language), k.plugin.effective)
	if err != nil {
		return abi.KernelExecuteResponse{}, err
	}
	// The code may have written to the zones without the workspace's knowing.
	defer k.Session.Workspace().Changed()
	res, err := kern.Execute(ctx, req, sink)
	return res, withPrinted(err, res.Outputs)
}

// withPrinted adds to the error of a kernel that died what the code had
// printed, the end of it: it may be all that is left of the work.
func withPrinted(err error, outputs []abi.Output) error {
	if abi.CodeOf(err) != abi.CodeStateLost {
		return err
	}
	var b strings.Builder
	for _, o := range outputs {
		b.WriteString(o.Text)
	}
	printed := strings.TrimSpace(b.String())
	if printed == "" {
		return err
	}
	e := *abi.AsError(err)
	e.Hint += "; before it ended it had printed:\n" + strings.ToValidUTF8(printed[max(0, len(printed)-maxStderr):], "")
	return &e
}

func (k kernels) Interrupt(ctx context.Context, language string) error {
	return k.ifRunning(language, func(kern *kernel.Kernel) error { return kern.Interrupt(ctx) })
}

func (k kernels) Reset(ctx context.Context, language string) error {
	return k.ifRunning(language, func(kern *kernel.Kernel) error { return kern.Reset(ctx) })
}

// ifRunning does nothing where no kernel was started: there is nothing to
// interrupt or to reset.
func (k kernels) ifRunning(language string, do func(*kernel.Kernel) error) error {
	if kern := k.Session.Running(k.key(language)); kern != nil {
		return do(kern)
	}
	return nil
}

func (k kernels) Status(language string) abi.KernelStatusResponse {
	if kern := k.Session.Running(k.key(language)); kern != nil {
		return kern.Status()
	}
	return abi.KernelStatusResponse{State: abi.KernelNone, Language: language}
}
