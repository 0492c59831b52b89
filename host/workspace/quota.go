package workspace

import (
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// A ledger counts what the roots of one quota hold. Its lock is held over
// every effect that changes what is counted, together with the counting: so
// two writers never both fit into the last free byte, and nothing is credited
// twice.
type ledger struct {
	cfg   Config
	roots []*os.Root

	mu      sync.Mutex
	closed  bool
	used    count
	at      time.Time     // of the last measurement
	took    time.Duration // the last measurement
	stale   bool          // a process may have written since
	partial bool
	open    []*File
}

type count struct {
	bytes int64
	files int
}

func newLedger(cfg Config) *ledger { return &ledger{cfg: cfg} }

// old says whether the last measurement can't be built on any longer.
func (l *ledger) old() bool {
	return l.stale || time.Since(l.at) > max(l.cfg.RemeasureAfter, l.rest())
}

// rest is how long after a measurement the next has to wait, so that measuring
// takes no more than a tenth of the time.
func (l *ledger) rest() time.Duration { return 10 * l.took }

// measure walks the roots. What can't be walked isn't counted, and said once.
func (l *ledger) measure() {
	start := time.Now()
	w := l.newWalk()
	for _, root := range l.roots {
		w.tree(root, 0)
	}
	var unnamed []fs.FileInfo
	for _, f := range l.open {
		info, err := f.file.Stat()
		if err != nil || links(info) > 0 || slices.ContainsFunc(unnamed, func(o fs.FileInfo) bool { return os.SameFile(o, info) }) {
			continue
		}
		unnamed = append(unnamed, info)
		w.add(info)
	}
	if w.partial && !l.partial {
		l.cfg.Logger.Warn("a part of the workspace can't be measured, its usage is more than what is counted", "dir", l.cfg.Dir, "error", w.err)
	}
	l.used, l.partial = w.count, w.partial
	l.at, l.took, l.stale = time.Now(), time.Since(start), false
}

// newWalk returns a walk that gives up when the quota is passed by far.
func (l *ledger) newWalk() *walk { return &walk{most: 2*l.cfg.MaxFiles + 1024} }

// reserve counts bytes and entries that are about to be added at a place, or
// refuses them. Zeros are never refused.
func (l *ledger) reserve(at string, bytes int64, files int) error {
	if l.closed {
		return errClosed(fs.ErrClosed)
	}
	if bytes == 0 && files == 0 {
		return nil
	}
	if l.old() {
		l.measure()
	}
	err := l.fits(at, bytes, files)
	if err != nil && time.Since(l.at) > l.rest() {
		l.measure() // a process may have deleted something
		err = l.fits(at, bytes, files)
	}
	if err != nil {
		return err
	}
	l.settle(bytes, files)
	return nil
}

// settle corrects what is counted.
func (l *ledger) settle(bytes int64, files int) {
	l.used.bytes = max(0, l.used.bytes+bytes)
	l.used.files = max(0, l.used.files+files)
}

const hintFull = "delete files that are no longer needed, or ask the operator for a larger quota"

func (l *ledger) fits(at string, bytes int64, files int) error {
	if left := max(0, l.cfg.MaxBytes-l.used.bytes); bytes > left {
		return abi.Errorf(abi.CodeResourceExhausted, "%s needs %d bytes more, and %d of the quota of %d bytes are left", at, bytes, left, l.cfg.MaxBytes).
			WithHint(hintFull).WithCause(syscall.EDQUOT)
	}
	if files > 0 && l.used.files+files > l.cfg.MaxFiles {
		return abi.Errorf(abi.CodeResourceExhausted, "%s can't be made: there are %d files and folders, and the quota is %d", at, l.used.files, l.cfg.MaxFiles).
			WithHint(hintFull).WithCause(syscall.EDQUOT)
	}
	return nil
}

// tooLarge refuses a file of size bytes, or returns nil.
func (l *ledger) tooLarge(at string, size int64) error {
	if size <= l.cfg.MaxFileBytes {
		return nil
	}
	return abi.Errorf(abi.CodeResourceExhausted, "%s would have %d bytes, and a file may have %d", at, size, l.cfg.MaxFileBytes).
		WithHint("write less, or split it into several files").WithCause(syscall.EFBIG)
}

// room refuses one more handle when too many are open.
func (l *ledger) room(at string) error {
	if l.closed {
		return errClosed(fs.ErrClosed)
	}
	if len(l.open) < l.cfg.MaxOpen {
		return nil
	}
	e := abi.Errorf(abi.CodeResourceExhausted, "%s can't be opened: %d files are open, and no more may be", at, len(l.open)).
		WithHint("close files when they are done with").WithCause(syscall.EMFILE)
	e.Retryable = true
	return e
}

// gone is called when an entry lost a name: what it took is given back, save
// that a file which is open under no other name counts until it is closed.
func (l *ledger) gone(info fs.FileInfo) {
	if info.Mode().IsRegular() && links(info) <= 1 && l.isOpen(info) {
		return
	}
	l.settle(-sizeOf(info), -1)
}

// detach takes a handle off the list; the last one of a file without a name
// gives back what it took.
func (l *ledger) detach(f *File) {
	i := slices.Index(l.open, f)
	if i < 0 {
		return
	}
	l.open = slices.Delete(l.open, i, i+1)
	info, err := f.file.Stat()
	if err == nil && links(info) == 0 && !l.isOpen(info) {
		l.settle(-sizeOf(info), -1)
	}
}

func (l *ledger) isOpen(info fs.FileInfo) bool {
	return slices.ContainsFunc(l.open, func(f *File) bool { return os.SameFile(f.info, info) })
}

// sizeOf is what an entry counts: its length if it is a file.
func sizeOf(info fs.FileInfo) int64 {
	if info.Mode().IsRegular() {
		return info.Size()
	}
	return 0
}

// links counts the names of a file.
func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}
