package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

// rootFS is a folder behind os.Root, with what the tests have to see: how many
// files are open, and a hook before every opening.
type rootFS struct {
	*os.Root
	open   atomic.Int64
	before func(name string, flag int) error
}

func newRootFS(t testing.TB) *rootFS {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return &rootFS{Root: root}
}

func (r *rootFS) OpenFile(name string, flag int, perm fs.FileMode) (engine.File, error) {
	if r.before != nil {
		if err := r.before(name, flag); err != nil {
			return nil, err
		}
	}
	f, err := r.Root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	r.open.Add(1)
	return &rootFile{File: f, fs: r}, nil
}

func (r *rootFS) Remove(name string) error {
	if info, err := r.Lstat(name); err == nil && info.IsDir() {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.EISDIR}
	}
	return r.Root.Remove(name)
}

func (r *rootFS) RemoveDir(name string) error {
	if info, err := r.Lstat(name); err == nil && !info.IsDir() {
		return &fs.PathError{Op: "rmdir", Path: name, Err: syscall.ENOTDIR}
	}
	return r.Root.Remove(name)
}

type rootFile struct {
	*os.File
	fs *rootFS
}

func (f *rootFile) Close() error {
	f.fs.open.Add(-1)
	return f.File.Close()
}

func (r *rootFS) put(t testing.TB, name, data string) {
	t.Helper()
	if err := r.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *rootFS) get(t testing.TB, name string) string {
	t.Helper()
	b, err := r.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// output mounts r at /output.
func (r *rootFS) output() engine.Call {
	return engine.Call{Mounts: []engine.Mount{{Path: abi.MountOutput, FS: r}}}
}

// Error numbers of WASI.
const (
	eacces    = 2
	ebadf     = 8
	edquot    = 19
	eexist    = 20
	efbig     = 22
	einval    = 28
	eio       = 29
	eisdir    = 31
	eloop     = 32
	emfile    = 33
	etoolong  = 37
	enoent    = 44
	enospc    = 51
	enotdir   = 54
	enotempty = 55
	enotsup   = 58
	eperm     = 63
	exdev     = 75
)

func TestFilesWorkAsGoHasThem(t *testing.T) {
	p := probe(t, 0)
	type try struct {
		step
		out    string
		errno  int
		reason abi.Code
	}
	mtime := time.Unix(1e9, 0).Unix()
	for name, script := range map[string][]try{
		"reading and writing": {
			{step: step{Op: "write", Path: "/output/f", Data: "hello"}},
			{step: step{Op: "read", Path: "/output/f"}, out: "hello"},
			{step: step{Op: "write", Path: "/output/f", Data: "hi"}}, // truncates
			{step: step{Op: "read", Path: "/output/f"}, out: "hi"},
			{step: step{Op: "append", Path: "/output/f", Data: " there"}},
			{step: step{Op: "append", Path: "/output/f", Data: "!"}},
			{step: step{Op: "read", Path: "/output/f"}, out: "hi there!"},
			{step: step{Op: "append", Path: "/output/new", Data: "x"}},
			{step: step{Op: "read", Path: "/output/new"}, out: "x"},
			{step: step{Op: "pread", Path: "/output/f", At: 3}, out: "ther"},
			{step: step{Op: "pread", Path: "/output/f", At: 7}, out: "e!"},
			{step: step{Op: "pread", Path: "/output/f", At: 100}, out: ""},
			{step: step{Op: "pwrite", Path: "/output/f", At: 3, Data: "where"}},
			{step: step{Op: "read", Path: "/output/f"}, out: "hi where!"},
			{step: step{Op: "seek", Path: "/output/f", At: 3, Flag: 0}, out: "where!"},
			{step: step{Op: "seek", Path: "/output/f", At: -1, Flag: 2}, out: "!"},
			{step: step{Op: "seek", Path: "/output/f", At: -1, Flag: 0}, errno: einval, reason: abi.CodeInvalidArgument},
			{step: step{Op: "truncate", Path: "/output/f", At: 2}},
			{step: step{Op: "read", Path: "/output/f"}, out: "hi"},
			{step: step{Op: "truncate", Path: "/output/f", At: 4}},
			{step: step{Op: "read", Path: "/output/f"}, out: "hi\x00\x00"},
			{step: step{Op: "read", Path: "/output/none"}, errno: enoent, reason: abi.CodeNotFound},
			{step: step{Op: "read", Path: "/output"}, errno: eisdir, reason: -1},
		},
		"flags": {
			{step: step{Op: "open", Path: "/output/f", Flag: os.O_WRONLY}, errno: enoent, reason: abi.CodeNotFound},
			{step: step{Op: "open", Path: "/output/f", Flag: wasiCreate | wasiExcl | os.O_RDWR}},
			{step: step{Op: "open", Path: "/output/f", Flag: wasiCreate | wasiExcl | os.O_RDWR}, errno: eexist, reason: abi.CodeAlreadyExists},
			{step: step{Op: "open", Path: "/output/f", Flag: wasiTrunc | os.O_RDONLY}, errno: einval, reason: abi.CodeInvalidArgument},
			{step: step{Op: "open", Path: "/output/f", Flag: wasiDirectory}, errno: enotdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "open", Path: "/output/f/", Flag: os.O_RDONLY}, errno: enotdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "open", Path: "/output", Flag: os.O_RDWR}, errno: eisdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "open", Path: "/output", Flag: wasiDirectory}},
			{step: step{Op: "raw pwrite", Path: "/output/f", Flag: wasiAppend, Data: "x"}, errno: enotsup, reason: abi.CodeInvalidArgument},
			{step: step{Op: "append mode", Path: "/output/f", Data: "ab", At: 1}},
			{step: step{Op: "append mode", Path: "/output/f", Data: "cd", At: 1}},
			{step: step{Op: "read", Path: "/output/f"}, out: "abcd"},
			{step: step{Op: "append mode", Path: "/output/f", Data: "x", At: 0, Flag: wasiAppend}, errno: enotsup, reason: abi.CodeUnimplemented},
			{step: step{Op: "append mode", Path: "/output/f", Data: "ef", At: 1, Flag: wasiAppend}},
			{step: step{Op: "read", Path: "/output/f"}, out: "abcdef"},
		},
		"folders": {
			{step: step{Op: "mkdir", Path: "/output/a"}},
			{step: step{Op: "mkdir", Path: "/output/a"}, errno: eexist, reason: abi.CodeAlreadyExists},
			{step: step{Op: "mkdir", Path: "/output/x/y"}, errno: enoent, reason: abi.CodeNotFound},
			{step: step{Op: "mkdirall", Path: "/output/a/b/c"}},
			{step: step{Op: "write", Path: "/output/a/b/f", Data: "1"}},
			{step: step{Op: "readdir", Path: "/output"}, out: "a/"},
			{step: step{Op: "readdir", Path: "/output/a/b"}, out: "c/ f"},
			{step: step{Op: "readdir", Path: "/output/a/b/c"}, out: ""},
			{step: step{Op: "readdir", Path: "/output/a/b/f"}, errno: enotdir, reason: -1},
			{step: step{Op: "readdir", Path: "/output/none"}, errno: enoent, reason: abi.CodeNotFound},
			{step: step{Op: "mkdir", Path: "/output/a/b/f/g"}, errno: enotdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "read", Path: "/output/a/b/f/g"}, errno: enotdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "rmdir", Path: "/output/a"}, errno: enotempty, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "rmdir", Path: "/output/a/b/f"}, errno: enotdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "unlink", Path: "/output/a"}, errno: eisdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "rmdir", Path: "/output/a/b/c"}},
			{step: step{Op: "remove", Path: "/output/a/b/f"}},
			{step: step{Op: "remove", Path: "/output/a/b"}},
			{step: step{Op: "remove", Path: "/output/none"}, errno: enoent, reason: abi.CodeNotFound},
			{step: step{Op: "mkdirall", Path: "/output/a/1/2/3"}},
			{step: step{Op: "removeall", Path: "/output/a"}},
			{step: step{Op: "readdir", Path: "/output"}, out: ""},
		},
		"renaming": {
			{step: step{Op: "write", Path: "/output/f", Data: "f"}},
			{step: step{Op: "write", Path: "/output/g", Data: "g"}},
			{step: step{Op: "rename", Path: "/output/f", To: "/output/g"}},
			{step: step{Op: "read", Path: "/output/g"}, out: "f"},
			{step: step{Op: "rename", Path: "/output/f", To: "/output/h"}, errno: enoent, reason: abi.CodeNotFound},
			{step: step{Op: "mkdir", Path: "/output/d"}},
			{step: step{Op: "rename", Path: "/output/g", To: "/output/d"}, errno: eexist, reason: -1}, // package os says so
			{step: step{Op: "rename", Path: "/output/d", To: "/output/g"}, errno: enotdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "rename", Path: "/output/g", To: "/output/d/g"}},
			{step: step{Op: "rename", Path: "/output/d", To: "/output/e"}},
			{step: step{Op: "read", Path: "/output/e/g"}, out: "f"},
			{step: step{Op: "rename", Path: "/output/e/g", To: "/tmp/g"}, errno: exdev, reason: abi.CodeInvalidArgument},
		},
		"describing": {
			{step: step{Op: "write", Path: "/output/f", Data: "12345"}},
			{step: step{Op: "chtimes", Path: "/output/f", At: mtime}},
			{step: step{Op: "stat", Path: "/output/f"}, out: fmt.Sprint("f ---------- 5 ", mtime)},
			{step: step{Op: "lstat", Path: "/output/f"}, out: fmt.Sprint("f ---------- 5 ", mtime)},
			{step: step{Op: "stat", Path: "/output/none"}, errno: enoent, reason: abi.CodeNotFound},
			{step: step{Op: "chtimes", Path: "/output/none"}, errno: enoent, reason: abi.CodeNotFound},
			{step: step{Op: "write", Path: "/output/g", Data: "12345"}},
			{step: step{Op: "same", Path: "/output/f", To: "/output/f"}, out: "true"},
			{step: step{Op: "same", Path: "/output/f", To: "/output/g"}, out: "false"},
			{step: step{Op: "same", Path: "/output/f", To: "/output"}, out: "false"},
		},
		"links": {
			{step: step{Op: "write", Path: "/output/f", Data: "f"}},
			{step: step{Op: "symlink", Path: "f", To: "/output/l"}, errno: eacces, reason: abi.CodePermissionDenied},
			{step: step{Op: "link", Path: "/output/f", To: "/output/l"}, errno: eacces, reason: abi.CodePermissionDenied},
			{step: step{Op: "readlink", Path: "/output/f"}, errno: eacces, reason: abi.CodePermissionDenied},
			{step: step{Op: "link", Path: "/output/f", To: "/tmp/l"}, errno: exdev, reason: abi.CodeInvalidArgument},
			{step: step{Op: "readdir", Path: "/output"}, out: "f"},
		},
		"open files": {
			{step: step{Op: "write", Path: "/output/f", Data: "f"}},
			{step: step{Op: "sync", Path: "/output/f", Data: "synced"}},
			{step: step{Op: "read", Path: "/output/f"}, out: "synced"},
			{step: step{Op: "read write-only", Path: "/output/f"}, errno: ebadf, reason: abi.CodeInvalidArgument},
			{step: step{Op: "write read-only", Path: "/output/f"}, errno: ebadf, reason: abi.CodeInvalidArgument},
			{step: step{Op: "truncate read-only", Path: "/output/f"}, errno: ebadf, reason: abi.CodeInvalidArgument},
			{step: step{Op: "read", Path: "/output/f"}, out: "synced"},
			{step: step{Op: "fstat", Path: "/output/f"}},
			{step: step{Op: "fstat", Path: "/output"}},
			{step: step{Op: "write", Path: "/output/g", Data: "g"}},
			{step: step{Op: "list twice", Path: "/output"}, out: "2 2"},
			// The first free descriptor is 9; the probe leaves one there.
			{step: step{Op: "open", Path: "/output/f"}},
			{step: step{Op: "fd times", At: 9, Flag: 1e9}},
			{step: step{Op: "fd stat", At: 9}, out: "type 4, 6 bytes"},
			{step: step{Op: "fd sync", At: 9}},
			{step: step{Op: "fd list", At: 9}, out: "0", errno: ebadf, reason: -1},
			{step: step{Op: "stat", Path: "/output/f"}, out: "f ---------- 6 1000000000"},
			{step: step{Op: "fd list", At: 4}, out: strconv.Itoa(2*24 + 3 + 2*25)},
			{step: step{Op: "fd list", At: 4}, out: strconv.Itoa(2*24 + 3 + 2*25)}, // from its beginning again
			{step: step{Op: "fd sync", At: 4}},
			{step: step{Op: "fd times", At: 4, Flag: 1e9}},
			// A mount that is closed can be looked at, and no more.
			{step: step{Op: "fd stat", At: 3}, out: "type 3, 0 bytes"},
			{step: step{Op: "fd sync", At: 3}},
			{step: step{Op: "fd list", At: 3}, out: "0", errno: eacces, reason: abi.CodePermissionDenied},
			{step: step{Op: "fd times", At: 3}, errno: eacces, reason: abi.CodePermissionDenied},
		},
		"names": {
			{step: step{Op: "write", Path: "/output/" + strings.Repeat("x", 255), Data: "f"}},
			{step: step{Op: "write", Path: "/output/" + strings.Repeat("x", 256)}, errno: etoolong, reason: abi.CodeInvalidArgument},
			{step: step{Op: "write", Path: "/output/" + strings.Repeat("x/", 2048) + "x"}, errno: etoolong, reason: abi.CodeInvalidArgument},
			{step: step{Op: "write", Path: "/output/日本語 \\ ☃", Data: "f"}},
			{step: step{Op: "read", Path: "/output/日本語 \\ ☃"}, out: "f"},
			{step: step{Op: "mkdir", Path: "/output/d"}},
			{step: step{Op: "write", Path: "/output/d/f", Data: "deep"}},
			{step: step{Op: "read", Path: "/output/./d/../d//f"}, out: "deep"},
			{step: step{Op: "openat", At: 4, Path: "d", To: "f"}},
			{step: step{Op: "openat", At: 4, Path: "d/", To: "f"}},
			{step: step{Op: "openat", At: 4, Path: ".", To: "d/f"}},
			{step: step{Op: "openat", At: 4, Path: "./", To: "d/f"}},
			{step: step{Op: "openat", At: 4, Path: "d", To: "none"}, errno: enoent, reason: abi.CodeNotFound},
			{step: step{Op: "openat", At: 4, Path: "d/f/"}, errno: enotdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "openat", At: 4, Path: "new/", Flag: 1}, errno: eisdir, reason: abi.CodeFailedPrecondition},
			{step: step{Op: "openat", At: 4, Path: "d/f", To: "x"}, errno: enotdir, reason: -1},
			{step: step{Op: "openat", At: 4, Path: "../etc"}, errno: eperm, reason: abi.CodeInvalidArgument},
			{step: step{Op: "openat", At: 4, Path: "/etc"}, errno: eperm, reason: abi.CodeInvalidArgument},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, tmp := newRootFS(t), newRootFS(t)
			c := r.output()
			c.Mounts = append(c.Mounts, engine.Mount{Path: abi.MountTmp, FS: tmp})
			var steps []step
			for _, s := range script {
				steps = append(steps, s.step)
			}
			for i, got := range ask(t, p, c, steps...) {
				want := script[i]
				if got.Out != want.out || got.Errno != want.errno || (want.errno == 0) != (got.Error == "") {
					t.Errorf("%+v came to %+v, want %q and the number %d", want.step, got, want.out, want.errno)
				}
				switch {
				case want.reason == -1: // none of ours
				case want.reason == 0 && got.Reason != nil, want.reason != 0 && (got.Reason == nil || got.Reason.Code != want.reason):
					t.Errorf("%+v has the reason %+v, want %v", want.step, got.Reason, want.reason)
				}
			}
			if n := r.open.Load() + tmp.open.Load(); n != 0 {
				t.Errorf("%d files are still open", n)
			}
		})
	}
}

// Flags of package os as a Go guest has them.
const (
	wasiCreate    = 0o100
	wasiExcl      = 0o200
	wasiNoFollow  = 0o400
	wasiTrunc     = 0o1000
	wasiAppend    = 0o2000
	wasiDirectory = 0o20000
)

func TestLinksThatTheHostMadeAreFollowedUnlessAskedNotTo(t *testing.T) {
	r := newRootFS(t)
	r.put(t, "f", "f")
	if err := r.Symlink("f", "l"); err != nil {
		t.Fatal(err)
	}
	got := ask(t, probe(t, 0), r.output(),
		step{Op: "read", Path: "/output/l"},
		step{Op: "open", Path: "/output/l", Flag: wasiNoFollow},
		step{Op: "open", Path: "/output/f", Flag: wasiNoFollow},
		step{Op: "lstat", Path: "/output/l"},
	)
	if got[0].Out != "f" || got[1].Errno != eloop || got[2].Error != "" || !strings.HasPrefix(got[3].Out, "l L") {
		t.Errorf("got %+v", got)
	}
}

func TestLargeFoldersAreListedWhole(t *testing.T) {
	r := newRootFS(t)
	var names []string
	for i := range 700 {
		name := fmt.Sprintf("%04d-%s", i, strings.Repeat("n", i%200))
		names = append(names, name)
		r.put(t, name, "")
	}
	got := ask(t, probe(t, 0), r.output(), step{Op: "readdir", Path: "/output"})
	if got[0].Out != strings.Join(names, " ") {
		t.Errorf("got %d bytes of names, %s", len(got[0].Out), got[0].Error)
	}
}

func TestMountTableIsAlwaysTheSame(t *testing.T) {
	p := probe(t, 0)
	const want = "3=/upload 4=/output 5=/store 6=/deploy 7=/skill 8=/tmp"
	for name, c := range map[string]engine.Call{
		"nothing granted": {},
		"one granted":     newRootFS(t).output(),
		"in another order": {Mounts: []engine.Mount{
			{Path: abi.MountTmp, FS: newRootFS(t)}, {Path: abi.MountUpload, FS: newRootFS(t)},
		}},
	} {
		if r := ask(t, p, c, step{Op: "preopens"}); r[0].Out != want {
			t.Errorf("%s: the mounts are %s", name, r[0].Out)
		}
	}
}

func TestDeniedMountsAnswerWithTheirReason(t *testing.T) {
	denied := &abi.Error{Code: abi.CodePermissionDenied, Message: "upload was not granted", Hint: "ask", Grant: "files.upload: read"}
	r := newRootFS(t)
	r.put(t, "f", "f")
	c := r.output()
	c.Mounts = append(c.Mounts, engine.Mount{Path: abi.MountUpload, Denied: fmt.Errorf("wrapped: %w", denied)})
	p := probe(t, 0)
	for _, at := range []struct {
		mount  string
		reason *abi.Error
	}{
		{"/upload", denied},
		{"/store", &abi.Error{Code: abi.CodePermissionDenied, Message: "there is no access to /store"}},
	} {
		steps := []step{
			{Op: "read", Path: at.mount + "/f"},
			{Op: "read", Path: at.mount},
			{Op: "write", Path: at.mount + "/f", Data: "x"},
			{Op: "append", Path: at.mount + "/f", Data: "x"},
			{Op: "stat", Path: at.mount},
			{Op: "stat", Path: at.mount + "/f"},
			{Op: "lstat", Path: at.mount + "/f"},
			{Op: "readdir", Path: at.mount},
			{Op: "mkdir", Path: at.mount + "/d"},
			{Op: "unlink", Path: at.mount + "/f"},
			{Op: "rmdir", Path: at.mount + "/d"},
			{Op: "rename", Path: at.mount + "/f", To: at.mount + "/g"},
			{Op: "truncate", Path: at.mount + "/f"},
			{Op: "chtimes", Path: at.mount + "/f"},
			{Op: "symlink", Path: "f", To: at.mount + "/g"},
			{Op: "readlink", Path: at.mount + "/f"},
		}
		for i, got := range ask(t, p, c, steps...) {
			if got.Errno != eacces || got.Reason == nil || *got.Reason != *at.reason {
				t.Errorf("%s of %s came to %+v (%+v), want EACCES for %v", steps[i].Op, steps[i].Path, got, got.Reason, at.reason)
			}
		}
	}
	if got := ask(t, p, c, step{Op: "read", Path: "/output/f"}); got[0].Out != "f" {
		t.Errorf("beside them, what was granted gives %+v", got[0])
	}
}

func TestErrorsOfFileSystemsReachTheGuest(t *testing.T) {
	tests := []struct {
		err   error
		errno int
		code  abi.Code
	}{
		{abi.Errorf(abi.CodePermissionDenied, "x"), eacces, abi.CodePermissionDenied},
		{fmt.Errorf("wrapped: %w", abi.Errorf(abi.CodePermissionDenied, "x")), eacces, abi.CodePermissionDenied},
		{abi.Errorf(abi.CodePermissionDenied, "x").WithCause(syscall.EROFS), eacces, abi.CodePermissionDenied},
		{abi.Errorf(abi.CodeNotFound, "x"), enoent, abi.CodeNotFound},
		{abi.Errorf(abi.CodeAlreadyExists, "x"), eexist, abi.CodeAlreadyExists},
		{abi.Errorf(abi.CodeInvalidArgument, "x"), einval, abi.CodeInvalidArgument},
		{abi.Errorf(abi.CodeInvalidArgument, "x").WithCause(syscall.ENAMETOOLONG), etoolong, abi.CodeInvalidArgument},
		{abi.Errorf(abi.CodeResourceExhausted, "x"), enospc, abi.CodeResourceExhausted},
		{abi.Errorf(abi.CodeResourceExhausted, "x").WithCause(syscall.EDQUOT), edquot, abi.CodeResourceExhausted},
		{abi.Errorf(abi.CodeResourceExhausted, "x").WithCause(&fs.PathError{Err: syscall.EFBIG}), efbig, abi.CodeResourceExhausted},
		{abi.Errorf(abi.CodeFailedPrecondition, "x").WithCause(syscall.ENOTEMPTY), enotempty, abi.CodeFailedPrecondition},
		{abi.Errorf(abi.CodeFailedPrecondition, "x"), eio, abi.CodeFailedPrecondition},
		{abi.Errorf(abi.CodeInternal, "x"), eio, abi.CodeInternal},
		{fs.ErrNotExist, enoent, abi.CodeNotFound},
		{fs.ErrExist, eexist, abi.CodeAlreadyExists},
		{fs.ErrPermission, eacces, abi.CodePermissionDenied},
		{fs.ErrInvalid, einval, abi.CodeInvalidArgument},
		{fs.ErrClosed, ebadf, abi.CodeInvalidArgument},
		{&fs.PathError{Op: "open", Path: "/secret", Err: syscall.ENOSPC}, enospc, abi.CodeResourceExhausted},
		{&fs.PathError{Op: "open", Path: "/secret", Err: syscall.ELOOP}, eloop, abi.CodePermissionDenied},
		{errors.New("/secret broke"), eio, abi.CodeInternal},
	}
	r := newRootFS(t)
	r.before = func(name string, _ int) error {
		i, err := strconv.Atoi(name)
		if err != nil {
			t.Errorf("%s was opened", name)
			return nil
		}
		return tests[i].err
	}
	steps := make([]step, len(tests))
	for i := range steps {
		steps[i] = step{Op: "read", Path: "/output/" + strconv.Itoa(i)}
	}
	for i, got := range ask(t, probe(t, 0), r.output(), steps...) {
		test := tests[i]
		if got.Errno != test.errno || got.Reason == nil || got.Reason.Code != test.code {
			t.Errorf("%v came to %+v (%+v), want %d and %v", test.err, got, got.Reason, test.errno, test.code)
		} else if strings.Contains(got.Reason.Message, "secret") {
			t.Errorf("the reason gives the host away: %s", got.Reason.Message)
		}
	}
}

func TestOpenFilesAreBoundedAndClosedWhateverHappens(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{OpenFiles: 5}), probeWasm(t), engine.Options{Modules: []string{abi.ModuleKernel}})
	r := newRootFS(t)
	r.put(t, "f", "f")
	open := step{Op: "open", Path: "/output/f"}
	got := ask(t, p, r.output(), slicesOf(open, 7)...)
	for i, one := range got {
		if want := i >= 5; (one.Errno == emfile && one.Reason.Code == abi.CodeResourceExhausted) != want || (one.Error != "") != want {
			t.Errorf("file %d came to %+v", i, one)
		}
	}
	if n := r.open.Load(); n != 0 {
		t.Errorf("after an answer %d files are open", n)
	}
	for name, end := range map[string]step{
		"a trap":         {Op: "panic"},
		"an exit":        {Op: "exit", At: 1},
		"a cancellation": {Op: "loop"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := r.output()
			c.Dispatch = func(_ context.Context, _ string, _ []byte) ([]byte, error) { cancel(); return nil, nil }
			steps := []step{open, open, {Op: "open", Path: "/output", Flag: wasiDirectory}, end}
			if end.Op == "loop" {
				steps = append(steps[:3], step{Op: "log"}, end)
			}
			if _, _, err := tryAsk(t, ctx, p, c, steps...); err == nil {
				t.Fatal("the call didn't fail")
			}
			if n := r.open.Load(); n != 0 {
				t.Errorf("%d files are open", n)
			}
		})
	}
}

func TestPanicOfFileSystemEndsTheCallAlone(t *testing.T) {
	r := newRootFS(t)
	r.put(t, "f", "f")
	r.before = func(name string, _ int) error {
		if name == "g" {
			panic("a secret of the host's")
		}
		return nil
	}
	_, _, err := tryAsk(t, t.Context(), probe(t, 0), r.output(), step{Op: "open", Path: "/output/f"}, step{Op: "read", Path: "/output/g"})
	if e := refused(t, err, abi.CodeInternal, "path_open"); strings.Contains(e.Message, "secret") {
		t.Errorf("the message gives the panic away: %s", e.Message)
	}
	if n := r.open.Load(); n != 0 {
		t.Errorf("%d files are open", n)
	}
}
