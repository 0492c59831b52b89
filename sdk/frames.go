package sdk

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk/internal/schema"
	"github.com/sallyport-dev/sallyport/sdk/internal/wire"
)

// What every call goes through is read and written here without encoding/json,
// as long as it is ordinary. Package abi does the rest, and has every error.

// frameLength is how many bytes hold a header's length. Where one is begun, four
// noughts stand for it.
const frameLength = 4

// A request is an abi.CallRequest. Tool and arguments are views of its frame.
type request struct {
	tool, session, call string
	arguments           json.RawMessage
	deadline            time.Duration
}

func readRequest(frame []byte) (request, error) {
	if req, ok := readOrdinaryRequest(frame); ok {
		return req, nil
	}
	var req abi.CallRequest
	f, err := abi.DecodeFrame(frame)
	if err == nil {
		err = f.Decode(&req)
	}
	return request{req.Tool, req.Session, req.Call, req.Arguments, time.Duration(req.DeadlineMS) * time.Millisecond}, err
}

func readOrdinaryRequest(frame []byte) (req request, ok bool) {
	if len(frame) <= frameLength || len(frame) > abi.MaxFrameBytes || frame[frameLength] != '{' {
		return req, false
	}
	n := binary.LittleEndian.Uint32(frame)
	if n > abi.MaxHeaderBytes || uint64(n) > uint64(len(frame)-frameLength) {
		return req, false
	}
	r := wire.NewReader(frame[frameLength : frameLength+int(n)])
	r.Open('{')
	for first := true; ; first = false {
		name, more := r.Member(first)
		if !more {
			break
		}
		switch string(name) {
		case "tool":
			req.tool = view(r.Bytes())
		case "session":
			req.session = view(r.Bytes())
		case "call":
			req.call = view(r.Bytes())
		case "arguments":
			req.arguments = r.Skip()
		case "deadline_ms":
			req.deadline = time.Duration(r.Int()) * time.Millisecond
		default: // which may be one of the above in other letters
			return request{}, false
		}
	}
	// Tools may keep these.
	ids := req.session + req.call
	req.session, req.call = ids[:len(req.session)], ids[len(req.session):]
	return req, r.Ended()
}

// view returns bytes as a string that lasts as long as they stay as they are.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// appendResult appends the frame of a result.
func appendResult(dst []byte, res *Result) ([]byte, error) {
	if !ordinary(res) {
		b, err := abi.EncodeCallResponse(abi.CallResponse{Result: res})
		if err != nil {
			return nil, unanswerable(err)
		}
		return append(dst, b...), nil
	}
	f := begin(dst, `{"result":{"content":[`)
	for i := range res.Content {
		if i > 0 {
			f.b = append(f.b, ',')
		}
		f.block(res.Content[i].Text)
	}
	f.b = append(f.b, ']')
	if len(res.StructuredContent) > 0 {
		f.b = append(f.b, `,"structuredContent":`...)
		f.b = append(f.b, res.StructuredContent...)
	}
	if res.IsError {
		f.b = append(f.b, `,"isError":true`...)
	}
	return f.end()
}

// ordinary says whether a result is text, and JSON that is written as it is.
func ordinary(res *Result) bool {
	for i := range res.Content {
		c := &res.Content[i]
		if c.Type != abi.ContentText || c.MIMEType != "" || c.Data != nil || c.Body != nil || c.URI != "" || c.Name != "" || c.Size != 0 {
			return false
		}
	}
	return res.Meta == nil && (len(res.StructuredContent) == 0 || wire.Compact(res.StructuredContent))
}

// appendText appends the frame of a result that is a text.
func appendText(dst []byte, text string, isError bool) ([]byte, error) {
	f := begin(dst, `{"result":{"content":[`)
	f.block(text)
	f.b = append(f.b, ']')
	if isError {
		f.b = append(f.b, `,"isError":true`...)
	}
	return f.end()
}

// appendStructured appends the frame of a result that is a value of a shape,
// and the same as text.
func appendStructured(dst []byte, shape *schema.Shape, v reflect.Value) ([]byte, error) {
	f := begin(dst, `{"result":{"structuredContent":`)
	from := len(f.b)
	b, ok := shape.Append(f.b, v)
	if !ok {
		raw, err := marshal(v.Interface())
		if err != nil {
			return nil, Errorf(abi.CodePluginFailed, "the result can't be written as JSON: %w", err)
		}
		b = append(f.b, raw...)
	}
	raw := b[from:]
	if raw[0] != '{' {
		return nil, errors.New("the result is null")
	}
	f.b = append(b, `,"content":[`...)
	f.block(view(raw))
	f.b = append(f.b, ']')
	return f.end()
}

// A resultFrame is the frame of a result that is being written.
type resultFrame struct {
	b     []byte
	start int      // where the frame begins in b
	texts []string // what goes behind the header
	body  int      // bytes of it
}

// begin begins a frame behind dst with the start of its header.
func begin(dst []byte, header string) resultFrame {
	return resultFrame{b: append(append(dst, "0000"...), header...), start: len(dst)}
}

// block adds a block of text. A long one goes into the body, unless it isn't
// UTF-8.
func (f *resultFrame) block(text string) {
	if len(text) < abi.LongText || !utf8.ValidString(text) {
		f.b = append(f.b, `{"type":"text","text":`...)
		f.b = append(wire.AppendString(f.b, text), '}')
		return
	}
	f.b = append(f.b, `{"type":"text","body":{"offset":`...)
	f.b = strconv.AppendInt(f.b, int64(f.body), 10)
	f.b = append(f.b, `,"length":`...)
	f.b = strconv.AppendInt(f.b, int64(len(text)), 10)
	f.b = append(f.b, `}}`...)
	f.texts = append(f.texts, text)
	f.body += len(text)
}

// end closes the result, and appends the body.
func (f *resultFrame) end() ([]byte, error) {
	b := append(f.b, `}}`...)
	n := len(b) - f.start - frameLength
	if said := n + f.body; said > abi.MaxHeaderBytes {
		return nil, unanswerable(Errorf(abi.CodeResourceExhausted, "frame header and texts have %d bytes, the bound is %d", said, abi.MaxHeaderBytes))
	}
	binary.LittleEndian.PutUint32(b[f.start:], uint32(n))
	b = slices.Grow(b, f.body)
	for _, text := range f.texts {
		b = append(b, text...)
	}
	return b, nil
}

// appendError appends the frame of an error.
func appendError(dst []byte, err error) ([]byte, error) {
	b, err := abi.EncodeCallResponse(abi.CallResponse{Error: abi.AsError(err)})
	if err != nil {
		return nil, unanswerable(err)
	}
	return append(dst, b...), nil
}

// unanswerable is the error of a tool whose answer can't be put into a frame.
func unanswerable(err error) *abi.Error {
	if abi.CodeOf(err) == abi.CodeResourceExhausted {
		return Errorf(abi.CodeResourceExhausted, "the tool's answer is too large: %v", err).
			WithHint("the plugin should write large results to a file and link it")
	}
	return Errorf(abi.CodePluginFailed, "the tool's answer can't be written: %v", err)
}
