package workspace_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// operations are everything that a view can do to a file old, a folder dir and
// names that aren't there, with the access that each needs.
var operations = []struct {
	name  string
	needs abi.Access
	do    func(*workspace.FS) error
}{
	{"stat", abi.AccessRead, func(v *workspace.FS) error { _, err := v.Stat("old"); return err }},
	{"lstat", abi.AccessRead, func(v *workspace.FS) error { _, err := v.Lstat("old"); return err }},
	{"read", abi.AccessRead, func(v *workspace.FS) error { return openClose(v, "old", os.O_RDONLY) }},
	{"read with O_APPEND", abi.AccessRead, func(v *workspace.FS) error { return openClose(v, "old", os.O_RDONLY|os.O_APPEND) }},
	{"open a folder", abi.AccessRead, func(v *workspace.FS) error { return openClose(v, ".", os.O_RDONLY) }},
	{"list", abi.AccessRead, func(v *workspace.FS) error { _, _, err := v.List(".", 0); return err }},
	{"create", abi.AccessAppend, func(v *workspace.FS) error { return openClose(v, "new", os.O_WRONLY|os.O_CREATE) }},
	{"create for reading", abi.AccessAppend, func(v *workspace.FS) error { return openClose(v, "new", os.O_RDONLY|os.O_CREATE) }},
	{"create as os.Create does", abi.AccessAppend, func(v *workspace.FS) error { return openClose(v, "new", os.O_RDWR|os.O_CREATE|os.O_TRUNC) }},
	{"create exclusively", abi.AccessAppend, func(v *workspace.FS) error { return openClose(v, "new", os.O_WRONLY|os.O_CREATE|os.O_EXCL) }},
	{"put a new file", abi.AccessAppend, func(v *workspace.FS) error {
		_, _, err := v.Put("deep/new", strings.NewReader("x"), workspace.PutOptions{})
		return err
	}},
	{"mkdir", abi.AccessAppend, func(v *workspace.FS) error { return v.Mkdir("new", 0o700) }},
	{"append", abi.AccessAppend, func(v *workspace.FS) error {
		return with(v, "old", os.O_WRONLY|os.O_APPEND, func(f *workspace.File) error { _, err := f.Write([]byte("!")); return err })
	}},
	{"write at the end without O_APPEND", abi.AccessAppend, func(v *workspace.FS) error {
		return with(v, "old", os.O_RDWR, func(f *workspace.File) error {
			if _, err := f.Seek(0, 2); err != nil {
				return err
			}
			_, err := f.Write([]byte("!"))
			return err
		})
	}},
	{"WriteAt the end", abi.AccessAppend, func(v *workspace.FS) error {
		return with(v, "old", os.O_WRONLY, func(f *workspace.File) error { _, err := f.WriteAt([]byte("!"), 3); return err })
	}},
	{"write at the beginning", abi.AccessWrite, func(v *workspace.FS) error {
		return with(v, "old", os.O_WRONLY, func(f *workspace.File) error { _, err := f.Write([]byte("X")); return err })
	}},
	{"WriteAt the beginning", abi.AccessWrite, func(v *workspace.FS) error {
		return with(v, "old", os.O_WRONLY, func(f *workspace.File) error { _, err := f.WriteAt([]byte("X"), 0); return err })
	}},
	{"WriteAt beyond the end", abi.AccessWrite, func(v *workspace.FS) error {
		return with(v, "old", os.O_WRONLY, func(f *workspace.File) error { _, err := f.WriteAt([]byte("X"), 10); return err })
	}},
	{"truncate", abi.AccessWrite, func(v *workspace.FS) error {
		return with(v, "old", os.O_WRONLY, func(f *workspace.File) error { return f.Truncate(0) })
	}},
	{"lengthen", abi.AccessWrite, func(v *workspace.FS) error {
		return with(v, "old", os.O_WRONLY, func(f *workspace.File) error { return f.Truncate(10) })
	}},
	{"open with O_TRUNC", abi.AccessWrite, func(v *workspace.FS) error { return openClose(v, "old", os.O_WRONLY|os.O_TRUNC) }},
	{"os.Create over a file", abi.AccessWrite, func(v *workspace.FS) error { return openClose(v, "old", os.O_RDWR|os.O_CREATE|os.O_TRUNC) }},
	{"put over a file", abi.AccessWrite, func(v *workspace.FS) error {
		_, _, err := v.Put("old", strings.NewReader("x"), workspace.PutOptions{})
		return err
	}},
	{"rename", abi.AccessWrite, func(v *workspace.FS) error { return v.Rename("old", "new") }},
	{"remove", abi.AccessWrite, func(v *workspace.FS) error { return v.Remove("old") }},
	{"remove a folder", abi.AccessWrite, func(v *workspace.FS) error { return v.RemoveDir("dir") }},
	{"delete", abi.AccessWrite, func(v *workspace.FS) error { return v.Delete("old") }},
	{"delete a tree", abi.AccessWrite, func(v *workspace.FS) error { return v.Delete("dir") }},
	{"set times", abi.AccessWrite, func(v *workspace.FS) error { return v.Chtimes("old", time.Time{}, time.Unix(1, 0)) }},
}

func openClose(v *workspace.FS, name string, flag int) error {
	return with(v, name, flag, func(*workspace.File) error { return nil })
}

func with(v *workspace.FS, name string, flag int, do func(*workspace.File) error) error {
	f, err := v.OpenFile(name, flag, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}

func TestEveryOperationNeedsItsAccess(t *testing.T) {
	t.Parallel()
	for _, zone := range abi.Zones() {
		for _, access := range []abi.Access{abi.AccessNone, abi.AccessRead, abi.AccessAppend, abi.AccessWrite} {
			for _, op := range operations {
				t.Run(zone+" "+string(access)+" "+op.name, func(t *testing.T) {
					t.Parallel()
					w, top := open(t, workspace.Config{})
					plant(t, top, "ws/"+zone+"/old = abc\nws/"+zone+"/dir/")
					before := picture(t, top)
					err := op.do(view(t, w, zone, access))
					if access.Includes(op.needs) {
						must(t, err)
						return
					}
					e := refused(t, err, abi.CodePermissionDenied)
					if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrExist) {
						t.Errorf("the cause of %v is neither fs.ErrPermission nor fs.ErrExist", err)
					}
					if e.Hint == "" {
						t.Error("the refusal has no hint")
					}
					if after := picture(t, top); after != before {
						t.Errorf("a refused operation changed the tree to\n%s\nfrom\n%s", after, before)
					}
					// Writing to an old file is refused at the first step that
					// isn't allowed, and that is to open it.
					lacks := op.needs
					if strings.HasSuffix(e.Grant, ": append") && !access.Includes(abi.AccessAppend) {
						lacks = abi.AccessAppend
					}
					if abi.ZoneRule(zone).Includes(lacks) {
						if want := "files." + zone + ": " + string(lacks); e.Grant != want {
							t.Errorf("the grant is %q, want %q", e.Grant, want)
						}
						return
					}
					if e.Grant != "" {
						t.Errorf("the grant is %q where the zone's rule stands in the way", e.Grant)
					}
					refused(t, err, abi.CodePermissionDenied, map[string]string{
						"upload": "upload is read-only to plugins",
						"store":  "store is append-only: what is in it can't be changed or deleted once written",
					}[zone])
				})
			}
		}
	}
}

func TestAppendIsForcedOnEveryHandle(t *testing.T) {
	w, _ := open(t, workspace.Config{})
	v := view(t, w, "store", abi.AccessAppend)
	f, err := v.OpenFile("log", os.O_RDWR|os.O_CREATE, 0)
	must(t, err)
	defer f.Close()
	for _, s := range []string{"one ", "two "} {
		_, err = f.Write([]byte(s))
		must(t, err)
	}
	// Another handle, such as a process's, adds in between: the file's offset
	// isn't at its end any longer.
	write := func(s string) {
		other, err := v.OpenFile("log", os.O_WRONLY|os.O_APPEND, 0)
		must(t, err)
		_, err = other.Write([]byte(s))
		must(t, errors.Join(err, other.Close()))
	}
	write("three ")
	_, err = f.Write([]byte("XXX"))
	refused(t, err, abi.CodePermissionDenied, "store is append-only", "store/log can't be written elsewhere than at its end")
	_, err = f.Seek(0, 2)
	must(t, err)
	_, err = f.Write([]byte("four "))
	must(t, err)
	_, err = f.WriteAt([]byte("five "), int64(len("one two three four ")))
	must(t, err)
	if got := read(t, filepath.Join(w.Path("store"), "log")); got != "one two three four five " {
		t.Errorf("the file is %q", got)
	}
	b := make([]byte, 3)
	if _, err := f.ReadAt(b, 4); err != nil || string(b) != "two" {
		t.Errorf("read %q, %v through a handle for appending", b, err)
	}
}

func TestWriteAtInAppendModeIsRefusedElsewhereThanAtTheEnd(t *testing.T) {
	w, _ := open(t, workspace.Config{})
	v := view(t, w, "output", abi.AccessWrite)
	write(t, v, "f", "abc")
	f, err := v.OpenFile("f", os.O_RDWR|os.O_APPEND, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("X"), 1)
	refused(t, err, abi.CodeInvalidArgument)
	_, err = f.WriteAt([]byte("d"), 3)
	must(t, err)
	if off, err := f.Seek(0, 1); off != 0 || err != nil {
		t.Errorf("WriteAt moved the offset to %d, %v", off, err)
	}
	if got := read(t, filepath.Join(w.Path("output"), "f")); got != "abcd" {
		t.Errorf("the file is %q", got)
	}
}

func TestAgentsMayUploadWherePluginsMayNot(t *testing.T) {
	w, _ := open(t, workspace.Config{})
	door := view(t, w, "upload", abi.AccessWrite)
	_, created, err := door.Put("data.csv", strings.NewReader("a,b"), workspace.PutOptions{})
	if must(t, err); !created {
		t.Error("a new upload wasn't created")
	}
	_, created, err = door.Put("data.csv", strings.NewReader("c,d"), workspace.PutOptions{})
	if must(t, err); created {
		t.Error("a replaced upload was created")
	}
	must(t, door.Delete("data.csv"))
}

func TestUnknownZonesAndAccessesAreRefused(t *testing.T) {
	w, _ := open(t, workspace.Config{})
	_, err := w.FS("secrets", abi.AccessRead)
	e := refused(t, err, abi.CodeNotFound, `"secrets"`)
	if !strings.Contains(e.Hint, "upload, output, store, deploy") {
		t.Errorf("the hint %q doesn't name the zones", e.Hint)
	}
	if p := w.Path("secrets"); p != "" {
		t.Errorf("the path of an unknown zone is %q", p)
	}
	_, err = w.FS("output", "everything")
	refused(t, err, abi.CodeInvalidArgument, "everything")
}

func TestFlagsThatAreNotOfferedAreRefused(t *testing.T) {
	w, top := open(t, workspace.Config{})
	v := view(t, w, "output", abi.AccessWrite)
	plant(t, top, "ws/output/f = abc\nws/output/d/")
	for name, flag := range map[string]int{
		"truncate for reading":          os.O_RDONLY | os.O_TRUNC,
		"both read-only and read-write": os.O_WRONLY | os.O_RDWR,
		"asynchronous":                  syscall.O_ASYNC,
		"an unknown flag":               1 << 30,
	} {
		err := openClose(v, "f", flag)
		refused(t, err, abi.CodeInvalidArgument)
		if got := read(t, filepath.Join(top, "ws/output/f")); got != "abc" {
			t.Errorf("%s: the file is %q", name, got)
		}
	}
	refused(t, openClose(v, "new/", os.O_RDWR|os.O_CREATE), abi.CodeInvalidArgument)
	refused(t, openClose(v, "new", os.O_RDONLY|os.O_CREATE|syscall.O_DIRECTORY), abi.CodeInvalidArgument)
	refused(t, openClose(v, "d", os.O_RDWR), abi.CodeFailedPrecondition, "is a folder")
	refused(t, openClose(v, "f", syscall.O_DIRECTORY), abi.CodeFailedPrecondition, "is a file")
	refused(t, openClose(v, "f/", os.O_RDONLY), abi.CodeFailedPrecondition, "is a file")
	refused(t, openClose(v, "f/x", os.O_RDONLY), abi.CodeFailedPrecondition, "is a file")
	must(t, openClose(v, "f", os.O_RDWR|os.O_SYNC|syscall.O_NONBLOCK|syscall.O_NOFOLLOW))
}

func TestErrorsKeepTheirCause(t *testing.T) {
	w, top := open(t, workspace.Config{})
	plant(t, top, "ws/output/full/f = x")
	v := view(t, w, "output", abi.AccessWrite)
	err := openClose(v, "missing", os.O_RDONLY)
	refused(t, err, abi.CodeNotFound, "output/missing doesn't exist")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v isn't fs.ErrNotExist", err)
	}
	err = v.Mkdir("full", 0)
	refused(t, err, abi.CodeAlreadyExists)
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v isn't fs.ErrExist", err)
	}
	refused(t, openClose(v, "full/f", os.O_WRONLY|os.O_CREATE|os.O_EXCL), abi.CodeAlreadyExists)
	refused(t, v.RemoveDir("full"), abi.CodeFailedPrecondition, "isn't empty")
	refused(t, v.Remove("full"), abi.CodeFailedPrecondition, "is a folder")
	refused(t, v.RemoveDir("full/f"), abi.CodeFailedPrecondition, "is a file")
	refused(t, v.Remove("missing"), abi.CodeNotFound)
	refused(t, v.Rename("missing", "x"), abi.CodeNotFound)
	refused(t, v.Mkdir("missing/x", 0), abi.CodeNotFound)
	refused(t, v.Rename("full", "full/in/itself"), abi.CodeNotFound)
	refused(t, v.Rename("full", "full/itself"), abi.CodeInvalidArgument)
	for _, do := range []func(string) error{v.Remove, v.RemoveDir, v.Delete, func(n string) error { return v.Rename(n, "x") }, func(n string) error { return v.Rename("full", n) }} {
		refused(t, do("."), abi.CodeInvalidArgument, "output is a zone")
	}

	f, err := v.Open("full/f")
	must(t, err)
	_, err = f.Write([]byte("x"))
	refused(t, err, abi.CodeFailedPrecondition)
	_, err = f.WriteAt([]byte("x"), 0)
	refused(t, err, abi.CodeFailedPrecondition)
	refused(t, f.Truncate(0), abi.CodeFailedPrecondition)
	_, err = f.ReadAt(make([]byte, 1), -1)
	refused(t, err, abi.CodeInvalidArgument)
	_, err = f.Seek(-1, 0)
	refused(t, err, abi.CodeInvalidArgument)
	must(t, f.Close())
	err = f.Close()
	refused(t, err, abi.CodeFailedPrecondition, "closed")
	if !errors.Is(err, fs.ErrClosed) {
		t.Errorf("%v isn't fs.ErrClosed", err)
	}
}

func TestClosedWorkspaceRefusesEverything(t *testing.T) {
	for _, op := range operations {
		w, top := open(t, workspace.Config{})
		plant(t, top, "ws/output/old = abc\nws/output/dir/")
		v := view(t, w, "output", abi.AccessWrite)
		before := picture(t, top)
		must(t, w.Close())
		err := op.do(v)
		if e := refused(t, err, abi.CodeFailedPrecondition); !strings.Contains(e.Message, "closed") {
			t.Errorf("%s: %v", op.name, err)
		}
		if after := picture(t, top); after != before {
			t.Errorf("%s changed a closed workspace to\n%s", op.name, after)
		}
		if _, err := w.Usage(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("Usage of a closed workspace: %v", err)
		}
	}
}

func TestOpenFailsWhereAZoneIsSomethingElse(t *testing.T) {
	for _, tree := range []string{"ws/store = a file", "elsewhere/\nws/store -> $TOP/elsewhere", "ws/store |", "ws = a file"} {
		top := t.TempDir()
		plant(t, top, tree)
		w, err := workspace.Open(workspace.Config{Dir: filepath.Join(top, "ws")})
		if err == nil {
			w.Close()
			t.Errorf("opened over %q", tree)
		}
	}
	for _, cfg := range []workspace.Config{{}, {Dir: t.TempDir(), MaxBytes: -1}, {Dir: t.TempDir(), MaxFiles: -1}, {Dir: t.TempDir(), RemeasureAfter: -1}} {
		if w, err := workspace.Open(cfg); err == nil {
			w.Close()
			t.Errorf("opened with %+v", cfg)
		}
	}
}

func TestFilesStayWhenAWorkspaceIsOpenedAgain(t *testing.T) {
	top := t.TempDir()
	cfg := workspace.Config{Dir: filepath.Join(top, "ws")}
	for i := range 2 {
		w, err := workspace.Open(cfg)
		must(t, err)
		if i == 0 {
			write(t, view(t, w, "store", abi.AccessAppend), "kept", "kept")
		}
		u, err := w.Usage()
		must(t, err)
		if u.Bytes != 4 || u.Files != 1 {
			t.Errorf("usage is %+v", u)
		}
		must(t, w.Close())
	}
}
