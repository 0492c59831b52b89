package main_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d\n", i+1)
	}
	return b.String()
}

func TestReadGivesLinesAndSaysHowToGoOn(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/upload/ten.txt", []byte(numbered(10)))
	h.Write("/upload/open.txt", []byte("one\r\ntwo"))
	h.Write("/upload/empty.txt", nil)
	tests := []struct {
		in   args
		want string
	}{
		{args{"path": "upload/ten.txt"}, numbered(10)},
		{args{"path": "upload/ten.txt", "limit": 10}, numbered(10)},
		{args{"path": "upload/ten.txt", "limit": 2}, "line 1\nline 2\n|[upload/ten.txt: lines 1 to 2 of 10; go on with offset 3]"},
		{args{"path": "upload/ten.txt", "offset": 9, "limit": 5}, "line 9\nline 10\n|[upload/ten.txt: lines 9 to 10 of 10]"},
		{args{"path": "upload/ten.txt", "offset": 3, "limit": 1, "numbered": true}, "     3\tline 3\n|[upload/ten.txt: lines 3 to 3 of 10; go on with offset 4]"},
		{args{"path": "upload/open.txt"}, "one\r\ntwo"},
		{args{"path": "upload/open.txt", "offset": 2}, "two|[upload/open.txt: lines 2 to 2 of 2]"},
		{args{"path": "upload/empty.txt"}, "[upload/empty.txt is empty]"},
	}
	for _, tt := range tests {
		if got := call(t, h, "read", tt.in); got != tt.want {
			t.Errorf("%v: read %q, want %q", tt.in, got, tt.want)
		}
	}
	if e := refused(t, h, "read", args{"path": "upload/ten.txt", "offset": 11}, abi.CodeInvalidArgument); e.Field != "/offset" || !strings.Contains(e.Message, "has 10 lines") {
		t.Errorf("beyond the end: %+v", e)
	}
}

func TestPiecesOfALongFileMakeTheWhole(t *testing.T) {
	h := sdktest.New(t)
	want := numbered(20_000)
	h.Write("/upload/long.txt", []byte(want))
	var got strings.Builder
	offset := 1
	for range 100 {
		r := result(t, h, "read", args{"path": "upload/long.txt", "offset": offset, "limit": 10_000})
		if n := len(r.Content[0].Text); n > 50_000 {
			t.Fatalf("a piece has %d bytes", n)
		}
		got.WriteString(r.Content[0].Text)
		_, next, more := strings.Cut(r.Content[1].Text, "go on with offset ")
		if !more {
			break
		}
		fmt.Sscan(next, &offset)
	}
	if got.String() != want {
		t.Errorf("the pieces have %d bytes, want %d", got.Len(), len(want))
	}
}

func TestALongLineIsCutBetweenCharacters(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/upload/wide.txt", []byte("é"+strings.Repeat("x", 3998)+"é"+strings.Repeat("y", 200_000)+"\nnext\n"))
	r := result(t, h, "read", args{"path": "upload/wide.txt"})
	text := r.Content[0].Text
	if len(text) > 5000 || !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) || !strings.HasSuffix(text, " more bytes in this line]\nnext\n") {
		t.Errorf("read %d bytes, ending in %q", len(text), text[max(0, len(text)-60):])
	}
	if got := r.Content[1].Text; got != "[1 long line cut: read the rest with Python]" {
		t.Errorf("the note is %q", got)
	}
}

func TestEncodings(t *testing.T) {
	h := sdktest.New(t)
	files := map[string]string{
		"utf8.txt":   "Grüße 图\n",
		"mark.txt":   "\xef\xbb\xbfGrüße 图\n",
		"le.txt":     "\xff\xfeG\x00r\x00\xfc\x00\xdf\x00e\x00 \x00\xfe\x56\n\x00",
		"be.txt":     "\xfe\xff\x00G\x00r\x00\xfc\x00\xdf\x00e\x00 \x56\xfe\x00\n",
		"lebare.txt": "G\x00r\x00\xfc\x00\xdf\x00e\x00 \x00\xfe\x56\n\x00",
		"latin.txt":  "Gr\xfc\xdfe\n",
		"bad.txt":    "good\xffbad\n",
	}
	for name, data := range files {
		h.Write("/upload/"+name, []byte(data))
	}
	tests := []struct{ name, encoding, want string }{
		{"utf8.txt", "auto", "Grüße 图\n"},
		{"utf8.txt", "utf-8", "Grüße 图\n"},
		{"mark.txt", "auto", "Grüße 图\n"},
		{"mark.txt", "utf-8", "Grüße 图\n"},
		{"le.txt", "auto", "Grüße 图\n"},
		{"be.txt", "auto", "Grüße 图\n"},
		{"le.txt", "utf-16le", "Grüße 图\n"},
		{"be.txt", "utf-16be", "Grüße 图\n"},
		{"lebare.txt", "utf-16le", "Grüße 图\n"},
		{"latin.txt", "latin-1", "Grüße\n"},
		{"bad.txt", "utf-8", "good\uFFFDbad\n"},
	}
	for _, tt := range tests {
		if got := call(t, h, "read", args{"path": "upload/" + tt.name, "encoding": tt.encoding}); got != tt.want {
			t.Errorf("%s as %s: read %q, want %q", tt.name, tt.encoding, got, tt.want)
		}
	}
}

func TestTextIsKnownAcrossTheEndOfWhatIsLookedAt(t *testing.T) {
	h := sdktest.New(t)
	want := strings.Repeat("x", 8191) + "图\n"
	h.Write("/upload/edge.txt", []byte(want))
	if got := call(t, h, "read", args{"path": "upload/edge.txt"}); !strings.Contains(got, "[… 4195 more bytes") {
		t.Errorf("read %q", got[max(0, len(got)-100):])
	}
}

func TestABinaryFileIsToldAndLinked(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/upload/data.xlsx", []byte("PK\x03\x04\x00\x00"))
	h.Write("/upload/latin.txt", []byte("Gr\xfc\xdfe"))
	r := result(t, h, "read", args{"path": "upload/data.xlsx"})
	if got := texts(r); !strings.Contains(got, "upload/data.xlsx is not text: application/vnd.openxmlformats-officedocument.spreadsheetml.sheet, 6 bytes") {
		t.Errorf("read %q", got)
	}
	if link := r.Content[1]; link.Type != abi.ContentLink || link.URI != "workspace:/upload/data.xlsx" || link.Size != 6 {
		t.Errorf("the link is %+v", link)
	}
	if got := call(t, h, "read", args{"path": "upload/latin.txt"}); !strings.Contains(got, "is not text") {
		t.Errorf("read %q", got)
	}
}

func TestAnImageIsShown(t *testing.T) {
	h := sdktest.New(t)
	images := map[string]string{
		"image/png":  "\x89PNG\r\n\x1a\n\x00\x00",
		"image/jpeg": "\xff\xd8\xff\xe0\x00",
		"image/gif":  "GIF89a\x00",
		"image/webp": "RIFF\x00\x00\x00\x00WEBPVP8 ",
	}
	for mime, data := range images {
		h.Write("/output/chart", []byte(data)) // by its bytes, not by its name
		r := result(t, h, "read", args{"path": "output/chart"})
		if len(r.Content) != 3 || r.Content[1].Type != abi.ContentImage || r.Content[1].MIMEType != mime || string(r.Content[1].Data) != data {
			t.Errorf("%s: read %+v", mime, r.Content)
		}
	}
	h.Write("/output/large.png", []byte(images["image/png"]+strings.Repeat("\x00", 4<<20)))
	if r := result(t, h, "read", args{"path": "output/large.png"}); len(r.Content) != 2 || r.Content[1].Type != abi.ContentLink {
		t.Errorf("a large image: %.200v", r.Content)
	}
}
