package abi

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// A Frame is how structure and bytes travel together, both ways:
//
//	u32 little endian: length of the header | header: one JSON object | body: raw bytes
//
// Structure is JSON, bytes are never base64.
type Frame struct {
	Header json.RawMessage
	Body   []byte
}

// EncodeFrame returns the frame of header, marshalled as JSON, and body. A nil
// header is the empty object. It fails when header cannot be marshalled, is
// not an object, or a bound is exceeded.
func EncodeFrame(header any, body []byte) ([]byte, error) {
	head := []byte("{}")
	if header != nil {
		var err error
		if head, err = json.Marshal(header); err != nil {
			return nil, fmt.Errorf("frame header: %w", err)
		}
	}
	if len(head) == 0 || head[0] != '{' {
		return nil, Errorf(CodeInvalidArgument, "frame header is not a JSON object")
	}
	if len(head) > MaxHeaderBytes {
		return nil, Errorf(CodeResourceExhausted, "frame header has %d bytes, the bound is %d", len(head), MaxHeaderBytes)
	}
	if total := 4 + len(head) + len(body); total > MaxFrameBytes {
		return nil, Errorf(CodeResourceExhausted, "frame has %d bytes, the bound is %d", total, MaxFrameBytes)
	}
	b := make([]byte, 4, 4+len(head)+len(body))
	binary.LittleEndian.PutUint32(b, uint32(len(head)))
	b = append(b, head...)
	return append(b, body...), nil
}

// DecodeFrame splits a frame. The header and the body are views of b. It fails
// with invalid_argument when b is truncated, over a bound, or its header is
// not one JSON object.
func DecodeFrame(b []byte) (Frame, error) {
	if len(b) < 4 {
		return Frame{}, Errorf(CodeInvalidArgument, "frame has %d bytes, fewer than the 4 of its header length", len(b))
	}
	if len(b) > MaxFrameBytes {
		return Frame{}, Errorf(CodeInvalidArgument, "frame has %d bytes, the bound is %d", len(b), MaxFrameBytes)
	}
	n := binary.LittleEndian.Uint32(b)
	if n > MaxHeaderBytes {
		return Frame{}, Errorf(CodeInvalidArgument, "frame header has %d bytes, the bound is %d", n, MaxHeaderBytes)
	}
	if uint64(n) > uint64(len(b)-4) {
		return Frame{}, Errorf(CodeInvalidArgument, "frame announces a header of %d bytes and has %d", n, len(b)-4)
	}
	end := 4 + int(n)
	f := Frame{Header: b[4:end:end], Body: b[end:]}
	if len(f.Header) == 0 || f.Header[0] != '{' || !json.Valid(f.Header) {
		return Frame{}, Errorf(CodeInvalidArgument, "frame header is not a JSON object")
	}
	return f, nil
}

// Decode unmarshals the header into v, a pointer. Unknown fields are ignored,
// so that a newer peer can add some.
func (f Frame) Decode(v any) error {
	if err := json.Unmarshal(f.Header, v); err != nil {
		return Errorf(CodeInvalidArgument, "frame header: %v", err)
	}
	return nil
}

// A Range names bytes of a frame's body.
type Range struct {
	Offset uint32 `json:"offset"`
	Length uint32 `json:"length"`
}

// of returns the bytes of body that r names.
func (r Range) of(body []byte) ([]byte, error) {
	end := uint64(r.Offset) + uint64(r.Length)
	if end > uint64(len(body)) {
		return nil, Errorf(CodeInvalidArgument, "range %d+%d is outside the frame's body of %d bytes", r.Offset, r.Length, len(body))
	}
	return body[r.Offset:end:end], nil
}

// add appends b to body and returns where it went.
func add(body, b []byte) ([]byte, Range) {
	r := Range{Offset: uint32(len(body)), Length: uint32(len(b))}
	return append(body, b...), r
}

// Pack joins a pointer and a length as the exports return them.
func Pack(ptr, n uint32) uint64 { return uint64(ptr)<<32 | uint64(n) }

// Unpack splits what Pack joined.
func Unpack(v uint64) (ptr, n uint32) { return uint32(v >> 32), uint32(v) }
