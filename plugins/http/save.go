package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
	"github.com/sallyport-dev/sallyport/sdk/http"
)

// save puts a body into the file, all of it or nothing.
func (t *target) save(ctx sdk.Context, resp *http.Response) (sdk.Result, error) {
	f := &fill{ctx: ctx, resp: resp, sum: sha256.New(), name: t.String(), told: -1}
	did := "saved"
	if t.replaces {
		did = "replaced"
	}
	put := t.rename
	if t.addOnly {
		put = t.add
	}
	if err := put(f); err != nil {
		return sdk.Result{}, err
	}
	if f.told < f.size {
		ctx.Progress(float64(f.size), float64(f.size), t.String())
	}
	link, err := ctx.Link(t.String())
	if err != nil {
		return sdk.Result{}, failed(ctx, err, t.String())
	}
	kind, _ := mediaType(resp.Header.Get("Content-Type"))
	if link.MIMEType == "application/octet-stream" && kind != "" {
		link.MIMEType = kind
	}
	digest := hex.EncodeToString(f.sum.Sum(nil))
	text := fmt.Sprintf("%s %s: %d bytes, sha256 %s", did, t, f.size, digest)
	if kind != "" {
		text += ", sent as " + kind
	}
	if len(resp.Redirects) > 0 {
		text += "\nurl: " + resp.URL
	}
	r := sdk.ResultOf(sdk.Text(text), link)
	r.Meta = map[string]json.RawMessage{
		"http/status": meta(resp.Status), "http/url": meta(resp.URL), "http/bytes": meta(f.size), "http/sha256": meta(digest),
	}
	return r, nil
}

// rename fills a file beside the target and renames it when it is whole.
func (t *target) rename(f *fill) (err error) {
	folders, err := makeFolders(f.ctx, t.zone, path.Dir(t.rest))
	defer func() {
		if err != nil {
			removeAll(f.ctx, folders)
		}
	}()
	if err != nil {
		return err
	}
	base := path.Base(t.rest)
	copied := path.Join(t.zone, path.Dir(t.rest), fmt.Sprintf(".%s.%s", strings.ToValidUTF8(base[:min(len(base), 100)], ""), f.ctx.Call))
	if err := f.into(copied, f.resp.Body); err != nil {
		return err
	}
	if err := os.Rename(f.ctx.Path(copied), f.ctx.Path(t.String())); err != nil {
		err = failed(f.ctx, err, t.String()) // before the next file call
		_ = os.Remove(f.ctx.Path(copied))
		return err
	}
	return nil
}

// add fills a file in /tmp first: what is half there in a zone that can only be
// added to would stay. What fails then is the zone's quota at worst.
func (t *target) add(f *fill) error {
	copied := path.Join(abi.MountTmp, "body."+f.ctx.Call)
	if err := f.into(copied, f.resp.Body); err != nil {
		return err
	}
	defer os.Remove(f.ctx.Path(copied))
	whole, err := os.Open(f.ctx.Path(copied))
	if err != nil {
		return failed(f.ctx, err, copied)
	}
	defer whole.Close()
	if _, err := makeFolders(f.ctx, t.zone, path.Dir(t.rest)); err != nil {
		return err
	}
	again := &fill{ctx: f.ctx, sum: sha256.New(), name: f.name}
	return again.into(t.String(), whole)
}

// makeFolders makes the folders of a zone that aren't there, and returns those
// that it made, the innermost first. os.MkdirAll looks again at what it couldn't
// make, and the host's reason would be that look's.
func makeFolders(ctx sdk.Context, at, dir string) (made []string, err error) {
	for part := range strings.SplitSeq(dir, "/") {
		at = path.Join(at, part)
		if _, err := os.Stat(ctx.Path(at)); !errors.Is(err, fs.ErrNotExist) {
			continue // what is wrong with it shows when the file is opened
		}
		if err := os.Mkdir(ctx.Path(at), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return made, failed(ctx, err, at)
		}
		made = slices.Insert(made, 0, at)
	}
	return made, nil
}

func removeAll(ctx sdk.Context, names []string) {
	for _, name := range names {
		_ = os.Remove(ctx.Path(name))
	}
}

// A fill is a body on its way into a file.
type fill struct {
	ctx  sdk.Context
	resp *http.Response // nil where there is nothing to report
	sum  hash.Hash
	name string // of the target
	size int64
	next int64 // the size to report
	told int64 // the size that was reported, -1 before
}

// into makes a file of a reader. One that couldn't be filled is removed again
// where the zone allows it.
func (f *fill) into(name string, from io.Reader) error {
	at := f.ctx.Path(name)
	file, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return failed(f.ctx, err, name)
	}
	err = f.copy(file, from)
	if err == nil {
		if err = file.Sync(); err != nil {
			err = failed(f.ctx, err, f.name)
		}
	}
	if closeErr := file.Close(); err == nil && closeErr != nil {
		err = failed(f.ctx, closeErr, f.name)
	}
	if err != nil {
		_ = os.Remove(at)
	}
	return err
}

func (f *fill) copy(to io.Writer, from io.Reader) error {
	part := make([]byte, 256<<10)
	for {
		n, err := from.Read(part)
		if n > 0 {
			f.sum.Write(part[:n])
			if _, err := to.Write(part[:n]); err != nil {
				return failed(f.ctx, err, f.name)
			}
			f.size += int64(n)
			f.report()
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return f.broken(err)
		}
	}
}

// broken is the error of a body that broke off.
func (f *fill) broken(err error) error {
	e := *abi.AsError(err)
	e.Message = fmt.Sprintf("after %d bytes: %s; nothing was saved to %s", f.size, e.Message, f.name)
	return &e
}

// report tells the agent how far it has come, a hundred times at most for a
// length that is known and ever less often for one that isn't.
func (f *fill) report() {
	if f.resp == nil || f.size < f.next {
		return
	}
	total := max(0, f.resp.Length)
	f.told = f.size
	f.next = f.size + max(1<<20, total/100, f.size/20)
	f.ctx.Progress(float64(f.size), float64(total), f.name)
}
