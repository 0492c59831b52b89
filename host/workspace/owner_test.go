package workspace_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// tenant is the account that processes would work under: one of their own where
// the tests may give files away, the tests' own elsewhere.
func tenant() (owner workspace.Owner, uid uint32) {
	if os.Getuid() == 0 {
		return workspace.Owner{UID: 12345, GID: 12346}, 12345
	}
	return workspace.Owner{}, uint32(os.Getuid())
}

// owners returns whose everything under dir is, dir itself included.
func owners(t testing.TB, dir string) map[string]uint32 {
	t.Helper()
	found := map[string]uint32{}
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		found[name] = ownerOf(t, path)
		return err
	}))
	return found
}

func ownerOf(t testing.TB, path string) uint32 {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return info.Sys().(*syscall.Stat_t).Uid
}

// give makes a tree the account's, as a process of it would have.
func give(t testing.TB, dir string, uid uint32) {
	t.Helper()
	if os.Getuid() != 0 {
		return // it is already
	}
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(uid), int(uid))
	}))
}

func TestWhatIsMadeBelongsToTheOwner(t *testing.T) {
	owner, uid := tenant()
	w, _ := open(t, workspace.Config{Owner: owner})
	for _, zone := range abi.Zones() {
		v := view(t, w, zone, abi.AccessWrite)
		_, _, err := v.Put("a/b/put", strings.NewReader("x"), workspace.PutOptions{})
		must(t, err)
		must(t, v.Mkdir("made", 0o700))
		must(t, v.Mkdir("made/with a slash/", 0o700))
		write(t, v, "made/opened", "x")
		must(t, v.Rename("made/opened", "renamed"))
		_, _, err = v.Put("renamed", strings.NewReader("replaced"), workspace.PutOptions{})
		must(t, err)
		found := owners(t, w.Path(zone))
		if len(found) != 7 {
			t.Errorf("%s has %v", zone, found)
		}
		for name, got := range found {
			if got != uid {
				t.Errorf("%s/%s belongs to %d, want %d", zone, name, got, uid)
			}
		}
	}
	if got := ownerOf(t, filepath.Dir(w.Path("output"))); got != uint32(os.Getuid()) {
		t.Errorf("the folder round the zones belongs to %d", got)
	}
}

func TestWhatTheOwnersProcessesMakeIsTheHostsToo(t *testing.T) {
	owner, uid := tenant()
	w, top := open(t, workspace.Config{Owner: owner})
	plant(t, top, "ws/output/private/file = secret")
	must(t, os.Chmod(filepath.Join(top, "ws/output/private/file"), 0o600))
	must(t, os.Chmod(filepath.Join(top, "ws/output/private"), 0o700))
	give(t, filepath.Join(top, "ws/output"), uid)
	v := view(t, w, "output", abi.AccessWrite)
	if got, err := readAll(v, "private/file", os.O_RDONLY); err != nil || got != "secret" {
		t.Errorf("read %q, %v", got, err)
	}
	write(t, v, "private/file", "changed")
	must(t, v.Delete("private"))
}

func TestATreeOfAnotherAccountIsClaimed(t *testing.T) {
	owner, uid := tenant()
	w, top := open(t, workspace.Config{})
	plant(t, top, `
		ws/output/d/deep/file = x
		ws/output/top = x
		ws/output/out -> ../../out/file
		ws/output/gone -> nowhere
		ws/output/pipe |
		out/file = x
		out/linked = x
		ws/output/linked == out/linked
	`)
	zone, outside := w.Path("output"), filepath.Join(top, "out")
	reopen := func(owner workspace.Owner, want uint32) {
		t.Helper()
		again, err := workspace.Open(workspace.Config{Dir: filepath.Join(top, "ws"), Owner: owner})
		must(t, err)
		must(t, again.Close())
		for name, got := range owners(t, zone) {
			if name != "linked" && name != "pipe" && got != want {
				t.Errorf("%s belongs to %d, want %d", name, got, want)
			}
		}
		for name, got := range owners(t, outside) {
			if got != uint32(os.Getuid()) {
				t.Errorf("outside, %s belongs to %d by now", name, got)
			}
		}
	}
	reopen(owner, uid)
	reopen(workspace.Owner{}, uint32(os.Getuid()))
	// A claim that was broken off is made again, since the zone itself was last.
	if os.Getuid() == 0 {
		must(t, os.Lchown(filepath.Join(zone, "d"), int(uid), int(uid)))
	}
	reopen(owner, uid)
}

func TestOnlyRootCanGiveAWorkspaceAway(t *testing.T) {
	_, err := workspace.Open(workspace.Config{Dir: t.TempDir(), Owner: workspace.Owner{UID: 12345, GID: 12345}})
	if (err == nil) != (os.Getuid() == 0) {
		t.Errorf("as %d: %v", os.Getuid(), err)
	}
}
