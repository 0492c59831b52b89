package abi

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// A CallRequest is the header of the frame in the arena when the call export
// is entered.
type CallRequest struct {
	Tool      string          `json:"tool"` // without the plugin's name
	Session   string          `json:"session"`
	Call      string          `json:"call"` // this call's id, as in the logs
	Arguments json.RawMessage `json:"arguments"`
	// DeadlineMS is the time left for the call, in milliseconds.
	DeadlineMS int64 `json:"deadline_ms,omitempty"`
}

// EncodeCallRequest is EncodeFrame of r, whose arguments go in as they are. They
// have to be JSON, which is not looked at again: a tool's arguments were held
// against its schema. Nil is the empty object.
func EncodeCallRequest(r CallRequest) ([]byte, error) {
	if len(r.Arguments) == 0 {
		r.Arguments = json.RawMessage("{}")
	}
	if !utf8.Valid(r.Arguments) {
		return nil, errNotUTF8()
	}
	var b bytes.Buffer
	b.Grow(len(r.Arguments) + 256)
	b.Write(make([]byte, frameLength))
	if err := writeHeader(&b, struct {
		Tool    string `json:"tool"`
		Session string `json:"session"`
		Call    string `json:"call"`
	}{r.Tool, r.Session, r.Call}); err != nil {
		return nil, err
	}
	b.Truncate(b.Len() - 1) // the brace
	b.WriteString(`,"arguments":`)
	b.Write(r.Arguments)
	if r.DeadlineMS != 0 {
		b.WriteString(`,"deadline_ms":` + strconv.FormatInt(r.DeadlineMS, 10))
	}
	b.WriteByte('}')
	return endFrame(&b, nil)
}

// A CallResponse is the header of the frame the call export answers with:
// exactly one of the two is set. An Error means that the call could not be
// carried out as asked; a Result with IsError that the tool did its work and
// the agent should read what went wrong.
type CallResponse struct {
	Result *Result `json:"result,omitempty"`
	Error  *Error  `json:"error,omitempty"`
}

// A Result has the shape of an MCP tool result.
type Result struct {
	Content           []Content                  `json:"content"`
	StructuredContent json.RawMessage            `json:"structuredContent,omitempty"`
	IsError           bool                       `json:"isError,omitempty"`
	Meta              map[string]json.RawMessage `json:"_meta,omitempty"`
}

// Content types.
const (
	ContentText  = "text"
	ContentImage = "image"
	ContentLink  = "resource_link"
)

// A Content is one block of a Result. Bytes are in Data, which is base64 in
// the JSON that agents get; in a frame they are in the body, and Body says
// where. A text may be there as well.
type Content struct {
	Type     string `json:"type"`
	Text     string `json:"text,omitempty"`     // text
	MIMEType string `json:"mimeType,omitempty"` // image, resource_link
	Data     []byte `json:"data,omitempty"`     // image, outside frames
	Body     *Range `json:"body,omitempty"`     // image and text, inside frames
	URI      string `json:"uri,omitempty"`      // resource_link, such as workspace:/output/chart.png
	Name     string `json:"name,omitempty"`     // resource_link
	Size     int64  `json:"size,omitempty"`     // resource_link, bytes
}

// LongText is from how many bytes on a text is better off in a frame's body,
// where it isn't escaped, than in its header. Both are read.
const LongText = 1 << 10

// MarshalJSON writes a text block's text even where it is empty: readers of MCP
// results require it. A text in a frame's body isn't written twice.
func (c Content) MarshalJSON() ([]byte, error) {
	type plain Content
	var v any = plain(c)
	if c.Type == ContentText && c.Body == nil {
		v = struct {
			plain
			Text string `json:"text"`
		}{plain(c), c.Text}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// check says what is wrong with the block at place i. Its bytes are in Data.
func (c Content) check(i int) error {
	if c.Type != ContentImage && len(c.Data) > 0 {
		return Errorf(CodeInvalidArgument, "content %d has bytes: only an image can", i)
	}
	switch c.Type {
	case ContentText:
		return nil
	case ContentImage:
		if c.MIMEType == "" || len(c.Data) == 0 {
			return Errorf(CodeInvalidArgument, "content %d is an image and lacks its mimeType or its bytes", i)
		}
		return nil
	case ContentLink:
		if c.URI == "" {
			return Errorf(CodeInvalidArgument, "content %d is a resource_link without a uri", i)
		}
		return nil
	}
	return Errorf(CodeInvalidArgument, "content %d has the unknown type %q", i, c.Type)
}

// WorkspaceURI starts the URI of a resource_link to a file in the workspace;
// the path in the guest follows, such as /output/chart.png.
const WorkspaceURI = "workspace:"

// EncodeCallResponse returns the frame of r, with the images' bytes and texts of
// LongText bytes or more in its body. It fails where DecodeCallResponse would.
func EncodeCallResponse(r CallResponse) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	var body []byte
	text := 0 // bytes of it in the body
	if r.Result != nil {
		res := *r.Result
		res.Content = make([]Content, len(r.Result.Content))
		for i, c := range r.Result.Content {
			if err := c.check(i); err != nil {
				return nil, err
			}
			c.Body = nil
			var at Range
			switch {
			case len(c.Data) > 0:
				body, at = add(body, c.Data)
				c.Data, c.Body = nil, &at
			case c.Type == ContentText && len(c.Text) >= LongText && utf8.ValidString(c.Text):
				body, at = add(body, c.Text)
				text += len(c.Text)
				c.Text, c.Body = "", &at
			}
			res.Content[i] = c
		}
		r.Result = &res
	}
	frame, err := EncodeFrame(r, body)
	if n := len(frame) - frameLength - len(body) + text; err == nil && n > MaxHeaderBytes {
		return nil, errTooMuchText(CodeResourceExhausted, n)
	}
	return frame, err
}

// errTooMuchText keeps what a result says to what one whose texts are all in
// the header could.
func errTooMuchText(code Code, n int) *Error {
	return Errorf(code, "frame header and texts have %d bytes, the bound is %d", n, MaxHeaderBytes)
}

// DecodeCallResponse reads a frame that EncodeCallResponse wrote. The bytes are
// views of b. It fails with invalid_argument when the frame, a block of content
// or a range is bad, when bytes are in the header, when an error has no code,
// when blocks share bytes, when a text in the body isn't UTF-8 or is in the
// header as well, or when not exactly one of result and error is set.
func DecodeCallResponse(b []byte) (CallResponse, error) {
	f, err := DecodeFrame(b)
	if err != nil {
		return CallResponse{}, err
	}
	return DecodeCallResponseFrame(f)
}

// DecodeCallResponseFrame is DecodeCallResponse of a frame that was split. The
// bytes are views of its body.
func DecodeCallResponseFrame(f Frame) (CallResponse, error) {
	var r CallResponse
	var err error
	if err := f.Decode(&r); err != nil {
		return CallResponse{}, err
	}
	if err := r.check(); err != nil {
		return CallResponse{}, err
	}
	if r.Result == nil {
		return r, nil
	}
	if r.Result.Content == nil {
		r.Result.Content = []Content{}
	}
	// Bytes that many blocks named would be written out many times.
	unnamed := len(f.Body)
	said := len(f.Header)
	for i := range r.Result.Content {
		c := &r.Result.Content[i]
		if len(c.Data) > 0 {
			return CallResponse{}, Errorf(CodeInvalidArgument, "content %d has data in the header: bytes go in the frame's body", i)
		}
		if c.Body != nil {
			if c.Data, err = c.Body.of(f.Body); err != nil {
				return CallResponse{}, err
			}
			if unnamed -= len(c.Data); unnamed < 0 {
				return CallResponse{}, Errorf(CodeInvalidArgument, "content %d shares bytes of the frame's body with another", i)
			}
			c.Body = nil
			if c.Type == ContentText {
				if c.Text != "" {
					return CallResponse{}, Errorf(CodeInvalidArgument, "content %d has its text twice: in the header and in the body", i)
				}
				if !utf8.Valid(c.Data) {
					return CallResponse{}, Errorf(CodeInvalidArgument, "content %d has a text that is not UTF-8", i)
				}
				if said += len(c.Data); said > MaxHeaderBytes {
					return CallResponse{}, errTooMuchText(CodeInvalidArgument, said)
				}
				c.Text, c.Data = string(c.Data), nil
			}
		}
		if err := c.check(i); err != nil {
			return CallResponse{}, err
		}
	}
	return r, nil
}

// check says whether exactly one of result and error is set.
func (r CallResponse) check() error {
	if (r.Result == nil) == (r.Error == nil) {
		return Errorf(CodeInvalidArgument, "a call response has exactly one of result and error")
	}
	if r.Error != nil && r.Error.Code >= 0 {
		return Errorf(CodeInvalidArgument, "the error of a call response has no code")
	}
	return nil
}

// Async is in the header of every host function's request but those of
// sallyport:call and that of http.close. With async the function answers at once with a Task, and the
// operation goes on until wait fetches its response.
type Async struct {
	Async bool `json:"async,omitempty"`
}

// A Task is the response to an async request.
type Task struct {
	Task uint32 `json:"task"`
}

// A WaitRequest waits for the first of some tasks to end and fetches its
// response, which can be fetched once.
type WaitRequest struct {
	Tasks     []uint32 `json:"tasks"`
	TimeoutMS int64    `json:"timeout_ms,omitempty"` // zero is as long as the call may take
}

// A WaitResponse is what the task ended with: its response's header in
// Response and its body as the frame's, or its error.
type WaitResponse struct {
	Task     uint32          `json:"task"`
	Response json.RawMessage `json:"response,omitempty"`
	Error    *Error          `json:"error,omitempty"`
}

// A CancelRequest ends one task; the response is the empty object, and wait
// then answers with the error canceled unless the task ended before.
type CancelRequest struct {
	Task uint32 `json:"task"`
}

// A LogRequest writes a line to the host's log; the response is the empty
// object. Level is debug, info, warn or error.
type LogRequest struct {
	Level   string         `json:"level"`
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields,omitempty"`
}

// A ProgressRequest tells the agent how far the call has come; the response is
// the empty object. Total is zero where it isn't known.
type ProgressRequest struct {
	Progress float64 `json:"progress"`
	Total    float64 `json:"total,omitempty"`
	Message  string  `json:"message,omitempty"`
}

// A ConfigResponse holds the settings that the operator gave the plugin. The
// request is the empty object.
type ConfigResponse struct {
	Config map[string]string `json:"config"`
}
