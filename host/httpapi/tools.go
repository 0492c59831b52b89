package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host"
)

func (s *Server) listTools(c echo.Context) error {
	tools, err := s.host.Tools(c.Request().Context())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"tools": tools})
}

// callTool runs a tool. Accept chooses the answer: the result as JSON, or with
// text/event-stream the events as they come and the result as the last.
func (s *Server) callTool(c echo.Context) error {
	arguments, err := readArguments(c)
	if err != nil {
		return err
	}
	// The call may take long, and a read that times out would end it.
	if err := setDeadlines(c, 0, 0); err != nil {
		return err
	}
	call := host.ToolCall{
		Session: sessionOf(c), Tool: c.Param("tool"), Arguments: arguments,
		Principal: tokenOf(c).Principal(), Request: requestID(c),
	}
	if !accepts(c.Request(), "text/event-stream") {
		result, err := s.host.Call(c.Request().Context(), call)
		if err != nil {
			return errors.Join(err, setDeadlines(c, 0, transferTime))
		}
		if err := setDeadlines(c, 0, transferTime); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, linked(call.Session.ID, result))
	}
	stream := newStream(c)
	defer stream.close()
	call.Emit = stream.send
	result, err := s.host.Call(stream.ctx, call)
	stream.quiet()
	if err != nil {
		if !stream.started() {
			return err // nothing was run or sent: a problem document, with its status
		}
		stream.finish(abi.Event{Type: abi.EventError, Error: abi.AsError(err)})
		return nil
	}
	stream.finish(abi.Event{Type: abi.EventResult, Result: linked(call.Session.ID, result)})
	return nil
}

// readArguments returns the body, checked to be one JSON object; an empty body
// is the empty object.
func readArguments(c echo.Context) (json.RawMessage, error) {
	r := c.Request()
	if ct := r.Header.Get(echo.HeaderContentType); ct != "" {
		// curl -d calls whatever it sends a form.
		if media, _, err := mime.ParseMediaType(ct); err != nil || (media != echo.MIMEApplicationJSON && media != "application/x-www-form-urlencoded") {
			return nil, abi.Errorf(abi.CodeInvalidArgument, "the body's type is %q: send application/json", ct)
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxJSON))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "the body has over %d bytes", tooLarge.Limit).WithCause(tooLarge).
			WithHint("upload large data as a file, and name it in the arguments")
	}
	if err != nil {
		return nil, abi.Errorf(abi.CodeCanceled, "the body could not be read: %w", err)
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return json.RawMessage("{}"), nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			return nil, abi.Errorf(abi.CodeInvalidArgument, "the body is not JSON: %v, at byte %d", syntax, syntax.Offset)
		}
		return nil, abi.Errorf(abi.CodeInvalidArgument, "the body is not a JSON object of the tool's arguments")
	}
	return body, nil
}

// accepts says whether the client asks for a media type by name.
func accepts(r *http.Request, media string) bool {
	for _, v := range r.Header.Values(echo.HeaderAccept) {
		for part := range strings.SplitSeq(v, ",") {
			if m, _, err := mime.ParseMediaType(part); err == nil && m == media {
				return true
			}
		}
	}
	return false
}

// linked turns workspace links into paths that this door serves.
func linked(session string, r *abi.Result) *abi.Result {
	for i := range r.Content {
		if path, ok := strings.CutPrefix(r.Content[i].URI, abi.WorkspaceURI+"/"); ok {
			r.Content[i].URI = "/v1/sessions/" + session + "/files/" + path
		}
	}
	return r
}

// A stream sends events to a client, and a comment now and then, so that a
// client that went away is noticed and its call ended. The comments begin while
// the call waits for its turn.
type stream struct {
	c    echo.Context
	ctx  context.Context
	stop func()

	mu   sync.Mutex
	open bool
	seq  int64
	wg   sync.WaitGroup

	quiet func() // ends the comments
}

const (
	keepAlive = 5 * time.Second  // a silent stream says that it is alive
	writeTime = 30 * time.Second // a client takes at most, to read an event
)

func newStream(c echo.Context) *stream {
	ctx, cancel := context.WithCancel(c.Request().Context())
	done := make(chan struct{})
	st := &stream{c: c, ctx: ctx, stop: cancel}
	st.quiet = sync.OnceFunc(func() {
		close(done)
		st.wg.Wait()
	})
	st.wg.Go(func() { st.keepAlive(done) })
	return st
}

func (st *stream) started() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.open
}

// send writes one event, and opens the stream for it. A client that can't be
// written to ends the call.
func (st *stream) send(e abi.Event) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.begin()
	st.seq = e.Seq
	data, err := json.Marshal(e)
	if err != nil {
		st.stop()
		return
	}
	st.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Type, data))
}

// begin opens the stream, if it isn't open. It needs the lock.
func (st *stream) begin() {
	if !st.open {
		st.open = true
		h := st.c.Response().Header()
		h.Set(echo.HeaderContentType, "text/event-stream")
		h.Set("X-Accel-Buffering", "no")
		st.c.Response().WriteHeader(http.StatusOK)
	}
}

// finish sends the terminal event.
func (st *stream) finish(e abi.Event) {
	st.mu.Lock()
	e.Seq, e.TS = st.seq+1, time.Now().UTC().Format(time.RFC3339Nano)
	st.mu.Unlock()
	st.send(e)
}

// write needs the lock. A client that doesn't read for writeTime is given up.
func (st *stream) write(text string) {
	err := setDeadlines(st.c, 0, writeTime)
	if err == nil {
		_, err = io.WriteString(st.c.Response(), text)
	}
	if err == nil {
		err = http.NewResponseController(st.c.Response()).Flush()
	}
	if err != nil {
		st.stop()
	}
}

func (st *stream) keepAlive(done <-chan struct{}) {
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			st.mu.Lock()
			st.begin()
			st.write(": alive\n\n")
			st.mu.Unlock()
		}
	}
}

func (st *stream) close() {
	st.quiet()
	st.stop()
}
