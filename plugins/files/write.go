package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

type writeArgs struct {
	Path    string `json:"path" doc:"the file, such as output/report.md; folders are made as needed" minLength:"1"`
	Content string `json:"content" doc:"the text: the whole file, or what is added to it"`
	Mode    string `json:"mode" doc:"overwrite replaces a file or makes it, append adds to its end or makes it, create refuses when it is there" enum:"overwrite,append,create" default:"overwrite"`
}

func write(ctx sdk.Context, in writeArgs) (sdk.Result, error) {
	n, err := parseFile(in.Path)
	if err != nil {
		return sdk.Result{}, err
	}
	if err := makeFolders(ctx, n); err != nil {
		return sdk.Result{}, err
	}
	did := "wrote"
	switch in.Mode {
	case "append":
		did = "added to"
		err = add(ctx, n, in.Content, os.O_APPEND)
	case "create":
		did = "made"
		err = add(ctx, n, in.Content, os.O_EXCL)
	default:
		err = replace(ctx, n, in.Content)
	}
	if err != nil {
		return sdk.Result{}, err
	}
	link, err := ctx.Link(n.guest())
	if err != nil {
		return sdk.Result{}, failed(ctx, err, n)
	}
	text := fmt.Sprintf("%s %s: %s, %s", did, n, count(len(in.Content), "byte"), count(lineCount(in.Content), "line"))
	if in.Mode == "append" {
		text += fmt.Sprintf("; it has %s now", count(int(link.Size), "byte"))
	}
	return sdk.ResultOf(sdk.Text(text), link), nil
}

// makeFolders makes the folders that a file is in. os.MkdirAll looks again at
// what it couldn't make, and the host's reason would be that look's.
func makeFolders(ctx sdk.Context, n name) error {
	at := name{zone: n.zone}
	for part := range strings.SplitSeq(path.Dir(n.rest), "/") {
		at = at.join(part)
		dir := ctx.Path(at.guest())
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			continue // what is wrong with it shows when the file is opened
		}
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return failed(ctx, err, at)
		}
	}
	return nil
}

func lineCount(text string) int {
	n := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		n++
	}
	return n
}

// replace puts content in the place of a file, or makes the file. A reader, and
// a call that is cut short, find either the old file or the new one.
func replace(ctx sdk.Context, n name, content string) error {
	target := ctx.Path(n.guest())
	info, err := os.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return add(ctx, n, content, os.O_EXCL)
	case err != nil:
		return failed(ctx, err, n)
	case info.IsDir():
		return folder(n)
	}
	// Where files can only be added to, the copy below could be made, never
	// renamed and never removed. Setting no time changes nothing and needs the
	// same access as a replacement, so that a refusal comes before anything is
	// written.
	if err := os.Chtimes(target, time.Time{}, time.Time{}); err != nil {
		return failed(ctx, err, n)
	}
	copied := n
	copied.rest = path.Join(path.Dir(n.rest), fmt.Sprintf(".%s.%s", shortened(path.Base(n.rest)), ctx.Call))
	if err := add(ctx, copied, content, os.O_EXCL); err != nil {
		return err
	}
	if err := os.Rename(ctx.Path(copied.guest()), target); err != nil {
		err = failed(ctx, err, n) // before the next file call
		_ = os.Remove(ctx.Path(copied.guest()))
		return err
	}
	return nil
}

// shortened keeps a name for a copy within what file systems take.
func shortened(base string) string {
	const most = 100
	return strings.ToValidUTF8(base[:min(len(base), most)], "")
}

// add writes content to a file's end: that of a new file with os.O_EXCL, that
// of an old one with os.O_APPEND. A new file that couldn't be filled is removed
// again where the zone allows it.
func add(ctx sdk.Context, n name, content string, how int) error {
	target := ctx.Path(n.guest())
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|how, 0o644)
	if errors.Is(err, fs.ErrExist) && how == os.O_EXCL {
		return sdk.Errorf(abi.CodeAlreadyExists, "%s is there already", n).
			WithHint("choose another name, or another mode")
	}
	if err != nil {
		return failed(ctx, err, n)
	}
	if _, err = f.WriteString(content); err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = failed(ctx, err, n) // before the next file call
	}
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = failed(ctx, closeErr, n)
	}
	if err != nil && how == os.O_EXCL {
		_ = os.Remove(target)
	}
	return err
}
