package main

import (
	"encoding/json"

	"github.com/sallyport-dev/sallyport/abi"
)

// An answer is what a tool's call gives: bytes, or a place in the memory.
type answer struct {
	tool, description string
	bytes             []byte
	place             uint64 // where bytes is nil
}

var answers = []answer{
	{"answer", "Answers with fewer bytes than a frame has.", []byte{1, 0}, 0},
	{"truncated", "Announces a longer header than there is.", []byte("\xff\x00\x00\x00{}"), 0},
	{"huge", "Announces a header of 4 GiB.", []byte("\xff\xff\xff\xff{}"), 0},
	{"text", "Answers with a header that isn't JSON.", []byte("\x05\x00\x00\x00hello"), 0},
	{"array", "Answers with a header that isn't an object.", []byte("\x02\x00\x00\x00[]"), 0},
	{"neither", "Answers with neither a result nor an error.", frame(map[string]any{}), 0},
	{"both", "Answers with a result and an error.", frame(map[string]any{
		"result": map[string]any{"content": []any{}}, "error": map[string]any{"code": "internal", "message": "both"},
	}), 0},
	{"content", "Answers with an unknown type of content.", frame(map[string]any{
		"result": map[string]any{"content": []any{map[string]any{"type": "smell"}}},
	}), 0},
	{"range", "Answers with an image outside the body.", frame(map[string]any{
		"result": map[string]any{"content": []any{map[string]any{"type": "image", "mimeType": "image/png", "body": map[string]any{"offset": 1 << 31, "length": 1 << 31}}}},
	}), 0},
	{"types", "Answers with JSON of other types.", frame(map[string]any{"result": "done"}), 0},
	{"null", "Answers with nothing at no place.", nil, 0},
	{"outside", "Answers with a place outside the memory.", nil, abi.Pack(0xffff_0000, 1<<15)},
	{"beyond", "Answers with more bytes than the memory has.", nil, abi.Pack(8, 0xffff_ffff)},
}

func frame(header any) []byte {
	b, err := abi.EncodeFrame(header, nil)
	if err != nil {
		panic(err)
	}
	return b
}

func description() []byte {
	d := abi.Description{ABI: abi.Version}
	for _, a := range answers {
		d.Tools = append(d.Tools, abi.Tool{
			Name: a.tool, Description: a.description, InputSchema: json.RawMessage(`{"type":"object"}`),
		})
	}
	return frame(d)
}
