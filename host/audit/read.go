package audit

import (
	"bytes"
	"cmp"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Filter chooses entries. Its zero value chooses the last 1000.
type Filter struct {
	Session, Call, Plugin string    // "" is any
	Since                 time.Time // and later; the zero time is any
	Limit                 int       // of the newest; zero is 1000, at most 10 000
}

// maxLimit bounds what one Read returns.
const maxLimit = 10_000

// Read returns the newest entries that f chooses, the newest last. It reads the
// file from its end until it has enough, and doesn't check the chain; an entry
// that can't be read is failed_precondition.
func (l *Log) Read(f Filter) ([]Entry, error) {
	if f.Limit < 0 {
		return nil, abi.Errorf(abi.CodeInvalidArgument, "limit is negative: %d", f.Limit)
	}
	limit := min(cmp.Or(f.Limit, 1000), maxLimit)
	file, size, err := l.whole()
	if err != nil {
		return nil, err
	}
	entries := []Entry{}
	for e, err := range newest(file, size, f) {
		if err != nil {
			return nil, err
		}
		if entries = append(entries, e); len(entries) == limit {
			break
		}
	}
	slices.Reverse(entries)
	return entries, nil
}

// Newest yields the entries of a log that f chooses, the newest first and as
// many as there are: f's Limit isn't looked at. The log is the first size bytes
// of r, and may be a running host's: what follows its last whole line is left
// out. The chain isn't checked; an entry that can't be read is
// failed_precondition, and the last thing that is yielded.
func Newest(r io.ReaderAt, size int64, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		whole, err := lineStart(r, size)
		if err != nil {
			yield(Entry{}, cannot("be read", err))
			return
		}
		newest(r, whole, f)(yield)
	}
}

// newest is Newest of whole lines.
func newest(r io.ReaderAt, size int64, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for line, err := range linesBackwards(r, size) {
			if err != nil {
				yield(Entry{}, cannot("be read", err))
				return
			}
			if !f.maybe(line) {
				continue
			}
			e, err := decode(line)
			if err != nil {
				yield(Entry{}, abi.Errorf(abi.CodeFailedPrecondition, "the audit log has a line that is no entry").
					WithHint("check it with: sallyport audit --verify").WithCause(err))
				return
			}
			if f.chooses(e) && !yield(e, nil) {
				return
			}
		}
	}
}

// Verify checks the whole log as it is now, as the function of that name does.
func (l *Log) Verify() (Summary, error) {
	file, size, err := l.whole()
	if err != nil {
		return Summary{}, err
	}
	return Verify(io.NewSectionReader(file, 0, size))
}

// whole returns the file and the length of its whole lines.
func (l *Log) whole() (io.ReaderAt, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil, 0, errClosed()
	}
	return l.file, l.size, nil
}

// chooses says whether f chooses e.
func (f *Filter) chooses(e Entry) bool {
	return (f.Session == "" || f.Session == e.Session) &&
		(f.Call == "" || f.Call == e.Call) &&
		(f.Plugin == "" || f.Plugin == e.Plugin) &&
		!e.Time.Before(f.Since)
}

// maybe says, without reading JSON, whether f can choose a line: what it looks
// for stands in it as it is, if nothing in it would be escaped.
func (f *Filter) maybe(line []byte) bool {
	for _, s := range []string{f.Session, f.Call, f.Plugin} {
		if s != "" && !strings.ContainsFunc(s, escaped) && !bytes.Contains(line, []byte(s)) {
			return false
		}
	}
	return true
}

func escaped(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r >= 0x7f }

// linesBackwards yields the lines of the first size bytes of r, which end with
// a line feed, from the last to the first and without their line feeds. A line
// is good until the next is asked for.
func linesBackwards(r io.ReaderAt, size int64) func(yield func([]byte, error) bool) {
	return func(yield func([]byte, error) bool) {
		var rest []byte // the beginning of what was read, up to the first line feed
		for end := size; end > 0; {
			n := min(64<<10, end)
			buf := make([]byte, n, n+int64(len(rest)))
			if _, err := r.ReadAt(buf, end-n); err != nil {
				yield(nil, err)
				return
			}
			end -= n
			buf = append(buf, rest...)
			for {
				i := bytes.LastIndexByte(bytes.TrimSuffix(buf, []byte("\n")), '\n')
				if i < 0 {
					break
				}
				if !yield(bytes.TrimSuffix(buf[i+1:], []byte("\n")), nil) {
					return
				}
				buf = buf[:i+1]
			}
			rest = buf
		}
		if len(rest) > 0 {
			yield(bytes.TrimSuffix(rest, []byte("\n")), nil)
		}
	}
}
