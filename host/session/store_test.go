package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/kernel"
	"github.com/sallyport-dev/sallyport/host/session"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// accounts gives each session an account of its own where the tests may, and
// notes whom it was asked for.
type accounts struct{ asked []int }

func (a *accounts) user(n int) workspace.Owner {
	a.asked = append(a.asked, n)
	if os.Getuid() != 0 {
		return workspace.Owner{}
	}
	return workspace.Owner{UID: uint32(20000 + n), GID: uint32(20000 + n)}
}

// account is what is to be seen on the files of the n-th session.
func account(n int) uint32 {
	if os.Getuid() != 0 {
		return uint32(os.Getuid())
	}
	return uint32(20000 + n)
}

func open(t *testing.T, dir string) *session.Store {
	t.Helper()
	st, err := session.Open(session.Config{Dir: dir, User: new(accounts).user, NewKernel: noKernel})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return st
}

func noKernel(session.KernelOwner) (*kernel.Kernel, error) { return nil, errors.New("no kernels here") }

func create(t *testing.T, st *session.Store) *session.Session {
	t.Helper()
	s, err := st.Create("somebody")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files returns whose the session's files are.
func files(t *testing.T, s *session.Session) uint32 {
	t.Helper()
	info, err := os.Lstat(s.Workspace().Path("output"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

func TestEachSessionHasAnAccountOfItsOwn(t *testing.T) {
	st := open(t, t.TempDir())
	var all []*session.Session
	for n := 1; n <= 3; n++ {
		s := create(t, st)
		all = append(all, s)
		if got := files(t, s); got != account(n) || s.User != new(accounts).user(n) {
			t.Errorf("session %d has the account %v, and its files belong to %d", n, s.User, got)
		}
	}
	// The number of one that ended is free again.
	if err := st.End(t.Context(), all[1].ID); err != nil {
		t.Fatal(err)
	}
	if got := files(t, create(t, st)); got != account(2) {
		t.Errorf("after the end of the second, the files belong to %d", got)
	}
	if got := files(t, create(t, st)); got != account(4) {
		t.Errorf("the fourth one's files belong to %d", got)
	}
}

func TestKernelsAreMadeForTheSessionsAccount(t *testing.T) {
	var owner session.KernelOwner
	users := new(accounts)
	st, err := session.Open(session.Config{Dir: t.TempDir(), User: users.user, NewKernel: func(o session.KernelOwner) (*kernel.Kernel, error) {
		owner = o
		return noKernel(o)
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := create(t, st)
	if _, err := s.Kernel(session.KernelKey{Plugin: "p", Language: "python"}, abi.Capabilities{}); err == nil || owner.User != s.User || owner.User != new(accounts).user(1) {
		t.Errorf("the kernel is for %v, the session has %v, %v", owner.User, s.User, err)
	}
	if slices.Contains(users.asked, 0) {
		t.Error("a session has the number 0")
	}
	if err := st.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAccountsOutlastTheHost(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	var ids []string
	for range 4 {
		ids = append(ids, create(t, first).ID)
	}
	if err := first.End(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Of one the record is broken, another can't be opened.
	broken, shut := ids[1], ids[2]
	if err := os.WriteFile(filepath.Join(dir, broken, "session.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	zone := filepath.Join(dir, shut, "workspace", "store")
	if err := errors.Join(os.Remove(zone), os.WriteFile(zone, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	second := open(t, dir)
	for _, id := range []string{broken, shut} {
		if _, err := second.Any(id); err == nil {
			t.Errorf("session %s is there", id)
		}
	}
	kept, err := second.Any(ids[3])
	if err != nil {
		t.Fatal(err)
	}
	if got := files(t, kept); got != account(4) || kept.User != new(accounts).user(4) {
		t.Errorf("the fourth session has the account %v, and its files belong to %d", kept.User, got)
	}
	for _, n := range []int{1, 5} {
		if got := files(t, create(t, second)); got != account(n) {
			t.Errorf("a new session's files belong to %d, want those of number %d", got, n)
		}
	}
}

func TestASessionWithoutANumberOfItsOwnGetsOne(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	old, one, copied := create(t, first), create(t, first), create(t, first)
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, number := range map[string]string{old.ID: "", copied.ID: `"number":2,`} {
		record := `{"id":"` + id + `",` + number + `"owner":"somebody","created":"2025-01-01T00:00:00Z"}`
		if err := os.WriteFile(filepath.Join(dir, id, "session.json"), []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(st *session.Store) []uint32 {
		t.Helper()
		var found []uint32
		for _, id := range []string{old.ID, one.ID, copied.ID} {
			s, err := st.Any(id)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, files(t, s))
		}
		if os.Getuid() == 0 && len(slices.Compact(slices.Sorted(slices.Values(found)))) != 3 {
			t.Errorf("the sessions' files belong to %v", found)
		}
		return found
	}
	second := open(t, dir)
	before := check(second)
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := check(open(t, dir)); !slices.Equal(after, before) {
		t.Errorf("the files belonged to %v, and in the next host to %v", before, after)
	}
}

// TestTheEndOfASessionIsTold ends a session while something runs in it, and
// then the host: whoever keeps something for a session learns of its end alone.
func TestTheEndOfASessionIsTold(t *testing.T) {
	var (
		told    []string
		running bool
	)
	st, err := session.Open(session.Config{Dir: t.TempDir(), NewKernel: noKernel, Ended: func(_ context.Context, id string) {
		if running {
			t.Error("it is told before what runs in the session has ended")
		}
		told = append(told, id)
	}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := st.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Create("a"); err != nil {
		t.Fatal(err)
	}
	run, leave, err := first.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	running = true
	go func() {
		<-run.Done()
		running = false
		leave()
	}()
	if err := st.End(t.Context(), first.ID); err != nil {
		t.Error(err)
	}
	if err := st.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(told) != 1 || told[0] != first.ID {
		t.Errorf("it was told of %q, want %q", told, first.ID)
	}
}
