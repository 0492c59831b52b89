package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// maxConvert bounds a file that isn't UTF-8, which is converted as a whole.
const maxConvert = 16 << 20

var errBinary = errors.New("the file is not text")

var (
	markUTF8    = []byte("\xef\xbb\xbf")
	markUTF16LE = []byte("\xff\xfe")
	markUTF16BE = []byte("\xfe\xff")
)

// decode returns a file's text as UTF-8, without a byte order mark. It fails
// with errBinary when the encoding is auto and the file isn't text.
func decode(f io.ReadSeeker, size int64, encoding string) (io.Reader, error) {
	head := make([]byte, 8<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	head = head[:n]
	skip := int64(0)
	switch mark := func(m []byte) bool { return bytes.HasPrefix(head, m) }; encoding {
	case "auto":
		encoding = "utf-8"
		switch {
		case mark(markUTF8):
			skip = 3
		case mark(markUTF16LE):
			encoding, skip = "utf-16le", 2
		case mark(markUTF16BE):
			encoding, skip = "utf-16be", 2
		case !isText(head):
			return nil, errBinary
		}
	case "utf-8":
		if mark(markUTF8) {
			skip = 3
		}
	case "utf-16le":
		if mark(markUTF16LE) {
			skip = 2
		}
	case "utf-16be":
		if mark(markUTF16BE) {
			skip = 2
		}
	}
	if _, err := f.Seek(skip, io.SeekStart); err != nil {
		return nil, err
	}
	if encoding == "utf-8" {
		return f, nil
	}
	if size > maxConvert {
		return nil, sdk.Errorf(abi.CodeResourceExhausted, "the file has %d bytes, and in %s at most %d are read", size, encoding, maxConvert).
			WithHint("read it with Python")
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxConvert))
	if err != nil {
		return nil, err
	}
	return bytes.NewReader(convert(raw, encoding)), nil
}

// isText says whether the start of a file is UTF-8 without control characters
// that no text has. A character may be cut at the end.
func isText(head []byte) bool {
	if bytes.IndexByte(head, 0) >= 0 {
		return false
	}
	for len(head) > 0 {
		r, size := utf8.DecodeRune(head)
		if r == utf8.RuneError && size == 1 {
			return !utf8.FullRune(head)
		}
		head = head[size:]
	}
	return true
}

func convert(raw []byte, encoding string) []byte {
	var text []byte
	if encoding == "latin-1" {
		for _, b := range raw {
			text = utf8.AppendRune(text, rune(b))
		}
		return text
	}
	var order binary.ByteOrder = binary.LittleEndian
	if encoding == "utf-16be" {
		order = binary.BigEndian
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = order.Uint16(raw[2*i:])
	}
	for _, r := range utf16.Decode(units) {
		text = utf8.AppendRune(text, r)
	}
	if len(raw)%2 == 1 {
		text = utf8.AppendRune(text, utf8.RuneError)
	}
	return text
}
