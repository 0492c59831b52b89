package workspace_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

const canary = "canary"

// attempts are everything that a view can do to a name. Each returns what it
// could read of what is there.
var attempts = map[string]func(v *workspace.FS, name string) (string, error){
	"read": func(v *workspace.FS, name string) (string, error) {
		return readAll(v, name, os.O_RDONLY)
	},
	"read and write": func(v *workspace.FS, name string) (string, error) {
		return readAll(v, name, os.O_RDWR)
	},
	"overwrite": func(v *workspace.FS, name string) (string, error) {
		return "", with(v, name, os.O_WRONLY|os.O_CREATE, func(f *workspace.File) error { _, err := f.Write([]byte("pwned")); return err })
	},
	"append": func(v *workspace.FS, name string) (string, error) {
		return "", with(v, name, os.O_WRONLY|os.O_APPEND, func(f *workspace.File) error { _, err := f.Write([]byte("pwned")); return err })
	},
	"truncate": func(v *workspace.FS, name string) (string, error) {
		return "", openClose(v, name, os.O_RDWR|os.O_TRUNC)
	},
	"create": func(v *workspace.FS, name string) (string, error) {
		return "", openClose(v, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	},
	"put": func(v *workspace.FS, name string) (string, error) {
		_, _, err := v.Put(name, strings.NewReader("pwned"), workspace.PutOptions{})
		return "", err
	},
	"put below": func(v *workspace.FS, name string) (string, error) {
		_, _, err := v.Put(name+"/sub/new", strings.NewReader("pwned"), workspace.PutOptions{})
		return "", err
	},
	"list": func(v *workspace.FS, name string) (string, error) {
		entries, _, err := v.List(name, 0)
		var names string
		for _, e := range entries {
			names += e.Name
		}
		return names, err
	},
	"stat": func(v *workspace.FS, name string) (string, error) {
		_, err := v.Stat(name)
		return "", err
	},
	"mkdir":       func(v *workspace.FS, name string) (string, error) { return "", v.Mkdir(name, 0o777) },
	"mkdir below": func(v *workspace.FS, name string) (string, error) { return "", v.Mkdir(name+"/sub", 0o777) },
	"remove":      func(v *workspace.FS, name string) (string, error) { return "", v.Remove(name) },
	"removedir":   func(v *workspace.FS, name string) (string, error) { return "", v.RemoveDir(name) },
	"delete":      func(v *workspace.FS, name string) (string, error) { return "", v.Delete(name) },
	"rename away": func(v *workspace.FS, name string) (string, error) { return "", v.Rename(name, "stolen") },
	"rename over": func(v *workspace.FS, name string) (string, error) { return "", v.Rename("own", name) },
	"chtimes": func(v *workspace.FS, name string) (string, error) {
		return "", v.Chtimes(name, time.Unix(1, 0), time.Unix(1, 0))
	},
}

func readAll(v *workspace.FS, name string, flag int) (string, error) {
	f, err := v.OpenFile(name, flag, 0)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(f)
	return string(b), errors.Join(err, f.Close())
}

func TestNothingReachesOutsideItsZone(t *testing.T) {
	t.Parallel()
	const outside = `
		out/secret = canary
		out/dir/secret = canary
		ws/store/secret = canary
		ws/outputs/secret = canary
	`
	names := map[string]struct {
		tree string // in the output zone, by a process
		name string
		// linkOnly: to remove or replace the link itself is fine.
		linkOnly bool
	}{
		"dot dot":                          {"", "../../out/secret", false},
		"dot dot to another zone":          {"", "../store/secret", false},
		"dot dot after a folder":           {"ws/output/d/", "d/../../store/secret", false},
		"dot dot to a longer sibling":      {"", "../outputs/secret", false},
		"absolute":                         {"", "$TOP/out/secret", false},
		"absolute to the parent":           {"", "$TOP/out", false},
		"slashes first":                    {"", "//etc/passwd", false},
		"NUL":                              {"", "x\x00/../../store/secret", false},
		"relative link to a file":          {"ws/output/l -> ../../out/secret", "l", true},
		"absolute link to a file":          {"ws/output/l -> $TOP/out/secret", "l", true},
		"absolute link into the zone":      {"ws/output/l -> $TOP/ws/output/own", "l", true},
		"link to another zone":             {"ws/output/l -> ../store/secret", "l", true},
		"link to a folder":                 {"ws/output/l -> ../../out", "l", true},
		"through a link to a folder":       {"ws/output/l -> ../../out", "l/secret", false},
		"through a link, deeper":           {"ws/output/l -> ../../out", "l/dir/secret", false},
		"through an absolute link":         {"ws/output/l -> $TOP/out", "l/secret", false},
		"link to a link":                   {"ws/output/l -> m\nws/output/m -> ../../out/secret", "l", true},
		"link to the parent":               {"ws/output/l -> ..", "l/store/secret", false},
		"link to nothing outside":          {"ws/output/l -> ../../out/new", "l", true},
		"link to nothing by absolute path": {"ws/output/l -> $TOP/out/new", "l", true},
		"link out and back in":             {"ws/output/l -> ../output/own", "l", true},
		"link in a folder, steps beyond":   {"ws/output/a/b/l -> ../../../../out/secret", "a/b/l", true},
		"link with a slash at the end":     {"ws/output/l -> ../../out", "l/", false},
		"link with a dot at the end":       {"ws/output/l -> ../../out", "l/.", false},
		"circle":                           {"ws/output/l -> m\nws/output/m -> l", "l", true},
		"circle, through":                  {"ws/output/l -> m\nws/output/m -> l", "l/secret", false},
	}
	for name, test := range names {
		for attempt, do := range attempts {
			t.Run(name+", "+attempt, func(t *testing.T) {
				t.Parallel()
				w, top := open(t, workspace.Config{})
				plant(t, top, outside+test.tree)
				plant(t, top, "ws/output/own = own")
				old := time.Unix(1e9, 0)
				must(t, os.Chtimes(filepath.Join(top, "out/secret"), old, old))
				parts := []string{"out", "ws/store", "ws/outputs", "ws/upload", "ws/deploy"}
				var before []string
				for _, p := range parts {
					before = append(before, picture(t, filepath.Join(top, p)))
				}

				got, err := do(view(t, w, "output", abi.AccessWrite), strings.ReplaceAll(test.name, "$TOP", top))

				for i, p := range parts {
					if after := picture(t, filepath.Join(top, p)); after != before[i] {
						t.Errorf("%s was changed to\n%s\nfrom\n%s", p, after, before[i])
					}
				}
				if info, err := os.Stat(filepath.Join(top, "out/secret")); err != nil || !info.ModTime().Equal(old) {
					t.Errorf("the times of what is outside were changed: %v", err)
				}
				if strings.Contains(got, canary) || strings.Contains(got, "secret") {
					t.Errorf("read %q", got)
				}
				if err == nil {
					replacesLink := test.linkOnly && map[string]bool{"put": true, "remove": true, "delete": true, "rename away": true, "rename over": true}[attempt]
					if !replacesLink {
						t.Error("no error")
					}
					return
				}
				switch e := abi.AsError(err); e.Code {
				case abi.CodeInvalidArgument, abi.CodePermissionDenied:
				case abi.CodeAlreadyExists, abi.CodeNotFound, abi.CodeFailedPrecondition:
					// The link itself: it is there, or leads nowhere, or is no folder.
					if test.tree == "" {
						t.Errorf("error is %v", err)
					}
				default:
					t.Errorf("error is %v", err)
				}
			})
		}
	}
}

func TestLinksAreFollowedInsideTheirZone(t *testing.T) {
	w, top := open(t, workspace.Config{})
	plant(t, top, "ws/output/a/f = abc\nws/output/b/l -> ../a/f\nws/output/c -> a")
	v := view(t, w, "output", abi.AccessWrite)
	for _, name := range []string{"b/l", "c/f"} {
		if got, err := readAll(v, name, os.O_RDONLY); got != "abc" || err != nil {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	info, err := v.Lstat("b/l")
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("Lstat of a link is %v, %v", info, err)
	}
	if info, err = v.Stat("b/l"); err != nil || !info.Mode().IsRegular() {
		t.Errorf("Stat of a link is %v, %v", info, err)
	}
	refused(t, openClose(v, "b/l", os.O_RDONLY|syscall.O_NOFOLLOW), abi.CodeInvalidArgument, "is a link")
	must(t, v.Remove("b/l"))
	must(t, v.Delete("c"))
	if got := read(t, filepath.Join(top, "ws/output/a/f")); got != "abc" {
		t.Errorf("removing links left %q", got)
	}
}

func TestDeletingATreeRemovesLinksInItAndNotWhatTheyLeadTo(t *testing.T) {
	w, top := open(t, workspace.Config{})
	plant(t, top, "out/secret = canary\nws/output/d/l -> ../../../out\nws/output/d/e/l -> $TOP/out/secret\nws/output/d/f = x\nws/output/d/p |")
	before := picture(t, filepath.Join(top, "out"))
	must(t, view(t, w, "output", abi.AccessWrite).Delete("d"))
	if after := picture(t, filepath.Join(top, "out")); after != before {
		t.Errorf("outside is\n%s\nand was\n%s", after, before)
	}
	if left := picture(t, w.Path("output")); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestPipesSocketsAndDevicesAreRefusedAtOnce(t *testing.T) {
	w, top := open(t, workspace.Config{})
	plant(t, top, "ws/output/pipe |\nws/output/socket (socket)\nws/output/device (device)\nws/output/link -> pipe")
	for _, access := range []abi.Access{abi.AccessRead, abi.AccessAppend, abi.AccessWrite} {
		v := view(t, w, "output", access)
		for _, name := range []string{"pipe", "socket", "device", "link"} {
			for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREATE, os.O_RDWR | os.O_CREATE | os.O_TRUNC, os.O_WRONLY | os.O_APPEND} {
				err := openClose(v, name, flag)
				if e := refused(t, err, abi.CodePermissionDenied); access == abi.AccessWrite && !strings.Contains(e.Message, "neither a file nor a folder") {
					t.Errorf("%s, flags %#x: %v", name, flag, err)
				}
			}
			_, err := v.Stat(name)
			must(t, err)
		}
		_, err := v.Open("pipe/x")
		refused(t, err, abi.CodeFailedPrecondition)
	}
	entries, _, err := view(t, w, "output", abi.AccessRead).List(".", 0)
	must(t, err)
	for _, e := range entries {
		if want := map[bool]string{true: workspace.KindLink, false: workspace.KindOther}[e.Name == "link"]; e.Kind != want {
			t.Errorf("%s is listed as %q", e.Name, e.Kind)
		}
	}
	v := view(t, w, "output", abi.AccessWrite)
	for _, name := range []string{"pipe", "socket", "device"} {
		must(t, v.Remove(name))
	}
}

// A process swaps what a name stands for while views work with it.
func TestASwappedPathNeverLeadsOutside(t *testing.T) {
	t.Parallel()
	w, top := open(t, workspace.Config{RemeasureAfter: 1})
	plant(t, top, "out/secret = canary\nout/f = canary\nws/output/own = own")
	before := picture(t, filepath.Join(top, "out"))
	zone := w.Path("output")

	const turns = 300
	var over atomic.Bool
	var wg sync.WaitGroup
	// Names d (a folder or a link to outside), f (a file, a link to outside or
	// a pipe) and e (a folder or a pipe) change all the time. What goes wrong
	// here is the fault of a view that was quicker, and doesn't matter.
	wg.Go(func() {
		defer over.Store(true)
		d, e, f := filepath.Join(zone, "d"), filepath.Join(zone, "e"), filepath.Join(zone, "f")
		for range turns {
			os.Mkdir(d, 0o755)
			os.WriteFile(filepath.Join(d, "secret"), []byte("own"), 0o644)
			os.RemoveAll(d)
			os.Symlink("../../out", d)
			os.Remove(d)
			os.WriteFile(f, []byte("own"), 0o644)
			os.Remove(f)
			os.Symlink("../../out/f", f)
			os.Remove(f)
			syscall.Mkfifo(f, 0o644)
			os.Remove(f)
			os.Mkdir(e, 0o755)
			os.Remove(e)
			syscall.Mkfifo(e, 0o644)
			os.Remove(e)
		}
	})
	for _, name := range []string{"d/secret", "f", "d", "e", "e/x"} {
		wg.Go(func() {
			v := view(t, w, "output", abi.AccessWrite)
			for !over.Load() {
				for attempt, do := range attempts {
					if attempt == "rename over" {
						continue // it would use up what it renames
					}
					if got, _ := do(v, name); strings.Contains(got, canary) {
						t.Errorf("%s of %s read %q", attempt, name, got)
					}
				}
				w.Changed()
				if _, err := w.Usage(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	inTime(t, &wg)
	if after := picture(t, filepath.Join(top, "out")); after != before {
		t.Errorf("outside is\n%s\nand was\n%s", after, before)
	}
}

// Under append access, a name that is swapped can't make a view change bytes
// that are there.
func TestASwappedPathIsNeverTruncatedUnderAppend(t *testing.T) {
	t.Parallel()
	w, top := open(t, workspace.Config{})
	plant(t, top, "ws/store/keep = kept")
	keep, name := filepath.Join(top, "ws/store/keep"), filepath.Join(top, "ws/store/f")
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer over.Store(true)
		for range 1000 {
			os.Remove(name)
			os.Mkdir(name, 0o755)
			os.Remove(name)
			os.Link(keep, name)
			os.Remove(name)
			os.Symlink("keep", name)
		}
	})
	wg.Go(func() {
		v := view(t, w, "store", abi.AccessAppend)
		for !over.Load() {
			for _, attempt := range []string{"truncate", "overwrite", "put", "delete", "remove", "rename away", "chtimes"} {
				attempts[attempt](v, "f")
			}
			openClose(v, "f", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		}
	})
	wg.Wait()
	if got := read(t, keep); got != "kept" {
		t.Errorf("what was stored is %q", got)
	}
}

// A pipe that takes the place of a file or folder after it was looked at would
// be waited for by who opens it without care.
func TestAPipeSwappedInIsNeverWaitedFor(t *testing.T) {
	t.Parallel()
	w, top := open(t, workspace.Config{})
	plant(t, top, "ws/store/pipe |\nws/store/file = own")
	store, output := w.Path("store"), w.Path("output")
	var over atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer over.Store(true)
		temp, f, d := filepath.Join(output, "temp"), filepath.Join(output, "f"), filepath.Join(output, "d")
		for range 2000 {
			for _, from := range []string{"pipe", "file"} {
				os.Link(filepath.Join(store, from), temp)
				os.Rename(temp, f)
			}
			os.Mkdir(d, 0o755)
			os.Remove(d)
			os.Link(filepath.Join(store, "pipe"), d)
			os.Remove(d)
		}
	})
	v := view(t, w, "output", abi.AccessRead)
	for range 4 {
		wg.Go(func() {
			for !over.Load() {
				for _, name := range []string{"f", "d"} {
					f, err := v.Open(name)
					if err != nil {
						continue
					}
					if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() && !info.IsDir() {
						t.Errorf("opened %v, %v", info.Mode(), err)
					}
					f.Close()
				}
				v.List("d", 0)
			}
		})
	}
	wg.Go(func() {
		for !over.Load() {
			w.Changed()
			if _, err := w.Usage(); err != nil {
				t.Error(err)
			}
		}
	})
	inTime(t, &wg)
}

// inTime waits for what must not hang.
func inTime(t testing.TB, wg *sync.WaitGroup) {
	t.Helper()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("an operation hangs")
	}
}
