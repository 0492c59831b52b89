// Command rawfiles makes single file calls and answers with what came of each,
// so that a host's tests can see what the mounts let through.
package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk"
)

type args struct {
	Do   string `json:"do" enum:"read,list,stat,create,exclusive,truncate,overwrite,append,append_at_start,mkdir,remove,rename,symlink,link,readlink,chtimes,chmod"`
	Path string `json:"path"`
	To   string `json:"to,omitempty" doc:"the other path of rename, symlink and link"`
	Data string `json:"data" default:"text"`
}

// An outcome is what a file call came to.
type outcome struct {
	OK    bool       `json:"ok"`
	Data  string     `json:"data,omitempty"`  // what was read
	Errno string     `json:"errno,omitempty"` // the system's error
	Error *abi.Error `json:"error,omitempty"` // the host's reason behind it
}

func init() {
	sdk.Tool("try", "Makes one file call.", func(ctx sdk.Context, in args) (outcome, error) {
		data, err := try(ctx, in)
		return judge(ctx, data, err), nil
	})
	sdk.Tool("gauntlet", "Tries everything that no plugin may do, and answers with what went through.", gauntlet)
}

func judge(ctx sdk.Context, data string, err error) outcome {
	if err == nil {
		return outcome{OK: true, Data: data}
	}
	o := outcome{Errno: err.Error()}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		o.Errno = e.Error()
	}
	o.Error, _ = errors.AsType[*abi.Error](ctx.Reason(err))
	return o
}

func try(ctx sdk.Context, in args) (string, error) {
	path, to := ctx.Path(in.Path), ctx.Path(in.To)
	switch in.Do {
	case "read":
		data, err := os.ReadFile(path)
		return string(data), err
	case "list":
		entries, err := os.ReadDir(path)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " "), err
	case "stat":
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		return info.Mode().String(), nil
	case "create":
		return "", open(path, os.O_CREATE|os.O_WRONLY, 0, in.Data)
	case "exclusive":
		return "", open(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0, in.Data)
	case "truncate":
		return "", open(path, os.O_TRUNC|os.O_WRONLY, 0, in.Data)
	case "overwrite":
		return "", open(path, os.O_RDWR, 0, in.Data)
	case "append":
		return "", open(path, os.O_APPEND|os.O_WRONLY, -1, in.Data)
	case "append_at_start":
		return "", open(path, os.O_APPEND|os.O_WRONLY, 0, in.Data)
	case "mkdir":
		return "", os.Mkdir(path, 0o755)
	case "remove":
		return "", os.Remove(path)
	case "rename":
		return "", os.Rename(path, to)
	case "symlink":
		return "", os.Symlink(in.To, path) // its target as it is
	case "link":
		return "", os.Link(to, path)
	case "readlink":
		return os.Readlink(path)
	case "chtimes":
		return "", os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))
	case "chmod":
		return "", os.Chmod(path, 0o777)
	}
	return "", errors.ErrUnsupported
}

// open opens a file and writes data: at a place, or where it stands.
func open(path string, flag int, at int64, data string) error {
	f, err := os.OpenFile(path, flag, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if at >= 0 {
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return err
		}
	}
	if _, err := f.WriteString(data); err != nil {
		return err
	}
	return f.Close()
}

// passed is what a gauntlet let through; it should be empty.
type passed struct {
	Passed []string `json:"passed"`
	Tried  int      `json:"tried"`
}

// gauntlet needs upload/old.txt and store/old.txt.
func gauntlet(ctx sdk.Context, _ struct{}) (passed, error) {
	attempts := []args{
		{Do: "create", Path: "/upload/new.txt"},
		{Do: "truncate", Path: "/upload/old.txt"},
		{Do: "overwrite", Path: "/upload/old.txt"},
		{Do: "append", Path: "/upload/old.txt"},
		{Do: "mkdir", Path: "/upload/dir"},
		{Do: "remove", Path: "/upload/old.txt"},
		{Do: "rename", Path: "/upload/old.txt", To: "/upload/new.txt"},
		{Do: "chtimes", Path: "/upload/old.txt"},
		{Do: "symlink", Path: "/upload/link", To: "/store/old.txt"},
		{Do: "truncate", Path: "/store/old.txt"},
		{Do: "overwrite", Path: "/store/old.txt"},
		{Do: "remove", Path: "/store/old.txt"},
		{Do: "rename", Path: "/store/old.txt", To: "/store/new.txt"},
		{Do: "rename", Path: "/store/old.txt", To: "/output/new.txt"},
		{Do: "chtimes", Path: "/store/old.txt"},
		{Do: "symlink", Path: "/store/link", To: "old.txt"},
		{Do: "read", Path: "/deploy/index.html"},
		{Do: "list", Path: "/deploy"},
		{Do: "create", Path: "/deploy/new.txt"},
		{Do: "read", Path: "/output/../../etc/passwd"},
		{Do: "read", Path: "/etc/passwd"},
		{Do: "list", Path: "/"},
		{Do: "create", Path: "/new.txt"},
		{Do: "read", Path: "/proc/self/environ"},
		{Do: "symlink", Path: "/output/link", To: "/etc/passwd"},
		{Do: "symlink", Path: "/output/up", To: "../store/old.txt"},
		{Do: "link", Path: "/output/hard", To: "/store/old.txt"},
		{Do: "link", Path: "/output/hard", To: "/upload/old.txt"},
		{Do: "create", Path: "/skill/new.txt"},
	}
	p := passed{Passed: []string{}, Tried: len(attempts)}
	for _, in := range attempts {
		in.Data = "changed"
		if _, err := try(ctx, in); err == nil {
			p.Passed = append(p.Passed, in.Do+" "+in.Path)
		}
	}
	slices.Sort(p.Passed)
	return p, nil
}

func main() {}
