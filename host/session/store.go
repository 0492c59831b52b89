package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
	"github.com/sallyport-dev/sallyport/host/kernel"
	"github.com/sallyport-dev/sallyport/host/workspace"
)

// Config is what a Store is made of.
type Config struct {
	// Dir holds a folder for each session; it is made if it isn't there.
	Dir string
	// NewKernel makes a session's kernels. Required.
	NewKernel NewKernel
	// Workspace bounds each session's files; its Dir is set for each. Zero
	// fields are workspace's defaults.
	Workspace workspace.Config
	// Remove removes a session's folder, in which processes may have left
	// anything; nil is os.RemoveAll.
	Remove func(dir string) error
	// User returns the account of the n-th session's processes, n being 1 or
	// more: no two sessions have the same n, and each keeps its own. nil is the
	// host's account for all.
	User func(n int) workspace.Owner
	// Ended is called when a session was ended and nothing runs in it any more,
	// with the context of its end; nil is nobody. It isn't called by Close.
	Ended func(ctx context.Context, id string)
	// MaxSessions bounds the sessions of all owners; zero is 64. One owner gets
	// at most half of them, so that nobody locks everybody else out.
	MaxSessions int
	// Logger gets what happens to sessions; nil is none.
	Logger hclog.Logger
}

// A Store holds the sessions. It is safe for concurrent use.
type Store struct {
	cfg Config
	log hclog.Logger

	mu       sync.Mutex
	closed   bool
	sessions map[string]*Session
	numbers  map[int]bool    // of all sessions whose files are there
	strays   map[uint32]bool // accounts of files whose session's number isn't known
}

// record is a session's session.json.
type record struct {
	ID      string    `json:"id"`
	Number  int       `json:"number"` // 1 or more; 0 is none yet
	Owner   string    `json:"owner"`
	Created time.Time `json:"created"`
}

const recordFile = "session.json"

// Open reads the sessions that an earlier host left in cfg.Dir. One that can't
// be read is logged and left as it is, and nobody else gets its account.
func Open(cfg Config) (*Store, error) {
	if cfg.NewKernel == nil {
		return nil, errors.New("session: NewKernel is required")
	}
	cfg.MaxSessions = cmp.Or(cfg.MaxSessions, 64)
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if cfg.Remove == nil {
		cfg.Remove = os.RemoveAll
	}
	if cfg.User == nil {
		cfg.User = func(int) workspace.Owner { return workspace.Owner{} }
	}
	st := &Store{cfg: cfg, log: log, sessions: map[string]*Session{}, numbers: map[int]bool{}, strays: map[uint32]bool{}}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	failed := func(id string, err error) {
		log.Warn("a session could not be restored, its files are left as they are", "session", id, "error", err)
	}
	// All numbers that are taken come first: then one can be given out.
	var records []record
	for _, e := range entries {
		r, err := st.read(e.Name())
		if err != nil {
			failed(e.Name(), err)
			st.stray(e.Name())
			continue
		}
		if r.Number < 0 || st.numbers[r.Number] {
			r.Number = 0 // a copy of another session
		}
		if r.Number > 0 {
			st.numbers[r.Number] = true
		}
		records = append(records, r)
	}
	for _, r := range records {
		if err := st.restore(r); err != nil {
			failed(r.ID, err)
		}
	}
	return st, nil
}

func (st *Store) read(id string) (record, error) {
	b, err := os.ReadFile(filepath.Join(st.cfg.Dir, id, recordFile))
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, err
	}
	if r.ID != id {
		return record{}, fmt.Errorf("%s is of session %q", recordFile, r.ID)
	}
	return r, nil
}

// stray notes whose the zones of a session are that can't be read.
func (st *Store) stray(id string) {
	for _, zone := range abi.Zones() {
		info, err := os.Lstat(filepath.Join(st.cfg.Dir, id, workspaceDir, zone))
		if err != nil {
			continue // and so no files
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			st.strays[stat.Uid] = true
		}
	}
}

// number takes the smallest number that no session has, or had when its record
// could be read.
func (st *Store) number() int {
	for n := 1; ; n++ {
		user := st.cfg.User(n)
		if st.numbers[n] || user != (workspace.Owner{}) && st.strays[user.UID] {
			continue
		}
		st.numbers[n] = true
		return n
	}
}

func (st *Store) restore(r record) error {
	numbered := r.Number > 0
	if !numbered {
		r.Number = st.number()
	}
	s, err := st.open(r)
	if err != nil {
		return err
	}
	if !numbered {
		if err := writeRecord(s.dir, r); err != nil {
			return errors.Join(err, s.workspace.Close())
		}
	}
	kernels, err := os.ReadDir(filepath.Join(s.dir, kernelsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, s.workspace.Close())
	}
	for _, k := range kernels {
		s.lost[k.Name()] = "the host was started again"
	}
	st.sessions[s.ID] = s
	return nil
}

// open makes the Session of a record.
func (st *Store) open(r record) (*Session, error) {
	dir := filepath.Join(st.cfg.Dir, r.ID)
	wc := st.cfg.Workspace
	wc.Dir = filepath.Join(dir, workspaceDir)
	wc.Owner = st.cfg.User(r.Number)
	wc.Logger = st.log
	ws, err := workspace.Open(wc)
	if err != nil {
		return nil, err
	}
	s := &Session{
		ID: r.ID, Owner: r.Owner, Created: r.Created, User: wc.Owner,
		number: r.Number, dir: dir, workspace: ws, newKernel: st.cfg.NewKernel,
		kernels: map[KernelKey]*kernel.Kernel{}, lost: map[string]string{},
	}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	return s, nil
}

// Create makes a session for owner. Too many are resource_exhausted.
func (st *Store) Create(owner string) (*Session, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return nil, abi.Errorf(abi.CodeUnavailable, "the host is ending")
	}
	owned := 0
	for _, s := range st.sessions {
		if s.Owner == owner {
			owned++
		}
	}
	if most := (st.cfg.MaxSessions + 1) / 2; owned >= most || len(st.sessions) >= st.cfg.MaxSessions {
		e := abi.Errorf(abi.CodeResourceExhausted, "there are %d sessions, %d of them yours; this host allows %d, and %d an owner",
			len(st.sessions), owned, st.cfg.MaxSessions, most).
			WithHint("end one with DELETE /v1/sessions/{id}, or have the operator raise max_sessions")
		e.Retryable = true
		return nil, e
	}
	r := record{ID: strings.ToLower(rand.Text()), Number: st.number(), Owner: owner, Created: time.Now().UTC()}
	dir := filepath.Join(st.cfg.Dir, r.ID)
	err := os.Mkdir(dir, 0o700)
	var s *Session
	if err == nil {
		s, err = st.open(r)
	}
	if err == nil {
		if err = writeRecord(dir, r); err != nil {
			err = errors.Join(err, s.workspace.Close())
		}
	}
	if err != nil {
		removed := st.cfg.Remove(dir)
		if removed == nil {
			delete(st.numbers, r.Number)
		}
		return nil, errors.Join(fmt.Errorf("session: %w", err), removed)
	}
	st.sessions[r.ID] = s
	st.log.Info("session made", "session", s.ID, "principal", owner)
	return s, nil
}

func writeRecord(dir string, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, recordFile+".new")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, recordFile))
}

// Get returns a session of owner's. Another's is not_found, as one that isn't
// there.
func (st *Store) Get(id, owner string) (*Session, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := st.sessions[id]
	if s == nil || s.Owner != owner {
		return nil, notFound(id)
	}
	return s, nil
}

// Any returns a session whoever owns it: for operators.
func (st *Store) Any(id string) (*Session, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if s := st.sessions[id]; s != nil {
		return s, nil
	}
	return nil, notFound(id)
}

// List returns owner's sessions, the oldest first, or everybody's where owner
// is empty.
func (st *Store) List(owner string) []*Session {
	st.mu.Lock()
	defer st.mu.Unlock()
	list := []*Session{}
	for _, s := range st.sessions {
		if owner == "" || s.Owner == owner {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *Session) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	return list
}

// End ends a session: its calls are cancelled, its kernels end, its files are
// removed. It waits until ctx is over.
func (st *Store) End(ctx context.Context, id string) error {
	st.mu.Lock()
	s := st.sessions[id]
	delete(st.sessions, id)
	st.mu.Unlock()
	if s == nil {
		return notFound(id)
	}
	err := s.close(ctx, abi.Errorf(abi.CodeCanceled, "the session was ended"))
	if st.cfg.Ended != nil {
		st.cfg.Ended(ctx, id)
	}
	removed := st.cfg.Remove(s.dir)
	if removed == nil {
		st.mu.Lock()
		delete(st.numbers, s.number) // somebody else may have it
		st.mu.Unlock()
	}
	st.log.Info("session ended", "session", id)
	return errors.Join(err, removed)
}

// Close ends what runs in every session and keeps the files for the next host.
func (st *Store) Close(ctx context.Context) error {
	st.mu.Lock()
	st.closed = true
	sessions := st.sessions
	st.sessions = map[string]*Session{}
	st.mu.Unlock()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for _, s := range sessions {
		wg.Go(func() {
			if err := s.close(ctx, abi.Errorf(abi.CodeCanceled, "the host is ending")); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// In a session's folder, workspaceDir holds the zones, and kernelsDir the
// kernels' folders.
const (
	workspaceDir = "workspace"
	kernelsDir   = "kernels"
)

// kernelFolder is the same for every approval: what code left in its working
// directory stays.
func kernelFolder(key KernelKey) string { return key.Plugin + "-" + key.Language }
