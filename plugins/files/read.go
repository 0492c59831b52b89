package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/sdk"
)

// Bounds of one answer.
const (
	maxRead  = 50_000  // bytes of text
	maxLine  = 4_000   // bytes of one line
	maxShow  = 4 << 20 // bytes of an image that is shown
	maxCount = 64 << 20
)

type readArgs struct {
	Path     string `json:"path" doc:"the file, such as upload/data.csv" minLength:"1"`
	Offset   int    `json:"offset" doc:"the first line to read, counted from 1" minimum:"1" default:"1"`
	Limit    int    `json:"limit" doc:"how many lines to read at most" minimum:"1" maximum:"10000" default:"1000"`
	Numbered bool   `json:"numbered,omitempty" doc:"put each line's number before it"`
	Encoding string `json:"encoding" doc:"how the text is encoded; auto knows UTF-8, and UTF-16 with a byte order mark" enum:"auto,utf-8,utf-16le,utf-16be,latin-1" default:"auto"`
}

func read(ctx sdk.Context, in readArgs) (sdk.Result, error) {
	n, err := parseFile(in.Path)
	if err != nil {
		return sdk.Result{}, err
	}
	f, err := os.Open(ctx.Path(n.guest()))
	if err != nil {
		return sdk.Result{}, failed(ctx, err, n)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sdk.Result{}, failed(ctx, err, n)
	}
	if info.IsDir() {
		return sdk.Result{}, folder(n)
	}
	text, err := decode(f, info.Size(), in.Encoding)
	if errors.Is(err, errBinary) {
		return tell(ctx, n, f, info.Size())
	}
	if err != nil {
		return sdk.Result{}, failed(ctx, err, n)
	}
	p, err := take(text, in)
	if err != nil {
		return sdk.Result{}, failed(ctx, err, n)
	}
	return p.result(n, in)
}

// A piece is some lines of a file.
type piece struct {
	text     strings.Builder
	first    int  // the number of the first line taken
	taken    int  // lines taken
	seen     int  // lines seen, those before and after included
	complete bool // the whole file was seen
	cut      int  // lines whose end was cut
}

// take reads the lines that were asked for, as far as they fit into an answer,
// and goes on to count the rest of a file of ordinary size.
func take(r io.Reader, in readArgs) (*piece, error) {
	p := &piece{first: in.Offset}
	lines := bufio.NewReaderSize(r, 64<<10)
	full := false
	for read := 0; ; {
		line, length, err := nextLine(lines)
		if err != nil && err != io.EOF {
			return nil, err
		}
		if length == 0 { // io.EOF
			p.complete = true
			return p, nil
		}
		read += length
		p.seen++
		if p.seen >= in.Offset && !full {
			entry := string(line)
			if len(line) < length {
				entry = fmt.Sprintf("%s [… %d more bytes in this line]\n", trimRune(line), length-len(line))
			}
			if in.Numbered {
				entry = fmt.Sprintf("%6d\t%s", p.seen, entry)
			}
			if full = p.taken == in.Limit || p.taken > 0 && p.text.Len()+len(entry) > maxRead; !full {
				p.text.WriteString(entry)
				p.taken++
				if len(line) < length {
					p.cut++
				}
			}
		}
		if full && read > maxCount {
			return p, nil
		}
	}
}

// nextLine returns the next line with its end, cut to maxLine, and its whole
// length, which is 0 at the end of the file. The line is valid until the next
// call.
func nextLine(r *bufio.Reader) (line []byte, length int, err error) {
	for {
		part, err := r.ReadSlice('\n')
		length += len(part)
		if line == nil && err == nil && len(part) <= maxLine {
			return part, length, nil
		}
		line = append(line, part[:min(len(part), maxLine-len(line))]...)
		if err != bufio.ErrBufferFull {
			return line, length, err
		}
	}
}

// trimRune drops the part of a character at the end of a cut line.
func trimRune(line []byte) []byte {
	for range utf8.UTFMax - 1 {
		if r, size := utf8.DecodeLastRune(line); r != utf8.RuneError || size != 1 {
			break
		}
		line = line[:len(line)-1]
	}
	return line
}

// result is the text as it is, and in a block of its own what to know about it.
func (p *piece) result(n name, in readArgs) (sdk.Result, error) {
	if p.taken == 0 {
		if p.seen == 0 && in.Offset == 1 {
			return sdk.ResultOf(sdk.Text(fmt.Sprintf("[%s is empty]", n))), nil
		}
		return sdk.Result{}, sdk.BadArgument("/offset", "offset is %d, and %s has %s", in.Offset, n, count(p.seen, "line"))
	}
	r := sdk.ResultOf(sdk.Text(strings.ToValidUTF8(p.text.String(), "\uFFFD")))
	last := p.first + p.taken - 1
	var notes []string
	if p.first > 1 || !p.complete || last < p.seen {
		of := fmt.Sprint(p.seen)
		if !p.complete {
			of = fmt.Sprintf("more than %d", p.seen)
		}
		note := fmt.Sprintf("%s: lines %d to %d of %s", n, p.first, last, of)
		if !p.complete || last < p.seen {
			note += fmt.Sprintf("; go on with offset %d", last+1)
		}
		notes = append(notes, note)
	}
	if p.cut > 0 {
		notes = append(notes, fmt.Sprintf("%s cut: read the rest with Python", count(p.cut, "long line")))
	}
	if len(notes) > 0 {
		r.Content = append(r.Content, sdk.Text("["+strings.Join(notes, "; ")+"]"))
	}
	return r, nil
}

// tell answers for what isn't text: an image is shown, everything else told.
func tell(ctx sdk.Context, n name, f *os.File, size int64) (sdk.Result, error) {
	link, err := ctx.Link(n.guest())
	if err != nil {
		return sdk.Result{}, failed(ctx, err, n)
	}
	head := make([]byte, 16)
	got, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return sdk.Result{}, failed(ctx, err, n)
	}
	if mime := imageType(head[:got]); mime != "" {
		link.MIMEType = mime
		if size <= maxShow {
			data := make([]byte, size)
			if _, err := f.ReadAt(data, 0); err != nil && err != io.EOF {
				return sdk.Result{}, failed(ctx, err, n)
			}
			return sdk.ResultOf(sdk.Text(fmt.Sprintf("[%s: %s, %s]", n, mime, count(int(size), "byte"))), sdk.Image(mime, data), link), nil
		}
	}
	return sdk.ResultOf(sdk.Text(fmt.Sprintf(
		"[%s is not text: %s, %s. Read it with Python, text in other encodings included]", n, link.MIMEType, count(int(size), "byte"))), link), nil
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
