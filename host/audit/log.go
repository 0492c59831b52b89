package audit

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
)

// Config is what a Log is made of.
type Config struct {
	// Path is the file; it is made, readable for its owner alone, if it isn't
	// there. Required.
	Path string
	// Sync syncs after each entry; false is at Close alone.
	Sync bool
	// Verify is how many bytes at the end of the file Open checks; zero is
	// 16 MiB, negative is the whole file.
	Verify int64
	// Logger gets repairs; nil is none.
	Logger hclog.Logger
}

const defaultVerify = 16 << 20

// A Log is an open audit log. It is safe for concurrent use.
type Log struct {
	path string
	sync bool

	mu   sync.Mutex
	file *os.File // nil when closed
	size int64    // of whole lines
	seq  int64    // of the last one
	hash string   // of the last one
	torn bool     // a part of a line may follow the whole ones
}

// Open opens a log, checks the chain at its end, and moves a torn last line to
// a file beside it. A log that isn't whole otherwise is failed_precondition,
// and stays as it is.
func Open(cfg Config) (*Log, error) {
	if cfg.Path == "" {
		return nil, errors.New("audit: Path is required")
	}
	file, err := os.OpenFile(cfg.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, cannot("be opened", err)
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	l := &Log{path: cfg.Path, sync: cfg.Sync, file: file, hash: zeroHash}
	if err := l.start(cmp.Or(cfg.Verify, defaultVerify), log); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// Check says whether Open would take a log, and changes nothing: a torn last
// line, which Open repairs, is none of its errors, nor is a file that isn't
// there.
func Check(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return cannot("be opened", err)
	}
	l := &Log{path: path, file: file, hash: zeroHash}
	_, err = l.check(defaultVerify)
	return errors.Join(err, file.Close())
}

// Append sets e's Seq, Time, Prev and Hash, cuts it to its bounds and writes
// it. When it fails, nothing of the entry is in the log, unless only Config's
// Sync failed; what was to be recorded had better not be done. An entry without
// a kind is invalid_argument; a log that can't be written, or that somebody
// else changed meanwhile, is unavailable or failed_precondition.
func (l *Log) Append(e Entry) error {
	if e.Kind == "" {
		return abi.Errorf(abi.CodeInvalidArgument, "an audit entry has no kind")
	}
	e = bounded(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.mine(); err != nil {
		return err
	}
	e.Seq, e.Time, e.Prev = l.seq+1, time.Now().UTC(), l.hash
	line, err := e.encode()
	if err != nil {
		return abi.Errorf(abi.CodeInternal, "an audit entry can't be encoded").WithCause(err)
	}
	if _, err := l.file.Write(line); err != nil {
		l.torn = true
		return cannot("be written", errors.Join(err, l.mend()))
	}
	l.size += int64(len(line))
	l.seq, l.hash = e.Seq, e.Hash
	if l.sync {
		if err := l.file.Sync(); err != nil {
			return cannot("be synced", err)
		}
	}
	return nil
}

// mend cuts off what was written of a line. It needs the lock.
func (l *Log) mend() error {
	if !l.torn {
		return nil
	}
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	l.torn = false
	return nil
}

// mine says whether the file is as this Log left it. It needs the lock.
func (l *Log) mine() error {
	if l.file == nil {
		return errClosed()
	}
	if err := l.mend(); err != nil {
		return cannot("be written", err)
	}
	info, err := l.file.Stat()
	if err != nil {
		return cannot("be looked at", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); info.Size() == l.size && (!ok || st.Nlink > 0) {
		return nil
	}
	return abi.Errorf(abi.CodeFailedPrecondition, "the audit log was changed, cut or deleted while it was open").
		WithHint("find out who did it, then start the host again: it checks the log and goes on from there")
}

// Head returns the last entry's number and hash, to be noted elsewhere; 0 and
// 64 zeros for an empty log.
func (l *Log) Head() (seq int64, hash string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seq, l.hash
}

// Close syncs and closes the log. Closing it again does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.file.Sync(), l.file.Close())
	l.file = nil
	if err != nil {
		return cannot("be closed", err)
	}
	return nil
}

func errClosed() error {
	return abi.Errorf(abi.CodeFailedPrecondition, "the audit log is closed").WithCause(fs.ErrClosed)
}

// cannot is the failure of the operating system to do something with the log.
func cannot(what string, err error) error {
	code, hint := abi.CodeUnavailable, "see to the audit log in the data directory: its disk and its permissions"
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		code, hint = abi.CodeResourceExhausted, "make room on the disk of the data directory"
	}
	return abi.Errorf(code, "the audit log can't %s", what).WithHint("%s", hint).WithCause(err)
}
