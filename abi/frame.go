package abi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
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

// frameLength is how many bytes hold the header's length.
const frameLength = 4

// EncodeFrame returns the frame of header, marshalled as JSON, and body. A nil
// header is the empty object, and a json.RawMessage goes in as it is, so that
// encoding what DecodeFrame returned gives the same bytes. It fails when header
// cannot be marshalled, is not an object, or a bound is exceeded.
func EncodeFrame(header any, body []byte) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, frameLength))
	switch h := header.(type) {
	case nil:
		b.WriteString("{}")
	case json.RawMessage:
		if err := checkHeader(h); err != nil {
			return nil, err
		}
		b.Write(h)
	default:
		if err := writeHeader(&b, header); err != nil {
			return nil, err
		}
		if b.Bytes()[frameLength] != '{' {
			return nil, errNoObject()
		}
		if !utf8.Valid(b.Bytes()[frameLength:]) {
			return nil, errNotUTF8()
		}
	}
	return endFrame(&b, body)
}

// writeHeader appends v as JSON.
func writeHeader(b *bytes.Buffer, v any) error {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return Errorf(CodeInvalidArgument, "frame header: %w", err)
	}
	b.Truncate(b.Len() - 1) // the encoder's line feed
	return nil
}

// endFrame completes a frame of which b has the header, behind room for its
// length.
func endFrame(b *bytes.Buffer, body []byte) ([]byte, error) {
	n := b.Len() - frameLength
	if n > MaxHeaderBytes {
		return nil, Errorf(CodeResourceExhausted, "frame header has %d bytes, the bound is %d", n, MaxHeaderBytes)
	}
	if total := b.Len() + len(body); total > MaxFrameBytes {
		return nil, Errorf(CodeResourceExhausted, "frame has %d bytes, the bound is %d", total, MaxFrameBytes)
	}
	frame := append(b.Bytes(), body...)
	binary.LittleEndian.PutUint32(frame, uint32(n))
	return frame, nil
}

// DecodeFrame splits a frame. The header and the body are views of b. It fails
// with invalid_argument when b is truncated, over a bound, or its header is
// not one JSON object in UTF-8.
func DecodeFrame(b []byte) (Frame, error) {
	if len(b) < frameLength {
		return Frame{}, Errorf(CodeInvalidArgument, "frame has %d bytes, fewer than the %d of its header length", len(b), frameLength)
	}
	if len(b) > MaxFrameBytes {
		return Frame{}, Errorf(CodeInvalidArgument, "frame has %d bytes, the bound is %d", len(b), MaxFrameBytes)
	}
	n := binary.LittleEndian.Uint32(b)
	if n > MaxHeaderBytes {
		return Frame{}, Errorf(CodeInvalidArgument, "frame header has %d bytes, the bound is %d", n, MaxHeaderBytes)
	}
	if uint64(n) > uint64(len(b)-frameLength) {
		return Frame{}, Errorf(CodeInvalidArgument, "frame announces a header of %d bytes and has %d", n, len(b)-frameLength)
	}
	end := frameLength + int(n)
	f := Frame{Header: b[frameLength:end:end], Body: b[end:]}
	if err := checkHeader(f.Header); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// checkHeader says whether h is one JSON object in UTF-8 with nothing before
// it. A string that isn't UTF-8 would reach a log, a kernel or an agent as
// something else than what its sender meant.
func checkHeader(h []byte) error {
	if len(h) == 0 || h[0] != '{' || !json.Valid(h) {
		return errNoObject()
	}
	if !utf8.Valid(h) {
		return errNotUTF8()
	}
	return nil
}

func errNotUTF8() *Error { return Errorf(CodeInvalidArgument, "frame header is not UTF-8") }

func errNoObject() *Error {
	return Errorf(CodeInvalidArgument, "frame header is not a JSON object")
}

// Decode unmarshals the header into v, a pointer. Unknown fields are ignored,
// so that a newer peer can add some; a known one of another type fails with
// invalid_argument and its place in Field.
func (f Frame) Decode(v any) error {
	err := json.Unmarshal(f.Header, v)
	if err == nil {
		return nil
	}
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		at := pointer(mismatch.Field)
		e := Errorf(CodeInvalidArgument, "frame header: %s cannot be a %s", at, mismatch.Value)
		e.Field = at
		return e
	}
	return Errorf(CodeInvalidArgument, "frame header: %v", err)
}

// pointer turns the dotted path of a JSON field into a JSON pointer. The names
// of embedded structs, capitalised, are Go's affair and drop out.
func pointer(path string) string {
	var b strings.Builder
	for name := range strings.SplitSeq(path, ".") {
		if first, _ := utf8.DecodeRuneInString(name); name != "" && !unicode.IsUpper(first) {
			b.WriteString("/" + name)
		}
	}
	return b.String()
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
func add[T string | []byte](body []byte, b T) ([]byte, Range) {
	r := Range{Offset: uint32(len(body)), Length: uint32(len(b))}
	return append(body, b...), r
}

// Pack joins a pointer and a length as the exports return them.
func Pack(ptr, n uint32) uint64 { return uint64(ptr)<<32 | uint64(n) }

// Unpack splits what Pack joined.
func Unpack(v uint64) (ptr, n uint32) { return uint32(v >> 32), uint32(v) }
