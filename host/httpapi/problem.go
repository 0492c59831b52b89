package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Problem is the body of every error (RFC 9457, application/problem+json).
type Problem struct {
	Type      string   `json:"type"`
	Title     string   `json:"title"`
	Status    int      `json:"status"`
	Detail    string   `json:"detail"`
	Instance  string   `json:"instance,omitempty"`
	Code      abi.Code `json:"code"`
	Hint      string   `json:"hint,omitempty"`
	Grant     string   `json:"grant,omitempty"` // the grant that is lacking
	Field     string   `json:"field,omitempty"` // the argument at fault, a JSON pointer
	Limit     string   `json:"limit,omitempty"` // the limit that was reached
	Retryable bool     `json:"retryable"`
	TraceID   string   `json:"trace_id"` // the request's id, as in the logs

	retryAfter time.Duration // what a 429 or a 503 asks for
}

// statuses is the one table from codes to statuses.
var statuses = map[abi.Code]int{
	abi.CodeInternal:           http.StatusInternalServerError,
	abi.CodeInvalidArgument:    http.StatusBadRequest,
	abi.CodePermissionDenied:   http.StatusForbidden,
	abi.CodeNotFound:           http.StatusNotFound,
	abi.CodeAlreadyExists:      http.StatusConflict,
	abi.CodeFailedPrecondition: http.StatusConflict,
	abi.CodeResourceExhausted:  http.StatusTooManyRequests,
	abi.CodeDeadlineExceeded:   http.StatusGatewayTimeout,
	abi.CodeCanceled:           statusClientClosed,
	abi.CodeUnavailable:        http.StatusServiceUnavailable,
	abi.CodeUnimplemented:      http.StatusNotImplemented,
	abi.CodeStateLost:          http.StatusBadGateway,
	abi.CodeUnauthenticated:    http.StatusUnauthorized,
	abi.CodePluginFailed:       http.StatusBadGateway,
}

// statusClientClosed is nginx's status for a request that was given up; HTTP
// has none of its own.
const statusClientClosed = 499

// What a 429 or a 503 asks a client to wait: the least, where an error doesn't
// say, and the most, for a plugin's errors may say anything.
const (
	minRetryAfter = time.Second
	maxRetryAfter = time.Hour
)

// problemOf makes the problem document of err. What isn't an *abi.Error is
// internal, and its cause stays in the log.
func problemOf(c echo.Context, err error) Problem {
	var he *echo.HTTPError
	var e *abi.Error
	status := 0
	switch {
	case errors.As(err, &e):
	case errors.As(err, &he):
		e, status = routeError(c, he), he.Code
	default:
		e = abi.AsError(err)
	}
	if status == 0 {
		status = statusOf(c, e)
	}
	return Problem{
		Type: "urn:sallyport:problem:" + e.Code.String(), Title: title(status), Status: status,
		Detail: e.Message, Instance: c.Request().URL.Path, Code: e.Code, Hint: e.Hint,
		Grant: e.Grant, Field: e.Field, Limit: e.Limit, Retryable: e.Retryable, TraceID: requestID(c),
		retryAfter: time.Duration(min(max(e.RetryAfterMS, minRetryAfter.Milliseconds()), maxRetryAfter.Milliseconds())) * time.Millisecond,
	}
}

// statusOf is the table's status, save where one code means several things.
func statusOf(c echo.Context, e *abi.Error) int {
	switch {
	case errors.As(e, new(*http.MaxBytesError)):
		return http.StatusRequestEntityTooLarge
	case e.Code == abi.CodeResourceExhausted && !e.Retryable && e.Limit != "":
		// The call takes more than it may, as often as it is made.
		return http.StatusUnprocessableEntity
	case e.Code == abi.CodeResourceExhausted && !e.Retryable:
		// A quota that waiting doesn't mend.
		return http.StatusInsufficientStorage
	case e.Code == abi.CodeCanceled && c.Request().Context().Err() == nil:
		// Somebody else ended it: a reset, or the end of its session.
		return http.StatusConflict
	case e.Code == abi.CodeCanceled && errors.As(context.Cause(c.Request().Context()), new(*abi.Error)):
		// The host is ending.
		return http.StatusServiceUnavailable
	}
	if status, ok := statuses[e.Code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

func title(status int) string {
	if status == statusClientClosed {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// routeError words what the router itself refuses.
func routeError(c echo.Context, he *echo.HTTPError) *abi.Error {
	switch he.Code {
	case http.StatusNotFound:
		return abi.Errorf(abi.CodeNotFound, "there is no route %s", c.Request().URL.Path).WithHint("GET /v1 lists the routes")
	case http.StatusMethodNotAllowed:
		return abi.Errorf(abi.CodeUnimplemented, "%s is not offered on %s", c.Request().Method, c.Request().URL.Path).
			WithHint("allowed: %s", c.Response().Header().Get(echo.HeaderAllow))
	}
	return abi.Errorf(abi.CodeInternal, "the host failed; its log has the cause").WithCause(he)
}

// writeProblem answers with err's problem document, if nothing was answered
// yet. It is echo's error handler.
func (s *Server) writeProblem(err error, c echo.Context) {
	p := problemOf(c, err)
	if p.Status >= http.StatusInternalServerError && p.Code == abi.CodeInternal {
		s.log.Error("request failed", "request", p.TraceID, "path", p.Instance, "error", err)
	}
	if c.Response().Committed {
		return
	}
	h := c.Response().Header()
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set(echo.HeaderWWWAuthenticate, `Bearer realm="sallyport"`)
	}
	body, err := json.Marshal(p)
	if err == nil {
		err = c.Blob(p.Status, "application/problem+json", append(body, '\n'))
	}
	if err != nil {
		s.log.Debug("an error could not be sent", "request", p.TraceID, "error", err)
	}
}
