package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// maxEdit bounds a file that is edited, which is held in memory as a whole.
const maxEdit = 16 << 20

type editArgs struct {
	Path  string `json:"path" doc:"the file, such as output/report.md" minLength:"1"`
	Old   string `json:"old" doc:"the text to replace, exactly as it is in the file; enough of it to be unique" minLength:"1"`
	New   string `json:"new" doc:"the text to put there; empty to delete"`
	Count int    `json:"count" doc:"how often old is in the file; all of them are replaced" minimum:"1" default:"1"`
}

func edit(ctx sdk.Context, in editArgs) (sdk.Result, error) {
	n, err := parseFile(in.Path)
	if err != nil {
		return sdk.Result{}, err
	}
	if in.Old == in.New {
		return sdk.Result{}, sdk.BadArgument("/new", "new is the same as old")
	}
	text, err := whole(ctx, n)
	if err != nil {
		return sdk.Result{}, err
	}
	old, replacement := in.Old, in.New
	if crlf(text) && !strings.Contains(old, "\r") {
		old, replacement = strings.ReplaceAll(old, "\n", "\r\n"), strings.ReplaceAll(replacement, "\n", "\r\n")
	}
	at := places(text, old)
	if len(at) != in.Count {
		return sdk.Result{}, mismatch(n, text, old, at, in.Count)
	}
	if size := len(text) + len(at)*(len(replacement)-len(old)); size > maxEdit {
		return sdk.Result{}, sdk.Errorf(abi.CodeResourceExhausted, "%s would have %d bytes, and at most %d are edited", n, size, maxEdit).
			WithHint("change it with Python")
	}
	changed := strings.ReplaceAll(text, old, replacement)
	if err := replace(ctx, n, changed); err != nil {
		return sdk.Result{}, err
	}
	said := fmt.Sprintf("replaced %s in %s, at %s", count(len(at), "occurrence"), n, lineList(linesAt(text, at)))
	return sdk.ResultOf(sdk.Text(said + "\n" + around(changed, at[0], len(replacement)))), nil
}

// whole reads a text file for editing.
func whole(ctx sdk.Context, n name) (string, error) {
	f, err := os.Open(ctx.Path(n.guest()))
	if err != nil {
		return "", failed(ctx, err, n)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", failed(ctx, err, n)
	case info.IsDir():
		return "", folder(n)
	case info.Size() > maxEdit:
		return "", sdk.Errorf(abi.CodeResourceExhausted, "%s has %d bytes, and at most %d are edited", n, info.Size(), maxEdit).
			WithHint("change it with Python")
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxEdit+1))
	if err != nil {
		return "", failed(ctx, err, n)
	}
	if !utf8.Valid(raw) {
		return "", sdk.Errorf(abi.CodeFailedPrecondition, "%s is not UTF-8 text", n).WithHint("change it with Python")
	}
	return string(raw), nil
}

// crlf says whether every line of the text ends as Windows ends them.
func crlf(text string) bool {
	n := strings.Count(text, "\n")
	return n > 0 && n == strings.Count(text, "\r\n")
}

// places returns where old begins, each occurrence after the end of the last.
func places(text, old string) []int {
	var list []int
	for from := 0; ; {
		i := strings.Index(text[from:], old)
		if i < 0 {
			return list
		}
		list = append(list, from+i)
		from += i + len(old)
	}
}

// linesAt returns the numbers of the lines at some places, which ascend.
func linesAt(text string, at []int) []int {
	lines := make([]int, len(at))
	line, from := 1, 0
	for i, p := range at {
		line += strings.Count(text[from:p], "\n")
		lines[i], from = line, p
	}
	return lines
}

// lineList writes "line 3" or "lines 3, 7 and 12", and bounds it.
func lineList(lines []int) string {
	const most = 20
	var words []string
	for _, n := range lines[:min(len(lines), most)] {
		words = append(words, fmt.Sprint(n))
	}
	switch {
	case len(lines) == 1:
		return "line " + words[0]
	case len(lines) > most:
		return fmt.Sprintf("lines %s and %d more", strings.Join(words, ", "), len(lines)-most)
	}
	last := len(words) - 1
	return "lines " + strings.Join(words[:last], ", ") + " and " + words[last]
}
