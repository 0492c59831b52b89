package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sallyport-dev/sallyport/abi"
)

// A Summary is what a chain holds, up to where it breaks if it does.
type Summary struct {
	Entries  int64     `json:"entries"`
	Bytes    int64     `json:"bytes"`
	First    time.Time `json:"first"`     // the zero time without entries
	Last     time.Time `json:"last"`      // the zero time without entries
	LastSeq  int64     `json:"last_seq"`  // 0 without entries
	LastHash string    `json:"last_hash"` // 64 zeros without entries
}

// A Break is where a chain isn't whole, and the cause of the error that says
// so.
type Break struct {
	Line   int64  // from 1, of what was read
	Offset int64  // of the line's first byte, of what was read
	Reason string // what is wrong with the line
}

func (b *Break) Error() string {
	return fmt.Sprintf("line %d, byte %d: %s", b.Line, b.Offset, b.Reason)
}

// Verify reads a log from its first line to its end and checks every hash, the
// chain and the numbers. Where it breaks, the error is failed_precondition,
// names the line, and has a *[Break] as its cause. The empty log is whole. That
// lines are missing at the end isn't seen: compare the summary's LastSeq and
// LastHash with what was noted elsewhere.
func Verify(r io.Reader) (Summary, error) {
	v := newVerifier()
	err := v.read(r)
	return v.sum, err
}

// A verifier checks lines in their order.
type verifier struct {
	sum  Summary
	line int64
	// any accepts whatever number and prev the first line has.
	any bool
}

func newVerifier() *verifier { return &verifier{sum: Summary{LastHash: zeroHash}} }

func (v *verifier) broken(format string, args ...any) error {
	b := &Break{Line: v.line, Offset: v.sum.Bytes, Reason: fmt.Sprintf(format, args...)}
	return abi.Errorf(abi.CodeFailedPrecondition, "the audit log is not whole: line %d %s", b.Line, b.Reason).
		WithHint("keep the file as evidence, and compare it with a copy from before").WithCause(b)
}

// read checks all of r, which starts at the beginning of a line.
func (v *verifier) read(r io.Reader) error {
	lines := bufio.NewReaderSize(r, MaxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		v.line++
		switch {
		case err == io.EOF:
			return v.broken("isn't complete: the log was cut in the middle of it")
		case errors.Is(err, bufio.ErrBufferFull):
			return v.broken("is longer than %d bytes", MaxLine)
		case err != nil:
			return abi.Errorf(abi.CodeUnavailable, "the audit log can't be read at line %d", v.line).WithCause(err)
		}
		if err := v.next(line[:len(line)-1]); err != nil {
			return err
		}
	}
}

// next checks one line, without its line feed.
func (v *verifier) next(line []byte) error {
	want, has, ok := hashed(line)
	if !ok {
		return v.broken("is no entry of an audit log: it doesn't end with a hash")
	}
	if want != has {
		return v.broken("was changed: its hash is %s and should be %s", has, want)
	}
	var e struct {
		Seq  int64     `json:"seq"`
		Time time.Time `json:"time"`
		Prev string    `json:"prev"`
		Hash string    `json:"hash"`
	}
	if err := json.Unmarshal(line, &e); err != nil || e.Hash != has {
		return v.broken("is no entry of an audit log: it isn't an object with seq, time, prev and hash")
	}
	if v.any {
		v.any = false
	} else {
		if e.Prev != v.sum.LastHash {
			return v.broken("doesn't follow the line before it: lines were removed, added or moved between number %d and number %d", v.sum.LastSeq, e.Seq)
		}
		if e.Seq != v.sum.LastSeq+1 {
			return v.broken("has the number %d and should have %d", e.Seq, v.sum.LastSeq+1)
		}
	}
	if v.sum.Entries == 0 {
		v.sum.First = e.Time
	}
	v.sum.Entries++
	v.sum.Bytes += int64(len(line)) + 1
	v.sum.Last, v.sum.LastSeq, v.sum.LastHash = e.Time, e.Seq, e.Hash
	return nil
}
