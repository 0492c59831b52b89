package engine_test

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/internal/engine"
)

func TestReadOnlyFiles(t *testing.T) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, data := range map[string]string{"SKILL.md": "# Manual", "more/0123": "0123456789"} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	zipped, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	if err != nil {
		t.Fatal(err)
	}
	p := probe(t, 0)
	for name, fsys := range map[string]fs.FS{
		"of an archive, that cannot seek": zipped,
		"of a map": fstest.MapFS{
			"SKILL.md":  {Data: []byte("# Manual")},
			"more/0123": {Data: []byte("0123456789")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := engine.Call{Mounts: []engine.Mount{{Path: abi.MountSkill, FS: engine.ReadOnly(fsys)}}}
			tests := []struct {
				step
				out   string
				errno int
			}{
				{step{Op: "read", Path: "/skill/SKILL.md"}, "# Manual", 0},
				{step{Op: "readdir", Path: "/skill"}, "SKILL.md more/", 0},
				{step{Op: "readdir", Path: "/skill/more"}, "0123", 0},
				{step{Op: "pread", Path: "/skill/more/0123", At: 5}, "5678", 0},
				{step{Op: "pread", Path: "/skill/more/0123", At: 8}, "89", 0},
				{step{Op: "pread", Path: "/skill/more/0123", At: 99}, "", 0},
				{step{Op: "seek", Path: "/skill/more/0123", At: 7}, "789", 0},
				{step{Op: "seek", Path: "/skill/more/0123", At: -4, Flag: 2}, "6789", 0},
				{step{Op: "seek", Path: "/skill/more/0123", At: -11, Flag: 2}, "", einval},
				{step{Op: "same", Path: "/skill/more/0123", To: "/skill/SKILL.md"}, "false", 0},
				{step{Op: "same", Path: "/skill/SKILL.md", To: "/skill/SKILL.md"}, "true", 0},
				{step{Op: "read", Path: "/skill/none"}, "", enoent},
				{step{Op: "write", Path: "/skill/SKILL.md", Data: "x"}, "", eacces},
				{step{Op: "open", Path: "/skill/new", Flag: wasiCreate}, "", eacces},
				{step{Op: "open", Path: "/skill/SKILL.md", Flag: wasiCreate}, "", 0},
				{step{Op: "open", Path: "/skill/SKILL.md", Flag: wasiCreate | wasiExcl}, "", eexist},
				{step{Op: "append", Path: "/skill/SKILL.md", Data: "x"}, "", eacces},
				{step{Op: "truncate", Path: "/skill/SKILL.md"}, "", eacces},
				{step{Op: "unlink", Path: "/skill/SKILL.md"}, "", eacces},
				{step{Op: "rmdir", Path: "/skill/more"}, "", eacces},
				{step{Op: "mkdir", Path: "/skill/d"}, "", eacces},
				{step{Op: "rename", Path: "/skill/SKILL.md", To: "/skill/x"}, "", eacces},
				{step{Op: "chtimes", Path: "/skill/SKILL.md"}, "", eacces},
			}
			var steps []step
			for _, test := range tests {
				steps = append(steps, test.step)
			}
			for i, got := range ask(t, p, c, steps...) {
				test := tests[i]
				if got.Out != test.out || got.Errno != test.errno || (got.Error != "") != (test.errno != 0) {
					t.Errorf("%+v came to %+v, want %q and %d", test.step, got, test.out, test.errno)
				}
				if test.errno == eacces && (got.Reason == nil || !strings.Contains(got.Reason.Message, "read-only")) {
					t.Errorf("%+v has the reason %+v", test.step, got.Reason)
				}
			}
		})
	}
}

func TestReadingBackwardsInAFileThatCannotSeek(t *testing.T) {
	f, err := engine.ReadOnly(streams{fstest.MapFS{"f": {Data: []byte("0123456789")}}}).OpenFile("f", os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte("x")); abi.CodeOf(err) != abi.CodePermissionDenied {
		t.Errorf("Write gives %v", err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); abi.CodeOf(err) != abi.CodePermissionDenied {
		t.Errorf("WriteAt gives %v", err)
	}
	if err := f.Truncate(0); abi.CodeOf(err) != abi.CodePermissionDenied {
		t.Errorf("Truncate gives %v", err)
	}
	b := make([]byte, 3)
	for _, at := range []int64{4, 7, 0, 5, 5} {
		if n, err := f.ReadAt(b, at); err != nil || string(b[:n]) != "0123456789"[at:at+3] {
			t.Errorf("ReadAt %d gives %q, %v", at, b[:n], err)
		}
	}
	// Reading at a place leaves the place of Read alone.
	for _, want := range []string{"012", "345"} {
		if n, err := f.Read(b); err != nil || string(b[:n]) != want {
			t.Errorf("Read gives %q, %v, want %q", b[:n], err, want)
		}
		if _, err := f.ReadAt(make([]byte, 1), 9); err != nil {
			t.Error(err)
		}
	}
}

// streams is a file system whose files can be read from their beginning only.
type streams struct{ fs.FS }

func (s streams) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	return struct{ fs.File }{f}, err
}
