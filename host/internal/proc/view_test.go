package proc_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-dev/sallyport/host/internal/proc"
)

// linked starts and ends a child with the given views, and returns what is in
// its directory then.
func linked(t *testing.T, spec proc.Spec, views ...proc.View) string {
	t.Helper()
	spec.Views = views
	await(t, start(t, spec))
	entries, err := os.ReadDir(spec.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestViewsThatAreNoLongerShownAreTakenAway(t *testing.T) {
	upload, output := t.TempDir(), t.TempDir()
	spec, _ := shell(t, "true")
	spec.Links = filepath.Join(t.TempDir(), "links.json")
	all := []proc.View{{Source: upload, Link: "upload"}, {Source: output, Link: "output"}, {Source: output, Link: "deep/output"}}
	if got := linked(t, spec, all...); got != "deep output upload" {
		t.Fatalf("first there is %s", got)
	}
	if got := linked(t, spec, all[1]); got != "deep output" {
		t.Errorf("of three views one is left, and there is %s", got)
	}
	if _, err := os.Lstat(filepath.Join(spec.Dir, "deep", "output")); err == nil {
		t.Error("the link in a folder is still there")
	}
	if got := linked(t, spec); got != "deep" {
		t.Errorf("no view is left, and there is %s", got)
	}
	if got := linked(t, spec, all[0]); got != "deep upload" {
		t.Errorf("one is back, and there is %s", got)
	}
}

func TestOnlyTheHostsOwnLinksAreTakenAway(t *testing.T) {
	source, other := t.TempDir(), t.TempDir()
	spec, _ := shell(t, "true")
	spec.Links = filepath.Join(t.TempDir(), "links.json")
	linked(t, spec, proc.View{Source: source, Link: "moved"}, proc.View{Source: source, Link: "changed"}, proc.View{Source: source, Link: "replaced"})
	at := func(name string) string { return filepath.Join(spec.Dir, name) }
	for _, err := range []error{
		os.Rename(at("moved"), at("renamed")), // the code's doing from here on
		os.Remove(at("changed")), os.Symlink(other, at("changed")),
		os.Remove(at("replaced")), os.WriteFile(at("replaced"), []byte("mine"), 0o600),
		os.Symlink(source, at("own")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := linked(t, spec); got != "changed own renamed replaced" {
		t.Errorf("there is %s", got)
	}
}

func TestARecordOfLinksIsTrustedWithNothing(t *testing.T) {
	source, outside := t.TempDir(), t.TempDir()
	link := filepath.Join(outside, "link")
	if err := os.Symlink(source, link); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(outside, "kept")
	for name, prepare := range map[string]func(record string) error{
		"not a record": func(record string) error { return os.WriteFile(record, []byte("{"), 0o600) },
		"names elsewhere": func(record string) error {
			return os.WriteFile(record, []byte(`{"../link":"`+source+`","`+link+`":"`+source+`"}`), 0o600)
		},
		"a folder": func(record string) error { return os.Mkdir(record, 0o700) },
		"a pipe":   func(record string) error { return syscall.Mkfifo(record, 0o600) },
		"a link": func(record string) error {
			if err := os.WriteFile(kept, []byte("{}"), 0o600); err != nil {
				return err
			}
			return os.Symlink(kept, record)
		},
	} {
		spec, _ := shell(t, "true")
		spec.Dir = filepath.Join(outside, "dir")
		if err := os.MkdirAll(spec.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		spec.Links = filepath.Join(t.TempDir(), "links.json")
		if err := prepare(spec.Links); err != nil {
			t.Fatal(err)
		}
		if got := linked(t, spec, proc.View{Source: source, Link: "zone"}); got != "zone" {
			t.Errorf("%s: there is %s", name, got)
		}
		if got := linked(t, spec); got != "" {
			t.Errorf("%s: in the second start there is %s", name, got)
		}
		if _, err := os.Lstat(link); err != nil {
			t.Errorf("%s: a link outside of the directory is gone", name)
		}
	}
	if got, err := os.ReadFile(kept); err != nil || string(got) != "{}" {
		t.Errorf("through a link %q was written, %v", got, err)
	}
}
