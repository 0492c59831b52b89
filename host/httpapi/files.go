package httpapi

import (
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/audit"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// agentAccess is what a session's owner may do in a zone. It fills upload,
// which plugins only read; store only grows, for everybody.
func agentAccess(zone string) abi.Access {
	if zone == "upload" {
		return abi.AccessWrite
	}
	return abi.ZoneRule(zone)
}

// place returns the view of the zone that a request names and the name in it.
func place(c echo.Context) (view *workspace.FS, zone, name string, err error) {
	// The path is taken decoded and whole: a name may have anything in it, and
	// workspace judges it. Session and zone are single steps before it.
	zone = c.Param("zone")
	parts := strings.SplitN(c.Request().URL.Path, "/", 7) // "", v1, sessions, s, files, zone, name
	if len(parts) == 7 {
		name = parts[6]
	}
	if name == "" {
		name = "."
	}
	view, err = sessionOf(c).Workspace().FS(zone, agentAccess(zone))
	return view, zone, name, err
}

// A listing is a folder as the API shows it.
type listing struct {
	Path    string            `json:"path"` // zone and folder
	Entries []workspace.Entry `json:"entries"`
	More    bool              `json:"more"` // there are more entries than are listed
}

// maxListed bounds a listing's entries.
const maxListed = 10_000

func (s *Server) getFile(c echo.Context) error {
	view, zone, name, err := place(c)
	if err != nil {
		return err
	}
	f, err := view.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		entries, more, err := view.List(name, maxListed)
		if err != nil {
			return err
		}
		if entries == nil {
			entries = []workspace.Entry{}
		}
		return c.JSON(http.StatusOK, listing{Path: path.Join(zone, name), Entries: entries, More: more})
	}
	h := c.Response().Header()
	// What an agent stored must not run as a page of this host's.
	h.Set(echo.HeaderContentSecurityPolicy, "sandbox; default-src 'none'")
	h.Set(echo.HeaderContentType, mediaType(info))
	http.ServeContent(c.Response(), c.Request(), "", info.ModTime(), f)
	return nil
}

func mediaType(info fs.FileInfo) string {
	if t := mime.TypeByExtension(path.Ext(info.Name())); t != "" {
		return t
	}
	return "application/octet-stream"
}

// putFile writes a file whole or not at all. If-None-Match: * only makes a new
// one.
func (s *Server) putFile(c echo.Context) error {
	view, zone, name, err := place(c)
	if err != nil {
		return err
	}
	o := workspace.PutOptions{CreateOnly: c.Request().Header.Get("If-None-Match") == "*", Size: max(c.Request().ContentLength, 0)}
	var entry workspace.Entry
	var created bool
	err = s.changeFile(c, "write", zone, name, func() (err error) {
		entry, created, err = view.Put(name, c.Request().Body, o)
		return err
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return c.JSON(status, entry)
}

func (s *Server) deleteFile(c echo.Context) error {
	view, zone, name, err := place(c)
	if err != nil {
		return err
	}
	if err := s.changeFile(c, "delete", zone, name, func() error { return view.Delete(name) }); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// changeFile records an agent's own change of a zone, makes it, and records it
// once more if it fails. What can't be recorded isn't done.
func (s *Server) changeFile(c echo.Context, op, zone, name string, do func() error) error {
	e := audit.Entry{
		Kind: audit.KindFile, Principal: tokenOf(c).Principal(), Request: requestID(c), Session: sessionOf(c).ID,
		Op: "files." + op, Detail: map[string]string{"path": "/" + zone + "/" + name},
	}
	if err := s.host.Audit(e); err != nil {
		return err
	}
	err := do()
	if err != nil {
		e.Code, e.Message = abi.CodeOf(err).String(), abi.AsError(err).Message
		return errors.Join(err, s.host.Audit(e))
	}
	return nil
}
