package workspace_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// measured compares what a workspace counts with what its folders hold.
func measured(t testing.TB, w *workspace.Workspace) workspace.Usage {
	t.Helper()
	u, err := w.Usage()
	must(t, err)
	var bytes int64
	var files int
	for _, zone := range abi.Zones() {
		must(t, filepath.WalkDir(w.Path(zone), func(path string, e fs.DirEntry, err error) error {
			if err != nil || path == w.Path(zone) {
				return err
			}
			files++
			if info, err := e.Info(); err != nil {
				return err
			} else if info.Mode().IsRegular() {
				bytes += info.Size()
			}
			return nil
		}))
	}
	if u.Bytes != bytes || u.Files != files {
		t.Errorf("%d bytes in %d entries are counted, and there are %d in %d", u.Bytes, u.Files, bytes, files)
	}
	return u
}

// slow never measures by itself, so that what is counted is what was counted
// as it happened.
var slow = workspace.Config{MaxBytes: 1000, MaxFiles: 10, MaxFileBytes: 600, RemeasureAfter: time.Hour}

func TestWhatIsWrittenIsCountedAsItHappens(t *testing.T) {
	w, _ := open(t, slow)
	v := view(t, w, "output", abi.AccessWrite)
	expect := func(what string, bytes int64, files int) {
		t.Helper()
		if u := measured(t, w); u.Bytes != bytes || u.Files != files {
			t.Errorf("after %s: %d bytes in %d entries, want %d in %d", what, u.Bytes, u.Files, bytes, files)
		}
	}
	expect("nothing", 0, 0)
	write(t, v, "f", strings.Repeat("x", 100))
	expect("writing", 100, 1)
	write(t, v, "f", strings.Repeat("x", 30))
	expect("truncating and writing", 30, 1)
	must(t, with(v, "f", os.O_RDWR, func(f *workspace.File) error {
		_, err := f.WriteAt([]byte("12345"), 10)
		return err
	}))
	expect("overwriting", 30, 1)
	must(t, with(v, "f", os.O_RDWR, func(f *workspace.File) error {
		_, err := f.WriteAt([]byte("12345"), 195)
		return err
	}))
	expect("writing beyond the end", 200, 1)
	must(t, with(v, "f", os.O_RDWR, func(f *workspace.File) error { return f.Truncate(400) }))
	expect("lengthening", 400, 1)
	must(t, with(v, "f", os.O_RDWR, func(f *workspace.File) error { return f.Truncate(50) }))
	expect("shortening", 50, 1)
	must(t, with(v, "f", os.O_WRONLY|os.O_APPEND, func(f *workspace.File) error { _, err := f.Write([]byte("x")); return err }))
	expect("appending", 51, 1)
	must(t, v.Mkdir("d", 0))
	expect("mkdir", 51, 2)
	_, _, err := v.Put("d/e/g", strings.NewReader("12345"), workspace.PutOptions{})
	must(t, err)
	expect("put", 56, 4)
	_, _, err = v.Put("d/e/g", strings.NewReader("123"), workspace.PutOptions{})
	must(t, err)
	expect("put again", 54, 4)
	must(t, v.Rename("d/e/g", "g"))
	expect("rename", 54, 4)
	must(t, v.Rename("g", "f"))
	expect("rename over a file", 3, 3)
	must(t, v.Rename("f", "f"))
	expect("rename to itself", 3, 3)
	must(t, v.RemoveDir("d/e"))
	expect("rmdir", 3, 2)
	must(t, v.Remove("f"))
	expect("remove", 0, 1)
	_, _, err = v.Put("d/1/2/3/f", strings.NewReader("12345"), workspace.PutOptions{})
	must(t, err)
	must(t, v.Delete("d"))
	expect("delete", 0, 0)
	refused(t, v.Mkdir("no/such", 0), abi.CodeNotFound)
	refused(t, openClose(v, "no/such", os.O_WRONLY|os.O_CREATE), abi.CodeNotFound)
	expect("what failed", 0, 0)
}

func TestQuotasAreHeld(t *testing.T) {
	full := func(n int) func(*workspace.FS, string) error {
		return func(v *workspace.FS, name string) error {
			return with(v, name, os.O_WRONLY|os.O_CREATE, func(f *workspace.File) error {
				_, err := f.Write(make([]byte, n))
				return err
			})
		}
	}
	put := func(n int, o workspace.PutOptions) func(*workspace.FS, string) error {
		return func(v *workspace.FS, name string) error {
			_, _, err := v.Put(name, io.LimitReader(zeros{}, int64(n)), o)
			return err
		}
	}
	bytesLeft := []string{"bytes more, and 100 of the quota of 1000 bytes are left"}
	tests := map[string]struct {
		files, bytes int // there before
		do           func(v *workspace.FS, name string) error
		says         []string
		cause        error
	}{
		"bytes by writing": {2, 900, full(101), append(bytesLeft, "output/new needs 101"), syscall.EDQUOT},
		"bytes by WriteAt": {2, 900, func(v *workspace.FS, name string) error {
			return with(v, name, os.O_RDWR|os.O_CREATE, func(f *workspace.File) error { _, err := f.WriteAt([]byte("x"), 100); return err })
		}, bytesLeft, syscall.EDQUOT},
		"bytes by a hole": {2, 900, func(v *workspace.FS, name string) error {
			return with(v, name, os.O_RDWR|os.O_CREATE, func(f *workspace.File) error { return f.Truncate(101) })
		}, bytesLeft, syscall.EDQUOT},
		"bytes by put":        {2, 900, put(101, workspace.PutOptions{}), append(bytesLeft, "output/new needs"), syscall.EDQUOT},
		"bytes announced":     {2, 900, put(0, workspace.PutOptions{Size: 101}), append(bytesLeft, "output/new needs 101"), syscall.EDQUOT},
		"one file by writing": {0, 0, full(601), []string{"output/new would have 601 bytes, and a file may have 600"}, syscall.EFBIG},
		"one file by WriteAt": {0, 0, func(v *workspace.FS, name string) error {
			return with(v, name, os.O_RDWR|os.O_CREATE, func(f *workspace.File) error { _, err := f.WriteAt([]byte("x"), 1<<62); return err })
		}, []string{"and a file may have 600"}, syscall.EFBIG},
		"offsets that wrap": {0, 0, func(v *workspace.FS, name string) error {
			return with(v, name, os.O_RDWR|os.O_CREATE, func(f *workspace.File) error { _, err := f.WriteAt([]byte("xx"), 1<<63-1); return err })
		}, nil, syscall.EFBIG},
		"one file by a hole": {0, 0, func(v *workspace.FS, name string) error {
			return with(v, name, os.O_RDWR|os.O_CREATE, func(f *workspace.File) error { return f.Truncate(1 << 62) })
		}, []string{"and a file may have 600"}, syscall.EFBIG},
		"one file by put":    {0, 0, put(601, workspace.PutOptions{}), []string{"output/new would have", "and a file may have 600"}, syscall.EFBIG},
		"one file announced": {0, 0, put(0, workspace.PutOptions{Size: 601}), []string{"output/new would have 601 bytes"}, syscall.EFBIG},
		"files by opening":   {10, 10, full(0), []string{"output/new can't be made: there are 10 files and folders, and the quota is 10"}, syscall.EDQUOT},
		"files by put":       {10, 10, put(1, workspace.PutOptions{}), []string{"output/new can't be made", "the quota is 10"}, syscall.EDQUOT},
		"folders by mkdir":   {10, 10, func(v *workspace.FS, name string) error { return v.Mkdir(name, 0) }, []string{"the quota is 10"}, syscall.EDQUOT},
		"folders by put": {8, 10, func(v *workspace.FS, name string) error {
			_, _, err := v.Put("a/b/"+name, strings.NewReader("x"), workspace.PutOptions{})
			return err
		}, []string{"the quota is 10"}, syscall.EDQUOT},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w, top := open(t, slow)
			for i := range test.files {
				size := test.bytes / test.files
				plant(t, top, fmt.Sprintf("ws/store/%d = %s", i, strings.Repeat("x", size)))
			}
			w.Changed()
			v := view(t, w, "output", abi.AccessWrite)
			err := test.do(v, "new")
			if e := refused(t, err, abi.CodeResourceExhausted, test.says...); e.Hint == "" {
				t.Error("no hint")
			}
			if !errors.Is(err, test.cause) {
				t.Errorf("the cause of %v isn't %v", err, test.cause)
			}
			if u := measured(t, w); u.Bytes > int64(test.bytes) {
				t.Errorf("a refused write left %d bytes, before were %d", u.Bytes, test.bytes)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestAFullWorkspaceCanBeReadChangedAndEmptied(t *testing.T) {
	w, _ := open(t, slow)
	v := view(t, w, "output", abi.AccessWrite)
	write(t, v, "a", strings.Repeat("x", 600))
	write(t, v, "b", strings.Repeat("x", 400))
	refused(t, with(v, "b", os.O_WRONLY|os.O_APPEND, func(f *workspace.File) error { _, err := f.Write([]byte("y")); return err }), abi.CodeResourceExhausted, "output/b needs 1 bytes more, and 0 of")
	must(t, with(v, "b", os.O_WRONLY, func(f *workspace.File) error { _, err := f.Write([]byte("yyy")); return err }))
	must(t, v.Rename("b", "c"))
	must(t, v.Remove("a"))
	write(t, v, "d", strings.Repeat("x", 600))
	measured(t, w)
}

func TestParallelWritersNeverPassTheQuota(t *testing.T) {
	w, _ := open(t, workspace.Config{MaxBytes: 100_000, MaxFiles: 60, RemeasureAfter: time.Hour})
	v := view(t, w, "output", abi.AccessWrite)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			shared, err := v.OpenFile("shared", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer shared.Close()
			for turn := range 200 {
				own := fmt.Sprintf("own-%d-%d", i, turn%10)
				var err error
				switch turn % 6 {
				case 0:
					_, err = shared.Write(make([]byte, 700))
				case 1:
					err = with(v, own, os.O_RDWR|os.O_CREATE, func(f *workspace.File) error {
						_, err := f.WriteAt(make([]byte, 300), int64(turn)*20)
						return err
					})
				case 2:
					_, _, err = v.Put(own, io.LimitReader(zeros{}, 1500), workspace.PutOptions{})
				case 3:
					err = with(v, "cut", os.O_RDWR|os.O_CREATE, func(f *workspace.File) error {
						_, err := f.Write(make([]byte, 500))
						return errors.Join(err, f.Truncate(int64(turn)))
					})
				case 4:
					err = v.Remove(own)
				case 5:
					err = v.Rename(own, "renamed")
				}
				if err != nil && abi.CodeOf(err) != abi.CodeResourceExhausted && abi.CodeOf(err) != abi.CodeNotFound {
					t.Errorf("turn %d: %v", turn, err)
				}
				u, err := w.Usage()
				if err != nil || u.Bytes > u.MaxBytes || u.Files > u.MaxFiles {
					t.Errorf("usage is %+v, %v", u, err)
				}
			}
		})
	}
	wg.Wait()
	if u := measured(t, w); u.Open != 0 {
		t.Errorf("%d files are still open", u.Open)
	}
}

func TestAFileWithoutANameCountsUntilItIsClosed(t *testing.T) {
	for name, unname := range map[string]func(*workspace.FS, *workspace.Workspace) error{
		"removed": func(v *workspace.FS, _ *workspace.Workspace) error { return v.Remove("f") },
		"deleted": func(v *workspace.FS, _ *workspace.Workspace) error { return v.Delete("f") },
		"deleted as tree": func(v *workspace.FS, _ *workspace.Workspace) error {
			return errors.Join(v.Mkdir("d", 0), v.Rename("f", "d/f"), v.Delete("d"))
		},
		"replaced": func(v *workspace.FS, _ *workspace.Workspace) error {
			return errors.Join(openClose(v, "g", os.O_RDWR|os.O_CREATE), v.Rename("g", "f"), v.Remove("f"))
		},
		"put over": func(v *workspace.FS, _ *workspace.Workspace) error {
			_, _, err := v.Put("f", strings.NewReader(""), workspace.PutOptions{})
			return errors.Join(err, v.Remove("f"))
		},
		"by a process": func(_ *workspace.FS, w *workspace.Workspace) error {
			w.Changed()
			return os.Remove(filepath.Join(w.Path("output"), "f"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := open(t, slow)
			v := view(t, w, "output", abi.AccessWrite)
			write(t, v, "f", strings.Repeat("x", 300))
			one, err := v.OpenFile("f", os.O_RDWR, 0)
			must(t, err)
			two, err := v.Open("f")
			must(t, err)
			must(t, unname(v, w))
			usage := func() workspace.Usage {
				u, err := w.Usage()
				must(t, err)
				return u
			}
			if u := usage(); u.Bytes != 300 || u.Files != 1 {
				t.Errorf("while it is open: %+v", u)
			}
			_, err = one.WriteAt(make([]byte, 600), 0)
			must(t, err)
			must(t, one.Close())
			if u := usage(); u.Bytes != 600 {
				t.Errorf("with one handle left: %+v", u)
			}
			w.Changed()
			if u := usage(); u.Bytes != 600 || u.Files != 1 {
				t.Errorf("measured: %+v", u)
			}
			must(t, two.Close())
			if u := measured(t, w); u.Bytes != 0 || u.Files != 0 {
				t.Errorf("when it is closed: %+v", u)
			}
		})
	}
}

func TestWhatAProcessWritesIsSeenAfterChanged(t *testing.T) {
	w, top := open(t, slow)
	v := view(t, w, "output", abi.AccessWrite)
	plant(t, top, "ws/output/process = "+strings.Repeat("x", 950))
	w.Changed()
	refused(t, with(v, "f", os.O_WRONLY|os.O_CREATE, func(f *workspace.File) error { _, err := f.Write(make([]byte, 51)); return err }), abi.CodeResourceExhausted)
	if u := measured(t, w); u.Bytes != 950 || u.Partial {
		t.Errorf("usage is %+v", u)
	}
}

func TestWhatAProcessWritesIsSeenWhenTheMeasurementIsOld(t *testing.T) {
	cfg := slow
	cfg.RemeasureAfter = time.Nanosecond
	w, top := open(t, cfg)
	plant(t, top, "ws/deploy/process = "+strings.Repeat("x", 950))
	eventually(t, func() bool {
		u, err := w.Usage()
		must(t, err)
		return u.Bytes == 950
	})
}

func TestWhatAProcessDeletesMakesRoomByItself(t *testing.T) {
	w, top := open(t, slow)
	v := view(t, w, "output", abi.AccessWrite)
	write(t, v, "f", strings.Repeat("x", 600))
	must(t, os.Remove(filepath.Join(top, "ws/output/f")))
	// A refusal measures first, if the last measurement isn't too fresh.
	eventually(t, func() bool {
		return with(v, "g", os.O_WRONLY|os.O_CREATE, func(f *workspace.File) error { _, err := f.Write(make([]byte, 600)); return err }) == nil
	})
}

func eventually(t testing.TB, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(end) {
			t.Fatal("it didn't happen within a minute")
		}
	}
}

func TestATreeDeeperThanNamesReachIsMeasuredInPart(t *testing.T) {
	w, _ := open(t, slow)
	root, err := os.OpenRoot(w.Path("output"))
	must(t, err)
	for range 300 {
		must(t, root.Mkdir("d", 0o755))
		sub, err := root.OpenRoot("d")
		must(t, errors.Join(err, root.Close()))
		root = sub
	}
	must(t, root.Close())
	w.Changed()
	u, err := w.Usage()
	must(t, err)
	if !u.Partial || u.Files <= u.MaxFiles {
		t.Errorf("usage is %+v", u)
	}
	v := view(t, w, "output", abi.AccessWrite)
	refused(t, v.Rename("d", "e"), abi.CodeInvalidArgument, "folders deep")
	refused(t, v.Mkdir("e", 0), abi.CodeResourceExhausted)
	must(t, v.Delete("d"))
	must(t, v.Mkdir("e", 0))
	if u := measured(t, w); u.Partial {
		t.Errorf("usage is %+v", u)
	}
}

func TestFoldersAreNotMovedTooDeep(t *testing.T) {
	w, _ := open(t, workspace.Config{})
	v := view(t, w, "output", abi.AccessWrite)
	_, _, err := v.Put(strings.Repeat("a/", 40)+"f", strings.NewReader("x"), workspace.PutOptions{})
	must(t, err)
	_, _, err = v.Put(strings.Repeat("b/", 40)+"f", strings.NewReader("x"), workspace.PutOptions{})
	must(t, err)
	refused(t, v.Rename("a", strings.Repeat("b/", 24)+"a"), abi.CodeInvalidArgument, "more than 64 folders deep")
	must(t, v.Rename("a", strings.Repeat("b/", 23)+"a"))
	if got, err := readAll(v, strings.Repeat("b/", 23)+strings.Repeat("a/", 40)+"f", os.O_RDONLY); got != "x" || err != nil {
		t.Errorf("the deepest file is %q, %v", got, err)
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	w, _ := open(t, workspace.Config{MaxOpen: 3})
	v := view(t, w, "output", abi.AccessWrite)
	write(t, v, "f", "x")
	var files []*workspace.File
	for range 3 {
		f, err := v.Open("f")
		must(t, err)
		files = append(files, f)
	}
	for _, flag := range []int{os.O_RDONLY, os.O_RDWR | os.O_CREATE} {
		for _, name := range []string{"f", ".", "new"} {
			err := openClose(v, name, flag)
			if name == "new" && flag == os.O_RDONLY || name == "." && flag != os.O_RDONLY {
				continue
			}
			if e := refused(t, err, abi.CodeResourceExhausted, "3 files are open"); !e.Retryable {
				t.Error("not retryable")
			}
		}
	}
	must(t, files[0].Close())
	must(t, openClose(v, "f", os.O_RDONLY))
	for _, f := range files[1:] {
		must(t, f.Close())
	}
	if u := measured(t, w); u.Open != 0 {
		t.Errorf("usage is %+v", u)
	}
}
