package httpapi

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/session"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

func (s *Server) health(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Server) listRoutes(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]any{"routes": s.Routes()})
}

func (s *Server) status(c echo.Context) error {
	return c.JSON(http.StatusOK, s.host.Status(c.Request().Context()))
}

// A sessionBody is a session as the API shows it.
type sessionBody struct {
	ID      string                 `json:"id"`
	Owner   string                 `json:"owner"`
	Created time.Time              `json:"created"`
	Kernels []session.KernelStatus `json:"kernels"`
}

func bodyOf(s *session.Session) sessionBody {
	return sessionBody{ID: s.ID, Owner: s.Owner, Created: s.Created, Kernels: s.Kernels()}
}

func (s *Server) createSession(c echo.Context) error {
	owner := tokenOf(c).Principal()
	sess, err := s.host.Sessions().Create(owner)
	if err != nil {
		return err
	}
	err = s.host.Audit(audit.Entry{Kind: audit.KindSessionCreate, Principal: owner, Request: requestID(c), Session: sess.ID})
	if err != nil {
		return errors.Join(err, s.host.Sessions().End(c.Request().Context(), sess.ID))
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/sessions/"+sess.ID)
	return c.JSON(http.StatusCreated, bodyOf(sess))
}

func (s *Server) listSessions(c echo.Context) error {
	t := tokenOf(c)
	owner := t.Principal()
	if t.Role == RoleOperator {
		owner = ""
	}
	list := []sessionBody{}
	for _, sess := range s.host.Sessions().List(owner) {
		list = append(list, bodyOf(sess))
	}
	return c.JSON(http.StatusOK, map[string]any{"sessions": list})
}

func (s *Server) getSession(c echo.Context) error {
	usage, err := sessionOf(c).Workspace().Usage()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		sessionBody
		Usage workspace.Usage `json:"usage"`
	}{bodyOf(sessionOf(c)), usage})
}

func (s *Server) endSession(c echo.Context) error {
	id := sessionOf(c).ID
	err := s.host.Audit(audit.Entry{Kind: audit.KindSessionEnd, Principal: tokenOf(c).Principal(), Request: requestID(c), Session: id})
	if err != nil {
		// Ending is the safe direction, so it goes on.
		s.log.Error("the end of a session could not be audited", "session", id, "request", requestID(c), "error", err)
	}
	// An agent that goes away must not stop the ending half-way.
	ctx, cancel := detached(c)
	defer cancel()
	if err := s.host.Sessions().End(ctx, id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (s *Server) listPlugins(c echo.Context) error {
	plugins, err := s.host.Plugins(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"plugins": plugins})
}

func (s *Server) listAudit(c echo.Context) error {
	f := audit.Filter{Session: c.QueryParam("session"), Call: c.QueryParam("call"), Plugin: c.QueryParam("plugin"), Limit: 100}
	if v := c.QueryParam("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 10_000 {
			e := abi.Errorf(abi.CodeInvalidArgument, "limit is %q: use 1 to 10000", v)
			e.Field = "limit"
			return e
		}
		f.Limit = n
	}
	entries, err := s.host.AuditLog(f)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"entries": entries})
}
