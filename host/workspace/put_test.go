package workspace_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

func TestPutMakesFoldersAndReplacesFiles(t *testing.T) {
	w, _ := open(t, workspace.Config{})
	v := view(t, w, "output", abi.AccessWrite)
	e, created, err := v.Put("a/b/报告.txt", strings.NewReader("one"), workspace.PutOptions{Size: 3})
	must(t, err)
	if !created || e.Name != "报告.txt" || e.Kind != workspace.KindFile || e.Size != 3 || e.Modified.IsZero() {
		t.Errorf("entry is %+v, created %v", e, created)
	}
	e, created, err = v.Put("a/b/报告.txt", strings.NewReader("longer"), workspace.PutOptions{})
	must(t, err)
	if created || e.Size != 6 {
		t.Errorf("entry is %+v, created %v", e, created)
	}
	if got := picture(t, w.Path("output")); got != "a/\na/b/\na/b/报告.txt = longer" {
		t.Errorf("the zone is\n%s", got)
	}
	_, created, err = v.Put("empty", strings.NewReader(""), workspace.PutOptions{})
	if must(t, err); !created {
		t.Error("an empty file wasn't created")
	}
}

func TestPutIsRefusedWhereItCanNotBe(t *testing.T) {
	w, top := open(t, workspace.Config{})
	plant(t, top, "ws/output/dir/\nws/output/file = old\nws/store/file = old")
	before := picture(t, top)
	read := errors.New("the content was read")
	for _, test := range []struct {
		zone   string
		access abi.Access
		name   string
		o      workspace.PutOptions
		code   abi.Code
		says   string
		cause  error
	}{
		{"output", abi.AccessWrite, "dir", workspace.PutOptions{}, abi.CodeFailedPrecondition, "output/dir is a folder", nil},
		{"output", abi.AccessWrite, ".", workspace.PutOptions{}, abi.CodeInvalidArgument, "", nil},
		{"output", abi.AccessWrite, "new/", workspace.PutOptions{}, abi.CodeInvalidArgument, "is a folder's name", nil},
		{"output", abi.AccessWrite, "file/new", workspace.PutOptions{}, abi.CodeFailedPrecondition, "is a file, not a folder", nil},
		{"output", abi.AccessWrite, "file", workspace.PutOptions{CreateOnly: true}, abi.CodeAlreadyExists, "output/file is there already", fs.ErrExist},
		{"output", abi.AccessAppend, "file", workspace.PutOptions{}, abi.CodePermissionDenied, "output/file can't be replaced", fs.ErrExist},
		{"store", abi.AccessAppend, "file", workspace.PutOptions{}, abi.CodePermissionDenied, "store is append-only: what is in it can't be changed or deleted once written, so store/file can't be replaced", fs.ErrExist},
		{"store", abi.AccessRead, "new", workspace.PutOptions{}, abi.CodePermissionDenied, "files.store: append", nil},
		{"upload", abi.AccessRead, "new", workspace.PutOptions{}, abi.CodePermissionDenied, "upload is read-only to plugins", nil},
	} {
		_, _, err := view(t, w, test.zone, test.access).Put(test.name, iotest.ErrReader(read), test.o)
		refused(t, err, test.code, test.says)
		if errors.Is(err, read) {
			t.Errorf("%s/%s: the content was read before it was refused", test.zone, test.name)
		}
		if test.cause != nil && !errors.Is(err, test.cause) {
			t.Errorf("the cause of %v isn't %v", err, test.cause)
		}
	}
	if after := picture(t, top); after != before {
		t.Errorf("the tree is\n%s\nand was\n%s", after, before)
	}
}

func TestPutLeavesNothingOfABrokenUpload(t *testing.T) {
	gone := errors.New("connection reset")
	typed := abi.Errorf(abi.CodeResourceExhausted, "the body is too large")
	half := func(err error) io.Reader {
		return io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), iotest.ErrReader(err))
	}
	for name, test := range map[string]struct {
		r     io.Reader
		o     workspace.PutOptions
		code  abi.Code
		cause error
	}{
		"broken":               {half(gone), workspace.PutOptions{}, abi.CodeCanceled, gone},
		"cancelled":            {half(context.Canceled), workspace.PutOptions{}, abi.CodeCanceled, context.Canceled},
		"cut short":            {half(io.ErrUnexpectedEOF), workspace.PutOptions{}, abi.CodeCanceled, io.ErrUnexpectedEOF},
		"with a typed error":   {half(typed), workspace.PutOptions{}, abi.CodeResourceExhausted, typed},
		"shorter than it said": {strings.NewReader("abc"), workspace.PutOptions{Size: 4}, abi.CodeInvalidArgument, nil},
		"longer than it said":  {strings.NewReader("abcde"), workspace.PutOptions{Size: 4}, abi.CodeInvalidArgument, nil},
		"over the quota":       {io.LimitReader(zeros{}, 1<<20), workspace.PutOptions{}, abi.CodeResourceExhausted, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w, top := open(t, workspace.Config{MaxBytes: 200_000})
			plant(t, top, "ws/output/old = kept")
			w.Changed()
			before := picture(t, top)
			for _, target := range []string{"new", "a/b/new", "old"} {
				_, _, err := view(t, w, "output", abi.AccessWrite).Put(target, test.r, test.o)
				if target == "new" {
					refused(t, err, test.code)
					if test.cause != nil && !errors.Is(err, test.cause) {
						t.Errorf("the cause of %v isn't %v", err, test.cause)
					}
				}
				if err == nil {
					t.Error("no error")
				}
			}
			if after := picture(t, top); after != before {
				t.Errorf("the tree is\n%s\nand was\n%s", after, before)
			}
			measured(t, w)
		})
	}
}

// While an upload comes in, nobody sees a part of it.
func TestPutIsSeenAllAtOnce(t *testing.T) {
	for _, target := range []string{"old", "new"} {
		w, top := open(t, workspace.Config{})
		plant(t, top, "ws/output/old = old")
		v := view(t, w, "output", abi.AccessWrite)
		body, feed := io.Pipe()
		done := make(chan error, 1)
		go func() {
			_, _, err := v.Put(target, body, workspace.PutOptions{})
			done <- err
		}()
		for range 5 {
			_, err := feed.Write(make([]byte, 100_000)) // returns when it was read
			must(t, err)
			entries, _, err := v.List(".", 0)
			must(t, err)
			f, err := v.Open(".")
			must(t, err)
			raw, err := f.ReadDir(-1)
			must(t, errors.Join(err, f.Close()))
			if len(entries) != 1 || len(raw) != 1 || entries[0].Size != 3 {
				t.Errorf("in mid-upload the zone has %v, %v", entries, raw)
			}
		}
		must(t, feed.Close())
		must(t, <-done)
		if info, err := v.Stat(target); err != nil || info.Size() != 500_000 {
			t.Errorf("the upload is %v, %v", info, err)
		}
	}
}

func TestOfParallelPutsInAnAppendZoneOneWins(t *testing.T) {
	w, _ := open(t, workspace.Config{})
	v := view(t, w, "store", abi.AccessAppend)
	for turn := range 20 {
		name := fmt.Sprintf("d%d/f", turn)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []string
		for i := range 4 {
			content := strings.Repeat(fmt.Sprint(i), 10_000)
			wg.Go(func() {
				_, created, err := v.Put(name, strings.NewReader(content), workspace.PutOptions{})
				if err != nil {
					if code := abi.CodeOf(err); code != abi.CodePermissionDenied {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if !created {
					t.Error("it was replaced")
				}
				won = append(won, content)
			})
		}
		wg.Wait()
		if len(won) != 1 || read(t, filepath.Join(w.Path("store"), name)) != won[0] {
			t.Errorf("%d writers won", len(won))
		}
	}
	measured(t, w)
}

func TestWhatAKilledHostLeftIsTidiedUpAtOpen(t *testing.T) {
	top := t.TempDir()
	cfg := workspace.Config{Dir: filepath.Join(top, "ws")}
	w, err := workspace.Open(cfg)
	must(t, err)
	must(t, w.Close())
	plant(t, top, "ws/store/.sallyport-put-abc = half\nws/store/kept = kept\nws/output/.sallyport-put-def/x = planted\nout/x = canary\nws/upload/.sallyport-put-l -> $TOP/out")
	w, err = workspace.Open(cfg)
	must(t, err)
	defer w.Close()
	if got := picture(t, top); got != "out/\nout/x = canary\nws/\nws/deploy/\nws/output/\nws/store/\nws/store/kept = kept\nws/upload/" {
		t.Errorf("the tree is\n%s", got)
	}
	measured(t, w)
}

func TestListGivesNameKindSizeAndTime(t *testing.T) {
	w, top := open(t, workspace.Config{})
	plant(t, top, "ws/output/b = 12345\nws/output/a/x = 1\nws/output/l -> b\nws/output/p |\nws/output/.hidden = by its owner\nws/output/.sallyport-put-1 = x\nws/output/\xff = x")
	v := view(t, w, "output", abi.AccessRead)
	entries, more, err := v.List(".", 0)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprint(e.Name, " ", e.Kind, " ", e.Size))
		if e.Modified.IsZero() {
			t.Errorf("%s has no time", e.Name)
		}
	}
	want := []string{".hidden file 12", "a dir 0", "b file 5", "l link 0", "p other 0"}
	if !slices.Equal(got, want) || more {
		t.Errorf("the list is %q, more %v, want %q", got, more, want)
	}
	entries, more, err = v.List(".", 2)
	if len(entries) != 2 || !more || err != nil {
		t.Errorf("a bounded list is %v, %v, %v", entries, more, err)
	}
	entries, more, err = v.List(".", 5)
	if len(entries) != 5 || more || err != nil {
		t.Errorf("a list of as many as there are is %v, %v, %v", entries, more, err)
	}
	_, _, err = v.List("b", 0)
	refused(t, err, abi.CodeFailedPrecondition, "is a file")
	_, _, err = v.List("none", 0)
	refused(t, err, abi.CodeNotFound)
	must(t, os.Mkdir(filepath.Join(top, "ws/output/none"), 0o755))
	entries, _, err = v.List("none", 0)
	if entries == nil || len(entries) != 0 || err != nil {
		t.Errorf("the list of an empty folder is %v, %v", entries, err)
	}
}

func TestReadDirReadsInParts(t *testing.T) {
	t.Parallel()
	w, top := open(t, workspace.Config{})
	for i := range 1300 {
		plant(t, top, fmt.Sprintf("ws/output/.sallyport-put-%d = x\nws/output/f%d = x", i, i))
	}
	v := view(t, w, "output", abi.AccessRead)
	for _, n := range []int{1, 7, 500, 5000, -1, 0} {
		f, err := v.Open(".")
		must(t, err)
		for pass := range 2 {
			seen := map[string]bool{}
			for {
				entries, err := f.ReadDir(n)
				if n > 0 && (len(entries) > n || len(entries) == 0 && err == nil) {
					t.Fatalf("ReadDir(%d) returns %d entries, %v", n, len(entries), err)
				}
				for _, e := range entries {
					seen[e.Name()] = true
				}
				if err == io.EOF || n <= 0 && err == nil {
					break
				}
				must(t, err)
			}
			if len(seen) != 1300 {
				t.Errorf("pass %d of ReadDir(%d) saw %d names", pass, n, len(seen))
			}
			_, err = f.Seek(0, io.SeekStart)
			must(t, err)
		}
		must(t, f.Close())
	}
}

func TestFilesBehaveAsFilesDo(t *testing.T) {
	w, _ := open(t, workspace.Config{})
	v := view(t, w, "output", abi.AccessWrite)
	f, err := v.OpenFile("f", os.O_RDWR|os.O_CREATE, 0)
	must(t, err)
	for _, s := range []string{"hello ", "world"} {
		n, err := f.Write([]byte(s))
		if n != len(s) || err != nil {
			t.Fatalf("Write returns %d, %v", n, err)
		}
	}
	must(t, f.Sync())
	if off, err := f.Seek(-5, io.SeekEnd); off != 6 || err != nil {
		t.Fatalf("Seek returns %d, %v", off, err)
	}
	b := make([]byte, 8)
	if n, err := f.Read(b); string(b[:n]) != "world" || err != nil {
		t.Errorf("Read returns %q, %v", b[:n], err)
	}
	if n, err := f.Read(b); n != 0 || err != io.EOF {
		t.Errorf("Read at the end returns %d, %v", n, err)
	}
	if n, err := f.ReadAt(b, 6); string(b[:n]) != "world" || err != io.EOF {
		t.Errorf("ReadAt returns %q, %v", b[:n], err)
	}
	if n, err := f.Write(nil); n != 0 || err != nil {
		t.Errorf("an empty write returns %d, %v", n, err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 11 || info.Name() != "f" || info.Mode().Perm() != 0o644 {
		t.Errorf("Stat returns %v, %v", info, err)
	}
	must(t, f.Close())
	must(t, v.Mkdir("d", 0o700))
	must(t, v.Rename("f", "d/g"))
	when := time.Unix(1e9, 5000)
	must(t, v.Chtimes("d/g", when, when))
	info, err := v.Stat("d/g")
	if err != nil || !info.ModTime().Equal(when) {
		t.Errorf("Stat returns %v, %v", info, err)
	}
}

func TestScratchIsBoundedAndRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "calls")
	one, removeOne, err := workspace.Scratch(dir, 1000)
	must(t, err)
	two, removeTwo, err := workspace.Scratch(dir, 0)
	must(t, err)
	write(t, one, "f", strings.Repeat("x", 1000))
	refused(t, with(one, "g", os.O_WRONLY|os.O_CREATE, func(f *workspace.File) error { _, err := f.Write([]byte("x")); return err }), abi.CodeResourceExhausted, "tmp/g needs 1 bytes more, and 0 of the quota of 1000 bytes are left")
	if _, err := two.Stat("f"); abi.CodeOf(err) != abi.CodeNotFound {
		t.Errorf("one scratch sees what is in another: %v", err)
	}
	must(t, one.Delete("f"))
	write(t, one, "g", "x")
	kept, err := one.Open("g")
	must(t, err)
	must(t, removeOne())
	must(t, removeOne())
	refused(t, openClose(one, "g", os.O_RDONLY), abi.CodeFailedPrecondition, "closed")
	refused(t, openClose(one, "h", os.O_WRONLY|os.O_CREATE), abi.CodeFailedPrecondition, "closed")
	must(t, kept.Close())
	must(t, removeTwo())
	if left := picture(t, dir); left != "" {
		t.Errorf("left: %s", left)
	}
	if _, _, err := workspace.Scratch(dir, -1); err == nil {
		t.Error("made with a negative bound")
	}
}
