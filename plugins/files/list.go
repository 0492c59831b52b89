package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

// Bounds of one answer, and of what is looked at for it.
const (
	maxEntries = 500
	maxWalk    = 20_000
)

type listArgs struct {
	Path  string `json:"path,omitempty" doc:"a zone or a folder, such as output or output/charts; without it, all zones"`
	Depth int    `json:"depth" doc:"how deep to go: 1 lists the folder, or the zones, alone" minimum:"1" maximum:"10" default:"2"`
	Glob  string `json:"glob,omitempty" doc:"only files that match: *.csv by their names, data/*.csv by their paths in the folder"`
}

type entry struct {
	Path     string `json:"path" doc:"as the other tools take it; a folder's ends in /"`
	Size     int64  `json:"size" doc:"in bytes; 0 for a folder"`
	Modified string `json:"modified" doc:"RFC 3339, UTC"`
}

type listing struct {
	Entries   []entry  `json:"entries"`
	Truncated bool     `json:"truncated,omitempty" doc:"there is more than is listed: choose a folder or a glob"`
	Closed    []string `json:"closed,omitempty" doc:"zones that this tool may not read"`
}

func list(ctx sdk.Context, in listArgs) (listing, error) {
	if _, err := path.Match(in.Glob, ""); err != nil {
		return listing{}, sdk.BadArgument("/glob", "glob %q is not a pattern", in.Glob)
	}
	w := &walk{ctx: ctx, glob: in.Glob, listing: listing{Entries: []entry{}}}
	if path.Clean("/"+in.Path) != "/" {
		n, err := parse(in.Path)
		if err == nil {
			w.root = n
			err = w.folder(n, in.Depth)
		}
		return w.listing, err
	}
	for _, zone := range abi.Zones() {
		n := name{zone: zone}
		info, err := os.Stat(ctx.Path(n.guest()))
		if err == nil {
			w.root = n
			w.add(n, info)
			if in.Depth > 1 {
				err = w.folder(n, in.Depth-1)
			}
		}
		switch err = failed(ctx, err, n); {
		case abi.CodeOf(err) == abi.CodePermissionDenied:
			w.Closed = append(w.Closed, zone)
		case err != nil:
			return listing{}, err
		}
	}
	return w.listing, nil
}

// A walk collects the entries of folders, in the order of their names.
type walk struct {
	listing
	ctx  sdk.Context
	glob string
	root name // the folder that globs start from
	seen int
}

// folder adds what is in a folder, and below it to a depth.
func (w *walk) folder(n name, depth int) error {
	entries, err := os.ReadDir(w.ctx.Path(n.guest()))
	if errors.Is(err, syscall.ENOTDIR) {
		return sdk.Errorf(abi.CodeFailedPrecondition, "%s is a file, not a folder", n).WithHint("files_read reads it")
	}
	if err != nil {
		return failed(w.ctx, err, n)
	}
	for _, d := range entries {
		if w.seen++; w.seen > maxWalk || len(w.Entries) >= maxEntries {
			w.Truncated = true
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		at := n.join(d.Name())
		if err != nil {
			return failed(w.ctx, err, at)
		}
		w.add(at, info)
		if d.IsDir() && depth > 1 {
			if err := w.folder(at, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds an entry unless the glob leaves it out.
func (w *walk) add(n name, info fs.FileInfo) {
	if w.glob != "" {
		subject := path.Base(n.rest)
		if strings.Contains(w.glob, "/") {
			subject = strings.TrimPrefix(strings.TrimPrefix(n.String(), w.root.String()), "/")
		}
		if ok, _ := path.Match(w.glob, subject); !ok || info.IsDir() {
			return
		}
	}
	e := entry{Path: n.String(), Size: info.Size(), Modified: info.ModTime().UTC().Format(time.RFC3339)}
	if info.IsDir() {
		e.Path, e.Size = e.Path+"/", 0
	}
	w.Entries = append(w.Entries, e)
}
