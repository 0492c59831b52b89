package kernel

import (
	"encoding/json"
	"net"
)

// For the fuzz targets, which feed what no kernel would send.

// Decode reads the frames of a message under a key, and returns its ids, its
// content and how much of it was cut.
func Decode(key []byte, frames [][]byte) (id, parent string, content json.RawMessage, cut int64, err error) {
	m, err := signer{key}.decode(frames)
	return m.header.ID, m.parent.ID, m.content, m.cut, err
}

// Encode returns the frames of a message of that id and content.
func Encode(key []byte, id string, content any) ([][]byte, error) {
	return signer{key}.encode(header{ID: id, Type: "test"}, content)
}

// NewFence guards a connection as a socket does.
func NewFence(c net.Conn) net.Conn { return newFence(c) }

// Bounds of a message behind the fence.
const (
	MaxMessage = maxMessage
	MaxFrames  = maxFrames
)
