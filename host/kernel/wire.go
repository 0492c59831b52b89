package kernel

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The version of the Jupyter messaging protocol that is spoken.
const protocolVersion = "5.4"

// delimiter stands between the routing prefix and the message proper.
const delimiter = "<IDS|MSG>"

// A header opens a message, and names the one that it answers.
type header struct {
	ID       string `json:"msg_id"`
	Session  string `json:"session"`
	Username string `json:"username"`
	Date     string `json:"date"`
	Type     string `json:"msg_type"`
	Version  string `json:"version"`
}

// A message is one Jupyter message as it came: its content has been checked to
// carry the key's signature, unless it was cut.
type message struct {
	header  header
	parent  header // zero when it answers nothing
	content json.RawMessage
	// cut is how many bytes the fence left out of a message that was over the
	// bound. Such a message has no content, and its signature can't be checked.
	cut int64
}

// A signer signs and checks messages with the key of one kernel process.
type signer struct{ key []byte }

// encode returns the frames of a message. Content must marshal to an object:
// kernels drop a message with null in silence.
func (s signer) encode(h header, content any) ([][]byte, error) {
	h.Date = time.Now().UTC().Format(time.RFC3339Nano)
	h.Version = protocolVersion
	head, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	if body[0] != '{' {
		return nil, fmt.Errorf("the content of %s is not an object", h.Type)
	}
	signed := [][]byte{head, []byte("{}"), []byte("{}"), body} // header, parent, metadata, content
	return append([][]byte{[]byte(delimiter), s.sign(signed)}, signed...), nil
}

// decode reads the frames of a message, with any number of routing frames
// before the delimiter: none on iopub's welcome, a topic or an identity
// elsewhere. Binary buffers after the content are left out.
func (s signer) decode(frames [][]byte) (message, error) {
	at := slices.IndexFunc(frames, func(f []byte) bool { return string(f) == delimiter })
	if at < 0 {
		return message{}, errors.New("the message has no delimiter")
	}
	frames = frames[at+1:]
	if len(frames) < 5 {
		return message{}, fmt.Errorf("the message has %d frames after the delimiter, fewer than 5", len(frames))
	}
	signature, signed := frames[0], frames[1:5]
	m := message{content: signed[3]}
	for _, f := range frames {
		m.cut += cutFrom(f)
	}
	if m.cut > 0 {
		m.content = nil
	} else if !hmac.Equal(s.sign(signed), signature) {
		return message{}, errors.New("the message has a wrong signature")
	}
	if err := json.Unmarshal(signed[0], &m.header); err != nil {
		return message{}, fmt.Errorf("the message's header: %w", err)
	}
	if err := json.Unmarshal(signed[1], &m.parent); err != nil {
		return message{}, fmt.Errorf("the message's parent header: %w", err)
	}
	if m.cut == 0 && !json.Valid(m.content) {
		return message{}, errors.New("the message's content is not JSON")
	}
	return m, nil
}

// sign returns the signature of the four frames, in hexadecimal.
func (s signer) sign(frames [][]byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	for _, f := range frames {
		mac.Write(f)
	}
	return hex.AppendEncode(nil, mac.Sum(nil))
}
