package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/sdk/sdktest"
)

// names lists a folder of the workspace.
func names(t *testing.T, h *sdktest.Host, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(h.Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestWriteMakesFoldersAndReplaces(t *testing.T) {
	h := sdktest.New(t)
	for _, content := range []string{"first\nsecond\n", "", "last 图"} {
		r := result(t, h, "write", args{"path": "output/a/b/c.md", "content": content})
		if got := string(h.Read("/output/a/b/c.md")); got != content {
			t.Errorf("the file has %q, want %q", got, content)
		}
		if link := r.Content[1]; link.URI != "workspace:/output/a/b/c.md" || link.Size != int64(len(content)) || link.MIMEType != "text/markdown" {
			t.Errorf("the link is %+v", link)
		}
	}
	if got := call(t, h, "write", args{"path": "output/d.txt", "content": "one\ntwo"}); got != "wrote output/d.txt: 7 bytes, 2 lines" {
		t.Errorf("answered %q", got)
	}
	if got := names(t, h, "/output/a/b"); got != "c.md" {
		t.Errorf("the folder has %s", got)
	}
}

func TestReplacingLeavesOpenReadersTheOldFile(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/output/a.txt", []byte("old"))
	f, err := os.Open(h.Path("/output/a.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	call(t, h, "write", args{"path": "output/a.txt", "content": "new"})
	b := make([]byte, 10)
	if n, _ := f.Read(b); string(b[:n]) != "old" {
		t.Errorf("the reader got %q", b[:n])
	}
}

func TestAppendAddsToTheEnd(t *testing.T) {
	h := sdktest.New(t)
	call(t, h, "write", args{"path": "store/log.txt", "content": "one\n", "mode": "append"})
	got := call(t, h, "write", args{"path": "store/log.txt", "content": "two\n", "mode": "append"})
	if got != "added to store/log.txt: 4 bytes, 1 line; it has 8 bytes now" {
		t.Errorf("answered %q", got)
	}
	if got := string(h.Read("/store/log.txt")); got != "one\ntwo\n" {
		t.Errorf("the file has %q", got)
	}
}

func TestCreateRefusesWhatIsThere(t *testing.T) {
	h := sdktest.New(t)
	call(t, h, "write", args{"path": "store/a.txt", "content": "one", "mode": "create"})
	e := refused(t, h, "write", args{"path": "store/a.txt", "content": "two", "mode": "create"}, abi.CodeAlreadyExists)
	if e.Message != "store/a.txt is there already" || string(h.Read("/store/a.txt")) != "one" {
		t.Errorf("error is %+v", e)
	}
}

func TestALongNameCanBeReplaced(t *testing.T) {
	h := sdktest.New(t)
	path := "output/" + strings.Repeat("图", 80) + ".md" // 243 bytes
	for _, content := range []string{"one", "two"} {
		call(t, h, "write", args{"path": path, "content": content})
		if got := string(h.Read(path)); got != content {
			t.Errorf("the file has %q", got)
		}
	}
}

const poem = "roses are red\n  violets are blue\nsugar is sweet\nand so are you\n"

func TestEditReplacesExactlyWhatIsThere(t *testing.T) {
	tests := []struct {
		name, before string
		in           args
		after, said  string
	}{
		{"one", poem, args{"old": "violets", "new": "daisies"}, strings.Replace(poem, "violets", "daisies", 1),
			"replaced 1 occurrence in output/f, at line 2\n     1\troses are red\n     2\t  daisies are blue\n     3\tsugar is sweet\n     4\tand so are you\n"},
		{"several lines", poem, args{"old": "blue\nsugar", "new": "green\nhoney"}, strings.Replace(poem, "blue\nsugar", "green\nhoney", 1), "at line 2"},
		{"all that were counted", poem, args{"old": "are", "new": "were", "count": 3}, strings.ReplaceAll(poem, "are", "were"), "replaced 3 occurrences in output/f, at lines 1, 2 and 4"},
		{"deleted", "abc", args{"old": "abc", "new": ""}, "", "at line 1"},
		{"growing", "aaaa", args{"old": "aa", "new": "aaa", "count": 2}, "aaaaaa", "lines 1 and 1"},
		{"Windows' ends", "one\r\ntwo\r\nthree\r\n", args{"old": "one\ntwo", "new": "1\n2"}, "1\r\n2\r\nthree\r\n", "at line 1"},
		{"Windows' ends, given", "one\r\ntwo\r\n", args{"old": "one\r\n", "new": "1\n"}, "1\ntwo\r\n", "at line 1"},
		{"mixed ends", "one\r\ntwo\n", args{"old": "two\n", "new": "2\n"}, "one\r\n2\n", "at line 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := sdktest.New(t)
			h.Write("/output/f", []byte(tt.before))
			tt.in["path"] = "output/f"
			if got := call(t, h, "edit", tt.in); !strings.Contains(got, tt.said) {
				t.Errorf("answered %q, want %q", got, tt.said)
			}
			if got := string(h.Read("/output/f")); got != tt.after {
				t.Errorf("the file has %q, want %q", got, tt.after)
			}
			if got := names(t, h, "/output"); got != "f" {
				t.Errorf("the folder has %s", got)
			}
		})
	}
}

func TestAnEditThatDoesNotFitChangesNothingAndSaysWhy(t *testing.T) {
	tests := []struct {
		name, before, old string
		count             int
		message, hint     string
	}{
		{"too many", poem, "are", 1, "old is 3 times in output/f and count is 1: it is at lines 1, 2 and 4", "     2\t  violets are blue"},
		{"too few", poem, "roses", 2, "old is once in output/f and count is 2: it is at line 1", "     1\troses are red"},
		{"white space", poem, "violets  are blue", 1, "old is not in output/f, which has 4 lines", "the nearest:\n     2\t  violets are blue\n"},
		{"first line fits", poem, "\nviolets are blue\nsugar is sour", 1, "old is not in", "     2\t  violets are blue"},
		{"some words", poem, "sugar was sweet", 1, "old is not in", "     3\tsugar is sweet"},
		{"nothing like it", poem, "quartz", 1, "old is not in", "nothing was changed"},
		{"empty", "", "x", 1, "old is not in output/f, which is empty", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := sdktest.New(t)
			h.Write("/output/f", []byte(tt.before))
			e := refused(t, h, "edit", args{"path": "output/f", "old": tt.old, "new": "x!", "count": tt.count}, abi.CodeFailedPrecondition)
			if e.Field != "/old" || !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("error is %q, hint %q", e.Message, e.Hint)
			}
			if got := string(h.Read("/output/f")); got != tt.before {
				t.Errorf("the file has %q", got)
			}
		})
	}
}

func TestTheNearestLinesAreBounded(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/output/f", []byte(strings.Repeat(strings.Repeat("word ", 500)+"\n", 500)))
	e := refused(t, h, "edit", args{"path": "output/f", "old": "word ", "new": "x"}, abi.CodeFailedPrecondition)
	if len(e.Message)+len(e.Hint) > 5000 || !strings.Contains(e.Message, "250000 times") {
		t.Errorf("the error has %d bytes", len(e.Message)+len(e.Hint))
	}
}

func TestOnlyTextIsEdited(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/output/f", []byte("a\xff"))
	refused(t, h, "edit", args{"path": "output/f", "old": "a", "new": "b"}, abi.CodeFailedPrecondition)
	h.Write("/output/f", []byte(strings.Repeat("x", 16<<20+1)))
	refused(t, h, "edit", args{"path": "output/f", "old": "a", "new": "b"}, abi.CodeResourceExhausted)
}

func TestAnEditCannotGrowAFileBeyondBounds(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/output/f", []byte(strings.Repeat("x", 100)))
	refused(t, h, "edit", args{"path": "output/f", "old": "x", "new": strings.Repeat("y", 1<<20), "count": 100}, abi.CodeResourceExhausted)
}

func TestAnEditKeepsTheMarkOfItsEncoding(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/output/f", []byte("\xef\xbb\xbfname,value\n"))
	call(t, h, "edit", args{"path": "output/f", "old": "name,", "new": "key,"})
	if got := string(h.Read("/output/f")); got != "\xef\xbb\xbfkey,value\n" {
		t.Errorf("the file has %q", got)
	}
}

func TestListShowsWhatIsThere(t *testing.T) {
	h := sdktest.New(t)
	h.Write("/upload/data.csv", []byte("a,b\n"))
	h.Write("/output/charts/one.png", []byte("png"))
	h.Write("/output/charts/old/two.png", []byte("png!"))
	h.Write("/output/report.md", nil)
	tests := []struct {
		in   args
		want string
	}{
		{args{}, "upload/ upload/data.csv:4 output/ output/charts/ output/report.md store/ deploy/"},
		{args{"path": "/", "depth": 1}, "upload/ output/ store/ deploy/"},
		{args{"path": "output"}, "output/charts/ output/charts/old/ output/charts/one.png:3 output/report.md"},
		{args{"path": "/output/", "depth": 1}, "output/charts/ output/report.md"},
		{args{"path": "output/charts", "depth": 5}, "output/charts/old/ output/charts/old/two.png:4 output/charts/one.png:3"},
		{args{"path": "output", "depth": 5, "glob": "*.png"}, "output/charts/old/two.png:4 output/charts/one.png:3"},
		{args{"path": "output", "depth": 5, "glob": "charts/*.png"}, "output/charts/one.png:3"},
		{args{"glob": "*.csv"}, "upload/data.csv:4"},
		{args{"path": "store"}, ""},
	}
	for _, tt := range tests {
		if got := listed(t, h, tt.in); got != tt.want {
			t.Errorf("%v: listed %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestListSaysWhatItLeavesOut(t *testing.T) {
	h := sdktest.New(t)
	for i := range 600 {
		h.Write(filepath.Join("/output", strings.Repeat("x", i%50+1), strings.Repeat("y", i/50+1)), nil)
	}
	r := result(t, h, "list", args{"path": "output"})
	if n := strings.Count(string(r.StructuredContent), `"path"`); n != 500 || !strings.Contains(string(r.StructuredContent), `"truncated":true`) {
		t.Errorf("listed %d entries", n)
	}
	h.Refuse("/deploy", abi.Errorf(abi.CodePermissionDenied, "deploy wasn't granted"))
	r = result(t, h, "list", args{"depth": 1})
	if !strings.Contains(string(r.StructuredContent), `"closed":["deploy"]`) {
		t.Errorf("listed %s", r.StructuredContent)
	}
	refused(t, h, "list", args{"path": "deploy"}, abi.CodePermissionDenied)
}

// listed writes a listing as paths, files with their sizes.
func listed(t *testing.T, h *sdktest.Host, in args) string {
	t.Helper()
	var l struct {
		Entries []struct {
			Path, Modified string
			Size           int64
		}
	}
	if err := json.Unmarshal(result(t, h, "list", in).StructuredContent, &l); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range l.Entries {
		if _, err := time.Parse(time.RFC3339, e.Modified); err != nil {
			t.Errorf("%s: %v", e.Path, err)
		}
		if e.Size > 0 {
			e.Path += ":" + strconv.FormatInt(e.Size, 10)
		}
		list = append(list, e.Path)
	}
	return strings.Join(list, " ")
}
