package main

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// mediaType returns the type and the charset of a Content-Type, in lower case.
func mediaType(value string) (kind, charset string) {
	kind, params, _ := strings.Cut(strings.ToLower(value), ";")
	for param := range strings.SplitSeq(params, ";") {
		if name, v, ok := strings.Cut(strings.TrimSpace(param), "="); ok && name == "charset" {
			charset = strings.Trim(v, `"' `)
		}
	}
	return strings.TrimSpace(kind), charset
}

// decode returns a body's text, of which a character may be cut at the end. It
// fails where it isn't text, or in an encoding that isn't known.
func decode(part []byte, charset string) (string, bool) {
	switch {
	case bytes.HasPrefix(part, []byte("\xef\xbb\xbf")):
		part, charset = part[3:], "utf-8"
	case bytes.HasPrefix(part, []byte("\xff\xfe")):
		part, charset = part[2:], "utf-16le"
	case bytes.HasPrefix(part, []byte("\xfe\xff")):
		part, charset = part[2:], "utf-16be"
	}
	switch charset {
	case "utf-16le", "utf-16":
		return fromUTF16(part, binary.LittleEndian), true
	case "utf-16be":
		return fromUTF16(part, binary.BigEndian), true
	}
	if n := textLength(part); n >= 0 {
		return string(part[:n]), true
	}
	switch charset {
	case "iso-8859-1", "latin1", "windows-1252", "us-ascii":
		return fromWindows(part), true
	case "utf-8", "utf8":
		return strings.ToValidUTF8(string(part), "\uFFFD"), bytes.IndexByte(part, 0) < 0
	}
	return "", false
}

// textLength returns how long the text in UTF-8 is, less a character that is
// cut at its end; -1 where it isn't text.
func textLength(part []byte) int {
	if bytes.IndexByte(part, 0) >= 0 {
		return -1
	}
	for at := 0; at < len(part); {
		r, size := utf8.DecodeRune(part[at:])
		if r == utf8.RuneError && size == 1 {
			if utf8.FullRune(part[at:]) {
				return -1
			}
			return at
		}
		at += size
	}
	return len(part)
}

func fromUTF16(part []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(part)/2)
	for i := range units {
		units[i] = order.Uint16(part[2*i:])
	}
	return string(utf16.Decode(units))
}

// windows are the characters 0x80 to 0x9f of windows-1252, which is what the
// web means by ISO 8859-1.
var windows = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

func fromWindows(part []byte) string {
	text := make([]byte, 0, len(part)+len(part)/8)
	for _, b := range part {
		r := rune(b)
		if 0x80 <= b && b < 0xa0 {
			r = windows[b-0x80]
		}
		text = utf8.AppendRune(text, r)
	}
	return string(text)
}

// imageType knows the images that agents can see by their first bytes.
func imageType(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return "image/jpeg"
	case bytes.HasPrefix(head, []byte("GIF87a")), bytes.HasPrefix(head, []byte("GIF89a")):
		return "image/gif"
	case len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP":
		return "image/webp"
	}
	return ""
}
