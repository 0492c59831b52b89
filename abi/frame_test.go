package abi_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
)

func TestEncodeFrameRefusesWhatIsNoObject(t *testing.T) {
	var none *abi.Error
	tests := []struct {
		name   string
		header any
	}{
		{"list", []int{1}},
		{"text", "x"},
		{"null", none},
		{"raw list", json.RawMessage("[1]")},
		{"raw nothing", json.RawMessage(nil)},
		{"raw half an object", json.RawMessage(`{"a":`)},
		{"raw bytes that are not UTF-8", json.RawMessage("{\"a\":\"\xff\"}")},
		{"raw bytes inside a message", abi.CallRequest{Arguments: json.RawMessage("{\"a\":\"\xff\"}")}},
		{"a number that JSON lacks", map[string]any{"n": math.NaN()}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := abi.EncodeFrame(tt.header, nil)
			if abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Errorf("error is %v, want invalid_argument", err)
			}
		})
	}
}

func TestEncodeFrameWritesNilAsTheEmptyObject(t *testing.T) {
	b, err := abi.EncodeFrame(nil, nil)
	if err != nil || string(b) != "\x02\x00\x00\x00{}" {
		t.Errorf("frame is %q, %v", b, err)
	}
}

func TestEncodeFrameLeavesTextReadable(t *testing.T) {
	b, err := abi.EncodeFrame(abi.KernelExecuteRequest{Code: "a < b & c > d"}, nil)
	if err != nil || !strings.Contains(string(b), "a < b & c > d") {
		t.Errorf("frame is %q, %v", b, err)
	}
}

func TestFramesKeepTheirBounds(t *testing.T) {
	// filled makes a raw header of n bytes.
	filled := func(n int) json.RawMessage {
		return json.RawMessage(`{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}`)
	}
	largest := abi.MaxFrameBytes - 4 - 2
	tests := []struct {
		name   string
		header json.RawMessage
		body   int
		want   abi.Code
	}{
		{"the longest header", filled(abi.MaxHeaderBytes), 0, 0},
		{"a header one byte longer", filled(abi.MaxHeaderBytes + 1), 0, abi.CodeResourceExhausted},
		{"the longest frame", json.RawMessage("{}"), largest, 0},
		{"a frame one byte longer", json.RawMessage("{}"), largest + 1, abi.CodeResourceExhausted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := make([]byte, tt.body)
			b, err := abi.EncodeFrame(tt.header, body)
			if abi.CodeOf(err) != tt.want {
				t.Fatalf("encoding: %v, want code %v", err, tt.want)
			}
			if err != nil { // the same bytes by hand
				b = binary.LittleEndian.AppendUint32(nil, uint32(len(tt.header)))
				b = append(append(b, tt.header...), body...)
			}
			_, err = abi.DecodeFrame(b)
			if got := abi.CodeOf(err); (got == 0) != (tt.want == 0) || got != 0 && got != abi.CodeInvalidArgument {
				t.Errorf("decoding: %v", err)
			}
		})
	}
}

func TestDecodedHeaderCannotGrowIntoTheBody(t *testing.T) {
	b := []byte("\x02\x00\x00\x00{}body")
	f, err := abi.DecodeFrame(b)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(f.Header, "XXXX"...)
	if string(f.Body) != "body" {
		t.Errorf("body is %q", f.Body)
	}
}

func TestDecodeNamesTheFieldAtFault(t *testing.T) {
	tests := []struct {
		header, field string
		into          any
	}{
		{`{"code":1}`, "/code", new(abi.KernelExecuteRequest)},
		{`{"timeout_ms":"5s"}`, "/timeout_ms", new(abi.KernelExecuteRequest)},
		{`{"timeout_ms":1.5}`, "/timeout_ms", new(abi.KernelExecuteRequest)},
		{`{"async":1}`, "/async", new(abi.KernelExecuteRequest)},
		{`{"tasks":[-1]}`, "/tasks", new(abi.WaitRequest)},
		{`{"error":{"message":1}}`, "/error/message", new(abi.WaitResponse)},
	}
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			err := abi.Frame{Header: json.RawMessage(tt.header)}.Decode(tt.into)
			e := abi.AsError(err)
			if e == nil || e.Code != abi.CodeInvalidArgument || e.Field != tt.field {
				t.Errorf("error is %+v, want invalid_argument at %s", e, tt.field)
			}
			if e != nil && strings.Contains(e.Message, "Go") {
				t.Errorf("message %q speaks of Go", e.Message)
			}
		})
	}
}

func TestPackAndUnpackAreInverse(t *testing.T) {
	for _, pair := range [][2]uint32{{0, 0}, {1, 2}, {math.MaxUint32, math.MaxUint32}, {0x10000, 12}} {
		ptr, n := abi.Unpack(abi.Pack(pair[0], pair[1]))
		if ptr != pair[0] || n != pair[1] {
			t.Errorf("%v came back as %d, %d", pair, ptr, n)
		}
	}
}
