package workspace_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

func TestCleanAcceptsNamesThatStayInside(t *testing.T) {
	deep := strings.TrimSuffix(strings.Repeat("d/", workspace.MaxDepth), "/")
	for name, want := range map[string]string{
		".": ".", "a": "a", "./a": "a", "a//b": "a/b", "a/./b": "a/b", "a/../b": "b", "a/..": ".", "./": ".",
		"a/": "a/", "a/.": "a/", "a/b/..": "a/", "..a": "..a", "...": "...", "a..b": "a..b",
		"数据/图.png": "数据/图.png", "with space": "with space", "back\\slash": "back\\slash", "~": "~", "-rf": "-rf", "new\nline": "new\nline",
		strings.Repeat("x", workspace.MaxComponent): strings.Repeat("x", workspace.MaxComponent),
		deep: deep,
	} {
		if got, err := workspace.Clean(name); got != want || err != nil {
			t.Errorf("Clean(%q) is %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestCleanSaysWhatIsWrongWithAName(t *testing.T) {
	for name, says := range map[string]string{
		"":                              "is empty",
		"/":                             "is absolute",
		"/etc/passwd":                   "is absolute",
		"..":                            "leaves its zone",
		"../x":                          "leaves its zone",
		"a/../../x":                     "leaves its zone",
		"a\x00b":                        "NUL",
		"\xff":                          "not UTF-8",
		"a/\xed\xa0\x80":                "not UTF-8",
		strings.Repeat("x", 256):        "has a part of 256 bytes, at most 255 are allowed",
		"a/" + strings.Repeat("é", 128): "has a part of 256 bytes",
		strings.Repeat("x/", 65):        "is 65 folders deep, at most 64 are allowed",
		strings.Repeat("x", 5000):       "has 5000 bytes, at most 4096 are allowed",
		"d/.sallyport-put-x":            "such names are the host's",
	} {
		_, err := workspace.Clean(name)
		if e := refused(t, err, abi.CodeInvalidArgument, says); len(e.Message) > 300 || !utf8.ValidString(e.Message) {
			t.Errorf("the message is %q", e.Message)
		}
	}
}

func TestEveryOperationChecksItsName(t *testing.T) {
	w, top := open(t, workspace.Config{})
	v := view(t, w, "output", abi.AccessWrite)
	plant(t, top, "ws/output/own = own")
	before := picture(t, top)
	for _, name := range []string{"", "/x", "../x", "x\x00", "\xff", strings.Repeat("x", 256), strings.Repeat("x/", 70), strings.Repeat("x", 5000), ".sallyport-put-x"} {
		for attempt, do := range attempts {
			if name == "" && strings.HasSuffix(attempt, "below") {
				name = "/"
			}
			if _, err := do(v, name); abi.CodeOf(err) != abi.CodeInvalidArgument {
				t.Errorf("%s of %.20q: %v", attempt, name, err)
			}
		}
	}
	if after := picture(t, top); after != before {
		t.Errorf("the tree is\n%s", after)
	}
}

// Whatever name is accepted, what is made under it is in the zone.
func FuzzName(f *testing.F) {
	for _, seed := range []string{".", "a", "a/b/c", "../x", "/x", "a/../../x", "a/../b", "l/x", "m/x", "n", "k/o", "a\x00b", "\xff", "d/..", "...", "a//b/", strings.Repeat("d/", 70), strings.Repeat("x", 300), "l/../x", ".sallyport-put-a"} {
		f.Add(seed)
	}
	const tree = `
		out/x = canary
		ws/store/x = canary
		ws/output/l -> ../../out
		ws/output/m -> $TOP/out
		ws/output/n -> ../store/x
		ws/output/d/o -> ../../../out/x
		ws/output/k -> d
	`
	f.Fuzz(func(t *testing.T, name string) {
		w, top := open(t, workspace.Config{})
		plant(t, top, tree)
		v := view(t, w, "output", abi.AccessWrite)

		clean, cleanErr := workspace.Clean(name)
		if cleanErr == nil {
			if !filepath.IsLocal(clean) || !utf8.ValidString(clean) || strings.ContainsRune(clean, 0) || len(clean) > workspace.MaxName+1 {
				t.Errorf("Clean(%q) is %q", name, clean)
			}
			if again, err := workspace.Clean(clean); again != clean || err != nil {
				t.Errorf("Clean(%q) is %q, and of that %q, %v", name, clean, again, err)
			}
		}

		err := with(v, name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, func(f *workspace.File) error { _, err := f.Write([]byte("pwned")); return err })
		if cleanErr != nil && err == nil {
			t.Errorf("opened %q, which Clean refuses: %v", name, cleanErr)
		}
		if _, _, putErr := v.Put(name, strings.NewReader("pwned"), workspace.PutOptions{}); putErr != nil && err == nil {
			t.Errorf("%q could be opened and not put: %v", name, putErr)
		}
		_ = v.Mkdir(name, 0)
		_ = v.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0))
		_ = v.Rename(name, "moved")
		_ = v.Delete(name)

		for path, want := range map[string]string{"out": "x = canary", "ws/store": "x = canary", "ws/upload": "", "ws/deploy": ""} {
			if got := picture(t, filepath.Join(top, path)); got != want {
				t.Errorf("%q changed %s to %q", name, path, got)
			}
		}
		for _, dir := range []string{top, filepath.Join(top, "ws")} {
			entries, err := os.ReadDir(dir)
			must(t, err)
			if want := map[bool]int{true: 2, false: 4}[dir == top]; len(entries) != want {
				t.Errorf("%q made something in %s: %v", name, dir, entries)
			}
		}
	})
}
