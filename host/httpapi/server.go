package httpapi

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/labstack/echo/v4"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
	"github.com/sallyport-dev/sallyport/host/session"
)

// Config is what a Server is made of.
type Config struct {
	// Host does the work. Required.
	Host *host.Host
	// TokensFile holds the tokens; "" is TokensFile in the host's data directory.
	TokensFile string
	// AllowedHosts are names that a request's Host header may have besides the
	// loopback's; nil is none.
	AllowedHosts []string
	// Logger gets a line for each request; nil is none.
	Logger hclog.Logger
}

// A Server is the HTTP handler of a host. It is safe for concurrent use.
type Server struct {
	host    *host.Host
	tokens  *tokens
	allowed []string
	log     hclog.Logger
	echo    *echo.Echo
}

// maxJSON bounds a request's JSON body, in bytes: with what a call adds it has
// to fit into a frame's header.
const maxJSON = abi.MaxHeaderBytes - 64<<10

// New makes a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Host == nil {
		return nil, errors.New("httpapi: Host is required")
	}
	if cfg.TokensFile == "" {
		cfg.TokensFile = cfg.Host.DataFile(TokensFile)
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	s := &Server{
		host: cfg.Host, tokens: &tokens{file: cfg.TokensFile},
		allowed: cfg.AllowedHosts, log: cfg.Logger, echo: echo.New(),
	}
	s.echo.HTTPErrorHandler = s.writeProblem
	s.echo.Pre(s.identify, s.recoverPanic, s.guardOrigin)
	for _, r := range s.Routes() {
		s.echo.Add(r.Method, r.Path, r.handler, s.admit(r.Access))
	}
	return s, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Access says who may use a route.
type Access string

// Accesses.
const (
	AccessAnyone   Access = "anyone"
	AccessToken    Access = "token"    // any token
	AccessOwner    Access = "owner"    // the session's owner; another's is 404
	AccessSteward  Access = "steward"  // the session's owner, or an operator
	AccessOperator Access = "operator" // an operator's token
)

// A Route is one row of the API, as GET /v1 lists it.
type Route struct {
	Method  string `json:"method"`
	Path    string `json:"path"`
	Access  Access `json:"access"`
	Summary string `json:"summary"`

	handler echo.HandlerFunc
}

// Routes is the whole API, in the order of the README.
func (s *Server) Routes() []Route {
	return []Route{
		{http.MethodGet, "/health", AccessAnyone, "is the host up", s.health},
		{http.MethodGet, "/v1", AccessToken, "this list", s.listRoutes},
		{http.MethodGet, "/v1/status", AccessToken, "how the host fares and what protects it", s.status},
		{http.MethodGet, "/v1/tools", AccessToken, "the tools that can be called, with JSON Schemas", s.listTools},
		{http.MethodPost, "/v1/sessions", AccessToken, "make a session", s.createSession},
		{http.MethodGet, "/v1/sessions", AccessToken, "list your sessions (an operator: everybody's)", s.listSessions},
		{http.MethodGet, "/v1/sessions/:session", AccessSteward, "one session", s.getSession},
		{http.MethodDelete, "/v1/sessions/:session", AccessSteward, "end a session and remove its files", s.endSession},
		{http.MethodPost, "/v1/sessions/:session/tools/:tool", AccessOwner, "call a tool; the body is its arguments", s.callTool},
		{http.MethodGet, "/v1/sessions/:session/files/:zone", AccessOwner, "list a zone", s.getFile},
		{http.MethodGet, "/v1/sessions/:session/files/:zone/*", AccessOwner, "read a file, or list a folder", s.getFile},
		{http.MethodPut, "/v1/sessions/:session/files/:zone/*", AccessOwner, "write a file", s.putFile},
		{http.MethodDelete, "/v1/sessions/:session/files/:zone/*", AccessOwner, "delete a file or a folder", s.deleteFile},
		{http.MethodGet, "/v1/sessions/:session/kernel", AccessOwner, "the session's kernels", s.getKernels},
		{http.MethodPost, "/v1/sessions/:session/kernel/interrupt", AccessOwner, "interrupt what runs; variables are kept", s.interruptKernels},
		{http.MethodPost, "/v1/sessions/:session/kernel/reset", AccessOwner, "start the kernels afresh", s.resetKernels},
		{http.MethodGet, "/v1/plugins", AccessOperator, "every plugin file and what became of it", s.listPlugins},
		{http.MethodGet, "/v1/audit", AccessOperator, "the audit log; ?session= ?call= ?plugin= ?limit=", s.listAudit},
	}
}

const (
	keyRequest = "request"
	keyToken   = "token"
	keySession = "session"
)

func requestID(c echo.Context) string {
	id, _ := c.Get(keyRequest).(string)
	return id
}

func tokenOf(c echo.Context) Token {
	t, _ := c.Get(keyToken).(Token)
	return t
}

func sessionOf(c echo.Context) *session.Session {
	s, _ := c.Get(keySession).(*session.Session)
	return s
}

// identify gives the request its id, common headers and its line in the log.
func (s *Server) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := "r-" + strings.ToLower(rand.Text()[:16])
		c.Set(keyRequest, id)
		h := c.Response().Header()
		h.Set(echo.HeaderXRequestID, id)
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set(echo.HeaderCacheControl, "no-store")
		started := time.Now()
		// No client may hold a connection for ever by reading or sending
		// slowly. A tool call sets its own times.
		err := setDeadlines(c, strangerTime, strangerTime)
		if err == nil {
			err = next(c)
		}
		if err != nil {
			c.Error(err)
		}
		s.log.Info("request", "request", id, "method", c.Request().Method, "path", c.Request().URL.Path,
			"status", c.Response().Status, "bytes", c.Response().Size, "ms", time.Since(started).Milliseconds(),
			"principal", tokenOf(c).Principal())
		return nil
	}
}

// How long a body may take to be sent or read, by somebody who has shown no
// token yet, and by one who has.
const (
	strangerTime = 30 * time.Second
	transferTime = 10 * time.Minute
)

// setDeadlines bounds from now on how long reading from the client and writing
// to it may take; zero is for ever.
func setDeadlines(c echo.Context, read, write time.Duration) error {
	at := func(d time.Duration) time.Time {
		if d == 0 {
			return time.Time{}
		}
		return time.Now().Add(d)
	}
	rc := http.NewResponseController(c.Response())
	return errors.Join(rc.SetReadDeadline(at(read)), rc.SetWriteDeadline(at(write)))
}

// recoverPanic turns a panic into an internal error; the stack goes to the log.
func (s *Server) recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				s.log.Error("a request panicked", "request", requestID(c), "panic", p, "stack", hclog.Stacktrace())
				err = abi.Errorf(abi.CodeInternal, "the host failed; its log has the cause")
			} else if p != nil {
				panic(p)
			}
		}()
		return next(c)
	}
}

// guardOrigin refuses what a web page could send: a Host header that isn't
// this host's (DNS rebinding) and an Origin of another site.
func (s *Server) guardOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if !s.ours(r.Host) {
			return abi.Errorf(abi.CodePermissionDenied, "the Host header names %q, not this host", r.Host).
				WithHint("use 127.0.0.1 or localhost, or have the operator add the name to allowed_hosts")
		}
		if origin := r.Header.Get(echo.HeaderOrigin); origin != "" {
			u, err := url.Parse(origin)
			if err != nil || !strings.EqualFold(u.Host, r.Host) {
				return abi.Errorf(abi.CodePermissionDenied, "requests from the web origin %q are refused", origin)
			}
		}
		return next(c)
	}
}

func (s *Server) ours(hostport string) bool {
	name := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if ip := net.ParseIP(name); ip != nil && ip.IsLoopback() {
		return true
	}
	return strings.EqualFold(name, "localhost") ||
		slices.ContainsFunc(s.allowed, func(a string) bool { return strings.EqualFold(a, name) })
}

// admit checks the token, the role and the session's owner, in that order.
func (s *Server) admit(a Access) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if a == AccessAnyone {
				return next(c)
			}
			t, err := s.authenticate(c.Request())
			if err != nil {
				return err
			}
			c.Set(keyToken, t)
			if err := setDeadlines(c, transferTime, transferTime); err != nil {
				return err
			}
			switch a {
			case AccessOperator:
				if t.Role != RoleOperator {
					return abi.Errorf(abi.CodePermissionDenied, "%s needs an operator's token, this is an %s's", c.Path(), t.Role).
						WithHint("make one on the host with: sallyport token create --role operator")
				}
			case AccessOwner, AccessSteward:
				get := func(id string) (*session.Session, error) { return s.host.Sessions().Get(id, t.Principal()) }
				if a == AccessSteward && t.Role == RoleOperator {
					get = s.host.Sessions().Any
				}
				sess, err := get(c.Param("session"))
				if err != nil {
					return err
				}
				c.Set(keySession, sess)
			case AccessToken:
			default:
				return fmt.Errorf("route %s has the unknown access %q", c.Path(), a)
			}
			return next(c)
		}
	}
}

func (s *Server) authenticate(r *http.Request) (Token, error) {
	scheme, secret, ok := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || secret == "" {
		return Token{}, abi.Errorf(abi.CodeUnauthenticated, "the request has no bearer token").
			WithHint("send the header Authorization: Bearer TOKEN; make a token with: sallyport token create --role agent")
	}
	return s.tokens.check(strings.TrimSpace(secret))
}
