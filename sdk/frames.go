package sdk

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"time"
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
	start := len(dst)
	dst = append(dst, `0000{"result":{"content":[`...)
	for i := range res.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBlock(dst, res.Content[i].Text)
	}
	dst = append(dst, ']')
	if len(res.StructuredContent) > 0 {
		dst = append(dst, `,"structuredContent":`...)
		dst = append(dst, res.StructuredContent...)
	}
	if res.IsError {
		dst = append(dst, `,"isError":true`...)
	}
	return endFrame(append(dst, `}}`...), start)
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
	start := len(dst)
	dst = append(dst, `0000{"result":{"content":[`...)
	dst = append(appendBlock(dst, text), ']')
	if isError {
		dst = append(dst, `,"isError":true`...)
	}
	return endFrame(append(dst, `}}`...), start)
}

// appendStructured appends the frame of a result that is a value of a shape,
// and the same as text.
func appendStructured(dst []byte, shape *schema.Shape, v reflect.Value) ([]byte, error) {
	start := len(dst)
	dst = append(dst, `0000{"result":{"structuredContent":`...)
	from := len(dst)
	b, ok := shape.Append(dst, v)
	if !ok {
		raw, err := marshal(v.Interface())
		if err != nil {
			return nil, Errorf(abi.CodePluginFailed, "the result can't be written as JSON: %w", err)
		}
		b = append(dst, raw...)
	}
	raw := b[from:]
	if raw[0] != '{' {
		return nil, errors.New("the result is null")
	}
	b = append(b, `,"content":[`...)
	b = appendBlock(b, view(raw))
	return endFrame(append(b, `]}}`...), start)
}

// appendBlock appends a block of text.
func appendBlock(dst []byte, text string) []byte {
	dst = append(dst, `{"type":"text","text":`...)
	return append(wire.AppendString(dst, text), '}')
}

// endFrame writes the length of the header that begins after the frame's.
func endFrame(dst []byte, start int) ([]byte, error) {
	n := len(dst) - start - frameLength
	if n > abi.MaxHeaderBytes {
		return nil, unanswerable(Errorf(abi.CodeResourceExhausted, "frame header has %d bytes, the bound is %d", n, abi.MaxHeaderBytes))
	}
	binary.LittleEndian.PutUint32(dst[start:], uint32(n))
	return dst, nil
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
