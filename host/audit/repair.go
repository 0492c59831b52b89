package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sallyport-dev/sallyport/abi"
)

// start brings l to the end of its file, and repairs a torn last line once the
// rest is known to be whole.
func (l *Log) start(last int64, log hclog.Logger) error {
	torn, err := l.check(last)
	if err != nil || torn == 0 {
		return err
	}
	return l.repair(torn, log)
}

// check checks the last bytes of l's file, and brings l to the end of its last
// whole line. It returns the length of what follows, and changes nothing.
func (l *Log) check(last int64) (torn int64, err error) {
	info, err := l.file.Stat()
	if err != nil {
		return 0, cannot("be looked at", err)
	}
	if !info.Mode().IsRegular() {
		return 0, abi.Errorf(abi.CodeFailedPrecondition, "the audit log %s is not a regular file", l.path)
	}
	whole, err := lineStart(l.file, info.Size())
	if err != nil {
		return 0, cannot("be read", err)
	}
	if whole == 0 && info.Size() > MaxLine {
		return 0, abi.Errorf(abi.CodeFailedPrecondition, "%s is no audit log: its first line doesn't end", l.path).
			WithHint("move the file away, and see what wrote it")
	}
	v, from := newVerifier(), int64(0)
	if last >= 0 && whole > last {
		// From the line that starts within the last bytes on.
		if from, err = lineStart(l.file, whole-last); err != nil {
			return 0, cannot("be read", err)
		}
		v.any = from > 0
	}
	if err := v.read(io.NewSectionReader(l.file, from, whole-from)); err != nil {
		return 0, l.refused(err, from)
	}
	l.size, l.seq, l.hash = whole, v.sum.LastSeq, v.sum.LastHash
	return info.Size() - whole, nil
}

// refused adds to a break what an operator has to know at the start.
func (l *Log) refused(err error, from int64) error {
	var b *Break
	if !errors.As(err, &b) {
		return err
	}
	return abi.Errorf(abi.CodeFailedPrecondition, "the audit log %s is not whole: at byte %d, a line %s", l.path, from+b.Offset, b.Reason).
		WithHint("keep the file as evidence, and move it away to begin a new one").WithCause(b)
}

// lineStart returns where the line starts that byte end belongs to, or would:
// just after the last line feed before end.
func lineStart(r io.ReaderAt, end int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end > 0 {
		n := min(int64(len(buf)), end)
		if _, err := r.ReadAt(buf[:n], end-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1, nil
		}
		end -= n
	}
	return 0, nil
}

// repair moves what follows the last whole line to a file beside the log.
func (l *Log) repair(torn int64, log hclog.Logger) error {
	side, sum, err := l.save(io.NewSectionReader(l.file, l.size, torn))
	if err == nil {
		err = errors.Join(l.file.Truncate(l.size), l.file.Sync())
	}
	if err != nil {
		return cannot("be repaired: its last line is torn", err)
	}
	log.Warn("the audit log's last line was torn, and was moved away", "bytes", torn, "file", side)
	return l.Append(Entry{Kind: KindRepair, Detail: map[string]string{
		"file": filepath.Base(side), "bytes": strconv.FormatInt(torn, 10), "sha256": sum,
	}})
}

// save writes r to a new file beside the log.
func (l *Log) save(r io.Reader) (path, sum string, err error) {
	base := l.path + ".torn-" + time.Now().UTC().Format("20060102T150405Z")
	var file *os.File
	for i := range 100 {
		path = base
		if i > 0 {
			path = fmt.Sprintf("%s-%d", base, i)
		}
		if file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err != nil {
		return "", "", err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, h), r)
	return path, hex.EncodeToString(h.Sum(nil)), errors.Join(err, file.Sync(), file.Close())
}
