package sdk

import (
	"encoding/binary"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk/internal/wire"
)

// What every call goes through is read and written here without encoding/json,
// as long as it is ordinary. Package abi does the rest, and has every error.

// frameLength is how many bytes hold a header's length.
const frameLength = 4

// readRequest returns the request in a frame. Its arguments are a view.
func readRequest(frame []byte) (abi.CallRequest, error) {
	if req, ok := readOrdinaryRequest(frame); ok {
		return req, nil
	}
	var req abi.CallRequest
	f, err := abi.DecodeFrame(frame)
	if err == nil {
		err = f.Decode(&req)
	}
	return req, err
}

func readOrdinaryRequest(frame []byte) (req abi.CallRequest, ok bool) {
	if len(frame) < frameLength || len(frame) > abi.MaxFrameBytes {
		return req, false
	}
	n := binary.LittleEndian.Uint32(frame)
	if n > abi.MaxHeaderBytes || uint64(n) > uint64(len(frame)-frameLength) {
		return req, false
	}
	header := frame[frameLength : frameLength+int(n)]
	if n == 0 || header[0] != '{' {
		return req, false
	}
	r := wire.NewReader(header)
	r.Open('{')
	for first := true; ; first = false {
		name, more := r.Member(first)
		if !more {
			break
		}
		switch string(name) {
		case "tool":
			req.Tool = r.String()
		case "session":
			req.Session = r.String()
		case "call":
			req.Call = r.String()
		case "arguments":
			req.Arguments = r.Skip()
		case "deadline_ms":
			req.DeadlineMS = r.Int()
		default: // which may be one of the above in other letters
			return abi.CallRequest{}, false
		}
	}
	return req, r.Ended()
}

// appendResult appends the frame of a call's result.
func appendResult(dst []byte, res *Result) ([]byte, error) {
	if b, ok := appendOrdinaryResult(dst, res); ok {
		return b, nil
	}
	b, err := abi.EncodeCallResponse(abi.CallResponse{Result: res})
	return append(dst, b...), err
}

func appendError(dst []byte, e *abi.Error) ([]byte, error) {
	b, err := abi.EncodeCallResponse(abi.CallResponse{Error: e})
	return append(dst, b...), err
}

func appendOrdinaryResult(dst []byte, res *Result) ([]byte, bool) {
	if res.Meta != nil {
		return nil, false
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, `{"result":{"content":[`...)
	for i := range res.Content {
		c := &res.Content[i]
		if c.Type != abi.ContentText || c.MIMEType != "" || c.Data != nil || c.Body != nil || c.URI != "" || c.Name != "" || c.Size != 0 {
			return nil, false
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"type":"text","text":`...)
		dst = append(wire.AppendString(dst, c.Text), '}')
	}
	dst = append(dst, ']')
	if len(res.StructuredContent) > 0 {
		if !wire.Compact(res.StructuredContent) {
			return nil, false
		}
		dst = append(dst, `,"structuredContent":`...)
		dst = append(dst, res.StructuredContent...)
	}
	if res.IsError {
		dst = append(dst, `,"isError":true`...)
	}
	dst = append(dst, `}}`...)
	n := len(dst) - start - frameLength
	binary.LittleEndian.PutUint32(dst[start:], uint32(n))
	return dst, n <= abi.MaxHeaderBytes
}
