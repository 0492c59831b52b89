package egress

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// maxReason bounds a reason phrase, in bytes.
const maxReason = 256

// refuse answers with an error. Most clients show of an answer to CONNECT
// nothing but its first line, so the reason stands there too.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := abi.AsError(err)
	if r.Method == http.MethodConnect {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			turnAway(c, e)
			return
		}
	}
	h := w.Header()
	if r.ContentLength != 0 { // nobody waits for the body
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status(e.Code))
	_, _ = io.WriteString(w, words(e))
}

// turnAway answers on a connection with an error, and closes it.
func turnAway(c net.Conn, e *abi.Error) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second)) // it fits into any socket's buffer
	body := words(e)
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", status(e.Code), reason(e), len(body), body)
}

// words are the body of a refusal: the message, and what to do.
func words(e *abi.Error) string {
	if e.Hint == "" {
		return e.Error() + "\n"
	}
	return e.Error() + "\n" + e.Hint + "\n"
}

// reason is a refusal as a reason phrase: one line of printable ASCII.
func reason(e *abi.Error) string {
	line := e.Message
	if e.Hint != "" {
		line += ": " + e.Hint
	}
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, line)
	return line[:min(len(line), maxReason)]
}

// status is the HTTP status of a code.
func status(code abi.Code) int {
	switch code {
	case abi.CodePermissionDenied:
		return http.StatusForbidden
	case abi.CodeInvalidArgument:
		return http.StatusBadRequest
	case abi.CodeResourceExhausted:
		return http.StatusServiceUnavailable
	case abi.CodeDeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}
