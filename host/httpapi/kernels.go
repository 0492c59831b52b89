package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/kernel"
	"github.com/sallyport-dev/sallyport/host/session"
)

func (s *Server) getKernels(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]any{"kernels": sessionOf(c).Kernels()})
}

func (s *Server) interruptKernels(c echo.Context) error {
	return s.eachKernel(c, abi.OpKernelInterrupt, (*kernel.Kernel).Interrupt)
}

func (s *Server) resetKernels(c echo.Context) error {
	return s.eachKernel(c, abi.OpKernelReset, (*kernel.Kernel).Reset)
}

// eachKernel applies do to the session's kernels, or with ?plugin= to those of
// one plugin, and answers with how they fare then.
func (s *Server) eachKernel(c echo.Context, op string, do func(*kernel.Kernel, context.Context) error) error {
	sess, plugin := sessionOf(c), c.QueryParam("plugin")
	ctx, cancel := detached(c)
	defer cancel()
	var errs []error
	var done []session.KernelStatus
	for _, st := range sess.Kernels() {
		if plugin != "" && st.Plugin != plugin {
			continue
		}
		err := do(st.Kernel, ctx)
		errs = append(errs, err, s.auditKernel(c, op, st.Plugin, err))
		st.KernelStatusResponse = st.Kernel.Status()
		done = append(done, st)
	}
	if plugin != "" && done == nil {
		return abi.Errorf(abi.CodeNotFound, "plugin %q has no kernel in this session", plugin).
			WithHint("GET /v1/sessions/%s/kernel lists the kernels", sess.ID)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if done == nil {
		done = []session.KernelStatus{}
	}
	return c.JSON(http.StatusOK, map[string]any{"kernels": done})
}

// auditKernel records what an agent did to a kernel itself.
func (s *Server) auditKernel(c echo.Context, op, plugin string, err error) error {
	e := audit.Entry{
		Kind: audit.KindOpOutcome, Principal: tokenOf(c).Principal(), Request: requestID(c),
		Session: sessionOf(c).ID, Plugin: plugin, Op: op,
	}
	if err != nil {
		e.Code, e.Message = abi.CodeOf(err).String(), abi.AsError(err).Message
	}
	return s.host.Audit(e)
}

// detached is a bounded context for what must be done even when the client
// goes away.
func detached(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(c.Request().Context()), 30*time.Second)
}
